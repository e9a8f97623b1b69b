//! One machine: its tags as they are now, its state, counters and operations, advanced instant by instant. Pure.
//!
//! Samples of equal stamp are applied together; then each condition that refers to something that changed is evaluated
//! once, in the order state, mode, abort, end, pause, start. `operations` does what the edges ask for, `restart` carries
//! the machine over a restart of the gateway.

mod alarms;
mod arrived;
mod changes;
mod closed;
mod compile;
mod context;
mod counters;
mod downtime;
mod ends;
mod explain;
mod facts;
mod lengths;
mod limits;
mod maintenance;
mod measure;
mod measurements;
mod moment;
mod operations;
mod packml;
mod parts;
mod pauses;
mod performance;
mod progress;
mod reasons;
mod refused;
mod remembered;
mod removed;
mod restart;
mod retired;
mod scans;
mod shift;
mod starts;
mod state;
mod steps;
mod tools;

use super::books::Books;
use super::condition::Scope;
use super::definition::Definition;
use super::downtime::Stops;
use super::equipment::Equipment;
use super::operation::OpenOperation;
use crate::model::{BootTime, DeviceId, Flag, Quality, Reference, Sample, Stamp};
use crate::settings::shape::PiecesFrom;
pub(super) use moment::{Draft, Heading, Moment, Naming};
pub(super) use restart::Resumed;

/// The checkpoint of the last run.
type Entries = std::collections::BTreeMap<String, Vec<u8>>;

use alarms::Alarms;
use closed::Closed;
use context::Context;
use counters::MachineCounter;
use maintenance::Wear;
use measurements::Gauges;
use performance::Intervals;
use reasons::Catalogue;
use scans::Scans;
use shift::Shifts;
use state::Rules;
use std::collections::VecDeque;
use steps::{ORDER, Part, armed, armed_mut};
use tools::ToolsInUse;
use uuid::Uuid;

/// How soon what changed must be on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unsaved {
    #[default]
    Nothing,
    /// With the next periodic checkpoint.
    Later,
    /// With the next commit.
    Soon,
}

/// A tag as the machine uses it.
#[derive(Debug, Default)]
struct Tag {
    stamp: Stamp,
    /// The usable value as a number.
    number: Option<f64>,
    uncertain: bool,
    /// Read, well or badly, since the gateway started.
    seen: bool,
    /// When its usable value became another one; what it was first is no change.
    changed: BootTime,
    /// `(definition, parameter)` that measure it.
    routes: Vec<(usize, usize)>,
    counters: Vec<usize>,
    /// Counters that it tells the resets of.
    resets: Vec<usize>,
    /// Conditions refer to it.
    referenced: bool,
}

/// A place where one operation can be open.
#[derive(Debug, Default)]
struct Slot {
    name: String,
    /// Of the last operation that was told.
    ordinal: u64,
    open: Option<OpenOperation>,
    /// Start edges whose debounce runs, at most one of each definition.
    starting: Vec<OpenOperation>,
    /// Operations that ended, oldest first, and may still be corrected.
    closed: VecDeque<Closed>,
    /// Id of the last part of the last operation.
    last_part: Option<String>,
}

impl Slot {
    /// Everything that measures.
    fn operations_mut(&mut self) -> impl Iterator<Item = &mut OpenOperation> {
        self.open.iter_mut().chain(&mut self.starting)
    }
}

/// One machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    scope: Scope,
    tags: Vec<Tag>,
    rules: Rules,
    equipment: Equipment,
    counters: Vec<MachineCounter>,
    books: Books,
    catalogue: Catalogue,
    context: Context,
    scans: Scans,
    gauges: Gauges,
    tools: ToolsInUse,
    alarms: Alarms,
    stops: Stops,
    shifts: Shifts,
    intervals: Intervals,
    wear: Wear,
    /// The order that was worked on last: where it changes, stops and intervals may be cut.
    order: Option<Reference>,
    /// The product that was worked on last.
    product: Option<Reference>,
    definitions: Vec<Definition>,
    slots: Vec<Slot>,
    pieces_from: PiecesFrom,
    /// Tags that changed in this instant and that conditions refer to.
    changed: Vec<usize>,
    /// State or mode changed in this instant.
    axes_changed: bool,
    count_due: BootTime,
    /// The last instant that was worked on: what is found to be due later is not put before it.
    latest: BootTime,
    pub(super) unsaved: Unsaved,
    /// The settings no longer have it.
    removed: bool,
}

impl Machine {
    /// Applies the samples of one instant, given with the local numbers of their tags.
    pub(super) fn instant<'s>(
        &mut self,
        samples: impl Iterator<Item = (usize, &'s Sample)> + Clone,
        moment: &mut Moment<'_>,
    ) {
        self.explain_samples(samples.clone(), moment);
        for (local, sample) in samples.clone() {
            self.take(local, sample);
        }
        for (local, sample) in samples.clone() {
            self.scanned(local, sample, moment);
        }
        if !self.changed.is_empty() {
            self.step_gates(moment);
        }
        for (local, sample) in samples {
            self.measure(local, sample, moment);
        }
        self.latest = self.latest.max(moment.now.boot);
        if self.changed.is_empty() && !self.has_undecided() {
            self.scope.end_of_instant();
        } else {
            self.settle(moment);
        }
    }

    /// Works off what is due up to `until`, each at its own time.
    pub(super) fn advance(&mut self, until: Stamp, moment: &mut Moment<'_>) {
        self.look_at_clock(until, moment);
        while let Some(due) = self.due().filter(|due| *due <= until.boot) {
            let at = due.max(self.latest).min(until.boot);
            self.latest = at;
            let mut moment = moment.at(until.at(at));
            self.expire(&mut moment);
        }
    }

    /// When [`Machine::advance`] has something to do.
    pub(super) fn due(&self) -> Option<BootTime> {
        let triggers = self.definitions.iter().flat_map(|definition| {
            ORDER
                .iter()
                .filter_map(|part| armed(definition, *part)?.trigger.due())
        });
        let operations = self
            .slots
            .iter()
            .filter_map(|slot| self.operation_due(slot));
        let counters = (!self.counters.is_empty()).then_some(self.count_due);
        triggers
            .chain(operations)
            .chain(self.equipment.due())
            .chain(counters)
            .chain(self.scans_due())
            .chain(self.limits_due())
            .chain(self.closed_due())
            .chain(self.progress_due())
            .chain(self.alarms.due())
            .chain(self.stops_due())
            .chain(self.shifts.due())
            .chain(self.intervals_due())
            .chain(self.wear.due())
            .min()
    }

    /// A device of the machine is lost: whoever measures with it says so.
    pub(super) fn lost(&mut self, device: DeviceId) {
        for slot in &mut self.slots {
            for operation in slot.operations_mut() {
                let concerned = self
                    .definitions
                    .get(operation.definition_index)
                    .is_some_and(|definition| definition.devices.contains(&device));
                if concerned {
                    operation.connection_losses += 1;
                    operation.flags.insert(Flag::ConnectionLoss);
                    self.unsaved = Unsaved::Soon;
                }
            }
        }
    }

    /// The operations that are open and were told, by slot.
    pub(super) fn open_operations(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.slots
            .iter()
            .filter_map(|slot| slot.open.as_ref()?.identity)
            .map(|(id, _)| id)
    }

    pub(super) fn has_open_operation(&self) -> bool {
        self.slots.iter().any(|slot| slot.open.is_some())
    }

    fn take(&mut self, local: usize, sample: &Sample) {
        let Some(tag) = self.tags.get_mut(local) else {
            return;
        };
        let usable = sample.usable();
        tag.stamp = sample.stamp;
        tag.number = usable.and_then(|value| value.number());
        tag.uncertain = sample.quality == Quality::Uncertain;
        let first = !std::mem::replace(&mut tag.seen, true);
        let known = self.scope.last_known(local);
        if known.is_some() && usable.is_some() && known != usable {
            tag.changed = sample.stamp.boot;
        }
        let differs = self.scope.set(local, usable.cloned());
        if (differs || first) && tag.referenced {
            self.changed.push(local);
        }
    }

    /// Evaluates what refers to something that changed, in the order of the contract.
    fn settle(&mut self, moment: &mut Moment<'_>) {
        self.step_state(moment);
        self.intervals_look(moment);
        self.step_alarms(moment);
        self.step_gates(moment);
        self.decide_recovered(moment);
        self.step_operations(moment);
        self.decide_recovered(moment);
        self.step_tools(moment);
        self.step_part_tags(moment);
        self.step_measurements(moment);
        self.learn_facts(moment);
        self.step_order(moment);
        self.tell_limits(moment);
        let pulsed = self.scope.end_of_instant();
        self.changed.clear();
        self.axes_changed = false;
        if !pulsed.is_empty() {
            self.end_pulses(&pulsed, moment);
        }
    }

    /// What is due now.
    fn expire(&mut self, moment: &mut Moment<'_>) {
        self.explain_samples(std::iter::empty(), moment);
        if let Some(change) = self.equipment.expire(moment.now.boot) {
            self.state_changed(change, moment);
        }
        // The shift first: what ends now belongs to the one that it ended in.
        self.shift_due(moment);
        self.scans_arrive(moment);
        self.end_trailing(moment);
        self.announce_due(moment);
        self.settle(moment);
        self.limits_expire(moment);
        self.abort_long_running(moment);
        self.give_up_lost(moment);
        self.report_counters_due(moment);
        self.report_progress_due(moment);
        self.scans_expire(moment);
        self.forget_closed(moment);
        self.stops_expire(moment);
        self.intervals_expire(moment);
        self.report_wear_due(moment);
    }

    /// Notices that another order is worked on: stops, intervals and counts may be cut there.
    fn step_order(&mut self, moment: &mut Moment<'_>) {
        // While an operation runs, hardly ever: looked at without making a copy.
        let open = self.open_fact(|facts| &facts.order);
        let product = self.open_fact(|facts| &facts.product);
        if open == Some(self.order.as_ref()) && product == Some(self.product.as_ref()) {
            return;
        }
        let (now, product) = (self.order_now(), self.product_now());
        if now == self.order || now.is_none() && !self.order_is_readable() {
            self.product = product;
            return;
        }
        self.counters_order_changed(moment);
        self.product = product;
        let before = std::mem::replace(&mut self.order, now);
        self.stops_order_changed(before.as_ref(), moment);
        self.intervals_order_changed(before.as_ref(), moment);
    }
}
