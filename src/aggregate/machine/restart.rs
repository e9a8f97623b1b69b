//! Carries a machine over a restart of the gateway: what is kept, and what becomes of an operation that was open.
//!
//! An open operation that still runs, with its recovery counter unchanged or none set, goes on. Else it is closed once,
//! and if something runs now a new one opens. Operations are never invented: further cycles are only counted.

use super::{Machine, Moment, ORDER, Unsaved, armed, armed_mut};
use crate::aggregate::condition::Known;
use crate::aggregate::counter::Tally;
use crate::aggregate::equipment;
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::report::End;
use crate::aggregate::saved::{self, Saved};
use crate::aggregate::trigger;
use crate::model::{BootTime, EndCause, Flag, Outcome, Value};
use crate::settings::shape::{Operation, PiecesFrom};
use crate::settings::{self, Plant};
use serde::{Deserialize, Serialize};

/// How the present run follows the last one.
#[derive(Clone, Copy, Debug)]
pub(in crate::aggregate) struct Resumed {
    /// When the last run was last known to be alive, on its own boot clock.
    pub(in crate::aggregate) alive: BootTime,
    /// From its boot clock to the present one.
    pub(in crate::aggregate) shift_ns: i64,
    /// False when a reboot without a synchronised clock lies between.
    pub(in crate::aggregate) measurable: bool,
    /// The box was not rebooted.
    pub(in crate::aggregate) same_boot: bool,
}

/// A slot in the checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedSlot {
    ordinal: u64,
    open: Option<OpenOperation>,
}

/// The definition that an open operation carries. JSON, since it must be readable by a later release.
#[derive(Debug, Serialize, Deserialize)]
struct SavedDefinition {
    name: String,
    operation: Operation,
}

/// The conditions in the checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedConditions {
    /// By operation: abort, end, pause, start.
    triggers: Vec<(String, [trigger::Memory; 4])>,
    /// Last known values of tags whose changes are waited for.
    pulses: Vec<(String, Value)>,
}

impl Machine {
    /// Everything that must outlive the gateway, by key.
    pub(in crate::aggregate) fn save(&self, into: &mut Saved) {
        let name = &self.scope_key();
        if let Some(memory) = self.equipment.memory() {
            into.put(format!("{name}/equipment"), memory);
        }
        into.put(format!("{name}/conditions"), &self.saved_conditions());
        for counter in &self.counters {
            if let Some(tally) = counter.counter.tally() {
                into.put(format!("{name}/counter/{}", counter.name), &tally);
            }
        }
        for slot in &self.slots {
            let key = format!("{name}/slot/{}", slot.name);
            if let Some(definition) = slot
                .open
                .as_ref()
                .and_then(|open| self.definitions.get(open.definition_index))
            {
                let carried = SavedDefinition {
                    name: definition.name.clone(),
                    operation: definition.settings.clone(),
                };
                into.put_json(format!("{key}/definition"), &carried);
            }
            let saved = SavedSlot {
                ordinal: slot.ordinal,
                open: slot.open.clone(),
            };
            into.put(key, &saved);
        }
    }

    /// Before the keys of this machine's entries.
    pub(in crate::aggregate) fn scope_key(&self) -> String {
        format!("machine/{}", self.name)
    }

    fn saved_conditions(&self) -> SavedConditions {
        let memory = |definition, part| {
            armed(definition, part).map_or_else(Default::default, |armed| armed.trigger.memory())
        };
        let pulsing: std::collections::BTreeSet<usize> = self
            .definitions
            .iter()
            .flat_map(|definition| ORDER.iter().filter_map(|part| armed(definition, *part)))
            .filter(|armed| armed.condition.uses_pulses)
            .flat_map(|armed| armed.condition.tags.iter().copied())
            .collect();
        let pulses = self
            .scope
            .tag_names()
            .enumerate()
            .filter(|(local, _)| pulsing.contains(local))
            .filter_map(|(local, name)| {
                Some((name.to_owned(), self.scope.last_known(local)?.clone()))
            })
            .collect();
        SavedConditions {
            triggers: self
                .definitions
                .iter()
                .filter(|definition| !definition.retired)
                .map(|definition| {
                    (
                        definition.name.clone(),
                        ORDER.map(|part| memory(definition, part)),
                    )
                })
                .collect(),
            pulses,
        }
    }

    /// Goes on with what the checkpoint says. Entries that cannot be read are left out: they were counted when they were written.
    pub(in crate::aggregate) fn restore(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        entries: &std::collections::BTreeMap<String, Vec<u8>>,
        resumed: Resumed,
    ) {
        let name = self.scope_key();
        let entry = |key: String| entries.get(&key);
        if let Some(memory) = entry(format!("{name}/equipment"))
            .and_then(|bytes| saved::read::<equipment::Memory>(bytes))
        {
            self.scope.set_state(memory.reading.state);
            self.scope.set_mode(memory.reading.mode);
            self.equipment
                .resume(memory, resumed.shift_ns, resumed.measurable);
        }
        for counter in &mut self.counters {
            let key = format!("{name}/counter/{}", counter.name);
            if let Some(tally) = entry(key).and_then(|bytes| saved::read::<Tally>(bytes)) {
                counter.counter.resume(tally, resumed.shift_ns);
            }
        }
        let prefix = format!("{name}/slot/");
        let slots = entries
            .iter()
            .filter_map(|(key, bytes)| Some((key.strip_prefix(&prefix)?, bytes)))
            .filter(|(slot, _)| !slot.ends_with("/definition"));
        for (slot, bytes) in slots {
            let carried = entry(format!("{prefix}{slot}/definition"));
            if let Some(saved) = saved::read::<SavedSlot>(bytes) {
                self.restore_slot(plant, machine, slot, saved, carried, resumed);
            }
        }
        if let Some(conditions) = entry(format!("{name}/conditions"))
            .and_then(|bytes| saved::read::<SavedConditions>(bytes))
        {
            self.restore_conditions(conditions, resumed);
        }
    }

    fn restore_slot(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        slot: &str,
        saved: SavedSlot,
        carried: Option<&Vec<u8>>,
        resumed: Resumed,
    ) {
        let mut open = saved.open;
        if let Some(operation) = &mut open {
            let carried = carried.and_then(|bytes| saved::read_json::<SavedDefinition>(bytes));
            let index = carried.and_then(|carried| self.definition_for(plant, machine, &carried));
            let Some(index) = index else {
                tracing::error!(machine = %self.name, slot, "the definition of the open operation cannot be read: it is not continued");
                return;
            };
            operation.definition_index = index;
            operation.restore(
                resumed.alive,
                resumed.shift_ns,
                resumed.measurable,
                resumed.same_boot,
            );
        }
        if let Some(place) = self.slots.iter_mut().find(|place| place.name == slot) {
            place.ordinal = saved.ordinal;
            place.open = open;
        }
    }

    /// The present definition if it is still the same, else the one that the operation carries.
    fn definition_for(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        carried: &SavedDefinition,
    ) -> Option<usize> {
        let same = self.definitions.iter().position(|definition| {
            definition.name == carried.name && definition.settings == carried.operation
        });
        same.or_else(|| self.add_retired(plant, machine, &carried.name, &carried.operation))
    }

    fn restore_conditions(&mut self, saved: SavedConditions, resumed: Resumed) {
        for (name, memories) in saved.triggers {
            let named = self.definitions.iter_mut().filter(|d| d.name == name);
            for definition in named {
                for (part, memory) in ORDER.into_iter().zip(memories) {
                    if let Some(armed) = armed_mut(definition, part) {
                        let memory = memory.resumed(resumed.alive, resumed.shift_ns);
                        armed.trigger.resume(memory);
                    }
                }
            }
        }
        for (name, value) in saved.pulses {
            if let Some((local, _)) = self.scope.tag(&name) {
                self.scope.remember(local, value);
            }
        }
    }

    /// Decides what becomes of restored operations, as soon as the data says whether they still run.
    pub(super) fn decide_recovered(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            self.decide_slot(slot, moment);
        }
    }

    fn decide_slot(&mut self, slot: usize, moment: &mut Moment<'_>) -> Option<()> {
        let operation = self.slots.get(slot)?.open.as_ref()?;
        let alive = operation.undecided_since?;
        let d = operation.definition_index;
        let definition = self.definitions.get(d)?;
        let ended = moment
            .evaluate(&definition.end.condition, &self.scope)
            .value()?;
        let counted = match (definition.recovery_counter, operation.counter) {
            (Some(counter), Some(before)) => Some(self.raw_count(counter)? != before),
            _ => None,
        };
        let running = !ended && !definition.gone;
        if running && counted != Some(true) {
            let open = self.slots.get_mut(slot)?.open.as_mut()?;
            open.undecided_since = None;
            self.unsaved = Unsaved::Soon;
            return Some(());
        }
        let outcome = if counted == Some(true) {
            Outcome::Completed
        } else {
            Outcome::Interrupted
        };
        let end = End {
            at: moment.now,
            outcome,
            cause: EndCause::RecoveredState,
            reason: None,
            uncertainty: Some(moment.now.boot.since(alive)),
            pieces: 0,
            book: self.pieces_from == PiecesFrom::Operations,
        };
        self.finish(slot, end, None, moment);
        self.start_missed(d, moment)
    }

    /// If the machine runs now, the operation that runs was begun in the down time.
    fn start_missed(&mut self, d: usize, moment: &mut Moment<'_>) -> Option<()> {
        let definition = self.definitions.get(d)?;
        let runs = moment.evaluate(&definition.start.condition, &self.scope) == Known::True
            && moment.evaluate(&definition.end.condition, &self.scope) == Known::False
            && definition
                .only_if
                .as_ref()
                .is_none_or(|only| moment.evaluate(only, &self.scope) == Known::True);
        // A start that was not settled before is an edge of its own, which fires in this same instant.
        let was_running = definition.start.trigger.settled() == Some(true);
        if !runs || !was_running || definition.retired {
            return None;
        }
        let mut operation = self.begin(d, definition, moment.now);
        operation.flags.insert(Flag::StartMissed);
        let slot = definition.slot;
        self.open(slot, operation, moment);
        Some(())
    }
}
