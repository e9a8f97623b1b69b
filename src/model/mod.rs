//! The values that travel between the stages: stamps, samples, events and the turns that carry them to the disk.
//!
//! Floor 0: plain data, no tokio, no files, no JSON. Every stage uses it; it uses nothing.

mod envelope;
mod equipment;
mod event;
mod gateway;
pub mod gs1;
mod identity;
mod operation;
mod parameter;
mod parked;
mod part;
mod sample;
mod stamp;
mod turn;

pub use envelope::Envelope;
pub use equipment::{
    AlarmReport, CounterReport, DowntimeReport, IdealShare, IndicatorReport, IntervalCounts,
    IntervalKind, IntervalReport, Level, Mode, Native, Reason, ReasonSource, Severity, State,
    StateReport,
};
pub use event::{Body, Class, Event, EventKind, Scope};
pub use gateway::{
    Birth, ClockChange, ClockReport, ConfigReport, ConnectionReport, ConnectionState,
    DeliveryAlert, DeliveryAlertKind, DropNotice, DropReason, EpochReason, Heartbeat,
};
pub use identity::{DeviceId, Position, TagId, UplinkId};
pub use operation::{
    CharacteristicResult, CorrectedReport, Counts, EndCause, Ending, Flag, LimitReport,
    OperationReport, Outcome, PURPOSES, ProgressReport, QualityReport, Reference, Side, Verdict,
    Word,
};
pub use parameter::{
    Coverage, DataQuality, Interpolation, LimitsUsed, PERCENTILE_METHODS, ParameterReport,
    ProfileReport, SampleCounts, SequenceReport, Statistics,
};
pub use parked::{MAX_PARKED_GROUPS, ParkClass, ParkedGroup};
pub use part::{
    MAX_PART_ID, Material, MaterialReport, MaterialUse, Part, PartKind, PartScan, PartSource,
    RejectedScan, ScanRejection, Tool, ToolReport,
};
pub use sample::{BadReason, Batch, Content, LinkError, Quality, Sample, Value, ValueKind};
pub use stamp::{BootTime, ClockQuality, ClockSource, Stamp, UtcTime};
pub use turn::{CheckpointEntry, Restored, Turn};
