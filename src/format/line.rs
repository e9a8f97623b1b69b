//! One event as one line for a person: `10:14:37.560  PRESS-04/1  form #17 completed in 3.52 s  verdict pass`.
//!
//! Works on the JSON as it travels, so that whoever receives events can show them. Never fails: what is missing is
//! left out. Nothing in a line can move the cursor of a terminal.

use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write;

/// Longest line, in characters.
const MAX_LINE: usize = 240;
/// Longest single text from a machine, in characters.
const MAX_WORD: usize = 60;
/// Most characteristics that one line names.
const MAX_RESULTS: usize = 3;

/// The event as one line: time of day in UTC, subject, what happened. No colours, no line end.
#[must_use]
pub fn line(event: &Value) -> String {
    let time = time_of_day(event);
    let subject = word(event, "/subject").unwrap_or_else(|| "?".into());
    let mut line = format!("{time}  {subject}  {}", told(event));
    if let Some(flags) = flags(event) {
        line.push_str(&flags);
    }
    if event.pointer("/data/gateway/test") == Some(&Value::Bool(true)) {
        line.push_str("  (test)");
    }
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => {
            line.truncate(end);
            line + "..."
        }
        None => line,
    }
}

/// What happened, by the short name of the event.
fn told(event: &Value) -> String {
    let kind = word(event, "/type").unwrap_or_default();
    let name = kind.strip_prefix("millgate.").unwrap_or(&kind);
    match name.strip_suffix(".v1").unwrap_or(name) {
        "operation.started" => started(event),
        "operation.completed" => completed(event),
        "operation.aborted" => aborted(event),
        "equipment.state.changed" => state(event),
        "production.counted" => counted(event),
        "gateway.birth" => birth(event),
        "gateway.device.state" => device(event),
        "" => "an event without a type".to_owned(),
        other => other.to_owned(),
    }
}

/// `form #17`
fn operation(event: &Value) -> String {
    let name = word(event, "/data/operation/name").unwrap_or_else(|| "operation".into());
    match event
        .pointer("/data/operation/ordinal")
        .and_then(Value::as_u64)
    {
        Some(ordinal) => format!("{name} #{ordinal}"),
        None => name,
    }
}

fn started(event: &Value) -> String {
    let mut line = format!("{} started", operation(event));
    for what in ["order", "product", "lot"] {
        if let Some(id) = word(event, &format!("/data/operation/{what}/id")) {
            let _written = write!(line, "  {what} {id}");
        }
    }
    line
}

fn completed(event: &Value) -> String {
    let mut line = format!("{} completed", operation(event));
    if let Some(duration) = number(event, "/data/operation/duration_s") {
        let _written = write!(line, " in {} s", shown(duration));
    }
    if let Some(verdict) = word(event, "/data/verdict").filter(|verdict| verdict != "not_evaluated")
    {
        let _written = write!(line, "  verdict {verdict}");
    }
    line + &measured(event)
}

fn aborted(event: &Value) -> String {
    let how = word(event, "/data/operation/outcome").unwrap_or_else(|| "aborted".into());
    let mut line = format!("{} {how}", operation(event));
    if let Some(duration) = number(event, "/data/operation/duration_s") {
        let _written = write!(line, " after {} s", shown(duration));
    }
    if let Some(cause) = word(event, "/data/operation/end_cause") {
        let _written = write!(line, "  {}", cause.replace('_', " "));
    }
    if let Some(reason) = word(event, "/data/operation/abort_reason") {
        let _written = write!(line, "  reason {reason}");
    }
    line
}

/// The characteristics that failed, else the first one, else the largest value of the first parameter.
fn measured(event: &Value) -> String {
    let results = event
        .pointer("/data/quality")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let failed: Vec<&Value> = results
        .iter()
        .filter(|result| result.get("verdict").and_then(Value::as_str) == Some("fail"))
        .take(MAX_RESULTS)
        .collect();
    if !failed.is_empty() {
        return failed.into_iter().map(characteristic).collect();
    }
    if let Some(first) = results.first() {
        return characteristic(first);
    }
    let largest = number(event, "/data/parameters/0/stats/max");
    let name = word(event, "/data/parameters/0/name");
    match (name, largest) {
        (Some(name), Some(largest)) => {
            let unit = unit(event.pointer("/data/parameters/0/unit"));
            format!("  {name} max {}{unit}", shown(largest))
        }
        _ => String::new(),
    }
}

/// `  forming_pressure max 251.4 bar above 250`
fn characteristic(result: &Value) -> String {
    let Some(name) = word(result, "/characteristic") else {
        return String::new();
    };
    let Some(value) = number(result, "/value") else {
        return format!("  {} unknown", name.replace('.', " "));
    };
    let unit = unit(result.get("unit"));
    let mut line = format!("  {} {}{unit}", name.replace('.', " "), shown(value));
    if let Some(high) = number(result, "/high").filter(|high| value > *high) {
        let _written = write!(line, " above {}", shown(high));
    }
    if let Some(low) = number(result, "/low").filter(|low| value < *low) {
        let _written = write!(line, " below {}", shown(low));
    }
    line
}

fn state(event: &Value) -> String {
    let now = word(event, "/data/state/current").unwrap_or_else(|| "?".into());
    let before = word(event, "/data/state/previous");
    let mut line = match &before {
        Some(before) if *before != now => format!("{before} -> {now}"),
        _ => now,
    };
    if let Some(substate) = word(event, "/data/state/substate") {
        let _written = write!(line, "/{substate}");
    }
    let mode = word(event, "/data/state/mode");
    let mode_before = word(event, "/data/state/previous_mode");
    if let Some(mode) = mode.filter(|mode| mode_before.as_ref() != Some(mode)) {
        let _written = write!(line, "  mode {mode}");
    }
    if let Some(reason) = word(event, "/data/state/reason/code") {
        let _written = write!(line, "  reason {reason}");
    }
    if let (Some(before), Some(lasted)) = (before, number(event, "/data/state/previous_duration_s"))
    {
        let _written = write!(line, "  {before} had lasted {} s", shown(lasted));
    }
    line
}

fn counted(event: &Value) -> String {
    let name = word(event, "/data/counter/name").unwrap_or_else(|| "counter".into());
    let whole = |place: &str| event.pointer(place).and_then(Value::as_u64);
    let mut line = name;
    if let Some(delta) = whole("/data/counter/delta") {
        let _written = write!(line, " +{delta}");
    }
    if let Some(total) = whole("/data/counter/total") {
        let _written = write!(line, ", {total} in all");
    }
    if event.pointer("/data/counter/ambiguous") == Some(&Value::Bool(true)) {
        line.push_str(", ambiguous");
    }
    line
}

fn birth(event: &Value) -> String {
    let mut line = "gateway started".to_owned();
    if let Some(version) = word(event, "/data/birth/version") {
        let _written = write!(line, ", version {version}");
    }
    let open = event.pointer("/data/birth/open_operations");
    match open.and_then(Value::as_array).map_or(0, Vec::len) {
        0 => {}
        1 => line.push_str(", 1 operation is still open"),
        open => {
            let _written = write!(line, ", {open} operations are still open");
        }
    }
    line
}

fn device(event: &Value) -> String {
    let name = word(event, "/data/connection/name").unwrap_or_else(|| "device".into());
    match word(event, "/data/connection/state").as_deref() {
        Some("good") => format!("{name} answers"),
        Some("lost") => {
            let why = word(event, "/data/connection/error").unwrap_or_else(|| "no answer".into());
            format!("{name} lost: {why}")
        }
        _ => name,
    }
}

/// `  [start_missed, power_loss]`
fn flags(event: &Value) -> Option<String> {
    let flags = event
        .pointer("/data/operation/flags")
        .and_then(Value::as_array)?;
    let words: Vec<String> = flags.iter().filter_map(Value::as_str).map(clean).collect();
    (!words.is_empty()).then(|| format!("  [{}]", words.join(", ")))
}

/// `09:14:37.560`, in UTC; the text itself where it is no time.
fn time_of_day(event: &Value) -> String {
    let text = word(event, "/time").unwrap_or_else(|| "--:--:--.---".into());
    match text.parse::<Timestamp>() {
        Ok(time) => time.strftime("%H:%M:%S.%3f").to_string(),
        Err(_) => text,
    }
}

/// A text at this place, or a number as text; safe to show.
fn word(value: &Value, place: &str) -> Option<String> {
    match value.pointer(place)? {
        Value::String(text) if !text.is_empty() => Some(clean(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value, place: &str) -> Option<f64> {
    value.pointer(place)?.as_f64()
}

fn unit(unit: Option<&Value>) -> String {
    match unit.and_then(Value::as_str) {
        None | Some("") => String::new(),
        Some(unit) => format!(" {}", clean(unit)),
    }
}

/// A number with as many digits as a person reads: `251.4`, `3.52`, `0.004`.
fn shown(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 1e9 || (size > 0.0 && size < 0.001) => return format!("{number:.2e}"),
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.decimals$}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "" | "-" | "-0" => "0".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// A text without control or direction-changing characters, not too long.
fn clean(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MAX_WORD)
        .map(|c| if harmless(c) { c } else { '\u{b7}' })
        .collect();
    if text.chars().nth(MAX_WORD).is_some() {
        out.push_str("...");
    }
    out
}

/// False for what moves a cursor, breaks a line or turns the direction of writing.
fn harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::super::samples::{ODD, after, event, extreme, operation, ordinary, renderer};
    use super::*;
    use crate::model::Body;
    use serde_json::json;

    fn read(event: &crate::model::Event) -> Value {
        serde_json::from_slice(&renderer().render(event, after(0.1)).json).unwrap()
    }

    #[test]
    fn each_event_is_told_in_one_line() {
        let ordinary = ordinary();
        let told = ordinary.iter().filter(|event| {
            let name = event.kind().name();
            !line(&read(event)).contains(name)
        });
        let lines: Vec<String> = told.map(|event| line(&read(event))).collect();
        let expected = [
            "09:14:02.310  PRESS-04/1  form #17 started  order WO-100482",
            "09:14:02.310  PRESS-04/1  form #17 completed in 3.52 s  verdict fail  forming_pressure max 251.4 bar above 250",
            "09:14:02.310  PRESS-04/1  form #17 aborted after 3.52 s  abort trigger  reason 17",
            "09:14:02.310  PRESS-04  RUNNING -> FAULTED  reason 17  RUNNING had lasted 322.1 s",
            "09:14:02.310  PRESS-04  strokes +5, 1804463 in all",
            "09:14:02.310  gateway  gateway started, version 0.1.0, 1 operation is still open",
            "09:14:02.310  gateway  PRESS-04.plc lost: no answer in 500 ms",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn whatever_comes_becomes_one_short_harmless_line() {
        let strange = [
            json!(null),
            json!([]),
            json!({}),
            json!("text"),
            json!({"type": 7, "time": "yesterday", "subject": {}}),
            json!({"type": "millgate.operation.completed.v1", "data": 5}),
            json!({"type": "millgate.operation.completed.v1", "data": {"quality": [null, {}], "parameters": {}}}),
            json!({"type": "x".repeat(5_000), "subject": "\u{1b}[2J\r\n\u{202e}"}),
        ];
        let events = extreme();
        for value in strange.into_iter().chain(events.iter().map(read)) {
            let line = line(&value);
            assert!(line.chars().all(harmless), "{line:?}");
            assert!(line.chars().count() <= MAX_LINE + 3, "{line}");
        }
    }

    #[test]
    fn what_a_machine_says_cannot_move_the_cursor() {
        let mut odd = operation(None);
        odd.order.as_mut().unwrap().id = ODD.into();
        let line = line(&read(&event(Body::OperationStarted(odd))));
        assert!(line.contains("order a\u{b7}\u{b7}[31m"), "{line}");
    }

    #[test]
    fn numbers_have_the_digits_a_person_reads() {
        let cases = [
            (251.4, "251.4"),
            (250.0, "250"),
            (3.5249, "3.52"),
            (-3.0, "-3"),
            (0.004, "0.004"),
            (0.000_012, "1.20e-5"),
            (0.0, "0"),
            (-0.0, "0"),
            (1.0e12, "1.00e12"),
        ];
        for (number, expected) in cases {
            assert_eq!(shown(number), expected);
        }
    }
}
