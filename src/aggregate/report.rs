//! What is told about an operation that started or ended: statistics, quality, verdict and counts. Pure.

use super::covered::Covered;
use super::definition::Definition;
use super::operation::{OpenOperation, Window};
use super::statistics::{Accumulator, seconds};
use crate::model::{
    CharacteristicResult, Counts, Coverage, DataQuality, EndCause, Ending, Flag, LimitsUsed, Mode,
    OperationReport, Outcome, ParameterReport, ProgressReport, Stamp, Statistics, UtcTime, Verdict,
};
use crate::settings::shape::{Characteristic, Per};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How an operation ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) at: Stamp,
    pub(super) outcome: Outcome,
    pub(super) cause: EndCause,
    pub(super) reason: Option<String>,
    /// The end may have been earlier.
    pub(super) uncertain: bool,
    /// By how much, where that can be known.
    pub(super) uncertainty: Option<Duration>,
    /// `None` when the tag that says it is not known.
    pub(super) pieces: Option<u64>,
    /// The settings say that pieces are booked from operations.
    pub(super) book: bool,
}

/// The operation as it is told at its start.
pub(super) fn started(operation: &OpenOperation) -> OperationReport {
    let (id, ordinal) = operation.identity.unwrap_or_default();
    OperationReport {
        id,
        ordinal,
        name: operation.definition.clone(),
        segment: operation.facts.segment.clone(),
        order: operation.facts.order.clone(),
        product: operation.facts.product.clone(),
        lot: operation.facts.lot.clone(),
        program: operation.facts.program.clone(),
        purpose: operation.facts.purpose.word(),
        shift: operation.facts.shift.clone(),
        operator: operation.facts.operator.clone(),
        parts: operation.facts.parts.clone(),
        reason: None,
        device_time: operation.device_time,
        mode_at_start: operation.facts.mode_at_start.unwrap_or(Mode::None),
        started_at: operation.started.utc,
        flags: operation.flags.iter().copied().collect(),
        revision: operation.revision,
        ending: None,
    }
}

/// The operation as it is told at its end. `accumulators` are those of the edge that ended it, or of what trailed it: then
/// `own` says how well the time up to the edge is covered.
pub(super) fn ended(
    definition: &Definition,
    operation: &mut OpenOperation,
    mut accumulators: Vec<Accumulator>,
    own: Option<&[Covered]>,
    end: &End,
) -> OperationReport {
    operation.resume(end.at.boot);
    let length = operation.offset(end.at.boot).max(0);
    // A pause that was seen after an end with an earlier stamp is not the operation's.
    operation.paused_ns = operation.paused_ns.min(length);
    for accumulator in &mut accumulators {
        accumulator.finish(length);
    }
    if length == 0 {
        operation.flags.insert(Flag::ZeroLength);
    }
    let about = About {
        definition,
        per: Per::Operation,
        unmeasured: operation.unmeasured,
    };
    let measured = about.measured(&accumulators, own);
    let late = late_samples(&measured);
    if late > 0 {
        operation.flags.insert(Flag::LateSamples);
    }
    let data_quality = DataQuality {
        connection_losses: operation.connection_losses,
        clock_stepped: operation.flags.contains(&Flag::ClockStepped),
        late_samples: late,
        ..data_quality(&measured)
    };
    let needs = definition.settings.pass_needs_good_fraction;
    let quality = about.quality(&measured, operation.started.utc, end.at.utc);
    let judged = if operation.unmeasured {
        // How much of it was seen cannot be known.
        Verdict::Undetermined
    } else {
        verdict(&quality, &measured, &data_quality, needs, end.outcome)
    };
    let duration = (!operation.unmeasured).then(|| seconds(length));
    let paused = (!operation.pause_unmeasured).then(|| seconds(operation.paused_ns));
    OperationReport {
        flags: operation.flags.iter().copied().collect(),
        ending: Some(Ending {
            ended_at: end.at.utc,
            duration_s: duration,
            active_s: duration
                .zip(paused)
                .map(|(duration, paused)| (duration - paused).max(0.0)),
            paused_s: paused,
            outcome: end.outcome,
            end_cause: end.cause,
            abort_reason: end.reason.clone(),
            recovered: operation.recovered,
            end_uncertainty_s: end.uncertainty.map(|by| by.as_secs_f64()),
            parameters: shown(measured),
            quality,
            verdict: judged,
            counts: counts(judged, end),
            tools: operation.used.tools().to_vec(),
            materials: operation
                .used
                .materials(&definition.settings.materials, end.pieces),
            data_quality,
        }),
        ..started(operation)
    }
}

/// The window of an open operation that ends at `to`: its own statistics, and the characteristics that are about windows.
pub(super) fn progress(
    definition: &Definition,
    operation: &OpenOperation,
    mut window: Window,
    to: Stamp,
) -> ProgressReport {
    let length = to.boot.0.saturating_sub(window.from.boot.0).max(0);
    for accumulator in &mut window.accumulators {
        accumulator.finish(length);
    }
    let about = About {
        definition,
        per: Per::Progress,
        unmeasured: window.unmeasured,
    };
    let measured = about.measured(&window.accumulators, None);
    ProgressReport {
        operation: started(operation),
        index: window.index,
        from: window.from.utc,
        to: to.utc,
        duration_s: (!window.unmeasured).then(|| seconds(length)),
        quality: about.quality(&measured, window.from.utc, to.utc),
        parameters: shown(measured),
    }
}

/// What is told: a whole operation, or one of its windows.
struct About<'a> {
    definition: &'a Definition,
    per: Per,
    /// Elapsed time is not known.
    unmeasured: bool,
}

struct Measured {
    hidden: bool,
    tag: usize,
    report: ParameterReport,
}

impl About<'_> {
    fn measured(&self, accumulators: &[Accumulator], own: Option<&[Covered]>) -> Vec<Measured> {
        let parameters = self.definition.parameters.iter();
        parameters
            .zip(accumulators)
            .enumerate()
            .map(|(p, (parameter, accumulator))| {
                let own = own.and_then(|own| own.get(p));
                let covered = own.map_or_else(|| accumulator.coverage(), |own| own.coverage());
                Measured {
                    hidden: parameter.hidden,
                    tag: parameter.tag,
                    report: self.parameter(parameter, accumulator, covered),
                }
            })
            .collect()
    }

    fn parameter(
        &self,
        parameter: &super::definition::Parameter,
        accumulator: &Accumulator,
        covered: Coverage,
    ) -> ParameterReport {
        ParameterReport {
            name: parameter.name.clone(),
            unit: parameter.unit.clone(),
            interpolation: parameter.plan.interpolation,
            samples: accumulator.counts(parameter.every.as_secs_f64()),
            stats: accumulator.statistics(parameter.gate.is_some(), &parameter.percentiles),
            coverage: self.coverage(covered),
            limits: self
                .characteristics()
                .find_map(|wanted| limits_used(wanted, &parameter.name)),
            profile: accumulator.profile().map(|profile| profile.report()),
            sequence: accumulator.sequence(),
        }
    }

    /// Of time that cannot be measured no fraction can be told.
    fn coverage(&self, covered: Coverage) -> Coverage {
        Coverage {
            good_fraction: covered.good_fraction.filter(|_| !self.unmeasured),
            gap_fraction: covered.gap_fraction.filter(|_| !self.unmeasured),
            ..covered
        }
    }

    fn characteristics(&self) -> impl Iterator<Item = &Characteristic> {
        let all = self.definition.settings.quality.iter();
        all.filter(|wanted| wanted.per == self.per)
    }

    fn quality(
        &self,
        measured: &[Measured],
        from: UtcTime,
        to: UtcTime,
    ) -> Vec<CharacteristicResult> {
        let needs = self.definition.settings.pass_needs_good_fraction;
        self.characteristics()
            .map(|wanted| {
                let result = characteristic(wanted, measured, from, to, needs);
                match self.unmeasured {
                    // How much of it was seen cannot be known.
                    true if self.per == Per::Progress => CharacteristicResult {
                        verdict: Verdict::Undetermined,
                        ..result
                    },
                    _ => result,
                }
            })
            .collect()
    }
}

fn shown(measured: Vec<Measured>) -> Vec<ParameterReport> {
    let shown = measured.into_iter().filter(|measured| !measured.hidden);
    shown.map(|measured| measured.report).collect()
}

/// Samples that came too late, each once: parameters of one tag see the same ones.
fn late_samples(measured: &[Measured]) -> u64 {
    let mut by_tag: BTreeMap<usize, u64> = BTreeMap::new();
    for one in measured {
        let late = by_tag.entry(one.tag).or_default();
        *late = one.report.samples.late.max(*late);
    }
    by_tag.values().sum()
}

fn limits_used(wanted: &Characteristic, parameter: &str) -> Option<LimitsUsed> {
    let (name, statistic) = wanted.of.rsplit_once('.')?;
    (name == parameter).then(|| LimitsUsed {
        statistic: statistic.to_owned(),
        low: wanted.low,
        target: wanted.target,
        high: wanted.high,
        version: wanted.version.clone(),
    })
}

/// Of the worst parameter by good fraction.
fn data_quality(measured: &[Measured]) -> DataQuality {
    let worst = measured.iter().map(|m| &m.report).min_by(|a, b| {
        let fraction = |p: &ParameterReport| p.coverage.good_fraction.unwrap_or(1.0);
        fraction(a).total_cmp(&fraction(b))
    });
    worst.map_or_else(DataQuality::default, |worst| DataQuality {
        samples_expected: worst.samples.expected,
        samples_received: worst.samples.count,
        good_fraction: worst.coverage.good_fraction,
        gap_fraction: worst.coverage.gap_fraction,
        longest_gap_s: worst.coverage.longest_gap_s,
        ..DataQuality::default()
    })
}

fn characteristic(
    wanted: &Characteristic,
    measured: &[Measured],
    started: UtcTime,
    ended: UtcTime,
    needs: f64,
) -> CharacteristicResult {
    let (parameter, statistic) = wanted.of.rsplit_once('.').unwrap_or((&wanted.of, ""));
    let report = measured
        .iter()
        .map(|m| &m.report)
        .find(|report| report.name == parameter);
    let found = report.and_then(|report| value_of(&report.stats, statistic));
    let verdict = found.map_or(Verdict::Undetermined, |(value, _)| {
        let good = report.is_some_and(|report| good_enough(report, needs));
        judge(wanted, statistic, value, good)
    });
    CharacteristicResult {
        id: wanted.id.clone(),
        characteristic: wanted.of.clone(),
        value: found.map(|(value, _)| value),
        unit: unit_of(report, statistic),
        low: wanted.low,
        target: wanted.target,
        high: wanted.high,
        limits_version: wanted.version.clone(),
        verdict,
        measured_at: found.and_then(|(_, at)| at).map_or(ended, |at_s| {
            UtcTime(started.0.saturating_add((at_s * 1e9).round() as i64))
        }),
    }
}

/// In poor data only a fail stands that the missing data could not undo: a maximum does not fall again.
fn judge(wanted: &Characteristic, statistic: &str, value: f64, good_data: bool) -> Verdict {
    let below = wanted.low.is_some_and(|low| value < low);
    let above = wanted.high.is_some_and(|high| value > high);
    let certain = match statistic {
        "max" | "range" | "duration_s" => above,
        "min" => below,
        _ => false,
    };
    match (below || above, good_data) {
        (true, true) => Verdict::Fail,
        (true, false) if certain => Verdict::Fail,
        (false, true) => Verdict::Pass,
        (_, false) => Verdict::Undetermined,
    }
}

fn unit_of(report: Option<&ParameterReport>, statistic: &str) -> Option<String> {
    match statistic {
        "duration_s" => Some("s".to_owned()),
        "integral" => report?.unit.as_ref().map(|unit| format!("{unit}.s")),
        _ => report?.unit.clone(),
    }
}

fn good_enough(report: &ParameterReport, needs: f64) -> bool {
    report.coverage.good_fraction.unwrap_or(1.0) >= needs
}

/// A statistic by its name, and when it was reached, in seconds from the start.
fn value_of(stats: &Statistics, name: &str) -> Option<(f64, Option<f64>)> {
    let plain = |value: Option<f64>| value.map(|value| (value, None));
    match name {
        "first" => plain(stats.first),
        "last" => plain(stats.last),
        "min" => stats.min.map(|(value, t)| (value, Some(t))),
        "max" => stats.max.map(|(value, t)| (value, Some(t))),
        "mean" => plain(stats.mean),
        "stddev" => plain(stats.stddev),
        "time_weighted_mean" => plain(stats.time_weighted_mean),
        "integral" => plain(stats.integral),
        "duration_s" => plain(stats.duration_s),
        "range" => match (stats.min, stats.max) {
            (Some((min, _)), Some((max, _))) => Some((max - min, None)),
            _ => None,
        },
        percentile => {
            let wanted: f64 = percentile.strip_prefix('p')?.parse().ok()?;
            let found = stats
                .percentiles
                .iter()
                .find(|(percent, _)| *percent == wanted);
            plain(found.and_then(|(_, value)| *value))
        }
    }
}

/// A fail in good data stays a fail; a pass needs enough good data; what was broken off is undetermined.
fn verdict(
    quality: &[CharacteristicResult],
    measured: &[Measured],
    data: &DataQuality,
    needs: f64,
    outcome: Outcome,
) -> Verdict {
    if outcome != Outcome::Completed {
        return Verdict::Undetermined;
    }
    let in_good_data = |result: &CharacteristicResult| {
        let parameter = result.characteristic.rsplit_once('.').map(|(name, _)| name);
        measured
            .iter()
            .find(|m| Some(m.report.name.as_str()) == parameter)
            .is_some_and(|m| good_enough(&m.report, needs))
    };
    let failed = |result: &&CharacteristicResult| result.verdict == Verdict::Fail;
    if quality.iter().filter(failed).any(in_good_data) {
        return Verdict::Fail;
    }
    let all_pass = quality.iter().all(|result| result.verdict == Verdict::Pass);
    if !all_pass || data.good_fraction.unwrap_or(1.0) < needs {
        return Verdict::Undetermined;
    }
    if quality.is_empty() {
        Verdict::NotEvaluated
    } else {
        Verdict::Pass
    }
}

/// Pieces by verdict. Where nothing is to be checked, what was completed counts as good, as a confirmation without scrap does.
fn counts(verdict: Verdict, end: &End) -> Counts {
    let mut counts = Counts {
        book: end.book,
        cycles: 1,
        ..Counts::default()
    };
    match verdict {
        Verdict::Pass | Verdict::NotEvaluated => counts.good = end.pieces,
        Verdict::Fail => counts.reject = end.pieces,
        Verdict::Undetermined => counts.undetermined = end.pieces,
    }
    counts
}
