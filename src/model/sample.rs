//! A sample: what a tag was, when, and whether it may be believed. Bad is not false and not zero.

use super::{DeviceId, Stamp, TagId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A value after conditioning: scaled, ordered, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A bit or a coil.
    Bool(bool),
    /// A whole number without a scale.
    Int(i64),
    /// A measured number, always finite.
    Float(f64),
    /// At most 1 KiB of valid UTF-8.
    Text(Arc<str>),
}

impl Value {
    /// The value as a number for statistics; a bool counts as 0 or 1, a text is none.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Bool(on) => Some(f64::from(u8::from(*on))),
            Value::Int(whole) => Some(*whole as f64),
            Value::Float(measured) => Some(*measured),
            Value::Text(_) => None,
        }
    }
}

impl std::fmt::Display for Value {
    /// As a MES reads it: `true`, `17`, `12.5`, the text itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Bool(on) => on.fmt(f),
            Value::Int(whole) => whole.fmt(f),
            Value::Float(measured) => measured.fmt(f),
            Value::Text(text) => text.fmt(f),
        }
    }
}

/// What a tag's values are, known from the settings: conditions are type-checked against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueKind {
    /// [`Value::Bool`]
    Bool,
    /// [`Value::Int`]
    Int,
    /// [`Value::Float`]
    Float,
    /// [`Value::Text`]
    Text,
    /// Only the device knows: an OPC UA variable whose `type` is left out.
    Any,
}

/// Why a sample must not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BadReason {
    /// The device did not answer for `lost_after`.
    DeviceLost,
    /// The device answered this request with a Modbus exception (its code).
    Exception(u8),
    /// Outside `range`, or a number that the type cannot hold.
    OutOfRange,
    /// NaN or infinity.
    NotFinite,
    /// Not valid for its type: a BCD digit above 9, text that is not UTF-8.
    Malformed,
    /// The source itself says that the value is bad.
    Source,
    /// The device answers, but its heartbeat stands still: what it says is old.
    Frozen,
    /// Changed faster than `max_rate` believes.
    TooFast,
    /// A number that `values:` does not list.
    Unlisted,
    /// Values before it were lost on the way: a queue overflowed.
    Overflow,
    /// Its own time stamp is more than 7 days old or 5 minutes ahead.
    Stamp,
    /// From here on nothing was read for a while, and that was not the device's fault: the disk was full.
    NotRead,
}

impl BadReason {
    /// The word used in logs and counters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            BadReason::DeviceLost => "device_lost",
            BadReason::Exception(_) => "exception",
            BadReason::OutOfRange => "out_of_range",
            BadReason::NotFinite => "not_finite",
            BadReason::Malformed => "malformed",
            BadReason::Source => "source",
            BadReason::Frozen => "frozen",
            BadReason::TooFast => "too_fast",
            BadReason::Unlisted => "unlisted",
            BadReason::Overflow => "overflow",
            BadReason::Stamp => "stamp",
            BadReason::NotRead => "not_read",
        }
    }
}

/// Whether a sample may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quality {
    /// Believe it.
    Good,
    /// Usable, but the source has doubts.
    Uncertain,
    /// Never reaches a statistic and makes conditions unknown.
    Bad(BadReason),
}

/// One reading of one tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which tag.
    pub tag: TagId,
    /// When the answer was complete.
    pub stamp: Stamp,
    /// What was read; `None` when there is nothing to show (always bad then).
    pub value: Option<Value>,
    /// Whether it may be believed.
    pub quality: Quality,
}

impl Sample {
    /// The value, if it may be used.
    #[must_use]
    pub fn usable(&self) -> Option<&Value> {
        match self.quality {
            Quality::Good | Quality::Uncertain => self.value.as_ref(),
            Quality::Bad(_) => None,
        }
    }
}

/// What one device said in one poll cycle or notification.
///
/// Samples are ordered by stamp. Samples of equal stamp are one instant, except that a tag that comes twice begins the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which device.
    pub device: DeviceId,
    /// When the batch was complete; not before any of its samples.
    pub stamp: Stamp,
    /// Readings, or the news that there will be none.
    pub content: Content,
}

/// Readings, or the loss of the device.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The device answers. The first of these after a loss says that it is back. May be empty.
    Samples(Vec<Sample>),
    /// No good answer for `lost_after`: all tags of the device are bad from the batch's stamp on.
    Lost(LinkError),
}

/// Why a link does not work, in words for the person who can mend it. Kept short: at most 200 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkError {
    /// A stable word: `timeout`, `refused`, `closed`, `protocol`, `unreachable`, `frozen`,
    /// `port`, `untrusted`, `denied`.
    pub code: &'static str,
    /// What happened, with the address or request.
    pub detail: String,
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.detail)
    }
}

impl std::error::Error for LinkError {}
