//! What is said about an equipment: state and mode, stops, intervals, counters, alarms, wear.

use super::operation::Reference;
use super::{UtcTime, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// State of an equipment: OPC 40001-1 and what the gateway cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Executing.
    Running,
    /// Ready, not executing.
    Idle,
    /// Halted by a cause inside.
    Stopped,
    /// Out of service.
    Faulted,
    /// Switched off.
    Offline,
    /// The data to decide it is missing.
    Unknown,
}

impl State {
    /// The word on the wire and in conditions.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "RUNNING",
            State::Idle => "IDLE",
            State::Stopped => "STOPPED",
            State::Faulted => "FAULTED",
            State::Offline => "OFFLINE",
            State::Unknown => "UNKNOWN",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<State> {
        [
            State::Running,
            State::Idle,
            State::Stopped,
            State::Faulted,
            State::Offline,
            State::Unknown,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }
}

/// Operation mode of an equipment (OPC 40001-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Making product.
    Production,
    /// Being set up.
    Setup,
    /// Being maintained.
    Maintenance,
    /// Moved by hand.
    Manual,
    /// None of these, or not known.
    None,
}

impl Mode {
    /// The word on the wire and in conditions.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Mode::Production => "PRODUCTION",
            Mode::Setup => "SETUP",
            Mode::Maintenance => "MAINTENANCE",
            Mode::Manual => "MANUAL",
            Mode::None => "NONE",
        }
    }
}

/// What the machine itself said when the state was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Native {
    /// The tag that was read.
    pub tag: String,
    /// Its value; `None` when it was bad.
    pub value: Option<Value>,
}

/// A change of state, mode, substate or reason.
#[derive(Clone, Debug, PartialEq)]
pub struct StateReport {
    /// The state from `since` on.
    pub current: State,
    /// The state before; `None` for the first one known.
    pub previous: Option<State>,
    /// How long the previous lasted, in seconds of the boot clock; `None` where it cannot be known.
    pub previous_duration_s: Option<f64>,
    /// The mode from `since` on.
    pub mode: Mode,
    /// The mode before.
    pub previous_mode: Option<Mode>,
    /// A word of the settings, such as `starved`.
    pub substate: Option<String>,
    /// The native values of the tags that decided it.
    pub native: Vec<Native>,
    /// Why, in the words of the catalogue.
    pub reason: Option<Reason>,
    /// The open operation, if there is one.
    pub active_operation: Option<Uuid>,
    /// The stop that is open.
    pub downtime: Option<Uuid>,
    /// When the state began: the edge that held, not the end of the debounce.
    pub since: UtcTime,
}

/// What a counter did in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterReport {
    /// Its name in the settings.
    pub name: String,
    /// `cycles`, `total`, `good`, `reject` or `rework`.
    pub counts: &'static str,
    /// True when a MES may book these pieces from here.
    pub book: bool,
    /// How much was counted.
    pub delta: u64,
    /// The most that may have been counted, where that is more; `None` otherwise.
    pub delta_max: Option<u64>,
    /// Sum of all deltas since the store was created.
    pub total: u64,
    /// Raw value at the window's start.
    pub raw_from: i64,
    /// Raw value at the window's end.
    pub raw_to: i64,
    /// The counter's modulus, if it has one.
    pub modulus: Option<u64>,
    /// How often it ran over.
    pub wraps: u32,
    /// How often it was set back.
    pub resets: u32,
    /// True when a wrap and a reset could not be told apart, or a reset may be hidden in a gap.
    pub ambiguous: bool,
    /// Start of the window.
    pub from: UtcTime,
    /// End of the window.
    pub to: UtcTime,
    /// Order at the window's end.
    pub order: Option<Reference>,
    /// Product at the window's end.
    pub product: Option<Reference>,
    /// Shift at the window's end.
    pub shift: Option<String>,
    /// The operation whose end closed the window, or the open one.
    pub operation: Option<Uuid>,
}

/// Why a machine stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The code of the catalogue; without a catalogue, what the machine or the settings say.
    pub code: String,
    /// The machine's own word, where the catalogue has another.
    pub native: Option<String>,
    /// Name of the catalogue.
    pub catalogue: Option<String>,
    /// Its version.
    pub catalogue_version: Option<String>,
    /// What the code means.
    pub text: Option<String>,
    /// Whether such a stop is planned; `None` without a catalogue.
    pub planned: Option<bool>,
    /// Who said it.
    pub source: ReasonSource,
}

impl Reason {
    /// What somebody says, where there is no catalogue.
    #[must_use]
    pub fn plain(code: impl Into<String>, source: ReasonSource) -> Reason {
        Reason {
            code: code.into(),
            native: None,
            catalogue: None,
            catalogue_version: None,
            text: None,
            planned: None,
            source,
        }
    }
}

/// Who said why a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReasonSource {
    /// A tag.
    Plc,
    /// The settings.
    Settings,
    /// Somebody scanned it.
    Operator,
}

impl ReasonSource {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ReasonSource::Plc => "plc",
            ReasonSource::Settings => "settings",
            ReasonSource::Operator => "operator",
        }
    }
}

/// A stop, or a segment of one. Segments of a stop sum to it.
#[derive(Clone, Debug, PartialEq)]
pub struct DowntimeReport {
    /// UUIDv5 of equipment, run and ordinal: the same for all segments.
    pub id: Uuid,
    /// From 1.
    pub segment: u32,
    /// The stop ended with it; how many segments there are is known then.
    pub last: bool,
    /// Start of the segment.
    pub from: UtcTime,
    /// End of the segment.
    pub to: UtcTime,
    /// Boot clock; `None` where a reboot without a synchronised clock lies inside.
    pub duration_s: Option<f64>,
    /// Seconds of it in which nobody saw the machine: its data was missing, or the gateway was away.
    pub unknown_s: Option<f64>,
    /// For the last one: how much earlier the stop may have ended, in seconds, where its end was not seen.
    pub end_uncertainty_s: Option<f64>,
    /// The whole stop is shorter than `micro_stop_below`.
    pub micro_stop: bool,
    /// State that it began with.
    pub state: State,
    /// Its substate.
    pub substate: Option<String>,
    /// Mode that it began with.
    pub mode: Mode,
    /// Why.
    pub reason: Option<Reason>,
    /// For a reclassified one: the reason before.
    pub previous_reason: Option<Reason>,
    /// Code of the alarm that stood first.
    pub first_alarm: Option<String>,
    /// Order during the segment.
    pub order: Option<Reference>,
    /// Shift during the segment.
    pub shift: Option<String>,
}

/// What an interval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntervalKind {
    /// One of equal length.
    Period,
    /// A whole shift.
    Shift,
}

impl IntervalKind {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            IntervalKind::Period => "period",
            IntervalKind::Shift => "shift",
        }
    }
}

/// What happened in an interval: ingredients (ISO 22400-2), never percentages. Sum only one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct IntervalReport {
    /// Period or shift.
    pub kind: IntervalKind,
    /// `2026-11-22/early`; for a period with its start in UTC.
    pub id: String,
    /// Start.
    pub from: UtcTime,
    /// End.
    pub to: UtcTime,
    /// On the boot clock, in seconds, to the microsecond; `None` where it cannot be known.
    pub duration_s: Option<f64>,
    /// Seconds by state and mode; they sum to the duration.
    pub durations: Vec<(State, Mode, f64)>,
    /// Seconds of it that the calendar plans; `None` without a calendar.
    pub planned_s: Option<f64>,
    /// Pieces and cycles, never to be booked from here.
    pub counts: IntervalCounts,
    /// Ideal cycle in seconds, and pieces, by product; the product is `None` where it is not known.
    pub ideal: Vec<IdealShare>,
    /// Name of the calendar.
    pub calendar: Option<String>,
    /// The shift that it belongs to.
    pub shift: Option<String>,
    /// Order, where intervals are cut at orders.
    pub order: Option<Reference>,
    /// The gateway was away, or did not know, in a part of it.
    pub flags: Vec<&'static str>,
}

/// Pieces of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalCounts {
    /// Cycles of the machine.
    pub cycles: u64,
    /// Pieces made; what `pieces_from` names.
    pub total: u64,
    /// Good ones.
    pub good: u64,
    /// Rejected ones.
    pub reject: u64,
    /// To be worked again.
    pub rework: u64,
    /// Nobody can say.
    pub undetermined: u64,
    /// A counter in it was ambiguous.
    pub ambiguous: bool,
}

/// Pieces of one product in an interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdealShare {
    /// The product.
    pub product: Option<String>,
    /// Its ideal cycle in seconds.
    pub cycle_s: Option<f64>,
    /// Pieces made.
    pub pieces: u64,
}

/// How bad something is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth a look.
    #[default]
    Medium,
    /// Somebody must act.
    High,
}

impl Severity {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// An alarm of the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmReport {
    /// Its name in the settings.
    pub name: String,
    /// Its code in the MES's words.
    pub code: String,
    /// What it says.
    pub text: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// When it was raised.
    pub raised_at: UtcTime,
    /// For a cleared one: how long it stood, in seconds of the boot clock.
    pub stood_s: Option<f64>,
    /// How often it came and went since it was last told: an alarm that chatters is told ten times a minute at most.
    pub untold: u64,
    /// The open operation, if there is one.
    pub active_operation: Option<Uuid>,
}

/// How bad the wear of something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// There is not enough data to say.
    #[default]
    Unknown,
    /// As it should be.
    Ok,
    /// Beyond `warn`.
    Warn,
    /// Beyond `alarm`.
    Alarm,
}

impl Level {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Unknown => "unknown",
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Alarm => "alarm",
        }
    }
}

/// Trend and level of a tag over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct IndicatorReport {
    /// Its name in the settings.
    pub name: String,
    /// UCUM unit of the tag.
    pub unit: Option<String>,
    /// The mean of the newest tenth of the window.
    pub value: Option<f64>,
    /// The mean of its oldest tenth.
    pub baseline: Option<f64>,
    /// Slope of the straight line through the window, per day.
    pub trend_per_day: Option<f64>,
    /// From the settings.
    pub warn: Option<f64>,
    /// From the settings.
    pub alarm: Option<f64>,
    /// Where `value` stands.
    pub level: Level,
    /// Length of the window in seconds.
    pub window_s: f64,
    /// Seconds of it in which the tag was looked at.
    pub covered_s: f64,
}
