//! What is allowed and probably not meant of lines and serial ports, and whether the port is there. Called by `warning`.

use super::join;
use crate::settings::problem::Problem;
use crate::settings::shape::{Device, Encoding, Lines};
use std::path::Path;

/// What is worth a look.
pub(super) fn warnings(device: &Device, path: &str, found: &mut Vec<Problem>) {
    if let Some(rtu) = &device.modbus_rtu
        && let Some(port) = &rtu.port
    {
        serial_port(port, &join(&join(path, "modbus_rtu"), "port"), found);
    }
    let Some(lines) = &device.lines else { return };
    let gs1 = device.tags.iter().find(|(_, tag)| tag.gs1.is_some());
    let path_of_lines = join(path, "lines");
    if let Some(port) = &lines.serial {
        serial_port(port, &join(&path_of_lines, "serial"), found);
    }
    marks(lines, &path_of_lines, found);
    pattern(lines, &path_of_lines, found);
    if let (Some((name, _)), false) = (gs1, lines.aim) {
        let message = "without `aim: true` every code is taken for a GS1 symbol, and an ordinary one makes this tag bad: set the scanner to send AIM identifiers";
        found.push(Problem::new(join(&join(path, "tags"), name), message));
    }
}

/// `ttyUSB0` is whichever adapter was found first.
fn serial_port(port: &str, path: &str, found: &mut Vec<Problem>) {
    let moves = ["/dev/ttyUSB", "/dev/ttyACM"];
    if moves.iter().any(|prefix| port.starts_with(prefix)) {
        let message = "another adapter gets this name when they are plugged otherwise: take the one of /dev/serial/by-path";
        found.push(Problem::new(path, message));
    }
    if !Path::new(port).exists() {
        found.push(Problem::new(path, format!("{port} is not on this machine")));
    }
}

fn marks(lines: &Lines, path: &str, found: &mut Vec<Problem>) {
    let texts = [
        ("start", &lines.start),
        ("end", &lines.end),
        ("poll", &lines.poll),
    ];
    for (key, text) in texts {
        let Some(text) = text else { continue };
        if let Some(escape) = escape(text) {
            let message = format!(
                "this is a backslash and `{escape}`, as in single quotes and without any: for the character write double quotes, such as \"\\r\\n\""
            );
            found.push(Problem::new(join(path, key), message));
        }
        let twofold = |one: char| ('\u{80}'..='\u{ff}').contains(&one);
        if lines.encoding == Encoding::Utf8 && text.contains(twofold) {
            let message = "a character above \\x7f is two bytes in UTF-8: for one byte write `encoding: latin1`";
            found.push(Problem::new(join(path, key), message));
        }
    }
}

/// What stands behind a backslash that was meant as an escape.
fn escape(text: &str) -> Option<char> {
    let (_, after) = text.split_once('\\')?;
    after.chars().next().filter(|one| "rnt0xue".contains(*one))
}

fn pattern(lines: &Lines, path: &str, found: &mut Vec<Problem>) {
    let Some(pattern) = &lines.pattern else {
        return;
    };
    if !(pattern.starts_with('^') && pattern.ends_with('$')) {
        let message = "without ^ before and $ behind it a part of a line is enough: what is garbled around it goes unnoticed";
        found.push(Problem::new(join(path, "pattern"), message));
    }
}
