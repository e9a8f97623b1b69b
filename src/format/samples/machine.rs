//! What machines and the gateway tell about themselves.

use super::after;
use crate::model::{
    AlarmReport, Birth, BootTime, ClockChange, ClockReport, ConfigReport, ConnectionReport,
    ConnectionState, CounterReport, DeliveryAlert, DeliveryAlertKind, DowntimeReport, EpochReason,
    Heartbeat, IdealShare, IndicatorReport, IntervalCounts, IntervalKind, IntervalReport, Level,
    Mode, Native, Position, Reason, ReasonSource, Reference, Severity, Stamp, State, StateReport,
    Value,
};
use uuid::Uuid;

pub(in crate::format) fn state() -> StateReport {
    StateReport {
        current: State::Faulted,
        previous: Some(State::Running),
        previous_duration_s: Some(322.1),
        mode: Mode::Production,
        previous_mode: Some(Mode::Production),
        substate: None,
        native: vec![
            Native {
                tag: "status".into(),
                value: Some(Value::Int(160)),
            },
            Native {
                tag: "fault".into(),
                value: None,
            },
        ],
        reason: Some(Reason::plain("17", ReasonSource::Plc)),
        downtime: None,
        active_operation: Some(Uuid::from_u128(7)),
        since: after(0.0),
    }
}

pub(in crate::format) fn counter() -> CounterReport {
    CounterReport {
        name: "strokes".into(),
        counts: "cycles",
        book: false,
        delta: 5,
        delta_max: None,
        total: 1_804_463,
        raw_from: 65_534,
        raw_to: 3,
        modulus: Some(65_536),
        wraps: 1,
        resets: 0,
        ambiguous: false,
        from: after(0.0),
        to: after(60.0),
        order: None,
        product: None,
        shift: None,
        operation: None,
    }
}

pub(in crate::format) fn connection() -> ConnectionReport {
    ConnectionReport {
        name: "PRESS-04.plc".into(),
        protocol: "modbus_tcp",
        state: ConnectionState::Lost,
        since: Stamp {
            boot: BootTime(5),
            utc: after(0.0),
        },
        last_good: Some(after(-2.0)),
        error: Some("no answer in 500 ms".into()),
        affected_tags: 41,
    }
}

pub(in crate::format) fn birth() -> Birth {
    Birth {
        version: "0.1.0",
        last: Some(Position { epoch: 3, seq: 9 }),
        boot_id: "4b0a6a52-91a5-4b47-8d3c-2f3f4f6f7f8f".into(),
        open_operations: vec![Uuid::from_u128(7)],
        new_epoch: Some(EpochReason::HeadDamaged),
    }
}

pub(in crate::format) fn reason() -> Reason {
    Reason {
        code: "E1042".into(),
        native: Some("17".into()),
        catalogue: Some("acme-downtime".into()),
        catalogue_version: Some("12".into()),
        text: Some("Hydraulic oil temperature high".into()),
        planned: Some(false),
        source: ReasonSource::Plc,
    }
}

pub(in crate::format) fn downtime() -> DowntimeReport {
    DowntimeReport {
        id: Uuid::from_u128(0xc0a8_e1f2_2b1d_5e0a_8a11_0000_0000_00d7),
        segment: 1,
        last: true,
        from: after(0.0),
        to: after(670.02),
        duration_s: Some(670.02),
        unknown_s: Some(0.0),
        end_uncertainty_s: None,
        micro_stop: false,
        state: State::Faulted,
        substate: None,
        mode: Mode::Production,
        reason: Some(reason()),
        previous_reason: None,
        first_alarm: Some("E1042".into()),
        order: Some(Reference {
            id: "WO-100482".into(),
            source: "barcode".into(),
        }),
        shift: Some("2026-11-22/early".into()),
    }
}

pub(in crate::format) fn alarm() -> AlarmReport {
    AlarmReport {
        name: "oil_hot".into(),
        code: "E1042".into(),
        text: Some("Hydraulic oil temperature high".into()),
        severity: Severity::High,
        raised_at: after(-12.0),
        stood_s: Some(12.0),
        untold: 0,
        active_operation: None,
    }
}

pub(in crate::format) fn interval() -> Box<IntervalReport> {
    Box::new(IntervalReport {
        kind: IntervalKind::Period,
        id: "2026-11-22T09:00:00Z".into(),
        from: after(-842.31),
        to: after(57.69),
        duration_s: Some(900.0),
        durations: vec![
            (State::Running, Mode::Production, 720.1),
            (State::Idle, Mode::Production, 179.9),
        ],
        planned_s: Some(900.0),
        counts: IntervalCounts {
            cycles: 25,
            total: 25,
            good: 24,
            reject: 1,
            ..IntervalCounts::default()
        },
        ideal: vec![IdealShare {
            product: Some("BRACKET".into()),
            cycle_s: Some(34.0),
            pieces: 25,
        }],
        calendar: Some("presshop".into()),
        shift: Some("2026-11-22/early".into()),
        order: None,
        flags: Vec::new(),
    })
}

pub(in crate::format) fn indicator() -> IndicatorReport {
    IndicatorReport {
        name: "bearing_1".into(),
        unit: Some("mm/s".into()),
        value: Some(4.8),
        baseline: Some(2.1),
        trend_per_day: Some(0.11),
        warn: Some(4.5),
        alarm: Some(7.1),
        level: Level::Warn,
        window_s: 604_800.0,
        covered_s: 320_400.0,
    }
}

pub(in crate::format) fn heartbeat() -> Heartbeat {
    Heartbeat {
        version: "0.1.0",
        last: Some(Position { epoch: 3, seq: 9 }),
        boot_id: birth().boot_id,
        up_s: 7_500.0,
        open_operations: vec![Uuid::from_u128(7)],
    }
}

pub(in crate::format) fn clock_step() -> ClockReport {
    ClockReport {
        kind: ClockChange::Step,
        delta_s: Some(-3.217),
        boot_id: birth().boot_id,
        anchor: Stamp {
            boot: BootTime(12_345_678_900_000),
            utc: after(0.0),
        },
        open_operations: vec![Uuid::from_u128(7)],
    }
}

pub(in crate::format) fn config() -> ConfigReport {
    ConfigReport {
        before: Some("sha256:1111111111111111".into()),
        after: "sha256:5d2c5d2c5d2c5d2c".into(),
    }
}

pub(in crate::format) fn alert() -> DeliveryAlert {
    DeliveryAlert {
        destination: Some("mes".into()),
        kind: DeliveryAlertKind::Paused,
        count: 1,
        oldest: None,
        last_code: None,
        detail: Some("401 Unauthorized: check the token".into()),
        buffer_used_fraction: None,
        dropped: None,
    }
}
