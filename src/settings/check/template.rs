//! The template of MQTT topics: its variables, and what may not stand in a topic that is published to.

use crate::settings::problem::{Problem, nearest, shown};

/// Variables of a topic template.
const VARIABLES: [&str; 8] = [
    "enterprise",
    "site",
    "area",
    "line",
    "cell",
    "equipment",
    "gateway",
    "type",
];
/// Longest template in bytes.
const MAX_BYTES: usize = 1024;

/// What is wrong with the template of a topic that belongs to the gateway and not to an event.
pub(super) fn check_fixed(template: &str, path: &str) -> Option<Problem> {
    let varies = ["equipment", "type"]
        .into_iter()
        .find(|name| template.contains(&format!("{{{name}}}")));
    if let Some(name) = varies {
        let message = format!(
            "`{{{name}}}` differs from event to event, and this topic is the gateway's: {{enterprise}}, {{site}}, {{area}}, {{line}}, {{cell}}, {{gateway}}"
        );
        return Some(Problem::new(path, message));
    }
    check(template, path)
}

/// What is wrong with a topic template.
pub(super) fn check(template: &str, path: &str) -> Option<Problem> {
    let wrong = |message: String| Some(Problem::new(path, message));
    if template.is_empty() || template.len() > MAX_BYTES {
        return wrong(format!(
            "a topic has 1 to {MAX_BYTES} bytes; leave `topic` out for the usual one"
        ));
    }
    if template.contains(['+', '#']) {
        return wrong(format!(
            "{} has a wildcard: `+` and `#` are for those who subscribe, events are published to one topic",
            shown(template)
        ));
    }
    if template.starts_with('$') || template.contains(char::is_control) {
        return wrong(format!(
            "{} cannot be a topic: no `$` at its beginning, no control characters",
            shown(template)
        ));
    }
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (_, from) = rest.split_at_checked(at)?;
        let Some((name, after)) = from
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
        else {
            return wrong(format!(
                "{} has a brace without its partner: variables are written {{site}}",
                shown(template)
            ));
        };
        if !VARIABLES.contains(&name) {
            let known = VARIABLES.map(|name| format!("{{{name}}}")).join(", ");
            return Some(Problem {
                suggestion: nearest(name, VARIABLES).map(|name| format!("{{{name}}}")),
                ..Problem::new(
                    path,
                    format!(
                        "{} is not a variable of topics: {known}",
                        shown(&format!("{{{name}}}"))
                    ),
                )
            });
        }
        rest = after;
    }
    None
}
