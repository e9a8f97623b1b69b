//! PackML, ideal cycle, stops with their reasons, and intervals of an equipment.

use super::scope::{Scope, at_most};
use super::{calendar, join};
use crate::model::{State, ValueKind};
use crate::settings::plant::Plant;
use crate::settings::problem::{nearest, shown};
use crate::settings::report::Report;
use crate::settings::shape::{
    Downtime, Equipment, IdealCycle, PackMl, Performance, Reasons, SplitAt,
};
use crate::settings::units::Period;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Numbers of the modes that a PackML machine may define itself (ISA-TR88.00.02: `UnitMode` 4 to 31).
const OWN_MODES: RangeInclusive<u8> = 4..=31;
/// Most codes of a catalogue, and most products of a list.
const MAX_CODES: usize = 4_096;
/// Length of an interval: shorter is a flood of events, longer no shift has.
pub(super) const INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(24 * 3_600);
/// All states.
pub(super) const STATES: [State; 6] = [
    State::Running,
    State::Idle,
    State::Stopped,
    State::Faulted,
    State::Offline,
    State::Unknown,
];
/// Substates that PackML gives (`STATES.md` of the event catalogue).
const PACKML_SUBSTATES: [(State, &str); 9] = [
    (State::Idle, "waiting"),
    (State::Idle, "starting"),
    (State::Idle, "resetting"),
    (State::Idle, "completing"),
    (State::Idle, "complete"),
    (State::Idle, "starved"),
    (State::Idle, "blocked"),
    (State::Idle, "suspended"),
    (State::Stopped, "held"),
];

/// Checks what an equipment has beyond its rules, counters and alarms.
pub(super) fn check(scope: &Scope<'_>, plant: &Plant, path: &str, report: &mut Report) {
    let equipment = &scope.machine.equipment;
    if let Some(packml) = &equipment.packml {
        check_packml(packml, scope, path, report);
    }
    if let Some(ideal) = &equipment.ideal_cycle {
        ideal_cycle(ideal, scope, &join(path, "ideal_cycle"), report);
    }
    calendar::named(equipment, &plant.calendars, path, report);
    let has_shifts = calendar::of(equipment, &plant.calendars).is_some();
    if let Some(downtime) = &equipment.downtime {
        let path = join(path, "downtime");
        check_downtime(downtime, equipment, &path, report);
        splits(&downtime.split_at, has_shifts, &path, report);
    }
    if let Some(performance) = &equipment.performance {
        let path = join(path, "performance");
        check_performance(performance, &path, report);
        splits(&performance.split_at, has_shifts, &path, report);
    }
}

fn check_packml(packml: &PackMl, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let equipment = &scope.machine.equipment;
    for (key, given) in [
        ("state", !equipment.state.is_empty()),
        ("mode", !equipment.mode.is_empty()),
    ] {
        if given {
            let message =
                format!("`packml` says the {key} by its table: take `{key}:` away, or `packml:`");
            report.add(join(path, key), message);
        }
    }
    let path = join(path, "packml");
    whole(
        scope,
        &packml.state.tag,
        "the PackML state",
        &join(&path, "state.tag"),
        report,
    );
    if let Some(mode) = &packml.mode {
        whole(
            scope,
            &mode.tag,
            "the PackML mode",
            &join(&path, "mode.tag"),
            report,
        );
    }
    if let Some(reason) = &packml.stop_reason {
        scope.naming(&reason.tag, &join(&path, "stop_reason.tag"), report);
    }
    for (key, tag) in [("starved", &packml.starved), ("blocked", &packml.blocked)] {
        if let Some(tag) = tag {
            let at = join(&join(&path, key), "tag");
            scope.bit(&tag.tag, &format!("`{key}`"), &at, report);
        }
    }
    let at = join(&path, "modes");
    if packml.mode.is_none() && !packml.modes.is_empty() {
        let message = "`modes` says what the numbers of `mode:` mean, and there is no `mode:`";
        report.add(&at, message);
        return;
    }
    for number in packml.modes.keys() {
        let own = number
            .parse()
            .is_ok_and(|number| OWN_MODES.contains(&number));
        if !own || number.starts_with(['+', '0']) {
            let message = format!(
                "{} is not a mode of its own: PackML has 1 production, 2 maintenance and 3 manual, a machine names 4 to 31",
                shown(number)
            );
            report.add(join(&at, number), message);
        }
    }
}

fn whole(scope: &Scope<'_>, name: &str, what: &str, path: &str, report: &mut Report) {
    let tag = scope.tag(name, path, report);
    if tag.is_some_and(|tag| !matches!(tag.kind, ValueKind::Int | ValueKind::Any)) {
        let message = format!(
            "{} is not a whole number: {what} is one, without `scale` and `values`",
            shown(name)
        );
        report.add(path, message);
    }
}

fn ideal_cycle(ideal: &IdealCycle, scope: &Scope<'_>, path: &str, report: &mut Report) {
    let listed = ideal.default.is_some() || !ideal.by_product.is_empty();
    match &ideal.tag {
        Some(_) if listed => {
            let message =
                "the ideal cycle comes from one place: `tag:`, or `default:` and `by_product:`";
            report.add(path, message);
        }
        Some(tag) => scope.number(
            tag,
            "the ideal cycle in seconds",
            &join(path, "tag"),
            report,
        ),
        None if !listed => {
            let message = "how long does a piece take at best? Write `default: 34s`, or `tag:` for a tag in seconds";
            report.add(path, message);
        }
        None => {}
    }
    let at = join(path, "by_product");
    at_most(MAX_CODES, "products", ideal.by_product.len(), &at, report);
    let products = ideal.by_product.iter();
    let times = products.map(|(product, time)| (join(&at, product), *time));
    for (path, time) in times.chain(ideal.default.map(|time| (join(path, "default"), time))) {
        if time.is_zero() {
            report.add(
                path,
                "no piece takes no time: write its best cycle, such as 34s",
            );
        }
    }
}

fn check_downtime(downtime: &Downtime, equipment: &Equipment, path: &str, report: &mut Report) {
    let at = join(path, "of");
    if downtime.of.is_empty() {
        report.add(&at, "no state is a stop: write such as [STOPPED, FAULTED]");
    }
    for (index, text) in downtime.of.iter().enumerate() {
        let at = format!("{at}.{index}");
        let before = downtime.of.get(..index).unwrap_or_default();
        if before.contains(text) {
            let message = format!("{} stands here a second time: take one away", shown(text));
            report.add(at, message);
        } else {
            is_stop(text, equipment, &at, report);
        }
    }
    if let Some(reasons) = &downtime.reasons {
        check_reasons(reasons, &join(path, "reasons"), report);
    }
}

/// `STATE` or `STATE/substate`.
fn is_stop(text: &str, equipment: &Equipment, path: &str, report: &mut Report) {
    let (word, substate) = match text.split_once('/') {
        Some((word, substate)) => (word, Some(substate)),
        None => (text, None),
    };
    let Some(state) = STATES.into_iter().find(|state| state.word() == word) else {
        let words = STATES.map(State::word);
        let message = format!(
            "{} is not a state: write one of {}, or with its substate, such as IDLE/starved",
            shown(word),
            words.join(", ")
        );
        let near = nearest(word, words).map(|near| match substate {
            Some(substate) => format!("{near}/{substate}"),
            None => near.to_owned(),
        });
        report.unknown_but(path, text, message, near);
        return;
    };
    if state == State::Running {
        report.add(path, "a machine that is RUNNING does not stand");
    }
    let Some(substate) = substate else { return };
    let known = substates(equipment, state);
    if !known.contains(&substate) {
        let message = if known.is_empty() {
            format!(
                "nothing gives {word} a substate: write `substate: {substate}` in a rule of `state:`"
            )
        } else {
            format!(
                "{} is not a substate of {word} here: there is {}",
                shown(substate),
                known.join(", ")
            )
        };
        let near = nearest(substate, known.iter().copied()).map(|near| format!("{word}/{near}"));
        report.unknown_but(path, substate, message, near);
    }
}

/// The substates that the rules of a state, or PackML, give.
fn substates(equipment: &Equipment, state: State) -> Vec<&str> {
    if equipment.packml.is_some() {
        let given = PACKML_SUBSTATES.iter();
        return given
            .filter(|(of, _)| *of == state)
            .map(|(_, word)| *word)
            .collect();
    }
    let rules = equipment.state.iter().filter(|rule| rule.is == state);
    rules.filter_map(|rule| rule.substate.as_deref()).collect()
}

fn check_reasons(reasons: &Reasons, path: &str, report: &mut Report) {
    if reasons.catalogue.trim().is_empty() {
        let message = "whose codes are these? Write the name of the catalogue as the MES knows it";
        report.add(join(path, "catalogue"), message);
    }
    for (key, table) in [("codes", &reasons.codes), ("texts", &reasons.texts)] {
        let at = join(path, key);
        at_most(MAX_CODES, key, table.len(), &at, report);
        let empty = table
            .iter()
            .find(|(from, to)| from.trim().is_empty() || to.trim().is_empty());
        if let Some((from, _)) = empty {
            report.add(
                join(&at, from),
                "an empty text is no reason: take the line away",
            );
        }
    }
    at_most(
        MAX_CODES,
        "codes",
        reasons.planned.len(),
        &join(path, "planned"),
        report,
    );
    if reasons
        .unknown
        .as_ref()
        .is_some_and(|code| code.trim().is_empty())
    {
        let message =
            "an empty text is no code: leave `unknown` out, and the machine's own word is the code";
        report.add(join(path, "unknown"), message);
    }
}

fn check_performance(performance: &Performance, path: &str, report: &mut Report) {
    let every = performance.every.get();
    if !INTERVAL.contains(&every) {
        let at = join(path, "every");
        let found = report.written(&at);
        report.add(
            at,
            format!("{found} is out of range: `every` is 1min to 24h"),
        );
    }
}

/// A shift that nothing tells the end of cuts nothing.
fn splits(split_at: &[SplitAt], has_shifts: bool, path: &str, report: &mut Report) {
    let at = join(path, "split_at");
    let shift = split_at.iter().position(|one| *one == SplitAt::Shift);
    if let Some(index) = shift.filter(|_| !has_shifts) {
        let message = "no shift ever ends: write `calendars:`, and `calendar:` in `equipment:` where there are several";
        report.add(format!("{at}.{index}"), message);
    }
    for (index, one) in split_at.iter().enumerate() {
        if split_at.iter().take(index).any(|before| before == one) {
            report.add(
                format!("{at}.{index}"),
                "stands here a second time: take one away",
            );
        }
    }
}

/// True where intervals of that length do not fill a day.
pub(super) fn leaves_a_rest(every: Period) -> bool {
    let every = every.get().as_millis();
    every > 0 && !INTERVAL.end().as_millis().is_multiple_of(every)
}
