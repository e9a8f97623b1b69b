//! Events of every kind for the tests of this module: an ordinary plant's, and the extremes of what may come.

use super::Renderer;
use crate::model::{
    Birth, Body, BootTime, CharacteristicResult, ClockQuality, ClockSource, ConnectionReport,
    ConnectionState, CounterReport, Counts, Coverage, DataQuality, EndCause, Ending, Event, Flag,
    Interpolation, LimitsUsed, Mode, Native, OperationReport, Outcome, ParameterReport, Position,
    ProfileReport, Reason, ReasonSource, Reference, SampleCounts, Scope, Stamp, State, StateReport,
    Statistics, UtcTime, Value, Verdict,
};
use crate::settings::{Plant, shape};
use uuid::Uuid;

/// 2026-11-22T09:14:02.310Z
pub(super) const START: i64 = 1_795_338_842_310_000_000;
/// A text with all that JSON must escape.
pub(super) const ODD: &str = "a\u{0}\u{1b}[31m\"\\/\n\u{7f}\u{2028}ü\u{1f527}";

pub(super) fn plant() -> Plant {
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
        uplinks: Vec::new(),
        shadow: false,
        digest: "sha256:5d2c5d2c5d2c5d2c".into(),
    }
}

pub(super) fn renderer() -> Renderer {
    Renderer::new(&plant())
}

pub(super) fn after(seconds: f64) -> UtcTime {
    UtcTime(START + (seconds * 1e9) as i64)
}

pub(super) fn event(body: Body) -> Event {
    let scope = match &body {
        Body::Birth(_) | Body::Connection(_) => Scope::Gateway,
        body => Scope::Equipment {
            id: "PRESS-04".into(),
            slot: matches!(
                body,
                Body::OperationStarted(_) | Body::OperationCompleted(_) | Body::OperationAborted(_)
            )
            .then(|| "1".into()),
        },
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
        causation: None,
        clock: ClockQuality {
            source: ClockSource::Ntp,
            synchronised: true,
            max_error_s: Some(0.000_41),
        },
        body,
    }
}

pub(super) fn operation(ending: Option<Ending>) -> Box<OperationReport> {
    Box::new(OperationReport {
        id: Uuid::from_u128(0xb7f7_d1a2_0b3e_5c11_8f52_0000_0000_a001),
        ordinal: 17,
        name: "form".into(),
        segment: Some("0020".into()),
        order: Some(Reference {
            id: "WO-100482".into(),
            source: "plc".into(),
        }),
        product: None,
        lot: None,
        program: None,
        purpose: "production",
        shift: None,
        operator: None,
        parts: Vec::new(),
        reason: None,
        mode_at_start: Mode::Production,
        started_at: after(0.0),
        flags: Vec::new(),
        revision: 0,
        ending,
    })
}

pub(super) fn ending() -> Ending {
    Ending {
        ended_at: after(3.52),
        duration_s: Some(3.52),
        active_s: Some(3.52),
        paused_s: Some(0.0),
        outcome: Outcome::Completed,
        end_cause: EndCause::Trigger,
        abort_reason: None,
        recovered: false,
        end_uncertainty_s: None,
        parameters: vec![parameter(200)],
        quality: vec![characteristic(Verdict::Fail)],
        verdict: Verdict::Fail,
        counts: Counts {
            book: true,
            cycles: 1,
            reject: Some(1),
            ..Counts::default()
        },
        tools: Vec::new(),
        materials: Vec::new(),
        data_quality: DataQuality {
            samples_expected: Some(352),
            samples_received: 352,
            good_fraction: Some(1.0),
            gap_fraction: Some(0.0),
            longest_gap_s: 0.0,
            connection_losses: 0,
            clock_stepped: false,
            late_samples: 0,
        },
    }
}

pub(super) fn parameter(points: u32) -> ParameterReport {
    ParameterReport {
        name: "forming_pressure".into(),
        unit: Some("bar".into()),
        interpolation: Interpolation::Linear,
        samples: SampleCounts {
            count: 352,
            good: 352,
            expected: Some(352),
            ..SampleCounts::default()
        },
        stats: Statistics {
            first: Some(11.2),
            last: Some(14.0),
            min: Some((11.2, 0.0)),
            max: Some((251.4, 1.241)),
            mean: Some(186.9),
            stddev: Some(44.8),
            time_weighted_mean: Some(187.03),
            integral: Some(658.34),
            duration_s: None,
            percentiles: vec![(5.0, Some(12.9)), (50.0, Some(201.1)), (99.9, Some(251.0))],
            percentile_method: Some("exact"),
        },
        coverage: Coverage {
            good_fraction: Some(1.0),
            gap_fraction: Some(0.0),
            longest_gap_s: 0.0,
        },
        limits: Some(LimitsUsed {
            statistic: "max".into(),
            low: Some(235.0),
            target: Some(242.0),
            high: Some(250.0),
            version: Some("7".into()),
        }),
        profile: Some(ProfileReport {
            max_points: points,
            source_points: 352,
            t: (0..points).map(|i| f64::from(i) / 100.0).collect(),
            v: (0..points)
                .map(|i| (f64::from(i) * 0.1).sin() * 123.456)
                .collect(),
        }),
        sequence: None,
    }
}

pub(super) fn characteristic(verdict: Verdict) -> CharacteristicResult {
    CharacteristicResult {
        id: "0020-10".into(),
        characteristic: "forming_pressure.max".into(),
        value: Some(251.4),
        unit: Some("bar".into()),
        low: Some(235.0),
        target: Some(242.0),
        high: Some(250.0),
        limits_version: Some("7".into()),
        verdict,
        measured_at: after(1.241),
    }
}

pub(super) fn state() -> StateReport {
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

pub(super) fn counter() -> CounterReport {
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
        shift: None,
        operation: None,
    }
}

pub(super) fn connection() -> ConnectionReport {
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

pub(super) fn birth() -> Birth {
    Birth {
        version: "0.1.0",
        last: Some(Position { epoch: 3, seq: 9 }),
        boot_id: "4b0a6a52-91a5-4b47-8d3c-2f3f4f6f7f8f".into(),
        open_operations: vec![Uuid::from_u128(7)],
    }
}

fn aborted() -> Ending {
    Ending {
        outcome: Outcome::Aborted,
        end_cause: EndCause::AbortTrigger,
        abort_reason: Some("17".into()),
        ..ending()
    }
}

/// One event of every kind, as a plant sends them.
pub(super) fn ordinary() -> Vec<Event> {
    [
        Body::OperationStarted(operation(None)),
        Body::OperationCompleted(operation(Some(ending()))),
        Body::OperationAborted(operation(Some(aborted()))),
        Body::State(state()),
        Body::Counted(counter()),
        Body::Birth(birth()),
        Body::Connection(connection()),
    ]
    .map(event)
    .into()
}

/// The same kinds with nothing known, with no number a number, with odd and overlong texts, and too large.
pub(super) fn extreme() -> Vec<Event> {
    let mut interrupted = nothing_known();
    interrupted.outcome = Outcome::Interrupted;
    let mut events: Vec<Event> = [
        Body::OperationCompleted(operation(Some(nothing_known()))),
        Body::OperationCompleted(operation(Some(not_finite()))),
        Body::OperationCompleted(operation(Some(huge_profiles(40, 1_000)))),
        Body::OperationCompleted(operation(Some(huge_profiles(400, 4)))),
        Body::OperationAborted(operation(Some(interrupted))),
        Body::OperationAborted(odd_operation()),
        Body::State(StateReport {
            previous: None,
            previous_duration_s: Some(f64::NAN),
            previous_mode: None,
            substate: Some(ODD.into()),
            reason: None,
            active_operation: None,
            native: Vec::new(),
            ..state()
        }),
        Body::State(StateReport {
            reason: Some(Reason::plain(ODD.repeat(100), ReasonSource::Plc)),
            native: odd_natives(),
            ..state()
        }),
        Body::Counted(CounterReport {
            delta_max: Some(u64::MAX),
            total: u64::MAX,
            raw_from: i64::MIN,
            raw_to: i64::MAX,
            modulus: None,
            from: UtcTime(i64::MIN),
            to: UtcTime(i64::MAX),
            order: operation(None).order,
            operation: Some(Uuid::max()),
            ..counter()
        }),
        Body::Birth(Birth {
            last: None,
            boot_id: String::new(),
            open_operations: vec![Uuid::nil(); 5_000],
            ..birth()
        }),
        Body::Connection(ConnectionReport {
            state: ConnectionState::Good,
            last_good: None,
            error: None,
            ..connection()
        }),
    ]
    .map(event)
    .into();
    for event in &mut events {
        event.clock = ClockQuality {
            max_error_s: Some(f64::INFINITY),
            ..ClockQuality::default()
        };
        event.correlation = Some(Uuid::from_u128(7));
    }
    events
}

fn nothing_known() -> Ending {
    let mut bare = ParameterReport {
        unit: None,
        samples: SampleCounts::default(),
        stats: Statistics::default(),
        coverage: Coverage::default(),
        limits: None,
        profile: None,
        ..parameter(0)
    };
    bare.stats.percentiles = vec![(50.0, None)];
    Ending {
        duration_s: None,
        active_s: None,
        parameters: vec![bare],
        quality: Vec::new(),
        verdict: Verdict::Undetermined,
        data_quality: DataQuality::default(),
        ..ending()
    }
}

fn not_finite() -> Ending {
    let mut parameter = parameter(3);
    parameter.stats = Statistics {
        first: Some(f64::NAN),
        last: Some(f64::INFINITY),
        min: Some((f64::NEG_INFINITY, f64::NAN)),
        max: Some((f64::MAX, f64::MIN_POSITIVE)),
        mean: Some(f64::NAN),
        stddev: Some(f64::NAN),
        time_weighted_mean: Some(-0.0),
        integral: Some(f64::INFINITY),
        duration_s: Some(f64::NAN),
        percentiles: vec![
            (100.0, Some(f64::NAN)),
            (0.0, Some(1.0)),
            (f64::NAN, Some(1.0)),
            (100.0, Some(2.0)),
            (101.0, Some(2.0)),
        ],
        percentile_method: None,
    };
    if let Some(profile) = &mut parameter.profile {
        profile.v = vec![f64::NAN, f64::INFINITY, 1.0, 2.0];
    }
    let mut ending = ending();
    ending.duration_s = Some(f64::NAN);
    ending.paused_s = Some(f64::INFINITY);
    ending.end_uncertainty_s = Some(f64::NAN);
    ending.quality[0].value = Some(f64::NAN);
    ending.data_quality.good_fraction = Some(f64::NAN);
    ending.data_quality.longest_gap_s = f64::NAN;
    ending.parameters = vec![parameter];
    ending
}

/// An ending with so many parameters and profiles of so many points.
pub(super) fn huge_profiles(parameters: usize, points: u32) -> Ending {
    Ending {
        parameters: vec![parameter(points); parameters],
        ..ending()
    }
}

fn odd_operation() -> Box<OperationReport> {
    let long = Some(Reference {
        id: ODD.repeat(1_000),
        source: "plc".into(),
    });
    let mut odd = Ending {
        abort_reason: Some("\u{1}".repeat(5_000)),
        ..aborted()
    };
    odd.quality[0].id = ODD.into();
    Box::new(OperationReport {
        segment: Some("\u{1}".repeat(5_000)),
        order: long.clone(),
        product: long.clone(),
        lot: long.clone(),
        program: long,
        flags: vec![
            Flag::TruncatedProfile,
            Flag::PowerLoss,
            Flag::StartMissed,
            Flag::EndTimeEstimated,
            Flag::ConnectionLoss,
            Flag::ClockUnsynchronised,
            Flag::LongRunning,
            Flag::ZeroLength,
            Flag::CounterReset,
        ],
        ..*operation(Some(odd))
    })
}

fn odd_natives() -> Vec<Native> {
    [
        Value::Text("\u{1}".repeat(2_000).into()),
        Value::Float(f64::NAN),
        Value::Float(0.1),
        Value::Bool(true),
        Value::Int(i64::MAX),
    ]
    .into_iter()
    .cycle()
    .take(200)
    .map(|value| Native {
        tag: ODD.into(),
        value: Some(value),
    })
    .collect()
}
