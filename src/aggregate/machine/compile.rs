//! A machine of the settings becomes a [`Machine`], or every problem in its conditions is named.

use super::counters::MachineCounter;
use super::packml::PackMl;
use super::state::{ModeRule, Rules, StateRule};
use super::{
    Catalogue, Context, Gauges, Intervals, Machine, ORDER, Scans, Shifts, Slot, Tag, ToolsInUse,
    Unsaved, Wear, armed,
};
use crate::aggregate::condition::{Allowed, Scope};
use crate::aggregate::definition::{Compiler, Definition, Fact, PieceCount};
use crate::aggregate::equipment::Equipment;
use crate::model::BootTime;
use crate::settings::{self, Plant, Problem};

/// Tags of a machine, as conditions know them.
pub(super) fn scope_of(plant: &Plant, machine: &settings::Machine) -> Scope {
    Scope::new(machine.tags.iter().filter_map(|(name, tag)| {
        let tag = plant.tags.get(tag.index())?;
        Some((name.as_str(), tag.kind))
    }))
}

impl Machine {
    /// Compiles a machine. `now` is when counting windows begin.
    pub(in crate::aggregate) fn compile(
        plant: &Plant,
        machine: &settings::Machine,
        now: BootTime,
    ) -> Result<Machine, Vec<Problem>> {
        let scope = scope_of(plant, machine);
        let mut compiler = Compiler {
            plant,
            machine,
            scope: &scope,
            problems: Vec::new(),
            conditions: Vec::new(),
        };
        let rules = compiler.rules();
        let alarms = compiler.alarms();
        let mut slots: Vec<Slot> = Vec::new();
        let mut definitions = Vec::new();
        for (name, operation) in &machine.operations {
            let slot = slot_named(&mut slots, &operation.slot);
            definitions.extend(compiler.definition(name, operation, slot));
        }
        let gauges = Gauges::compile(&mut compiler);
        let wear = Wear::compile(&mut compiler, now);
        let mut problems = compiler.problems;
        let scans = Scans::compile(plant, machine, &scope, &mut problems);
        let shifts = Shifts::compile(plant, machine, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let tools = ToolsInUse::compile(machine, &scope);
        let counters: Vec<MachineCounter> = machine
            .equipment
            .counters
            .iter()
            .filter_map(|(name, counter)| MachineCounter::compile(name, counter, &scope))
            .collect();
        let downtime = machine.equipment.downtime.as_ref();
        let reasons = downtime.and_then(|downtime| downtime.reasons.clone());
        let intervals = Intervals::compile(&machine.equipment, &scope, now);
        let mut compiled = Machine {
            name: machine.name.clone(),
            tags: machine.tags.iter().map(|_| Tag::default()).collect(),
            scope,
            equipment: Equipment::new(machine.equipment.debounce.get()),
            rules,
            books: super::counters::books(machine.equipment.pieces_from, &counters),
            counters,
            catalogue: Catalogue::new(reasons.as_ref()),
            context: Context::default(),
            scans,
            gauges,
            tools,
            alarms,
            stops: super::downtime::compile(downtime),
            shifts,
            intervals,
            wear,
            order: None,
            product: None,
            definitions,
            slots,
            pieces_from: machine.equipment.pieces_from,
            changed: Vec::new(),
            axes_changed: false,
            count_due: super::counters::next_report(now),
            latest: now,
            unsaved: Unsaved::default(),
            removed: false,
        };
        compiled.wire();
        Ok(compiled)
    }

    /// All conditions of a machine: path and text.
    pub(in crate::aggregate) fn conditions(
        plant: &Plant,
        machine: &settings::Machine,
    ) -> Vec<(String, String)> {
        let scope = scope_of(plant, machine);
        let mut compiler = Compiler {
            plant,
            machine,
            scope: &scope,
            problems: Vec::new(),
            conditions: Vec::new(),
        };
        compiler.rules();
        compiler.alarms();
        for (name, operation) in &machine.operations {
            compiler.definition(name, operation, 0);
        }
        Gauges::compile(&mut compiler);
        Wear::compile(&mut compiler, BootTime::default());
        compiler.conditions
    }

    /// Tells each tag who measures, counts and refers to it.
    pub(super) fn wire(&mut self) {
        let waited_for = self.definitions.iter().flat_map(|definition| {
            let parts = ORDER.iter().filter_map(|part| armed(definition, *part));
            parts
                .map(|armed| &armed.condition)
                .chain(&definition.only_if)
        });
        let waited_for = waited_for.chain(self.gauges.conditions());
        for condition in waited_for.filter(|condition| condition.uses_pulses) {
            condition
                .tags
                .iter()
                .for_each(|local| self.scope.watch(*local));
        }
        // A restored operation waits for its counter and the number of its pieces, too.
        let decisive: Vec<usize> = self
            .definitions
            .iter()
            .flat_map(|definition| {
                let counter = definition
                    .recovery_counter
                    .and_then(|c| self.counters.get(c));
                let pieces = match definition.pieces {
                    PieceCount::Tag(local) => Some(local),
                    PieceCount::Fixed(_) => None,
                };
                counter.map(|counter| counter.tag).into_iter().chain(pieces)
            })
            .collect();
        for (local, tag) in self.tags.iter_mut().enumerate() {
            tag.counters = self
                .counters
                .iter()
                .enumerate()
                .filter(|(_, counter)| counter.tag == local)
                .map(|(index, _)| index)
                .collect();
            tag.resets = self
                .counters
                .iter()
                .enumerate()
                .filter(|(_, counter)| counter.reset.as_ref().is_some_and(|r| r.tag == local))
                .map(|(index, _)| index)
                .collect();
            tag.routes = self
                .definitions
                .iter()
                .enumerate()
                .flat_map(|(d, definition)| {
                    let measures = definition.parameters.iter().enumerate();
                    measures
                        .filter(|(_, parameter)| parameter.tag == local)
                        .map(move |(p, _)| (d, p))
                })
                .collect();
            tag.referenced = self.rules.tags.contains(&local)
                || decisive.contains(&local)
                || (self.definitions.iter()).any(|d| Machine::fact_tags(d).any(|tag| tag == local))
                || self.alarms.refer_to(local)
                || self.wear.refers_to(local)
                || self.tools.follows(local)
                || self
                    .gauges
                    .conditions()
                    .any(|condition| condition.tags.contains(&local))
                || self.definitions.iter().any(|d| refers_to(d, local));
        }
    }
}

fn refers_to(definition: &Definition, local: usize) -> bool {
    let conditions = ORDER
        .iter()
        .filter_map(|part| Some(&armed(definition, *part)?.condition));
    let lots = definition.lots.iter().map(|(tag, _)| *tag);
    if definition
        .part
        .into_iter()
        .chain(lots)
        .any(|tag| tag == local)
    {
        return true;
    }
    let gates = definition
        .parameters
        .iter()
        .filter_map(|parameter| parameter.gate.as_ref().map(|(condition, _)| condition));
    conditions
        .chain(gates)
        .any(|condition| condition.tags.contains(&local))
}

/// The slot of that name, made where there is none.
pub(super) fn slot_named(slots: &mut Vec<Slot>, name: &str) -> usize {
    if let Some(found) = slots.iter().position(|slot| slot.name == name) {
        return found;
    }
    slots.push(Slot {
        name: name.to_owned(),
        ..Slot::default()
    });
    slots.len() - 1
}

impl Compiler<'_> {
    fn rules(&mut self) -> Rules {
        let equipment = &self.machine.equipment;
        let lasting = Allowed {
            state: false,
            mode: false,
            pulses: false,
        };
        let mut rules = Rules::default();
        for (i, rule) in equipment.state.iter().enumerate() {
            let path = format!("equipment.state.{i}.when");
            let condition = rule
                .when
                .as_ref()
                .and_then(|cel| self.condition(&path, cel, lasting));
            rules.state.push(StateRule {
                condition,
                state: rule.is,
                substate: rule.substate.clone(),
                reason: rule
                    .reason
                    .as_ref()
                    .and_then(|s| Fact::compile(s, self.scope)),
                bridge: rule.bridge.map(settings::Period::get),
            });
        }
        for (i, rule) in equipment.mode.iter().enumerate() {
            let path = format!("equipment.mode.{i}.when");
            let allowed = Allowed {
                state: true,
                ..lasting
            };
            let condition = rule
                .when
                .as_ref()
                .and_then(|cel| self.condition(&path, cel, allowed));
            rules.mode.push(ModeRule {
                condition,
                mode: rule.is,
            });
        }
        let packml = equipment.packml.as_ref();
        rules.packml = packml.and_then(|settings| PackMl::compile(settings, self.scope));
        rules.collect_tags();
        rules
    }
}
