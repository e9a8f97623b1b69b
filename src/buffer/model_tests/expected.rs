//! What must be true: the accepted events as a list, for each uplink what became of each of them, and what was told of drops.

use super::super::generation::successor;
use super::super::store::Store;
use super::uplink::{DROPS, Now, Seen, State, Uplink};
use crate::buffer::progress::Account;
use crate::model::{DropNotice, DropReason, Position, Restored};
use crate::settings::shape::StartAt;
use std::collections::{BTreeMap, BTreeSet};

/// The position of what comes after so many events.
pub(super) fn at(count: usize) -> Position {
    Position {
        epoch: 1,
        seq: count as u64,
    }
}

/// An event that the store has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// What tells it from another that had its position and was never accepted.
    pub(super) tries: u32,
    /// A full buffer may drop it first.
    pub(super) passing: bool,
}

/// A batch that is under way.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) events: Vec<Accepted>,
    pub(super) checkpoint: BTreeMap<String, Vec<u8>>,
    /// Drops that its events tell of.
    pub(super) told: Vec<DropNotice>,
    /// By uplink, which of its states was the newest when it was handed over: what is on the disk with the batch is not
    /// older, whatever the store was told after it refused the batch.
    newest: BTreeMap<String, usize>,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub(super) events: Vec<Accepted>,
    pub(super) checkpoint: BTreeMap<String, Vec<u8>>,
    pub(super) uplinks: BTreeMap<String, Uplink>,
    /// Handed to the store since it accepted one: the last has no answer yet, those before were refused. After a start one
    /// of them may be in, or none.
    pub(super) under_way: Vec<Batch>,
    /// Of uplinks that left: files that lie there for certain, and that may.
    left_behind: BTreeMap<String, (BTreeSet<usize>, BTreeSet<usize>)>,
    /// What they had lost until they left.
    lost_before: BTreeMap<String, Account>,
    /// How many drops accepted events tell of.
    told: BTreeMap<(DropReason, Option<String>), u64>,
}

impl Expected {
    /// A batch is handed to the store.
    pub(super) fn hand_over(
        &mut self,
        events: Vec<Accepted>,
        checkpoint: BTreeMap<String, Vec<u8>>,
        told: Vec<DropNotice>,
    ) {
        let newest = |(name, uplink): (&String, &Uplink)| (name.clone(), uplink.since.len() - 1);
        self.under_way.push(Batch {
            events,
            checkpoint,
            told,
            newest: self.uplinks.iter().map(newest).collect(),
        });
    }

    /// The batch under way is accepted.
    pub(super) fn accept(&mut self) {
        if let Some(batch) = self.under_way.pop() {
            self.take_in(batch);
        }
    }

    /// The batch is in, with some state of each uplink since it was handed over.
    fn take_in(&mut self, batch: Batch) {
        for (name, uplink) in &mut self.uplinks {
            let newest = batch.newest.get(name).copied().unwrap_or(0);
            uplink.since.drain(..newest);
            uplink.offer(batch.events.len());
        }
        self.events.extend(batch.events);
        self.checkpoint = batch.checkpoint;
        for notice in batch.told {
            *self.told.entry((notice.reason, notice.uplink)).or_default() += notice.count;
        }
        self.under_way.clear();
    }

    /// The last progress of each uplink is durable.
    pub(super) fn progress_is_durable(&mut self) {
        self.progress_is_known(|_| true);
    }

    /// The last progress of each uplink is in the side file, as far as no power cut comes.
    pub(super) fn progress_is_said(&mut self) {
        self.progress_is_known(Uplink::is_said);
    }

    fn progress_is_known(&mut self, which: impl Fn(&Uplink) -> bool) {
        for (name, uplink) in &mut self.uplinks {
            if which(uplink) {
                uplink.durable();
                for batch in &mut self.under_way {
                    batch.newest.remove(name);
                }
            }
        }
    }

    /// After an open: whether one of the batches under way is in.
    pub(super) fn decide(&mut self, store: &mut Store, restored: &Restored) {
        let before = at(self.events.len());
        // Where a disk fails in reading, nothing of what was refused can be told apart.
        let found = store.read(before, 1, 0).unwrap_or_default();
        let first = found.first().map(|record| record.envelope.run.as_u128());
        let is_in = |batch: &Batch| {
            let tries = batch.events.first().map(|event| u128::from(event.tries));
            restored.next == at(self.events.len() + batch.events.len() + 1)
                && restored.checkpoint == batch.checkpoint
                && tries == first
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

    /// After an open with these uplinks, in this order, of which this is seen.
    pub(super) fn compare(&mut self, uplinks: &[(String, StartAt)], seen: &[Seen]) {
        let stays = |name: &String| uplinks.iter().any(|(one, _)| one == name);
        for (name, gone) in self.uplinks.extract_if(.., |name, _| !stays(name)) {
            let parked = |state: &State| state.places(Now::Parked);
            let certain = parked(&gone.now).into_iter().collect();
            let mut possible: BTreeSet<usize> = gone.since.iter().flat_map(parked).collect();
            possible.extend(gone.half_parked);
            self.left_behind.insert(name.clone(), (certain, possible));
            let lost = self.lost_before.entry(name).or_default();
            for (sum, more) in lost.dropped.iter_mut().zip(gone.now.account.dropped) {
                *sum += more;
            }
        }
        for ((name, start_at), seen) in uplinks.iter().zip(seen) {
            match self.uplinks.get_mut(name) {
                Some(uplink) => uplink.come_back(name, seen, &self.events),
                None => {
                    let begun = self.begun(name, *start_at, seen);
                    self.uplinks.insert(name.clone(), begun);
                }
            }
        }
    }

    /// An uplink that is new begins with the oldest event that is there, or after the newest; beside these it finds what it
    /// had parked when it was here before.
    fn begun(&mut self, name: &str, start_at: StartAt, seen: &Seen) -> Uplink {
        let (certain, possible) = self.left_behind.remove(name).unwrap_or_default();
        assert!(certain.is_subset(&seen.parked), "{name}: {certain:?}");
        assert!(seen.parked.is_subset(&possible), "{name}: {possible:?}");
        let begun = |place: usize| match () {
            () if seen.parked.contains(&place) => Now::Parked,
            () if seen.readable.contains(&place) => Now::Stored,
            () => Now::NotOffered,
        };
        let events: Vec<Now> = (0..self.events.len()).map(begun).collect();
        for (place, now) in events.iter().enumerate() {
            let is_needed = |uplink: &Uplink| uplink.now.events[place] == Now::Stored;
            match start_at {
                StartAt::Newest => assert_ne!(*now, Now::Stored, "{name}: {place}"),
                StartAt::Oldest if self.uplinks.values().any(is_needed) => {
                    assert_ne!(*now, Now::NotOffered, "{name} misses {place}");
                }
                StartAt::Oldest => {}
            }
        }
        let (parked, stored) = (seen.parked.len() as u64, seen.readable.len() as u64);
        let account = Account {
            offered: parked + stored,
            parked,
            ..Account::default()
        };
        assert_eq!(seen.progress.account, account, "{name}");
        Uplink::new(State { events, account })
    }

    /// What was dropped is told, or will be: each for every uplink that lost it, and nothing twice.
    pub(super) fn check_notices(&self, untold: &[DropNotice]) {
        for reason in DROPS {
            let noticed = |uplink: Option<&String>| {
                let key = (reason, uplink.cloned());
                let is_it = |notice: &&DropNotice| {
                    notice.reason == reason && notice.uplink.as_ref() == uplink
                };
                let open: u64 = untold.iter().filter(is_it).map(|it| it.count).sum();
                open + self.told.get(&key).copied().unwrap_or(0)
            };
            let of_all = noticed(None);
            let (mut own, mut lost) = (0, 0);
            for (name, uplink) in &self.uplinks {
                let before = self.lost_before.get(name);
                let before = before.map_or(0, |account| account.dropped(reason));
                let dropped = uplink.now.account.dropped(reason) + before;
                let told = of_all + noticed(Some(name));
                assert!(dropped <= told, "{name}: {dropped} {reason:?}, told {told}");
                own += noticed(Some(name));
                lost += dropped;
            }
            // What an uplink lost in the moment in which it left is told and not known here.
            if self.lost_before.is_empty() {
                assert!(of_all + own <= lost, "{reason:?}: {of_all} {own} {lost}");
            }
        }
    }
}
