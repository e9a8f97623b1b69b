//! What would be sent for an event, for people: method, URL, header lines with secrets masked, body. Nothing is sent.

use super::super::setup::SetupError;
use super::plan::Plan;
use crate::buffer::Record;
use crate::settings::shape::Http;
use crate::settings::{Uplink, UplinkProtocol};

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
            (name.to_string(), value)
        });
        let mut headers: Vec<(String, String)> = own.collect();
        headers.extend(of_settings(http));
        headers.sort();
        Shown {
            method: outgoing.method.to_string(),
            url: outgoing.url.to_string(),
            headers,
            body: outgoing.body.to_vec(),
        }
    });
    Ok(Some(shown))
}

/// What each request of the uplink carries.
fn of_settings(http: &Http) -> Vec<(String, String)> {
    let fixed = http.headers.iter();
    let mut headers: Vec<(String, String)> = fixed
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    let who = match (&http.bearer, &http.basic, &http.oauth2) {
        (Some(_), _, _) | (_, _, Some(_)) => Some(format!("Bearer {MASK}")),
        (None, Some(_), None) => Some(format!("Basic {MASK}")),
        (None, None, None) => None,
    };
    headers.extend(who.map(|who| ("authorization".to_owned(), who)));
    headers
}
