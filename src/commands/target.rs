//! The address of a device on the command line: `modbus-tcp://10.0.0.5/1`, `serial:///dev/ttyUSB0?baud=9600`. Pure.
//!
//! What is wrong is answered with what to write. The settings that a serial port needs stand behind the `?`; those that
//! are left out are the ones that the settings file would have.

use crate::settings::shape::Parity;
use crate::settings::{LinesWire, ModbusWire, SerialPort};
use std::path::PathBuf;

/// The usual port of Modbus TCP.
const MODBUS_PORT: u16 = 502;
/// The usual port of OPC UA.
const OPC_UA_PORT: u16 = 4840;
/// Baud rates that serial ports take.
const BAUDS: std::ops::RangeInclusive<u32> = 300..=4_000_000;

/// Each kind of address once, for messages.
const EXAMPLES: &str = "modbus-tcp://10.0.0.5/1, modbus-rtu:///dev/ttyS1?baud=19200&parity=even&unit=12, \
                        opc.tcp://10.0.0.5:4840, serial:///dev/ttyUSB0?baud=9600 or tcp://10.0.0.5:9004";

/// What a person wants to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A Modbus wire, and the unit on it where one is named.
    Modbus {
        /// What it is reached over.
        wire: ModbusWire,
        /// Unit identifier.
        unit: Option<u8>,
    },
    /// An OPC UA server.
    OpcUa {
        /// `opc.tcp://host:port/path`
        endpoint: String,
    },
    /// A device that sends lines.
    Lines(LinesWire),
}

/// Reads an address.
///
/// # Errors
/// What to write instead.
pub(super) fn parse(text: &str) -> Result<Target, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("this is not an address: write {EXAMPLES}"));
    };
    if scheme == "opc.tcp" {
        return opc_ua(text, rest);
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut asked = Query::read(query)?;
    let target = match scheme {
        "modbus-tcp" => modbus_tcp(place, &mut asked)?,
        "modbus-rtu" => modbus_rtu(place, &mut asked)?,
        "serial" => {
            let defaults = Usual {
                baud: 9_600,
                parity: Parity::None,
                two_without_parity: false,
            };
            Target::Lines(LinesWire::Serial(serial_port(
                place, &defaults, &mut asked,
            )?))
        }
        "tcp" => {
            let (host, port) = host_and_port(place, None)?;
            Target::Lines(LinesWire::Tcp { host, port })
        }
        other => return Err(format!("`{other}://` is not known: write {EXAMPLES}")),
    };
    asked.nothing_left(scheme)?;
    Ok(target)
}

/// `host[:port]/unit`
fn modbus_tcp(place: &str, asked: &mut Query<'_>) -> Result<Target, String> {
    let (server, unit) = with_unit(place, asked)?;
    let (host, port) = host_and_port(server, Some(MODBUS_PORT))?;
    Ok(Target::Modbus {
        wire: ModbusWire::Tcp { host, port },
        unit,
    })
}

/// `/dev/ttyS1?unit=12`, or `host:port/unit` of a converter.
fn modbus_rtu(place: &str, asked: &mut Query<'_>) -> Result<Target, String> {
    if place.starts_with('/') {
        let unit = asked.take("unit").map(self::unit).transpose()?;
        let defaults = Usual {
            baud: 19_200,
            parity: Parity::Even,
            two_without_parity: true,
        };
        let wire = ModbusWire::Rtu(serial_port(place, &defaults, asked)?);
        return Ok(Target::Modbus { wire, unit });
    }
    let (server, unit) = with_unit(place, asked)?;
    let (host, port) = host_and_port(server, None)?;
    Ok(Target::Modbus {
        wire: ModbusWire::RtuOverTcp { host, port },
        unit,
    })
}

fn opc_ua(text: &str, rest: &str) -> Result<Target, String> {
    let server = rest.split_once('/').map_or(rest, |(server, _)| server);
    host_and_port(server, Some(OPC_UA_PORT))?;
    Ok(Target::OpcUa {
        endpoint: text.to_owned(),
    })
}

/// The server, and the unit behind its slash or in the query.
fn with_unit<'a>(place: &'a str, asked: &mut Query<'_>) -> Result<(&'a str, Option<u8>), String> {
    let (server, path) = place.split_once('/').unwrap_or((place, ""));
    let in_path = Some(path.trim_end_matches('/')).filter(|path| !path.is_empty());
    match (in_path, asked.take("unit")) {
        (Some(_), Some(_)) => {
            Err("the unit stands in two places: write it behind the slash alone".into())
        }
        (one, other) => Ok((server, one.or(other).map(unit).transpose()?)),
    }
}

fn unit(text: &str) -> Result<u8, String> {
    let number = text.parse::<u8>();
    number.map_err(|_| {
        format!(
            "`{text}` is no unit: write a number from 0 to 255, such as modbus-tcp://10.0.0.5/1"
        )
    })
}

/// `host[:port]`; an IPv6 address stands in brackets.
fn host_and_port(server: &str, usual: Option<u16>) -> Result<(String, u16), String> {
    let bracketed = server
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match server.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let many_colons = bracketed.is_none() && host.contains(':');
    if host.is_empty() || many_colons || host.contains(['/', '@', ' ', '[', ']']) {
        return Err(format!(
            "`{server}` names no host: write a name or an address, an IPv6 address in brackets"
        ));
    }
    let port = match (port, usual) {
        (Some(text), _) => text
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("`{text}` is no port: write a number from 1 to 65535"))?,
        (None, Some(usual)) => usual,
        (None, None) => {
            return Err(format!(
                "the port is missing: write {host}:PORT, as the device's manual says"
            ));
        }
    };
    Ok((host.to_owned(), port))
}

/// What a serial port is when nothing is said.
struct Usual {
    baud: u32,
    parity: Parity,
    /// Modbus keeps eleven bits to a character.
    two_without_parity: bool,
}

fn serial_port(path: &str, usual: &Usual, asked: &mut Query<'_>) -> Result<SerialPort, String> {
    if !path.starts_with('/') || path.len() < 2 {
        return Err(format!(
            "`{path}` is no serial port: write three slashes and its path, such as serial:///dev/ttyUSB0"
        ));
    }
    let parity = match asked.take("parity") {
        None => usual.parity,
        Some("none") => Parity::None,
        Some("even") => Parity::Even,
        Some("odd") => Parity::Odd,
        Some(other) => return Err(format!("parity `{other}`: write none, even or odd")),
    };
    let usual_stop = if usual.two_without_parity && parity == Parity::None {
        2
    } else {
        1
    };
    Ok(SerialPort {
        path: PathBuf::from(path),
        baud: asked.number("baud", usual.baud, BAUDS)?,
        data_bits: asked.number("data_bits", 8, 7..=8)?,
        parity,
        stop_bits: asked.number("stop_bits", usual_stop, 1..=2)?,
        rs485: None,
    })
}

/// What stands behind the `?`.
struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    fn read(text: &'a str) -> Result<Query<'a>, String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` says nothing: write `{part}=VALUE`"))?;
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(format!("`{key}` stands there twice"));
            }
            pairs.push((key, value));
        }
        Ok(Query(pairs))
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.remove(at).1)
    }

    fn number<T>(
        &mut self,
        key: &str,
        usual: T,
        allowed: std::ops::RangeInclusive<T>,
    ) -> Result<T, String>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.take(key) else {
            return Ok(usual);
        };
        let number = text.parse().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| {
            format!(
                "{key} `{text}`: write a number from {} to {}",
                allowed.start(),
                allowed.end()
            )
        })
    }

    fn nothing_left(&self, scheme: &str) -> Result<(), String> {
        let Some((key, _)) = self.0.first() else {
            return Ok(());
        };
        let known = match scheme {
            "modbus-tcp" => "unit",
            "modbus-rtu" => "unit, and of a serial port baud, parity, data_bits, stop_bits",
            "serial" => "baud, parity, data_bits, stop_bits",
            _ => "nothing",
        };
        Err(format!(
            "`{key}` is not known here; {scheme}:// takes {known}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, unit: Option<u8>) -> Target {
        let wire = ModbusWire::Tcp {
            host: host.into(),
            port,
        };
        Target::Modbus { wire, unit }
    }

    #[test]
    fn each_kind_of_address_is_read() {
        assert_eq!(
            parse("modbus-tcp://10.0.0.5/7"),
            Ok(tcp("10.0.0.5", 502, Some(7)))
        );
        assert_eq!(parse("modbus-tcp://plc:5020"), Ok(tcp("plc", 5020, None)));
        assert_eq!(
            parse("modbus-tcp://[fe80::1]:5020/1"),
            Ok(tcp("fe80::1", 5020, Some(1)))
        );
        assert_eq!(parse("modbus-tcp://[::1]/1/"), Ok(tcp("::1", 502, Some(1))));
        let converter = ModbusWire::RtuOverTcp {
            host: "moxa".into(),
            port: 4001,
        };
        let unit = Some(12);
        for text in [
            "modbus-rtu://moxa:4001/12",
            "modbus-rtu://moxa:4001?unit=12",
        ] {
            assert_eq!(
                parse(text),
                Ok(Target::Modbus {
                    wire: converter.clone(),
                    unit
                })
            );
        }
        let endpoint = "opc.tcp://server:4840/path?x".to_owned();
        assert_eq!(parse(&endpoint), Ok(Target::OpcUa { endpoint }));
        let lines = LinesWire::Tcp {
            host: "camera".into(),
            port: 9004,
        };
        assert_eq!(parse("tcp://camera:9004"), Ok(Target::Lines(lines)));
    }

    fn port(path: &str, baud: u32, parity: Parity, stop_bits: u8) -> SerialPort {
        SerialPort {
            path: path.into(),
            baud,
            data_bits: 8,
            parity,
            stop_bits,
            rs485: None,
        }
    }

    #[test]
    fn a_serial_port_is_what_its_protocol_has_it_unless_it_is_said() {
        let rtu = |text: &str| match parse(text) {
            Ok(Target::Modbus {
                wire: ModbusWire::Rtu(port),
                unit,
            }) => (port, unit),
            other => panic!("{other:?}"),
        };
        let default = port("/dev/ttyS1", 19_200, Parity::Even, 1);
        assert_eq!(rtu("modbus-rtu:///dev/ttyS1?unit=12"), (default, Some(12)));
        let without = port("/dev/ttyS1", 9_600, Parity::None, 2);
        assert_eq!(
            rtu("modbus-rtu:///dev/ttyS1?baud=9600&parity=none"),
            (without, None)
        );
        let lines = |text: &str| match parse(text) {
            Ok(Target::Lines(LinesWire::Serial(port))) => port,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            lines("serial:///dev/ttyUSB0"),
            port("/dev/ttyUSB0", 9_600, Parity::None, 1)
        );
        let odd = SerialPort {
            data_bits: 7,
            ..port("/dev/ttyUSB0", 115_200, Parity::Odd, 2)
        };
        let text = "serial:///dev/ttyUSB0?baud=115200&parity=odd&data_bits=7&stop_bits=2";
        assert_eq!(lines(text), odd);
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_to_write() {
        for (text, says) in [
            ("10.0.0.5", "this is not an address: write modbus-tcp://"),
            ("http://10.0.0.5", "`http://` is not known"),
            ("modbus-tcp:///1", "names no host"),
            ("modbus-tcp://fe80::1/1", "in brackets"),
            ("modbus-tcp://user@plc/1", "names no host"),
            ("modbus-tcp://plc/256", "`256` is no unit"),
            ("modbus-tcp://plc/x", "from 0 to 255"),
            ("modbus-tcp://plc/1?unit=2", "two places"),
            ("modbus-tcp://plc:0/1", "`0` is no port"),
            ("modbus-tcp://plc:x/1", "from 1 to 65535"),
            ("modbus-tcp://plc/1?baud=9600", "modbus-tcp:// takes unit"),
            (
                "modbus-rtu://moxa/1",
                "the port is missing: write moxa:PORT",
            ),
            ("modbus-rtu:///dev/ttyS1?baud=12", "from 300 to 4000000"),
            ("modbus-rtu:///dev/ttyS1?parity=mark", "none, even or odd"),
            ("modbus-rtu:///dev/ttyS1?baud", "write `baud=VALUE`"),
            ("modbus-rtu:///dev/ttyS1?baud=1200&baud=9600", "twice"),
            ("serial://dev/ttyUSB0", "three slashes"),
            ("serial:///", "three slashes"),
            ("serial:///dev/ttyUSB0?data_bits=9", "from 7 to 8"),
            ("tcp://camera", "the port is missing"),
            ("opc.tcp://", "names no host"),
            ("opc.tcp://server:99999", "is no port"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
