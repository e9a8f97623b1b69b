//! An open operation: what it knows so far. Kept in the checkpoint, so that it outlives the gateway.

use super::definition::{Definition, Parameter};
use super::limited::Limited;
use super::machine::Resumed;
use super::statistics::{Accumulator, Held};
use super::trigger::Edge;
use super::used::Used;
use crate::model::{BootTime, Flag, Mode, Part, Reference, Stamp};
use crate::settings::shape::Purpose;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is read at the start edge.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) segment: Option<String>,
    pub(super) order: Option<Reference>,
    pub(super) product: Option<Reference>,
    pub(super) lot: Option<Reference>,
    pub(super) program: Option<Reference>,
    pub(super) operator: Option<Reference>,
    pub(super) purpose: Purpose,
    pub(super) shift: Option<String>,
    pub(super) mode_at_start: Option<Mode>,
    pub(super) parts: Vec<Part>,
}

/// Which edge a copy of the statistics was frozen at, while its debounce runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    End,
    Abort,
    NextStart,
}

/// An operation that has started and not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OpenOperation {
    /// Name of its definition.
    pub(super) definition: String,
    /// Id and ordinal, once it was told.
    pub(super) identity: Option<(Uuid, u64)>,
    pub(super) started: Stamp,
    pub(super) facts: Facts,
    pub(super) accumulators: Vec<Accumulator>,
    pub(super) limits: Limited,
    pub(super) flags: BTreeSet<Flag>,
    /// How often something was learnt about it since it was told.
    pub(super) revision: u32,
    /// Materials, tools, and the part that it took.
    pub(super) used: Used,
    pub(super) paused_since: Option<BootTime>,
    pub(super) paused_ns: i64,
    /// When a pause was left last: a start edge of that instant is this resume.
    pub(super) resumed_at: Option<BootTime>,
    pub(super) connection_losses: u32,
    /// It went through a restart of the gateway.
    pub(super) recovered: bool,
    /// Elapsed time across a reboot is not known.
    pub(super) unmeasured: bool,
    /// Raw value of the recovery counter.
    pub(super) counter: Option<i64>,
    /// Restored, and not yet known whether it still runs: when it was last seen.
    pub(super) undecided_since: Option<BootTime>,
    /// Its end was seen before it could be decided: when.
    #[serde(skip)]
    pub(super) end_seen: Option<Stamp>,
    /// It ended (`true`: was aborted) while the debounce of its start still ran.
    #[serde(skip)]
    pub(super) ended_early: Option<(Edge, bool)>,
    /// Its recovery counter was set back before it could be decided.
    #[serde(skip)]
    pub(super) counter_reset: bool,
    /// `max_duration` ends it not before this: it must be looked at first.
    #[serde(skip)]
    pub(super) limit_not_before: BootTime,
    /// Index of its definition in the machine.
    #[serde(skip)]
    pub(super) definition_index: usize,
    #[serde(skip)]
    frozen: Vec<(Role, Vec<Accumulator>)>,
}

/// What a tag is when an operation starts: since when, the value, and whether it came in the starting instant.
pub(super) type AtStart = Option<(Stamp, f64, bool)>;

impl OpenOperation {
    /// Begins at `started`. `tag_at` tells what the tag of each parameter is then.
    pub(super) fn begin(
        index: usize,
        definition: &Definition,
        started: Stamp,
        facts: Facts,
        counter: Option<i64>,
        tag_at: impl Fn(&Parameter) -> AtStart,
    ) -> OpenOperation {
        let accumulators = definition
            .parameters
            .iter()
            .map(|parameter| begin_parameter(parameter, started, tag_at(parameter)))
            .collect();
        OpenOperation {
            definition: definition.name.clone(),
            identity: None,
            started,
            facts,
            accumulators,
            limits: Limited::new(&definition.limits),
            flags: BTreeSet::new(),
            revision: 0,
            used: Used::default(),
            paused_since: None,
            paused_ns: 0,
            resumed_at: None,
            connection_losses: 0,
            recovered: false,
            unmeasured: false,
            counter,
            undecided_since: None,
            end_seen: None,
            ended_early: None,
            counter_reset: false,
            limit_not_before: BootTime(i64::MIN),
            definition_index: index,
            frozen: Vec::new(),
        }
    }

    /// Nanoseconds from the start to `at`.
    pub(super) fn offset(&self, at: BootTime) -> i64 {
        at.0.saturating_sub(self.started.boot.0)
    }

    /// Keeps the statistics as they are at an edge whose debounce runs.
    pub(super) fn freeze(&mut self, role: Role) {
        self.thaw(role);
        self.frozen.push((role, self.accumulators.clone()));
    }

    /// The edge did not hold.
    pub(super) fn thaw(&mut self, role: Role) {
        self.frozen.retain(|(kept, _)| *kept != role);
    }

    /// Its end has begun, and its debounce runs.
    pub(super) fn is_ending(&self) -> bool {
        self.frozen.iter().any(|(role, _)| *role == Role::End)
    }

    /// An end or an abort has begun, and its debounce runs: what comes now may come after the end.
    pub(super) fn may_be_over(&self) -> bool {
        let over = |role: &Role| matches!(role, Role::End | Role::Abort);
        self.frozen.iter().any(|(role, _)| over(role))
    }

    /// The statistics at the edge that ends the operation.
    pub(super) fn accumulators_at(&mut self, role: Option<Role>) -> Vec<Accumulator> {
        let frozen = role.and_then(|role| self.frozen.iter().position(|(kept, _)| *kept == role));
        match frozen {
            Some(place) => self.frozen.swap_remove(place).1,
            None => std::mem::take(&mut self.accumulators),
        }
    }

    /// Leaves the pause at `at`.
    pub(super) fn resume(&mut self, at: BootTime) {
        if let Some(since) = self.paused_since.take() {
            self.paused_ns += at.0.saturating_sub(since.0).max(0);
            self.resumed_at = Some(at);
        }
    }

    /// Carries it over a restart: nothing is known from `seen_until` on, and boot times move.
    pub(super) fn restore(&mut self, definition: &Definition, seen_until: BootTime, to: &Resumed) {
        let last = self.offset(seen_until);
        for (accumulator, parameter) in self.accumulators.iter_mut().zip(&definition.parameters) {
            accumulator.gap_from(last);
            if parameter.gate.is_some() {
                accumulator.unsure(last);
            }
        }
        self.limits.resume(to.measurable);
        let shift = |at: BootTime| at.shifted(to.shift_ns);
        self.started.boot = shift(self.started.boot);
        self.paused_since = self.paused_since.map(shift);
        self.undecided_since = Some(shift(self.undecided_since.unwrap_or(seen_until)));
        self.limit_not_before = to.now.plus(definition.settings.max_duration.get());
        self.recovered = true;
        if !to.same_boot {
            self.flags.insert(Flag::PowerLoss);
        }
        if !to.measurable {
            self.unmeasured = true;
            self.flags.insert(Flag::ClockUnsynchronised);
        }
    }
}

fn begin_parameter(parameter: &Parameter, started: Stamp, at_start: AtStart) -> Accumulator {
    let since = |stamp: Stamp| stamp.boot.0.saturating_sub(started.boot.0);
    let held: Held = at_start.map(|(stamp, value, _)| (since(stamp), value));
    let mut accumulator = Accumulator::new(&parameter.plan, held, parameter.inside());
    if let Some((stamp, value, uncertain)) = at_start
        && stamp.boot == started.boot
    {
        accumulator.add(0, value, uncertain);
    }
    accumulator
}
