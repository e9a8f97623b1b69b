//! A press through random shifts: pieces, rejects, orders, stops, missing data and power cuts. Whatever happens, each piece is
//! booked once, stands in one interval of each kind, and the time of the intervals is the time that passed.

use millgate::commands::replay::replay;
use millgate::settings;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// 20 minutes before the late shift begins, in Berlin.
const START: &str = "2026-11-23T12:40:00Z";
/// The counters begin anew there.
const MODULUS: i64 = 200;
/// Pieces a second, at most.
const RATE: i64 = 2;
/// All intervals that what happened lies in are over by then: the night begins at 17:00 UTC.
const END_S: f64 = 5.0 * 3600.0;

const SETTINGS: &str = r#"
gateway: { id: case-gw01, path: [EXAMPLE, PLANT1, PRESSHOP] }
calendars:
  presshop:
    timezone: Europe/Berlin
    shifts:
      early: { from: "06:00", to: "14:00", breaks: ["13:50-13:55"] }
      late: { from: "14:00", to: "18:00" }
      night: { from: "18:00", to: "06:00", dated: end }
machine: PRESS-04
devices:
  plc:
    modbus_tcp: { host: 127.0.0.1 }
    addresses: zero_based
    tags:
      status: { holding: 100, type: u16, every: 50ms }
      first: { holding: 110, type: u16, every: 1s }
      second: { holding: 111, type: u16, every: 1s }
      order_no: { holding: 300, type: text, length: 10, every: 1s }
equipment:
  state:
    - { when: "bit(status, 2)", is: FAULTED }
    - { when: "bit(status, 0)", is: RUNNING, bridge: BRIDGE }
    - { is: STOPPED }
  debounce: DEBOUNCE
  downtime: { of: [STOPPED, FAULTED], micro_stop_below: 2min, split_at: [shift, order] }
  counters:
    first: { tag: first, counts: FIRST, modulus: 200, max_rate: 2/s }
    second: { tag: second, counts: SECOND, modulus: 200, max_rate: 2/s }
  pieces_from: counters
  performance: { every: 5min, split_at: [order] }
operations:
  form:
    order: { tag: order_no }
    start: { when: "bit(status, 0)" }
    end: { when: "!bit(status, 0)", debounce: 1s }
"#;

/// Something that happens, and which of the counters is read then.
#[derive(Clone, Debug)]
enum Happening {
    /// So many made of what can be made by then, in percent, and of them rejected, in seconds of 100.
    Made(i64, i64),
    Status(Option<i64>),
    Order(Option<&'static str>),
    CounterBad,
    Off(f64),
}

fn happenings() -> impl Strategy<Value = Vec<(f64, Happening, u8)>> {
    let status =
        prop_oneof![3 => Just(Some(1)), 3 => Just(Some(0)), 1 => Just(Some(4)), 1 => Just(None)];
    let order = prop_oneof![
        Just(Some("WO-1")),
        Just(Some("WO-2")),
        Just(Some("")),
        Just(None)
    ];
    let what = prop_oneof![
        5 => (0i64..100, 0i64..100).prop_map(|(made, bad)| Happening::Made(made, bad)),
        5 => status.prop_map(Happening::Status),
        2 => order.prop_map(Happening::Order),
        1 => Just(Happening::CounterBad),
        1 => (1f64..400.0).prop_map(Happening::Off),
    ];
    let gap = prop_oneof![1 => Just(0.0), 3 => 0.1f64..3.0, 4 => 3.0f64..80.0];
    proptest::collection::vec((gap, what, 0u8..4), 1..70)
}

/// What the machine really did.
#[derive(Debug, Default)]
struct Truth {
    total: i64,
    reject: i64,
    off: bool,
    unseen: bool,
}

/// The capture, and the truth. `second` counts good ones where the settings say so.
fn capture(happenings: &[(f64, Happening, u8)], second_is_good: bool) -> (String, Truth) {
    let mut lines = vec![json!({"start": START}).to_string()];
    let mut truth = Truth::default();
    let mut t = 0.0;
    let put = |lines: &mut Vec<String>, t: f64, tag: &str, value: Option<Value>| {
        lines.push(match value {
            Some(value) => json!({"t": t, "tag": tag, "value": value}).to_string(),
            None => json!({"t": t, "tag": tag, "value": null, "quality": "bad"}).to_string(),
        });
    };
    let read = |lines: &mut Vec<String>, t: f64, truth: &Truth, mask: u8| {
        let second = if second_is_good {
            truth.total - truth.reject
        } else {
            truth.reject
        };
        if mask & 1 != 0 {
            put(lines, t, "first", Some(json!(truth.total % MODULUS)));
        }
        if mask & 2 != 0 {
            put(lines, t, "second", Some(json!(second % MODULUS)));
        }
    };
    read(&mut lines, 0.0, &truth, 3);
    put(&mut lines, 0.0, "status", Some(json!(0)));
    put(&mut lines, 0.0, "order_no", Some(json!("WO-1")));
    for (gap, what, mask) in happenings {
        let gap = (gap * 1000.0).round() / 1000.0;
        t += gap;
        let mut mask = *mask;
        match what {
            Happening::Made(made, bad) => {
                // One by one: what is faster than `max_rate` says is taken for something else.
                for second in 1..=gap as i64 {
                    let made = RATE * made * second / 100 - RATE * made * (second - 1) / 100;
                    truth.total += made;
                    truth.reject += made * i64::from(second % 100 < *bad);
                    let at = t - gap + second as f64;
                    read(&mut lines, at, &truth, if at < t { 3 } else { mask });
                }
            }
            Happening::Status(status) => {
                truth.unseen |= status.is_none();
                put(&mut lines, t, "status", status.map(|status| json!(status)));
            }
            Happening::Order(order) => {
                put(&mut lines, t, "order_no", order.map(|order| json!(order)))
            }
            Happening::CounterBad => {
                put(&mut lines, t, "first", None);
                mask = 2;
            }
            Happening::Off(seconds) => {
                truth.off = true;
                lines.push(json!({"t": t, "power": "off"}).to_string());
                t += (seconds * 1000.0).round() / 1000.0;
                lines.push(json!({"t": t, "power": "on"}).to_string());
                mask = 3;
                t += 0.1;
                put(&mut lines, t, "status", Some(json!(0)));
                put(&mut lines, t, "order_no", Some(json!("WO-1")));
            }
        }
        read(&mut lines, t, &truth, mask);
    }
    // What was counted before its kind was known is made good by later pieces.
    for _ in 0..20 {
        t += 50.0;
        truth.total += 80;
        truth.reject += 40;
        read(&mut lines, t, &truth, 3);
    }
    put(&mut lines, t, "status", Some(json!(0)));
    lines.push(json!({"t": END_S, "end": true}).to_string());
    (lines.join("\n"), truth)
}

fn events(settings: &str, capture: &str) -> Vec<Value> {
    let loaded = settings::load(settings).unwrap();
    let mut out = Vec::new();
    replay(&loaded.plant, capture, &mut out, None).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of_type<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    let name = format!("millgate.{name}.v1");
    events
        .iter()
        .filter(|event| event["type"] == name)
        .map(|event| &event["data"])
        .collect()
}

fn number(value: &Value, pointer: &str) -> f64 {
    value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or(f64::NAN)
}

/// Each piece is booked once.
fn books(events: &[Value], truth: &Truth) -> Result<(), TestCaseError> {
    let mut booked: BTreeMap<&str, i64> = BTreeMap::new();
    for counted in of_type(events, "production.counted") {
        let counter = &counted["counter"];
        if counter["book"] == true {
            *booked
                .entry(counter["counts"].as_str().unwrap())
                .or_default() += counter["delta"].as_i64().unwrap();
        }
    }
    let of = |kind| booked.get(kind).copied().unwrap_or(0);
    prop_assert_eq!(
        (of("good"), of("reject"), of("total")),
        (truth.total - truth.reject, truth.reject, 0)
    );
    Ok(())
}

/// Intervals of a kind follow one another, and hold all pieces and all time.
fn intervals(events: &[Value], kind: &str, truth: &Truth) -> Result<(), TestCaseError> {
    let all = of_type(events, "equipment.performance.interval");
    let mut all: Vec<&Value> = all
        .into_iter()
        .filter(|one| one["interval"]["kind"] == kind)
        .collect();
    all.sort_by(|a, b| {
        let from = |one: &Value| seconds(&one["interval"]["from"]);
        from(a).total_cmp(&from(b))
    });
    let (mut total, mut good, mut reject) = (0, 0, 0);
    for pair in all.windows(2) {
        prop_assert_eq!(
            &pair[0]["interval"]["to"],
            &pair[1]["interval"]["from"],
            "{}",
            kind
        );
    }
    for one in &all {
        let interval = &one["interval"];
        let (from, to) = (seconds(&interval["from"]), seconds(&interval["to"]));
        let length = number(one, "/interval/duration_s");
        prop_assert!((to - from - length).abs() < 1e-3, "{one:#}");
        let parts = one["state_durations_s"].as_object().unwrap();
        let sum: f64 = parts.values().map(|part| part.as_f64().unwrap()).sum();
        prop_assert!((sum - length).abs() < 1e-5, "{sum} {length} {one:#}");
        total += one["counts"]["total"].as_i64().unwrap();
        good += one["counts"]["good"].as_i64().unwrap();
        reject += one["counts"]["reject"].as_i64().unwrap();
    }
    prop_assert_eq!(
        (total, good, reject),
        (truth.total, truth.total - truth.reject, truth.reject),
        "{}",
        kind
    );
    Ok(())
}

/// The time of each state is the same in the intervals and in the changes of state, where the gateway always looked.
fn states(events: &[Value]) -> Result<(), TestCaseError> {
    let mut told: BTreeMap<String, f64> = BTreeMap::new();
    let changes = of_type(events, "equipment.state.changed");
    let periods: Vec<&Value> = of_type(events, "equipment.performance.interval")
        .into_iter()
        .filter(|one| one["interval"]["kind"] == "period")
        .collect();
    let end = periods
        .iter()
        .map(|one| seconds(&one["interval"]["to"]))
        .fold(0.0, f64::max);
    for (index, change) in changes.iter().enumerate() {
        let state = &change["state"];
        let until = changes
            .get(index + 1)
            .map_or(end, |next| seconds(&next["state"]["since"]));
        let key = format!(
            "{}/{}",
            state["current"].as_str().unwrap(),
            state["mode"].as_str().unwrap()
        );
        *told.entry(key).or_default() += until - seconds(&state["since"]);
    }
    let mut summed: BTreeMap<String, f64> = BTreeMap::new();
    for one in &periods {
        for (key, part) in one["state_durations_s"].as_object().unwrap() {
            *summed.entry(key.clone()).or_default() += part.as_f64().unwrap();
        }
    }
    for key in told.keys().chain(summed.keys()) {
        let (a, b) = (
            told.get(key).unwrap_or(&0.0),
            summed.get(key).unwrap_or(&0.0),
        );
        prop_assert!((a - b).abs() < 1e-2, "{key}: {a} told, {b} in intervals");
    }
    Ok(())
}

/// Segments of a stop follow one another and sum to it; all stops together are the time of their states.
fn stops(events: &[Value], truth: &Truth) -> Result<(), TestCaseError> {
    let mut by_id: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for closed in of_type(events, "equipment.downtime.closed") {
        by_id
            .entry(closed["downtime"]["id"].as_str().unwrap())
            .or_default()
            .push(closed);
    }
    let mut sum = 0.0;
    for segments in by_id.values() {
        for (index, segment) in segments.iter().enumerate() {
            prop_assert_eq!(segment["segment"]["index"].as_u64(), Some(index as u64 + 1));
            let (from, to) = (
                seconds(&segment["downtime"]["from"]),
                seconds(&segment["downtime"]["to"]),
            );
            prop_assert!(
                (to - from - number(segment, "/downtime/duration_s")).abs() < 1e-3,
                "{segment:#}"
            );
            sum += to - from;
        }
        for pair in segments.windows(2) {
            prop_assert_eq!(&pair[0]["downtime"]["to"], &pair[1]["downtime"]["from"]);
            prop_assert_eq!(&pair[0]["segment"]["of"], &Value::Null);
        }
    }
    if truth.off || truth.unseen {
        return Ok(());
    }
    let changes = of_type(events, "equipment.state.changed");
    let runs = |change: &&Value| change["state"]["current"] == "RUNNING";
    // The last one goes on.
    let over = changes.iter().rposition(runs).unwrap_or(0);
    let stood = changes[..=over].windows(2).filter(|pair| !runs(&pair[0]));
    let since = |change: &Value| seconds(&change["state"]["since"]);
    let stood: f64 = stood.map(|pair| since(pair[1]) - since(pair[0])).sum();
    let is_open =
        |segments: &&Vec<&Value>| segments.iter().all(|one| one["segment"]["of"].is_null());
    let open = by_id.values().filter(is_open).flatten();
    let open: f64 = open.map(|one| number(one, "/downtime/duration_s")).sum();
    let closed = sum - open;
    prop_assert!(
        (closed - stood).abs() < 1e-2,
        "{closed} in stops, {stood} in states"
    );
    Ok(())
}

/// Seconds since the start of the month of an instant on the wire.
fn seconds(instant: &Value) -> f64 {
    let text = instant.as_str().unwrap();
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap();
    let day: f64 = date.rsplit('-').next().unwrap().parse().unwrap();
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    day * 86_400.0 + parts[0] * 3_600.0 + parts[1] * 60.0 + parts[2]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_are_booked_once_and_time_is_told_whole(
        happenings in happenings(),
        good in any::<bool>(),
        bridge in prop_oneof![Just("0s"), Just("45s")],
        debounce in prop_oneof![Just("0s"), Just("700ms")],
    ) {
        let settings = SETTINGS
            .replace("BRIDGE", bridge)
            .replace("DEBOUNCE", debounce)
            .replace("FIRST", "total")
            .replace("SECOND", if good { "good" } else { "reject" });
        let (capture, truth) = capture(&happenings, good);
        let events = events(&settings, &capture);
        books(&events, &truth)?;
        for kind in ["period", "shift"] {
            intervals(&events, kind, &truth)?;
        }
        if !truth.off {
            states(&events)?;
        }
        stops(&events, &truth)?;
    }
}
