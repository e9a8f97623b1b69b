//! An operation of the settings, compiled for one machine: conditions, triggers, parameters, where facts come from.

use super::condition::{Allowed, Condition, Known, Scope};
use super::limited::{self, Limit};
use super::origin::{During, Products, PurposeRule};
use super::statistics::Plan;
use super::trigger::Trigger;
use crate::model::{DeviceId, Reference, Value};
use crate::settings::shape::{self, Origin, ParameterKind, Pieces, Source};
use crate::settings::{Machine, Plant, Problem, Reported};
use std::collections::BTreeSet;
use std::time::Duration;

/// Where a text comes from.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// From a tag, by its local number.
    Tag(usize),
    /// From the settings.
    Fixed(String),
}

impl Fact {
    pub(super) fn compile(source: &Source, scope: &Scope) -> Option<Fact> {
        match source {
            Source::Tag(name) => scope.tag(name).map(|(local, _)| Fact::Tag(local)),
            Source::Value(text) => Some(Fact::Fixed(text.clone())),
        }
    }

    /// The text now; `None` when the tag is bad or empty.
    pub(super) fn text(&self, scope: &Scope) -> Option<String> {
        match self {
            Fact::Fixed(text) => Some(text.clone()),
            Fact::Tag(local) => scope
                .value(*local)
                .map(Value::to_string)
                .filter(|t| !t.is_empty()),
        }
    }

    /// The tag that says it.
    pub(super) fn tag(&self) -> Option<usize> {
        match self {
            Fact::Tag(local) => Some(*local),
            Fact::Fixed(_) => None,
        }
    }

    pub(super) fn reference(&self, scope: &Scope) -> Option<Reference> {
        let source = match self {
            Fact::Tag(_) => "plc",
            Fact::Fixed(_) => "settings",
        };
        self.text(scope).map(|id| Reference {
            id,
            source: source.to_owned(),
        })
    }
}

/// Where an order, a lot or an operator comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Whence {
    fact: Option<Fact>,
    /// What was scanned counts where the tag says nothing.
    or_scanned: bool,
}

impl Whence {
    pub(super) fn compile(origin: Option<&Origin>, scope: &Scope) -> Whence {
        let Some(origin) = origin else {
            return Whence {
                fact: None,
                or_scanned: true,
            };
        };
        Whence {
            fact: fact_of(origin.tag.as_ref(), origin.value.as_ref(), scope),
            or_scanned: origin.otherwise.is_some(),
        }
    }

    /// False where its tag is bad, or was not read yet: then nothing is known, not even that there is none.
    pub(super) fn is_readable(&self, scope: &Scope) -> bool {
        match self.fact {
            Some(Fact::Tag(local)) => scope.value(local).is_some(),
            _ => true,
        }
    }

    /// What was scanned counts, where no tag says it.
    pub(super) fn takes_scanned(&self) -> bool {
        self.or_scanned
    }

    pub(super) fn reference(
        &self,
        scope: &Scope,
        scanned: Option<&Reference>,
    ) -> Option<Reference> {
        let said = self.fact.as_ref().and_then(|fact| fact.reference(scope));
        said.or_else(|| scanned.filter(|_| self.or_scanned).cloned())
    }

    /// The tag that says it.
    pub(super) fn tag(&self) -> Option<usize> {
        self.fact.as_ref().and_then(Fact::tag)
    }
}

fn fact_of(tag: Option<&String>, value: Option<&String>, scope: &Scope) -> Option<Fact> {
    match (tag, value) {
        (Some(name), _) => scope.tag(name).map(|(local, _)| Fact::Tag(local)),
        (None, value) => value.cloned().map(Fact::Fixed),
    }
}

/// A condition with its course over time.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) condition: Condition,
    pub(super) trigger: Trigger,
}

/// A parameter of the settings.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) tag: usize,
    pub(super) unit: Option<String>,
    /// Zero where silence is no missed poll: the tag comes when it changes.
    pub(super) every: Duration,
    pub(super) plan: Plan,
    pub(super) percentiles: Vec<f64>,
    /// `while:`, and what it says now.
    pub(super) gate: Option<(Condition, Known)>,
    /// A tag of the conditions, measured for its coverage only: in no report.
    pub(super) hidden: bool,
    /// It has limits on its raw values.
    pub(super) limited: bool,
}

impl Parameter {
    /// Of an earlier settings file, and its tag is gone: it has what was measured before.
    fn absent(name: &str) -> Parameter {
        Parameter {
            name: name.to_owned(),
            tag: ABSENT,
            unit: None,
            every: Duration::ZERO,
            plan: Plan::default(),
            percentiles: Vec::new(),
            gate: None,
            hidden: false,
            limited: false,
        }
    }

    pub(super) fn inside(&self) -> Known {
        self.gate.as_ref().map_or(Known::True, |(_, known)| *known)
    }

    /// Not only numbers count.
    pub(super) fn takes_all(&self) -> bool {
        self.hidden || self.plan.sequence
    }
}

/// Where the number of pieces comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum PieceCount {
    Fixed(u32),
    Tag(usize),
}

/// An operation of the settings.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) settings: shape::Operation,
    /// Index of its slot in the machine.
    pub(super) slot: usize,
    pub(super) start: Armed,
    pub(super) only_if: Option<Condition>,
    pub(super) end: Armed,
    pub(super) abort: Option<Armed>,
    pub(super) pause: Option<Armed>,
    pub(super) abort_reason: Option<Fact>,
    pub(super) pause_reason: Option<Fact>,
    /// Of `during:`.
    pub(super) during: Option<During>,
    pub(super) purpose: Vec<PurposeRule>,
    pub(super) segment: Option<Fact>,
    pub(super) order: Whence,
    pub(super) product: Products,
    pub(super) lot: Whence,
    pub(super) operator: Whence,
    pub(super) program: Option<Fact>,
    pub(super) pieces: PieceCount,
    /// The tag of its part, where one says it.
    pub(super) part: Option<usize>,
    /// Something says its part: an operation without one is flagged.
    pub(super) part_expected: bool,
    /// The tags of the lots of its materials, and which material.
    pub(super) lots: Vec<(usize, usize)>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) limits: Vec<Limit>,
    /// Index of the recovery counter in the machine.
    pub(super) recovery_counter: Option<usize>,
    pub(super) devices: BTreeSet<DeviceId>,
    /// One of them stamps its own values.
    pub(super) device_time: bool,
    /// What `only_if` said at the start edge that is being debounced.
    pub(super) start_allowed: bool,
    /// Of an earlier settings file: ends what it began and starts nothing.
    pub(super) retired: bool,
    /// Of an earlier settings file, and what it needs is gone: what it began cannot go on.
    pub(super) gone: Option<Gone>,
}

/// What the settings no longer have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Tags of its conditions.
    Tags,
    /// The whole machine.
    Machine,
}

impl Gone {
    /// Why the operation was broken off, as its event says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Gone::Tags => "tags_removed",
            Gone::Machine => "machine_removed",
        }
    }

    /// For people.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Gone::Tags => "tags of its conditions were no longer in the settings",
            Gone::Machine => "its machine was no longer in the settings",
        }
    }
}

/// Stands for a tag that the settings no longer have: it never has a value.
pub(super) const ABSENT: usize = usize::MAX;

/// Compiles the parts of a machine and collects every problem with its path.
pub(super) struct Compiler<'a> {
    pub(super) plant: &'a Plant,
    pub(super) machine: &'a Machine,
    pub(super) scope: &'a Scope,
    pub(super) problems: Vec<Problem>,
    /// The conditions that were compiled: path and text.
    pub(super) conditions: Vec<(String, String)>,
}

impl Compiler<'_> {
    pub(super) fn condition(
        &mut self,
        path: &str,
        cel: &shape::Cel,
        allowed: Allowed,
    ) -> Option<Condition> {
        let path = if self.machine.path.is_empty() {
            path.to_owned()
        } else {
            format!("{}.{path}", self.machine.path)
        };
        match Condition::compile(&cel.0, self.scope, allowed) {
            Ok(condition) => {
                self.conditions.push((path, cel.0.clone()));
                Some(condition)
            }
            Err(message) => {
                self.problems.push(Problem::new(path, message));
                None
            }
        }
    }

    fn armed(&mut self, path: &str, trigger: &shape::Trigger, pulses: bool) -> Option<Armed> {
        let debounce = trigger.debounce.get();
        let allowed = Allowed {
            pulses: pulses && debounce.is_zero(),
            ..Allowed::ALL
        };
        Some(Armed {
            condition: self.condition(path, &trigger.when, allowed)?,
            trigger: Trigger::new(debounce),
        })
    }

    fn fact(&self, source: Option<&Source>) -> Option<Fact> {
        source.and_then(|source| Fact::compile(source, self.scope))
    }

    /// `None` when a problem was found, which is in `problems` then.
    pub(super) fn definition(
        &mut self,
        name: &str,
        settings: &shape::Operation,
        slot: usize,
    ) -> Option<Definition> {
        let path = format!("operations.{name}");
        let before = self.problems.len();
        let (begins, ends) = (settings.begins(), settings.ends());
        let key = |key: &str| match settings.during {
            Some(_) => format!("{path}.during"),
            None => format!("{path}.{key}.when"),
        };
        let pulses = settings.during.is_none();
        let start = self.armed(&key("start"), &begins, pulses);
        // The end of `during:` is made of the same condition: what is wrong with it is said once.
        let end = match settings.during.is_some() && start.is_none() {
            true => None,
            false => self.armed(&key("end"), &ends, pulses),
        };
        let abort = settings
            .abort
            .as_ref()
            .and_then(|abort| self.armed(&format!("{path}.abort.when"), abort, true));
        let pause = settings
            .pause
            .as_ref()
            .and_then(|pause| self.armed(&format!("{path}.pause.when"), pause, false));
        let only_if = settings
            .only_if
            .as_ref()
            .and_then(|cel| self.condition(&format!("{path}.only_if"), cel, Allowed::ALL));
        let purpose = self.purposes(&path, &settings.purpose);
        let mut parameters = self.parameters(&path, settings);
        if self.problems.len() > before {
            return None;
        }
        let (start, end) = (start?, end?);
        if parameters.is_empty() {
            parameters = self.watched([Some(&start), Some(&end), abort.as_ref()]);
        }
        let limits = limited::compile(settings, &mut parameters);
        let devices = self.devices(&parameters, [Some(&start), Some(&end), abort.as_ref()]);
        Some(Definition {
            name: name.to_owned(),
            settings: settings.clone(),
            slot,
            start,
            only_if,
            end,
            abort,
            pause,
            abort_reason: self.fact(settings.abort.as_ref().and_then(|a| a.reason.as_ref())),
            pause_reason: self.fact(settings.pause.as_ref().and_then(|p| p.reason.as_ref())),
            during: self.during(settings),
            purpose,
            segment: self.fact(settings.segment.as_ref()),
            order: Whence::compile(settings.order.as_ref(), self.scope),
            product: self.products(settings.product.as_ref()),
            lot: Whence::compile(settings.lot.as_ref(), self.scope),
            operator: Whence::compile(settings.operator.as_ref(), self.scope),
            program: self.fact(settings.program.as_ref()),
            pieces: self.pieces(&settings.pieces),
            part: self.local(settings.part.tag.as_deref()),
            part_expected: self.part_expected(settings),
            lots: self.lots(settings),
            parameters,
            limits,
            recovery_counter: settings
                .recovery_counter
                .as_ref()
                .and_then(|counter| self.machine.equipment.counters.get_index_of(counter)),
            device_time: devices.iter().any(|device| {
                let device = self.plant.devices.get(device.index());
                device.is_some_and(|device| device.timestamps != shape::Timestamps::Gateway)
            }),
            devices,
            start_allowed: false,
            retired: false,
            gone: None,
        })
    }

    fn pieces(&self, pieces: &Pieces) -> PieceCount {
        match pieces {
            Pieces::Fixed(count) => PieceCount::Fixed(*count),
            Pieces::Tag(from) => self
                .scope
                .tag(&from.tag)
                .map_or(PieceCount::Tag(ABSENT), |(local, _)| PieceCount::Tag(local)),
        }
    }

    fn parameters(&mut self, path: &str, settings: &shape::Operation) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        for (name, parameter) in &settings.parameters {
            let gate = parameter.during.as_ref().map(|cel| {
                let allowed = Allowed {
                    pulses: false,
                    ..Allowed::ALL
                };
                self.condition(&format!("{path}.parameters.{name}.while"), cel, allowed)
            });
            let gate = match gate {
                Some(Some(condition)) => Some((condition, Known::Unknown)),
                Some(None) => continue,
                None => None,
            };
            let base = self.parameter(name, &parameter.tag);
            let base = base.unwrap_or_else(|| Parameter::absent(name));
            parameters.push(Parameter {
                plan: Plan {
                    profile: parameter.profile,
                    percentiles: !parameter.percentiles.is_empty(),
                    sequence: parameter.kind == ParameterKind::Sequence,
                    ..base.plan
                },
                percentiles: parameter.percentiles.clone(),
                gate,
                ..base
            });
        }
        parameters
    }

    fn parameter(&self, name: &str, tag: &str) -> Option<Parameter> {
        let (local, _) = self.scope.tag(tag)?;
        let tag = self.machine.tags.get(tag)?;
        let tag = self.plant.tags.get(tag.index())?;
        Some(Parameter {
            name: name.to_owned(),
            tag: local,
            unit: tag.unit.clone(),
            every: match tag.reported {
                Reported::Each => tag.every,
                Reported::OnChange => Duration::ZERO,
            },
            plan: Plan {
                interpolation: tag.interpolation,
                ..Plan::default()
            },
            percentiles: Vec::new(),
            gate: None,
            hidden: false,
            limited: false,
        })
    }

    /// Without parameters the quality of the data is that of the conditions' tags.
    fn watched(&self, armed: [Option<&Armed>; 3]) -> Vec<Parameter> {
        let tags: BTreeSet<usize> = armed
            .iter()
            .flatten()
            .flat_map(|armed| armed.condition.tags.iter().copied())
            .collect();
        tags.iter()
            .filter_map(|local| self.machine.tags.get_index(*local))
            .filter_map(|(name, _)| self.parameter(name, name))
            .map(|parameter| Parameter {
                hidden: true,
                ..parameter
            })
            .collect()
    }

    fn devices(&self, parameters: &[Parameter], armed: [Option<&Armed>; 3]) -> BTreeSet<DeviceId> {
        let of_conditions = armed
            .iter()
            .flatten()
            .flat_map(|armed| armed.condition.tags.iter().copied());
        parameters
            .iter()
            .map(|parameter| parameter.tag)
            .chain(of_conditions)
            .filter_map(|local| self.machine.tags.get_index(local))
            .filter_map(|(_, tag)| self.plant.tags.get(tag.index()))
            .map(|tag| tag.device)
            .collect()
    }
}
