//! Whatever a server answers, there is one verdict for each event, and what is told of it is bounded and fit for a log. For the
//! fuzz target and for a property test; no part of the gateway.

use super::super::uplink::{Trouble, Verdict};
use super::super::verdict::word;
use super::answer::{Reading, Reply, verdict};
use super::batch::{Judged, judged};
use super::job::located;
use super::login::token_in;
use super::place::places;
use super::rules::Rules;
use crate::buffer::{MAX_SAID, Record};
use crate::model::{Class, Envelope, Position};
use crate::settings::shape::{Format, On202, Response};
use reqwest::header::{
    CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{StatusCode, Url};
use serde_json::json;
use std::sync::LazyLock;
use tokio::time::Instant;
use uuid::Uuid;

/// Longest reason, in bytes: five texts of 200 characters, each of which may be written out as ten, and our own words.
const MAX_REASON: usize = 12_000;
/// Longest code, likewise.
const MAX_CODE: usize = 800;

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let rules = json!([
        { "status": "2xx", "where": { "pointer": "/error/code", "matches": "^a" }, "then": "rejected",
          "code": { "pointer": "/error/code" }, "detail": { "pointer": "/error" } },
        { "status": "4xx", "where": { "pointer": "/error", "exists": true }, "then": "retry", "detail": { "pointer": "" } },
        { "status": "5xx", "where": { "pointer": "/n", "equals": 1 }, "then": "pause" },
    ]);
    let rules: Vec<Response> = serde_json::from_value(rules).unwrap_or_default();
    Rules::new(&rules).unwrap_or_default()
});

/// An answer: two bytes for the status, then lines for `Location`, `Retry-After` and `Date`, then the body.
///
/// # Panics
/// When something is not as it has to be.
pub fn answer(bytes: &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(2));
    let number = head.iter().fold(0, |all, byte| all << 8 | u16::from(*byte));
    let status = StatusCode::from_u16(100 + number % 500).unwrap_or_default();
    let mut parts = rest.splitn(4, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (location, after, date, body) = (next(), next(), next(), next());
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, text: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(text) {
            headers.insert(name, value);
        }
    };
    put(LOCATION, location);
    put(RETRY_AFTER, after);
    put(DATE, date);
    put(CONTENT_TYPE, b"application/problem+json");
    body_with(status, &headers, body);
    body_with(status, &headers, &word_with(body));
    let text = String::from_utf8_lossy(location);
    if let Ok(asked) = "https://mes:8443/a/b/events".parse::<Url>() {
        for place in places(&asked, &text) {
            assert_eq!(place.url.origin(), asked.origin(), "no other server");
        }
    }
}

/// A list in which one word is about an event that was sent, with those bytes as its texts.
fn word_with(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let status = match bytes.first() {
        Some(0..=80) => "rejected",
        Some(81..=160) => "retry",
        _ => "duplicate",
    };
    let word = json!({
        "id": Uuid::from_u128(1), "status": status, "code": text, "detail": text, "retryable": bytes.len().is_multiple_of(2),
        "retry_after_s": bytes.len(), "errors": [{ "pointer": text }],
    });
    json!({ "verdicts": [word, null, { "status": text }] })
        .to_string()
        .into_bytes()
}

fn body_with(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let reply = Reply::new(status, headers, body.to_vec());
    let records = [1, 2, 3].map(record);
    for reading in readings() {
        let id = Uuid::from_u128(1);
        check(&verdict(&reply, &reading, id));
        check_judged(&located(&reply, &reading, &[id], false), 1);
        check_judged(&located(&reply, &reading, &[id], true), 1);
        let ids = records.each_ref().map(|record| record.envelope.id);
        check_judged(&located(&reply, &reading, &ids, false), records.len());
        check_judged(&judged(&reply, &reading, &records), records.len());
    }
    drop(word(body));
    let token = serde_json::from_slice(body).ok();
    drop(token_in(token.as_ref(), Instant::now()));
}

fn check_judged(judged: &Judged, count: usize) {
    match judged {
        Judged::Each(verdicts) => {
            assert_eq!(verdicts.len(), count, "one verdict each");
            verdicts.iter().for_each(check);
        }
        Judged::All(verdict) => check(verdict),
        Judged::Singly => assert!(count > 1, "one alone has a verdict"),
    }
}

fn readings() -> [Reading; 3] {
    let plain = Reading::default();
    let with_rules = Reading {
        rules: RULES.clone(),
        on_202: On202::Retry,
        ..Reading::default()
    };
    let with_documents = Reading {
        format: Format::B2mml,
        ..Reading::default()
    };
    [plain, with_rules, with_documents]
}

fn check(verdict: &Verdict) {
    let trouble: &Trouble = match verdict {
        Verdict::Accepted | Verdict::Taken => return,
        Verdict::Rejected(_, trouble)
        | Verdict::Refused(trouble)
        | Verdict::Conflict(trouble)
        | Verdict::Unanswered(trouble)
        | Verdict::Broken(trouble)
        | Verdict::Pending(trouble)
        | Verdict::Undivided(trouble)
        | Verdict::InDoubt(_, trouble)
        | Verdict::Unavailable(trouble) => trouble,
    };
    let fit = |text: &str, most: usize| text.len() <= most && !text.chars().any(char::is_control);
    assert!(fit(&trouble.reason, MAX_REASON), "{}", trouble.reason.len());
    assert!(
        trouble
            .code
            .as_deref()
            .is_none_or(|code| fit(code, MAX_CODE))
    );
    let said = trouble.said.as_deref().unwrap_or_default();
    assert!(said.len() <= MAX_SAID);
    assert!(
        !said
            .chars()
            .any(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'))
    );
}

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
        payload: "{}".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_server_answers_there_is_one_bounded_verdict(
            status in any::<[u8; 2]>(),
            location in "\\PC{0,40}|(https?:)?//[a-z:@/.]{0,20}",
            after in "[0-9]{0,24}|[ -~]{0,30}",
            body in prop_oneof![
                "\\PC{0,300}",
                "\\PC{0,60}".prop_map(|text| json!({ "code": text, "title": text, "detail": text, "error": { "code": text },
                    "retryable": text.len().is_multiple_of(2), "status": "failed", "n": 1 }).to_string()),
                "\\PC{0,60}".prop_map(|text| json!([{ "id": Uuid::from_u128(2), "status": "rejected", "title": text }]).to_string()),
                "\\PC{0,60}".prop_map(|text| format!("<ConfirmBOD xmlns=\"http://www.mesa.org/xml/B2MML\"><DataArea>{text}")),
                "[0-9.e+-]{0,24}".prop_map(|life| format!("{{\"access_token\":\"t\",\"expires_in\":{life}}}")),
            ],
        ) {
            let text = format!("{location}\n{after}\nSun, 06 Nov 1994 08:49:37 GMT\n{body}");
            answer(&[&status[..], text.as_bytes()].concat());
        }

        #[test]
        fn whatever_bytes_come_there_is_one_bounded_verdict(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            answer(&bytes);
        }
    }
}
