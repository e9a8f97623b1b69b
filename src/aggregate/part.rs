//! Which operation a part belongs to: one that waits for it, one that is to come, one that has just ended. Pure.
//!
//! Called by `machine/parts`. A part that waits for its operation is replaced by a later one, and expires.

use crate::model::{BootTime, Part};
use crate::settings::shape::Bind;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most parts of one operation: what comes beyond is not listed. A pallet or a tool with many cavities has fewer.
pub(super) const MAX_PARTS: usize = 64;

/// A part that was scanned and waits for its operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) part: Part,
    /// The tag that read it.
    pub(super) reader: String,
    /// What was read.
    pub(super) text: String,
    /// The only slot that it may go to.
    pub(super) slot: Option<String>,
    /// Up to here it may be taken.
    pub(super) until: BootTime,
}

impl Pending {
    /// An operation that started at `started` in that slot may take it.
    pub(super) fn fits(&self, slot: &str, started: BootTime) -> bool {
        self.until >= started && may_go(self.slot.as_deref(), slot)
    }

    /// When it has expired.
    fn expires(&self) -> BootTime {
        self.until.plus(Duration::from_nanos(1))
    }
}

/// The parts that wait: one for each slot that is named, and one for any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting(Vec<Pending>);

impl Waiting {
    /// The latest wins: gives the one that it replaces. The same part again only waits longer.
    pub(super) fn put(&mut self, pending: Pending) -> Option<Pending> {
        let same_place = self.0.iter_mut().find(|one| one.slot == pending.slot);
        let Some(before) = same_place else {
            self.0.push(pending);
            return None;
        };
        let before = std::mem::replace(before, pending);
        let same = self.0.iter().any(|one| one.part.id == before.part.id);
        (!same).then_some(before)
    }

    /// It was read again: it waits longer.
    pub(super) fn again(&mut self, text: &str, slot: Option<&str>, until: BootTime) {
        let same = |one: &&mut Pending| one.text == text && one.slot.as_deref() == slot;
        for one in self.0.iter_mut().filter(same) {
            one.until = one.until.max(until);
        }
    }

    /// The part for an operation that started at `started` in a slot: the slot's own first.
    pub(super) fn take(&mut self, slot: &str, started: BootTime) -> Option<Pending> {
        let fits =
            |one: &Pending, named: bool| one.slot.is_some() == named && one.fits(slot, started);
        let own = self.0.iter().position(|one| fits(one, true));
        let place = own.or_else(|| self.0.iter().position(|one| fits(one, false)))?;
        Some(self.0.remove(place))
    }

    /// Takes a part back whose operation did not come about. Where another one waits in its place, gives it back: that one
    /// has replaced it.
    pub(super) fn take_back(&mut self, pending: Pending) -> Option<Pending> {
        let same_place = self.0.iter().find(|one| one.slot == pending.slot);
        match same_place {
            Some(one) if one.part.id == pending.part.id => None,
            Some(_) => Some(pending),
            None => {
                self.0.push(pending);
                None
            }
        }
    }

    /// When the next one expires of which nobody says that it is `awaited`.
    pub(super) fn due(&self, awaited: impl Fn(&Pending) -> bool) -> Option<BootTime> {
        let waiting = self.0.iter().filter(|one| !awaited(one));
        waiting.map(Pending::expires).min()
    }

    /// Those that have waited too long at `now`, and of which nobody says that they are `awaited`.
    pub(super) fn expire(
        &mut self,
        now: BootTime,
        awaited: impl Fn(&Pending) -> bool,
    ) -> Vec<Pending> {
        let (gone, waiting) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|one| one.expires() <= now && !awaited(one));
        self.0 = waiting;
        gone
    }

    /// Carries them over a restart; where nobody knows how long it took, none of them counts any more.
    pub(super) fn resume(&mut self, shift_ns: i64, measurable: bool) {
        for one in &mut self.0 {
            one.until = if measurable {
                one.until.shifted(shift_ns)
            } else {
                BootTime(i64::MIN)
            };
        }
    }
}

fn may_go(wanted: Option<&str>, slot: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == slot)
}

/// An operation that a part could belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    pub(super) slot: &'a str,
    /// It ended; else it is open.
    pub(super) ended: bool,
    /// Since it started or, if it has ended, since its end; `None` where a reboot hides it.
    pub(super) age: Option<Duration>,
    /// It has a part that was read, not made up.
    pub(super) has_part: bool,
    /// How long after its start, and after its end, an id still belongs to it.
    pub(super) late_window: Duration,
    /// Nothing has started in its slot since.
    pub(super) is_last: bool,
}

impl Candidate<'_> {
    fn in_time(&self) -> bool {
        self.age.is_some_and(|age| age <= self.late_window)
    }
}

/// Where a part belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To the candidate of that index.
    To(usize),
    /// To an operation that is to come.
    Waits,
    /// There is no such operation.
    Nowhere,
}

/// Where a part belongs that was scanned now. `slot`: the only one that it may go to.
pub(super) fn place(bind: Bind, slot: Option<&str>, candidates: &[Candidate<'_>]) -> Place {
    let all = || {
        let numbered = candidates.iter().enumerate();
        numbered.filter(|(_, one)| may_go(slot, one.slot))
    };
    let oldest = |ended: bool| {
        let waits = |(_, one): &(usize, &Candidate<'_>)| {
            one.ended == ended && one.in_time() && !one.has_part && one.is_last
        };
        all().filter(waits).max_by_key(|(_, one)| one.age)
    };
    let open = |without: bool| {
        let fits = move |one: &Candidate<'_>| !(one.ended || without && one.has_part);
        all()
            .filter(|(_, one)| fits(one))
            .max_by_key(|(_, one)| one.age)
    };
    let ended = |without: bool| {
        let fits =
            move |one: &Candidate<'_>| one.ended && one.in_time() && !(without && one.has_part);
        all()
            .filter(|(_, one)| fits(one))
            .min_by_key(|(_, one)| one.age)
    };
    let found = match bind {
        Bind::NextOperation => oldest(false).or_else(|| oldest(true)),
        Bind::CurrentOperation => open(true).or_else(|| open(false)),
        Bind::LastOperation => ended(true).or_else(|| ended(false)),
    };
    match (found, bind) {
        (Some((index, _)), _) => Place::To(index),
        (None, Bind::NextOperation) => Place::Waits,
        (None, _) => Place::Nowhere,
    }
}

#[cfg(test)]
mod tests;
