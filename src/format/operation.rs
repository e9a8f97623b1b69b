//! The operation in an event: who it is, how it goes, and at its end its times, statistics, quality results and counts.

use super::cut::{Cut, Longest, Lost, Part};
use super::parameter::{ParameterOut, length, parameters};
use super::part::{MaterialOut, PartOut, ToolOut, ended_part, material, part, tool};
use super::quality::{QualityOut, process};
use super::wire::{
    NotYet, ReferenceOut, Text, Time, fraction, known, maybe, reference, seconds, text,
};
use crate::model::{
    CorrectedReport, Counts, DataQuality, Ending, Flag, LimitReport, OperationReport,
    ParameterReport, ProgressReport,
};
use serde::Serialize;
use uuid::Uuid;

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
    purpose: &'static str,
    mode_at_start: &'static str,
    shift: Option<Text<'a>>,
    operator: Option<ReferenceOut<'a>>,
    parts: Vec<PartOut<'a>>,
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
    tools: Vec<ToolOut<'a>>,
    materials: Vec<MaterialOut<'a>>,
    data_quality: DataQualityOut,
}

/// The operation, with its end when it has one.
pub(super) fn operation<'a>(
    report: &'a OperationReport,
    cut: Cut,
    lost: &Lost,
) -> OperationOut<'a> {
    let ending = report.ending.as_ref();
    let measured = ending.map_or(&[][..], |ending| &ending.parameters);
    operation_with(report, measured, cut, lost)
}

/// The operation in an event that has these parameters.
fn operation_with<'a>(
    report: &'a OperationReport,
    measured: &[ParameterReport],
    cut: Cut,
    lost: &Lost,
) -> OperationOut<'a> {
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
        purpose: report.purpose,
        mode_at_start: report.mode_at_start.word(),
        shift: text(&report.shift),
        operator: reference(&report.operator),
        parts: parts(report, cut, lost),
        started_at: Time(report.started_at),
        time_basis: if report.device_time {
            "device"
        } else {
            "gateway"
        },
        revision: report.revision,
        flags: flags(report, longest(measured).points, cut, lost),
        ending: report.ending.as_ref().map(end),
    }
}

fn parts<'a>(report: &'a OperationReport, cut: Cut, lost: &Lost) -> Vec<PartOut<'a>> {
    let verdict = report.ending.as_ref().map(|ending| ending.verdict);
    let kept = cut.list(&report.parts, lost, Part::Parts).iter();
    match verdict {
        Some(verdict) => kept.map(|known| ended_part(known, verdict)).collect(),
        None => kept.map(part).collect(),
    }
}

/// Each flag once; a shortened profile is one, too.
fn flags(report: &OperationReport, points: usize, cut: Cut, lost: &Lost) -> Vec<&'static str> {
    let shortened = points > 0 && cut.shortens(points);
    if shortened {
        lost.note(Part::Profiles);
    }
    let own = shortened.then_some(Flag::TruncatedProfile);
    let mut words: Vec<&'static str> = Vec::with_capacity(report.flags.len() + 1);
    for flag in report.flags.iter().copied().chain(own) {
        if !words.contains(&flag.word()) {
            words.push(flag.word());
        }
    }
    words
}

fn end(ending: &Ending) -> EndOut<'_> {
    EndOut {
        ended_at: Time(ending.ended_at),
        duration_s: seconds(ending.duration_s),
        active_s: seconds(ending.active_s),
        paused_s: seconds(ending.paused_s),
        outcome: ending.outcome.word(),
        end_cause: ending.end_cause.word(),
        abort_reason: text(&ending.abort_reason),
        recovered: ending.recovered,
        end_uncertainty_s: seconds(ending.end_uncertainty_s),
    }
}

/// What the end brought.
pub(super) fn result<'a>(ending: &'a Ending, cut: Cut, lost: &Lost) -> ResultOut<'a> {
    ResultOut {
        parameters: parameters(&ending.parameters, cut, lost),
        quality: process(&ending.quality, cut, lost),
        verdict: ending.verdict.word(),
        counts: counts(ending.counts),
        tools: (cut.list(&ending.tools, lost, Part::Tools).iter())
            .map(tool)
            .collect(),
        materials: (cut.list(&ending.materials, lost, Part::Materials).iter())
            .map(material)
            .collect(),
        data_quality: data_quality(ending),
    }
}

/// The longest parts of these parameters.
pub(super) fn longest(parameters: &[ParameterReport]) -> Longest {
    let profiles = parameters.iter().filter_map(|one| one.profile.as_ref());
    let sequences = parameters.iter().filter_map(|one| one.sequence.as_ref());
    Longest {
        points: (profiles.map(|profile| profile.v.len().min(profile.t.len())))
            .max()
            .unwrap_or(0),
        values: sequences.map(length).max().unwrap_or(0),
    }
}

/// `operation.progress`
#[derive(Serialize)]
pub(super) struct ProgressOut<'a> {
    operation: OperationOut<'a>,
    window: WindowOut,
    parameters: Vec<ParameterOut<'a>>,
    quality: Vec<QualityOut<'a>>,
}

#[derive(Serialize)]
struct WindowOut {
    index: u32,
    from: Time,
    to: Time,
    duration_s: Option<f64>,
}

/// How an open operation goes.
pub(super) fn progress<'a>(report: &'a ProgressReport, cut: Cut, lost: &Lost) -> ProgressOut<'a> {
    ProgressOut {
        operation: operation_with(&report.operation, &report.parameters, cut, lost),
        window: WindowOut {
            index: report.index,
            from: Time(report.from),
            to: Time(report.to),
            duration_s: seconds(report.duration_s),
        },
        parameters: parameters(&report.parameters, cut, lost),
        quality: process(&report.quality, cut, lost),
    }
}

/// `data.supersedes`
#[derive(Serialize)]
pub(super) struct SupersedesOut {
    id: Uuid,
    reason: &'static str,
}

/// What a correction replaces.
pub(super) fn supersedes(report: &CorrectedReport) -> SupersedesOut {
    SupersedesOut {
        id: report.supersedes,
        reason: report.reason,
    }
}

/// `parameter.limit.*`
#[derive(Serialize)]
pub(super) struct LimitOut<'a> {
    operation: ShortOperationOut<'a>,
    limit: LimitValuesOut<'a>,
}

/// As much of an operation as a limit needs.
#[derive(Serialize)]
struct ShortOperationOut<'a> {
    id: Uuid,
    ordinal: u64,
    name: Text<'a>,
    order: Option<ReferenceOut<'a>>,
    parts: Vec<PartOut<'a>>,
}

#[derive(Serialize)]
struct LimitValuesOut<'a> {
    parameter: Text<'a>,
    unit: Option<Text<'a>>,
    which: &'static str,
    threshold: Option<f64>,
    value: Option<f64>,
    hysteresis: Option<f64>,
    hold_s: Option<f64>,
    severity: &'static str,
    #[serde(flatten)]
    cleared: Option<ClearedOut>,
}

/// What is known when the value is inside again.
#[derive(Serialize)]
struct ClearedOut {
    peak: Option<f64>,
    exceeded_s: Option<f64>,
}

/// A limit that was left; `cleared` says that it is kept again.
pub(super) fn limit<'a>(
    report: &'a LimitReport,
    cleared: bool,
    cut: Cut,
    lost: &Lost,
) -> LimitOut<'a> {
    let operation = &report.operation;
    LimitOut {
        operation: ShortOperationOut {
            id: operation.id,
            ordinal: operation.ordinal,
            name: Text(&operation.name),
            order: reference(&operation.order),
            parts: (cut.list(&operation.parts, lost, Part::Parts).iter())
                .map(part)
                .collect(),
        },
        limit: LimitValuesOut {
            parameter: Text(&report.parameter),
            unit: text(&report.unit),
            which: report.which.word(),
            threshold: known(report.threshold),
            value: known(report.value),
            hysteresis: known(report.hysteresis),
            hold_s: seconds(Some(report.hold_s)),
            severity: report.severity.word(),
            cleared: cleared.then(|| ClearedOut {
                peak: maybe(report.peak),
                exceeded_s: seconds(report.exceeded_s),
            }),
        },
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
    clock_stepped: bool,
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
        clock_stepped,
        late_samples,
    } = ending.data_quality;
    let late = ending.parameters.iter().map(|report| report.samples.late);
    DataQualityOut {
        samples_expected,
        samples_received,
        good_fraction: fraction(good_fraction),
        gap_fraction: fraction(gap_fraction),
        longest_gap_s: seconds(Some(longest_gap_s)),
        connection_losses,
        clock_stepped,
        // Parameters of one tag see the same late sample: the worst parameter is the least that there were.
        late_samples: late_samples.max(late.max().unwrap_or(0)),
    }
}
