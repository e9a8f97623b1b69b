//! What becomes of a store whose engine failed in a write: the handle takes nothing more and is closed at once, and the store
//! goes on in a fresh generation with what memory knows to be durable. Called by `store` and the task.
//!
//! After a failed sync the page cache may show what the disk does not have, and of a failed batch all or nothing may be there:
//! so nothing is ever appended behind it. Whatever the old generation holds beyond the last acknowledged event is cut when
//! it is read, because the fresh one begins there.

use super::error::StoreError;
use super::generation::{Generation, successor};
use super::generations;
use super::head::Head;
use super::store::Store;
use crate::model::{CheckpointEntry, DropNotice, EpochReason, Position, Turn};
use std::collections::BTreeMap;

/// What a commit changes in memory before it is durable.
#[derive(Debug)]
pub(super) struct Undo {
    next: Position,
    untold: Vec<DropNotice>,
    checkpoint: BTreeMap<String, Option<Vec<u8>>>,
    offered: u64,
    new_epoch: Option<EpochReason>,
    written_bytes: u64,
    passing_bytes: u64,
}

impl Store {
    /// What memory says before turns with so many events are committed.
    pub(super) fn undo(&self, turns: &[Turn], offered: u64) -> Undo {
        let keys = turns.iter().flat_map(|turn| &turn.checkpoint);
        Undo {
            next: self.head.next,
            untold: self.head.untold.clone(),
            checkpoint: keys
                .map(|CheckpointEntry { key, .. }| {
                    (key.clone(), self.head.checkpoint.get(key).cloned())
                })
                .collect(),
            offered,
            new_epoch: self.head.new_epoch,
            written_bytes: self.head.written_bytes,
            passing_bytes: self.head.passing_bytes,
        }
    }

    /// The commit failed: memory says again what is durable.
    pub(super) fn take_back(&mut self, undo: Undo) {
        self.head.next = undo.next;
        self.head.untold = undo.untold;
        self.head.new_epoch = undo.new_epoch;
        self.head.written_bytes = undo.written_bytes;
        self.head.passing_bytes = undo.passing_bytes;
        for (key, value) in undo.checkpoint {
            match value {
                Some(value) => self.head.checkpoint.insert(key, value),
                None => self.head.checkpoint.remove(&key),
            };
        }
        for (_, progress) in &mut self.uplinks {
            let offered = &mut progress.account.offered;
            *offered = offered.saturating_sub(undo.offered);
        }
    }

    /// Closes the newest generation after a failed write. What it holds is read like an older one; nothing can be committed
    /// before [`Store::renew`].
    pub(super) fn abandon(&mut self) {
        if self.abandoned {
            return;
        }
        self.abandoned = true;
        let (first, last) = (self.newest.first(), self.last());
        // What was open is closed here, also the lock of its database.
        self.newest = Generation::closed(&self.root, successor(last));
        if last >= first {
            self.older.push(first, last, self.facts());
        }
    }

    /// A generation without records is never rotated: its successor would have its name.
    pub(super) fn must_rotate(&self, more_bytes: u64) -> bool {
        let full = self.head.written_bytes.saturating_add(more_bytes) > self.generation_bytes;
        (full || self.is_head_old())
            && self.head.next > self.newest.first()
            && self.head.written_bytes >= self.rotate_from
    }

    /// Begins a generation: state and progress are durable in it before it is used. Where there is no space or name for it,
    /// the head goes on past its size, and it is tried again a quarter of that later.
    pub(super) fn rotate(&mut self) -> Result<(), StoreError> {
        self.put_side(|side, _| side.sync())?;
        let (first, last, facts) = (self.newest.first(), self.last(), self.facts());
        let durable = self.head.uplinks.clone();
        self.copy_progress();
        match self.fresh() {
            Ok((newest, head)) => {
                self.newest = newest;
                self.head = head;
                self.rotate_from = 0;
                self.older.push(first, last, facts);
            }
            Err(error @ (StoreError::Full(_) | StoreError::Io { .. })) if !self.abandoned => {
                // What goes for settled must be durable.
                self.head.uplinks = durable;
                tracing::warn!(%error, "no new generation: the newest one grows past its size");
                self.rotate_from = self.head.written_bytes + self.generation_bytes / 4;
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Makes a generation with what memory knows. Should that fail when the name of it is there already, nobody knows whether
    /// it outlasts a power cut: nothing may be written beside it, and the newest one is closed.
    pub(super) fn fresh(&mut self) -> Result<(Generation, Head), StoreError> {
        let made = generations::create(&self.medium, &self.root, &self.head);
        if made.is_err() {
            let name = self.head.next.to_string();
            let names = self.medium.disk.names(&self.root);
            if names.map_or(true, |names| names.contains(&name)) {
                self.abandon();
            }
        }
        made
    }

    /// Goes on in a fresh generation where the newest one was closed after a failed write.
    ///
    /// # Errors
    /// Nothing has changed then: it may be tried again.
    pub fn renew(&mut self) -> Result<(), StoreError> {
        if !self.abandoned {
            return Ok(());
        }
        self.copy_progress();
        let (newest, head) = self.fresh()?;
        tracing::warn!(from = %head.next, "the store goes on in a fresh generation");
        self.newest = newest;
        self.head = head;
        self.abandoned = false;
        Ok(())
    }
}
