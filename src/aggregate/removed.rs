//! Machines that are in the checkpoint and no longer in the settings: closed once, at the start. Pure.

use super::Aggregate;
use super::machine::{Machine, Moment, Resumed};
use super::saved::Saved;
use crate::model::Stamp;
use crate::settings::Plant;
use std::collections::{BTreeMap, BTreeSet};

/// The checkpoint of the last run.
type Entries = BTreeMap<String, Vec<u8>>;

impl Aggregate {
    /// What the settings no longer have: operations, stops and alarms are told as ended, and only ordinals stay on disk.
    pub(super) fn close_removed(&mut self, plant: &Plant, entries: &Entries, resumed: Resumed) {
        let now = self.now;
        let mut machines = std::mem::take(&mut self.machines);
        for machine in &mut machines {
            machine.close_gone(&mut self.moment(now));
        }
        self.machines = machines;
        for name in removed(plant, entries) {
            match Machine::removed(plant, name, entries, resumed) {
                Ok(mut machine) => {
                    tracing::warn!(machine = %name, "the machine is no longer in the settings: what was open is closed");
                    machine.close_all(&mut self.moment(now));
                    let mut ordinals = Saved::default();
                    machine.save_ordinals(&mut ordinals);
                    self.removed.push((machine.scope_key(), ordinals));
                }
                // It has no condition that could be wrong.
                Err(problems) => {
                    tracing::error!(machine = %name, ?problems, "the machine cannot be closed");
                }
            }
        }
    }

    fn moment(&mut self, now: Stamp) -> Moment<'_> {
        Moment {
            now,
            evaluator: &self.evaluator,
            naming: &self.naming,
            health: &self.health,
            first_seq: self.next.seq,
            out: &mut self.drafts,
            notes: self.notes.as_ref(),
        }
    }
}

/// Names of machines that left more than their ordinals.
fn removed<'a>(plant: &Plant, entries: &'a Entries) -> BTreeSet<&'a str> {
    let parts = entries.keys().filter_map(|key| {
        let (name, part) = key.strip_prefix("machine/")?.split_once('/')?;
        (!part.starts_with("ordinal/")).then_some(name)
    });
    parts
        .filter(|name| plant.machines.iter().all(|machine| machine.name != *name))
        .collect()
}
