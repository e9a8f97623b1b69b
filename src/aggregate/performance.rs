//! Where the time of a machine went and what it made, by interval: a timesheet with exactly one state at each instant. Pure.
//!
//! Durations are whole nanoseconds of the boot clock, so that those of an interval sum to it exactly. State changes are
//! known later than they happened (debounce, bridge): a sealed interval is closed when what held at its end is known, and
//! never corrected. Who uses it says where intervals begin and end.

use crate::model::{
    BootTime, IdealShare, IntervalCounts, IntervalKind, Mode, Reference, Stamp, State,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// Sealed intervals that wait for what held at their end; past that the oldest is closed with what is known. 15 min each and
/// a bridge of an hour need five.
const MAX_WAITING: usize = 64;
/// Products (and ideal cycles) of an interval that are told apart.
const MAX_SHARES: usize = 16;

/// State and mode.
pub type Key = (State, Mode);

/// Nobody looked: nothing was read yet, or the gateway was off.
const BLIND: Key = (State::Unknown, Mode::None);

/// Something that a MES should know about an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Remark {
    /// The gateway was set up in the middle of it.
    Partial,
    /// The box was off or booted in it.
    PowerLoss,
    /// The gateway was restarted in it.
    Restarted,
    /// The wall clock stepped in it: its ends are not as far apart as it was long.
    ClockStepped,
    /// A reboot without a synchronised clock lies in it: how long it was is not known.
    ClockUnsynchronised,
    /// An operation in it did not know its number of pieces.
    PiecesUnknown,
}

impl Remark {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Remark::Partial => "partial",
            Remark::PowerLoss => "power_loss",
            Remark::Restarted => "restarted",
            Remark::ClockStepped => "clock_stepped",
            Remark::ClockUnsynchronised => "clock_unsynchronised",
            Remark::PiecesUnknown => "pieces_unknown",
        }
    }
}

/// An interval, open until it has an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Period or shift.
    pub kind: IntervalKind,
    /// Start.
    pub from: Stamp,
    /// End, once it is sealed.
    pub to: Option<Stamp>,
    /// The shift that it is, or lies in.
    pub shift: Option<String>,
    /// Order, where intervals are cut at orders.
    pub order: Option<Reference>,
    /// What was made.
    pub counts: IntervalCounts,
    /// Pieces by product and ideal cycle.
    pub shares: Vec<IdealShare>,
    /// What should be known about it.
    pub remarks: BTreeSet<Remark>,
    spent: Vec<(State, Mode, i64)>,
}

/// What was made at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// What is added to the counts.
    pub counts: IntervalCounts,
    /// The product, its ideal cycle in seconds, and pieces of it.
    pub share: Option<IdealShare>,
    /// The number of pieces is not known.
    pub unknown: bool,
}

impl Interval {
    /// An open one.
    #[must_use]
    pub fn begin(kind: IntervalKind, from: Stamp) -> Interval {
        Interval {
            kind,
            from,
            to: None,
            shift: None,
            order: None,
            counts: IntervalCounts::default(),
            shares: Vec::new(),
            remarks: BTreeSet::new(),
            spent: Vec::new(),
        }
    }

    /// Nothing was in it, not even time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty() && self.counts == IntervalCounts::default()
    }

    /// Its length in seconds, to the microsecond; `None` where it cannot be known.
    #[must_use]
    pub fn duration_s(&self) -> Option<f64> {
        let known = !self.remarks.contains(&Remark::ClockUnsynchronised);
        let total: i64 = self.spent.iter().map(|(.., ns)| ns).sum();
        known.then(|| micros(total) as f64 / 1e6)
    }

    /// Seconds by state and mode, in whole microseconds that sum to the length.
    #[must_use]
    pub fn durations(&self) -> Vec<(State, Mode, f64)> {
        let mut sum = 0_i64;
        let share = |(state, mode, ns): &(State, Mode, i64)| {
            let before = micros(sum);
            sum += ns;
            (*state, *mode, (micros(sum) - before) as f64 / 1e6)
        };
        self.spent.iter().map(share).collect()
    }

    fn spend(&mut self, (state, mode): Key, from: BootTime, to: BootTime) {
        let to = self.to.map_or(to, |end| end.boot.min(to));
        let ns = to.0.saturating_sub(from.max(self.from.boot).0);
        if ns <= 0 {
            return;
        }
        let same = |one: &&mut (State, Mode, i64)| one.0 == state && one.1 == mode;
        match self.spent.iter_mut().find(same) {
            Some((.., spent)) => *spent += ns,
            None => self.spent.push((state, mode, ns)),
        }
    }

    fn add(&mut self, made: &Made) {
        let (sum, more) = (&mut self.counts, &made.counts);
        sum.cycles += more.cycles;
        sum.total += more.total;
        sum.good += more.good;
        sum.reject += more.reject;
        sum.rework += more.rework;
        sum.undetermined += more.undetermined;
        sum.ambiguous |= more.ambiguous;
        if made.unknown {
            self.remarks.insert(Remark::PiecesUnknown);
        }
        let Some(share) = &made.share else { return };
        let same =
            |one: &&mut IdealShare| one.product == share.product && one.cycle_s == share.cycle_s;
        let full = self.shares.len() >= MAX_SHARES;
        match self.shares.iter_mut().find(same) {
            Some(one) => one.pieces += share.pieces,
            None if full => self.lump(share.pieces),
            None => self.shares.push(share.clone()),
        }
    }

    /// Too many products: the last share takes the rest, and says that it is of no product.
    fn lump(&mut self, pieces: u64) {
        if let Some(last) = self.shares.last_mut() {
            last.product = None;
            last.cycle_s = None;
            last.pieces += pieces;
        }
    }
}

/// What holds from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Span {
    from: BootTime,
    key: Key,
    /// Nobody looked: what is learnt about the time before does not fill it.
    blind: bool,
}

/// When the gateway was off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Away {
    /// From then on nobody looked.
    pub from: BootTime,
    /// The gateway was back.
    pub to: BootTime,
    /// What is said about intervals that it lies in.
    pub remarks: BTreeSet<Remark>,
}

/// How the present run follows the one that wrote the timesheet.
#[derive(Clone, Debug)]
pub struct Back {
    /// Now, on the present boot clock.
    pub now: BootTime,
    /// When the gateway was last known to be alive, on the boot clock of then.
    pub alive: BootTime,
    /// From that boot clock to the present one.
    pub shift_ns: i64,
    /// What is to be said about intervals in which it was away.
    pub remarks: BTreeSet<Remark>,
}

/// Open and sealed intervals, and what held since the last change that is known for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timesheet {
    /// Never empty; the first one holds at `accounted`.
    spans: VecDeque<Span>,
    /// Up to here time was spent on the intervals.
    accounted: BootTime,
    intervals: Vec<Interval>,
    away: Option<Away>,
}

impl Timesheet {
    /// Nothing is known from `now` on.
    #[must_use]
    pub fn new(now: BootTime) -> Timesheet {
        let first = Span {
            from: now,
            key: BLIND,
            blind: true,
        };
        Timesheet {
            spans: VecDeque::from([first]),
            accounted: now,
            intervals: Vec::new(),
            away: None,
        }
    }

    /// Goes on after a restart: nobody looked from `alive` until something is read again.
    #[must_use]
    pub fn resumed(mut self, back: Back) -> Timesheet {
        let last = self.spans.back().map_or(self.accounted, |span| span.from);
        let from = back.alive.max(last).max(self.accounted);
        self.spans.push_back(Span {
            from,
            key: BLIND,
            blind: true,
        });
        for interval in &mut self.intervals {
            if interval.to.is_none_or(|to| to.boot > from) {
                interval.remarks.extend(&back.remarks);
            }
        }
        self.shift(back.shift_ns);
        let from = from.shifted(back.shift_ns);
        self.away = Some(Away {
            from,
            to: back.now.max(from),
            remarks: back.remarks,
        });
        self
    }

    fn shift(&mut self, by_ns: i64) {
        self.accounted = self.accounted.shifted(by_ns);
        for span in &mut self.spans {
            span.from = span.from.shifted(by_ns);
        }
        for interval in &mut self.intervals {
            interval.from.boot = interval.from.boot.shifted(by_ns);
            if let Some(to) = &mut interval.to {
                to.boot = to.boot.shifted(by_ns);
            }
        }
    }

    /// When an interval begins that would begin at `at`: the first one of all not before there was a gateway.
    #[must_use]
    pub fn not_before(&self, at: BootTime) -> BootTime {
        match self.away {
            None => at.max(self.accounted),
            Some(_) => at,
        }
    }

    /// When the gateway was off last.
    #[must_use]
    pub fn away(&self) -> Option<&Away> {
        self.away.as_ref()
    }

    /// Nobody has looked since the start.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.spans.back().is_some_and(|span| span.blind)
    }

    /// The state was seen again at `at`, and is `key`.
    pub fn look(&mut self, at: BootTime, key: Key) {
        if self.is_blind() {
            let from = self.spans.back().map_or(at, |span| span.from.max(at));
            self.spans.push_back(Span {
                from,
                key,
                blind: false,
            });
        }
    }

    /// `key` holds since `since`, as is known at `now`: what was before is known for good. Time that is closed already
    /// stays as it is, and so does time in which nobody looked.
    pub fn follow(&mut self, since: BootTime, key: Key, now: BootTime) {
        self.account(since);
        for span in self.spans.iter_mut().filter(|span| !span.blind) {
            span.key = key;
        }
        self.look(since.max(now), key);
    }

    /// Opens an interval; there is at most one open of each kind.
    pub fn begin(&mut self, mut interval: Interval) {
        if let Some(away) = &self.away {
            // Where nobody could measure how long it was off, the beginning is not known either.
            let unmeasured = away.remarks.contains(&Remark::ClockUnsynchronised);
            let from = interval.from.boot;
            if from < away.to || unmeasured && from == away.to {
                interval.remarks.extend(&away.remarks);
            }
        }
        self.intervals.push(interval);
    }

    /// The open interval of a kind.
    #[must_use]
    pub fn open(&self, kind: IntervalKind) -> Option<&Interval> {
        let open = |one: &&Interval| one.kind == kind && one.to.is_none();
        self.intervals.iter().find(open)
    }

    /// The open interval of a kind, to be changed.
    pub fn open_mut(&mut self, kind: IntervalKind) -> Option<&mut Interval> {
        let open = |one: &&mut Interval| one.kind == kind && one.to.is_none();
        self.intervals.iter_mut().find(open)
    }

    /// The open interval of a kind ends at `to`.
    pub fn seal(&mut self, kind: IntervalKind, to: Stamp) {
        let accounted = self.accounted;
        if let Some(open) = self.open_mut(kind) {
            open.to = Some(Stamp {
                boot: to.boot.max(open.from.boot).max(accounted),
                utc: to.utc.max(open.from.utc),
            });
        }
    }

    /// The wall clock stepped.
    pub fn stepped(&mut self) {
        for interval in self.intervals.iter_mut().filter(|one| one.to.is_none()) {
            interval.remarks.insert(Remark::ClockStepped);
        }
    }

    /// Something was made at `at`: it counts in the interval of each kind that `at` lies in, or that it is too late for.
    pub fn count(&mut self, at: BootTime, made: &Made) {
        for kind in [IntervalKind::Period, IntervalKind::Shift] {
            let place = self.place(kind, at);
            if let Some(interval) = place.and_then(|place| self.intervals.get_mut(place)) {
                interval.add(made);
            }
        }
    }

    fn place(&self, kind: IntervalKind, at: BootTime) -> Option<usize> {
        let of_kind = self.intervals.iter().enumerate();
        let mut of_kind = of_kind.filter(|(_, one)| one.kind == kind).peekable();
        let (first, earliest) = *of_kind.peek()?;
        // Its own is closed already.
        if at < earliest.from.boot {
            return Some(first);
        }
        let contains = |one: &Interval| one.from.boot <= at && one.to.is_none_or(|to| at < to.boot);
        of_kind
            .find(|(_, one)| contains(one))
            .map(|(place, _)| place)
    }

    /// When the next sealed interval can be closed, if all that happened before `horizon` is known.
    #[must_use]
    pub fn ready(&self, horizon: BootTime) -> Option<BootTime> {
        let sealed = || self.intervals.iter().filter_map(|one| Some(one.to?.boot));
        let earliest = sealed().min()?;
        (earliest <= horizon || sealed().count() > MAX_WAITING).then_some(earliest)
    }

    /// Closes the next sealed interval, if all that happened before `horizon` is known.
    pub fn close(&mut self, horizon: BootTime) -> Option<Interval> {
        let end = self.ready(horizon)?;
        self.account(end);
        let ends = |one: &Interval| one.to.is_some_and(|to| to.boot == end);
        let place = self.intervals.iter().position(ends)?;
        Some(self.intervals.remove(place))
    }

    /// Spends what held up to `until` on the intervals.
    fn account(&mut self, until: BootTime) {
        while self.accounted < until {
            let Some(span) = self.spans.front().copied() else {
                return;
            };
            let next = self.spans.get(1).map(|next| next.from);
            let end = next.map_or(until, |next| next.min(until));
            for interval in &mut self.intervals {
                interval.spend(span.key, self.accounted, end);
            }
            self.accounted = self.accounted.max(end);
            if next.is_some_and(|next| next <= self.accounted) {
                self.spans.pop_front();
            }
        }
    }
}

fn micros(ns: i64) -> i64 {
    ns.div_euclid(1_000)
}

#[cfg(test)]
mod tests;
