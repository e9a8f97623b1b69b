//! An event: something the MES should know, with everything needed to say it. Rendered by `format`, once.

use super::{
    AlarmReport, Birth, ClockQuality, ClockReport, ConfigReport, ConnectionReport, CorrectedReport,
    CounterReport, DeliveryAlert, DowntimeReport, Heartbeat, IndicatorReport, IntervalReport,
    LimitReport, MaterialReport, OperationReport, PartScan, Position, ProgressReport,
    QualityReport, RejectedScan, StateReport, ToolReport, UtcTime,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// An operation began.
    OperationStarted,
    /// Part, order or product of an open operation was learnt or changed.
    OperationIdentified,
    /// An operation is paused.
    OperationPaused,
    /// An operation goes on.
    OperationResumed,
    /// How an open operation goes.
    OperationProgress,
    /// An operation ended as it should.
    OperationCompleted,
    /// An operation was broken off.
    OperationAborted,
    /// Something about an ended operation was learnt late.
    OperationCorrected,
    /// A part was scanned.
    PartIdentified,
    /// A scan was refused, or came to nothing.
    PartScanRejected,
    /// A counter rose.
    ProductionCounted,
    /// A parameter left its limits.
    LimitExceeded,
    /// It is inside again.
    LimitCleared,
    /// Something was measured.
    QualityResult,
    /// State, mode, substate or reason of an equipment changed.
    EquipmentStateChanged,
    /// The machine raised an alarm.
    AlarmRaised,
    /// The machine took an alarm back.
    AlarmCleared,
    /// A stop, or a segment of it, ended.
    DowntimeClosed,
    /// The reason of a stop was learnt late.
    DowntimeReclassified,
    /// An interval ended.
    PerformanceInterval,
    /// How something wears.
    MaintenanceIndicator,
    /// Another tool is in use.
    ToolChanged,
    /// Another lot of a material is in use.
    MaterialLoaded,
    /// The gateway started.
    GatewayBirth,
    /// The gateway lives.
    GatewayHeartbeat,
    /// The wall clock stepped, was synchronised or lost.
    GatewayClockChanged,
    /// A device was lost or came back.
    GatewayDeviceState,
    /// The gateway runs with other settings than before.
    GatewayConfigActivated,
    /// Delivery needs somebody.
    GatewayDeliveryAlert,
}

impl EventKind {
    /// Every kind, in the order of the catalogue.
    pub const ALL: [EventKind; 29] = [
        EventKind::OperationStarted,
        EventKind::OperationIdentified,
        EventKind::OperationPaused,
        EventKind::OperationResumed,
        EventKind::OperationProgress,
        EventKind::OperationCompleted,
        EventKind::OperationAborted,
        EventKind::OperationCorrected,
        EventKind::PartIdentified,
        EventKind::PartScanRejected,
        EventKind::ProductionCounted,
        EventKind::LimitExceeded,
        EventKind::LimitCleared,
        EventKind::QualityResult,
        EventKind::EquipmentStateChanged,
        EventKind::AlarmRaised,
        EventKind::AlarmCleared,
        EventKind::DowntimeClosed,
        EventKind::DowntimeReclassified,
        EventKind::PerformanceInterval,
        EventKind::MaintenanceIndicator,
        EventKind::ToolChanged,
        EventKind::MaterialLoaded,
        EventKind::GatewayBirth,
        EventKind::GatewayHeartbeat,
        EventKind::GatewayClockChanged,
        EventKind::GatewayDeviceState,
        EventKind::GatewayConfigActivated,
        EventKind::GatewayDeliveryAlert,
    ];

    /// The short name, as in topics and in `events:` of an uplink.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::OperationStarted => "operation.started",
            EventKind::OperationIdentified => "operation.identified",
            EventKind::OperationPaused => "operation.paused",
            EventKind::OperationResumed => "operation.resumed",
            EventKind::OperationProgress => "operation.progress",
            EventKind::OperationCompleted => "operation.completed",
            EventKind::OperationAborted => "operation.aborted",
            EventKind::OperationCorrected => "operation.corrected",
            EventKind::PartIdentified => "part.identified",
            EventKind::PartScanRejected => "part.scan.rejected",
            EventKind::ProductionCounted => "production.counted",
            EventKind::LimitExceeded => "parameter.limit.exceeded",
            EventKind::LimitCleared => "parameter.limit.cleared",
            EventKind::QualityResult => "quality.result",
            EventKind::EquipmentStateChanged => "equipment.state.changed",
            EventKind::AlarmRaised => "equipment.alarm.raised",
            EventKind::AlarmCleared => "equipment.alarm.cleared",
            EventKind::DowntimeClosed => "equipment.downtime.closed",
            EventKind::DowntimeReclassified => "equipment.downtime.reclassified",
            EventKind::PerformanceInterval => "equipment.performance.interval",
            EventKind::MaintenanceIndicator => "maintenance.indicator",
            EventKind::ToolChanged => "tool.changed",
            EventKind::MaterialLoaded => "material.loaded",
            EventKind::GatewayBirth => "gateway.birth",
            EventKind::GatewayHeartbeat => "gateway.heartbeat",
            EventKind::GatewayClockChanged => "gateway.clock.changed",
            EventKind::GatewayDeviceState => "gateway.device.state",
            EventKind::GatewayConfigActivated => "gateway.config.activated",
            EventKind::GatewayDeliveryAlert => "gateway.delivery.alert",
        }
    }

    /// True for what must be on disk at once: `operation.*` but progress, `quality.*`, `part.*`. The rest waits at most 200 ms.
    #[must_use]
    pub fn urgent(self) -> bool {
        matches!(
            self,
            EventKind::OperationStarted
                | EventKind::OperationIdentified
                | EventKind::OperationPaused
                | EventKind::OperationResumed
                | EventKind::OperationCompleted
                | EventKind::OperationAborted
                | EventKind::OperationCorrected
                | EventKind::PartIdentified
                | EventKind::PartScanRejected
                | EventKind::QualityResult
        )
    }
}

/// Whether a full buffer may drop an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// May be evicted: heartbeats, progress, intervals, indicators, and counts that are not booked.
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
    /// The event that it answers or replaces.
    pub causation: Option<Uuid>,
    /// The trust in its UTC times.
    pub clock: ClockQuality,
    /// What it says.
    pub body: Body,
}

impl Event {
    /// What the event tells.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.body.kind()
    }

    /// Whether a full buffer may drop it.
    #[must_use]
    pub fn class(&self) -> Class {
        match &self.body {
            Body::Counted(counter) if !counter.book => Class::Passing,
            Body::OperationProgress(_)
            | Body::Interval(_)
            | Body::Indicator(_)
            | Body::Heartbeat(_) => Class::Passing,
            _ => Class::Lasting,
        }
    }
}

/// The part of an event that is its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `operation.started`
    OperationStarted(Box<OperationReport>),
    /// `operation.identified`
    OperationIdentified(Box<OperationReport>),
    /// `operation.paused`
    OperationPaused(Box<OperationReport>),
    /// `operation.resumed`
    OperationResumed(Box<OperationReport>),
    /// `operation.progress`
    OperationProgress(Box<ProgressReport>),
    /// `operation.completed`
    OperationCompleted(Box<OperationReport>),
    /// `operation.aborted`
    OperationAborted(Box<OperationReport>),
    /// `operation.corrected`
    OperationCorrected(Box<CorrectedReport>),
    /// `part.identified`
    PartIdentified(PartScan),
    /// `part.scan.rejected`
    ScanRejected(RejectedScan),
    /// `production.counted`
    Counted(CounterReport),
    /// `parameter.limit.exceeded`
    LimitExceeded(LimitReport),
    /// `parameter.limit.cleared`
    LimitCleared(LimitReport),
    /// `quality.result`
    Quality(QualityReport),
    /// `equipment.state.changed`
    State(StateReport),
    /// `equipment.alarm.raised`
    AlarmRaised(AlarmReport),
    /// `equipment.alarm.cleared`
    AlarmCleared(AlarmReport),
    /// `equipment.downtime.closed`
    DowntimeClosed(DowntimeReport),
    /// `equipment.downtime.reclassified`
    DowntimeReclassified(DowntimeReport),
    /// `equipment.performance.interval`
    Interval(Box<IntervalReport>),
    /// `maintenance.indicator`
    Indicator(IndicatorReport),
    /// `tool.changed`
    ToolChanged(ToolReport),
    /// `material.loaded`
    MaterialLoaded(MaterialReport),
    /// `gateway.birth`
    Birth(Birth),
    /// `gateway.heartbeat`
    Heartbeat(Heartbeat),
    /// `gateway.clock.changed`
    Clock(ClockReport),
    /// `gateway.device.state`
    Connection(ConnectionReport),
    /// `gateway.config.activated`
    Config(ConfigReport),
    /// `gateway.delivery.alert`
    Delivery(DeliveryAlert),
}

impl Body {
    /// What it tells.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Body::OperationStarted(_) => EventKind::OperationStarted,
            Body::OperationIdentified(_) => EventKind::OperationIdentified,
            Body::OperationPaused(_) => EventKind::OperationPaused,
            Body::OperationResumed(_) => EventKind::OperationResumed,
            Body::OperationProgress(_) => EventKind::OperationProgress,
            Body::OperationCompleted(_) => EventKind::OperationCompleted,
            Body::OperationAborted(_) => EventKind::OperationAborted,
            Body::OperationCorrected(_) => EventKind::OperationCorrected,
            Body::PartIdentified(_) => EventKind::PartIdentified,
            Body::ScanRejected(_) => EventKind::PartScanRejected,
            Body::Counted(_) => EventKind::ProductionCounted,
            Body::LimitExceeded(_) => EventKind::LimitExceeded,
            Body::LimitCleared(_) => EventKind::LimitCleared,
            Body::Quality(_) => EventKind::QualityResult,
            Body::State(_) => EventKind::EquipmentStateChanged,
            Body::AlarmRaised(_) => EventKind::AlarmRaised,
            Body::AlarmCleared(_) => EventKind::AlarmCleared,
            Body::DowntimeClosed(_) => EventKind::DowntimeClosed,
            Body::DowntimeReclassified(_) => EventKind::DowntimeReclassified,
            Body::Interval(_) => EventKind::PerformanceInterval,
            Body::Indicator(_) => EventKind::MaintenanceIndicator,
            Body::ToolChanged(_) => EventKind::ToolChanged,
            Body::MaterialLoaded(_) => EventKind::MaterialLoaded,
            Body::Birth(_) => EventKind::GatewayBirth,
            Body::Heartbeat(_) => EventKind::GatewayHeartbeat,
            Body::Clock(_) => EventKind::GatewayClockChanged,
            Body::Connection(_) => EventKind::GatewayDeviceState,
            Body::Config(_) => EventKind::GatewayConfigActivated,
            Body::Delivery(_) => EventKind::GatewayDeliveryAlert,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BootTime, Stamp};

    fn event(body: Body) -> Event {
        Event {
            position: Position::default(),
            run: Uuid::nil(),
            scope: Scope::Gateway,
            time: UtcTime(0),
            correlation: None,
            causation: None,
            clock: ClockQuality::default(),
            body,
        }
    }

    #[test]
    fn names_are_unique_and_in_the_form_of_topics() {
        for (at, kind) in EventKind::ALL.iter().enumerate() {
            let name = kind.name();
            assert!(
                name.split('.')
                    .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase()))
            );
            let earlier = EventKind::ALL.iter().take(at);
            assert!(earlier.clone().all(|other| other.name() != name), "{name}");
        }
    }

    #[test]
    fn what_a_mes_books_by_is_on_disk_at_once() {
        for kind in EventKind::ALL {
            let group = ["operation.", "part.", "quality."];
            let belongs = group.iter().any(|group| kind.name().starts_with(group));
            let expected = belongs && kind != EventKind::OperationProgress;
            assert_eq!(kind.urgent(), expected, "{}", kind.name());
        }
    }

    #[test]
    fn a_sign_of_life_may_be_evicted_and_a_lost_device_may_not() {
        let heartbeat = Body::Heartbeat(Heartbeat {
            version: "0",
            last: None,
            boot_id: String::new(),
            up_s: 0.0,
            open_operations: Vec::new(),
        });
        assert_eq!(event(heartbeat).class(), Class::Passing);
        let lost = Body::Connection(ConnectionReport {
            name: "PRESS-04.plc".into(),
            protocol: "modbus_tcp",
            state: crate::model::ConnectionState::Lost,
            since: Stamp {
                boot: BootTime(0),
                utc: UtcTime(0),
            },
            last_good: None,
            error: None,
            affected_tags: 1,
        });
        assert_eq!(event(lost).class(), Class::Lasting);
    }
}
