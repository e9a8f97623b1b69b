//! Definitions of an earlier settings file: each open operation carries its own through restarts and keeps it. Pure.
//!
//! Where what its conditions need is gone, the operation is closed at the start, with what was measured until then.

use super::Machine;
use super::compile::slot_named;
use crate::aggregate::definition::{ABSENT, Compiler, Definition, Gone};
use crate::model::Interpolation;
use crate::settings::shape::{Cel, Operation, Parameter, PartFrom, PiecesFrom, Trigger};
use crate::settings::{self, Plant};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The definition that an open operation carries. JSON, since it must be readable by a later release.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Carried {
    name: String,
    operation: Operation,
    /// How its parameters were measured, in their order.
    #[serde(default)]
    measured: Vec<Measured>,
    /// The tag of its recovery counter: the counter may get another name.
    #[serde(default)]
    counter_tag: Option<String>,
    #[serde(default)]
    pub(super) pieces_from: PiecesFrom,
}

/// What was known of the tag of a parameter.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    unit: Option<String>,
    every_ms: u64,
    interpolation: Interpolation,
}

impl Machine {
    /// What an operation of `definition` carries.
    pub(super) fn carried(&self, definition: &Definition) -> Carried {
        let shown = definition.parameters.iter().filter(|one| !one.hidden);
        let counter = definition.recovery_counter;
        let counter = counter.and_then(|counter| self.counters.get(counter));
        let name = |local: usize| self.scope.tag_names().nth(local).map(str::to_owned);
        Carried {
            name: definition.name.clone(),
            operation: definition.settings.clone(),
            measured: shown
                .map(|parameter| Measured {
                    unit: parameter.unit.clone(),
                    every_ms: u64::try_from(parameter.every.as_millis()).unwrap_or(u64::MAX),
                    interpolation: parameter.plan.interpolation,
                })
                .collect(),
            counter_tag: counter.and_then(|counter| name(counter.tag)),
            pieces_from: self.pieces_from,
        }
    }

    /// The present definition if it is still the same, else the one that the operation carries.
    pub(super) fn definition_for(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        carried: &Carried,
    ) -> Option<usize> {
        let same = self.definitions.iter().position(|definition| {
            definition.name == carried.name && definition.settings == carried.operation
        });
        same.or_else(|| self.add_retired(plant, machine, carried))
    }

    /// A definition of an earlier settings file, for the operation that it began. Where its tags are gone, one that can only be closed.
    fn add_retired(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        carried: &Carried,
    ) -> Option<usize> {
        let operation = &carried.operation;
        let slot = slot_named(&mut self.slots, &operation.slot);
        let mut compiler = Compiler {
            plant,
            machine,
            scope: &self.scope,
            problems: Vec::new(),
            conditions: Vec::new(),
        };
        let whole = compiler.definition(&carried.name, operation, slot);
        let (mut definition, gone) = match whole.filter(|_| !self.removed) {
            Some(definition) => (definition, None),
            None => {
                let rest = compiler.definition(&carried.name, &without_tags(operation), slot)?;
                let gone = if self.removed {
                    Gone::Machine
                } else {
                    Gone::Tags
                };
                (rest, Some(gone))
            }
        };
        for (parameter, measured) in definition.parameters.iter_mut().zip(&carried.measured) {
            if parameter.tag == ABSENT {
                parameter.unit.clone_from(&measured.unit);
                parameter.every = Duration::from_millis(measured.every_ms);
                parameter.plan.interpolation = measured.interpolation;
            }
        }
        let counter = carried.counter_tag.as_deref();
        let counted = counter.and_then(|tag| self.scope.tag(tag));
        let renamed = || {
            let (local, _) = counted?;
            let mut counters = self.counters.iter();
            counters.position(|counter| counter.tag == local)
        };
        definition.recovery_counter = definition.recovery_counter.or_else(renamed);
        self.definitions.push(Definition {
            retired: true,
            gone,
            settings: operation.clone(),
            ..definition
        });
        self.wire();
        Some(self.definitions.len() - 1)
    }
}

/// What is left of an operation whose tags are gone: enough to say that it ended, and what was measured.
fn without_tags(operation: &Operation) -> Operation {
    let never = Some(Trigger::when("false".to_owned()));
    let parameters = operation.parameters.iter().map(|(name, parameter)| {
        let during = parameter.during.as_ref();
        let during = during.map(|_| Cel("false".to_owned()));
        let parameter = Parameter {
            during,
            ..parameter.clone()
        };
        (name.clone(), parameter)
    });
    Operation {
        start: never.clone(),
        end: never,
        during: None,
        new_when_changed: None,
        order: None,
        product: None,
        lot: None,
        operator: None,
        program: None,
        purpose: Vec::new(),
        only_if: None,
        abort: None,
        pause: None,
        recovery_counter: None,
        part: PartFrom {
            tag: None,
            ..operation.part.clone()
        },
        tools: None,
        parameters: parameters.collect(),
        ..operation.clone()
    }
}
