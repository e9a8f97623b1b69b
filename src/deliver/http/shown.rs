//! What would be sent for an event, for people: method, URL, header lines with secrets masked, body. Nothing is sent.

use super::super::setup::SetupError;
use super::plan::Plan;
use crate::buffer::Record;
use crate::settings::shape::{HeaderText, Http};
use crate::settings::{Uplink, UplinkProtocol, names_a_secret};
use reqwest::Url;

/// What stands for a secret.
const MASK: &str = "***";

/// A request as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// Where to, with its query.
    pub url: String,
    /// Header lines of the settings and of the event; what shows who this gateway is has `***` for its secret.
    pub headers: Vec<(String, String)>,
    /// The body, as it is.
    pub body: Vec<u8>,
}

/// The request that an HTTP uplink would send for an event; `None` for an uplink of another protocol.
///
/// # Errors
/// The uplink's settings are not usable (outside), or its templates do not fit this event (inside: why).
pub fn http_request(
    uplink: &Uplink,
    record: &Record,
) -> Result<Option<Result<Shown, String>>, SetupError> {
    let UplinkProtocol::Http(http) = &uplink.protocol else {
        return Ok(None);
    };
    let plan = Plan::new(&uplink.name, http, uplink.format)?;
    let made = plan.outgoing(std::slice::from_ref(record));
    let shown = made.map_err(|trouble| trouble.reason).map(|outgoing| {
        let own = outgoing.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), masked(name.as_str(), value))
        });
        let mut headers: Vec<(String, String)> = own.collect();
        headers.extend(of_settings(http));
        headers.sort();
        Shown {
            method: outgoing.method.to_string(),
            url: address(outgoing.url),
            headers,
            body: outgoing.body.to_vec(),
        }
    });
    Ok(Some(shown))
}

/// The value of a header line, unless its name says that it is a secret.
fn masked(name: &str, value: String) -> String {
    match names_a_secret(name) {
        true => MASK.to_owned(),
        false => value,
    }
}

/// An address without who asks, and without values of its query whose names say that they are secrets.
fn address(mut url: Url) -> String {
    if url.password().is_some() {
        // Of an address with a host, which it is.
        url.set_password(Some(MASK)).ok();
    }
    let secret = |pair: &str| {
        pair.split_once('=')
            .is_some_and(|(name, _)| names_a_secret(name))
    };
    if let Some(query) = url.query().filter(|query| query.split('&').any(secret)) {
        let shown = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if secret(pair) => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        });
        let shown: Vec<String> = shown.collect();
        let shown = shown.join("&");
        url.set_query(Some(&shown));
    }
    url.to_string()
}

/// What each request of the uplink carries.
fn of_settings(http: &Http) -> Vec<(String, String)> {
    let fixed = http.headers.iter();
    let mut headers: Vec<(String, String)> = fixed
        .map(|(name, value)| {
            let value = match value {
                HeaderText::Plain(text) => masked(name, text.clone()),
                HeaderText::Secret(_) => MASK.to_owned(),
            };
            (name.to_ascii_lowercase(), value)
        })
        .collect();
    let who = match (&http.bearer, &http.basic, &http.oauth2) {
        (Some(_), _, _) | (_, _, Some(_)) => Some(format!("Bearer {MASK}")),
        (None, Some(_), None) => Some(format!("Basic {MASK}")),
        (None, None, None) => None,
    };
    headers.extend(who.map(|who| ("authorization".to_owned(), who)));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Envelope, Position, UplinkId};
    use serde_json::json;
    use uuid::Uuid;

    fn record() -> Record {
        Record {
            position: Position { epoch: 1, seq: 1 },
            envelope: Envelope {
                id: Uuid::from_u128(7),
                run: Uuid::nil(),
                kind: "operation.completed".into(),
                partition_key: "PRESS-04".into(),
                equipment: None,
                path: Vec::new(),
                time_ns: 0,
            },
            class: Class::Lasting,
            payload: "{}".into(),
        }
    }

    #[test]
    fn nothing_that_is_secret_is_shown_and_nothing_secret_is_read() {
        let http = json!({
            "url": "https://mes/events?plant=1&api_key=canary-1&sig=canary-2",
            "headers": {
                "X-Plant": "P1",
                "X-Api-Key": "canary-3",
                "X-Line": { "file": "/nowhere/canary-4" },
                "Authorization": { "credential": "canary-5" },
            },
        });
        let http = serde_json::from_value(http).unwrap();
        let uplink = Uplink::new(UplinkId(0), "mes", UplinkProtocol::Http(http));
        let shown = http_request(&uplink, &record()).unwrap().unwrap().unwrap();
        assert_eq!(shown.url, "https://mes/events?plant=1&api_key=***&sig=***");
        assert!(!format!("{shown:?}").contains("canary"), "{shown:?}");
        let of = |name: &str| {
            let found = shown.headers.iter().find(|(one, _)| one == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!((of("x-plant"), of("x-line")), (Some("P1"), Some(MASK)));
        assert!(of("idempotency-key").is_some_and(|key| key.starts_with('"')));
    }
}
