//! Random events: odd texts, numbers that are none, and lists without end always give JSON that the schema accepts.

use super::samples::{ODD, after, ordinary, renderer};
use super::{EVENT_SCHEMA, MAX_EVENT_BYTES, line};
use crate::model::{
    Body, CharacteristicResult, Ending, Event, Flag, IdealShare, Material, Mode, Native,
    OperationReport, ParameterReport, Part, ProfileReport, Reason, Reference, SequenceReport,
    State, Statistics, Tool, UtcTime, Value, Verdict,
};
use fastrand::Rng;
use serde_json::Value as Json;

/// Rounds over all kinds.
const ROUNDS: usize = 5;
/// Far too many entries for an event.
const LONGEST: usize = 2_000;

/// What is drawn from, and how many entries a list has at most.
struct Shaker(Rng, usize);

impl Shaker {
    fn text(&mut self) -> String {
        let length = self.0.usize(..12);
        match self.0.u8(..7) {
            0 => String::new(),
            1 => ODD.into(),
            2 => "\u{1}".repeat(10_240),
            3 => "\u{1f527}\"".repeat(2_000),
            4 => "x".repeat(10_240),
            _ => (0..length).map(|_| self.0.char(..)).collect(),
        }
    }

    fn maybe_text(&mut self) -> Option<String> {
        self.0.bool().then(|| self.text())
    }

    fn number(&mut self) -> f64 {
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            -1.0,
            -0.0,
            1.000_000_000_1,
        ];
        match odd.get(self.0.usize(..odd.len() * 2)) {
            Some(number) => *number,
            None => self.0.f64() * 1_000.0,
        }
    }

    fn maybe(&mut self) -> Option<f64> {
        self.0.bool().then(|| self.number())
    }

    fn time(&mut self) -> UtcTime {
        UtcTime(self.0.i64(..))
    }

    fn reference(&mut self) -> Option<Reference> {
        let source = ["plc", "settings", "barcode"][self.0.usize(..3)].to_owned();
        self.0.bool().then(|| Reference {
            id: self.text(),
            source,
        })
    }

    fn verdict(&mut self) -> Verdict {
        [Verdict::Pass, Verdict::Fail, Verdict::Undetermined][self.0.usize(..3)]
    }

    /// Mostly short, sometimes far too long.
    fn many(&mut self) -> usize {
        match self.0.u8(..8) {
            0 => self.0.usize(..self.1),
            _ => self.0.usize(..4),
        }
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.many()).map(|_| one(self)).collect()
    }

    fn part(&mut self, like: &Part) -> Part {
        Part {
            id: self.text(),
            symbology: self.maybe_text(),
            identified_at: self.time(),
            ..like.clone()
        }
    }

    fn operation(&mut self, report: &mut OperationReport) {
        let part = super::samples::part();
        report.name = self.text();
        report.segment = self.maybe_text();
        report.order = self.reference();
        report.product = self.reference();
        report.lot = self.reference();
        report.program = self.reference();
        report.operator = self.reference();
        report.shift = self.maybe_text();
        report.reason = self.maybe_text();
        report.parts = self.list(|shaker| shaker.part(&part));
        report.flags = vec![Flag::PowerLoss, Flag::TruncatedProfile, Flag::PowerLoss];
        report.started_at = self.time();
        if let Some(ending) = &mut report.ending {
            self.ending(ending);
        }
    }

    fn ending(&mut self, ending: &mut Ending) {
        ending.ended_at = self.time();
        ending.duration_s = self.maybe();
        ending.active_s = self.maybe();
        ending.paused_s = self.maybe();
        ending.end_uncertainty_s = self.maybe();
        ending.abort_reason = self.maybe_text();
        ending.parameters = self.list(Self::parameter);
        ending.quality = self.list(Self::characteristic);
        ending.verdict = self.verdict();
        ending.tools = self.list(Self::tool);
        ending.materials = self.list(|shaker| Material {
            id: shaker.text(),
            lot: shaker.maybe_text(),
            quantity: shaker.maybe(),
            unit: shaker.maybe_text(),
            usage: crate::model::MaterialUse::Produced,
        });
        ending.data_quality.good_fraction = self.maybe();
        ending.data_quality.gap_fraction = self.maybe();
        ending.data_quality.longest_gap_s = self.number();
    }

    fn dropped(&mut self) -> crate::model::DropNotice {
        let mut position = || crate::model::Position {
            epoch: self.0.u32(..),
            seq: self.0.u64(..),
        };
        let (from, to) = (position(), position());
        let reason = self.0.usize(0..crate::model::DropReason::ALL.len());
        crate::model::DropNotice {
            reason: crate::model::DropReason::ALL[reason],
            uplink: self.maybe_text(),
            count: self.0.u64(..),
            from,
            to,
            detail: self.maybe_text(),
        }
    }

    fn tool(&mut self) -> Tool {
        Tool {
            id: self.text(),
            cycles: self.0.bool().then(|| self.0.u64(..)),
        }
    }

    fn parameter(&mut self) -> ParameterReport {
        let mut report = super::samples::parameter(0);
        report.name = self.text();
        report.unit = self.maybe_text();
        report.stats = Statistics {
            first: self.maybe(),
            min: self.maybe().zip(self.maybe()),
            mean: self.maybe(),
            stddev: self.maybe(),
            duration_s: self.maybe(),
            percentiles: self.list(|shaker| (shaker.number(), shaker.maybe())),
            percentile_method: Some("exact"),
            ..Statistics::default()
        };
        report.coverage.longest_gap_s = self.number();
        report.profile = self.0.bool().then(|| ProfileReport {
            max_points: self.0.u32(..),
            source_points: self.0.u64(..),
            t: self.list(Self::number),
            v: self.list(Self::number),
        });
        report.sequence = self.0.bool().then(|| SequenceReport {
            t: self.list(Self::number),
            v: self.list(Self::text),
            changes: self.0.u64(..),
        });
        report
    }

    fn characteristic(&mut self) -> CharacteristicResult {
        CharacteristicResult {
            id: self.text(),
            characteristic: self.text(),
            value: self.maybe(),
            unit: self.maybe_text(),
            low: self.maybe(),
            target: self.maybe(),
            high: self.maybe(),
            limits_version: self.maybe_text(),
            verdict: self.verdict(),
            measured_at: self.time(),
        }
    }

    fn reason(&mut self) -> Option<Reason> {
        self.0.bool().then(|| Reason {
            code: self.text(),
            native: self.maybe_text(),
            catalogue: self.maybe_text(),
            catalogue_version: self.maybe_text(),
            text: self.maybe_text(),
            planned: self.0.bool().then(|| self.0.bool()),
            ..super::samples::reason()
        })
    }

    /// The same kind of event with everything else in it.
    fn shake(&mut self, body: &mut Body) {
        match body {
            Body::OperationStarted(report)
            | Body::OperationIdentified(report)
            | Body::OperationPaused(report)
            | Body::OperationResumed(report)
            | Body::OperationCompleted(report)
            | Body::OperationAborted(report) => self.operation(report),
            Body::OperationCorrected(report) => self.operation(&mut report.operation),
            Body::OperationProgress(report) => {
                self.operation(&mut report.operation);
                report.duration_s = self.maybe();
                report.parameters = self.list(Self::parameter);
                report.quality = self.list(Self::characteristic);
            }
            Body::LimitExceeded(report) | Body::LimitCleared(report) => {
                self.operation(&mut report.operation);
                report.parameter = self.text();
                report.value = self.number();
                report.hold_s = self.number();
                report.peak = self.maybe();
                report.exceeded_s = self.maybe();
            }
            _ => self.shake_others(body),
        }
    }

    fn shake_others(&mut self, body: &mut Body) {
        match body {
            Body::PartIdentified(scan) => scan.part = self.part(&scan.part.clone()),
            Body::ScanRejected(scan) => {
                scan.text = self.maybe_text();
                scan.raw = self.list(|shaker| shaker.0.u8(..));
            }
            Body::Quality(report) => {
                report.results = self.list(Self::characteristic);
                report.instrument = self.maybe_text();
                report.part = report.part.clone().map(|part| self.part(&part));
                report.operation = None;
            }
            Body::Counted(report) => {
                report.name = self.text();
                report.order = self.reference();
                report.product = self.reference();
                report.shift = self.maybe_text();
            }
            Body::State(report) => {
                report.previous_duration_s = self.maybe();
                report.substate = self.maybe_text();
                report.reason = self.reason();
                report.native = self.list(|shaker| Native {
                    tag: shaker.text(),
                    value: Some(Value::Text(shaker.text().into())),
                });
            }
            Body::AlarmRaised(report) | Body::AlarmCleared(report) => {
                report.text = self.maybe_text();
                report.stood_s = self.maybe();
            }
            Body::DowntimeClosed(report) | Body::DowntimeReclassified(report) => {
                report.duration_s = self.maybe();
                report.reason = self.reason();
                report.previous_reason = self.reason();
                report.order = self.reference();
                report.last = self.0.bool();
            }
            Body::Interval(report) => {
                report.duration_s = self.maybe();
                report.planned_s = self.maybe();
                report.durations =
                    self.list(|shaker| (State::Running, Mode::Setup, shaker.number()));
                report.ideal = self.list(|shaker| IdealShare {
                    product: shaker.maybe_text(),
                    cycle_s: shaker.maybe(),
                    pieces: shaker.0.u64(..),
                });
            }
            Body::Indicator(report) => {
                report.value = self.maybe();
                report.trend_per_day = self.maybe();
                report.window_s = self.number();
                report.covered_s = self.number();
            }
            Body::ToolChanged(report) => report.tool = self.tool(),
            Body::MaterialLoaded(report) => report.lot = self.text(),
            Body::Heartbeat(report) => {
                report.up_s = self.number();
                report.open_operations =
                    self.list(|shaker| uuid::Uuid::from_u128(shaker.0.u128(..)));
            }
            Body::Clock(report) => report.delta_s = self.maybe(),
            Body::Delivery(report) => {
                report.detail = self.maybe_text();
                report.last_code = self.maybe_text();
                report.buffer_used_fraction = self.maybe();
                report.dropped = self.0.bool().then(|| self.dropped());
            }
            _ => {}
        }
    }
}

/// Events of every kind with everything else in them: so many rounds over all kinds, lists shorter than `longest`.
pub(super) fn shaken(seed: u64, rounds: usize, longest: usize) -> Vec<Event> {
    let mut shaker = Shaker(Rng::with_seed(seed), longest);
    let mut events = Vec::new();
    for _ in 0..rounds {
        for mut told in ordinary() {
            shaker.shake(&mut told.body);
            events.push(told);
        }
    }
    events
}

#[test]
fn whatever_comes_is_json_of_its_schema_and_not_too_large() {
    let seed = fastrand::u64(..);
    let schema: Json = serde_json::from_str(EVENT_SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for told in shaken(seed, ROUNDS, LONGEST) {
        let kind = told.kind();
        let rendered = renderer().render(&told, after(0.1)).json;
        assert!(rendered.len() <= MAX_EVENT_BYTES, "seed {seed}: {kind:?}");
        let json: Json = serde_json::from_slice(&rendered).unwrap();
        let complaint = validator.iter_errors(&json).next();
        let complaint = complaint.map(|error| format!("{} {error:.200}", error.instance_path()));
        assert_eq!(complaint, None, "seed {seed}: {kind:?}");
        assert!(!line(&json).is_empty(), "seed {seed}: {kind:?}");
    }
}
