//! One key at a time: unknown, missing, of the wrong kind, out of range.

use super::{check, place_of, told, with};

#[test]
fn an_unknown_key_is_shown_with_the_key_that_is_near() {
    check(
        "bridge: 20s",
        "bridg: 20s",
        "bridg:",
        "`bridg` is not a key of entry 2 of `state`; did you mean `bridge`?",
    );
    check(
        "holding: 3,",
        "Holding: 3,",
        "Holding",
        "did you mean `holding`?",
    );
    check(
        "machine: PRESS-12",
        "machine: PRESS-12\nweather: {}",
        "weather",
        "`weather` is not a key of the settings; its keys are gateway, machine,",
    );
    check(
        "modbus_tcp: {",
        "modbus_udp: {",
        "modbus_udp",
        "did you mean `modbus_tcp`?",
    );
    check(
        "order: { tag: order_no }",
        "order: { tga: order_no }",
        "tga",
        "`tga` is not a key of `order`; did you mean `tag`?",
    );
    check(
        "order: { tag: order_no }",
        "order: { tag: order_no, else: x }",
        "x }",
        "`x` is not one of scanned",
    );
}

#[test]
fn a_missing_key_is_named_with_its_meaning() {
    check(
        "  id: forge-press-gw1",
        "  # none",
        "gateway:",
        "`id` is missing in `gateway`: unique in the enterprise",
    );
    check(
        "host: 127.0.0.1, ",
        "",
        "modbus_tcp",
        "`host` is missing in `modbus_tcp`: name or address",
    );
    check(
        "counts: cycles, ",
        "",
        "strokes: { tag",
        "`counts` is missing in `strokes`: what it counts",
    );
    check(
        "    end:   { when: \"!bit(status, 0)\", debounce: 20ms }\n",
        "",
        "form:",
        "`end` is missing in `form`",
    );
    check(
        "is: RUNNING, ",
        "",
        "{ when: \"bit(status, 0)\", bridge",
        "`is` is missing in entry 2 of `state`",
    );
    let text = with(
        "gateway:\n  id: forge-press-gw1                        # unique in the enterprise\n  path: [EXAMPLE, HALL2, PRESSES]          # enterprise, site, area[, line[, cell]]\n",
        "",
    );
    assert!(
        told(&text)[0]
            .1
            .starts_with("`gateway` is missing in the settings: who this gateway is")
    );
}

#[test]
fn a_key_without_a_value_is_refused() {
    check(
        "addresses: zero_based ",
        "addresses: # ",
        "addresses: #",
        "`addresses` has no value",
    );
    check(
        "bridge: 20s",
        "bridge: ~",
        "~",
        "`bridge` has no value: write one, or take the key away",
    );
    check(
        "    acknowledge: broker",
        "    acknowledge: null",
        "null",
        "`acknowledge` has no value",
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_what_to_write() {
    check(
        "value: \"0020\"",
        "value: 0020",
        "0020",
        "`0020` would be read as a number, but `value` is a text: write it in quotes, \"0020\"",
    );
    check(
        "id: forge-press-gw1 ",
        "id: 7 ",
        "7 ",
        "write it in quotes, \"7\"",
    );
    check(
        "machine: PRESS-12",
        "machine: true",
        "true",
        "write it in quotes, \"true\"",
    );
    check(
        "port: 5020",
        "port: \"5020\"",
        "\"5020\"",
        "`port` is a number: write 5020 without quotes",
    );
    check(
        "port: 5020",
        "port: modbus",
        "modbus,",
        "`modbus` is not a whole number",
    );
    check(
        "unit: 1,",
        "unit: 1.5,",
        "1.5",
        "`1.5` is not a whole number",
    );
    check(
        "holding: 10,",
        "holding: 010,",
        "010",
        "`010` begins with a zero: write 10",
    );
    check("scale: 0.1", "scale: ten", "ten", "`ten` is not a number");
    check(
        "scale: 0.1",
        "scale: .inf",
        ".inf",
        "`.inf` is not a finite number",
    );
    check(
        "machine: PRESS-12",
        "machine: PRESS-12\nshadow: yes",
        "yes",
        "`yes` is neither true nor false",
    );
    check(
        "every: 250ms",
        "every: 250",
        "250 }",
        "`250` is not a duration: write a number and ms, s, min, h or d, such as 50ms",
    );
    check(
        "every: 250ms",
        "every: 4000d",
        "4000d",
        "`4000d` is too long",
    );
    check(
        "max_rate: 60/min",
        "max_rate: 60",
        "60 }",
        "`60` is not a rate",
    );
    check(
        "checkpoint_every: 2s",
        "generation_size: 8",
        "8 ",
        "`8` is not a size",
    );
    check(
        "segment: { value: \"0020\" } ",
        "segment: \"0020\" ",
        "\"0020\" ",
        "`segment` says where it comes from: write `{ tag: NAME }` or `{ value: \"TEXT\" }`",
    );
    check(
        "order: { tag: order_no }",
        "order: { tag: order_no, value: x }",
        "order: {",
        "`order` has both `tag` and `value`: it comes from a tag",
    );
    check(
        "order: { tag: order_no }",
        "order: {}",
        "order: {",
        "`order` is empty: write",
    );
    check(
        "pieces: { tag: cavities }",
        "pieces: cavities",
        "cavities\n",
        "what comes from a tag is written { tag: NAME }",
    );
    check(
        "pieces: { tag: cavities }",
        "pieces: -1",
        "-1\n",
        "`-1` is out of range: `pieces` is 0 to 4294967295",
    );
    check(
        "acknowledge: broker\n    events: [\"operation.*\", \"equipment.*\", \"production.*\", \"gateway.*\"]",
        "events: operation.*",
        "operation.*",
        "`events` is a list: write [\"operation.*\"]",
    );
    check(
        "range: [0, 400]",
        "range: [0, 200, 400]",
        "range: [0, 200",
        "`range` takes 2 values, not 3",
    );
    check(
        "range: [0, 400]",
        "range: [0, x]",
        "x]",
        "`x` is not a number",
    );
    check(
        "    - { is: STOPPED }",
        "    - STOPPED",
        "STOPPED",
        "entry 5 of `state` is a block with keys of its own: `is:`",
    );
    check(
        "holding: 3,",
        "holding: [3],",
        "holding: [3]",
        "`holding` is a single value, not a list or a block",
    );
    check(
        "    modbus_tcp: { host: 127.0.0.1, port: 5020, unit: 1, timeout: 300ms }",
        "    modbus_tcp: 127.0.0.1",
        "127.0.0.1",
        "`modbus_tcp` is a block with keys of its own: `host:`",
    );
}

#[test]
fn a_number_out_of_range_is_told_its_range() {
    check(
        "port: 5020",
        "port: 70000",
        "70000",
        "`70000` is out of range: `port` is 1 to 65535",
    );
    check(
        "port: 5020",
        "port: 0",
        "0, unit",
        "`0` is out of range: `port` is 1 to 65535",
    );
    check(
        "unit: 1,",
        "unit: 256,",
        "256",
        "`256` is out of range: `unit` is 0 to 255",
    );
    check("length: 16", "length: 241", "241", "`length` is 1 to 240");
    check(
        "profile: 120",
        "profile: 3",
        "3, perc",
        "`profile` is 4 to 1000",
    );
    check(
        "    byte_order: CDAB",
        "    max_registers: 126\n    byte_order: CDAB",
        "126",
        "`max_registers` is 4 to 125",
    );
    check(
        "    max_duration: 2min",
        "    pass_needs_good_fraction: 1.5\n    max_duration: 2min",
        "1.5",
        "`1.5` is out of range: `pass_needs_good_fraction` is 0 to 1",
    );
    check(
        "      version: 5\n",
        "      version: 5\n      window: 0\n",
        "0\n      topic",
        "`window` is 1 to 1000",
    );
    check(
        "modulus: 65536",
        "modulus: 99999999999999999999999999999999999999999999",
        "99999",
        "is too large",
    );
}

#[test]
fn a_word_that_is_not_known_is_shown_with_all_that_are() {
    check(
        "is: FAULTED",
        "is: FAULTY",
        "FAULTY",
        "`FAULTY` is not one of RUNNING, IDLE, STOPPED, FAULTED, OFFLINE, UNKNOWN; did you mean `FAULTED`?",
    );
    check(
        "is: FAULTED",
        "is: faulted",
        "faulted",
        "did you mean `FAULTED`?",
    );
    check(
        "byte_order: CDAB",
        "byte_order: CADB",
        "CADB",
        "`CADB` is not one of ABCD, CDAB, BADC, DCBA",
    );
    check(
        "type: f32",
        "type: float",
        "float",
        "`float` is not one of bit, i16, u16,",
    );
    for (word, ours) in [
        ("float", "f32"),
        ("REAL", "f32"),
        ("LReal", "f64"),
        ("UDINT", "u32"),
    ] {
        let instead = format!("did you mean `{ours}`?");
        check("type: f32", &format!("type: {word}"), word, &instead);
    }
    check(
        "byte_order: CDAB",
        "byte_order: little",
        "little",
        "did you mean `CDAB`?",
    );
    check("version: 5", "version: 4", "4\n", "`4` is not one of 3, 5");
    check(
        "version: 5",
        "version: 3.1.1",
        "3.1.1\n",
        "`3.1.1` is not one of 3, 5: `3` means MQTT 3.1.1",
    );
    check(
        "holding: 1, ",
        "holding: -1, ",
        "-1,",
        "`-1` is out of range: `holding` is 0 to 65535, or 1 to 65536 with `addresses: one_based`",
    );
    check(
        "on_next_start: abort_and_start",
        "on_next_start: restart",
        "restart\n",
        "is not one of abort_and_start, end_and_start, ignore",
    );
    check(
        "trim: [nul, space]",
        "trim: [nul, spaces]",
        "spaces",
        "did you mean `space`?",
    );
    check(
        "acknowledge: broker",
        "format: json",
        "json\n    events",
        "`json` is not one of cloudevents, b2mml: `cloudevents` is CloudEvents JSON",
    );
}

#[test]
fn the_place_of_a_list_entry_in_lines_of_its_own_is_that_line() {
    let text = with(
        "    - { is: STOPPED }",
        "    - is: STOPED\n      substate: x",
    );
    let told = told(&text);
    assert_eq!(told[0].0, place_of(&text, "STOPED"));
}
