//! What an HTTP answer means for an event. A pure rule over status, a few headers and a short body.
//!
//! `responses:` of the settings come first, then what a MES says in B2MML, then the status (DESIGN of delivery: it blames
//! nobody, the event or the destination).

use super::super::uplink::{Doubt, Trouble, Verdict, printable};
use super::super::verdict::{self, MAX_DETAIL_CHARS, code_text, park_class};
use super::bod;
use super::rules::Rules;
use super::wait;
use crate::model::ParkClass;
use crate::settings::shape::{Format, On202};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Longest address of a verdict.
const MAX_LOCATION_BYTES: usize = 2_048;

/// What to check where the server knows us and does not want us, or does not know us.
const LOGIN: &str = "the server does not let this gateway in: check `bearer`, `basic` or `oauth2`, and the rights there";

/// How jobs say that they came to nothing.
const FAILED: [&str; 5] = ["failed", "failure", "error", "cancelled", "canceled"];

/// As much of an answer as a verdict needs.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// Where the verdict will be, as it was written.
    pub(super) location: Option<String>,
    is_problem: bool,
    pub(super) body: Vec<u8>,
    json: Option<Value>,
    /// The body was longer than is read.
    pub(super) cut: bool,
    /// The answer broke off in the middle: why.
    broken: Option<String>,
}

/// How the answers of one server are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) rules: Rules,
    pub(super) on_202: On202,
    pub(super) format: Format,
}

impl Reply {
    /// A whole answer.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Reply {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Reply {
            status,
            retry_after: wait::asked(headers),
            location: text(LOCATION)
                .filter(|url| url.len() <= MAX_LOCATION_BYTES)
                .map(str::to_owned),
            is_problem: text(CONTENT_TYPE)
                .is_some_and(|kind| kind.trim_start().starts_with("application/problem+json")),
            json: serde_json::from_slice(&body).ok(),
            body,
            cut: false,
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

    /// Trouble with the status, the code and the words of this answer.
    pub(super) fn trouble(&self, what: &str) -> Trouble {
        let status = self.status.as_u16();
        Trouble {
            reason: format!("{status}{}: {what}", self.detail()),
            at_least: self.retry_after,
            code: Some(self.code().unwrap_or_else(|| status.to_string())),
            status: Some(status),
        }
    }

    /// What stands at a JSON pointer of the body.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.json.as_ref()?.pointer(pointer)
    }

    /// The verdict on an answer that broke off.
    pub(super) fn is_broken(&self) -> Option<Verdict> {
        let reason = printable(self.broken.as_deref()?, MAX_DETAIL_CHARS);
        Some(Verdict::Unanswered(Trouble::new(format!(
            "the answer broke off in the middle: {reason}"
        ))))
    }

    /// The server's own code, if its body has one.
    fn code(&self) -> Option<String> {
        code_text(self.at("/code")?)
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
        ["/code", "/title", "/detail", "/message", "/error"]
            .iter()
            .filter_map(|place| self.at(place)?.as_str())
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

/// The verdict that an answer gives to the one event of its request, or to all of a batch.
pub(super) fn verdict(reply: &Reply, reading: &Reading, id: Uuid) -> Verdict {
    special(reply, reading, id).unwrap_or_else(|| by_status(reply, reading.on_202))
}

/// What is said otherwise than by the status.
fn special(reply: &Reply, reading: &Reading, id: Uuid) -> Option<Verdict> {
    let by_settings = || reading.rules.verdict(reply);
    let by_document = || match reading.format {
        Format::B2mml => bod::verdict(reply, id),
        Format::Cloudevents => None,
    };
    reply.is_broken().or_else(by_settings).or_else(by_document)
}

/// The verdict on this event at the place where a server keeps it: in the words of a verdict or of a job, or by the status.
pub(super) fn located(reply: &Reply, reading: &Reading, id: Uuid) -> Verdict {
    if let Some(settled) = special(reply, reading, id) {
        return settled;
    }
    // 303: what came of it stands elsewhere, so something came of it (RFC 9110, 15.4.4).
    if reply.status == StatusCode::SEE_OTHER {
        return Verdict::Accepted;
    }
    if !reply.status.is_success() {
        return by_status(reply, reading.on_202);
    }
    let words = verdict::words(&reply.body).unwrap_or_default();
    let ours = words.into_iter().find(|word| word.id == Some(id));
    if let Some(word) = ours.or_else(|| verdict::word(&reply.body).ok()) {
        return word.verdict();
    }
    let state = reply.at("/status").or_else(|| reply.at("/state"));
    let state = state.and_then(Value::as_str).unwrap_or_default();
    if FAILED.contains(&state.to_ascii_lowercase().as_str()) {
        let trouble = reply.trouble("the server could not process this event");
        return Verdict::Rejected(reply.park_class(), trouble);
    }
    Verdict::Accepted
}

fn by_status(reply: &Reply, on_202: On202) -> Verdict {
    let way = |words| Verdict::InDoubt(Doubt::Way, reply.trouble(words));
    match reply.status.as_u16() {
        202 if on_202 == On202::Retry => Verdict::Unanswered(
            reply.trouble("202 without `Location` is no verdict here (`on_202: retry`)"),
        ),
        200..=299 => Verdict::Accepted,
        409 if reply.is_duplicate() => Verdict::Accepted,
        409 => Verdict::Conflict(reply.trouble("the event contradicts what the server has")),
        300..=399 => way("redirects are not followed: write the final URL into the settings"),
        401 => Verdict::Unavailable(reply.trouble(LOGIN)),
        403 => way(LOGIN),
        404 | 410 if !reply.is_problem => way("there is nothing at this URL: check its path"),
        407 => Verdict::Unavailable(
            reply.trouble("the proxy does not let this gateway through: check `proxy_user`"),
        ),
        429 => Verdict::Unavailable(reply.trouble("the server asks for a pause")),
        502..=504 => Verdict::InDoubt(
            Doubt::Event,
            reply.trouble("the server, or what is behind it, takes nothing at present"),
        ),
        408 | 425 | 500..=599 => Verdict::Unanswered(reply.trouble("the server failed")),
        400 | 404 | 410 | 413 | 415 | 422 => Verdict::Rejected(
            reply.park_class(),
            reply.trouble("the server rejects this event"),
        ),
        400..=499 => Verdict::Refused(reply.trouble("the server refuses this event")),
        _ => Verdict::Unanswered(reply.trouble("this status means nothing here")),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
