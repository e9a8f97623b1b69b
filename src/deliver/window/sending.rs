//! Which events of a window go next, and which of them together. Pure.

use super::super::uplink::Terms;
use super::Window;
use super::lists::Stage;
use crate::buffer::MAX_ABOVE;
use crate::model::Position;
use std::collections::BTreeSet;
use std::time::Instant;

/// No further event in a sending that has so much payload.
const SENDING_BYTES: usize = 1 << 20;

/// What [`Window::start`] has marked as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) struct Started {
    /// The event to send.
    pub(in crate::deliver) position: Position,
    /// True when it was sent before and no verdict came.
    pub(in crate::deliver) again: bool,
}

impl Window {
    /// Marks the events of the next sending as sent, and returns them: at most `batch`. At most `most` sendings are under way.
    pub(in crate::deliver) fn start(
        &mut self,
        now: Instant,
        terms: &Terms,
        most: usize,
        batch: usize,
    ) -> Vec<Started> {
        let mut started = Vec::new();
        if self.sendings.len() >= most.min(terms.in_flight) {
            return started;
        }
        self.wake(now);
        self.last_sending += 1;
        let mut bytes = 0;
        // Those behind others of their key that go with the same sending.
        let mut behind = BTreeSet::new();
        while started.len() < batch {
            let next = self.lists.next(terms.one_per_key).into_iter();
            let Some(position) = next.chain(behind.first().copied()).min() else {
                break;
            };
            behind.remove(&position);
            let Some(entry) = self.entries.get(&position) else {
                break;
            };
            bytes += entry.record.payload.len();
            let alone = batch > 1 && self.goes_alone(position);
            let closes = !started.is_empty() && (bytes > SENDING_BYTES || alone);
            if closes || !self.has_room_above(position) {
                break;
            }
            started.push(self.start_one(position, now));
            if alone {
                break;
            }
            if terms.one_per_key
                && let Some(entry) = self.entries.get(&position)
            {
                let key = &entry.record.envelope.partition_key;
                behind.extend(self.lists.behind(position, key));
            }
        }
        if started.len() > 1 {
            for one in &started {
                if let Some(entry) = self.entries.get_mut(&one.position) {
                    entry.together = true;
                }
            }
        }
        started
    }

    /// Those whose time has come are due.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(position) = self.lists.postponed_until(now) {
            self.stage(position, Stage::Due);
        }
    }

    /// What may make the sending of others fail goes alone.
    fn goes_alone(&self, position: Position) -> bool {
        let entry = self.entries.get(&position);
        entry.is_some_and(|entry| entry.alone || entry.fails > 0)
            || !self.blame.is_clear()
                && self
                    .lane(position)
                    .is_some_and(|lane| self.blame.is_known(&lane))
    }

    /// Each that is under way may soon be settled above the oldest one.
    pub(super) fn has_room_above(&self, position: Position) -> bool {
        let is_oldest = self.entries.first_key_value().map(|(oldest, _)| *oldest) == Some(position);
        let under_way = self.lists.sent.len() + self.lists.taken.len();
        is_oldest || self.above() + (under_way as u64) < MAX_ABOVE
    }

    pub(super) fn start_one(&mut self, position: Position, now: Instant) -> Started {
        self.stage(position, Stage::Sent(now));
        self.doubted.remove(&position);
        let passed = self.passed;
        let sending = self.last_sending;
        let taken = self.blame.last_taken();
        let mut again = false;
        if let Some(entry) = self.entries.get_mut(&position) {
            entry.sending = sending;
            entry.together = false;
            entry.taken_before = taken;
            if entry.first_sent.is_none() {
                entry.first_sent = Some(now);
                entry.passed_before = passed;
            }
            entry.last_sent = Some(now);
            entry.attempts = entry.attempts.saturating_add(1);
            again = std::mem::take(&mut entry.unanswered);
            *self.sendings.entry(sending).or_default() += 1;
        }
        Started { position, again }
    }
}
