//! The checked settings, as the stages use them: names are resolved to numbers, defaults filled in, nothing can be wrong.

use super::shape;
use super::units::Rate;
use crate::model::{DeviceId, Interpolation, TagId, UplinkId, ValueKind};
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// Shifts by calendar.
    pub calendars: IndexMap<String, shape::Calendar>,
    /// Where events wait.
    pub buffer: shape::Buffer,
    /// Where commands find the running gateway.
    pub control: shape::Control,
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
    /// What the codes of its readers mean, by tag.
    pub scans: IndexMap<String, Vec<shape::ScanRule>>,
    /// Operations by name.
    pub operations: IndexMap<String, shape::Operation>,
    /// Gauges beside it, by characteristic.
    pub measurements: IndexMap<String, shape::Measurement>,
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
    /// Period of reading or sampling; zero for what comes unasked (lines without `poll:`).
    pub every: Duration,
    /// Whether each period brings a sample, or only a change does.
    pub reported: Reported,
    /// UCUM unit.
    pub unit: Option<String>,
    /// How the value moves between samples.
    pub interpolation: Interpolation,
    /// Where and how it is read.
    pub source: TagSource,
    /// Scale, offset, range.
    pub conditioning: Arc<Conditioning>,
}

/// When a tag's samples come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// One in each period: a missing one is a missed poll.
    Each,
    /// When the value changes, or the device has something to say: silence on a live connection is no gap.
    OnChange,
}

/// What is done to a raw value at the end of `acquire`, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditioning {
    /// Words for whole numbers; one that is not listed is bad. Nothing else is done to it.
    pub values: Option<BTreeMap<i64, Arc<str>>>,
    /// Multiplies the raw value.
    pub scale: Option<f64>,
    /// Added after scaling.
    pub offset: Option<f64>,
    /// Two raw values and what they mean, instead of scale and offset.
    pub linear: Option<([f64; 2], [f64; 2])>,
    /// Lowest and highest believable value, after scaling, inclusive.
    pub range: Option<(f64, f64)>,
    /// Fastest believable change, per second.
    pub max_rate_per_s: Option<f64>,
    /// Changes that are too small to be handed on.
    pub deadband: Option<Deadband>,
}

/// Changes that are too small to be handed on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deadband {
    /// In units of the value after scaling; a percentage of the range has been worked out.
    pub absolute: f64,
    /// A value is handed on after so long although it did not change.
    pub heartbeat: Duration,
}

/// Where and how a tag is read.
#[derive(Clone, Debug)]
pub enum TagSource {
    /// Registers or bits of a Modbus server.
    Modbus(Register),
    /// A variable of an OPC UA server.
    OpcUa(Variable),
    /// A part of a line.
    Line(LineField),
}

/// A variable of an OPC UA server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its node id.
    pub node: Node,
    /// Its type, where the settings say it: checked against the node.
    pub kind: Option<shape::TagType>,
    /// Which element of an array.
    pub index: Option<u32>,
    /// Which field of a structure, from the outside in.
    pub field: Vec<String>,
    /// It is a state machine or its `CurrentState`: the Id is read.
    pub state_machine: bool,
    /// Values that the server keeps between two publishings.
    pub queue: u32,
}

/// A node id whose namespace does not move with a firmware update.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The namespace.
    pub namespace: Namespace,
    /// `i=85`, `s=Filler.Speed`, `g=...`, `b=...` (OPC 10000-6, 5.3.1.10).
    pub identifier: String,
}

/// The namespace of a node id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// By its URI, looked up in the server's table at each connect.
    Uri(String),
    /// By its index: moves when the server is changed.
    Index(u16),
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineField {
    /// All of it, as a text.
    Text,
    /// All of it, as a number.
    Number,
    /// The AIM symbology identifier before it.
    Symbology,
    /// A named group of the device's pattern.
    Group {
        /// Its name.
        name: String,
        /// What it is.
        kind: shape::TagType,
    },
    /// The element of a GS1 application identifier.
    Gs1(String),
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
            T::Bit | T::Bool | T::I8 | T::U8 | T::I16 | T::U16 | T::Bcd16 => 1,
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
    /// Whose clock stamps its values.
    pub timestamps: shape::Timestamps,
    /// How far its clock may be from ours.
    pub max_skew: Duration,
    /// A tag that must keep changing, and within what time.
    pub heartbeat: Option<(TagId, Duration)>,
    /// Its tags.
    pub tags: Vec<TagId>,
}

/// How a device is reached. One variant per driver.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// Modbus, over TCP or a serial line.
    Modbus(Modbus),
    /// OPC UA.
    OpcUa(OpcUa),
    /// Lines or telegrams.
    Lines(Lines),
}

impl Protocol {
    /// The word of the settings.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Protocol::Modbus(modbus) => match modbus.wire {
                ModbusWire::Tcp { .. } => "modbus_tcp",
                ModbusWire::Rtu(_) | ModbusWire::RtuOverTcp { .. } => "modbus_rtu",
            },
            Protocol::OpcUa(_) => "opc_ua",
            Protocol::Lines(_) => "lines",
        }
    }

    /// True where silence means nothing while the connection is there: nobody scans for hours.
    #[must_use]
    pub fn speaks_unasked(&self) -> bool {
        matches!(self, Protocol::Lines(lines) if lines.poll.is_none())
    }
}

/// A unit on a Modbus wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modbus {
    /// What it is reached over. Devices of equal wire share one link.
    pub wire: ModbusWire,
    /// Unit identifier.
    pub unit: u8,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Most registers in one request.
    pub max_registers: u16,
    /// Registers nobody asked for that may be read along.
    pub max_gap: u16,
}

/// What Modbus is spoken over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModbusWire {
    /// Modbus TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// RTU frames on a serial port.
    Rtu(SerialPort),
    /// RTU frames over TCP, through a converter.
    RtuOverTcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// A serial port and how it is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SerialPort {
    /// `/dev/...`
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// Parity bit.
    pub parity: shape::Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// RS-485 direction by the kernel.
    pub rs485: Option<shape::Rs485>,
}

/// An OPC UA server.
#[derive(Clone, Debug)]
pub struct OpcUa {
    /// `opc.tcp://host:port/path`
    pub endpoint: String,
    /// Algorithms and what is done with them.
    pub security: shape::Security,
    /// Who we are to it.
    pub user: OpcUaUser,
    /// Whether the server tells changes, or is asked.
    pub read: shape::Reading,
    /// How often the server sends what changed.
    pub publishing_interval: Duration,
    /// Longest wait for one answer.
    pub timeout: Duration,
}

/// Who the gateway is to an OPC UA server.
#[derive(Clone, Debug)]
pub enum OpcUaUser {
    /// Nobody.
    Anonymous,
    /// Name and password.
    Password(shape::User),
    /// A certificate.
    Certificate(shape::UserCertificate),
}

/// A device that sends lines or telegrams.
#[derive(Clone, Debug)]
pub struct Lines {
    /// What it is reached over.
    pub wire: LinesWire,
    /// Where a telegram begins and ends.
    pub framing: Framing,
    /// Longest telegram in bytes.
    pub max_length: usize,
    /// How the bytes mean characters.
    pub encoding: shape::Encoding,
    /// An AIM symbology identifier comes before each code.
    pub aim: bool,
    /// A regular expression with named groups, known to be one.
    pub pattern: Option<String>,
    /// Decimal sign of numbers.
    pub decimal: shape::Decimal,
    /// What is sent to make it answer.
    pub poll: Option<LinesPoll>,
}

/// What lines are received over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LinesWire {
    /// A serial port.
    Serial(SerialPort),
    /// A TCP connection that the gateway makes.
    Tcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// Where a telegram begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    /// What comes before this mark is thrown away; empty: nothing is.
    pub start: Vec<u8>,
    /// What ends it.
    pub end: FrameEnd,
}

/// What ends a telegram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameEnd {
    /// CR, LF or both; empty lines are nothing.
    AnyNewline,
    /// These bytes.
    Mark(Vec<u8>),
    /// So many bytes, start mark included.
    Length(usize),
    /// A pause.
    Idle(Duration),
}

/// A request that makes a device answer with one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesPoll {
    /// What is sent.
    pub request: Vec<u8>,
    /// How often.
    pub every: Duration,
    /// Longest wait for the answer.
    pub timeout: Duration,
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
    /// What an event looks like there.
    pub format: shape::Format,
    /// Whose word settles an event.
    pub acknowledge: shape::Acknowledge,
    /// How long the word of the MES is waited for.
    pub ack_timeout: shape::AckTimeout,
    /// What a rejected event means for the later ones of its equipment.
    pub on_reject: shape::OnReject,
    /// Most events per time.
    pub rate_limit: Option<Rate>,
    /// Patterns of event names: `*`, `operation.*`, `operation.completed`.
    pub events: Vec<String>,
    /// Where it begins in a store that has not seen it.
    pub start_at: shape::StartAt,
}

impl Uplink {
    /// One that gets all events, with everything else as it is where the settings say nothing.
    #[must_use]
    pub fn new(id: UplinkId, name: &str, protocol: UplinkProtocol) -> Uplink {
        Uplink {
            id,
            name: name.to_owned(),
            protocol,
            format: shape::Format::default(),
            acknowledge: shape::Acknowledge::default(),
            ack_timeout: shape::AckTimeout::default(),
            on_reject: shape::OnReject::default(),
            rate_limit: None,
            events: vec!["*".into()],
            start_at: shape::StartAt::default(),
        }
    }
}

/// How a destination is reached. One variant per uplink.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a handful per gateway, made once"
)]
pub enum UplinkProtocol {
    /// MQTT 3.1.1 or 5.
    Mqtt(shape::Mqtt),
    /// HTTP POST.
    Http(shape::Http),
}
