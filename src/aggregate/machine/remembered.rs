//! What outlives a restart of the equipment besides state and counters: stops, alarms, the reason of a PackML stop, the order.

use super::Machine;
use super::packml::Latch;
use super::restart::Resumed;
use crate::aggregate::downtime;
use crate::aggregate::saved::{self, Saved};
use crate::model::Reference;
use std::collections::BTreeMap;

impl Machine {
    pub(super) fn save_equipment(&self, into: &mut Saved) {
        let name = self.scope_key();
        into.put(format!("{name}/downtime"), self.stops.memory());
        into.put(format!("{name}/alarms"), &self.alarms.memory());
        into.put(format!("{name}/order"), &self.order);
        if let Some(memory) = self.books.memory() {
            into.put(format!("{name}/books"), &memory);
        }
        for counter in &self.counters {
            if let Some(reset) = &counter.reset {
                into.put(format!("{name}/reset/{}", counter.name), &reset.known);
            }
        }
        if let Some(packml) = &self.rules.packml {
            into.put(format!("{name}/packml"), &packml.latch);
        }
    }

    pub(super) fn restore_equipment(
        &mut self,
        entries: &BTreeMap<String, Vec<u8>>,
        resumed: Resumed,
    ) {
        let name = self.scope_key();
        let entry = |part: &str| entries.get(&format!("{name}/{part}"));
        let (shift_ns, measurable) = (resumed.shift_ns, resumed.measurable);
        let stops = entry("downtime").and_then(|bytes| saved::read::<downtime::Memory>(bytes));
        if let Some(memory) = stops {
            self.stops
                .resume(memory, resumed.alive, shift_ns, measurable);
        }
        if let Some(bytes) = entry("alarms") {
            self.alarms.resume(bytes, shift_ns, measurable);
        }
        let order = entry("order").and_then(|bytes| saved::read::<Option<Reference>>(bytes));
        self.order = order.flatten();
        if let Some(memory) = entry("books").and_then(|bytes| saved::read(bytes)) {
            self.books.resume(memory);
        }
        for counter in &mut self.counters {
            let known = entry(&format!("reset/{}", counter.name)).and_then(|b| saved::read(b));
            if let Some((reset, known)) = counter.reset.as_mut().zip(known) {
                reset.known = known;
            }
        }
        let latch = entry("packml").and_then(|bytes| saved::read::<Latch>(bytes));
        if let Some((packml, latch)) = self.rules.packml.as_mut().zip(latch) {
            packml.latch = latch;
        }
    }
}
