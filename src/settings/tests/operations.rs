//! Operations, counters and characteristics against their machine.

use super::{PRESS, check, warned, with};

#[test]
fn what_refers_to_a_tag_or_counter_must_find_it() {
    check(
        "order: { tag: order_no }",
        "order: { tag: order }",
        "order }",
        "`order` is not a tag of this machine",
    );
    check(
        "order: { tag: order_no }",
        "order: { tag: pressure }",
        "pressure }",
        "`pressure` is a measured number and cannot name anything",
    );
    check(
        "reason: { tag: fault } }\n    - { when: \"bit(status, 0)\", is: R",
        "reason: { tag: fautl } }\n    - { when: \"bit(status, 0)\", is: R",
        "fautl",
        "did you mean `fault`?",
    );
    check(
        "strokes: { tag: strokes",
        "strokes: { tag: stroke",
        "stroke,",
        "`stroke` is not a tag of this machine; did you mean `strokes`?",
    );
    check(
        "strokes: { tag: strokes",
        "strokes: { tag: ram",
        "ram,",
        "`ram` does not count: a counter is a whole number without `scale` and `offset`, not a measured number",
    );
    check(
        "recovery_counter: strokes",
        "recovery_counter: shots",
        "shots",
        "`shots` is not a counter of this machine",
    );
    check(
        "pieces: { tag: cavities }",
        "pieces: { tag: order_no }",
        "order_no }\n    parameters",
        "`order_no` is a text: pieces are a whole number",
    );
    check(
        "oil_temperature:  { tag: oil }",
        "oil_temperature:  { tag: order_no }",
        "order_no }\n    quality",
        "`order_no` is a text: a parameter measures a number",
    );
}

#[test]
fn counters_say_enough_to_tell_a_wrap_from_a_reset() {
    check(
        "modulus: 65536, ",
        "",
        "60/min",
        "it needs `modulus:` beside it, such as 65536",
    );
    check(
        "modulus: 65536",
        "modulus: 65537",
        "65537",
        "`65537` is never reached: `strokes` runs over at 65536",
    );
    check("modulus: 65536", "modulus: 1", "1, max", "`1` is too small");
    check(
        "max_rate: 60/min",
        "max_rate: 0/min",
        "0/min",
        "the fastest rate is above 0",
    );
    check(
        "pieces_from: operations",
        "pieces_from: counters",
        "counters ",
        "no counter counts pieces",
    );
}

#[test]
fn operations_make_sense_in_themselves() {
    check(
        "min_duration: 200ms",
        "min_duration: 2min",
        "2min  ",
        "`min_duration`, 2min, is not less than `max_duration`, 2min",
    );
    check(
        "start: { when: \"bit(status, 0)\", debounce",
        "start: { when: \"bit(status, 0)\", reason: { value: x }, debounce",
        "reason: { value: x",
        "`start` has none",
    );
    check(
        "value: \"0020\"",
        "value: \"\"",
        "\"\"",
        "an empty text says nothing",
    );
    check(
        "    - { is: PRODUCTION }",
        "    - { is: PRODUCTION }\n    - { when: \"bit(status, 9)\", is: SETUP }",
        "{ is: PRODUCTION }",
        "this line has no `when:` and always holds",
    );
    check(
        "percentiles: [5, 50, 95]",
        "percentiles: [5, 50, 101]",
        "101",
        "`101` is out of range: a percentile is 0 to 100",
    );
    check(
        "percentiles: [5, 50, 95]",
        "percentiles: [5, 50, 5]",
        "5] }",
        "`5` stands here a second time",
    );
}

#[test]
fn characteristics_name_a_parameter_and_a_statistic_that_is_computed() {
    check(
        "of: forming_pressure.max",
        "of: forming_presure.max",
        "forming_presure",
        "`forming_presure` is not a parameter of this operation; did you mean `forming_pressure.max`?",
    );
    check(
        "of: forming_pressure.max",
        "of: forming_pressure.maks",
        "forming_pressure.maks",
        "`maks` is not a statistic: first, last,",
    );
    check(
        "of: forming_pressure.max",
        "of: forming_pressure",
        "forming_pressure,",
        "names no statistic: write PARAMETER.STATISTIC",
    );
    check(
        "of: forming_pressure.max",
        "of: forming_pressure.p90",
        "forming_pressure.p90",
        "is not computed: add `percentiles: [90]`",
    );
    check(
        "of: forming_pressure.max",
        "of: forming_pressure.p99.9",
        "forming_pressure.p99.9",
        "only whole ones can be checked",
    );
    check(
        "of: forming_pressure.max",
        "of: forming_pressure.duration_s",
        "forming_pressure.duration_s",
        "`forming_pressure` has no `while:`",
    );
    check(
        "low: 180, target: 210, high: 240",
        "low: 250, target: 210, high: 240",
        "250, target",
        "`low` is 250, which is above `high`, 240",
    );
    check(
        "low: 180, target: 210, high: 240",
        "low: 180, target: 250, high: 240",
        "250, high",
        "`target` is 250, which is above `high`, 240",
    );
    check(
        "high: 65 }",
        "target: 65 }",
        "{ id: \"0020-30\"",
        "`0020-30` has no limit: write `low:`, `high:`, or both",
    );
    check(
        "id: \"0020-20\"",
        "id: \"0020-10\"",
        "\"0020-10\", of: dwell",
        "is the id of two characteristics of `form`, the first in line",
    );
    assert!(
        super::load(&with(
            "of: forming_pressure.max",
            "of: forming_pressure.p05"
        ))
        .is_ok()
    );
}

#[test]
fn an_abort_that_counts_after_the_end_is_warned_of() {
    warned(
        PRESS,
        "bit(status, 7)\", reason",
        "bit(status, 7)\", debounce: 50ms, reason",
        "the operation is completed before its abort counts",
    );
}
