//! Where an answer speaks of the events that were sent: entries with an id and a `status`, in a list under any name a few levels
//! deep, or one alone. Pure.
//!
//! A list of something else, of errors or of steps, hides no word around it. What an answer repeats of an event has no `status`
//! beside its id.

use serde_json::Value;
use std::collections::VecDeque;
use uuid::Uuid;

/// So deep below the answer itself a list may stand: `{"data": {"batch": {"results": [...]}}}`.
const MAX_LEVELS: usize = 3;
/// Most lists and objects that are looked into: ten for each event of the largest sending.
const MAX_PARTS: usize = 1_000;
/// Most entries in one list: ten times what the largest sending holds, so that a server may also tell of others.
const MAX_ENTRIES: usize = 1_000;

/// What an answer has of them, in its order.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    /// In lists.
    pub(super) listed: Vec<(Uuid, &'a Value)>,
    /// Not in a list.
    pub(super) alone: Vec<(Uuid, &'a Value)>,
    /// Some list has a `status`, of whatever it is, or there was more than is looked into: whoever expects verdicts has to
    /// take it for one of them.
    pub(super) has_list: bool,
}

impl<'a> Entries<'a> {
    /// Those in a list count before one around it.
    pub(super) fn counting(&self) -> &[(Uuid, &'a Value)] {
        match self.listed.as_slice() {
            [] => &self.alone,
            listed => listed,
        }
    }
}

/// The entries on events that are meant.
pub(super) fn entries(body: &Value, is_meant: impl Fn(Uuid) -> bool) -> Entries<'_> {
    let meant = |part: &Value| {
        part.get("status")?;
        let id = part.get("id")?.as_str()?.parse().ok()?;
        is_meant(id).then_some(id)
    };
    let mut found = Entries::default();
    let mut ahead = VecDeque::from([(body, 0, false)]);
    let mut looked_into = 0;
    while let Some((part, level, within_list)) = ahead.pop_front() {
        looked_into += 1;
        if looked_into > MAX_PARTS {
            found.has_list = true;
            break;
        }
        let deeper = |part: &&Value| level < MAX_LEVELS && (part.is_array() || part.is_object());
        match part {
            Value::Array(list) => {
                let list = list.iter().take(MAX_ENTRIES);
                let named = list.clone().filter_map(|one| Some((meant(one)?, one)));
                found.listed.extend(named);
                found.has_list |=
                    !within_list && list.clone().any(|one| one.get("status").is_some());
                let others = list.filter(|one| one.get("status").is_none());
                ahead.extend(others.filter(deeper).map(|one| (one, level + 1, true)));
            }
            Value::Object(parts) => {
                found.alone.extend(meant(part).map(|id| (id, part)));
                let parts = parts.values().filter(deeper);
                ahead.extend(parts.map(|one| (one, level + 1, within_list)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OURS: Uuid = Uuid::from_u128(7);

    fn found(body: &Value) -> (usize, usize, bool) {
        let found = entries(body, |id| id == OURS);
        (found.listed.len(), found.alone.len(), found.has_list)
    }

    #[test]
    fn lists_are_found_a_few_levels_deep_by_the_events_they_name() {
        let ours = json!({ "id": OURS, "status": "rejected" });
        let other = json!({ "id": Uuid::from_u128(8), "status": "rejected" });
        let errors = json!([{ "status": "422", "pointer": "/data" }]);
        for (body, expected) in [
            (json!([ours, other]), (1, 0, true)),
            (json!({ "results": [ours] }), (1, 0, true)),
            (
                json!({ "data": { "results": [other, ours] } }),
                (1, 0, true),
            ),
            (json!({ "a": { "b": { "c": [ours] } } }), (1, 0, true)),
            (
                json!({ "a": { "b": { "c": { "d": [ours] } } } }),
                (0, 0, false),
            ),
            (json!({ "parts": [{ "results": [ours] }] }), (1, 0, false)),
            (json!({ "errors": errors, "results": [ours] }), (1, 0, true)),
            (
                json!({ "errors": errors, "id": OURS, "status": "rejected" }),
                (0, 1, true),
            ),
            (json!({ "data": ours }), (0, 1, false)),
            (json!({ "errors": errors }), (0, 0, true)),
            (json!([other]), (0, 0, true)),
            // Events that came back.
            (
                json!({ "events": [{ "id": OURS, "data": { "parts": [{ "status": "good" }] } }] }),
                (0, 0, false),
            ),
            (json!([]), (0, 0, false)),
            (json!("rejected"), (0, 0, false)),
        ] {
            assert_eq!(found(&body), expected, "{body}");
        }
    }

    #[test]
    fn an_answer_of_many_parts_is_not_looked_into_without_end_and_is_no_acceptance() {
        let many: Vec<Value> = vec![json!({}); 2 * MAX_PARTS];
        let body = json!({ "a": { "x": many.clone() }, "b": { "x": many } });
        assert_eq!(found(&body), (0, 0, true));
    }
}
