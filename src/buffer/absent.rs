//! Positions of one generation that are not in it any more, on purpose: its passing events were evicted, or they were
//! lost before it was rewritten. Their absence is no damage. Pure.

use super::seal::{seal, unseal};
use crate::model::Position;

const VERSION: u8 = 1;

/// Runs of positions of one epoch, rising and apart from one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Absent {
    epoch: u32,
    /// First and last, both included.
    runs: Vec<(u64, u64)>,
}

impl Absent {
    /// Nothing of that epoch is absent yet.
    pub(super) fn of(epoch: u32) -> Absent {
        Absent {
            epoch,
            runs: Vec::new(),
        }
    }

    /// Adds positions, both ends included, whatever is known already.
    pub(super) fn add(&mut self, from: Position, to: Position) {
        if from.epoch != self.epoch || to.epoch != self.epoch || from > to {
            return;
        }
        let (mut from, mut to) = (from.seq, to.seq);
        // All that touch the new run become one with it.
        let start = self
            .runs
            .partition_point(|run| run.1.saturating_add(1) < from);
        let end = self
            .runs
            .partition_point(|run| run.0 <= to.saturating_add(1));
        if let Some(touched) = self.runs.get(start..end) {
            for run in touched {
                (from, to) = (from.min(run.0), to.max(run.1));
            }
        }
        self.runs.splice(start..end.max(start), [(from, to)]);
    }

    /// Nothing is absent.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether this position is absent.
    pub(super) fn contains(&self, position: Position) -> bool {
        let after = self.runs.partition_point(|run| run.0 <= position.seq);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        position.epoch == self.epoch && run.is_some_and(|run| position.seq <= run.1)
    }

    /// The last absent position.
    pub(super) fn last(&self) -> Option<Position> {
        self.runs.last().map(|run| self.at(run.1))
    }

    /// All runs, rising.
    pub(super) fn runs(&self) -> impl Iterator<Item = (Position, Position)> + '_ {
        self.runs.iter().map(|run| (self.at(run.0), self.at(run.1)))
    }

    /// The parts of a run of positions that are not absent.
    pub(super) fn without(&self, from: Position, to: Position) -> Vec<(Position, Position)> {
        let mut parts = Vec::new();
        let mut start = from.seq;
        if from.epoch == self.epoch {
            let first = self.runs.partition_point(|run| run.1 < from.seq);
            for run in self.runs.iter().skip(first) {
                if run.0 > to.seq {
                    break;
                }
                if run.0 > start {
                    parts.push((Position { seq: start, ..from }, self.at(run.0 - 1)));
                }
                start = run.1.saturating_add(1);
            }
        }
        if start <= to.seq {
            parts.push((Position { seq: start, ..from }, to));
        }
        parts
    }

    /// How it lies in its generation.
    pub(super) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut end = 0;
        let mut distance = |run: &(u64, u64)| {
            let written = (run.0.saturating_sub(end), run.1.saturating_sub(run.0));
            end = run.1;
            written
        };
        let runs: Vec<(u64, u64)> = self.runs.iter().map(&mut distance).collect();
        Ok(seal(VERSION, &postcard::to_stdvec(&(self.epoch, runs))?))
    }

    /// What [`Absent::encode`] made; the error says what does not fit.
    pub(super) fn decode(bytes: &[u8]) -> Result<Absent, String> {
        let body = unseal(VERSION, bytes).map_err(|error| format!("evicted events: {error}"))?;
        let (epoch, runs): (u32, Vec<(u64, u64)>) =
            postcard::from_bytes(body).map_err(|error| format!("evicted events: {error}"))?;
        let mut end = 0u64;
        let mut run = |(distance, longer): (u64, u64)| {
            let from = end.saturating_add(distance);
            end = from.saturating_add(longer);
            (from, end)
        };
        let runs = runs.into_iter().map(&mut run).collect();
        Ok(Absent { epoch, runs })
    }

    fn at(&self, seq: u64) -> Position {
        Position {
            epoch: self.epoch,
            seq,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn at(seq: u64) -> Position {
        Position { epoch: 3, seq }
    }

    proptest! {
        #[test]
        fn it_says_what_a_set_says(
            ranges in proptest::collection::vec((0u64..60, 0u64..5), 0..20),
            asked in (0u64..70, 0u64..70),
        ) {
            let mut absent = Absent::of(3);
            let mut set = BTreeSet::new();
            for (from, longer) in ranges {
                absent.add(at(from), at(from + longer));
                set.extend(from..=from + longer);
            }
            for seq in 0..70 {
                prop_assert_eq!(absent.contains(at(seq)), set.contains(&seq));
                let other = Position { epoch: 2, seq };
                prop_assert!(!absent.contains(other));
            }
            prop_assert!(absent.runs.windows(2).all(|two| two[0].1 + 1 < two[1].0));
            prop_assert_eq!(absent.last(), set.last().map(|seq| at(*seq)));
            let (from, to) = (asked.0.min(asked.1), asked.0.max(asked.1));
            let parts = absent.without(at(from), at(to));
            let left: Vec<u64> = parts.iter().flat_map(|part| part.0.seq..=part.1.seq).collect();
            let expected: Vec<u64> = (from..=to).filter(|seq| !set.contains(seq)).collect();
            prop_assert_eq!(left, expected);
            prop_assert_eq!(Absent::decode(&absent.encode().unwrap()), Ok(absent));
        }

        #[test]
        fn nonsense_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Absent::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_run_of_another_epoch_is_no_part_of_it() {
        let mut absent = Absent::of(3);
        absent.add(Position { epoch: 2, seq: 1 }, Position { epoch: 2, seq: 9 });
        assert!(absent.is_empty());
        absent.add(at(5), at(9));
        let other = |seq| Position { epoch: 4, seq };
        assert_eq!(absent.without(other(1), other(9)), [(other(1), other(9))]);
    }
}
