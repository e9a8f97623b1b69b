//! `operations:`: what starts and ends them, and what is measured in between.

use super::{Cel, Source, defaults};
use crate::settings::units::Period;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operation: what starts and ends it, and what is measured in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// One operation can be open in each slot of a machine.
    #[serde(default = "defaults::slot")]
    pub slot: String,
    /// ISA-95 operations segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Source>,
    /// The order it is done for, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Source>,
    /// The product, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Source>,
    /// The lot, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Source>,
    /// The machine's program, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Source>,
    /// Fires when it turns true.
    pub start: Trigger,
    /// Read at the start edge only; never starts anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<Cel>,
    /// Fires when it turns true.
    pub end: Trigger,
    /// Fires when it turns true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Trigger>,
    /// Paused while it holds; leaving it, or a start edge, is the resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Trigger>,
    /// What a start edge does to an operation that runs.
    #[serde(default)]
    pub on_next_start: OnNextStart,
    /// Shorter ones are counted, not reported.
    #[serde(default)]
    pub min_duration: Period,
    /// Longer ones are aborted.
    #[serde(default = "defaults::max_duration")]
    pub max_duration: Period,
    /// A counter that tells after a restart whether it is still the same operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_counter: Option<String>,
    /// Pieces that one operation makes.
    #[serde(default)]
    pub pieces: Pieces,
    /// What is measured, by name.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// What is checked.
    #[serde(default)]
    pub quality: Vec<Characteristic>,
    /// Good data by time that a pass needs, 0 to 1.
    #[serde(default = "defaults::pass_needs_good_fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub pass_needs_good_fraction: f64,
}

/// A condition that fires when it turns true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The condition.
    pub when: Cel,
    /// It must hold that long; the event carries the time of the edge that held.
    #[serde(default)]
    pub debounce: Period,
    /// For `abort`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Source>,
}

/// What a start edge does to an operation that runs in the same slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNextStart {
    /// It is aborted, the next one starts.
    #[default]
    AbortAndStart,
    /// It is completed, the next one starts.
    EndAndStart,
    /// The edge is ignored.
    Ignore,
}

/// Pieces that one operation makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pieces {
    /// So many.
    Fixed(u32),
    /// As a tag says at the end.
    Tag(FromTag),
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces::Fixed(1)
    }
}

/// `{ tag: x }`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTag {
    /// Name of the tag.
    pub tag: String,
}

/// What is measured while an operation is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The tag.
    pub tag: String,
    /// Only while this holds.
    #[serde(default, rename = "while", skip_serializing_if = "Option::is_none")]
    pub during: Option<Cel>,
    /// Most points of the profile; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 1000))]
    pub profile: Option<u32>,
    /// Percentiles, 0 to 100; exact below 1,000 samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub percentiles: Vec<f64>,
}

/// A limit on a statistic of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Characteristic {
    /// Its id in the MES's words.
    pub id: String,
    /// Parameter and statistic: `forming_pressure.max`.
    pub of: String,
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
}
