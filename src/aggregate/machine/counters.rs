//! The machine's counters: windows of a minute, and one at the end of each operation.

use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::condition::Scope;
use crate::aggregate::counter::{Counter, Limits};
use crate::model::{Body, BootTime, CounterReport, Flag, Reference, Sample, Value};
use crate::settings::shape::{self, Counts, PiecesFrom};
use std::time::Duration;
use uuid::Uuid;

/// How often counters are reported, if they counted.
const REPORT_EVERY: Duration = Duration::from_secs(60);

pub(super) fn next_report(now: BootTime) -> BootTime {
    now.plus(REPORT_EVERY)
}

/// A counter of the settings.
#[derive(Debug)]
pub(super) struct MachineCounter {
    pub(super) name: String,
    pub(super) tag: usize,
    pub(super) counter: Counter,
    counts: Counts,
    modulus: Option<u64>,
}

impl MachineCounter {
    pub(super) fn compile(
        name: &str,
        settings: &shape::Counter,
        scope: &Scope,
    ) -> Option<MachineCounter> {
        let (tag, _) = scope.tag(&settings.tag)?;
        Some(MachineCounter {
            name: name.to_owned(),
            tag,
            counter: Counter::new(Limits {
                modulus: settings.modulus,
                max_rate: settings.max_rate.map(crate::settings::Rate::per_second),
            }),
            counts: settings.counts,
            modulus: settings.modulus,
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

impl Machine {
    /// A sample of a counter's tag.
    pub(super) fn count(&mut self, index: usize, sample: &Sample, moment: &Moment<'_>) {
        let Some(machine_counter) = self.counters.get_mut(index) else {
            return;
        };
        let Some(Value::Int(raw)) = sample.usable() else {
            if machine_counter.counter.lost() {
                self.unsaved = self.unsaved.max(Unsaved::Later);
            }
            return;
        };
        let tally = machine_counter.counter.tally();
        let before = tally.map(|tally| tally.raw);
        let reset = machine_counter.counter.count(*raw, sample.stamp);
        let now = machine_counter.counter.tally();
        let counted = now
            .zip(tally)
            .map_or(0, |(now, then)| now.total - then.total);
        self.intervals_count(index, counted, moment);
        for open in self.slots.iter_mut().filter_map(|slot| slot.open.as_mut()) {
            // Begun before the counter was read: this is what it began with.
            if open.counter.is_none() && open.undecided_since.is_none() {
                let definition = self.definitions.get(open.definition_index);
                let concerned = definition.is_some_and(|d| d.recovery_counter == Some(index));
                open.counter = concerned.then_some(*raw);
            }
        }
        if before == Some(*raw) {
            return;
        }
        self.unsaved = self.unsaved.max(Unsaved::Later);
        for slot in &mut self.slots {
            let Some(operation) = &mut slot.open else {
                continue;
            };
            let concerned = self
                .definitions
                .get(operation.definition_index)
                .is_some_and(|definition| definition.recovery_counter == Some(index));
            if concerned && operation.undecided_since.is_some() {
                operation.counter_reset |= reset;
            } else if concerned {
                operation.counter = Some(*raw);
                self.unsaved = Unsaved::Soon;
            }
            if reset && operation.started.boot <= moment.now.boot {
                operation.flags.insert(Flag::CounterReset);
            }
        }
    }

    /// The raw value of a counter, if it is good now.
    pub(super) fn raw_count(&self, index: usize) -> Option<i64> {
        let counter = self.counters.get(index)?;
        match self.scope.value(counter.tag)? {
            Value::Int(raw) => Some(*raw),
            _ => None,
        }
    }

    pub(super) fn report_counters_due(&mut self, moment: &mut Moment<'_>) {
        if self.counters.is_empty() || self.count_due > moment.now.boot {
            return;
        }
        self.count_due = next_report(moment.now.boot);
        let open = self.slots.iter().find_map(|slot| slot.open.as_ref());
        let operation = open
            .and_then(|operation| operation.identity)
            .map(|(id, _)| id);
        let order = open.and_then(|operation| operation.facts.order.clone());
        self.report_counters(operation, order, moment);
    }

    /// Tells what each counter counted since its last report, if anything.
    pub(super) fn report_counters(
        &mut self,
        operation: Option<Uuid>,
        order: Option<Reference>,
        moment: &mut Moment<'_>,
    ) {
        let to = moment.now.utc;
        let product = self.product_now();
        for counter in &mut self.counters {
            let Some(counted) = counter.counter.report(to) else {
                continue;
            };
            self.unsaved = Unsaved::Soon;
            let window = counted.window;
            let report = CounterReport {
                name: counter.name.clone(),
                counts: counter.counts.word(),
                book: self.pieces_from == PiecesFrom::Counters && counter.counts != Counts::Cycles,
                delta: window.delta,
                delta_max: (window.delta_max > window.delta).then_some(window.delta_max),
                total: counted.total,
                raw_from: window.raw_from,
                raw_to: counted.raw_to,
                modulus: counter.modulus,
                wraps: window.wraps,
                resets: window.resets,
                ambiguous: window.ambiguous,
                from: window.from,
                to,
                order: order.clone(),
                product: product.clone(),
                shift: self.shifts.name(),
                operation,
            };
            let heading = Heading {
                correlation: operation,
                ..Heading::machine(&self.name, to)
            };
            moment.tell(heading, Body::Counted(report));
        }
    }
}
