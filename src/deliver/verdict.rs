//! What a MES says of events in its own words: `{id, source, status, code, detail, retry_after_s}`, one or a list of them.
//! Pure. HTTP batches, HTTP answers and the answers on MQTT are read here, so that a code means the same everywhere.

use super::said;
use super::uplink::{Trouble, Verdict, printable};
use crate::model::ParkClass;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// Longest text of an answer that is told on.
pub(super) const MAX_DETAIL_CHARS: usize = 200;
/// Longest code of an answer.
pub(super) const MAX_CODE_CHARS: usize = 60;
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
pub(super) const REFUSALS: [&str; 8] = [
    "failed", "failure", "error", "refused", "declined", "denied", "invalid", "aborted",
];
/// Those of them that a server also says of its own trouble, where its status says that it has some.
const FAILURES: [&str; 4] = ["failed", "failure", "error", "aborted"];

/// What became of an event, by the word of the MES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It took it.
    Accepted,
    /// It had it already.
    Duplicate,
    /// It does not want it.
    Rejected,
    /// It could not process it: no less final, unless it says so of itself.
    Failed,
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
    word_in(&body, &no_other)
}

/// The words of entries, by event: the first final one on each counts, else its first. `named` knows more words than those of all
/// protocols. What is no word is left out.
pub(super) fn words_of(
    entries: &[(Uuid, &Value)],
    named: impl Fn(&str) -> Option<Status>,
) -> HashMap<Uuid, Word> {
    let mut by_id: HashMap<Uuid, Word> = HashMap::new();
    for (id, entry) in entries {
        let Ok(word) = word_in(entry, &named) else {
            continue;
        };
        let known = by_id.entry(*id).or_insert_with(|| word.clone());
        if !known.is_final() && word.is_final() {
            *known = word;
        }
    }
    by_id
}

/// No words but those of all protocols.
pub(super) fn no_other(_: &str) -> Option<Status> {
    None
}

fn word_in(value: &Value, named: &impl Fn(&str) -> Option<Status>) -> Result<Word, WordError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let said = text("status").ok_or(WordError::NoStatus)?;
    let status = state(said).or_else(|| named(said));
    let status = match (status, value.get("retryable").and_then(Value::as_bool)) {
        (None, _) => return Err(WordError::UnknownStatus),
        // Contradicts itself; what is sent again in vain is parked all the same.
        (Some(Status::Rejected | Status::Failed), Some(true)) => Status::Retry,
        (Some(Status::Failed), Some(false)) => Status::Rejected,
        (Some(status), _) => status,
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

/// What a state means everywhere.
fn state(said: &str) -> Option<Status> {
    match said.to_ascii_lowercase().as_str() {
        "accepted" => Some(Status::Accepted),
        "duplicate" => Some(Status::Duplicate),
        "rejected" => Some(Status::Rejected),
        "retry" => Some(Status::Retry),
        failed if FAILURES.contains(&failed) => Some(Status::Failed),
        refused if REFUSALS.contains(&refused) => Some(Status::Rejected),
        _ => None,
    }
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
            Status::Failed => {
                let class = park_class(self.code.as_deref(), ParkClass::Business);
                Verdict::Rejected(class, trouble("the MES could not process this event"))
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
    fn of_several_words_on_an_event_the_first_final_one_counts() {
        let id: Uuid = ID.parse().unwrap();
        let entry = |status: &str| serde_json::json!({ "id": ID, "status": status, "retry_after_s": -1, "code": 42 });
        for (said, expected) in [
            (&["retry"][..], Some(Status::Retry)),
            (
                &["odd", "retry", "ACCEPTED", "rejected"],
                Some(Status::Accepted),
            ),
            (&["failed", "accepted"], Some(Status::Failed)),
            (&["declined"], Some(Status::Rejected)),
            (&["booked"], Some(Status::Duplicate)),
            (&["odd"], None),
        ] {
            let entries: Vec<Value> = said.iter().map(|status| entry(status)).collect();
            let entries: Vec<(Uuid, &Value)> = entries.iter().map(|entry| (id, entry)).collect();
            let booked = |word: &str| (word == "booked").then_some(Status::Duplicate);
            let found = words_of(&entries, booked).remove(&id);
            let found = found.map(|word| (word.status, word.code, word.retry_after));
            assert_eq!(
                found,
                expected.map(|status| (status, Some("42".into()), None)),
                "{said:?}"
            );
        }
    }

    #[test]
    fn retryable_turns_a_refusal_and_makes_a_failure_one() {
        for (status, retryable, expected) in [
            ("rejected", true, Status::Retry),
            ("failed", true, Status::Retry),
            ("failed", false, Status::Rejected),
            ("accepted", true, Status::Accepted),
        ] {
            let body = serde_json::json!({ "status": status, "retryable": retryable });
            let found = word(body.to_string().as_bytes()).unwrap();
            assert_eq!(found.status, expected, "{body}");
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
            drop(word(body.as_bytes()));
            let said = format!(r#"{{"status":"retry","retry_after_s":{wait},"detail":{body:?}}}"#);
            if let Ok(word) = word(said.as_bytes()) {
                prop_assert!(word.retry_after.is_none_or(|wait| wait <= Duration::from_secs(86_400)));
                drop(word.verdict());
            }
        }
    }
}
