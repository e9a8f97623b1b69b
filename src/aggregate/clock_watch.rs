//! Watches the wall clock: tells when it stepped, was synchronised or lost. Pure.
//!
//! Order and durations are of the boot clock and know nothing of this. What a step changes is how the UTC labels of earlier
//! events are to be read: an event's `delta_s` says how far they moved then, its anchor where they stand from now on.

use super::Aggregate;
use super::machine::{Draft, Machine};
use crate::model::{Body, BootTime, ClockChange, ClockQuality, ClockReport, Scope, Stamp};
use std::time::Duration;

/// Smallest movement of UTC against the boot clock that is a step. Slewing moves it by 2.5 ms between two looks (500 ppm, 5 s),
/// a leap second that is not smeared by 1 s.
const STEP: Duration = Duration::from_millis(500);
/// [`STEP`] in nanoseconds.
const STEP_NS: u64 = STEP.as_nanos() as u64;

/// The last look at the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockWatch {
    seen: Stamp,
    synchronised: bool,
}

/// What a look found: what happened, and by how many seconds UTC moved.
type Found = (ClockChange, f64);

impl ClockWatch {
    pub(super) fn new(seen: Stamp, synchronised: bool) -> ClockWatch {
        ClockWatch { seen, synchronised }
    }

    /// Looks at both clocks. A stamp that was taken before the last look says nothing about the clock now.
    fn look(&mut self, now: Stamp, synchronised: bool) -> Option<Found> {
        if now.boot < self.seen.boot {
            return None;
        }
        let expected = self.seen.at(now.boot).utc;
        let moved_ns = now.utc.0.saturating_sub(expected.0);
        self.seen = now;
        let was = std::mem::replace(&mut self.synchronised, synchronised);
        let kind = match (was, synchronised) {
            (false, true) => ClockChange::Synchronised,
            (true, false) => ClockChange::Lost,
            _ if moved_ns.unsigned_abs() > STEP_NS => ClockChange::Step,
            _ => return None,
        };
        Some((kind, BootTime(moved_ns).seconds_since(BootTime(0))))
    }
}

impl Aggregate {
    /// What the clocks say now, and how far UTC can be trusted from now on.
    pub fn set_clock(&mut self, now: Stamp, clock: ClockQuality) {
        self.clock = clock;
        self.watch_clock(now);
    }

    /// Tells a change of the wall clock, and flags what it fell into.
    pub(super) fn watch_clock(&mut self, now: Stamp) {
        let Some((kind, delta_s)) = self.clock_watch.look(now, self.clock.synchronised) else {
            return;
        };
        if delta_s.abs() > STEP.as_secs_f64() {
            self.machines.iter_mut().for_each(Machine::clock_stepped);
        }
        let open_operations = self.machines.iter().flat_map(Machine::open_operations);
        let report = ClockReport {
            kind,
            delta_s: Some(delta_s),
            boot_id: self.boot_id.clone(),
            anchor: now,
            open_operations: open_operations.collect(),
        };
        self.drafts.push(Draft {
            about: Scope::Gateway,
            time: now.utc,
            correlation: None,
            causation: None,
            body: Body::Clock(report),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    /// Looks at (boot ms, UTC ms, synchronised) one after the other, from (0, 0, `synchronised`), and gives what was found.
    #[track_caller]
    fn check(synchronised: bool, looks: &[(i64, i64, bool)], expected: &[(ClockChange, f64)]) {
        let at = |boot: i64, utc: i64| Stamp {
            boot: BootTime(boot * 1_000_000),
            utc: UtcTime(utc * 1_000_000),
        };
        let mut watch = ClockWatch::new(at(0, 0), synchronised);
        let look = |(boot, utc, good): &(i64, i64, bool)| watch.look(at(*boot, *utc), *good);
        let found: Vec<Found> = looks.iter().filter_map(look).collect();
        assert_eq!(found, expected, "{looks:?}");
    }

    #[test]
    fn a_step_is_told_once_with_its_size() {
        check(
            true,
            &[
                (10_000, 10_000, true),
                (11_000, -19_000, true),
                (12_000, -18_000, true),
            ],
            &[(ClockChange::Step, -30.0)],
        );
    }

    #[test]
    fn slewing_is_no_step_however_far_it_goes() {
        let looks: Vec<_> = (1..1000).map(|i| (i * 5_000, i * 5_400, true)).collect();
        check(true, &looks, &[]);
        check(true, &[(1_000, 1_500, true)], &[]);
        check(true, &[(1_000, 1_501, true)], &[(ClockChange::Step, 0.501)]);
    }

    #[test]
    fn a_stamp_from_before_the_last_look_is_no_step_back() {
        check(
            true,
            &[
                (10_000, 70_000, true),
                (9_990, 9_990, true),
                (10_010, 70_010, true),
            ],
            &[(ClockChange::Step, 60.0)],
        );
    }

    #[test]
    fn synchronisation_is_told_when_it_is_gained_and_lost() {
        check(
            false,
            &[
                (1_000, 1_000, false),
                (2_000, 1_000_002_000, true),
                (3_000, 1_000_003_000, true),
            ],
            &[(ClockChange::Synchronised, 1_000_000.0)],
        );
        check(
            true,
            &[(1_000, 1_000, false), (2_000, 2_000, true)],
            &[(ClockChange::Lost, 0.0), (ClockChange::Synchronised, 0.0)],
        );
    }

    #[test]
    fn the_farthest_clocks_are_taken() {
        let far = |utc| Stamp {
            boot: BootTime(i64::MAX),
            utc: UtcTime(utc),
        };
        let mut watch = ClockWatch::new(
            Stamp {
                boot: BootTime(0),
                utc: UtcTime(i64::MIN),
            },
            true,
        );
        assert!(watch.look(far(i64::MAX), true).is_some());
        assert!(watch.look(far(i64::MIN), true).is_some());
    }
}
