//! How a server says at the `Location` of a verdict how far it has come. Pure.
//!
//! Every product has words of its own. What is not known is no verdict: the event is asked for again, and put aside when that takes
//! too long. Only a body that says nothing of a state leaves it to the status.

use super::super::verdict::{self, REFUSALS};
use super::answer::Reply;
use serde_json::Value;

/// Where the state stands.
const PLACES: [&str; 5] = ["/status", "/state", "/jobStatus", "/job_status", "/success"];
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
}

/// What the body says.
pub(super) fn state(reply: &Reply) -> State {
    // A verdict in the words of this project, which is read as such.
    if verdict::word(&reply.body).is_ok() {
        return State::Done;
    }
    let mut said = PLACES.iter().filter_map(|place| reply.at(place));
    match said.next() {
        None | Some(Value::Null | Value::Number(_) | Value::Bool(true)) => State::Done,
        Some(Value::Bool(false)) => State::Failed,
        Some(Value::String(word)) => named(word),
        Some(Value::Array(_) | Value::Object(_)) => State::Working,
    }
}

fn named(word: &str) -> State {
    let plain = word.to_ascii_lowercase().replace(['_', '-', ' '], "");
    let plain = plain.as_str();
    if FAILED.contains(&plain) || REFUSALS.contains(&plain) {
        State::Failed
    } else if DONE.contains(&plain) {
        State::Done
    } else {
        State::Working
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
            assert_eq!(state(&reply), expected, "{body}");
        }
    }
}
