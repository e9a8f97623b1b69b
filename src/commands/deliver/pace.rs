//! How fast delivered events are sent again: evenly, at most so many a second. Pure.

use std::time::{Duration, Instant};

/// How far the pace may catch up after a stop, so that a timer that comes late costs nothing.
const CATCH_UP: Duration = Duration::from_millis(20);
/// The slowest pace: one an hour.
const SLOWEST: f64 = 1.0 / 3_600.0;

/// When the next event may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    gap: Duration,
    next: Instant,
}

impl Pace {
    /// At most so many events a second, from `now` on.
    pub(super) fn new(per_second: f64, now: Instant) -> Pace {
        let mut pace = Pace {
            gap: Duration::ZERO,
            next: now,
        };
        pace.change(per_second);
        pace
    }

    /// From the next one on, at most so many a second.
    pub(super) fn change(&mut self, per_second: f64) {
        let per_second = if per_second.is_finite() {
            per_second.max(SLOWEST)
        } else {
            SLOWEST
        };
        self.gap = Duration::from_secs_f64(1.0 / per_second);
    }

    /// When the next one may go.
    pub(super) fn next(self) -> Instant {
        self.next
    }

    /// One goes at `now`.
    pub(super) fn went(&mut self, now: Instant) {
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next = self.next.max(earliest) + self.gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_its_share_and_a_late_timer_costs_nothing() {
        let start = Instant::now();
        for (per_second, late_ms) in [(200.0, 0), (200.0, 1), (1_000.0, 3), (0.5, 1)] {
            let mut pace = Pace::new(per_second, start);
            let (mut now, mut sent) = (start, 0_u32);
            while now < start + Duration::from_secs(10) {
                now = now.max(pace.next()) + Duration::from_millis(late_ms);
                while pace.next() <= now {
                    pace.went(now);
                    sent += 1;
                }
            }
            let share = per_second * 10.0;
            let most = share + per_second * 0.02 + 2.0;
            assert!(
                (share * 0.95..=most).contains(&f64::from(sent)),
                "{per_second}: {sent}"
            );
        }
        assert!(Pace::new(0.0, start).gap <= Duration::from_secs(3_600));
    }
}
