//! `devices:`: what is read, and how it lies there.

use super::{Addresses, ByteOrder, LinePart, Lines, ModbusRtu, ModbusTcp, OpcUa, defaults};
use crate::model::Interpolation;
use crate::settings::units::{Period, Rate};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `verify` says of an address that no device has: which addresses there are depends on `addresses:`.
const ADDRESSES: &str = "0 to 65535, or 1 to 65536 with `addresses: one_based`";

/// A device: one of the protocols, and its tags.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// A Modbus TCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modbus_tcp: Option<ModbusTcp>,
    /// A Modbus RTU device on a serial port, or behind a converter that passes RTU frames over TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modbus_rtu: Option<ModbusRtu>,
    /// An OPC UA server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opc_ua: Option<OpcUa>,
    /// A scanner, gauge, scale or camera that sends lines or telegrams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Lines>,
    /// How the addresses of the tags are meant. No default: everybody's first mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,
    /// Order of the bytes in values of several registers; ABCD when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_order: Option<ByteOrder>,
    /// Added to every address: one PLC, several machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u16>,
    /// Most registers in one request; 125 when left out. A value is never split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 125))]
    pub max_registers: Option<u16>,
    /// Registers nobody asked for that may be read along to save a request; 16 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 124))]
    pub max_gap: Option<u16>,
    /// Whose clock stamps the values (OPC UA); the gateway's when left out. With another one the whole machine is told half
    /// a second later, so that the values of all its devices come in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<Timestamps>,
    /// How far the device's clock may be from ours before its stamps are no longer used; 500 ms when left out. While our own
    /// clock is not synchronised, a constant difference is fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_skew: Option<Period>,
    /// A tag that the program of the PLC keeps changing: a frozen PLC still answers. While it stands still, or is bad for so
    /// long, all tags of the device are bad; its next change brings them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// Silence after which the device is lost; by default three times its longest period, at least 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_after: Option<Period>,
    /// What is read, by name. Names are unique inside a machine.
    pub tags: IndexMap<String, Tag>,
}

/// Whose clock stamps the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Timestamps {
    /// The gateway's, when the answer is complete.
    #[default]
    Gateway,
    /// The OPC UA server's.
    Server,
    /// That of the source behind the server: the controller.
    Source,
}

/// A tag that shows that the program of the PLC runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// A tag of this device.
    pub tag: String,
    /// Without a change for so long all tags of the device are bad.
    pub must_change_within: Period,
}

/// How a value lies in registers, or what an OPC UA variable holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagType {
    /// A coil or discrete input, or one bit of a register.
    Bit,
    /// 16 bits, signed.
    I16,
    /// 16 bits, unsigned.
    #[default]
    U16,
    /// 32 bits, signed.
    I32,
    /// 32 bits, unsigned.
    U32,
    /// 64 bits, signed.
    I64,
    /// 64 bits, unsigned; above 2^63 - 1 it is bad.
    U64,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Four decimal digits.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// Characters, two to a register; OPC UA String.
    Text,
    /// OPC UA Boolean.
    Bool,
    /// OPC UA SByte.
    I8,
    /// OPC UA Byte.
    U8,
}

/// What is cut from the end of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trim {
    /// From the first NUL on.
    Nul,
    /// Spaces at the end.
    Space,
}

/// One value of a device.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Address of a holding register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub holding: Option<u32>,
    /// Address of an input register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub input: Option<u32>,
    /// Address of a coil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub coil: Option<u32>,
    /// Address of a discrete input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub discrete: Option<u32>,
    /// OPC UA node: `ml:s=Filler.Status.Speed` with a prefix of `namespaces:`, `nsu=URI;s=...` or `ns=2;s=...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Of an array: which element, 0 the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_999))]
    pub index: Option<u32>,
    /// Of a structure: which field; `a.b` goes deeper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The node is a state machine or its `CurrentState`: its state is read by Id, never by its translated text.
    #[serde(default, skip_serializing_if = "is_false")]
    pub state_machine: bool,
    /// OPC UA: values that the server keeps between two publishings; at least 2 x publishing / sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub queue: Option<u32>,
    /// What of a line: all of it as a text or as a number, or the symbology that the scanner puts before a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LinePart>,
    /// A named group of the `pattern:` of `lines:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// A GS1 application identifier: `"21"` is the serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gs1: Option<String>,
    /// How the value lies in the registers; `u16` for registers, `bit` for coils and discrete inputs.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TagType>,
    /// For `type: bit` in a register: which, 0 the least significant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 15))]
    pub bit: Option<u8>,
    /// For `type: text`: bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 240))]
    pub length: Option<u16>,
    /// For `type: text`: what is cut from its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trim: Vec<Trim>,
    /// Instead of the device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_order: Option<ByteOrder>,
    /// Period of reading: 1 s when left out; for OPC UA the sampling interval, the publishing interval when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// Multiplies the raw value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Added after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Lowest and highest believable value, after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// A straight line through two points instead of scale and offset: `{ from: [0, 27648], to: [0, 400] }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear: Option<Linear>,
    /// Fastest believable change, in units of the value after scaling: `100/s`. A faster one is bad, until three in a row
    /// agree with one another: a step that stays is real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
    /// Changes that are too small to be handed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadband: Option<Deadband>,
    /// Words for whole numbers: `{ "0": idle, "1": running }`. A number that is not listed is bad.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub values: IndexMap<String, String>,
    /// UCUM unit of the value after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How the value moves between two samples.
    #[serde(default)]
    pub interpolation: Interpolation,
}

/// A straight line through two points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Two raw values.
    pub from: [f64; 2],
    /// What they mean.
    pub to: [f64; 2],
}

/// Changes that are too small to be handed on, counted from the last value that was; one of `absolute` and `percent`. A change
/// of quality always passes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deadband {
    /// In units of the value after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    /// In percent of `range:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// A value is handed on after so long although it did not change.
    #[serde(default = "defaults::deadband_heartbeat")]
    pub heartbeat: Period,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
