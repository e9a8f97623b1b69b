//! What the gateway's own events say: birth, life, clock, devices, settings, delivery.

use super::cut::{Cut, Lost, Part};
use super::wire::{Shown, Text, Time, fraction, maybe, seconds, text};
use crate::model::{
    Birth, ClockChange, ClockReport, ConfigReport, ConnectionReport, ConnectionState,
    DeliveryAlert, EpochReason, Event, Heartbeat, Position,
};
use serde::Serialize;
use uuid::Uuid;

/// `gateway.birth`
#[derive(Serialize)]
pub(super) struct BirthOut<'a> {
    birth: BornOut<'a>,
}

#[derive(Serialize)]
struct BornOut<'a> {
    #[serde(flatten)]
    life: LifeOut<'a>,
    new_epoch: Option<&'static str>,
}

/// `gateway.heartbeat`
#[derive(Serialize)]
pub(super) struct HeartbeatOut<'a> {
    heartbeat: BeatOut<'a>,
}

#[derive(Serialize)]
struct LifeOut<'a> {
    version: &'static str,
    epoch: u32,
    run: Uuid,
    last_sequence: Option<Shown<Position>>,
    boot_id: Text<'a>,
    open_operations: &'a [Uuid],
}

#[derive(Serialize)]
struct BeatOut<'a> {
    #[serde(flatten)]
    life: LifeOut<'a>,
    up_s: Option<f64>,
}

/// The start of a run.
pub(super) fn birth<'a>(event: &Event, report: &'a Birth, cut: Cut, lost: &Lost) -> BirthOut<'a> {
    let life = LifeOut {
        version: report.version,
        epoch: event.position.epoch,
        run: event.run,
        last_sequence: report.last.map(Shown),
        boot_id: Text(&report.boot_id),
        open_operations: cut.list(&report.open_operations, lost, Part::OpenOperations),
    };
    let new_epoch = report.new_epoch.map(EpochReason::word);
    BirthOut {
        birth: BornOut { life, new_epoch },
    }
}

/// A sign of life.
pub(super) fn heartbeat<'a>(
    event: &Event,
    report: &'a Heartbeat,
    cut: Cut,
    lost: &Lost,
) -> HeartbeatOut<'a> {
    HeartbeatOut {
        heartbeat: BeatOut {
            life: LifeOut {
                version: report.version,
                epoch: event.position.epoch,
                run: event.run,
                last_sequence: report.last.map(Shown),
                boot_id: Text(&report.boot_id),
                open_operations: cut.list(&report.open_operations, lost, Part::OpenOperations),
            },
            up_s: seconds(Some(report.up_s)),
        },
    }
}

/// `gateway.clock.changed`
#[derive(Serialize)]
pub(super) struct ClockChangedOut<'a> {
    change: ChangeOut<'a>,
}

#[derive(Serialize)]
struct ChangeOut<'a> {
    kind: &'static str,
    delta_s: Option<f64>,
    detected_by: &'static str,
    boot_id: Text<'a>,
    anchor: AnchorOut,
    open_operations: &'a [Uuid],
}

/// One instant on both clocks.
#[derive(Serialize)]
struct AnchorOut {
    boot_s: f64,
    utc: Time,
}

/// What happened to the wall clock.
pub(super) fn clock_changed<'a>(
    report: &'a ClockReport,
    cut: Cut,
    lost: &Lost,
) -> ClockChangedOut<'a> {
    ClockChangedOut {
        change: ChangeOut {
            kind: report.kind.word(),
            delta_s: maybe(report.delta_s),
            detected_by: match report.kind {
                ClockChange::Step => "boottime-vs-realtime",
                ClockChange::Synchronised | ClockChange::Lost => "clock-discipline",
            },
            boot_id: Text(&report.boot_id),
            anchor: AnchorOut {
                boot_s: report.anchor.boot.0 as f64 / 1e9,
                utc: Time(report.anchor.utc),
            },
            open_operations: cut.list(&report.open_operations, lost, Part::OpenOperations),
        },
    }
}

/// `gateway.device.state`
#[derive(Serialize)]
pub(super) struct DeviceOut<'a> {
    connection: ConnectionOut<'a>,
}

#[derive(Serialize)]
struct ConnectionOut<'a> {
    name: Text<'a>,
    protocol: &'static str,
    state: &'static str,
    since: Time,
    last_good: Option<Time>,
    error: Option<Text<'a>>,
    affected_tags: u32,
}

/// A device that was lost or came back.
pub(super) fn connection(report: &ConnectionReport) -> DeviceOut<'_> {
    DeviceOut {
        connection: ConnectionOut {
            name: Text(&report.name),
            protocol: report.protocol,
            state: match report.state {
                ConnectionState::Good => "good",
                ConnectionState::Lost => "lost",
            },
            since: Time(report.since.utc),
            last_good: report.last_good.map(Time),
            error: text(&report.error),
            affected_tags: report.affected_tags,
        },
    }
}

/// `gateway.config.activated`
#[derive(Serialize)]
pub(super) struct ConfigOut<'a> {
    config: DigestsOut<'a>,
}

#[derive(Serialize)]
struct DigestsOut<'a> {
    before: Option<Text<'a>>,
    after: Text<'a>,
}

/// Other settings than before.
pub(super) fn config(report: &ConfigReport) -> ConfigOut<'_> {
    ConfigOut {
        config: DigestsOut {
            before: text(&report.before),
            after: Text(&report.after),
        },
    }
}

/// `gateway.delivery.alert`
#[derive(Serialize)]
pub(super) struct AlertOut<'a> {
    delivery: DeliveryOut<'a>,
}

#[derive(Serialize)]
struct DeliveryOut<'a> {
    destination: Option<Text<'a>>,
    kind: &'static str,
    count: u64,
    oldest: Option<Time>,
    last_code: Option<Text<'a>>,
    detail: Option<Text<'a>>,
    buffer_used_fraction: Option<f64>,
    dropped: Option<RangeOut>,
}

/// First and last position of what was dropped, and why.
#[derive(Serialize)]
struct RangeOut {
    from: Shown<Position>,
    to: Shown<Position>,
    reason: &'static str,
}

/// Something about delivery that somebody must look at.
pub(super) fn delivery(report: &DeliveryAlert) -> AlertOut<'_> {
    AlertOut {
        delivery: DeliveryOut {
            destination: text(&report.destination),
            kind: report.kind.word(),
            count: report.count,
            oldest: report.oldest.map(Time),
            last_code: text(&report.last_code),
            detail: text(&report.detail),
            buffer_used_fraction: fraction(report.buffer_used_fraction),
            dropped: report.dropped.as_ref().map(|dropped| RangeOut {
                from: Shown(dropped.from),
                to: Shown(dropped.to),
                reason: dropped.reason.word(),
            }),
        },
    }
}
