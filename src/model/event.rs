//! An event: something the MES should know, with everything needed to say it. Rendered by `format`, once.

use super::operation::{OperationReport, Reference};
use super::{ClockQuality, Position, Stamp, UtcTime, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// An operation began.
    OperationStarted,
    /// An operation ended as it should.
    OperationCompleted,
    /// An operation was broken off.
    OperationAborted,
    /// State, mode, substate or reason of an equipment changed.
    EquipmentStateChanged,
    /// A counter rose.
    ProductionCounted,
    /// The gateway started.
    GatewayBirth,
    /// A device was lost or came back.
    GatewayDeviceState,
}

impl EventKind {
    /// Every kind, in the order of the catalogue.
    pub const ALL: [EventKind; 7] = [
        EventKind::OperationStarted,
        EventKind::OperationCompleted,
        EventKind::OperationAborted,
        EventKind::EquipmentStateChanged,
        EventKind::ProductionCounted,
        EventKind::GatewayBirth,
        EventKind::GatewayDeviceState,
    ];

    /// The short name, as in topics and in `events:` of an uplink.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::OperationStarted => "operation.started",
            EventKind::OperationCompleted => "operation.completed",
            EventKind::OperationAborted => "operation.aborted",
            EventKind::EquipmentStateChanged => "equipment.state.changed",
            EventKind::ProductionCounted => "production.counted",
            EventKind::GatewayBirth => "gateway.birth",
            EventKind::GatewayDeviceState => "gateway.device.state",
        }
    }

    /// True for what must be on disk at once: `operation.*`, `quality.*`, `part.*`. The rest waits at most 200 ms.
    #[must_use]
    pub fn urgent(self) -> bool {
        matches!(
            self,
            EventKind::OperationStarted
                | EventKind::OperationCompleted
                | EventKind::OperationAborted
        )
    }
}

/// Whether a full buffer may drop an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// May be evicted: counts that are not booked.
    Passing,
    /// Goes last, and never silently.
    Lasting,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The gateway itself: subject `gateway`, partition key the gateway's id.
    Gateway,
    /// A machine: subject `equipment[/slot]`, partition key the equipment.
    Equipment {
        /// The machine's name.
        id: String,
        /// The slot of an operation.
        slot: Option<String>,
    },
}

/// One numbered event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number.
    pub position: Position,
    /// The run that made it.
    pub run: Uuid,
    /// What it is about.
    pub scope: Scope,
    /// When it happened.
    pub time: UtcTime,
    /// The operation it belongs to.
    pub correlation: Option<Uuid>,
    /// The trust in its UTC times.
    pub clock: ClockQuality,
    /// What it says.
    pub body: Body,
}

impl Event {
    /// What the event tells.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match &self.body {
            Body::OperationStarted(_) => EventKind::OperationStarted,
            Body::OperationCompleted(_) => EventKind::OperationCompleted,
            Body::OperationAborted(_) => EventKind::OperationAborted,
            Body::State(_) => EventKind::EquipmentStateChanged,
            Body::Counted(_) => EventKind::ProductionCounted,
            Body::Birth(_) => EventKind::GatewayBirth,
            Body::Connection(_) => EventKind::GatewayDeviceState,
        }
    }

    /// Whether a full buffer may drop it.
    #[must_use]
    pub fn class(&self) -> Class {
        match &self.body {
            Body::Counted(counter) if !counter.book => Class::Passing,
            _ => Class::Lasting,
        }
    }
}

/// The part of an event that is its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `operation.started`
    OperationStarted(Box<OperationReport>),
    /// `operation.completed`
    OperationCompleted(Box<OperationReport>),
    /// `operation.aborted`
    OperationAborted(Box<OperationReport>),
    /// `equipment.state.changed`
    State(StateReport),
    /// `production.counted`
    Counted(CounterReport),
    /// `gateway.birth`
    Birth(Birth),
    /// `gateway.device.state`
    Connection(ConnectionReport),
}

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
    /// The reason as the machine or the settings give it.
    pub reason: Option<String>,
    /// The open operation, if there is one.
    pub active_operation: Option<Uuid>,
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
    /// The operation whose end closed the window, or the open one.
    pub operation: Option<Uuid>,
}

/// The gateway's first event of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// The gateway's version.
    pub version: &'static str,
    /// Last position before this start; `None` in an empty store.
    pub last: Option<Position>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Operations that were open and go on.
    pub open_operations: Vec<Uuid>,
}

/// Whether a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionState {
    /// It answers.
    Good,
    /// It did not for `lost_after`.
    Lost,
}

/// A device was lost or came back.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionReport {
    /// `PRESS-04.plc`
    pub name: String,
    /// `modbus_tcp`
    pub protocol: &'static str,
    /// Lost or good.
    pub state: ConnectionState,
    /// Since when.
    pub since: Stamp,
    /// The last good answer; `None` if there never was one.
    pub last_good: Option<UtcTime>,
    /// Why it is lost.
    pub error: Option<String>,
    /// How many tags are affected.
    pub affected_tags: u32,
}
