//! `lines:`: the wire to a scanner or gauge, where a telegram ends, and which part of it a tag is.

use super::join;
use super::serial::{self, Usual, Wire, Written};
use crate::model::ValueKind;
use crate::settings::plant::{FrameEnd, Framing, LineField, Lines, LinesPoll, LinesWire};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, LinePart, Parity, TagType};
use std::time::Duration;

/// Period of `poll` when left out.
pub(in crate::settings) const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an answer to `poll` when left out.
pub(in crate::settings) const TIMEOUT: Duration = Duration::from_millis(500);
/// What scanners are delivered with.
const USUAL: Usual = Usual {
    baud: 9_600,
    parity: Parity::None,
    stop_bits: |_| 1,
};

/// How a device is reached and how its telegrams look; `None` when that cannot be said.
pub(super) fn check(shape: &shape::Lines, path: &str, report: &mut Report) -> Option<Lines> {
    let framing = framing(shape, path, report);
    let pattern = pattern(shape, path, report);
    let poll = poll(shape, path, report);
    let written = Written {
        key: "serial",
        port: shape.serial.as_deref(),
        tcp: shape.tcp.as_deref(),
        baud: shape.baud,
        parity: shape.parity,
        data_bits: shape.data_bits,
        stop_bits: shape.stop_bits,
        rs485: shape.rs485,
    };
    let wire = match serial::check(&written, &USUAL, path, report)? {
        Wire::Port(port) => LinesWire::Serial(port),
        Wire::Tcp { host, port } => LinesWire::Tcp { host, port },
    };
    Some(Lines {
        wire,
        framing,
        max_length: usize::from(shape.max_length),
        encoding: shape.encoding,
        aim: shape.aim,
        pattern,
        decimal: shape.decimal,
        poll,
    })
}

fn framing(shape: &shape::Lines, path: &str, report: &mut Report) -> Framing {
    let given = [
        ("end", shape.end.is_some()),
        ("length", shape.length.is_some()),
        ("idle", shape.idle.is_some()),
    ];
    let given: Vec<&str> = given.iter().filter(|one| one.1).map(|one| one.0).collect();
    if given.len() > 1 {
        let message = format!(
            "`{}` stand here together: one of them ends a telegram",
            given.join("` and `")
        );
        report.add(path, message);
    }
    for (key, mark) in [("start", &shape.start), ("end", &shape.end)] {
        if mark.as_ref().is_some_and(String::is_empty) {
            report.add(
                join(path, key),
                format!("an empty mark marks nothing: leave `{key}` out"),
            );
        }
    }
    let end = match (&shape.end, shape.length, shape.idle) {
        (Some(mark), ..) => FrameEnd::Mark(mark.as_bytes().to_vec()),
        (None, Some(length), _) => FrameEnd::Length(usize::from(length)),
        (None, None, Some(idle)) => FrameEnd::Idle(idle.get()),
        (None, None, None) => FrameEnd::AnyNewline,
    };
    Framing {
        start: shape.start.clone().unwrap_or_default().into_bytes(),
        end,
    }
}

fn pattern(shape: &shape::Lines, path: &str, report: &mut Report) -> Option<String> {
    let pattern = shape.pattern.as_ref()?;
    if let Err(error) = regex::Regex::new(pattern) {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim().to_owned();
        report.add(
            join(path, "pattern"),
            format!("this is no regular expression: {why}"),
        );
        return None;
    }
    Some(pattern.clone())
}

fn poll(shape: &shape::Lines, path: &str, report: &mut Report) -> Option<LinesPoll> {
    let Some(request) = &shape.poll else {
        for (key, given) in [
            ("every", shape.every.is_some()),
            ("timeout", shape.timeout.is_some()),
        ] {
            if given {
                let message = format!(
                    "`{key}` goes with `poll`: without it the device speaks when it wants to"
                );
                report.add(join(path, key), message);
            }
        }
        return None;
    };
    if request.is_empty() {
        report.add(
            join(path, "poll"),
            "an empty request asks nothing: leave `poll` out",
        );
    }
    Some(LinesPoll {
        request: request.as_bytes().to_vec(),
        every: shape.every.map_or(EVERY, |every| every.get()),
        timeout: shape.timeout.map_or(TIMEOUT, |timeout| timeout.get()),
    })
}

/// Which part of a line a tag is; `None` when it cannot be said.
pub(super) fn field(
    tag: &shape::Tag,
    lines: &shape::Lines,
    path: &str,
    report: &mut Report,
) -> Option<LineField> {
    match (tag.line, &tag.group, &tag.gs1) {
        (Some(LinePart::Text), None, None) => Some(LineField::Text),
        (Some(LinePart::Number), None, None) => Some(LineField::Number),
        (Some(LinePart::Symbology), None, None) => {
            if !lines.aim {
                let message =
                    "the scanner must be set to send it, and `lines:` must say `aim: true`";
                report.add(join(path, "line"), message);
            }
            Some(LineField::Symbology)
        }
        (None, Some(name), None) => {
            let names = group_names(lines);
            if !names.iter().any(|known| known == name) {
                let message = format!(
                    "{} is no named group of `pattern:`, such as (?<{name}>...)",
                    shown(name)
                );
                report.unknown(
                    &join(path, "group"),
                    name,
                    message,
                    names.iter().map(String::as_str),
                );
            }
            Some(LineField::Group {
                name: name.clone(),
                kind: tag.kind.unwrap_or(TagType::Text),
            })
        }
        (None, None, Some(identifier)) => {
            let digits = identifier.chars().all(|one| one.is_ascii_digit());
            if !digits || !(2..=4).contains(&identifier.len()) {
                let message = format!(
                    "{} is no application identifier: 2 to 4 digits, such as \"21\"",
                    shown(identifier)
                );
                report.add(join(path, "gs1"), message);
            }
            Some(LineField::Gs1(identifier.clone()))
        }
        (None, None, None) => {
            report.add(path, "which part of a line? Write one of `line: text`, `line: number`, `group:` and `gs1:`");
            None
        }
        _ => {
            report.add(
                path,
                "`line`, `group` and `gs1` stand here together: a tag is one part of a line",
            );
            None
        }
    }
}

fn group_names(lines: &shape::Lines) -> Vec<String> {
    let pattern = lines
        .pattern
        .as_deref()
        .and_then(|one| regex::Regex::new(one).ok());
    pattern
        .iter()
        .flat_map(|pattern| pattern.capture_names().flatten())
        .map(str::to_owned)
        .collect()
}

/// What the raw values of a tag are.
pub(super) fn raw_kind(tag: &shape::Tag) -> ValueKind {
    match (tag.line, tag.group.is_some(), tag.kind) {
        (Some(LinePart::Number), ..) => ValueKind::Float,
        (None, true, Some(TagType::F32 | TagType::F64)) => ValueKind::Float,
        (None, true, Some(TagType::Bit | TagType::Bool)) => ValueKind::Bool,
        (None, true, Some(kind)) if kind != TagType::Text => ValueKind::Int,
        _ => ValueKind::Text,
    }
}
