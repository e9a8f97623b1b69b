//! The driver for Modbus: polls all units on one wire, one request at a time.
//!
//! Called by `link`. The next cycle is that of the unit that is due longest; it asks all groups of the unit that are due,
//! and what they answer is one batch. An exception makes the tags of its request bad and the others go on. After a
//! time-out the connection is closed, because the late answer would be taken for the next one.

use super::answer;
use super::plan::{Group, Limits, Request, plan};
use super::wire::{NoAnswer, Wire};
use crate::acquire::driver::{Driver, Failure, Heard, Reading, Said, later, link_error};
use crate::acquire::schedule::Grid;
use crate::clock::Clock;
use crate::health::DeviceHealth;
use crate::model::{DeviceId, LinkError, Stamp};
use crate::settings::{Device, Modbus, ModbusWire, Tag};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// "Gateway path unavailable" and "gateway target device failed to respond": said of a device, not by it.
const SAID_BY_A_GATEWAY: [u8; 2] = [0x0A, 0x0B];

/// All units on one wire.
pub(in crate::acquire) struct Bus {
    to: ModbusWire,
    clock: Clock,
    wire: Option<Wire>,
    units: Vec<Unit>,
    /// Found in the cycle whose readings were returned last.
    broken: Option<Failure>,
}

/// One device and when it is asked what.
struct Unit {
    peer: Peer,
    polls: Vec<Poll>,
    rests_until: Option<Instant>,
}

/// One device, as it is asked.
struct Peer {
    device: DeviceId,
    number: u8,
    timeout: Duration,
    /// Of its last answer: the next one is later, even on a clock that stands.
    last: Stamp,
    health: Arc<DeviceHealth>,
}

/// One period of a device.
struct Poll {
    grid: Grid,
    requests: Vec<Request>,
}

/// What one cycle of a unit brought.
#[derive(Default)]
struct Cycle {
    readings: Vec<Reading>,
    /// A gateway says that the unit does not answer.
    silent: Option<LinkError>,
    /// The connection is gone.
    broken: Option<LinkError>,
}

impl Bus {
    /// A wire without units.
    pub(in crate::acquire) fn new(to: ModbusWire, clock: Clock) -> Bus {
        Bus {
            to,
            clock,
            wire: None,
            units: Vec::new(),
            broken: None,
        }
    }

    /// Adds a device on this wire and plans its requests.
    pub(in crate::acquire) fn add<'a>(
        &mut self,
        device: &Device,
        settings: &Modbus,
        tags: impl IntoIterator<Item = &'a Tag>,
        health: Arc<DeviceHealth>,
    ) {
        let limits = Limits {
            max_registers: settings.max_registers,
            max_gap: settings.max_gap,
        };
        let origin = self.units.first().and_then(|unit| unit.polls.first());
        let origin = origin.map_or_else(Instant::now, |poll| poll.grid.due());
        let poll = |group: Group| Poll {
            grid: Grid::new(origin, group.every),
            requests: group.requests,
        };
        self.units.push(Unit {
            peer: Peer {
                device: device.id,
                number: settings.unit,
                timeout: settings.timeout,
                last: Stamp::default(),
                health,
            },
            polls: plan(tags, limits).into_iter().map(poll).collect(),
            rests_until: None,
        });
    }

    /// The unit that is due first, and when.
    fn most_urgent(&self) -> Option<(usize, Instant)> {
        let dues = self.units.iter().enumerate();
        dues.filter_map(|(index, unit)| Some((index, unit.due()?)))
            .min_by_key(|(_, due)| *due)
    }

    /// Lets one unit have its cycle.
    async fn turn(&mut self, index: usize) -> Result<Heard, Failure> {
        let (Some(unit), Some(wire)) = (self.units.get_mut(index), self.wire.as_mut()) else {
            return Err(Failure {
                device: None,
                error: link_error("closed", "not connected"),
            });
        };
        let cycle = unit.cycle(wire, &self.clock).await;
        let device = unit.peer.device;
        let stamp = later(self.clock.now(), unit.peer.last);
        if let Some(error) = cycle.broken {
            self.wire = None;
            let failure = Failure {
                device: Some(device),
                error,
            };
            if cycle.readings.is_empty() {
                return Err(failure);
            }
            self.broken = Some(failure);
        }
        let content = match cycle.silent {
            Some(error) if cycle.readings.is_empty() => Said::Silent(error),
            _ => Said::Readings(cycle.readings),
        };
        Ok(Heard {
            device,
            stamp,
            content,
        })
    }
}

impl Driver for Bus {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.wire = None;
        self.broken = None;
        self.wire = Some(Wire::open(&self.to).await?);
        let now = Instant::now();
        for poll in self.units.iter_mut().flat_map(|unit| &mut unit.polls) {
            poll.grid.resume(now);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        if let Some(failure) = self.broken.take() {
            return Err(failure);
        }
        match self.most_urgent() {
            Some((index, due)) => {
                sleep_until(due).await;
                self.turn(index).await
            }
            None => std::future::pending().await,
        }
    }

    fn rest(&mut self, device: DeviceId, until: Instant) {
        for unit in self
            .units
            .iter_mut()
            .filter(|unit| unit.peer.device == device)
        {
            unit.rests_until = Some(until);
        }
    }
}

impl Unit {
    /// When its next group is due, or its rest is over.
    fn due(&self) -> Option<Instant> {
        let first = self.polls.iter().map(|poll| poll.grid.due()).min()?;
        Some(self.rests_until.map_or(first, |until| until.max(first)))
    }

    /// Asks what is due, and stops at the first silence.
    async fn cycle(&mut self, wire: &mut Wire, clock: &Clock) -> Cycle {
        let now = Instant::now();
        if self.rests_until.take().is_some() {
            self.polls.iter_mut().for_each(|poll| poll.grid.resume(now));
        }
        let due = |poll: &Poll| poll.grid.due() <= now;
        let tags = self.polls.iter().filter(|poll| due(poll)).map(Poll::tags);
        let mut cycle = Cycle {
            readings: Vec::with_capacity(tags.sum()),
            ..Cycle::default()
        };
        for poll in self.polls.iter_mut().filter(|poll| due(poll)) {
            for request in &poll.requests {
                self.peer.ask(request, wire, clock, &mut cycle).await;
                if cycle.silent.is_some() || cycle.broken.is_some() {
                    return cycle;
                }
            }
            self.peer
                .health
                .overruns
                .add(poll.grid.done(Instant::now()));
        }
        cycle
    }
}

impl Peer {
    /// Asks one request and adds to the cycle what came of it.
    async fn ask(&mut self, request: &Request, wire: &mut Wire, clock: &Clock, cycle: &mut Cycle) {
        let asked = wire.ask(self.number, request, self.timeout).await;
        self.last = later(clock.now(), self.last);
        match asked {
            Ok(answer) => {
                self.health.answers.add(1);
                answer::read(request, &answer, self.last, &mut cycle.readings);
            }
            Err(NoAnswer::Exception(code)) => {
                self.health.exceptions.add(1);
                if SAID_BY_A_GATEWAY.contains(&code) {
                    cycle.silent = Some(behind_gateway(self.number, code));
                } else {
                    answer::refused(request, code, self.last, &mut cycle.readings);
                }
            }
            Err(NoAnswer::Silent(error) | NoAnswer::Broken(error)) => {
                self.health.failures.add(1);
                cycle.broken = Some(error);
            }
        }
    }
}

impl Poll {
    fn tags(&self) -> usize {
        self.requests
            .iter()
            .map(|request| request.fields.len())
            .sum()
    }
}

fn behind_gateway(unit: u8, code: u8) -> LinkError {
    link_error(
        "unreachable",
        format!(
            "unit {unit}: the gateway in between cannot reach it (exception {code}); check the unit number and its wiring"
        ),
    )
}
