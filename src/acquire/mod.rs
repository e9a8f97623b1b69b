//! Stage 1, machine -> Sample: reads devices and hands over what they say, one batch per device and poll cycle.
//!
//! [`links`] makes one [`Link`] per connection from the settings; the gateway runs each in its own task. Inside: `link` is
//! the loop for all drivers, `driver` what it asks of them, `modbus` and `lines` drivers, `condition` the last step.

mod clocks;
mod condition;
mod decimal;
mod driver;
mod heartbeat;
pub mod lines;
mod link;
pub mod modbus;
pub mod opc_ua;
mod quiet;
mod rs485;
mod schedule;
pub(crate) mod serial;
mod tcp;
mod watch;
mod whole;

pub use condition::Conditioner;
pub use driver::{Driver, Failure, Heard, Reading, Said};
pub use link::{Pace, run_link};
pub use watch::Watched;

use crate::clock::Clock;
use crate::health::Health;
use crate::model::{Batch, DeviceId};
use crate::settings::{Device, Lines, ModbusWire, OpcUa, Plant, Protocol, Tag};
use indexmap::IndexMap;
use lines::driver::LinesDevice;
use modbus::bus::Bus;
use opc_ua::OpcUaServer;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One connection to one or several devices, ready to be run.
pub struct Link {
    name: String,
    devices: Vec<Watched>,
    pace: Pace,
    clock: Clock,
    driver: Kind,
}

/// The drivers there are.
enum Kind {
    Modbus(Box<Bus>),
    Lines(Box<LinesDevice>),
    OpcUa(Box<OpcUaServer>),
}

/// The links of a plant: the Modbus wires in the order of their devices, then those that have one device each. Modbus
/// devices of equal wire share one: a small PLC takes few connections, and on a serial line or behind a gateway there is one
/// wire anyhow.
#[must_use]
pub fn links(plant: &Plant, health: &Health, clock: &Clock) -> Vec<Link> {
    let mut shared: IndexMap<&ModbusWire, Link> = IndexMap::new();
    let mut own = Vec::new();
    for device in &plant.devices {
        let watched = watched(plant, device, health);
        match &device.protocol {
            Protocol::Modbus(settings) => {
                let link = shared
                    .entry(&settings.wire)
                    .or_insert_with(|| Link::modbus(&settings.wire, plant, clock));
                if let Kind::Modbus(bus) = &mut link.driver {
                    let cells = Arc::clone(&watched.health);
                    bus.add(device, settings, tags(plant, device), cells);
                }
                link.devices.push(watched);
            }
            Protocol::Lines(settings) => {
                own.push(Link::lines(plant, device, settings, watched, clock));
            }
            Protocol::OpcUa(settings) => {
                own.push(Link::opc_ua(plant, device, settings, watched, clock));
            }
        }
    }
    shared.into_values().chain(own).collect()
}

/// What the link watches of a device.
fn watched(plant: &Plant, device: &Device, health: &Health) -> Watched {
    let cells = health.devices.get(device.id.index());
    let cells = cells.cloned().unwrap_or_default();
    Watched {
        id: device.id,
        name: device.name.clone(),
        lost_after: device.lost_after,
        speaks_unasked: device.protocol.speaks_unasked(),
        heartbeat: device.heartbeat,
        conditioner: Conditioner::new(tags(plant, device), Arc::clone(&cells)).of(device),
        health: cells,
    }
}

fn tags<'a>(plant: &'a Plant, device: &'a Device) -> impl Iterator<Item = &'a Tag> {
    device
        .tags
        .iter()
        .filter_map(|tag| plant.tags.get(tag.index()))
}

impl Link {
    fn modbus(wire: &ModbusWire, plant: &Plant, clock: &Clock) -> Link {
        let state = plant.buffer.path.clone();
        Link {
            name: modbus::wire::name(wire),
            devices: Vec::new(),
            pace: Pace::default(),
            clock: clock.clone(),
            driver: Kind::Modbus(Box::new(Bus::new(wire.clone(), state, clock.clone()))),
        }
    }

    fn lines(
        plant: &Plant,
        device: &Device,
        settings: &Lines,
        watched: Watched,
        clock: &Clock,
    ) -> Link {
        let cells = Arc::clone(&watched.health);
        let tags = tags(plant, device);
        let driver = LinesDevice::new(device, settings, tags, clock.clone(), cells);
        Link {
            name: lines::wire::name(&settings.wire),
            devices: vec![watched],
            pace: Pace::default(),
            clock: clock.clone(),
            driver: Kind::Lines(Box::new(driver)),
        }
    }

    fn opc_ua(
        plant: &Plant,
        device: &Device,
        settings: &OpcUa,
        watched: Watched,
        clock: &Clock,
    ) -> Link {
        let cells = Arc::clone(&watched.health);
        let pki = plant.buffer.path.join("pki");
        let tags = tags(plant, device);
        let driver = OpcUaServer::new(device, settings, &pki, tags, clock.clone(), cells);
        Link {
            name: settings.endpoint.clone(),
            devices: vec![watched],
            pace: Pace::default(),
            clock: clock.clone(),
            driver: Kind::OpcUa(Box::new(driver)),
        }
    }

    /// The address, for logs and task names.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The devices on this link.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.devices.iter().map(|device| device.id)
    }

    /// The same link with another back-off than 1 s doubling to 30 s. Tags that an OPC UA server does not have are looked
    /// for again after twice the longest wait.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Link {
        if let Kind::OpcUa(server) = &mut self.driver {
            server.retry_every(pace.longest.saturating_mul(2));
        }
        Link { pace, ..self }
    }

    /// Reads until `stop`, or until nobody takes the batches any more; what was read is handed over first.
    pub async fn run(self, out: mpsc::Sender<Batch>, stop: CancellationToken) {
        let Link {
            name,
            devices,
            pace,
            clock,
            driver,
        } = self;
        match driver {
            Kind::Modbus(bus) => {
                run_link(*bus, name, devices, pace, clock, out, stop).await;
            }
            Kind::OpcUa(server) => {
                run_link(*server, name, devices, pace, clock, out, stop).await;
            }
            Kind::Lines(device) => {
                run_link(*device, name, devices, pace, clock, out, stop).await;
            }
        }
    }
}
