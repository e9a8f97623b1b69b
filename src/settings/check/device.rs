//! A device and its tags: one protocol, addresses that exist, types that fit their table.

use super::{Report, join};
use crate::model::{DeviceId, TagId, ValueKind};
use crate::settings::plant::{
    Conditioning, Device, Machine, ModbusTcp, Plant, Protocol, Register, Table, Tag, TagSource,
};
use crate::settings::shape::{self, Addresses, TagType};
use crate::settings::units::Period;
use std::time::Duration;

/// Shortest silence that means a lost device when the settings do not say.
const LOST_AFTER_AT_LEAST: Duration = Duration::from_secs(2);
/// Silence that means a lost device when the settings do not say, in periods of its slowest tag.
const LOST_AFTER_PERIODS: u32 = 3;
/// Addresses of a Modbus table.
const ADDRESSES: u32 = 1 << 16;

/// `lost_after`, or what it is when left out: three times the longest period, at least 2 s.
pub(in crate::settings) fn lost_after(shape: &shape::Device) -> Period {
    let longest = shape.tags.values().map(|tag| tag.every.get()).max();
    let silence = longest
        .unwrap_or_default()
        .saturating_mul(LOST_AFTER_PERIODS);
    shape
        .lost_after
        .unwrap_or_else(|| Period::rounded(silence.max(LOST_AFTER_AT_LEAST)))
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
    let Some(tcp) = &shape.modbus_tcp else {
        report.add(
            path,
            format!("the device `{name}` has no protocol: write `modbus_tcp: {{ host: ADDRESS }}`"),
        );
        return;
    };
    let mut device = Device {
        id: DeviceId(u32::try_from(plant.devices.len()).unwrap_or(u32::MAX)),
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
        let Some(register) = register(tag, shape, &at, report) else {
            continue;
        };
        let id = TagId(u32::try_from(plant.tags.len()).unwrap_or(u32::MAX));
        plant.tags.push(Tag {
            id,
            machine: device.machine,
            device: device.id,
            name: tag_name.clone(),
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
        });
        device.tags.push(id);
        machine.tags.insert(tag_name.clone(), id);
    }
    machine.devices.push(device.id);
    plant.devices.push(device);
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

/// The registers of a tag.
fn register(
    tag: &shape::Tag,
    device: &shape::Device,
    path: &str,
    report: &mut Report,
) -> Option<Register> {
    let given: Vec<(Table, u32)> = [
        (Table::HoldingRegisters, tag.holding),
        (Table::InputRegisters, tag.input),
        (Table::Coils, tag.coil),
        (Table::DiscreteInputs, tag.discrete),
    ]
    .into_iter()
    .filter_map(|(table, address)| Some((table, address?)))
    .collect();
    let [(table, written)] = given.as_slice() else {
        report.add(
            path,
            "write exactly one of `holding:`, `input:`, `coil:`, `discrete:` with the address",
        );
        return None;
    };
    let first = match device.addresses? {
        Addresses::ZeroBased => Some(*written),
        Addresses::OneBased => written.checked_sub(1),
    };
    let mut register = Register {
        table: *table,
        address: 0,
        kind: kind(tag),
        bit: tag.bit.unwrap_or(0),
        length: tag.length.unwrap_or(0),
        trim: tag.trim.clone(),
        byte_order: tag.byte_order.unwrap_or(device.byte_order),
    };
    let address = first.and_then(|first| first.checked_add(u32::from(device.base)));
    let last = address.and_then(|first| first.checked_add(u32::from(register.width())));
    if last.is_none_or(|last| last > ADDRESSES) {
        report.add(path, "the address lies outside 0 to 65535");
        return None;
    }
    register.address = u16::try_from(address?).ok()?;
    Some(register)
}
