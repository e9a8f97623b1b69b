//! How open operations go: every `progress_every`, and where the shift changes. Pure.
//!
//! Windows follow one another without a gap, from the start on. They go on through pauses; none is told at the end, since the
//! event of the end has the whole.

use super::{Heading, Machine, Moment, Slot, Unsaved};
use crate::aggregate::operation::{OpenOperation, Window, begin_parameter};
use crate::aggregate::report;
use crate::model::{Body, BootTime, Stamp};

impl Machine {
    pub(super) fn progress_due(&self) -> Option<BootTime> {
        let due = self.slots.iter().filter_map(|slot| self.window_end(slot));
        due.min()
    }

    /// Tells the windows that are over.
    pub(super) fn report_progress_due(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            let end = self.slots.get(slot).and_then(|slot| self.window_end(slot));
            if end.is_some_and(|end| end <= moment.now.boot) {
                self.report_progress(slot, moment);
            }
        }
    }

    /// The shift changed: open operations with `progress_every` tell the window so far.
    pub(super) fn progress_shift_changed(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            let open = self.slots.get(slot).and_then(|slot| slot.open.as_ref());
            let begun = open.and_then(|open| is_told(open)?.window.as_ref());
            if begun.is_some_and(|window| window.from.boot < moment.now.boot) {
                self.report_progress(slot, moment);
            }
        }
    }

    fn window_end(&self, slot: &Slot) -> Option<BootTime> {
        let open = is_told(slot.open.as_ref()?)?;
        let window = open.window.as_ref()?;
        let every = self.definitions.get(open.definition_index)?;
        let every = every.settings.progress_every?;
        Some(window.from.boot.plus(every.get()))
    }

    fn report_progress(&mut self, slot: usize, moment: &mut Moment<'_>) -> Option<()> {
        let to = moment.now;
        let d = self.slots.get(slot)?.open.as_ref()?.definition_index;
        let next = self.next_window(d, to)?;
        let definition = self.definitions.get(d)?;
        let slot = self.slots.get_mut(slot)?;
        let open = slot.open.as_mut()?;
        let (id, _) = open.identity?;
        let over = open.window.take()?;
        open.window = Some(Window {
            index: over.index.saturating_add(1),
            ..next
        });
        let report = report::progress(definition, open, over, to);
        let heading = Heading::operation(&self.name, &slot.name, to.utc, Some(id));
        moment.tell(heading, Body::OperationProgress(Box::new(report)));
        self.unsaved = Unsaved::Soon;
        Some(())
    }

    /// A window that begins at `from` with what the tags are then.
    fn next_window(&self, d: usize, from: Stamp) -> Option<Window> {
        let parameters = &self.definitions.get(d)?.parameters;
        let begin = parameters.iter().map(|parameter| {
            let mut begun = begin_parameter(parameter, from, self.at_start(parameter));
            let held = self.scope.value(parameter.tag);
            if let Some(value) = held.filter(|_| parameter.plan.sequence) {
                begun.hold(0, value);
            }
            begun
        });
        Some(Window {
            index: 0,
            from,
            accumulators: begin.collect(),
            unmeasured: false,
        })
    }
}

/// Windows of an operation that was not told, or of which it is not known whether it still runs, wait; one that ended has none.
fn is_told(open: &OpenOperation) -> Option<&OpenOperation> {
    let told = open.identity.is_some() && !open.is_undecided() && !open.is_over();
    told.then_some(open)
}
