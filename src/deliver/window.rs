//! The events between the buffer and the destination, in the order of the buffer: which may be sent now, which are
//! settled. A pure rule: time comes in as an argument, the next wake-up goes out as a value. `task` is its driver.
//!
//! It outlives connections: what was under way on a lost one is due again, what was accepted is not sent again.

use super::timing::Timing;
use super::uplink::Terms;
use crate::backoff::Backoff;
use crate::buffer::{Fate, Record, Settled};
use crate::model::Position;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Events read beyond those that may be sent, so that the wire never waits for the disk: at 20,000 events/s
/// 256 are 13 ms, a few commits.
const READ_AHEAD: usize = 256;
/// No further reading while the window holds that much payload; with one read of the task more, the most it ever holds.
const HELD_BYTES: usize = 4 << 20;

/// The events of one uplink that are not settled, as far as they have been read.
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// Everything up to here is settled.
    settled: Position,
    /// Everything up to here has been read.
    read: Position,
    held_bytes: usize,
    in_flight: usize,
    /// What became of events since [`Window::take_settled`].
    fates: Vec<(Position, Fate)>,
    timing: Timing,
    seeds: fastrand::Rng,
}

/// One event.
struct Entry {
    record: Record,
    /// Settling this event settles everything up to here: later ones that the uplink does not want.
    covers: Position,
    stage: Stage,
    /// It was sent before, and no verdict came.
    unanswered: bool,
    /// Waits of this event alone.
    backoff: Option<Box<Backoff>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be sent as soon as its turn comes.
    Due,
    /// Not before that time.
    Postponed(Instant),
    /// Under way since then.
    Sent(Instant),
    /// Accepted; waits for older ones to be settled.
    Done,
}

/// What [`Window::start_next`] has marked as sent.
pub(super) struct Started<'a> {
    /// The event to send.
    pub(super) record: &'a Record,
    /// True when it was sent before and no verdict came.
    pub(super) again: bool,
}

impl Window {
    /// Begins after `cursor`. Jitter of single events is drawn from `seed`.
    pub(super) fn new(cursor: Position, timing: Timing, seed: u64) -> Window {
        Window {
            entries: VecDeque::new(),
            settled: cursor,
            read: cursor,
            held_bytes: 0,
            in_flight: 0,
            fates: Vec::new(),
            timing,
            seeds: fastrand::Rng::with_seed(seed),
        }
    }

    /// What to read next: after which position, and how many at most. `None` while there is enough.
    pub(super) fn wants(&self, terms: &Terms) -> Option<(Position, usize)> {
        let room = (terms.span + READ_AHEAD).saturating_sub(self.entries.len());
        (room >= READ_AHEAD / 2 && self.held_bytes < HELD_BYTES)
            .then_some((self.read, room.min(READ_AHEAD)))
    }

    /// Takes in what was read, in order. Returns how many the uplink does not want: they are settled with their predecessors.
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
            self.read = record.position;
            if wanted(&record) {
                self.held_bytes += record.payload.len();
                self.entries.push_back(Entry {
                    covers: record.position,
                    record,
                    stage: Stage::Due,
                    unanswered: false,
                    backoff: None,
                });
            } else {
                filtered += 1;
                self.fates.push((record.position, Fate::Filtered));
                match self.entries.back_mut() {
                    Some(last) => last.covers = record.position,
                    None => self.settled = record.position,
                }
            }
        }
        filtered
    }

    /// Marks the next event that may be sent as sent, and returns it. At most `most` are under way.
    pub(super) fn start_next(
        &mut self,
        now: Instant,
        terms: &Terms,
        most: usize,
    ) -> Option<Started<'_>> {
        if self.in_flight >= most.min(terms.in_flight) {
            return None;
        }
        let index = self.next_due_index(now, terms)?;
        let entry = self.entries.get_mut(index)?;
        entry.stage = Stage::Sent(now);
        self.in_flight += 1;
        let again = std::mem::take(&mut entry.unanswered);
        Some(Started {
            record: &entry.record,
            again,
        })
    }

    fn next_due_index(&self, now: Instant, terms: &Terms) -> Option<usize> {
        let mut held_keys: Vec<&str> = Vec::new();
        for (index, entry) in self.entries.iter().take(terms.span).enumerate() {
            let due = match entry.stage {
                Stage::Done => continue,
                Stage::Due => true,
                Stage::Postponed(until) => until <= now,
                Stage::Sent(_) => false,
            };
            if !terms.one_per_key {
                if due {
                    return Some(index);
                }
                continue;
            }
            let key = entry.record.envelope.partition_key.as_str();
            if held_keys.contains(&key) {
                continue;
            }
            if due {
                return Some(index);
            }
            held_keys.push(key);
        }
        None
    }

    /// The event is accepted. Returns when it was sent; `None` when it was not under way (a second acknowledgement).
    pub(super) fn accept(&mut self, position: Position) -> Option<Instant> {
        let (entry, sent_at) = self.under_way(position)?;
        entry.stage = Stage::Done;
        let payload = std::mem::replace(&mut entry.record.payload, Bytes::new());
        self.held_bytes = self.held_bytes.saturating_sub(payload.len());
        self.in_flight = self.in_flight.saturating_sub(1);
        self.fates.push((position, Fate::Delivered));
        while let Some(first) = self.entries.front()
            && first.stage == Stage::Done
        {
            self.settled = first.covers;
            self.entries.pop_front();
        }
        Some(sent_at)
    }

    /// The event is to be tried again after its own back-off, and not before `at_least`. Returns when it was sent, and the wait.
    pub(super) fn postpone(
        &mut self,
        position: Position,
        now: Instant,
        at_least: Option<Duration>,
        unanswered: bool,
    ) -> Option<(Instant, Duration)> {
        let seed = self.seeds.u64(..);
        let timing = self.timing;
        let (entry, sent_at) = self.under_way(position)?;
        let backoff = entry
            .backoff
            .get_or_insert_with(|| Box::new(timing.backoff(seed)));
        let wait = backoff
            .next_wait()
            .max(at_least.unwrap_or_default().min(timing.longest_asked_wait));
        entry.stage = Stage::Postponed(now + wait);
        entry.unanswered = unanswered;
        self.in_flight = self.in_flight.saturating_sub(1);
        Some((sent_at, wait))
    }

    /// The event was not the cause: it is due again at once. Returns when it was sent.
    pub(super) fn put_back(&mut self, position: Position) -> Option<Instant> {
        let (entry, sent_at) = self.under_way(position)?;
        entry.stage = Stage::Due;
        self.in_flight = self.in_flight.saturating_sub(1);
        Some(sent_at)
    }

    /// The connection is gone with everything that was under way on it.
    pub(super) fn connection_lost(&mut self) {
        for entry in &mut self.entries {
            if matches!(entry.stage, Stage::Sent(_)) {
                entry.stage = Stage::Due;
                entry.unanswered = true;
            }
        }
        self.in_flight = 0;
    }

    /// The event with this position and when it was sent, if it is under way.
    fn under_way(&mut self, position: Position) -> Option<(&mut Entry, Instant)> {
        let index = self
            .entries
            .binary_search_by_key(&position, |entry| entry.record.position)
            .ok()?;
        let entry = self.entries.get_mut(index)?;
        match entry.stage {
            Stage::Sent(at) => Some((entry, at)),
            Stage::Due | Stage::Postponed(_) | Stage::Done => None,
        }
    }

    /// An event of the window, for the log.
    pub(super) fn record(&self, position: Position) -> Option<&Record> {
        let index = self
            .entries
            .binary_search_by_key(&position, |entry| entry.record.position)
            .ok()?;
        self.entries.get(index).map(|entry| &entry.record)
    }

    /// Everything up to here is settled.
    #[cfg(test)]
    pub(super) fn settled(&self) -> Position {
        self.settled
    }

    /// What was settled since this was asked before.
    pub(super) fn take_settled(&mut self) -> Settled {
        Settled {
            up_to: self.settled,
            fates: std::mem::take(&mut self.fates),
        }
    }

    /// How many events are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When the event that has been under way longest was sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.entries
            .iter()
            .filter_map(|entry| match entry.stage {
                Stage::Sent(at) => Some(at),
                Stage::Due | Stage::Postponed(_) | Stage::Done => None,
            })
            .take(self.in_flight)
            .min()
    }

    /// When the next postponed event becomes due. One that is due already waits for something else, not for time.
    pub(super) fn next_due(&self, terms: &Terms, now: Instant) -> Option<Instant> {
        self.entries
            .iter()
            .take(terms.span)
            .filter_map(|entry| match entry.stage {
                Stage::Postponed(until) => (until > now).then_some(until),
                Stage::Due | Stage::Sent(_) | Stage::Done => None,
            })
            .min()
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
