//! How much a store may take, and what goes first when it would take more. Pure.
//!
//! In this order: what is kept after delivery, damaged generations that were set aside, the passing events of the oldest
//! generation, then of the next, and last the oldest generation as a whole. The head is never touched.

use crate::model::Position;
use std::time::Duration;

/// What a store may take, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes on the disk, everything counted. Never more than 80 % of the file system.
    pub max_bytes: u64,
    /// Events that are older are dropped, by powered-on time.
    pub max_age: Duration,
    /// How long settled events are kept, as far as `max_bytes` allows.
    pub keep_delivered: Duration,
}

impl Default for Quota {
    /// No limit, and nothing is kept.
    fn default() -> Quota {
        Quota {
            max_bytes: u64::MAX,
            max_age: Duration::MAX,
            keep_delivered: Duration::ZERO,
        }
    }
}

/// How far [`super::Store::make_room`] may go. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// What nobody waits for: kept after delivery, damaged.
    Spare,
    /// Passing events.
    Passing,
    /// Unsettled lasting events.
    Lasting,
}

/// The numbers by which a store decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Something goes when more is used.
    pub(super) soft: u64,
    /// More is never used: the room between the two is for the copy of a generation that is rewritten, and for what comes
    /// while generations are rewritten one by one.
    pub(super) hard: u64,
}

/// Generations of which there is always room for so many, whatever else lies in the store.
const LEAST_GENERATIONS: u64 = 4;

impl Quota {
    /// On a file system of `total_bytes`, 0 where that is not known, with generations of this size.
    pub(super) fn limits(&self, total_bytes: u64, generation_bytes: u64) -> Limits {
        let most = match total_bytes {
            0 => u64::MAX,
            total => total / 5 * 4,
        };
        let least = generation_bytes.saturating_mul(LEAST_GENERATIONS);
        let hard = self.max_bytes.min(most).max(least);
        let aside = generation_bytes.saturating_mul(2).min(hard / 4);
        Limits {
            soft: hard - aside,
            hard,
        }
    }

    /// A head is rotated when it is that old, so that ages are told apart by generation.
    pub(super) fn rotate_after(&self) -> Duration {
        const PARTS: u32 = 16;
        const LEAST: Duration = Duration::from_secs(60);
        let shortest = if self.keep_delivered.is_zero() {
            self.max_age
        } else {
            self.max_age.min(self.keep_delivered)
        };
        (shortest / PARTS).max(LEAST)
    }
}

/// What could be done at present. Positions are the first ones of generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The oldest that everybody has settled.
    pub(super) kept: Option<Position>,
    /// The oldest of those that were set aside.
    pub(super) damaged: Option<Position>,
    /// The oldest unsettled one that may still have passing events.
    pub(super) unswept: Option<Position>,
    /// The oldest unsettled one.
    pub(super) oldest: Option<Position>,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Remove a settled generation.
    Kept(Position),
    /// Remove a damaged one.
    Damaged(Position),
    /// Rewrite one without its passing events.
    Sweep(Position),
    /// Drop the oldest one.
    Drop(Position),
}

/// Generations rewritten in one call at the most, where there is time.
const SWEEPS: u32 = 1;
/// The same where the store would take more than it ever may.
const URGENT_SWEEPS: u32 = 4;
/// Generations in which one call looks for passing events.
const LOOKS: u32 = 16;

/// The work of one call, bounded: a commit does not wait for the whole store to be rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Generations that were rewritten.
    pub(super) sweeps: u32,
    /// Generations that were looked into.
    pub(super) looks: u32,
    /// There is no room for a copy.
    pub(super) stuck: bool,
}

/// What to do next, if anything. `urgent` when the store would take more than it ever may.
pub(super) fn next(found: &Found, extent: Extent, work: &Work, urgent: bool) -> Option<Step> {
    if let Some(first) = found.kept {
        return Some(Step::Kept(first));
    }
    if let Some(first) = found.damaged {
        return Some(Step::Damaged(first));
    }
    if extent < Extent::Passing {
        return None;
    }
    let sweeps = if urgent { URGENT_SWEEPS } else { SWEEPS };
    let tired = work.sweeps >= sweeps || work.looks >= LOOKS;
    match found.unswept {
        Some(first) if !tired && !work.stuck => return Some(Step::Sweep(first)),
        // Their turn comes with the next call.
        Some(_) if !work.stuck && !urgent => return None,
        _ => {}
    }
    (extent >= Extent::Lasting)
        .then_some(found.oldest?)
        .map(Step::Drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Position {
        Position { epoch: 1, seq }
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_limits_leave_room_for_a_copy_and_for_others_on_the_disk() {
        let limits = |max_bytes, total, generation| {
            let quota = Quota {
                max_bytes,
                ..Quota::default()
            };
            let limits = quota.limits(total, generation);
            (limits.soft / MIB, limits.hard / MIB)
        };
        for (max, total, generation, soft, hard) in [
            (4096, 0, 8, 4080, 4096),
            (4096, 2000, 8, 1584, 1600),
            (64, 100_000, 8, 48, 64),
            (256, 100_000, 32, 192, 256),
            // Never less than it can work with.
            (1, 100_000, 8, 24, 32),
            (4096, 10, 8, 24, 32),
        ] {
            let found = limits(max * MIB, total * MIB, generation * MIB);
            assert_eq!(found, (soft, hard), "{max} {total} {generation}");
        }
        assert_eq!(Quota::default().limits(0, 8 * MIB).hard, u64::MAX);
    }

    #[test]
    fn a_head_is_rotated_in_sixteenths_of_the_shortest_age() {
        let hours = |n: u64| Duration::from_secs(3600 * n);
        for (max_age, keep, after) in [
            (hours(720), hours(0), hours(45)),
            (hours(720), hours(32), hours(2)),
            (hours(1), hours(0), hours(1) / 16),
            (hours(0), hours(0), Duration::from_secs(60)),
        ] {
            let quota = Quota {
                max_age,
                keep_delivered: keep,
                ..Quota::default()
            };
            assert_eq!(quota.rotate_after(), after);
        }
    }

    #[test]
    fn what_goes_goes_in_order() {
        let all = Found {
            kept: Some(at(1)),
            damaged: Some(at(2)),
            unswept: Some(at(4)),
            oldest: Some(at(3)),
        };
        let no_kept = Found { kept: None, ..all };
        let unswept = Found {
            damaged: None,
            ..no_kept
        };
        let swept = Found {
            unswept: None,
            ..unswept
        };
        use Extent::{Lasting, Passing, Spare};
        for (found, extent, step) in [
            (all, Spare, Some(Step::Kept(at(1)))),
            (no_kept, Spare, Some(Step::Damaged(at(2)))),
            (unswept, Spare, None),
            (unswept, Passing, Some(Step::Sweep(at(4)))),
            (unswept, Lasting, Some(Step::Sweep(at(4)))),
            (swept, Passing, None),
            (swept, Lasting, Some(Step::Drop(at(3)))),
            (Found::default(), Lasting, None),
        ] {
            assert_eq!(next(&found, extent, &Work::default(), false), step);
        }
    }

    #[test]
    fn one_call_rewrites_one_generation_and_drops_nothing_meanwhile_unless_it_must() {
        let found = Found {
            unswept: Some(at(4)),
            oldest: Some(at(3)),
            ..Found::default()
        };
        let swept = |sweeps| Work {
            sweeps,
            ..Work::default()
        };
        let next = |work, urgent| next(&found, Extent::Lasting, &work, urgent);
        assert_eq!(next(swept(0), false), Some(Step::Sweep(at(4))));
        assert_eq!(next(swept(1), false), None);
        assert_eq!(next(swept(3), true), Some(Step::Sweep(at(4))));
        assert_eq!(next(swept(4), true), Some(Step::Drop(at(3))));
        let looked = Work {
            looks: LOOKS,
            ..Work::default()
        };
        assert_eq!(next(looked, false), None);
        let stuck = Work {
            stuck: true,
            ..Work::default()
        };
        assert_eq!(next(stuck, false), Some(Step::Drop(at(3))));
    }
}
