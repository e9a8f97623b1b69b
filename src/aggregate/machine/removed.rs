//! A machine that the settings no longer have: what was open is closed once, with events. Pure.
//!
//! Of its checkpoint only the ordinals of operations and stops stay: they go on where the machine comes back.

use super::{Entries, Machine, Moment, Resumed};
use crate::aggregate::equipment::Reading;
use crate::aggregate::saved::Saved;
use crate::settings::{self, Plant, Problem, shape};
use indexmap::IndexMap;

impl Machine {
    /// A machine of that name without tags, with what the checkpoint says of it.
    pub(in crate::aggregate) fn removed(
        plant: &Plant,
        name: &str,
        entries: &Entries,
        resumed: Resumed,
    ) -> Result<Machine, Vec<Problem>> {
        let nothing = settings::Machine {
            name: name.to_owned(),
            path: String::new(),
            tags: IndexMap::new(),
            devices: Vec::new(),
            equipment: shape::Equipment::default(),
            scans: IndexMap::new(),
            operations: IndexMap::new(),
            measurements: IndexMap::new(),
        };
        let mut machine = Machine::compile(plant, &nothing, resumed.now)?;
        machine.removed = true;
        machine.restore(plant, &nothing, entries, resumed);
        Ok(machine)
    }

    /// Tells the end of everything that was open. The state of a machine that nobody reads is not known.
    pub(in crate::aggregate) fn close_all(&mut self, moment: &mut Moment<'_>) {
        self.step_alarms(moment);
        self.close_gone(moment);
        self.end_trailing(moment);
        if self.equipment.memory().is_some()
            && let Some(change) = self.equipment.observe(Reading::unknown(), None, moment.now)
        {
            self.state_changed(change, moment);
        }
        self.stops_expire(moment);
    }

    /// What stays in the checkpoint.
    pub(in crate::aggregate) fn save_ordinals(&self, into: &mut Saved) {
        let name = self.scope_key();
        for slot in &self.slots {
            into.put_lasting(format!("{name}/ordinal/{}", slot.name), &slot.ordinal);
        }
        into.put(format!("{name}/downtime"), self.stops.memory());
    }
}
