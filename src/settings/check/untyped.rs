//! Tags whose type only the device knows, where something depends on what they are: worth a warning.
//!
//! Settings do not know CEL: a name in a condition outside of quotes is taken for the tag.

use super::join;
use crate::settings::problem::Problem;
use crate::settings::shape::{Device, Machine, Tag};
use std::collections::BTreeSet;

/// A warning for each tag without a type that a condition or counter uses.
pub(super) fn warn(machine: &Machine, path: &str, found: &mut Vec<Problem>) {
    let in_conditions = names_in_conditions(machine);
    let counted: BTreeSet<&str> = machine
        .equipment
        .iter()
        .flat_map(|equipment| equipment.counters.values())
        .map(|counter| counter.tag.as_str())
        .collect();
    for (device_name, device) in &machine.devices {
        let tags = join(&join(&join(path, "devices"), device_name), "tags");
        let untyped = device
            .tags
            .iter()
            .filter(|(_, tag)| is_untyped(device, tag));
        for name in untyped.map(|(name, _)| name) {
            let user = if in_conditions.contains(name.as_str()) {
                "a condition"
            } else if counted.contains(name.as_str()) {
                "a counter"
            } else {
                continue;
            };
            let message = format!(
                "{user} uses `{name}`, and only the device knows what it is: write `type:` so that it can be checked"
            );
            found.push(Problem::new(join(&tags, name), message));
        }
    }
}

/// Neither `type:` nor a key that makes its values a number or a word.
fn is_untyped(device: &Device, tag: &Tag) -> bool {
    let scaled = tag.scale.is_some() || tag.offset.is_some() || tag.linear.is_some();
    device.opc_ua.is_some()
        && tag.kind.is_none()
        && !tag.state_machine
        && !scaled
        && tag.values.is_empty()
}

fn names_in_conditions(machine: &Machine) -> BTreeSet<String> {
    let equipment = machine.equipment.iter();
    let rules = equipment.flat_map(|equipment| {
        let state = equipment.state.iter().map(|rule| rule.when.as_ref());
        state.chain(equipment.mode.iter().map(|rule| rule.when.as_ref()))
    });
    let operations = machine.operations.values().flat_map(|operation| {
        let triggers = [operation.start.as_ref(), operation.end.as_ref()]
            .into_iter()
            .chain([operation.abort.as_ref(), operation.pause.as_ref()]);
        let triggers = triggers.map(|trigger| trigger.map(|trigger| &trigger.when));
        let gates = operation.parameters.values();
        let purposes = operation.purpose.iter();
        triggers
            .chain([operation.only_if.as_ref(), operation.during.as_ref()])
            .chain(gates.map(|parameter| parameter.during.as_ref()))
            .chain(purposes.map(|rule| rule.when.as_ref()))
    });
    let worn = machine.equipment.iter().flat_map(|equipment| {
        let alarms = equipment.alarms.values().map(|alarm| alarm.when.as_ref());
        let wear = equipment.maintenance.values();
        alarms.chain(wear.map(|indicator| indicator.during.as_ref()))
    });
    let measured = machine.measurements.values().map(|one| Some(&one.when));
    rules
        .chain(operations)
        .chain(worn)
        .chain(measured)
        .flatten()
        .flat_map(|cel| names(&cel.0))
        .collect()
}

/// The names in a condition, outside of quotes.
fn names(condition: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut name, mut quote) = (String::new(), None);
    for letter in condition.chars().chain([' ']) {
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter.is_alphanumeric() || letter == '_' => name.push(letter),
            None => {
                if !name.is_empty() {
                    names.push(std::mem::take(&mut name));
                }
                quote = matches!(letter, '\'' | '"').then_some(letter);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_outside_of_quotes() {
        assert_eq!(
            names("bit(status, 0) && mode != 'speed' || x_1>2"),
            ["bit", "status", "0", "mode", "x_1", "2"]
        );
    }
}
