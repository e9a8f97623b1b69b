//! Ends operations: by an edge, with the samples that trail it, or for any other reason. Pure.

use super::counters::CountedFor;
use super::explain::Unused;
use super::lengths::announce;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::definition::PieceCount;
use crate::aggregate::operation::Role;
use crate::aggregate::report::{self, End};
use crate::aggregate::trigger::Edge;
use crate::model::{Body, EndCause, Flag, Outcome};
use crate::settings::shape::PiecesFrom;
use std::time::Duration;

impl Machine {
    pub(super) fn end(
        &self,
        edge: Edge,
        outcome: Outcome,
        cause: EndCause,
        reason: Option<String>,
    ) -> End {
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

    /// Why an operation ended whose end was found by `edge`: seen, or found after a loss.
    pub(super) fn cause_of(&self, slot: usize, edge: Edge) -> EndCause {
        let open = self.slots.get(slot).and_then(|slot| slot.open.as_ref());
        let lost = open.is_some_and(|operation| operation.connection_losses > 0);
        if edge.uncertain && lost {
            EndCause::ConnectionLoss
        } else {
            EndCause::Trigger
        }
    }

    /// The end began, and its debounce runs.
    pub(super) fn end_began(&mut self, d: usize, edge: Edge, moment: &Moment<'_>) {
        let trailing = self.trailing(d);
        self.with_running(d, |operation| {
            if trailing.is_zero() {
                operation.freeze(Role::End);
            } else {
                operation.trail(edge.at.boot, trailing);
            }
        });
        self.note_part_at_end(d, moment);
    }

    fn trailing(&self, d: usize) -> Duration {
        let definition = self.definitions.get(d);
        definition.map_or(Duration::ZERO, |d| d.settings.ends().trailing.get())
    }

    /// The end edge held: closes the operation as soon as nothing can trail it any more.
    pub(super) fn end_or_trail(&mut self, slot: usize, mut end: End, moment: &mut Moment<'_>) {
        let open = self.slots.get(slot).and_then(|slot| slot.open.as_ref());
        let Some(d) = open.map(|open| open.definition_index) else {
            return;
        };
        let trailing = self.trailing(d);
        if trailing.is_zero() {
            self.finish(slot, end, Some(Role::End), moment);
            return;
        }
        end.pieces = self.pieces_now(d);
        self.note_part_at_end(d, moment);
        let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
        let Some(open) = open else { return };
        let debounced = open.tail.is_some();
        if !debounced {
            open.trail(end.at.boot, trailing);
            self.note_part_at_end(d, moment);
        }
        let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
        let Some(until) = open.and_then(|open| open.ended(end)) else {
            return;
        };
        self.unsaved = Unsaved::Soon;
        if until <= moment.now.boot {
            self.finish_trailed(slot, moment);
        }
    }

    /// Nothing trails the operation any more, or the next one begins.
    pub(super) fn finish_trailed(&mut self, slot: usize, moment: &mut Moment<'_>) {
        let open = self.slots.get(slot).and_then(|slot| slot.open.as_ref());
        let Some(open) = open else { return };
        let Some(end) = open.tail.as_ref().and_then(|tail| tail.end.clone()) else {
            return;
        };
        // What comes after the next start is not its own, and what comes after the trailing time neither.
        let roles = [Role::NextStart, Role::End];
        let role = roles.into_iter().find(|role| open.is_frozen(*role));
        self.finish(slot, end, role, moment);
    }

    /// Closes operations whose trailing time is over; where the debounce of the end still runs, keeps their statistics.
    pub(super) fn end_trailing(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
            let Some(open) = open else { continue };
            let Some(tail) = &open.tail else { continue };
            if tail.until > moment.now.boot {
                continue;
            }
            if open.is_over() {
                self.finish_trailed(slot, moment);
            } else if !open.is_frozen(Role::End) {
                open.freeze(Role::End);
            }
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
        let d = operation.definition_index;
        let Some(definition) = self.definitions.get(d) else {
            return;
        };
        if operation.identity.is_none() {
            let shortest = definition.settings.min_duration.get();
            let length = end.at.boot.since(operation.started.boot);
            if length < shortest && end.cause != EndCause::AbortTrigger {
                moment.health.short_operations.add(1);
                self.explain_unused(d, Unused::Short(shortest), moment);
                self.part_goes_back(operation, moment);
                return;
            }
            announce(&self.name, slot, &mut operation, moment);
            self.context_used(operation.started.boot);
        }
        let tail = operation.tail.take().filter(|tail| tail.end.is_some());
        if tail.is_none() {
            end.pieces = self.pieces_now(d);
        }
        if end.uncertain {
            operation.flags.insert(Flag::EndTimeEstimated);
        }
        let Some((definition, slot)) = self.definitions.get(d).zip(self.slots.get(slot_index))
        else {
            return;
        };
        self.part_at_end(definition, &mut operation, moment);
        super::limits::finish(
            &self.name,
            &slot.name,
            definition,
            &mut operation,
            &end,
            moment,
        );
        let accumulators = operation.accumulators_at(role);
        let own = tail.as_ref().map(|tail| tail.covered.as_slice());
        let report = report::ended(definition, &mut operation, accumulators, own, &end);
        let id = report.id;
        let heading = Heading::operation(&self.name, &slot.name, end.at.utc, Some(id));
        self.intervals_operation(&report, end.at.boot);
        let kept = report.clone();
        let body = match end.outcome {
            Outcome::Completed => Body::OperationCompleted(Box::new(report)),
            Outcome::Aborted | Outcome::Interrupted => Body::OperationAborted(Box::new(report)),
        };
        let told = moment.tell(heading, body);
        self.keep_closed(slot_index, &operation, kept, end.at, told);
        let counted = CountedFor {
            operation: Some(id),
            order: operation.facts.order,
            product: operation.facts.product,
        };
        self.report_counters_of(counted, moment);
    }

    fn pieces_now(&self, d: usize) -> Option<u64> {
        match self.definitions.get(d)?.pieces {
            PieceCount::Fixed(pieces) => Some(u64::from(pieces)),
            PieceCount::Tag(local) => pieces_of(self.scope.value(local)),
        }
    }
}

/// Pieces as a tag says; a tag that is bad, or says less than none, says nothing.
fn pieces_of(value: Option<&crate::model::Value>) -> Option<u64> {
    let pieces = value?.number()?.round();
    (0.0..1e9).contains(&pieces).then_some(pieces as u64)
}
