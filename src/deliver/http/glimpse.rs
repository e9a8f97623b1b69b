//! What a server answered, for people who try a destination: its status, and as much of its words as fits a few lines. Pure.
//!
//! Also where a good status comes with words that sound like a refusal: the gateway goes by the status unless `responses:` say
//! otherwise, and whoever tries the destination is to know.

use super::super::uplink::printable;
use super::super::verdict::REFUSALS;
use super::answer::{Reading, Reply};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// Longest words of an answer that are shown.
const MAX_WORDS_CHARS: usize = 400;
/// Longest word of the server that is put into a line of settings.
const MAX_WORD_CHARS: usize = 40;
/// From here on a number for a state is one of an error, in an answer that has such numbers.
const FIRST_ERROR: u64 = 400;

/// An answer as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// The HTTP status.
    pub status: u16,
    /// The words, in one line; empty where there are none. Without secrets of the settings.
    pub words: String,
    /// The line of `responses:` that makes a rejection of it, where a good status comes with words that sound like one.
    pub refusal: Option<String>,
}

/// The last answer that came.
#[derive(Clone, Debug, Default)]
pub(super) struct Glimpses(Arc<Mutex<Option<Glimpse>>>);

impl Glimpses {
    pub(super) fn put(&self, glimpse: Glimpse) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(glimpse);
    }

    /// The answer was read as no acceptance, by its words or by the settings: nothing is to be made of it that it is already.
    pub(super) fn is_no_acceptance(&self) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(glimpse) = last.as_mut() {
            glimpse.refusal = None;
        }
    }

    pub(super) fn take(&self) -> Option<Glimpse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What is shown of an answer.
pub(super) fn glimpse(reply: &Reply, reading: &Reading) -> Glimpse {
    let status = reply.status.as_u16();
    let is_said = reading.rules.verdict(reply).is_some();
    let refusal = || reply.words_at("").and_then(sounds_like_a_refusal);
    Glimpse {
        status,
        words: words(reply),
        refusal: refusal()
            .filter(|_| reply.status.is_success() && !is_said && !reply.cut)
            .map(|within| {
                format!("responses: [{{ status: \"{status}\", where: {within}, then: rejected }}]")
            }),
    }
}

fn words(reply: &Reply) -> String {
    if reply.repeats_a_secret() {
        return "its words repeat what logs this gateway in, and are not shown".into();
    }
    let text = String::from_utf8_lossy(&reply.body);
    let words = text.split_whitespace();
    // What is not shown is not looked at, but a server that indents has many words.
    let words: Vec<&str> = words.take(MAX_WORDS_CHARS).collect();
    printable(&words.join(" "), MAX_WORDS_CHARS)
}

/// `where:` of an entry for it. Only what no good answer says.
fn sounds_like_a_refusal(body: &Value) -> Option<String> {
    let exists = |place: &str| format!("{{ pointer: {place}, exists: true }}");
    for place in ["/error", "/errors/0", "/fault", "/exception"] {
        match body.pointer(place) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::Number(number)) if number.as_u64() == Some(0) => {}
            Some(_) => return Some(exists(place)),
        }
    }
    for place in ["/success", "/ok", "/successful", "/isSuccess"] {
        if body.pointer(place) == Some(&Value::Bool(false)) {
            return Some(format!("{{ pointer: {place}, equals: false }}"));
        }
    }
    ["/status", "/state", "/result", "/code"]
        .iter()
        .find_map(|place| Some((place, bad_state(body.pointer(place)?)?)))
        .map(|(place, value)| format!("{{ pointer: {place}, equals: {value} }}"))
}

/// A state that is none of success, as it is written in YAML.
fn bad_state(state: &Value) -> Option<String> {
    match state {
        Value::String(word) => {
            let is_short = word.chars().count() <= MAX_WORD_CHARS;
            let small = word.to_ascii_lowercase();
            let is_bad = small == "rejected" || REFUSALS.contains(&small.as_str());
            (is_short && is_bad).then(|| word.clone())
        }
        Value::Number(number) => {
            let is_bad = number.as_u64().is_some_and(|it| it >= FIRST_ERROR);
            is_bad.then(|| number.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply::new(status, &HeaderMap::new(), body.into())
    }

    fn refusal(body: &str) -> Option<String> {
        glimpse(&reply(200, body), &Reading::default()).refusal
    }

    #[test]
    fn a_good_status_with_words_of_a_refusal_gets_the_line_that_makes_one_of_it() {
        for (body, within) in [
            (
                r#"{"success":false}"#,
                "{ pointer: /success, equals: false }",
            ),
            (
                r#"{"jsonrpc":"2.0","error":{"code":200}}"#,
                "{ pointer: /error, exists: true }",
            ),
            (
                r#"{"errors":["x"]}"#,
                "{ pointer: /errors/0, exists: true }",
            ),
            (
                r#"{"status":"ERROR"}"#,
                "{ pointer: /status, equals: ERROR }",
            ),
            (
                r#"{"code":500,"msg":"x"}"#,
                "{ pointer: /code, equals: 500 }",
            ),
        ] {
            let line = refusal(body).expect(body);
            assert_eq!(
                line,
                format!("responses: [{{ status: \"200\", where: {within}, then: rejected }}]")
            );
            // The line does what it says.
            let list = line.strip_prefix("responses: ").unwrap();
            let responses: Vec<crate::settings::shape::Response> =
                serde_saphyr::from_str(list).unwrap();
            let rules = Rules::new(&responses).unwrap();
            let found = rules.verdict(&reply(200, body));
            assert!(
                format!("{found:?}").contains("Rejected"),
                "{body}: {found:?}"
            );
        }
        for body in [
            "",
            "OK",
            "{}",
            r#"{"success":true,"error":null,"errors":[]}"#,
            r#"{"error":""}"#,
            r#"{"code":0}"#,
            r#"{"code":200}"#,
            r#"{"status":"done"}"#,
        ] {
            assert_eq!(refusal(body), None, "{body}");
        }
        let bad = glimpse(&reply(500, r#"{"error":"x"}"#), &Reading::default());
        assert_eq!(bad.refusal, None, "the status says it");
    }

    #[test]
    fn what_was_read_as_no_acceptance_needs_no_line() {
        let glimpses = Glimpses::default();
        glimpses.is_no_acceptance();
        assert_eq!(glimpses.take(), None);
        glimpses.put(glimpse(
            &reply(200, r#"{"status":"ERROR"}"#),
            &Reading::default(),
        ));
        glimpses.is_no_acceptance();
        let last = glimpses.take().unwrap();
        assert_eq!((last.status, last.refusal), (200, None));
    }

    #[test]
    fn words_are_one_line_without_secrets() {
        let secret = "canary-4711".to_owned();
        let of = |body: &str| {
            let reply = reply(200, body).without([&secret].into_iter());
            glimpse(&reply, &Reading::default()).words
        };
        assert_eq!(of("{\n  \"a\":\t1\n}\u{1b}[2J"), "{ \"a\": 1 }\\u{1b}[2J");
        assert!(!of(r#"{"token":"canary-4711"}"#).contains("canary"));
        assert!(of(&"word ".repeat(10_000)).chars().count() <= MAX_WORDS_CHARS + 1);
    }
}
