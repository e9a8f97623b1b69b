//! State, mode and counters of an equipment.

use super::course::last;
use super::scope::{Scope, at_most};
use super::{join, names};
use crate::model::ValueKind;
use crate::settings::plant::TagSource;
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Counter, Counts, Equipment, PiecesFrom, TagType};

/// Most rules of `state:` or of `mode:`.
const MAX_RULES: usize = 64;
/// Most counters of a machine.
const MAX_COUNTERS: usize = 256;

/// Checks the equipment of a machine.
pub(super) fn check(scope: &Scope<'_>, path: &str, report: &mut Report) {
    let equipment = &scope.machine.equipment;
    for (at, rule) in equipment.state.iter().enumerate() {
        let path = format!("{path}.state.{at}");
        if let Some(reason) = &rule.reason {
            scope.source(reason, &join(&path, "reason"), report);
        }
        if rule
            .substate
            .as_ref()
            .is_some_and(|word| word.trim().is_empty())
        {
            report.add(
                join(&path, "substate"),
                "an empty word says nothing: leave `substate` out",
            );
        }
    }
    let always = |when: Vec<bool>| when.iter().position(|has| !has);
    let state = always(
        equipment
            .state
            .iter()
            .map(|rule| rule.when.is_some())
            .collect(),
    );
    let mode = always(
        equipment
            .mode
            .iter()
            .map(|rule| rule.when.is_some())
            .collect(),
    );
    for (key, always, rules) in [
        ("state", state, equipment.state.len()),
        ("mode", mode, equipment.mode.len()),
    ] {
        let at = join(path, key);
        at_most(MAX_RULES, "rules", rules, &at, report);
        last(always, rules, &at, report);
    }
    booked(equipment, path, report);
    let count = equipment.counters.len();
    at_most(
        MAX_COUNTERS,
        "counters",
        count,
        &join(path, "counters"),
        report,
    );
    for (name, counter) in &equipment.counters {
        let path = join(&join(path, "counters"), name);
        names::name("a counter", name, &path, report);
        check_counter(counter, scope, &path, report);
    }
}

/// A source of pieces has pieces.
fn booked(equipment: &Equipment, path: &str, report: &mut Report) {
    let counts = |counter: &Counter| {
        matches!(
            counter.counts,
            Counts::Total | Counts::Good | Counts::Reject
        )
    };
    let counters = &equipment.counters;
    if equipment.pieces_from == PiecesFrom::Counters && !counters.values().any(counts) {
        let message = "no counter counts pieces, so that nothing could be booked: write one with `counts: total`, `good` or `reject`, or `pieces_from: operations`";
        report.add(join(path, "pieces_from"), message);
    }
}

fn check_counter(counter: &Counter, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let at = join(path, "tag");
    let tag = scope.tag(&counter.tag, &at, report);
    if let Some(tag) = tag.filter(|tag| !matches!(tag.kind, ValueKind::Int | ValueKind::Any)) {
        let message = format!(
            "{} does not count: a counter is a whole number without `scale` and `offset`, not {}",
            shown(&counter.tag),
            words(tag.kind)
        );
        report.add(&at, message);
    }
    match counter.modulus {
        Some(modulus) if modulus < 2 => report.add(
            join(path, "modulus"),
            format!("`{modulus}` is too small: a counter of 16 bits has 65536"),
        ),
        Some(modulus) => {
            let most = tag.and_then(|tag| match &tag.source {
                TagSource::Modbus(register) => values(register.kind),
                TagSource::OpcUa(variable) => values(variable.kind?),
                TagSource::Line(_) => None,
            });
            if let Some(most) = most.filter(|most| modulus > *most) {
                let message = format!(
                    "`{modulus}` is never reached: {} runs over at {most}",
                    shown(&counter.tag)
                );
                report.add(join(path, "modulus"), message);
            }
        }
        None if counter.max_rate.is_some() => report.add(
            join(path, "max_rate"),
            "`max_rate` tells a counter that ran over from one that was set back, so it needs `modulus:` beside it, such as 65536",
        ),
        None => {}
    }
    if let Some(reset) = &counter.reset {
        let what = "the time since a counter was set back";
        scope.number(&reset.tag, what, &join(path, "reset.tag"), report);
    }
    if counter
        .max_rate
        .is_some_and(|rate| rate.per_second() <= 0.0)
    {
        report.add(
            join(path, "max_rate"),
            "the fastest rate is above 0: write the shortest cycle, such as 60/min",
        );
    }
}

/// How many values an unsigned type has.
fn values(kind: TagType) -> Option<u64> {
    match kind {
        TagType::U16 => Some(1 << 16),
        TagType::U32 => Some(1 << 32),
        TagType::Bcd16 => Some(10_000),
        TagType::Bcd32 => Some(100_000_000),
        _ => None,
    }
}

/// A kind of value in words.
pub(super) fn words(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Bool => "a bit",
        ValueKind::Int => "a whole number",
        ValueKind::Float => "a measured number",
        ValueKind::Text => "a text",
        ValueKind::Any => "whatever the device says",
    }
}
