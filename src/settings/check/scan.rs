//! `scans:`: each rule says how a code is recognised, what it is, and how long it counts.

use super::scope::{Scope, at_most};
use super::{calendar, join};
use crate::model::{PartKind, gs1};
use crate::settings::plant::{Machine, Plant};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Bind, ScanFor, ScanRule, Until};
use std::time::Duration;

/// Most rules of one reader: each code is held against them one after the other.
const MAX_RULES: usize = 64;
/// Most readers of a machine.
const MAX_READERS: usize = 16;
/// Longest pattern in bytes.
const MAX_PATTERN_BYTES: usize = 1_024;
/// Most memory of a compiled pattern in bytes.
const MAX_COMPILED: usize = 1 << 20;
/// Most words of a purpose.
const MAX_WORDS: usize = 64;
/// Longest time in which the same code is the same scan.
const SAME_WITHIN: Duration = Duration::from_secs(3_600);
/// Groups of a pattern that mean something.
const GROUPS: [&str; 2] = ["id", "machine"];

/// Checks the scans of all machines; a rule may name another machine.
pub(super) fn check(plant: &Plant, report: &mut Report) {
    for machine in &plant.machines {
        let scope = Scope {
            machine,
            tags: &plant.tags,
        };
        let path = join(&machine.path, "scans");
        at_most(MAX_READERS, "readers", machine.scans.len(), &path, report);
        for (tag, rules) in &machine.scans {
            let path = join(&path, tag);
            scope.naming(tag, &path, report);
            if rules.is_empty() {
                let message = format!(
                    "no rules: nothing that {} reads is for anything",
                    shown(tag)
                );
                report.add(&path, message);
            }
            at_most(MAX_RULES, "rules", rules.len(), &path, report);
            for (at, rule) in rules.iter().enumerate().take(MAX_RULES) {
                check_rule(rule, machine, plant, &format!("{path}.{at}"), report);
            }
        }
    }
}

fn check_rule(rule: &ScanRule, machine: &Machine, plant: &Plant, path: &str, report: &mut Report) {
    let names_machine = recognised(rule, path, report);
    let target = target(rule, names_machine, machine, plant, path, report);
    if rule.is == ScanFor::Part {
        part(rule, target, path, report);
    } else {
        only_of_a_part(rule, path, report);
    }
    lasts(rule, target, plant, path, report);
    let means = |what| rule.is == what || rule.gs1.values().any(|is| *is == what);
    match &rule.material {
        None if means(ScanFor::Material) => {
            let message = "which material? Write `material: ID`, the one in `materials:` of the operation: the code is its lot";
            report.add(path, message);
        }
        Some(_) if !means(ScanFor::Material) => {
            let message = "`material` goes with `is: material` only";
            report.add(join(path, "material"), message);
        }
        Some(id) if id.trim().is_empty() => {
            report.add(join(path, "material"), "an empty text is no material");
        }
        _ => {}
    }
    words(rule, means(ScanFor::Purpose), path, report);
    if rule.same_within.get() > SAME_WITHIN {
        let at = join(path, "same_within");
        let found = report.written(&at);
        report.add(
            at,
            format!("{found} is too long: `same_within` is at most 1h"),
        );
    }
}

/// How the code is recognised. True when the code itself names its machine.
fn recognised(rule: &ScanRule, path: &str, report: &mut Report) -> bool {
    match (&rule.pattern, rule.gs1.is_empty()) {
        (Some(_), false) => {
            let message = "`pattern` and `gs1` stand here together: a code is recognised by one of them, write a rule for each";
            report.add(path, message);
            false
        }
        (None, true) => {
            let message = "which codes? Write `pattern: \"^SN-[0-9]{7}$\"`, or `gs1: { \"21\": part }` for GS1 codes";
            report.add(path, message);
            false
        }
        (Some(pattern), true) => check_pattern(pattern, &join(path, "pattern"), report),
        (None, false) => {
            check_gs1(rule, &join(path, "gs1"), report);
            false
        }
    }
}

fn check_pattern(pattern: &str, path: &str, report: &mut Report) -> bool {
    if pattern.is_empty() || pattern.len() > MAX_PATTERN_BYTES {
        let message = format!("a pattern has 1 to {MAX_PATTERN_BYTES} bytes; any code fits \".\"");
        report.add(path, message);
        return false;
    }
    let compiled = regex::RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .build();
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(regex::Error::CompiledTooBig(_)) => {
            let message = "this pattern takes too much memory: repeat less in it";
            report.add(path, message);
            return false;
        }
        Err(error) => {
            // The library draws the place below the pattern; its last line says what it is.
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            let why = last.trim().trim_start_matches("error: ");
            report.add(path, format!("{} is no pattern: {why}", shown(pattern)));
            return false;
        }
    };
    let groups: Vec<&str> = compiled.capture_names().flatten().collect();
    for group in groups.iter().filter(|group| !GROUPS.contains(group)) {
        let message = format!(
            "the group {} means nothing here: (?<id>...) is the id in the code, (?<machine>...) the machine that it is for; others are written (?:...)",
            shown(group)
        );
        report.unknown(path, group, message, GROUPS);
    }
    groups.contains(&"machine")
}

fn check_gs1(rule: &ScanRule, path: &str, report: &mut Report) {
    for identifier in rule.gs1.keys() {
        if !gs1::is_identifier(identifier) {
            let message = format!(
                "{} is no GS1 application identifier: write such as \"21\" (serial number), \"10\" (batch) or \"01\" (article)",
                shown(identifier)
            );
            report.add(join(path, identifier), message);
        }
    }
    if !rule.gs1.values().any(|is| *is == rule.is) {
        let message = format!(
            "no identifier is the {}: which of them makes this code one?",
            word(rule.is)
        );
        report.add(path, message);
    }
}

/// The machine that a code is for; `None` where only the code says it, or it does not exist.
fn target<'a>(
    rule: &ScanRule,
    names_machine: bool,
    machine: &'a Machine,
    plant: &'a Plant,
    path: &str,
    report: &mut Report,
) -> Option<&'a Machine> {
    let Some(name) = &rule.machine else {
        return (!names_machine).then_some(machine);
    };
    let at = join(path, "machine");
    if names_machine {
        let message = "the machine stands in the code, (?<machine>...), and here: take one away";
        report.add(at, message);
        return None;
    }
    let found = plant.machines.iter().find(|one| one.name == *name);
    if found.is_none() {
        let message = format!("{} is not a machine of this file", shown(name));
        let known = plant.machines.iter().map(|one| one.name.as_str());
        report.unknown(&at, name, message, known);
    }
    found
}

/// What only a part has. Left out is the same as written with its default.
fn only_of_a_part(rule: &ScanRule, path: &str, report: &mut Report) {
    for (key, given) in [
        ("kind", rule.kind.is_some()),
        ("bind", rule.bind != Bind::default()),
        ("slot", rule.slot.is_some()),
        ("valid_for", rule.valid_for != ScanRule::valid_for_default()),
    ] {
        if given {
            let message = format!(
                "`{key}` is for `is: part` only{}",
                if key == "valid_for" {
                    format!(": how long the {} counts is `until`", word(rule.is))
                } else {
                    String::new()
                }
            );
            report.add(join(path, key), message);
        }
    }
}

fn part(rule: &ScanRule, target: Option<&Machine>, path: &str, report: &mut Report) {
    if rule.kind == Some(PartKind::Generated) {
        let message = "`generated` is what the gateway calls a part that it named itself: a code is `serial`, `lot` or `carrier`";
        report.add(join(path, "kind"), message);
    }
    if rule.valid_for.is_zero() {
        let message =
            "a part that counts for no time is never there: leave `valid_for` out for 10min";
        report.add(join(path, "valid_for"), message);
    }
    let Some(target) = target else { return };
    if target.operations.is_empty() {
        let message = format!("a part of what? `{}` has no `operations:`", target.name);
        report.add(join(path, "is"), message);
    } else if let Some(slot) = &rule.slot {
        let mut slots: Vec<&str> = target
            .operations
            .values()
            .map(|one| one.slot.as_str())
            .collect();
        slots.dedup();
        if !slots.contains(&slot.as_str()) {
            let message = format!(
                "no operation of `{}` is in the slot {}: there is {}",
                target.name,
                shown(slot),
                slots.join(", ")
            );
            report.unknown(&join(path, "slot"), slot, message, slots);
        }
    }
}

/// `until:` is for what counts for longer than one moment.
fn lasts(
    rule: &ScanRule,
    target: Option<&Machine>,
    plant: &Plant,
    path: &str,
    report: &mut Report,
) {
    let at = join(path, "until");
    let Some(until) = rule.until else { return };
    match rule.is {
        ScanFor::Part if rule.gs1.len() < 2 => {
            let message = "a part waits for its operation: how long is `valid_for`";
            report.add(at, message);
        }
        ScanFor::Reason => {
            let message = "a reason is of one stop, the open one or the last: leave `until` out";
            report.add(at, message);
        }
        _ if until == Until::ShiftEnd => {
            let shifts = target.map(|one| calendar::of(&one.equipment, &plant.calendars));
            if shifts == Some(None) {
                let message = "no shift ever ends: write `calendars:`, and `calendar:` in `equipment:` where there are several";
                report.add(at, message);
            }
        }
        _ => {}
    }
}

fn words(rule: &ScanRule, is_purpose: bool, path: &str, report: &mut Report) {
    let at = join(path, "words");
    if rule.words.is_empty() {
        return;
    }
    if !is_purpose {
        let message =
            "`words` says what the codes of a purpose mean: it goes with `is: purpose` only";
        report.add(at, message);
        return;
    }
    at_most(MAX_WORDS, "words", rule.words.len(), &at, report);
    for word in rule.words.keys().filter(|word| word.trim().is_empty()) {
        report.add(join(&at, word), "no code is empty: write what is scanned");
    }
}

/// The word of the settings.
fn word(is: ScanFor) -> &'static str {
    match is {
        ScanFor::Part => "part",
        ScanFor::Material => "material",
        ScanFor::Lot => "lot",
        ScanFor::Order => "order",
        ScanFor::Product => "product",
        ScanFor::Operator => "operator",
        ScanFor::Reason => "reason",
        ScanFor::Purpose => "purpose",
    }
}
