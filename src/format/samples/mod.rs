//! Events of every kind for the tests of this module: an ordinary plant's, and the extremes of what may come.

mod extreme;
mod machine;
mod operation;

pub(super) use extreme::{extreme, huge_profiles};
pub(super) use machine::*;
pub(super) use operation::*;

use super::Renderer;
use crate::model::{Body, ClockQuality, ClockSource, Event, Position, Scope, UtcTime};
use crate::settings::{Plant, shape};
use uuid::Uuid;

/// 2026-11-22T09:14:02.310Z
pub(in crate::format) const START: i64 = 1_795_338_842_310_000_000;
/// A text with all that JSON must escape.
pub(in crate::format) const ODD: &str = "a\u{0}\u{1b}[31m\"\\/\n\u{7f}\u{2028}ü\u{1f527}";

pub(in crate::format) fn plant() -> Plant {
    Plant {
        gateway: shape::Gateway {
            id: "plant1-press-gw07".into(),
            path: vec!["ACME".into(), "PLANT1".into(), "PRESSHOP".into()],
        },
        machines: Vec::new(),
        devices: Vec::new(),
        tags: Vec::new(),
        calendars: indexmap::IndexMap::new(),
        buffer: shape::Buffer::default(),
        control: shape::Control::default(),
        uplinks: Vec::new(),
        shadow: false,
        digest: "sha256:5d2c5d2c5d2c5d2c".into(),
    }
}

pub(in crate::format) fn renderer() -> Renderer {
    Renderer::new(&plant())
}

pub(in crate::format) fn after(seconds: f64) -> UtcTime {
    UtcTime(START + (seconds * 1e9) as i64)
}

pub(in crate::format) fn event(body: Body) -> Event {
    let name = body.kind().name();
    let slot = ["operation.", "parameter.", "quality."];
    let scope = if name.starts_with("gateway.") {
        Scope::Gateway
    } else {
        Scope::Equipment {
            id: "PRESS-04".into(),
            slot: (slot.iter().any(|one| name.starts_with(one))).then(|| "1".into()),
        }
    };
    let causation = match &body {
        Body::OperationCorrected(report) => Some(report.supersedes),
        _ => None,
    };
    Event {
        position: Position {
            epoch: 3,
            seq: 184_219,
        },
        run: Uuid::from_u128(0x5f2c_1e0a_6b1d_4c55_9d0e_0a7b_3f1c_2d44),
        scope,
        time: after(0.0),
        correlation: None,
        causation,
        clock: ClockQuality {
            source: ClockSource::Ntp,
            synchronised: true,
            max_error_s: Some(0.000_41),
        },
        body,
    }
}

/// One event of every kind, as a plant sends them, in the order of the catalogue.
pub(super) fn ordinary() -> Vec<Event> {
    [
        Body::OperationStarted(operation(None)),
        Body::OperationIdentified(identified(None)),
        Body::OperationPaused(paused()),
        Body::OperationResumed(paused()),
        Body::OperationProgress(progress()),
        Body::OperationCompleted(identified(Some(full_ending()))),
        Body::OperationAborted(operation(Some(aborted()))),
        Body::OperationCorrected(corrected()),
        Body::PartIdentified(scanned()),
        Body::ScanRejected(rejected()),
        Body::Counted(counter()),
        Body::LimitExceeded(limit()),
        Body::LimitCleared(limit()),
        Body::Quality(measurement()),
        Body::State(state()),
        Body::AlarmRaised(alarm()),
        Body::AlarmCleared(alarm()),
        Body::DowntimeClosed(downtime()),
        Body::DowntimeReclassified(downtime()),
        Body::Interval(interval()),
        Body::Indicator(indicator()),
        Body::ToolChanged(tool_changed()),
        Body::MaterialLoaded(loaded()),
        Body::Birth(birth()),
        Body::Heartbeat(heartbeat()),
        Body::Clock(clock_step()),
        Body::Connection(connection()),
        Body::Config(config()),
        Body::Delivery(alert()),
    ]
    .map(event)
    .into()
}
