//! What an HTTP answer means for an event. A pure rule over status, three headers and a short body.
//!
//! 202 without `Location` is an acceptance. With one the verdict lies elsewhere; as long as it is not fetched, the
//! event is not settled: the destination counts as not usable, and the log says what to change.

use super::super::uplink::{Trouble, Verdict, printable};
use super::super::verdict::{MAX_DETAIL_CHARS, code_text, park_class};
use crate::model::ParkClass;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use std::time::Duration;

/// As much of an answer as a verdict needs.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: StatusCode,
    retry_after: Option<Duration>,
    has_location: bool,
    is_problem: bool,
    body: Vec<u8>,
    /// The answer broke off in the middle: why.
    broken: Option<String>,
}

impl Reply {
    /// A whole answer.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Reply {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Reply {
            status,
            // Seconds only: the other form is a date, and the box's wall clock is nothing to wait by.
            retry_after: text(RETRY_AFTER)
                .and_then(|value| value.trim().parse().ok())
                .map(Duration::from_secs),
            has_location: headers.contains_key(LOCATION),
            is_problem: text(CONTENT_TYPE)
                .is_some_and(|kind| kind.trim_start().starts_with("application/problem+json")),
            body,
            broken: None,
        }
    }

    /// A good status whose body broke off: the server may have died on it.
    pub(super) fn broken(reason: String) -> Reply {
        Reply {
            broken: Some(reason),
            ..Reply::new(StatusCode::OK, &HeaderMap::new(), Vec::new())
        }
    }

    fn trouble(&self, what: &str) -> Trouble {
        let status = self.status.as_u16();
        let code = self.code().unwrap_or_else(|| status.to_string());
        Trouble {
            reason: format!("{status}{}: {what}", self.detail()),
            at_least: self.retry_after,
            code: Some(code),
            status: Some(status),
        }
    }

    /// The server's own code, if its body has one.
    fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        code_text(body.get("code")?)
    }

    /// Whose matter a refusal is: by the server's code where it has one, else by the status.
    fn park_class(&self) -> ParkClass {
        let otherwise = match self.status.as_u16() {
            400 | 413 | 415 => ParkClass::Schema,
            _ => ParkClass::Business,
        };
        park_class(self.code().as_deref(), otherwise)
    }

    /// What the body says, if it says it as JSON or problem+json (RFC 9457) does.
    fn detail(&self) -> String {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&self.body) else {
            return String::new();
        };
        ["code", "title", "detail", "message", "error"]
            .iter()
            .filter_map(|key| body.get(key)?.as_str())
            .fold(String::new(), |mut text, part| {
                text.push(' ');
                text.push_str(&printable(part, MAX_DETAIL_CHARS));
                text
            })
    }

    /// The body says that this event is there already.
    fn is_duplicate(&self) -> bool {
        self.code()
            .is_some_and(|code| code == "duplicate" || code == "already-processed")
    }
}

/// The verdict that an answer gives.
pub(super) fn verdict(reply: &Reply) -> Verdict {
    if let Some(reason) = &reply.broken {
        return Verdict::Unanswered(Trouble::new(format!(
            "the answer broke off in the middle: {}",
            printable(reason, MAX_DETAIL_CHARS)
        )));
    }
    match reply.status.as_u16() {
        202 if reply.has_location => Verdict::Unavailable(reply.trouble(
            "the verdict is to be fetched at a `Location`, which this version does not do: let the server answer 200, or 202 without `Location`",
        )),
        200..=299 => Verdict::Accepted,
        409 if reply.is_duplicate() => Verdict::Accepted,
        409 => Verdict::Conflict(reply.trouble("the event contradicts what the server has")),
        300..=399 => Verdict::Unavailable(reply.trouble(
            "redirects are not followed: write the final URL into the settings",
        )),
        401 | 403 => Verdict::Unavailable(reply.trouble(
            "the server does not let this gateway in: check `bearer`, `basic` and the rights there",
        )),
        404 | 410 if !reply.is_problem => Verdict::Unavailable(reply.trouble(
            "there is nothing at this URL: check its path",
        )),
        429 | 502 | 503 | 504 => Verdict::Unavailable(reply.trouble("the server asks for a pause")),
        408 | 425 | 500..=599 => Verdict::Unanswered(reply.trouble("the server failed")),
        400 | 404 | 410 | 413 | 415 | 422 => Verdict::Rejected(
            reply.park_class(),
            reply.trouble("the server rejects this event"),
        ),
        400..=499 => Verdict::Refused(reply.trouble("the server refuses this event")),
        _ => Verdict::Unanswered(reply.trouble("this status means nothing here")),
    }
}

/// Base64 with padding (RFC 4648, 4.), for basic authentication.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| {
        usize::try_from(bits & 63)
            .ok()
            .and_then(|index| LETTERS.get(index))
            .map_or('=', |letter| char::from(*letter))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut bits = 0u32;
        for place in 0..3 {
            bits = bits << 8 | chunk.get(place).copied().map_or(0, u32::from);
        }
        text.push(letter(bits >> 18));
        text.push(letter(bits >> 12));
        text.push(if chunk.len() > 1 {
            letter(bits >> 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 { letter(bits) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Class {
        Accepted,
        Schema,
        Business,
        Conflict,
        Refused,
        Unanswered,
        Unavailable,
    }

    fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reply {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let name = reqwest::header::HeaderName::from_static(name);
                (name, reqwest::header::HeaderValue::from_static(value))
            })
            .collect();
        Reply::new(
            StatusCode::from_u16(status).expect("a status"),
            &headers,
            body.into(),
        )
    }

    fn class(reply: &Reply) -> Class {
        match verdict(reply) {
            Verdict::Accepted => Class::Accepted,
            Verdict::Taken => panic!("only a broker takes"),
            Verdict::Rejected(ParkClass::Schema, _) => Class::Schema,
            Verdict::Rejected(..) => Class::Business,
            Verdict::Conflict(_) => Class::Conflict,
            Verdict::Refused(_) => Class::Refused,
            Verdict::Unanswered(_) => Class::Unanswered,
            Verdict::Unavailable(_) => Class::Unavailable,
        }
    }

    #[test]
    fn each_status_blames_nobody_the_event_or_the_destination() {
        for (statuses, expected) in [
            (&[200, 201, 202, 204, 206][..], Class::Accepted),
            (&[400, 413, 415], Class::Schema),
            (&[422], Class::Business),
            (&[409], Class::Conflict),
            (&[402, 405, 406, 417, 418], Class::Refused),
            (&[408, 425, 500, 501, 507], Class::Unanswered),
            (
                &[301, 302, 307, 308, 401, 403, 404, 410, 429, 502, 503, 504],
                Class::Unavailable,
            ),
        ] {
            for status in statuses {
                assert_eq!(class(&reply(*status, &[], "")), expected, "{status}");
            }
        }
    }

    #[test]
    fn headers_and_body_decide_where_the_status_does_not() {
        let problem = [("content-type", "application/problem+json; charset=utf-8")];
        assert_eq!(class(&reply(404, &problem, "{}")), Class::Business);
        assert_eq!(class(&reply(410, &problem, "{}")), Class::Business);
        for (status, code, expected) in [
            (422, "schema-violation", Class::Schema),
            (422, "MALFORMED_BODY", Class::Schema),
            (400, "order-closed", Class::Business),
        ] {
            let body = format!(r#"{{"code":"{code}"}}"#);
            assert_eq!(class(&reply(status, &[], &body)), expected, "{code}");
        }
        assert_eq!(
            class(&reply(202, &[("location", "/jobs/7")], "")),
            Class::Unavailable
        );
        for (body, expected) in [
            (r#"{"code":"duplicate"}"#, Class::Accepted),
            (r#"{"code":"already-processed"}"#, Class::Accepted),
            (r#"{"code":"order-closed"}"#, Class::Conflict),
            ("duplicate", Class::Conflict),
            ("[1]", Class::Conflict),
        ] {
            assert_eq!(class(&reply(409, &[], body)), expected, "{body}");
        }
        assert_eq!(class(&Reply::broken("reset".into())), Class::Unanswered);
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_read_in_seconds_only() {
        for (header, wait) in [
            ("120", Some(Duration::from_secs(120))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("-1", None),
        ] {
            let Verdict::Unavailable(trouble) =
                verdict(&reply(503, &[("retry-after", header)], ""))
            else {
                panic!("503 pauses");
            };
            assert_eq!(trouble.at_least, wait, "{header}");
        }
    }

    #[test]
    fn the_reason_carries_what_the_server_said() {
        let body =
            r#"{"title":"Work order is closed","code":"order-closed","detail":"WO-1\nclosed"}"#;
        let Verdict::Rejected(ParkClass::Business, trouble) = verdict(&reply(422, &[], body))
        else {
            panic!("rejected");
        };
        assert_eq!(trouble.code.as_deref(), Some("order-closed"));
        assert_eq!(trouble.status, Some(422));
        assert!(
            trouble
                .reason
                .starts_with(r"422 order-closed Work order is closed WO-1\nclosed"),
            "{}",
            trouble.reason
        );
    }

    #[test]
    fn base64_matches_the_vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
