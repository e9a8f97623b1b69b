//! `operations:`: what starts and ends them, and what is measured in between.

use super::{Cel, Purpose, Source, Tools, defaults};
use crate::model::{MaterialUse, PartKind, PartSource, Severity};
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
    /// The order it is done for, read at the start; what was scanned without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Origin>,
    /// The product, read at the start; what was scanned without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// The lot, read at the start; what was scanned without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Origin>,
    /// Who does it, read at the start; who was scanned without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Origin>,
    /// The machine's program, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Source>,
    /// What it is for: the first line that holds at the start. What was scanned comes before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purpose: Vec<PurposeRule>,
    /// Open while it holds, instead of `start` and `end`; also when the gateway comes up in the middle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<Cel>,
    /// With `during`: where this tag changes, one operation ends and the next begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_when_changed: Option<String>,
    /// Fires when it turns true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Trigger>,
    /// Read at the start edge only; never starts anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<Cel>,
    /// Fires when it turns true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Trigger>,
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
    /// How often an open one is told; also where the shift changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_every: Option<Period>,
    /// What becomes of it when its devices are away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_loss: Option<ConnectionLoss>,
    /// A counter that tells after a restart whether it is still the same operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_counter: Option<String>,
    /// Pieces that one operation makes.
    #[serde(default)]
    pub pieces: Pieces,
    /// The part that is worked on, where a tag says it; else it is scanned.
    #[serde(default)]
    pub part: PartFrom,
    /// What is used up, for each piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<MaterialNeed>,
    /// The tool that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
    /// What is measured, by name.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// What is checked.
    #[serde(default)]
    pub quality: Vec<Characteristic>,
    /// What is told at once while it is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Good data by time that a pass needs, 0 to 1.
    #[serde(default = "defaults::pass_needs_good_fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub pass_needs_good_fraction: f64,
}

impl Operation {
    /// What starts it: `start:`, or that `during:` begins to hold. Never, where neither is written.
    #[must_use]
    pub fn begins(&self) -> Trigger {
        match (&self.during, &self.start) {
            (Some(during), _) => Trigger::when(during.0.clone()),
            (None, Some(start)) => start.clone(),
            (None, None) => Trigger::when("false".to_owned()),
        }
    }

    /// What ends it: `end:`, or that `during:` holds no longer.
    #[must_use]
    pub fn ends(&self) -> Trigger {
        match (&self.during, &self.end) {
            (Some(during), _) => Trigger::when(format!("!({})", during.0)),
            (None, Some(end)) => end.clone(),
            (None, None) => Trigger::when("false".to_owned()),
        }
    }
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
    /// For `abort` and `pause`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Source>,
    /// For `end`: samples that come so long after it belong to the operation, too. Its time stays that of the edge.
    #[serde(default, skip_serializing_if = "Period::is_zero")]
    pub trailing: Period,
}

impl Trigger {
    /// Without debounce.
    #[must_use]
    pub fn when(cel: String) -> Trigger {
        Trigger {
            when: Cel(cel),
            debounce: Period::default(),
            reason: None,
            trailing: Period::default(),
        }
    }
}

/// Where an order, a lot or an operator comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// From a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the tag is empty or bad.
    #[serde(default, rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Else>,
}

/// Where something comes from when its tag does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Else {
    /// What was scanned.
    Scanned,
}

/// Where the product comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// From a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// By the machine's program.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub by_program: IndexMap<String, String>,
    /// What a program means that is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownProgram>,
    /// Where the tag is empty or bad.
    #[serde(default, rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Else>,
}

/// What a program means that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownProgram {
    /// No product, and the operation is flagged `unverified_masterdata`.
    Flag,
    /// No product.
    Ignore,
}

/// One line of `purpose:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurposeRule {
    /// When it holds; always, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Cel>,
    /// What the operation is for.
    pub is: Purpose,
}

/// What becomes of an open operation when its devices are away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionLoss {
    /// It is aborted when the tags of its end are unknown for so long.
    pub give_up_after: Period,
}

/// The part that is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartFrom {
    /// The tag that has its id; empty while it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What the id stands for.
    #[serde(default)]
    pub kind: PartKind,
    /// How the tag's device reads it.
    #[serde(default = "defaults::part_source")]
    pub source: PartSource,
    /// When the tag is read.
    #[serde(default)]
    pub read: ReadPart,
    /// How long after the start, and after the end, an id still belongs to it.
    #[serde(default = "defaults::late_window")]
    pub late_window: Period,
    /// What is done about an operation without a part.
    #[serde(default)]
    pub missing: MissingPart,
}

impl Default for PartFrom {
    fn default() -> Self {
        PartFrom {
            tag: None,
            kind: PartKind::default(),
            source: defaults::part_source(),
            read: ReadPart::default(),
            late_window: defaults::late_window(),
            missing: MissingPart::default(),
        }
    }
}

/// When the tag of a part is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadPart {
    /// At the start; where it is empty then, as soon as it is not, within `late_window`.
    #[default]
    Start,
    /// At the end.
    End,
    /// Whenever it changes: each id is a part of the operation.
    Change,
}

/// What is done about an operation without a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingPart {
    /// It has none.
    #[default]
    None,
    /// At its end it is given one, of kind `generated`.
    Generate,
}

/// A material that an operation uses up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaterialNeed {
    /// Its id in the MES's words. The lot is the one that was scanned for it.
    pub id: String,
    /// For each piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<f64>,
    /// UCUM unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What happens to it (ISA-95).
    #[serde(default, rename = "use")]
    pub usage: MaterialUse,
    /// The lot, where a tag says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<FromTag>,
}

/// A limit that is told at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The parameter, whose raw values are looked at.
    pub of: String,
    /// It is exceeded above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// It is exceeded below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// It is cleared that much on the right side of it.
    #[serde(default)]
    pub hysteresis: f64,
    /// It must be exceeded, and cleared, that long.
    #[serde(default)]
    pub hold: Period,
    /// How bad it is.
    #[serde(default)]
    pub severity: Severity,
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
    /// What the tag's values are.
    #[serde(default)]
    pub kind: ParameterKind,
}

/// What the values of a parameter's tag are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// A quantity: statistics.
    #[default]
    Analog,
    /// Numbers or words that are told with their times, not added up.
    Sequence,
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
    /// What it is about: the whole operation, or each window of `progress_every`.
    #[serde(default)]
    pub per: Per,
}

/// What a characteristic is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The whole operation.
    #[default]
    Operation,
    /// Each window of `progress_every`.
    Progress,
}
