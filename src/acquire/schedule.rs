//! When a group of tags is read: on a fixed grid, so that a slow cycle is skipped and counted, never queued.
//!
//! Pure. The grid stands on the monotonic clock of the timers, which ticks as the boot clock does (only a suspended box
//! tells them apart); all groups of a link have the same origin, so that their cycles fall together.

use std::time::Duration;
use tokio::time::Instant;

/// Shortest period: shorter ones would only spin.
const SHORTEST: Duration = Duration::from_millis(1);

/// The grid of one period.
#[derive(Clone, Copy, Debug)]
pub(in crate::acquire) struct Grid {
    period: Duration,
    due: Instant,
}

impl Grid {
    /// Due at once, then each `period`.
    pub(in crate::acquire) fn new(origin: Instant, period: Duration) -> Grid {
        Grid {
            period: period.max(SHORTEST),
            due: origin,
        }
    }

    /// When the next cycle is due; in the past when it is late.
    pub(in crate::acquire) fn due(&self) -> Instant {
        self.due
    }

    /// The due cycle is done: goes to the first one after `now`. Says how many were missed in between.
    pub(in crate::acquire) fn done(&mut self, now: Instant) -> u64 {
        let missed = self.passed(now);
        self.due += self.period.saturating_mul(missed.saturating_add(1));
        u64::from(missed)
    }

    /// After an outage: the latest cycle not after `now` is due. What came before it was missed by the outage.
    pub(in crate::acquire) fn resume(&mut self, now: Instant) {
        self.due += self.period.saturating_mul(self.passed(now));
    }

    /// Grid points after `due` up to `now`.
    fn passed(&self, now: Instant) -> u32 {
        let late = now.saturating_duration_since(self.due).as_nanos();
        let passed = late / self.period.as_nanos().max(1);
        u32::try_from(passed).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(period_ms: u64, done_at_ms: u64, next_ms: u64, missed: u64) {
        let origin = Instant::now();
        let after = |ms| origin + Duration::from_millis(ms);
        let mut grid = Grid::new(origin, Duration::from_millis(period_ms));
        assert_eq!(grid.due(), origin);
        assert_eq!(grid.done(after(done_at_ms)), missed);
        assert_eq!(grid.due(), after(next_ms), "done after {done_at_ms} ms");
    }

    #[test]
    fn the_next_cycle_is_the_first_grid_point_to_come() {
        check(100, 0, 100, 0);
        check(100, 99, 100, 0);
        check(100, 100, 200, 1);
        check(100, 250, 300, 2);
        check(1_000, 3_600_000, 3_601_000, 3_600);
    }

    #[test]
    fn an_outage_keeps_the_grid_and_reads_at_once() {
        let origin = Instant::now();
        let mut grid = Grid::new(origin, Duration::from_millis(100));
        let now = origin + Duration::from_millis(12_345);
        grid.resume(now);
        assert_eq!(grid.due(), origin + Duration::from_millis(12_300));
        assert_eq!(grid.done(now), 0);
        assert_eq!(grid.due(), origin + Duration::from_millis(12_400));
    }

    #[test]
    fn a_period_of_nothing_does_not_spin() {
        check(0, 0, 1, 0);
    }
}
