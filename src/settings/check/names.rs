//! How machines, devices, operations, tags and the like may be called.

use crate::settings::problem::shown;
use crate::settings::report::Report;

/// Longest name in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Words that CEL keeps for itself.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Words that mean something in every condition.
const MEANT: [&str; 6] = ["state", "mode", "bit", "mask", "changed", "delta"];

/// A name that ends up in topics, subjects and file names: letters, digits, `-`, `_`, `.`.
pub(super) fn name(what: &str, name: &str, path: &str, report: &mut Report) {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() {
        report.add(
            path,
            format!("an empty name cannot be that of {what}: write one"),
        );
    } else if name.len() > MAX_NAME_BYTES || !name.chars().all(good) {
        let message = format!(
            "{} cannot be the name of {what}: letters a to z, digits, `-`, `_` and `.`, at most {MAX_NAME_BYTES}",
            shown(name)
        );
        report.add(path, message);
    } else if name.chars().all(|letter| letter == '.') {
        report.add(path, format!("{} is no name for {what}", shown(name)));
    }
}

/// A tag's name is a variable in conditions.
pub(super) fn tag(name: &str, path: &str, report: &mut Report) {
    let letters = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if !letters || !starts || name.len() > MAX_NAME_BYTES {
        let message = format!(
            "{} cannot be the name of a tag: conditions use it, so letters a to z, digits and `_`, not a digit first, at most {MAX_NAME_BYTES}",
            shown(name)
        );
        report.add(path, message);
    } else if RESERVED.contains(&name) {
        report.add(
            path,
            format!("`{name}` is a word of the condition language: call the tag otherwise"),
        );
    } else if MEANT.contains(&name) {
        let message = format!(
            "`{name}` already means something in every condition: call the tag otherwise, such as `{name}_1`"
        );
        report.add(path, message);
    }
}
