//! Values that were checked against limits: those of an operation, and those of a gauge beside it.

use super::cut::{Cut, Lost, Part};
use super::part::{PartOut, part};
use super::wire::{Text, Time, maybe, text};
use crate::model::{CharacteristicResult, QualityReport};
use serde::Serialize;
use uuid::Uuid;

/// The method of results that come from limits on statistics.
const PROCESS: &str = "process";
/// The method of results that were measured beside the operation.
const GAUGE: &str = "gauge";

/// `data.quality[]`
#[derive(Serialize)]
pub(super) struct QualityOut<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<Text<'a>>,
}

/// The results of an operation's statistics.
pub(super) fn process<'a>(
    results: &'a [CharacteristicResult],
    cut: Cut,
    lost: &Lost,
) -> Vec<QualityOut<'a>> {
    let kept = cut.list(results, lost, Part::Quality).iter();
    kept.map(|result| quality(result, PROCESS, None)).collect()
}

/// `quality.result`
#[derive(Serialize)]
pub(super) struct MeasuredOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<NamedOut<'a>>,
    part: Option<PartOut<'a>>,
    quality: Vec<QualityOut<'a>>,
    verdict: &'static str,
}

/// The operation that made what was measured.
#[derive(Serialize)]
struct NamedOut<'a> {
    id: Uuid,
    name: Text<'a>,
}

/// What a gauge measured.
pub(super) fn measured<'a>(report: &'a QualityReport, cut: Cut, lost: &Lost) -> MeasuredOut<'a> {
    let instrument = || text(&report.instrument);
    let kept = cut.list(&report.results, lost, Part::Quality).iter();
    MeasuredOut {
        operation: report.operation.as_ref().map(|(id, name)| NamedOut {
            id: *id,
            name: Text(name),
        }),
        part: report.part.as_ref().map(part),
        quality: kept
            .map(|result| quality(result, GAUGE, instrument()))
            .collect(),
        verdict: report.verdict.word(),
    }
}

fn quality<'a>(
    result: &'a CharacteristicResult,
    method: &'static str,
    instrument: Option<Text<'a>>,
) -> QualityOut<'a> {
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
        method,
        instrument,
    }
}
