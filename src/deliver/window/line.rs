//! The events of one partition key in order, where one of a key may be under way: which of them may go. Pure.
//!
//! One that failed twice stands aside: it is tried again on its own, and the next ones of the key go, one at a time. Until
//! one of them is taken there is no telling whether the destination fails for all: then only the oldest one goes by its own
//! back-off, and with each of its failures the next one once.

use crate::model::Position;
use std::collections::{BTreeSet, VecDeque};

/// An event that failed that often stands aside.
pub(super) const FAILURES_BEFORE_ASIDE: u32 = 2;
/// Most events of a key that stand aside. One more holds its key: a destination that fails for all must not be sent ever
/// newer events.
pub(super) const MAX_ASIDE: usize = 8;

/// The events of one partition key that are neither settled nor being parked.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// In their order, without those that stand aside or wait for their lane.
    pub(super) events: VecDeque<Position>,
    /// Failed twice: later ones pass them.
    pub(super) aside: BTreeSet<Position>,
    /// They wait until another one of their lane is taken: later ones pass them.
    pub(super) waiting: BTreeSet<Position>,
    /// How many are under way.
    pub(super) sent: usize,
    /// Nobody has passed since one stood aside.
    stalled: Option<Stalled>,
    /// What may go, as far as the lists know.
    pub(super) heads: Vec<Position>,
    /// How many cannot go before time has passed, as the lists count them.
    pub(super) stuck: usize,
}

#[derive(Debug)]
struct Stalled {
    /// The next one may go, once.
    armed: bool,
}

impl Line {
    /// True when none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.aside.len() + self.waiting.len()
    }

    /// The event goes: a chance that it had is used up.
    pub(super) fn goes(&mut self, position: Position) {
        if let Some(stalled) = &mut self.stalled
            && !self.aside.contains(&position)
        {
            stalled.armed = false;
        }
    }

    /// One of the key was taken.
    pub(super) fn passes(&mut self) {
        self.stalled = None;
    }

    /// The event failed, for that many times by now.
    pub(super) fn fails(&mut self, position: Position, failures: u32) {
        let stands_aside = failures >= FAILURES_BEFORE_ASIDE
            && self.aside.len() < MAX_ASIDE
            && self.take_out(position);
        if stands_aside {
            self.aside.insert(position);
        }
        if stands_aside || self.aside.first() == Some(&position) {
            self.stalled = Some(Stalled { armed: true });
        }
    }

    /// The event waits for its lane, which says nothing about the others of the key.
    pub(super) fn waits(&mut self, position: Position) {
        self.aside.remove(&position);
        self.take_out(position);
        self.waiting.insert(position);
        if let Some(stalled) = &mut self.stalled {
            stalled.armed = true;
        }
    }

    /// The event waits no more.
    pub(super) fn returns(&mut self, position: Position, failures: u32) {
        if !self.waiting.remove(&position) {
            return;
        }
        if failures >= FAILURES_BEFORE_ASIDE && self.aside.len() < MAX_ASIDE {
            self.aside.insert(position);
        } else if let Err(place) = self.events.binary_search(&position) {
            self.events.insert(place, position);
        }
    }

    /// The event is done with.
    pub(super) fn leaves(&mut self, position: Position) {
        self.take_out(position);
        self.aside.remove(&position);
        self.waiting.remove(&position);
    }

    fn take_out(&mut self, position: Position) -> bool {
        let place = self.events.binary_search(&position);
        place.is_ok_and(|place| self.events.remove(place).is_some())
    }

    /// Writes down those that may go into `heads`: while none is under way, of those in `due`.
    pub(super) fn find_heads(&mut self, due: &BTreeSet<Position>) {
        self.heads.clear();
        if self.sent > 0 {
            return;
        }
        let front = self.events.front();
        let mut may_go = |position: Option<&Position>| {
            self.heads.extend(position.filter(|one| due.contains(one)));
        };
        match &self.stalled {
            Some(stalled) if !self.aside.is_empty() => {
                may_go(self.aside.first());
                may_go(front.filter(|_| stalled.armed));
            }
            Some(_) | None => {
                self.aside.iter().for_each(|one| may_go(Some(one)));
                may_go(front);
            }
        }
    }

    /// Those behind `position`, in order.
    pub(super) fn behind(&self, position: Position) -> impl Iterator<Item = Position> + '_ {
        let place = self.events.partition_point(|other| *other <= position);
        self.events.range(place..).copied()
    }
}
