//! `equipment:` beyond state and counters: stops, alarms, intervals, maintenance, PackML.

use super::{Cel, FromTag, defaults};
use crate::model::{Mode, Severity};
use crate::settings::units::Period;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A machine that speaks PackML (ISA-TR88.00.02): state and mode by table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackMl {
    /// Whose numbers they are.
    pub numbering: Numbering,
    /// `StateCurrent`, a number.
    pub state: FromTag,
    /// `UnitModeCurrent`, a number; without, the machine is in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FromTag>,
    /// The modes from 4 on, which each machine has of its own: number and what it is.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub modes: IndexMap<String, Mode>,
    /// Why it stands; 0 says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<FromTag>,
    /// It waits for what comes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved: Option<FromTag>,
    /// It waits for what comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<FromTag>,
}

/// Whose numbers the states of a PackML machine have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Numbering {
    /// ISA-TR88.00.02: Execute is 6.
    IsaTr88,
    /// OPC 30060 (TMC): Execute is 4.
    #[serde(rename = "opc_30060")]
    Opc30060,
}

/// How long a piece takes at best (ISO 22400-2: planned run time per item).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdealCycle {
    /// In seconds, from a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Of every product that is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Period>,
    /// Of each product.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub by_product: IndexMap<String, Period>,
}

/// Which time is a stop, and what is said about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Downtime {
    /// States that are a stop, with their substate where only that is one: `IDLE/starved`.
    pub of: Vec<String>,
    /// Only in these modes; in all without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_modes: Vec<Mode>,
    /// A shorter stop is a micro-stop.
    #[serde(default)]
    pub micro_stop_below: Period,
    /// A stop is told in segments that end here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_at: Vec<SplitAt>,
    /// What the machine's numbers mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Reasons>,
}

/// Where a stop or an interval is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitAt {
    /// Where the shift changes.
    Shift,
    /// Where the order changes.
    Order,
}

/// What the machine's numbers mean in the MES's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// Name of the catalogue.
    pub catalogue: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The machine's number or word, and the code of the catalogue.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub codes: IndexMap<String, String>,
    /// The code of what is not listed; without, the machine's own word is the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// What the codes mean in words.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub texts: IndexMap<String, String>,
    /// Codes of stops that were planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<String>,
}

/// What is told of each interval: times, counts, ideal cycles (ISO 22400-2), never percentages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Performance {
    /// Length of a period; they begin at full multiples of it since the shift's beginning.
    #[serde(default = "defaults::interval")]
    pub every: Period,
    /// Intervals are cut here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_at: Vec<SplitAt>,
    /// The calendar of the shifts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
}

/// Trend and level of a tag over a long time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Indicator {
    /// The tag.
    pub tag: String,
    /// Only while this holds.
    #[serde(default, rename = "while", skip_serializing_if = "Option::is_none")]
    pub during: Option<Cel>,
    /// What it is looked at over.
    pub window: Period,
    /// From here on it is worth a look; below `alarm` for what rises, above it for what falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn: Option<f64>,
    /// From here on something must be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<f64>,
    /// How often it is told.
    pub every: Period,
}

/// An alarm of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// A number or word that is the alarm's code; 0, false and an empty text are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The tag is a word of which each bit is an alarm: what each is. A bit that is not listed is none.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub bits: IndexMap<String, AlarmCode>,
    /// What the codes of the tag are. One that is not listed is told as it is.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub codes: IndexMap<String, AlarmCode>,
    /// The alarm stands while this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Cel>,
    /// For `when:`: its code; its name without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For `when:`: what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How bad it is, where its code does not say.
    #[serde(default)]
    pub severity: Severity,
}

/// One alarm among those of a tag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlarmCode {
    /// Its code in the MES's words; the machine's own without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// A tool of the machine: the number of the one in use, or what counts its life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// The tool in use: a number or word; 0 and an empty text are none.
    pub tag: String,
    /// A tag that counts its cycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<String>,
}
