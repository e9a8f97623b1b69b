//! Where a serial device is: a port of the box, or a converter in the network.

use super::join;
use crate::settings::plant::SerialPort;
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Parity, Rs485};
use std::time::Duration;

/// Longest wait around a change of direction (`RS485_MAX_RTS_DELAY` of the kernel).
const LONGEST_DELAY: Duration = Duration::from_millis(100);

/// The keys of a serial port, as they were written.
pub(super) struct Written<'a> {
    /// Name of the key that holds the path: `port` or `serial`.
    pub(super) key: &'static str,
    pub(super) port: Option<&'a str>,
    pub(super) tcp: Option<&'a str>,
    pub(super) baud: Option<u32>,
    pub(super) parity: Option<Parity>,
    pub(super) data_bits: Option<u8>,
    pub(super) stop_bits: Option<u8>,
    pub(super) rs485: Option<Rs485>,
}

/// Where a serial device is.
pub(super) enum Wire {
    Port(SerialPort),
    Tcp { host: String, port: u16 },
}

/// What a port is set to where the settings say nothing.
pub(super) struct Usual {
    pub(super) baud: u32,
    pub(super) parity: Parity,
    pub(super) stop_bits: fn(Parity) -> u8,
}

/// One of a port and a converter; nothing of a port with a converter.
pub(super) fn check(
    written: &Written<'_>,
    usual: &Usual,
    path: &str,
    report: &mut Report,
) -> Option<Wire> {
    let key = written.key;
    match (written.port, written.tcp) {
        (Some(port), None) => {
            let at = join(path, key);
            if !port.starts_with("/dev/") || port.contains(char::is_whitespace) {
                let message = format!(
                    "{} is no port: write its path, best one that stays when adapters are plugged elsewhere, such as /dev/serial/by-path/...",
                    shown(port)
                );
                report.add(at, message);
                return None;
            }
            direction(written.rs485, &join(path, "rs485"), report);
            let parity = written.parity.unwrap_or(usual.parity);
            Some(Wire::Port(SerialPort {
                path: port.into(),
                baud: written.baud.unwrap_or(usual.baud),
                data_bits: written.data_bits.unwrap_or(8),
                parity,
                stop_bits: written.stop_bits.unwrap_or((usual.stop_bits)(parity)),
                rs485: written.rs485,
            }))
        }
        (None, Some(tcp)) => {
            for (key, given) in [
                ("baud", written.baud.is_some()),
                ("parity", written.parity.is_some()),
                ("data_bits", written.data_bits.is_some()),
                ("stop_bits", written.stop_bits.is_some()),
                ("rs485", written.rs485.is_some()),
            ] {
                if given {
                    let message =
                        format!("`{key}` is set at the converter: leave it out with `tcp`");
                    report.add(join(path, key), message);
                }
            }
            let (host, port) = endpoint(tcp, &join(path, "tcp"), report)?;
            Some(Wire::Tcp { host, port })
        }
        (None, None) => {
            report.add(
                path,
                format!("where is it? Write `{key}: /dev/...` for a serial port, or `tcp: \"HOST:PORT\"`"),
            );
            None
        }
        (Some(_), Some(_)) => {
            report.add(
                path,
                format!("`{key}` and `tcp` stand here together: write one of them"),
            );
            None
        }
    }
}

/// The kernel waits with the wire switched, so it takes no long waits.
fn direction(rs485: Option<Rs485>, path: &str, report: &mut Report) {
    let Some(rs485) = rs485 else { return };
    for (key, delay) in [
        ("delay_before", rs485.delay_before),
        ("delay_after", rs485.delay_after),
    ] {
        if delay.get() > LONGEST_DELAY {
            let at = join(path, key);
            let found = report.written(&at);
            report.add(
                at,
                format!("{found} is too long: the kernel waits at most 100ms"),
            );
        }
    }
}

/// `host:port`
fn endpoint(text: &str, path: &str, report: &mut Report) -> Option<(String, u16)> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host, port.parse::<u16>().ok().filter(|port| *port > 0)?))
    });
    let good = |host: &str| {
        !host.is_empty() && !host.contains(|one: char| one.is_whitespace() || "/@".contains(one))
    };
    match parts.filter(|(host, _)| good(host)) {
        Some((host, port)) => Some((host.to_owned(), port)),
        None => {
            let message = format!(
                "{} is not `HOST:PORT`: write such as 192.168.0.11:4001",
                shown(text)
            );
            report.add(path, message);
            None
        }
    }
}
