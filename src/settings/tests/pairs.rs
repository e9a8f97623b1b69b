//! Keys against one another: protocols, addresses, tags, names, machines.

use super::{PRESS, TWO, check, place_of, told, with};

#[test]
fn a_device_needs_a_protocol_and_says_how_its_addresses_are_meant() {
    check(
        "    modbus_tcp: { host: 127.0.0.1, port: 5020, unit: 1, timeout: 300ms }\n",
        "",
        "plc:",
        "how is `plc` reached? Write `modbus_tcp: { host: ADDRESS }`",
    );
    check(
        "    addresses: zero_based                    # as on the wire: 40001 of the manual is `holding: 0`\n",
        "",
        "plc:",
        "Write `addresses: zero_based` if the first register is 0, as on the wire, or `addresses: one_based` if it is 1",
    );
    check(
        "host: 127.0.0.1",
        "host: \"127.0.0.1:502\"",
        "\"127.0.0.1:502\"",
        "write `host: 127.0.0.1` and `port: 502`",
    );
    check(
        "host: 127.0.0.1",
        "host: \"tcp//plc\"",
        "\"tcp//plc\"",
        "is not a host: write a name or an address",
    );
    check(
        "timeout: 300ms",
        "timeout: 5ms",
        "5ms",
        "`5ms` is out of range: `timeout` is 10ms to 30s",
    );
    check(
        "    byte_order: CDAB",
        "    lost_after: 500ms\n    byte_order: CDAB",
        "500ms",
        "would be lost all the time. Write at least 2s",
    );
}

#[test]
fn a_missing_addresses_says_when_an_address_comes_from_a_manual() {
    let text = PRESS
        .replace("    addresses: zero_based                    # as on the wire: 40001 of the manual is `holding: 0`\n", "")
        .replace("status:   { holding: 0,", "status:   { holding: 40001,");
    assert!(told(&text)[0].1.contains("40001 of a manual is `holding: 0` with `addresses: zero_based`, or `holding: 1` with `one_based`"));
}

#[test]
fn an_address_must_lie_in_its_table() {
    check(
        "holding: 3,",
        "holding: 65536,",
        "65536,",
        "`65536` lies outside the table, which ends at 65535",
    );
    check(
        "input: 2,",
        "input: 65535,",
        "65535",
        "with its 2 registers the value goes beyond 65535",
    );
    check(
        "holding: 3,",
        "holding: 400004,",
        "400004",
        "it looks like a number of a manual: 400004 of a manual is `holding: 3`",
    );
    check(
        "    byte_order: CDAB",
        "    base: 65530\n    byte_order: CDAB",
        "10, type: text",
        "`10` with `base: 65530` lies outside",
    );
    let text = PRESS.replace("zero_based ", "one_based ");
    let told = told(&text);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0]
            .1
            .contains("with `addresses: one_based` the first address is 1: write 1")
    );
    assert_eq!(told[0].0, place_of(&text, "0,  type: u16"));
}

#[test]
fn a_tag_lies_in_one_place_and_has_what_its_type_needs() {
    check(
        "holding: 3,  ",
        "",
        "cavities: {",
        "where does it lie? Write one of `holding:`, `input:`, `coil:`, `discrete:`",
    );
    check(
        "holding: 3,",
        "holding: 3, input: 3,",
        "cavities: {",
        "`holding:` and `input:` stand here together",
    );
    check(
        "fault:    { holding: 1,  type: u16",
        "fault:    { coil: 1,  type: u16",
        "u16, every: 50ms }\n      strokes",
        "a coil or discrete input is a single bit: leave `type` out",
    );
    check(
        "cavities: { holding: 3,  type: u16",
        "cavities: { holding: 3,  bit: 3, type: u16",
        "3, type: u16",
        "`bit` needs `type: bit`",
    );
    check(
        "    tags:",
        "    tags:\n      door: { holding: 4, type: bit }",
        "door:",
        "which bit of the register?",
    );
    check(
        "    tags:",
        "    tags:\n      door: { coil: 4, bit: 2 }",
        "2 }",
        "is one already: leave it out",
    );
    check("length: 16, ", "", "order_no: {", "how long is the text?");
    check(
        "holding: 3,",
        "holding: 3, length: 4,",
        "4,  type",
        "`length` is for `type: text` only",
    );
    check(
        "holding: 3,",
        "holding: 3, trim: [nul],",
        "trim: [nul],",
        "`trim` is for `type: text` only",
    );
    check(
        "length: 16, ",
        "length: 16, scale: 2, ",
        "2, byte_order",
        "`scale` is for numbers",
    );
    check(
        "length: 16, ",
        "length: 16, interpolation: linear, ",
        "linear, byte_order",
        "does not move along a line",
    );
    check(
        "scale: 0.1",
        "scale: 0",
        "0, every: 1s, unit: Cel",
        "makes every value 0",
    );
    check(
        "range: [0, 400]",
        "range: [400, 0]",
        "range: [400",
        "`[400, 0]` holds nothing: write the lowest value first",
    );
    check(
        "every: 10ms",
        "every: 0.5ms",
        "0.5ms",
        "`0.5ms` is too short: a tag is read at most every 1ms",
    );
    check("unit: bar", "unit: \"\"", "\"\"", "write a UCUM unit");
    check(
        "    byte_order: CDAB",
        "    max_registers: 4\n    byte_order: CDAB",
        "16, byte_order",
        "takes 8 registers, and `max_registers` of its device is 4",
    );
}

#[test]
fn two_tags_of_one_name_in_two_devices_are_refused_with_both_places() {
    let second = "  drive:\n    modbus_tcp: { host: 127.0.0.2 }\n    addresses: zero_based\n    tags:\n      ram: { holding: 7 }\n\nequipment:";
    let text = with("equipment:", second);
    let line = place_of(&text, "ram:      {").line;
    let told = told(&text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, place_of(&text, "ram: { holding: 7"));
    assert!(
        told[0]
            .1
            .contains(&format!("`ram` is already a tag of `plc`, in line {line}")),
        "{}",
        told[0].1
    );
}

#[test]
fn two_tags_of_one_name_in_one_device_are_a_duplicate_key() {
    let text = with("      oil:  ", "      ram: { holding: 9 }\n      oil:  ");
    let told = told(&text);
    assert_eq!(told.len(), 1);
    assert!(
        told[0]
            .1
            .contains("`ram` stands here a second time, the first is in line")
    );
}

#[test]
fn names_are_what_topics_and_conditions_can_carry() {
    check(
        "machine: PRESS-12",
        "machine: PRESS 12",
        "PRESS 12",
        "`PRESS 12` cannot be the name of a machine: letters a to z, digits, `-`, `_` and `.`, at most 64",
    );
    check(
        "id: forge-press-gw1 ",
        "id: a/b ",
        "a/b",
        "cannot be the name of a gateway",
    );
    check(
        "  mes:\n",
        "  mes+:\n",
        "mes+",
        "cannot be the name of an uplink",
    );
    check(
        "    tags:",
        "    tags:\n      1st: { holding: 9 }",
        "1st",
        "`1st` cannot be the name of a tag",
    );
    check(
        "    tags:",
        "    tags:\n      oil-2: { holding: 9 }",
        "oil-2: { holding: 9",
        "",
    );
    check(
        "    tags:",
        "    tags:\n      in: { holding: 9 }",
        "in: { holding: 9",
        "`in` is a word of the condition language",
    );
    check(
        "    tags:",
        "    tags:\n      state: { holding: 9 }",
        "state: { holding: 9",
        "`state` already means something in every condition: call the tag otherwise, such as `state_1`",
    );
    check(
        "    tags:",
        "    tags:\n      delta: { holding: 9 }",
        "delta: { holding: 9",
        "already means something",
    );
    check(
        "[EXAMPLE, HALL2, PRESSES]",
        "[EXAMPLE, HALL/2]",
        "HALL/2",
        "it becomes part of topics, so no `/`, `+`, `#`",
    );
    check(
        "[EXAMPLE, HALL2, PRESSES]",
        "[]",
        "path:",
        "`path` has 0 levels",
    );
    check(
        "[EXAMPLE, HALL2, PRESSES]",
        "[a, b, c, d, e, f]",
        "path:",
        "`path` has 6 levels",
    );
}

#[test]
fn one_machine_or_several_but_not_both_and_not_none() {
    let told_of = |text: &str| {
        told(text)
            .into_iter()
            .map(|(_, said)| said)
            .collect::<Vec<_>>()
    };
    assert!(
        told_of(&with("machine: PRESS-12\n", ""))[0]
            .contains("whose `devices` are these? Write `machine: NAME` above")
    );
    assert!(
        told_of(&TWO.replace("machines:\n", "machine: A\nmachines:\n"))[0]
            .contains("both `machine:` and `machines:` stand here")
    );
    assert!(
        told_of("gateway: { id: g, path: [E] }\n")[0].contains("no machine: write `machine: NAME`")
    );
    assert!(told_of(&format!("{TWO}\noperations:\n  a: {{ start: {{ when: \"true\" }}, end: {{ when: \"false\" }} }}\n"))[0].contains("`operations` stands at the top, but the machines stand below `machines:`"));
}
