//! `scans:` and `measurements:`: what a reader or a gauge says, and what it is for.

use super::{Cel, FromTag, Source, defaults};
use crate::model::PartKind;
use crate::settings::units::Period;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a code that fits is for, and how long it counts. Of the rules of a tag the first that fits is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanRule {
    /// Regular expression that the whole code is searched with. A group `(?<id>...)` is what is meant, without one the
    /// whole code; a group `(?<machine>...)` names the machine that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The code is GS1: what each application identifier is.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub gs1: IndexMap<String, ScanFor>,
    /// What it is.
    pub is: ScanFor,
    /// For a part: what its id stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PartKind>,
    /// For a part: the operation that it belongs to.
    #[serde(default)]
    pub bind: Bind,
    /// For a part: the slot of that operation; any slot that fits without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// For a part: how long it waits for its operation.
    #[serde(default = "defaults::valid_for")]
    pub valid_for: Period,
    /// The same code again within that is the same scan.
    #[serde(default = "defaults::same_within")]
    pub same_within: Period,
    /// How long it counts; a purpose for the next operation, all else until it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// For a material: which one, as in `materials:` of the operation. The code is its lot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub material: Option<String>,
    /// For a purpose: what each code means. Without: setup, first or first_off, rework, test, production, in any case.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub words: IndexMap<String, Purpose>,
    /// The machine that it is for; without, the one whose scanner it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl ScanRule {
    /// How long a part waits for its operation when the settings do not say.
    #[must_use]
    pub fn valid_for_default() -> Period {
        defaults::valid_for()
    }
}

/// What a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanFor {
    /// The part that is worked on.
    Part,
    /// The lot of a material.
    Material,
    /// The lot that is made.
    Lot,
    /// The order.
    Order,
    /// The product.
    Product,
    /// Who works here.
    Operator,
    /// Why the machine stands: of the open stop, else of the last one.
    Reason,
    /// What the next operation is for.
    Purpose,
}

/// The operation that a part belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bind {
    /// The one that starts next, or the open one that still has none and started at most `late_window` ago.
    #[default]
    NextOperation,
    /// The open one.
    CurrentOperation,
    /// The one that ended last, at most `late_window` ago.
    LastOperation,
}

/// How long something scanned counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Until the next code of its kind.
    Replaced,
    /// Until then, at the longest until the shift ends.
    ShiftEnd,
    /// For the next operation that starts.
    NextOperation,
}

/// What an operation is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To make product.
    #[default]
    Production,
    /// To set the machine up.
    Setup,
    /// To make the first piece, which is checked.
    FirstOff,
    /// To work a piece again.
    Rework,
    /// To try something.
    Test,
}

impl Purpose {
    /// The word on the wire and in the settings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Production => "production",
            Purpose::Setup => "setup",
            Purpose::FirstOff => "first_off",
            Purpose::Rework => "rework",
            Purpose::Test => "test",
        }
    }
}

/// A gauge or camera beside the line: each value becomes a `quality.result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The value.
    pub value: FromTag,
    /// When there is one: `changed(gauge_seq)`, so that two equal results are two.
    pub when: Cel,
    /// The part that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<FromTag>,
    /// Its id in the MES's words.
    pub id: String,
    /// Lowest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Highest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Version of the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<Source>,
}
