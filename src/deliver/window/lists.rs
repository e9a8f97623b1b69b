//! Which events of a window are in which stage, in the orders in which the window asks for them. Pure.

use crate::model::Position;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
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
    /// Under way since then.
    Sent(Instant),
    /// The broker has it, and the MES should have given its verdict by then. Still under way.
    Taken(Instant),
    /// On its way into a file of its own. Later ones of its key pass.
    Parking,
}

/// The events of one partition key that are neither settled nor being parked, in order.
#[derive(Debug, Default)]
struct Line {
    events: VecDeque<Position>,
    /// How many of them are under way.
    sent: usize,
}

/// The events by their stages.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// By partition key.
    lines: HashMap<String, Line>,
    /// Events in lines beyond their [`SHARE`].
    crowding: usize,
    /// May be sent.
    due: BTreeSet<Position>,
    /// Of these, the first ones of keys of which none is under way.
    due_heads: BTreeSet<Position>,
    /// Not before that time; with their keys, so that those behind them can be counted.
    pub(super) postponed: BTreeSet<(Instant, Position)>,
    postponed_keys: BTreeMap<Position, String>,
    /// Under way since then.
    pub(super) sent: BTreeSet<(Instant, Position)>,
    /// With the broker, and without a verdict until then at the most.
    pub(super) taken: BTreeSet<(Instant, Position)>,
    /// Keys of which nothing may be sent.
    held: HashSet<String>,
}

impl Lists {
    /// A new event, behind all of its key; it is due.
    pub(super) fn add(&mut self, position: Position, key: &str) {
        match self.lines.get_mut(key) {
            Some(line) => {
                line.events.push_back(position);
                self.crowding += usize::from(line.events.len() > SHARE);
            }
            None => {
                let events = VecDeque::from([position]);
                self.lines.insert(key.to_owned(), Line { events, sent: 0 });
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
        let line = &self.lines.get(key)?.events;
        let place = line.partition_point(|other| *other <= position);
        line.get(place)
            .copied()
            .filter(|next| self.due.contains(next))
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
        if !one_per_key {
            return self.postponed.len();
        }
        let not_held = |key: &&String| !self.held.contains(*key);
        // Several of a key wait where they went together.
        let keys: HashSet<&String> = self.postponed_keys.values().filter(not_held).collect();
        let keys = keys.into_iter().chain(&self.held);
        let within: usize = keys
            .filter_map(|key| self.lines.get(key).map(|line| line.events.len().min(SHARE)))
            .sum();
        within + self.crowding
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
                self.postponed_keys.remove(&position);
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
                self.postponed_keys.insert(position, key.to_owned());
            }
            Stage::Sent(at) => {
                self.sent.insert((at, position));
                self.count_sent(key, true);
            }
            Stage::Taken(until) => {
                self.taken.insert((until, position));
                self.count_sent(key, true);
            }
            Stage::Parking => self.step_out(position, key),
        }
        self.refresh(key);
    }

    fn count_sent(&mut self, key: &str, more: bool) {
        if let Some(line) = self.lines.get_mut(key) {
            line.sent = if more {
                line.sent + 1
            } else {
                line.sent.saturating_sub(1)
            };
        }
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
        if let Ok(place) = line.events.binary_search(&position) {
            self.crowding -= usize::from(line.events.len() > SHARE);
            line.events.remove(place);
        }
        if line.events.is_empty() {
            self.lines.remove(key);
        }
    }

    /// Whether the first one of this key may be sent where one of a key may be.
    fn refresh(&mut self, key: &str) {
        let Some(line) = self.lines.get(key) else {
            return;
        };
        let Some(head) = line.events.front() else {
            return;
        };
        if line.sent == 0 && self.due.contains(head) && !self.held.contains(key) {
            self.due_heads.insert(*head);
        } else {
            self.due_heads.remove(head);
        }
    }
}
