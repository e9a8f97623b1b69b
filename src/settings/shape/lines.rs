//! `lines:`: scanners, gauges, scales and cameras that send lines or telegrams.

use super::{Parity, Rs485, defaults};
use crate::settings::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A device that sends lines or telegrams, over a serial port or a TCP connection that the gateway makes.
///
/// Where neither `end`, `length` nor `idle` is given, a line ends with CR, LF or both, and empty lines are nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Serial port: `/dev/serial/by-path/...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Instead of a port: `host:port` that the device listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// Bits per second; 9,600 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 300, max = 4_000_000))]
    pub baud: Option<u32>,
    /// Parity bit; none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Data bits; 8 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 7, max = 8))]
    pub data_bits: Option<u8>,
    /// Stop bits; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2))]
    pub stop_bits: Option<u8>,
    /// The kernel switches the direction of an RS-485 driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rs485: Option<Rs485>,
    /// Characters before each telegram, such as STX: what comes before them is thrown away. A control character inside a
    /// telegram begins it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Characters that end a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Every telegram has so many bytes, start mark included. A line end in its last bytes is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_024))]
    pub length: Option<u16>,
    /// A pause of so long ends a telegram. A line end before it is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Period>,
    /// Longest line in bytes: a longer one is thrown away and counted.
    #[serde(default = "defaults::max_line")]
    #[schemars(range(min = 1, max = 1_024))]
    pub max_length: u16,
    /// How the bytes mean characters.
    #[serde(default)]
    pub encoding: Encoding,
    /// The scanner puts an AIM symbology identifier (ISO/IEC 15424) such as `]C1` before each code.
    #[serde(default)]
    pub aim: bool,
    /// A regular expression with named groups: each is the value of the tags with that `group:`. Other lines are refused;
    /// where the device was asked, they make its tags bad. A group that took no part in the match leaves its tags as they
    /// were: a scale in overload that must not keep its last weight has a pattern that does not match then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Decimal sign of numbers.
    #[serde(default)]
    pub decimal: Decimal,
    /// Sent to make the device answer: one line for each. Where the adapter hears itself, the request comes back first and
    /// is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<String>,
    /// Period of `poll`; 1 s when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// Longest wait for the whole answer to `poll`, at most its period; 500 ms when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Period>,
}

/// What of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinePart {
    /// All of it.
    Text,
    /// All of it as a number.
    Number,
    /// The AIM symbology identifier before it, such as `]C1`; needs `aim: true`.
    Symbology,
}

/// How bytes mean characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// UTF-8, and so ASCII.
    #[default]
    Utf8,
    /// ISO 8859-1.
    Latin1,
}

/// Decimal sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decimal {
    /// `12.5`
    #[default]
    Point,
    /// `12,5`
    Comma,
}
