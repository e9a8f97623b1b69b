//! The course of an operation: what starts, pauses, aborts and ends it, how long it may take, what it is for.

use super::scope::{Scope, at_most};
use super::{join, names};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Operation, Trigger};
use crate::settings::units::Period;
use std::time::Duration;

/// Most lines of `purpose:`; there are five purposes.
const MAX_PURPOSES: usize = 16;
/// Longest time in which samples after the end still belong to an operation: they are held back so long.
const TRAILING: Duration = Duration::from_secs(60);
/// Shortest time between two reports of progress: each is an event with all statistics.
const PROGRESS_AT_LEAST: Duration = Duration::from_secs(1);

/// Checks what starts and ends an operation, and when.
pub(super) fn check(
    name: &str,
    operation: &Operation,
    scope: &Scope<'_>,
    path: &str,
    report: &mut Report,
) {
    names::name("a slot", &operation.slot, &join(path, "slot"), report);
    one_form(name, operation, scope, path, report);
    for (key, trigger) in [
        ("start", &operation.start),
        ("end", &operation.end),
        ("abort", &operation.abort),
        ("pause", &operation.pause),
    ] {
        if let Some(trigger) = trigger {
            check_trigger(key, trigger, scope, &join(path, key), report);
        }
    }
    purpose(operation, path, report);
    times(operation, path, report);
}

/// Either `during:`, or both `start:` and `end:`.
fn one_form(name: &str, operation: &Operation, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let edges = [
        ("start", operation.start.is_some(), "what starts it"),
        ("end", operation.end.is_some(), "what ends it"),
    ];
    if operation.during.is_some() {
        for (key, given, _) in edges {
            if given {
                let message = format!(
                    "`during` says both when `{name}` begins and when it ends: take `{key}` away, or write `start` and `end` without `during`"
                );
                report.add(join(path, key), message);
            }
        }
    } else if edges.iter().all(|(_, given, _)| !given) {
        let message = format!(
            "when is `{name}` open? Write `start:` and `end:`, or `during:` with what holds while it is"
        );
        report.add(path, message);
    } else {
        for (key, given, means) in edges {
            if !given {
                let message = format!("`{key}` is missing in {}: {means}", shown(name));
                report.add(join(path, key), message);
            }
        }
    }
    if let Some(tag) = &operation.new_when_changed {
        let at = join(path, "new_when_changed");
        if operation.during.is_none() {
            let message = "`new_when_changed` goes with `during`: where `start` and `end` are written, they say when the next one begins";
            report.add(at, message);
        } else {
            scope.naming(tag, &at, report);
        }
    }
}

fn check_trigger(key: &str, trigger: &Trigger, scope: &Scope<'_>, path: &str, report: &mut Report) {
    if let Some(reason) = &trigger.reason {
        let at = join(path, "reason");
        if matches!(key, "abort" | "pause") {
            scope.source(reason, &at, report);
        } else {
            let message =
                format!("`reason` says why an operation was aborted or paused: `{key}` has none");
            report.add(at, message);
        }
    }
    if trigger.trailing.is_zero() {
        return;
    }
    let at = join(path, "trailing");
    if key != "end" {
        let message = format!(
            "`trailing` is for `end` only: the time after it in which samples still belong to the operation, which `{key}` does not have"
        );
        report.add(at, message);
    } else if trigger.trailing.get() > TRAILING {
        let found = report.written(&at);
        let message =
            format!("{found} is too long: `trailing` is at most 60s, so long the end is held back");
        report.add(at, message);
    }
}

/// The line of `purpose:` that always holds stands last.
fn purpose(operation: &Operation, path: &str, report: &mut Report) {
    let at = join(path, "purpose");
    at_most(MAX_PURPOSES, "lines", operation.purpose.len(), &at, report);
    let always = operation
        .purpose
        .iter()
        .position(|rule| rule.when.is_none());
    last(always, operation.purpose.len(), &at, report);
}

/// Of lines that are asked one after the other, only the last may always hold.
pub(super) fn last(always: Option<usize>, lines: usize, path: &str, report: &mut Report) {
    if let Some(always) = always.filter(|always| always + 1 < lines) {
        report.add(
            format!("{path}.{always}"),
            "this line has no `when:` and always holds, so that those below it are never reached: put it last",
        );
    }
}

fn times(operation: &Operation, path: &str, report: &mut Report) {
    let (least, most) = (operation.min_duration, operation.max_duration);
    if least >= most {
        let blamed = if least.is_zero() {
            "max_duration"
        } else {
            "min_duration"
        };
        let message = format!(
            "`min_duration`, {}, is not less than `max_duration`, {}: no operation could be reported",
            String::from(least),
            String::from(most)
        );
        report.add(join(path, blamed), message);
    }
    if let Some(every) = operation.progress_every {
        let at = join(path, "progress_every");
        if every.get() < PROGRESS_AT_LEAST {
            let found = report.written(&at);
            report.add(
                at,
                format!("{found} is too short: at least 1s, each report is an event"),
            );
        }
    }
    let give_up = operation.connection_loss.as_ref();
    if give_up.is_some_and(|loss| loss.give_up_after.is_zero()) {
        let message = "an operation would be given up as soon as one poll is missed: write how long its devices may be away, such as 10min, or leave `connection_loss` out";
        report.add(
            join(&join(path, "connection_loss"), "give_up_after"),
            message,
        );
    }
    waits(operation, path, report);
}

/// What an operation waits for is over before it must be.
fn waits(operation: &Operation, path: &str, report: &mut Report) {
    let debounces = [("start", &operation.start), ("end", &operation.end)];
    for (key, trigger) in debounces {
        let debounce = trigger
            .as_ref()
            .map_or(Period::default(), |one| one.debounce);
        if !debounce.is_zero() && debounce >= operation.max_duration {
            let at = join(&join(path, key), "debounce");
            let found = report.written(&at);
            let message = format!(
                "{found} is not less than `max_duration`, {}: the operation is aborted before `{key}` could fire",
                String::from(operation.max_duration)
            );
            report.add(at, message);
        }
    }
}
