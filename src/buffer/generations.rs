//! The generations below the head: which there are, reading them, setting damaged ones aside, removing settled ones.
//!
//! A generation is a directory named after the position of its first record, so that none has to be opened to know what
//! lies where. A directory gets that name when it is complete and loses it before it is taken apart.

use super::disk::Disk;
use super::engine::{Batch, EngineError, Medium, Purpose};
use super::error::{StoreError, io_error};
use super::generation::{Generation, Limits, Loss, Reading, predecessor};
use super::head::Head;
use crate::model::Position;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const CREATING: &str = "creating";
const REMOVING: &str = "removing-";
/// What the names of generations begin with that were set aside.
pub(super) const DAMAGED: &str = "damaged-";
/// Complete, and about to take the place of the generation of that name.
const RENEWED: &str = "renewed-";
/// Damaged generations that are kept for `buffer repair`; the oldest go first.
pub(super) const MAX_DAMAGED: usize = 8;
/// Generations open for reading at a time, beside the head: uplinks that are behind at different places.
const MAX_READERS: usize = 3;

/// The directories of a store.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// First positions of all generations, rising.
    pub(super) whole: Vec<Position>,
    /// First positions of those that were set aside, rising.
    pub(super) damaged: Vec<Position>,
}

impl Listing {
    /// Reads the directory and clears away what a crash left half done.
    pub(super) fn read(disk: &dyn Disk, root: &Path) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for name in disk.names(root)? {
            if name == CREATING || name.starts_with(REMOVING) {
                disk.remove_tree(&root.join(name))?;
            } else if let Some(first) = name.strip_prefix(DAMAGED).and_then(parse) {
                listing.damaged.push(first);
            } else if let Some(first) = name.strip_prefix(RENEWED).and_then(parse) {
                take_place(disk, root, first)?;
                listing.whole.push(first);
            } else if let Some(first) = parse(&name) {
                listing.whole.push(first);
            }
        }
        // The names came sorted; one that took another's place came after it.
        listing.whole.sort_unstable();
        listing.whole.dedup();
        Ok(listing)
    }

    /// The greatest epoch that a name tells; 0 without any.
    pub(super) fn greatest_epoch(&self) -> u32 {
        let all = self.whole.iter().chain(&self.damaged);
        all.map(|first| first.epoch).max().unwrap_or(0)
    }
}

/// Whether a crash left it when a generation was made, renewed or removed: the next start tidies it up.
pub(super) fn is_half_made(name: &str) -> bool {
    name == CREATING || name.starts_with(REMOVING) || name.starts_with(RENEWED)
}

/// A generation that is complete.
#[derive(Clone, Copy, Debug)]
struct Older {
    first: Position,
    /// Its last position, once known.
    last: Option<Position>,
}

/// All generations but the head.
#[derive(Debug)]
pub(super) struct Generations {
    medium: Medium,
    root: PathBuf,
    /// Rising.
    older: Vec<Older>,
    /// Open ones, the most recently used last.
    readers: Vec<Generation>,
}

impl Generations {
    /// Those of `listing` below `head`. Where a generation is followed by one of the same epoch, it ends right before.
    pub(super) fn new(
        medium: &Medium,
        root: &Path,
        listing: &Listing,
        head: Position,
    ) -> Generations {
        let mut starts: Vec<Position> = listing
            .whole
            .iter()
            .chain(&listing.damaged)
            .chain([&head])
            .copied()
            .collect();
        starts.sort_unstable();
        let older = listing
            .whole
            .iter()
            .filter(|first| **first < head)
            .map(|first| Older {
                first: *first,
                last: starts
                    .iter()
                    .find(|start| **start > *first && start.epoch == first.epoch)
                    .map(|start| predecessor(*start)),
            })
            .collect();
        Generations {
            medium: medium.clone(),
            root: root.to_owned(),
            older,
            readers: Vec::new(),
        }
    }

    /// Where earlier epochs ended: the last generation of each ends there, whatever damage says.
    pub(super) fn know_ends(&mut self, ends: &BTreeMap<u32, u64>) {
        for older in &mut self.older {
            let end = ends.get(&older.first.epoch).map(|seq| Position {
                seq: *seq,
                ..older.first
            });
            // A damaged name may claim to lie far ahead.
            older.last = older.last.into_iter().chain(end).min();
        }
    }

    /// The head was rotated away and ends with `last`.
    pub(super) fn push(&mut self, first: Position, last: Position) {
        let last = Some(last);
        self.older.push(Older { first, last });
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
            remove(self.disk(), &self.root, oldest.first)?;
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
            .filter_map(|older| Some((older.first, self.last_of(older).ok()?)))
            .map(|(first, last)| span_after(cursor, first, last))
            .sum()
    }

    /// Whether a position lies in one of them.
    pub(super) fn holds(&mut self, position: Position) -> bool {
        let all = self.older.clone();
        all.into_iter()
            .filter(|older| older.first.epoch == position.epoch && older.first <= position)
            .any(|older| self.last_of(older).is_ok_and(|last| position <= last))
    }

    fn disk(&self) -> &dyn Disk {
        self.medium.disk.as_ref()
    }

    fn read_one(
        &mut self,
        older: Older,
        after: Position,
        limits: Limits,
    ) -> Result<Reading, EngineError> {
        let last = self.last_of(older)?;
        self.reader(older.first)?.read(after, last, limits)
    }

    /// The last position of a generation; the one before its first where it has none.
    fn last_of(&mut self, older: Older) -> Result<Position, EngineError> {
        if let Some(last) = older.last {
            return Ok(last);
        }
        let found = self.reader(older.first)?.last()?;
        let last = found.unwrap_or_else(|| predecessor(older.first));
        if let Some(kept) = self.older.iter_mut().find(|kept| kept.first == older.first) {
            kept.last = Some(last);
        }
        Ok(last)
    }

    fn reader(&mut self, first: Position) -> Result<&Generation, EngineError> {
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
                Generation::open(
                    &self.medium,
                    &path_of(&self.root, first),
                    first,
                    Purpose::Read,
                )?
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

    fn set_aside(&mut self, index: usize, reason: String) -> Result<Loss, StoreError> {
        let older = self.forget(index);
        let Some(Older { first, last }) = older else {
            let path = self.root.clone();
            return Err(StoreError::Damaged { path, reason });
        };
        set_aside(self.disk(), &self.root, first)?;
        Ok(Loss {
            from: first,
            to: last.unwrap_or(first),
            reason,
        })
    }

    /// Takes a generation off the list and closes it.
    fn forget(&mut self, index: usize) -> Option<Older> {
        if index >= self.older.len() {
            return None;
        }
        let older = self.older.remove(index);
        self.readers.retain(|reader| reader.first() != older.first);
        Some(older)
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

/// The directory of a generation.
pub(super) fn path_of(root: &Path, first: Position) -> PathBuf {
    root.join(first.to_string())
}

/// Makes the generation that begins at `head.next`, with a copy of the state, durable before anything knows of it. One of
/// that name, which has no records then, is replaced. What a failure leaves is cleared away.
pub(super) fn create(
    medium: &Medium,
    root: &Path,
    head: &Head,
) -> Result<(Generation, Head), StoreError> {
    let path = root.join(CREATING);
    let disk = medium.disk.as_ref();
    let io = |error| io_error(root, error);
    disk.remove_tree(&path).map_err(io)?;
    let (generation, copy) = fill(medium, root, &path, head).inspect_err(|_| {
        // It takes room where there may be none. If it cannot be removed, the next attempt does.
        disk.remove_tree(&path).ok();
    })?;
    let name = copy.next.to_string();
    let renewed = format!("{RENEWED}{name}");
    let names = disk.names(root).map_err(io)?;
    if names.contains(&renewed) {
        // An earlier attempt failed on its way: it is ended first, since it may be all that there is.
        take_place(disk, root, copy.next).map_err(io)?;
    }
    if names.contains(&name) || names.contains(&renewed) {
        let renewed = root.join(renewed);
        disk.rename(&path, &renewed).map_err(io)?;
        disk.sync_dir(root).map_err(io)?;
        take_place(disk, root, copy.next).map_err(io)?;
    } else {
        disk.rename(&path, &root.join(name)).map_err(io)?;
        disk.sync_dir(root).map_err(io)?;
    }
    Ok((generation, copy))
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

/// Gives a renewed generation the name of the one that it replaces. Its own name is durable before: a crash at any place is
/// followed by doing this again.
fn take_place(disk: &dyn Disk, root: &Path, first: Position) -> io::Result<()> {
    let named = path_of(root, first);
    if disk.names(root)?.contains(&first.to_string()) {
        let going = root.join(format!("{REMOVING}{first}"));
        disk.remove_tree(&going)?;
        disk.rename(&named, &going)?;
        disk.sync_dir(root)?;
        disk.remove_tree(&going)?;
    }
    disk.rename(&root.join(format!("{RENEWED}{first}")), &named)?;
    disk.sync_dir(root)
}

/// [`Head::put`] with the store's error.
pub(super) fn put_head(head: &mut Head, batch: &mut Batch, root: &Path) -> Result<(), StoreError> {
    head.put(batch).map_err(|error| StoreError::Damaged {
        path: root.to_owned(),
        reason: format!("the head state cannot be encoded: {error}"),
    })
}

/// Sets a generation aside, so that it is neither read nor removed with the settled ones.
pub(super) fn set_aside(disk: &dyn Disk, root: &Path, first: Position) -> Result<(), StoreError> {
    let io = |error| io_error(root, error);
    let to = root.join(format!("{DAMAGED}{first}"));
    disk.remove_tree(&to).map_err(io)?;
    disk.rename(&path_of(root, first), &to).map_err(io)?;
    let damaged = Listing::read(disk, root).map_err(io)?.damaged;
    let surplus = damaged.len().saturating_sub(MAX_DAMAGED);
    for first in damaged.iter().take(surplus) {
        disk.remove_tree(&root.join(format!("{DAMAGED}{first}")))
            .map_err(io)?;
    }
    disk.sync_dir(root).map_err(io)
}

/// Removes a generation: its name first, durably, so that no half of it is ever taken for a whole.
pub(super) fn remove(disk: &dyn Disk, root: &Path, first: Position) -> Result<(), StoreError> {
    let going = root.join(format!("{REMOVING}{first}"));
    disk.remove_tree(&going)
        .and_then(|()| disk.rename(&path_of(root, first), &going))
        .and_then(|()| disk.sync_dir(root))
        .and_then(|()| disk.remove_tree(&going))
        .map_err(|error| io_error(root, error))
}

/// The position that the name of a whole generation is.
pub(super) fn parse(name: &str) -> Option<Position> {
    let (epoch, seq) = name.split_once('.')?;
    let digits =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(epoch, 10) || !digits(seq, 20) {
        return None;
    }
    Some(Position {
        epoch: epoch.parse().ok()?,
        seq: seq.parse().ok()?,
    })
}

#[cfg(test)]
#[path = "generations_tests.rs"]
mod tests;
