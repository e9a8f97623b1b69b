//! What a serial port needs, whatever speaks over it.

use crate::settings::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parity bit of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// RS-485 direction by the kernel (`TIOCSRS485`), where the board needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rs485 {
    /// What the RTS line is while the box sends.
    #[serde(default)]
    pub rts: Rts,
    /// Wait between the switch to sending and the first byte.
    #[serde(default)]
    pub delay_before: Period,
    /// Wait between the last byte and the switch to receiving.
    #[serde(default)]
    pub delay_after: Period,
    /// A 120 Ohm termination that the board can switch.
    #[serde(default)]
    pub terminated: bool,
}

/// Level of RTS while sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rts {
    /// High while sending.
    #[default]
    HighWhileSending,
    /// Low while sending.
    LowWhileSending,
}
