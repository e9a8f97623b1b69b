//! An open operation: what it knows so far. Kept in the checkpoint, so that it outlives the gateway.

use super::covered::Covered;
use super::definition::{Definition, Parameter};
use super::limited::Limited;
use super::machine::Resumed;
use super::report::End;
use super::statistics::{Accumulator, Held};
use super::trigger::Edge;
use super::used::Used;
use crate::model::{BootTime, Flag, Mode, Part, Reference, Stamp, Value};
use crate::settings::shape::Purpose;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// A sample stamped when the trailing time is over belongs still.
const INCLUSIVE: Duration = Duration::from_nanos(1);

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

/// Pauses up to an instant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paused {
    since: Option<BootTime>,
    ns: i64,
}

/// What was known at an edge whose debounce runs.
#[derive(Clone, Debug)]
struct Frozen {
    role: Role,
    accumulators: Vec<Accumulator>,
    paused: Paused,
}

/// From the end edge on: while its debounce runs, and while samples that trail it are waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tail {
    /// Time by quality at the edge, by parameter: of the operation's own time, without what trails it.
    pub(super) covered: Vec<Covered>,
    /// Samples before this belong to the operation.
    pub(super) until: BootTime,
    /// Pauses up to the edge, while its debounce runs.
    #[serde(skip)]
    paused: Paused,
    /// How it ended, once the edge has held.
    pub(super) end: Option<End>,
}

/// The stretch that the next `operation.progress` is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Window {
    /// From 0.
    pub(super) index: u32,
    pub(super) from: Stamp,
    pub(super) accumulators: Vec<Accumulator>,
    /// Elapsed time across a reboot is not known.
    pub(super) unmeasured: bool,
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
    /// Its times are those of a device.
    pub(super) device_time: bool,
    pub(super) flags: BTreeSet<Flag>,
    /// How often something was learnt after it was told.
    pub(super) revision: u32,
    /// Materials, tools, and the part that it took.
    pub(super) used: Used,
    pub(super) paused_since: Option<BootTime>,
    pub(super) paused_ns: i64,
    /// What the pause that is open, or was left last, was for.
    pub(super) pause_reason: Option<String>,
    /// A reboot that cannot be measured fell into a pause.
    pub(super) pause_unmeasured: bool,
    /// When a pause was left last: a start edge of that instant is this resume.
    pub(super) resumed_at: Option<BootTime>,
    pub(super) connection_losses: u32,
    /// It went through a restart of the gateway.
    pub(super) recovered: bool,
    /// Elapsed time across a reboot is not known.
    pub(super) unmeasured: bool,
    /// With `new_when_changed`: the value that it goes with.
    pub(super) key: Option<Value>,
    /// Raw value of the recovery counter.
    pub(super) counter: Option<i64>,
    pub(super) window: Option<Window>,
    pub(super) tail: Option<Tail>,
    /// Restored, and not yet known whether it still runs: when it was last seen.
    pub(super) undecided_since: Option<BootTime>,
    /// Its end was seen before it could be decided: when.
    #[serde(skip)]
    pub(super) end_seen: Option<Stamp>,
    /// It ended (`true`: was aborted) while the debounce of its start still ran.
    #[serde(skip)]
    pub(super) ended_early: Option<(Edge, bool)>,
    /// Its recovery counter was set back before it could be decided.
    pub(super) counter_reset: bool,
    /// `max_duration` ends it not before this: it must be looked at first.
    #[serde(skip)]
    pub(super) limit_not_before: BootTime,
    /// It was restored then: its devices are given up not before they were waited for anew.
    #[serde(skip)]
    pub(super) restored_at: BootTime,
    /// Index of its definition in the machine.
    #[serde(skip)]
    pub(super) definition_index: usize,
    #[serde(skip)]
    frozen: Vec<Frozen>,
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
        let accumulators: Vec<Accumulator> = definition
            .parameters
            .iter()
            .map(|parameter| begin_parameter(parameter, started, tag_at(parameter)))
            .collect();
        let window = definition.settings.progress_every.map(|_| Window {
            index: 0,
            from: started,
            accumulators: accumulators.clone(),
            unmeasured: false,
        });
        OpenOperation {
            definition: definition.name.clone(),
            identity: None,
            started,
            facts,
            accumulators,
            limits: Limited::new(&definition.limits),
            device_time: definition.device_time,
            flags: BTreeSet::new(),
            revision: 0,
            used: Used::default(),
            paused_since: None,
            paused_ns: 0,
            pause_reason: None,
            pause_unmeasured: false,
            resumed_at: None,
            connection_losses: 0,
            recovered: false,
            unmeasured: false,
            key: None,
            counter,
            window,
            tail: None,
            undecided_since: None,
            end_seen: None,
            ended_early: None,
            counter_reset: false,
            limit_not_before: BootTime(i64::MIN),
            restored_at: BootTime(i64::MIN),
            definition_index: index,
            frozen: Vec::new(),
        }
    }

    /// Nanoseconds from the start to `at`.
    pub(super) fn offset(&self, at: BootTime) -> i64 {
        at.0.saturating_sub(self.started.boot.0)
    }

    fn paused(&self) -> Paused {
        Paused {
            since: self.paused_since,
            ns: self.paused_ns,
        }
    }

    fn forget_pauses_after(&mut self, paused: Paused) {
        self.paused_since = paused.since;
        self.paused_ns = paused.ns;
    }

    /// Keeps the statistics and the pauses as they are at an edge whose debounce runs.
    pub(super) fn freeze(&mut self, role: Role) {
        self.thaw(role);
        self.frozen.push(Frozen {
            role,
            accumulators: self.accumulators.clone(),
            paused: self.paused(),
        });
    }

    /// The edge did not hold.
    pub(super) fn thaw(&mut self, role: Role) {
        self.frozen.retain(|frozen| frozen.role != role);
    }

    /// Its end has begun: its debounce runs, or what trails it is waited for.
    pub(super) fn is_ending(&self) -> bool {
        self.tail.is_some() || self.is_frozen(Role::End)
    }

    /// Its end has held; only samples that trail it are waited for.
    pub(super) fn is_over(&self) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail.end.is_some())
    }

    /// When it ended, while samples that trail it are waited for.
    pub(super) fn over_since(&self) -> Option<BootTime> {
        Some(self.tail.as_ref()?.end.as_ref()?.at.boot)
    }

    /// It was restored, and it is not known yet whether it still runs.
    pub(super) fn is_undecided(&self) -> bool {
        self.undecided_since.is_some()
    }

    pub(super) fn is_frozen(&self, role: Role) -> bool {
        self.frozen.iter().any(|frozen| frozen.role == role)
    }

    /// Its end began at `at`, and samples may trail it for `trailing`.
    pub(super) fn trail(&mut self, at: BootTime, trailing: Duration) {
        let t = self.offset(at);
        self.thaw(Role::End);
        self.tail = Some(Tail {
            covered: self.accumulators.iter().map(|a| a.covered_at(t)).collect(),
            until: at.plus(trailing).plus(INCLUSIVE),
            paused: self.paused(),
            end: None,
        });
    }

    /// The end that its tail began with has held; gives when nothing trails it any more.
    pub(super) fn ended(&mut self, end: End) -> Option<BootTime> {
        let paused = self.tail.as_ref()?.paused;
        self.forget_pauses_after(paused);
        for frozen in &mut self.frozen {
            frozen.paused = paused;
        }
        let tail = self.tail.as_mut()?;
        tail.end = Some(end);
        Some(tail.until)
    }

    /// The statistics of a parameter: of the whole, and of the window where there is one, each with its own beginning.
    pub(super) fn measures(
        &mut self,
        parameter: usize,
    ) -> impl Iterator<Item = (BootTime, &mut Accumulator)> {
        let begun = self.started.boot;
        let whole = self.accumulators.get_mut(parameter);
        let window = self.window.as_mut().and_then(|window| {
            let from = window.from.boot;
            Some((from, window.accumulators.get_mut(parameter)?))
        });
        whole.map(|whole| (begun, whole)).into_iter().chain(window)
    }

    /// An end or an abort has begun, and its debounce runs: what comes now may come after the end.
    pub(super) fn may_be_over(&self) -> bool {
        let over = |role: &Role| matches!(role, Role::End | Role::Abort);
        self.tail.is_some() || self.frozen.iter().any(|frozen| over(&frozen.role))
    }

    /// The statistics at the edge that ends the operation. Pauses after it are forgotten, too.
    pub(super) fn accumulators_at(&mut self, role: Option<Role>) -> Vec<Accumulator> {
        let place = role.and_then(|role| self.frozen.iter().position(|kept| kept.role == role));
        let Some(place) = place else {
            return std::mem::take(&mut self.accumulators);
        };
        let frozen = self.frozen.swap_remove(place);
        self.forget_pauses_after(frozen.paused);
        frozen.accumulators
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
        for (p, parameter) in definition.parameters.iter().enumerate() {
            for (begun, accumulator) in self.measures(p) {
                let last = seen_until.0.saturating_sub(begun.0);
                accumulator.gap_from(last);
                if parameter.gate.is_some() {
                    accumulator.unsure(last);
                }
            }
        }
        self.limits.resume(to.measurable);
        let shift = |at: BootTime| at.shifted(to.shift_ns);
        self.started.boot = shift(self.started.boot);
        self.paused_since = self.paused_since.map(shift);
        self.pause_unmeasured |= !to.measurable && self.paused_since.is_some();
        self.resumed_at = None;
        // An end whose debounce was running is looked for anew; one that had held is one.
        self.tail = self.tail.take().filter(|tail| tail.end.is_some());
        if let Some(tail) = &mut self.tail {
            tail.until = to.now;
            if let Some(end) = &mut tail.end {
                end.at.boot = shift(end.at.boot);
            }
        }
        if let Some(window) = &mut self.window {
            window.from.boot = shift(window.from.boot);
            window.unmeasured |= !to.measurable;
        }
        if !self.is_over() {
            self.undecided_since = Some(shift(self.undecided_since.unwrap_or(seen_until)));
            // What was measured before an end that is known is known.
            self.unmeasured |= !to.measurable;
        }
        self.limit_not_before = to.now.plus(definition.settings.max_duration.get());
        self.restored_at = to.now;
        self.recovered = true;
        if !to.same_boot {
            self.flags.insert(Flag::PowerLoss);
        }
        if self.unmeasured {
            self.flags.insert(Flag::ClockUnsynchronised);
        }
    }
}

pub(super) fn begin_parameter(
    parameter: &Parameter,
    started: Stamp,
    at_start: AtStart,
) -> Accumulator {
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
