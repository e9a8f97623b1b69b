//! `lines:`: the wire to a scanner or gauge, where a telegram begins and ends, what its lines look like, how it is asked.
//!
//! Which part of a line a tag is stands in `line_field`, what is allowed and probably not meant in `line_warning`.

use super::join;
use super::serial::{self, Usual, Wire, Written};
use crate::settings::plant::{FrameEnd, Framing, Lines, LinesPoll, LinesWire, Plant, Protocol};
use crate::settings::plant::{Modbus, ModbusWire, SerialPort};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, Encoding, Parity};
use crate::settings::units::Period;
use std::time::Duration;

/// Period of `poll` when left out.
pub(in crate::settings) const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for an answer to `poll` when left out.
pub(in crate::settings) const TIMEOUT: Duration = Duration::from_millis(500);
/// Shortest period of `poll` and shortest wait for an answer.
const SHORTEST: Duration = Duration::from_millis(10);
/// Pauses that end a telegram: below a millisecond is the jitter of any box, above is no pause but a wait.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(2);
/// Characters that fit into the shortest pause: one that is late by its own length is no pause yet.
const PAUSE_CHARACTERS: u32 = 2;
/// Longest mark and longest request in bytes.
const MAX_MARK_BYTES: usize = 64;
/// What scanners are delivered with.
const USUAL: Usual = Usual {
    baud: 9_600,
    parity: Parity::None,
    stop_bits: |_| 1,
};

/// How a device is reached and how its telegrams look; `None` when that cannot be said.
pub(super) fn check(shape: &shape::Lines, path: &str, report: &mut Report) -> Option<Lines> {
    let framing = framing(shape, path, report);
    sizes(shape, &framing, path, report);
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
        Wire::Port(port) => {
            pause(shape, &port, path, report);
            LinesWire::Serial(port)
        }
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
    let mut marked = |key: &str, mark: &Option<String>| {
        let text = mark.as_deref().unwrap_or_default();
        bytes(text, shape.encoding, &join(path, key), report)
    };
    let start = marked("start", &shape.start);
    let end = match (&shape.end, shape.length, shape.idle) {
        (Some(_), ..) => FrameEnd::Mark(marked("end", &shape.end)),
        (None, Some(length), _) => FrameEnd::Length(usize::from(length)),
        (None, None, Some(idle)) => FrameEnd::Idle(idle.get()),
        (None, None, None) => FrameEnd::AnyNewline,
    };
    Framing { start, end }
}

/// The bytes that a text is on the wire.
fn bytes(text: &str, encoding: Encoding, path: &str, report: &mut Report) -> Vec<u8> {
    let bytes = match encoding {
        Encoding::Utf8 => text.as_bytes().to_vec(),
        Encoding::Latin1 => {
            let found: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
            found.unwrap_or_else(|_| {
                let message = "with `encoding: latin1` there are the characters up to \\xff only";
                report.add(path, message);
                Vec::new()
            })
        }
    };
    if bytes.len() > MAX_MARK_BYTES {
        let found = bytes.len();
        report.add(
            path,
            format!("{found} bytes: write at most {MAX_MARK_BYTES}"),
        );
    }
    bytes
}

/// Marks, length and longest line against one another.
fn sizes(shape: &shape::Lines, framing: &Framing, path: &str, report: &mut Report) {
    let longest = usize::from(shape.max_length);
    if let FrameEnd::Length(length) = framing.end {
        let at = join(path, "length");
        let start = framing.start.len();
        if length <= start {
            let message = format!(
                "{length} bytes are the start mark alone: `length` counts the whole telegram, its {start} bytes of `start` included"
            );
            report.add(at, message);
        } else if length > longest {
            let message = format!("longer than `max_length`, which is {longest}: make that longer");
            report.add(at, message);
        }
    }
    if let FrameEnd::Idle(idle) = framing.end
        && !PAUSES.contains(&idle)
    {
        let at = join(path, "idle");
        let found = report.written(&at);
        report.add(at, format!("{found} is out of range: a pause is 1ms to 2s"));
    }
    for (key, mark) in [("start", &framing.start), ("end", &end_mark(framing))] {
        if mark.len() > longest {
            let message = format!(
                "longer than the longest line: `max_length` is {longest} and the mark {}",
                mark.len()
            );
            report.add(join(path, key), message);
        }
    }
}

fn end_mark(framing: &Framing) -> Vec<u8> {
    match &framing.end {
        FrameEnd::Mark(mark) => mark.clone(),
        FrameEnd::AnyNewline | FrameEnd::Length(_) | FrameEnd::Idle(_) => Vec::new(),
    }
}

/// A pause must be longer than characters take that follow one another.
fn pause(shape: &shape::Lines, port: &SerialPort, path: &str, report: &mut Report) {
    let Some(idle) = shape.idle else { return };
    // A start bit, a parity bit where there is one, data and stop bits: 12 at most.
    let characters = Duration::from_secs(1) * 12 * PAUSE_CHARACTERS / port.baud.max(1);
    if idle.get() < characters {
        let at = join(path, "idle");
        let least = characters.as_millis() + 1;
        let message = format!(
            "{} is no pause at {} bit/s, where a character takes half as long: write at least {least}ms",
            report.written(&at),
            port.baud
        );
        report.add(at, message);
    }
}

fn pattern(shape: &shape::Lines, path: &str, report: &mut Report) -> Option<String> {
    let pattern = shape.pattern.as_ref()?;
    let at = join(path, "pattern");
    match regex::Regex::new(pattern) {
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim().to_owned();
            report.add(at, format!("this is no regular expression: {why}"));
            None
        }
        Ok(compiled) if compiled.capture_names().flatten().next().is_none() => {
            let message = "no named group in it, so no tag gets anything of it: write such as (?<weight>[0-9.]+), or leave `pattern` out and take `line: text`";
            report.add(at, message);
            None
        }
        Ok(_) => Some(pattern.clone()),
    }
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
    let every = shape.every.map_or(EVERY, Period::get);
    let timeout = shape.timeout.map_or(TIMEOUT, Period::get);
    for (key, length) in [("every", every), ("timeout", timeout)] {
        if length < SHORTEST {
            let at = join(path, key);
            let found = report.written(&at);
            report.add(at, format!("{found} is too short: write at least 10ms"));
        }
    }
    if timeout > every {
        // Shown at the one that stands in the file.
        let is_written = report.place(&join(path, "timeout")) != report.place(path);
        let key = if is_written { "timeout" } else { "every" };
        let message = format!(
            "the next request is due every {}, before an answer is given up after {}: write a `timeout` of at most `every`",
            String::from(Period::rounded(every)),
            String::from(Period::rounded(timeout))
        );
        report.add(join(path, key), message);
    }
    if shape.idle.is_some_and(|idle| idle.get() >= timeout) {
        let message =
            "the pause that ends the answer is as long as the wait for it: make `timeout` longer";
        report.add(join(path, "idle"), message);
    }
    Some(LinesPoll {
        request: bytes(request, shape.encoding, &join(path, "poll"), report),
        every,
        timeout,
    })
}

/// A serial port has one reader: devices of a bus share it in `modbus_rtu`, nobody else does.
pub(super) fn shared_ports(plant: &Plant, report: &mut Report) {
    let ports = plant.devices.iter().map(|device| {
        let port = match &device.protocol {
            Protocol::Lines(Lines {
                wire: LinesWire::Serial(port),
                ..
            }) => Some((port, true)),
            Protocol::Modbus(Modbus {
                wire: ModbusWire::Rtu(port),
                ..
            }) => Some((port, false)),
            _ => None,
        };
        (device, port)
    });
    let ports: Vec<_> = ports
        .filter_map(|(device, port)| Some((device, port?)))
        .collect();
    for (at, (device, (port, is_lines))) in ports.iter().enumerate() {
        let taken = ports.iter().take(at).find(|(_, (other, others_lines))| {
            other.path == port.path && (*is_lines || *others_lines)
        });
        let Some((other, _)) = taken else { continue };
        let Some(machine) = plant.machines.get(device.machine) else {
            continue;
        };
        let name = device.name.strip_prefix(&format!("{}.", machine.name));
        let path = join(
            &join(&machine.path, "devices"),
            name.unwrap_or(&device.name),
        );
        let message = format!(
            "{} is the port of `{}` already: one port has one device that sends lines",
            shown(&port.path.to_string_lossy()),
            other.name
        );
        report.add(path, message);
    }
}
