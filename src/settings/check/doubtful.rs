//! What is allowed in a machine and probably not meant: scans that nobody makes, states that no rule gives, odd intervals.

use super::join;
use super::stop::{STATES, leaves_a_rest};
use crate::model::State;
use crate::settings::problem::{Problem, shown};
use crate::settings::shape::{Downtime, Else, Equipment, Machine, Operation, PiecesFrom, ScanFor};
use std::collections::BTreeSet;

/// Notes what is doubtful in a machine.
pub(super) fn warn(machine: &Machine, path: &str, found: &mut Vec<Problem>) {
    let scanned = scanned(machine);
    for (name, operation) in &machine.operations {
        let path = join(&join(path, "operations"), name);
        never_scanned(operation, &scanned, &path, found);
    }
    materials(machine, path, found);
    if let Some(equipment) = &machine.equipment {
        let path = join(path, "equipment");
        if let Some(downtime) = &equipment.downtime {
            never_stands(downtime, equipment, &join(&path, "downtime"), found);
        }
        let performance = equipment.performance.as_ref();
        if performance.is_some_and(|one| leaves_a_rest(one.every)) {
            let message =
                "24h is no multiple of it: the last interval of a day is shorter than the others";
            found.push(Problem::new(join(&path, "performance.every"), message));
        }
        uncounted(equipment, machine, &path, found);
    }
}

/// What the readers of this machine give.
fn scanned(machine: &Machine) -> BTreeSet<&'static str> {
    let rules = machine.scans.values().flatten();
    rules
        .flat_map(|rule| rule.gs1.values().chain([&rule.is]))
        .filter_map(|is| match is {
            ScanFor::Order => Some("order"),
            ScanFor::Lot => Some("lot"),
            ScanFor::Operator => Some("operator"),
            ScanFor::Product => Some("product"),
            _ => None,
        })
        .collect()
}

/// `else: scanned` where no reader of this machine gives it. The reader of another machine may.
fn never_scanned(
    operation: &Operation,
    scanned: &BTreeSet<&'static str>,
    path: &str,
    found: &mut Vec<Problem>,
) {
    let order = operation.order.as_ref().and_then(|one| one.otherwise);
    let lot = operation.lot.as_ref().and_then(|one| one.otherwise);
    let operator = operation.operator.as_ref().and_then(|one| one.otherwise);
    let product = operation.product.as_ref().and_then(|one| one.otherwise);
    for (key, otherwise) in [
        ("order", order),
        ("lot", lot),
        ("operator", operator),
        ("product", product),
    ] {
        if otherwise == Some(Else::Scanned) && !scanned.contains(key) {
            let message = format!(
                "no rule of this machine's `scans:` has `is: {key}`: only a reader of another machine could give it"
            );
            found.push(Problem::new(format!("{path}.{key}.else"), message));
        }
    }
}

/// A lot is scanned for a material that no operation uses.
fn materials(machine: &Machine, path: &str, found: &mut Vec<Problem>) {
    let used: BTreeSet<&str> = machine
        .operations
        .values()
        .flat_map(|operation| &operation.materials)
        .map(|need| need.id.as_str())
        .collect();
    for (tag, rules) in &machine.scans {
        for (at, rule) in rules.iter().enumerate() {
            let unused = |id: &&String| rule.machine.is_none() && !used.contains(id.as_str());
            if let Some(id) = rule.material.as_ref().filter(unused) {
                let message = format!(
                    "no operation has {} in its `materials:`: the lot is told when it is loaded, and with no operation",
                    shown(id)
                );
                let at = format!("{}.{tag}.{at}.material", join(path, "scans"));
                found.push(Problem::new(at, message));
            }
        }
    }
}

/// A stop in a state that no rule gives. UNKNOWN needs no rule: it is what missing data makes.
fn never_stands(downtime: &Downtime, equipment: &Equipment, path: &str, found: &mut Vec<Problem>) {
    if equipment.packml.is_some() {
        return;
    }
    for (at, text) in downtime.of.iter().enumerate() {
        let word = text.split('/').next().unwrap_or_default();
        let state = STATES.into_iter().find(|state| state.word() == word);
        let given = |state: State| {
            state == State::Unknown || equipment.state.iter().any(|rule| rule.is == state)
        };
        if state.is_some_and(|state| !given(state)) {
            let message = format!("no rule of `state:` gives {word}: this is never a stop");
            found.push(Problem::new(format!("{path}.of.{at}"), message));
        }
    }
}

/// Pieces that nobody counts.
fn uncounted(equipment: &Equipment, machine: &Machine, path: &str, found: &mut Vec<Problem>) {
    if equipment.pieces_from == PiecesFrom::Operations
        && machine.operations.is_empty()
        && !equipment.counters.is_empty()
    {
        let message = "there are no `operations:`, so that nothing can be booked: write `pieces_from: counters`, or `nothing`";
        found.push(Problem::new(join(path, "pieces_from"), message));
    }
}
