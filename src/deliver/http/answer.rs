//! What an HTTP answer means for an event. A pure rule over status, a few headers and a short body.
//!
//! `responses:` of the settings come first, then what a MES says in B2MML or as a verdict with the id of the event, then the
//! status (DESIGN of delivery: it blames nobody, the event or the destination) with `retryable` of the body. A verdict without an
//! id, or with another one, says nothing: it may be about anything, so the status decides.

use super::super::entries::{Entries, entries};
use super::super::said;
use super::super::uplink::{Doubt, Trouble, Verdict, printable};
use super::super::verdict::{
    MAX_DETAIL_CHARS, Status, Word, code_text, no_other, park_class, words_of, wrong_place,
};
use super::echo::spellings;
use super::rules::Rules;
use super::wait;
use super::{bod, page};
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

/// What to check where a page comes that is no answer.
const PAGE: &str = "an HTML page instead of an answer, as a login page is: check the path of `url`, and how this server wants to be logged in at; one that answers so for good needs `responses: [{ status: 2xx, then: accepted }]`";

/// As much of an answer as a verdict needs.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// Where the verdict will be, as it was written.
    pub(super) location: Option<String>,
    is_problem: bool,
    /// A page for people.
    is_page: bool,
    pub(super) body: Vec<u8>,
    json: Option<Value>,
    /// The body was longer than is read, or did not come to its end in time.
    pub(super) cut: bool,
    /// The answer broke off in the middle: why.
    broken: Option<String>,
    /// It repeats what logs us in: nothing of it is told or kept.
    echoes: bool,
}

/// How the answers of one server are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) rules: Rules,
    pub(super) on_202: On202,
    pub(super) format: Format,
    /// Requests go through a proxy of the settings.
    pub(super) has_proxy: bool,
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
            is_page: page::is_page(
                &body,
                text(CONTENT_TYPE).is_some_and(|kind| kind.trim_start().starts_with("text/html")),
            ),
            // Most have none.
            json: (!body.is_empty())
                .then(|| serde_json::from_slice(&body).ok())
                .flatten(),
            body,
            cut: false,
            broken: None,
            echoes: false,
        }
    }

    /// The same, of which nothing is told where it repeats one of these secrets.
    pub(super) fn without<'a>(mut self, mut secrets: impl Iterator<Item = &'a String>) -> Reply {
        let (spellings, json) = (spellings(&self.body), self.json.as_ref());
        self.echoes = secrets.any(|secret| {
            let as_it_is = spellings.iter().any(|text| text.contains(secret));
            as_it_is || json.is_some_and(|json| says(json, secret))
        });
        self
    }

    /// Takes the words of an answer that repeats a secret out of what is told.
    pub(super) fn silence(&self, trouble: &mut Trouble) {
        if self.echoes {
            let status = self.status.as_u16();
            trouble.reason = format!("{status}: its words repeat what logs this gateway in");
            (trouble.code, trouble.said) = (None, None);
        }
    }

    /// A text of the answer, unless it may repeat a secret.
    pub(super) fn words_at(&self, pointer: &str) -> Option<&Value> {
        self.at(pointer).filter(|_| !self.echoes)
    }

    /// A good status whose body broke off: the server may have died on it.
    pub(super) fn broken(reason: String) -> Reply {
        Reply {
            broken: Some(reason),
            ..Reply::new(StatusCode::OK, &HeaderMap::new(), Vec::new())
        }
    }

    /// Whether this can come from the place of a job: a page for people or a wrong way cannot.
    pub(super) fn may_be_of_a_job(&self) -> bool {
        match self.status.as_u16() {
            303 => true,
            200..=299 => !self.is_page,
            400..=499 => self.json.is_some(),
            _ => false,
        }
    }

    /// Whether a good status comes with a page for people.
    pub(super) fn is_good_page(&self) -> bool {
        self.status.is_success() && self.is_page
    }

    /// Whether its words repeat a secret of ours.
    pub(super) fn repeats_a_secret(&self) -> bool {
        self.echoes
    }

    /// Trouble with the status, the code and the words of this answer.
    pub(super) fn trouble(&self, what: &str) -> Trouble {
        let status = self.status.as_u16();
        let code = self.code().filter(|_| !self.echoes);
        Trouble {
            reason: format!("{status}{}: {what}", self.detail()),
            at_least: self.retry_after,
            code: Some(code.unwrap_or_else(|| status.to_string())),
            status: Some(status),
            said: self.words_at("").map(said::json),
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
    pub(super) fn park_class(&self) -> ParkClass {
        let otherwise = match self.status.as_u16() {
            400 | 413 | 415 => ParkClass::Schema,
            _ => ParkClass::Business,
        };
        park_class(self.code().as_deref(), otherwise)
    }

    /// What the body says, if it says it as JSON or problem+json (RFC 9457) does.
    fn detail(&self) -> String {
        let said = ["/code", "/title", "/detail", "/message", "/error"]
            .iter()
            .filter_map(|place| self.words_at(place)?.as_str())
            .fold(String::new(), |mut text, part| {
                text.push(' ');
                text.push_str(&printable(part, MAX_DETAIL_CHARS));
                text
            });
        said + &self.words_at("").map(wrong_place).unwrap_or_default() + &self.title()
    }

    /// What a page calls itself.
    fn title(&self) -> String {
        let title = (self.is_page && !self.echoes).then(|| page::title(&self.body));
        title.flatten().map_or_else(String::new, |title| {
            format!(" \"{}\"", printable(&title, MAX_DETAIL_CHARS))
        })
    }

    /// Whether the body says that the same event can be taken later.
    fn retryable(&self) -> Option<bool> {
        self.at("/retryable")?.as_bool()
    }

    /// Whether its status is about the destination or the way there: what it says of events then counts for nothing.
    fn blames(&self) -> bool {
        let status = self.status.as_u16();
        matches!(status, 300..=399 | 401 | 403 | 407 | 429 | 502..=504)
    }

    /// Where it speaks of events, of which those are meant that the filter names. One that was not read to its end speaks of none.
    pub(super) fn entries(&self, is_meant: impl Fn(Uuid) -> bool) -> Entries<'_> {
        let json = self.json.as_ref().filter(|_| !self.cut);
        json.map_or_else(Entries::default, |json| entries(json, is_meant))
    }

    /// The word of a MES on this event.
    fn word(&self, id: Uuid) -> Option<Verdict> {
        let found = self.entries(|one| one == id);
        let word = words_of(found.counting(), no_other).remove(&id)?;
        Some(self.told(word))
    }

    /// What a word means that came with this status.
    pub(super) fn told(&self, mut word: Word) -> Verdict {
        word.retry_after = word.retry_after.or(self.retry_after);
        if self.echoes {
            (word.code, word.detail, word.said) = (None, None, None);
        }
        // A server that fails says so of each event, too; that is no refusal of any.
        let failed = self.status.is_server_error() && word.status == Status::Failed;
        match word.verdict() {
            Verdict::Rejected(_, trouble) if failed => {
                Verdict::Unanswered(self.with_status(trouble))
            }
            Verdict::Rejected(class, trouble) => {
                Verdict::Rejected(class, self.with_status(trouble))
            }
            Verdict::Refused(trouble) => Verdict::Refused(self.with_status(trouble)),
            other => other,
        }
    }

    fn with_status(&self, trouble: Trouble) -> Trouble {
        Trouble {
            status: Some(self.status.as_u16()),
            ..trouble
        }
    }

    /// The body says that this event is there already.
    fn is_duplicate(&self) -> bool {
        self.code()
            .is_some_and(|code| code == "duplicate" || code == "already-processed")
    }
}

/// Whether a text of the document has the secret, however it was escaped.
fn says(json: &Value, secret: &str) -> bool {
    match json {
        Value::String(text) => text.contains(secret),
        Value::Array(parts) => parts.iter().any(|part| says(part, secret)),
        Value::Object(parts) => {
            let mut parts = parts.iter();
            parts.any(|(name, part)| name.contains(secret) || says(part, secret))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The verdict that an answer gives to the one event of its request.
pub(super) fn verdict(reply: &Reply, reading: &Reading, id: Uuid) -> Verdict {
    let said = ahead(reply, reading, id).or_else(|| reply.word(id));
    said.unwrap_or_else(|| by_status_and_body(reply, reading))
}

/// What counts before all that the answer says of single events: the settings, and a status that is about the destination. For one
/// event as for a batch, whose id is nil.
pub(super) fn ahead(reply: &Reply, reading: &Reading, id: Uuid) -> Option<Verdict> {
    let by_status = || {
        let blames = reply.blames();
        blames.then(|| by_status_and_body(reply, reading))
    };
    special(reply, reading, id).or_else(by_status)
}

/// What is said otherwise than by the status.
pub(super) fn special(reply: &Reply, reading: &Reading, id: Uuid) -> Option<Verdict> {
    let by_settings = || reading.rules.verdict(reply);
    let by_document = || match reading.format {
        Format::B2mml => bod::verdict(reply, id),
        Format::Cloudevents => None,
    };
    reply.is_broken().or_else(by_settings).or_else(by_document)
}

/// The status, and `retryable` of a problem+json: whether the server wants to see a refused event again.
pub(super) fn by_status_and_body(reply: &Reply, reading: &Reading) -> Verdict {
    let verdict = by_status(reply, reading);
    match (verdict, reply.retryable()) {
        (Verdict::Rejected(_, trouble) | Verdict::Conflict(trouble), Some(true)) => {
            Verdict::Refused(trouble)
        }
        (
            Verdict::Conflict(trouble) | Verdict::Refused(trouble) | Verdict::Unanswered(trouble),
            Some(false),
        ) if !reply.status.is_success() => Verdict::Rejected(reply.park_class(), trouble),
        (verdict, _) => verdict,
    }
}

fn by_status(reply: &Reply, reading: &Reading) -> Verdict {
    let way = |words| Verdict::InDoubt(Doubt::Way, reply.trouble(words));
    match reply.status.as_u16() {
        202 if !reply.is_page && reading.on_202 == On202::Retry => Verdict::Unanswered(
            reply.trouble("202 without `Location` is no verdict here (`on_202: retry`)"),
        ),
        // Who sends to the wrong path, or is not let in, often gets a page with a good status.
        200..=299 if reply.is_page => way(PAGE),
        200..=299 => Verdict::Accepted,
        409 if reply.is_duplicate() => Verdict::Accepted,
        409 => Verdict::Conflict(reply.trouble("the event contradicts what the server has")),
        300..=399 => way("redirects are not followed: write the final URL into the settings"),
        // A login that has expired, or one that has no right to this machine or this URL.
        401 | 403 => way(LOGIN),
        404 | 410 if !reply.is_problem => way("there is nothing at this URL: check its path"),
        407 if reading.has_proxy => Verdict::Unavailable(
            reply.trouble("the proxy does not let this gateway through: check `proxy_user`"),
        ),
        407 => way("a proxy that the settings do not name wants a login: check `url` and `proxy`"),
        // Limits are often those of one URL, or of one machine behind it.
        429 => way("the server asks for a pause"),
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
