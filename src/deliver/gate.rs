//! When to stop sending to a destination that takes nothing, and when to try it again. A pure rule.
//!
//! Closed by an answer that blames the destination, or may do so. After the wait one event goes alone (`window` says which);
//! its verdict opens the gate or closes it for longer. Lost connections share the back-off: it ends with an acceptance,
//! not with a connection, so that a broker that accepts and drops is not hammered.

use crate::backoff::Backoff;
use std::time::{Duration, Instant};

/// Where an answer may blame the event as well, one that it cannot concern tries the way after that time, or sooner: the
/// others are to wait for a second at the most, answers included.
const ANOTHER_AFTER: Duration = Duration::from_millis(500);

/// The way to one destination.
pub(super) struct Gate {
    state: State,
    backoff: Backoff,
    /// Since an event was taken, an answer left in doubt whose fault it is; it asked to wait until then.
    doubted: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed {
        until: Instant,
        /// Until then where there is an event that nothing was said of.
        another: Instant,
    },
    /// One event at a time since then.
    Trying {
        since: Instant,
    },
}

impl Gate {
    /// Open.
    pub(super) fn new(backoff: Backoff) -> Gate {
        Gate {
            state: State::Open,
            backoff,
            doubted: None,
        }
    }

    /// How many events may be under way, out of `most`. `has_another`: there is one of a machine that was not blamed since
    /// something was taken. Call it with a time that never goes back.
    pub(super) fn allows(&mut self, now: Instant, most: usize, has_another: bool) -> usize {
        if self
            .reopens(has_another)
            .is_some_and(|reopens| reopens <= now)
        {
            self.state = State::Trying { since: now };
        }
        match self.state {
            State::Open => most,
            State::Trying { .. } => most.min(1),
            State::Closed { .. } => 0,
        }
    }

    /// The destination takes nothing, as the answer to an event sent at `sent_at` says. Returns the wait, or `None`
    /// when that event was sent before the gate was closed last: it says nothing new.
    pub(super) fn close(
        &mut self,
        sent_at: Instant,
        now: Instant,
        at_least: Duration,
    ) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => return None,
            State::Trying { since } if sent_at < since => return None,
            State::Open | State::Trying { .. } => {}
        }
        let wait = self.backoff.next_wait().max(at_least);
        let until = now + wait;
        self.state = State::Closed {
            until,
            another: until,
        };
        Some(wait)
    }

    /// The same where the answer may blame the event as well. The wait that it asks for is that of its event, until another
    /// one is put off, too: then it is everybody's.
    pub(super) fn doubt(
        &mut self,
        sent_at: Instant,
        now: Instant,
        asked: Duration,
    ) -> Option<Duration> {
        let wait = self.close(sent_at, now, Duration::ZERO)?;
        let asked_until = self.doubted.max(Some(now + asked));
        let before = std::mem::replace(&mut self.doubted, asked_until);
        let held = match (before, asked_until) {
            (Some(_), Some(until)) => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        };
        let wait = wait.max(held);
        self.state = State::Closed {
            until: now + wait,
            another: now + wait.min(ANOTHER_AFTER).max(held),
        };
        Some(wait)
    }

    /// The same of a sending of several events, which says nothing of any of them.
    pub(super) fn doubt_together(&mut self, sent_at: Instant, now: Instant) -> Option<Duration> {
        let wait = self.close(sent_at, now, Duration::ZERO)?;
        self.state = State::Closed {
            until: now + wait,
            another: now + wait.min(ANOTHER_AFTER),
        };
        Some(wait)
    }

    /// An event sent at `sent_at` was accepted.
    pub(super) fn accepted(&mut self, sent_at: Instant) {
        match self.state {
            State::Closed { .. } => return,
            State::Trying { since } if sent_at < since => return,
            State::Open | State::Trying { .. } => {}
        }
        self.backoff.reset();
        self.state = State::Open;
        self.doubted = None;
    }

    /// An event sent at `sent_at` got a verdict of its own, good or bad: the destination works again.
    pub(super) fn answered(&mut self, sent_at: Instant) {
        if matches!(self.state, State::Trying { since } if since <= sent_at) {
            self.state = State::Open;
            self.doubted = None;
        }
    }

    /// True when nothing is held back.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The connection is lost, or could not be made: the wait before the next attempt.
    pub(super) fn lost(&mut self) -> Duration {
        self.backoff.next_wait()
    }

    /// True while nothing may be sent.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// When it is time to try again.
    pub(super) fn reopens(&self, has_another: bool) -> Option<Instant> {
        match self.state {
            State::Closed { another, .. } if has_another => Some(another),
            State::Closed { until, .. } => Some(until),
            State::Open | State::Trying { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate() -> Gate {
        Gate::new(Backoff::new(SECOND, 30 * SECOND, 7))
    }

    #[test]
    fn a_closed_gate_lets_one_event_try_after_the_wait_and_opens_on_its_acceptance() {
        let start = Instant::now();
        let mut gate = gate();
        assert_eq!(gate.allows(start, 64, false), 64);
        let wait = gate.close(start, start, Duration::ZERO).expect("a wait");
        assert!(wait <= SECOND);
        assert_eq!(gate.reopens(false), Some(start + wait));
        let later = start + wait;
        assert_eq!(gate.allows(later, 64, false), 1);
        gate.accepted(later);
        assert!(gate.is_open());
        assert_eq!(gate.allows(later, 64, false), 64);
    }

    #[test]
    fn answers_to_what_was_sent_before_neither_lengthen_nor_end_the_pause() {
        let start = Instant::now();
        let mut gate = gate();
        let wait = gate.close(start, start, 5 * SECOND).expect("a wait");
        assert_eq!(wait, 5 * SECOND);
        for _ in 0..63 {
            assert_eq!(gate.close(start, start, Duration::ZERO), None);
        }
        gate.accepted(start);
        assert!(!gate.is_open());
        assert_eq!(gate.allows(start, 64, false), 0);
        assert_eq!(gate.allows(start + wait, 64, false), 1);
        gate.accepted(start);
        gate.answered(start);
        assert!(!gate.is_open());
        assert_eq!(gate.close(start, start + wait, Duration::ZERO), None);
        assert_eq!(gate.allows(start + wait, 64, false), 1);
    }

    #[test]
    fn waits_grow_until_something_is_accepted() {
        let mut now = Instant::now();
        let mut gate = gate();
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let wait = gate.close(now, now, Duration::ZERO).expect("a wait");
            longest = longest.max(wait);
            now += wait;
            assert_eq!(gate.allows(now, 64, false), 1);
        }
        assert!(longest > SECOND && longest <= 30 * SECOND, "{longest:?}");
        gate.accepted(now);
        assert!(gate.is_open() && gate.lost() <= SECOND);
    }

    #[test]
    fn a_refusal_of_the_event_that_tries_opens_the_gate_too() {
        let start = Instant::now();
        let mut gate = gate();
        let wait = gate.close(start, start, Duration::ZERO).expect("a wait");
        let later = start + wait;
        assert_eq!(gate.allows(later, 8, false), 1);
        gate.answered(later);
        assert_eq!(gate.allows(later, 8, false), 8);
    }

    #[test]
    fn a_doubt_lets_an_event_that_it_cannot_concern_try_within_half_a_second() {
        let mut now = Instant::now();
        let mut gate = gate();
        for _ in 0..20 {
            let wait = gate.doubt(now, now, Duration::ZERO).expect("a wait");
            let early = wait.min(ANOTHER_AFTER);
            assert_eq!(gate.reopens(true), Some(now + early));
            assert_eq!(gate.reopens(false), Some(now + wait));
            now += early;
            assert_eq!(gate.allows(now, 64, true), 1);
        }
    }

    #[test]
    fn a_wait_that_one_answer_asks_for_is_everybodys_when_another_is_put_off_too() {
        let mut now = Instant::now();
        let mut gate = gate();
        let asked = 60 * SECOND;
        let first = gate.doubt(now, now, asked).expect("a wait");
        assert!(first <= SECOND, "{first:?}");
        now += first;
        assert_eq!(gate.allows(now, 8, true), 1);
        // Also where that one asks for nothing.
        let left = gate.doubt(now, now, Duration::ZERO).expect("a wait");
        assert_eq!(left, asked - first);
        assert_eq!(gate.reopens(true), Some(now + left));
        now += left;
        assert_eq!(gate.allows(now, 8, true), 1);
        assert_eq!(gate.doubt(now, now, asked), Some(asked), "at once");
        now += asked;
        assert_eq!(gate.allows(now, 8, true), 1);
        gate.accepted(now);
        let next = gate.doubt(now, now, asked).expect("a wait");
        assert!(next <= SECOND, "begins anew: {next:?}");
    }

    #[test]
    fn a_sending_of_several_is_no_proof_that_another_was_put_off() {
        let mut now = Instant::now();
        let mut gate = gate();
        for _ in 0..3 {
            let wait = gate.doubt_together(now, now).expect("a wait");
            assert_eq!(gate.reopens(true), Some(now + wait.min(ANOTHER_AFTER)));
            now += wait;
            assert_eq!(gate.allows(now, 8, true), 1);
        }
        let wait = gate.doubt(now, now, 600 * SECOND).expect("a wait");
        assert!(wait <= 30 * SECOND, "{wait:?}");
    }
}
