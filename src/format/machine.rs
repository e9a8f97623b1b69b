//! What a machine's own events say: state, counters, stops, alarms, intervals, wear.

use super::cut::{Cut, Lost, Part};
use super::wire::{
    ReasonOut, ReferenceOut, Shown, TagValue, Text, Time, maybe, reason, reference, seconds, text,
};
use crate::model::{
    AlarmReport, CounterReport, DowntimeReport, IdealShare, IndicatorReport, IntervalCounts,
    IntervalReport, Mode, State, StateReport,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// How a maintenance indicator is made, so that a MES can tell when that changes.
const INDICATOR_MODEL: ModelOut = ModelOut {
    name: "linear-trend",
    version: "1",
};

/// `equipment.state.changed`
#[derive(Serialize)]
pub(super) struct StateChangedOut<'a> {
    state: StateOut<'a>,
}

#[derive(Serialize)]
struct StateOut<'a> {
    current: &'static str,
    previous: Option<&'static str>,
    previous_duration_s: Option<f64>,
    mode: &'static str,
    previous_mode: Option<&'static str>,
    substate: Option<Text<'a>>,
    native: NativeOut<'a>,
    reason: Option<ReasonOut<'a>>,
    active_operation: Option<Uuid>,
    downtime_id: Option<Uuid>,
    since: Time,
}

#[derive(Serialize)]
struct NativeOut<'a> {
    model: &'static str,
    values: Vec<NativeValue<'a>>,
}

#[derive(Serialize)]
struct NativeValue<'a> {
    tag: Text<'a>,
    value: Option<TagValue<'a>>,
}

/// What changed at the equipment.
pub(super) fn state<'a>(report: &'a StateReport, cut: Cut, lost: &Lost) -> StateChangedOut<'a> {
    let native = cut.list(&report.native, lost, Part::Native).iter();
    let state = StateOut {
        current: report.current.word(),
        previous: report.previous.map(|state| state.word()),
        previous_duration_s: seconds(report.previous_duration_s),
        mode: report.mode.word(),
        previous_mode: report.previous_mode.map(|mode| mode.word()),
        substate: text(&report.substate),
        native: NativeOut {
            model: "tags",
            values: native
                .map(|native| NativeValue {
                    tag: Text(&native.tag),
                    value: native.value.as_ref().map(TagValue),
                })
                .collect(),
        },
        reason: reason(&report.reason),
        active_operation: report.active_operation,
        downtime_id: report.downtime,
        since: Time(report.since),
    };
    StateChangedOut { state }
}

/// `data.counter` and what stands beside it.
#[derive(Serialize)]
pub(super) struct CountedOut<'a> {
    counter: CounterOut<'a>,
    order: Option<ReferenceOut<'a>>,
    product: Option<ReferenceOut<'a>>,
    shift: Option<Text<'a>>,
}

#[derive(Serialize)]
struct CounterOut<'a> {
    name: Text<'a>,
    counts: &'static str,
    book: bool,
    delta: u64,
    delta_max: Option<u64>,
    total: u64,
    total_since: &'static str,
    raw_from: i64,
    raw_to: i64,
    modulus: Option<u64>,
    wraps: u32,
    resets: u32,
    ambiguous: bool,
    flags: &'static [&'static str],
    from: Time,
    to: Time,
    operation: Option<Uuid>,
}

/// What a counter counted.
pub(super) fn counted(report: &CounterReport) -> CountedOut<'_> {
    CountedOut {
        counter: CounterOut {
            name: Text(&report.name),
            counts: report.counts,
            book: report.book,
            delta: report.delta,
            delta_max: report.delta_max,
            total: report.total,
            total_since: "store creation",
            raw_from: report.raw_from,
            raw_to: report.raw_to,
            modulus: report.modulus,
            wraps: report.wraps,
            resets: report.resets,
            ambiguous: report.ambiguous,
            flags: if report.resets > 0 {
                &["counter_reset"]
            } else {
                &[]
            },
            from: Time(report.from),
            to: Time(report.to),
            operation: report.operation,
        },
        order: reference(&report.order),
        product: reference(&report.product),
        shift: text(&report.shift),
    }
}

/// `equipment.downtime.*`
#[derive(Serialize)]
pub(super) struct DowntimeOut<'a> {
    downtime: StopOut<'a>,
    downtime_id: Uuid,
    segment: SegmentOut,
}

#[derive(Serialize)]
struct StopOut<'a> {
    id: Uuid,
    from: Time,
    to: Time,
    duration_s: Option<f64>,
    unknown_s: Option<f64>,
    end_uncertainty_s: Option<f64>,
    micro_stop: bool,
    planned: Option<bool>,
    state: &'static str,
    substate: Option<Text<'a>>,
    mode: &'static str,
    reason: Option<ReasonOut<'a>>,
    previous_reason: Option<ReasonOut<'a>>,
    first_alarm: Option<Text<'a>>,
    order: Option<Text<'a>>,
    shift: Option<Text<'a>>,
}

/// `of` is known with the last segment.
#[derive(Serialize)]
struct SegmentOut {
    index: u32,
    of: Option<u32>,
}

/// A stop, or a segment of it.
pub(super) fn downtime(report: &DowntimeReport) -> DowntimeOut<'_> {
    DowntimeOut {
        downtime: StopOut {
            id: report.id,
            from: Time(report.from),
            to: Time(report.to),
            duration_s: seconds(report.duration_s),
            unknown_s: seconds(report.unknown_s),
            end_uncertainty_s: seconds(report.end_uncertainty_s),
            micro_stop: report.micro_stop,
            planned: report.reason.as_ref().and_then(|reason| reason.planned),
            state: report.state.word(),
            substate: text(&report.substate),
            mode: report.mode.word(),
            reason: reason(&report.reason),
            previous_reason: reason(&report.previous_reason),
            first_alarm: text(&report.first_alarm),
            order: report.order.as_ref().map(|order| Text(&order.id)),
            shift: text(&report.shift),
        },
        downtime_id: report.id,
        segment: SegmentOut {
            index: report.segment,
            of: report.last.then_some(report.segment),
        },
    }
}

/// `equipment.alarm.*`
#[derive(Serialize)]
pub(super) struct AlarmOut<'a> {
    alarm: AlarmValuesOut<'a>,
}

#[derive(Serialize)]
struct AlarmValuesOut<'a> {
    name: Text<'a>,
    code: Text<'a>,
    text: Option<Text<'a>>,
    severity: &'static str,
    raised_at: Time,
    untold: u64,
    active_operation: Option<Uuid>,
    #[serde(flatten)]
    cleared: Option<StoodOut>,
}

/// What is known when the alarm is gone.
#[derive(Serialize)]
struct StoodOut {
    stood_s: Option<f64>,
}

/// An alarm that was raised, or is `cleared`.
pub(super) fn alarm(report: &AlarmReport, cleared: bool) -> AlarmOut<'_> {
    AlarmOut {
        alarm: AlarmValuesOut {
            name: Text(&report.name),
            code: Text(&report.code),
            text: text(&report.text),
            severity: report.severity.word(),
            raised_at: Time(report.raised_at),
            untold: report.untold,
            active_operation: report.active_operation,
            cleared: cleared.then(|| StoodOut {
                stood_s: seconds(report.stood_s),
            }),
        },
    }
}

/// `equipment.performance.interval`
#[derive(Serialize)]
pub(super) struct IntervalOut<'a> {
    interval: IntervalTimesOut<'a>,
    state_durations_s: Durations,
    sum_s: f64,
    planned_s: Option<f64>,
    counts: IntervalCountsOut,
    ideal_cycle_s: Option<f64>,
    ideal_cycles: Vec<IdealOut<'a>>,
    calendar: Option<Text<'a>>,
    shift: Option<Text<'a>>,
    order: Option<ReferenceOut<'a>>,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct IntervalTimesOut<'a> {
    kind: &'static str,
    id: Text<'a>,
    from: Time,
    to: Time,
    duration_s: Option<f64>,
    closed: bool,
}

#[derive(Serialize)]
struct IntervalCountsOut {
    book: bool,
    cycles: u64,
    total: u64,
    good: u64,
    reject: u64,
    rework: u64,
    undetermined: u64,
    ambiguous: bool,
}

#[derive(Serialize)]
struct IdealOut<'a> {
    product: Option<Text<'a>>,
    cycle_s: Option<f64>,
    pieces: u64,
}

/// Microseconds by state and mode, each pair once. Whole ones, so that the sum on the wire is exact.
struct Durations(Vec<(State, Mode, i64)>);

impl Durations {
    fn new(report: &IntervalReport) -> Durations {
        let mut sums: Vec<(State, Mode, i64)> = Vec::with_capacity(report.durations.len());
        for (state, mode, length) in &report.durations {
            let micros = seconds(Some(*length)).map_or(0, |length| (length * 1e6).round() as i64);
            match sums.iter_mut().find(|(s, m, _)| (s, m) == (state, mode)) {
                Some((_, _, sum)) => *sum = sum.saturating_add(micros),
                None => sums.push((*state, *mode, micros)),
            }
        }
        Durations(sums)
    }

    fn sum_s(&self) -> f64 {
        let micros = self.0.iter().map(|(_, _, micros)| *micros);
        micros.fold(0, i64::saturating_add) as f64 / 1e6
    }
}

impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (state, mode, micros) in &self.0 {
            let key = Shown(format_args!("{}/{}", state.word(), mode.word()));
            map.serialize_entry(&key, &(*micros as f64 / 1e6))?;
        }
        map.end()
    }
}

/// What happened in an interval.
pub(super) fn interval<'a>(report: &'a IntervalReport, cut: Cut, lost: &Lost) -> IntervalOut<'a> {
    let durations = Durations::new(report);
    let ideal = cut.list(&report.ideal, lost, Part::IdealCycles).iter();
    IntervalOut {
        interval: IntervalTimesOut {
            kind: report.kind.word(),
            id: Text(&report.id),
            from: Time(report.from),
            to: Time(report.to),
            duration_s: seconds(report.duration_s),
            closed: true,
        },
        sum_s: durations.sum_s(),
        state_durations_s: durations,
        planned_s: seconds(report.planned_s),
        counts: interval_counts(report.counts),
        ideal_cycle_s: only_cycle(&report.ideal),
        ideal_cycles: ideal
            .map(|share| IdealOut {
                product: text(&share.product),
                cycle_s: seconds(share.cycle_s),
                pieces: share.pieces,
            })
            .collect(),
        calendar: text(&report.calendar),
        shift: text(&report.shift),
        order: reference(&report.order),
        flags: report.flags.clone(),
    }
}

fn interval_counts(counts: IntervalCounts) -> IntervalCountsOut {
    IntervalCountsOut {
        book: false,
        cycles: counts.cycles,
        total: counts.total,
        good: counts.good,
        reject: counts.reject,
        rework: counts.rework,
        undetermined: counts.undetermined,
        ambiguous: counts.ambiguous,
    }
}

/// The ideal cycle, where all products of the interval have the same.
fn only_cycle(ideal: &[IdealShare]) -> Option<f64> {
    let (first, rest) = ideal.split_first()?;
    let same = rest.iter().all(|share| share.cycle_s == first.cycle_s);
    seconds(first.cycle_s.filter(|_| same))
}

/// `maintenance.indicator`
#[derive(Serialize)]
pub(super) struct IndicatorOut<'a> {
    indicator: IndicatorValuesOut<'a>,
}

#[derive(Serialize)]
struct IndicatorValuesOut<'a> {
    name: Text<'a>,
    value: Option<f64>,
    unit: Option<Text<'a>>,
    baseline: Option<f64>,
    trend_per_day: Option<f64>,
    warn: Option<f64>,
    alarm: Option<f64>,
    level: &'static str,
    model: ModelOut,
    window_h: Option<f64>,
    covered_h: Option<f64>,
}

#[derive(Serialize)]
struct ModelOut {
    name: &'static str,
    version: &'static str,
}

/// How something wears.
pub(super) fn indicator(report: &IndicatorReport) -> IndicatorOut<'_> {
    IndicatorOut {
        indicator: IndicatorValuesOut {
            name: Text(&report.name),
            value: maybe(report.value),
            unit: text(&report.unit),
            baseline: maybe(report.baseline),
            trend_per_day: maybe(report.trend_per_day),
            warn: maybe(report.warn),
            alarm: maybe(report.alarm),
            level: report.level.word(),
            model: INDICATOR_MODEL,
            window_h: seconds(Some(report.window_s / 3_600.0)),
            covered_h: seconds(Some(report.covered_s / 3_600.0)),
        },
    }
}
