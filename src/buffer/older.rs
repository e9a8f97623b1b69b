//! What the quota asks of the generations below the head: what they take, what they know of themselves, what is left in
//! them. Most answers need no opening; those that do are kept.

use super::engine::EngineError;
use super::error::{StoreError, io_error};
use super::generation::{Generation, Loss};
use super::generations::{Facts, Generations, Older};
use super::listing::remove;
use super::progress::Progress;
use crate::model::Position;

/// Positions, both ends included.
pub(super) type Span = (Position, Position);

impl Generations {
    /// Bytes that all of them take on the disk. Each is measured once, for it does not change.
    pub(super) fn used(&mut self) -> Result<u64, StoreError> {
        let mut sum = 0u64;
        for index in 0..self.older.len() {
            sum = sum.saturating_add(self.used_by(index)?);
        }
        Ok(sum)
    }

    /// Bytes of those that are settled up to here.
    pub(super) fn used_up_to(&mut self, settled: Position) -> Result<u64, StoreError> {
        let mut sum = 0u64;
        for index in 0..self.count_settled(settled) {
            sum = sum.saturating_add(self.used_by(index)?);
        }
        Ok(sum)
    }

    fn used_by(&mut self, index: usize) -> Result<u64, StoreError> {
        let Some(older) = self.older.get(index).copied() else {
            return Ok(0);
        };
        if let Some(used) = older.used {
            return Ok(used);
        }
        let path = older.path(&self.root);
        let used = self.disk().used(&path);
        let used = used.map_err(|error| io_error(&self.root, error))?;
        if let Some(kept) = self.older.get_mut(index) {
            kept.used = Some(used);
        }
        Ok(used)
    }

    /// How many of the oldest are settled up to here, as far as that is known without opening one.
    pub(super) fn count_settled(&self, settled: Position) -> usize {
        self.older.partition_point(|older| {
            older.first.epoch < settled.epoch || older.last.is_some_and(|last| last <= settled)
        })
    }

    /// Where the generation that begins here stands.
    pub(super) fn index_of(&self, first: Position) -> Option<usize> {
        let found = self.older.binary_search_by_key(&first, |older| older.first);
        found.ok()
    }

    /// Whether a loss is the stretch between a generation's own end and the next one, or all of one that was set aside a
    /// moment ago: what follows it may be gone with its directory, and counts as a part of it.
    pub(super) fn ends_with(&mut self, loss: &Loss) -> bool {
        let is_whole = self.lost_whole == Some((loss.from, loss.to));
        let end = |older: &&Older| older.last == Some(loss.to) && older.first <= loss.from;
        let ended = self.older.iter().find(end).copied();
        is_whole || ended.is_some_and(|older| self.own_end(older).is_none_or(|own| own < loss.from))
    }

    fn own_end(&mut self, older: Older) -> Option<Position> {
        self.reader(older).ok()?.own_end()
    }

    /// The generation that begins here.
    pub(super) fn get(&self, first: Position) -> Option<Older> {
        self.older.get(self.index_of(first)?).copied()
    }

    /// From now on the rewritten directory is the generation.
    pub(super) fn made_lean(&mut self, first: Position) {
        self.close(first);
        let index = self.index_of(first);
        if let Some(older) = index.and_then(|index| self.older.get_mut(index)) {
            older.lean = true;
            older.used = None;
        }
    }

    /// The first position in the store below the head.
    pub(super) fn oldest(&self) -> Option<Position> {
        self.older.first().map(|older| older.first)
    }

    /// What the generation says about itself; opens it when it was never asked.
    pub(super) fn facts(&mut self, older: Older) -> Result<Facts, EngineError> {
        if let Some(facts) = older.facts {
            return Ok(facts);
        }
        let facts = facts_of(self.reader(older)?)?;
        if let Some(index) = self.index_of(older.first)
            && let Some(kept) = self.older.get_mut(index)
        {
            kept.facts = Some(facts);
        }
        Ok(facts)
    }

    /// The spans of positions that are in a generation which ends with `last`.
    pub(super) fn present(
        &mut self,
        older: Older,
        last: Position,
    ) -> Result<Vec<Span>, EngineError> {
        if last < older.first {
            return Ok(Vec::new());
        }
        if !older.lean {
            return Ok(vec![(older.first, last)]);
        }
        Ok(self.reader(older)?.absent().without(older.first, last))
    }

    /// Whether this position was taken out of its generation on purpose.
    pub(super) fn is_absent(&mut self, position: Position) -> bool {
        let after = self.older.partition_point(|older| older.first <= position);
        let older = after
            .checked_sub(1)
            .and_then(|at| self.older.get(at).copied());
        let Some(older) = older.filter(|older| older.lean) else {
            return false;
        };
        self.reader(older)
            .is_ok_and(|reader| reader.absent().contains(position))
    }

    /// How many events below the head an uplink has not settled and can still have. A generation that does not open counts
    /// nothing.
    pub(super) fn waiting(&mut self, progress: &Progress) -> u64 {
        let start = self.count_settled(progress.cursor());
        let all: Vec<Older> = self.older.iter().skip(start).copied().collect();
        all.into_iter()
            .filter_map(|older| {
                let last = self.last_of(older).ok()?;
                let present = self.present(older, last).ok()?;
                let count = |(from, to)| progress.unsettled(from, to);
                Some(present.into_iter().map(count).sum::<u64>())
            })
            .sum()
    }

    /// Removes one; nothing may need it any more.
    pub(super) fn remove_at(&mut self, index: usize) -> Result<(), StoreError> {
        let Some(older) = self.forget(index) else {
            return Ok(());
        };
        remove(self.disk(), &self.root, &older.path(&self.root))?;
        self.sync()
    }

    /// Makes names durable that were given or taken.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let synced = self.disk().sync_dir(&self.root);
        synced.map_err(|error| io_error(&self.root, error))
    }
}

fn facts_of(generation: &Generation) -> Result<Facts, EngineError> {
    // One whose state makes no sense can still be read: it counts as new, and as not worth rewriting.
    let head = generation.head()?.ok();
    Ok(head.map_or(
        Facts {
            powered_ns: u64::MAX,
            written_bytes: 0,
            passing_bytes: 0,
        },
        |head| Facts {
            powered_ns: head.powered_ns,
            written_bytes: head.written_bytes,
            passing_bytes: head.passing_bytes,
        },
    ))
}
