//! A condition over time: debounced, three-valued, firing on its change. Pure: time comes in, the next wake-up goes out.
//!
//! The settled value changes only after the new one has held for `debounce`; the edge keeps the time at which it began.
//! Unknown never changes it: after an unknown stretch the last known value is compared with the first known one, and an
//! edge found so is uncertain in time. The first value ever known settles without firing.

use super::condition::Known;
use crate::model::{BootTime, Stamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A change of the settled value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// What it changed to.
    pub to: bool,
    /// When it began to hold.
    pub at: Stamp,
    /// It may have been earlier: the stretch before it is unknown.
    pub uncertain: bool,
    /// By how much; `None` also where a reboot without a synchronised clock hides it.
    pub uncertainty: Option<Duration>,
}

/// What an observation did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    Same,
    /// A change began; it fires if it holds.
    Began(Edge),
    /// The change that had begun did not hold.
    Cancelled,
    /// The settled value changed. Without a debounce there was no `Began` before it.
    Fired(Edge),
}

/// What must survive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    settled: Option<bool>,
    unknown_since: Option<BootTime>,
    /// The unknown stretch has a reboot in it that cannot be measured.
    unmeasured: bool,
}

impl Memory {
    /// Carries the memory over a restart: nothing was seen since `since`, and boot times move by `shift_ns`.
    #[must_use]
    pub fn resumed(mut self, since: BootTime, shift_ns: i64, measurable: bool) -> Memory {
        let since = self.unknown_since.unwrap_or(since);
        self.unknown_since = self.settled.map(|_| since.shifted(shift_ns));
        self.unmeasured |= !measurable;
        self
    }

    /// The last settled value.
    #[must_use]
    pub fn settled(self) -> Option<bool> {
        self.settled
    }
}

/// A condition over time.
#[derive(Clone, Debug, Default)]
pub struct Trigger {
    debounce: Duration,
    memory: Memory,
    pending: Option<Edge>,
}

impl Trigger {
    /// A trigger whose change must hold for `debounce`.
    #[must_use]
    pub fn new(debounce: Duration) -> Trigger {
        Trigger {
            debounce,
            ..Trigger::default()
        }
    }

    /// Goes on with what an earlier run knew.
    pub fn resume(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// How long a change must hold.
    #[must_use]
    pub fn debounce(&self) -> Duration {
        self.debounce
    }

    /// What must survive a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// The settled value; `None` before the first known one.
    #[must_use]
    pub fn settled(&self) -> Option<bool> {
        self.memory.settled
    }

    /// Since when the condition has not been known; `None` while it is, and before it was known once.
    #[must_use]
    pub fn unknown_since(&self) -> Option<BootTime> {
        self.memory.unknown_since
    }

    /// The condition was evaluated at `now`.
    pub fn observe(&mut self, known: Known, now: Stamp) -> Step {
        let Some(value) = known.value() else {
            if self.memory.settled.is_some() && self.memory.unknown_since.is_none() {
                self.memory.unknown_since = Some(now.boot);
            }
            return self.cancel();
        };
        let unknown_since = self.memory.unknown_since.take();
        let measured = !std::mem::take(&mut self.memory.unmeasured);
        match self.memory.settled {
            None => {
                self.memory.settled = Some(value);
                Step::Same
            }
            Some(settled) if settled == value => self.cancel(),
            Some(_) if self.pending.is_some() => Step::Same,
            Some(_) => self.begin(Edge {
                to: value,
                at: now,
                uncertain: unknown_since.is_some(),
                uncertainty: unknown_since
                    .filter(|_| measured)
                    .map(|since| now.boot.since(since)),
            }),
        }
    }

    /// A change that began and whose debounce runs.
    #[must_use]
    pub fn pending(&self) -> Option<Edge> {
        self.pending
    }

    /// A change that began counts as having held: what waited for it cannot wait any longer.
    pub fn settle(&mut self) -> Option<Edge> {
        let edge = self.pending.take()?;
        self.memory.settled = Some(edge.to);
        Some(edge)
    }

    /// When [`Trigger::expire`] must be called.
    #[must_use]
    pub fn due(&self) -> Option<BootTime> {
        self.pending.map(|edge| edge.at.boot.plus(self.debounce))
    }

    /// Settles a change that has held long enough at `now`.
    pub fn expire(&mut self, now: BootTime) -> Option<Edge> {
        if self.due()? > now {
            return None;
        }
        self.settle()
    }

    fn begin(&mut self, edge: Edge) -> Step {
        if self.debounce.is_zero() {
            self.memory.settled = Some(edge.to);
            return Step::Fired(edge);
        }
        self.pending = Some(edge);
        Step::Began(edge)
    }

    fn cancel(&mut self) -> Step {
        if self.pending.take().is_some() {
            Step::Cancelled
        } else {
            Step::Same
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn at(ms: i64) -> Stamp {
        Stamp {
            boot: BootTime(ms * 1_000_000),
            utc: UtcTime(ms * 1_000_000),
        }
    }

    /// Plays `(ms, T | F | ?)` and gives the edges that fire as `(ms, to, uncertainty in ms)`.
    #[track_caller]
    fn check(debounce_ms: u64, input: &[(i64, char)], expected: &[(i64, bool, Option<u64>)]) {
        let mut trigger = Trigger::new(Duration::from_millis(debounce_ms));
        let mut fired = Vec::new();
        for (ms, letter) in input {
            fired.extend(trigger.expire(at(*ms).boot));
            let known = match letter {
                'T' => Known::True,
                'F' => Known::False,
                _ => Known::Unknown,
            };
            if let Step::Fired(edge) = trigger.observe(known, at(*ms)) {
                fired.push(edge);
            }
        }
        fired.extend(trigger.expire(at(1_000_000).boot));
        let seen: Vec<_> = fired
            .iter()
            .map(|edge| {
                (
                    edge.at.boot.0 / 1_000_000,
                    edge.to,
                    edge.uncertainty
                        .map(|d| u64::try_from(d.as_millis()).unwrap()),
                )
            })
            .collect();
        assert_eq!(seen, expected, "{input:?}");
    }

    #[test]
    fn the_first_known_value_fires_nothing() {
        check(0, &[(0, '?'), (1, 'T'), (2, 'T')], &[]);
        check(30, &[(0, 'T'), (1, '?'), (2, 'T')], &[]);
    }

    #[test]
    fn a_change_fires_and_an_unknown_stretch_makes_it_uncertain() {
        check(
            0,
            &[(0, 'F'), (5, 'T'), (9, 'F')],
            &[(5, true, None), (9, false, None)],
        );
        check(0, &[(0, 'F'), (5, '?'), (9, 'T')], &[(9, true, Some(4))]);
        check(0, &[(0, 'T'), (5, '?'), (6, '?'), (9, 'T')], &[]);
    }

    #[test]
    fn chatter_keeps_the_time_of_the_edge_that_held() {
        check(
            30,
            &[(0, 'F'), (10, 'T'), (20, 'F'), (28, 'T'), (100, 'T')],
            &[(28, true, None)],
        );
        check(30, &[(0, 'F'), (10, 'T'), (39, 'F')], &[]);
        // Held for exactly the debounce: it held that long.
        check(
            30,
            &[(0, 'F'), (10, 'T'), (40, 'F')],
            &[(10, true, None), (40, false, None)],
        );
        // A drop-out shorter than the debounce is no change either.
        check(
            30,
            &[(0, 'F'), (10, 'T'), (50, 'F'), (60, 'T'), (90, 'T')],
            &[(10, true, None)],
        );
    }

    #[test]
    fn unknown_cancels_what_had_begun() {
        check(
            30,
            &[(0, 'F'), (10, 'T'), (20, '?'), (100, 'T')],
            &[(100, true, Some(80))],
        );
    }

    #[test]
    fn an_edge_in_the_down_time_fires_once_after_it() {
        let mut before = Trigger::new(Duration::ZERO);
        before.observe(Known::False, at(0));
        let mut after = Trigger::new(Duration::ZERO);
        after.resume(before.memory().resumed(at(10).boot, 0, true));
        assert_eq!(after.observe(Known::Unknown, at(20)), Step::Same);
        let Step::Fired(edge) = after.observe(Known::True, at(60)) else {
            panic!("no edge");
        };
        assert_eq!(edge.uncertainty, Some(Duration::from_millis(50)));
        assert_eq!(after.observe(Known::True, at(61)), Step::Same);
    }
}
