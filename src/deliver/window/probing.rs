//! Which event goes while the gate tries whether the destination takes anything: never only the one that may be the cause.
//! Pure.
//!
//! The oldest event of each machine first, of those that were not blamed since something was taken: so the order inside a
//! machine is kept. When all machines were blamed it begins anew with the oldest event, and each second time with one behind
//! it: where there is one machine only, its first event must not stand before the others for ever.

use super::super::uplink::Terms;
use super::{Started, Window};
use crate::model::Position;
use std::time::Instant;

/// An event that may never have arrived, since each connection broke with it, is passed by its own machine when that happened
/// so often while nothing was taken: with the longest wait of 30 s, after about eight minutes.
const MOST_BROKEN: u32 = 20;
/// How far behind the oldest event one may stand that is tried in its stead.
const MOST_BEHIND: usize = 8;

impl Window {
    /// Marks the one event that tries the way as sent, and returns it. At most `most` sendings are under way.
    pub(in crate::deliver) fn start_probe(
        &mut self,
        now: Instant,
        terms: &Terms,
        most: usize,
    ) -> Vec<Started> {
        if self.in_flight() >= most.min(terms.in_flight) {
            return Vec::new();
        }
        self.wake(now);
        let Some(position) = self.next_probe(terms) else {
            return Vec::new();
        };
        if !self.has_room_above(position) {
            return Vec::new();
        }
        self.last_sending += 1;
        vec![self.start_one(position, now)]
    }

    /// Whether one may be sent of a machine that was not blamed since something was taken.
    pub(in crate::deliver) fn has_another(&self, terms: &Terms) -> bool {
        self.first_of(terms, |key| !self.blame.has_blamed_key(key))
            .is_some()
    }

    /// The first one that may be sent of such a key.
    fn first_of(&self, terms: &Terms, wanted: impl Fn(&str) -> bool) -> Option<Position> {
        self.lists.due(terms.one_per_key).find(|position| {
            let entry = self.entries.get(position);
            entry.is_some_and(|entry| wanted(&entry.record.envelope.partition_key))
        })
    }

    fn next_probe(&mut self, terms: &Terms) -> Option<Position> {
        let unblamed = self.first_of(terms, |key| !self.blame.has_blamed_key(key));
        let untried = || self.first_of(terms, |key| !self.blame.has_tried_key(key));
        if let Some(position) = unblamed.or_else(untried) {
            return Some(position);
        }
        let oldest = self.lists.next(terms.one_per_key)?;
        let behind = self.may_go_before(oldest, terms);
        let nth = self.blame.begins_anew(!behind.is_empty());
        if nth.is_multiple_of(2) || behind.is_empty() {
            return Some(oldest);
        }
        let other_lane = behind.iter().find(|position| {
            let lane = self.lane(**position);
            lane.is_some_and(|lane| !self.blame.has_tried(&lane))
        });
        let in_turn = behind.get(nth / 2 % behind.len());
        other_lane.or(in_turn).copied()
    }

    /// Events behind `oldest` that may be sent in its stead: it was sent before, and may itself be the cause. An event that
    /// was never sent is the last of them, so that first deliveries keep their order.
    fn may_go_before(&self, oldest: Position, terms: &Terms) -> Vec<Position> {
        let Some(entry) = self.entries.get(&oldest) else {
            return Vec::new();
        };
        if entry.failed_at.is_none() || (1..MOST_BROKEN).contains(&entry.broken) {
            return Vec::new();
        }
        let key = &entry.record.envelope.partition_key;
        let behind: Vec<Position> = if terms.one_per_key {
            let behind = self.lists.due_behind(oldest, key);
            behind.take(MOST_BEHIND).collect()
        } else {
            let due = self.lists.due(false);
            let behind = due.filter(|position| *position > oldest);
            behind.take(MOST_BEHIND).collect()
        };
        let was_sent = |position: &&Position| {
            let entry = self.entries.get(position);
            entry.is_some_and(|entry| entry.first_sent.is_some())
        };
        let sent = behind.iter().take_while(was_sent).count();
        behind.into_iter().take(sent + 1).collect()
    }
}
