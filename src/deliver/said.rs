//! What a destination said about an event, word for word, for people: a copy that goes with the verdict into the file of a parked
//! event. Bounded, and fit for a terminal. Pure.

use crate::buffer::bounded_copy;
use serde_json::Value;
use std::fmt::Write;

/// A copy of an answer in JSON: JSON again, unless it was longer than is kept.
pub(super) fn json(answer: &Value) -> String {
    text(&answer.to_string())
}

/// A copy of an answer in another language.
pub(super) fn text(answer: &str) -> String {
    let mut copy = String::with_capacity(answer.len());
    for letter in answer.chars() {
        if letter.is_control() && !matches!(letter, '\n' | '\t') {
            // As JSON writes it. A String takes everything.
            write!(copy, "\\u{:04x}", u32::from(letter)).ok();
        } else {
            copy.push(letter);
        }
    }
    bounded_copy(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::MAX_SAID;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_no_terminal_should_see_is_written_out() {
        let copy = json(&json!({ "detail": "a\u{1b}[2J\u{9b}ü\u{7f}\n" }));
        assert_eq!(copy, r#"{"detail":"a\u001b[2J\u009bü\u007f\n"}"#);
        assert_eq!(text("<a>\r\n\t</a>"), "<a>\\u000d\n\t</a>");
    }

    proptest! {
        #[test]
        fn a_copy_is_bounded_and_json_as_long_as_it_is_whole(detail in "\\PC{0,40}|[\u{0}-\u{a0}]{0,40}", times in 1usize..400) {
            let answer = json!({ "detail": detail.repeat(times) });
            let copy = json(&answer);
            prop_assert!(copy.len() <= MAX_SAID);
            prop_assert!(!copy.chars().any(char::is_control));
            match serde_json::from_str::<Value>(&copy) {
                Ok(again) => prop_assert_eq!(again, answer),
                Err(_) => prop_assert!(copy.ends_with('…')),
            }
        }
    }
}
