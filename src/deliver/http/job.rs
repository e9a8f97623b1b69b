//! What stands at the `Location` of a verdict: how far a server has come, in the words of a verdict or of a job, for one event or
//! for several that went together. Pure.
//!
//! Every product has words of its own. What is not known is no verdict: the event is asked for again, and put aside when that takes
//! too long. Only a body that says nothing of a state leaves it to the status.

use super::super::uplink::Verdict;
use super::super::verdict::{self, REFUSALS, Status};
use super::answer::{Reading, Reply, by_status_and_body, special};
use super::batch::{Judged, each, shared};
use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

/// Where the state stands.
const PLACES: [&str; 5] = ["/status", "/state", "/jobStatus", "/job_status", SUCCESS];
/// Where a state is yes or no.
const SUCCESS: &str = "/success";
/// It came to nothing; beside [`REFUSALS`].
const FAILED: [&str; 7] = [
    "rejected",
    "cancelled",
    "canceled",
    "timedout",
    "terminated",
    "completedwitherrors",
    "faulted",
];
/// It is done.
const DONE: [&str; 16] = [
    "accepted",
    "duplicate",
    "done",
    "completed",
    "complete",
    "success",
    "succeeded",
    "successful",
    "finished",
    "processed",
    "ok",
    "created",
    "confirmed",
    "booked",
    "posted",
    "closed",
];

/// How far a server has come with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no verdict yet, or none that can be read.
    Working,
    /// It could not process the event.
    Failed,
    /// It has processed it, or says nothing but that all is well.
    Done,
    /// It failed with this status, as if it had answered so at once.
    Answered(StatusCode),
}

/// What the body says of these events, or of all that went there.
pub(super) fn state(reply: &Reply, ids: &[Uuid]) -> State {
    // A verdict in the words of this project, which is read as such.
    if verdict::word(&reply.body).is_ok() {
        return State::Done;
    }
    match said(reply) {
        None if lists_no_end(reply, ids) => State::Working,
        None | Some((_, Value::Null | Value::Bool(true))) => State::Done,
        Some((_, Value::Bool(false))) => State::Failed,
        Some((_, Value::String(word))) => named(word),
        Some((SUCCESS, Value::Number(number))) => match number.as_u64() {
            Some(0) => State::Failed,
            Some(1) => State::Done,
            _ => State::Working,
        },
        Some((_, Value::Number(number))) => numbered(number.as_u64()),
        Some((_, Value::Array(_) | Value::Object(_))) => State::Working,
    }
}

/// The state, and where it stands.
fn said(reply: &Reply) -> Option<(&'static str, &Value)> {
    let mut said = PLACES.iter();
    said.find_map(|place| Some((*place, reply.at(place)?)))
}

/// Whether a list names some of these events, and none has come to an end.
fn lists_no_end(reply: &Reply, ids: &[Uuid]) -> bool {
    let listed = reply.entries(|id| ids.contains(&id)).listed;
    !listed.is_empty() && verdict::words_of(&listed, end).is_empty()
}

fn named(word: &str) -> State {
    match end(word) {
        Some(Status::Accepted) => State::Done,
        Some(_) => State::Failed,
        None => State::Working,
    }
}

/// What the word of a job means that has come to an end.
fn end(word: &str) -> Option<Status> {
    let plain = word.to_ascii_lowercase().replace(['_', '-', ' '], "");
    let plain = plain.as_str();
    if FAILED.contains(&plain) || REFUSALS.contains(&plain) {
        Some(Status::Failed)
    } else {
        DONE.contains(&plain).then_some(Status::Accepted)
    }
}

/// A number is a status of HTTP, or one of its own that nobody knows.
fn numbered(number: Option<u64>) -> State {
    let number = number.and_then(|number| u16::try_from(number).ok());
    match number {
        Some(200 | 201 | 203..=299) => State::Done,
        Some(number @ 400..=599) => {
            StatusCode::from_u16(number).map_or(State::Working, State::Answered)
        }
        _ => State::Working,
    }
}

/// The verdicts on these events at the place where a server keeps them. `among_others`: they went there with events that are not
/// asked for with them now.
pub(super) fn located(
    reply: &Reply,
    reading: &Reading,
    ids: &[Uuid],
    among_others: bool,
) -> Judged {
    let id = match ids {
        [one] => *one,
        _ => Uuid::nil(),
    };
    let went_together = among_others || ids.len() > 1;
    let whole = match special(reply, reading, id) {
        Some(whole) => whole,
        None => {
            let found = reply.entries(|id| ids.contains(&id));
            // One alone may have a state that no word tells, as a status of HTTP.
            let one = &found.alone;
            let is_told = ids.len() > 1 || !verdict::words_of(one, end).is_empty();
            let names_some = !found.listed.is_empty() || (!one.is_empty() && is_told);
            if names_some || (went_together && lacks(reply, found.has_list)) {
                return Judged::Each(each(reply, &found, ids, end));
            }
            at_its_place(reply, reading, ids, went_together)
        }
    };
    match whole {
        // One of them may be at fault: each goes alone.
        Verdict::Rejected(..) | Verdict::Conflict(_) if ids.len() > 1 => Judged::Singly,
        Verdict::Rejected(_, trouble) | Verdict::Conflict(trouble) if among_others => {
            Judged::All(Verdict::Undivided(trouble))
        }
        whole => Judged::All(shared(whole, ids.len())),
    }
}

/// Whether there is a list of verdicts that names none of these events, which went there with others and so should stand in it: any
/// list, or beside a state one that has verdicts on others.
fn lacks(reply: &Reply, has_list: bool) -> bool {
    let tells_of_others = || {
        let others = reply.entries(|_| true).listed;
        !verdict::words_of(&others, end).is_empty()
    };
    match said(reply) {
        Some(_) => tells_of_others(),
        None => has_list || tells_of_others(),
    }
}

/// What one answer says of all that went there.
fn at_its_place(reply: &Reply, reading: &Reading, ids: &[Uuid], went_together: bool) -> Verdict {
    // 303: what came of it stands elsewhere, so something came of it (RFC 9110, 15.4.4).
    if reply.status == StatusCode::SEE_OTHER {
        return Verdict::Accepted;
    }
    if !reply.status.is_success() {
        return by_status_and_body(reply, reading);
    }
    if let Ok(word) = verdict::word(&reply.body) {
        return reply.told(word);
    }
    match state(reply, ids) {
        State::Failed => {
            let trouble = reply.trouble("the server could not process this event");
            Verdict::Rejected(reply.park_class(), trouble)
        }
        State::Done => Verdict::Accepted,
        State::Answered(status) => match answered(reply, status, reading) {
            // One of them is there already; of the others nothing is known.
            Verdict::Accepted if went_together => {
                Verdict::Conflict(reply.trouble("the server has one of these events already"))
            }
            verdict => verdict,
        },
        // Asked for only where it is not: whoever looks waits.
        State::Working => Verdict::Unanswered(reply.trouble("the server has not decided yet")),
    }
}

/// The verdict by a status that stands in the body. The server itself answers: what would blame it is no reason to pause.
fn answered(reply: &Reply, status: StatusCode, reading: &Reading) -> Verdict {
    let mut reply = reply.clone();
    reply.status = status;
    match by_status_and_body(&reply, reading) {
        Verdict::InDoubt(_, trouble) | Verdict::Unavailable(trouble) => {
            Verdict::Unanswered(trouble)
        }
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    #[test]
    fn what_is_not_known_is_no_verdict() {
        for (body, expected) in [
            ("", State::Done),
            ("{}", State::Done),
            (r#"{"status":"COMPLETED"}"#, State::Done),
            (r#"{"status":200}"#, State::Done),
            (r#"{"status":202}"#, State::Working),
            (r#"{"status":2}"#, State::Working),
            (r#"{"status":-1}"#, State::Working),
            (
                r#"{"status":422}"#,
                State::Answered(StatusCode::UNPROCESSABLE_ENTITY),
            ),
            (r#"{"success":1}"#, State::Done),
            (r#"{"success":0}"#, State::Failed),
            (r#"{"success":true}"#, State::Done),
            (r#"{"status":"REJECTED"}"#, State::Done),
            (r#"{"state":"rejected"}"#, State::Failed),
            (r#"{"state":"Timed_Out"}"#, State::Failed),
            (r#"{"state":"CompletedWithErrors"}"#, State::Failed),
            (r#"{"jobStatus":"FAILED"}"#, State::Failed),
            (r#"{"success":false}"#, State::Failed),
            (r#"{"status":"submitted"}"#, State::Working),
            (r#"{"status":"Started"}"#, State::Working),
            (r#"{"status":"in-progress"}"#, State::Working),
            (r#"{"status":"no word of ours"}"#, State::Working),
            (r#"{"status":{"code":"FAILED"}}"#, State::Working),
        ] {
            let reply = Reply::new(StatusCode::OK, &HeaderMap::new(), body.into());
            assert_eq!(state(&reply, &[]), expected, "{body}");
        }
    }

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply::new(status, &HeaderMap::new(), body.into())
    }

    fn found(reply: &Reply, ids: &[Uuid], among_others: bool) -> String {
        match located(reply, &Reading::default(), ids, among_others) {
            Judged::All(verdict) => format!("{verdict:?}"),
            Judged::Singly => "singly".into(),
            Judged::Each(each) => {
                let each = each.iter().map(|verdict| format!("{verdict:?}"));
                let names = each.map(|shown| shown.split(['(', ' ']).next().unwrap().to_owned());
                names.collect::<Vec<_>>().join(" ")
            }
        }
    }

    const ONE: Uuid = Uuid::from_u128(7);

    #[test]
    fn at_its_place_a_verdict_stands_in_words_or_in_the_status() {
        let words = |status: &str| format!(r#"[{{"id":"{ONE}","status":"{status}"}}]"#);
        let foreign = words("rejected").replace('7', "8");
        let steps = format!(r#"{{"state":"done","steps":{foreign}}}"#);
        let within = format!(r#"{{"result":{{"id":"{ONE}","status":"rejected"}}}}"#);
        let numbered = format!(r#"{{"id":"{ONE}","status":422}}"#);
        let refused = r#"{"status":422,"title":"order closed","code":"order-closed"}"#;
        for (status, body, expected) in [
            (200, "", "Accepted"),
            (200, r#"{"status":"succeeded"}"#, "Accepted"),
            (
                200,
                r#"{"status":"FAILED","code":"order-closed"}"#,
                "Rejected(Business",
            ),
            (
                200,
                r#"{"state":"error","code":"schema"}"#,
                "Rejected(Schema",
            ),
            (200, r#"{"status":"rejected"}"#, "Rejected(Business"),
            (200, &words("retry"), "Refused"),
            (200, &words("completed"), "Accepted"),
            (200, &words("not booked"), "Unanswered"),
            // What is not about the event, which went there alone.
            (200, &foreign, "Accepted"),
            (200, &steps, "Accepted"),
            (200, &within, "Rejected"),
            (200, &numbered, "Rejected(Business"),
            (303, "", "Accepted"),
            (422, "", "Rejected"),
            (503, "", "InDoubt(Event"),
            (500, "", "Unanswered"),
            // A status that stands in the body.
            (200, refused, "Rejected(Business"),
            (200, r#"{"status":400}"#, "Rejected(Schema"),
            (200, r#"{"status":409,"code":"duplicate"}"#, "Accepted"),
            (200, r#"{"status":409}"#, "Conflict"),
            (200, r#"{"status":500}"#, "Unanswered"),
            (200, r#"{"status":401}"#, "Unanswered"),
            (200, r#"{"status":200}"#, "Accepted"),
        ] {
            let found = found(&reply(status, body), &[ONE], false);
            assert!(found.starts_with(expected), "{status} {body}: {found}");
        }
    }

    #[test]
    fn a_job_of_several_events_settles_those_that_it_names_and_its_failure_blames_none() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let [one, two, _] = ids;
        let hole = format!(
            r#"{{"status":"completed","results":[{{"id":"{one}","status":"accepted"}},{{"id":"{two}","status":"not booked"}}]}}"#
        );
        let strange = r#"{"results":[{"id":"x","status":"REJECTED"}]}"#;
        for (body, together, last, last_alone) in [
            (
                hole.as_str(),
                "Accepted Unanswered Unanswered",
                "Unanswered",
                "Accepted",
            ),
            (
                strange,
                "Unanswered Unanswered Unanswered",
                "Unanswered",
                "Accepted",
            ),
            (
                &format!(r#"{{"id":"{two}","status":"accepted"}}"#),
                "Unanswered Accepted Unanswered",
                "Accepted",
                "Accepted",
            ),
            (r#"{"status":"failed"}"#, "singly", "Undivided", "Rejected"),
            (
                r#"{"status":"rejected"}"#,
                "singly",
                "Undivided",
                "Rejected",
            ),
            (r#"{"status":422}"#, "singly", "Undivided", "Rejected"),
            (
                r#"{"status":409,"code":"duplicate"}"#,
                "singly",
                "Undivided",
                "Accepted",
            ),
            (
                r#"{"status":"completed"}"#,
                "Accepted",
                "Accepted",
                "Accepted",
            ),
            ("", "Accepted", "Accepted", "Accepted"),
        ] {
            let answer = reply(200, body);
            assert_eq!(found(&answer, &ids, false), together, "{body}");
            let third = &ids[2..];
            let of = found(&answer, third, true);
            assert!(of.starts_with(last), "{body}: {of}");
            let of = found(&answer, third, false);
            assert!(of.starts_with(last_alone), "{body}: {of}");
        }
    }

    #[test]
    fn a_list_in_which_nothing_has_come_to_an_end_is_asked_for_again() {
        let list = |words: &[&str]| {
            let each = words
                .iter()
                .map(|word| format!(r#"{{"id":"{ONE}","status":"{word}"}}"#));
            format!(r#"{{"results":[{}]}}"#, each.collect::<Vec<_>>().join(","))
        };
        let of = |words: &[&str], ids: &[Uuid]| state(&reply(200, &list(words)), ids);
        assert_eq!(of(&["running", "queued"], &[ONE]), State::Working);
        assert_eq!(of(&["running", "accepted"], &[ONE]), State::Done);
        assert_eq!(of(&["Timed_Out"], &[ONE]), State::Done);
        // Steps of something else.
        assert_eq!(of(&["running"], &[]), State::Done);
    }
}
