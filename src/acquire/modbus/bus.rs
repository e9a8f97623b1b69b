//! The driver for Modbus: all units on one wire, one request at a time.
//!
//! Called by `link`. `turn` says whose turn it is, `unit` what it is asked; what its groups answer is one batch. An exception
//! makes the tags of its request bad and the others go on. A silent unit rests while the others go on; a connection is
//! closed over a silence only where nobody else on it answers, a serial port only when it is gone or never silent.

use super::turn::{Standing, Turn, turn};
use super::unit::{End, Unit};
use super::wire::Wire;
use crate::acquire::driver::{Driver, Failure, Heard, Said, link_error};
use crate::clock::Clock;
use crate::health::DeviceHealth;
use crate::model::{DeviceId, LinkError};
use crate::settings::{Device, Modbus, ModbusWire, Tag};
use futures_util::FutureExt;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::time::{Instant, sleep_until};

/// All units on one wire.
pub(in crate::acquire) struct Bus {
    to: ModbusWire,
    /// The state directory.
    state: PathBuf,
    clock: Clock,
    wire: Option<Wire>,
    units: Vec<Unit>,
    origin: Instant,
    /// Heard, and not yet said: what one turn brings, at most two.
    said: VecDeque<Result<Heard, Failure>>,
    /// Of the units, in their order; kept for its room.
    standings: Vec<Standing>,
}

impl Bus {
    /// A wire without units; what is learnt is kept below `state`.
    pub(in crate::acquire) fn new(to: ModbusWire, state: PathBuf, clock: Clock) -> Bus {
        Bus {
            to,
            state,
            clock,
            wire: None,
            units: Vec::new(),
            origin: Instant::now(),
            said: VecDeque::new(),
            standings: Vec::new(),
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
        let unit = Unit::new(device, settings, tags, health, &self.state, self.origin);
        self.units.push(unit);
    }

    /// Whose turn it is.
    fn agenda(&mut self) -> Option<Turn> {
        let wire = self.wire.as_ref()?;
        self.standings.clear();
        self.standings
            .extend(self.units.iter().map(|unit| unit.standing(wire)));
        Some(turn(&self.standings, Instant::now()))
    }

    /// One unit has its cycle.
    async fn cycle(&mut self, place: usize) {
        let (Some(unit), Some(wire)) = (self.units.get_mut(place), self.wire.as_mut()) else {
            return;
        };
        let cycle = unit.cycle(wire, &self.clock).await;
        let device = unit.device();
        if !cycle.readings.is_empty() {
            let stamp = unit.stamp(&self.clock);
            self.said.push_back(Ok(Heard {
                device,
                stamp,
                content: Said::Readings(cycle.readings),
            }));
        }
        self.ended(place, device, cycle.end);
    }

    /// One unit that was silent is tried.
    async fn try_again(&mut self, place: usize, limit: Duration) {
        let (Some(unit), Some(wire)) = (self.units.get_mut(place), self.wire.as_mut()) else {
            return;
        };
        let end = unit.try_again(wire, limit).await;
        let device = unit.device();
        self.ended(place, device, end);
    }

    /// What is to be said of how a turn ended.
    fn ended(&mut self, place: usize, device: DeviceId, end: End) {
        match end {
            End::Done => {}
            End::Missed(error) | End::Silent(error) if self.is_alone(place, &error) => {
                self.broken(device, error);
            }
            End::Missed(_) => {}
            End::Silent(error) => {
                let stamp = self.clock.now();
                self.said.push_back(Ok(Heard {
                    device,
                    stamp,
                    content: Said::Silent(error),
                }));
            }
            End::Broken(error) => self.broken(device, error),
        }
    }

    fn broken(&mut self, device: DeviceId, error: LinkError) {
        self.wire = None;
        let device = Some(device);
        self.said.push_back(Err(Failure { device, error }));
    }

    /// True where the silence may be that of the connection: nobody else on it is known to answer. A gateway that says so
    /// is there, and a serial port is not opened anew over it.
    fn is_alone(&self, place: usize, error: &LinkError) -> bool {
        let others = self.units.iter().enumerate();
        let others_answer = others
            .filter(|(other, _)| *other != place)
            .any(|(_, unit)| unit.is_well());
        let connection = !matches!(self.to, ModbusWire::Rtu(_));
        connection && error.code != "unreachable" && !others_answer
    }

    /// Writes what was learnt; never ends.
    async fn write_notes(&mut self) {
        loop {
            match self.units.iter_mut().find(|unit| unit.notebook.is_open()) {
                Some(unit) => unit.notebook.write().await,
                None => return std::future::pending().await,
            }
        }
    }
}

impl Driver for Bus {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.wire = None;
        self.said.clear();
        self.wire = Some(Wire::open(&self.to).await?);
        let now = Instant::now();
        for unit in &mut self.units {
            unit.resume(now);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return said;
            }
            let Some(turn) = self.agenda() else {
                return Err(Failure {
                    device: None,
                    error: link_error("closed", "not connected"),
                });
            };
            match turn {
                Turn::Cycle(place) => {
                    // Where the wire never waits, writing goes on between two cycles.
                    self.write_notes().now_or_never();
                    self.cycle(place).await;
                }
                Turn::Try(place, limit) => self.try_again(place, limit).await,
                Turn::Wait(Some(until)) => select! {
                    () = sleep_until(until) => {}
                    () = self.write_notes() => {}
                },
                Turn::Wait(None) => self.write_notes().await,
            }
        }
    }

    fn rest(&mut self, device: DeviceId, until: Instant) {
        for unit in self.units.iter_mut().filter(|unit| unit.device() == device) {
            unit.rest(until);
        }
    }
}

#[cfg(test)]
mod tests;
