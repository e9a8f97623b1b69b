//! Operations: their two forms, where they learn what they are about, limits and windows.

use super::{FILLER, LATHE, LINE, check_in, warned};

#[test]
fn an_operation_has_a_start_and_an_end_or_holds() {
    let check = |from, to, mark, says| check_in(FILLER, from, to, mark, says);
    check(
        "    max_duration: 7d",
        "    start: { when: f_starved }\n    max_duration: 7d",
        "start:",
        "`during` says both when `run` begins and when it ends: take `start` away",
    );
    check(
        "    during: \"f_order != ''\"                  # open while it holds, also when the gateway comes up in the middle\n    new_when_changed: f_order                # orders back to back: one stamp, no gap, no overlap\n",
        "",
        "run:",
        "when is `run` open? Write `start:` and `end:`, or `during:`",
    );
    check(
        "new_when_changed: f_order",
        "new_when_changed: f_weight",
        "f_weight  ",
        "is a measured number and cannot name anything",
    );
    check_in(
        LINE,
        "    only_if",
        "    new_when_changed: order_no\n    only_if",
        "order_no\n",
        "`new_when_changed` goes with `during`",
    );
}

#[test]
fn what_belongs_to_one_trigger_does_not_stand_at_another() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    check(
        "start: { when: \"bit(status, 0)\", debounce: 30ms }",
        "start: { when: \"bit(status, 0)\", debounce: 30ms, trailing: 1s }",
        "1s }\n    only_if",
        "`trailing` is for `end` only",
    );
    check(
        "trailing: 200ms",
        "trailing: 2min",
        "2min }",
        "`2min` is too long: `trailing` is at most 60s",
    );
    check(
        "trailing: 200ms",
        "reason: { value: x }",
        "reason: { value: x",
        "`reason` says why an operation was aborted or paused: `end` has none",
    );
    check(
        "purpose: [ { when: \"mode == 'SETUP'\", is: setup }, { is: production } ]",
        "purpose: [ { is: production }, { when: \"mode == 'SETUP'\", is: setup } ]",
        "{ is: production }, {",
        "this line has no `when:` and always holds",
    );
    check(
        "give_up_after: 10min",
        "give_up_after: 0s",
        "0s }\n    part",
        "an operation would be given up as soon as one poll is missed",
    );
    check(
        "debounce: 30ms, trailing",
        "debounce: 3min, trailing",
        "3min, trailing",
        "`3min` is not less than `max_duration`, 3min: the operation is aborted before `end` could fire",
    );
}

#[test]
fn an_order_comes_from_one_place() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    let order = "order: { tag: order_no, else: scanned }";
    check(
        order,
        "order: { tag: order_no, value: x }",
        "order: {",
        "`order` has both `tag` and `value`",
    );
    check(
        order,
        "order: { value: x, else: scanned }",
        "scanned }",
        "`else` is for a tag that is empty at times; a `value` never is",
    );
    check(
        order,
        "order: { else: scanned }",
        "order: {",
        "`else` of what? What is scanned is taken anyway: leave `order` out",
    );
    check(
        order,
        "lot: {}",
        "lot: {",
        "`lot` is empty: write `{ tag: NAME }`",
    );
    check(
        order,
        "operator: { value: \"\" }",
        "\"\"",
        "an empty text says nothing",
    );
    warned(
        LINE,
        "\"^WO-[0-9]+$\", is: order",
        "\"^WO-[0-9]+$\", is: product",
        "no rule of this machine's `scans:` has `is: order`",
    );
}

#[test]
fn a_product_is_read_from_the_program() {
    let check = |from, to, mark, says| check_in(LATHE, from, to, mark, says);
    check(
        "    program: { tag: ch1_prog }\n",
        "",
        "by_program",
        "by which program? Write `program: { tag: NAME }` beside `product`",
    );
    check(
        "by_program: { O1001: SHAFT-C, O1002: SHAFT-D }, ",
        "tag: ch1_prog, ",
        "flag }",
        "`unknown` says what a program means that `by_program` does not list",
    );
    check(
        "product: { by",
        "product: { value: X, by",
        "product: {",
        "the product comes from one place: write `tag`, `value` or `by_program`",
    );
    check("SHAFT-D", "\"\"", "\"\"", "an empty text is no product");
}

#[test]
fn a_part_is_read_from_a_tag_that_can_name_it() {
    let check = |from, to, mark, says| check_in(LATHE, from, to, mark, says);
    check(
        "part: { tag: ch1_pallet, kind: carrier, read: start",
        "part: { tag: s1_load, kind: carrier, read: start",
        "s1_load, kind",
        "is a measured number and cannot name anything",
    );
    check(
        "part: { tag: ch1_pallet, kind: carrier, read: start",
        "part: { kind: carrier, read: end",
        "end, late",
        "`read` says when the tag of the part is read, and there is no `tag`",
    );
    check(
        "late_window: 20s",
        "late_window: 3min",
        "3min, missing",
        "3min is too long: what ended more than 2min ago cannot be corrected any more",
    );
    check(
        "kind: carrier",
        "kind: generated",
        "generated, read",
        "write `missing: generate`",
    );
    check(
        "tools: { tag: tool_no }",
        "tools: { tag: tool_no, cycles: gauge_sn }",
        "gauge_sn }\n    limits",
        "what counts the cycles of a tool is a number",
    );
}

#[test]
fn materials_have_an_id_and_a_quantity() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    check(
        "{ id: BLANK-2MM, q",
        "{ id: \"\", q",
        "\"\", q",
        "the id is empty",
    );
    check(
        "quantity: 1, ",
        "quantity: 0, ",
        "0, unit: \"1\"",
        "`0` is too little: how much of it goes into one piece",
    );
    check(
        "quantity: 1, unit: \"1\"",
        "unit: \"1\"",
        "\"1\", use",
        "a unit of what? Write `quantity:` beside it",
    );
    check(
        "use: consumed }",
        "use: consumed }, { id: BLANK-2MM }",
        "BLANK-2MM } ]",
        "`BLANK-2MM` stands here a second time",
    );
}

#[test]
fn a_sequence_is_told_not_computed() {
    let check = |from, to, mark, says| check_in(LATHE, from, to, mark, says);
    check(
        "kind: sequence }",
        "kind: sequence, profile: 10 }",
        "10 }",
        "a sequence has no `profile`",
    );
    check(
        "    limits:\n",
        "    quality: [ { id: Q, of: tools_used.max, high: 3 } ]\n    limits:\n",
        "tools_used.max",
        "`tools_used` is a sequence: it has no statistics to be checked",
    );
    check(
        "of: vibration, above",
        "of: tools_used, above",
        "tools_used, above",
        "`tools_used` is a sequence: its values are told, not measured against a limit",
    );
    check(
        "{ tag: s1_vib }\n",
        "{ tag: ch1_prog }\n",
        "ch1_prog }\n      tools",
        "`ch1_prog` is a text: a parameter measures a number; numbers or words that follow one another are `kind: sequence`",
    );
}

#[test]
fn a_limit_has_one_side() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    check(
        "above: 255, ",
        "above: 255, below: 3, ",
        "{ of: forming_pressure, above",
        "`above` and `below` stand here together: write a line for each",
    );
    check(
        "above: 255, ",
        "",
        "{ of: forming_pressure, hyst",
        "`forming_pressure` has no limit: write `above:` or `below:`",
    );
    check(
        "hysteresis: 0.5",
        "hysteresis: -0.5",
        "-0.5",
        "`-0.5` is below 0",
    );
    check(
        "hold: 10ms",
        "hold: 3min",
        "3min, severity",
        "`hold`, 3min, is not less than `max_duration`, 3min",
    );
    check(
        "of: forming_pressure, above",
        "of: forming_presure, above",
        "forming_presure, above",
        "`forming_presure` is not a parameter of this operation; did you mean `forming_pressure`?",
    );
    check(
        "of: forming_pressure, above",
        "of: forming_pressure.max, above",
        "forming_pressure.max, above",
        "a limit looks at the values themselves as they come: write `of: forming_pressure`. The limit of its `max` is a line of `quality:`",
    );
}

#[test]
fn a_window_must_be_there_to_be_looked_at() {
    check_in(
        FILLER,
        "    progress_every: 1h",
        "    #",
        "progress, low",
        "there is no window to look at: write `progress_every:`",
    );
    check_in(
        FILLER,
        "progress_every: 1h",
        "progress_every: 500ms",
        "500ms ",
        "`500ms` is too short: at least 1s",
    );
}
