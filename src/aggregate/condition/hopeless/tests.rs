//! Conditions that cannot do their work, and many that can, of which nothing may be said.

use super::*;

fn domain(name: &str) -> Domain {
    match name {
        "status" => Domain::Whole(0.0, 65_535.0, 16),
        "signed" => Domain::Whole(-32_768.0, 32_767.0, 16),
        "pressure" => Domain::Number(0.0, 400.0),
        "free" => Domain::Number(-1e300, 1e300),
        "door" => Domain::Bool,
        "order" => Domain::Text,
        "word" | "mode" => Domain::Words(vec!["AUTO".into(), "MANUAL".into()]),
        _ => Domain::Any,
    }
}

#[track_caller]
fn check(source: &str, expected: &[&str]) {
    let said: Vec<String> = remarks(source, domain)
        .into_iter()
        .map(|(message, _)| message)
        .collect();
    assert_eq!(said, expected, "{source}");
}

#[test]
fn what_can_never_be_so_is_said() {
    for (source, expected) in [
        ("false && door", "`false && door` is never true"),
        ("1 == 2", "`1 == 2` is never true"),
        ("door && !door", "`door && !door` is never true"),
        (
            "status == 1 && status == 2",
            "`status == 1 && status == 2` is never true",
        ),
        (
            "status > 5 && status < 6",
            "`status > 5 && status < 6` is never true",
        ),
        (
            "pressure > 8.0 && pressure <= 8.0",
            "`pressure > 8.0 && pressure <= 8.0` is never true",
        ),
        (
            "unknown > 3 && !(unknown > 3)",
            "`unknown > 3 && !(unknown > 3)` is never true",
        ),
        (
            "order == 'A' && order == 'B'",
            "`order == 'A' && order == 'B'` is never true",
        ),
        (
            "status == 70000",
            "`status == 70000` is never true: `status` goes from 0 to 65535",
        ),
        (
            "door || status < 0",
            "`status < 0` is never true: `status` goes from 0 to 65535",
        ),
        (
            "500 < pressure || door",
            "`pressure > 500` is never true: `pressure` goes from 0 to 400",
        ),
        (
            "word == 'AUTOO'",
            "`word == 'AUTOO'` is never true: `word` is one of AUTO, MANUAL",
        ),
        (
            "word != 'AUTOO' && door",
            "`word == 'AUTOO'` is never true: `word` is one of AUTO, MANUAL",
        ),
        (
            "mode in ['AUTO', 'SETUP']",
            "`mode == 'SETUP'` is never true: `mode` is one of AUTO, MANUAL",
        ),
        (
            "bit(status, 16) || door",
            "`bit(status, 16)` is never true: `status` has 16 bits, from 0",
        ),
    ] {
        check(source, &[expected]);
    }
}

#[test]
fn what_is_always_so_or_never_known_is_said() {
    for (source, expected) in [
        ("!door || door", "`!door || door` is always true"),
        ("status >= 0", "`status >= 0` is always true"),
        (
            "word in ['AUTO', 'MANUAL']",
            "`word in ['AUTO', 'MANUAL']` is always true",
        ),
        (
            "bit(status, 1) || !bit(status, 1)",
            "`bit(status, 1) || !bit(status, 1)` is always true",
        ),
        ("status / 0 == 1", "`status / 0 == 1` is never known"),
    ] {
        check(source, &[expected]);
    }
}

#[test]
fn of_what_could_do_its_work_nothing_is_said() {
    for source in [
        "door",
        "status == 65535",
        "status > 5 && status < 7",
        "status != 3 && status != 4",
        "status > 1.5 && status < 2.5",
        "pressure > 399.9 && pressure < 400.0",
        "pressure == 0.0",
        "free > 1e9 && free < 1.1e9",
        "word == 'AUTO' && mode == 'MANUAL'",
        "word != 'AUTO'",
        "order != ''",
        "order.startsWith('A') && order == 'B'",
        "bit(status, 15) && status < 3",
        "bit(signed, 40)",
        "unknown == 'X' && unknown == 'Y'",
        "changed(status) && delta(status) > 70000",
        "mask(status, 3) == 1",
        "door ? status == 1 : status == 2",
        "pressure * 2.0 > 500.0",
        "status in [1, 2] && !(status in [2, 3])",
        "not a condition",
    ] {
        check(source, &[]);
    }
    let many: Vec<String> = (0..40).map(|n| format!("unknown > {n}")).collect();
    check(&many.join(" || "), &[]);
}

#[test]
fn a_word_that_is_nearly_one_is_suggested() {
    let found = remarks("word == 'AUTOO'", domain);
    assert_eq!(found.first().unwrap().1.as_deref(), Some("AUTO"));
}
