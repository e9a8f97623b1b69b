//! Lanes that are not taken while others pass: one event of each tries it, the others wait for that one and hold nobody. Pure.
//!
//! So a topic without rights, or a URL that is gone, costs an attempt now and then, however many events go there.

use super::Window;
use super::blame::Lane;
use super::lists::Stage;
use crate::model::Position;
use std::time::Instant;

/// An event that failed so often while nothing was taken is tried at once when something is.
const UNPROVEN_FAILURES: u32 = 3;

impl Window {
    /// The way of an event.
    pub(super) fn lane(&self, position: Position) -> Option<Lane> {
        let envelope = &self.entries.get(&position)?.record.envelope;
        Some(Lane {
            key: envelope.partition_key.clone(),
            kind: envelope.kind.clone(),
        })
    }

    /// Whether the destination took others since this event failed, or is known to take others than those of its lane.
    pub(super) fn others_pass(&self, position: Position, lane: &Lane) -> bool {
        let failed_at = self
            .entries
            .get(&position)
            .and_then(|entry| entry.failed_at);
        failed_at.is_some_and(|at| self.blame.has_taken_since(at)) || self.blame.is_known(lane)
    }

    /// The event, sent at `sent_at`, was taken: so may be those behind it, and those of its lane.
    pub(super) fn passes(&mut self, position: Position, sent_at: Instant) {
        if self.blame.is_clear() {
            self.blame.takes(sent_at, None);
            return;
        }
        self.hurry();
        self.rest(sent_at);
        let Some(lane) = self.lane(position) else {
            return;
        };
        self.blame.takes(sent_at, Some(&lane));
        self.lists.passed(&lane.key);
        if self.lanes.remove(&lane).is_none() {
            return;
        }
        for waiting in self.waiting_in(&lane) {
            self.return_one(waiting, &lane.key);
        }
    }

    /// The destination is back: what failed again and again while nothing was taken need not wait for long, or thousands would
    /// overtake it.
    fn hurry(&mut self) {
        for position in std::mem::take(&mut self.unproven) {
            let Some(entry) = self.entries.get_mut(&position) else {
                continue;
            };
            entry.unproven = 0;
            // Also where it is due, and waits for the gate: its next failure is one of a destination that works. Where it waits
            // for its lane, it goes as soon as that is taken.
            entry.backoff = None;
            entry.not_before = None;
            if matches!(entry.stage, Stage::Postponed(_)) {
                self.stage(position, Stage::Due);
            }
        }
    }

    /// Others are taken that were sent at `sent_at`: what was in doubt before goes again after a short wait of its own.
    fn rest(&mut self, sent_at: Instant) {
        for (position, until) in std::mem::take(&mut self.doubted) {
            let Some(entry) = self.entries.get(&position) else {
                continue;
            };
            if entry.failed_at.is_some_and(|failed| failed > sent_at) {
                self.doubted.insert(position, until);
            } else if entry.stage == Stage::Due {
                self.stage(position, Stage::Postponed(until));
            }
        }
    }

    /// Notes whether anything was taken while the event failed, which nobody asked to wait.
    pub(super) fn note_proof(&mut self, position: Position, proven: bool) {
        let Some(entry) = self.entries.get_mut(&position) else {
            return;
        };
        entry.unproven = if proven { 0 } else { entry.unproven + 1 };
        if entry.unproven >= UNPROVEN_FAILURES {
            self.unproven.insert(position);
        } else {
            self.unproven.remove(&position);
        }
    }

    /// Another event of the lane tries it now: this one has `others_pass` behind it and is not taken.
    pub(super) fn waits_for_its_lane(&self, position: Position, lane: &Lane) -> bool {
        let tries = self.lanes.get(lane);
        tries.is_some_and(|one| *one != position)
    }

    /// Whether the event tries a lane that is not taken while others pass, or waits for it.
    pub(super) fn is_of_a_lane_not_taken(&self, position: Position) -> bool {
        !self.lanes.is_empty()
            && self
                .lane(position)
                .is_some_and(|lane| self.lanes.contains_key(&lane))
    }

    /// The event tries the lane for all others of it.
    pub(super) fn tries_lane(&mut self, position: Position, lane: Lane) {
        self.lanes.insert(lane, position);
    }

    /// The event is put aside: if it tried its lane, the oldest one that waits does so now.
    pub(super) fn hand_on_lane(&mut self, position: Position) {
        if self.lanes.is_empty() {
            return;
        }
        let Some(lane) = self.lane(position) else {
            return;
        };
        if self.lanes.get(&lane) != Some(&position) {
            return;
        }
        match self.waiting_in(&lane).first() {
            Some(next) => {
                self.return_one(*next, &lane.key);
                self.lanes.insert(lane, *next);
            }
            None => drop(self.lanes.remove(&lane)),
        }
    }

    fn waiting_in(&self, lane: &Lane) -> Vec<Position> {
        let same = |position: &&Position| {
            self.entries.get(position).is_some_and(|entry| {
                let envelope = &entry.record.envelope;
                envelope.kind == lane.kind && envelope.partition_key == lane.key
            })
        };
        self.lists.waiting.iter().filter(same).copied().collect()
    }

    /// It goes when its own wait is over.
    fn return_one(&mut self, position: Position, key: &str) {
        let Some(entry) = self.entries.get_mut(&position) else {
            return;
        };
        let stage = entry.not_before.take().map_or(Stage::Due, Stage::Postponed);
        let fails = entry.fails;
        self.lists.returned(position, key, fails);
        self.stage(position, stage);
    }
}
