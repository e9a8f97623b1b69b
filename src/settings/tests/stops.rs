//! The equipment beyond its rules: PackML, ideal cycle, stops and their reasons, intervals, alarms, wear.

use super::{FILLER, LATHE, LINE, check_in, warned};

#[test]
fn packml_says_state_and_mode_itself() {
    let check = |from, to, mark, says| check_in(FILLER, from, to, mark, says);
    check(
        "  ideal_cycle",
        "  state: [ { is: STOPPED } ]\n  ideal_cycle",
        "state: [",
        "`packml` says the state by its table: take `state:` away, or `packml:`",
    );
    check(
        "state: { tag: f_state }",
        "state: { tag: f_order }",
        "f_order }\n    mode",
        "`f_order` is not a whole number: the PackML state is one",
    );
    check(
        "starved: { tag: f_starved }",
        "starved: { tag: f_state }",
        "f_state }\n    blocked",
        "`f_state` is a whole number: `starved` is a bit",
    );
    for number in ["3", "32", "04", "+4", "four"] {
        check_in(
            FILLER,
            "\"4\": SETUP",
            &format!("\"{number}\": SETUP"),
            "SETUP }",
            &format!("`{number}` is not a mode of its own: PackML has 1 production, 2 maintenance"),
        );
    }
    check(
        "    mode: { tag: f_mode }\n",
        "",
        "modes: {",
        "`modes` says what the numbers of `mode:` mean, and there is no `mode:`",
    );
    check(
        "IDLE/starved,",
        "IDLE/starvd,",
        "IDLE/starvd",
        "`starvd` is not a substate of IDLE here: there is waiting, starting, resetting, completing, complete, starved, blocked, suspended; did you mean `IDLE/starved`?",
    );
}

#[test]
fn a_stop_is_a_state_that_the_machine_has() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    check(
        "[STOPPED, FAULTED, IDLE",
        "[STOPED, FAULTED, IDLE",
        "STOPED",
        "`STOPED` is not a state: write one of RUNNING, IDLE, STOPPED, FAULTED, OFFLINE, UNKNOWN, or with its substate, such as IDLE/starved; did you mean `STOPPED`?",
    );
    check(
        "IDLE/blocked]",
        "IDLE/bloked]",
        "IDLE/bloked",
        "`bloked` is not a substate of IDLE here: there is starved, blocked; did you mean `IDLE/blocked`?",
    );
    check(
        "IDLE/blocked]",
        "STOPPED/jammed]",
        "STOPPED/jammed",
        "nothing gives STOPPED a substate: write `substate: jammed` in a rule of `state:`",
    );
    check(
        "IDLE/blocked]",
        "RUNNING]",
        "RUNNING]",
        "a machine that is RUNNING does not stand",
    );
    check(
        "IDLE/blocked]",
        "STOPPED]",
        "STOPPED]",
        "`STOPPED` stands here a second time",
    );
    check(
        "of: [STOPPED, FAULTED, IDLE/starved, IDLE/blocked]",
        "of: []",
        "of: []",
        "no state is a stop: write such as [STOPPED, FAULTED]",
    );
    check(
        "split_at: [shift, order]",
        "split_at: [shift, shift]",
        "shift]",
        "stands here a second time",
    );
    check(
        "catalogue: press-stops",
        "catalogue: \"\"",
        "\"\"",
        "whose codes are these?",
    );
    check(
        "\"18\": E1043",
        "\"18\": \"\"",
        "\"\"",
        "an empty text is no reason",
    );
    warned(
        LINE,
        "    - { is: STOPPED }\n",
        "",
        "no rule of `state:` gives STOPPED: this is never a stop",
    );
}

#[test]
fn an_ideal_cycle_comes_from_one_place_and_takes_time() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    let whole = "{ default: 34s, by_product: { BRACKET: 34s, HINGE: 21s } }";
    check(
        "{ default: 34s,",
        "{ tag: oil, default: 34s,",
        "ideal_cycle",
        "the ideal cycle comes from one place: `tag:`, or `default:` and `by_product:`",
    );
    check(
        whole,
        "{}",
        "ideal_cycle",
        "how long does a piece take at best? Write `default: 34s`",
    );
    check(
        whole,
        "{ tag: order_no }",
        "order_no }\n  counters",
        "`order_no` is a text: the ideal cycle in seconds is a number",
    );
    check(
        "HINGE: 21s",
        "HINGE: 0s",
        "0s } }",
        "no piece takes no time",
    );
}

#[test]
fn an_interval_is_a_minute_to_a_day() {
    let check = |from, to, mark, says| check_in(LINE, from, to, mark, says);
    check(
        "every: 15min",
        "every: 30s",
        "30s, calendar",
        "`30s` is out of range: `every` is 1min to 24h",
    );
    check(
        "every: 15min",
        "every: 2d",
        "2d, calendar",
        "`2d` is out of range",
    );
    warned(
        LINE,
        "every: 15min",
        "every: 7min",
        "24h is no multiple of it",
    );
}

#[test]
fn an_alarm_is_what_a_tag_or_a_condition_says() {
    let check = |from, to, mark, says| check_in(LATHE, from, to, mark, says);
    check(
        "      tag: alarm\n",
        "      tag: alarm\n      when: ch1_abort\n",
        "first:",
        "`tag` and `when` stand here together",
    );
    check(
        "      tag: alarm\n",
        "      severity: low\n",
        "first:",
        "when does it stand? Write `when:",
    );
    check(
        "      tag: alarm\n",
        "      tag: alarm\n      code: X\n",
        "X\n",
        "`code` goes with `when:`; what the values of a tag mean stands in `codes:` or `bits:`",
    );
    check(
        "      tag: alarm\n",
        "      tag: s1_vib\n",
        "s1_vib\n",
        "`s1_vib` is a measured number and cannot name anything",
    );
    check(
        "      codes:\n",
        "      bits: { \"1\": { text: low } }\n      codes:\n",
        "first:",
        "`bits` and `codes` stand here together",
    );
    check(
        "      codes:\n        \"2101\": { code: COOLANT-LOW, text: \"coolant low\", severity: medium }\n        \"3000\"",
        "      bits:\n        \"32\"",
        "\"32\"",
        "`32` is not a bit of `alarm`: they are 0, the least significant, to 31",
    );
}

#[test]
fn wear_is_looked_at_over_a_window() {
    let check = |from, to, mark, says| check_in(LATHE, from, to, mark, says);
    check(
        "bearing_1: { tag: s1_vib",
        "bearing_1: { tag: gauge_sn",
        "gauge_sn, while",
        "`gauge_sn` is a text: what wears is a number",
    );
    check(
        "window: 7d",
        "window: 30min",
        "30min, warn",
        "`30min` is out of range: `window` is 1h to 365d",
    );
    check(
        "every: 1h",
        "every: 30s",
        "30s }",
        "`30s` is too short: at least 1min",
    );
    check(
        "every: 1h",
        "every: 8d",
        "8d }",
        "`every`, 8d, is longer than `window`, 7d",
    );
    check(
        "warn: 4.5",
        "warn: 7.1",
        "7.1, alarm",
        "`warn` and `alarm` are both 7.1",
    );
}

#[test]
fn a_counter_is_set_back_by_a_number() {
    check_in(
        FILLER,
        "reset: { tag: f_since }",
        "reset: { tag: f_lot }",
        "f_lot }, modulus",
        "`f_lot` is a text: the time since a counter was set back is a number",
    );
}
