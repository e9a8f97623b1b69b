//! The part of `data` that is an event's own: one match over all kinds, which picks who renders it.

use super::cut::{Cut, Longest, Lost};
use super::gateway::{
    self, AlertOut, BirthOut, ClockChangedOut, ConfigOut, DeviceOut, HeartbeatOut,
};
use super::machine::{
    self, AlarmOut, CountedOut, DowntimeOut, IndicatorOut, IntervalOut, StateChangedOut,
};
use super::operation::{self, LimitOut, OperationOut, ProgressOut, ResultOut, SupersedesOut};
use super::part::{self, LoadedOut, PartScanOut, RejectedOut, ToolChangedOut};
use super::quality::{self, MeasuredOut};
use super::wire::{Text, text};
use crate::model::{Body, CorrectedReport, Event, OperationReport, ParameterReport};
use serde::Serialize;

/// The part of `data` that is the event's own.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Own<'a> {
    Operation(Box<WholeOut<'a>>),
    Pause(Box<PauseOut<'a>>),
    Progress(Box<ProgressOut<'a>>),
    Limit(LimitOut<'a>),
    Part(PartScanOut<'a>),
    Rejected(RejectedOut<'a>),
    Counted(Box<CountedOut<'a>>),
    Quality(MeasuredOut<'a>),
    State(Box<StateChangedOut<'a>>),
    Alarm(AlarmOut<'a>),
    Downtime(Box<DowntimeOut<'a>>),
    Interval(Box<IntervalOut<'a>>),
    Indicator(IndicatorOut<'a>),
    Tool(ToolChangedOut<'a>),
    Material(LoadedOut<'a>),
    Birth(BirthOut<'a>),
    Heartbeat(HeartbeatOut<'a>),
    Clock(ClockChangedOut<'a>),
    Device(DeviceOut<'a>),
    Config(ConfigOut<'a>),
    Delivery(AlertOut<'a>),
}

/// An operation with all that is known of it.
#[derive(Serialize)]
pub(super) struct WholeOut<'a> {
    operation: OperationOut<'a>,
    #[serde(flatten)]
    result: Option<ResultOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supersedes: Option<SupersedesOut>,
}

/// A pause of an operation, or its end, and why.
#[derive(Serialize)]
pub(super) struct PauseOut<'a> {
    operation: OperationOut<'a>,
    reason: Option<Text<'a>>,
}

/// What the event says, cut so hard.
pub(super) fn own<'a>(event: &'a Event, cut: Cut, lost: &Lost) -> Own<'a> {
    match &event.body {
        Body::OperationStarted(report)
        | Body::OperationIdentified(report)
        | Body::OperationCompleted(report)
        | Body::OperationAborted(report) => Own::Operation(whole(report, cut, lost)),
        Body::OperationPaused(report) | Body::OperationResumed(report) => {
            Own::Pause(pause(report, cut, lost))
        }
        Body::OperationProgress(report) => {
            Own::Progress(Box::new(operation::progress(report, cut, lost)))
        }
        Body::OperationCorrected(report) => Own::Operation(corrected(report, cut, lost)),
        Body::PartIdentified(report) => Own::Part(part::identified(report)),
        Body::ScanRejected(report) => Own::Rejected(part::rejected(report, lost)),
        Body::Counted(report) => Own::Counted(Box::new(machine::counted(report))),
        Body::LimitExceeded(report) => Own::Limit(operation::limit(report, false, cut, lost)),
        Body::LimitCleared(report) => Own::Limit(operation::limit(report, true, cut, lost)),
        Body::Quality(report) => Own::Quality(quality::measured(report, cut, lost)),
        Body::State(report) => Own::State(Box::new(machine::state(report, cut, lost))),
        Body::AlarmRaised(report) => Own::Alarm(machine::alarm(report, false)),
        Body::AlarmCleared(report) => Own::Alarm(machine::alarm(report, true)),
        Body::DowntimeClosed(report) | Body::DowntimeReclassified(report) => {
            Own::Downtime(Box::new(machine::downtime(report)))
        }
        Body::Interval(report) => Own::Interval(Box::new(machine::interval(report, cut, lost))),
        Body::Indicator(report) => Own::Indicator(machine::indicator(report)),
        Body::ToolChanged(report) => Own::Tool(part::changed(report)),
        Body::MaterialLoaded(report) => Own::Material(part::loaded(report)),
        Body::Birth(report) => Own::Birth(gateway::birth(event, report, cut, lost)),
        Body::Heartbeat(report) => Own::Heartbeat(gateway::heartbeat(event, report, cut, lost)),
        Body::Clock(report) => Own::Clock(gateway::clock_changed(report, cut, lost)),
        Body::Connection(report) => Own::Device(gateway::connection(report)),
        Body::Config(report) => Own::Config(gateway::config(report)),
        Body::Delivery(report) => Own::Delivery(gateway::delivery(report)),
    }
}

fn pause<'a>(report: &'a OperationReport, cut: Cut, lost: &Lost) -> Box<PauseOut<'a>> {
    Box::new(PauseOut {
        operation: operation::operation(report, cut, lost),
        reason: text(&report.reason),
    })
}

fn corrected<'a>(report: &'a CorrectedReport, cut: Cut, lost: &Lost) -> Box<WholeOut<'a>> {
    let mut whole = whole(&report.operation, cut, lost);
    whole.supersedes = Some(operation::supersedes(report));
    whole
}

fn whole<'a>(report: &'a OperationReport, cut: Cut, lost: &Lost) -> Box<WholeOut<'a>> {
    Box::new(WholeOut {
        operation: operation::operation(report, cut, lost),
        result: (report.ending.as_ref()).map(|ending| operation::result(ending, cut, lost)),
        supersedes: None,
    })
}

/// The longest profile and sequence of an event.
pub(super) fn longest(body: &Body) -> Longest {
    operation::longest(parameters(body))
}

fn parameters(body: &Body) -> &[ParameterReport] {
    let report = match body {
        Body::OperationProgress(report) => return &report.parameters,
        Body::OperationCorrected(report) => &report.operation,
        Body::OperationStarted(report)
        | Body::OperationIdentified(report)
        | Body::OperationPaused(report)
        | Body::OperationResumed(report)
        | Body::OperationCompleted(report)
        | Body::OperationAborted(report) => report,
        _ => return &[],
    };
    (report.ending.as_ref()).map_or(&[], |ending| &ending.parameters)
}
