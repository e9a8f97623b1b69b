//! `responses:` of an HTTP uplink: pointers, regular expressions, entries that an earlier one hides.

use super::join;
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Response, Said, Then, Where};

/// Most entries.
const MAX_RESPONSES: usize = 64;
/// Longest pointer in bytes.
const MAX_POINTER_BYTES: usize = 256;
/// Most memory that a regular expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 256 << 10;

/// Checks all entries.
pub(super) fn check(responses: &[Response], path: &str, report: &mut Report) {
    if responses.len() > MAX_RESPONSES {
        report.add(path, format!("more than {MAX_RESPONSES} entries"));
    }
    for (at, response) in responses.iter().enumerate() {
        let here = join(path, &at.to_string());
        if let Some(within) = &response.within {
            condition(within, &join(&here, "where"), report);
        }
        words(response, &here, report);
        let earlier = responses.iter().take(at);
        if let Some(number) = earlier.clone().position(|earlier| hides(earlier, response)) {
            let message = format!(
                "entry {} is never reached: entry {} comes before it and matches all of its answers",
                at + 1,
                number + 1
            );
            report.add(&here, message);
        }
    }
}

/// Whether the first of two entries matches all that the second does.
fn hides(first: &Response, second: &Response) -> bool {
    let same = || match (&first.within, &second.within) {
        (None, _) => true,
        (Some(first), Some(second)) => {
            first.pointer == second.pointer
                && first.equals == second.equals
                && first.exists == second.exists
                && first.matches == second.matches
        }
        (Some(_), None) => false,
    };
    first.status.covers(second.status) && same()
}

fn condition(within: &Where, path: &str, report: &mut Report) {
    pointer(&within.pointer, &join(path, "pointer"), report);
    let written = [
        within.equals.is_some(),
        within.exists.is_some(),
        within.matches.is_some(),
    ];
    if written.iter().filter(|is_there| **is_there).count() != 1 {
        report.add(
            path,
            "what should stand there? Write one of `equals: VALUE`, `exists: true` and `matches: \"REGEX\"`",
        );
    }
    let Some(matches) = &within.matches else {
        return;
    };
    let compiled = regex::RegexBuilder::new(matches)
        .size_limit(MAX_REGEX_BYTES)
        .build();
    if let Err(error) = compiled {
        let why = error.to_string();
        let why = why
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let message = format!("{} is not a regular expression: {why}", shown(matches));
        report.add(join(path, "matches"), message);
    }
}

fn words(response: &Response, path: &str, report: &mut Report) {
    for (key, said) in [("code", &response.code), ("detail", &response.detail)] {
        let at = join(path, key);
        match said {
            Some(Said::Pointer(found)) => pointer(found, &join(&at, "pointer"), report),
            Some(Said::Value(found)) if found.is_empty() => {
                report.add(
                    join(&at, "value"),
                    format!("the {key} is empty: take it away"),
                );
            }
            Some(Said::Value(_)) | None => {}
        }
        if said.is_some() && response.then == Then::Accepted {
            report.add(&at, format!("an accepted event has no {key}: take it away"));
        }
    }
    if response.class.is_some() && response.then != Then::Rejected {
        report.add(
            join(path, "class"),
            "only rejected events have a class: take it away, or write `then: rejected`",
        );
    }
}

/// RFC 6901: empty, or names behind slashes; `~0` is a tilde in a name, `~1` a slash.
fn pointer(found: &str, path: &str, report: &mut Report) {
    let tilde = |part: &str| part.starts_with(['0', '1']);
    let bad = if !found.is_empty() && !found.starts_with('/') {
        Some("it begins with a slash, such as /error/code")
    } else if !found.split('~').skip(1).all(tilde) {
        Some("`~0` is a tilde in a name, `~1` a slash")
    } else if found.len() > MAX_POINTER_BYTES || found.contains(char::is_control) {
        Some("it has at most 256 bytes and no control characters")
    } else {
        None
    };
    if let Some(why) = bad {
        report.add(
            path,
            format!("{} is not a JSON pointer: {why}", shown(found)),
        );
    }
}
