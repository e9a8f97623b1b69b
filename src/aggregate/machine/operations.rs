//! What the edges of a machine's conditions do to its operations: start, pause, end, abort. Pure.
//!
//! `starts` opens them, `ends` closes them, `lengths` knows what is due while they are open, `pauses` and `changes` are what
//! their names say.

use super::explain::Unused;
use super::{Machine, Moment, Part, Slot};
use crate::aggregate::operation::{OpenOperation, Role};
use crate::aggregate::trigger::Edge;
use crate::model::{BootTime, EndCause, Outcome};

impl Machine {
    /// An edge began whose debounce runs: what it would need is kept.
    pub(super) fn began(&mut self, d: usize, part: Part, edge: Edge, moment: &Moment<'_>) {
        if !edge.to {
            return;
        }
        match part {
            Part::Start => self.prepare_start(d, edge, moment),
            Part::Abort => self.with_running(d, |operation| operation.freeze(Role::Abort)),
            Part::End => self.end_began(d, edge, moment),
            Part::Pause => {}
        }
    }

    /// The edge did not hold.
    pub(super) fn cancelled(&mut self, d: usize, part: Part) {
        match part {
            Part::Abort => self.with_running(d, |operation| operation.thaw(Role::Abort)),
            Part::End => self.with_running(d, |operation| {
                operation.thaw(Role::End);
                operation.tail = None;
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
        let Some(slot) = self.running_slot(d, edge.at.boot) else {
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
        let Some(slot) = self.running_slot(d, edge.at.boot) else {
            self.explain_unused(d, Unused::NothingOpen, moment);
            self.note_end(d, edge);
            self.note_early(d, edge, false);
            return;
        };
        let cause = self.cause_of(slot, edge);
        let end = self.end(edge, Outcome::Completed, cause, None);
        self.end_or_trail(slot, end, moment);
    }

    /// The end of an operation that is not decided yet: the decision will be about it.
    fn note_end(&mut self, d: usize, edge: Edge) {
        self.with_running(d, |operation| {
            if operation.is_undecided() {
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

    /// The slot whose operation is of definition `d`, runs, is decided, and began not after `at`.
    fn running_slot(&self, d: usize, at: BootTime) -> Option<usize> {
        let slot = self.definitions.get(d)?.slot;
        let open = self.slots.get(slot)?.open.as_ref()?;
        let concerned = open.definition_index == d && !open.is_undecided() && !open.is_over();
        (concerned && open.started.boot <= at).then_some(slot)
    }

    fn slot_of(&mut self, d: usize) -> Option<&mut Slot> {
        let slot = self.definitions.get(d)?.slot;
        self.slots.get_mut(slot)
    }

    /// Does something to the operation of definition `d`, if it is open and its end has not been.
    pub(super) fn with_running(&mut self, d: usize, change: impl FnOnce(&mut OpenOperation)) {
        if let Some(open) = self.slot_of(d).and_then(|slot| slot.open.as_mut())
            && open.definition_index == d
            && !open.is_over()
        {
            change(open);
        }
    }
}
