//! Events that the broker has and that the MES has not spoken of yet (`acknowledge: mes`): when that is too long, and what is
//! sent again. Pure.

use super::failure::{Consequence, SUSPECT_FAILURES};
use super::lists::Stage;
use super::{Started, Window};
use crate::model::Position;
use std::time::{Duration, Instant};

/// How long the word of the MES is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) struct Patience {
    /// At first.
    pub(in crate::deliver) first: Duration,
    /// Doubled each time, up to this.
    pub(in crate::deliver) longest: Duration,
}

impl Patience {
    /// The wait after so many that were in vain.
    pub(in crate::deliver) fn after(&self, silences: u32) -> Duration {
        let doubled = 1u32.checked_shl(silences).unwrap_or(u32::MAX);
        self.first
            .saturating_mul(doubled)
            .min(self.longest)
            .max(self.first)
    }
}

impl Window {
    /// The broker has the event: the MES has until `patience` is over. Returns when it was sent, if it is under way and was
    /// not with the broker yet.
    pub(in crate::deliver) fn taken(
        &mut self,
        position: Position,
        now: Instant,
        patience: Patience,
    ) -> Option<Instant> {
        let Stage::Sent(sent_at) = self.entries.get(&position)?.stage else {
            return None;
        };
        self.stage(position, Stage::Taken(now + patience.first));
        self.passes(position, sent_at);
        Some(sent_at)
    }

    /// How many events the broker has that have no verdict.
    pub(in crate::deliver) fn taken_count(&self) -> usize {
        self.lists.taken.len()
    }

    /// When the next verdict is overdue.
    pub(in crate::deliver) fn next_overdue(&self) -> Option<Instant> {
        self.lists.taken.first().map(|(until, _)| *until)
    }

    /// An event whose verdict is overdue, and when it was sent.
    pub(in crate::deliver) fn overdue(&self, now: Instant) -> Option<(Position, Instant)> {
        let (until, position) = self.lists.taken.first()?;
        let sent_at = self.entries.get(position)?.last_sent?;
        (*until <= now).then_some((*position, sent_at))
    }

    /// The MES spoke of others and not of this one, whose verdict is overdue: it is sent again, at once for the first time
    /// and then less and less often, or is to be parked.
    pub(in crate::deliver) fn unspoken(
        &mut self,
        position: Position,
        now: Instant,
        patience: Patience,
    ) -> Option<Consequence> {
        self.under_way(position)?;
        self.count_failure(position);
        let entry = self.entries.get_mut(&position)?;
        entry.unanswered = true;
        if entry.failures >= SUSPECT_FAILURES {
            return Some(Consequence::Suspect);
        }
        // It has waited the first part of it with the broker, in a place of the window.
        let wait = patience
            .after(entry.silences)
            .saturating_sub(patience.first);
        entry.silences = entry.silences.saturating_add(1);
        let stage = if wait.is_zero() {
            Stage::Due
        } else {
            Stage::Postponed(now + wait)
        };
        self.stage(position, stage);
        Some(Consequence::Again(wait))
    }

    /// The MES is silent: no verdict is expected of what the broker has, and when it speaks again all of it goes once more, ahead
    /// of anything newer. The broker may have lost it, and the order of first deliveries is kept so.
    pub(in crate::deliver) fn expect_nothing(&mut self, now: Instant) {
        let later = |(until, position): &(Instant, Position)| (*until > now).then_some(*position);
        let taken: Vec<Position> = self.lists.taken.iter().filter_map(later).collect();
        for position in taken {
            self.stage(position, Stage::Taken(now));
        }
    }

    fn send_again(&mut self, position: Position) {
        self.stage(position, Stage::Due);
        if let Some(entry) = self.entries.get_mut(&position) {
            entry.unanswered = true;
        }
    }

    /// While the MES says nothing: sends one event again, the oldest one that was sent and has no verdict, or with `nth`
    /// the one that stands so far behind it, counted in a ring. `None` when there is none.
    pub(in crate::deliver) fn knock(
        &mut self,
        now: Instant,
        nth: usize,
        one_per_key: bool,
    ) -> Option<Started> {
        let waits = |position: &Position| {
            let entry = self.entries.get(position)?;
            let sent_before = entry.last_sent.is_some();
            let may_go = matches!(entry.stage, Stage::Taken(_) | Stage::Due);
            (sent_before && may_go).then_some(*position)
        };
        let mut silent: Vec<Position> = self.lists.taken.iter().map(|(_, at)| *at).collect();
        silent.extend(self.lists.due(one_per_key));
        let mut silent: Vec<Position> = silent.iter().filter_map(waits).collect();
        silent.sort_unstable();
        let place = nth.checked_rem(silent.len())?;
        let position = silent.get(place).copied()?;
        self.send_again(position);
        self.last_sending += 1;
        Some(self.start_one(position, now))
    }

    /// While the MES says nothing about a single event: sends one that was never sent, to hear whether it is the event.
    pub(in crate::deliver) fn ask_with_another(
        &mut self,
        now: Instant,
        one_per_key: bool,
    ) -> Option<Started> {
        if self.lists.taken.len() + self.lists.sent.len() > 1 {
            return None;
        }
        let is_new = |position: &Position| {
            let entry = self.entries.get(position);
            entry.is_some_and(|entry| entry.last_sent.is_none())
        };
        let position = self.lists.due(one_per_key).find(is_new)?;
        if !self.has_room_above(position) {
            return None;
        }
        self.last_sending += 1;
        Some(self.start_one(position, now))
    }
}
