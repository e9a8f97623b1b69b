//! Since when what is settled is settled: a few samples of the position that all uplinks had settled, by powered-on time.
//! `keep_delivered` counts from there, also over restarts. Pure.

use crate::model::Position;
use serde::{Deserialize, Serialize};

/// Samples in one `keep_delivered`: what is kept goes at most a sixteenth of that time late.
const SAMPLES: u64 = 16;

/// The samples: at most [`SAMPLES`] and two, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    samples: Vec<(Position, u64)>,
}

impl Kept {
    /// Everything up to `settled` is settled at the powered-on time `now_ns`; it is to be kept for `keep_ns`.
    pub(super) fn note(&mut self, settled: Position, now_ns: u64, keep_ns: u64) {
        if keep_ns == 0 {
            self.samples.clear();
            return;
        }
        // Of those that are old enough, the last one says it all.
        let old = self
            .samples
            .partition_point(|(_, at)| at.saturating_add(keep_ns) <= now_ns);
        self.samples.drain(..old.saturating_sub(1));
        let due = self.samples.last().is_none_or(|(position, at)| {
            *position < settled && at.saturating_add(keep_ns / SAMPLES) <= now_ns
        });
        if due {
            self.samples.push((settled, now_ns));
        }
    }

    /// What has been settled for `keep_ns`: it may go. `settled` is what is settled now.
    pub(super) fn over(&self, settled: Position, now_ns: u64, keep_ns: u64) -> Position {
        if keep_ns == 0 {
            return settled;
        }
        let mut old = self.samples.iter().rev();
        let found = old.find(|(_, at)| at.saturating_add(keep_ns) <= now_ns);
        found.map_or_else(Position::default, |(position, _)| (*position).min(settled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Position {
        Position { epoch: 1, seq }
    }

    #[test]
    fn what_is_settled_goes_after_the_time_and_at_most_a_sixteenth_later() {
        let keep = 1_600;
        let mut kept = Kept::default();
        for now in 0..20_000 {
            // One event a tick is settled at once.
            kept.note(at(now), now, keep);
            let over = kept.over(at(now), now, keep).seq;
            assert!(over + keep <= now || over == 0, "{over} at {now}");
            if now > keep + keep / SAMPLES + 1 {
                assert!(over + keep + keep / SAMPLES + 1 >= now, "{over} at {now}");
            }
            assert!(kept.samples.len() as u64 <= SAMPLES + 2);
        }
        // Nothing more comes: the last ones go, too.
        let mut now = 20_000;
        for _ in 0..200 {
            now += 50;
            kept.note(at(19_999), now, keep);
        }
        assert_eq!(kept.over(at(19_999), now, keep), at(19_999));
    }

    #[test]
    fn without_a_time_nothing_is_kept() {
        let mut kept = Kept::default();
        kept.note(at(5), 10, 100);
        kept.note(at(9), 20, 0);
        assert_eq!(kept, Kept::default());
        assert_eq!(kept.over(at(9), 20, 0), at(9));
        assert_eq!(kept.over(at(9), 20, 100), Position::default());
    }
}
