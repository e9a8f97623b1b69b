//! The extremes of what may come: nothing known, no number a number, odd and overlong texts, too large.

use super::*;
use crate::model::{
    Birth, ConnectionReport, ConnectionState, CounterReport, Coverage, DataQuality, Ending, Flag,
    Native, OperationReport, Outcome, ParameterReport, Reason, ReasonSource, Reference,
    SampleCounts, StateReport, Statistics, Value, Verdict,
};

/// Events that are hard to render.
pub(in crate::format) fn extreme() -> Vec<Event> {
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
            new_epoch: None,
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
pub(in crate::format) fn huge_profiles(parameters: usize, points: u32) -> Ending {
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
