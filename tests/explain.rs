//! What `millgate replay --explain` says, as an integrator reads it at the machine.

use millgate::commands::replay::{Explainer, replay};
use millgate::settings;

const HEAD: &str = r#"
gateway: { id: explain-gw01, path: [EXAMPLE] }
machine: PRESS-04
devices:
  plc:
    modbus_tcp: { host: 127.0.0.1 }
    addresses: zero_based
    tags:
      status: { holding: 100, type: u16 }
      pressure: { holding: 101, type: f32 }
      mode_word: { holding: 104, type: u16 }
equipment:
  state:
    - { when: "bit(status, 7)", is: FAULTED }
    - { when: "bit(status, 0)", is: RUNNING }
    - { is: IDLE }
  mode:
    - { when: "mode_word == 3", is: MANUAL }
    - { is: PRODUCTION }
operations:
  form:
"#;

/// Explains what comes of `capture` with the operation `form` of these keys.
fn explained(form: &str, capture: &str, json: bool) -> String {
    let keys: String = form
        .lines()
        .map(|line| format!("    {}\n", line.trim()))
        .collect();
    let loaded = settings::load(&format!("{HEAD}{keys}    parameters: {{}}\n")).unwrap();
    let mut said = Vec::new();
    let explainer = Explainer {
        to: &mut said,
        json,
    };
    replay(&loaded.plant, capture, Vec::new(), Some(explainer)).unwrap();
    String::from_utf8(said).unwrap()
}

/// Of the explanation, the lines from the one that begins with `from` on.
#[track_caller]
fn check(form: &str, capture: &str, from: &str, expected: &str) {
    let said = explained(form, capture, false);
    let start = said
        .find(from)
        .unwrap_or_else(|| panic!("`{from}` is not in\n{said}"));
    let wanted: Vec<&str> = expected.trim_matches('\n').lines().collect();
    let found: Vec<&str> = said[start..].lines().take(wanted.len()).collect();
    assert_eq!(found.join("\n"), wanted.join("\n"), "of\n{said}");
}

const START_END: &str = "start: { when: 'bit(status, 0)' }\nend: { when: '!bit(status, 0)' }";

#[test]
fn an_event_names_the_samples_and_the_condition_that_made_it() {
    let capture = r#"
{"t":0,"tag":"status","value":0}
{"t":0,"tag":"mode_word","value":1}
{"t":1,"tag":"pressure","value":12.5}
{"t":3.2,"tag":"status","value":1}
{"t":3.25,"tag":"status","value":1}
{"t":9,"tag":"status","value":128}
"#;
    let form = "start: { when: 'bit(status, 0) && pressure > 10.0', debounce: 30ms }
                only_if: \"mode in ['PRODUCTION', 'SETUP']\"
                end: { when: '!bit(status, 0)' }";
    check(
        form,
        capture,
        "00:00:03.200  PRESS-04  IDLE",
        "
00:00:03.200  PRESS-04  IDLE -> RUNNING: IDLE had lasted 3.2 s
    because rule 2 of `state` (RUNNING) holds
        bit(status, 0) is true (status = 1 since 3.200 s)
    and rule 1 of `state` (FAULTED) does not hold
        bit(status, 7) is false (status = 1 since 3.200 s)
00:00:03.200  PRESS-04/1  form #1 started
    because `start` became true at 3.200 s and held for 30ms
        bit(status, 0) is true (status = 1 since 3.200 s)
        pressure > 10.0 is true (pressure = 12.5 since 1.000 s)
    and `only_if` at that time
        mode in ['PRODUCTION', 'SETUP'] is true (mode = PRODUCTION)
",
    );
    check(
        form,
        capture,
        "00:00:09.000  PRESS-04/1",
        "
00:00:09.000  PRESS-04/1  form #1 completed in 5.8 s
    because `end` became true at 9.000 s
        bit(status, 0) is false (status = 128 since 9.000 s)
in all:
  PRESS-04 form: `start` fired once, 1 operation told
",
    );
}

#[test]
fn an_operation_that_never_started_says_what_was_missing() {
    let form =
        "start: { when: \"bit(status, 0) && mode in ['PRODUCTION', 'SETUP'] && pressure > 20.0\" }
                end: { when: '!bit(status, 0)' }";
    let manual = r#"
{"t":0,"tag":"status","value":0}
{"t":0,"tag":"mode_word","value":3}
{"t":2,"tag":"pressure","value":25.0}
{"t":5,"tag":"status","value":1}
{"t":8,"tag":"status","value":0}
"#;
    check(
        form,
        manual,
        "in all:",
        "
in all:
  PRESS-04 form: `start` never fired: it was never true; nearest at 5.000 s:
    mode in ['PRODUCTION', 'SETUP'] is false (mode = MANUAL)
",
    );
    let lost = r#"
{"t":0,"tag":"status","value":0}
{"t":0,"tag":"mode_word","value":1}
{"t":2,"tag":"pressure","quality":"bad","reason":"out_of_range"}
{"t":5,"tag":"status","value":1}
"#;
    check(
        form,
        lost,
        "in all:",
        "
in all:
  PRESS-04 form: `start` never fired: it was never true; nearest at 5.000 s:
    pressure > 20.0 is unknown (pressure is bad since 2.000 s: out_of_range)
  PRESS-04: bad all the time: pressure (out_of_range)
",
    );
    let unread =
        "{\"t\":0,\"tag\":\"status\",\"value\":1}\n{\"t\":5,\"tag\":\"status\",\"value\":1}";
    check(
        START_END,
        unread,
        "in all:",
        "
in all:
  PRESS-04 form: `start` never fired: it was true when it was known first, which is no edge
  PRESS-04: never read: pressure, mode_word
",
    );
}

#[test]
fn a_start_that_comes_to_nothing_says_so_when_it_happens() {
    let only_if = format!("{START_END}\nonly_if: 'pressure > 20.0'");
    let refused = r#"
{"t":0,"tag":"status","value":0}
{"t":1,"tag":"status","value":1}
{"t":2,"tag":"status","value":0}
"#;
    check(
        &only_if,
        refused,
        "1.000 s",
        "
1.000 s  PRESS-04 form: not started: `only_if` does not hold
    pressure > 20.0 is unknown (pressure was never read)
2.000 s  PRESS-04 form: its end came, and nothing is open
in all:
  PRESS-04 form: `start` fired once, 0 operations told; once refused by `only_if`
",
    );
    let debounced = START_END.replace("0)' }\nend", "0)', debounce: 50ms }\nend");
    let chatter = r#"
{"t":0,"tag":"status","value":0}
{"t":1,"tag":"status","value":1}
{"t":1.02,"tag":"status","value":2}
{"t":3,"end":true}
"#;
    check(
        &debounced,
        chatter,
        "1.020 s  PRESS-04 form: `start`",
        "
1.020 s  PRESS-04 form: `start` was true at 1.000 s and did not hold for its debounce
    bit(status, 0) is false (status = 2 since 1.020 s)
in all:
  PRESS-04 form: `start` never fired: it never held for its debounce; once shorter than its debounce
",
    );
    let short = format!("{START_END}\nmin_duration: 2s");
    check(
        &short,
        refused,
        "2.000 s",
        "
2.000 s  PRESS-04 form: not told: it was shorter than `min_duration` 2s
in all:
  PRESS-04 form: `start` fired once, 0 operations told; once shorter than `min_duration`
",
    );
}

#[test]
fn a_swallowed_edge_is_told() {
    let form = "start: { when: 'bit(status, 0)' }
                end: { when: 'bit(status, 1)' }
                abort: { when: 'bit(status, 7)' }
                pause: { when: 'bit(status, 2)' }
                on_next_start: ignore";
    let capture = r#"
{"t":0,"tag":"status","value":0}
{"t":1,"tag":"status","value":1}
{"t":2,"tag":"status","value":0}
{"t":3,"tag":"status","value":1}
{"t":4,"tag":"status","value":4}
{"t":5,"tag":"status","value":1}
{"t":6,"tag":"status","value":128}
{"t":7,"tag":"status","value":2}
"#;
    let said = explained(form, capture, false);
    for line in [
        "3.000 s  PRESS-04 form: not started: one is open, and `on_next_start: ignore`",
        "5.000 s  PRESS-04 form: no new start: the open one goes on after its pause",
        "7.000 s  PRESS-04 form: its end came, and nothing is open",
    ] {
        assert!(
            said.lines().any(|found| found == line),
            "{line}\nis not in\n{said}"
        );
    }
    let all = "`start` fired 3 times, 1 operation told; once ignored, since one was open; once the end of a pause";
    assert!(said.contains(all), "{said}");
}

#[test]
fn after_a_gap_it_says_how_sure_the_time_is_and_what_was_lost_with_the_power() {
    let gap = r#"
{"t":0,"tag":"status","value":0}
{"t":2,"device":"plc","link":"lost"}
{"t":6,"tag":"status","value":1}
{"t":8,"tag":"status","value":1}
"#;
    check(
        START_END,
        gap,
        "00:00:06.000  PRESS-04/1",
        "
00:00:06.000  PRESS-04/1  form #1 started  [start_missed]
    because `start` became true at 6.000 s, perhaps up to 4.000 s earlier: it was unknown before
        bit(status, 0) is true (status = 1 since 6.000 s)
",
    );
    let power = r#"
{"t":0,"tag":"status","value":0}
{"t":1,"tag":"status","value":1}
{"t":5,"power":"off"}
{"t":9,"power":"on"}
{"t":9,"tag":"status","value":0}
"#;
    check(START_END, power, "5.000 s  the power goes", "
5.000 s  the power goes
00:00:09.000  gateway  gateway started: version 0.1.0, 1 operation open
00:00:09.000  PRESS-04/1  form #1 interrupted after 8 s: found so after a restart  [end_time_estimated, power_loss]
    because after the restart, it runs no longer
    and `start` now
        bit(status, 0) is false (status = 0 since 9.000 s)
    and `end` now
        bit(status, 0) is false (status = 0 since 9.000 s)
");
}

#[test]
fn as_json_each_line_is_an_event_a_remark_or_the_summary() {
    let capture =
        "{\"t\":0,\"tag\":\"status\",\"value\":0}\n{\"t\":1,\"tag\":\"status\",\"value\":1}";
    let said = explained(
        &format!("{START_END}\nonly_if: 'pressure > 20.0'"),
        capture,
        true,
    );
    let lines: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let remark = lines.iter().find_map(|line| line.get("remark")).unwrap();
    assert_eq!(
        *remark,
        serde_json::json!({
            "t": 1.0, "machine": "PRESS-04", "operation": "form",
            "says": "not started: `only_if` does not hold",
            "parts": [{
                "condition": "pressure > 20.0", "is": "unknown",
                "values": [{"name": "pressure", "value": null, "since_s": null, "bad": null, "uncertain": false}],
            }],
        })
    );
    let birth = lines
        .iter()
        .find(|line| line["type"] == "millgate.gateway.birth.v1");
    assert!(
        birth.is_some_and(|birth| birth["event"].is_string()),
        "{said}"
    );
    let form = &lines.last().unwrap()["summary"]["operations"][0];
    assert_eq!((&form["starts"], &form["told"]), (&1.into(), &0.into()));
}
