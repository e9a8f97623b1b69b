//! `calendars:`: shifts, their days and breaks, in the plant's time zone.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shifts of a plant. Time that no shift covers is not planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// IANA time zone, such as `Europe/Berlin`.
    pub timezone: String,
    /// Shifts by name; they may not overlap.
    pub shifts: IndexMap<String, Shift>,
}

/// One shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// Local time at which it begins: `06:00`.
    pub from: String,
    /// Local time at which it ends; before or at `from` means on the next day. `24:00` is midnight.
    pub to: String,
    /// Days on which it begins: `mon-fri`, `sun-thu`, `mon, wed, sat`; every day without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<String>,
    /// Local times inside it that are not planned: `09:00-09:15`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<String>,
    /// The day that it is named after.
    #[serde(default)]
    pub dated: Dated,
}

/// The day that a shift is named after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dated {
    /// The day on which it begins.
    #[default]
    Start,
    /// The day on which it ends.
    End,
}
