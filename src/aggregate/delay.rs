//! Machines with a device that stamps its own values live half a second behind, so that all their tags come in order.
//!
//! The clockwork around `watermark`: what a device of such a machine says is held, and worked off with the machine's timers
//! at its own, delayed time. Other machines wait for nothing.

use super::instants::instants;
use super::machine::Moment;
use super::watermark::{Refused, Released, WATERMARK, Watermark};
use super::{Aggregate, Resumed};
use crate::model::{Batch, BootTime, DeviceId, Stamp};
use crate::settings::Plant;
use crate::settings::shape::Timestamps;

/// [`WATERMARK`] in nanoseconds.
const WATERMARK_NS: i64 = WATERMARK.as_nanos() as i64;

/// By machine: what it holds, if it waits. By device: its machine.
#[derive(Debug)]
pub(super) struct Delays {
    held: Vec<Option<Watermark>>,
    machine_of: Vec<usize>,
}

impl Delays {
    pub(super) fn new(plant: &Plant) -> Delays {
        let waits = |machine: usize| {
            let mut devices = plant.devices.iter();
            devices
                .any(|device| device.machine == machine && device.timestamps != Timestamps::Gateway)
        };
        let waiting = (0..plant.machines.len()).filter(|m| waits(*m)).count();
        Delays {
            held: (0..plant.machines.len())
                .map(|machine| waits(machine).then(|| Watermark::new(waiting)))
                .collect(),
            machine_of: plant.devices.iter().map(|device| device.machine).collect(),
        }
    }

    /// The machine of a device, if it waits.
    pub(super) fn machine_of(&self, device: DeviceId) -> Option<usize> {
        let machine = *self.machine_of.get(device.index())?;
        self.of(machine).map(|_| machine)
    }

    fn of(&self, machine: usize) -> Option<&Watermark> {
        self.held.get(machine)?.as_ref()
    }

    fn of_mut(&mut self, machine: usize) -> Option<&mut Watermark> {
        self.held.get_mut(machine)?.as_mut()
    }

    /// When a machine has something to do, given when its own timers are due on its own time.
    pub(super) fn due(&self, machine: usize, timers: Option<BootTime>) -> Option<BootTime> {
        match self.of(machine) {
            None => timers,
            Some(held) => timers
                .into_iter()
                .chain(held.oldest())
                .min()
                .map(|due| due.plus(WATERMARK)),
        }
    }

    /// Up to when a machine has seen everything, at `now`.
    pub(super) fn seen_until(&self, machine: usize, now: BootTime) -> BootTime {
        self.of(machine)
            .map_or(now, |held| held.released().min(now))
    }

    /// The end of the last run as a machine saw it: what it still held then is lost.
    pub(super) fn resumed(&self, machine: usize, resumed: Resumed) -> Resumed {
        match self.of(machine) {
            None => resumed,
            Some(_) => Resumed {
                alive: resumed.alive.shifted(-WATERMARK_NS),
                ..resumed
            },
        }
    }
}

impl Aggregate {
    /// Holds what a device of a waiting machine says; what is refused is counted where it would have been measured.
    pub(super) fn hold(&mut self, machine: usize, batch: &Batch) {
        let Some(held) = self.delays.of_mut(machine) else {
            return;
        };
        let refused = held.take(batch);
        self.health.late.add(held.take_moved());
        for (sample, why) in refused {
            let late = why == Refused::Late;
            if late {
                self.health.late.add(1);
            } else {
                self.health.duplicates.add(1);
            }
            let local = self.place(sample.tag).map(|(_, local)| local);
            if let Some((machine, local)) = self.machines.get_mut(machine).zip(local) {
                machine.refused(local, sample.stamp.boot, late);
            }
        }
        self.make_room(machine);
        self.advance(batch.stamp);
    }

    /// What is too much goes out before its time.
    fn make_room(&mut self, machine: usize) {
        while let Some(oldest) = self
            .delays
            .of(machine)
            .filter(|held| held.overflows())
            .and_then(Watermark::oldest)
        {
            self.health.released_early.add(1);
            self.release(machine, oldest);
        }
    }

    /// Lets time pass for one machine: a waiting one is worked off up to half a second ago.
    pub(super) fn advance_machine(&mut self, machine: usize, now: Stamp) {
        if self.delays.of(machine).is_none() {
            self.step(machine, now);
            return;
        }
        let until = now.at(now.boot.shifted(-WATERMARK_NS));
        self.release(machine, until.boot);
        self.step(machine, until);
        if let Some(held) = self.delays.of_mut(machine) {
            held.pass(until.boot);
        }
    }

    /// Nobody will say anything any more: everything held is worked off, and time passes up to now.
    pub(super) fn release_all(&mut self) {
        for machine in 0..self.machines.len() {
            if self.delays.of(machine).is_none() {
                continue;
            }
            self.release(machine, BootTime(i64::MAX));
            self.step(machine, self.now);
            let now = self.now.boot;
            if let Some(held) = self.delays.of_mut(machine) {
                held.pass(now);
            }
        }
    }

    /// Works off what a waiting machine holds up to `until`, each at its own time.
    fn release(&mut self, machine: usize, until: BootTime) {
        while let Some(released) = self
            .delays
            .of_mut(machine)
            .and_then(|held| held.next(until))
        {
            let Some(at) = released.at() else { continue };
            match released {
                Released::Answered(device, stamp) => self.answered(device, stamp),
                Released::Lost(device, stamp, error) => {
                    self.step(machine, at);
                    self.lose(device, stamp, &error.detail);
                }
                Released::Samples(samples) => {
                    self.step(machine, at);
                    instants(&samples).for_each(|instant| self.put(instant));
                }
            }
        }
    }

    /// Works off the timers of one machine up to `now`, on its own time.
    fn step(&mut self, machine: usize, now: Stamp) {
        let mut moment = Moment {
            now,
            evaluator: &self.evaluator,
            naming: &self.naming,
            health: &self.health,
            first_seq: self.next.seq,
            out: &mut self.drafts,
            notes: self.notes.as_ref(),
        };
        if let Some(machine) = self.machines.get_mut(machine) {
            machine.advance(now, &mut moment);
        }
    }
}
