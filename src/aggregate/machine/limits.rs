//! Limits on raw values of open operations, told at once. Pure.
//!
//! The samples that belong to an operation count, and of a tag that comes on change what it holds where the operation, or
//! `while:`, begins. Nothing stays exceeded beyond the end of its operation or of its `while:`.

use super::{Heading, Machine, Moment, Slot, Tag, Unsaved};
use crate::aggregate::condition::Known;
use crate::aggregate::definition::Definition;
use crate::aggregate::limit::{Crossing, Reached};
use crate::aggregate::limited::Limit;
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::report::{self, End};
use crate::aggregate::statistics::seconds;
use crate::model::{Body, BootTime, EndCause, LimitReport, Sample, Stamp};

impl Machine {
    /// What the tags of limits and sequences hold where an operation begins.
    pub(super) fn hold_at_start(&self, definition: &Definition, operation: &mut OpenOperation) {
        for (p, parameter) in definition.parameters.iter().enumerate() {
            let Some(tag) = self.tags.get(parameter.tag) else {
                continue;
            };
            let held = self.scope.value(parameter.tag);
            if let Some(value) = held.filter(|_| parameter.plan.sequence) {
                for (_, accumulator) in operation.measures(p) {
                    accumulator.hold(0, value);
                }
            }
            let started = operation.started;
            if parameter.limited && parameter.inside() == Known::True {
                hold(definition, p, tag, operation, started);
            }
        }
    }

    /// When [`Machine::limits_expire`] has something to do.
    pub(super) fn limits_due(&self) -> Option<BootTime> {
        let slots = self.slots.iter();
        slots
            .flat_map(|slot| slot.open.iter().chain(&slot.starting))
            .filter_map(|operation| {
                let definition = self.definitions.get(operation.definition_index)?;
                let due = operation.limits.due(&definition.limits)?;
                Some(operation.started.boot.shifted(due))
            })
            .min()
    }

    pub(super) fn limits_expire(&mut self, moment: &mut Moment<'_>) {
        for slot in &mut self.slots {
            for operation in slot.operations_mut() {
                if let Some(definition) = self.definitions.get(operation.definition_index) {
                    let t = operation.offset(moment.now.boot);
                    operation.limits.expire(&definition.limits, t);
                }
            }
        }
        self.tell_limits(moment);
    }

    /// Tells what waits, of operations that may be spoken of.
    pub(super) fn tell_limits(&mut self, moment: &mut Moment<'_>) {
        for slot in &mut self.slots {
            let Some(mut operation) = slot.open.take_if(|open| open.limits.has_waiting()) else {
                continue;
            };
            let definition = self.definitions.get(operation.definition_index);
            if let Some(definition) = definition.filter(|_| may_tell(slot, &operation)) {
                tell(&self.name, &slot.name, definition, &mut operation, moment);
                self.unsaved = Unsaved::Soon;
            }
            slot.open = Some(operation);
        }
    }
}

/// It was told, it goes on, and it is not being found out whether it ended or another one began.
fn may_tell(slot: &Slot, operation: &OpenOperation) -> bool {
    operation.identity.is_some()
        && operation.undecided_since.is_none()
        && !operation.may_be_over()
        && slot.starting.is_empty()
}

/// A sample of a parameter that has limits. True when something is to be told.
pub(super) fn measure(
    definition: &Definition,
    p: usize,
    tag: &Tag,
    sample: &Sample,
    operation: &mut OpenOperation,
) -> bool {
    let inside = definition.parameters.get(p).map(|p| p.inside());
    let t = operation.offset(sample.stamp.boot);
    match (inside, tag.number) {
        (Some(Known::True), Some(value)) if t >= 0 => {
            let utc = sample.stamp.utc;
            let now = Reached { t, utc, value };
            operation.limits.value(&definition.limits, p, now)
        }
        (Some(Known::True), None) => {
            operation.limits.unknown(&definition.limits, p);
            false
        }
        _ => false,
    }
}

/// `while:` of a parameter changed.
pub(super) fn gate(
    definition: &Definition,
    p: usize,
    inside: Known,
    tag: &Tag,
    operation: &mut OpenOperation,
    now: Stamp,
) {
    let limits = &definition.limits;
    let limited = definition.parameters.get(p).is_some_and(|p| p.limited);
    match inside {
        _ if !limited => {}
        Known::True => hold(definition, p, tag, operation, now),
        Known::False => {
            let t = operation.offset(now.boot);
            operation.limits.leave(limits, p, t, now.utc);
        }
        Known::Unknown => operation.limits.unknown(limits, p),
    }
}

/// A polled tag says soon enough what it is; one that comes on change holds what it said last.
fn hold(definition: &Definition, p: usize, tag: &Tag, operation: &mut OpenOperation, now: Stamp) {
    let on_change = definition
        .parameters
        .get(p)
        .is_some_and(|parameter| parameter.every.is_zero());
    let fresh = tag.stamp.boot == now.boot;
    if let Some(value) = tag.number.filter(|_| on_change || fresh) {
        let t = operation.offset(now.boot);
        let utc = now.utc;
        let now = Reached { t, utc, value };
        operation.limits.value(&definition.limits, p, now);
    }
}

/// The operation ends: what is exceeded is cleared before the end is told, so that no MES keeps an alarm open.
pub(super) fn finish(
    machine: &str,
    slot: &str,
    definition: &Definition,
    operation: &mut OpenOperation,
    end: &End,
    moment: &mut Moment<'_>,
) {
    if end.cause == EndCause::RecoveredState {
        operation.limits.forget_new();
    }
    let t = operation.offset(end.at.boot);
    operation.limits.finish(t, end.at.utc);
    tell(machine, slot, definition, operation, moment);
}

fn tell(
    machine: &str,
    slot: &str,
    definition: &Definition,
    operation: &mut OpenOperation,
    moment: &mut Moment<'_>,
) {
    let held_back = operation.limits.take_held_back();
    moment.health.limits_held_back.add(held_back);
    while let Some((index, crossing, answers)) = operation.limits.next() {
        let Some(limit) = definition.limits.get(index) else {
            continue;
        };
        let id = operation.identity.map(|(id, _)| id);
        let heading = Heading {
            causation: answers,
            ..Heading::operation(machine, slot, crossing.reached().utc, id)
        };
        let report = said(definition, operation, limit, crossing);
        match crossing {
            Crossing::Exceeded(_) => {
                let event = moment.tell(heading, Body::LimitExceeded(report));
                operation.limits.was_told(index, event);
            }
            Crossing::Cleared { .. } => {
                moment.tell(heading, Body::LimitCleared(report));
            }
        }
    }
}

fn said(
    definition: &Definition,
    operation: &OpenOperation,
    limit: &Limit,
    crossing: Crossing,
) -> LimitReport {
    let (peak, exceeded_s) = match crossing {
        Crossing::Exceeded(_) => (None, None),
        Crossing::Cleared {
            back,
            peak,
            since,
            broken,
            ..
        } => {
            let outside = seconds(back.t.saturating_sub(since).max(0));
            (Some(peak), (!broken).then_some(outside))
        }
    };
    let parameter = limit
        .parameter
        .and_then(|place| definition.parameters.get(place));
    LimitReport {
        operation: Box::new(report::started(operation)),
        parameter: limit.name.clone(),
        unit: parameter.and_then(|parameter| parameter.unit.clone()),
        which: limit.threshold.side,
        threshold: limit.threshold.at,
        value: crossing.reached().value,
        hysteresis: limit.threshold.hysteresis,
        hold_s: seconds(limit.threshold.hold),
        severity: limit.severity,
        peak,
        exceeded_s,
    }
}
