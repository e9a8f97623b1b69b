//! The events between the buffer and the destination, in the order of the buffer: which may be sent now, which are
//! settled. A pure rule: time comes in as an argument, the next wake-up goes out as a value. `task` is its driver.
//!
//! It outlives connections: what was under way on a lost one is due again, what was accepted is not sent again. Events pass
//! one that cannot be sent, up to a limit; one that would hold them back further is parked.

mod blame;
mod failure;
mod lanes;
mod line;
mod lists;
mod probing;
mod sending;
mod taken;

pub(super) use failure::{Consequence, Doubted, Failure};
pub(super) use sending::Started;
pub(super) use taken::Patience;

use super::timing::Timing;
use super::uplink::Terms;
use crate::backoff::Backoff;
use crate::buffer::{Fate, Record, Settled};
use crate::model::Position;
use blame::{Blame, Lane};
use lists::{Lists, Stage};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

/// Events read beyond those that may be sent, so that the wire never waits for the disk: at 20,000 events/s
/// 256 are 13 ms, a few commits.
const READ_AHEAD: usize = 256;
/// No further reading while the window holds that much payload; with one read of the task more, the most it ever holds.
const HELD_BYTES: usize = 4 << 20;
/// Most events that are held, those behind one that holds its key included.
const HELD_EVENTS: usize = 4_352;
/// The events of one uplink that are not settled, as far as they have been read.
pub(super) struct Window {
    /// Boxed: a map moves what lies beside an entry that leaves.
    entries: BTreeMap<Position, Box<Entry>>,
    lists: Lists,
    /// Everything up to here has been read.
    read: Position,
    /// How many were read.
    read_count: u64,
    /// Settled above the cursor by earlier runs, until that position: they are not read again.
    carried: (u64, Position),
    held_bytes: usize,
    /// How many were accepted.
    passed: u64,
    /// By partition key that fails: [`Window::passed`] when it began to.
    failing: HashMap<String, u64>,
    blame: Blame,
    /// Of each lane that is not taken while others pass, the one event that tries it.
    lanes: HashMap<Lane, Position>,
    /// They failed again and again while nothing was taken.
    unproven: BTreeSet<Position>,
    /// Their answer may have blamed the destination. When others are taken they rest until then.
    doubted: BTreeMap<Position, Instant>,
    /// How many events of each sending are under way.
    sendings: HashMap<u64, usize>,
    last_sending: u64,
    /// What became of events since [`Window::take_settled`].
    fates: Vec<(Position, Fate)>,
    /// How many of these were delivered.
    untold: usize,
    timing: Timing,
    seeds: fastrand::Rng,
}

/// One event.
struct Entry {
    record: Record,
    /// The event that was read before it.
    before: Position,
    /// How many were read before it.
    nth: u64,
    stage: Stage,
    /// With which sending it is under way.
    sending: u64,
    /// It went together with others the last time.
    together: bool,
    /// It goes alone: a request with others failed as a whole.
    alone: bool,
    /// It was sent before, and no verdict came.
    unanswered: bool,
    /// Waits of this event alone.
    backoff: Option<Box<Backoff>>,
    attempts: u32,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
    /// How often the MES said nothing about it while it spoke of others.
    silences: u32,
    /// Failures since each of which others were accepted.
    failures: u32,
    /// All its failures; answers that blamed the destination count as one.
    fails: u32,
    /// An answer that may blame the destination was shown to be its own.
    own: bool,
    /// So many of the last of them while nothing else was taken.
    unproven: u32,
    /// How often in a row the connection broke before an answer.
    broken: u32,
    /// What was sent since then and taken shows that its last failure is its own: when it was sent, or when its connection
    /// broke.
    failed_at: Option<Instant>,
    /// When the last one of all was sent that had been taken before this one was sent the last time.
    taken_before: Option<Instant>,
    /// It waits for its lane, and until then.
    not_before: Option<Instant>,
    conflicts: u32,
    /// Lost connections on which it was the oldest one without a verdict.
    losses: u32,
    /// [`Window::passed`] at its last failure.
    passed_before: u64,
}

/// What is known of an event that is to be parked.
pub(super) struct Parkable {
    pub(super) record: Record,
    pub(super) attempts: u32,
    pub(super) first_sent: Option<Instant>,
}

impl Window {
    /// Begins after `cursor`, above which `carried` events up to a position were settled in earlier runs. Jitter of single
    /// events is drawn from `seed`.
    pub(super) fn new(
        cursor: Position,
        carried: (u64, Position),
        timing: Timing,
        seed: u64,
    ) -> Window {
        Window {
            entries: BTreeMap::new(),
            lists: Lists::default(),
            read: cursor,
            read_count: 0,
            carried,
            held_bytes: 0,
            passed: 0,
            failing: HashMap::new(),
            blame: Blame::default(),
            lanes: HashMap::new(),
            unproven: BTreeSet::new(),
            doubted: BTreeMap::new(),
            sendings: HashMap::new(),
            last_sending: 0,
            fates: Vec::new(),
            untold: 0,
            timing,
            seeds: fastrand::Rng::with_seed(seed),
        }
    }

    /// The same where an event that is not taken holds the later ones of its key, whatever the reason.
    pub(super) fn strict(mut self) -> Window {
        self.lists.be_strict();
        self
    }

    /// What to read next: after which position, and how many at most. `None` while there is enough.
    pub(super) fn wants(&self, terms: &Terms) -> Option<(Position, usize)> {
        let live = self
            .entries
            .len()
            .saturating_sub(self.lists.stuck(terms.one_per_key));
        let room = (terms.in_flight.saturating_mul(terms.batch) + READ_AHEAD)
            .saturating_sub(live)
            .min(HELD_EVENTS.saturating_sub(self.entries.len()));
        (room >= READ_AHEAD / 2 && self.held_bytes < HELD_BYTES)
            .then_some((self.read, room.min(READ_AHEAD)))
    }

    /// Takes in what was read, in order. Returns how many the uplink does not want: they are settled.
    pub(super) fn take_in(
        &mut self,
        records: Vec<Record>,
        wanted: impl Fn(&Record) -> bool,
    ) -> u64 {
        let mut filtered = 0;
        for record in records {
            // Asked for twice, or out of order: it is here already.
            if record.position <= self.read {
                continue;
            }
            let before = std::mem::replace(&mut self.read, record.position);
            let nth = self.read_count;
            self.read_count += 1;
            if wanted(&record) {
                self.hold(record, before, nth);
            } else {
                filtered += 1;
                self.fates.push((record.position, Fate::Filtered));
            }
        }
        filtered
    }

    fn hold(&mut self, record: Record, before: Position, nth: u64) {
        let position = record.position;
        self.held_bytes += record.payload.len();
        self.lists.add(position, &record.envelope.partition_key);
        self.entries.insert(
            position,
            Box::new(Entry {
                record,
                before,
                nth,
                stage: Stage::Due,
                sending: 0,
                together: false,
                alone: false,
                unanswered: false,
                backoff: None,
                attempts: 0,
                first_sent: None,
                last_sent: None,
                silences: 0,
                failures: 0,
                fails: 0,
                own: false,
                unproven: 0,
                broken: 0,
                failed_at: None,
                taken_before: None,
                not_before: None,
                conflicts: 0,
                losses: 0,
                passed_before: self.passed,
            }),
        );
    }

    /// The event is accepted. Returns when it was sent; `None` when it is not there any more (a second acknowledgement), or
    /// was never sent.
    pub(super) fn accept(&mut self, position: Position) -> Option<Instant> {
        let sent_at = self.sent_at(position)?;
        self.passed += 1;
        if !self.failing.is_empty()
            && let Some(entry) = self.entries.get(&position)
        {
            self.failing.remove(&entry.record.envelope.partition_key);
        }
        self.fates.push((position, Fate::Delivered));
        self.passes(position, sent_at);
        self.untold += 1;
        self.leave(position);
        Some(sent_at)
    }

    /// The event was not the cause: it is due again at once. Returns when it was sent.
    pub(super) fn put_back(&mut self, position: Position) -> Option<Instant> {
        let sent_at = self.under_way(position)?;
        let entry = self.entries.get(&position)?;
        // The next attempt may show whether others fare better.
        self.blame
            .has_sent(&entry.record.envelope.partition_key, sent_at);
        self.stage(position, Stage::Due);
        Some(sent_at)
    }

    /// The event gets a file of its own: later ones of its key pass. It is settled by [`Window::parked`].
    pub(super) fn park(&mut self, position: Position) -> Option<Parkable> {
        let entry = self.entries.get(&position)?;
        if entry.stage == Stage::Parking {
            return None;
        }
        let parkable = Parkable {
            record: entry.record.clone(),
            attempts: entry.attempts,
            first_sent: entry.first_sent,
        };
        self.stage(position, Stage::Parking);
        self.hand_on_lane(position);
        Some(parkable)
    }

    /// Nothing of this partition key is sent any more.
    pub(super) fn hold_key(&mut self, key: &str) {
        self.lists.hold(key);
    }

    /// Nothing is sent of these partition keys, and of no others.
    pub(super) fn hold_only(&mut self, keys: HashSet<String>) {
        self.lists.hold_only(keys);
    }

    /// The event has its file: it holds nothing back any more.
    pub(super) fn parked(&mut self, position: Position) {
        let entry = self.entries.get(&position);
        if entry.is_some_and(|entry| entry.stage == Stage::Parking) {
            self.leave(position);
        }
    }

    /// When the event was sent last, whatever came after: a verdict counts also when it is late. `None` for one that was never
    /// sent, or is being parked.
    pub(super) fn sent_at(&self, position: Position) -> Option<Instant> {
        let entry = self.entries.get(&position)?;
        entry.last_sent.filter(|_| entry.stage != Stage::Parking)
    }

    /// When the event with this position was sent, if it is under way.
    fn under_way(&self, position: Position) -> Option<Instant> {
        let entry = self.entries.get(&position)?;
        match entry.stage {
            Stage::Sent(_) | Stage::Taken(_) => entry.last_sent,
            Stage::Due | Stage::Postponed(_) | Stage::Waiting | Stage::Parking => None,
        }
    }

    /// An event of the window, for the log.
    pub(super) fn record(&self, position: Position) -> Option<&Record> {
        self.entries.get(&position).map(|entry| &entry.record)
    }

    /// Everything up to here is settled.
    pub(super) fn settled(&self) -> Position {
        let oldest = self.entries.first_key_value();
        oldest.map_or(self.read, |(_, entry)| entry.before)
    }

    /// How many events above the cursor are settled.
    fn above(&self) -> u64 {
        let Some((_, oldest)) = self.entries.first_key_value() else {
            return 0;
        };
        let (carried, until) = self.carried;
        let carried = if oldest.record.position < until {
            carried
        } else {
            0
        };
        let held = self.entries.len() as u64;
        (self.read_count - oldest.nth).saturating_sub(held) + carried
    }

    /// How many were delivered since [`Window::take_settled`].
    pub(super) fn untold(&self) -> usize {
        self.untold
    }

    /// What was settled since this was asked before.
    pub(super) fn take_settled(&mut self) -> Settled {
        self.untold = 0;
        Settled {
            up_to: self.settled(),
            fates: std::mem::take(&mut self.fates),
        }
    }

    /// How many sendings are under way and not with a broker.
    pub(super) fn in_flight(&self) -> usize {
        self.sendings.len()
    }

    /// When the event that has been under way longest, and is not with a broker, was sent.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.lists.sent.first().map(|(at, _)| *at)
    }

    /// When the next postponed event becomes due. One that is due already waits for something else, not for time.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let mut later = self.lists.postponed.iter().map(|(until, _)| *until);
        later.find(|until| *until > now)
    }

    /// Moves an event to another stage, and to the list of those in it.
    fn stage(&mut self, position: Position, stage: Stage) {
        if let Some(entry) = self.entries.get_mut(&position) {
            let from = std::mem::replace(&mut entry.stage, stage);
            if matches!(from, Stage::Sent(_))
                && let Some(left) = self.sendings.get_mut(&entry.sending)
            {
                *left -= 1;
                if *left == 0 {
                    self.sendings.remove(&entry.sending);
                }
            }
            let key = entry.record.envelope.partition_key.as_str();
            self.lists.change(position, key, from, stage);
        }
    }

    /// The event is done with.
    fn leave(&mut self, position: Position) {
        // Off every list first.
        self.stage(position, Stage::Parking);
        self.doubted.remove(&position);
        if let Some(entry) = self.entries.remove(&position) {
            self.held_bytes = self.held_bytes.saturating_sub(entry.record.payload.len());
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
