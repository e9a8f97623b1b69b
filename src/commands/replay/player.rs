//! Plays a capture through the aggregation and the commit rule in virtual time.

use super::capture::{Capture, Happening};
use super::explainer::Explainer;
use crate::aggregate::explain::Notes;
use crate::aggregate::{Aggregate, Start};
use crate::buffer::MemoryStore;
use crate::format::Renderer;
use crate::health::AggregateHealth;
use crate::model::{
    Batch, BootTime, ClockQuality, ClockSource, Content, DeviceId, Event, LinkError, Sample, Stamp,
    UtcTime,
};
use crate::settings::{Plant, Problem};
use std::io::{self, Write};
use std::sync::Arc;

/// A gateway in virtual time.
pub(super) struct Player<'a, W> {
    plant: &'a Plant,
    /// Settings that it may be reloaded with.
    others: &'a [(String, Plant)],
    renderer: Renderer,
    out: W,
    explain: Option<Explainer<'a>>,
    /// The recorder, while the power is off.
    notes: Option<Notes>,
    /// `None` while the power is off.
    aggregate: Option<Aggregate>,
    store: MemoryStore,
    health: Arc<AggregateHealth>,
    start: Stamp,
    wall_step_ns: i64,
    clock: ClockQuality,
    boots: u32,
    now: BootTime,
}

impl<'a, W: Write> Player<'a, W> {
    /// Switches the gateway on at the capture's start.
    ///
    /// # Errors
    /// Every problem in the conditions of the settings.
    pub(super) fn new(
        plant: &'a Plant,
        others: &'a [(String, Plant)],
        start: Stamp,
        out: W,
        explain: Option<Explainer<'a>>,
    ) -> Result<Self, Vec<Problem>> {
        let mut player = Player {
            plant,
            others,
            renderer: Renderer::new(plant),
            out,
            notes: explain.is_some().then(Notes::default),
            explain,
            aggregate: None,
            store: MemoryStore::new(),
            health: Arc::default(),
            start,
            wall_step_ns: 0,
            clock: clock_quality(true),
            boots: 1,
            now: start.boot,
        };
        player.run()?;
        Ok(player)
    }

    /// Plays all lines, then stops the gateway in order.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn play(mut self, capture: Capture) -> io::Result<()> {
        let mut lines = capture.lines.into_iter().peekable();
        while let Some((t, first)) = lines.next() {
            let mut together = vec![first];
            while let Some((_, next)) = lines.next_if(|(next, _)| *next == t) {
                together.push(next);
            }
            self.pass(BootTime(t))?;
            self.apply(together)?;
        }
        self.stop()?;
        self.sum_up()
    }

    /// In order: everything that is known reaches the store.
    fn stop(&mut self) -> io::Result<()> {
        if let Some(turn) = self.aggregate.as_mut().and_then(Aggregate::last_turn) {
            let events = self.store.turn(turn, self.now);
            self.print(&events)?;
        }
        let rest = self.store.commit(self.now);
        self.print(&rest)
    }

    /// Other settings: stops in order and begins again in the same boot, as at SIGHUP.
    fn reload(&mut self, other: usize) -> io::Result<()> {
        let Some((_, plant)) = self.others.get(other) else {
            return Ok(());
        };
        let runs = self.aggregate.is_some();
        self.hand_on()?;
        self.stop()?;
        self.notes = self
            .notes
            .take()
            .or(self.aggregate.as_mut().and_then(Aggregate::take_notes));
        self.aggregate = None;
        self.plant = plant;
        self.renderer = Renderer::new(plant);
        if runs { self.begin_run() } else { Ok(()) }
    }

    /// What is left to explain: remarks after the last event, and the summary.
    fn sum_up(&mut self) -> io::Result<()> {
        let (Some(explain), Some(aggregate)) = (&mut self.explain, &mut self.aggregate) else {
            return Ok(());
        };
        if let Some(notes) = aggregate.notes() {
            explain.remarks(notes, u64::MAX)?;
        }
        match aggregate.summary() {
            Some(summary) => explain.summary(&summary),
            None => Ok(()),
        }
    }

    fn stamp(&self, boot: BootTime) -> Stamp {
        let anchor = Stamp {
            boot: self.start.boot,
            utc: UtcTime(self.start.utc.0.saturating_add(self.wall_step_ns)),
        };
        anchor.at(boot)
    }

    /// Where a device's own time lies: devices follow the wall clock of the start, whatever happens to ours.
    fn device_time(&self, source: UtcTime) -> Stamp {
        let since_start = source.0.saturating_sub(self.start.utc.0);
        self.stamp(self.start.boot.shifted(since_start))
    }

    /// All settings were checked before the first line.
    fn begin_run(&mut self) -> io::Result<()> {
        self.run()
            .map_err(|_| io::Error::other("the settings do not compile any more"))
    }

    /// Goes on with what was committed.
    fn run(&mut self) -> Result<(), Vec<Problem>> {
        let start = Start {
            now: self.stamp(self.now),
            boot_id: format!("replay-{}", self.boots),
            clock: self.clock,
        };
        let restored = self.store.restored();
        let health = Arc::clone(&self.health);
        let mut aggregate = Aggregate::new(self.plant, restored, start, health)?;
        if let Some(notes) = self.notes.take() {
            aggregate.explain(notes);
        }
        self.aggregate = Some(aggregate);
        Ok(())
    }

    /// Lets time pass: whatever is due before `until` happens at its own time.
    fn pass(&mut self, until: BootTime) -> io::Result<()> {
        self.hand_on()?;
        while let Some(due) = self.next_due().filter(|due| *due < until) {
            self.now = self.now.max(due);
            let now = self.stamp(self.now);
            if let Some(aggregate) = &mut self.aggregate {
                aggregate.advance(now);
            }
            self.hand_on()?;
        }
        self.now = until;
        Ok(())
    }

    fn next_due(&self) -> Option<BootTime> {
        let rules = self.aggregate.as_ref().map(Aggregate::next_wakeup);
        rules.into_iter().chain(self.store.wake()).min()
    }

    /// What is ready goes to the store; what commits is printed.
    fn hand_on(&mut self) -> io::Result<()> {
        let turn = self.aggregate.as_mut().and_then(Aggregate::take_turn);
        let events = match turn {
            Some(turn) => self.store.turn(turn, self.now),
            None => self.store.tick(self.now),
        };
        self.print(&events)
    }

    fn print(&mut self, events: &[Event]) -> io::Result<()> {
        let recorded = self.stamp(self.now).utc;
        for event in events {
            let json = self.renderer.render(event, recorded).json;
            self.out.write_all(&json)?;
            self.out.write_all(b"\n")?;
            let notes = self.aggregate.as_mut().and_then(Aggregate::notes);
            if let (Some(explain), Some(notes)) = (&mut self.explain, notes) {
                explain.event(notes, event, &json)?;
            }
        }
        Ok(())
    }

    /// Everything of one `t`: readings of one device in a row are one batch.
    fn apply(&mut self, together: Vec<Happening>) -> io::Result<()> {
        let stamp = self.stamp(self.now);
        let mut readings: Option<(DeviceId, Vec<Sample>)> = None;
        for happening in together {
            let device_time = |source| self.device_time(source);
            if let Some((device, sample)) = happening.clone().sample(stamp, device_time) {
                match &mut readings {
                    Some((same, samples)) if *same == device => samples.push(sample),
                    _ => {
                        self.say(readings.replace((device, vec![sample])), stamp);
                    }
                }
                continue;
            }
            self.say(readings.take(), stamp);
            self.happen(happening, stamp)?;
        }
        self.say(readings.take(), stamp);
        Ok(())
    }

    fn say(&mut self, readings: Option<(DeviceId, Vec<Sample>)>, stamp: Stamp) {
        if let (Some((device, mut samples)), Some(aggregate)) = (readings, &mut self.aggregate) {
            samples.sort_by_key(|sample| sample.stamp.boot);
            aggregate.apply(&Batch {
                device,
                stamp,
                content: Content::Samples(samples),
            });
        }
    }

    fn happen(&mut self, happening: Happening, stamp: Stamp) -> io::Result<()> {
        match happening {
            Happening::Link(device, good) => self.link(device, good, stamp),
            Happening::Power(true) if self.aggregate.is_none() => {
                self.boots += 1;
                self.begin_run()?;
            }
            Happening::Power(false) => {
                self.hand_on()?;
                self.explain_power_off()?;
                self.aggregate = None;
                self.store.power_off();
            }
            Happening::Settings(other) => self.reload(other)?,
            Happening::WallStep(by_ns) => {
                self.wall_step_ns = self.wall_step_ns.saturating_add(by_ns);
                self.look_at_clock();
            }
            Happening::Clock(synchronised) => {
                self.clock = clock_quality(synchronised);
                self.look_at_clock();
            }
            Happening::Power(true) | Happening::Reading(..) | Happening::End => {}
        }
        Ok(())
    }

    /// The recorder outlives the power; what it has on events that are lost does not.
    fn explain_power_off(&mut self) -> io::Result<()> {
        let notes = self.aggregate.as_mut().and_then(Aggregate::take_notes);
        if let (Some(explain), Some(mut notes)) = (&mut self.explain, notes) {
            explain.remarks(&mut notes, u64::MAX)?;
            let lost = notes.power_off();
            explain.power_off(self.now.seconds_since(BootTime(0)), lost)?;
            self.notes = Some(notes);
        }
        Ok(())
    }

    fn look_at_clock(&mut self) {
        let now = self.stamp(self.now);
        if let Some(aggregate) = &mut self.aggregate {
            aggregate.set_clock(now, self.clock);
        }
    }

    fn link(&mut self, device: DeviceId, good: bool, stamp: Stamp) {
        let content = if good {
            Content::Samples(Vec::new())
        } else {
            Content::Lost(LinkError {
                code: "lost",
                detail: "lost in the capture".into(),
            })
        };
        if let Some(aggregate) = &mut self.aggregate {
            aggregate.apply(&Batch {
                device,
                stamp,
                content,
            });
        }
    }
}

fn clock_quality(synchronised: bool) -> ClockQuality {
    ClockQuality {
        source: if synchronised {
            ClockSource::Ntp
        } else {
            ClockSource::None
        },
        synchronised,
        max_error_s: synchronised.then_some(0.0),
    }
}
