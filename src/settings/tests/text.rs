//! Text that is not YAML, or YAML that a settings file has no use for.

use super::{check, load, place_of, told, with};
use crate::settings::yaml::{MAX_BYTES, MAX_DEPTH, MAX_ENTRIES, MAX_KEY_BYTES};
use crate::settings::{Place, Problems};

fn first(text: &str) -> (Place, String) {
    told(text).swap_remove(0)
}

#[test]
fn a_duplicate_key_is_refused_with_the_line_of_the_first() {
    let text = with(
        "    pieces: { tag: cavities }",
        "    pieces: { tag: cavities }\n    segment: { value: x }",
    );
    let line = place_of(&text, "segment: { value: \"0020\"").line;
    let (place, message) = first(&text);
    assert_eq!(place, place_of(&text, "segment: { value: x"));
    assert_eq!(
        message,
        format!("`segment` stands here a second time, the first is in line {line}: take one away")
    );
}

#[test]
fn anchors_aliases_and_tags_are_refused() {
    check(
        "range: [0, 400]",
        "range: &r [0, 400]",
        "[0, 400]",
        "`&` marks something to be repeated elsewhere",
    );
    check(
        "unit: bar",
        "unit: *bar",
        "*bar",
        "`*` stands for something written elsewhere",
    );
    check(
        "unit: bar",
        "unit: !!str bar",
        "!!str",
        "a value that begins with `!` needs quotes",
    );
    check(
        "when: \"!bit(status, 5)\"",
        "when: !running",
        "!running",
        "needs quotes, such as \"!bit(status, 0)\"",
    );
}

#[test]
fn an_anchor_bomb_is_refused_before_it_grows() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for at in 1..30 {
        let before = format!("*a{}", at - 1);
        let nine = vec![before; 9].join(", ");
        bomb.push_str(&format!("a{at}: &a{at} [{nine}]\n"));
    }
    let problems: Problems = load(&bomb).unwrap_err();
    assert!(
        problems.to_string().contains("`&` marks something"),
        "{problems}"
    );
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let text = format!(
            "a: {}{}\n",
            open.repeat(MAX_DEPTH + 1),
            close.repeat(MAX_DEPTH + 1)
        );
        assert!(first(&text).1.contains("nested deeper than 16 levels"));
    }
    let many = "[".repeat(MAX_BYTES / 2);
    assert!(first(&many).1.contains("nested deeper than 16 levels"));
    let block: String = (0..200)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert!(first(&block).1.contains("nested deeper than 16 levels"));
}

#[test]
fn an_overlong_file_list_or_key_is_refused() {
    assert!(
        first(&" ".repeat(MAX_BYTES + 1))
            .1
            .contains("the file is longer than")
    );
    let list = format!("a: [{}]\n", "1,".repeat(MAX_ENTRIES + 1));
    assert!(first(&list).1.contains("more than 20000 entries"));
    let key = "k".repeat(MAX_KEY_BYTES + 1);
    let (place, message) = first(&format!("gateway:\n  {key}: 1\n"));
    assert_eq!(place, Place { line: 2, column: 3 });
    assert!(
        message.contains("is too long: at most 128 bytes") && message.len() < 200,
        "{message}"
    );
}

#[test]
fn an_empty_file_and_a_second_document_are_refused() {
    for empty in ["", "\n\n", "# only a comment\n"] {
        assert!(first(empty).1.contains("the file is empty"), "{empty:?}");
    }
    let text = format!("{}---\na: 1\n", super::PRESS);
    assert!(first(&text).1.contains("a second document begins here"));
    assert!(
        first("just text")
            .1
            .contains("the settings is a block with keys of its own: `gateway:`"),
        "{}",
        first("just text").1
    );
    assert!(
        first("- a\n- b\n")
            .1
            .contains("is a block with keys of its own")
    );
}

#[test]
fn text_that_is_not_yaml_is_told_in_plain_words() {
    let not_yaml = |from: &str, to: &str, says: &str| {
        let text = with(from, to);
        let (place, message) = first(&text);
        assert!(
            message.contains("this is not YAML") && message.contains(says),
            "{to}: {message}"
        );
        assert!(place.line > 1, "{message}");
    };
    not_yaml(
        "  debounce: 200ms",
        "\tdebounce: 200ms",
        "a tab: indent with spaces",
    );
    not_yaml("trim: [nul, space]", "trim: [nul, space", "");
    not_yaml("id: forge-press-gw1", "id: \"forge-press-gw1", "quote");
    not_yaml("  debounce: 200ms", " debounce: 200ms", "");
    not_yaml(
        "unit: bar",
        "unit: @bar",
        "cannot begin a value: put the value in quotes",
    );
    not_yaml(
        "when: \"bit(status, 1)\"",
        "when: \"bit\\(status, 1)\"",
        "`\\` in double quotes",
    );
}

#[test]
fn a_file_with_windows_line_ends_and_a_byte_order_mark_is_good() {
    let text = format!("\u{feff}{}", super::PRESS.replace('\n', "\r\n"));
    let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        loaded.plant.digest,
        load(super::PRESS).unwrap().plant.digest
    );
}

#[test]
fn numbers_may_be_written_in_hexadecimal() {
    let loaded = load(&with("holding: 10,", "holding: 0x0A,")).unwrap();
    assert_eq!(
        loaded.plant.digest,
        load(super::PRESS).unwrap().plant.digest
    );
}
