//! `equipment:`: state, mode and counters of the machine.

use super::{Alarm, Cel, Downtime, FromTag, IdealCycle, Indicator, PackMl, Performance, Source};
use crate::model::{Mode, State};
use crate::settings::units::{Period, Rate};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine as an equipment: its state, mode and counters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Equipment {
    /// The first rule that holds is the state. Data that is not known makes it UNKNOWN.
    #[serde(default)]
    pub state: Vec<StateRule>,
    /// The first rule that holds is the mode; none: NONE. Without rules it is PRODUCTION.
    #[serde(default)]
    pub mode: Vec<ModeRule>,
    /// A change must hold that long; its time is the edge that held.
    #[serde(default)]
    pub debounce: Period,
    /// State and mode of a machine that speaks PackML, instead of `state:` and `mode:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packml: Option<PackMl>,
    /// The calendar whose shifts it works in; that of `performance:`, or the only one, without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// How long a piece takes at best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ideal_cycle: Option<IdealCycle>,
    /// Counters by name.
    #[serde(default)]
    pub counters: IndexMap<String, Counter>,
    /// The one source of pieces that a MES may book.
    #[serde(default)]
    pub pieces_from: PiecesFrom,
    /// Stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime: Option<Downtime>,
    /// Intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance: Option<Performance>,
    /// Alarms by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub alarms: IndexMap<String, Alarm>,
    /// What wears, by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub maintenance: IndexMap<String, Indicator>,
}

/// One line of `state:`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateRule {
    /// When it holds; always, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Cel>,
    /// The state.
    pub is: State,
    /// A word for the kind of state, such as `starved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substate: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Source>,
    /// Leaving this state for less than that is not leaving it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Period>,
}

/// One line of `mode:`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeRule {
    /// When it holds; always, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Cel>,
    /// The mode.
    pub is: Mode,
}

/// A counter of the machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// The tag that counts.
    pub tag: String,
    /// What it counts.
    pub counts: Counts,
    /// It runs from 0 to one below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modulus: Option<u64>,
    /// The fastest it can count; tells a wrap from a reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
    /// A tag with the time since it was set back (PackML `AccTimeSinceReset`): when that falls, it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<FromTag>,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Strokes, shots, turns.
    Cycles,
    /// Pieces made.
    Total,
    /// Good pieces.
    Good,
    /// Rejected pieces.
    Reject,
    /// Pieces to be worked again.
    Rework,
}

impl Counts {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Counts::Cycles => "cycles",
            Counts::Total => "total",
            Counts::Good => "good",
            Counts::Reject => "reject",
            Counts::Rework => "rework",
        }
    }
}

/// The one source of pieces that a MES may book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PiecesFrom {
    /// `operation.completed` and `operation.aborted`.
    #[default]
    Operations,
    /// `production.counted` of counters that count pieces.
    Counters,
    /// Nothing: pieces are booked elsewhere.
    Nothing,
}
