//! Keeps the store within its quota and drops what is too old: called before each commit, and every minute.
//!
//! What is dropped is in the accounts and in the notices, durably, before its bytes go. `quota` says what goes first; here
//! it is done. Whatever a crash leaves is settled when the store is opened: a generation that was dropped is one that
//! everybody has settled, and a rewritten one counts when the head says so.

use super::absent::Absent;
use super::engine::{Batch, EngineError};
use super::error::{StoreError, io_error};
use super::generation::Loss;
use super::generations::Facts;
use super::listing::{damaged_path_of, path_of, remove};
use super::quota::{self, Extent, Found, Limits, Step, Work};
use super::rewrite::{self, CopyError};
use super::store::Store;
use super::used::GROWTH;
use crate::model::{DropNotice, DropReason, Position, Stamp};
use std::time::Duration;

/// A generation with a smaller part of passing events is not worth rewriting.
const WORTH: u64 = 16;
/// Aged generations dropped in one call.
const MAX_AGED: usize = 64;
/// The powered-on time is written that often, also when nothing else is.
const TELL_TIME_EVERY: Duration = Duration::from_secs(600);

impl Store {
    /// Gives up stored events until `bytes` more fit on the disk, as far as `extent` allows; returns how many bytes were
    /// freed. One call rewrites a few generations at most: as long as it frees something, another may free more. Nothing
    /// goes while the newest generation is closed: what was rotated away last may be all that is durable.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn make_room(&mut self, bytes: u64, extent: Extent) -> Result<u64, StoreError> {
        if self.abandoned {
            return Ok(0);
        }
        let before = self.measured_bytes()?;
        self.reclaim(extent, before.saturating_sub(bytes), true)?;
        Ok(before.saturating_sub(self.used_bytes()?))
    }

    /// Before a commit of so many bytes: makes room where the store would take more than it should.
    pub(super) fn keep_within_quota(&mut self, more: u64) -> Result<(), StoreError> {
        let more = more.saturating_mul(GROWTH);
        let Limits { soft, hard } = self.room.limits;
        if self.used_bytes()?.saturating_add(more) <= soft {
            self.room.ceiling = Some(hard);
            return Ok(());
        }
        // An estimate is no reason to drop anything.
        let used = self.measured_bytes()?;
        let ceiling = self.room.ceiling.unwrap_or(used).max(hard);
        if used.saturating_add(more) > soft {
            let urgent = used.saturating_add(more) > ceiling;
            self.reclaim(Extent::Lasting, soft.saturating_sub(more), urgent)?;
        }
        self.room.ceiling = Some(self.used_bytes()?.clamp(hard, ceiling));
        Ok(())
    }

    /// Lets time pass, to be called every minute: what is too old goes, what was kept long enough goes, what others put
    /// into the store is measured.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn keep_house(&mut self, now: Stamp) -> Result<(), StoreError> {
        self.pass_time(now.boot);
        self.room.look_again();
        if self.abandoned {
            return Ok(());
        }
        self.drop_aged()?;
        if self.must_rotate(0) {
            self.rotate()?;
        }
        self.keep_within_quota(0)?;
        let untold = self.head.powered_ns.saturating_sub(self.room.told_ns);
        if untold >= nanoseconds(TELL_TIME_EVERY) {
            self.moved = true;
            self.room.told_ns = self.head.powered_ns;
        }
        self.commit_progress()?;
        self.clear_away();
        self.tell_use()
    }

    /// A head with old events is rotated away although it is not full, so that they can age.
    pub(super) fn is_head_old(&self) -> bool {
        let age = self.head.powered_ns.saturating_sub(self.head.began_ns);
        age > nanoseconds(self.room.quota.rotate_after())
    }

    /// Removes what every uplink settled and nobody wants to keep. Only after a commit: the progress must be durable first.
    pub(super) fn remove_settled(&mut self) -> Result<(), StoreError> {
        if self.abandoned {
            return Ok(());
        }
        let (settled, now) = (self.durably_settled(), self.head.powered_ns);
        let keep = nanoseconds(self.room.quota.keep_delivered);
        self.head.kept.note(settled, now, keep);
        let over = self.head.kept.over(settled, now, keep);
        let mut losses = Vec::new();
        let result = self.older.remove_settled(over, &mut losses);
        self.report_found(losses)?;
        result
    }

    /// The first position in the store, also of what is only kept after delivery: [`Store::read`] reads from there on.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.older.oldest().unwrap_or(self.newest.first())
    }

    /// Events that an uplink has not settled, counted from what lies in the store: what [`super::Account::stored`] says.
    pub(super) fn waiting(&mut self, index: usize) -> u64 {
        let last = self.last();
        let Some((_, progress)) = self.uplinks.get(index) else {
            return 0;
        };
        let newest = progress.unsettled(self.newest.first(), last);
        self.older.waiting(progress).saturating_add(newest)
    }

    /// What the head knows of itself when it is rotated away.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            powered_ns: self.head.powered_ns,
            written_bytes: self.head.written_bytes,
            passing_bytes: self.head.passing_bytes,
        }
    }

    /// Whether this event is counted as dropped: a verdict that comes later changes nothing any more.
    pub(super) fn is_evicted(&mut self, position: Position) -> bool {
        position < self.newest.first() && self.older.is_absent(position)
    }

    /// What is lost is dropped for each uplink that had not settled it.
    pub(super) fn lose(&mut self, loss: &Loss) {
        let count = if self.older.uncounted == Some(loss.from) {
            self.older.uncounted = None;
            self.lose_some(loss, |missing, _| missing)
        } else if self.older.ends_with(loss) {
            // A generation behind it may be gone, which is missing here and may have been rewritten.
            self.lose_some(loss, u64::min)
        } else {
            let drops = self
                .uplinks
                .iter_mut()
                .map(|(_, progress)| progress.drop_range(loss.from, loss.to, DropReason::Damaged));
            drops.max().unwrap_or(0)
        };
        self.tell_lost(loss, count);
    }

    /// [`Store::lose`] of what may have been rewritten.
    pub(super) fn lose_unseen(&mut self, loss: &Loss) {
        if loss.count() > 0 {
            let count = self.lose_some(loss, u64::min);
            self.tell_lost(loss, count);
        }
    }

    pub(super) fn tell_lost(&mut self, loss: &Loss, count: u64) {
        if count > 0 {
            self.dropped(DropNotice {
                reason: DropReason::Damaged,
                uplink: None,
                count,
                from: loss.from,
                to: loss.to,
                detail: Some(loss.reason.clone()),
            });
        }
    }

    /// Of a rewritten generation that cannot be read nobody knows which events were evicted and counted before. What each
    /// uplink lost is what it misses now; `choose` decides by that, and by how many of these it had not settled.
    fn lose_some(&mut self, loss: &Loss, choose: fn(u64, u64) -> u64) -> u64 {
        let mut greatest = 0;
        for index in 0..self.uplinks.len() {
            let Some((_, progress)) = self.uplinks.get_mut(index) else {
                continue;
            };
            let before = progress.account;
            let passed = progress.pass(loss.from, loss.to);
            // Also where all of it was evicted: that it is passed must be durable before it is set aside.
            self.moved |= passed > 0;
            let missing = before.stored().saturating_sub(self.waiting(index));
            let count = choose(missing, passed);
            if let Some((_, progress)) = self.uplinks.get_mut(index) {
                progress.count_dropped(DropReason::Damaged, count);
            }
            greatest = greatest.max(count);
        }
        greatest
    }

    /// Does one thing after the other until no more than `goal` bytes are used.
    fn reclaim(&mut self, extent: Extent, goal: u64, urgent: bool) -> Result<(), StoreError> {
        let mut work = Work::default();
        while !self.abandoned && self.used_bytes()? > goal {
            let Some(step) = quota::next(&self.found(), extent, &work, urgent) else {
                break;
            };
            self.take(step, &mut work)?;
        }
        Ok(())
    }

    /// What could go.
    fn found(&self) -> Found {
        let older = &self.older.older;
        let settled = self.older.count_settled(self.durably_settled());
        let unsettled = older.get(settled..).unwrap_or_default();
        let unswept = unsettled
            .iter()
            .find(|older| !older.lean && older.first > self.head.swept);
        Found {
            kept: older
                .first()
                .filter(|_| settled > 0)
                .map(|older| older.first),
            damaged: self.room.damaged.keys().next().copied(),
            unswept: unswept.map(|older| older.first),
            oldest: unsettled.first().map(|older| older.first),
        }
    }

    /// What every uplink has settled, as the disk has it.
    fn durably_settled(&self) -> Position {
        let cursor = |(name, _): &(String, _)| {
            let durable = self.head.uplinks.get(name);
            durable.map_or_else(Position::default, |progress| progress.cursor())
        };
        let settled = self.uplinks.iter().map(cursor).min();
        settled.unwrap_or_else(|| self.last())
    }

    fn take(&mut self, step: Step, work: &mut Work) -> Result<(), StoreError> {
        match step {
            Step::Kept(first) => match self.older.index_of(first) {
                Some(index) => self.older.remove_at(index),
                None => Ok(()),
            },
            Step::Damaged(first) => {
                self.room.damaged.remove(&first);
                let gone = self
                    .older
                    .disk()
                    .remove_tree(&damaged_path_of(&self.root, first));
                gone.map_err(|error| io_error(&self.root, error))?;
                tracing::warn!(%first, "a damaged generation is removed to make room");
                self.older.sync()
            }
            Step::Sweep(first) => self.sweep(first, work),
            Step::Drop(first) => self.drop_generation(first, DropReason::Full),
        }
    }

    /// Rewrites a generation without its passing events, if that is worth it.
    fn sweep(&mut self, first: Position, work: &mut Work) -> Result<(), StoreError> {
        let Some(older) = self.older.get(first) else {
            return Ok(());
        };
        work.looks += u32::from(older.facts.is_none());
        let facts = match self.older.facts(older) {
            Ok(facts) => facts,
            Err(error) => return self.quarantine(first, error),
        };
        let worth = facts.passing_bytes.saturating_mul(WORTH) >= facts.written_bytes;
        if facts.passing_bytes == 0 || !worth {
            self.head.swept = first;
            self.moved = true;
            return Ok(());
        }
        work.sweeps += 1;
        let last = match self.older.last_of(older) {
            Ok(last) => last,
            Err(error) => return self.quarantine(first, error),
        };
        let source = match self.older.reader(older) {
            Ok(source) => source,
            Err(error) => return self.quarantine(first, error),
        };
        match rewrite::copy(&self.medium, &self.root, source, last) {
            Ok(copied) => {
                self.report(copied.losses);
                if copied.evicted.is_empty() {
                    self.head.swept = first;
                    self.moved = true;
                    return rewrite::discard(&self.medium, &self.root, first);
                }
                if copied.left == 0 && self.oldest() == first {
                    rewrite::discard(&self.medium, &self.root, first)?;
                    return self.drop_generation(first, DropReason::Evicted);
                }
                self.evict(first, last, &copied.evicted)
            }
            Err(CopyError::Source(error)) => self.quarantine(first, error),
            Err(CopyError::Target(error)) => {
                tracing::warn!(%error, "no room to rewrite a generation without its passing events");
                work.stuck = true;
                Ok(())
            }
        }
    }

    /// The copy takes the place of the original: counted first, then made so.
    fn evict(
        &mut self,
        first: Position,
        last: Position,
        evicted: &Absent,
    ) -> Result<(), StoreError> {
        let spans: Vec<_> = evicted.runs().collect();
        let counts = self.count_unsettled(&spans);
        let notices = match (spans.first(), evicted.last()) {
            (Some((from, _)), Some(to)) => self.notices(DropReason::Evicted, &counts, (*from, to)),
            _ => Vec::new(),
        };
        self.drop_durably(notices, |store| {
            for ((_, progress), count) in store.uplinks.iter_mut().zip(&counts) {
                progress.count_dropped(DropReason::Evicted, *count);
            }
            store.head.swept = first;
        })?;
        self.older.made_lean(first);
        self.tail.forget(last);
        remove(self.older.disk(), &self.root, &path_of(&self.root, first))?;
        self.older.sync()
    }

    /// Drops a generation and, with it, what is only kept before it.
    fn drop_generation(&mut self, first: Position, reason: DropReason) -> Result<(), StoreError> {
        let Some(older) = self.older.get(first) else {
            return Ok(());
        };
        let found = self.older.last_of(older).and_then(|last| {
            let present = self.older.present(older, last)?;
            Ok((last, present))
        });
        let (last, present) = match found {
            Ok(found) => found,
            Err(error) => return self.quarantine(first, error),
        };
        let counts = self.count_unsettled(&present);
        let notices = self.notices(reason, &counts, (first, last));
        self.drop_durably(notices, |store| {
            for ((_, progress), count) in store.uplinks.iter_mut().zip(&counts) {
                progress.count_dropped(reason, *count);
                progress.skip_to(last);
            }
        })?;
        self.tail.forget(last);
        while let Some(oldest) = self.older.oldest()
            && oldest <= first
        {
            self.older.remove_at(0)?;
        }
        Ok(())
    }

    pub(super) fn count_unsettled(&self, spans: &[(Position, Position)]) -> Vec<u64> {
        let count = |(_, progress): &(String, super::Progress)| {
            let counts = spans
                .iter()
                .map(|(from, to)| progress.unsettled(*from, *to));
            counts.sum()
        };
        self.uplinks.iter().map(count).collect()
    }

    /// Counts what is dropped, durably, before its bytes go. Where that fails nothing is dropped, and memory says so: what the
    /// disk has of it counts only after a crash, and then as a whole.
    fn drop_durably(
        &mut self,
        notices: Vec<DropNotice>,
        count: impl FnOnce(&mut Store),
    ) -> Result<(), StoreError> {
        self.room_for_progress()?;
        let before = (
            self.uplinks.clone(),
            self.head.untold.clone(),
            self.head.swept,
        );
        count(self);
        for notice in &notices {
            self.note_dropped(notice);
        }
        if let Err(error) = self.commit_head(Batch::new()) {
            (self.uplinks, self.head.untold, self.head.swept) = before;
            return Err(error);
        }
        for notice in notices {
            self.health.drops.add(notice);
        }
        Ok(())
    }

    /// What is told of drops: once where all uplinks lost events, else for each that did.
    pub(super) fn notices(
        &self,
        reason: DropReason,
        counts: &[u64],
        (from, to): (Position, Position),
    ) -> Vec<DropNotice> {
        let notice = |uplink, count| DropNotice {
            reason,
            uplink,
            count,
            from,
            to,
            detail: None,
        };
        let most = counts.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return Vec::new();
        }
        tracing::warn!(%from, %to, events = most, reason = reason.word(), "stored events are dropped");
        if counts.iter().all(|count| *count > 0) {
            return vec![notice(None, most)];
        }
        let counts = self.uplinks.iter().zip(counts);
        counts
            .filter(|(_, count)| **count > 0)
            .map(|((name, _), count)| notice(Some(name.clone()), *count))
            .collect()
    }

    /// Drops what is older than `max_age`, generation by generation.
    fn drop_aged(&mut self) -> Result<(), StoreError> {
        let max_age = nanoseconds(self.room.quota.max_age);
        for _ in 0..MAX_AGED {
            let Some(older) = self.found().oldest.and_then(|first| self.older.get(first)) else {
                break;
            };
            match self.older.facts(older) {
                Ok(facts) if self.head.powered_ns.saturating_sub(facts.powered_ns) > max_age => {
                    self.drop_generation(older.first, DropReason::Aged)?;
                }
                Ok(_) => break,
                Err(error) => self.quarantine(older.first, error)?,
            }
        }
        Ok(())
    }

    /// A generation that cannot be read is set aside and reported; any other error is the disk's.
    fn quarantine(&mut self, first: Position, error: EngineError) -> Result<(), StoreError> {
        let EngineError::Damaged { reason, .. } = error else {
            return Err(error.into());
        };
        let Some(index) = self.older.index_of(first) else {
            return Ok(());
        };
        let loss = self.older.set_aside(index, reason)?;
        self.room.look_again();
        self.report(vec![loss]);
        Ok(())
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "reclaim_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "reclaim_random_tests.rs"]
mod random_tests;

#[cfg(test)]
#[path = "reclaim_cut_tests.rs"]
mod cut_tests;
