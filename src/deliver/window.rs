//! The events between the buffer and the destination, in the order of the buffer: which may be sent now, which are
//! settled. A pure rule: time comes in as an argument, the next wake-up goes out as a value. `task` is its driver.
//!
//! It outlives connections: what was under way on a lost one is due again, what was accepted is not sent again. Events pass
//! one that cannot be sent, up to a limit; one that would hold them back further is parked.

use super::lists::{Lists, Stage};
use super::timing::Timing;
use super::uplink::Terms;
use crate::backoff::Backoff;
use crate::buffer::{Fate, MAX_ABOVE, Record, Settled};
use crate::model::Position;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Events read beyond those that may be sent, so that the wire never waits for the disk: at 20,000 events/s
/// 256 are 13 ms, a few commits.
const READ_AHEAD: usize = 256;
/// No further reading while the window holds that much payload; with one read of the task more, the most it ever holds.
const HELD_BYTES: usize = 4 << 20;
/// Most events that are held, those behind one that holds its key included.
const HELD_EVENTS: usize = 4_352;
/// An event that fails that often while others pass is parked.
const SUSPECT_FAILURES: u32 = 20;
/// A connection that is lost that often with the same event as the oldest one: the event waits, to see whether others pass.
const SUSPECT_LOSSES: u32 = 20;
/// So many others must have passed since a key fails, before its events are parked to make room: a destination that fails
/// for all begins to do so within fewer.
const PASSED_BEFORE_HELD: u64 = 64;
/// How often an event is tried again that conflicts with what the destination has.
const CONFLICT_RETRIES: u32 = 3;

/// The events of one uplink that are not settled, as far as they have been read.
pub(super) struct Window {
    entries: BTreeMap<Position, Entry>,
    lists: Lists,
    /// Everything up to here has been read.
    read: Position,
    /// How many were read.
    read_count: u64,
    /// Settled above the cursor by earlier runs, until that position: they are not read again.
    carried: (u64, Position),
    held_bytes: usize,
    /// How many were accepted.
    passed: u64,
    /// By partition key that fails: [`Window::passed`] when it began to.
    failing: HashMap<String, u64>,
    /// What became of events since [`Window::take_settled`].
    fates: Vec<(Position, Fate)>,
    timing: Timing,
    seeds: fastrand::Rng,
}

/// One event.
struct Entry {
    record: Record,
    /// The event that was read before it.
    before: Position,
    /// How many were read before it.
    nth: u64,
    stage: Stage,
    /// It was sent before, and no verdict came.
    unanswered: bool,
    /// Waits of this event alone.
    backoff: Option<Box<Backoff>>,
    attempts: u32,
    first_sent: Option<Instant>,
    /// Failures since each of which others were accepted.
    failures: u32,
    conflicts: u32,
    /// Lost connections on which it was the oldest one without a verdict.
    losses: u32,
    /// [`Window::passed`] at its last failure.
    passed_before: u64,
}

/// What [`Window::start_next`] has marked as sent.
pub(super) struct Started<'a> {
    /// The event to send.
    pub(super) record: &'a Record,
    /// True when it was sent before and no verdict came.
    pub(super) again: bool,
}

/// How an event failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The destination refused it.
    Refused,
    /// It conflicts with what the destination has.
    Conflict,
    /// No verdict.
    Unanswered,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// It is tried again after that time.
    Again(Duration),
    /// It is to be parked: it fails again and again while others pass.
    Suspect,
    /// It is to be parked: the conflict stays.
    StillInConflict,
}

/// What is known of an event that is to be parked.
pub(super) struct Parkable {
    pub(super) record: Record,
    pub(super) attempts: u32,
    pub(super) first_sent: Option<Instant>,
}

impl Window {
    /// Begins after `cursor`, above which `carried` events up to a position were settled in earlier runs. Jitter of single
    /// events is drawn from `seed`.
    pub(super) fn new(
        cursor: Position,
        carried: (u64, Position),
        timing: Timing,
        seed: u64,
    ) -> Window {
        Window {
            entries: BTreeMap::new(),
            lists: Lists::default(),
            read: cursor,
            read_count: 0,
            carried,
            held_bytes: 0,
            passed: 0,
            failing: HashMap::new(),
            fates: Vec::new(),
            timing,
            seeds: fastrand::Rng::with_seed(seed),
        }
    }

    /// What to read next: after which position, and how many at most. `None` while there is enough.
    pub(super) fn wants(&self, terms: &Terms) -> Option<(Position, usize)> {
        let live = self
            .entries
            .len()
            .saturating_sub(self.lists.stuck(terms.one_per_key));
        let room = (terms.in_flight + READ_AHEAD)
            .saturating_sub(live)
            .min(HELD_EVENTS.saturating_sub(self.entries.len()));
        (room >= READ_AHEAD / 2 && self.held_bytes < HELD_BYTES)
            .then_some((self.read, room.min(READ_AHEAD)))
    }

    /// Takes in what was read, in order. Returns how many the uplink does not want: they are settled.
    pub(super) fn take_in(
        &mut self,
        records: Vec<Record>,
        wanted: impl Fn(&Record) -> bool,
    ) -> u64 {
        let mut filtered = 0;
        for record in records {
            // Asked for twice, or out of order: it is here already.
            if record.position <= self.read {
                continue;
            }
            let before = std::mem::replace(&mut self.read, record.position);
            let nth = self.read_count;
            self.read_count += 1;
            if wanted(&record) {
                self.hold(record, before, nth);
            } else {
                filtered += 1;
                self.fates.push((record.position, Fate::Filtered));
            }
        }
        filtered
    }

    fn hold(&mut self, record: Record, before: Position, nth: u64) {
        let position = record.position;
        self.held_bytes += record.payload.len();
        self.lists.add(position, &record.envelope.partition_key);
        self.entries.insert(
            position,
            Entry {
                record,
                before,
                nth,
                stage: Stage::Due,
                unanswered: false,
                backoff: None,
                attempts: 0,
                first_sent: None,
                failures: 0,
                conflicts: 0,
                losses: 0,
                passed_before: self.passed,
            },
        );
    }

    /// Marks the next event that may be sent as sent, and returns it. At most `most` are under way.
    pub(super) fn start_next(
        &mut self,
        now: Instant,
        terms: &Terms,
        most: usize,
    ) -> Option<Started<'_>> {
        if self.lists.sent.len() >= most.min(terms.in_flight) {
            return None;
        }
        while let Some(position) = self.lists.postponed_until(now) {
            self.stage(position, Stage::Due);
        }
        let position = self.lists.next(terms.one_per_key)?;
        let is_oldest = self.entries.first_key_value().map(|(oldest, _)| *oldest) == Some(position);
        // Each that is under way may soon be settled above the oldest one.
        if !is_oldest && self.above() + self.lists.sent.len() as u64 >= MAX_ABOVE {
            return None;
        }
        self.stage(position, Stage::Sent(now));
        let passed = self.passed;
        let entry = self.entries.get_mut(&position)?;
        if entry.first_sent.is_none() {
            entry.first_sent = Some(now);
            entry.passed_before = passed;
        }
        entry.attempts = entry.attempts.saturating_add(1);
        let again = std::mem::take(&mut entry.unanswered);
        Some(Started {
            record: &entry.record,
            again,
        })
    }

    /// The event is accepted. Returns when it was sent; `None` when it was not under way (a second acknowledgement).
    pub(super) fn accept(&mut self, position: Position) -> Option<Instant> {
        let sent_at = self.under_way(position)?;
        self.passed += 1;
        if !self.failing.is_empty()
            && let Some(entry) = self.entries.get(&position)
        {
            self.failing.remove(&entry.record.envelope.partition_key);
        }
        self.fates.push((position, Fate::Delivered));
        self.leave(position);
        Some(sent_at)
    }

    /// The event failed, and is tried again after its own back-off and not before `at_least`, or is to be parked. Returns when
    /// it was sent, and what follows.
    pub(super) fn fail(
        &mut self,
        position: Position,
        now: Instant,
        at_least: Option<Duration>,
        failure: Failure,
    ) -> Option<(Instant, Consequence)> {
        let sent_at = self.under_way(position)?;
        let passed = self.passed;
        let entry = self.entries.get_mut(&position)?;
        if passed > entry.passed_before {
            entry.failures += 1;
            entry.passed_before = passed;
        }
        let key = &entry.record.envelope.partition_key;
        if !self.failing.contains_key(key) {
            self.failing.insert(key.clone(), passed);
        }
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

    /// The event was not the cause: it is due again at once. Returns when it was sent.
    pub(super) fn put_back(&mut self, position: Position) -> Option<Instant> {
        let sent_at = self.under_way(position)?;
        self.stage(position, Stage::Due);
        Some(sent_at)
    }

    /// The event gets a file of its own: later ones of its key pass. It is settled by [`Window::parked`].
    pub(super) fn park(&mut self, position: Position) -> Option<Parkable> {
        let entry = self.entries.get(&position)?;
        if entry.stage == Stage::Parking {
            return None;
        }
        let parkable = Parkable {
            record: entry.record.clone(),
            attempts: entry.attempts,
            first_sent: entry.first_sent,
        };
        self.stage(position, Stage::Parking);
        Some(parkable)
    }

    /// The event has its file: it holds nothing back any more.
    pub(super) fn parked(&mut self, position: Position) {
        let is_parking = |entry: &Entry| entry.stage == Stage::Parking;
        if self.entries.get(&position).is_some_and(is_parking) {
            self.leave(position);
        }
    }

    /// The event that keeps others from being read or settled although they could be delivered.
    pub(super) fn holds_back(&self, terms: &Terms) -> Option<Position> {
        let (oldest, entry) = self.entries.first_key_value()?;
        if !matches!(entry.stage, Stage::Postponed(_)) {
            return None;
        }
        let full = self.held_bytes >= HELD_BYTES || self.entries.len() >= HELD_EVENTS;
        let idle = self.lists.next(terms.one_per_key).is_none() && self.lists.sent.is_empty();
        // Where nobody passes, the destination has an error for each: then nobody is held back.
        let since = self.failing.get(&entry.record.envelope.partition_key);
        let others_pass = since.is_some_and(|since| self.passed >= since + PASSED_BEFORE_HELD);
        let at_limit = self.above() + terms.in_flight as u64 >= MAX_ABOVE;
        (at_limit || full && idle && others_pass).then_some(*oldest)
    }

    /// The connection is gone with everything that was under way on it. Returns an event that is to be parked because it is
    /// always the one.
    pub(super) fn connection_lost(&mut self, now: Instant) -> Option<Position> {
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

    /// When the event with this position was sent, if it is under way.
    fn under_way(&self, position: Position) -> Option<Instant> {
        match self.entries.get(&position)?.stage {
            Stage::Sent(at) => Some(at),
            Stage::Due | Stage::Postponed(_) | Stage::Parking => None,
        }
    }

    /// An event of the window, for the log.
    pub(super) fn record(&self, position: Position) -> Option<&Record> {
        self.entries.get(&position).map(|entry| &entry.record)
    }

    /// Everything up to here is settled.
    pub(super) fn settled(&self) -> Position {
        let oldest = self.entries.first_key_value();
        oldest.map_or(self.read, |(_, entry)| entry.before)
    }

    /// How many events above the cursor are settled.
    fn above(&self) -> u64 {
        let Some((_, oldest)) = self.entries.first_key_value() else {
            return 0;
        };
        let (carried, until) = self.carried;
        let carried = if oldest.record.position < until {
            carried
        } else {
            0
        };
        let held = self.entries.len() as u64;
        (self.read_count - oldest.nth).saturating_sub(held) + carried
    }

    /// What was settled since this was asked before.
    pub(super) fn take_settled(&mut self) -> Settled {
        Settled {
            up_to: self.settled(),
            fates: std::mem::take(&mut self.fates),
        }
    }

    /// How many events are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.lists.sent.len()
    }

    /// When the event that has been under way longest was sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.lists.sent.first().map(|(at, _)| *at)
    }

    /// When the next postponed event becomes due. One that is due already waits for something else, not for time.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let mut later = self.lists.postponed.iter().map(|(until, _)| *until);
        later.find(|until| *until > now)
    }

    /// Moves an event to another stage, and to the list of those in it.
    fn stage(&mut self, position: Position, stage: Stage) {
        if let Some(entry) = self.entries.get_mut(&position) {
            let from = std::mem::replace(&mut entry.stage, stage);
            let key = entry.record.envelope.partition_key.as_str();
            self.lists.change(position, key, from, stage);
        }
    }

    /// The event is done with.
    fn leave(&mut self, position: Position) {
        // Off every list first.
        self.stage(position, Stage::Parking);
        if let Some(entry) = self.entries.remove(&position) {
            self.held_bytes = self.held_bytes.saturating_sub(entry.record.payload.len());
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
