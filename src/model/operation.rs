//! What is said about an operation: its identity, and at its end times, statistics, quality and counts.

use super::{Mode, UtcTime};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An order, product, lot or program, and where it was learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its id in the MES's words.
    pub id: String,
    /// `plc` when a tag said it, `settings` when it is fixed.
    pub source: String,
}

/// Something a MES should know about how the data of an operation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// The start was found after a gap in the data: it may have been earlier.
    StartMissed,
    /// The end was not seen: its time is an estimate.
    EndTimeEstimated,
    /// The gateway lost power while the operation was open.
    PowerLoss,
    /// A device of the operation was lost while it was open.
    ConnectionLoss,
    /// The clock was not synchronised, so that elapsed time across a reboot is not known.
    ClockUnsynchronised,
    /// It exceeded `max_duration`.
    LongRunning,
    /// Start and end have the same stamp.
    ZeroLength,
    /// A counter was set back while it was open.
    CounterReset,
    /// The profile was shortened to keep the event in its size limit.
    TruncatedProfile,
}

impl Flag {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Flag::StartMissed => "start_missed",
            Flag::EndTimeEstimated => "end_time_estimated",
            Flag::PowerLoss => "power_loss",
            Flag::ConnectionLoss => "connection_loss",
            Flag::ClockUnsynchronised => "clock_unsynchronised",
            Flag::LongRunning => "long_running",
            Flag::ZeroLength => "zero_length",
            Flag::CounterReset => "counter_reset",
            Flag::TruncatedProfile => "truncated_profile",
        }
    }
}

/// How an operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It ended as it should.
    Completed,
    /// It was broken off.
    Aborted,
    /// It did not survive an interruption of the gateway.
    Interrupted,
}

impl Outcome {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Aborted => "aborted",
            Outcome::Interrupted => "interrupted",
        }
    }
}

/// Why an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// `end` fired.
    Trigger,
    /// `abort` fired.
    AbortTrigger,
    /// The next start came first.
    NextStart,
    /// `max_duration` passed.
    MaxDuration,
    /// The end fell into a loss of the device.
    ConnectionLoss,
    /// Decided after a restart of the gateway.
    RecoveredState,
}

impl EndCause {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EndCause::Trigger => "trigger",
            EndCause::AbortTrigger => "abort_trigger",
            EndCause::NextStart => "next_start",
            EndCause::MaxDuration => "max_duration",
            EndCause::ConnectionLoss => "connection_loss",
            EndCause::RecoveredState => "recovered_state",
        }
    }
}

/// The result of checking values against limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Inside all limits, in data good enough to say so.
    Pass,
    /// Outside a limit, in good data.
    Fail,
    /// The data is not good enough to say.
    Undetermined,
    /// There is nothing to check.
    NotEvaluated,
}

impl Verdict {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Undetermined => "undetermined",
            Verdict::NotEvaluated => "not_evaluated",
        }
    }
}

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

/// An operation as an event tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationReport {
    /// UUIDv5 of gateway, equipment, slot, run and epoch at its start, ordinal.
    pub id: Uuid,
    /// Gapless per slot.
    pub ordinal: u64,
    /// Its name in the settings.
    pub name: String,
    /// ISA-95 operations segment.
    pub segment: Option<String>,
    /// The order it was started for.
    pub order: Option<Reference>,
    /// The product.
    pub product: Option<Reference>,
    /// The lot.
    pub lot: Option<Reference>,
    /// The machine's program.
    pub program: Option<Reference>,
    /// Mode of the equipment at the start.
    pub mode_at_start: Mode,
    /// When it started: the edge that held.
    pub started_at: UtcTime,
    /// What a MES should know about the data.
    pub flags: Vec<Flag>,
    /// Where it was corrected, how often.
    pub revision: u32,
    /// Everything that is known at its end only.
    pub ending: Option<Ending>,
}

/// Everything that is known at the end of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// The edge that held.
    pub ended_at: UtcTime,
    /// Boot clock; `None` when a reboot without a synchronised clock lies inside.
    pub duration_s: Option<f64>,
    /// Duration less the pauses.
    pub active_s: Option<f64>,
    /// Sum of the pauses.
    pub paused_s: f64,
    /// How it went.
    pub outcome: Outcome,
    /// Why it ended.
    pub end_cause: EndCause,
    /// What the abort's reason tag or the settings said.
    pub abort_reason: Option<String>,
    /// True when it went through a restart of the gateway.
    pub recovered: bool,
    /// How much earlier the end may have been; `None` when it was seen.
    pub end_uncertainty_s: Option<f64>,
    /// Statistics in the order of the settings.
    pub parameters: Vec<ParameterReport>,
    /// Characteristics in the order of the settings.
    pub quality: Vec<CharacteristicResult>,
    /// Their sum.
    pub verdict: Verdict,
    /// Pieces.
    pub counts: Counts,
    /// The data behind it.
    pub data_quality: DataQuality,
}

/// Pieces of an operation. `good + reject + rework + undetermined` are the pieces; where their number is not known, the one
/// that they belong to is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// True when a MES may book these pieces from here.
    pub book: bool,
    /// 1: each operation is one cycle.
    pub cycles: u64,
    /// Passed, or nothing was to be checked.
    pub good: Option<u64>,
    /// Failed.
    pub reject: Option<u64>,
    /// To be worked again.
    pub rework: Option<u64>,
    /// Nobody can say.
    pub undetermined: Option<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            book: false,
            cycles: 0,
            good: Some(0),
            reject: Some(0),
            rework: Some(0),
            undetermined: Some(0),
        }
    }
}

/// Where the data of an operation may be lacking: of its worst parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
}

/// One parameter over one operation.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, Default, PartialEq)]
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
    pub percentile_method: Option<&'static str>,
}

/// How much of the operation's time a parameter's values cover.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// 0 to 1; `None` for an operation of no length.
    pub good_fraction: Option<f64>,
    /// 0 to 1; `None` for an operation of no length.
    pub gap_fraction: Option<f64>,
    /// Longest gap in seconds.
    pub longest_gap_s: f64,
}

/// The limits a statistic was checked against.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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

/// One characteristic checked.
#[derive(Clone, Debug, PartialEq)]
pub struct CharacteristicResult {
    /// Its id in the MES's words.
    pub id: String,
    /// `forming_pressure.max`
    pub characteristic: String,
    /// What was found; `None` when there is no such value.
    pub value: Option<f64>,
    /// UCUM unit.
    pub unit: Option<String>,
    /// Lower limit.
    pub low: Option<f64>,
    /// What it should be.
    pub target: Option<f64>,
    /// Upper limit.
    pub high: Option<f64>,
    /// Version of the limits.
    pub limits_version: Option<String>,
    /// The result.
    pub verdict: Verdict,
    /// When the value was reached, or the operation's end.
    pub measured_at: UtcTime,
}
