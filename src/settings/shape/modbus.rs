//! `modbus_tcp:` and `modbus_rtu:`: a unit and the wire to it.

use super::{Parity, Rs485, defaults};
use crate::settings::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// A Modbus RTU device (Modbus over Serial Line, 1.02): on a serial port, or behind a converter that passes the frames over TCP.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModbusRtu {
    /// Serial port: `/dev/serial/by-path/...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Instead of a port: `host:port` of a converter that passes RTU frames as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// Bits per second; 19,200 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 4_000_000))]
    pub baud: Option<u32>,
    /// Parity bit; even when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Stop bits; 1 when left out, 2 without parity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2))]
    pub stop_bits: Option<u8>,
    /// The kernel switches the direction of an RS-485 driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rs485: Option<Rs485>,
    /// Unit address.
    #[schemars(range(min = 1, max = 247))]
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
