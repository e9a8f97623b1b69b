//! A tag at whose change one operation ends and the next begins. Pure: time comes in.
//!
//! Only a value that says something counts: a bad tag is unknown, an empty text says nothing. After an unknown stretch the
//! last known value is compared with the first known one, and a change found so is uncertain in time.

use super::trigger::Edge;
use crate::model::{BootTime, Stamp, Value};
use serde::{Deserialize, Serialize};

/// The value that the running operation goes with. Kept in the checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    last: Option<Value>,
    unknown_since: Option<BootTime>,
    /// The unknown stretch has a reboot in it that cannot be measured.
    unmeasured: bool,
}

impl Watched {
    /// An operation begins with what the tag says now; a tag that says nothing is learnt when it does.
    pub fn begin(&mut self, value: Option<&Value>) {
        *self = Watched {
            last: value.filter(|value| says_something(value)).cloned(),
            ..Watched::default()
        };
    }

    /// The value that the running operation goes with; `None` while the tag has not said it.
    #[must_use]
    pub fn last(&self) -> Option<&Value> {
        self.last.as_ref()
    }

    /// True when the tag says another value than the running operation goes with.
    #[must_use]
    pub fn differs(&self, value: Option<&Value>) -> bool {
        let said = value.filter(|value| says_something(value));
        matches!((&self.last, said), (Some(last), Some(said)) if last != said)
    }

    /// The tag at `now`; `None` when it is bad, or when what goes with it is not known. Gives the change, if it is one.
    pub fn observe(&mut self, value: Option<&Value>, now: Stamp) -> Option<Edge> {
        let Some(value) = value else {
            if self.last.is_some() && self.unknown_since.is_none() {
                self.unknown_since = Some(now.boot);
            }
            return None;
        };
        let unknown_since = self.unknown_since.take();
        let measured = !std::mem::take(&mut self.unmeasured);
        if !says_something(value) || self.last.as_ref() == Some(value) {
            return None;
        }
        self.last.replace(value.clone())?;
        Some(Edge {
            to: true,
            at: now,
            uncertain: unknown_since.is_some(),
            uncertainty: unknown_since
                .filter(|_| measured)
                .map(|since| now.boot.since(since)),
        })
    }

    /// Carries it over a restart: nothing was seen since `since`, and boot times move by `shift_ns`.
    #[must_use]
    pub fn resumed(mut self, since: BootTime, shift_ns: i64, measurable: bool) -> Watched {
        let since = self.unknown_since.unwrap_or(since);
        self.unknown_since = self.last.as_ref().map(|_| since.shifted(shift_ns));
        self.unmeasured |= !measurable;
        self
    }
}

fn says_something(value: &Value) -> bool {
    !matches!(value, Value::Text(text) if text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn at(s: i64) -> Stamp {
        Stamp {
            boot: BootTime(s * 1_000_000_000),
            utc: UtcTime(s * 1_000_000_000),
        }
    }

    /// Plays `(s, value)`, where `?` is a bad tag, and gives the changes as `(s, uncertainty in s)`.
    #[track_caller]
    fn check(input: &[(i64, &str)], expected: &[(i64, Option<u64>)]) {
        let mut watched = Watched::default();
        let mut found = Vec::new();
        for (s, text) in input {
            let value = Value::Text((*text).into());
            let known = (*text != "?").then_some(&value);
            let edge = watched.observe(known, at(*s));
            found.extend(edge.map(|edge| {
                assert_eq!(edge.uncertain, edge.uncertainty.is_some());
                (*s, edge.uncertainty.map(|by| by.as_secs()))
            }));
        }
        assert_eq!(found, expected, "{input:?}");
    }

    #[test]
    fn the_first_value_is_no_change_and_another_one_is() {
        check(
            &[(0, "A"), (1, "A"), (2, "B"), (3, "A")],
            &[(2, None), (3, None)],
        );
    }

    #[test]
    fn an_empty_text_and_a_bad_tag_are_no_change() {
        check(&[(0, "A"), (1, ""), (2, "A"), (3, "?"), (4, "A")], &[]);
        check(&[(0, ""), (1, "?"), (2, "A")], &[]);
        check(&[(0, "A"), (1, "  "), (2, "B")], &[(2, None)]);
    }

    #[test]
    fn a_change_over_an_unknown_stretch_is_uncertain_by_its_length() {
        check(&[(0, "A"), (2, "?"), (3, "?"), (7, "B")], &[(7, Some(5))]);
    }

    #[test]
    fn a_change_in_the_down_time_is_found_once_after_it() {
        let value = |text: &str| Value::Text(text.into());
        let mut before = Watched::default();
        before.begin(Some(&value("A")));
        let mut after = before.resumed(at(10).boot, 0, true);
        assert!(after.differs(Some(&value("B"))));
        assert!(!after.differs(Some(&value(""))));
        let edge = after.observe(Some(&value("B")), at(60)).unwrap();
        assert_eq!(edge.uncertainty.unwrap().as_secs(), 50);
        assert_eq!(after.observe(Some(&value("B")), at(61)), None);
    }

    #[test]
    fn an_operation_that_began_without_a_value_learns_it() {
        let mut watched = Watched::default();
        watched.begin(Some(&Value::Int(7)));
        watched.begin(None);
        assert_eq!(watched.observe(Some(&Value::Int(8)), at(1)), None);
        assert_eq!(watched.last(), Some(&Value::Int(8)));
    }
}
