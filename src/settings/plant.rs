//! The checked settings, as the stages use them: names are resolved to numbers, defaults filled in, nothing can be wrong.

use super::shape;
use crate::model::{DeviceId, Interpolation, TagId, UplinkId, ValueKind};
use indexmap::IndexMap;
use std::time::Duration;

/// Everything one gateway does.
#[derive(Clone, Debug)]
pub struct Plant {
    /// Who this gateway is.
    pub gateway: shape::Gateway,
    /// All machines.
    pub machines: Vec<Machine>,
    /// All devices of all machines; a [`DeviceId`] is an index.
    pub devices: Vec<Device>,
    /// All tags of all machines; a [`TagId`] is an index.
    pub tags: Vec<Tag>,
    /// Where events wait.
    pub buffer: shape::Buffer,
    /// Where events go; an [`UplinkId`] is an index.
    pub uplinks: Vec<Uplink>,
    /// Every event is marked as a test.
    pub shadow: bool,
    /// `sha256:` and the first 16 hex digits over the effective settings.
    pub digest: String,
}

/// A machine: a scope of tag names, an equipment, operations.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its name: the equipment id.
    pub name: String,
    /// Path of its blocks in the file: empty for the one machine, `machines.NAME` for one of several.
    pub path: String,
    /// Tag names of this machine.
    pub tags: IndexMap<String, TagId>,
    /// Its devices.
    pub devices: Vec<DeviceId>,
    /// State, mode, counters.
    pub equipment: shape::Equipment,
    /// Operations by name.
    pub operations: IndexMap<String, shape::Operation>,
}

/// A tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Its number.
    pub id: TagId,
    /// Index of its machine in [`Plant::machines`].
    pub machine: usize,
    /// The device it is read from.
    pub device: DeviceId,
    /// Its name inside the machine.
    pub name: String,
    /// What its values are.
    pub kind: ValueKind,
    /// Period of reading.
    pub every: Duration,
    /// UCUM unit.
    pub unit: Option<String>,
    /// How the value moves between samples.
    pub interpolation: Interpolation,
    /// Where and how it is read.
    pub source: TagSource,
    /// Scale, offset, range.
    pub conditioning: Conditioning,
}

/// What is done to a raw value at the end of `acquire`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditioning {
    /// Multiplies the raw value.
    pub scale: Option<f64>,
    /// Added after scaling.
    pub offset: Option<f64>,
    /// Lowest and highest believable value, after scaling, inclusive.
    pub range: Option<(f64, f64)>,
}

/// Where and how a tag is read.
#[derive(Clone, Debug)]
pub enum TagSource {
    /// Registers or bits of a Modbus server.
    Modbus(Register),
}

/// Registers or bits of a Modbus server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Which of the four tables.
    pub table: Table,
    /// First address, zero-based, base added.
    pub address: u16,
    /// How the value lies there.
    pub kind: shape::TagType,
    /// For a bit in a register: which, 0 the least significant.
    pub bit: u8,
    /// For a text: bytes.
    pub length: u16,
    /// For a text: what is cut from its end.
    pub trim: Vec<shape::Trim>,
    /// Order of the bytes.
    pub byte_order: shape::ByteOrder,
}

impl Register {
    /// Registers (or bits, in the bit tables) that the value takes.
    #[must_use]
    pub fn width(&self) -> u16 {
        use shape::TagType as T;
        match self.kind {
            T::Bit | T::I16 | T::U16 | T::Bcd16 => 1,
            T::I32 | T::U32 | T::F32 | T::Bcd32 => 2,
            T::I64 | T::U64 | T::F64 => 4,
            T::Text => self.length.div_ceil(2),
        }
    }
}

/// The four tables of Modbus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Read and write bits, function 1.
    Coils,
    /// Read-only bits, function 2.
    DiscreteInputs,
    /// Read and write registers, function 3.
    HoldingRegisters,
    /// Read-only registers, function 4.
    InputRegisters,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// Index of its machine in [`Plant::machines`].
    pub machine: usize,
    /// Its name with the machine's: `PRESS-04.plc`.
    pub name: String,
    /// How it is reached.
    pub protocol: Protocol,
    /// Silence after which it is lost.
    pub lost_after: Duration,
    /// Its tags.
    pub tags: Vec<TagId>,
}

/// How a device is reached. One variant per driver.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// Modbus over TCP.
    ModbusTcp(ModbusTcp),
}

impl Protocol {
    /// The word of the settings.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Protocol::ModbusTcp(_) => "modbus_tcp",
        }
    }
}

/// A unit of a Modbus TCP server. Devices of equal host and port share one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModbusTcp {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Unit identifier.
    pub unit: u8,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Most registers in one request.
    pub max_registers: u16,
    /// Registers nobody asked for that may be read along.
    pub max_gap: u16,
}

/// A destination.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// Its number.
    pub id: UplinkId,
    /// Its name; stores know it by that.
    pub name: String,
    /// How it is reached.
    pub protocol: UplinkProtocol,
    /// Patterns of event names: `*`, `operation.*`, `operation.completed`.
    pub events: Vec<String>,
    /// Where it begins in a store that has not seen it.
    pub start_at: shape::StartAt,
}

/// How a destination is reached. One variant per uplink.
#[derive(Clone, Debug)]
pub enum UplinkProtocol {
    /// MQTT 3.1.1 or 5.
    Mqtt(shape::Mqtt),
    /// HTTP POST.
    Http(shape::Http),
}
