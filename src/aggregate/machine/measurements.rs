//! Gauges beside the line: each value becomes a `quality.result`. Pure.
//!
//! The result belongs to the operation that has the part that was measured, open or lately ended; where the settings name no
//! part, to the one that is open or has just ended. It changes no verdict there: the MES joins them.

use super::parts::id_of;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::condition::{Allowed, Condition, Scope};
use crate::aggregate::definition::{Compiler, Fact};
use crate::aggregate::saved::{self, Saved};
use crate::aggregate::trigger::{Memory, Step, Trigger};
use crate::model::{
    Body, CharacteristicResult, Part, PartKind, PartSource, QualityReport, Stamp, Value, Verdict,
};
use crate::settings::shape::Measurement;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// The gauges of a machine.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    gauges: Vec<Gauge>,
}

#[derive(Debug)]
struct Gauge {
    /// The characteristic.
    name: String,
    settings: Measurement,
    condition: Condition,
    trigger: Trigger,
    value: usize,
    unit: Option<String>,
    part: Option<usize>,
    instrument: Option<Fact>,
}

/// A gauge in the checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct SavedGauge {
    /// Another condition of the same name has another memory.
    when: String,
    memory: Memory,
    /// Last known values of tags whose changes are waited for.
    pulses: Vec<(String, Value)>,
}

impl Gauges {
    pub(super) fn compile(compiler: &mut Compiler<'_>) -> Gauges {
        let machine = compiler.machine;
        let mut gauges = Vec::new();
        for (name, settings) in &machine.measurements {
            let path = format!("measurements.{name}.when");
            let condition = compiler.condition(&path, &settings.when, Allowed::ALL);
            let value = compiler.scope.tag(&settings.value.tag);
            let (Some(condition), Some((value, _))) = (condition, value) else {
                continue;
            };
            let tag = machine.tags.get(&settings.value.tag);
            let tag = tag.and_then(|tag| compiler.plant.tags.get(tag.index()));
            let part = settings.part.as_ref();
            let instrument = settings.instrument.as_ref();
            gauges.push(Gauge {
                name: name.clone(),
                settings: settings.clone(),
                condition,
                trigger: Trigger::new(Duration::ZERO),
                value,
                unit: tag.and_then(|tag| tag.unit.clone()),
                part: part
                    .and_then(|part| compiler.scope.tag(&part.tag))
                    .map(|tag| tag.0),
                instrument: instrument.and_then(|source| Fact::compile(source, compiler.scope)),
            });
        }
        Gauges { gauges }
    }

    /// The conditions that say when there is a result.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.gauges.iter().map(|gauge| &gauge.condition)
    }
}

impl Gauge {
    fn result(&self, scope: &Scope, at: Stamp) -> CharacteristicResult {
        let settings = &self.settings;
        let value = scope.value(self.value).and_then(Value::number);
        CharacteristicResult {
            id: settings.id.clone(),
            characteristic: self.name.clone(),
            value,
            unit: self.unit.clone(),
            low: settings.low,
            target: settings.target,
            high: settings.high,
            limits_version: settings.version.clone(),
            verdict: value.map_or(Verdict::Undetermined, |value| judge(settings, value)),
            measured_at: at.utc,
        }
    }

    fn part(&self, scope: &Scope, at: Stamp) -> Option<Part> {
        Some(Part {
            id: id_of(scope.value(self.part?)?)?,
            kind: PartKind::Serial,
            source: PartSource::Plc,
            symbology: None,
            identified_at: at.utc,
        })
    }
}

/// Without limits there is nothing to check.
fn judge(settings: &Measurement, value: f64) -> Verdict {
    let outside = settings.low.is_some_and(|low| value < low)
        || settings.high.is_some_and(|high| value > high);
    match (settings.low.or(settings.high), outside) {
        (None, _) => Verdict::NotEvaluated,
        (Some(_), true) => Verdict::Fail,
        (Some(_), false) => Verdict::Pass,
    }
}

impl Machine {
    pub(super) fn step_measurements(&mut self, moment: &mut Moment<'_>) {
        for index in 0..self.gauges.gauges.len() {
            let gauge = self.gauges.gauges.get(index);
            if gauge.is_some_and(|gauge| self.affected(&gauge.condition)) {
                self.observe_gauge(index, moment);
            }
        }
    }

    /// A pulse lasts one instant.
    pub(super) fn end_measurement_pulses(&mut self, pulsed: &[usize], moment: &mut Moment<'_>) {
        for index in 0..self.gauges.gauges.len() {
            let concerned = self.gauges.gauges.get(index).is_some_and(|gauge| {
                let condition = &gauge.condition;
                condition.uses_pulses && pulsed.iter().any(|local| condition.tags.contains(local))
            });
            if concerned {
                self.observe_gauge(index, moment);
            }
        }
    }

    fn observe_gauge(&mut self, index: usize, moment: &mut Moment<'_>) -> Option<()> {
        let gauge = self.gauges.gauges.get_mut(index)?;
        let known = moment.evaluate(&gauge.condition, &self.scope);
        self.unsaved = self.unsaved.max(Unsaved::Later);
        match gauge.trigger.observe(known, moment.now) {
            Step::Fired(edge) if edge.to => self.tell_result(index, edge.at, moment),
            _ => None,
        }
    }

    fn tell_result(&mut self, index: usize, at: Stamp, moment: &mut Moment<'_>) -> Option<()> {
        let gauge = self.gauges.gauges.get(index)?;
        let result = gauge.result(&self.scope, at);
        let instrument = gauge.instrument.as_ref();
        let instrument = instrument.and_then(|fact| fact.text(&self.scope));
        let part = gauge.part(&self.scope, at);
        let joined = part.as_ref().and_then(|part| self.operation_with(&part.id));
        let (part, operation) = match joined {
            Some((part, operation)) => (Some(part), Some(operation)),
            None if gauge.part.is_none() => (None, self.operation_without_part(at)),
            None => (part, None),
        };
        let heading = Heading {
            correlation: operation.as_ref().map(|(id, _)| *id),
            ..Heading::machine(&self.name, at.utc)
        };
        let report = QualityReport {
            verdict: result.verdict,
            results: vec![result],
            instrument,
            part,
            operation,
        };
        moment.tell(heading, Body::Quality(report));
        self.unsaved = Unsaved::Soon;
        Some(())
    }

    /// For a gauge whose settings name no part: the open operation, else the one that ended at most `late_window` ago. Where
    /// several may be meant, nobody knows which.
    fn operation_without_part(&self, at: Stamp) -> Option<(Uuid, String)> {
        let open = self.slots.iter().filter_map(|slot| {
            let open = slot.open.as_ref()?;
            Some((open.identity?.0, open.definition.clone()))
        });
        let mut open = open.peekable();
        if open.peek().is_some() {
            return open.next().filter(|_| open.next().is_none());
        }
        let ended = self.slots.iter().filter_map(|slot| {
            let closed = slot.closed.back()?;
            let meant = slot.open.is_none() && closed.in_time(at.boot);
            meant.then(|| (closed.report.id, closed.report.name.clone()))
        });
        let mut ended = ended;
        ended.next().filter(|_| ended.next().is_none())
    }

    /// The operation that has the part, open ones first, then the latest; with the part as it is known there.
    fn operation_with(&self, id: &str) -> Option<(Part, (Uuid, String))> {
        let open = self.slots.iter().filter_map(|slot| {
            let open = slot.open.as_ref()?;
            let (operation, _) = open.identity?;
            Some((&open.facts.parts, operation, &open.definition))
        });
        let closed = self.slots.iter().flat_map(|slot| slot.closed.iter().rev());
        let closed = closed.map(|closed| {
            let report = &closed.report;
            (&report.parts, report.id, &report.name)
        });
        open.chain(closed).find_map(|(parts, operation, name)| {
            let part = parts.iter().find(|part| part.id == id)?;
            Some((part.clone(), (operation, name.clone())))
        })
    }

    pub(super) fn save_measurements(&self, into: &mut Saved) {
        for gauge in &self.gauges.gauges {
            let pulsing = |(local, _): &(usize, &str)| {
                gauge.condition.uses_pulses && gauge.condition.tags.contains(local)
            };
            let tags = self.scope.tag_names().enumerate().filter(pulsing);
            let pulses = tags.filter_map(|(local, name)| {
                Some((name.to_owned(), self.scope.last_known(local)?.clone()))
            });
            let saved = SavedGauge {
                when: gauge.settings.when.0.clone(),
                memory: gauge.trigger.memory(),
                pulses: pulses.collect(),
            };
            into.put(format!("{}/gauge/{}", self.scope_key(), gauge.name), &saved);
        }
    }

    pub(super) fn restore_measurements(
        &mut self,
        entries: &super::Entries,
        resumed: &super::Resumed,
    ) {
        let key = self.scope_key();
        for gauge in &mut self.gauges.gauges {
            let bytes = entries.get(&format!("{key}/gauge/{}", gauge.name));
            let Some(saved) = bytes.and_then(|bytes| saved::read::<SavedGauge>(bytes)) else {
                continue;
            };
            if saved.when == gauge.settings.when.0 {
                let memory = saved.memory;
                let (shift_ns, measurable) = (resumed.shift_ns, resumed.measurable);
                gauge
                    .trigger
                    .resume(memory.resumed(resumed.alive, shift_ns, measurable));
            }
            for (name, value) in saved.pulses {
                if let Some((local, _)) = self.scope.tag(&name) {
                    self.scope.remember(local, value);
                }
            }
        }
    }
}
