//! One machine: its tags as they are now, its state, counters and operations, advanced instant by instant. Pure.
//!
//! Samples of equal stamp are applied together; then each condition that refers to something that changed is evaluated
//! once, in the order state, mode, abort, end, pause, start. `operations` does what the edges ask for, `restart` carries
//! the machine over a restart of the gateway.

mod compile;
mod counters;
mod operations;
mod refused;
mod restart;
mod state;

use super::condition::{Condition, Evaluator, Known, Scope};
use super::definition::Definition;
use super::equipment::Equipment;
use super::operation::OpenOperation;
use super::trigger::{Edge, Step};
use crate::health::AggregateHealth;
use crate::model::{
    Body, BootTime, DeviceId, Flag, Quality, Sample, Scope as About, Stamp, UtcTime,
};
use crate::settings::shape::PiecesFrom;
pub(super) use restart::Resumed;

use counters::MachineCounter;
use state::Rules;
use uuid::Uuid;

/// What an event says, before it is numbered.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) about: About,
    pub(super) time: UtcTime,
    pub(super) correlation: Option<Uuid>,
    pub(super) body: Body,
}

/// What is needed to name an operation.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    pub(super) gateway: String,
    pub(super) run: Uuid,
    pub(super) epoch: u32,
}

/// The instant that is being worked on, and where what comes of it goes.
pub(super) struct Moment<'a> {
    pub(super) now: Stamp,
    pub(super) evaluator: &'a Evaluator,
    pub(super) naming: &'a Naming,
    pub(super) health: &'a AggregateHealth,
    pub(super) out: &'a mut Vec<Draft>,
}

impl Moment<'_> {
    fn evaluate(&self, condition: &Condition, scope: &Scope) -> Known {
        let mut failed = 0;
        let known = self.evaluator.evaluate(condition, scope, &mut failed);
        self.health.condition_errors.add(failed);
        known
    }

    fn at(&mut self, now: Stamp) -> Moment<'_> {
        Moment {
            now,
            evaluator: self.evaluator,
            naming: self.naming,
            health: self.health,
            out: self.out,
        }
    }
}

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
    /// `(definition, parameter)` that measure it.
    routes: Vec<(usize, usize)>,
    counters: Vec<usize>,
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
}

impl Slot {
    /// Everything that measures.
    fn operations_mut(&mut self) -> impl Iterator<Item = &mut OpenOperation> {
        self.open.iter_mut().chain(&mut self.starting)
    }
}

/// The conditions of an operation, in the order of their evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Abort,
    End,
    Pause,
    Start,
}

const ORDER: [Part; 4] = [Part::Abort, Part::End, Part::Pause, Part::Start];

/// One machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    scope: Scope,
    tags: Vec<Tag>,
    rules: Rules,
    equipment: Equipment,
    counters: Vec<MachineCounter>,
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
}

impl Machine {
    /// Applies the samples of one instant, given with the local numbers of their tags.
    pub(super) fn instant<'s>(
        &mut self,
        samples: impl Iterator<Item = (usize, &'s Sample)> + Clone,
        moment: &mut Moment<'_>,
    ) {
        for (local, sample) in samples.clone() {
            self.take(local, sample);
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
        let differs = self.scope.set(local, usable.cloned());
        if (differs || first) && tag.referenced {
            self.changed.push(local);
        }
    }

    fn measure(&mut self, local: usize, sample: &Sample, moment: &Moment<'_>) {
        let Some(tag) = self.tags.get(local) else {
            return;
        };
        for (definition, parameter) in &tag.routes {
            let Some(found) = self.definitions.get(*definition) else {
                continue;
            };
            let hidden = found.parameters.get(*parameter).is_some_and(|p| p.hidden);
            let Some(slot) = self.slots.get_mut(found.slot) else {
                continue;
            };
            for operation in slot.operations_mut() {
                if operation.definition_index != *definition {
                    continue;
                }
                let t = operation.offset(sample.stamp.boot);
                let Some(accumulator) = operation.accumulators.get_mut(*parameter) else {
                    continue;
                };
                match (&sample.quality, tag.number) {
                    (Quality::Bad(_), _) => accumulator.bad(t),
                    (_, Some(value)) => accumulator.add(t, value, tag.uncertain),
                    // A text covers the time of an operation without parameters; where a number is measured it is none.
                    (_, None) if hidden => accumulator.add(t, 0.0, tag.uncertain),
                    (_, None) => accumulator.bad(t),
                }
            }
        }
        for counter in tag.counters.clone() {
            self.count(counter, sample, moment);
        }
    }

    /// Evaluates what refers to something that changed, in the order of the contract.
    fn settle(&mut self, moment: &mut Moment<'_>) {
        self.step_state(moment);
        self.step_gates(moment);
        self.decide_recovered(moment);
        self.step_operations(moment);
        self.decide_recovered(moment);
        let pulsed = self.scope.end_of_instant();
        self.changed.clear();
        self.axes_changed = false;
        if !pulsed.is_empty() {
            self.end_pulses(&pulsed, moment);
        }
    }

    /// What is due now.
    fn expire(&mut self, moment: &mut Moment<'_>) {
        if let Some(change) = self.equipment.expire(moment.now.boot) {
            self.state_changed(change, moment);
        }
        self.announce_due(moment);
        self.settle(moment);
        self.abort_long_running(moment);
        self.report_counters_due(moment);
    }

    fn affected(&self, condition: &Condition) -> bool {
        self.axes_changed && (condition.uses_state || condition.uses_mode)
            || self
                .changed
                .iter()
                .any(|local| condition.tags.contains(local))
    }

    /// `while:` conditions, before samples are measured by what they say.
    fn step_gates(&mut self, moment: &Moment<'_>) {
        for d in 0..self.definitions.len() {
            let parameters = self
                .definitions
                .get(d)
                .map_or(0, |found| found.parameters.len());
            for p in 0..parameters {
                self.step_gate(d, p, moment);
            }
        }
    }

    fn step_gate(&mut self, d: usize, p: usize, moment: &Moment<'_>) -> Option<()> {
        let definition = self.definitions.get(d)?;
        let parameter = definition.parameters.get(p)?;
        let (condition, before) = parameter.gate.as_ref()?;
        if !self.affected(condition) {
            return None;
        }
        let known = moment.evaluate(condition, &self.scope);
        if known == *before {
            return None;
        }
        let tag = self.tags.get(parameter.tag)?;
        let held = tag.number.map(|value| (tag.stamp.boot, value));
        let slot = self.slots.get_mut(definition.slot)?;
        for operation in slot.operations_mut() {
            if operation.definition_index == d {
                let held = held.map(|(at, value)| (operation.offset(at), value));
                let t = operation.offset(moment.now.boot);
                if let Some(accumulator) = operation.accumulators.get_mut(p) {
                    accumulator.gate(t, known, held);
                }
            }
        }
        let parameter = self.definitions.get_mut(d)?.parameters.get_mut(p)?;
        if let Some((_, before)) = &mut parameter.gate {
            *before = known;
        }
        Some(())
    }

    fn step_operations(&mut self, moment: &mut Moment<'_>) {
        for part in ORDER {
            for d in 0..self.definitions.len() {
                self.step_part(d, part, moment);
            }
        }
    }

    fn step_part(&mut self, d: usize, part: Part, moment: &mut Moment<'_>) -> Option<()> {
        let now = moment.now;
        // A definition of earlier settings ends what it began, and starts nothing.
        if part == Part::Start && self.definitions.get(d)?.retired {
            return None;
        }
        let held = armed_mut(self.definitions.get_mut(d)?, part)?
            .trigger
            .expire(now.boot);
        if let Some(edge) = held {
            self.unsaved = self.unsaved.max(Unsaved::Later);
            self.edge(d, part, edge, true, moment);
        }
        let condition = &armed(self.definitions.get(d)?, part)?.condition;
        if !self.affected(condition) {
            return None;
        }
        let known = moment.evaluate(condition, &self.scope);
        self.observe(d, part, known, moment)
    }

    fn observe(
        &mut self,
        d: usize,
        part: Part,
        known: Known,
        moment: &mut Moment<'_>,
    ) -> Option<()> {
        let trigger = &mut armed_mut(self.definitions.get_mut(d)?, part)?.trigger;
        let before = trigger.memory();
        let step = trigger.observe(known, moment.now);
        if trigger.memory() != before {
            self.unsaved = self.unsaved.max(Unsaved::Later);
        }
        match step {
            Step::Same => {}
            Step::Began(edge) => self.began(d, part, edge, moment),
            Step::Cancelled => self.cancelled(d, part),
            Step::Fired(edge) => self.edge(d, part, edge, false, moment),
        }
        Some(())
    }

    /// A pulse lasts one instant: conditions that use it are evaluated again without it.
    fn end_pulses(&mut self, pulsed: &[usize], moment: &mut Moment<'_>) {
        for part in ORDER {
            for d in 0..self.definitions.len() {
                let known = self.definitions.get(d).and_then(|definition| {
                    let condition = &armed(definition, part)?.condition;
                    let concerned = condition.uses_pulses
                        && pulsed.iter().any(|local| condition.tags.contains(local));
                    concerned.then(|| moment.evaluate(condition, &self.scope))
                });
                if let Some(known) = known {
                    self.observe(d, part, known, moment);
                }
            }
        }
    }

    fn edge(&mut self, d: usize, part: Part, edge: Edge, held: bool, moment: &mut Moment<'_>) {
        match (part, edge.to) {
            (Part::Abort, true) => self.abort_edge(d, edge, moment),
            (Part::End, true) => self.end_edge(d, edge, moment),
            (Part::Pause, to) => self.pause_edge(d, edge, to),
            (Part::Start, true) => self.start_edge(d, edge, held, moment),
            _ => {}
        }
    }
}

fn armed(definition: &Definition, part: Part) -> Option<&super::definition::Armed> {
    match part {
        Part::Abort => definition.abort.as_ref(),
        Part::End => Some(&definition.end),
        Part::Pause => definition.pause.as_ref(),
        Part::Start => Some(&definition.start),
    }
}

fn armed_mut(definition: &mut Definition, part: Part) -> Option<&mut super::definition::Armed> {
    match part {
        Part::Abort => definition.abort.as_mut(),
        Part::End => Some(&mut definition.end),
        Part::Pause => definition.pause.as_mut(),
        Part::Start => Some(&mut definition.start),
    }
}
