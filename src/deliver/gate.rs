//! When to stop sending to a destination that takes nothing, and when to try it again. A pure rule.
//!
//! Closed by an answer that blames the destination, or may do so. After the wait one event goes alone (`window` says which);
//! its verdict opens the gate or closes it for longer. The first answer that only may do so waits for what is under way, and
//! then for one event that goes at once: what was sent no earlier and is taken opens the gate. Lost connections share the
//! back-off: it ends with an acceptance, not with a connection, so that a broker that accepts and drops is not hammered.

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
    /// The first event was sent then whose answer left it in doubt, since one was taken: what was sent no earlier and is taken
    /// shows that the way is good.
    proof: Option<Instant>,
    /// Since an event was taken, another one has tried the way at once.
    tried_at_once: bool,
    /// It was closed, and nobody has been told yet: others decide.
    quiet: bool,
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
            proof: None,
            tried_at_once: false,
            quiet: false,
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
        self.proof = None;
        self.quiet = false;
        self.shut(sent_at, now, at_least)
    }

    fn shut(&mut self, sent_at: Instant, now: Instant, at_least: Duration) -> Option<Duration> {
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
        let wait = self.shut(sent_at, now, Duration::ZERO)?;
        let held = self.put_off(now, asked);
        Some(self.leave_to_another(sent_at, now, wait, held))
    }

    /// The same of a sending of several events, which says nothing of any of them.
    pub(super) fn doubt_together(&mut self, sent_at: Instant, now: Instant) -> Option<Duration> {
        let wait = self.shut(sent_at, now, Duration::ZERO)?;
        Some(self.leave_to_another(sent_at, now, wait, Duration::ZERO))
    }

    /// The same of a connection that broke before the answer: what is under way beside it may be on others, and shows nothing.
    pub(super) fn doubt_broken(&mut self, sent_at: Instant, now: Instant) -> Option<Duration> {
        let wait = self.close(sent_at, now, Duration::ZERO)?;
        let held = self.put_off(now, Duration::ZERO);
        let wait = wait.max(held);
        self.state = State::Closed {
            until: now + wait,
            another: now + wait.min(ANOTHER_AFTER).max(held),
        };
        Some(wait)
    }

    /// Notes that an event was put off, which `asked` for that wait: how long all are to wait.
    fn put_off(&mut self, now: Instant, asked: Duration) -> Duration {
        let asked_until = self.doubted.max(Some(now + asked));
        let before = std::mem::replace(&mut self.doubted, asked_until);
        match (before, asked_until) {
            (Some(_), Some(until)) => until.saturating_duration_since(now),
            _ => Duration::ZERO,
        }
    }

    /// Closes it for `wait`, or until another event tries the way: at once for the first time, but not while all are `held`.
    fn leave_to_another(
        &mut self,
        sent_at: Instant,
        now: Instant,
        wait: Duration,
        held: Duration,
    ) -> Duration {
        let wait = wait.max(held);
        self.quiet = !std::mem::replace(&mut self.tried_at_once, true);
        let soon = if self.quiet {
            Duration::ZERO
        } else {
            ANOTHER_AFTER
        };
        self.proof = self.proof.or(Some(sent_at));
        self.state = State::Closed {
            until: now + wait,
            another: now + wait.min(soon).max(held),
        };
        wait
    }

    /// An event sent at `sent_at` was accepted.
    pub(super) fn accepted(&mut self, sent_at: Instant) {
        let proves = self.proof.is_some_and(|since| since <= sent_at);
        match self.state {
            State::Closed { .. } if !proves => return,
            State::Trying { since } if sent_at < since && !proves => return,
            _ => {}
        }
        self.backoff.reset();
        self.open();
        self.tried_at_once = false;
    }

    fn open(&mut self) {
        self.state = State::Open;
        self.doubted = None;
        self.proof = None;
        self.quiet = false;
    }

    /// An event sent at `sent_at` got a verdict of its own, good or bad: the destination works again.
    pub(super) fn answered(&mut self, sent_at: Instant) {
        if matches!(self.state, State::Trying { since } if since <= sent_at) {
            self.open();
        }
    }

    /// The wait that nobody was told of, if there is one and others do not decide any more: it is told now.
    pub(super) fn speaks(&mut self, now: Instant) -> Option<Duration> {
        let until = self.reopens(false)?;
        std::mem::take(&mut self.quiet).then(|| until.saturating_duration_since(now))
    }

    /// True while it is closed for the first time since an event was taken, and what is under way or another event decides.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
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
    fn a_doubt_lets_an_event_that_it_cannot_concern_try_at_once_and_then_within_half_a_second() {
        let mut now = Instant::now();
        let mut gate = gate();
        for nth in 0..20 {
            let wait = gate.doubt(now, now, Duration::ZERO).expect("a wait");
            assert_eq!(gate.is_quiet(), nth == 0);
            let soon = [Duration::ZERO, ANOTHER_AFTER][usize::from(nth > 0)];
            let early = wait.min(soon);
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
            assert!(gate.reopens(true) <= Some(now + wait.min(ANOTHER_AFTER)));
            now += wait;
            assert_eq!(gate.allows(now, 8, true), 1);
        }
        let wait = gate.doubt(now, now, 600 * SECOND).expect("a wait");
        assert!(wait <= 30 * SECOND, "{wait:?}");
    }

    #[test]
    fn what_was_sent_no_earlier_than_the_first_doubted_one_and_is_taken_ends_the_pause() {
        let start = Instant::now();
        let sent_at = start + SECOND;
        let now = sent_at + SECOND;
        let mut gate = gate();
        assert!(gate.doubt(sent_at, now, Duration::ZERO).is_some());
        gate.accepted(start);
        assert_eq!(gate.allows(now, 8, false), 0, "sent before");
        assert_eq!(gate.allows(now, 8, true), 1, "another tries at once");
        gate.accepted(start);
        assert!(!gate.is_open());
        assert!(gate.doubt(now, now, Duration::ZERO).is_some(), "in vain");
        gate.accepted(sent_at);
        assert!(gate.is_open(), "it was under way");
        // One that surely takes nothing, or breaks connections, is not open for what was under way.
        assert!(gate.doubt(now, now, Duration::ZERO).is_some());
        assert_eq!(gate.allows(now, 8, true), 1);
        assert!(gate.close(now, now, Duration::ZERO).is_some());
        gate.accepted(now);
        assert!(!gate.is_open());
        let mut gate = Gate::new(Backoff::new(SECOND, 30 * SECOND, 7));
        assert!(gate.doubt_broken(now, now).is_some());
        gate.accepted(now);
        assert!(!gate.is_open() && !gate.is_quiet());
    }
}
