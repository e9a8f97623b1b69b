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
    /// A fall that the next reading of the reset's tag will explain.
    waiting: Option<Step>,
    /// The most that a reset may have hidden in a rise since that tag was read last.
    hidden: f64,
}

/// What the tag that tells resets says, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// There is none, or it is bad.
    Unknown,
    /// There was a reset since it was last read.
    Fell,
    /// There was none, up to this instant.
    Stands,
    /// There was none up to its last reading; the next is still to come.
    Later,
}

/// From one reading of the counter to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    from: i64,
    to: i64,
    /// Something bad lies between.
    gap: bool,
    /// The most that can have been counted.
    possible: Option<f64>,
}

impl Step {
    fn fits(&self, count: u64) -> bool {
        self.possible
            .is_none_or(|possible| count as f64 <= possible)
    }

    /// What it shows after a reset to zero.
    fn shown(&self) -> u64 {
        u64::try_from(self.to).unwrap_or(0)
    }

    /// What was counted for sure since a reset: set back to something that cannot have been counted, only what can. Where no
    /// rate says that, a fall by less than half shows nothing, unless it is known to be a reset.
    fn sure_after_reset(&self, known: bool) -> u64 {
        let shown = self.shown();
        match self.possible {
            Some(possible) => shown.min(whole(possible)),
            None if known || self.to <= self.from / 2 => shown,
            None => 0,
        }
    }
}

impl Tally {
    fn first(raw: i64, now: Stamp) -> Tally {
        Tally {
            raw,
            seen: now.boot,
            gap: false,
            unmeasured: false,
            total: 0,
            window: Window::from(raw, now.utc),
            waiting: None,
            hidden: 0.0,
        }
    }

    fn add(&mut self, delta: u64, most: u64, ambiguous: bool) {
        let window = &mut self.window;
        window.delta = window.delta.saturating_add(delta);
        window.delta_max = window.delta_max.saturating_add(most.max(delta));
        window.ambiguous |= ambiguous;
        self.total = self.total.saturating_add(delta);
    }
}

/// Whole pieces.
fn whole(count: f64) -> u64 {
    count.max(0.0).floor() as u64
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
    pub fn count(&mut self, raw: i64, now: Stamp, reset: Reset) -> bool {
        let Some(mut tally) = self.tally else {
            self.tally = Some(Tally::first(raw, now));
            return false;
        };
        let elapsed_s = now.boot.seconds_since(tally.seen);
        let step = Step {
            from: tally.raw,
            to: raw,
            gap: tally.gap,
            possible: self.possible(elapsed_s).filter(|_| !tally.unmeasured),
        };
        let was_reset = if step.to >= step.from {
            self.rise(&mut tally, step, reset);
            reset == Reset::Fell
        } else {
            self.fall(&mut tally, step, reset)
        };
        tally.raw = raw;
        tally.seen = now.boot;
        tally.gap = false;
        tally.unmeasured = false;
        self.tally = Some(tally);
        was_reset
    }

    /// The tag that tells resets was read by itself: `fell` says that there was one since it was last read. True when that
    /// explains a fall that waited for it; else a reset is still to be seen in the count.
    pub fn reset_read(&mut self, fell: bool) -> Option<bool> {
        let mut tally = self.tally?;
        let step = tally.waiting.take();
        let settled = step.map(|step| self.decide(&mut tally, step, Some(fell)));
        if fell && settled.is_some() {
            tally.window.delta_max = tally.window.delta_max.saturating_add(whole(tally.hidden));
        }
        if settled.is_some() || !fell {
            tally.hidden = 0.0;
        }
        self.tally = Some(tally);
        settled
    }

    /// The most that can have been counted in `elapsed_s`; `None` without `max_rate`.
    fn possible(&self, elapsed_s: f64) -> Option<f64> {
        // One more, since the last count may have been just before the last reading.
        self.limits
            .max_rate
            .map(|rate| rate * elapsed_s.max(0.0) + 1.0)
    }

    fn rise(&self, tally: &mut Tally, step: Step, reset: Reset) {
        let up = step.to.abs_diff(step.from);
        let mut most = self.with_more_turns(up, step.possible);
        // Also a jump that is faster than can be: a glitch, or a limit that is set too low.
        let hides_reset = step.gap && up > 0 && step.fits(step.to.unsigned_abs());
        let mut ambiguous = hides_reset || !step.fits(up) || most > up;
        if hides_reset {
            most = most.max(whole(step.possible.unwrap_or(0.0)));
        }
        if reset == Reset::Fell {
            // It was set back and has come further than it was, before this reading or before one of the last.
            tally.window.resets += 1;
            let hidden = step.possible.unwrap_or(0.0).max(tally.hidden);
            most = most.max(step.shown()).saturating_add(whole(hidden));
            tally.hidden = 0.0;
            ambiguous = true;
        } else {
            tally.hidden = tally.hidden.max(step.possible.unwrap_or(0.0));
        }
        tally.add(up, most, ambiguous);
    }

    fn fall(&self, tally: &mut Tally, step: Step, reset: Reset) -> bool {
        let before = tally.waiting.take();
        let earlier = before.is_some_and(|before| self.decide(tally, before, None));
        let now = match reset {
            Reset::Later => {
                tally.waiting = Some(step);
                false
            }
            Reset::Fell => {
                let hidden = whole(std::mem::take(&mut tally.hidden));
                tally.window.delta_max = tally.window.delta_max.saturating_add(hidden);
                self.decide(tally, step, Some(true))
            }
            Reset::Stands => self.decide(tally, step, Some(false)),
            Reset::Unknown => self.decide(tally, step, None),
        };
        earlier || now
    }

    /// What a fall was: `was_reset` where a tag says it. True for a reset.
    fn decide(&self, tally: &mut Tally, step: Step, was_reset: Option<bool>) -> bool {
        let fallen = step.from.abs_diff(step.to);
        let around = self
            .limits
            .modulus
            .and_then(|modulus| modulus.checked_sub(fallen));
        match around.filter(|around| step.fits(*around)) {
            Some(around) if was_reset != Some(true) => {
                let unsure = step.gap || self.may_come_from_anywhere(step.possible);
                let unsure = unsure && was_reset.is_none();
                let mut most = self.with_more_turns(around, step.possible);
                let ambiguous = unsure || most > around;
                if unsure {
                    most = most.max(whole(step.possible.unwrap_or(0.0)));
                }
                tally.window.wraps += 1;
                tally.add(around, most, ambiguous);
                false
            }
            _ if was_reset == Some(false) => {
                // Neither: somebody took something off, or the value was wrong.
                let most = whole(step.possible.unwrap_or(0.0));
                tally.add(0, most, true);
                false
            }
            _ => {
                let sure = step.sure_after_reset(was_reset == Some(true));
                let most = step.shown().max(whole(step.possible.unwrap_or(0.0)));
                tally.window.resets += 1;
                tally.add(sure, most, step.shown() > sure);
                true
            }
        }
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

    /// Counts a fall that still waits to be explained: the window ends.
    pub fn settle(&mut self) -> Option<()> {
        let mut tally = self.tally?;
        let step = tally.waiting.take()?;
        self.decide(&mut tally, step, None);
        self.tally = Some(tally);
        Some(())
    }

    /// Ends the window at `now`; `None` when nothing was counted and nothing happened.
    pub fn report(&mut self, now: UtcTime) -> Option<Counted> {
        self.settle();
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
mod tests;
