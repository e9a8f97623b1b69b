//! The store: one open head generation that is written, older ones that are drained, the progress of each uplink.
//!
//! Synchronous and single-threaded; the buffer's task owns it. What returns from [`Store::commit`] is on the disk. After a
//! failed write nobody knows what the disk has: the generation is closed, and `renew` begins a fresh one.

use super::Record;
use super::engine::{Batch, EngineError, Medium};
use super::error::{StoreError, io_error};
use super::generation::{Generation, Limits, Loss, predecessor, successor};
use super::generations::{Generations, put_head};
use super::head::Head;
use super::keys;
use super::listing::{self, path_of};
use super::losses::Reported;
use super::parked::ParkedEvents;
use super::progress::{Account, Progress, Settled};
use super::publish::Published;
use super::quota::Quota;
use super::record;
use super::room::Ballast;
use super::side::SideFile;
use super::tail::TailCache;
use super::used::Room;
use crate::health::BufferHealth;
use crate::model::{
    Body, BootTime, Class, DeliveryAlertKind, DropNotice, Envelope, EpochReason, Event, Position,
    Stamp, Turn, UplinkId, UtcTime,
};
use crate::settings::shape::StartAt;
use bytes::Bytes;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Turns an event, and the time at which its batch is handed to the disk, into its envelope and its JSON.
pub type Render<'a> = dyn Fn(&Event, UtcTime) -> (Envelope, Vec<u8>) + Send + 'a;

/// What a store needs to know.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// `buffer.path`; the store is the directory `store` in it.
    pub path: PathBuf,
    /// Bytes after which a generation is full: 4 to 32 MiB in production.
    pub generation_bytes: u64,
    /// Names in the order of [`UplinkId`], and where one begins that the store has not seen before.
    pub uplinks: Vec<(String, StartAt)>,
    /// The id of this box, see [`super::machine_id`]; `None` where there is none.
    pub machine_id: Option<String>,
    /// What it may take, and for how long.
    pub quota: Quota,
    /// Where it counts.
    pub health: Arc<BufferHealth>,
    /// Where it lies: [`Medium::sled`] but in tests and benches.
    pub medium: Medium,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    pub(super) root: PathBuf,
    pub(super) generation_bytes: u64,
    pub(super) health: Arc<BufferHealth>,
    pub(super) medium: Medium,
    pub(super) older: Generations,
    pub(super) newest: Generation,
    pub(super) head: Head,
    /// Names and progress by uplink id.
    pub(super) uplinks: Vec<(String, Progress)>,
    /// Some progress was made since the last commit.
    pub(super) moved: bool,
    /// `None` until a start has made durable what it decided: until then the file of the run before stays.
    pub(super) side: Option<SideFile>,
    /// The boot clock at the last commit of this run, from which `powered_ns` goes on.
    pub(super) committed_at: Option<BootTime>,
    pub(super) tail: TailCache,
    pub(super) room: Room,
    pub(super) parked: ParkedEvents,
    pub(super) reported: Reported,
    pub(super) published: Published,
    /// A write to the newest generation failed: it is closed, see [`Store::renew`].
    pub(super) abandoned: bool,
    /// No rotation is tried before the head has so many bytes: the last one failed.
    pub(super) rotate_from: u64,
    /// There was a backlog of more than the head.
    pub(super) behind: bool,
    pub(super) ballast: Ballast,
    /// There was no room when it was last looked for.
    pub(super) was_full: bool,
    /// Why this run began a new epoch, if it did.
    pub(super) new_epoch: Option<EpochReason>,
    /// Held while the store is open: released last.
    pub(super) _lock: Box<dyn Any + Send>,
}

impl Store {
    /// The last durable position; `seq` 0 in an epoch without events.
    #[must_use]
    pub fn last(&self) -> Position {
        predecessor(self.head.next)
    }

    /// Why this run began a new epoch; `None` when numbering went on.
    #[must_use]
    pub fn new_epoch(&self) -> Option<EpochReason> {
        self.new_epoch
    }

    /// The directory of the store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The uplinks of its options.
    pub fn uplink_ids(&self) -> impl Iterator<Item = UplinkId> + use<> {
        let count = u32::try_from(self.uplinks.len()).unwrap_or(u32::MAX);
        (0..count).map(UplinkId)
    }

    /// How far an uplink has come.
    #[must_use]
    pub fn progress(&self, uplink: UplinkId) -> Progress {
        let found = self.uplinks.get(uplink.index());
        found.map_or_else(Progress::default, |(_, progress)| progress.clone())
    }

    /// The position up to which an uplink settled everything.
    #[must_use]
    pub fn cursor(&self, uplink: UplinkId) -> Position {
        let found = self.uplinks.get(uplink.index());
        found.map_or_else(Position::default, |(_, progress)| progress.cursor())
    }

    /// Where the events of an uplink went.
    #[must_use]
    pub fn account(&self, uplink: UplinkId) -> Account {
        let found = self.uplinks.get(uplink.index());
        found.map_or_else(Account::default, |(_, progress)| progress.account)
    }

    /// Makes turns durable as one batch, together with all progress; returns the last durable position.
    ///
    /// # Errors
    /// Any: nothing of the batch counts as accepted. With [`StoreError::Full`] and [`StoreError::Io`] the same batch may be
    /// tried again, and reading and settling go on.
    pub fn commit(
        &mut self,
        turns: &[Turn],
        now: Stamp,
        render: &Render<'_>,
    ) -> Result<Position, StoreError> {
        let records = self.records(turns, now.utc, render)?;
        let record_bytes: u64 = records.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let more_bytes = record_bytes + checkpoint_bytes(turns);
        self.room_for(more_bytes)?;
        self.renew()?;
        self.keep_within_quota(more_bytes)?;
        if self.must_rotate(more_bytes) {
            self.rotate()?;
        }
        self.take_room(more_bytes)?;
        let undo = self.undo(turns, records.len() as u64);
        let mut batch = Batch::new();
        for (record, bytes) in &records {
            keys::put(&mut batch, &keys::record(record.position), bytes, None);
            if record.class == Class::Passing {
                self.head.passing_bytes += bytes.len() as u64;
            }
        }
        for turn in turns {
            self.head.change(&turn.checkpoint, &mut batch);
        }
        if let Some((record, _)) = records.last() {
            self.head.next = successor(record.position);
        }
        self.head.written_bytes += record_bytes;
        self.health
            .written
            .add(record_bytes + checkpoint_bytes(turns));
        for (_, progress) in &mut self.uplinks {
            progress.account.offered += records.len() as u64;
        }
        self.told(turns);
        self.pass_time(now.boot);
        if let Err(error) = self.write_head(batch) {
            self.take_back(undo);
            self.abandon();
            return Err(error);
        }
        self.health.accepted.add(records.len() as u64);
        let any = !records.is_empty();
        for (record, _) in records {
            self.tail.push(record);
        }
        // The batch is durable: nothing that fails from here on makes it less so.
        if any && let Err(error) = self.put_side(|side, last| side.tail(last)) {
            tracing::warn!(%error, "the side file cannot be written");
        }
        self.clear_away();
        Ok(self.last())
    }

    /// Makes progress durable that was made since the last commit.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_progress(&mut self) -> Result<(), StoreError> {
        if self.moved {
            self.room_for_progress()?;
            if let Err(StoreError::Full(_)) = self.renew() {
                self.release_ballast()?;
                self.renew()?;
            }
            if let Err(StoreError::Full(_)) = self.take_room(0) {
                self.release_ballast()?;
                self.take_room(0)?;
            }
            self.commit_head(Batch::new())?;
            self.clear_away();
        }
        Ok(())
    }

    /// Records after `after`: at least one if there is one, at most `max_events`, past the first at most `max_bytes`.
    /// Records that are lost are counted, reported and passed over.
    ///
    /// # Errors
    /// When the disk fails or the newest records are damaged; older damage is set aside.
    pub fn read(
        &mut self,
        after: Position,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let limits = Limits {
            events: max_events,
            bytes: max_bytes,
        };
        if after >= self.last() {
            return Ok(Vec::new());
        }
        if let Some(records) = self.tail.read(after, limits) {
            return Ok(records);
        }
        let mut losses = Vec::new();
        let below = self.older.read(after, limits, &mut losses);
        self.report_found(losses)?;
        let below = below?;
        if !below.records.is_empty() {
            return Ok(below.records);
        }
        self.read_newest(after, limits)
    }

    /// [`Store::read`] for an uplink: leaves out what it has settled above its cursor.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_for(
        &mut self,
        uplink: UplinkId,
        mut after: Position,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, StoreError> {
        loop {
            let mut records = self.read(after, max_events, max_bytes)?;
            let Some(last) = records.last().map(|record| record.position) else {
                return Ok(records);
            };
            self.older.has_read(uplink, last);
            if let Some((_, progress)) = self.uplinks.get(uplink.index()) {
                records.retain(|record| !progress.is_settled(record.position));
            }
            if !records.is_empty() {
                return Ok(records);
            }
            after = last;
        }
    }

    /// An uplink settled events. Survives a kill at once; durable with the next commit. Returns whether anything is new;
    /// positions that are not stored yet are cut to the last stored one.
    ///
    /// # Errors
    /// When the side file cannot be written.
    pub fn settle(&mut self, uplink: UplinkId, settled: &Settled) -> Result<bool, StoreError> {
        let last = self.last();
        let settled = Settled {
            up_to: settled.up_to.min(last),
            fates: settled
                .fates
                .iter()
                .filter(|(at, _)| *at <= last && !self.is_evicted(*at))
                .copied()
                .collect(),
        };
        let index = uplink.index();
        let Some((_, progress)) = self.uplinks.get_mut(index) else {
            return Ok(false);
        };
        if !progress.settle(&settled) {
            return Ok(false);
        }
        self.moved = true;
        self.put_side_progress(index)?;
        Ok(true)
    }

    /// Events are gone before their uplinks had a verdict: said durably with the next commit, and told as an alert.
    pub(super) fn dropped(&mut self, notice: DropNotice) {
        self.note_dropped(&notice);
        self.health.drops.add(notice);
    }

    /// The first half of [`Store::dropped`]: what is told when it is durable.
    pub(super) fn note_dropped(&mut self, notice: &DropNotice) {
        if !self.head.untold.iter_mut().any(|known| known.join(notice)) {
            self.head.untold.push(notice.clone());
        }
        self.moved = true;
    }

    /// Forgets the notices that these turns tell.
    fn told(&mut self, turns: &[Turn]) {
        for event in turns.iter().flat_map(|turn| &turn.events) {
            let Body::Delivery(alert) = &event.body else {
                continue;
            };
            if alert.kind == DeliveryAlertKind::NewEpoch {
                self.head.new_epoch = None;
            }
            let Some(told) = &alert.dropped else {
                continue;
            };
            for known in &mut self.head.untold {
                if known.reason == told.reason && known.uplink == told.uplink {
                    known.count = known.count.saturating_sub(told.count);
                    // What came after the telling begins behind it, unless it was found further ahead.
                    if told.from <= known.from && told.to < known.to {
                        known.from = successor(told.to);
                    }
                }
            }
            self.head.untold.retain(|known| known.count > 0);
        }
    }

    /// Time passes for the ages of events only while the gateway runs.
    pub(super) fn pass_time(&mut self, now: BootTime) {
        if let Some(before) = self.committed_at {
            let passed = u64::try_from(now.since(before).as_nanos()).unwrap_or(u64::MAX);
            self.head.powered_ns = self.head.powered_ns.saturating_add(passed);
        }
        self.committed_at = Some(now);
    }

    /// The clock of ages, which goes on between two commits.
    pub(super) fn powered_ns(&self, now: BootTime) -> u64 {
        let since = self.committed_at.map(|commit| now.since(commit));
        let since_ns = since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        });
        self.head.powered_ns.saturating_add(since_ns)
    }

    /// Encodes all events of the turns, each in its place.
    fn records(
        &self,
        turns: &[Turn],
        recorded: UtcTime,
        render: &Render<'_>,
    ) -> Result<Vec<(Record, Vec<u8>)>, StoreError> {
        let mut records = Vec::new();
        let mut expected = self.head.next;
        for event in turns.iter().flat_map(|turn| &turn.events) {
            let position = event.position;
            if position != expected {
                return Err(StoreError::Sequence {
                    expected,
                    found: position,
                });
            }
            let (envelope, json) = render(event, recorded);
            let record = Record {
                position,
                envelope,
                class: event.class(),
                payload: Bytes::from(json),
            };
            let encode = match self.medium.packs {
                true => record::encode,
                false => record::encode_plain,
            };
            let bytes = encode(&record).map_err(|source| StoreError::Event { position, source })?;
            records.push((record, bytes));
            expected = successor(position);
        }
        Ok(records)
    }

    /// Commits a batch with the state of the head. Nothing can be committed after an error, see [`Store::renew`].
    pub(super) fn commit_head(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.write_head(batch).inspect_err(|_| self.abandon())
    }

    fn write_head(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        self.copy_progress();
        put_head(&mut self.head, &mut batch, &self.root)?;
        self.newest.commit(batch)?;
        self.moved = false;
        self.health.commits.add(1);
        Ok(())
    }

    pub(super) fn copy_progress(&mut self) {
        self.head.uplinks = self.uplinks.iter().cloned().collect();
    }

    /// Removes what nobody needs any more, generations and files, behind a commit; what cannot be removed now is removed
    /// behind a later one.
    pub(super) fn clear_away(&mut self) {
        self.losses_are_durable();
        if let Err(error) = self.sweep_parked().and_then(|()| self.remove_settled()) {
            tracing::warn!(%error, "settled events cannot be removed");
        }
    }

    fn read_newest(&mut self, after: Position, limits: Limits) -> Result<Vec<Record>, StoreError> {
        match self.newest.read(after, self.last(), limits) {
            Ok(reading) => {
                self.report_found(reading.losses)?;
                Ok(reading.records)
            }
            Err(EngineError::Damaged { reason, .. }) => {
                // What is in memory proves the end of the epoch, so numbering goes on in a fresh generation.
                let lost = Loss {
                    from: self.newest.first(),
                    to: self.last(),
                    reason,
                };
                let (newest, head) = self.fresh()?;
                self.newest = newest;
                self.head = head;
                let path = path_of(&self.root, lost.from);
                listing::set_aside(self.medium.disk.as_ref(), &self.root, &path, lost.from)?;
                self.report_found(vec![lost])?;
                Ok(Vec::new())
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Says how far an uplink has come. Not while nobody knows whether a refused commit is on the disk: what that one says to
    /// be gone would be missing beside the verdicts of now.
    pub(super) fn put_side_progress(&self, uplink: usize) -> Result<(), StoreError> {
        if self.abandoned {
            return Ok(());
        }
        let Some((_, progress)) = self.uplinks.get(uplink) else {
            return Ok(());
        };
        self.put_side(|side, last| side.progress(uplink, progress, last))
    }

    pub(super) fn put_side(
        &self,
        work: impl FnOnce(&SideFile, Position) -> std::io::Result<()>,
    ) -> Result<(), StoreError> {
        let Some(side) = &self.side else {
            return Ok(());
        };
        match work(side, self.last()).map_err(|error| io_error(&self.root, error)) {
            // It says less than it could: after a kill there are more duplicates, and nothing is lost.
            Err(StoreError::Full(_)) => Ok(()),
            result => result,
        }
    }
}

fn checkpoint_bytes(turns: &[Turn]) -> u64 {
    turns
        .iter()
        .flat_map(|turn| &turn.checkpoint)
        .map(|entry| entry.value.as_ref().map_or(0, |value| value.len() as u64))
        .sum()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
