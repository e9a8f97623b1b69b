//! What is lost: told by the names of the directories, by the open, or by a reading. Counted once for each uplink, whatever
//! crash comes between, and told as a notice.
//!
//! A loss is durable, with its notice, before anything behind it is shown: no uplink's progress can pass over it unseen.

use super::epoch::{self, Found, Numbering, Why};
use super::error::StoreError;
use super::generation::{Loss, predecessor, successor};
use super::head::{Head, Machine};
use super::listing::Listing;
use super::progress::Progress;
use super::side::Known;
use super::store::Store;
use crate::model::{DropReason, Position};
use std::collections::{BTreeMap, BTreeSet};

/// Losses that are remembered, so that each is logged once; past them they are logged at each reading.
const MAX_LOSSES: usize = 4096;
/// Epochs whose ends are remembered. One begins with each damage to the newest generation; few are in a store at a time.
const MAX_ENDS: usize = 64;

/// Losses that were reported in this run, by their first position, with their last one.
#[derive(Debug, Default)]
pub(super) struct Reported(BTreeMap<Position, Position>);

impl Reported {
    /// True when it is new.
    fn note(&mut self, loss: &Loss) -> bool {
        let known = self.0.get(&loss.from).is_some_and(|to| *to >= loss.to);
        if !known && self.0.len() < MAX_LOSSES {
            self.0.insert(loss.from, loss.to);
        }
        !known
    }
}

impl Store {
    /// Counts and logs losses, each once.
    pub(super) fn report(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            self.log(&loss);
            self.lose(&loss);
        }
    }

    /// [`Store::report`] of whole generations that an open does not find, or not whole. They may have been rewritten: what
    /// was evicted from them is counted already.
    pub(super) fn report_unseen(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            self.log(&loss);
            self.lose_unseen(&loss);
        }
    }

    fn log(&mut self, loss: &Loss) {
        if loss.count() > 0 && self.reported.note(loss) {
            self.health.quarantined.add(loss.count());
            tracing::error!(from = %loss.from, to = %loss.to, reason = loss.reason, "stored events are lost");
        }
    }

    /// [`Store::report`] of what a reading found: durable before the reader learns what comes behind it.
    pub(super) fn report_found(&mut self, losses: Vec<Loss>) -> Result<(), StoreError> {
        if losses.is_empty() {
            return Ok(());
        }
        self.report(losses);
        match self.moved.then(|| self.commit_head(Vec::new())) {
            // The next commit that finds room takes it along.
            Some(Err(StoreError::Full(_))) => Ok(()),
            None | Some(Ok(())) => {
                self.losses_are_durable();
                Ok(())
            }
            Some(error) => error,
        }
    }

    /// Behind a commit: sets aside what waited for its loss to be counted. What cannot be now is set aside behind a later one.
    pub(super) fn losses_are_durable(&mut self) {
        match self.older.losses_are_durable() {
            Ok(true) => self.room.look_again(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a damaged generation cannot be set aside"),
        }
    }

    /// Reports what the names of the directories say is missing.
    pub(super) fn report_gaps(&mut self, listing: &Listing, new: &BTreeSet<usize>) {
        let head = self.newest.first();
        let missing = missing(&mut self.uplinks, new, listing, head, &self.head.ends);
        self.report_unseen(missing);
    }
}

impl Store {
    /// With a newest state that is lost goes the count of what was evicted since the one that is left. The rewritten
    /// generations tell: theirs is counted where it is missing. To be called when all is counted that the open found lost.
    pub(super) fn count_evicted(&mut self, listing: &Listing, new: &BTreeSet<usize>) {
        let is_news = |first: &&Position| **first > self.head.swept;
        let lean: Vec<Position> = listing.lean.iter().filter(is_news).copied().collect();
        let mut spans = Vec::new();
        for older in lean
            .iter()
            .filter_map(|first| self.older.get(*first))
            .collect::<Vec<_>>()
        {
            if let Ok(generation) = self.older.reader(older) {
                spans.extend(generation.absent().runs());
            }
        }
        let (Some((from, _)), Some((_, to))) = (spans.first().copied(), spans.last().copied())
        else {
            return;
        };
        let mut counts = self.count_unsettled(&spans);
        for (index, count) in counts.iter_mut().enumerate() {
            let waiting = self.waiting(index);
            // What lies in the store for a new one was counted without them.
            let known = self.uplinks.get(index).filter(|_| !new.contains(&index));
            let missing = known.map_or(0, |(_, it)| it.account.stored().saturating_sub(waiting));
            *count = missing.min(*count);
        }
        for ((_, progress), count) in self.uplinks.iter_mut().zip(&counts) {
            progress.count_dropped(DropReason::Evicted, *count);
        }
        self.head.swept = lean.last().copied().unwrap_or(self.head.swept);
        self.moved = true;
        for notice in self.notices(DropReason::Evicted, &counts, (from, to)) {
            self.dropped(notice);
        }
    }
}

impl Store {
    /// No state is left but what the side file says, up to `to`: how far earlier epochs reached it does not. What an uplink
    /// was offered and nothing else accounts for is lost. To be called when all else is counted that the open found.
    pub(super) fn count_unaccounted(&mut self, to: Position) {
        let nearest = self.uplinks.iter().map(|(_, it)| it.cursor()).min();
        let mut greatest = 0;
        for index in 0..self.uplinks.len() {
            let waiting = self.waiting(index);
            if let Some((_, progress)) = self.uplinks.get_mut(index) {
                let count = progress.account.stored().saturating_sub(waiting);
                progress.count_dropped(DropReason::Damaged, count);
                greatest = greatest.max(count);
            }
        }
        if greatest > 0 {
            let loss = Loss {
                from: nearest.map_or(to, successor),
                to,
                reason: "no part of the store is left that has them".into(),
            };
            tracing::error!(from = %loss.from, to = %loss.to, events = greatest, "stored events are lost");
            self.health.quarantined.add(greatest);
            self.tell_lost(&loss, greatest);
        }
    }
}

/// Where numbering goes on, and what is lost behind the state that is left: of a start, and of whoever wants to know what a
/// start would find. `set_aside` did not open; `machine` is this box, where that matters.
pub(super) fn judge(
    listing: &Listing,
    head: Option<&Head>,
    known: &Known,
    set_aside: Vec<Loss>,
    machine: Option<Machine>,
) -> (Numbering, Vec<Loss>) {
    let numbering = epoch::decide(&Found {
        head: head.map(|head| (head.next, head.machine)),
        head_quarantined: !set_aside.is_empty() || end_set_aside(listing, head),
        greatest_epoch: listing.greatest_epoch(),
        // A parked event outlives the store that numbered it: a new event of its number would be taken for it.
        progress: known.furthest().max(listing.parked),
        machine,
    });
    (numbering, lost(numbering, head, known, set_aside))
}

/// What of the side file counts beside the newest state. An uplink that this state does not know has left the settings, and a
/// start that made that durable ended before it replaced the file; only where the state is not the last that there was, or
/// knows no uplink at all, the file may know more.
pub(super) fn beside(known: Known, head: Option<&Head>, numbering: Numbering) -> Known {
    let is_last = matches!(
        numbering,
        Numbering::GoesOn(_) | Numbering::BeginsAnew(_, Why::OtherMachine)
    );
    match head.filter(|head| is_last && !head.uplinks.is_empty()) {
        Some(head) => known.only(|name| head.uplinks.contains_key(name)),
        None => known,
    }
}

/// A crash came between setting the newest generation aside and beginning anew: its end is as unknown as then.
fn end_set_aside(listing: &Listing, head: Option<&Head>) -> bool {
    let Some(head) = head else {
        return false;
    };
    let same_epoch = |first: &&Position| first.epoch == head.next.epoch;
    let damaged = listing.damaged.iter().filter(same_epoch);
    damaged.max().is_some_and(|first| *first >= head.next)
}

/// What is lost with the newest generation that does not open, and where the one before it ended: `end` tells where it
/// ended itself, if anybody knows.
pub(super) fn with_newest(first: Position, end: Option<Position>, reason: String) -> Loss {
    let known = end.filter(|end| end.epoch == first.epoch);
    Loss {
        from: first,
        to: known.unwrap_or(predecessor(first)),
        reason,
    }
}

/// What the names of the directories say is missing. Known uplinks lose it; it was never offered to a new one, which
/// passes over it.
pub(super) fn missing(
    uplinks: &mut [(String, Progress)],
    new: &BTreeSet<usize>,
    listing: &Listing,
    head: Position,
    ends: &BTreeMap<u32, u64>,
) -> Vec<Loss> {
    let mut losses = BTreeSet::new();
    for (index, (_, progress)) in uplinks.iter_mut().enumerate() {
        let gaps = gaps(progress.cursor(), listing, head, ends);
        if new.contains(&index) {
            for (from, to) in gaps {
                progress.pass(from, to);
            }
        } else {
            losses.extend(gaps);
        }
    }
    let known = losses.into_iter().filter(|(from, to)| {
        let lacks = |progress: &Progress| progress.unsettled(*from, *to) > 0;
        uplinks.iter().any(|(_, progress)| lacks(progress))
    });
    let known = known.map(|(from, to)| Loss {
        from,
        to,
        reason: "its part of the store is not there or was damaged".into(),
    });
    known.collect()
}

/// Stretches after `after` that no whole directory holds, as far as names and the ends of earlier epochs tell.
fn gaps(
    after: Position,
    listing: &Listing,
    head: Position,
    ends: &BTreeMap<u32, u64>,
) -> Vec<(Position, Position)> {
    let mut starts: BTreeMap<Position, bool> = BTreeMap::new();
    starts.extend(listing.damaged.iter().map(|first| (*first, false)));
    starts.extend(listing.whole.iter().map(|first| (*first, true)));
    starts.insert(head, true);
    let mut epochs: BTreeSet<u32> = starts.keys().map(|first| first.epoch).collect();
    epochs.extend(ends.keys());
    let mut found = Vec::new();
    for epoch in epochs.range(after.epoch..=head.epoch.max(after.epoch)) {
        let at = |seq| Position { epoch: *epoch, seq };
        let begin = if *epoch == after.epoch {
            after.seq.saturating_add(1)
        } else {
            1
        };
        let mut gap = |from: u64, to: Option<u64>| {
            if let Some(to) = to.filter(|to| from <= *to) {
                found.push((at(from), at(to)));
            }
        };
        let end = ends.get(epoch).copied().filter(|_| *epoch != head.epoch);
        let inside: Vec<(u64, bool)> = starts
            .range(at(0)..=at(u64::MAX))
            .map(|(first, whole)| (first.seq, *whole))
            .collect();
        match inside.first() {
            None => gap(begin, end),
            // A damaged directory alone proves nothing of its epoch: its name may be what is damaged.
            Some((_, false)) if end.is_none() && inside.len() == 1 => {}
            Some((first, _)) => gap(begin, first.checked_sub(1)),
        }
        for (index, (first, whole)) in inside.iter().enumerate() {
            let next = inside.get(index + 1).map(|(next, _)| next - 1).or(end);
            if !whole {
                gap(begin.max(*first), next);
            }
        }
    }
    found
}

/// What is missing behind the state that is left: parts that were set aside, or what only the side file knows of.
fn lost(
    numbering: Numbering,
    head: Option<&Head>,
    known: &Known,
    set_aside: Vec<Loss>,
) -> Vec<Loss> {
    if head.is_some() && set_aside.iter().any(|loss| loss.count() > 0) {
        return set_aside;
    }
    let tail = lost_tail(numbering, head, known);
    tail.map_or(set_aside, |tail| vec![tail])
}

fn lost_tail(numbering: Numbering, head: Option<&Head>, known: &Known) -> Option<Loss> {
    let Numbering::BeginsAnew(_, why) = numbering else {
        return None;
    };
    let to = known.furthest().filter(|to| to.seq > 0)?;
    let first = Position { seq: 1, ..to };
    let from = match (head, why) {
        (Some(_), Why::Created | Why::StoreMissing | Why::OtherMachine) => return None,
        (Some(head), _) if head.next.epoch == to.epoch => head.next,
        (Some(head), _) if head.next.epoch < to.epoch => first,
        (None, _) => successor(known.nearest()).max(first),
        _ => return None,
    };
    (from <= to).then(|| Loss {
        from,
        to,
        reason: why.words().into(),
    })
}

/// The state that a new epoch begins with: where the old one ended, and what of it is lost. Whoever opens the store counts
/// that, also after a crash right behind the creation.
pub(super) fn into_new_epoch(mut head: Head, why: Why, losses: &[Loss]) -> Head {
    let end = predecessor(head.next);
    let known = losses.iter().filter(|loss| loss.count() > 0);
    let ends = known.map(|loss| loss.to).chain([end]);
    for end in ends.filter(|end| end.epoch > 0) {
        let known = head.ends.entry(end.epoch).or_default();
        *known = end.seq.max(*known);
    }
    while head.ends.len() > MAX_ENDS {
        head.ends.pop_first();
    }
    // What came behind the state that is left was offered, too.
    let known = losses.iter().filter(|loss| loss.count() > 0);
    let tos = known.map(|loss| loss.to);
    let furthest = tos.max().unwrap_or(end).max(end);
    let count = if furthest.epoch == end.epoch {
        furthest.seq - end.seq
    } else {
        furthest.seq
    };
    for progress in head.uplinks.values_mut() {
        progress.account.offered = progress.account.offered.saturating_add(count);
    }
    head.lost.extend(losses.iter().cloned());
    head.new_epoch = (why != Why::Created).then_some(why);
    head
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;
