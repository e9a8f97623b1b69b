//! Alarms and maintenance indicators of an equipment.

use super::scope::{Scope, at_most};
use super::{join, names};
use crate::model::ValueKind;
use crate::settings::plant::{Tag, TagSource};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Alarm, Indicator, TagType};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Most alarms of a machine by name; those of a tag have one name together.
const MAX_ALARMS: usize = 64;
/// Most codes of one tag.
const MAX_CODES: usize = 4_096;
/// Bits of the widest word.
const MAX_BITS: u32 = 64;
/// Most indicators of a machine: each keeps its window durably.
const MAX_INDICATORS: usize = 64;
/// What an indicator is looked at over.
const WINDOW: RangeInclusive<Duration> =
    Duration::from_secs(3_600)..=Duration::from_secs(365 * 86_400);
/// Shortest time between two reports of an indicator.
const REPORT_AT_LEAST: Duration = Duration::from_secs(60);

/// Checks alarms and indicators; their conditions are read by `aggregate`.
pub(super) fn check(scope: &Scope<'_>, path: &str, report: &mut Report) {
    let equipment = &scope.machine.equipment;
    let at = join(path, "alarms");
    at_most(MAX_ALARMS, "alarms", equipment.alarms.len(), &at, report);
    for (name, alarm) in &equipment.alarms {
        let path = join(&at, name);
        names::name("an alarm", name, &path, report);
        check_alarm(alarm, scope, &path, report);
    }
    let at = join(path, "maintenance");
    let count = equipment.maintenance.len();
    at_most(MAX_INDICATORS, "indicators", count, &at, report);
    for (name, indicator) in &equipment.maintenance {
        let path = join(&at, name);
        names::name("an indicator", name, &path, report);
        check_indicator(indicator, scope, &path, report);
    }
}

fn check_alarm(alarm: &Alarm, scope: &Scope<'_>, path: &str, report: &mut Report) {
    match (&alarm.tag, &alarm.when) {
        (Some(_), Some(_)) => {
            let message = "`tag` and `when` stand here together: the alarm is what the tag says, or what the condition says";
            report.add(path, message);
        }
        (None, None) => {
            let message = "when does it stand? Write `when: \"CONDITION\"`, or `tag:` for a tag that has its number";
            report.add(path, message);
        }
        (Some(name), None) => of_tag(name, alarm, scope, path, report),
        (None, Some(_)) => {
            for (key, given) in [
                ("bits", !alarm.bits.is_empty()),
                ("codes", !alarm.codes.is_empty()),
            ] {
                if given {
                    let message =
                        format!("`{key}` says what the values of a tag are: it goes with `tag:`");
                    report.add(join(path, key), message);
                }
            }
        }
    }
    if alarm
        .code
        .as_ref()
        .is_some_and(|code| code.trim().is_empty())
    {
        let message = "an empty text is no code: leave `code` out, and the name is the code";
        report.add(join(path, "code"), message);
    }
}

fn of_tag(name: &str, alarm: &Alarm, scope: &Scope<'_>, path: &str, report: &mut Report) {
    for (key, given) in [
        ("code", alarm.code.is_some()),
        ("text", alarm.text.is_some()),
    ] {
        if given {
            let message = format!(
                "`{key}` goes with `when:`; what the values of a tag mean stands in `codes:` or `bits:`"
            );
            report.add(join(path, key), message);
        }
    }
    let at = join(path, "tag");
    if alarm.bits.is_empty() {
        scope.naming(name, &at, report);
        let count = alarm.codes.len();
        at_most(MAX_CODES, "codes", count, &join(path, "codes"), report);
        return;
    }
    if !alarm.codes.is_empty() {
        let message =
            "`bits` and `codes` stand here together: the tag is a word of bits, or one number";
        report.add(path, message);
        return;
    }
    let tag = scope.tag(name, &at, report);
    if tag.is_some_and(|tag| !matches!(tag.kind, ValueKind::Int | ValueKind::Any)) {
        let message = format!("{} has no bits: it is not a whole number", shown(name));
        report.add(at, message);
        return;
    }
    let width = tag.and_then(width).unwrap_or(MAX_BITS);
    for bit in alarm.bits.keys() {
        let plain = bit.len() == 1 || !bit.starts_with(['0', '+']);
        if !(plain && bit.parse().is_ok_and(|bit: u32| bit < width)) {
            let message = format!(
                "{} is not a bit of {}: they are 0, the least significant, to {}",
                shown(bit),
                shown(name),
                width.saturating_sub(1)
            );
            report.add(join(&join(path, "bits"), bit), message);
        }
    }
}

/// Bits of a tag's type, where the settings say it.
fn width(tag: &Tag) -> Option<u32> {
    let kind = match &tag.source {
        TagSource::Modbus(register) => Some(register.kind),
        TagSource::OpcUa(variable) => variable.kind,
        TagSource::Line(_) => None,
    }?;
    match kind {
        TagType::I8 | TagType::U8 => Some(8),
        TagType::I16 | TagType::U16 | TagType::Bcd16 => Some(16),
        TagType::I32 | TagType::U32 | TagType::Bcd32 => Some(32),
        _ => None,
    }
}

fn check_indicator(indicator: &Indicator, scope: &Scope<'_>, path: &str, report: &mut Report) {
    scope.number(&indicator.tag, "what wears", &join(path, "tag"), report);
    if !WINDOW.contains(&indicator.window.get()) {
        let at = join(path, "window");
        let found = report.written(&at);
        report.add(
            at,
            format!("{found} is out of range: `window` is 1h to 365d"),
        );
    }
    let at = join(path, "every");
    if indicator.every.get() < REPORT_AT_LEAST {
        let found = report.written(&at);
        let message = format!("{found} is too short: at least 1min, each report is an event");
        report.add(at, message);
    } else if indicator.every > indicator.window && WINDOW.contains(&indicator.window.get()) {
        let message = format!(
            "`every`, {}, is longer than `window`, {}: what lies between two reports would never be looked at",
            String::from(indicator.every),
            String::from(indicator.window)
        );
        report.add(at, message);
    }
    if let Some(warn) = indicator.warn.filter(|warn| indicator.alarm == Some(*warn)) {
        let message = format!(
            "`warn` and `alarm` are both {warn}: write `warn` below `alarm` for what rises, above it for what falls, or leave it out"
        );
        report.add(join(path, "warn"), message);
    }
}
