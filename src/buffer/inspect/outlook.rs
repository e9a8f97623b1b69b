//! What the next start would find, by the rules of the start itself and without one: a new epoch, what is lost, which parked
//! events are gone. Asked by `verify` and `repair`, which then add what they read in the older generations.

use super::shut::{Beside, ShutHead, ShutStore};
use super::walk::Opened;
use super::{Name, ShutError};
use crate::buffer::Loss;
use crate::buffer::disk::Files;
use crate::buffer::epoch::{Numbering, end_of, first_of};
use crate::buffer::generation::predecessor;
use crate::buffer::generations::span_after;
use crate::buffer::head::Head;
use crate::buffer::listing::{Listing, RENEWED};
use crate::buffer::losses::{self, into_new_epoch, judge, missing};
use crate::buffer::parked::{ParkedError, furthest_parked, reconcile};
use crate::buffer::progress::Progress;
use crate::buffer::side::Known;
use crate::model::{DropReason, EpochReason, Position};
use std::collections::{BTreeMap, BTreeSet};

/// Damaged files of parked events that are told one by one, of each uplink.
const MAX_DAMAGED_FILES: usize = 20;

/// How many events each uplink misses, by its name.
pub type Misses = Vec<(String, u64)>;

/// What the names of a store and its newest generations tell.
#[derive(Debug)]
pub struct Scene<'a> {
    /// All generations, rising, see [`super::names`].
    pub names: &'a [Name],
    /// Directories that a crash left.
    pub half_made: &'a [String],
    /// The newest state that is whole; `None` without any.
    pub head: Option<&'a ShutHead>,
    /// Newer generations than that one's, the newest first, and why they do not open.
    pub broken: &'a [(Position, String)],
    /// What the side file says, read before the head was.
    pub beside: &'a Beside,
    /// A gateway works on it: parked events come and go.
    pub runs: bool,
}

impl Scene<'_> {
    /// Nothing is parked meanwhile, and the newest state does not lie in a directory that only a start gives its name.
    fn is_still(&self) -> bool {
        !self.runs && !self.half_made.iter().any(|name| name.starts_with(RENEWED))
    }
}

/// What the next start would find.
#[derive(Debug)]
pub struct Outlook {
    /// Why it would begin a new epoch, if it would.
    pub new_epoch: Option<EpochReason>,
    /// What is lost beside records of older generations, in the order in which a start counts it, and for whom.
    pub losses: Vec<(Loss, Misses)>,
    /// Of uplinks whose parked events are not all there.
    pub parked: Vec<ParkedHarm>,
    /// With everything counted that was found so far.
    uplinks: Vec<(String, Progress)>,
    /// Dropped as damaged before, by uplink.
    before: Vec<u64>,
    /// Up to here the state that is left has counted what was evicted.
    swept: Position,
    /// What was evicted behind it, of what each uplink had not settled.
    evicted: Vec<u64>,
    /// Where the newest generation begins and, with it, all that is stored ends.
    newest: (Position, Position),
    starts: BTreeSet<Position>,
    ends: BTreeMap<u32, u64>,
}

/// Where numbering goes on, and what is lost behind the state that is left.
struct Judged {
    listing: Listing,
    numbering: Numbering,
    lost: Vec<Loss>,
}

/// What is wrong with the parked events of an uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedHarm {
    /// Its name.
    pub uplink: String,
    /// Events that were parked and have no file that can be read: a start counts them as dropped.
    pub lost: u64,
    /// Files that cannot be read.
    pub damaged: u64,
    /// The first of those, and why.
    pub told: Vec<(Position, String)>,
}

impl ShutStore {
    /// What the next start would find.
    ///
    /// # Errors
    /// When the parked events cannot be read.
    pub fn outlook(&self, scene: &Scene<'_>) -> Result<Outlook, ShutError> {
        let Judged {
            mut listing,
            numbering,
            lost,
        } = self.judged(scene)?;
        let head = scene.head.map(ShutHead::state);
        let old = head.cloned().unwrap_or_default();
        let (new_epoch, state) = state_of(numbering, old, &lost);
        let is_broken = |first: &Position| scene.broken.iter().any(|(broken, _)| broken == first);
        let (broken, whole) = listing.whole.into_iter().partition(is_broken);
        (listing.whole, listing.damaged) = (whole, [listing.damaged, broken].concat());
        let first = match (numbering, scene.head) {
            (Numbering::GoesOn(_), Some(head)) => head.name.first,
            _ => state.next,
        };
        let known = losses::beside(scene.beside.0.clone(), head, numbering);
        let starts = listing.starts(first);
        // What lies there for an uplink, as far as names tell.
        let stored = |cursor| {
            let ends = listing.whole.iter().filter(|it| **it < first);
            let ends = ends.filter_map(|it| Some((*it, end_of(*it, &starts, &state.ends)?)));
            let newest = (first, predecessor(state.next));
            let counts = ends.chain([newest]);
            counts.map(|(from, to)| span_after(cursor, from, to)).sum()
        };
        let (uplinks, new) = uplinks(scene.head, &known, &state, stored);
        let dropped = |(_, progress): &(String, Progress)| dropped(progress);
        let mut outlook = Outlook {
            new_epoch,
            losses: Vec::new(),
            parked: Vec::new(),
            before: uplinks.iter().map(dropped).collect(),
            swept: state.swept,
            evicted: vec![0; uplinks.len()],
            newest: (first, predecessor(state.next)),
            starts,
            ends: state.ends,
            uplinks,
        };
        outlook.parked = self.parked_harm(scene, &listing, &mut outlook)?;
        for loss in state.lost {
            outlook.take(loss);
        }
        let gaps = missing(&mut outlook.uplinks, &new, &listing, first, &outlook.ends);
        for loss in gaps {
            outlook.take(loss);
        }
        if scene.head.is_none() {
            outlook.count_unaccounted();
        }
        Ok(outlook)
    }

    /// The number that the next event gets and, where it begins a new epoch, why.
    ///
    /// # Errors
    /// When the parked events cannot be listed.
    pub fn next(&self, scene: &Scene<'_>) -> Result<(Position, Option<EpochReason>), ShutError> {
        Ok(match self.judged(scene)?.numbering {
            Numbering::GoesOn(next) => (next, None),
            Numbering::BeginsAnew(epoch, why) => {
                let is_news = why != EpochReason::Created;
                (first_of(epoch), is_news.then_some(why))
            }
        })
    }

    fn judged(&self, scene: &Scene<'_>) -> Result<Judged, ShutError> {
        let names = scene.names.iter().map(Name::to_string);
        let names: Vec<String> = names.chain(scene.half_made.iter().cloned()).collect();
        let mut listing = Listing::of(names.iter().map(String::as_str));
        if scene.is_still() {
            let parked = self.parked_root();
            let furthest = furthest_parked(&Files, &parked);
            listing.parked = furthest.map_err(|error| ShutError::io(&parked, error))?;
        }
        let known = &scene.beside.0;
        let mut end = known.furthest();
        let mut set_aside = Vec::new();
        for (first, reason) in scene.broken {
            set_aside.push(losses::with_newest(*first, end, reason.clone()));
            end = Some(predecessor(*first));
        }
        let head = scene.head.map(ShutHead::state);
        let (numbering, lost) = judge(&listing, head, known, set_aside, None);
        Ok(Judged {
            listing,
            numbering,
            lost,
        })
    }

    /// Compares files and accounts as a start does. Beside a gateway, which changes both, only files are looked at.
    fn parked_harm(
        &self,
        scene: &Scene<'_>,
        listing: &Listing,
        outlook: &mut Outlook,
    ) -> Result<Vec<ParkedHarm>, ShutError> {
        let counts = scene.is_still();
        let held = |at: Position| outlook.holds(at) || set_aside_holds(listing, at);
        let mut all = Vec::new();
        let mut uplinks = outlook.uplinks.clone();
        for (name, progress) in &mut uplinks {
            let mut harm = ParkedHarm {
                uplink: name.clone(),
                ..ParkedHarm::default()
            };
            let mut whole = Vec::new();
            for position in self.parked_positions(name)? {
                if progress.leaving().contains(&position) {
                    continue;
                }
                match self.read_parked(name, position)? {
                    None => {}
                    Some(Ok(_) | Err(ParkedError::Version(_))) => whole.push(position),
                    Some(Err(ParkedError::Damaged(reason))) => harm.note(position, reason),
                }
            }
            harm.lost = if counts {
                let held: Vec<Position> = whole.iter().copied().filter(|at| held(*at)).collect();
                reconcile(progress, whole.len() as u64, &held).lost
            } else {
                let lost = harm.damaged.min(progress.account.parked);
                progress.lose_parked(lost);
                lost
            };
            if harm.lost > 0 || harm.damaged > 0 {
                all.push(harm);
            }
        }
        outlook.uplinks = uplinks;
        Ok(all)
    }
}

impl Outlook {
    /// The last position of an older generation, as far as anybody knows.
    #[must_use]
    pub fn end_of(&self, first: Position) -> Option<Position> {
        end_of(first, &self.starts, &self.ends)
    }

    /// These events of one epoch cannot be read: counts them for each uplink that had not settled them.
    pub fn lose(&mut self, from: Position, to: Position) -> Misses {
        let one = |(name, progress): &mut (String, Progress)| {
            let count = progress.drop_range(from, to, DropReason::Damaged);
            (name.clone(), count)
        };
        self.uplinks.iter_mut().map(one).collect()
    }

    /// Whether these events of one epoch are among the losses that a start counts before it reads.
    #[must_use]
    pub fn tells(&self, from: Position, to: Position) -> bool {
        let mut losses = self.losses.iter();
        losses.any(|(loss, _)| loss.from <= from && to <= loss.to)
    }

    /// Of what lies in this generation up to `last`, and was not taken out of it on purpose, what each uplink waits for.
    #[must_use]
    pub fn waiting(&self, opened: &Opened, last: Position) -> Vec<u64> {
        let present = opened.present(last);
        let one = |(_, progress): &(String, Progress)| {
            let counts = present.iter();
            counts
                .map(|(from, to)| progress.unsettled(*from, *to))
                .sum()
        };
        self.uplinks.iter().map(one).collect()
    }

    /// Takes note of what was evicted from this generation where the state that is left does not know of it.
    pub fn note_evicted(&mut self, name: Name, opened: &Opened) {
        if !name.lean || name.first <= self.swept {
            return;
        }
        for ((_, progress), sum) in self.uplinks.iter().zip(&mut self.evicted) {
            let runs = opened.evicted();
            let counts = runs.iter().map(|(from, to)| progress.unsettled(*from, *to));
            *sum += counts.sum::<u64>();
        }
    }

    /// Counts what was noted, where it is missing, as a start does: to be called when all is read, with what each uplink
    /// waits for.
    pub fn count_evicted(&mut self, waiting: &[u64]) {
        for (index, (_, progress)) in self.uplinks.iter_mut().enumerate() {
            let there = waiting.get(index).copied().unwrap_or(0);
            let missing = progress.account.stored().saturating_sub(there);
            let evicted = self.evicted.get(index).copied().unwrap_or(0);
            progress.count_dropped(DropReason::Evicted, evicted.min(missing));
        }
    }

    /// A rewritten generation cannot be read. Which of its events were evicted before, and counted then, nobody knows: what
    /// each uplink misses now is what its account has and, with `waiting` in all others, the store has not.
    pub fn lose_rewritten(&mut self, waiting: &[u64]) -> Misses {
        let mut misses = Misses::new();
        for (index, (name, progress)) in self.uplinks.iter_mut().enumerate() {
            let there = waiting.get(index).copied().unwrap_or(0);
            let count = progress.account.stored().saturating_sub(there);
            progress.count_dropped(DropReason::Damaged, count);
            misses.push((name.clone(), count));
        }
        misses
    }

    /// Whole generations that are gone may have been rewritten, and what was evicted from them is counted already: what is
    /// counted twice is taken back from the last of these losses, then from the first of `read`, which are those behind the end
    /// of a generation, in the order in which they are read. To be called when all is read that can be, of which each uplink waits for `waiting`.
    pub fn take_back_evicted(&mut self, waiting: &[u64], read: &mut [&mut Misses]) {
        for (index, (_, progress)) in self.uplinks.iter_mut().enumerate() {
            let account = progress.account;
            let there = waiting.get(index).copied().unwrap_or(0);
            let mut twice = (account.gone() + there).saturating_sub(account.offered);
            let unseen = self.losses.iter_mut().rev().map(|(_, misses)| misses);
            let read = read.iter_mut().map(|misses| &mut **misses);
            for misses in unseen.chain(read) {
                if let Some((_, count)) = misses.get_mut(index) {
                    let back = twice.min(*count);
                    *count -= back;
                    twice -= back;
                    progress.take_back_dropped(DropReason::Damaged, back);
                }
            }
        }
    }

    /// How many events each uplink misses by all that was found.
    #[must_use]
    pub fn missed(&self) -> Misses {
        let all = self.uplinks.iter().zip(&self.before);
        let one = |((name, progress), before): (&(String, Progress), &u64)| {
            (name.clone(), dropped(progress).saturating_sub(*before))
        };
        all.map(one).collect()
    }

    /// How many uplinks anybody knows of.
    #[must_use]
    pub fn uplinks(&self) -> usize {
        self.uplinks.len()
    }

    /// No generation is left: what an uplink was offered and nothing else accounts for is lost, too, as the last loss tells.
    fn count_unaccounted(&mut self) {
        for (index, (_, progress)) in self.uplinks.iter_mut().enumerate() {
            let count = progress.account.stored();
            progress.count_dropped(DropReason::Damaged, count);
            let told = self.losses.last_mut();
            if let Some((_, misses)) = told.and_then(|(_, misses)| misses.get_mut(index)) {
                *misses += count;
            }
        }
    }

    fn take(&mut self, loss: Loss) {
        let misses = match loss.count() {
            0 => return,
            _ => self.lose(loss.from, loss.to),
        };
        self.losses.push((loss, misses));
    }

    /// Whether an event lies in a generation that is not set aside, as its name tells.
    fn holds(&self, at: Position) -> bool {
        let (first, last) = self.newest;
        if at.epoch == first.epoch && at >= first {
            return at <= last;
        }
        let begin = self.starts.range(..=at).next_back();
        let begin = begin.filter(|first| first.epoch == at.epoch);
        begin.is_some_and(|first| self.end_of(*first).is_none_or(|end| at <= end))
    }
}

impl ParkedHarm {
    fn note(&mut self, position: Position, reason: String) {
        self.damaged += 1;
        if self.told.len() < MAX_DAMAGED_FILES {
            self.told.push((position, reason));
        }
    }
}

fn dropped(progress: &Progress) -> u64 {
    progress.account.dropped(DropReason::Damaged)
}

fn set_aside_holds(listing: &Listing, at: Position) -> bool {
    let below = |first: &Position| first.epoch == at.epoch && *first <= at;
    listing.damaged.iter().any(below)
}

/// The state that a start goes on with.
fn state_of(numbering: Numbering, old: Head, lost: &[Loss]) -> (Option<EpochReason>, Head) {
    match numbering {
        Numbering::GoesOn(_) => (None, old),
        Numbering::BeginsAnew(epoch, why) => {
            let mut state = into_new_epoch(old, why, lost);
            state.next = first_of(epoch);
            ((why != EpochReason::Created).then_some(why), state)
        }
    }
}

/// The uplinks that the newest state knows, also such as have left the settings since: the side file may have lost the end that
/// knew the others. And those that only the side file does, where that counts; and which of these were
/// never offered anything. What they were offered is said by `state`, with which a start goes on, or by what is lost and
/// `stored`.
fn uplinks(
    head: Option<&ShutHead>,
    known: &Known,
    state: &Head,
    stored: impl Fn(Position) -> u64,
) -> (Vec<(String, Progress)>, BTreeSet<usize>) {
    let mut new = BTreeSet::new();
    let mut uplinks = head.map_or_else(Vec::new, ShutHead::progress);
    for (name, progress) in &mut uplinks {
        if let Some(stored) = state.uplinks.get(name) {
            progress.account.offered = stored.account.offered;
        }
    }
    for name in known
        .names()
        .filter(|name| !state.uplinks.contains_key(*name))
    {
        let mut progress = known.progress(name).cloned().unwrap_or_default();
        if known.offered(name).is_none() {
            new.insert(uplinks.len());
        }
        let (cursor, above) = (progress.cursor(), progress.above());
        let lost = state.lost.iter();
        let lost = lost.map(|loss| span_after(cursor, loss.from, loss.to));
        let counted = (lost.sum::<u64>() + stored(cursor)).saturating_sub(above);
        let gone = progress.account.gone();
        let offered = known.offered(name).unwrap_or(gone + counted);
        progress.account.offered = offered.max(gone);
        uplinks.push((name.to_owned(), progress));
    }
    (uplinks, new)
}
