//! What is due while an operation is open: its announcement after `min_duration`, its abort after `max_duration`, and that it
//! is given up when its devices are away for too long. Pure.

use super::{Heading, Machine, Moment, Slot, Unsaved};
use crate::aggregate::definition::Definition;
use crate::aggregate::operation::{OpenOperation, Role};
use crate::aggregate::report;
use crate::aggregate::trigger::Edge;
use crate::model::{Body, BootTime, EndCause, Flag, Outcome};
use uuid::Uuid;

/// Names of operations: UUIDv5 in this namespace over gateway, equipment, slot, run, epoch and ordinal.
const OPERATION_NAMESPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_6761_5005_8f6f_7065_7261_7469);

impl Machine {
    /// Tells operations that have lasted for `min_duration`, and that they are paused if they are.
    pub(super) fn announce_due(&mut self, moment: &mut Moment<'_>) {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let Some(mut operation) = slot.open.take() else {
                continue;
            };
            let due = self
                .definitions
                .get(operation.definition_index)
                .map(|definition| announcement_due(definition, &operation));
            let waits = operation.is_undecided() || operation.is_ending();
            let tells = operation.identity.is_none()
                && !waits
                && due.is_some_and(|due| due <= moment.now.boot);
            if tells {
                announce(&self.name, slot, &mut operation, moment);
                self.unsaved = Unsaved::Soon;
            }
            let (started, paused) = (operation.started.boot, operation.paused_since);
            slot.open = Some(operation);
            if !tells {
                continue;
            }
            if let Some(since) = paused {
                self.tell_pause(index, moment.now.at(since).utc, moment);
            }
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

    /// Aborts operations whose end has not been known for `give_up_after`, also while it still is not.
    pub(super) fn give_up_lost(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            let due = self.slots.get(slot).and_then(|slot| self.give_up_at(slot));
            if due.is_some_and(|(due, _)| due <= moment.now.boot) {
                let since = due.and_then(|(_, since)| since);
                self.give_up(slot, since, moment);
            }
        }
    }

    fn give_up(
        &mut self,
        slot: usize,
        since: Option<BootTime>,
        moment: &mut Moment<'_>,
    ) -> Option<()> {
        let open = self.slots.get_mut(slot)?.open.as_mut()?;
        open.flags.insert(Flag::ConnectionLoss);
        open.undecided_since = None;
        let d = open.definition_index;
        let edge = Edge {
            to: true,
            at: moment.now,
            uncertain: true,
            uncertainty: since.map(|since| moment.now.boot.since(since)),
        };
        let end = self.end(edge, Outcome::Aborted, EndCause::ConnectionLoss, None);
        self.finish(slot, end, None, moment);
        // What is open while a condition holds is begun again where it turns out to hold still.
        if let Some(during) = &mut self.definitions.get_mut(d)?.during {
            during.waits = true;
        }
        Some(())
    }

    /// When the slot's operation is given up, and since when its end has not been known, where that can be measured.
    fn give_up_at(&self, slot: &Slot) -> Option<(BootTime, Option<BootTime>)> {
        let operation = slot.open.as_ref().filter(|open| !open.is_over())?;
        let definition = self.definitions.get(operation.definition_index)?;
        let loss = definition.settings.connection_loss.as_ref()?;
        let trigger = &definition.end.trigger;
        let since = match trigger.settled() {
            Some(_) => trigger.unknown_since()?,
            None if definition.end.condition.tags.is_empty() => return None,
            None => operation.started.boot,
        };
        let since = since.max(operation.started.boot);
        // Time without power is no time in which nobody answered: they are waited for anew.
        let due = since.max(operation.restored_at);
        let measured = !operation.unmeasured;
        Some((
            due.plus(loss.give_up_after.get()),
            measured.then_some(since),
        ))
    }

    /// When the slot's operation must be looked at.
    pub(super) fn operation_due(&self, slot: &Slot) -> Option<BootTime> {
        let operation = slot.open.as_ref()?;
        if let Some(tail) = operation.tail.as_ref().filter(|_| operation.is_over()) {
            return Some(tail.until);
        }
        let definition = self.definitions.get(operation.definition_index)?;
        let waits = operation.is_undecided() || operation.is_ending();
        let announcement = (operation.identity.is_none() && !waits)
            .then(|| announcement_due(definition, operation));
        let tail = operation.tail.as_ref();
        let frozen = tail.filter(|_| !operation.is_frozen(Role::End));
        self.longest_end(slot)
            .into_iter()
            .chain(announcement)
            .chain(frozen.map(|tail| tail.until))
            .chain(self.give_up_at(slot).map(|(due, _)| due))
            .min()
    }

    fn longest_end(&self, slot: &Slot) -> Option<BootTime> {
        let operation = slot.open.as_ref().filter(|open| !open.is_over())?;
        let definition = self.definitions.get(operation.definition_index)?;
        let longest = definition.settings.max_duration.get();
        let longest = operation.started.boot.plus(longest);
        // An end that began in time is waited for, until it is known whether it holds.
        let end = &definition.end.trigger;
        let began = |edge: &Edge| edge.to && edge.at.boot <= longest;
        let held = end.pending().filter(began).and(end.due());
        let longest = held.map_or(longest, |held| held.max(longest));
        Some(longest.max(operation.limit_not_before))
    }

    /// The wall clock stepped: whatever is open says so. Its durations are not touched.
    pub(in crate::aggregate) fn clock_stepped(&mut self) {
        for slot in &mut self.slots {
            for operation in slot.operations_mut().filter(|open| !open.is_over()) {
                operation.flags.insert(Flag::ClockStepped);
                self.unsaved = Unsaved::Soon;
            }
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
pub(super) fn announce(
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
