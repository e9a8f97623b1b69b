//! The store: one open head generation that is written, older ones that are drained, a cursor per uplink.
//!
//! Synchronous and single-threaded; the buffer's task owns it. What returns from [`Store::commit`] is on the disk. The
//! first error ends the use of a store: after a failed write nobody knows what the disk has.

use super::Record;
use super::engine::{Batch, EngineError};
use super::epoch::Why;
use super::error::{StoreError, io_error};
use super::generation::{Generation, Limits, Loss, predecessor, successor};
use super::generations::{self, Generations, put_head, span_after};
use super::head::Head;
use super::keys;
use super::progress::Progress;
use super::record;
use super::tail::TailCache;
use crate::health::BufferHealth;
use crate::model::{Envelope, Event, Position, Turn, UplinkId, UtcTime};
use crate::settings::shape::StartAt;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Losses that are remembered, so that each is counted and reported once; past them they are counted at each reading.
const MAX_LOSSES: usize = 4096;

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
    /// Where it counts.
    pub health: Arc<BufferHealth>,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    pub(super) root: PathBuf,
    pub(super) generation_bytes: u64,
    pub(super) health: Arc<BufferHealth>,
    pub(super) older: Generations,
    pub(super) newest: Generation,
    pub(super) head: Head,
    /// Names and cursors by uplink id.
    pub(super) uplinks: Vec<(String, Position)>,
    /// Some cursor moved since the last commit.
    pub(super) cursors_moved: bool,
    pub(super) progress: Progress,
    pub(super) tail: TailCache,
    pub(super) reported: BTreeSet<Position>,
    /// Why this run began a new epoch, if it did.
    pub(super) new_epoch: Option<Why>,
    /// Held while the store is open: released last.
    pub(super) _lock: File,
}

impl Store {
    /// The last durable position; `seq` 0 in an epoch without events.
    #[must_use]
    pub fn last(&self) -> Position {
        predecessor(self.head.next)
    }

    /// Why this run began a new epoch; `None` when numbering went on.
    #[must_use]
    pub fn new_epoch(&self) -> Option<Why> {
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

    /// The last position that an uplink settled.
    #[must_use]
    pub fn cursor(&self, uplink: UplinkId) -> Position {
        self.uplinks
            .get(uplink.index())
            .map_or_else(Position::default, |(_, cursor)| *cursor)
    }

    /// Events that an uplink has not settled yet: for each, accepted = delivered + filtered + stored.
    pub fn stored(&mut self, uplink: UplinkId) -> u64 {
        let cursor = self.cursor(uplink);
        let newest = span_after(cursor, self.newest.first(), self.last());
        self.older.count_after(cursor).saturating_add(newest)
    }

    /// Makes turns durable as one batch, together with all cursors; returns the last durable position. `recorded` is now.
    ///
    /// # Errors
    /// Any: nothing of the batch counts as accepted, and the store must not be used again.
    pub fn commit(
        &mut self,
        turns: &[Turn],
        recorded: UtcTime,
        render: &Render<'_>,
    ) -> Result<Position, StoreError> {
        let records = self.records(turns, recorded, render)?;
        let record_bytes: u64 = records.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if self.must_rotate(record_bytes + checkpoint_bytes(turns)) {
            self.rotate()?;
        }
        let mut batch = Batch::new();
        for (record, bytes) in &records {
            keys::put(&mut batch, &keys::record(record.position), bytes, None);
        }
        for turn in turns {
            self.head.change(&turn.checkpoint, &mut batch);
        }
        if let Some((record, _)) = records.last() {
            self.head.next = successor(record.position);
        }
        self.head.written_bytes += record_bytes;
        self.commit_head(batch)?;
        self.health.accepted.add(records.len() as u64);
        if !records.is_empty() {
            self.put_progress(|progress, last| progress.tail(last))?;
        }
        for (record, _) in records {
            self.tail.push(record);
        }
        self.remove_settled()?;
        Ok(self.last())
    }

    /// Makes cursors durable that moved since the last commit.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_cursors(&mut self) -> Result<(), StoreError> {
        if self.cursors_moved {
            self.commit_head(Batch::new())?;
            self.remove_settled()?;
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
        self.report(losses);
        let below = below?;
        if !below.records.is_empty() {
            return Ok(below.records);
        }
        self.read_newest(after, limits)
    }

    /// An uplink settled everything up to and including `up_to`. Survives a kill at once; durable with the next commit.
    /// Returns whether its cursor moved; positions that are not stored yet are cut to the last stored one.
    ///
    /// # Errors
    /// When the progress file cannot be written.
    pub fn settle(&mut self, uplink: UplinkId, up_to: Position) -> Result<bool, StoreError> {
        let up_to = up_to.min(self.last());
        match self.uplinks.get_mut(uplink.index()) {
            Some((_, cursor)) if *cursor < up_to => *cursor = up_to,
            _ => return Ok(false),
        }
        self.cursors_moved = true;
        self.put_progress(|progress, _| progress.cursor(uplink.index(), up_to))?;
        Ok(true)
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
                payload: Bytes::from(json),
            };
            let bytes =
                record::encode(&record).map_err(|source| StoreError::Event { position, source })?;
            records.push((record, bytes));
            expected = successor(position);
        }
        Ok(records)
    }

    /// A generation without records is never rotated: its successor would have its name.
    fn must_rotate(&self, more_bytes: u64) -> bool {
        self.head.written_bytes.saturating_add(more_bytes) > self.generation_bytes
            && self.head.next > self.newest.first()
    }

    /// Begins a generation: state and cursors are durable in it before it is used.
    fn rotate(&mut self) -> Result<(), StoreError> {
        self.copy_cursors();
        self.put_progress(|progress, _| progress.sync())?;
        let (first, last) = (self.newest.first(), self.last());
        let (newest, head) = generations::create(&self.root, &self.head)?;
        self.newest = newest;
        self.head = head;
        self.older.push(first, last);
        Ok(())
    }

    /// Commits a batch with the state of the head.
    pub(super) fn commit_head(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        self.copy_cursors();
        put_head(&mut self.head, &mut batch, &self.root)?;
        self.newest.commit(batch)?;
        self.cursors_moved = false;
        self.health.commits.add(1);
        Ok(())
    }

    fn copy_cursors(&mut self) {
        self.head.cursors = self.uplinks.iter().cloned().collect();
    }

    /// Removes what every uplink settled. Only after a commit: the cursors must be durable first.
    pub(super) fn remove_settled(&mut self) -> Result<(), StoreError> {
        let cursors = self.uplinks.iter().map(|(_, cursor)| *cursor);
        let settled = cursors.min().unwrap_or_else(|| self.last());
        let mut losses = Vec::new();
        let result = self.older.remove_settled(settled, &mut losses);
        self.report(losses);
        result
    }

    fn read_newest(&mut self, after: Position, limits: Limits) -> Result<Vec<Record>, StoreError> {
        match self.newest.read(after, self.last(), limits) {
            Ok(reading) => {
                self.report(reading.losses);
                Ok(reading.records)
            }
            Err(EngineError::Damaged { reason, .. }) => {
                // What is in memory proves the end of the epoch, so numbering goes on in a fresh generation.
                let lost = Loss {
                    from: self.newest.first(),
                    to: self.last(),
                    reason,
                };
                let (newest, head) = generations::create(&self.root, &self.head)?;
                self.newest = newest;
                self.head = head;
                generations::set_aside(&self.root, lost.from)?;
                self.report(vec![lost]);
                Ok(Vec::new())
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Counts and logs losses, each once.
    pub(super) fn report(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            if self.reported.contains(&loss.from) {
                continue;
            }
            if self.reported.len() < MAX_LOSSES {
                self.reported.insert(loss.from);
            }
            self.health.quarantined.add(loss.count());
            tracing::error!(from = %loss.from, to = %loss.to, reason = loss.reason, "stored events are lost");
        }
    }

    fn put_progress(
        &self,
        work: impl FnOnce(&Progress, Position) -> std::io::Result<()>,
    ) -> Result<(), StoreError> {
        work(&self.progress, self.last()).map_err(|error| io_error(&self.root, error))
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
