//! What must be true: the accepted events as a list, and for each uplink what became of each of them.

use super::super::generation::successor;
use super::super::progress::{Account, Fate, Progress, Settled};
use super::super::store::Store;
use crate::model::{Position, Restored, UplinkId};
use std::collections::BTreeMap;

/// What became of an event, for one uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// It was before the uplink's time.
    NotOffered,
    Stored,
    Settled(Fate),
}

/// One uplink.
#[derive(Clone, Debug, Default)]
pub(super) struct Uplink {
    /// By the place of the event in the list.
    pub(super) events: Vec<Now>,
    /// What it was since its progress was last durable, that state first. After a power cut it is one of them.
    since: Vec<Vec<Now>>,
}

impl Uplink {
    pub(super) fn new(events: Vec<Now>) -> Uplink {
        let since = vec![events.clone()];
        Uplink { events, since }
    }

    /// The place of the first event that it still needs.
    pub(super) fn first_stored(&self) -> usize {
        let first = self.events.iter().position(|now| *now == Now::Stored);
        first.unwrap_or(self.events.len())
    }

    /// Events are settled, everything below `up_to` among them; what the store is told of it.
    pub(super) fn settle(&mut self, up_to: usize, fates: &[(usize, Fate)]) -> Settled {
        for (index, fate) in fates {
            self.events[*index] = Now::Settled(*fate);
        }
        self.since.push(self.events.clone());
        Settled {
            up_to: at(up_to),
            fates: fates
                .iter()
                .map(|(index, fate)| (at(index + 1), *fate))
                .collect(),
        }
    }

    /// Its progress is on the disk.
    pub(super) fn durable(&mut self) {
        self.since.clear();
        self.since.push(self.events.clone());
    }

    pub(super) fn stored(&self) -> u64 {
        self.events
            .iter()
            .filter(|now| **now == Now::Stored)
            .count() as u64
    }

    fn account(&self) -> Account {
        let count = |which: Now| self.events.iter().filter(|now| **now == which).count() as u64;
        Account {
            offered: self.events.len() as u64 - count(Now::NotOffered),
            delivered: count(Now::Settled(Fate::Delivered)),
            filtered: count(Now::Settled(Fate::Filtered)),
            ..Account::default()
        }
    }

    fn is_told_by(&self, progress: &Progress) -> bool {
        let settled = |index: usize| progress.is_settled(at(index + 1));
        let mut all = self.events.iter().enumerate();
        progress.account == self.account()
            && progress.cursor() <= at(self.first_stored())
            && all.all(|(index, now)| match now {
                Now::NotOffered => true,
                Now::Stored => !settled(index),
                Now::Settled(_) => settled(index),
            })
    }
}

/// The position of what comes after so many events.
pub(super) fn at(count: usize) -> Position {
    Position {
        epoch: 1,
        seq: count as u64,
    }
}

/// A batch that is under way.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) events: Vec<u32>,
    pub(super) checkpoint: BTreeMap<String, Vec<u8>>,
    /// By uplink, which of its states was the newest when it was handed over: what is on the disk with the batch is not
    /// older, whatever the store was told after it refused the batch.
    newest: BTreeMap<String, usize>,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// What tells each event from another that had its position and was never accepted.
    pub(super) events: Vec<u32>,
    pub(super) checkpoint: BTreeMap<String, Vec<u8>>,
    pub(super) uplinks: BTreeMap<String, Uplink>,
    /// Handed to the store since it accepted one: the last has no answer yet, those before were refused. After a start one
    /// of them may be in, or none.
    pub(super) under_way: Vec<Batch>,
}

impl Expected {
    /// A batch is handed to the store.
    pub(super) fn hand_over(&mut self, events: Vec<u32>, checkpoint: BTreeMap<String, Vec<u8>>) {
        let newest = |(name, uplink): (&String, &Uplink)| (name.clone(), uplink.since.len() - 1);
        self.under_way.push(Batch {
            events,
            checkpoint,
            newest: self.uplinks.iter().map(newest).collect(),
        });
    }

    /// The batch under way is accepted, and all progress is durable with it.
    pub(super) fn accept(&mut self) {
        if let Some(batch) = self.under_way.pop() {
            self.take_in(batch);
        }
        self.progress_is_known();
    }

    /// The batch is in, with some state of each uplink since it was handed over.
    fn take_in(&mut self, batch: Batch) {
        for (name, uplink) in &mut self.uplinks {
            let newest = batch.newest.get(name).copied().unwrap_or(0);
            uplink.since.drain(..newest);
            for events in uplink.since.iter_mut().chain([&mut uplink.events]) {
                events.extend(batch.events.iter().map(|_| Now::Stored));
            }
        }
        self.events.extend(batch.events);
        self.checkpoint = batch.checkpoint;
        self.under_way.clear();
    }

    /// The last progress of each uplink is known, as far as no power cut comes.
    pub(super) fn progress_is_known(&mut self) {
        self.uplinks.values_mut().for_each(Uplink::durable);
        for batch in &mut self.under_way {
            batch.newest.clear();
        }
    }

    /// After an open: whether one of the batches under way is in.
    pub(super) fn decide(&mut self, store: &mut Store, restored: &Restored) {
        let before = at(self.events.len());
        // Where a disk fails in reading, nothing of what was refused can be told apart.
        let found = store.read(before, 1, 0).unwrap_or_default();
        let first = found.first().map(|record| record.envelope.run.as_u128());
        let is_in = |batch: &Batch| {
            restored.next == at(self.events.len() + batch.events.len() + 1)
                && restored.checkpoint == batch.checkpoint
                && batch.events.first().map(|tries| u128::from(*tries)) == first
        };
        let nothing_new =
            restored.next == successor(before) && restored.checkpoint == self.checkpoint;
        match self.under_way.iter().position(is_in) {
            Some(index) if !nothing_new => {
                let batch = self.under_way.remove(index);
                self.take_in(batch);
            }
            _ => {
                assert_eq!(restored.next, successor(before), "the next position");
                assert_eq!(restored.checkpoint, self.checkpoint, "the checkpoint");
                self.under_way.clear();
            }
        }
    }

    /// After an open with these uplinks, in this order.
    pub(super) fn compare(&mut self, store: &Store, names: &[String]) {
        self.uplinks.retain(|name, _| names.contains(name));
        let needed = self.uplinks.values().map(Uplink::first_stored).min();
        for (id, name) in (0..).map(UplinkId).zip(names) {
            let progress = store.progress(id);
            match self.uplinks.get_mut(name) {
                Some(uplink) => {
                    let mut states = uplink.since.iter().rev();
                    let found = states.find(|events| {
                        let events = (*events).clone();
                        Uplink::new(events).is_told_by(&progress)
                    });
                    let since = &uplink.since;
                    let found =
                        found.unwrap_or_else(|| panic!("{name}: {progress:?} of {since:?}"));
                    *uplink = Uplink::new(found.clone());
                }
                None => {
                    let uplink = self.begun(&progress);
                    assert!(uplink.is_told_by(&progress), "{name}: {progress:?}");
                    let oldest = self.events.len() - usize::try_from(uplink.stored()).unwrap();
                    if progress.cursor() == Position::default() {
                        assert!(oldest <= needed.unwrap_or(oldest), "{name} misses some");
                    }
                    self.uplinks.insert(name.clone(), uplink);
                }
            }
        }
    }

    /// An uplink that is new: it begins with the oldest event that is there, or after the newest.
    fn begun(&self, progress: &Progress) -> Uplink {
        let stored = usize::try_from(progress.account.offered).unwrap();
        let before = self.events.len() - stored;
        let mut events = vec![Now::NotOffered; before];
        events.resize(self.events.len(), Now::Stored);
        Uplink::new(events)
    }
}
