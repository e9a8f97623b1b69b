//! The machine's counters: windows of a minute, cut at the end of operations and where shift or order changes.

use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::books::{Books, Told};
use crate::aggregate::condition::Scope;
use crate::aggregate::counter::{Counter, Limits, Reset};
use crate::model::{Body, BootTime, CounterReport, Flag, Reference, Sample, Value};
use crate::settings::shape::{self, Counts, PiecesFrom};
use serde::{Deserialize, Serialize};
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
    pub(super) reset: Option<ResetTag>,
}

/// A tag with the time since a counter was set back.
#[derive(Debug)]
pub(super) struct ResetTag {
    pub(super) tag: usize,
    pub(super) known: KnownReset,
}

/// What is known from that tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownReset {
    /// What it said last.
    last: Option<f64>,
    /// It fell, and the counter was not read since.
    fell: bool,
}

impl KnownReset {
    /// What the tag says to a reading of the counter at `now`; `read` is when the tag was read itself.
    fn look(&mut self, number: Option<f64>, read: BootTime, now: BootTime) -> Reset {
        let Some(number) = number else {
            return Reset::Unknown;
        };
        self.fell |= self.last.is_some_and(|last| number < last);
        self.last = Some(number);
        match self.fell {
            true => Reset::Fell,
            false if read >= now => Reset::Stands,
            false => Reset::Later,
        }
    }
}

impl MachineCounter {
    pub(super) fn compile(
        name: &str,
        settings: &shape::Counter,
        scope: &Scope,
    ) -> Option<MachineCounter> {
        let (tag, _) = scope.tag(&settings.tag)?;
        let reset = settings.reset.as_ref();
        Some(MachineCounter {
            name: name.to_owned(),
            tag,
            counter: Counter::new(Limits {
                modulus: settings.modulus,
                max_rate: settings.max_rate.map(crate::settings::Rate::per_second),
            }),
            counts: settings.counts,
            modulus: settings.modulus,
            reset: reset
                .and_then(|from| scope.tag(&from.tag))
                .map(|(tag, _)| ResetTag {
                    tag,
                    known: KnownReset::default(),
                }),
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    fn total(&self) -> u64 {
        self.counter.tally().map_or(0, |tally| tally.total)
    }
}

/// What of them is booked.
pub(super) fn books(pieces_from: PiecesFrom, counters: &[MachineCounter]) -> Books {
    let kinds = counters
        .iter()
        .map(|counter| (counter.name.as_str(), counter.counts));
    Books::new(pieces_from, kinds)
}

/// A count: a number without a fraction. A text, or a half, is none.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        // Beyond 2^53 a decimal number skips whole ones.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

/// What a machine counted for; `None` where several operations are open that do not agree.
#[derive(Debug)]
pub(super) struct CountedFor {
    pub(super) operation: Option<Uuid>,
    pub(super) order: Option<Reference>,
    pub(super) product: Option<Reference>,
}

impl Machine {
    /// A sample of a tag that counts, or tells resets; `place` goes through all counters that it does either for.
    pub(super) fn count_or_reset(
        &mut self,
        local: usize,
        place: usize,
        sample: &Sample,
        moment: &Moment<'_>,
    ) {
        let Some(tag) = self.tags.get(local) else {
            return;
        };
        if let Some(counter) = tag.counters.get(place) {
            self.count(*counter, sample, moment);
        } else if let Some(counter) = tag.resets.get(place - tag.counters.len()) {
            self.reset_read(*counter, sample, moment);
        }
    }

    /// A sample of a counter's tag.
    fn count(&mut self, index: usize, sample: &Sample, moment: &Moment<'_>) {
        let Some(machine_counter) = self.counters.get_mut(index) else {
            return;
        };
        let Some(raw) = &sample.usable().and_then(whole_number) else {
            if machine_counter.counter.lost() {
                self.unsaved = self.unsaved.max(Unsaved::Later);
            }
            return;
        };
        let mut said = Reset::Unknown;
        if let Some(reset) = &mut machine_counter.reset
            && let Some(tag) = self.tags.get(reset.tag)
        {
            said = reset
                .known
                .look(tag.number, tag.stamp.boot, sample.stamp.boot);
            reset.known.fell = false;
        }
        let before = machine_counter.counter.tally().map(|tally| tally.raw);
        let counted = machine_counter.total();
        let reset = machine_counter.counter.count(*raw, sample.stamp, said);
        let counted = machine_counter.total().saturating_sub(counted);
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
        }
        self.flag_reset(reset, moment);
    }

    fn flag_reset(&mut self, reset: bool, moment: &Moment<'_>) {
        let open = self.slots.iter_mut().filter_map(|slot| slot.open.as_mut());
        for operation in open.filter(|_| reset) {
            if operation.started.boot <= moment.now.boot {
                operation.flags.insert(Flag::CounterReset);
            }
        }
    }

    /// A sample of the tag that tells when a counter is set back.
    fn reset_read(&mut self, index: usize, sample: &Sample, moment: &Moment<'_>) {
        let Some(machine_counter) = self.counters.get_mut(index) else {
            return;
        };
        let number = sample.usable().and_then(Value::number);
        let Some(reset) = &mut machine_counter.reset else {
            return;
        };
        let at = sample.stamp.boot;
        let said = reset.known.look(number, at, at);
        if said == Reset::Unknown {
            return;
        }
        let counted = machine_counter
            .counter
            .tally()
            .map_or(0, |tally| tally.total);
        let explained = machine_counter.counter.reset_read(said == Reset::Fell);
        if explained.is_some() {
            reset.known.fell = false;
        }
        let counted = machine_counter.total().saturating_sub(counted);
        self.unsaved = self.unsaved.max(Unsaved::Later);
        self.intervals_count(index, counted, moment);
        self.flag_reset(explained == Some(true), moment);
    }

    /// The raw value of a counter, if it is good now.
    pub(super) fn raw_count(&self, index: usize) -> Option<i64> {
        let counter = self.counters.get(index)?;
        whole_number(self.scope.value(counter.tag)?)
    }

    pub(super) fn report_counters_due(&mut self, moment: &mut Moment<'_>) {
        if self.counters.is_empty() || self.count_due > moment.now.boot {
            return;
        }
        self.count_due = next_report(moment.now.boot);
        self.report_counters_now(moment);
    }

    /// The order changes: what was counted up to now was counted for the one before.
    pub(super) fn counters_order_changed(&mut self, moment: &mut Moment<'_>) {
        // An order that an operation did not know at its start is learnt, not changed.
        let learnt = self.order.is_none() && self.open_since(moment.now.boot);
        if !learnt {
            self.report_counters_now(moment);
        }
    }

    fn open_since(&self, now: BootTime) -> bool {
        let mut open = self.slots.iter().filter_map(|slot| slot.open.as_ref());
        open.any(|operation| operation.started.boot < now)
    }

    /// Tells what was counted up to now for the order that is worked on.
    pub(super) fn report_counters_now(&mut self, moment: &mut Moment<'_>) {
        let mut open = self.slots.iter().filter_map(|slot| slot.open.as_ref());
        let first = open.next().filter(|_| open.next().is_none());
        let counted = CountedFor {
            operation: first.and_then(|operation| Some(operation.identity?.0)),
            order: self.order.clone(),
            product: self.product.clone(),
        };
        self.report_counters(counted, moment);
    }

    /// An operation ended. While another one is open, nobody can say for which of them the machine counted.
    pub(super) fn report_counters_of(&mut self, ended: CountedFor, moment: &mut Moment<'_>) {
        let order = self.open_fact(|facts| &facts.order);
        let product = self.open_fact(|facts| &facts.product);
        let agree = |open: Option<Option<&Reference>>, own: &Option<Reference>| {
            open.is_none_or(|open| open == own.as_ref())
        };
        let counted = CountedFor {
            operation: ended.operation.filter(|_| order.is_none()),
            order: (ended.order.clone()).filter(|_| agree(order, &ended.order)),
            product: (ended.product.clone()).filter(|_| agree(product, &ended.product)),
        };
        self.report_counters(counted, moment);
    }

    /// Whether it is known which order is worked on: a tag that is bad says neither one nor none.
    pub(super) fn order_is_readable(&self) -> bool {
        let open = self.slots.iter().any(|slot| slot.open.is_some());
        let definition = self.definitions.iter().find(|one| !one.retired);
        open || definition.is_none_or(|definition| definition.order.is_readable(&self.scope))
    }

    /// What waits to be explained is counted before the window ends, in the intervals, too.
    fn settle_counters(&mut self, moment: &Moment<'_>) {
        for index in 0..self.counters.len() {
            let Some(counter) = self.counters.get_mut(index) else {
                continue;
            };
            let before = counter.total();
            counter.counter.settle();
            let counted = counter.total().saturating_sub(before);
            self.intervals_count(index, counted, moment);
        }
    }

    /// Tells what each counter counted since its last report, if anything.
    fn report_counters(&mut self, counted_for: CountedFor, moment: &mut Moment<'_>) {
        self.settle_counters(moment);
        let to = moment.now.utc;
        let CountedFor {
            operation,
            order,
            product,
        } = counted_for;
        let shift = self.shifts.name();
        let mut books = std::mem::take(&mut self.books);
        let mut reports = Vec::new();
        for counter in &mut self.counters {
            let Some(counted) = counter.counter.report(to) else {
                continue;
            };
            let window = counted.window;
            let report = CounterReport {
                name: counter.name.clone(),
                counts: counter.counts.word(),
                book: books.book(counter.counts),
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
                shift: shift.clone(),
                operation,
            };
            books.take(counter.counts, &report);
            reports.push(report);
        }
        reports.extend(books.rest(Told {
            to,
            order,
            product,
            shift,
            operation,
        }));
        self.books = books;
        for report in reports {
            self.unsaved = Unsaved::Soon;
            let heading = Heading {
                correlation: operation,
                ..Heading::machine(&self.name, to)
            };
            moment.tell(heading, Body::Counted(report));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_whole_number() {
        for (value, expected) in [
            (Value::Int(-3), Some(-3)),
            (Value::Float(17.0), Some(17)),
            (Value::Float(17.5), None),
            (Value::Float(1e300), None),
            (Value::Text("17".into()), None),
            (Value::Bool(true), None),
        ] {
            assert_eq!(whole_number(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn the_time_since_a_reset_falls_at_one() {
        let at = BootTime;
        let mut known = KnownReset::default();
        assert_eq!(known.look(None, at(0), at(0)), Reset::Unknown);
        assert_eq!(known.look(Some(100.0), at(1), at(1)), Reset::Stands);
        assert_eq!(known.look(Some(100.0), at(1), at(2)), Reset::Later);
        assert_eq!(known.look(None, at(3), at(3)), Reset::Unknown);
        assert_eq!(known.look(Some(3.0), at(4), at(5)), Reset::Fell);
        // Until the counter was read, however long that takes.
        assert_eq!(known.look(Some(200.0), at(6), at(6)), Reset::Fell);
    }
}
