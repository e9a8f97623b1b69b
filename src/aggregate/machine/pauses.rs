//! Pauses of open operations: told when they begin and end, with their reason. Pure.

use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::report;
use crate::aggregate::trigger::Edge;
use crate::model::{Body, UtcTime};

impl Machine {
    /// An edge of `pause`. Until it is known whether a restored operation still runs, nothing is told: `catch_up_pause` does.
    pub(super) fn pause_edge(
        &mut self,
        d: usize,
        edge: Edge,
        paused: bool,
        moment: &mut Moment<'_>,
    ) {
        self.unsaved = self.unsaved.max(Unsaved::Later);
        let Some(definition) = self.definitions.get(d) else {
            return;
        };
        let slot = definition.slot;
        let reason = definition.pause_reason.as_ref();
        let reason = reason.and_then(|fact| fact.text(&self.scope));
        let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
        let Some(open) = open.filter(|open| is_running(open, d)) else {
            return;
        };
        if paused == open.paused_since.is_some() {
            return;
        }
        let begun = open.started;
        let at = if edge.at.boot < begun.boot {
            begun
        } else {
            edge.at
        };
        if paused {
            open.paused_since = Some(at.boot);
            open.pause_reason = reason;
        } else {
            open.resume(at.boot);
        }
        self.tell_pause(slot, at.utc, moment);
    }

    /// A start edge while the operation of the same definition is paused, or in the instant in which it was resumed: that is the
    /// resume. True when it was.
    pub(super) fn resumes(&mut self, d: usize, edge: Edge, moment: &mut Moment<'_>) -> bool {
        let Some(slot) = self.definitions.get(d).map(|definition| definition.slot) else {
            return false;
        };
        let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
        let Some(open) = open.filter(|open| is_running(open, d)) else {
            return false;
        };
        if open.paused_since.is_none() {
            return open.resumed_at == Some(edge.at.boot);
        }
        open.resume(edge.at.boot);
        self.tell_pause(slot, edge.at.utc, moment);
        true
    }

    /// A restored operation goes on: what `pause` says by now is told.
    pub(super) fn catch_up_pause(&mut self, d: usize, moment: &mut Moment<'_>) {
        let definition = self.definitions.get(d);
        let paused = definition.and_then(|d| d.pause.as_ref()?.trigger.settled());
        if let Some(paused) = paused {
            let edge = Edge {
                to: paused,
                at: moment.now,
                uncertain: true,
                uncertainty: None,
            };
            self.pause_edge(d, edge, paused, moment);
        }
    }

    /// Tells whether the operation of a slot is paused now, if it was told at all.
    pub(super) fn tell_pause(&mut self, slot: usize, at: UtcTime, moment: &mut Moment<'_>) {
        let Some(slot) = self.slots.get(slot) else {
            return;
        };
        let Some(open) = &slot.open else { return };
        let Some((id, _)) = open.identity else { return };
        let mut report = report::started(open);
        report.reason.clone_from(&open.pause_reason);
        let body = if open.paused_since.is_some() {
            Body::OperationPaused(Box::new(report))
        } else {
            Body::OperationResumed(Box::new(report))
        };
        moment.tell(
            Heading::operation(&self.name, &slot.name, at, Some(id)),
            body,
        );
        self.unsaved = Unsaved::Soon;
    }
}

fn is_running(open: &OpenOperation, d: usize) -> bool {
    open.definition_index == d && !open.is_undecided() && !open.is_over()
}
