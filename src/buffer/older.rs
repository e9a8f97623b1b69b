//! What the quota asks of the generations below the head: what they take, what they know of themselves, what is left in
//! them. Most answers need no opening; those that do are kept.

use super::engine::EngineError;
use super::error::{StoreError, io_error};
use super::generation::{Generation, Loss};
use super::generations::{Facts, Generations, Older};
use super::listing::remove;
use super::progress::Progress;
use crate::model::{Position, UplinkId};

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

    /// The uplink has read up to here. A generation that it has come to the end of is closed, for an open one keeps all of
    /// its bytes in memory: unless another uplink is in the middle of it, or it must still say which of its events were taken
    /// out when their verdicts come.
    pub(super) fn has_read(&mut self, uplink: UplinkId, up_to: Position) {
        self.reading.insert(uplink, up_to);
        let at = self
            .older
            .partition_point(|older| older.first <= up_to)
            .checked_sub(1);
        let Some(older) = at.and_then(|at| self.older.get(at).copied()) else {
            return;
        };
        let is_in_it = |position: &Position| older.first <= *position && *position < up_to;
        if older.last == Some(up_to) && !older.lean && !self.reading.values().any(is_in_it) {
            self.close(older.first);
        }
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

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::testing::{fast_home, options, render, turn};
    use super::*;
    use crate::model::Stamp;

    const MES: UplinkId = UplinkId(0);
    const SCADA: UplinkId = UplinkId(1);

    /// Reads from `after` on until the position is reached, in small steps.
    fn read(store: &mut Store, uplink: UplinkId, mut after: Position, until: Position) {
        while after < until {
            let records = store.read_for(uplink, after, 1, 0).unwrap();
            after = records.last().unwrap().position;
        }
    }

    #[test]
    fn a_generation_is_open_only_while_somebody_is_in_the_middle_of_it() {
        let home = fast_home();
        let options = options(home.path(), &["mes", "scada"]);
        let (mut store, _) = Store::open(&options).unwrap();
        while store.older.len() < 3 {
            let turn = turn(store.head.next, 3);
            store.commit(&[turn], Stamp::default(), &render).unwrap();
        }
        let ends: Vec<Position> = store.older.older.iter().filter_map(|it| it.last).collect();
        let [first, second, third] = *ends.as_slice() else {
            panic!("{ends:?}");
        };
        // What was written last is in memory until then.
        drop(store);
        let (mut store, _) = Store::open(&options).unwrap();
        let start = Position { seq: 0, ..first };
        let middle = Position { seq: 2, ..first };

        read(&mut store, MES, start, middle);
        read(&mut store, SCADA, start, middle);
        assert_eq!(store.older.open(), 1);
        read(&mut store, MES, middle, first);
        assert_eq!(store.older.open(), 1, "the other one is in the middle");
        read(&mut store, SCADA, middle, first);
        assert_eq!(store.older.open(), 0);
        read(&mut store, MES, first, second);
        assert_eq!(store.older.open(), 0, "the other one has not begun it");
        read(&mut store, MES, second, third);
        read(&mut store, SCADA, first, third);
        assert_eq!(store.older.open(), 0);
    }
}
