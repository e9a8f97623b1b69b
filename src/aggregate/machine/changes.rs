//! Operations that are open while a condition holds, and their succession where a tag changes meanwhile. Pure.

use super::{Machine, Moment, Unsaved};
use crate::aggregate::condition::Known;
use crate::aggregate::definition::Definition;
use crate::aggregate::trigger::Edge;
use crate::model::{EndCause, Outcome};

impl Machine {
    /// Where the tag of `new_when_changed` changes while the condition holds, one operation ends and the next begins.
    pub(super) fn step_changes(&mut self, moment: &mut Moment<'_>) {
        // Definitions of earlier settings stand last: what they began ends before the present one begins.
        for d in (0..self.definitions.len()).rev() {
            self.step_change(d, moment);
        }
    }

    fn step_change(&mut self, d: usize, moment: &mut Moment<'_>) -> Option<()> {
        let definition = self.definitions.get(d)?;
        let local = definition.during.as_ref()?.tag?;
        let slot = definition.slot;
        let concerned = self.changed.contains(&local) || self.affected(&definition.start.condition);
        let open = self.slots.get(slot)?.open.as_ref();
        // A restored operation is decided first, also by this tag.
        if !concerned || open.is_some_and(|open| open.is_undecided()) {
            return None;
        }
        let holds = moment.evaluate(&definition.start.condition, &self.scope);
        // While it is not known whether it holds, a change may be anything: it is compared when it is known.
        let value = self.scope.value(local).filter(|_| holds != Known::Unknown);
        let settled = definition.start.trigger.settled() == Some(true);
        let during = self.definitions.get_mut(d)?.during.as_mut()?;
        let before = during.watched.clone();
        let edge = during.watched.observe(value, moment.now);
        if during.watched == before {
            return None;
        }
        self.unsaved = self.unsaved.max(Unsaved::Later);
        match edge.filter(|_| settled && holds == Known::True) {
            Some(edge) => {
                self.explain_change(d, local, moment);
                let succeeded = self.succeed(d, slot, edge, moment);
                self.explain_no_more(moment);
                succeeded
            }
            None => self.learn_key(d, slot),
        }
    }

    /// One operation ends and the next begins, with the same stamp.
    fn succeed(
        &mut self,
        d: usize,
        slot: usize,
        edge: Edge,
        moment: &mut Moment<'_>,
    ) -> Option<()> {
        let Definition { name, retired, .. } = self.definitions.get(d)?;
        let retired = *retired;
        let open = self.slots.get(slot)?.open.as_ref();
        // Also one that began with earlier settings: the next one of that name begins.
        let open =
            open.filter(|open| open.definition_index == d || !retired && open.definition == *name);
        let ends = open.is_some();
        let recovered = open.is_some_and(|open| open.recovered);
        if ends {
            let cause = match self.cause_of(slot, edge) {
                EndCause::Trigger if edge.uncertain && recovered => EndCause::RecoveredState,
                cause => cause,
            };
            let end = self.end(edge, Outcome::Completed, cause, None);
            self.finish(slot, end, None, moment);
        }
        match retired {
            false => self.start_edge(d, edge, false, moment),
            true if ends => self.hand_over(slot),
            true => {}
        }
        Some(())
    }

    /// What began with earlier settings has ended: what holds by the present ones has waited for the slot.
    fn hand_over(&mut self, slot: usize) {
        let present = self.definitions.iter_mut();
        for definition in present.filter(|one| one.slot == slot && !one.retired) {
            if let Some(during) = &mut definition.during {
                during.waits = true;
            }
        }
    }

    /// The tag said nothing when the operation began: what it says first goes with it.
    fn learn_key(&mut self, d: usize, slot: usize) -> Option<()> {
        let key = self.definitions.get(d)?.during.as_ref()?.watched.last();
        let open = self.slots.get_mut(slot)?.open.as_mut()?;
        if open.definition_index == d && open.key.is_none() {
            open.key = key.cloned();
        }
        Some(())
    }

    /// The condition was seen for the first time, and holds: the gateway came up in the middle.
    pub(super) fn holds_already(&mut self, d: usize) {
        let during = self.definitions.get_mut(d).and_then(|d| d.during.as_mut());
        if let Some(during) = during {
            during.waits = true;
        }
    }

    /// Begins what waits for an operation, as soon as its slot is free and `only_if` is known.
    pub(super) fn open_waiting(&mut self, moment: &mut Moment<'_>) {
        for d in 0..self.definitions.len() {
            let waits = |machine: &Machine| {
                let definition = machine.definitions.get(d)?;
                Some(definition.during.as_ref()?.waits)
            };
            if waits(self) == Some(true) && self.open_waiter(d, moment) == Some(true) {
                let during = self.definitions.get_mut(d);
                if let Some(during) = during.and_then(|d| d.during.as_mut()) {
                    during.waits = false;
                    self.unsaved = self.unsaved.max(Unsaved::Later);
                }
            }
        }
    }

    /// True when it waits no longer.
    fn open_waiter(&mut self, d: usize, moment: &mut Moment<'_>) -> Option<bool> {
        let definition = self.definitions.get(d)?;
        if definition.start.trigger.settled() != Some(true) || definition.retired {
            return Some(true);
        }
        if let Some(open) = &self.slots.get(definition.slot)?.open {
            return Some(open.definition_index == d && !open.is_undecided());
        }
        let holds = moment.evaluate(&definition.start.condition, &self.scope);
        let only_if = definition.only_if.as_ref();
        let allowed = only_if.map(|only_if| moment.evaluate(only_if, &self.scope));
        if holds != Known::True || allowed == Some(Known::Unknown) {
            return Some(false);
        }
        let edge = Edge {
            to: true,
            at: moment.now,
            uncertain: true,
            uncertainty: None,
        };
        self.start_edge(d, edge, false, moment);
        Some(true)
    }
}
