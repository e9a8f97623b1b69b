//! `limits:` of an operation: raw values of a parameter that are told at once.

use super::join;
use super::scope::at_most;
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Limit, Operation, ParameterKind};

/// Most limits of one operation: each is looked at with every sample of its parameter.
const MAX_LIMITS: usize = 64;

/// Checks the limits of an operation.
pub(super) fn check(operation: &Operation, path: &str, report: &mut Report) {
    let path = join(path, "limits");
    at_most(MAX_LIMITS, "limits", operation.limits.len(), &path, report);
    for (at, limit) in operation.limits.iter().enumerate() {
        let path = format!("{path}.{at}");
        of(limit, operation, &path, report);
        side(limit, &path, report);
        if limit.hysteresis < 0.0 {
            let message = format!(
                "`{}` is below 0: `hysteresis` is how far on the right side of the limit a value must be to be well again",
                limit.hysteresis
            );
            report.add(join(&path, "hysteresis"), message);
        }
        if limit.hold >= operation.max_duration {
            let message = format!(
                "`hold`, {}, is not less than `max_duration`, {}: it could never be told",
                String::from(limit.hold),
                String::from(operation.max_duration)
            );
            report.add(join(&path, "hold"), message);
        }
        let before = operation.limits.get(..at).unwrap_or_default();
        let same = |other: &Limit| {
            other.of == limit.of && other.above == limit.above && other.below == limit.below
        };
        if before.iter().any(same) {
            let message = "the same limit stands above: take one away";
            report.add(&path, message);
        }
    }
}

/// A limit is about an analog parameter of this operation.
fn of(limit: &Limit, operation: &Operation, path: &str, report: &mut Report) {
    let at = join(path, "of");
    match operation.parameters.get(&limit.of) {
        Some(parameter) if parameter.kind == ParameterKind::Sequence => {
            let message = format!(
                "{} is a sequence: its values are told, not measured against a limit",
                shown(&limit.of)
            );
            report.add(at, message);
        }
        Some(_) => {}
        None => {
            let (name, word) = limit.of.rsplit_once('.').unwrap_or((&limit.of, ""));
            let message = if operation.parameters.contains_key(name) {
                format!(
                    "a limit looks at the values themselves as they come: write `of: {name}`. The limit of its `{word}` is a line of `quality:`"
                )
            } else {
                format!("{} is not a parameter of this operation", shown(&limit.of))
            };
            let known = operation.parameters.keys().map(String::as_str);
            report.unknown(&at, &limit.of, message, known);
        }
    }
}

fn side(limit: &Limit, path: &str, report: &mut Report) {
    match (limit.above, limit.below) {
        (Some(_), Some(_)) => {
            let message = "`above` and `below` stand here together: write a line for each, they are told apart by it";
            report.add(path, message);
        }
        (None, None) => {
            let message = format!(
                "{} has no limit: write `above:` or `below:`",
                shown(&limit.of)
            );
            report.add(path, message);
        }
        _ => {}
    }
}
