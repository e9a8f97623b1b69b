//! What is said about an operation: its identity, and at its end times, statistics, quality and counts.

use super::parameter::{DataQuality, ParameterReport};
use super::{Material, Mode, Part, Severity, Tool, UtcTime};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// A word of this program's own, as it stands on the wire.
pub type Word = &'static str;

/// What an operation can be for.
pub const PURPOSES: [Word; 5] = ["production", "setup", "first_off", "rework", "test"];

/// An order, product, lot or program, and where it was learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its id in the MES's words.
    pub id: String,
    /// `plc` when a tag said it, `settings` when it is fixed, `barcode` when it was scanned.
    pub source: String,
}

/// Something a MES should know about how the data of an operation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// A part was learnt after the start.
    LatePartId,
    /// It has no part.
    NoPartId,
    /// The wall clock stepped while it was open.
    ClockStepped,
    /// Samples of it came too late to be merged.
    LateSamples,
    /// A product or code is not in the settings.
    UnverifiedMasterdata,
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
            Flag::LatePartId => "late_part_id",
            Flag::NoPartId => "no_part_id",
            Flag::ClockStepped => "clock_stepped",
            Flag::LateSamples => "late_samples",
            Flag::UnverifiedMasterdata => "unverified_masterdata",
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

/// An operation as an event tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What it is for: `production`, `setup`, `first_off`, `rework`, `test`.
    #[serde(deserialize_with = "purpose")]
    pub purpose: Word,
    /// Shift at the start; `None` without a calendar, or outside all shifts.
    pub shift: Option<String>,
    /// Who does it.
    pub operator: Option<Reference>,
    /// Parts that are known so far.
    pub parts: Vec<Part>,
    /// For a pause or its end: why.
    pub reason: Option<String>,
    /// Mode of the equipment at the start.
    pub mode_at_start: Mode,
    /// When it started: the edge that held.
    pub started_at: UtcTime,
    /// A device of it stamps its own values, so that its times are the device's.
    pub device_time: bool,
    /// What a MES should know about the data.
    pub flags: Vec<Flag>,
    /// Where it was corrected, how often.
    pub revision: u32,
    /// Everything that is known at its end only.
    pub ending: Option<Ending>,
}

/// Everything that is known at the end of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The edge that held.
    pub ended_at: UtcTime,
    /// Boot clock; `None` when a reboot without a synchronised clock lies inside.
    pub duration_s: Option<f64>,
    /// Duration less the pauses.
    pub active_s: Option<f64>,
    /// Sum of the pauses; `None` when a reboot without a synchronised clock lies in one.
    pub paused_s: Option<f64>,
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
    /// Tools that were used.
    pub tools: Vec<Tool>,
    /// Materials that were used.
    pub materials: Vec<Material>,
    /// The data behind it.
    pub data_quality: DataQuality,
}

/// Pieces of an operation. `good + reject + rework + undetermined` are the pieces; where their number is not known, the one
/// that they belong to is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// One characteristic checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// How an open operation goes.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressReport {
    /// The operation so far.
    pub operation: OperationReport,
    /// From 0.
    pub index: u32,
    /// Start of the window.
    pub from: UtcTime,
    /// Its end.
    pub to: UtcTime,
    /// On the boot clock, in seconds; `None` where that is not known.
    pub duration_s: Option<f64>,
    /// Statistics of the window.
    pub parameters: Vec<ParameterReport>,
    /// Characteristics with `per: progress`, of the window.
    pub quality: Vec<CharacteristicResult>,
}

/// An ended operation of which something was learnt late.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrectedReport {
    /// The operation with its whole ending.
    pub operation: OperationReport,
    /// The event that this one replaces.
    pub supersedes: Uuid,
    /// What was learnt: `late_part_id`, `late_order`, `late_lot`, `late_product`.
    pub reason: &'static str,
}

/// Which side of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Above.
    High,
    /// Below.
    Low,
}

impl Side {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Side::High => "high",
            Side::Low => "low",
        }
    }
}

/// A parameter left its limits, or is inside again.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitReport {
    /// The operation as it is known.
    pub operation: Box<OperationReport>,
    /// The parameter.
    pub parameter: String,
    /// UCUM unit.
    pub unit: Option<String>,
    /// Which side.
    pub which: Side,
    /// The limit.
    pub threshold: f64,
    /// The value that crossed it.
    pub value: f64,
    /// From the settings.
    pub hysteresis: f64,
    /// From the settings.
    pub hold_s: f64,
    /// How bad it is.
    pub severity: Severity,
    /// When cleared: the farthest value.
    pub peak: Option<f64>,
    /// When cleared: how long it was outside, in seconds of the boot clock.
    pub exceeded_s: Option<f64>,
}

/// Something that was measured beside the operation.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityReport {
    /// The results.
    pub results: Vec<CharacteristicResult>,
    /// Their sum.
    pub verdict: Verdict,
    /// What measured it.
    pub instrument: Option<String>,
    /// The part that was measured.
    pub part: Option<Part>,
    /// The operation that made it, where that is known: id and name.
    pub operation: Option<(Uuid, String)>,
}

/// The word of a purpose that was written by this program.
fn purpose<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    let written = String::deserialize(from)?;
    let known = PURPOSES.into_iter().find(|purpose| *purpose == written);
    known.ok_or_else(|| serde::de::Error::custom("no purpose of an operation"))
}
