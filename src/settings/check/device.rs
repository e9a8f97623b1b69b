//! A device: one protocol, reachable, with tags that exist once in the machine.

use super::{conditioning, join, line_field, lines, modbus, names, opc_ua, register, time};
use crate::model::{DeviceId, TagId, ValueKind};
use crate::settings::plant::{Device, Machine, Plant, Protocol, Reported, Tag, TagSource};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, Reading};
use crate::settings::units::Period;
use std::sync::Arc;
use std::time::Duration;

/// Period of reading when left out.
pub(in crate::settings) const EVERY: Duration = Duration::from_secs(1);
/// Shortest period of reading.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);
/// Shortest silence that means a lost device when the settings do not say.
const LOST_AFTER_AT_LEAST: Duration = Duration::from_secs(2);
/// Silence that means a lost device when the settings do not say, in periods of its slowest tag.
const LOST_AFTER_PERIODS: u32 = 3;
/// How far a device's clock may be from ours when the settings do not say.
pub(in crate::settings) const MAX_SKEW: Duration = Duration::from_millis(500);

/// `lost_after`, or what it is when left out: three times the longest period, at least 2 s.
pub(in crate::settings) fn lost_after(shape: &shape::Device) -> Period {
    let silence = longest_period(shape).saturating_mul(LOST_AFTER_PERIODS);
    shape
        .lost_after
        .unwrap_or_else(|| Period::rounded(silence.max(LOST_AFTER_AT_LEAST)))
}

/// The longest time between two signs of life. A subscription sends one at each publishing interval, if only to say so.
fn longest_period(shape: &shape::Device) -> Duration {
    match &shape.opc_ua {
        Some(server) if server.read == Reading::Subscribe => server.publishing_interval.get(),
        _ => {
            let periods = shape.tags.values().map(|tag| every(tag, shape));
            periods.max().unwrap_or_default()
        }
    }
}

/// The period of a tag, or what it is when left out; zero for what comes unasked.
pub(in crate::settings) fn every(tag: &shape::Tag, device: &shape::Device) -> Duration {
    match (&device.opc_ua, &device.lines) {
        (Some(server), _) => opc_ua::every(tag, server),
        (None, Some(lines)) if lines.poll.is_none() => Duration::ZERO,
        (None, Some(lines)) => lines.every.map_or(lines::EVERY, |every| every.get()),
        (None, None) => tag.every.map_or(EVERY, |every| every.get()),
    }
}

/// How a device is reached, with what its tags need to know of it.
enum Way<'a> {
    Modbus,
    OpcUa(&'a shape::OpcUa),
    Lines(&'a shape::Lines),
}

/// Checks a device with its tags and adds it to the plant.
pub(super) fn check(
    name: &str,
    shape: &shape::Device,
    path: &str,
    machine: &mut Machine,
    plant: &mut Plant,
    report: &mut Report,
) {
    names::name("a device", name, path, report);
    let Some((protocol, way)) = protocol(name, shape, path, report) else {
        for tag in shape.tags.keys() {
            report.lose_name(tag);
        }
        return;
    };
    check_lost_after(shape, path, report);
    let mut device = Device {
        id: DeviceId(number(plant.devices.len())),
        machine: plant.machines.len(),
        name: format!("{}.{name}", machine.name),
        protocol,
        lost_after: lost_after(shape).get(),
        timestamps: shape.timestamps.unwrap_or_default(),
        max_skew: shape.max_skew.map_or(MAX_SKEW, |skew| skew.get()),
        heartbeat: None,
        tags: Vec::new(),
    };
    for (tag_name, tag) in &shape.tags {
        let at = join(&join(path, "tags"), tag_name);
        names::tag(tag_name, &at, report);
        let Some((source, raw)) = source(tag, shape, &way, &at, report) else {
            report.lose_name(tag_name);
            continue;
        };
        if let Some(first) = machine.tags.get(tag_name) {
            twice(tag_name, *first, &at, machine, plant, report);
            continue;
        }
        check_every(tag, &at, report);
        let (conditioning, kind) = conditioning::check(tag, raw, &at, report);
        let id = TagId(number(plant.tags.len()));
        plant.tags.push(Tag {
            id,
            machine: device.machine,
            device: device.id,
            name: tag_name.clone(),
            kind,
            every: every(tag, shape),
            reported: reported(tag, &way),
            unit: tag.unit.clone(),
            interpolation: tag.interpolation,
            source,
            conditioning: Arc::new(conditioning),
        });
        device.tags.push(id);
        machine.tags.insert(tag_name.clone(), id);
    }
    device.heartbeat = time::heartbeat(shape, &device, plant, path, report);
    time::stamps(shape, &device, plant, path, report);
    machine.devices.push(device.id);
    plant.devices.push(device);
}

/// The one protocol of a device, and that nothing stands there which goes with another.
fn protocol<'a>(
    name: &str,
    shape: &'a shape::Device,
    path: &str,
    report: &mut Report,
) -> Option<(Protocol, Way<'a>)> {
    let given: Vec<&str> = [
        ("modbus_tcp", shape.modbus_tcp.is_some()),
        ("modbus_rtu", shape.modbus_rtu.is_some()),
        ("opc_ua", shape.opc_ua.is_some()),
        ("lines", shape.lines.is_some()),
    ]
    .iter()
    .filter(|one| one.1)
    .map(|one| one.0)
    .collect();
    if given.len() > 1 {
        let message = format!(
            "`{}` stand here together: a device is reached in one way",
            given.join("` and `")
        );
        report.add(path, message);
        return None;
    }
    if given.len() == 1 {
        foreign_keys(shape, path, report);
    }
    if let Some(tcp) = &shape.modbus_tcp {
        modbus::check_addresses(name, shape, path, report);
        let modbus = modbus::tcp(tcp, shape, &join(path, "modbus_tcp"), report);
        return Some((Protocol::Modbus(modbus), Way::Modbus));
    }
    if let Some(rtu) = &shape.modbus_rtu {
        modbus::check_addresses(name, shape, path, report);
        let modbus = modbus::rtu(rtu, shape, &join(path, "modbus_rtu"), report)?;
        return Some((Protocol::Modbus(modbus), Way::Modbus));
    }
    if let Some(server) = &shape.opc_ua {
        let opc_ua = opc_ua::check(server, &join(path, "opc_ua"), report);
        return Some((Protocol::OpcUa(opc_ua), Way::OpcUa(server)));
    }
    if let Some(lines) = &shape.lines {
        let checked = lines::check(lines, &join(path, "lines"), report)?;
        if lines.poll.is_none() && shape.heartbeat.is_some() {
            let message = "a device that speaks when it wants to has no heartbeat: leave it out, or write `poll:`";
            report.add(join(path, "heartbeat"), message);
        }
        return Some((Protocol::Lines(checked), Way::Lines(lines)));
    }
    let message = format!(
        "how is `{name}` reached? Write `modbus_tcp: {{ host: ADDRESS }}`, or one of `modbus_rtu:`, `opc_ua:` and `lines:`"
    );
    report.add(path, message);
    None
}

/// Keys of a device that only one protocol has.
fn foreign_keys(shape: &shape::Device, path: &str, report: &mut Report) {
    let modbus = shape.modbus_tcp.is_some() || shape.modbus_rtu.is_some();
    let keys = [
        ("addresses", shape.addresses.is_some(), modbus, "Modbus"),
        ("byte_order", shape.byte_order.is_some(), modbus, "Modbus"),
        ("base", shape.base.is_some(), modbus, "Modbus"),
        (
            "max_registers",
            shape.max_registers.is_some(),
            modbus,
            "Modbus",
        ),
        ("max_gap", shape.max_gap.is_some(), modbus, "Modbus"),
        (
            "timestamps",
            shape.timestamps.is_some(),
            shape.opc_ua.is_some(),
            "OPC UA",
        ),
        (
            "max_skew",
            shape.max_skew.is_some(),
            shape.opc_ua.is_some(),
            "OPC UA",
        ),
    ];
    for (key, given, belongs, whose) in keys {
        if given && !belongs {
            report.add(
                join(path, key),
                format!("`{key}` is for {whose} only: leave it out"),
            );
        }
    }
}

/// Where a tag is read, and what its raw values are.
fn source(
    tag: &shape::Tag,
    device: &shape::Device,
    way: &Way<'_>,
    path: &str,
    report: &mut Report,
) -> Option<(TagSource, ValueKind)> {
    foreign_tag_keys(tag, way, path, report);
    Some(match way {
        Way::Modbus => (
            TagSource::Modbus(register::check(tag, device, path, report)?),
            modbus::raw_kind(tag),
        ),
        Way::OpcUa(server) => (
            TagSource::OpcUa(opc_ua::variable(tag, server, path, report)?),
            opc_ua::raw_kind(tag),
        ),
        Way::Lines(lines) => (
            TagSource::Line(line_field::check(tag, lines, path, report)?),
            line_field::raw_kind(tag),
        ),
    })
}

/// Keys of a tag that only one protocol has.
fn foreign_tag_keys(tag: &shape::Tag, way: &Way<'_>, path: &str, report: &mut Report) {
    let (modbus, opc_ua, lines) = match way {
        Way::Modbus => (true, false, false),
        Way::OpcUa(_) => (false, true, false),
        Way::Lines(_) => (false, false, true),
    };
    let keys = [
        ("holding", tag.holding.is_some(), modbus),
        ("input", tag.input.is_some(), modbus),
        ("coil", tag.coil.is_some(), modbus),
        ("discrete", tag.discrete.is_some(), modbus),
        ("bit", tag.bit.is_some(), modbus),
        ("length", tag.length.is_some(), modbus),
        ("trim", !tag.trim.is_empty(), modbus),
        ("byte_order", tag.byte_order.is_some(), modbus),
        ("node", tag.node.is_some(), opc_ua),
        ("index", tag.index.is_some(), opc_ua),
        ("field", tag.field.is_some(), opc_ua),
        ("state_machine", tag.state_machine, opc_ua),
        ("queue", tag.queue.is_some(), opc_ua),
        ("line", tag.line.is_some(), lines),
        ("group", tag.group.is_some(), lines),
        ("gs1", tag.gs1.is_some(), lines),
        ("every", tag.every.is_some(), !lines),
    ];
    for (key, given, belongs) in keys {
        if given && !belongs {
            report.add(
                join(path, key),
                format!("`{key}` does not go with how this device is reached: leave it out"),
            );
        }
    }
}

/// Whether each period brings a sample.
fn reported(tag: &shape::Tag, way: &Way<'_>) -> Reported {
    let unasked = match way {
        Way::Modbus => false,
        Way::OpcUa(server) => server.read == Reading::Subscribe,
        Way::Lines(lines) => lines.poll.is_none(),
    };
    if unasked || tag.deadband.is_some() {
        Reported::OnChange
    } else {
        Reported::Each
    }
}

fn check_every(tag: &shape::Tag, path: &str, report: &mut Report) {
    if tag.every.is_some_and(|every| every.get() < SHORTEST_PERIOD) {
        let at = join(path, "every");
        let found = report.written(&at);
        report.add(
            at,
            format!("{found} is too short: a tag is read at most every 1ms"),
        );
    }
}

/// A file of 1 MiB cannot hold more tags than a `u32`.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Two devices of one machine have a tag of one name. (Inside a device YAML itself refuses it.)
fn twice(
    name: &str,
    first: TagId,
    path: &str,
    machine: &Machine,
    plant: &Plant,
    report: &mut Report,
) {
    let device = plant.tags.get(first.index()).map(|tag| tag.device);
    let full = device
        .and_then(|id| plant.devices.get(id.index()))
        .map_or("", |one| &one.name);
    let device = full
        .rsplit_once(&format!("{}.", machine.name))
        .map_or(full, |(_, name)| name);
    let other = join(&join(&join(&machine.path, "devices"), device), "tags");
    let message = format!(
        "{} is already a tag of `{device}`, in line {}: tag names are unique inside a machine, call one otherwise",
        shown(name),
        report.place(&join(&other, name)).line
    );
    report.add(path, message);
}

fn check_lost_after(shape: &shape::Device, path: &str, report: &mut Report) {
    let longest = longest_period(shape);
    if shape.lost_after.is_some_and(|lost| lost.get() < longest) {
        let at = join(path, "lost_after");
        let message = format!(
            "{} is shorter than the longest period of its tags: the device would be lost all the time. Write at least {}",
            report.written(&at),
            String::from(Period::rounded(longest.saturating_mul(2)))
        );
        report.add(at, message);
    }
}
