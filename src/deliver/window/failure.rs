//! What follows when an event of a window is not taken: another attempt, or a file of its own. Pure.

use super::super::uplink::Terms;
use super::lists::Stage;
use super::{HELD_BYTES, HELD_EVENTS, Window};
use crate::buffer::MAX_ABOVE;
use crate::model::Position;
use std::time::{Duration, Instant};

/// An event that fails that often while others pass is parked.
pub(super) const SUSPECT_FAILURES: u32 = 20;
/// A connection that is lost that often with the same event as the oldest one: the event waits, to see whether others pass.
const SUSPECT_LOSSES: u32 = 20;
/// So many others must have passed since a key fails, before its events are parked to make room: a destination that fails
/// for all begins to do so within fewer.
const PASSED_BEFORE_HELD: u64 = 64;
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
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Consequence {
    /// It is tried again after that time.
    Again(Duration),
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
        self.count_failure(position);
        let entry = self.entries.get_mut(&position)?;
        if failure == Failure::Conflict {
            entry.conflicts += 1;
        }
        if entry.conflicts > CONFLICT_RETRIES {
            return Some((sent_at, Consequence::StillInConflict));
        }
        if entry.failures >= SUSPECT_FAILURES {
            return Some((sent_at, Consequence::Suspect));
        }
        let wait = self.postpone(position, now, at_least);
        if let Some(entry) = self.entries.get_mut(&position) {
            entry.unanswered = failure == Failure::Unanswered;
        }
        Some((sent_at, Consequence::Again(wait)))
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
        let key = &entry.record.envelope.partition_key;
        if !self.failing.contains_key(key) {
            self.failing.insert(key.clone(), passed);
        }
    }

    fn postpone(
        &mut self,
        position: Position,
        now: Instant,
        at_least: Option<Duration>,
    ) -> Duration {
        let seed = self.seeds.u64(..);
        let timing = self.timing;
        let Some(entry) = self.entries.get_mut(&position) else {
            return Duration::ZERO;
        };
        let backoff = entry
            .backoff
            .get_or_insert_with(|| Box::new(timing.backoff(seed)));
        let wait = backoff
            .next_wait()
            .max(at_least.unwrap_or_default().min(timing.longest_asked_wait));
        self.stage(position, Stage::Postponed(now + wait));
        wait
    }

    /// The event that keeps others from being read or settled although they could be delivered.
    pub(in crate::deliver) fn holds_back(&self, terms: &Terms) -> Option<Position> {
        let (oldest, entry) = self.entries.first_key_value()?;
        let key = &entry.record.envelope.partition_key;
        let held = self.lists.is_held(key);
        let waits = match entry.stage {
            Stage::Postponed(_) => true,
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
        let others_pass =
            held || since.is_some_and(|since| self.passed >= since + PASSED_BEFORE_HELD);
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
