//! Several events in one request (CloudEvents JSON batch), and what one answer says of each of them. Pure.

use super::super::entries::Entries;
use super::super::uplink::Verdict;
use super::super::verdict::{Status, no_other, words_of};
use super::answer::{Reading, Reply, ahead, by_status_and_body};
use crate::buffer::Record;
use bytes::Bytes;
use reqwest::StatusCode;
use serde_json::Value;
use std::cell::OnceCell;
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

/// The verdicts of one answer. What a single answer goes by comes first here, too: the settings, then a status that is about the
/// destination, then the words on the events, then the status.
pub(super) fn judged(reply: &Reply, reading: &Reading, records: &[Record]) -> Judged {
    let ids = ids_of(records);
    let whole = match ahead(reply, reading, Uuid::nil()) {
        Some(whole) => whole,
        None => {
            let said = reply.entries(|id| ids.contains(&id));
            if !said.counting().is_empty() {
                return Judged::Each(each(reply, &said, &ids, no_other));
            }
            match by_status_and_body(reply, reading) {
                Verdict::Accepted if reply.cut => {
                    let why = "the answer is longer than 64 KiB, or did not end in time, and its list of verdicts cannot be read";
                    return Judged::All(Verdict::Unanswered(reply.trouble(why)));
                }
                Verdict::Accepted if has_list(reply, &said) => {
                    return Judged::Each(each(reply, &said, &ids, no_other));
                }
                by_status => by_status,
            }
        }
    };
    let several = records.len() > 1;
    match whole {
        // One of them may be known, or contradict; of the others nothing is known.
        Verdict::Accepted if several && !reply.status.is_success() => Judged::Singly,
        Verdict::Rejected(..) | Verdict::Refused(_) | Verdict::Conflict(_) if several => {
            Judged::Singly
        }
        whole => Judged::All(shared(whole, records.len())),
    }
}

/// The events that an answer is about.
pub(super) fn ids_of(records: &[Record]) -> Vec<Uuid> {
    records.iter().map(|record| record.envelope.id).collect()
}

/// The verdict on each of these events by what the answer says of it. One that it leaves out, or has no known word for, has none.
pub(super) fn each(
    reply: &Reply,
    said: &Entries,
    ids: &[Uuid],
    named: impl Fn(&str) -> Option<Status>,
) -> Vec<Verdict> {
    let words = words_of(said.counting(), named);
    // A copy of the whole answer, which all of them share.
    let missing = OnceCell::new();
    let lacks = || reply.trouble("the list of verdicts lacks this event");
    let verdict = |id: &Uuid| match words.get(id) {
        Some(word) => reply.told(word.clone()),
        None => Verdict::Unanswered(missing.get_or_init(lacks).clone()),
    };
    ids.iter().map(verdict).collect()
}

/// Whether verdicts are to be expected in the answer, also such as cannot be read: 207 always has a list, a list of objects is one of
/// verdicts, whatever words it has, and so is a word on another event.
fn has_list(reply: &Reply, said: &Entries) -> bool {
    let listed = || match reply.at("") {
        Some(Value::Array(list)) => list.is_empty() || list.iter().any(Value::is_object),
        _ => said.has_list || !reply.entries(|_| true).counting().is_empty(),
    };
    reply.status == StatusCode::MULTI_STATUS || listed()
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
        let failed = list(&[(1, "error"), (2, "failed"), (3, "error")]);
        let beside = format!(r#"{{"errors":[{{"status":"422"}}],"results":{all}}}"#);
        let deep = format!(r#"{{"data":{{"results":{all}}}}}"#);
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
            (401, "", "all InDoubt"),
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
            // A status that is about the destination counts before the list.
            (401, failed.as_str(), "all InDoubt"),
            (503, failed.as_str(), "all InDoubt"),
            (429, all.as_str(), "all InDoubt"),
            (500, failed.as_str(), "Unanswered Unanswered Unanswered"),
            // The list that names them, wherever it stands.
            (207, beside.as_str(), "Accepted Refused Rejected"),
            (200, deep.as_str(), "Accepted Refused Rejected"),
            (
                200,
                r#"{"errors":[{"status":"422"}]}"#,
                "Unanswered Unanswered Unanswered",
            ),
        ] {
            assert_eq!(judge(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_batch_of_one_is_refused_as_the_event_that_it_is() {
        let reply = Reply::new(StatusCode::BAD_REQUEST, &HeaderMap::new(), Vec::new());
        let judged = judged(&reply, &Reading::default(), &records(1));
        assert!(matches!(judged, Judged::All(Verdict::Rejected(..))));
    }

    #[test]
    fn a_list_that_is_too_long_settles_nothing() {
        let mut reply = Reply::new(StatusCode::OK, &HeaderMap::new(), Vec::new());
        reply.cut = true;
        let judged = judged(&reply, &Reading::default(), &records(3));
        assert!(matches!(judged, Judged::All(Verdict::Unanswered(_))));
    }

    #[test]
    fn what_the_settings_say_of_an_answer_counts_before_its_list() {
        let list = list(&[(1, "accepted"), (2, "rejected"), (3, "accepted")]);
        for (responses, status, expected) in [
            (r#"[{"status":"200","then":"pause"}]"#, 200, "Unavailable"),
            (r#"[{"status":"200","then":"accepted"}]"#, 200, "Accepted"),
            (r#"[{"status":"207","then":"pause"}]"#, 200, "each"),
            (r#"[{"status":"422","then":"rejected"}]"#, 422, "singly"),
            // One of them is known, which says nothing of the others.
            (r#"[{"status":"409","then":"accepted"}]"#, 409, "singly"),
            (r#"[{"status":"422","then":"accepted"}]"#, 422, "singly"),
        ] {
            let entries: Vec<crate::settings::shape::Response> =
                serde_json::from_str(responses).unwrap();
            let reading = Reading {
                rules: super::super::rules::Rules::new(&entries).unwrap(),
                ..Reading::default()
            };
            let status = StatusCode::from_u16(status).unwrap();
            let reply = Reply::new(status, &HeaderMap::new(), list.clone().into());
            let found = match judged(&reply, &reading, &records(3)) {
                Judged::All(verdict) => name(&verdict),
                Judged::Each(_) => "each".into(),
                Judged::Singly => "singly".into(),
            };
            assert_eq!(found, expected, "{responses}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_counts_also_where_a_list_says_retry() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "60".parse().unwrap());
        let minute = Some(std::time::Duration::from_secs(60));
        let body = list(&[(1, "retry"), (2, "retry"), (3, "retry")]);
        let judge = |status| {
            judged(
                &Reply::new(status, &headers, body.clone().into()),
                &Reading::default(),
                &records(3),
            )
        };
        let Judged::All(Verdict::InDoubt(_, trouble)) = judge(StatusCode::TOO_MANY_REQUESTS) else {
            panic!("429 pauses");
        };
        assert_eq!(trouble.at_least, minute);
        let Judged::Each(each) = judge(StatusCode::OK) else {
            panic!("a list");
        };
        for verdict in each {
            assert!(matches!(verdict, Verdict::Refused(trouble) if trouble.at_least == minute));
        }
    }

    #[test]
    fn what_is_told_of_each_event_has_the_status_and_no_secret() {
        let secret = "canary-4711".to_owned();
        let body = list(&[(1, "rejected"), (2, "retry")]).replace(
            r#""status""#,
            r#""code":"canary-4711","detail":"canary-4711 may not","status""#,
        );
        let reply = Reply::new(StatusCode::OK, &HeaderMap::new(), body.into());
        for (reply, echoes) in [
            (reply.clone(), false),
            (reply.without([&secret].into_iter()), true),
        ] {
            let Judged::Each(each) = judged(&reply, &Reading::default(), &records(3)) else {
                panic!("a list");
            };
            for verdict in each {
                assert_ne!(
                    format!("{verdict:?}").contains("canary"),
                    echoes,
                    "{verdict:?}"
                );
                let (Verdict::Rejected(_, trouble)
                | Verdict::Refused(trouble)
                | Verdict::Unanswered(trouble)) = verdict
                else {
                    panic!("{verdict:?}");
                };
                assert_eq!(trouble.status, Some(200));
            }
        }
    }
}
