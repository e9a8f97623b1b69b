//! How far an uplink has come: a cursor, what is settled above it, and an account in which every event stands once. Pure.
//!
//! At any moment: offered = delivered + filtered + parked + discarded + dropped + stored.

use crate::model::{DropReason, Position};
use serde::{Deserialize, Serialize};

/// Most settled events above the cursor. Who would hold it back further is parked.
pub const MAX_ABOVE: u64 = 4096;

/// What became of an event, as its uplink says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The destination has it.
    Delivered,
    /// The uplink's `events:` leaves it out.
    Filtered,
}

/// What an uplink settled since it said so last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Everything up to here is settled.
    pub up_to: Position,
    /// What became of each event, in whatever order; each stands here once.
    pub fates: Vec<(Position, Fate)>,
}

/// How an event stopped being parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The destination has it after all.
    Delivered,
    /// Somebody discarded it.
    Discarded,
}

impl Settled {
    /// Everything after `after` up to `up_to` is delivered; of another epoch, everything from its first on.
    #[must_use]
    pub fn delivered(after: Position, up_to: Position) -> Settled {
        let first = if after.epoch == up_to.epoch {
            after.seq.saturating_add(1)
        } else {
            1
        };
        let fates = (first..=up_to.seq).map(|seq| (Position { seq, ..up_to }, Fate::Delivered));
        Settled {
            up_to,
            fates: fates.collect(),
        }
    }
}

/// Where the events of one uplink went, since the uplink exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Events made durable for it.
    pub offered: u64,
    /// Settled by a positive verdict.
    pub delivered: u64,
    /// Left out by its `events:`.
    pub filtered: u64,
    /// Parked at present.
    pub parked: u64,
    /// Parked, and discarded by somebody.
    pub discarded: u64,
    /// Dropped, by [`DropReason::index`].
    pub dropped: [u64; DropReason::ALL.len()],
}

impl Account {
    /// Events that wait for it in the store.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.offered.saturating_sub(self.gone())
    }

    /// Events dropped for that reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason.index()).copied().unwrap_or(0)
    }

    /// Events of which it says what became of them.
    #[must_use]
    pub fn gone(&self) -> u64 {
        let dropped: u64 = self.dropped.iter().sum();
        let gone = self.delivered + self.filtered + self.parked + self.discarded;
        gone.saturating_add(dropped)
    }

    fn drop(&mut self, reason: DropReason, count: u64) {
        if let Some(sum) = self.dropped.get_mut(reason.index()) {
            *sum = sum.saturating_add(count);
        }
    }
}

/// Neighbouring positions of one epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    epoch: u32,
    from: u64,
    to: u64,
}

impl Run {
    fn len(&self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }
}

/// One uplink's progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", from = "Written")]
pub struct Progress {
    cursor: Position,
    /// Rising, apart from one another, all above the cursor.
    above: Vec<Run>,
    /// Events that are no longer parked and whose files may still be there: written together with the account, so that a
    /// file that a crash left is never taken for a parked event again.
    leaving: Vec<Position>,
    /// Where its events went.
    pub account: Account,
}

/// How a progress is written: runs as distances, so that thousands of them stay small.
#[derive(Serialize, Deserialize)]
struct Written {
    cursor: Position,
    /// Epochs after the one before, positions after its end (or from 0 in another epoch), and length less one.
    runs: Vec<(u32, u64, u64)>,
    leaving: Vec<Position>,
    account: Account,
}

impl From<Progress> for Written {
    fn from(progress: Progress) -> Written {
        let (mut epoch, mut end) = (progress.cursor.epoch, progress.cursor.seq);
        let mut distance = |run: &Run| {
            let epochs = run.epoch.saturating_sub(epoch);
            let base = if epochs == 0 { end } else { 0 };
            (epoch, end) = (run.epoch, run.to);
            (epochs, run.from.saturating_sub(base), run.to - run.from)
        };
        Written {
            cursor: progress.cursor,
            runs: progress.above.iter().map(&mut distance).collect(),
            leaving: progress.leaving,
            account: progress.account,
        }
    }
}

impl From<Written> for Progress {
    fn from(written: Written) -> Progress {
        let (mut epoch, mut end) = (written.cursor.epoch, written.cursor.seq);
        let mut run = |(epochs, distance, longer): (u32, u64, u64)| {
            let base = if epochs == 0 { end } else { 0 };
            epoch = epoch.saturating_add(epochs);
            let from = base.saturating_add(distance);
            end = from.saturating_add(longer);
            Run {
                epoch,
                from,
                to: end,
            }
        };
        Progress {
            cursor: written.cursor,
            above: written.runs.into_iter().map(&mut run).collect(),
            leaving: written.leaving,
            account: written.account,
        }
    }
}

impl Progress {
    /// Of an uplink that begins after `cursor`.
    #[must_use]
    pub fn at(cursor: Position) -> Progress {
        Progress {
            cursor,
            ..Progress::default()
        }
    }

    /// Everything up to here is settled.
    #[must_use]
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// The last position that it says anything about.
    #[must_use]
    pub fn furthest(&self) -> Position {
        let last = self.above.last();
        last.map_or(self.cursor, |run| Position {
            epoch: run.epoch,
            seq: run.to,
        })
    }

    /// How many events above the cursor are settled.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.above.iter().map(Run::len).sum()
    }

    /// Whether this event needs nothing more.
    #[must_use]
    pub fn is_settled(&self, position: Position) -> bool {
        position <= self.cursor || self.run_with(position).is_some()
    }

    /// Takes in what was settled; true when something is new.
    pub fn settle(&mut self, settled: &Settled) -> bool {
        let mut news = false;
        for (position, fate) in &settled.fates {
            if self.mark(*position) {
                news = true;
                match fate {
                    Fate::Delivered => self.account.delivered += 1,
                    Fate::Filtered => self.account.filtered += 1,
                }
            }
        }
        if settled.up_to > self.cursor {
            news = true;
            self.advance(settled.up_to);
        }
        news
    }

    /// Marks one event as settled, without a word in the account; false when it was.
    pub fn mark(&mut self, position: Position) -> bool {
        if self.is_settled(position) {
            return false;
        }
        let Position { epoch, seq } = position;
        let at = self
            .above
            .partition_point(|run| (run.epoch, run.from) < (epoch, seq));
        self.above.insert(
            at,
            Run {
                epoch,
                from: seq,
                to: seq,
            },
        );
        self.join(at);
        if at > 0 {
            self.join(at - 1);
        }
        self.rise();
        true
    }

    /// The event has a file of its own now, which is durable.
    pub fn park(&mut self, position: Position) {
        if self.mark(position) {
            self.account.parked = self.account.parked.saturating_add(1);
        }
    }

    /// So many events have files that were never offered to this progress.
    pub fn adopt_parked(&mut self, count: u64) {
        self.account.offered = self.account.offered.saturating_add(count);
        self.account.parked = self.account.parked.saturating_add(count);
    }

    /// So many parked events cannot be read any more.
    pub fn lose_parked(&mut self, count: u64) {
        let lost = count.min(self.account.parked);
        self.account.parked -= lost;
        self.account.drop(DropReason::Damaged, lost);
    }

    /// The event is parked no longer. Its file goes when that is durable.
    pub fn leave(&mut self, position: Position, left: Left) {
        self.account.parked = self.account.parked.saturating_sub(1);
        match left {
            Left::Delivered => self.account.delivered = self.account.delivered.saturating_add(1),
            Left::Discarded => self.account.discarded = self.account.discarded.saturating_add(1),
        }
        self.leaving.push(position);
    }

    /// Events that are no longer parked and whose files may still be there.
    #[must_use]
    pub fn leaving(&self) -> &[Position] {
        &self.leaving
    }

    /// The files of all that was leaving are gone, durably.
    pub fn swept(&mut self) {
        self.leaving.clear();
    }

    /// Events of one epoch, both ends included, are gone: counts those that were not settled, and returns how many.
    pub fn drop_range(&mut self, from: Position, to: Position, reason: DropReason) -> u64 {
        let count = self.pass(from, to);
        self.account.drop(reason, count);
        count
    }

    /// Marks events of one epoch, both ends included, as settled, without a word in the account; returns how many were not.
    pub fn pass(&mut self, from: Position, to: Position) -> u64 {
        let mut count = 0;
        let first = if from.epoch == self.cursor.epoch {
            from.seq.max(self.cursor.seq.saturating_add(1))
        } else {
            from.seq
        };
        if from.epoch < self.cursor.epoch || first > to.seq {
            return 0;
        }
        let epoch = from.epoch;
        let inside = |run: &Run| run.epoch == epoch && run.from <= to.seq && run.to >= first;
        let settled: u64 = self
            .above
            .iter()
            .filter(|run| inside(run))
            .map(|run| run.to.min(to.seq) + 1 - run.from.max(first))
            .sum();
        count += to.seq + 1 - first - settled;
        let from = self
            .above
            .iter()
            .filter(|run| inside(run))
            .map(|run| run.from)
            .min();
        let end = self
            .above
            .iter()
            .filter(|run| inside(run))
            .map(|run| run.to)
            .max();
        let whole = Run {
            epoch,
            from: from.map_or(first, |from| from.min(first)),
            to: end.map_or(to.seq, |end| end.max(to.seq)),
        };
        self.above.retain(|run| !inside(run));
        let at = self
            .above
            .partition_point(|run| (run.epoch, run.from) < (whole.epoch, whole.from));
        self.above.insert(at, whole);
        self.join(at);
        if at > 0 {
            self.join(at - 1);
        }
        self.rise();
        count
    }

    /// How many events from `from` to `to`, of one epoch and both included, are not settled.
    #[must_use]
    pub fn unsettled(&self, from: Position, to: Position) -> u64 {
        let first = if from.epoch == self.cursor.epoch {
            from.seq.max(self.cursor.seq.saturating_add(1))
        } else {
            from.seq
        };
        if from.epoch < self.cursor.epoch || from.epoch != to.epoch || first > to.seq {
            return 0;
        }
        let start = self
            .above
            .partition_point(|run| (run.epoch, run.to) < (from.epoch, first));
        let settled: u64 = self
            .above
            .iter()
            .skip(start)
            .take_while(|run| run.epoch == from.epoch && run.from <= to.seq)
            .map(|run| run.to.min(to.seq) + 1 - run.from.max(first))
            .sum();
        to.seq + 1 - first - settled
    }

    /// Nothing up to `position` is waited for any more; the account says elsewhere what became of it.
    pub fn skip_to(&mut self, position: Position) {
        if position > self.cursor {
            self.advance(position);
        }
    }

    /// Counts events as dropped that are marked elsewhere: an evicted one is known by its generation.
    pub fn count_dropped(&mut self, reason: DropReason, count: u64) {
        self.account.drop(reason, count);
    }

    /// So many were counted as dropped that had been counted before.
    pub(super) fn take_back_dropped(&mut self, reason: DropReason, count: u64) {
        if let Some(sum) = self.account.dropped.get_mut(reason.index()) {
            *sum = sum.saturating_sub(count);
        }
    }

    fn advance(&mut self, up_to: Position) {
        self.cursor = up_to;
        self.above.retain_mut(|run| {
            if run.epoch == up_to.epoch {
                run.from = run.from.max(up_to.seq.saturating_add(1));
            }
            run.epoch >= up_to.epoch && run.from <= run.to
        });
        self.rise();
    }

    /// What is settled right above belongs to the cursor.
    fn rise(&mut self) {
        while let Some(run) = self.above.first().copied()
            && run.epoch == self.cursor.epoch
            && run.from == self.cursor.seq.saturating_add(1)
        {
            self.cursor.seq = run.to;
            self.above.remove(0);
        }
    }

    fn run_with(&self, position: Position) -> Option<&Run> {
        let after = self
            .above
            .partition_point(|run| (run.epoch, run.from) <= (position.epoch, position.seq));
        let run = self.above.get(after.checked_sub(1)?)?;
        (run.epoch == position.epoch && run.to >= position.seq).then_some(run)
    }

    /// Makes the run at `index` and its successor one where they touch.
    fn join(&mut self, index: usize) {
        let (Some(left), Some(right)) = (self.above.get(index), self.above.get(index + 1)) else {
            return;
        };
        if left.epoch == right.epoch && left.to.saturating_add(1) >= right.from {
            let to = left.to.max(right.to);
            if let Some(left) = self.above.get_mut(index) {
                left.to = to;
            }
            self.above.remove(index + 1);
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
