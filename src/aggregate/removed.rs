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

/// Names of machines that worked in the last run: each left the memory of its conditions.
fn removed<'a>(plant: &Plant, entries: &'a Entries) -> BTreeSet<&'a str> {
    let worked = entries.keys().filter_map(|key| {
        let name = key.strip_prefix("machine/")?;
        name.strip_suffix("/conditions")
    });
    worked
        .filter(|name| plant.machines.iter().all(|machine| machine.name != *name))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::aggregate::{Aggregate, Start};
    use crate::model::{
        Batch, Body, BootTime, ClockQuality, Content, Position, Quality, Restored, Sample, Stamp,
        Turn, Value,
    };
    use crate::settings;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    const ONE: &str = "
gateway: { id: gw01, path: [EXAMPLE] }
machines:
  M1:
    devices:
      plc: { modbus_tcp: { host: 127.0.0.1 }, addresses: zero_based, tags: { run: { holding: 1, type: u16, every: 1s } } }
    operations: { form: { start: { when: 'run == 1' }, end: { when: 'run == 0' } } }
";

    fn two() -> String {
        let machine = ONE.split_once("  M1:").unwrap().1;
        format!("{ONE}  M2:{}", machine.replace("127.0.0.1", "127.0.0.2"))
    }

    fn at(seconds: u64) -> Stamp {
        Stamp::default().plus(Duration::from_secs(seconds))
    }

    fn start(file: &str, checkpoint: &BTreeMap<String, Vec<u8>>, seconds: u64) -> Aggregate {
        let restored = Restored {
            next: Position { epoch: 1, seq: 1 },
            checkpoint: checkpoint.clone(),
            ..Restored::default()
        };
        let start = Start {
            now: at(seconds),
            boot_id: "boot".into(),
            clock: ClockQuality::default(),
        };
        let plant = settings::load(file).unwrap().plant;
        Aggregate::new(&plant, restored, start, Arc::default()).unwrap()
    }

    fn read(aggregate: &mut Aggregate, file: &str, tag: usize, value: i64, seconds: u64) {
        let plant = settings::load(file).unwrap().plant;
        let tag = plant.tags.get(tag).unwrap();
        let sample = Sample {
            tag: tag.id,
            stamp: at(seconds),
            value: Some(Value::Int(value)),
            quality: Quality::Good,
        };
        aggregate.apply(&Batch {
            device: tag.device,
            stamp: at(seconds),
            content: Content::Samples(vec![sample]),
        });
    }

    fn keep(checkpoint: &mut BTreeMap<String, Vec<u8>>, turn: Option<Turn>) -> Vec<Body> {
        let Some(turn) = turn else { return Vec::new() };
        for entry in turn.checkpoint {
            match entry.value {
                Some(value) => checkpoint.insert(entry.key, value),
                None => checkpoint.remove(&entry.key),
            };
        }
        turn.events.into_iter().map(|event| event.body).collect()
    }

    fn of_second(checkpoint: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
        let keys = checkpoint.keys().map(String::as_str);
        keys.filter(|key| key.starts_with("machine/M2/")).collect()
    }

    #[test]
    fn what_a_removed_machine_had_open_is_closed_in_the_turn_that_forgets_it() {
        let mut checkpoint = BTreeMap::new();
        let mut aggregate = start(&two(), &checkpoint, 0);
        read(&mut aggregate, &two(), 1, 0, 1);
        read(&mut aggregate, &two(), 1, 1, 2);
        keep(&mut checkpoint, aggregate.last_turn());
        assert!(of_second(&checkpoint).contains(&"machine/M2/open/1"));

        // A stop before the first turn is on disk forgets nothing.
        drop(start(ONE, &checkpoint, 10));
        let mut aggregate = start(ONE, &checkpoint, 20);
        let told = keep(&mut checkpoint, aggregate.take_turn());
        let closed: Vec<_> = told
            .iter()
            .filter_map(|body| match body {
                Body::OperationAborted(report) => Some(report.as_ref()),
                _ => None,
            })
            .collect();
        let [report] = closed.as_slice() else {
            panic!("{told:?}");
        };
        let ending = report.ending.as_ref().unwrap();
        assert_eq!(report.ordinal, 1);
        assert_eq!(ending.abort_reason.as_deref(), Some("machine_removed"));
        assert_eq!(ending.duration_s, Some(18.0));
        assert_eq!(ending.end_uncertainty_s, Some(18.0));
        let left = ["machine/M2/downtime", "machine/M2/ordinal/1"];
        assert_eq!(of_second(&checkpoint), left);

        let mut aggregate = start(ONE, &checkpoint, 30);
        let told = keep(&mut checkpoint, aggregate.take_turn());
        assert!(matches!(told.as_slice(), [Body::Birth(_)]), "{told:?}");
        assert_eq!(of_second(&checkpoint), left, "the ordinals stay");

        let mut aggregate = start(&two(), &checkpoint, 40);
        read(&mut aggregate, &two(), 1, 0, 41);
        read(&mut aggregate, &two(), 1, 1, 42);
        let told = keep(&mut checkpoint, aggregate.last_turn());
        let started = told.iter().find_map(|body| match body {
            Body::OperationStarted(report) => Some(report.ordinal),
            _ => None,
        });
        assert_eq!(started, Some(2), "{told:?}");
        assert!(aggregate.next_wakeup() > BootTime::default());
    }
}
