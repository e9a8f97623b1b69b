//! Scans and measurements: how a code is recognised, what it is for, what goes with what.

use super::{LATHE, LINE, SHOP, check_in, warned};

fn check(from: &str, to: &str, mark: &str, says: &str) {
    check_in(LINE, from, to, mark, says);
}

#[test]
fn a_code_is_recognised_by_a_pattern_or_as_gs1() {
    check(
        "- { gs1: {",
        "- { pattern: x, gs1: {",
        "{ pattern: x",
        "`pattern` and `gs1` stand here together",
    );
    check(
        "pattern: \"^WO-[0-9]+$\", ",
        "",
        "{ is: order",
        "which codes? Write `pattern:",
    );
    check(
        "\"^WO-[0-9]+$\"",
        "\"^WO-[0-9+$\"",
        "\"^WO-[0-9+$\"",
        "`^WO-[0-9+$` is no pattern: unclosed character class",
    );
    check(
        "\"^WO-[0-9]+$\"",
        "\"(a{1000}){1000}\"",
        "\"(a{1000}",
        "this pattern takes too much memory",
    );
    check(
        "\"^WO-[0-9]+$\"",
        "\"\"",
        "\"\", is: order",
        "a pattern has 1 to 1024 bytes",
    );
    check(
        "RSN-(?<id>.+)$",
        "RSN-(?<ide>.+)$",
        "\"^RSN",
        "the group `ide` means nothing here: (?<id>...) is the id in the code, (?<machine>...) the machine that it is for; others are written (?:...); did you mean `id`?",
    );
    check(
        "\"10\": lot",
        "\"1\": lot",
        "lot }, is",
        "`1` is no GS1 application identifier",
    );
    check(
        "\"21\": part, ",
        "",
        "gs1: {",
        "no identifier is the part: which of them makes this code one?",
    );
    check(
        "  scan:                                      #",
        "  scam:                                      #",
        "scam:",
        "`scam` is not a tag of this machine; did you mean `scan`?",
    );
}

#[test]
fn only_a_part_waits_for_an_operation() {
    check(
        "is: order, until: replaced",
        "is: order, valid_for: 1min",
        "1min",
        "`valid_for` is for `is: part` only: how long the order counts is `until`",
    );
    for (key, value) in [
        ("kind", "serial"),
        ("bind", "last_operation"),
        ("slot", "\"1\""),
    ] {
        check(
            "is: order, until: replaced",
            &format!("is: order, {key}: {value}"),
            &format!("{value} }}\n    - {{ pattern: \"^OP"),
            &format!("`{key}` is for `is: part` only"),
        );
    }
    check(
        "valid_for: 120s }\n    - { gs1",
        "until: replaced }\n    - { gs1",
        "replaced }\n    - { gs1",
        "a part waits for its operation: how long is `valid_for`",
    );
    check(
        "valid_for: 120s }\n    - { gs1",
        "valid_for: 0s }\n    - { gs1",
        "0s }\n    - { gs1",
        "a part that counts for no time is never there",
    );
    check(
        "valid_for: 120s }\n    - { gs1",
        "slot: two }\n    - { gs1",
        "two }\n    - { gs1",
        "no operation of `PRESS-04` is in the slot `two`: there is 1",
    );
    check(
        "valid_for: 120s }\n    - { gs1",
        "kind: generated }\n    - { gs1",
        "generated }\n    - { gs1",
        "`generated` is what the gateway calls a part that it named itself",
    );
    check(
        "is: reason }",
        "is: reason, until: replaced }",
        "replaced }      ",
        "a reason is of one stop, the open one or the last: leave `until` out",
    );
}

#[test]
fn a_material_is_named_and_a_purpose_has_words() {
    check(
        "material: BLANK-2MM, ",
        "",
        "{ pattern: \"^COIL",
        "which material? Write `material: ID`",
    );
    check(
        "is: order, until: replaced",
        "is: order, material: BLANK-2MM",
        "BLANK-2MM }\n    - { pattern: \"^OP",
        "`material` goes with `is: material` only",
    );
    check(
        "is: order, until: replaced",
        "is: order, words: { A: setup }",
        "words",
        "it goes with `is: purpose` only",
    );
    check(
        "is: order, until: replaced",
        "is: order, same_within: 2h",
        "2h }",
        "`2h` is too long: `same_within` is at most 1h",
    );
    warned(
        LINE,
        "material: BLANK-2MM",
        "material: BLANK-3MM",
        "no operation has `BLANK-3MM` in its `materials:`",
    );
}

#[test]
fn a_scan_may_be_for_another_machine_of_the_file() {
    check(
        "is: order, until: replaced",
        "is: order, machine: PRESS-05",
        "PRESS-05",
        "`PRESS-05` is not a machine of this file; did you mean `PRESS-04`?",
    );
    check(
        "\"^WO-[0-9]+$\", is: order",
        "\"^WO-(?<machine>.*)$\", machine: PRESS-04, is: order",
        "PRESS-04, is",
        "the machine stands in the code, (?<machine>...), and here: take one away",
    );
    let shared = super::changed(SHOP, "is: order }", "is: order, machine: PRESS-43 }");
    assert!(super::load(&shared).is_ok());
}

#[test]
fn a_shift_must_end_for_what_counts_until_then() {
    let text = LINE
        .replace(
            "performance: { every: 15min, calendar: hall2 }",
            "debounce: 1s",
        )
        .replace("  debounce: 250ms\n", "")
        .replace("split_at: [shift, order]", "split_at: [order]");
    let from = text.find("calendars:").unwrap();
    let to = text.find("machine: PRESS-04").unwrap();
    let text = format!("{}{}", &text[..from], &text[to..]);
    let told = super::told(&text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("no shift ever ends"), "{told:?}");
    assert_eq!(told[0].0, super::place_of(&text, "shift_end"));
}

#[test]
fn a_gauge_measures_a_number_and_has_an_id() {
    check_in(
        LATHE,
        "value: { tag: gauge_bore }",
        "value: { tag: gauge_sn }",
        "gauge_sn }\n    when",
        "`gauge_sn` is a text: what is measured is a number",
    );
    check_in(
        LATHE,
        "part: { tag: gauge_sn }",
        "part: { tag: gauge_bore }",
        "gauge_bore }\n    id",
        "is a measured number and cannot name anything",
    );
    check_in(
        LATHE,
        "id: \"0040-10\"",
        "id: \" \"",
        "\" \"",
        "the id is empty",
    );
    check_in(
        LATHE,
        "high: 12.01",
        "high: 11.0",
        "11.99",
        "`low` is 11.99, which is above `high`, 11",
    );
    check_in(
        LATHE,
        "  bore:\n",
        "  again: { value: { tag: gauge_bore }, when: \"changed(gauge_seq)\", id: \"0040-10\" }\n  bore:\n",
        "\"0040-10\"\n",
        "`0040-10` is the id of `again` already: the MES could not tell them apart",
    );
}
