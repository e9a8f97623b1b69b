//! One event as one line for a person: `10:14:37.560  PRESS-04/1  form #17 completed in 3.52 s: verdict pass`.
//!
//! Works on the JSON as it travels, so that whoever receives events can show them. Never fails: what is missing is
//! left out. Nothing in a line can move the cursor of a terminal.

mod gateway;
mod machine;
mod operation;

use jiff::Timestamp;
use serde_json::Value;

/// Longest line, in characters.
const MAX_LINE: usize = 240;
/// Longest single text from a machine, in characters.
const MAX_WORD: usize = 60;

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
        "operation.started" => operation::started(event),
        "operation.identified" => operation::identified(event),
        "operation.paused" => operation::paused(event),
        "operation.resumed" => operation::resumed(event),
        "operation.progress" => operation::progress(event),
        "operation.completed" => operation::completed(event),
        "operation.aborted" => operation::aborted(event),
        "operation.corrected" => operation::corrected(event),
        "part.identified" => operation::part_read(event),
        "part.scan.rejected" => operation::scan_refused(event),
        "parameter.limit.exceeded" => operation::limit_exceeded(event),
        "parameter.limit.cleared" => operation::limit_cleared(event),
        "quality.result" => operation::measured(event),
        "tool.changed" => operation::tool(event),
        "material.loaded" => operation::material(event),
        "production.counted" => machine::counted(event),
        "equipment.state.changed" => machine::state(event),
        "equipment.alarm.raised" => machine::alarm_raised(event),
        "equipment.alarm.cleared" => machine::alarm_cleared(event),
        "equipment.downtime.closed" => machine::downtime(event),
        "equipment.downtime.reclassified" => machine::reclassified(event),
        "equipment.performance.interval" => machine::interval(event),
        "maintenance.indicator" => machine::indicator(event),
        "gateway.birth" => gateway::birth(event),
        "gateway.heartbeat" => gateway::heartbeat(event),
        "gateway.clock.changed" => gateway::clock(event),
        "gateway.device.state" => gateway::device(event),
        "gateway.config.activated" => gateway::config(event),
        "gateway.delivery.alert" => gateway::delivery(event),
        "" => "an event without a type".to_owned(),
        other => other.to_owned(),
    }
}

/// `head: this, that`, of the details that are known.
fn sentence<const N: usize>(head: String, details: [Option<String>; N]) -> String {
    let known: Vec<String> = details.into_iter().flatten().collect();
    if known.is_empty() {
        return head;
    }
    format!("{head}: {}", known.join(", "))
}

/// `order WO-100482`
fn labelled(event: &Value, label: &str, place: &str) -> Option<String> {
    word(event, place).map(|word| format!("{label} {word}"))
}

/// `1 operation`, `2 operations`
fn several(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
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
    trimmed(&format!("{number:.decimals$}"))
}

/// A measured value with the digits that a limit is about, six of them: `12.0031`.
fn exact(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{number:.3e}");
    }
    // Whole digits take from the six; the rest stand behind the point.
    let decimals = match size {
        size if size >= 1e5 => 0,
        size if size >= 1e4 => 1,
        size if size >= 1e3 => 2,
        size if size >= 1e2 => 3,
        size if size >= 10.0 => 4,
        _ => 5,
    };
    trimmed(&format!("{number:.decimals$}"))
}

/// A length of time as people say it: `3.52 s`, `5 min 22 s`, `2 h 5 min`.
fn lasting(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{} s", shown(seconds));
    }
    let whole = seconds.round();
    let (big, small, words) = if whole < 3_600.0 {
        (whole / 60.0, whole % 60.0, ("min", "s"))
    } else {
        let minutes = (seconds / 60.0).round();
        (minutes / 60.0, minutes % 60.0, ("h", "min"))
    };
    match small {
        0.0 => format!("{} {}", big.floor(), words.0),
        small => format!("{} {} {small} {}", big.floor(), words.0, words.1),
    }
}

fn trimmed(number: &str) -> String {
    let short = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    match short {
        "" | "-" | "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// `09:00` of a time at this place, in UTC.
fn clock_time(event: &Value, place: &str) -> Option<String> {
    let time: Timestamp = event.pointer(place)?.as_str()?.parse().ok()?;
    Some(time.strftime("%H:%M").to_string())
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
        let expected = include_str!("expected.txt");
        let lines: Vec<String> = ordinary().iter().map(|event| line(&read(event))).collect();
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(lines, expected, "\n{}\n", lines.join("\n"));
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
    fn times_are_said_as_people_say_them() {
        let cases = [
            (0.0, "0 s"),
            (0.25, "0.25 s"),
            (59.94, "59.94 s"),
            (59.97, "1 min"),
            (322.1, "5 min 22 s"),
            (3_599.7, "1 h"),
            (7_500.0, "2 h 5 min"),
            (28_800.0, "8 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(lasting(seconds), expected);
        }
    }

    #[test]
    fn what_is_checked_keeps_the_digits_of_its_limit() {
        let cases = [
            (12.0131, "12.0131"),
            (251.4, "251.4"),
            (250.0, "250"),
            (0.0045, "0.0045"),
            (123_456.7, "123457"),
            (200_000.0, "200000"),
            (-0.0, "0"),
            (1e-7, "1.000e-7"),
        ];
        for (number, expected) in cases {
            assert_eq!(exact(number), expected);
        }
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
