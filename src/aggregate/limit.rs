//! One limit on the raw values of a parameter, over one operation. Pure: time comes in, the next wake-up goes out.
//!
//! Exceeded when a value is outside for `hold`, cleared when it is on the right side by `hysteresis` for `hold`; both carry
//! the time of the edge that held. What is bad neither exceeds nor clears. A limit that flutters is told a few times a
//! minute only. Times are nanoseconds since the operation's start, as in `statistics`.

use crate::model::{Side, UtcTime};
use serde::{Deserialize, Serialize};

/// Most exceedings told in a minute, by limit: one in six seconds is all that somebody can act on. Further ones are counted.
pub const TOLD_PER_MINUTE: u8 = 10;
const MINUTE: i64 = 60_000_000_000;

/// A limit of the settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Which side of it is outside.
    pub side: Side,
    /// The limit itself is inside.
    pub at: f64,
    /// It is cleared that much on the right side of it.
    pub hysteresis: f64,
    /// Nanoseconds for which a value must be outside, or inside again.
    pub hold: i64,
}

impl Threshold {
    fn is_outside(&self, value: f64) -> bool {
        match self.side {
            Side::High => value > self.at,
            Side::Low => value < self.at,
        }
    }

    fn is_clear(&self, value: f64) -> bool {
        match self.side {
            Side::High => value <= self.at - self.hysteresis,
            Side::Low => value >= self.at + self.hysteresis,
        }
    }

    fn farther(&self, one: f64, other: f64) -> f64 {
        match self.side {
            Side::High => one.max(other),
            Side::Low => one.min(other),
        }
    }
}

/// A value, since when, and the label of that time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Nanoseconds since the start of the operation.
    pub t: i64,
    /// The same instant in UTC.
    pub utc: UtcTime,
    /// The value.
    pub value: f64,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Crossing {
    /// Outside for `hold`, since then.
    Exceeded(Reached),
    /// Inside again.
    Cleared {
        /// Since when, and by which value.
        back: Reached,
        /// The farthest value.
        peak: f64,
        /// The last value before it came back.
        outside: f64,
        /// When it was exceeded.
        since: i64,
        /// A reboot without a synchronised clock lies between.
        broken: bool,
    },
}

impl Crossing {
    /// When it happened.
    #[must_use]
    pub fn reached(&self) -> Reached {
        match self {
            Crossing::Exceeded(reached) | Crossing::Cleared { back: reached, .. } => *reached,
        }
    }

    /// When what it is about began.
    #[must_use]
    pub fn since(&self) -> i64 {
        match self {
            Crossing::Exceeded(reached) => reached.t,
            Crossing::Cleared { since, .. } => *since,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum State {
    #[default]
    Inside,
    /// Outside, not yet for `hold`.
    Leaving {
        first: Reached,
        last: f64,
        peak: f64,
    },
    Exceeded {
        first: Reached,
        last: f64,
        outside: f64,
        peak: f64,
        /// Inside again, not yet for `hold`.
        back: Option<Reached>,
        /// False when there was no room for it in its minute.
        told: bool,
        /// A reboot that cannot be measured lies in it.
        broken: bool,
    },
}

/// A limit over one operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    state: State,
    /// Start of the minute in which exceedings are counted.
    minute: i64,
    told: u8,
    held_back: u32,
}

impl Watch {
    /// A good or uncertain value. Time has passed up to it: [`Watch::expire`] was asked first.
    pub fn value(&mut self, limit: &Threshold, now: Reached) -> Option<Crossing> {
        match &mut self.state {
            State::Inside if limit.is_outside(now.value) => {
                self.state = State::Leaving {
                    first: now,
                    last: now.value,
                    peak: now.value,
                };
                self.expire(limit, now.t)
            }
            State::Inside => None,
            State::Leaving { last, peak, .. } if limit.is_outside(now.value) => {
                *last = now.value;
                *peak = limit.farther(*peak, now.value);
                None
            }
            State::Leaving { .. } => {
                self.state = State::Inside;
                None
            }
            State::Exceeded {
                last,
                outside,
                peak,
                back,
                ..
            } => {
                *last = now.value;
                *peak = limit.farther(*peak, now.value);
                if limit.is_clear(now.value) {
                    back.get_or_insert(now);
                } else {
                    *outside = now.value;
                    *back = None;
                }
                self.expire(limit, now.t)
            }
        }
    }

    /// A bad value, or nothing is known: what had begun is not known to have held.
    pub fn unknown(&mut self) {
        match &mut self.state {
            State::Inside => {}
            State::Leaving { .. } => self.state = State::Inside,
            State::Exceeded { back, .. } => *back = None,
        }
    }

    /// When [`Watch::expire`] has something to do.
    #[must_use]
    pub fn due(&self, limit: &Threshold) -> Option<i64> {
        match &self.state {
            State::Inside => None,
            State::Leaving { first, .. } => Some(first.t.saturating_add(limit.hold)),
            State::Exceeded {
                back: Some(back), ..
            } => Some(back.t.saturating_add(limit.hold)),
            State::Exceeded { told: false, .. } => Some(self.minute.saturating_add(MINUTE)),
            State::Exceeded { .. } => None,
        }
    }

    /// Settles what has held long enough at `t`.
    pub fn expire(&mut self, limit: &Threshold, t: i64) -> Option<Crossing> {
        if self.due(limit)? > t {
            return None;
        }
        match self.state {
            State::Inside => None,
            State::Leaving { first, last, peak } => {
                let told = self.may_tell(t);
                self.state = State::Exceeded {
                    first,
                    last,
                    outside: last,
                    peak,
                    back: None,
                    told,
                    broken: false,
                };
                self.held_back += u32::from(!told);
                told.then_some(Crossing::Exceeded(first))
            }
            State::Exceeded {
                back: Some(back), ..
            } => self.clear(back),
            // It flutters no more and is still outside: somebody must hear of it.
            State::Exceeded { first, .. } => {
                let now_told = self.may_tell(t);
                if let State::Exceeded { told, .. } = &mut self.state {
                    *told = now_told;
                }
                now_told.then_some(Crossing::Exceeded(first))
            }
        }
    }

    /// The operation ends, or `while:` does, at `t`: an exceeding that was told is over.
    pub fn end(&mut self, t: i64, utc: UtcTime) -> Option<Crossing> {
        match self.state {
            State::Exceeded { last: value, .. } => self.clear(Reached { t, utc, value }),
            _ => {
                self.state = State::Inside;
                None
            }
        }
    }

    /// Carries it over a restart: nothing is known of the time between, which may not be measurable.
    pub fn resume(&mut self, measurable: bool) {
        self.unknown();
        if let State::Exceeded { broken, .. } = &mut self.state {
            *broken |= !measurable;
        }
    }

    /// Exceedings that were not told since this was last asked.
    pub fn take_held_back(&mut self) -> u32 {
        std::mem::take(&mut self.held_back)
    }

    fn clear(&mut self, back: Reached) -> Option<Crossing> {
        let State::Exceeded {
            first,
            outside,
            peak,
            told,
            broken,
            ..
        } = std::mem::take(&mut self.state)
        else {
            return None;
        };
        told.then_some(Crossing::Cleared {
            back,
            peak,
            outside,
            since: first.t,
            broken,
        })
    }

    fn may_tell(&mut self, t: i64) -> bool {
        if t.saturating_sub(self.minute) >= MINUTE {
            self.minute = t;
            self.told = 0;
        }
        let room = self.told < TOLD_PER_MINUTE;
        self.told += u8::from(room);
        room
    }
}

#[cfg(test)]
mod tests;
