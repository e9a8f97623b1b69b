//! What a MES says of events in its own words: `{id, source, status, code, detail, retry_after_s}`, one or a list of them.
//! Pure. HTTP batches, HTTP answers and the answers on MQTT are read here, so that a code means the same everywhere.

use super::said;
use super::uplink::{Trouble, Verdict, printable};
use crate::model::ParkClass;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Longest text of an answer that is told on.
pub(super) const MAX_DETAIL_CHARS: usize = 200;
/// Longest code of an answer.
pub(super) const MAX_CODE_CHARS: usize = 60;
/// Most words in one list: ten times what the largest sending holds, so that a server may also tell of others.
const MAX_WORDS: usize = 1_000;
/// Longest wait that a word can ask for; `Timing` bounds it further.
const MAX_WAIT_S: f64 = 86_400.0;
/// Words in a code that blame the event's form, not what it says.
const FORM_CODES: [&str; 6] = [
    "schema",
    "malformed",
    "syntax",
    "parse",
    "format",
    "media-type",
];

/// Words beside `rejected` that never mean that an event was taken.
pub(super) const REFUSALS: [&str; 7] = [
    "failed", "failure", "error", "refused", "denied", "invalid", "aborted",
];

/// What became of an event, by the word of the MES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It took it.
    Accepted,
    /// It had it already.
    Duplicate,
    /// It does not want it.
    Rejected,
    /// It wants it later.
    Retry,
}

/// The word of a MES on one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Which event; `None` where the answer can only mean one.
    pub(super) id: Option<Uuid>,
    /// Whose event: its `source`.
    pub(super) source: Option<String>,
    /// What became of it.
    pub(super) status: Status,
    /// Its own code.
    pub(super) code: Option<String>,
    /// Why, in its words.
    pub(super) detail: Option<String>,
    /// Not again before that time has passed.
    pub(super) retry_after: Option<Duration>,
    /// The word as it came, unless the event was taken.
    pub(super) said: Option<String>,
}

/// Why a body is no word of a MES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordError {
    #[error("it is no JSON")]
    NotJson,
    #[error("it is no object with `status`")]
    NoStatus,
    #[error("its `status` is none of accepted, duplicate, rejected, retry")]
    UnknownStatus,
    #[error("its `id` is no event's id")]
    BadId,
}

/// One word.
pub(super) fn word(body: &[u8]) -> Result<Word, WordError> {
    let body: Value = serde_json::from_slice(body).map_err(|_| WordError::NotJson)?;
    word_of(&body)
}

/// The words of a list, which is the body itself or stands in it under any name. Entries that say nothing are left out;
/// `None` when there is no list.
pub(super) fn words(body: &[u8]) -> Option<Vec<Word>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    words_in(&body)
}

/// The word on one event, by its id, in an answer that may be a word or a list of them: the first final one, else the first.
pub(super) fn word_on(body: &Value, id: Uuid) -> Option<Word> {
    let mut words = words_in(body)?;
    words.retain(|word| word.id == Some(id));
    let at = words.iter().position(Word::is_final).unwrap_or(0);
    (at < words.len()).then(|| words.swap_remove(at))
}

fn words_in(body: &Value) -> Option<Vec<Word>> {
    let list = match body {
        Value::Array(list) => list,
        Value::Object(parts) => {
            let is_list = |part: &&Value| {
                let list = part.as_array();
                list.is_some_and(|list| list.iter().any(|one| one.get("status").is_some()))
            };
            match parts.values().find(is_list) {
                Some(Value::Array(list)) => list,
                // One word for a sending of one.
                _ => {
                    return word_of(body)
                        .ok()
                        .filter(|one| one.id.is_some())
                        .map(|one| vec![one]);
                }
            }
        }
        _ => return None,
    };
    let words = list.iter().take(MAX_WORDS);
    Some(words.filter_map(|one| word_of(one).ok()).collect())
}

fn word_of(value: &Value) -> Result<Word, WordError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let said = text("status").ok_or(WordError::NoStatus)?;
    let status = match said.to_ascii_lowercase().as_str() {
        "accepted" => Status::Accepted,
        "duplicate" => Status::Duplicate,
        // Contradicts itself; what is sent again in vain is parked all the same.
        "rejected" if value.get("retryable") == Some(&Value::Bool(true)) => Status::Retry,
        "rejected" => Status::Rejected,
        "retry" => Status::Retry,
        refused if REFUSALS.contains(&refused) => Status::Rejected,
        _ => return Err(WordError::UnknownStatus),
    };
    let id = match value.get("id") {
        None | Some(Value::Null) => None,
        Some(id) => {
            let id = id.as_str().and_then(|id| id.parse().ok());
            Some(id.ok_or(WordError::BadId)?)
        }
    };
    Ok(Word {
        id,
        source: text("source").map(str::to_owned),
        status,
        code: code_at(value, "code"),
        detail: text("detail")
            .or_else(|| text("title"))
            .map(|detail| printable(detail, MAX_DETAIL_CHARS))
            .map(|detail| detail + &wrong_place(value)),
        retry_after: value.get("retry_after_s").and_then(wait),
        said: (!matches!(status, Status::Accepted | Status::Duplicate)).then(|| said::json(value)),
    })
}

/// The first place in the event that a verdict or a problem+json blames, in words; empty where it blames none.
pub(super) fn wrong_place(answer: &Value) -> String {
    let pointer = answer.pointer("/errors/0/pointer").and_then(Value::as_str);
    pointer.map_or_else(String::new, |pointer| {
        format!(" at {}", printable(pointer, MAX_CODE_CHARS))
    })
}

/// A code, written as a text or as a number.
fn code_at(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(code_text)
}

/// A code as it is told on: bounded, fit for a log.
pub(super) fn code_text(value: &Value) -> Option<String> {
    match value {
        Value::String(code) if !code.is_empty() => Some(printable(code, MAX_CODE_CHARS)),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    }
}

fn wait(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
    Duration::try_from_secs_f64(seconds.min(MAX_WAIT_S)).ok()
}

/// Whose matter a refusal is: by the code where there is one, else as its protocol says.
pub(super) fn park_class(code: Option<&str>, otherwise: ParkClass) -> ParkClass {
    let Some(code) = code else { return otherwise };
    let code = code.to_ascii_lowercase();
    if FORM_CODES.iter().any(|word| code.contains(word)) {
        ParkClass::Schema
    } else {
        ParkClass::Business
    }
}

impl Word {
    /// True when nothing that is said later can change it.
    pub(super) fn is_final(&self) -> bool {
        self.status != Status::Retry
    }

    /// What it means for the event.
    pub(super) fn verdict(self) -> Verdict {
        let trouble = |words: &str| {
            let said = [self.code.as_deref(), self.detail.as_deref()];
            let said: Vec<&str> = said.into_iter().flatten().collect();
            let reason = match said.is_empty() {
                true => words.to_owned(),
                false => format!("{}: {words}", said.join(" ")),
            };
            Trouble {
                at_least: self.retry_after,
                code: self.code.clone(),
                said: self.said.clone(),
                ..Trouble::new(reason)
            }
        };
        match self.status {
            Status::Accepted | Status::Duplicate => Verdict::Accepted,
            Status::Rejected => {
                let class = park_class(self.code.as_deref(), ParkClass::Business);
                Verdict::Rejected(class, trouble("the MES rejects this event"))
            }
            Status::Retry => Verdict::Refused(trouble("the MES wants this event later")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "5e9b2f0a-0f43-5c57-9a4e-0d5f5a0f7a11";

    #[test]
    fn a_word_is_read_with_all_its_parts() {
        let body = format!(
            r#"{{"id":"{ID}","source":"urn:acme:gw:g1","status":"rejected","code":"order-closed","detail":"WO-1\nis closed","retry_after_s":1.5}}"#
        );
        let word = word(body.as_bytes()).unwrap();
        assert_eq!(word.id, Some(ID.parse().unwrap()));
        assert_eq!(word.source.as_deref(), Some("urn:acme:gw:g1"));
        assert_eq!(word.retry_after, Some(Duration::from_millis(1_500)));
        assert!(word.is_final());
        let Verdict::Rejected(ParkClass::Business, trouble) = word.verdict() else {
            panic!("rejected");
        };
        assert_eq!(trouble.code.as_deref(), Some("order-closed"));
        assert_eq!(
            trouble.reason,
            r"order-closed WO-1\nis closed: the MES rejects this event"
        );
    }

    #[test]
    fn what_is_no_word_is_told_apart() {
        for (body, wrong) in [
            ("accepted", WordError::NotJson),
            ("[]", WordError::NoStatus),
            ("{}", WordError::NoStatus),
            (r#"{"status":1}"#, WordError::NoStatus),
            (r#"{"status":"ok"}"#, WordError::UnknownStatus),
            (r#"{"status":"accepted","id":7}"#, WordError::BadId),
            (r#"{"status":"accepted","id":"x"}"#, WordError::BadId),
        ] {
            assert_eq!(word(body.as_bytes()), Err(wrong), "{body}");
        }
        assert_eq!(
            word(br#"{"status":"accepted","id":null}"#).unwrap().id,
            None
        );
    }

    #[test]
    fn a_list_stands_alone_or_in_an_object_and_may_have_holes() {
        let good = format!(r#"{{"id":"{ID}","status":"retry","retry_after_s":-1,"code":42}}"#);
        for (body, words_in_it) in [
            (format!("[{good}]"), Some(1)),
            (
                format!(r#"[{good},7,null,{{"status":"odd"}},{good}]"#),
                Some(2),
            ),
            (format!(r#"{{"batch":[1],"results":[{good}]}}"#), Some(1)),
            (good.clone(), Some(1)),
            ("[]".into(), Some(0)),
            (r#"{"status":"accepted"}"#.into(), None),
            ("{}".into(), None),
            (String::new(), None),
        ] {
            let found = words(body.as_bytes());
            assert_eq!(found.as_ref().map(Vec::len), words_in_it, "{body}");
            for word in found.into_iter().flatten() {
                assert_eq!((word.code.as_deref(), word.retry_after), (Some("42"), None));
                assert!(!word.is_final());
            }
        }
    }

    #[test]
    fn a_code_blames_the_form_or_the_order() {
        for (code, class) in [
            (Some("SCHEMA_VIOLATION"), ParkClass::Schema),
            (Some("order-closed"), ParkClass::Business),
            (None, ParkClass::Held),
        ] {
            assert_eq!(park_class(code, ParkClass::Held), class);
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,200}", wait in any::<f64>()) {
            drop((word(body.as_bytes()), words(body.as_bytes())));
            let said = format!(r#"[{{"status":"retry","retry_after_s":{wait},"detail":{body:?}}}]"#);
            for word in words(said.as_bytes()).into_iter().flatten() {
                prop_assert!(word.retry_after.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
                drop(word.verdict());
            }
        }
    }
}
