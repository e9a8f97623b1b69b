//! One parameter in an event: its samples, statistics, coverage, and its course as a profile or a sequence.

use super::cut::{Cut, Lost, Part, thinned};
use super::wire::{Shown, Text, fraction, known, maybe, seconds, text};
use crate::model::{
    Coverage, LimitsUsed, ParameterReport, ProfileReport, SampleCounts, SequenceReport, Statistics,
};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// How profiles are thinned while an operation runs.
const PROFILE_METHOD: &str = "minmaxlttb";

/// `data.parameters[]`
#[derive(Serialize)]
pub(super) struct ParameterOut<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<SequenceOut<'a>>,
}

/// The parameters that are kept.
pub(super) fn parameters<'a>(
    reports: &'a [ParameterReport],
    cut: Cut,
    lost: &Lost,
) -> Vec<ParameterOut<'a>> {
    cut.list(reports, lost, Part::Parameters)
        .iter()
        .map(|report| parameter(report, cut, lost))
        .collect()
}

fn parameter<'a>(report: &'a ParameterReport, cut: Cut, lost: &Lost) -> ParameterOut<'a> {
    ParameterOut {
        name: Text(&report.name),
        unit: text(&report.unit),
        kind: if report.sequence.is_some() {
            "sequence"
        } else {
            "analog"
        },
        interpolation: report.interpolation.word(),
        samples: samples(report.samples),
        stats: StatsOut(&report.stats),
        limits: report.limits.as_ref().map(limits),
        coverage: coverage(report.coverage),
        profile: (report.profile.as_ref())
            .filter(|_| cut.points() > 0)
            .map(|profile| ProfileOut { profile, cut }),
        sequence: (report.sequence.as_ref()).map(|sequence| SequenceOut {
            sequence,
            kept: cut.values(length(sequence), lost),
        }),
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
            ("stddev", seconds(stats.stddev)),
            ("time_weighted_mean", stats.time_weighted_mean),
            ("integral", stats.integral),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (name, number) in numbers {
            map.serialize_entry(name, &maybe(number))?;
        }
        // These three are there only where the settings asked for them.
        if stats.duration_s.is_some() {
            map.serialize_entry("duration_s", &seconds(stats.duration_s))?;
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
        good_fraction: fraction(coverage.good_fraction),
        gap_fraction: fraction(coverage.gap_fraction),
        longest_gap_s: seconds(Some(coverage.longest_gap_s)),
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
            map.serialize_entry("t", &finite(&t))?;
            map.serialize_entry("v", &finite(&v))?;
        } else {
            map.serialize_entry("t", &finite(t.get(..points).unwrap_or_default()))?;
            map.serialize_entry("v", &finite(v.get(..points).unwrap_or_default()))?;
        }
        map.end()
    }
}

/// Values of a sequence that have a time.
pub(super) fn length(sequence: &SequenceReport) -> usize {
    sequence.t.len().min(sequence.v.len())
}

struct SequenceOut<'a> {
    sequence: &'a SequenceReport,
    kept: usize,
}

impl Serialize for SequenceOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SequenceReport { t, v, changes } = self.sequence;
        let texts: Vec<Text<'_>> = v.iter().take(self.kept).map(|value| Text(value)).collect();
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("changes", changes)?;
        map.serialize_entry("t", &finite(t.get(..self.kept).unwrap_or_default()))?;
        map.serialize_entry("v", &texts)?;
        map.end()
    }
}

/// Numbers of which those that are none are `null`: what serde makes of them, said here.
fn finite(numbers: &[f64]) -> Vec<Option<f64>> {
    numbers.iter().map(|number| known(*number)).collect()
}
