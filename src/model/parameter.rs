//! What is said about one parameter over one operation: samples, statistics, coverage, its course.

use super::operation::Word;
use serde::{Deserialize, Deserializer, Serialize};

/// How percentiles are found: from all samples, or by a sketch with its relative error.
pub const PERCENTILE_METHODS: [Word; 2] = ["exact", "ddsketch-0.01"];

/// How a value is thought to move between two samples.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// It holds until the next sample.
    #[default]
    Step,
    /// It moves on a straight line to the next sample.
    Linear,
}

impl Interpolation {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Interpolation::Step => "step",
            Interpolation::Linear => "linear",
        }
    }
}

/// Where the data of an operation may be lacking: of its worst parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataQuality {
    /// Samples that its period lets expect; `None` without a period.
    pub samples_expected: Option<u64>,
    /// Samples received.
    pub samples_received: u64,
    /// Part of the time covered by good values, 0 to 1; `None` for an operation of no length.
    pub good_fraction: Option<f64>,
    /// Part of the time covered by bad values or by nothing, 0 to 1.
    pub gap_fraction: Option<f64>,
    /// Longest gap in seconds.
    pub longest_gap_s: f64,
    /// How often a device of it was lost.
    pub connection_losses: u32,
    /// The wall clock stepped while it was open.
    pub clock_stepped: bool,
    /// Samples of all parameters that came too late.
    pub late_samples: u64,
}

/// One parameter over one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterReport {
    /// Its name in the settings.
    pub name: String,
    /// UCUM unit of the tag.
    pub unit: Option<String>,
    /// How the value moves between samples.
    pub interpolation: Interpolation,
    /// Samples by kind.
    pub samples: SampleCounts,
    /// Numbers; `None` where there is nothing to compute from.
    pub stats: Statistics,
    /// Time by quality.
    pub coverage: Coverage,
    /// Limits of the first characteristic on this parameter.
    pub limits: Option<LimitsUsed>,
    /// The course over time.
    pub profile: Option<ProfileReport>,
    /// For a sequence: its values with their times.
    pub sequence: Option<SequenceReport>,
}

/// Samples of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleCounts {
    /// All that belong to the operation.
    pub count: u64,
    /// Good ones.
    pub good: u64,
    /// Usable with doubt.
    pub uncertain: u64,
    /// Bad ones.
    pub bad: u64,
    /// Exact repeats, counted once.
    pub duplicate: u64,
    /// Too late to be merged.
    pub late: u64,
    /// What the period lets expect; `None` without a period.
    pub expected: Option<u64>,
}

/// Statistics of a parameter. Times are seconds from the operation's start, on the boot clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// First usable value.
    pub first: Option<f64>,
    /// Last usable value.
    pub last: Option<f64>,
    /// Smallest value and when it was first reached.
    pub min: Option<(f64, f64)>,
    /// Largest value and when it was first reached.
    pub max: Option<(f64, f64)>,
    /// Mean of the samples.
    pub mean: Option<f64>,
    /// Standard deviation of the samples (n - 1); `None` below two.
    pub stddev: Option<f64>,
    /// Mean over the time covered.
    pub time_weighted_mean: Option<f64>,
    /// Value times seconds over the time covered.
    pub integral: Option<f64>,
    /// Seconds for which `while:` held; `None` without one.
    pub duration_s: Option<f64>,
    /// Percent and value, as asked for.
    pub percentiles: Vec<(f64, Option<f64>)>,
    /// `exact`, or the name of the sketch.
    #[serde(deserialize_with = "percentile_method")]
    pub percentile_method: Option<Word>,
}

/// How much of the operation's time a parameter's values cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// 0 to 1; `None` for an operation of no length.
    pub good_fraction: Option<f64>,
    /// 0 to 1; `None` for an operation of no length.
    pub gap_fraction: Option<f64>,
    /// Longest gap in seconds.
    pub longest_gap_s: f64,
}

/// The limits a statistic was checked against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitsUsed {
    /// The statistic, such as `max`.
    pub statistic: String,
    /// Lower limit.
    pub low: Option<f64>,
    /// What it should be.
    pub target: Option<f64>,
    /// Upper limit.
    pub high: Option<f64>,
    /// Version of the limits.
    pub version: Option<String>,
}

/// A course over time, thinned so that first, last and both extremes are kept (MinMaxLTTB).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileReport {
    /// The most points that were asked for.
    pub max_points: u32,
    /// How many samples it was made from.
    pub source_points: u64,
    /// Seconds from the start.
    pub t: Vec<f64>,
    /// Values.
    pub v: Vec<f64>,
}

/// Values in the order in which they came: each change once, with the seconds from the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SequenceReport {
    /// Seconds from the start.
    pub t: Vec<f64>,
    /// The values, as texts.
    pub v: Vec<String>,
    /// How many changes there were; more than are listed where that is too many.
    pub changes: u64,
}

/// The word of a method that was written by this program.
fn percentile_method<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Word>, D::Error> {
    let written = Option::<String>::deserialize(from)?;
    Ok(written.and_then(|written| {
        PERCENTILE_METHODS
            .into_iter()
            .find(|method| *method == written)
    }))
}
