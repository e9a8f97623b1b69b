//! `devices:`: what is read, and how it lies there.

use super::defaults;
use crate::model::Interpolation;
use crate::settings::units::Period;
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
    /// How the addresses of the tags are meant. No default: everybody's first mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,
    /// Order of the bytes in values of several registers.
    #[serde(default)]
    pub byte_order: ByteOrder,
    /// Added to every address: one PLC, several machines.
    #[serde(default)]
    pub base: u16,
    /// Most registers in one request, 1 to 125. A value is never split.
    #[serde(default = "defaults::max_registers")]
    #[schemars(range(min = 4, max = 125))]
    pub max_registers: u16,
    /// Registers nobody asked for that may be read along to save a request.
    #[serde(default = "defaults::max_gap")]
    #[schemars(range(min = 0, max = 124))]
    pub max_gap: u16,
    /// Silence after which the device is lost; by default three times its longest period, at least 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_after: Option<Period>,
    /// What is read, by name. Names are unique inside a machine.
    pub tags: IndexMap<String, Tag>,
}

/// A Modbus TCP server (Modbus Messaging on TCP/IP, 1.0b).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModbusTcp {
    /// Name or address.
    pub host: String,
    /// TCP port.
    #[serde(default = "defaults::modbus_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Unit identifier.
    #[serde(default = "defaults::unit")]
    pub unit: u8,
    /// Longest wait for one answer.
    #[serde(default = "defaults::timeout")]
    pub timeout: Period,
}

/// How Modbus addresses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Addresses {
    /// As on the wire: the first register is 0.
    ZeroBased,
    /// As in many manuals: the first register is 1.
    OneBased,
}

/// Order of the bytes of a value in its registers; A is the most significant byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ByteOrder {
    /// Big-endian: as Modbus itself.
    #[default]
    ABCD,
    /// Words swapped.
    CDAB,
    /// Bytes swapped inside each word.
    BADC,
    /// Little-endian.
    DCBA,
}

/// How a value lies in registers.
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
    /// Characters, two to a register.
    Text,
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
    /// Period of reading.
    #[serde(default = "defaults::every")]
    pub every: Period,
    /// Multiplies the raw value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Added after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Lowest and highest believable value, after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// UCUM unit of the value after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How the value moves between two samples.
    #[serde(default)]
    pub interpolation: Interpolation,
}
