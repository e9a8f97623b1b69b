//! The generations below the head: which there are, reading them, setting damaged ones aside, removing settled ones.
//!
//! Few are open at a time. How their directories are called is the business of `listing`.

use super::disk::Disk;
use super::engine::{Batch, EngineError, Medium, Purpose};
use super::epoch::end_of;
use super::error::{StoreError, io_error};
use super::generation::{Generation, Limits, Loss, Reading, predecessor};
use super::head::Head;
use super::listing::{
    CREATING, Listing, lean_path_of, path_of, remove, renewed_path_of, set_aside, take_place,
};
use crate::model::{Position, UplinkId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Generations open for reading at a time, beside the head: uplinks that are behind at different places.
const MAX_READERS: usize = 3;

/// A generation that is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Older {
    pub(super) first: Position,
    /// Its last position, once known.
    pub(super) last: Option<Position>,
    /// It was rewritten without its passing events.
    pub(super) lean: bool,
    /// Bytes on the disk, once measured.
    pub(super) used: Option<u64>,
    /// What its own head state says, once it was looked at.
    pub(super) facts: Option<Facts>,
}

/// What a complete generation knows about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The powered-on time of its last commit.
    pub(super) powered_ns: u64,
    /// Bytes of its records, and the checkpoints between them.
    pub(super) written_bytes: u64,
    /// Of these, passing events.
    pub(super) passing_bytes: u64,
}

impl Older {
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        if self.lean {
            lean_path_of(root, self.first)
        } else {
            path_of(root, self.first)
        }
    }
}

/// All generations but the head.
#[derive(Debug)]
pub(super) struct Generations {
    pub(super) medium: Medium,
    pub(super) root: PathBuf,
    /// Rising.
    pub(super) older: Vec<Older>,
    /// Damaged although it had been rewritten: how many of its events were evicted before is not known.
    pub(super) uncounted: Option<Position>,
    /// The one that was set aside last, from its first position to its last.
    pub(super) lost_whole: Option<(Position, Position)>,
    /// Such ones, which are set aside when their loss is counted durably. A crash before that finds them where they are and
    /// counts once; of one that was set aside before, the next start would count the evicted events again.
    aside: Vec<Older>,
    /// Open ones, the most recently used last.
    readers: Vec<Generation>,
    /// How far each uplink has read, as far as it has read below the head.
    pub(super) reading: BTreeMap<UplinkId, Position>,
}

impl Generations {
    /// Those of `listing` below `head`; `ends` says where earlier epochs ended.
    pub(super) fn new(
        medium: &Medium,
        root: &Path,
        listing: &Listing,
        head: Position,
        ends: &BTreeMap<u32, u64>,
    ) -> Generations {
        let starts = listing.starts(head);
        let older = listing
            .whole
            .iter()
            .filter(|first| **first < head)
            .map(|first| Older {
                first: *first,
                last: end_of(*first, &starts, ends),
                lean: listing.lean.contains(first),
                used: None,
                facts: None,
            })
            .collect();
        Generations {
            medium: medium.clone(),
            root: root.to_owned(),
            older,
            uncounted: None,
            lost_whole: None,
            aside: Vec::new(),
            readers: Vec::new(),
            reading: BTreeMap::new(),
        }
    }

    /// The head was rotated away and ends with `last`.
    pub(super) fn push(&mut self, first: Position, last: Position, facts: Facts) {
        self.older.push(Older {
            first,
            last: Some(last),
            lean: false,
            used: None,
            facts: Some(facts),
        });
    }

    /// Reads records after `after` from the first generation that has any. What is lost goes to `losses`.
    pub(super) fn read(
        &mut self,
        after: Position,
        limits: Limits,
        losses: &mut Vec<Loss>,
    ) -> Result<Reading, StoreError> {
        let mut index = self
            .older
            .partition_point(|older| older.last.is_some_and(|last| last <= after));
        while let Some(older) = self.older.get(index).copied() {
            match self.read_one(older, after, limits) {
                Ok(mut reading) => {
                    losses.append(&mut reading.losses);
                    if !reading.records.is_empty() {
                        return Ok(reading);
                    }
                    index += 1;
                }
                Err(EngineError::Damaged { reason, .. }) => {
                    losses.push(self.set_aside(index, reason)?);
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Reading::default())
    }

    /// Removes generations of which every record is at most `settled`; that position must be durable.
    pub(super) fn remove_settled(
        &mut self,
        settled: Position,
        losses: &mut Vec<Loss>,
    ) -> Result<(), StoreError> {
        let mut removed = false;
        while let Some(oldest) = self.older.first().copied() {
            if oldest.first > settled {
                break;
            }
            if oldest.first.epoch == settled.epoch {
                match self.last_of(oldest) {
                    Ok(last) if last > settled => break,
                    Ok(_) => {}
                    Err(EngineError::Damaged { reason, .. }) => {
                        losses.push(self.set_aside(0, reason)?);
                        continue;
                    }
                    Err(other) => return Err(other.into()),
                }
            }
            self.forget(0);
            remove(self.disk(), &self.root, &oldest.path(&self.root))?;
            removed = true;
        }
        if removed {
            self.disk()
                .sync_dir(&self.root)
                .map_err(|error| io_error(&self.root, error))?;
        }
        Ok(())
    }

    /// How many records below the head come after `cursor`. Losses inside a generation count as records; a generation
    /// that does not open counts nothing.
    pub(super) fn count_after(&mut self, cursor: Position) -> u64 {
        let all = self.older.clone();
        all.into_iter()
            .filter(|older| older.first.epoch >= cursor.epoch)
            .filter_map(|older| {
                let last = self.last_of(older).ok()?;
                let present = self.present(older, last).ok()?;
                let count = |(from, to)| span_after(cursor, from, to);
                Some(present.into_iter().map(count).sum::<u64>())
            })
            .sum()
    }

    /// Whether a position lies in one of them.
    pub(super) fn holds(&mut self, position: Position) -> bool {
        let all = self.older.clone();
        all.into_iter()
            .filter(|older| older.first.epoch == position.epoch && older.first <= position)
            .any(|older| self.last_of(older).is_ok_and(|last| position <= last))
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        self.medium.disk.as_ref()
    }

    /// Reads records after `after` from this one alone.
    pub(super) fn read_one(
        &mut self,
        older: Older,
        after: Position,
        limits: Limits,
    ) -> Result<Reading, EngineError> {
        let last = self.last_of(older)?;
        self.reader(older)?.read(after, last, limits)
    }

    /// The last position of a generation; the one before its first where it has none.
    pub(super) fn last_of(&mut self, older: Older) -> Result<Position, EngineError> {
        if let Some(last) = older.last {
            return Ok(last);
        }
        let found = self.reader(older)?.last()?;
        let last = found.unwrap_or_else(|| predecessor(older.first));
        if let Some(kept) = self.older.iter_mut().find(|kept| kept.first == older.first) {
            kept.last = Some(last);
        }
        Ok(last)
    }

    pub(super) fn reader(&mut self, older: Older) -> Result<&Generation, EngineError> {
        let first = older.first;
        let open = self
            .readers
            .iter()
            .position(|reader| reader.first() == first);
        let reader = match open {
            Some(index) => self.readers.remove(index),
            None => {
                if self.readers.len() >= MAX_READERS {
                    self.readers.remove(0);
                }
                let path = older.path(&self.root);
                let opened = Generation::open(&self.medium, &path, first, Purpose::Read)?;
                let full = older.last.is_some_and(|last| last >= first);
                if let Some(reason) = opened.emptied(older.lean, full)? {
                    let reason = reason.into();
                    return Err(EngineError::Damaged { path, reason });
                }
                opened
            }
        };
        self.readers.push(reader);
        // Just pushed: the error is never met, and no panic is worth it.
        self.readers
            .last()
            .ok_or_else(|| EngineError::Poisoned(self.root.clone()))
    }

    /// Sets aside the generation that begins there, on behalf of somebody who looked at it; `None` where there is none.
    pub(super) fn set_aside_at(
        &mut self,
        first: Position,
        reason: String,
    ) -> Result<Option<Loss>, StoreError> {
        let found = self.older.iter().position(|older| older.first == first);
        found.map(|index| self.set_aside(index, reason)).transpose()
    }

    pub(super) fn set_aside(&mut self, index: usize, reason: String) -> Result<Loss, StoreError> {
        let Some(older) = self.forget(index) else {
            let path = self.root.clone();
            return Err(StoreError::Damaged { path, reason });
        };
        let Older { first, last, .. } = older;
        if older.lean {
            self.uncounted = Some(first);
            self.aside.push(older);
        } else {
            set_aside(self.disk(), &self.root, &older.path(&self.root), first)?;
        }
        let to = last.unwrap_or(first);
        self.lost_whole = Some((first, to));
        let from = first;
        Ok(Loss { from, to, reason })
    }

    /// The losses that were found are durable: what waited for that is set aside. True when there was any.
    pub(super) fn losses_are_durable(&mut self) -> Result<bool, StoreError> {
        let any = !self.aside.is_empty();
        while let Some(older) = self.aside.last() {
            let path = older.path(&self.root);
            set_aside(self.disk(), &self.root, &path, older.first)?;
            self.aside.pop();
        }
        Ok(any)
    }

    /// Takes a generation off the list and closes it.
    pub(super) fn forget(&mut self, index: usize) -> Option<Older> {
        if index >= self.older.len() {
            return None;
        }
        let older = self.older.remove(index);
        self.close(older.first);
        Some(older)
    }

    /// Closes a generation that is open for reading.
    pub(super) fn close(&mut self, first: Position) {
        self.readers.retain(|reader| reader.first() != first);
    }

    /// How many are open for reading.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.readers.len()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.older.len()
    }
}

/// How many positions from `first` to `last`, of one epoch, come after `cursor`.
pub(super) fn span_after(cursor: Position, first: Position, last: Position) -> u64 {
    if cursor.epoch > first.epoch {
        return 0;
    }
    let before = if cursor.epoch < first.epoch {
        first.seq.saturating_sub(1)
    } else {
        cursor.seq.max(first.seq.saturating_sub(1))
    };
    last.seq.saturating_sub(before)
}

/// Makes the generation that begins at `head.next`, with a copy of the state, durable before anything knows of it. One of
/// that name, which has no records then, is replaced. What a failure leaves is cleared away.
pub(super) fn create(
    medium: &Medium,
    root: &Path,
    head: &Head,
) -> Result<(Generation, Head), StoreError> {
    let (generation, copy) = make_nameless(medium, root, head)?;
    give_name(medium.disk.as_ref(), root, copy.next)?;
    Ok((generation, copy))
}

/// The first half of [`create`]: to a start it is nothing before it has its name.
pub(super) fn make_nameless(
    medium: &Medium,
    root: &Path,
    head: &Head,
) -> Result<(Generation, Head), StoreError> {
    let path = root.join(CREATING);
    let disk = medium.disk.as_ref();
    disk.remove_tree(&path)
        .map_err(|error| io_error(root, error))?;
    fill(medium, root, &path, head).inspect_err(|_| {
        // It takes room where there may be none. If it cannot be removed, the next attempt does.
        disk.remove_tree(&path).ok();
    })
}

/// The second half of [`create`]: from now on the generation that begins with `first` is one of the store, durably.
pub(super) fn give_name(disk: &dyn Disk, root: &Path, first: Position) -> Result<(), StoreError> {
    let io = |error| io_error(root, error);
    let path = root.join(CREATING);
    let (named, renewed) = (path_of(root, first), renewed_path_of(root, first));
    let names = disk.names(root).map_err(io)?;
    let is_there = |path: &Path| names.iter().any(|name| root.join(name) == path);
    if is_there(&renewed) {
        // An earlier attempt failed on its way: it is ended first, since it may be all that there is.
        take_place(disk, root, first).map_err(io)?;
    }
    if is_there(&named) || is_there(&renewed) {
        disk.rename(&path, &renewed).map_err(io)?;
        disk.sync_dir(root).map_err(io)?;
        take_place(disk, root, first).map_err(io)
    } else {
        disk.rename(&path, &named).map_err(io)?;
        disk.sync_dir(root).map_err(io)
    }
}

/// A database in `path` with a copy of the state and nothing else.
fn fill(
    medium: &Medium,
    root: &Path,
    path: &Path,
    head: &Head,
) -> Result<(Generation, Head), StoreError> {
    let (mut copy, entries) = head.copied();
    let mut generation = Generation::open(medium, path, copy.next, Purpose::Write)?;
    let mut batch = Batch::new();
    copy.change(&entries, &mut batch);
    put_head(&mut copy, &mut batch, root)?;
    generation.commit(batch)?;
    Ok((generation, copy))
}

/// [`Head::put`] with the store's error.
pub(super) fn put_head(head: &mut Head, batch: &mut Batch, root: &Path) -> Result<(), StoreError> {
    head.put(batch).map_err(|error| StoreError::Damaged {
        path: root.to_owned(),
        reason: format!("the head state cannot be encoded: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, seq: u64) -> Position {
        Position { epoch, seq }
    }

    #[test]
    fn the_spans_of_an_epoch_are_counted_from_the_cursor_on() {
        let (first, last) = (at(2, 11), at(2, 20));
        for (cursor, count) in [
            (at(0, 0), 10),
            (at(1, 99), 10),
            (at(2, 0), 10),
            (at(2, 10), 10),
            (at(2, 11), 9),
            (at(2, 20), 0),
            (at(2, 30), 0),
            (at(3, 0), 0),
        ] {
            assert_eq!(span_after(cursor, first, last), count, "{cursor}");
        }
        assert_eq!(span_after(at(0, 0), at(1, 1), at(1, 0)), 0);
    }
}
