//! What the edges of a machine's conditions do to its operations: start, pause, end, abort, and the limits on their length.

use super::explain::Unused;
use super::{Heading, Machine, Moment, Part, Slot, Unsaved};
use crate::aggregate::condition::Known;
use crate::aggregate::definition::{Definition, Parameter, PieceCount};
use crate::aggregate::operation::{AtStart, OpenOperation, Role};
use crate::aggregate::report::{self, End};
use crate::aggregate::trigger::Edge;
use crate::model::{Body, BootTime, EndCause, Flag, Outcome, Stamp};
use crate::settings::shape::{OnNextStart, PiecesFrom};
use uuid::Uuid;

/// Names of operations: UUIDv5 in this namespace over gateway, equipment, slot, run, epoch and ordinal.
const OPERATION_NAMESPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_6761_5005_8f6f_7065_7261_7469);

impl Machine {
    /// An edge began whose debounce runs: what it would need is kept.
    pub(super) fn began(&mut self, d: usize, part: Part, edge: Edge, moment: &Moment<'_>) {
        if !edge.to {
            return;
        }
        match part {
            Part::Start => self.prepare_start(d, edge, moment),
            Part::Abort => self.with_open(d, |operation| operation.freeze(Role::Abort)),
            Part::End => {
                self.with_open(d, |operation| operation.freeze(Role::End));
                self.note_part_at_end(d, moment);
            }
            Part::Pause => {}
        }
    }

    /// The edge did not hold.
    pub(super) fn cancelled(&mut self, d: usize, part: Part) {
        match part {
            Part::Abort => self.with_open(d, |operation| operation.thaw(Role::Abort)),
            Part::End => self.with_open(d, |operation| {
                operation.thaw(Role::End);
                operation.used.at_end = None;
            }),
            Part::Start => {
                if let Some(slot) = self.slot_of(d) {
                    slot.starting
                        .retain(|starting| starting.definition_index != d);
                    if let Some(open) = &mut slot.open {
                        open.thaw(Role::NextStart);
                    }
                }
            }
            Part::Pause => {}
        }
    }

    pub(super) fn abort_edge(&mut self, d: usize, edge: Edge, moment: &mut Moment<'_>) {
        let Some(slot) = self.open_slot(d, edge.at.boot) else {
            self.note_early(d, edge, true);
            return;
        };
        let reason = self
            .definitions
            .get(d)
            .and_then(|definition| definition.abort_reason.as_ref()?.text(&self.scope));
        let end = self.end(edge, Outcome::Aborted, EndCause::AbortTrigger, reason);
        self.finish(slot, end, Some(Role::Abort), moment);
    }

    pub(super) fn end_edge(&mut self, d: usize, edge: Edge, moment: &mut Moment<'_>) {
        let Some(slot) = self.open_slot(d, edge.at.boot) else {
            self.explain_unused(d, Unused::NothingOpen, moment);
            self.note_end(d, edge);
            self.note_early(d, edge, false);
            return;
        };
        let lost = self
            .slots
            .get(slot)
            .and_then(|slot| slot.open.as_ref())
            .is_some_and(|operation| operation.connection_losses > 0);
        let cause = if edge.uncertain && lost {
            EndCause::ConnectionLoss
        } else {
            EndCause::Trigger
        };
        let end = self.end(edge, Outcome::Completed, cause, None);
        self.finish(slot, end, Some(Role::End), moment);
    }

    pub(super) fn pause_edge(&mut self, d: usize, edge: Edge, paused: bool) {
        self.with_open(d, |operation| {
            if !paused {
                operation.resume(edge.at.boot);
            } else if operation.paused_since.is_none() {
                operation.paused_since = Some(edge.at.boot.max(operation.started.boot));
            }
        });
        self.unsaved = self.unsaved.max(Unsaved::Later);
    }

    /// A start edge held. `held` when it was debounced, so that everything was read when it began.
    pub(super) fn start_edge(&mut self, d: usize, edge: Edge, held: bool, moment: &mut Moment<'_>) {
        if !held {
            self.prepare_start(d, edge, moment);
        }
        let Some(slot_index) = self.definitions.get(d).map(|definition| definition.slot) else {
            return;
        };
        let allowed = self
            .definitions
            .get(d)
            .is_some_and(|found| found.start_allowed);
        let Some(slot) = self.slots.get_mut(slot_index) else {
            return;
        };
        let prepared = slot
            .starting
            .iter()
            .position(|starting| starting.definition_index == d);
        let starting = prepared.map(|place| slot.starting.swap_remove(place));
        // Until it is known whether the restored operation still runs, the decision is about this edge, too.
        let undecided = |open: &OpenOperation| open.undecided_since.is_some();
        if slot.open.as_ref().is_some_and(undecided) {
            self.explain_unused(d, Unused::Undecided, moment);
            return;
        }
        let paused = |open: &OpenOperation| {
            open.paused_since.is_some() || open.resumed_at == Some(edge.at.boot)
        };
        let open = slot.open.as_mut();
        if let Some(open) = open.filter(|open| open.definition_index == d && paused(open)) {
            open.resume(edge.at.boot);
            self.explain_unused(d, Unused::Resume, moment);
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
        if slot.open.is_some() && !self.make_room(slot_index, edge, moment) {
            self.explain_unused(d, Unused::Ignored, moment);
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

    /// Puts an operation into its free slot, and tells it unless `min_duration` must pass first.
    pub(super) fn open(
        &mut self,
        slot_index: usize,
        mut operation: OpenOperation,
        moment: &mut Moment<'_>,
    ) {
        let paused = self
            .definitions
            .get(operation.definition_index)
            .and_then(|definition| definition.pause.as_ref()?.trigger.settled());
        if paused == Some(true) {
            operation.paused_since = Some(operation.started.boot);
        }
        if let Some(slot) = self.slots.get_mut(slot_index) {
            slot.open = Some(operation);
        }
        self.unsaved = Unsaved::Soon;
        self.begin_using(slot_index);
        self.announce_due(moment);
    }

    /// Ends the running operation as `on_next_start` says; false when the new edge is to be ignored.
    fn make_room(&mut self, slot: usize, edge: Edge, moment: &mut Moment<'_>) -> bool {
        let running = self
            .slots
            .get(slot)
            .and_then(|slot| slot.open.as_ref())
            .and_then(|open| self.definitions.get(open.definition_index));
        let Some(running) = running else { return true };
        // An end that began before this start has waited long enough.
        let ended = running.end.trigger.pending();
        if let Some(ended) = ended.filter(|ended| ended.to && ended.at.boot <= edge.at.boot) {
            let end = self.end(ended, Outcome::Completed, EndCause::Trigger, None);
            self.finish(slot, end, Some(Role::End), moment);
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
    fn prepare_start(&mut self, d: usize, edge: Edge, moment: &Moment<'_>) {
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
        let counter = definition.recovery_counter.and_then(|c| self.raw_count(c));
        let mut operation = OpenOperation::begin(d, definition, at, facts, counter, |parameter| {
            self.at_start(parameter)
        });
        self.hold_at_start(definition, &mut operation);
        operation
    }

    fn at_start(&self, parameter: &Parameter) -> AtStart {
        let tag = self.tags.get(parameter.tag)?;
        // A text has no number, but its presence covers the time of an operation without parameters.
        let present = || self.scope.value(parameter.tag).map(|_| 0.0);
        let number = tag
            .number
            .or_else(|| parameter.takes_all().then(present).flatten())?;
        Some((tag.stamp, number, tag.uncertain))
    }

    fn end(&self, edge: Edge, outcome: Outcome, cause: EndCause, reason: Option<String>) -> End {
        End {
            at: edge.at,
            outcome,
            cause,
            reason,
            uncertain: edge.uncertain,
            uncertainty: edge.uncertainty,
            pieces: None,
            book: self.pieces_from == PiecesFrom::Operations,
        }
    }

    /// Closes the operation of a slot and tells it, unless it was shorter than `min_duration`.
    pub(super) fn finish(
        &mut self,
        slot_index: usize,
        mut end: End,
        role: Option<Role>,
        moment: &mut Moment<'_>,
    ) {
        self.unsaved = Unsaved::Soon;
        let Some(slot) = self.slots.get_mut(slot_index) else {
            return;
        };
        let Some(mut operation) = slot.open.take() else {
            return;
        };
        let Some(definition) = self.definitions.get(operation.definition_index) else {
            return;
        };
        if operation.identity.is_none() {
            let shortest = definition.settings.min_duration.get();
            let length = end.at.boot.since(operation.started.boot);
            if length < shortest && end.cause != EndCause::AbortTrigger {
                moment.health.short_operations.add(1);
                let d = operation.definition_index;
                self.explain_unused(d, Unused::Short(shortest), moment);
                self.part_goes_back(operation);
                return;
            }
            announce(&self.name, slot, &mut operation, moment);
        }
        let slot_name = slot.name.clone();
        self.part_at_end(definition, &mut operation, moment);
        end.pieces = match definition.pieces {
            PieceCount::Fixed(pieces) => Some(u64::from(pieces)),
            PieceCount::Tag(local) => pieces_of(self.scope.value(local)),
        };
        if end.uncertain {
            operation.flags.insert(Flag::EndTimeEstimated);
        }
        super::limits::finish(
            &self.name,
            &slot_name,
            definition,
            &mut operation,
            &end,
            moment,
        );
        let accumulators = operation.accumulators_at(role);
        let report = report::ended(definition, &mut operation, accumulators, &end);
        let id = report.id;
        let heading = Heading::operation(&self.name, &slot_name, end.at.utc, Some(id));
        self.intervals_operation(&report, end.at.boot);
        let kept = report.clone();
        let body = match end.outcome {
            Outcome::Completed => Body::OperationCompleted(Box::new(report)),
            Outcome::Aborted | Outcome::Interrupted => Body::OperationAborted(Box::new(report)),
        };
        let told = moment.tell(heading, body);
        self.keep_closed(slot_index, &operation, kept, end.at, told);
        self.context_used(operation.started.boot);
        self.report_counters(Some(id), operation.facts.order, moment);
    }

    /// Tells operations that have lasted for `min_duration`.
    pub(super) fn announce_due(&mut self, moment: &mut Moment<'_>) {
        let mut told = None;
        for slot in &mut self.slots {
            let Some(mut operation) = slot.open.take() else {
                continue;
            };
            let due = self
                .definitions
                .get(operation.definition_index)
                .map(|definition| announcement_due(definition, &operation));
            let undecided = operation.undecided_since.is_some() || operation.is_ending();
            if operation.identity.is_none()
                && !undecided
                && due.is_some_and(|due| due <= moment.now.boot)
            {
                announce(&self.name, slot, &mut operation, moment);
                self.unsaved = Unsaved::Soon;
                told = told.max(Some(operation.started.boot));
            }
            slot.open = Some(operation);
        }
        if let Some(started) = told {
            self.context_used(started);
        }
    }

    /// Aborts operations that exceed `max_duration`.
    pub(super) fn abort_long_running(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            let longest = self.slots.get(slot).and_then(|slot| self.longest_end(slot));
            if longest.is_none_or(|longest| longest > moment.now.boot) {
                continue;
            }
            if let Some(open) = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut()) {
                open.flags.insert(Flag::LongRunning);
            }
            let edge = Edge {
                to: true,
                at: moment.now,
                uncertain: false,
                uncertainty: None,
            };
            let end = self.end(edge, Outcome::Aborted, EndCause::MaxDuration, None);
            self.finish(slot, end, None, moment);
        }
    }

    /// When the slot's operation must be looked at.
    pub(super) fn operation_due(&self, slot: &Slot) -> Option<BootTime> {
        let operation = slot.open.as_ref()?;
        let longest = self.longest_end(slot)?;
        let waits = operation.undecided_since.is_some() || operation.is_ending();
        if operation.identity.is_some() || waits {
            return Some(longest);
        }
        let definition = self.definitions.get(operation.definition_index)?;
        Some(longest.min(announcement_due(definition, operation)))
    }

    fn longest_end(&self, slot: &Slot) -> Option<BootTime> {
        let operation = slot.open.as_ref()?;
        let definition = self.definitions.get(operation.definition_index)?;
        let longest = definition.settings.max_duration.get();
        let longest = operation.started.boot.plus(longest);
        Some(longest.max(operation.limit_not_before))
    }

    /// The end of an operation that is not decided yet: the decision will be about it.
    fn note_end(&mut self, d: usize, edge: Edge) {
        self.with_open(d, |operation| {
            if operation.undecided_since.is_some() {
                operation.end_seen = Some(edge.at);
            }
        });
    }

    /// An end or abort while the debounce of the start runs: it counts as soon as the start holds.
    fn note_early(&mut self, d: usize, edge: Edge, aborted: bool) {
        let Some(slot) = self.slot_of(d) else { return };
        let starting = slot.starting.iter_mut().find(|starting| {
            starting.definition_index == d && starting.started.boot <= edge.at.boot
        });
        if let Some(starting) = starting.filter(|starting| starting.ended_early.is_none()) {
            starting.freeze(if aborted { Role::Abort } else { Role::End });
            starting.ended_early = Some((edge, aborted));
        }
    }

    /// The slot whose open operation is of definition `d`, decided, and began not after `at`.
    fn open_slot(&self, d: usize, at: BootTime) -> Option<usize> {
        let slot = self.definitions.get(d)?.slot;
        let open = self.slots.get(slot)?.open.as_ref()?;
        let concerned = open.definition_index == d && open.undecided_since.is_none();
        (concerned && open.started.boot <= at).then_some(slot)
    }

    fn slot_of(&mut self, d: usize) -> Option<&mut Slot> {
        let slot = self.definitions.get(d)?.slot;
        self.slots.get_mut(slot)
    }

    fn with_open(&mut self, d: usize, change: impl FnOnce(&mut OpenOperation)) {
        if let Some(open) = self.slot_of(d).and_then(|slot| slot.open.as_mut())
            && open.definition_index == d
        {
            change(open);
        }
    }
}

fn announcement_due(definition: &Definition, operation: &OpenOperation) -> BootTime {
    operation
        .started
        .boot
        .plus(definition.settings.min_duration.get())
}

/// Gives the operation its ordinal and id, and tells its start.
fn announce(
    machine: &str,
    slot: &mut Slot,
    operation: &mut OpenOperation,
    moment: &mut Moment<'_>,
) {
    slot.ordinal += 1;
    let naming = moment.naming;
    let name = format!(
        "{}\n{machine}\n{}\n{}\n{}\n{}",
        naming.gateway, slot.name, naming.run, naming.epoch, slot.ordinal
    );
    let id = Uuid::new_v5(&OPERATION_NAMESPACE, name.as_bytes());
    operation.identity = Some((id, slot.ordinal));
    let heading = Heading::operation(machine, &slot.name, operation.started.utc, Some(id));
    let body = Body::OperationStarted(Box::new(report::started(operation)));
    moment.tell(heading, body);
}

/// Pieces as a tag says; a tag that is bad, or says less than none, says nothing.
fn pieces_of(value: Option<&crate::model::Value>) -> Option<u64> {
    let pieces = value?.number()?.round();
    (0.0..1e9).contains(&pieces).then_some(pieces as u64)
}
