//! Which part of a line a tag is: all of it, a group of the pattern, or an element of a GS1 symbol.

use super::join;
use crate::model::{ValueKind, gs1};
use crate::settings::plant::LineField;
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, LinePart, TagType};

/// Which part of a line a tag is; `None` when it cannot be said.
pub(super) fn check(
    tag: &shape::Tag,
    lines: &shape::Lines,
    path: &str,
    report: &mut Report,
) -> Option<LineField> {
    let field = match (tag.line, &tag.group, &tag.gs1) {
        (Some(part), None, None) => Some(whole(part, lines, path, report)),
        (None, Some(name), None) => {
            group(name, lines, path, report);
            let kind = tag.kind.unwrap_or(TagType::Text);
            numbers_of_registers(kind, path, report);
            let name = name.clone();
            Some(LineField::Group { name, kind })
        }
        (None, None, Some(identifier)) => {
            gs1_identifier(identifier, path, report);
            Some(LineField::Gs1(identifier.clone()))
        }
        (None, None, None) => {
            report.add(path, "which part of a line? Write one of `line: text`, `line: number`, `group:` and `gs1:`");
            return None;
        }
        _ => {
            report.add(
                path,
                "`line`, `group` and `gs1` stand here together: a tag is one part of a line",
            );
            return None;
        }
    };
    if tag.kind.is_some() && tag.group.is_none() {
        let message = "`type` goes with `group:` only: `line: number` is a number, `line: text` and `gs1:` say themselves what they are";
        report.add(join(path, "type"), message);
    }
    field
}

fn whole(part: LinePart, lines: &shape::Lines, path: &str, report: &mut Report) -> LineField {
    match part {
        LinePart::Text => LineField::Text,
        LinePart::Number => LineField::Number,
        LinePart::Symbology => {
            if !lines.aim {
                let message =
                    "the scanner must be set to send it, and `lines:` must say `aim: true`";
                report.add(join(path, "line"), message);
            }
            LineField::Symbology
        }
    }
}

fn group(name: &str, lines: &shape::Lines, path: &str, report: &mut Report) {
    let at = join(path, "group");
    let Some(pattern) = lines.pattern.as_deref() else {
        let message =
            format!("a group of what? `lines:` needs a `pattern:` with (?<{name}>...) in it");
        report.add(at, message);
        return;
    };
    // A pattern that is none has been told already.
    let Ok(pattern) = regex::Regex::new(pattern) else {
        return;
    };
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    if !names.is_empty() && !names.contains(&name) {
        let message = format!(
            "{} is no named group of `pattern:`, such as (?<{name}>...)",
            shown(name)
        );
        report.unknown(&at, name, message, names.into_iter());
    }
}

/// Types that say how a number lies in registers say nothing of how it is written.
fn numbers_of_registers(kind: TagType, path: &str, report: &mut Report) {
    let instead = match kind {
        TagType::Bit => "bool",
        TagType::Bcd16 => "u16",
        TagType::Bcd32 => "u32",
        _ => return,
    };
    let at = join(path, "type");
    let found = report.written(&at);
    report.add(
        at,
        format!("{found} is a type of registers: write `type: {instead}`"),
    );
}

fn gs1_identifier(identifier: &str, path: &str, report: &mut Report) {
    if gs1::is_identifier(identifier) || (identifier.len() == 3 && gs1::has_decimals(identifier)) {
        return;
    }
    let message = format!(
        "{} is no GS1 application identifier: write such as \"01\" (GTIN), \"21\" (serial number), \"10\" (batch) or \"310\" (net weight in kg, whatever its decimals)",
        shown(identifier)
    );
    report.add(join(path, "gs1"), message);
}

/// What the raw values of a tag are.
pub(super) fn raw_kind(tag: &shape::Tag) -> ValueKind {
    if let Some(identifier) = &tag.gs1 {
        return if gs1::has_decimals(identifier) {
            ValueKind::Float
        } else {
            ValueKind::Text
        };
    }
    match (tag.line, tag.kind) {
        (Some(LinePart::Number), _) | (None, Some(TagType::F32 | TagType::F64)) => ValueKind::Float,
        (None, Some(TagType::Bit | TagType::Bool)) => ValueKind::Bool,
        (None, Some(kind)) if kind != TagType::Text => ValueKind::Int,
        _ => ValueKind::Text,
    }
}
