//! Time by quality: how much of it good values cover, and how much is a gap. Pure.

use super::statistics::seconds;
use crate::model::Coverage;
use serde::{Deserialize, Serialize};

/// Time by quality, in nanoseconds of the time that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    covered: i64,
    gap: i64,
    longest_gap: i64,
}

impl Covered {
    pub(super) fn new(covered: i64, gap: i64, longest_gap: i64) -> Covered {
        Covered {
            covered,
            gap,
            longest_gap,
        }
    }

    /// A good value held for so long.
    pub(super) fn hold(&mut self, passed: i64) {
        self.covered += passed;
    }

    /// Nothing good was there for so long; the gap that this belongs to lasts `gap` now.
    pub(super) fn lack(&mut self, passed: i64, gap: i64) {
        self.gap += passed;
        self.longest_gap = self.longest_gap.max(gap);
    }

    /// In fractions.
    #[must_use]
    pub fn coverage(self) -> Coverage {
        let total = self.covered.saturating_add(self.gap);
        let fraction = |part: i64| (total > 0).then(|| part as f64 / total as f64);
        Coverage {
            good_fraction: fraction(self.covered),
            gap_fraction: fraction(self.gap),
            longest_gap_s: seconds(self.longest_gap),
        }
    }
}
