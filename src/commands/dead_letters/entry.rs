//! One parked event as JSON: for `export`, `show --json` and programs that read either.

use crate::buffer::{Answered, Parked, sha256};
use crate::model::UtcTime;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// RFC 3339; null for a time that no calendar has.
pub(super) fn utc(time: UtcTime) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok();
    time.map(|time| time.to_string())
}

/// `body` is what the destination said word for word, where that was kept: JSON as it came, else its text.
fn answer(answered: &Answered) -> Value {
    let Answered {
        code,
        status,
        detail,
        said,
    } = answered;
    let Some(said) = said else {
        return json!({ "code": code, "status": status, "detail": detail });
    };
    let body: Value = serde_json::from_str(said).unwrap_or_else(|_| json!(said));
    json!({ "code": code, "status": status, "detail": detail, "body": body })
}

/// The last answer, with what was said last, which may have come with one before.
fn verdict(parked: &Parked) -> Option<Value> {
    let mut last = parked.answers.last()?.clone();
    let mut newest_first = parked.answers.iter().rev();
    last.said = newest_first.find_map(|answered| answered.said.clone());
    Some(answer(&last))
}

/// All of it but the event.
pub(super) fn entry(uplink: &str, parked: &Parked) -> Value {
    let (record, envelope) = (&parked.record, &parked.record.envelope);
    let audit = parked.audit.iter().map(|audit| {
        json!({
            "at": utc(audit.at),
            "user": audit.user,
            "action": audit.action,
            "comment": audit.comment,
        })
    });
    json!({
        "entry": format!("{uplink}/{}", record.position),
        "destination": uplink,
        "class": parked.class.word(),
        "state": parked.state.word(),
        "attempts": parked.attempts,
        "first_attempt": utc(parked.first_attempt.utc),
        "last_attempt": utc(parked.last_attempt.utc),
        "verdict": verdict(parked),
        "answers": parked.answers.iter().map(answer).collect::<Vec<_>>(),
        "sequence": record.position.to_string(),
        "event_id": envelope.id,
        "event_type": envelope.kind,
        "equipment": envelope.equipment,
        "event_time": utc(UtcTime(envelope.time_ns)),
        "event_sha256": sha256(&record.payload),
        "audit": audit.collect::<Vec<_>>(),
    })
}

/// One line: the entry, and the event in its own bytes, to which its fingerprint belongs.
pub(super) fn line(uplink: &str, parked: &Parked) -> Vec<u8> {
    let payload = &parked.record.payload;
    let is_line =
        !payload.contains(&b'\n') && serde_json::from_slice::<IgnoredAny>(payload).is_ok();
    let mut line = entry(uplink, parked).to_string().into_bytes();
    line.pop();
    if is_line {
        line.extend(b",\"event\":");
        line.extend(payload);
    } else {
        // Never of our making; told as text, so that the line is JSON all the same.
        line.extend(b",\"event_text\":");
        line.extend(
            json!(String::from_utf8_lossy(payload))
                .to_string()
                .into_bytes(),
        );
    }
    line.extend(b"}\n");
    line
}
