//! A counter of the machine: what it counted in a window, over wraps, resets and gaps. Pure.
//!
//! A fall is a wrap if the counter could have run over at its highest rate, else a reset. Where that rate is so high, or
//! the time so long, that a fall from most of its range could be a wrap, or that it may have run over more than once, the
//! count says that it is ambiguous. After a gap, a value that could have been reached from zero may hide a reset.

use crate::model::{BootTime, Stamp, UtcTime};
use serde::{Deserialize, Serialize};

/// What the settings say about a counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// It runs from 0 to one below this.
    pub modulus: Option<u64>,
    /// The fastest it can count, per second.
    pub max_rate: Option<f64>,
}

/// What a counter did since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// How much was counted.
    pub delta: u64,
    /// The most that may have been counted.
    pub delta_max: u64,
    /// Raw value at the start.
    pub raw_from: i64,
    /// Start.
    pub from: UtcTime,
    /// How often it ran over.
    pub wraps: u32,
    /// How often it was set back.
    pub resets: u32,
    /// Wrap and reset could not be told apart, or a gap may hide one.
    pub ambiguous: bool,
}

/// What must survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Last raw value and when it was seen.
    pub raw: i64,
    seen: BootTime,
    /// No good value since then.
    gap: bool,
    /// The gap has a reboot in it that cannot be measured.
    unmeasured: bool,
    /// Since the store was created.
    pub total: u64,
    /// The open window.
    pub window: Window,
}

/// A counter over time.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    limits: Limits,
    tally: Option<Tally>,
}

/// A report that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// What was counted.
    pub window: Window,
    /// Raw value at its end.
    pub raw_to: i64,
    /// Since the store was created, with this window.
    pub total: u64,
}

impl Counter {
    /// A counter that has not been read yet.
    #[must_use]
    pub fn new(limits: Limits) -> Counter {
        Counter {
            limits,
            tally: None,
        }
    }

    /// What must survive a restart; `None` before the first value.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        self.tally
    }

    /// Goes on with what an earlier run counted; the down time since `alive` is a gap.
    pub fn resume(&mut self, tally: Tally, alive: BootTime, shift_ns: i64, measurable: bool) {
        // A counter that stood still was seen until the end, though only its changes are kept.
        let seen = if tally.gap {
            tally.seen
        } else {
            tally.seen.max(alive)
        };
        self.tally = Some(Tally {
            seen: seen.shifted(shift_ns),
            gap: true,
            unmeasured: tally.unmeasured || !measurable,
            ..tally
        });
    }

    /// The value is bad: what comes next comes after a gap. True when that is news.
    pub fn lost(&mut self) -> bool {
        let before = self
            .tally
            .as_mut()
            .map(|tally| std::mem::replace(&mut tally.gap, true));
        before == Some(false)
    }

    /// A good value. True when it was set back.
    pub fn count(&mut self, raw: i64, now: Stamp) -> bool {
        let Some(mut tally) = self.tally else {
            self.tally = Some(Tally {
                raw,
                seen: now.boot,
                gap: false,
                unmeasured: false,
                total: 0,
                window: Window::from(raw, now.utc),
            });
            return false;
        };
        let elapsed_s = now.boot.seconds_since(tally.seen);
        let possible = self.possible(elapsed_s).filter(|_| !tally.unmeasured);
        let reset = self.step(&mut tally, raw, possible);
        tally.raw = raw;
        tally.seen = now.boot;
        tally.gap = false;
        tally.unmeasured = false;
        self.tally = Some(tally);
        reset
    }

    /// The most that can have been counted in `elapsed_s`; `None` without `max_rate`.
    fn possible(&self, elapsed_s: f64) -> Option<f64> {
        // One more, since the last count may have been just before the last reading.
        self.limits
            .max_rate
            .map(|rate| rate * elapsed_s.max(0.0) + 1.0)
    }

    fn step(&self, tally: &mut Tally, raw: i64, possible: Option<f64>) -> bool {
        let fits = |count: u64| possible.is_none_or(|possible| count as f64 <= possible);
        let up = u64::try_from(raw.saturating_sub(tally.raw)).ok();
        let around = self
            .limits
            .modulus
            .and_then(|modulus| modulus.checked_sub(tally.raw.abs_diff(raw)));
        let window = &mut tally.window;
        let (delta, most, reset) = match (up, around) {
            (Some(up), _) => {
                // Also a jump that is faster than can be: a glitch, or a limit that is set too low.
                window.ambiguous |= tally.gap && up > 0 && fits(raw.unsigned_abs()) || !fits(up);
                (up, self.with_more_turns(up, possible), false)
            }
            (None, Some(around)) if fits(around) => {
                window.wraps += 1;
                window.ambiguous |= tally.gap || self.may_come_from_anywhere(possible);
                (around, self.with_more_turns(around, possible), false)
            }
            (None, _) => {
                window.resets += 1;
                // Set back to something that cannot have been counted since: only what can is counted for sure.
                let shown = u64::try_from(raw).unwrap_or(0);
                let sure = possible.map_or(shown, |possible| shown.min(possible as u64));
                (sure, shown, true)
            }
        };
        window.ambiguous |= most > delta;
        window.delta += delta;
        window.delta_max += most;
        tally.total += delta;
        reset
    }

    /// Could the counter have run through half of its range, so that a fall says little?
    fn may_come_from_anywhere(&self, possible: Option<f64>) -> bool {
        match (possible, self.limits.modulus) {
            (Some(possible), Some(modulus)) => possible >= modulus as f64 / 2.0,
            _ => true,
        }
    }

    /// The count with as many more full turns as the rate allows; without a rate, none are assumed.
    fn with_more_turns(&self, count: u64, possible: Option<f64>) -> u64 {
        match (possible, self.limits.modulus) {
            (Some(possible), Some(modulus)) if possible >= count as f64 => {
                let turns = ((possible - count as f64) / modulus.max(1) as f64).floor() as u64;
                count.saturating_add(turns.saturating_mul(modulus))
            }
            _ => count,
        }
    }

    /// Ends the window at `now`; `None` when nothing was counted and nothing happened.
    pub fn report(&mut self, now: UtcTime) -> Option<Counted> {
        let tally = self.tally.as_mut()?;
        let window = tally.window;
        if window.delta == 0 && window.resets == 0 && window.wraps == 0 {
            return None;
        }
        tally.window = Window::from(tally.raw, now);
        Some(Counted {
            window,
            raw_to: tally.raw,
            total: tally.total,
        })
    }
}

impl Window {
    fn from(raw: i64, from: UtcTime) -> Window {
        Window {
            delta: 0,
            delta_max: 0,
            raw_from: raw,
            from,
            wraps: 0,
            resets: 0,
            ambiguous: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `(second, raw or gap)` and gives `(delta, delta_max, wraps, resets, ambiguous)`.
    #[track_caller]
    fn check(
        modulus: u64,
        max_rate: f64,
        input: &[(i64, Option<i64>)],
        expected: (u64, u64, u32, u32, bool),
    ) {
        let mut counter = Counter::new(Limits {
            modulus: Some(modulus),
            max_rate: Some(max_rate),
        });
        for (second, raw) in input {
            let now = Stamp {
                boot: BootTime(second * 1_000_000_000),
                utc: UtcTime(second * 1_000_000_000),
            };
            match raw {
                Some(raw) => {
                    counter.count(*raw, now);
                }
                None => {
                    counter.lost();
                }
            }
        }
        let counted = counter.report(UtcTime(0)).expect("something counted");
        let w = counted.window;
        assert_eq!(
            (w.delta, w.delta_max, w.wraps, w.resets, w.ambiguous),
            expected
        );
        assert_eq!(counted.total, w.delta);
        assert_eq!(counter.report(UtcTime(0)), None, "a window is told once");
    }

    #[test]
    fn a_fall_is_a_wrap_when_the_rate_allows_it() {
        check(
            65_536,
            1.0,
            &[(0, Some(65_535)), (1, Some(0))],
            (1, 1, 1, 0, false),
        );
        // A minute at 1000/s could have come from anywhere in the range: say so.
        check(
            65_536,
            1_000.0,
            &[(0, Some(65_420)), (60, Some(124))],
            (240, 240, 1, 0, true),
        );
    }

    #[test]
    fn a_fall_that_would_be_too_fast_a_wrap_is_a_reset() {
        check(
            65_536,
            1.0,
            &[(0, Some(4_000)), (10, Some(0)), (20, Some(7))],
            (7, 7, 0, 1, false),
        );
    }

    #[test]
    fn a_gap_may_hide_a_reset_or_a_turn() {
        check(
            65_536,
            1.0,
            &[(0, Some(4_000)), (5, None), (10, Some(4_005))],
            (5, 5, 0, 0, false),
        );
        check(
            65_536,
            1.0,
            &[(0, Some(4)), (5, None), (10, Some(9))],
            (5, 5, 0, 0, true),
        );
        check(
            100,
            1.0,
            &[(0, Some(10)), (5, None), (210, Some(20))],
            (10, 210, 0, 0, true),
        );
    }

    #[test]
    fn what_cannot_have_been_counted_is_not_booked_in_silence() {
        check(
            65_536,
            1.0,
            &[(0, Some(4_000)), (1, Some(3_999))],
            (2, 3_999, 0, 1, true),
        );
        check(
            65_536,
            1.0,
            &[(0, Some(100)), (1, Some(60_000))],
            (59_900, 59_900, 0, 0, true),
        );
    }

    #[test]
    fn a_counter_that_stood_still_was_seen_until_the_end() {
        let limits = Limits {
            modulus: Some(65_536),
            max_rate: Some(1.0),
        };
        let second = |s: i64| BootTime(s * 1_000_000_000);
        let at = |s: i64| Stamp {
            boot: second(s),
            utc: UtcTime(0),
        };
        for (measurable, ambiguous) in [(true, false), (false, true)] {
            let mut before = Counter::new(limits);
            before.count(40_000, at(0));
            let mut after = Counter::new(limits);
            after.resume(before.tally().unwrap(), second(400_000), 0, measurable);
            after.count(40_001, at(400_002));
            let window = after.report(UtcTime(0)).unwrap().window;
            assert_eq!((window.delta, window.ambiguous), (1, ambiguous));
        }
    }

    #[test]
    fn a_counter_without_modulus_only_resets() {
        let mut counter = Counter::new(Limits::default());
        let stamp = Stamp::default();
        assert!(!counter.count(10, stamp));
        assert!(!counter.count(12, stamp));
        assert!(counter.count(3, stamp));
        assert_eq!(counter.report(UtcTime(0)).unwrap().window.delta, 5);
    }
}
