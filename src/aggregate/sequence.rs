//! The values of a parameter that is no quantity (a recipe step, a word, a bit) in the order in which they came. Pure.
//!
//! Each change once, with its time in nanoseconds since the operation's start. Bounded: past [`KEPT`] changes are counted
//! only. After bad data the same value is no change.

use super::statistics::seconds;
use crate::model::{SequenceReport, Value};
use serde::{Deserialize, Serialize};

/// Most changes that are kept: a recipe has tens of steps, and 256 of 8 bytes fit the event beside everything else.
pub const KEPT: usize = 256;
/// Most bytes of all texts together: sixteen of the longest that a tag can have.
pub const KEPT_BYTES: usize = 16 * 1024;

/// The values so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sequence {
    kept: Vec<(i64, Value)>,
    bytes: usize,
    last: Option<Value>,
    changes: u64,
}

impl Sequence {
    /// The tag is `value` at `t`; times never fall. True when that is a change.
    pub fn observe(&mut self, t: i64, value: &Value) -> bool {
        if self.is(value) {
            return false;
        }
        self.changes += 1;
        let bytes = match value {
            Value::Text(text) => text.len(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        };
        // What was left out is never followed by what is told: the list is a beginning without holes.
        let complete = self.changes == self.kept.len() as u64 + 1;
        if complete && self.kept.len() < KEPT && self.bytes + bytes <= KEPT_BYTES {
            self.bytes += bytes;
            self.kept.push((t, value.clone()));
        }
        self.last = Some(value.clone());
        true
    }

    /// True when it is `value` now.
    #[must_use]
    pub fn is(&self, value: &Value) -> bool {
        self.last.as_ref() == Some(value)
    }

    /// The values to show.
    #[must_use]
    pub fn report(&self) -> SequenceReport {
        SequenceReport {
            t: self.kept.iter().map(|(t, _)| seconds(*t)).collect(),
            v: self
                .kept
                .iter()
                .map(|(_, value)| value.to_string())
                .collect(),
            changes: self.changes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_change_is_told_once_with_its_time() {
        let mut sequence = Sequence::default();
        for (t, value) in [
            (0, Value::Int(10)),
            (1, Value::Int(10)),
            (2, Value::Int(20)),
            (3, Value::Text("HOLD".into())),
            (4, Value::Bool(true)),
            (5, Value::Int(20)),
        ] {
            sequence.observe(t * 1_000_000_000, &value);
        }
        let report = sequence.report();
        assert_eq!(report.v, ["10", "20", "HOLD", "true", "20"]);
        assert_eq!(report.t, [0.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(report.changes, 5);
        assert_eq!(Sequence::default().report(), SequenceReport::default());
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_what_is_listed_is_the_beginning(
            lengths in proptest::collection::vec(0usize..1_024, 0..600),
        ) {
            let mut sequence = Sequence::default();
            let values: Vec<Value> = lengths
                .iter()
                .enumerate()
                .map(|(i, length)| Value::Text(format!("{i}{}", "x".repeat(*length)).into()))
                .collect();
            for (t, value) in values.iter().enumerate() {
                prop_assert!(sequence.observe(t as i64, value));
            }
            let report = sequence.report();
            prop_assert_eq!(report.changes, values.len() as u64);
            prop_assert!(report.v.len() <= KEPT);
            prop_assert!(report.v.iter().map(String::len).sum::<usize>() <= KEPT_BYTES);
            for (listed, value) in report.v.iter().zip(&values) {
                prop_assert_eq!(listed, &value.to_string());
            }
            prop_assert!(report.v.len() >= values.len().min(16));
        }
    }
}
