//! A device: one protocol, reachable, with tags that exist once in the machine.

use super::{join, names, register};
use crate::model::{DeviceId, TagId, ValueKind};
use crate::settings::plant::{
    Conditioning, Device, Machine, ModbusTcp, Plant, Protocol, Register, Tag, TagSource,
};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, TagType};
use crate::settings::units::Period;
use std::time::Duration;

/// Shortest silence that means a lost device when the settings do not say.
const LOST_AFTER_AT_LEAST: Duration = Duration::from_secs(2);
/// Silence that means a lost device when the settings do not say, in periods of its slowest tag.
const LOST_AFTER_PERIODS: u32 = 3;
/// How long one answer may be waited for.
const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(30);

/// `lost_after`, or what it is when left out: three times the longest period, at least 2 s.
pub(in crate::settings) fn lost_after(shape: &shape::Device) -> Period {
    let silence = longest_period(shape).saturating_mul(LOST_AFTER_PERIODS);
    shape
        .lost_after
        .unwrap_or_else(|| Period::rounded(silence.max(LOST_AFTER_AT_LEAST)))
}

fn longest_period(shape: &shape::Device) -> Duration {
    let periods = shape.tags.values().map(|tag| tag.every.get());
    periods.max().unwrap_or_default()
}

/// The type of a tag, or what it is when left out.
pub(in crate::settings) fn kind(tag: &shape::Tag) -> TagType {
    let bits = tag.coil.is_some() || tag.discrete.is_some();
    tag.kind
        .unwrap_or(if bits { TagType::Bit } else { TagType::U16 })
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
    let Some(tcp) = &shape.modbus_tcp else {
        let message = format!("how is `{name}` reached? Write `modbus_tcp: {{ host: ADDRESS }}`");
        report.add(path, message);
        for tag in shape.tags.keys() {
            report.lose_name(tag);
        }
        return;
    };
    check_link(tcp, &join(path, "modbus_tcp"), report);
    check_addresses(name, shape, path, report);
    check_lost_after(shape, path, report);
    let mut device = Device {
        id: DeviceId(number(plant.devices.len())),
        machine: plant.machines.len(),
        name: format!("{}.{name}", machine.name),
        protocol: Protocol::ModbusTcp(ModbusTcp {
            host: tcp.host.clone(),
            port: tcp.port,
            unit: tcp.unit,
            timeout: tcp.timeout.get(),
            max_registers: shape.max_registers,
            max_gap: shape.max_gap,
        }),
        lost_after: lost_after(shape).get(),
        tags: Vec::new(),
    };
    for (tag_name, tag) in &shape.tags {
        let at = join(&join(path, "tags"), tag_name);
        names::tag(tag_name, &at, report);
        let Some(register) = register::check(tag, shape, &at, report) else {
            report.lose_name(tag_name);
            continue;
        };
        if let Some(first) = machine.tags.get(tag_name) {
            twice(tag_name, *first, &at, machine, plant, report);
            continue;
        }
        let id = TagId(number(plant.tags.len()));
        plant.tags.push(built(tag_name, tag, register, id, &device));
        device.tags.push(id);
        machine.tags.insert(tag_name.clone(), id);
    }
    machine.devices.push(device.id);
    plant.devices.push(device);
}

/// A file of 1 MiB cannot hold more tags than a `u32`.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn built(name: &str, tag: &shape::Tag, register: Register, id: TagId, device: &Device) -> Tag {
    Tag {
        id,
        machine: device.machine,
        device: device.id,
        name: name.to_owned(),
        kind: value_kind(tag),
        every: tag.every.get(),
        unit: tag.unit.clone(),
        interpolation: tag.interpolation,
        source: TagSource::Modbus(register),
        conditioning: Conditioning {
            scale: tag.scale,
            offset: tag.offset,
            range: tag.range.map(|[low, high]| (low, high)),
        },
    }
}

/// What the values of a tag are.
fn value_kind(tag: &shape::Tag) -> ValueKind {
    match kind(tag) {
        TagType::Bit => ValueKind::Bool,
        TagType::Text => ValueKind::Text,
        TagType::F32 | TagType::F64 => ValueKind::Float,
        _ if tag.scale.is_some() || tag.offset.is_some() => ValueKind::Float,
        _ => ValueKind::Int,
    }
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

fn check_link(tcp: &shape::ModbusTcp, path: &str, report: &mut Report) {
    let host = tcp.host.as_str();
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
    let timeout = tcp.timeout.get();
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
fn check_addresses(name: &str, shape: &shape::Device, path: &str, report: &mut Report) {
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
