//! Whether the MES still gives its verdicts (`acknowledge: mes`), and when to knock while it does not. A pure rule.
//!
//! An overdue verdict while others came blames the event. An overdue verdict and nothing since it was sent means that the MES
//! is away: then one event is sent again at a time, less and less often, until any verdict comes.

use super::window::Patience;
use crate::model::Position;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// So often it is the oldest event that knocks; from then on every other time another one, in case the MES never speaks of
/// the oldest.
const OLDEST_FIRST: usize = 3;

/// So many events that the MES wants later, and none that it took in between: it takes nothing at present.
const PUT_OFF_BY_ALL: usize = 64;

/// The MES behind one broker.
pub(super) struct Answering {
    /// How long its word is waited for.
    pub(super) patience: Patience,
    /// Its verdicts come here, for the log.
    answers: String,
    state: State,
    heard: Option<Instant>,
    /// Events that it wants later, since it took one.
    put_off: HashSet<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Speaks,
    Silent {
        /// How often it was knocked.
        knocks: usize,
        again: Instant,
    },
}

impl Answering {
    /// Nothing is known yet. `answers` is the topic of its verdicts.
    pub(super) fn new(patience: Patience, answers: String) -> Answering {
        Answering {
            patience,
            answers,
            state: State::Speaks,
            heard: None,
            put_off: HashSet::new(),
        }
    }

    /// It took an event.
    pub(super) fn takes(&mut self) {
        self.put_off.clear();
    }

    /// It wants an event later. True when it wants all of them later.
    pub(super) fn puts_off(&mut self, position: Position) -> bool {
        if self.put_off.len() < PUT_OFF_BY_ALL {
            self.put_off.insert(position);
        }
        self.wants_nothing()
    }

    /// True while it wants all events later.
    pub(super) fn wants_nothing(&self) -> bool {
        self.put_off.len() >= PUT_OFF_BY_ALL
    }

    /// A verdict came. True when that ends a silence.
    pub(super) fn hears(&mut self, now: Instant) -> bool {
        self.heard = Some(now);
        std::mem::replace(&mut self.state, State::Speaks) != State::Speaks
    }

    /// Nothing is left that it is silent about.
    pub(super) fn forgets(&mut self) {
        self.state = State::Speaks;
    }

    /// Whether it spoke since that time.
    pub(super) fn has_spoken_since(&self, sent_at: Instant) -> bool {
        self.heard.is_some_and(|heard| heard >= sent_at)
    }

    /// A verdict is overdue, and nothing was heard since its event was sent.
    pub(super) fn falls_silent(&mut self, now: Instant) {
        self.state = State::Silent {
            knocks: 0,
            again: now,
        };
    }

    /// Why nothing is sent, for people.
    pub(super) fn reason(&self) -> String {
        format!(
            "the MES said nothing for {} s: does it run, does it get the events, and does it publish its verdicts to {}, which this client must be allowed to read?",
            self.patience.first.as_secs_f64(),
            self.answers
        )
    }

    /// How often it was knocked in this silence.
    pub(super) fn knocks(&self) -> usize {
        match self.state {
            State::Silent { knocks, .. } => knocks,
            State::Speaks => 0,
        }
    }

    /// True while no verdicts come.
    pub(super) fn is_silent(&self) -> bool {
        self.state != State::Speaks
    }

    /// How far behind the oldest event stands the one that is to knock now; `None` when it is not time.
    pub(super) fn knocks_with(&self, now: Instant) -> Option<usize> {
        match self.state {
            State::Silent { knocks, again } if again <= now => {
                let beyond = knocks.saturating_sub(OLDEST_FIRST);
                Some(if beyond % 2 == 1 {
                    beyond.div_ceil(2)
                } else {
                    0
                })
            }
            State::Silent { .. } | State::Speaks => None,
        }
    }

    /// It was knocked. Returns the time until the next one.
    pub(super) fn knocked(&mut self, now: Instant) -> Duration {
        let State::Silent { knocks, .. } = self.state else {
            return Duration::ZERO;
        };
        let times = u32::try_from(knocks).unwrap_or(u32::MAX).saturating_add(1);
        let wait = self.patience.after(times);
        self.state = State::Silent {
            knocks: knocks + 1,
            again: now + wait,
        };
        wait
    }

    /// When it is time to knock.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        match self.state {
            // What is overdue waits for something else than time.
            State::Silent { again, .. } => (again > now).then_some(again),
            State::Speaks => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_mes_that_puts_off_all_events_is_told_from_one_that_puts_off_the_same_again() {
        let patience = Patience {
            first: SECOND,
            longest: SECOND,
        };
        let mut mes = Answering::new(patience, String::new());
        let at = |seq| Position { epoch: 1, seq };
        assert!((0..1_000).all(|_| !mes.puts_off(at(1))));
        assert!((1..64).all(|seq| !mes.puts_off(at(seq))));
        assert!(mes.puts_off(at(64)) && mes.puts_off(at(1)));
        mes.takes();
        assert!(!mes.puts_off(at(1)));
    }

    #[test]
    fn a_silence_is_knocked_at_less_and_less_often_and_mostly_with_the_oldest() {
        let mut now = Instant::now();
        let patience = Patience {
            first: 30 * SECOND,
            longest: 600 * SECOND,
        };
        let mut mes = Answering::new(patience, "ACME/P1/_gw/g/ack".into());
        assert_eq!((mes.knocks_with(now), mes.is_silent()), (None, false));
        mes.falls_silent(now);
        assert!(mes.reason().contains("ACME/P1/_gw/g/ack"));
        let mut knocks = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..9 {
            knocks.push(mes.knocks_with(now).expect("it is time"));
            let wait = mes.knocked(now);
            assert_eq!(mes.knocks_with(now + wait - SECOND), None);
            assert_eq!(mes.wake(now), Some(now + wait));
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(knocks, [0, 0, 0, 0, 1, 0, 2, 0, 3]);
        assert_eq!(waits, [60, 120, 240, 480, 600, 600, 600, 600, 600]);
        assert!(mes.hears(now) && !mes.hears(now) && !mes.is_silent());
        assert!(mes.has_spoken_since(now) && !mes.has_spoken_since(now + SECOND));
    }
}
