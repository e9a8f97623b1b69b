//! Hands each sample to whoever measures, counts or watches its tag. Pure.

use super::{Machine, Moment, Tag, limits};
use crate::aggregate::definition::Parameter;
use crate::aggregate::operation::OpenOperation;
use crate::model::Sample;

impl Machine {
    pub(super) fn measure(&mut self, local: usize, sample: &Sample, moment: &mut Moment<'_>) {
        let Some(tag) = self.tags.get(local) else {
            return;
        };
        let mut crossed = false;
        for (d, p) in &tag.routes {
            let Some(definition) = self.definitions.get(*d) else {
                continue;
            };
            let Some(parameter) = definition.parameters.get(*p) else {
                continue;
            };
            let Some(slot) = self.slots.get_mut(definition.slot) else {
                continue;
            };
            for operation in slot.operations_mut() {
                if operation.definition_index == *d {
                    measure_one(parameter, *p, tag, sample, operation);
                    if parameter.limited {
                        crossed |= limits::measure(definition, *p, tag, sample, operation);
                    }
                }
            }
        }
        for place in 0..tag.counters.len() + tag.resets.len() {
            self.count_or_reset(local, place, sample, moment);
        }
        if crossed {
            self.tell_limits(moment);
        }
        self.measure_wear(local, sample);
    }
}

/// A sample of a tag that an operation measures.
fn measure_one(
    parameter: &Parameter,
    p: usize,
    tag: &Tag,
    sample: &Sample,
    operation: &mut OpenOperation,
) {
    for (begun, accumulator) in operation.measures(p) {
        let t = sample.stamp.boot.0.saturating_sub(begun.0);
        match (sample.usable(), tag.number) {
            (Some(value), _) if parameter.plan.sequence => {
                accumulator.observe(t, value, tag.uncertain);
            }
            (Some(_), Some(number)) => accumulator.add(t, number, tag.uncertain),
            // A text covers the time of an operation without parameters; where a number is measured it is none.
            (Some(_), None) if parameter.hidden => accumulator.add(t, 0.0, tag.uncertain),
            _ => accumulator.bad(t),
        }
    }
}
