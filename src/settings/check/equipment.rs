//! State, mode and counters of an equipment.

use super::scope::Scope;
use super::{join, names};
use crate::model::ValueKind;
use crate::settings::plant::TagSource;
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Counter, TagType};

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
        if let Some(always) = always.filter(|always| always + 1 < rules) {
            report.add(
                format!("{path}.{key}.{always}"),
                "this line has no `when:` and always holds, so that those below it are never reached: put it last",
            );
        }
    }
    for (name, counter) in &equipment.counters {
        let path = join(&join(path, "counters"), name);
        names::name("a counter", name, &path, report);
        check_counter(counter, scope, &path, report);
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
