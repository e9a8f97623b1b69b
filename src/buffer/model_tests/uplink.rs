//! One uplink in the list: what became of each event for it, and which of its states a power cut may bring back.

use super::super::progress::{Account, Fate, Left, Progress, Settled};
use super::expected::{Accepted, at};
use crate::model::DropReason;
use std::collections::BTreeSet;

/// Reasons for which the quota drops.
pub(super) const DROPS: [DropReason; 3] = [DropReason::Evicted, DropReason::Full, DropReason::Aged];

/// What became of an event, for one uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// It was before the uplink's time.
    NotOffered,
    Stored,
    /// Delivered, filtered or discarded, as the account says.
    Settled,
    Parked,
    Dropped,
}

/// All that is known about an uplink at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// By the place of the event in the list.
    pub(super) events: Vec<Now>,
    pub(super) account: Account,
}

/// What a store shows of an uplink.
pub(super) struct Seen {
    pub(super) progress: Progress,
    /// What it still reads, by the place in the list.
    pub(super) readable: BTreeSet<usize>,
    pub(super) parked: BTreeSet<usize>,
}

impl State {
    fn settle(&mut self, fates: &[(usize, Fate)]) {
        for (place, fate) in fates {
            self.events[*place] = Now::Settled;
            match fate {
                Fate::Delivered => self.account.delivered += 1,
                Fate::Filtered => self.account.filtered += 1,
            }
        }
    }

    fn park(&mut self, place: usize) {
        assert_eq!(self.events[place], Now::Stored);
        self.events[place] = Now::Parked;
        self.account.parked += 1;
    }

    pub(super) fn left(&self, place: usize, left: Left) -> State {
        let mut state = self.clone();
        state.events[place] = Now::Settled;
        state.account.parked -= 1;
        match left {
            Left::Delivered => state.account.delivered += 1,
            Left::Discarded => state.account.discarded += 1,
        }
        state
    }

    fn offer(&mut self, count: usize) {
        let length = self.events.len() + count;
        self.events.resize(length, Now::Stored);
        self.account.offered += count as u64;
    }

    /// What the store shows is this state, but for drops that came since, and for those of `half_parked` whose files are
    /// there: returns it with them. `None` when it is anything else.
    pub(super) fn explains(
        &self,
        seen: &Seen,
        list: &[Accepted],
        half_parked: &BTreeSet<usize>,
    ) -> Option<State> {
        let mut state = self.clone();
        let mut missing = Vec::new();
        for (place, now) in state.events.iter_mut().enumerate() {
            let readable = seen.readable.contains(&place);
            let parked = seen.parked.contains(&place);
            let half = half_parked.contains(&place);
            match (*now, readable, parked) {
                (Now::Stored, true, false) if !seen.progress.is_settled(at(place + 1)) => {}
                (Now::Parked, false, true) => {}
                (Now::Stored, false, true) if half => {
                    *now = Now::Parked;
                    state.account.parked += 1;
                }
                (Now::Stored, false, false) => {
                    *now = Now::Dropped;
                    missing.push(place);
                }
                (Now::NotOffered | Now::Settled | Now::Dropped, false, false) => {}
                // A file whose parking was said to have failed, found after the event went another way.
                (Now::NotOffered | Now::Settled | Now::Dropped, false, true) if half => {
                    *now = Now::Parked;
                    state.account.offered += 1;
                    state.account.parked += 1;
                }
                _ => return None,
            }
        }
        state.drop(seen, list, &missing)?;
        let fits = state.account == seen.progress.account
            && seen.progress.cursor() <= at(state.first_stored());
        fits.then_some(state)
    }

    /// Takes the drops over into the account, where it tells of exactly the missing ones, and these are such as may go.
    fn drop(&mut self, seen: &Seen, list: &[Accepted], missing: &[usize]) -> Option<()> {
        let mut counts = [0; DROPS.len()];
        for (count, reason) in counts.iter_mut().zip(DROPS) {
            let before = self.account.dropped(reason);
            *count = seen.progress.account.dropped(reason).checked_sub(before)?;
            self.account.dropped[reason.index()] += *count;
        }
        let [evicted, full, aged] = counts;
        if evicted + full + aged != missing.len() as u64 {
            return None;
        }
        let passing = |place: &&usize| list[**place].passing;
        let lasting = missing.iter().filter(|place| !passing(place)).max();
        if evicted > missing.iter().filter(passing).count() as u64
            || (full + aged == 0 && lasting.is_some())
        {
            return None;
        }
        // Of what is no passing event, the oldest goes first.
        let stored = |place: &usize| self.events[*place] == Now::Stored && !list[*place].passing;
        let left = (0..self.events.len()).find(stored);
        let in_order = lasting.is_none_or(|lasting| left.is_none_or(|left| *lasting < left));
        in_order.then_some(())
    }

    /// The place of the first event that it still needs.
    pub(super) fn first_stored(&self) -> usize {
        let first = self.events.iter().position(|now| *now == Now::Stored);
        first.unwrap_or(self.events.len())
    }

    /// The places of all events in that state.
    pub(super) fn places(&self, wanted: Now) -> Vec<usize> {
        let places = self.events.iter().enumerate();
        let wanted = places.filter(|(_, now)| **now == wanted);
        wanted.map(|(place, _)| place).collect()
    }
}

/// One uplink.
#[derive(Clone, Debug)]
pub(super) struct Uplink {
    pub(super) now: State,
    /// What it was since its progress was last durable, that state first. After a power cut it is one of them.
    pub(super) since: Vec<State>,
    /// Events whose parking failed, or has no answer yet: their files may be there after a start.
    pub(super) half_parked: BTreeSet<usize>,
    /// Parked events left since the side file was told of progress: a kill may bring them back.
    unsaid: bool,
}

impl Uplink {
    pub(super) fn new(state: State) -> Uplink {
        Uplink {
            since: vec![state.clone()],
            now: state,
            half_parked: BTreeSet::new(),
            unsaid: false,
        }
    }

    /// Events are settled, everything below `up_to` among them; what the store is told of it.
    pub(super) fn settle(&mut self, up_to: usize, fates: &[(usize, Fate)]) -> Settled {
        self.now.settle(fates);
        self.since.push(self.now.clone());
        self.unsaid &= fates.is_empty();
        let told = fates.iter().map(|(place, fate)| (at(place + 1), *fate));
        Settled {
            up_to: at(up_to),
            fates: told.collect(),
        }
    }

    /// The file of the event is durable: whatever state comes back, it is parked.
    pub(super) fn park(&mut self, place: usize) {
        self.now.park(place);
        self.since.iter_mut().for_each(|state| state.park(place));
        self.half_parked.remove(&place);
        self.unsaid = false;
    }

    /// A parked event is taken or discarded.
    pub(super) fn leave(&mut self, place: usize, left: Left) {
        self.now = self.now.left(place, left);
        self.since.push(self.now.clone());
        self.unsaid = true;
    }

    /// Events are durable that it has to deliver.
    pub(super) fn offer(&mut self, count: usize) {
        self.since.iter_mut().for_each(|state| state.offer(count));
        self.now.offer(count);
    }

    /// Its progress is on the disk.
    pub(super) fn durable(&mut self) {
        self.since = vec![self.now.clone()];
        self.unsaid = false;
    }

    /// A kill leaves what the side file knows; false where that is less than what is known here.
    pub(super) fn is_said(&self) -> bool {
        !self.unsaid
    }

    /// While the store is open: nothing changes but what it drops.
    pub(super) fn watch(&mut self, name: &str, seen: &Seen, list: &[Accepted]) -> bool {
        let found = self.now.explains(seen, list, &BTreeSet::new());
        let found = found.unwrap_or_else(|| self.puzzled(name, seen));
        let news = found != self.now;
        if news {
            self.now = found;
            self.since.push(self.now.clone());
        }
        news
    }

    /// After a start: one of the states is back.
    pub(super) fn come_back(&mut self, name: &str, seen: &Seen, list: &[Accepted]) {
        let mut states = self.since.iter().rev();
        let found = states.find_map(|state| state.explains(seen, list, &self.half_parked));
        *self = Uplink::new(found.unwrap_or_else(|| self.puzzled(name, seen)));
    }

    fn puzzled(&self, name: &str, seen: &Seen) -> State {
        panic!(
            "{name}: {:?}\nreads {:?}\nparked {:?}\nof {:#?}\nhalf parked {:?}",
            seen.progress, seen.readable, seen.parked, self.since, self.half_parked
        )
    }
}
