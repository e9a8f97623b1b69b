//! Begins operations: what is read at the start edge, whether there is room, what becomes of the one that still runs. Pure.

use super::explain::Unused;
use super::{Machine, Moment, Unsaved};
use crate::aggregate::condition::Known;
use crate::aggregate::definition::{Definition, Parameter};
use crate::aggregate::operation::{AtStart, OpenOperation, Role};
use crate::aggregate::trigger::Edge;
use crate::model::{EndCause, Flag, Outcome, Stamp};
use crate::settings::shape::OnNextStart;

impl Machine {
    /// A start edge held. `held` when it was debounced, so that everything was read when it began.
    pub(super) fn start_edge(&mut self, d: usize, edge: Edge, held: bool, moment: &mut Moment<'_>) {
        if !held {
            self.prepare_start(d, edge, moment);
        }
        let Some(definition) = self.definitions.get(d) else {
            return;
        };
        let (slot_index, allowed) = (definition.slot, definition.start_allowed);
        let Some(slot) = self.slots.get_mut(slot_index) else {
            return;
        };
        let prepared = slot
            .starting
            .iter()
            .position(|starting| starting.definition_index == d);
        let starting = prepared.map(|place| slot.starting.swap_remove(place));
        // Until it is known whether the restored operation still runs, the decision is about this edge, too.
        let open = slot.open.as_ref();
        if open.is_some_and(OpenOperation::is_undecided) {
            self.explain_unused(d, Unused::Undecided, moment);
            self.goes_on(slot_index);
            return;
        }
        if self.resumes(d, edge, moment) {
            self.explain_unused(d, Unused::Resume, moment);
            self.goes_on(slot_index);
            return;
        }
        let Some(mut operation) = starting else {
            if !allowed {
                moment.health.starts_refused.add(1);
                self.explain_unused(d, Unused::OnlyIf, moment);
            }
            return;
        };
        if edge.uncertain {
            operation.flags.insert(Flag::StartMissed);
        }
        if !self.make_room(slot_index, edge, moment) {
            self.explain_unused(d, Unused::Ignored, moment);
            self.goes_on(slot_index);
            return;
        }
        let early = operation.ended_early;
        self.open(slot_index, operation, moment);
        if let Some((ended, aborted)) = early {
            if aborted {
                self.abort_edge(d, ended, moment);
            } else {
                self.end_edge(d, ended, moment);
            }
        }
    }

    /// A start edge did not end what runs: nothing of it was cut off there.
    fn goes_on(&mut self, slot: usize) {
        if let Some(open) = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut()) {
            open.thaw(Role::NextStart);
        }
    }

    /// Puts an operation into its free slot, and tells it unless `min_duration` must pass first.
    pub(super) fn open(
        &mut self,
        slot_index: usize,
        mut operation: OpenOperation,
        moment: &mut Moment<'_>,
    ) {
        if let Some(definition) = self.definitions.get_mut(operation.definition_index) {
            if let Some(during) = &mut definition.during {
                let value = during.tag.and_then(|local| self.scope.value(local));
                during.watched.begin(value);
                during.waits = false;
                operation.key = during.watched.last().cloned();
            }
            let pause = definition.pause.as_ref();
            if pause.and_then(|pause| pause.trigger.settled()) == Some(true) {
                let reason = definition.pause_reason.as_ref();
                operation.paused_since = Some(operation.started.boot);
                operation.pause_reason = reason.and_then(|fact| fact.text(&self.scope));
            }
        }
        if let Some(slot) = self.slots.get_mut(slot_index) {
            slot.open = Some(operation);
        }
        self.unsaved = Unsaved::Soon;
        self.begin_using(slot_index);
        self.announce_due(moment);
    }

    /// Ends what still is in the slot, as `on_next_start` says; false when the new edge is to be ignored.
    fn make_room(&mut self, slot: usize, edge: Edge, moment: &mut Moment<'_>) -> bool {
        let Some(open) = self.slots.get(slot).and_then(|slot| slot.open.as_ref()) else {
            return true;
        };
        if open.is_over() {
            self.finish_trailed(slot, moment);
            return true;
        }
        let Some(running) = self.definitions.get_mut(open.definition_index) else {
            return true;
        };
        // An end that began before this start has waited long enough. It is used up: what starts now has an end of its own.
        let end = &mut running.end.trigger;
        let ended = end.pending();
        if let Some(ended) = ended.filter(|ended| ended.to && ended.at.boot <= edge.at.boot) {
            end.settle();
            let end = self.end(ended, Outcome::Completed, EndCause::Trigger, None);
            self.end_or_trail(slot, end, moment);
            self.finish_trailed(slot, moment);
            return true;
        }
        let outcome = match running.settings.on_next_start {
            OnNextStart::Ignore => return false,
            OnNextStart::EndAndStart => Outcome::Completed,
            OnNextStart::AbortAndStart => Outcome::Aborted,
        };
        if let Some(open) = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut()) {
            open.flags.insert(Flag::EndTimeEstimated);
        }
        let end = self.end(edge, outcome, EndCause::NextStart, None);
        self.finish(slot, end, Some(Role::NextStart), moment);
        true
    }

    /// Reads `only_if` and the facts at the start edge, and begins to measure.
    pub(super) fn prepare_start(&mut self, d: usize, edge: Edge, moment: &Moment<'_>) {
        let Some(definition) = self.definitions.get(d) else {
            return;
        };
        let allowed = !definition.retired
            && definition
                .only_if
                .as_ref()
                .is_none_or(|condition| moment.evaluate(condition, &self.scope) == Known::True);
        let operation = allowed.then(|| self.begin(d, definition, edge.at, moment));
        let slot = definition.slot;
        if let Some(definition) = self.definitions.get_mut(d) {
            definition.start_allowed = allowed;
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            if let Some(open) = slot.open.as_mut().filter(|_| allowed) {
                open.freeze(Role::NextStart);
            }
            slot.starting
                .retain(|starting| starting.definition_index != d);
            slot.starting.extend(operation);
        }
    }

    /// An operation of definition `d` that starts at `at`, with what is known then.
    pub(super) fn begin(
        &self,
        d: usize,
        definition: &Definition,
        at: Stamp,
        moment: &Moment<'_>,
    ) -> OpenOperation {
        let facts = self.facts(definition, moment);
        let program = facts.program.as_ref().map(|program| program.id.as_str());
        let unlisted = definition.product.is_unlisted(program);
        let counter = definition.recovery_counter.and_then(|c| self.raw_count(c));
        let mut operation = OpenOperation::begin(d, definition, at, facts, counter, |parameter| {
            self.at_start(parameter)
        });
        self.hold_at_start(definition, &mut operation);
        if unlisted {
            operation.flags.insert(Flag::UnverifiedMasterdata);
        }
        operation
    }

    /// What the tag of a parameter is now.
    pub(super) fn at_start(&self, parameter: &Parameter) -> AtStart {
        let tag = self.tags.get(parameter.tag)?;
        // A text has no number, but its presence covers the time of an operation without parameters.
        let present = || self.scope.value(parameter.tag).map(|_| 0.0);
        let number = tag
            .number
            .or_else(|| parameter.takes_all().then(present).flatten())?;
        Some((tag.stamp, number, tag.uncertain))
    }
}
