//! Parked events on another attempt: one at a time, at a slow pace, in a slot that live events do not need. A pure rule but for
//! the question to the buffer that is under way; `parking` asks it.

use super::parking::answered;
use super::timing::Timing;
use super::uplink::Trouble;
use super::window::Patience;
use crate::backoff::Backoff;
use crate::buffer::{Answered, Closed, DueParked, Parked, Record, Retried};
use crate::model::{ParkClass, ParkedGroup, Position};
use futures_util::future::BoxFuture;
use std::time::{Duration, Instant};

/// How often the buffer is asked although it knows of nothing: somebody may have changed the files.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What the buffer said is that old at most when the event is sent: somebody may have discarded it since.
const FRESH: Duration = Duration::from_secs(1);

/// The buffer's answer: which event is due, how many there are, and where it matters which keys have one.
pub(super) type Due = Result<(DueParked, Vec<ParkedGroup>, Option<Vec<String>>), Closed>;

/// The parked events of one uplink.
pub(super) struct Retries {
    state: State,
    /// What ended, to be told to the buffer.
    pub(super) ended: Vec<(Position, Retried)>,
    /// The question under way.
    pub(super) asking: Option<BoxFuture<'static, Due>>,
    /// How often in a row the MES did not speak of what was sent.
    unheard: u32,
    /// Between attempts that blame the destination as well, since anything was taken.
    rest: Backoff,
    /// It was put back, and nothing was taken before that.
    blamed: Option<Position>,
    /// Something was taken since it was put back.
    others_pass: bool,
    timing: Timing,
    random: fastrand::Rng,
}

enum State {
    /// The buffer is asked then.
    Resting(Instant),
    /// The buffer is asked now.
    Asking,
    /// To be sent when there is a slot; as the buffer said then.
    Ready(Box<Parked>, Instant),
    /// Under way since then.
    Sent(Box<Parked>, Instant),
    /// With the broker; the MES should have spoken of it by then.
    Taken(Taken),
}

struct Taken {
    parked: Box<Parked>,
    sent_at: Instant,
    until: Instant,
}

impl Retries {
    pub(super) fn new(now: Instant, timing: Timing, seed: u64) -> Retries {
        Retries {
            state: State::Resting(now),
            ended: Vec::new(),
            asking: None,
            unheard: 0,
            rest: timing.backoff(seed),
            blamed: None,
            others_pass: false,
            timing,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Whether it is time to ask the buffer; then it is being asked.
    pub(super) fn wants(&mut self, now: Instant) -> bool {
        let wants = matches!(self.state, State::Resting(until) if until <= now);
        if wants {
            self.state = State::Asking;
        }
        wants
    }

    /// When it is time to ask the buffer.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.state {
            State::Resting(until) | State::Taken(Taken { until, .. }) => Some(until),
            State::Asking | State::Ready(..) | State::Sent(..) => None,
        }
    }

    /// The buffer's answer.
    pub(super) fn due(&mut self, due: DueParked, now: Instant) {
        self.asking = None;
        self.state = match due {
            DueParked::Event(parked) => State::Ready(parked, now),
            DueParked::After(wait) => State::Resting(now + self.paced(wait)),
            DueParked::Never => State::Resting(now + ASK_EVERY),
        };
    }

    /// An event was parked: it may be the next one.
    pub(super) fn parked(&mut self, wait: Duration, now: Instant) {
        let paced = now + self.paced(wait);
        if let State::Resting(until) = &mut self.state {
            *until = paced.min(*until);
        }
    }

    fn paced(&self, wait: Duration) -> Duration {
        let least = self.timing.between_retries.min(ASK_EVERY);
        wait.clamp(least, ASK_EVERY)
    }

    /// How many of `allowed` slots live events may use.
    pub(super) fn leaves(&self, allowed: usize) -> usize {
        match self.state {
            State::Sent(..) | State::Taken(_) => allowed.saturating_sub(1),
            // The last slot is the live events': a destination that takes one at a time is not kept from them.
            State::Ready(..) if allowed > 1 => allowed - 1,
            State::Ready(..) | State::Resting(_) | State::Asking => allowed,
        }
    }

    /// Marks the event that waits as sent, where `in_flight` live ones leave it one of `allowed` slots. One that has waited
    /// long is asked for anew first.
    pub(super) fn start(
        &mut self,
        now: Instant,
        in_flight: usize,
        allowed: usize,
    ) -> Option<&Record> {
        let State::Ready(_, said_at) = self.state else {
            return None;
        };
        if in_flight >= allowed {
            return None;
        }
        if now.saturating_duration_since(said_at) > FRESH {
            self.state = State::Resting(now);
            return None;
        }
        let state = std::mem::replace(&mut self.state, State::Asking);
        if let State::Ready(parked, _) = state {
            self.state = State::Sent(parked, now);
        }
        match &self.state {
            State::Sent(parked, _) => Some(&parked.record),
            _ => None,
        }
    }

    /// The event that is under way.
    fn under_way(&self) -> Option<(&Parked, Instant)> {
        match &self.state {
            State::Sent(parked, at) => Some((parked, *at)),
            State::Taken(taken) => Some((&taken.parked, taken.sent_at)),
            State::Ready(..) | State::Resting(_) | State::Asking => None,
        }
    }

    /// When the event that is under way was sent, if it is this one.
    pub(super) fn is_sent(&self, position: Position) -> Option<Instant> {
        let (parked, at) = self.under_way()?;
        (parked.record.position == position).then_some(at)
    }

    /// When the event that is under way, and not with a broker, was sent.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        match &self.state {
            State::Sent(_, at) => Some(*at),
            _ => None,
        }
    }

    /// The broker has the event that is under way: the MES has so long to speak of it.
    pub(super) fn taken(&mut self, now: Instant, patience: Duration) {
        let state = std::mem::replace(&mut self.state, State::Asking);
        self.state = match state {
            State::Sent(parked, sent_at) => State::Taken(Taken {
                parked,
                sent_at,
                until: now + patience,
            }),
            other => other,
        };
    }

    /// Whether the MES should have spoken of the event by now.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        matches!(&self.state, State::Taken(taken) if taken.until <= now)
    }

    /// The MES did not speak of it: the next one goes later each time, for it may be away.
    pub(super) fn unheard(&mut self, now: Instant, answered: Answered, patience: Patience) {
        self.failed(now, answered, None, None);
        let rest = patience.after(self.unheard);
        self.unheard = self.unheard.saturating_add(1);
        self.state = State::Resting(now + rest);
    }

    /// Something was taken: what failed before that did so on its own account.
    pub(super) fn others_pass(&mut self) {
        self.rest.reset();
        self.others_pass = true;
    }

    /// The answer to the event that is under way blames it, or the destination: the next one goes later each time, for the
    /// destination may be away.
    pub(super) fn doubted(&mut self, now: Instant, answered: Answered, at_least: Option<Duration>) {
        self.failed(now, answered, None, at_least);
        let rest = self.rest.next_wait().max(self.timing.between_retries);
        self.state = State::Resting(now + rest);
    }

    /// The MES speaks.
    pub(super) fn heard(&mut self) {
        self.unheard = 0;
    }

    /// The event that is under way was taken: the next one may be, too.
    pub(super) fn delivered(&mut self, now: Instant) {
        if let Some((parked, _)) = self.under_way() {
            let position = parked.record.position;
            self.ended.push((position, Retried::Delivered));
            self.state = State::Resting(now);
        }
    }

    /// The event that is under way was not taken; `at_least` is the wait that the destination asks for.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        answered: Answered,
        rejected: Option<ParkClass>,
        at_least: Option<Duration>,
    ) {
        let Some((parked, _)) = self.under_way() else {
            return;
        };
        let (position, attempts) = (parked.record.position, parked.attempts.saturating_add(1));
        let again = Retried::Again {
            answered,
            rejected,
            wait: self.wait(attempts, at_least),
        };
        self.ended.push((position, again));
        self.state = State::Resting(now + self.timing.between_retries);
    }

    /// The destination takes nothing: the event was not the cause. Where that was said of it before and others were taken
    /// meanwhile, it is.
    pub(super) fn put_back(&mut self, now: Instant, trouble: &Trouble) {
        let position = self.under_way().map(|(parked, _)| parked.record.position);
        if self.blamed == position && std::mem::take(&mut self.others_pass) {
            self.doubted(now, answered(trouble.clone()), trouble.at_least);
            return;
        }
        self.blamed = position;
        self.others_pass = false;
        let state = std::mem::replace(&mut self.state, State::Asking);
        self.state = match state {
            State::Sent(parked, sent_at) => State::Ready(parked, sent_at),
            other => other,
        };
    }

    /// The wait before an event that was just parked is tried again, not before `at_least`.
    pub(super) fn first_wait(&mut self, at_least: Option<Duration>) -> Duration {
        self.wait(1, at_least)
    }

    fn wait(&mut self, attempts: u32, at_least: Option<Duration>) -> Duration {
        let asked = at_least.unwrap_or_default();
        let own = self.timing.retry_wait(attempts, self.random.f64());
        own.max(asked.min(self.timing.longest_asked_wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{Moment, ParkedState};
    use crate::model::{Class, Envelope};

    const SECOND: Duration = Duration::from_secs(1);

    fn parked(seq: u64, attempts: u32) -> DueParked {
        let record = Record {
            position: Position { epoch: 1, seq },
            envelope: Envelope {
                id: uuid::Uuid::nil(),
                run: uuid::Uuid::nil(),
                kind: "operation.completed".into(),
                partition_key: "PRESS-04".into(),
                equipment: None,
                path: Vec::new(),
                time_ns: 0,
            },
            class: Class::Lasting,
            payload: bytes::Bytes::new(),
        };
        DueParked::Event(Box::new(Parked {
            record,
            class: ParkClass::Business,
            state: ParkedState::Rejected,
            attempts,
            first_attempt: Moment::default(),
            last_attempt: Moment::default(),
            answers: Vec::new(),
            audit: Vec::new(),
        }))
    }

    fn ready(attempts: u32, now: Instant) -> Retries {
        let mut retries = Retries::new(now, Timing::default(), 7);
        assert!(retries.wants(now) && !retries.wants(now));
        retries.due(parked(3, attempts), now);
        retries
    }

    #[test]
    fn one_goes_at_a_time_in_a_slot_that_is_free() {
        let now = Instant::now();
        let mut retries = ready(1, now);
        assert_eq!((retries.leaves(8), retries.leaves(1)), (7, 1));
        assert!(retries.start(now, 8, 8).is_none());
        assert!(retries.start(now, 1, 1).is_none());
        assert!(retries.start(now, 0, 0).is_none());
        assert!(retries.start(now, 7, 8).is_some());
        assert!(retries.start(now, 0, 8).is_none());
        assert_eq!(retries.leaves(8), 7);
        retries.put_back(now, &Trouble::new("away"));
        assert!(retries.start(now, 0, 1).is_some());
        assert_eq!(retries.leaves(1), 0);
        retries.delivered(now);
        retries.delivered(now);
        assert_eq!(retries.ended.len(), 1);
        assert_eq!(retries.wake(), Some(now), "the next one at once");
    }

    #[test]
    fn one_that_closes_the_way_for_others_again_and_again_waits_on_its_own() {
        let now = Instant::now();
        let mut retries = ready(1, now);
        for others_pass in [false, false, true] {
            assert!(retries.start(now, 0, 8).is_some());
            if others_pass {
                retries.others_pass();
            }
            retries.put_back(now, &Trouble::new("429"));
        }
        assert!(retries.start(now, 0, 8).is_none());
        assert!(matches!(
            retries.ended.pop(),
            Some((_, Retried::Again { .. }))
        ));
    }

    #[test]
    fn doubts_space_the_attempts_until_something_is_taken() {
        let mut now = Instant::now();
        let mut retries = ready(1, now);
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            assert!(retries.start(now, 0, 8).is_some());
            retries.doubted(now, Answered::default(), None);
            let wake = retries.wake().expect("it rests");
            longest = longest.max(wake - now);
            now = wake;
            assert!(retries.wants(now));
            retries.due(parked(3, 1), now);
        }
        assert!(longest > 20 * SECOND && longest <= 30 * SECOND);
        retries.others_pass();
        assert!(retries.start(now, 0, 8).is_some());
        retries.doubted(now, Answered::default(), None);
        assert_eq!(retries.wake(), Some(now + SECOND));
    }

    #[test]
    fn failures_space_the_attempts_with_one_event_and_with_all() {
        let now = Instant::now();
        let mut longest = Duration::ZERO;
        for attempts in 1..200 {
            let mut retries = ready(attempts, now);
            assert!(retries.start(now, 0, 8).is_some());
            retries.failed(now, Answered::default(), None, None);
            assert_eq!(retries.wake(), Some(now + SECOND));
            let Some((_, Retried::Again { wait, .. })) = retries.ended.pop() else {
                panic!("it failed");
            };
            longest = longest.max(wait);
        }
        assert!(longest > 300 * SECOND && longest <= 600 * SECOND);
    }

    #[test]
    fn what_has_waited_for_its_slot_is_asked_for_anew() {
        let now = Instant::now();
        let mut retries = ready(1, now);
        assert!(retries.start(now + FRESH, 8, 8).is_none(), "no slot");
        assert!(!retries.wants(now + FRESH), "it is there");
        let later = now + 3_600 * SECOND;
        assert!(retries.start(later, 0, 8).is_none());
        assert!(retries.wants(later));
        retries.due(DueParked::Never, later);
        assert!(retries.start(later, 0, 8).is_none(), "it was discarded");
        // The same where the destination was at fault meanwhile.
        let mut retries = ready(1, now);
        assert!(retries.start(now + FRESH, 0, 8).is_some());
        retries.put_back(now, &Trouble::new("away"));
        assert!(retries.start(later, 0, 8).is_none());
        assert!(retries.wants(later));
    }

    #[test]
    fn the_wait_that_is_asked_for_is_kept_within_reason() {
        let now = Instant::now();
        for (asked, least, most) in [(60, 60, 60), (86_400, 600, 600), (0, 0, 10)] {
            let asked = Some(asked * SECOND);
            let mut retries = ready(0, now);
            let first = retries.first_wait(asked);
            assert!(retries.start(now, 0, 8).is_some());
            retries.failed(now, Answered::default(), None, asked);
            let Some((_, Retried::Again { wait, .. })) = retries.ended.pop() else {
                panic!("it failed");
            };
            for wait in [first, wait] {
                assert!((least * SECOND..=most * SECOND).contains(&wait), "{wait:?}");
            }
        }
    }

    #[test]
    fn nothing_due_is_asked_for_again_after_a_while() {
        let now = Instant::now();
        let mut retries = Retries::new(now, Timing::default(), 7);
        for (due, wait) in [
            (DueParked::Never, ASK_EVERY),
            (DueParked::After(Duration::ZERO), SECOND),
            (DueParked::After(9 * SECOND), 9 * SECOND),
            (DueParked::After(600 * SECOND), ASK_EVERY),
        ] {
            retries.due(due, now);
            assert_eq!(retries.wake(), Some(now + wait));
        }
        retries.parked(5 * SECOND, now);
        assert_eq!(retries.wake(), Some(now + 5 * SECOND));
        retries.parked(20 * SECOND, now);
        assert_eq!(retries.wake(), Some(now + 5 * SECOND));
    }
}
