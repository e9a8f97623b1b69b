//! What follows when an event of a window is not taken: another attempt, or a file of its own. Pure.

use super::super::uplink::{Doubt, Terms};
use super::line::FAILURES_BEFORE_ASIDE;
use super::lists::Stage;
use super::{HELD_BYTES, HELD_EVENTS, Window};
use crate::buffer::MAX_ABOVE;
use crate::buffer::Record;
use crate::model::Position;
use std::time::{Duration, Instant};

/// An event that fails that often while others pass is parked.
pub(super) const SUSPECT_FAILURES: u32 = 20;
/// A connection that is lost that often with the same event as the oldest one: the event waits, to see whether others pass.
const SUSPECT_LOSSES: u32 = 20;
/// So many others must have passed since a key fails, before its events are parked to make room: a destination that fails
/// for all begins to do so within fewer.
const PASSED_BEFORE_HELD: u64 = 64;
/// A longer wait that is asked for with an event is not waited for by the later ones of its key: as long as they wait for one
/// that fails without being asked.
const LONGEST_IN_LINE: Duration = Duration::from_secs(3);
/// How often an event is tried again that conflicts with what the destination has.
const CONFLICT_RETRIES: u32 = 3;

/// How an event failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Failure {
    /// The destination refused it.
    Refused,
    /// It conflicts with what the destination has.
    Conflict,
    /// No verdict.
    Unanswered,
    /// The connection broke before the answer.
    Broken,
    /// An answer that may blame the destination, while others are taken.
    Doubted(Doubt),
}

/// What an answer means that may blame the destination as well as the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Doubted {
    /// It is the event's own: others are taken.
    Own,
    /// Others are taken that were sent no earlier: the way is good, and the event goes again after that wait of its own.
    Passing(Duration),
    /// There is no telling yet. The event is due again, when the wait is over that was asked for; it was sent at that time.
    Unclear(Instant),
    /// The same where its connection broke.
    Broke(Instant),
    /// Nor any of the others of its sending: each goes alone. It was sent at that time.
    Together(Instant),
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Consequence {
    /// It is tried again after that time.
    Again(Duration),
    /// It is tried again when another one of its lane was taken.
    Waits,
    /// It is to be parked: it fails again and again while others pass.
    Suspect,
    /// It is to be parked: the conflict stays.
    StillInConflict,
}

impl Window {
    /// The event failed, and is tried again after its own back-off and not before `at_least`, or is to be parked. Returns when
    /// it was sent, and what follows.
    pub(in crate::deliver) fn fail(
        &mut self,
        position: Position,
        now: Instant,
        at_least: Option<Duration>,
        failure: Failure,
    ) -> Option<(Instant, Consequence)> {
        let sent_at = self.under_way(position)?;
        let lane = self.lane(position)?;
        let others_pass = self.others_pass(position, &lane);
        let since = match failure {
            Failure::Broken => now,
            Failure::Refused | Failure::Conflict | Failure::Unanswered | Failure::Doubted(_) => {
                sent_at
            }
        };
        self.blame.fails(since, &lane);
        let passed_since = self.passed > self.entries.get(&position)?.passed_before;
        // Where its way is at fault, the event is no suspect.
        if failure == Failure::Doubted(Doubt::Way) {
            self.note_failing(position);
        } else {
            self.count_failure(position);
        }
        let passed = self.passed;
        let entry = self.entries.get_mut(&position)?;
        entry.passed_before = passed;
        if failure == Failure::Conflict {
            entry.conflicts += 1;
        }
        if entry.conflicts > CONFLICT_RETRIES {
            return Some((sent_at, Consequence::StillInConflict));
        }
        if entry.failures >= SUSPECT_FAILURES && failure != Failure::Doubted(Doubt::Way) {
            return Some((sent_at, Consequence::Suspect));
        }
        entry.unanswered = matches!(failure, Failure::Unanswered | Failure::Broken);
        entry.failed_at = Some(since);
        entry.fails = entry.fails.saturating_add(1);
        entry.own |= matches!(failure, Failure::Doubted(_));
        let fails = entry.fails;
        let proven = passed_since
            || at_least.is_some()
            || !matches!(failure, Failure::Unanswered | Failure::Broken);
        self.note_proof(position, proven);
        // What the MES says of an event is about that event.
        let of_its_lane = !matches!(failure, Failure::Refused | Failure::Conflict)
            && others_pass
            && !self.lists.is_strict();
        if of_its_lane && self.waits_for_its_lane(position, &lane) {
            let wait = self.next_wait(position, at_least);
            if let Some(entry) = self.entries.get_mut(&position) {
                entry.not_before = Some(now + wait);
            }
            self.stage(position, Stage::Waiting);
            return Some((sent_at, Consequence::Waits));
        }
        let wait = self.postpone(position, now, at_least);
        let asks_long = others_pass && at_least.is_some_and(|asked| asked > LONGEST_IN_LINE);
        let fails = if asks_long {
            fails.max(FAILURES_BEFORE_ASIDE)
        } else {
            fails
        };
        self.lists.failed(position, &lane.key, fails);
        if of_its_lane {
            self.tries_lane(position, lane);
        }
        Some((sent_at, Consequence::Again(wait)))
    }

    /// An answer to the event may blame the destination as well. It is the event's own where others are taken; else the
    /// event is due again after the wait that was `asked` for. Later ones of its key do not wait for that if it is long.
    pub(in crate::deliver) fn doubt(
        &mut self,
        position: Position,
        now: Instant,
        asked: Duration,
    ) -> Option<Doubted> {
        let sent_at = self.under_way(position)?;
        let lane = self.lane(position)?;
        self.entries.get_mut(&position)?.broken = 0;
        let until = (!asked.is_zero()).then(|| now + asked);
        let others_pass = self.others_pass(position, &lane);
        let doubted = match self.weigh(position, (sent_at, sent_at), others_pass) {
            None => self.is_unclear(position, sent_at, now, until),
            Some(known) => known,
        };
        let goes_again = matches!(doubted, Doubted::Unclear(_) | Doubted::Passing(_));
        if asked > LONGEST_IN_LINE && goes_again {
            self.lists
                .failed(position, &lane.key, FAILURES_BEFORE_ASIDE);
        }
        Some(doubted)
    }

    /// The event is due again, not before `until`, or rests for a while as soon as others are known to be taken.
    fn is_unclear(
        &mut self,
        position: Position,
        sent_at: Instant,
        now: Instant,
        until: Option<Instant>,
    ) -> Doubted {
        let first_wait = self.timing.backoff(self.seeds.u64(..)).next_wait();
        let rests = until.unwrap_or(now + first_wait).max(now + first_wait);
        if self.blame.has_taken_since(sent_at) {
            self.stage(position, Stage::Postponed(rests));
            return Doubted::Passing(rests.saturating_duration_since(now));
        }
        match until {
            None => {
                self.stage(position, Stage::Due);
                self.doubted.insert(position, rests);
            }
            Some(until) => self.stage(position, Stage::Postponed(until)),
        }
        Doubted::Unclear(sent_at)
    }

    /// The connection broke before the answer to the event. It is the event's own where others are taken that were sent since
    /// it failed before, and before it was sent again: what was taken shortly before an outage began proves nothing, nor what was
    /// taken after its end, while the news of this break was on its way.
    pub(in crate::deliver) fn breaks(
        &mut self,
        position: Position,
        now: Instant,
    ) -> Option<Doubted> {
        let sent_at = self.under_way(position)?;
        let entry = self.entries.get_mut(&position)?;
        entry.broken = entry.broken.saturating_add(1);
        let failed_at = entry.failed_at;
        let others_pass = failed_at.is_some() && entry.taken_before >= failed_at;
        let known = self.weigh(position, (sent_at, now), others_pass);
        Some(known.unwrap_or_else(|| {
            self.stage(position, Stage::Due);
            Doubted::Broke(sent_at)
        }))
    }

    /// Whose fault it is that an event sent at `sent_at` failed, for which what was sent `since` then speaks. `None` where that
    /// is unclear.
    fn weigh(
        &mut self,
        position: Position,
        (sent_at, since): (Instant, Instant),
        others_pass: bool,
    ) -> Option<Doubted> {
        let lane = self.lane(position)?;
        let entry = self.entries.get_mut(&position)?;
        if entry.together {
            entry.alone = true;
            entry.failed_at = Some(since);
            self.stage(position, Stage::Due);
            return Some(Doubted::Together(sent_at));
        }
        // One that failed on its own account does so again.
        let is_own = entry.own || entry.fails >= FAILURES_BEFORE_ASIDE;
        if is_own || others_pass {
            return Some(Doubted::Own);
        }
        if let Some(entry) = self.entries.get_mut(&position) {
            entry.failed_at = Some(since);
            entry.fails = entry.fails.max(1);
        }
        self.blame.fails(since, &lane);
        None
    }

    /// Whether an event was taken that was sent no earlier.
    pub(in crate::deliver) fn takes_since(&self, sent_at: Instant) -> bool {
        self.blame.has_taken_since(sent_at)
    }

    /// Whether the event failed before.
    pub(in crate::deliver) fn has_failed(&self, position: Position) -> bool {
        let entry = self.entries.get(&position);
        entry.is_some_and(|entry| entry.fails > 0)
    }

    /// A request with this event and others failed as a whole: it goes alone, at once. Returns when it was sent.
    pub(in crate::deliver) fn divide(&mut self, position: Position) -> Option<Instant> {
        let sent_at = self.under_way(position)?;
        if let Some(entry) = self.entries.get_mut(&position) {
            entry.alone = true;
            entry.unanswered = true;
        }
        self.stage(position, Stage::Due);
        Some(sent_at)
    }

    /// Whether later ones of its key wait behind an event that failed.
    pub(in crate::deliver) fn holds_its_key(&self, position: Position, terms: &Terms) -> bool {
        let key = |record: &Record| record.envelope.partition_key.clone();
        let key = self.record(position).map(key).unwrap_or_default();
        terms.one_per_key && !self.lists.is_aside(position, &key)
    }

    /// One more failure of the event, if others were accepted since the one before.
    pub(super) fn count_failure(&mut self, position: Position) {
        let passed = self.passed;
        let Some(entry) = self.entries.get_mut(&position) else {
            return;
        };
        if passed > entry.passed_before {
            entry.failures += 1;
            entry.passed_before = passed;
        }
        self.note_failing(position);
    }

    fn note_failing(&mut self, position: Position) {
        let Some(entry) = self.entries.get(&position) else {
            return;
        };
        let key = &entry.record.envelope.partition_key;
        if !self.failing.contains_key(key) {
            self.failing.insert(key.clone(), self.passed);
        }
    }

    fn postpone(
        &mut self,
        position: Position,
        now: Instant,
        at_least: Option<Duration>,
    ) -> Duration {
        let wait = self.next_wait(position, at_least);
        self.stage(position, Stage::Postponed(now + wait));
        wait
    }

    fn next_wait(&mut self, position: Position, at_least: Option<Duration>) -> Duration {
        let seed = self.seeds.u64(..);
        let timing = self.timing;
        let Some(entry) = self.entries.get_mut(&position) else {
            return Duration::ZERO;
        };
        let backoff = entry
            .backoff
            .get_or_insert_with(|| Box::new(timing.backoff(seed)));
        let asked = at_least.unwrap_or_default().min(timing.longest_asked_wait);
        backoff.next_wait().max(asked)
    }

    /// The event that keeps others from being read or settled although they could be delivered.
    pub(in crate::deliver) fn holds_back(&self, terms: &Terms) -> Option<Position> {
        let (oldest, entry) = self.entries.first_key_value()?;
        let key = &entry.record.envelope.partition_key;
        let held = self.lists.is_held(key);
        let waits = match entry.stage {
            Stage::Postponed(_) | Stage::Waiting => true,
            Stage::Taken(_) => entry.silences > 0,
            Stage::Due => held,
            Stage::Sent(_) | Stage::Parking => false,
        };
        if !waits {
            return None;
        }
        let full = self.held_bytes >= HELD_BYTES || self.entries.len() >= HELD_EVENTS;
        let idle = self.lists.next(terms.one_per_key).is_none()
            && self.lists.sent.is_empty()
            && self.lists.taken.is_empty();
        // Where nobody passes, the destination has an error for each: then nobody is held back.
        let since = self.failing.get(key);
        let others_pass = held
            || since.is_some_and(|since| self.passed >= since + PASSED_BEFORE_HELD)
            || self.is_of_a_lane_not_taken(*oldest);
        let under_way = terms.in_flight.saturating_mul(terms.batch);
        let at_limit = self.above() + under_way as u64 >= MAX_ABOVE;
        (at_limit || full && idle && others_pass).then_some(*oldest)
    }

    /// The connection is gone with everything that was under way on it. Returns an event that is to be parked because it is
    /// always the one.
    pub(in crate::deliver) fn connection_lost(&mut self, now: Instant) -> Option<Position> {
        let lost: Vec<Position> = self
            .lists
            .sent
            .iter()
            .map(|(_, position)| *position)
            .collect();
        for position in &lost {
            self.stage(*position, Stage::Due);
            if let Some(entry) = self.entries.get_mut(position) {
                entry.unanswered = true;
            }
        }
        let passed = self.passed;
        let oldest = *lost.iter().min()?;
        let entry = self.entries.get_mut(&oldest)?;
        entry.losses += 1;
        if entry.losses < SUSPECT_LOSSES {
            return None;
        }
        if passed > entry.passed_before {
            entry.failures += 1;
            entry.passed_before = passed;
        }
        if entry.failures >= SUSPECT_FAILURES {
            return Some(oldest);
        }
        self.postpone(oldest, now, None);
        None
    }
}
