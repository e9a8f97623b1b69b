//! Lines as scanners, scales and gauges send them, and what the tags read.

use super::*;
use crate::settings;
use proptest::prelude::*;

/// The tags of a device `device` with these `lines:` and `tags:`.
fn fields(lines: &str, tags: &str) -> (Vec<String>, Fields) {
    let text = format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\ndevices:\n  device:\n    lines: {{ {lines} }}\n    tags: {{ {tags} }}\n"
    );
    let plant = settings::load(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
        .plant;
    let settings::Protocol::Lines(settings) = &plant.devices[0].protocol else {
        panic!("not lines")
    };
    let names = plant.tags.iter().map(|tag| tag.name.clone()).collect();
    (names, Fields::new(settings, &plant.tags))
}

/// What the tags read in a line, as `name=value` and `name!reason`; or the refusal.
fn check((names, fields): &(Vec<String>, Fields), line: &[u8], expected: &str) {
    let said = match fields.read(line) {
        Err(refusal) => format!("{refusal:?}"),
        Ok(parts) => {
            let one = |(tag, value): &Part| match value {
                Ok(Value::Text(text)) => format!("{}={text}", names[tag.index()]),
                Ok(Value::Float(number)) => format!("{}={number}", names[tag.index()]),
                Ok(Value::Int(number)) => format!("{}=#{number}", names[tag.index()]),
                Ok(Value::Bool(on)) => format!("{}={on}", names[tag.index()]),
                Err(reason) => format!("{}!{}", names[tag.index()], reason.word()),
            };
            parts.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    };
    assert_eq!(said, expected, "{}", String::from_utf8_lossy(line));
}

const TCP: &str = "tcp: \"192.0.2.1:2001\"";

#[test]
fn a_line_is_a_text_or_a_number() {
    let text = fields(TCP, "code: { line: text }, value: { line: number }");
    check(&text, b"A7", "code=A7 value!malformed");
    check(&text, b" +12.5 ", "code= +12.5  value=12.5");
    check(
        &text,
        "M\u{fc}ller".as_bytes(),
        "code=M\u{fc}ller value!malformed",
    );
    check(&text, b"M\xfcller", "code!malformed value!malformed");
    let latin = fields(&format!("{TCP}, encoding: latin1"), "code: { line: text }");
    check(&latin, b"M\xfcller", "code=M\u{fc}ller");
}

#[test]
fn a_character_of_wrong_parity_makes_the_line_bad() {
    let even = fields("serial: /dev/ttyS1, parity: even", "code: { line: text }");
    check(&even, b"A\x007", "code!malformed");
    let none = fields("serial: /dev/ttyS1", "code: { line: text }");
    check(&none, b"A\x007", "code=A\x007");
}

#[test]
fn groups_of_a_pattern_are_one_instant_and_may_be_left_out() {
    let scale = fields(
        &format!(
            r"{TCP}, decimal: comma, pattern: '^(?<state>S|D) (?<weight>[-+ 0-9,]+) (?<unit>kg|g)(?: T(?<tare>[0-9,]+))?(?: #(?<count>\d+))?$'"
        ),
        "stable: { group: state }, weight: { group: weight, type: f64 }, tare: { group: tare, type: f64 }, count: { group: count, type: u8 }",
    );
    check(&scale, b"S +  12,50 kg", "stable=S weight=12.5");
    check(
        &scale,
        b"D -0,3 g T1,5 #17",
        "stable=D weight=-0.3 tare=1.5 count=#17",
    );
    check(
        &scale,
        b"S 1,5 kg #300",
        "stable=S weight=1.5 count!out_of_range",
    );
    check(&scale, b"S 1,5,0 kg", "stable=S weight!malformed");
    check(&scale, b"S 12.50 kg", "NoMatch");
    check(&scale, b"overload", "NoMatch");
    check(&scale, b"", "NoMatch");
}

#[test]
fn a_scale_of_the_sics_kind_says_what_state_its_weight_is_in() {
    let lines =
        format!(r"{TCP}, pattern: '^S (?<state>[SD+-])(?: +(?<weight>-?[0-9.]+) (?<unit>kg|g))?$'");
    let tags =
        "stable: { group: state }, weight: { group: weight, type: f64 }, unit: { group: unit }";
    let scale = fields(&lines, tags);
    check(
        &scale,
        b"S S     12.345 kg",
        "stable=S weight=12.345 unit=kg",
    );
    check(
        &scale,
        b"S D     -0.020 kg",
        "stable=D weight=-0.02 unit=kg",
    );
    // Overload and underload: no weight. Without the question mark they would be no match.
    check(&scale, b"S +", "stable=+");
    check(&scale, b"S -", "stable=-");
    // Busy, a wrong command, a transmission that was garbled.
    for other in [
        b"S I".as_slice(),
        b"ES",
        b"ET",
        b"S S     12.345",
        b"S S     kg",
    ] {
        check(&scale, other, "NoMatch");
    }
    let strict = fields(
        &lines.replace(")?$", ")$"),
        "weight: { group: weight, type: f64 }",
    );
    check(&strict, b"S S     12.345 kg", "weight=12.345");
    check(&strict, b"S +", "NoMatch");
}

#[test]
fn the_word_of_a_scanner_that_read_nothing_is_no_code() {
    let scanner = fields(
        &format!("{TCP}, pattern: '^(?<code>[0-9A-Z]{{2,4}}-[0-9]+)$'"),
        "code: { group: code }",
    );
    check(&scanner, b"A7-0017", "code=A7-0017");
    check(&scanner, b"ERROR", "NoMatch");
    check(&scanner, b"A7-0017,ERROR", "NoMatch");
}

#[test]
fn a_calliper_leads_with_its_channel_and_noughts() {
    let calliper = fields(
        &format!(r"{TCP}, pattern: '^(?<channel>\d\d)A(?<width>[+-]\d+\.\d+)$'"),
        "channel: { group: channel, type: u8 }, width: { group: width, type: f64, unit: mm }",
    );
    check(&calliper, b"01A+00012.34", "channel=#1 width=12.34");
    check(&calliper, b"01A-00000.01", "channel=#1 width=-0.01");
    // Its errors: low battery, no data.
    check(&calliper, b"911", "NoMatch");
    check(&calliper, b"01A+00012", "NoMatch");
}

#[test]
fn the_symbology_comes_off_before_everything_else() {
    let scanner = fields(
        &format!("{TCP}, aim: true, pattern: '^(?<code>[A-Z0-9]+)$'"),
        "symbology: { line: symbology }, whole: { line: text }, code: { group: code }",
    );
    check(
        &scanner,
        b"]A0PART7",
        "symbology=]A0 whole=PART7 code=PART7",
    );
    check(&scanner, b"PART7", "NoSymbology");
    check(&scanner, b"]A0part", "NoMatch");
    let plain = fields(TCP, "whole: { line: text }");
    check(&plain, b"]A0PART7", "whole=]A0PART7");
}

#[test]
fn elements_of_a_gs1_symbol_become_tags() {
    let tags = "gtin: { gs1: \"01\" }, serial: { gs1: \"21\" }, weight: { gs1: \"310\" }, grams: { gs1: \"3103\" }";
    let scanner = fields(&format!("{TCP}, aim: true"), tags);
    check(
        &scanner,
        b"]C1010401234567890121A7\x1d3103001250",
        "gtin=04012345678901 serial=A7 weight=1.25 grams=1.25",
    );
    check(&scanner, b"]d23102001250", "weight=12.5");
    check(&scanner, b"]E04012345678901", "");
    check(
        &scanner,
        b"]C10104012345678902",
        "gtin!malformed serial!malformed weight!malformed grams!malformed",
    );
    let no_aim = fields(TCP, "gtin: { gs1: \"01\" }");
    check(&no_aim, b"(01)04012345678901(21)A7", "gtin=04012345678901");
    check(&no_aim, b"21A7", "");
    check(&no_aim, b"hello", "gtin!malformed");
    // The scanner leaves FNC1 out: what follows a value of variable length is taken for a part of it, and only where that
    // becomes too long is it noticed. Values of predefined length need none.
    let batch = fields(TCP, "serial: { gs1: \"21\" }, batch: { gs1: \"10\" }");
    check(&batch, b"010401234567890121A710B4", "serial=A710B4");
    check(
        &batch,
        b"010401234567890121A7-0000000000000010B4-000017",
        "serial!malformed batch!malformed",
    );
    check(&batch, b"01040123456789011727123121A7", "serial=A7");
    // With a prefix that nobody takes off.
    check(
        &batch,
        b"]C1010401234567890121A7",
        "serial!malformed batch!malformed",
    );
    check(&batch, b"(10)B4(21)A7", "serial=A7 batch=B4");
    let flaw = |line: &[u8]| batch.1.flaw(line).map(|flaw| flaw.to_string());
    let said = flaw(b"]C1010401234567890121A7").unwrap();
    assert!(said.contains("begins no application identifier"), "{said}");
    let said = flaw(b"0104012345678902").unwrap();
    assert!(said.contains("wrong check digit"), "{said}");
    assert_eq!(flaw(b"21A7"), None);
    assert_eq!(no_aim.1.flaw(b"\xff"), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let all = fields(
            &format!(r"{TCP}, aim: true, encoding: latin1, pattern: '(?<a>\d+)'"),
            "a: { group: a, type: i32 }, b: { line: number }, c: { gs1: \"21\" }, d: { line: symbology }",
        );
        let aimed = [b"]C1".as_slice(), &bytes].concat();
        for line in [bytes, aimed] {
            if let Ok(parts) = all.1.read(&line) {
                prop_assert!(parts.len() <= 4);
            }
        }
    }

    #[test]
    fn damaged_lines_are_refused_or_bounded(
        good in prop::sample::select(vec!["]C1010401234567890121A7\u{1d}3103001250", "]d2(01)04012345678901(21)7", "]A0S + 12,50 kg"]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let tags = "a: { group: weight, type: f64 }, b: { line: number }, c: { gs1: \"21\" }, d: { gs1: \"310\" }, e: { line: text }";
        let all = fields(&format!(r"{TCP}, aim: true, decimal: comma, pattern: '(?<weight>[0-9,]+)'"), tags);
        let mut line = good.as_bytes().to_vec();
        for (at, byte) in edits {
            let length = line.len();
            line[at.index(length)] = byte;
        }
        line.truncate(cut.index(line.len() + 1));
        if let Ok(parts) = all.1.read(&line) {
            prop_assert!(parts.len() <= 5);
            for (_, value) in parts {
                prop_assert!(!matches!(value, Ok(Value::Float(number)) if !number.is_finite()));
            }
        }
    }
}
