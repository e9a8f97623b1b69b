//! Several events in one request (CloudEvents JSON batch), and what one answer says of each of them. Pure.

use super::super::uplink::{Trouble, Verdict};
use super::super::verdict::{Word, words};
use super::answer::{Reading, Reply, verdict};
use crate::buffer::Record;
use bytes::Bytes;
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// What an answer means for a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Each event has its verdict, in the order of the batch.
    Each(Vec<Verdict>),
    /// The batch as a whole failed, or the destination did: the same verdict for all, and no word on any of them.
    All(Verdict),
    /// The batch as a whole is refused: which event is guilty shows when each goes alone.
    Singly,
}

/// The verdict for each of `count` events of one request that has this verdict: without an answer, nobody knows which of them
/// was the cause.
pub(super) fn shared(verdict: Verdict, count: usize) -> Verdict {
    match verdict {
        Verdict::Unanswered(trouble) | Verdict::Broken(trouble) if count > 1 => {
            Verdict::Undivided(trouble)
        }
        other => other,
    }
}

/// The events as a JSON list.
pub(super) fn body(records: &[Record]) -> Bytes {
    let length: usize = records.iter().map(|record| record.payload.len() + 1).sum();
    let mut body = Vec::with_capacity(length + 2);
    body.push(b'[');
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&record.payload);
    }
    body.push(b']');
    body.into()
}

/// The key of a batch: the same for the same events in the same order, and that of the event where there is one.
pub(super) fn key(records: &[Record]) -> Uuid {
    match records {
        [one] => one.envelope.id,
        several => {
            let ids: Vec<u8> = several
                .iter()
                .flat_map(|record| record.envelope.id.into_bytes())
                .collect();
            Uuid::new_v5(&Uuid::NAMESPACE_OID, &ids)
        }
    }
}

/// The verdicts of one answer.
pub(super) fn judged(reply: &Reply, reading: &Reading, records: &[Record]) -> Judged {
    let whole = verdict(reply, reading, Uuid::nil());
    let listed = (!reply.cut).then(|| words(&reply.body)).flatten();
    let by_id = listed.map(of_these).unwrap_or_default();
    let knows_some = records
        .iter()
        .any(|record| by_id.contains_key(&record.envelope.id));
    match whole {
        // Something in it is known, or contradicts: not all of it, maybe.
        _ if reply.status == StatusCode::CONFLICT && records.len() > 1 && !knows_some => {
            Judged::Singly
        }
        // A destination at fault, a lost answer: nothing is known of any event.
        Verdict::Unavailable(_) | Verdict::InDoubt(..) | Verdict::Unanswered(_) if !knows_some => {
            Judged::All(shared(whole, records.len()))
        }
        Verdict::Accepted if reply.cut => {
            let why = "the answer is longer than 64 KiB, or did not end in time, and its list of verdicts cannot be read";
            let cut = Verdict::Unanswered(reply.trouble(why));
            Judged::All(cut)
        }
        Verdict::Accepted if !knows_some && !has_list(reply) => Judged::All(Verdict::Accepted),
        _ if knows_some || matches!(whole, Verdict::Accepted) => {
            let each = records.iter().map(|record| {
                let word = by_id.get(&record.envelope.id).cloned();
                word.map_or_else(|| missing(reply), Word::verdict)
            });
            Judged::Each(each.collect())
        }
        _ if records.len() == 1 => Judged::Each(vec![whole]),
        _ => Judged::Singly,
    }
}

/// Whether verdicts are to be expected in the answer, also such as cannot be read: 207 always has a list, and a list of objects is
/// one of verdicts, whatever words it has.
fn has_list(reply: &Reply) -> bool {
    let listed = || match reply.at("") {
        Some(Value::Array(list)) => list.is_empty() || list.iter().any(Value::is_object),
        _ => words(&reply.body).is_some(),
    };
    reply.status == StatusCode::MULTI_STATUS || listed()
}

/// By event; the first final word on one counts, else its first.
fn of_these(words: Vec<Word>) -> HashMap<Uuid, Word> {
    let mut by_id: HashMap<Uuid, Word> = HashMap::new();
    for word in words {
        let Some(id) = word.id else { continue };
        let known = by_id.entry(id).or_insert_with(|| word.clone());
        if !known.is_final() && word.is_final() {
            *known = word;
        }
    }
    by_id
}

fn missing(reply: &Reply) -> Verdict {
    let status = reply.status.as_u16();
    let trouble = Trouble::new(format!("{status}: the list of verdicts lacks this event"));
    Verdict::Unanswered(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Envelope, Position};
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn record(number: u64) -> Record {
        Record {
            position: Position {
                epoch: 1,
                seq: number,
            },
            envelope: Envelope {
                id: Uuid::from_u128(u128::from(number)),
                run: Uuid::nil(),
                kind: "operation.completed".into(),
                partition_key: "PRESS-04".into(),
                equipment: None,
                path: Vec::new(),
                time_ns: 0,
            },
            class: Class::Lasting,
            payload: format!(r#"{{"id":{number}}}"#).into(),
        }
    }

    fn records(count: u64) -> Vec<Record> {
        (1..=count).map(record).collect()
    }

    fn judge(status: u16, body: &str) -> String {
        let status = StatusCode::from_u16(status).unwrap();
        let reply = Reply::new(status, &HeaderMap::new(), body.into());
        match judged(&reply, &Reading::default(), &records(3)) {
            Judged::Singly => "singly".into(),
            Judged::All(verdict) => format!("all {}", name(&verdict)),
            Judged::Each(verdicts) => {
                let names: Vec<String> = verdicts.iter().map(name).collect();
                names.join(" ")
            }
        }
    }

    fn name(verdict: &Verdict) -> String {
        let shown = format!("{verdict:?}");
        shown.split(['(', ' ']).next().unwrap().to_owned()
    }

    fn list(said: &[(u64, &str)]) -> String {
        let one = |(number, status): &(u64, &str)| {
            let id = Uuid::from_u128(u128::from(*number));
            format!(r#"{{"id":"{id}","status":"{status}"}}"#)
        };
        let words: Vec<String> = said.iter().map(one).collect();
        format!("[{}]", words.join(","))
    }

    #[test]
    fn a_batch_is_a_list_and_its_key_is_of_its_events() {
        assert_eq!(body(&records(2)), r#"[{"id":1},{"id":2}]"#);
        assert_eq!(key(&records(1)), Uuid::from_u128(1));
        assert_eq!(key(&records(3)), key(&records(3)));
        assert_ne!(key(&records(3)), key(&records(2)));
    }

    #[test]
    fn each_event_gets_the_verdict_that_the_answer_has_for_it() {
        let all = list(&[(3, "rejected"), (1, "accepted"), (2, "retry")]);
        let hole = list(&[(1, "accepted"), (3, "duplicate"), (9, "rejected")]);
        let twice = list(&[
            (1, "retry"),
            (1, "accepted"),
            (1, "rejected"),
            (2, "accepted"),
            (2, "rejected"),
        ]);
        let foreign = list(&[(8, "accepted"), (9, "accepted")]);
        for (status, body, expected) in [
            (200, all.as_str(), "Accepted Refused Rejected"),
            (207, all.as_str(), "Accepted Refused Rejected"),
            (422, all.as_str(), "Accepted Refused Rejected"),
            (500, all.as_str(), "Accepted Refused Rejected"),
            (200, hole.as_str(), "Accepted Unanswered Accepted"),
            (200, twice.as_str(), "Accepted Accepted Unanswered"),
            (200, foreign.as_str(), "Unanswered Unanswered Unanswered"),
            (200, "", "all Accepted"),
            (204, "", "all Accepted"),
            (200, r#"{"ok":true}"#, "all Accepted"),
            (207, "garbage", "Unanswered Unanswered Unanswered"),
            (503, "", "all InDoubt"),
            (401, "", "all Unavailable"),
            (500, "", "all Undivided"),
            (400, "", "singly"),
            (413, "", "singly"),
            (422, "[]", "singly"),
            (409, "", "singly"),
            // One of them is there already; of the others nothing is known.
            (409, r#"{"code":"duplicate"}"#, "singly"),
            // Verdicts that cannot be read are none.
            (200, "[]", "Unanswered Unanswered Unanswered"),
            (
                200,
                r#"[{"id":"x","status":"REJECTED"}]"#,
                "Unanswered Unanswered Unanswered",
            ),
            (
                200,
                r#"[{"id":1,"result":"no"}]"#,
                "Unanswered Unanswered Unanswered",
            ),
            (
                200,
                r#"{"results":[{"status":"gone"}]}"#,
                "Unanswered Unanswered Unanswered",
            ),
            (200, "[1,2,3]", "all Accepted"),
        ] {
            assert_eq!(judge(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_batch_of_one_is_refused_as_the_event_that_it_is() {
        let reply = Reply::new(StatusCode::BAD_REQUEST, &HeaderMap::new(), Vec::new());
        let judged = judged(&reply, &Reading::default(), &records(1));
        assert!(
            matches!(judged, Judged::Each(each) if matches!(each.as_slice(), [Verdict::Rejected(..)]))
        );
    }

    #[test]
    fn a_list_that_is_too_long_settles_nothing() {
        let mut reply = Reply::new(StatusCode::OK, &HeaderMap::new(), Vec::new());
        reply.cut = true;
        let judged = judged(&reply, &Reading::default(), &records(3));
        assert!(matches!(judged, Judged::All(Verdict::Unanswered(_))));
    }
}
