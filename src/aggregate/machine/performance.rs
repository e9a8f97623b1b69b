//! Intervals: where the time went and what was made, by period and by shift. Pure.
//!
//! Periods begin at full multiples of `every` since the shift's beginning, without a shift since local midnight, and are
//! always cut where the shift changes. The timesheet of `aggregate::performance` does the sums.

use super::restart::Resumed;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::books::Ahead;
use crate::aggregate::calendar;
use crate::aggregate::condition::Scope;
use crate::aggregate::equipment::Change;
use crate::aggregate::performance::{Back, Interval, Made, Remark, Timesheet};
use crate::aggregate::saved::{self, Saved};
use crate::model::{
    Body, BootTime, IdealShare, IntervalCounts, IntervalKind, IntervalReport, OperationReport,
    Reference, Stamp, UtcTime,
};
use crate::settings::shape::{self, Counts, PiecesFrom, SplitAt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Shortest period: each makes an event.
const SHORTEST_NS: i64 = 1_000_000_000;

/// The intervals of a machine.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    /// `None` when the settings ask for none.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    plan: Plan,
    sheet: Timesheet,
    /// When the open period ends, on the wall.
    period_end: UtcTime,
    /// The order that it is for, where periods are cut at orders.
    order: Option<Reference>,
    /// Of periods, and of shifts.
    ahead: [Ahead; 2],
}

/// What the settings ask for.
#[derive(Debug)]
struct Plan {
    every_ns: i64,
    by_order: bool,
    pieces_from: PiecesFrom,
    /// Some counter counts these.
    counted: BTreeSet<&'static str>,
    ideal: Option<shape::IdealCycle>,
    /// Tag with the ideal cycle in seconds.
    ideal_tag: Option<usize>,
}

/// What must outlive the gateway.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    sheet: Timesheet,
    period_end: UtcTime,
    ahead: [Ahead; 2],
}

impl Plan {
    fn compile(equipment: &shape::Equipment, scope: &Scope) -> Option<Plan> {
        let performance = equipment.performance.as_ref()?;
        let every = i64::try_from(performance.every.get().as_nanos()).unwrap_or(i64::MAX);
        let counters = equipment.counters.values();
        let ideal = equipment.ideal_cycle.clone();
        let ideal_tag = ideal.as_ref().and_then(|ideal| ideal.tag.as_ref());
        Some(Plan {
            every_ns: every.max(SHORTEST_NS),
            by_order: performance.split_at.contains(&SplitAt::Order),
            pieces_from: equipment.pieces_from,
            counted: counters.map(|counter| counter.counts.word()).collect(),
            ideal_tag: ideal_tag.and_then(|name| Some(scope.tag(name)?.0)),
            ideal,
        })
    }

    fn counts(&self, what: Counts) -> bool {
        self.counted.contains(what.word())
    }

    /// Pieces of a counter that were made: its own where all are counted, else good and bad ones together.
    fn made(&self, counts: Counts, delta: u64) -> u64 {
        match counts {
            Counts::Total => delta,
            Counts::Cycles => 0,
            Counts::Good | Counts::Reject | Counts::Rework if self.counts(Counts::Total) => 0,
            Counts::Good | Counts::Reject | Counts::Rework => delta,
        }
    }
}

impl Intervals {
    pub(super) fn compile(equipment: &shape::Equipment, scope: &Scope, now: BootTime) -> Intervals {
        let plan = Plan::compile(equipment, scope);
        Intervals {
            running: plan.map(|plan| Running {
                plan,
                sheet: Timesheet::new(now),
                period_end: UtcTime(i64::MAX),
                order: None,
                ahead: Default::default(),
            }),
        }
    }

    pub(super) fn save(&self, scope: &str, into: &mut Saved) {
        if let Some(running) = &self.running {
            let memory = Memory {
                sheet: running.sheet.clone(),
                period_end: running.period_end,
                ahead: running.ahead,
            };
            into.put(format!("{scope}/intervals"), &memory);
        }
    }

    pub(super) fn restore(
        &mut self,
        scope: &str,
        entries: &BTreeMap<String, Vec<u8>>,
        resumed: Resumed,
    ) {
        let memory = entries
            .get(&format!("{scope}/intervals"))
            .and_then(|bytes| saved::read::<Memory>(bytes));
        let (Some(running), Some(memory)) = (&mut self.running, memory) else {
            return;
        };
        let mut remarks = BTreeSet::new();
        remarks.insert(match resumed.same_boot {
            true => Remark::Restarted,
            false => Remark::PowerLoss,
        });
        if !resumed.measurable {
            remarks.insert(Remark::ClockUnsynchronised);
        }
        running.sheet = memory.sheet.resumed(Back {
            now: resumed.now,
            alive: resumed.alive,
            shift_ns: resumed.shift_ns,
            remarks,
        });
        running.period_end = memory.period_end;
        running.ahead = memory.ahead;
        // It holds until another one is read.
        let open = running.sheet.open(IntervalKind::Period);
        running.order = open.and_then(|open| open.order.clone());
    }
}

impl Machine {
    pub(super) fn intervals_due(&self) -> Option<BootTime> {
        let running = self.intervals.running.as_ref()?;
        let closing = running.sheet.ready(self.known_until());
        let period = self.shifts.boot_of(running.period_end);
        closing.into_iter().chain([period]).min()
    }

    /// All that happened before is known: no change of state, no end of an operation waits for its debounce or bridge.
    fn known_until(&self) -> BootTime {
        let ends = self.definitions.iter().flat_map(|definition| {
            let abort = definition.abort.as_ref();
            let ends = abort.into_iter().chain([&definition.end]);
            ends.filter_map(|armed| armed.trigger.pending())
        });
        let ends = ends.filter(|edge| edge.to).map(|edge| edge.at.boot);
        let open = self.slots.iter().filter_map(|slot| slot.open.as_ref());
        let trailing = open.filter_map(|operation| operation.over_since());
        ends.chain(trailing)
            .chain(self.equipment.may_have_left())
            .min()
            .unwrap_or(BootTime(i64::MAX))
    }

    /// The state changed at `change.since`.
    pub(super) fn intervals_follow(&mut self, change: &Change, moment: &Moment<'_>) {
        let Some(running) = &mut self.intervals.running else {
            return;
        };
        let key = (change.current.state, change.current.mode);
        running
            .sheet
            .follow(change.since.boot, key, moment.now.boot);
    }

    /// After a restart: the state was seen again, and did not change.
    pub(super) fn intervals_look(&mut self, moment: &Moment<'_>) {
        if !self.equipment.is_seen() {
            return;
        }
        let Some(running) = &mut self.intervals.running else {
            return;
        };
        if running.sheet.is_blind() {
            let held = self.equipment.current();
            running.sheet.look(moment.now.boot, (held.state, held.mode));
            self.unsaved = self.unsaved.max(Unsaved::Later);
        }
    }

    /// A counter counted `delta`, now.
    pub(super) fn intervals_count(&mut self, counter: usize, delta: u64, moment: &Moment<'_>) {
        let Some(found) = self.counters.get(counter).filter(|_| delta > 0) else {
            return;
        };
        let Some(running) = &self.intervals.running else {
            return;
        };
        let plan = &running.plan;
        let counts = found.counts();
        if counts != Counts::Cycles && plan.pieces_from != PiecesFrom::Counters {
            return;
        }
        let tally = found.counter.tally();
        let mut sum = IntervalCounts {
            ambiguous: tally.is_some_and(|tally| tally.window.ambiguous),
            ..IntervalCounts::default()
        };
        match counts {
            Counts::Cycles => sum.cycles = delta,
            Counts::Total => sum.total = delta,
            Counts::Good => sum.good = delta,
            Counts::Reject => sum.reject = delta,
            Counts::Rework => sum.rework = delta,
        }
        let pieces = plan.made(counts, delta);
        let product = self.product_now().map(|product| product.id);
        let made = Made {
            counts: sum,
            share: (pieces > 0).then(|| self.share(plan, product, pieces)),
            unknown: false,
        };
        self.intervals_add(moment.now.boot, &made);
    }

    /// An operation ended.
    pub(super) fn intervals_operation(&mut self, ended: &OperationReport, at: BootTime) {
        let (Some(running), Some(ending)) = (&self.intervals.running, &ended.ending) else {
            return;
        };
        let (plan, counts) = (&running.plan, &ending.counts);
        let mut made = Made::default();
        if !plan.counts(Counts::Cycles) {
            made.counts.cycles = counts.cycles;
        }
        if plan.pieces_from == PiecesFrom::Operations {
            let all = [
                counts.good,
                counts.reject,
                counts.rework,
                counts.undetermined,
            ];
            made.unknown = all.contains(&None);
            made.counts.good = counts.good.unwrap_or(0);
            made.counts.reject = counts.reject.unwrap_or(0);
            made.counts.rework = counts.rework.unwrap_or(0);
            made.counts.undetermined = counts.undetermined.unwrap_or(0);
            let pieces: u64 = all.iter().flatten().sum();
            made.counts.total = pieces;
            let product = ended.product.as_ref().map(|product| product.id.clone());
            made.share = (pieces > 0).then(|| self.share(plan, product, pieces));
        }
        self.intervals_add(at, &made);
    }

    fn intervals_add(&mut self, at: BootTime, made: &Made) {
        if let Some(running) = &mut self.intervals.running {
            running.sheet.count(at, made);
            self.unsaved = self.unsaved.max(Unsaved::Later);
        }
    }

    fn share(&self, plan: &Plan, product: Option<String>, pieces: u64) -> IdealShare {
        let listed = |ideal: &shape::IdealCycle| {
            let own = product.as_ref().and_then(|id| ideal.by_product.get(id));
            let period = own.or(ideal.default.as_ref())?;
            Some(period.get().as_secs_f64())
        };
        let tag = plan
            .ideal_tag
            .and_then(|local| self.tags.get(local)?.number);
        let said = tag.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        IdealShare {
            cycle_s: said.or_else(|| plan.ideal.as_ref().and_then(listed)),
            product,
            pieces,
        }
    }

    /// Ends periods that are over, and tells what can be told.
    pub(super) fn intervals_expire(&mut self, moment: &mut Moment<'_>) {
        self.end_periods(moment.now.boot.shifted(1));
        self.tell_intervals(moment);
    }

    /// Ends all periods that end before `until`.
    fn end_periods(&mut self, until: BootTime) {
        while let Some(running) = &mut self.intervals.running {
            let end = self.shifts.stamp_of(running.period_end);
            if end.boot >= until {
                return;
            }
            running.sheet.seal(IntervalKind::Period, end);
            self.begin_period(end, false);
        }
    }

    /// Opens what is not open: a period, and in a shift the interval of the shift.
    pub(super) fn intervals_begin(&mut self, at: Stamp) {
        let Some(running) = &self.intervals.running else {
            return;
        };
        // A machine that waits for its devices lives behind: at the start, from before there was a gateway.
        let at = at.at(running.sheet.not_before(at.boot));
        let open = |kind| running.sheet.open(kind).is_some();
        let (period, shift) = (open(IntervalKind::Period), open(IntervalKind::Shift));
        if !period {
            self.begin_period(at, false);
        }
        if !shift {
            self.begin_shift_interval(at);
        }
    }

    fn begin_shift_interval(&mut self, at: Stamp) -> Option<()> {
        let shift = self.shifts.present()?;
        let running = self.intervals.running.as_mut()?;
        let mut interval = Interval::begin(IntervalKind::Shift, at);
        interval.shift = Some(shift.name.clone());
        if at.utc > shift.from {
            interval.remarks.insert(Remark::Partial);
        }
        running.sheet.begin(interval);
        self.unsaved = Unsaved::Soon;
        Some(())
    }

    fn begin_period(&mut self, at: Stamp, cut: bool) -> Option<()> {
        let (begin, limit) = match self.shifts.present() {
            Some(shift) => (shift.from, shift.to),
            None => {
                let calendar = self.shifts.calendar();
                let (begin, end) = calendar.map_or_else(
                    || calendar::utc_day(at.utc),
                    |calendar| calendar.day(at.utc),
                );
                (begin, end.min(self.shifts.until()))
            }
        };
        let running = self.intervals.running.as_mut()?;
        let every = running.plan.every_ns;
        let since = at.utc.0.saturating_sub(begin.0).max(0);
        let mut end = since / every + 1;
        // Periods that the gateway slept through are told as one.
        if let Some(away) = running.sheet.away()
            && away.from <= at.boot
            && at.boot < away.to
        {
            let awake = self.shifts.utc_of(away.to).0.saturating_sub(begin.0);
            end = end.max(awake / every);
        }
        let end = UtcTime(begin.0.saturating_add(end.saturating_mul(every)));
        running.period_end = if at.utc < limit { end.min(limit) } else { end };
        let mut interval = Interval::begin(IntervalKind::Period, at);
        interval.shift = self.shifts.name();
        interval.order.clone_from(&running.order);
        if !cut && since % every != 0 && at.utc != begin {
            interval.remarks.insert(Remark::Partial);
        }
        running.sheet.begin(interval);
        self.unsaved = Unsaved::Soon;
        Some(())
    }

    pub(super) fn intervals_clock_stepped(&mut self) {
        if let Some(running) = &mut self.intervals.running {
            running.sheet.stepped();
        }
    }

    /// The clock was wrong: the period ends by the old one and the next begins by the new one.
    pub(super) fn intervals_cut(&mut self, ended: UtcTime, now: Stamp) {
        let Some(running) = &mut self.intervals.running else {
            return;
        };
        let to = Stamp {
            boot: now.boot,
            utc: ended.min(running.period_end),
        };
        running.sheet.seal(IntervalKind::Period, to);
        self.begin_period(now, false);
    }

    /// The shift ends at `at`: so do the intervals.
    pub(super) fn intervals_shift_ends(&mut self, at: Stamp) {
        self.end_periods(at.boot);
        if let Some(running) = &mut self.intervals.running {
            running.sheet.seal(IntervalKind::Period, at);
            running.sheet.seal(IntervalKind::Shift, at);
        }
    }

    pub(super) fn intervals_order_changed(
        &mut self,
        _before: Option<&Reference>,
        moment: &mut Moment<'_>,
    ) {
        let order = self.order.clone();
        let Some(running) = self.intervals.running.as_mut().filter(|r| r.plan.by_order) else {
            return;
        };
        let Some(open) = running.sheet.open_mut(IntervalKind::Period) else {
            return;
        };
        if open.order == order {
            return;
        }
        running.order.clone_from(&order);
        // Nothing was in it yet: it is of the new order.
        if open.from.boot == moment.now.boot && open.counts == IntervalCounts::default() {
            open.order = order;
            return;
        }
        running.sheet.seal(IntervalKind::Period, moment.now);
        self.begin_period(moment.now, true);
        self.tell_intervals(moment);
    }

    /// Tells the intervals that have ended, if what held at their end is known.
    fn tell_intervals(&mut self, moment: &mut Moment<'_>) {
        let known = self.known_until();
        while let Some(closed) = self
            .intervals
            .running
            .as_mut()
            .and_then(|running| running.sheet.close(known))
        {
            self.unsaved = Unsaved::Soon;
            if closed.is_empty() {
                continue;
            }
            if let Some(report) = self.interval_report(closed) {
                let heading = Heading::machine(&self.name, report.to);
                moment.tell(heading, Body::Interval(Box::new(report)));
            }
        }
    }

    fn interval_report(&mut self, mut closed: Interval) -> Option<IntervalReport> {
        let running = self.intervals.running.as_mut()?;
        let [of_periods, of_shifts] = &mut running.ahead;
        let ahead = match closed.kind {
            IntervalKind::Period => of_periods,
            IntervalKind::Shift => of_shifts,
        };
        let plan = &running.plan;
        if plan.pieces_from == PiecesFrom::Counters {
            ahead.complete(&mut closed.counts, |kind| plan.counts(kind));
        }
        let plan = &self.intervals.running.as_ref()?.plan;
        let (from, to) = (closed.from.utc, closed.to?.utc);
        let calendar = self.shifts.calendar();
        let planned = calendar.and_then(|calendar| calendar.planned_ns(from, to));
        let mut ideal = closed.shares.clone();
        if ideal.is_empty() && plan.ideal.is_some() {
            let product = self.product_now().map(|product| product.id);
            ideal.push(self.share(plan, product, 0));
        }
        let id = match (closed.kind, &closed.shift) {
            (IntervalKind::Shift, Some(shift)) => shift.clone(),
            _ => calendar::text(from),
        };
        Some(IntervalReport {
            kind: closed.kind,
            id,
            from,
            to,
            duration_s: closed.duration_s(),
            durations: closed.durations(),
            planned_s: planned.map(|ns| ns as f64 / 1e9),
            counts: closed.counts,
            ideal,
            calendar: calendar.map(|calendar| calendar.name.clone()),
            shift: closed.shift,
            order: closed.order,
            flags: closed.remarks.iter().map(|remark| remark.word()).collect(),
        })
    }
}
