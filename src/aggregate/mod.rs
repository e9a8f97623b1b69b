//! Stage 2, Sample -> Event: turns readings into the few events that a MES can book. Alone writes and numbers events.
//!
//! Everything here is a pure rule: time comes in with the samples, the next wake-up goes out as a value. [`run`] is the
//! only async function; `millgate replay` drives the same [`Aggregate`] in virtual time.

pub mod alarm;
pub mod books;
pub mod calendar;
pub mod change;
mod clock_watch;
pub mod condition;
pub mod counter;
pub mod covered;
mod dead_letter;
mod definition;
mod delay;
mod destination;
pub mod downtime;
pub mod equipment;
pub mod explain;
mod gateway_events;
pub mod indicator;
mod instants;
pub mod limit;
mod limited;
mod links;
mod machine;
mod operation;
mod origin;
pub mod packml;
mod part;
mod percentiles;
pub mod performance;
pub mod profile;
mod removed;
mod report;
mod saved;
mod scan;
pub mod sequence;
pub mod statistics;
mod storage;
mod task;
pub mod trigger;
mod used;
mod warnings;
mod watermark;

pub use task::run;
pub use warnings::warnings;

use crate::health::AggregateHealth;
use crate::model::{
    Batch, BootTime, ClockQuality, Content, DeviceId, Event, Position, Quality, Restored, Sample,
    Stamp, TagId, Turn,
};
use crate::settings::{Plant, Problem};
use clock_watch::ClockWatch;
use condition::Evaluator;
use delay::Delays;
use explain::Notes;
use gateway_events::OwnLife;
use instants::instants;
use links::Links;
use machine::{Draft, Machine, Moment, Naming, Resumed, Unsaved};
use saved::{OnDisk, Saved};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Largest periodic checkpoint that keeps its period; a larger one stretches it.
const CHECKPOINT_BYTES: usize = 16 * 1024;
/// How often the gateway says on disk that it was alive, when nothing else happens.
const ALIVE_EVERY: Duration = Duration::from_secs(60);

/// Compiles and type-checks all conditions: every problem, with its path.
#[must_use]
pub fn check(plant: &Plant) -> Vec<Problem> {
    let compile = |machine| Machine::compile(plant, machine, BootTime::default());
    plant
        .machines
        .iter()
        .filter_map(|machine| compile(machine).err())
        .flatten()
        .collect()
}

/// What this start of the gateway knows about itself.
#[derive(Clone, Debug)]
pub struct Start {
    /// Now.
    pub now: Stamp,
    /// The kernel's boot id: another one means that the boot clock began anew.
    pub boot_id: String,
    /// The trust in UTC.
    pub clock: ClockQuality,
}

/// When the last run was last alive.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Alive {
    stamp: Stamp,
    boot_id: String,
    synchronised: bool,
}

/// All machines of a plant.
#[derive(Debug)]
pub struct Aggregate {
    machines: Vec<Machine>,
    links: Links,
    /// Machines whose devices stamp their own values.
    delays: Delays,
    /// Machine and local number of each tag.
    places: Vec<(usize, usize)>,
    evaluator: Evaluator,
    naming: Naming,
    health: Arc<AggregateHealth>,
    drafts: Vec<Draft>,
    next: Position,
    run: Uuid,
    boot_id: String,
    clock: ClockQuality,
    clock_watch: ClockWatch,
    life: OwnLife,
    now: Stamp,
    on_disk: OnDisk,
    /// Machines that the settings no longer have, and what stays of them on disk: to be written.
    removed: Vec<(String, Saved)>,
    checkpoint_every: Duration,
    checkpoint_due: BootTime,
    /// The due time was planned when there was nothing to keep.
    planned_idle: bool,
    notes: Option<RefCell<Notes>>,
}

impl Aggregate {
    /// Compiles the plant and goes on with what the store restored. The first event is the gateway's birth.
    ///
    /// # Errors
    /// Every problem in the conditions, with its path.
    pub fn new(
        plant: &Plant,
        restored: Restored,
        start: Start,
        health: Arc<AggregateHealth>,
    ) -> Result<Aggregate, Vec<Problem>> {
        let problems = check(plant);
        if !problems.is_empty() {
            return Err(problems);
        }
        let compile = |machine| Machine::compile(plant, machine, start.now.boot);
        let machines = plant
            .machines
            .iter()
            .map(compile)
            .collect::<Result<Vec<_>, _>>()?;
        let last = restored.next.seq.checked_sub(1).filter(|seq| *seq > 0);
        let mut aggregate = Aggregate {
            places: places(plant),
            links: Links::new(plant),
            delays: Delays::new(plant),
            machines,
            evaluator: Evaluator::default(),
            naming: Naming {
                gateway: plant.gateway.id.clone(),
                source: crate::format::source(plant),
                run: restored.run,
                epoch: restored.next.epoch,
            },
            health,
            drafts: Vec::new(),
            next: restored.next,
            run: restored.run,
            boot_id: start.boot_id,
            clock: start.clock,
            clock_watch: ClockWatch::new(start.now, start.clock.synchronised),
            life: OwnLife::new(plant, start.now.boot),
            now: start.now,
            on_disk: OnDisk::default(),
            removed: Vec::new(),
            checkpoint_every: plant.buffer.checkpoint_every.get(),
            checkpoint_due: start.now.boot,
            planned_idle: false,
            notes: None,
        };
        let resumed = aggregate.restore(plant, &restored);
        let last = last.map(|seq| Position {
            seq,
            ..restored.next
        });
        aggregate.birth(last, restored.new_epoch);
        aggregate.tell_new_epoch(restored.new_epoch);
        aggregate.tell_other_settings(&restored.checkpoint);
        if let Some(resumed) = resumed {
            aggregate.close_removed(plant, &restored.checkpoint, resumed);
        }
        aggregate.on_disk = OnDisk::new(restored.checkpoint);
        aggregate.watch_clock(start.now);
        Ok(aggregate)
    }

    fn restore(&mut self, plant: &Plant, restored: &Restored) -> Option<Resumed> {
        let alive = restored
            .checkpoint
            .get("gateway")
            .and_then(|bytes| saved::read_lasting::<Alive>(bytes))?;
        let whole = self.resumed(&alive);
        if whole.same_boot {
            self.clock_watch = ClockWatch::new(alive.stamp, alive.synchronised);
        }
        let machines = self.machines.iter_mut().zip(&plant.machines);
        for (index, (machine, settings)) in machines.enumerate() {
            let resumed = self.delays.resumed(index, whole);
            machine.restore(plant, settings, &restored.checkpoint, resumed);
        }
        self.links.restore(&restored.checkpoint);
        Some(whole)
    }

    /// Across boots elapsed time is the difference of UTC, if both ends can be trusted.
    fn resumed(&self, alive: &Alive) -> Resumed {
        let same_boot = alive.boot_id == self.boot_id && !alive.boot_id.is_empty();
        let measurable = same_boot || alive.synchronised && self.clock.synchronised;
        let boot = self.now.boot.0.saturating_sub(alive.stamp.boot.0);
        let utc = self.now.utc.0.saturating_sub(alive.stamp.utc.0);
        let shift_ns = match (same_boot, measurable) {
            (true, _) => 0,
            (false, true) => boot.saturating_sub(utc.max(0)),
            (false, false) => boot,
        };
        Resumed {
            now: self.now.boot,
            alive: alive.stamp.boot,
            shift_ns,
            measurable,
            same_boot,
        }
    }

    /// Applies what a device said. Timers that are due before it are worked off first. A machine with a device that stamps
    /// its own values takes it half a second later.
    pub fn apply(&mut self, batch: &Batch) {
        if let Content::Samples(samples) = &batch.content {
            self.health.samples.add(samples.len() as u64);
        }
        if let Some(machine) = self.delays.machine_of(batch.device) {
            self.hold(machine, batch);
            return;
        }
        match &batch.content {
            Content::Samples(samples) => {
                self.advance(samples.first().map_or(batch.stamp, |first| first.stamp));
                self.answered(batch.device, batch.stamp);
                for instant in instants(samples) {
                    if let Some(first) = instant.first() {
                        self.advance(first.stamp);
                    }
                    self.put(instant);
                }
            }
            Content::Lost(error) => {
                self.advance(batch.stamp);
                self.lose(batch.device, batch.stamp, &error.detail);
            }
        }
        self.advance(batch.stamp);
    }

    fn answered(&mut self, device: DeviceId, at: Stamp) {
        let draft = self.links.answered(device, at);
        self.drafts.extend(draft);
    }

    fn lose(&mut self, device: DeviceId, at: Stamp, error: &str) {
        let (draft, tags) = self.links.lost(device, at, error);
        self.drafts.extend(draft);
        let samples: Vec<Sample> = tags
            .into_iter()
            .map(|tag| Sample {
                tag,
                stamp: at,
                value: None,
                quality: Quality::Bad(crate::model::BadReason::DeviceLost),
            })
            .collect();
        for machine in &mut self.machines {
            machine.lost(device);
        }
        self.put(&samples);
    }

    /// One instant, whose time has come. All its samples are of one device and so of one machine.
    fn put(&mut self, samples: &[Sample]) {
        let Some(first) = samples.first() else { return };
        let Some(machine) = self.place(first.tag).map(|(machine, _)| machine) else {
            return;
        };
        let places = &self.places;
        let local = |tag: TagId| places.get(tag.index()).map_or(usize::MAX, |place| place.1);
        let located = samples.iter().map(|sample| (local(sample.tag), sample));
        let mut moment = Moment {
            now: first.stamp,
            evaluator: &self.evaluator,
            naming: &self.naming,
            health: &self.health,
            first_seq: self.next.seq,
            out: &mut self.drafts,
            notes: self.notes.as_ref(),
        };
        let Some(machine) = self.machines.get_mut(machine) else {
            return;
        };
        machine.instant(located, &mut moment);
        // A scanner that several machines share: each takes what is for it when its own time has come there.
        for forward in machine.take_forwards() {
            let machine = self.machines.get_mut(forward.machine);
            if !machine.is_some_and(|machine| machine.arrive(forward.scan)) {
                self.health.scans_dropped.add(1);
            }
        }
    }

    fn place(&self, tag: TagId) -> Option<(usize, usize)> {
        self.places.get(tag.index()).copied()
    }

    /// Lets time pass: works off what is due up to `now`.
    pub fn advance(&mut self, now: Stamp) {
        if now.boot >= self.now.boot {
            self.now = now;
        }
        self.watch_clock(now);
        for machine in 0..self.machines.len() {
            self.advance_machine(machine, now);
        }
        self.beat(now);
        self.look_at_destinations(now);
    }

    /// When [`Aggregate::advance`] and [`Aggregate::take_turn`] have something to do.
    #[must_use]
    pub fn next_wakeup(&self) -> BootTime {
        let machines = self.machines.iter().enumerate();
        machines
            .filter_map(|(index, machine)| self.delays.due(index, machine.due()))
            .chain([self.checkpoint_due, self.life.due()])
            .min()
            .unwrap_or(self.checkpoint_due)
    }

    /// What must become durable together: the events since the last turn, and the state after them. `None` when there is nothing.
    pub fn take_turn(&mut self) -> Option<Turn> {
        if self.planned_idle && self.has_to_keep() {
            let soon = self.now.boot.plus(self.checkpoint_every);
            self.checkpoint_due = self.checkpoint_due.min(soon);
            self.planned_idle = false;
        }
        let due = self.checkpoint_due <= self.now.boot;
        let urgent = !self.drafts.is_empty()
            || self
                .machines
                .iter()
                .any(|machine| machine.unsaved == Unsaved::Soon);
        if !due && !urgent {
            return None;
        }
        self.turn(due)
    }

    /// The last turn of a run: everything that is not on disk yet.
    pub fn last_turn(&mut self) -> Option<Turn> {
        self.release_all();
        self.turn(true)
    }

    fn turn(&mut self, periodic: bool) -> Option<Turn> {
        let events: Vec<Event> = std::mem::take(&mut self.drafts)
            .into_iter()
            .map(|draft| self.number(draft))
            .collect();
        self.health.events.add(events.len() as u64);
        let mut checkpoint = Vec::new();
        for (index, machine) in self.machines.iter_mut().enumerate() {
            let wanted = machine.unsaved == Unsaved::Soon
                || periodic && (machine.unsaved == Unsaved::Later || machine.has_open_operation());
            if !wanted {
                continue;
            }
            let mut now = Saved::default();
            machine.save(self.delays.seen_until(index, self.now.boot), &mut now);
            machine.unsaved = Unsaved::Nothing;
            checkpoint.extend(
                self.on_disk
                    .difference(&format!("{}/", machine.scope_key()), now),
            );
        }
        for (scope, ordinals) in self.removed.drain(..) {
            checkpoint.extend(self.on_disk.difference(&format!("{scope}/"), ordinals));
        }
        let mut gateway = Saved::default();
        self.links.save(&mut gateway);
        checkpoint.extend(self.on_disk.difference("device/", gateway));
        if periodic {
            self.plan_checkpoint(&checkpoint);
        } else if self.planned_idle {
            // This turn says that the gateway is alive, too: a commit less.
            self.checkpoint_due = self.now.boot.plus(ALIVE_EVERY);
        }
        let mut alive = Saved::default();
        alive.put_lasting(
            "gateway".to_owned(),
            &Alive {
                stamp: self.now,
                boot_id: self.boot_id.clone(),
                synchronised: self.clock.synchronised,
            },
        );
        self.life.save(&mut alive);
        checkpoint.extend(self.on_disk.difference("gateway", alive));
        let turn = Turn { events, checkpoint };
        (!turn.is_empty()).then_some(turn)
    }

    fn plan_checkpoint(&mut self, written: &[crate::model::CheckpointEntry]) {
        let bytes: usize = written
            .iter()
            .map(|entry| entry.value.as_ref().map_or(0, Vec::len))
            .sum();
        let stretch = u32::try_from(bytes.div_ceil(CHECKPOINT_BYTES))
            .unwrap_or(u32::MAX)
            .max(1);
        self.planned_idle = !self.has_to_keep();
        let wait = if self.planned_idle {
            ALIVE_EVERY.max(self.checkpoint_every)
        } else {
            self.checkpoint_every.saturating_mul(stretch)
        };
        self.checkpoint_due = self.now.boot.plus(wait);
    }

    /// Something changes on its own or waits to be written.
    fn has_to_keep(&self) -> bool {
        self.machines
            .iter()
            .any(|machine| machine.has_open_operation() || machine.unsaved != Unsaved::Nothing)
    }

    fn number(&mut self, draft: Draft) -> Event {
        let position = self.next;
        self.next.seq += 1;
        Event {
            position,
            run: self.run,
            scope: draft.about,
            time: draft.time,
            correlation: draft.correlation,
            causation: draft.causation,
            clock: self.clock,
            body: draft.body,
        }
    }
}

fn places(plant: &Plant) -> Vec<(usize, usize)> {
    plant
        .tags
        .iter()
        .map(|tag| {
            let machine = plant.machines.get(tag.machine);
            let local = machine.and_then(|machine| machine.tags.get_index_of(&tag.name));
            (tag.machine, local.unwrap_or(usize::MAX))
        })
        .collect()
}
