//! `lines:`: framing, patterns, requests, GS1, ports; one device, one change, one problem.

use super::{load, place_of, told};
use crate::model::ValueKind;
use crate::settings::{FrameEnd, LineField, Lines, LinesWire, Plant, Protocol, TagSource};
use std::time::Duration;

/// A cell with one device of these `lines:` and `tags:`.
fn cell(lines: &str, tags: &str) -> String {
    format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\ndevices:\n  device:\n    lines: {{ {lines} }}\n    tags: {{ {tags} }}\n"
    )
}

const CODE: &str = "code: { line: text }";
const TCP: &str = "tcp: \"192.0.2.1:2001\"";
const SCALE: &str = "tcp: \"192.0.2.1:2001\", pattern: '^(?<weight>[0-9.]+)$'";

/// Exactly one problem, shown where `mark` stands, that says `says`.
fn check(lines: &str, tags: &str, mark: &str, says: &str) {
    let text = cell(lines, tags);
    let told = told(&text);
    assert_eq!(told.len(), 1, "{text}\n{told:#?}");
    let (place, message) = &told[0];
    assert!(
        message.contains(says),
        "{text}\nsays  {message}\nnot   {says}"
    );
    assert_eq!(*place, place_of(&text, mark), "{text}\n{message}");
}

fn plant(lines: &str, tags: &str) -> Plant {
    let text = cell(lines, tags);
    load(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
        .plant
}

fn settings(plant: &Plant) -> &Lines {
    match &plant.devices[0].protocol {
        Protocol::Lines(lines) => lines,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_scanner_becomes_a_device_that_speaks_unasked() {
    let plant = plant(
        "serial: /dev/ttyS1, aim: true",
        "code: { line: text }, gtin: { gs1: \"01\" }, weight: { gs1: \"310\" }",
    );
    let lines = settings(&plant);
    assert!(plant.devices[0].protocol.speaks_unasked());
    assert_eq!(
        (&lines.framing.end, lines.max_length),
        (&FrameEnd::AnyNewline, 1_024)
    );
    let LinesWire::Serial(port) = &lines.wire else {
        panic!("{lines:?}")
    };
    assert_eq!((port.baud, port.data_bits, port.stop_bits), (9_600, 8, 1));
    assert_eq!(plant.tags[0].every, Duration::ZERO);
    let kinds: Vec<ValueKind> = plant.tags.iter().map(|tag| tag.kind).collect();
    assert_eq!(kinds, [ValueKind::Text, ValueKind::Text, ValueKind::Float]);
}

#[test]
fn a_scale_is_asked() {
    let lines = format!(
        "{SCALE}, encoding: latin1, poll: \"\\x05P\\xb5\\r\\n\", every: 200ms, timeout: 100ms, end: \"\\x03\""
    );
    let plant = plant(&lines, "weight: { group: weight, type: f64 }");
    let settings = settings(&plant);
    let poll = settings.poll.as_ref().unwrap();
    assert_eq!(poll.request, b"\x05P\xb5\r\n");
    assert_eq!(
        (poll.every, poll.timeout),
        (Duration::from_millis(200), Duration::from_millis(100))
    );
    assert_eq!(settings.framing.end, FrameEnd::Mark(vec![3]));
    assert_eq!(plant.tags[0].every, Duration::from_millis(200));
    assert!(
        matches!(&plant.tags[0].source, TagSource::Line(LineField::Group { name, .. }) if name == "weight")
    );
}

#[test]
fn one_thing_ends_a_telegram() {
    check(
        &format!("{TCP}, end: \"\\r\", idle: 50ms"),
        CODE,
        "lines:",
        "`end` and `idle` stand here together",
    );
    check(
        &format!("{TCP}, end: \"\""),
        CODE,
        "\"\" }",
        "an empty mark marks nothing: leave `end` out",
    );
    check(
        &format!("{TCP}, start: \"\\x02ab\", length: 3"),
        CODE,
        "3 }",
        "`length` counts the whole telegram, its 3 bytes of `start` included",
    );
    check(
        &format!("{TCP}, length: 65, max_length: 64"),
        CODE,
        "65",
        "longer than `max_length`, which is 64",
    );
    check(
        &format!("{TCP}, end: \"END\", max_length: 2"),
        CODE,
        "\"END\"",
        "`max_length` is 2 and the mark 3",
    );
    check(
        &format!("{TCP}, idle: 3s"),
        CODE,
        "3s",
        "a pause is 1ms to 2s",
    );
    check(
        "serial: /dev/ttyS1, baud: 300, idle: 50ms",
        CODE,
        "50ms",
        "is no pause at 300 bit/s, where a character takes half as long: write at least 81ms",
    );
    check(
        &format!("{TCP}, encoding: latin1, end: \"\u{20ac}\""),
        CODE,
        "\"\u{20ac}\"",
        "characters up to \\xff only",
    );
    check(
        &format!("{TCP}, end: \"{}\"", "x".repeat(65)),
        CODE,
        "\"xxx",
        "65 bytes: write at most 64",
    );
    check(&format!("{TCP}, max_length: 1025"), CODE, "1025", "1024");
}

#[test]
fn a_pattern_has_named_groups_and_tags_name_them() {
    check(
        &format!("{TCP}, pattern: '^(a'"),
        CODE,
        "'^(a'",
        "this is no regular expression: error: unclosed group",
    );
    check(
        &format!("{TCP}, pattern: '^(?<a>.)(?<a>.)$'"),
        CODE,
        "'^(?<a>",
        "duplicate capture group name",
    );
    check(
        &format!("{TCP}, pattern: '^([0-9]+)$'"),
        CODE,
        "'^([0",
        "no named group in it",
    );
    check(
        SCALE,
        "weight: { group: wieght }",
        "wieght",
        "`wieght` is no named group of `pattern:`, such as (?<wieght>...); did you mean `weight`?",
    );
    check(
        TCP,
        "weight: { group: weight }",
        "weight }",
        "`lines:` needs a `pattern:` with (?<weight>...) in it",
    );
    check(
        SCALE,
        "weight: { group: weight, type: bcd16 }",
        "bcd16",
        "`bcd16` is a type of registers: write `type: u16`",
    );
    check(
        SCALE,
        "weight: { group: weight, type: bit }",
        "bit",
        "write `type: bool`",
    );
    check(
        SCALE,
        "weight: { line: number, type: f64 }",
        "f64",
        "`type` goes with `group:` only",
    );
    check(
        TCP,
        "code: { line: text, gs1: \"01\" }",
        "code:",
        "a tag is one part of a line",
    );
    check(
        TCP,
        "code: { unit: kg }",
        "code:",
        "which part of a line? Write one of `line: text`",
    );
    check(
        TCP,
        "code: { line: text, scale: 2 }",
        "2 }",
        "`scale` is for numbers",
    );
    check(TCP, "code: { line: text, every: 1s }", "1s", "leave it out");
}

#[test]
fn symbols_say_what_they_are() {
    check(
        TCP,
        "kind: { line: symbology }",
        "symbology",
        "`lines:` must say `aim: true`",
    );
    for (wrong, mark) in [
        ("\"1\"", "\"1\""),
        ("\"05\"", "\"05\""),
        ("\"210\"", "\"210\""),
        ("\"(01)\"", "\"(01)\""),
        ("\"GTIN\"", "\"GTIN\""),
    ] {
        check(
            &format!("{TCP}, aim: true"),
            &format!("code: {{ gs1: {wrong} }}"),
            mark,
            "is no GS1 application identifier: write such as \"01\" (GTIN)",
        );
    }
}

#[test]
fn an_answer_comes_before_the_next_request() {
    let polled = |keys: &str| format!("{SCALE}, poll: \"P\\r\\n\"{keys}");
    let weight = "weight: { group: weight, type: f64 }";
    check(
        &polled(", every: 100ms, timeout: 200ms"),
        weight,
        "200ms",
        "the next request is due every 100ms, before an answer is given up after 200ms",
    );
    check(
        &polled(", every: 100ms"),
        weight,
        "100ms",
        "before an answer is given up after 500ms",
    );
    check(
        &polled(", timeout: 5ms"),
        weight,
        "5ms",
        "write at least 10ms",
    );
    check(
        &polled(", idle: 600ms"),
        weight,
        "600ms",
        "make `timeout` longer",
    );
    check(
        &format!("{SCALE}, poll: \"\""),
        weight,
        "\"\" }",
        "an empty request asks nothing",
    );
    check(
        &format!("{SCALE}, every: 1s"),
        weight,
        "1s",
        "`every` goes with `poll`",
    );
}

#[test]
fn who_speaks_unasked_has_no_heartbeat() {
    let text = cell(TCP, CODE).replace(
        "    tags:",
        "    heartbeat: { tag: code, must_change_within: 1min }\n    tags:",
    );
    let told = told(&text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("has no heartbeat"), "{told:?}");
}

#[test]
fn a_port_is_named_and_set_where_it_is_ours() {
    check(
        "serial: COM1",
        CODE,
        "COM1",
        "`COM1` is no port: write its path",
    );
    check(
        &format!("{TCP}, baud: 9600"),
        CODE,
        "9600",
        "`baud` is set at the converter",
    );
    check(
        "aim: true",
        CODE,
        "lines:",
        "where is it? Write `serial: /dev/...` for a serial port",
    );
    check("tcp: \"192.0.2.1\"", CODE, "\"192", "is not `HOST:PORT`");
    check(
        "serial: /dev/ttyS1, rs485: { delay_after: 200ms }",
        CODE,
        "200ms",
        "the kernel waits at most 100ms",
    );
}

#[test]
fn a_port_has_one_device_that_sends_lines() {
    let two = |other: &str| {
        format!(
            "{}  other:\n    {other}\n",
            cell("serial: /dev/ttyS1", CODE)
        )
    };
    let again = two("lines: { serial: /dev/ttyS1 }\n    tags: { more: { line: text } }");
    let bus = two(
        "modbus_rtu: { port: /dev/ttyS1, unit: 1 }\n    addresses: zero_based\n    tags: { more: { holding: 1 } }",
    );
    for text in [again, bus] {
        let told = told(&text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]
                .1
                .contains("`/dev/ttyS1` is the port of `CELL.device` already"),
            "{told:?}"
        );
        assert_eq!(told[0].0, place_of(&text, "other:"));
    }
    load(&two(
        "lines: { serial: /dev/ttyS2 }\n    tags: { more: { line: text } }",
    ))
    .unwrap();
}

/// The warnings of a cell, as they are said.
fn warned(lines: &str, tags: &str) -> Vec<String> {
    let text = cell(lines, tags);
    let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let warnings = super::super::check::warnings(&loaded.file);
    let of_device = warnings.iter().filter(|one| one.path.contains("device"));
    of_device.map(|one| one.message.clone()).collect()
}

#[test]
fn what_is_probably_not_meant_is_told() {
    let one = |lines: &str, tags: &str, says: &str| {
        let warned = warned(lines, tags);
        assert_eq!(warned.len(), 1, "{lines}: {warned:?}");
        assert!(warned[0].contains(says), "{warned:?}");
    };
    one(
        &format!("{TCP}, end: '\\r\\n'"),
        CODE,
        "this is a backslash and `r`",
    );
    one(
        &format!("{TCP}, start: '\\x02'"),
        CODE,
        "this is a backslash and `x`",
    );
    one(
        &format!("{TCP}, poll: P\\r"),
        CODE,
        "for the character write double quotes",
    );
    one(
        &format!("{TCP}, end: \"\\xb5\""),
        CODE,
        "write `encoding: latin1`",
    );
    one(
        &format!("{TCP}, pattern: '(?<code>[0-9]+)'"),
        "code: { group: code }",
        "a part of a line is enough",
    );
    one(
        TCP,
        "code: { gs1: \"01\" }",
        "without `aim: true` every code is taken for a GS1 symbol",
    );
    one(
        "serial: /dev/millgate-none",
        CODE,
        "/dev/millgate-none is not on this machine",
    );
    let usb = warned("serial: /dev/ttyUSB99", CODE);
    assert!(
        usb[0].contains("take the one of /dev/serial/by-path"),
        "{usb:?}"
    );
    assert_eq!(
        warned(&format!("{TCP}, end: \"\\r\\n\", start: '\\d'"), CODE),
        [""; 0]
    );
}
