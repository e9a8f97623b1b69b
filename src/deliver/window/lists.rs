//! Which events of a window are in which stage, in the orders in which the window asks for them. Pure.

use super::line::Line;
use crate::model::Position;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

/// So many events of a partition key are read ahead like those of any other; more of them leave the others their room. With
/// seven keys that are slow and one that is not, half of what is read ahead is the one's.
const SHARE: usize = 16;

/// Where an event is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Stage {
    /// To be sent as soon as its turn comes.
    Due,
    /// Not before that time.
    Postponed(Instant),
    /// Not before another one of its lane is taken. Later ones of its key pass.
    Waiting,
    /// Under way since then.
    Sent(Instant),
    /// The broker has it, and the MES should have given its verdict by then. Still under way.
    Taken(Instant),
    /// On its way into a file of its own. Later ones of its key pass.
    Parking,
}

/// The events by their stages.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// By partition key.
    lines: HashMap<String, Line>,
    /// May be sent.
    due: BTreeSet<Position>,
    /// Of these, those that may go where one of a key may be under way.
    due_heads: BTreeSet<Position>,
    /// Not before that time.
    pub(super) postponed: BTreeSet<(Instant, Position)>,
    /// Not before another one of their lane is taken.
    pub(super) waiting: BTreeSet<Position>,
    /// Under way since then.
    pub(super) sent: BTreeSet<(Instant, Position)>,
    /// With the broker, and without a verdict until then at the most.
    pub(super) taken: BTreeSet<(Instant, Position)>,
    /// Keys of which nothing may be sent.
    held: HashSet<String>,
    /// How many of all lines cannot go before time has passed, or somebody has done something.
    stuck: usize,
    /// None passes another one of its key.
    strict: bool,
}

impl Lists {
    /// From now on none passes another one of its key.
    pub(super) fn be_strict(&mut self) {
        self.strict = true;
    }

    /// A new event, behind all of its key; it is due.
    pub(super) fn add(&mut self, position: Position, key: &str) {
        match self.lines.get_mut(key) {
            Some(line) => line.events.push_back(position),
            None => {
                let mut line = Line::default();
                line.events.push_back(position);
                self.lines.insert(key.to_owned(), line);
            }
        }
        self.due.insert(position);
        self.refresh(key);
    }

    /// The next one that may be sent, where only the first of a key may be or where each may.
    pub(super) fn next(&self, one_per_key: bool) -> Option<Position> {
        self.due(one_per_key).next()
    }

    /// The one behind `position` in the line of its key, if it may be sent.
    pub(super) fn behind(&self, position: Position, key: &str) -> Option<Position> {
        let next = self.lines.get(key)?.behind(position).next();
        next.filter(|next| self.due.contains(next))
    }

    /// Those behind `position` in the line of its key that are due, where none of the key is under way and one may pass
    /// another.
    pub(super) fn due_behind<'a>(
        &'a self,
        position: Position,
        key: &str,
    ) -> impl Iterator<Item = Position> + 'a {
        let may_pass = !self.strict && !self.held.contains(key);
        let line = self
            .lines
            .get(key)
            .filter(|line| may_pass && line.sent == 0);
        let behind = line.into_iter().flat_map(move |line| line.behind(position));
        behind.filter(|next| self.due.contains(next))
    }

    /// Those that may be sent, in order, where only the first of a key may be or where each may.
    pub(super) fn due(&self, one_per_key: bool) -> impl Iterator<Item = Position> + '_ {
        let candidates = if one_per_key {
            &self.due_heads
        } else {
            &self.due
        };
        candidates.iter().copied()
    }

    /// One whose time has come.
    pub(super) fn postponed_until(&self, now: Instant) -> Option<Position> {
        let (until, position) = self.postponed.first()?;
        (*until <= now).then_some(*position)
    }

    /// How many wait for time to pass, or for somebody, and behind those that do. Where one of a key goes at a time, those that
    /// wait behind many of theirs count, too: one that is slow takes no room from others.
    pub(super) fn stuck(&self, one_per_key: bool) -> usize {
        if one_per_key {
            self.stuck
        } else {
            self.postponed.len() + self.waiting.len()
        }
    }

    /// An event leaves one stage for another. One that is being parked leaves the line of its key for good.
    pub(super) fn change(&mut self, position: Position, key: &str, from: Stage, to: Stage) {
        match from {
            Stage::Due => {
                self.due.remove(&position);
                self.due_heads.remove(&position);
            }
            Stage::Postponed(until) => {
                self.postponed.remove(&(until, position));
            }
            Stage::Waiting => {
                self.waiting.remove(&position);
            }
            Stage::Sent(at) => {
                self.sent.remove(&(at, position));
                self.count_sent(key, false);
            }
            Stage::Taken(until) => {
                self.taken.remove(&(until, position));
                self.count_sent(key, false);
            }
            Stage::Parking => {}
        }
        match to {
            Stage::Due => {
                self.due.insert(position);
            }
            Stage::Postponed(until) => {
                self.postponed.insert((until, position));
            }
            Stage::Waiting => {
                self.waiting.insert(position);
                self.line(key, |line| line.waits(position));
            }
            Stage::Sent(at) => {
                self.sent.insert((at, position));
                self.count_sent(key, true);
                self.line(key, |line| line.goes(position));
            }
            Stage::Taken(until) => {
                self.taken.insert((until, position));
                self.count_sent(key, true);
            }
            Stage::Parking => self.step_out(position, key),
        }
        self.refresh(key);
    }

    fn line(&mut self, key: &str, change: impl FnOnce(&mut Line)) {
        if let Some(line) = self.lines.get_mut(key) {
            change(line);
        }
    }

    fn count_sent(&mut self, key: &str, more: bool) {
        self.line(key, |line| {
            line.sent = if more {
                line.sent + 1
            } else {
                line.sent.saturating_sub(1)
            };
        });
    }

    /// The event failed, for that many times by now: later ones of its key may pass it.
    pub(super) fn failed(&mut self, position: Position, key: &str, failures: u32) {
        if !self.strict {
            self.line(key, |line| line.fails(position, failures));
            self.refresh(key);
        }
    }

    /// The event that failed so often does not wait for its lane any more.
    pub(super) fn returned(&mut self, position: Position, key: &str, failures: u32) {
        self.line(key, |line| line.returns(position, failures));
        self.refresh(key);
    }

    /// One of this key was taken.
    pub(super) fn passed(&mut self, key: &str) {
        self.line(key, Line::passes);
        self.refresh(key);
    }

    /// Whether later ones of its key pass the event.
    pub(super) fn is_aside(&self, position: Position, key: &str) -> bool {
        let line = self.lines.get(key);
        line.is_some_and(|line| line.aside.contains(&position))
    }

    /// Whether none passes another one of its key.
    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Nothing of this key is sent any more.
    pub(super) fn hold(&mut self, key: &str) {
        self.held.insert(key.to_owned());
        self.refresh(key);
    }

    /// Nothing is sent of these keys, and of no others.
    pub(super) fn hold_only(&mut self, keys: HashSet<String>) {
        let before = std::mem::replace(&mut self.held, keys);
        let now = self.held.clone();
        for key in before.symmetric_difference(&now) {
            self.refresh(key);
        }
    }

    /// Whether nothing of this key is sent.
    pub(super) fn is_held(&self, key: &str) -> bool {
        self.held.contains(key)
    }

    fn step_out(&mut self, position: Position, key: &str) {
        let Some(line) = self.lines.get_mut(key) else {
            return;
        };
        line.leaves(position);
        if line.is_empty() {
            self.stuck -= line.stuck;
            self.lines.remove(key);
        }
    }

    /// Which of this key may be sent where one of a key may be.
    fn refresh(&mut self, key: &str) {
        let Some(line) = self.lines.get_mut(key) else {
            return;
        };
        for head in &line.heads {
            self.due_heads.remove(head);
        }
        line.find_heads(&self.due);
        if self.held.contains(key) {
            line.heads.clear();
        }
        self.due_heads.extend(&line.heads);
        let stands = line.sent == 0 && line.heads.is_empty();
        let stuck = if stands {
            line.len()
        } else {
            let apart = line.aside.len() + line.waiting.len();
            apart.max(line.len().saturating_sub(SHARE))
        };
        self.stuck = self.stuck - line.stuck + stuck;
        line.stuck = stuck;
    }
}
