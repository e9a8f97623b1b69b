//! `modbus_tcp:` and `modbus_rtu:`: the wire to a unit, and how its addresses are meant.

use super::serial::{self, Usual, Wire, Written};
use super::{join, register};
use crate::model::ValueKind;
use crate::settings::plant::{Device, Modbus, ModbusWire, Plant, Protocol, SerialPort};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, Parity, TagType};
use std::time::Duration;

/// Most registers in one request (Modbus Application Protocol 1.1b3, 6.3), and what is asked for when left out.
pub(in crate::settings) const MAX_REGISTERS: u16 = 125;
/// Registers nobody asked for that may be read along, when left out.
pub(in crate::settings) const MAX_GAP: u16 = 16;
/// How long one answer may be waited for.
const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(30);
/// What a Modbus serial line is set to (Modbus over Serial Line 1.02, 2.5.1): 11 bits a character.
const USUAL: Usual = Usual {
    baud: 19_200,
    parity: Parity::Even,
    stop_bits: |parity| if parity == Parity::None { 2 } else { 1 },
};

/// The type of a tag, or what it is when left out.
pub(in crate::settings) fn kind(tag: &shape::Tag) -> TagType {
    let bits = tag.coil.is_some() || tag.discrete.is_some();
    tag.kind
        .unwrap_or(if bits { TagType::Bit } else { TagType::U16 })
}

/// What the raw values of a tag are.
pub(super) fn raw_kind(tag: &shape::Tag) -> ValueKind {
    match kind(tag) {
        TagType::Bit => ValueKind::Bool,
        TagType::Text => ValueKind::Text,
        TagType::F32 | TagType::F64 => ValueKind::Float,
        _ => ValueKind::Int,
    }
}

/// A unit of a Modbus TCP server.
pub(super) fn tcp(
    tcp: &shape::ModbusTcp,
    device: &shape::Device,
    path: &str,
    report: &mut Report,
) -> Modbus {
    check_host(&tcp.host, path, report);
    check_timeout(tcp.timeout.get(), path, report);
    let wire = ModbusWire::Tcp {
        host: tcp.host.clone(),
        port: tcp.port,
    };
    unit(wire, tcp.unit, tcp.timeout.get(), device)
}

/// A unit on a serial line.
pub(super) fn rtu(
    rtu: &shape::ModbusRtu,
    device: &shape::Device,
    path: &str,
    report: &mut Report,
) -> Option<Modbus> {
    check_timeout(rtu.timeout.get(), path, report);
    let written = Written {
        key: "port",
        port: rtu.port.as_deref(),
        tcp: rtu.tcp.as_deref(),
        baud: rtu.baud,
        parity: rtu.parity,
        data_bits: None,
        stop_bits: rtu.stop_bits,
        rs485: rtu.rs485,
    };
    let wire = match serial::check(&written, &USUAL, path, report)? {
        Wire::Port(port) => ModbusWire::Rtu(port),
        Wire::Tcp { host, port } => ModbusWire::RtuOverTcp { host, port },
    };
    Some(unit(wire, rtu.unit, rtu.timeout.get(), device))
}

fn unit(wire: ModbusWire, unit: u8, timeout: Duration, device: &shape::Device) -> Modbus {
    Modbus {
        wire,
        unit,
        timeout,
        max_registers: device.max_registers.unwrap_or(MAX_REGISTERS),
        max_gap: device.max_gap.unwrap_or(MAX_GAP),
    }
}

/// The devices on one port speak alike.
pub(super) fn shared_ports(plant: &Plant, report: &mut Report) {
    let ports: Vec<(&Device, &SerialPort)> = plant
        .devices
        .iter()
        .filter_map(|device| Some((device, port(device)?)))
        .collect();
    for (at, (device, port)) in ports.iter().enumerate() {
        let first = ports
            .iter()
            .take(at)
            .find(|(_, other)| other.path == port.path);
        let Some((first, other)) = first else {
            continue;
        };
        if let Some((key, here, there)) = difference(port, other) {
            let message = format!(
                "`{key}` is {here} here and {there} at `{}`, on the same port {}: all devices on one wire are set alike",
                first.name,
                port.path.display()
            );
            report.add(join(&path_of(device, plant), "modbus_rtu"), message);
        }
    }
}

/// The serial port of a device, if it has one.
pub(super) fn port(device: &Device) -> Option<&SerialPort> {
    match &device.protocol {
        Protocol::Modbus(Modbus {
            wire: ModbusWire::Rtu(port),
            ..
        }) => Some(port),
        _ => None,
    }
}

/// Where a device stands in the file.
pub(super) fn path_of(device: &Device, plant: &Plant) -> String {
    let machine = plant.machines.get(device.machine);
    let (path, name) = machine.map_or(("", device.name.as_str()), |machine| {
        let short = device.name.strip_prefix(&format!("{}.", machine.name));
        (machine.path.as_str(), short.unwrap_or(&device.name))
    });
    join(&join(path, "devices"), name)
}

/// The first key in which two settings of one port differ, and both values.
fn difference(one: &SerialPort, other: &SerialPort) -> Option<(&'static str, String, String)> {
    let word = |parity| match parity {
        Parity::None => "none".to_owned(),
        Parity::Even => "even".to_owned(),
        Parity::Odd => "odd".to_owned(),
    };
    let direction = |port: &SerialPort| {
        let there = if port.rs485.is_some() {
            "set"
        } else {
            "left out"
        };
        there.to_owned()
    };
    if one.baud != other.baud {
        Some(("baud", one.baud.to_string(), other.baud.to_string()))
    } else if one.parity != other.parity {
        Some(("parity", word(one.parity), word(other.parity)))
    } else if one.stop_bits != other.stop_bits {
        let bits = |port: &SerialPort| port.stop_bits.to_string();
        Some(("stop_bits", bits(one), bits(other)))
    } else if one.rs485.is_some() != other.rs485.is_some() {
        Some(("rs485", direction(one), direction(other)))
    } else if one.rs485 != other.rs485 {
        Some(("rs485", "one thing".into(), "another".into()))
    } else {
        None
    }
}

fn check_host(host: &str, path: &str, report: &mut Report) {
    let at = join(path, "host");
    let colons = host.matches(':').count();
    if let Some((bare, port)) = host.rsplit_once(':').filter(|_| colons == 1) {
        let message = format!(
            "{} is not a host: write `host: {bare}` and `port: {port}`",
            shown(host)
        );
        report.add(at, message);
    } else if host.is_empty()
        || host.contains(|letter: char| letter.is_whitespace() || "/@".contains(letter))
    {
        let message = format!(
            "{} is not a host: write a name or an address, such as 192.168.0.10",
            shown(host)
        );
        report.add(at, message);
    }
}

fn check_timeout(timeout: Duration, path: &str, report: &mut Report) {
    if !TIMEOUT.contains(&timeout) {
        let at = join(path, "timeout");
        let found = report.written(&at);
        report.add(
            at,
            format!("{found} is out of range: `timeout` is 10ms to 30s"),
        );
    }
}

/// `addresses` has no default: the first mistake of everybody.
pub(super) fn check_addresses(name: &str, shape: &shape::Device, path: &str, report: &mut Report) {
    if shape.addresses.is_some() || shape.tags.is_empty() {
        return;
    }
    let mut message = format!(
        "how are the addresses of `{name}` meant? Write `addresses: zero_based` if the first register is 0, as on the wire, or `addresses: one_based` if it is 1, as in many manuals"
    );
    if let Some(tag) = shape
        .tags
        .iter()
        .find_map(|(name, tag)| register::looks_like_a_manual(tag).map(|how| (name, how)))
    {
        message.push_str(&format!(
            ". The address of `{}` looks like a number of a manual: {}",
            tag.0, tag.1
        ));
    }
    report.add(path, message);
}
