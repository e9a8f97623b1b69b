//! The values that travel between the stages: stamps, samples, events and the turns that carry them to the disk.
//!
//! Floor 0: plain data, no tokio, no files, no JSON. Every stage uses it; it uses nothing.

mod envelope;
mod event;
pub mod gs1;
mod identity;
mod operation;
mod sample;
mod stamp;
mod turn;

pub use envelope::Envelope;
pub use event::{
    Birth, Body, Class, ConnectionReport, ConnectionState, CounterReport, Event, EventKind, Mode,
    Native, Scope, State, StateReport,
};
pub use identity::{DeviceId, Position, TagId, UplinkId};
pub use operation::{
    CharacteristicResult, Counts, Coverage, DataQuality, EndCause, Ending, Flag, Interpolation,
    LimitsUsed, OperationReport, Outcome, ParameterReport, ProfileReport, Reference, SampleCounts,
    Statistics, Verdict,
};
pub use sample::{BadReason, Batch, Content, LinkError, Quality, Sample, Value, ValueKind};
pub use stamp::{BootTime, ClockQuality, ClockSource, Stamp, UtcTime};
pub use turn::{CheckpointEntry, Restored, Turn};
