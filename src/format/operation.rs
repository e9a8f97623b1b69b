//! The operation in an event: who it is, and at its end its times, statistics, quality results and counts.

use super::cut::{Cut, Lost, Part, thinned};
use super::wire::{NotYet, ReferenceOut, Shown, Text, Time, known, maybe, reference, text};
use crate::model::{
    CharacteristicResult, Counts, Coverage, DataQuality, Ending, Flag, LimitsUsed, OperationReport,
    ParameterReport, ProfileReport, SampleCounts, Statistics,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// How profiles are thinned while an operation runs.
const PROFILE_METHOD: &str = "minmaxlttb";
/// The method of results that come from limits on statistics.
const QUALITY_METHOD: &str = "process";
/// Whose clock the times of an operation are.
const TIME_BASIS: &str = "gateway";

/// `data.operation`
#[derive(Serialize)]
pub(super) struct OperationOut<'a> {
    id: Uuid,
    ordinal: u64,
    name: Text<'a>,
    segment: Option<Text<'a>>,
    definition: NotYet,
    definition_version: NotYet,
    order: Option<ReferenceOut<'a>>,
    product: Option<ReferenceOut<'a>>,
    lot: Option<ReferenceOut<'a>>,
    program: Option<ReferenceOut<'a>>,
    purpose: NotYet,
    mode_at_start: &'static str,
    shift: NotYet,
    operator: NotYet,
    parts: [NotYet; 0],
    started_at: Time,
    time_basis: &'static str,
    revision: u32,
    flags: Vec<&'static str>,
    #[serde(flatten)]
    ending: Option<EndOut<'a>>,
}

/// What `data.operation` has at the end only.
#[derive(Serialize)]
struct EndOut<'a> {
    ended_at: Time,
    duration_s: Option<f64>,
    active_s: Option<f64>,
    paused_s: Option<f64>,
    outcome: &'static str,
    end_cause: &'static str,
    abort_reason: Option<Text<'a>>,
    recovered: bool,
    end_uncertainty_s: Option<f64>,
}

/// What stands beside `data.operation` at the end.
#[derive(Serialize)]
pub(super) struct ResultOut<'a> {
    parameters: Vec<ParameterOut<'a>>,
    quality: Vec<QualityOut<'a>>,
    verdict: &'static str,
    counts: CountsOut,
    tools: [NotYet; 0],
    materials: [NotYet; 0],
    data_quality: DataQualityOut,
}

/// The operation, with its end when it has one.
pub(super) fn operation<'a>(
    report: &'a OperationReport,
    cut: Cut,
    lost: &Lost,
) -> OperationOut<'a> {
    let mut flags: Vec<&'static str> = report.flags.iter().map(|flag| flag.word()).collect();
    if longest_profile(report) > 0 && cut.shortens(longest_profile(report)) {
        lost.note(Part::Profiles);
        flags.push(Flag::TruncatedProfile.word());
    }
    let mut seen = Vec::with_capacity(flags.len());
    flags.retain(|flag| {
        let new = !seen.contains(flag);
        seen.push(*flag);
        new
    });
    OperationOut {
        id: report.id,
        ordinal: report.ordinal,
        name: Text(&report.name),
        segment: text(&report.segment),
        definition: NotYet,
        definition_version: NotYet,
        order: reference(&report.order),
        product: reference(&report.product),
        lot: reference(&report.lot),
        program: reference(&report.program),
        purpose: NotYet,
        mode_at_start: report.mode_at_start.word(),
        shift: NotYet,
        operator: NotYet,
        parts: [],
        started_at: Time(report.started_at),
        time_basis: TIME_BASIS,
        revision: report.revision,
        flags,
        ending: report.ending.as_ref().map(end),
    }
}

fn end(ending: &Ending) -> EndOut<'_> {
    EndOut {
        ended_at: Time(ending.ended_at),
        duration_s: maybe(ending.duration_s),
        active_s: maybe(ending.active_s),
        paused_s: maybe(ending.paused_s),
        outcome: ending.outcome.word(),
        end_cause: ending.end_cause.word(),
        abort_reason: text(&ending.abort_reason),
        recovered: ending.recovered,
        end_uncertainty_s: maybe(ending.end_uncertainty_s),
    }
}

/// What the end brought.
pub(super) fn result<'a>(ending: &'a Ending, cut: Cut, lost: &Lost) -> ResultOut<'a> {
    ResultOut {
        parameters: cut
            .list(&ending.parameters, lost, Part::Parameters)
            .iter()
            .map(|report| parameter(report, cut))
            .collect(),
        quality: cut
            .list(&ending.quality, lost, Part::Quality)
            .iter()
            .map(quality)
            .collect(),
        verdict: ending.verdict.word(),
        counts: counts(ending.counts),
        tools: [],
        materials: [],
        data_quality: data_quality(ending),
    }
}

/// Points of the longest profile; 0 without any.
pub(super) fn longest_profile(report: &OperationReport) -> usize {
    let parameters = report.ending.iter().flat_map(|ending| &ending.parameters);
    parameters
        .filter_map(|parameter| parameter.profile.as_ref())
        .map(|profile| profile.v.len().min(profile.t.len()))
        .max()
        .unwrap_or(0)
}

#[derive(Serialize)]
struct ParameterOut<'a> {
    name: Text<'a>,
    unit: Option<Text<'a>>,
    kind: &'static str,
    interpolation: &'static str,
    samples: SamplesOut,
    stats: StatsOut<'a>,
    limits: Option<LimitsOut<'a>>,
    coverage: CoverageOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<ProfileOut<'a>>,
}

fn parameter(report: &ParameterReport, cut: Cut) -> ParameterOut<'_> {
    ParameterOut {
        name: Text(&report.name),
        unit: text(&report.unit),
        kind: "analog",
        interpolation: report.interpolation.word(),
        samples: samples(report.samples),
        stats: StatsOut(&report.stats),
        limits: report.limits.as_ref().map(limits),
        coverage: coverage(report.coverage),
        profile: (report.profile.as_ref())
            .filter(|_| cut.points() > 0)
            .map(|profile| ProfileOut { profile, cut }),
    }
}

#[derive(Serialize)]
struct SamplesOut {
    count: u64,
    good: u64,
    uncertain: u64,
    bad: u64,
    duplicate: u64,
    late: u64,
    expected: Option<u64>,
}

fn samples(counts: SampleCounts) -> SamplesOut {
    SamplesOut {
        count: counts.count,
        good: counts.good,
        uncertain: counts.uncertain,
        bad: counts.bad,
        duplicate: counts.duplicate,
        late: counts.late,
        expected: counts.expected,
    }
}

struct StatsOut<'a>(&'a Statistics);

impl Serialize for StatsOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stats = self.0;
        let numbers = [
            ("first", stats.first),
            ("last", stats.last),
            ("min", stats.min.map(|(value, _)| value)),
            ("min_t", stats.min.map(|(_, t)| t)),
            ("max", stats.max.map(|(value, _)| value)),
            ("max_t", stats.max.map(|(_, t)| t)),
            ("mean", stats.mean),
            ("stddev", stats.stddev),
            ("time_weighted_mean", stats.time_weighted_mean),
            ("integral", stats.integral),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (name, number) in numbers {
            map.serialize_entry(name, &maybe(number))?;
        }
        // These three are there only where the settings asked for them.
        if let Some(duration_s) = stats.duration_s {
            map.serialize_entry("duration_s", &known(duration_s))?;
        }
        if !stats.percentiles.is_empty() {
            map.serialize_entry("percentiles", &Percentiles(&stats.percentiles))?;
            map.serialize_entry("percentile_method", &stats.percentile_method)?;
        }
        map.end()
    }
}

/// `p05`, `p50`, `p99.9`: each percent once.
struct Percentiles<'a>(&'a [(f64, Option<f64>)]);

impl Serialize for Percentiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut done: Vec<f64> = Vec::with_capacity(self.0.len());
        for (percent, value) in self.0 {
            if !(0.0..=100.0).contains(percent) || done.contains(percent) {
                continue;
            }
            done.push(*percent);
            let zero = if *percent < 10.0 { "0" } else { "" };
            map.serialize_entry(&Shown(format_args!("p{zero}{percent}")), &maybe(*value))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct LimitsOut<'a> {
    low: Option<f64>,
    target: Option<f64>,
    high: Option<f64>,
    statistic: Text<'a>,
    version: Option<Text<'a>>,
    source: &'static str,
}

fn limits(used: &LimitsUsed) -> LimitsOut<'_> {
    LimitsOut {
        low: maybe(used.low),
        target: maybe(used.target),
        high: maybe(used.high),
        statistic: Text(&used.statistic),
        version: text(&used.version),
        source: "settings",
    }
}

#[derive(Serialize)]
struct CoverageOut {
    good_fraction: Option<f64>,
    gap_fraction: Option<f64>,
    longest_gap_s: Option<f64>,
}

fn coverage(coverage: Coverage) -> CoverageOut {
    CoverageOut {
        good_fraction: maybe(coverage.good_fraction),
        gap_fraction: maybe(coverage.gap_fraction),
        longest_gap_s: known(coverage.longest_gap_s),
    }
}

struct ProfileOut<'a> {
    profile: &'a ProfileReport,
    cut: Cut,
}

impl Serialize for ProfileOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ProfileReport { t, v, .. } = self.profile;
        let points = t.len().min(v.len());
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("method", PROFILE_METHOD)?;
        map.serialize_entry("max_points", &self.profile.max_points)?;
        map.serialize_entry("source_points", &self.profile.source_points)?;
        if self.cut.shortens(points) {
            let (t, v) = thinned(t, v, self.cut.points());
            map.serialize_entry("t", &t)?;
            map.serialize_entry("v", &v)?;
        } else {
            map.serialize_entry("t", t.get(..points).unwrap_or_default())?;
            map.serialize_entry("v", v.get(..points).unwrap_or_default())?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct QualityOut<'a> {
    id: Text<'a>,
    characteristic: Text<'a>,
    value: Option<f64>,
    unit: Option<Text<'a>>,
    low: Option<f64>,
    target: Option<f64>,
    high: Option<f64>,
    limits_version: Option<Text<'a>>,
    verdict: &'static str,
    measured_at: Time,
    method: &'static str,
}

fn quality(result: &CharacteristicResult) -> QualityOut<'_> {
    QualityOut {
        id: Text(&result.id),
        characteristic: Text(&result.characteristic),
        value: maybe(result.value),
        unit: text(&result.unit),
        low: maybe(result.low),
        target: maybe(result.target),
        high: maybe(result.high),
        limits_version: text(&result.limits_version),
        verdict: result.verdict.word(),
        measured_at: Time(result.measured_at),
        method: QUALITY_METHOD,
    }
}

#[derive(Serialize)]
struct CountsOut {
    book: bool,
    unit: &'static str,
    cycles: u64,
    good: Option<u64>,
    reject: Option<u64>,
    rework: Option<u64>,
    undetermined: Option<u64>,
}

fn counts(counts: Counts) -> CountsOut {
    CountsOut {
        book: counts.book,
        unit: "1",
        cycles: counts.cycles,
        good: counts.good,
        reject: counts.reject,
        rework: counts.rework,
        undetermined: counts.undetermined,
    }
}

#[derive(Serialize)]
struct DataQualityOut {
    samples_expected: Option<u64>,
    samples_received: u64,
    good_fraction: Option<f64>,
    gap_fraction: Option<f64>,
    longest_gap_s: Option<f64>,
    connection_losses: u32,
    clock_stepped: NotYet,
    late_samples: u64,
}

fn data_quality(ending: &Ending) -> DataQualityOut {
    let DataQuality {
        samples_expected,
        samples_received,
        good_fraction,
        gap_fraction,
        longest_gap_s,
        connection_losses,
        ..
    } = ending.data_quality;
    let late = ending.parameters.iter().map(|report| report.samples.late);
    DataQualityOut {
        samples_expected,
        samples_received,
        good_fraction: maybe(good_fraction),
        gap_fraction: maybe(gap_fraction),
        longest_gap_s: known(longest_gap_s),
        connection_losses,
        clock_stepped: NotYet,
        // Parameters of one tag see the same late sample: the worst parameter, as for the rest of this block.
        late_samples: late.max().unwrap_or(0),
    }
}
