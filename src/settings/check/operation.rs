//! An operation against its machine: sources, counters, parameters, characteristics.

use super::equipment::words;
use super::scope::{Scope, is_number};
use super::{course, join, limit, names, origin};
use crate::settings::problem::{nearest, shown};
use crate::settings::report::Report;
use crate::settings::shape::{Characteristic, Operation, Parameter, ParameterKind, Per};
use crate::settings::statistic::Statistic;
use std::collections::HashMap;

/// Most percentiles of one parameter.
const MAX_PERCENTILES: usize = 16;

/// Checks an operation.
pub(super) fn check(
    name: &str,
    operation: &Operation,
    scope: &Scope<'_>,
    path: &str,
    report: &mut Report,
) {
    course::check(name, operation, scope, path, report);
    origin::check(operation, scope, path, report);
    if let Some(counter) = &operation.recovery_counter {
        let counters = &scope.machine.equipment.counters;
        if !counters.contains_key(counter) {
            let message = format!(
                "{} is not a counter of this machine: name one of `equipment: counters:`",
                shown(counter)
            );
            let known = counters.keys().map(String::as_str);
            report.unknown(&join(path, "recovery_counter"), counter, message, known);
        }
    }
    for (parameter_name, parameter) in &operation.parameters {
        let at = join(&join(path, "parameters"), parameter_name);
        names::name("a parameter", parameter_name, &at, report);
        check_parameter(parameter, scope, &at, report);
    }
    limit::check(operation, path, report);
    let mut seen = HashMap::new();
    for (at, characteristic) in operation.quality.iter().enumerate() {
        let at = format!("{path}.quality.{at}");
        check_characteristic(characteristic, operation, &at, report);
        if let Some(first) = seen.insert(characteristic.id.as_str(), at.clone()) {
            let message = format!(
                "{} is the id of two characteristics of `{name}`, the first in line {}: the MES could not tell them apart",
                shown(&characteristic.id),
                report.place(&join(&first, "id")).line
            );
            report.add(join(&at, "id"), message);
        }
    }
}

fn check_parameter(parameter: &Parameter, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let at = join(path, "tag");
    if parameter.kind == ParameterKind::Sequence {
        scope.tag(&parameter.tag, &at, report);
        sequence(parameter, path, report);
        return;
    }
    let tag = scope.tag(&parameter.tag, &at, report);
    if let Some(tag) = tag.filter(|tag| !is_number(tag.kind)) {
        let message = format!(
            "{} is {}: a parameter measures a number; numbers or words that follow one another are `kind: sequence`",
            shown(&parameter.tag),
            words(tag.kind)
        );
        report.add(at, message);
    }
    percentiles(parameter, path, report);
}

/// The values of a sequence are told as they are: nothing is computed from them.
fn sequence(parameter: &Parameter, path: &str, report: &mut Report) {
    for (key, given) in [
        ("profile", parameter.profile.is_some()),
        ("percentiles", !parameter.percentiles.is_empty()),
    ] {
        if given {
            let message = format!(
                "a sequence has no `{key}`: its values are told one by one, with their times"
            );
            report.add(join(path, key), message);
        }
    }
}

fn percentiles(parameter: &Parameter, path: &str, report: &mut Report) {
    if parameter.percentiles.len() > MAX_PERCENTILES {
        let message = format!(
            "{} percentiles are too many: at most {MAX_PERCENTILES}",
            parameter.percentiles.len()
        );
        report.add(join(path, "percentiles"), message);
    }
    for (at, percent) in parameter.percentiles.iter().enumerate() {
        let before = parameter.percentiles.get(..at).unwrap_or_default();
        let path = format!("{path}.percentiles.{at}");
        if !(0.0..=100.0).contains(percent) {
            report.add(
                path,
                format!("`{percent}` is out of range: a percentile is 0 to 100"),
            );
        } else if before.contains(percent) {
            report.add(
                path,
                format!("`{percent}` stands here a second time: take one away"),
            );
        }
    }
}

fn check_characteristic(
    characteristic: &Characteristic,
    operation: &Operation,
    path: &str,
    report: &mut Report,
) {
    if characteristic.id.trim().is_empty() {
        report.add(
            join(path, "id"),
            "the id is empty: write the characteristic's id as the MES knows it",
        );
    }
    check_of(&characteristic.of, operation, &join(path, "of"), report);
    if characteristic.per == Per::Progress && operation.progress_every.is_none() {
        let message = "there is no window to look at: write `progress_every:` for the operation, or leave `per` out and the whole operation is looked at";
        report.add(join(path, "per"), message);
    }
    let limits = Limits {
        low: characteristic.low,
        target: characteristic.target,
        high: characteristic.high,
    };
    if limits.low.is_none() && limits.high.is_none() {
        let message = format!(
            "{} has no limit: write `low:`, `high:`, or both",
            shown(&characteristic.id)
        );
        report.add(path, message);
    }
    in_order(&limits, path, report);
}

/// What a value is held against.
pub(super) struct Limits {
    pub(super) low: Option<f64>,
    pub(super) target: Option<f64>,
    pub(super) high: Option<f64>,
}

/// The limits stand in their order.
pub(super) fn in_order(limits: &Limits, path: &str, report: &mut Report) {
    let Limits { low, target, high } = *limits;
    let pairs = [
        ("low", low, "high", high),
        ("low", low, "target", target),
        ("target", target, "high", high),
    ];
    for (below, small, above, large) in pairs {
        if let Some((small, large)) = small.zip(large).filter(|(small, large)| small > large) {
            let message = format!("`{below}` is {small}, which is above `{above}`, {large}");
            report.add(join(path, below), message);
            break;
        }
    }
}

/// `PARAMETER.STATISTIC`: both must exist, and the statistic be computed.
fn check_of(of: &str, operation: &Operation, path: &str, report: &mut Report) {
    let found = Statistic::of(of)
        .and_then(|(name, statistic)| Some((operation.parameters.get(name)?, name, statistic)));
    let Some((parameter, name, statistic)) = found else {
        unknown_of(of, operation, path, report);
        return;
    };
    if parameter.kind == ParameterKind::Sequence {
        let message = format!("`{name}` is a sequence: it has no statistics to be checked");
        report.add(path, message);
        return;
    }
    match statistic {
        Statistic::DurationS if parameter.during.is_none() => report.add(
            path,
            format!(
                "{} is the time for which `while:` holds, and `{name}` has no `while:`",
                shown(of)
            ),
        ),
        Statistic::Percentile(percent) if !parameter.percentiles.contains(&percent) => report.add(
            path,
            format!(
                "{} is not computed: add `percentiles: [{percent}]` to `{name}`",
                shown(of)
            ),
        ),
        _ => {}
    }
}

fn unknown_of(of: &str, operation: &Operation, path: &str, report: &mut Report) {
    let names = || operation.parameters.keys().map(String::as_str);
    let words = Statistic::WORDS.map(|(word, _)| word);
    let (name, word) = of.rsplit_once('.').unwrap_or((of, ""));
    if word.is_empty() {
        let message = format!(
            "{} names no statistic: write PARAMETER.STATISTIC, such as `{name}.max`",
            shown(of)
        );
        report.add(path, message);
        return;
    }
    let above = name.rsplit_once('.').map(|(above, _)| above);
    if above.is_some_and(|above| operation.parameters.contains_key(above)) {
        let message = format!(
            "{} is not a statistic: of percentiles only whole ones can be checked, such as p95",
            shown(of)
        );
        report.add(path, message);
        return;
    }
    if operation.parameters.contains_key(name) {
        let message = format!(
            "{} is not a statistic: {}, or p5 and the like for a percentile",
            shown(word),
            words.join(", ")
        );
        let near = nearest(word, words).map(|word| format!("{name}.{word}"));
        report.unknown_but(path, of, message, near);
        return;
    }
    let message = format!("{} is not a parameter of this operation", shown(name));
    let near = nearest(name, names()).map(|name| format!("{name}.{word}"));
    // A parameter that was lost is looked for by its name, not by the whole text.
    report.unknown_but(path, name, message, near);
}
