//! States, counters, stops, alarms, intervals and wear in words.

use super::{clock_time, exact, labelled, lasting, number, sentence, unit, word};
use serde_json::Value;

/// Shorter times of an interval are in the event, and not worth a word.
const SHOWN_S: f64 = 0.001;

pub(super) fn state(event: &Value) -> String {
    let now = word(event, "/data/state/current").unwrap_or_else(|| "?".into());
    let before = word(event, "/data/state/previous");
    let mut head = match &before {
        Some(before) if *before != now => format!("{before} -> {now}"),
        _ => now,
    };
    if let Some(substate) = word(event, "/data/state/substate") {
        head = format!("{head}/{substate}");
    }
    let mode = word(event, "/data/state/mode");
    let mode_before = word(event, "/data/state/previous_mode");
    let mode = mode.filter(|mode| mode_before.as_ref() != Some(mode));
    let lasted = number(event, "/data/state/previous_duration_s");
    let lasted = before.zip(lasted);
    sentence(
        head,
        [
            mode.map(|mode| format!("mode {mode}")),
            reason(event, "/data/state/reason"),
            lasted.map(|(before, lasted)| format!("{before} had lasted {}", lasting(lasted))),
        ],
    )
}

/// `reason E1042 Hydraulic oil temperature high`
fn reason(event: &Value, place: &str) -> Option<String> {
    let reason = event.pointer(place)?;
    let code = word(reason, "/code")?;
    match word(reason, "/text") {
        Some(text) => Some(format!("reason {code} {text}")),
        None => Some(format!("reason {code}")),
    }
}

pub(super) fn counted(event: &Value) -> String {
    let name = word(event, "/data/counter/name").unwrap_or_else(|| "counter".into());
    let delta = word(event, "/data/counter/delta").map(|delta| format!(" +{delta}"));
    let most = word(event, "/data/counter/delta_max");
    let ambiguous = event.pointer("/data/counter/ambiguous") == Some(&Value::Bool(true));
    let doubt = match most {
        Some(most) => Some(format!("perhaps up to {most}")),
        None => ambiguous.then(|| "ambiguous".to_owned()),
    };
    sentence(
        format!("{name}{}", delta.unwrap_or_default()),
        [
            doubt,
            word(event, "/data/counter/total").map(|total| format!("{total} in all")),
            labelled(event, "order", "/data/order/id"),
        ],
    )
}

pub(super) fn alarm_raised(event: &Value) -> String {
    alarm(event, "raised".to_owned())
}

pub(super) fn alarm_cleared(event: &Value) -> String {
    match number(event, "/data/alarm/stood_s") {
        Some(stood) => alarm(event, format!("gone after {}", lasting(stood))),
        None => alarm(event, "gone".to_owned()),
    }
}

fn alarm(event: &Value, what: String) -> String {
    let code = word(event, "/data/alarm/code").or_else(|| word(event, "/data/alarm/name"));
    let code = code.unwrap_or_else(|| "?".into());
    let severity = word(event, "/data/alarm/severity").filter(|severity| severity == "high");
    sentence(
        format!("alarm {code} {what}"),
        [
            word(event, "/data/alarm/text"),
            severity.map(|severity| format!("severity {severity}")),
        ],
    )
}

pub(super) fn downtime(event: &Value) -> String {
    let micro = event.pointer("/data/downtime/micro_stop") == Some(&Value::Bool(true));
    let what = if micro { "micro-stop" } else { "stop" };
    let head = match length(event) {
        Some(length) => format!("{what} of {length}"),
        None => what.to_owned(),
    };
    let reason = reason(event, "/data/downtime/reason");
    sentence(
        head,
        [
            reason.or_else(|| Some("no reason is known".to_owned())),
            segment(event),
            labelled(event, "order", "/data/downtime/order"),
            labelled(event, "shift", "/data/downtime/shift"),
        ],
    )
}

fn length(event: &Value) -> Option<String> {
    number(event, "/data/downtime/duration_s").map(lasting)
}

/// Said only of a stop that was split.
fn segment(event: &Value) -> Option<String> {
    let index = word(event, "/data/segment/index")?;
    match word(event, "/data/segment/of") {
        Some(of) if of == "1" => None,
        Some(of) => Some(format!("segment {index} of {of}")),
        None => Some(format!("segment {index}, it goes on")),
    }
}

pub(super) fn reclassified(event: &Value) -> String {
    let head = match length(event) {
        Some(length) => format!("stop of {length} has another reason"),
        None => "a stop has another reason".to_owned(),
    };
    let now = reason(event, "/data/downtime/reason");
    let before = word(event, "/data/downtime/previous_reason/code");
    sentence(
        head,
        [
            now,
            before.map(|before| format!("before {before}")),
            segment(event),
        ],
    )
}

pub(super) fn interval(event: &Value) -> String {
    let kind = word(event, "/data/interval/kind").unwrap_or_else(|| "interval".into());
    let from = clock_time(event, "/data/interval/from");
    let to = clock_time(event, "/data/interval/to");
    let times = from.zip(to).map(|(from, to)| format!("{from}-{to}"));
    let name = match kind.as_str() {
        "shift" => word(event, "/data/interval/id"),
        _ => times,
    };
    let order = labelled(event, "order", "/data/order/id");
    sentence(
        format!("{kind} {}", name.unwrap_or_default())
            .trim_end()
            .to_owned(),
        [durations(event), Some(pieces(event)), order],
    )
}

/// `running 12 min, idle 3 min, stopped in setup 1 min`
fn durations(event: &Value) -> Option<String> {
    let durations = event.pointer("/data/state_durations_s")?.as_object()?;
    let words: Vec<String> = durations
        .iter()
        .filter_map(|(place, seconds)| Some((place, seconds.as_f64()?)))
        .filter(|(_, seconds)| *seconds >= SHOWN_S)
        .map(|(place, seconds)| format!("{} {}", state_words(place), lasting(seconds)))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// `RUNNING/PRODUCTION` -> `running`, `STOPPED/SETUP` -> `stopped in setup`
fn state_words(place: &str) -> String {
    let place = super::clean(place).to_lowercase();
    match place.split_once('/') {
        Some((state, "production" | "none")) => state.to_owned(),
        Some((state, mode)) => format!("{state} in {mode}"),
        None => place,
    }
}

fn pieces(event: &Value) -> String {
    let count = |kind: &str| {
        let place = format!("/data/counts/{kind}");
        event.pointer(&place).and_then(Value::as_u64).unwrap_or(0)
    };
    let kinds = ["good", "reject", "rework", "undetermined"];
    let words: Vec<String> = kinds
        .iter()
        .filter(|kind| count(kind) > 0)
        .map(|kind| format!("{} {kind}", count(kind)))
        .collect();
    match (words.is_empty(), count("total"), count("cycles")) {
        (false, ..) => words.join(", "),
        (true, 0, 0) => "no pieces".to_owned(),
        (true, 0, cycles) => format!("{cycles} cycles"),
        (true, total, _) => format!("{total} pieces"),
    }
}

pub(super) fn indicator(event: &Value) -> String {
    let name = word(event, "/data/indicator/name").unwrap_or_else(|| "indicator".into());
    let level = word(event, "/data/indicator/level").unwrap_or_default();
    let Some(value) = number(event, "/data/indicator/value") else {
        return format!("{name}: not enough data yet");
    };
    let unit = unit(event.pointer("/data/indicator/unit"));
    let limit = match level.as_str() {
        "warn" | "alarm" => number(event, &format!("/data/indicator/{level}")),
        _ => None,
    };
    let level = match limit {
        Some(limit) => format!("{level} from {} on", exact(limit)),
        None => level,
    };
    let trend = number(event, "/data/indicator/trend_per_day");
    sentence(
        format!("{name} {}{unit}", exact(value)),
        [
            Some(level).filter(|level| !level.is_empty()),
            number(event, "/data/indicator/baseline")
                .map(|baseline| format!("{} at first", exact(baseline))),
            trend.map(|trend| {
                let sign = if trend < 0.0 { "" } else { "+" };
                format!("{sign}{} a day", exact(trend))
            }),
        ],
    )
}
