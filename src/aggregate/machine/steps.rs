//! Evaluates the conditions of a machine's operations, each once per instant and in the order of the contract. Pure.

use super::{Machine, Moment, Unsaved};
use crate::aggregate::condition::{Condition, Known};
use crate::aggregate::definition::{Armed, Definition};
use crate::aggregate::trigger::{Edge, Step};
use crate::model::BootTime;

/// The conditions of an operation, in the order of their evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Abort,
    End,
    Pause,
    Start,
}

pub(super) const ORDER: [Part; 4] = [Part::Abort, Part::End, Part::Pause, Part::Start];

impl Machine {
    pub(super) fn affected(&self, condition: &Condition) -> bool {
        self.axes_changed && (condition.uses_state || condition.uses_mode)
            || self
                .changed
                .iter()
                .any(|local| condition.tags.contains(local))
    }

    /// `while:` conditions, before samples are measured by what they say.
    pub(super) fn step_gates(&mut self, moment: &Moment<'_>) {
        for d in 0..self.definitions.len() {
            let parameters = self
                .definitions
                .get(d)
                .map_or(0, |found| found.parameters.len());
            for p in 0..parameters {
                self.step_gate(d, p, moment);
            }
        }
        self.step_wear(moment);
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
        let value = self.scope.value(parameter.tag);
        let present = value.filter(|_| parameter.takes_all()).map(|_| 0.0);
        let held = tag.number.or(present);
        let held = held.map(|number| (tag.stamp.boot, number));
        let slot = self.slots.get_mut(definition.slot)?;
        for operation in slot.operations_mut() {
            if operation.definition_index == d {
                for (begun, accumulator) in operation.measures(p) {
                    let since = |at: BootTime| at.0.saturating_sub(begun.0);
                    let t = since(moment.now.boot);
                    let held = held.map(|(at, value)| (since(at), value));
                    accumulator.gate(t, known, held);
                    if let Some(value) = value.filter(|_| parameter.plan.sequence) {
                        accumulator.hold(t, value);
                    }
                }
                super::limits::gate(definition, p, known, tag, operation, moment.now);
            }
        }
        let parameter = self.definitions.get_mut(d)?.parameters.get_mut(p)?;
        if let Some((_, before)) = &mut parameter.gate {
            *before = known;
        }
        Some(())
    }

    pub(super) fn step_operations(&mut self, moment: &mut Moment<'_>) {
        for part in ORDER {
            if part == Part::Start {
                self.step_changes(moment);
            }
            for d in 0..self.definitions.len() {
                self.step_part(d, part, moment);
            }
        }
        self.open_waiting(moment);
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
        if part == Part::Start {
            self.explain_start(d, known, moment);
        }
        self.observe(d, part, known, moment)
    }

    pub(super) fn observe(
        &mut self,
        d: usize,
        part: Part,
        known: Known,
        moment: &mut Moment<'_>,
    ) -> Option<()> {
        let trigger = &mut armed_mut(self.definitions.get_mut(d)?, part)?.trigger;
        let (before, pending) = (trigger.memory(), trigger.pending());
        let step = trigger.observe(known, moment.now);
        let after = trigger.memory();
        if after != before {
            self.unsaved = self.unsaved.max(Unsaved::Later);
        }
        let first = before.settled().is_none() && after.settled() == Some(true);
        if part == Part::Start && first {
            self.holds_already(d);
        }
        match step {
            Step::Same => {}
            Step::Began(edge) => {
                self.explain_began(d, part, moment);
                self.began(d, part, edge, moment);
            }
            Step::Cancelled => {
                self.explain_lapsed(d, part, pending, moment);
                self.cancelled(d, part);
            }
            Step::Fired(edge) => self.edge(d, part, edge, false, moment),
        }
        Some(())
    }

    /// A pulse lasts one instant: conditions that use it are evaluated again without it.
    pub(super) fn end_pulses(&mut self, pulsed: &[usize], moment: &mut Moment<'_>) {
        self.end_measurement_pulses(pulsed, moment);
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
        self.explain_edge(d, part, edge, held, moment);
        match (part, edge.to) {
            (Part::Abort, true) => self.abort_edge(d, edge, moment),
            (Part::End, true) => self.end_edge(d, edge, moment),
            (Part::Pause, to) => self.pause_edge(d, edge, to, moment),
            (Part::Start, true) => self.start_edge(d, edge, held, moment),
            _ => {}
        }
        self.explain_no_more(moment);
    }
}

pub(super) fn armed(definition: &Definition, part: Part) -> Option<&Armed> {
    match part {
        Part::Abort => definition.abort.as_ref(),
        Part::End => Some(&definition.end),
        Part::Pause => definition.pause.as_ref(),
        Part::Start => Some(&definition.start),
    }
}

pub(super) fn armed_mut(definition: &mut Definition, part: Part) -> Option<&mut Armed> {
    match part {
        Part::Abort => definition.abort.as_mut(),
        Part::End => Some(&mut definition.end),
        Part::Pause => definition.pause.as_mut(),
        Part::Start => Some(&mut definition.start),
    }
}
