//! Whatever the wall clock does, durations, order and counts are those of the boot clock.

use millgate::commands::replay::replay;
use millgate::settings;
use proptest::prelude::*;
use serde_json::{Value, json};

const SETTINGS: &str = r#"
gateway: { id: clock-gw01, path: [EXAMPLE] }
machine: PRESS-01
devices:
  plc:
    modbus_tcp: { host: 127.0.0.1 }
    addresses: zero_based
    tags:
      status: { holding: 1, type: u16, every: 100ms }
      pressure: { holding: 2, type: u16, every: 100ms }
      strokes: { holding: 3, type: u16, every: 100ms }
equipment:
  debounce: 200ms
  state:
    - { when: "bit(status, 7)", is: FAULTED }
    - { when: "bit(status, 0)", is: RUNNING, bridge: 3s }
    - { is: IDLE }
  counters:
    strokes: { tag: strokes, counts: cycles, modulus: 65536, max_rate: 100/s }
operations:
  form:
    start: { when: "bit(status, 0)", debounce: 50ms }
    end: { when: "!bit(status, 0)" }
    pause: { when: "pressure == 0" }
    min_duration: 1s
    max_duration: 40s
    parameters:
      pressure: { tag: pressure }
"#;

/// Ten years in seconds.
const TEN_YEARS: i64 = 10 * 365 * 86_400;
/// How long the captures last, in tenths of a second.
const LENGTH: u32 = 3_000;

/// What the machine says, in tenths of a second.
fn course() -> impl Strategy<Value = Vec<(u32, Value)>> {
    let reading = (0..LENGTH, 0..3u8, 0..4u16).prop_map(|(t, which, value)| {
        let (tag, value) = match which {
            0 => ("status", [0, 1, 1, 129][usize::from(value)]),
            1 => ("pressure", value * 40),
            _ => ("strokes", t as u16 * 3),
        };
        (t, json!({"tag": tag, "value": value}))
    });
    prop::collection::vec(reading, 1..60)
}

fn jumps() -> impl Strategy<Value = Vec<(u32, Value)>> {
    let jump = (0..LENGTH, -TEN_YEARS..TEN_YEARS);
    prop::collection::vec(jump, 1..8).prop_map(|jumps| {
        jumps
            .into_iter()
            .map(|(t, by)| (t, json!({"wall_step": by})))
            .collect()
    })
}

/// The capture of all lines in the order of time; a jump comes before what is read at that moment.
fn capture(mut lines: Vec<(u32, Value)>) -> String {
    lines.sort_by_key(|(t, line)| (*t, line.get("tag").is_some()));
    let line = |(t, mut line): (u32, Value)| {
        line["t"] = json!(f64::from(t) / 10.0);
        format!("{line}\n")
    };
    let all: String = lines.into_iter().map(line).collect();
    let first =
        "{\"t\":0,\"tag\":\"status\",\"value\":0}\n{\"t\":0,\"tag\":\"strokes\",\"value\":0}\n";
    format!("{first}{all}{{\"t\":400,\"end\":true}}\n")
}

/// Everything that the events say which is no label of the wall clock, in their order.
fn played(capture: &str) -> Vec<Value> {
    let loaded = settings::load(SETTINGS).unwrap();
    let mut out = Vec::new();
    replay(&loaded.plant, capture, &mut out, None).unwrap();
    let events = String::from_utf8(out).unwrap();
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["type"] != "millgate.gateway.clock.changed.v1")
        .map(without_labels)
        .collect()
}

fn without_labels(event: Value) -> Value {
    let data = &event["data"];
    let operation = &data["operation"];
    json!({
        "type": event["type"],
        "correlation": event["correlationid"],
        "ordinal": operation["ordinal"],
        "duration_s": operation["duration_s"],
        "active_s": operation["active_s"],
        "paused_s": operation["paused_s"],
        "cause": operation["end_cause"],
        "samples": data["parameters"][0]["samples"],
        "mean": data["parameters"][0]["stats"]["time_weighted_mean"],
        "counts": data["counts"],
        "delta": data["counter"]["delta"],
        "total": data["counter"]["total"],
        "state": data["state"]["current"],
        "state_s": data["state"]["previous_duration_s"],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_wall_clock_that_jumps_changes_no_duration_no_order_and_no_count(
        course in course(),
        jumps in jumps(),
    ) {
        let steady = played(&capture(course.clone()));
        let jumping = played(&capture([course, jumps].concat()));
        prop_assert_eq!(steady, jumping);
    }
}
