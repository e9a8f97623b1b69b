//! What is worth a look in the conditions of a plant: those that never or always hold. For `millgate check`. Pure.

use super::condition::hopeless::{self, Domain};
use super::machine::Machine;
use crate::model::{Mode, State, ValueKind};
use crate::settings::shape::TagType;
use crate::settings::{self, Plant, Problem, Tag, TagSource};
use std::collections::BTreeSet;

/// Largest number without a limit in the settings that is tried.
const UNLIMITED: f64 = 1e300;

/// Conditions that are never or always true, or never known, and operations that end as they start: each with its path.
#[must_use]
pub fn warnings(plant: &Plant) -> Vec<Problem> {
    let machines = plant.machines.iter();
    machines
        .flat_map(|machine| of_machine(plant, machine))
        .collect()
}

fn of_machine(plant: &Plant, machine: &settings::Machine) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut looked_at = BTreeSet::new();
    for (path, source) in Machine::conditions(plant, machine) {
        // The end of `during:` is made of the same condition.
        if !looked_at.insert(path.clone()) {
            continue;
        }
        for (message, suggestion) in hopeless::remarks(&source, |name| domain(plant, machine, name))
        {
            found.push(Problem {
                suggestion,
                ..Problem::new(path.clone(), message)
            });
        }
    }
    for (name, operation) in &machine.operations {
        let ends = operation.start.as_ref().zip(operation.end.as_ref());
        if ends.is_some_and(|(start, end)| start.when == end.when) {
            let path = format!("operations.{name}.end.when");
            let path = match machine.path.as_str() {
                "" => path,
                machine => format!("{machine}.{path}"),
            };
            let message = "`end` is the same as `start`: an operation would end as it starts";
            found.push(Problem::new(path, message));
        }
    }
    found
}

fn domain(plant: &Plant, machine: &settings::Machine, name: &str) -> Domain {
    let words = |words: &[&str]| Domain::Words(words.iter().map(|&word| word.into()).collect());
    let id = machine.tags.get(name);
    match (name, id.and_then(|id| plant.tags.get(id.index()))) {
        (_, Some(tag)) => of_tag(tag),
        ("state", None) => words(
            &[
                State::Running,
                State::Idle,
                State::Stopped,
                State::Faulted,
                State::Offline,
                State::Unknown,
            ]
            .map(State::word),
        ),
        ("mode", None) => words(
            &[
                Mode::Production,
                Mode::Setup,
                Mode::Maintenance,
                Mode::Manual,
                Mode::None,
            ]
            .map(Mode::word),
        ),
        _ => Domain::Any,
    }
}

fn of_tag(tag: &Tag) -> Domain {
    let conditioning = &tag.conditioning;
    if let Some(values) = &conditioning.values {
        return Domain::Words(values.values().map(|word| word.to_string()).collect());
    }
    let scaled = conditioning.scale.is_some()
        || conditioning.offset.is_some()
        || conditioning.linear.is_some();
    let whole = whole_numbers(tag).filter(|_| !scaled);
    let (low, high) = conditioning.range.unwrap_or((-UNLIMITED, UNLIMITED));
    match (tag.kind, whole) {
        (ValueKind::Bool, _) => Domain::Bool,
        (ValueKind::Text, _) => Domain::Text,
        (ValueKind::Int, Some((least, most, bits))) => {
            Domain::Whole(least.max(low.ceil()), most.min(high.floor()), bits)
        }
        (ValueKind::Float, _) => Domain::Number(low, high),
        (ValueKind::Int | ValueKind::Any, _) => Domain::Any,
    }
}

/// Least and most that the tag's type can say, and its bits. 64 bits are tried up to what is exact.
fn whole_numbers(tag: &Tag) -> Option<(f64, f64, u32)> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let kind = match &tag.source {
        TagSource::Modbus(register) => register.kind,
        TagSource::OpcUa(variable) => variable.kind?,
        TagSource::Line(_) => return None,
    };
    Some(match kind {
        TagType::I8 => (-128.0, 127.0, 8),
        TagType::U8 => (0.0, 255.0, 8),
        TagType::I16 => (-32_768.0, 32_767.0, 16),
        TagType::U16 => (0.0, 65_535.0, 16),
        TagType::I32 => (-2_147_483_648.0, 2_147_483_647.0, 32),
        TagType::U32 => (0.0, 4_294_967_295.0, 32),
        TagType::I64 => (-EXACT, EXACT, 64),
        TagType::U64 => (0.0, EXACT, 64),
        TagType::Bcd16 => (0.0, 9_999.0, 14),
        TagType::Bcd32 => (0.0, 99_999_999.0, 27),
        TagType::Bit | TagType::Bool | TagType::F32 | TagType::F64 | TagType::Text => return None,
    })
}
