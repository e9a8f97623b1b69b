//! What is done to values, the device's own stamps, heartbeats: what cannot be meant is refused with what to write instead.

use super::{check, load, told};

/// A tag more, a whole number with these keys.
#[track_caller]
fn extra(keys: &str, mark: &str, says: &str) {
    check("    tags:\n", &tag(keys), mark, says);
}

fn tag(keys: &str) -> String {
    format!("    tags:\n      extra: {{ input: 40, type: i16, {keys} }}\n")
}

#[test]
fn a_line_needs_two_points_and_is_alone() {
    extra(
        "linear: { from: [5, 5], to: [0, 400] }",
        "from: [5, 5]",
        "both points are 5: two different raw values make a line",
    );
    extra(
        "linear: { from: [0, 9], to: [7, 7] }",
        "to: [7, 7]",
        "both points are 7: every value would become this one",
    );
    extra(
        "linear: { from: [0, 9], to: [0, 1] }, scale: 2",
        "linear: {",
        "write one or the other",
    );
}

#[test]
fn a_rate_is_above_zero() {
    extra(
        "max_rate: 0/s",
        "0/s }",
        "the fastest believable change is above 0",
    );
}

#[test]
fn a_deadband_is_a_part_of_something() {
    extra(
        "deadband: { percent: 1 }",
        "deadband: {",
        "percent of what? Write `range: [LOWEST, HIGHEST]`",
    );
    extra(
        "range: [0, 10], deadband: { percent: 100 }",
        "100 }",
        "`100` percent of the range is all of it",
    );
    for deadband in ["{ absolute: 0 }", "{ absolute: -1 }"] {
        let keys = format!("deadband: {deadband}");
        extra(&keys, "deadband: {", "a deadband is above 0");
    }
    for deadband in [
        "{ heartbeat: 1s }",
        "{ absolute: 1, percent: 1, heartbeat: 1s }",
    ] {
        let keys = format!("deadband: {deadband}");
        extra(
            &keys,
            "deadband: {",
            "write one of `absolute:` and `percent:`",
        );
    }
    extra(
        "deadband: { absolute: 1, heartbeat: 0s }",
        "0s }",
        "a heartbeat of 0 hands on every value",
    );
}

#[test]
fn a_percentage_is_worked_out_from_the_range() {
    let text = super::with(
        "    tags:\n",
        &tag("range: [-50, 150], deadband: { percent: 0.5 }"),
    );
    let plant = load(&text).unwrap().plant;
    let extra = plant.tags.iter().find(|tag| tag.name == "extra").unwrap();
    let deadband = extra.conditioning.deadband.unwrap();
    assert_eq!(deadband.absolute, 1.0);
    assert_eq!(deadband.heartbeat.as_secs(), 60);
    assert_eq!(extra.reported, crate::settings::Reported::OnChange);
}

#[test]
fn words_are_for_listed_whole_numbers() {
    let words = |list: &str| format!("values: {{ {list} }}");
    extra(
        &words("\"a\": idle"),
        "idle }",
        "`a` is no whole number: write `\"0\": idle`",
    );
    extra(
        &words("\"1\": up, \"01\": down"),
        "down }",
        "1 stands here a second time",
    );
    extra(
        &words("\"1\": \"\""),
        "\"\" } }",
        "is no word: write what 1 means",
    );
    let many: Vec<String> = (0..1_001).map(|n| format!("\"{n}\": w")).collect();
    extra(
        &words(&many.join(", ")),
        "values: {",
        "1001 words are too many: at most 1000",
    );
    extra(
        "values: { \"0\": idle }, range: [0, 1]",
        "range: [0, 1]",
        "with `values:` the tag is a text: leave `range` out",
    );
    extra(
        "values: { \"0\": idle }, interpolation: linear",
        "linear }",
        "a word does not move along a line",
    );
}

/// An OPC UA server with further keys, and the keys of its one tag.
fn server(keys: &str, opc_ua: &str, tag: &str) -> String {
    format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: M\ndevices:\n  plc:\n    opc_ua: {{ endpoint: \"opc.tcp://127.0.0.1:4840\"{opc_ua} }}\n{keys}    tags:\n      beat: {{ node: \"ns=2;s=Beat\"{tag} }}\n"
    )
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let told = told(text);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].1.contains(says), "{}", told[0].1);
}

#[test]
fn a_devices_clock_matters_only_where_it_stamps() {
    refused(
        &server("    max_skew: 1s\n", "", ""),
        "write `timestamps: source` or `server`",
    );
    refused(
        &server("    timestamps: source\n    max_skew: 0s\n", "", ""),
        "no two clocks agree to 0",
    );
    let late = server(
        "    timestamps: source\n",
        ", publishing_interval: 2s",
        ", every: 100ms",
    );
    refused(
        &late,
        "`2s` is too long for tags that are sampled every 100ms",
    );
    refused(&late, "Write at most 600ms");
    for (keys, opc_ua, tag) in [
        (
            "    timestamps: server\n    max_skew: 2s\n",
            "",
            ", every: 100ms",
        ),
        ("    timestamps: source\n", ", publishing_interval: 2s", ""),
        ("    timestamps: source\n", ", read: poll", ", every: 100ms"),
        ("", ", publishing_interval: 2s", ", every: 100ms"),
    ] {
        assert!(
            load(&server(keys, opc_ua, tag)).is_ok(),
            "{keys} {opc_ua} {tag}"
        );
    }
}

#[test]
fn a_heartbeat_is_a_tag_that_comes_often_enough() {
    let beat = |tag: &str, within: &str| {
        format!("    heartbeat: {{ tag: {tag}, must_change_within: {within} }}\n")
    };
    refused(
        &server(&beat("baet", "5s"), "", ""),
        "`baet` is not a tag of this device",
    );
    refused(
        &server(&beat("beat", "900ms"), "", ", every: 100ms"),
        "`900ms` is too short: the tag comes every 500ms; write at least twice that",
    );
    assert!(load(&server(&beat("beat", "1s"), "", ", every: 100ms")).is_ok());
}

#[test]
fn a_tag_without_a_type_that_something_depends_on_is_worth_a_warning() {
    let text = |tag: &str| {
        server("", "", tag)
            + "      other: { node: \"ns=2;s=Other\" }\nequipment:\n  counters:\n    strokes: { tag: other, counts: cycles }\noperations:\n  form:\n    start: { when: \"beat > 3\" }\n    end: { when: \"beat < 3\" }\n"
    };
    let warned = |tag: &str| -> Vec<String> {
        let loaded = load(&text(tag)).unwrap();
        let warnings = loaded.warnings().into_iter().map(|one| one.message);
        warnings
            .filter(|message| message.contains("write `type:`"))
            .collect()
    };
    assert_eq!(
        warned(""),
        [
            "a condition uses `beat`, and only the device knows what it is: write `type:` so that it can be checked",
            "a counter uses `other`, and only the device knows what it is: write `type:` so that it can be checked",
        ]
    );
    assert_eq!(warned(", type: i32").len(), 1);
    assert_eq!(warned(", scale: 0.1").len(), 1);
}
