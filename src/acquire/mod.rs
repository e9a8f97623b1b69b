//! Stage 1, machine -> Sample: reads devices and hands over what they say, one batch per device and poll cycle.
//!
//! [`links`] makes one [`Link`] per connection from the settings; the gateway runs each in its own task. Inside: `link` is
//! the loop for all drivers, `driver` what it asks of them, `modbus` the driver there is, `condition` the last step.

mod condition;
mod decimal;
mod driver;
mod link;
pub mod modbus;
pub mod opc_ua;
mod quiet;
mod watch;

pub use condition::Conditioner;
pub use driver::{Driver, Failure, Heard, Reading, Said};
pub use link::{Pace, run_link};
pub use watch::Watched;

use crate::clock::Clock;
use crate::health::Health;
use crate::model::{Batch, DeviceId};
use crate::settings::{Device, ModbusWire, Plant, Protocol, Tag};
use indexmap::IndexMap;
use modbus::tcp::ModbusServer;
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
    ModbusTcp(ModbusServer),
    OpcUa(Box<OpcUaServer>),
}

/// The links of a plant: those of Modbus, then those of OPC UA. Modbus devices of equal host and port share one: a small PLC takes few
/// connections, and behind a gateway there is one wire anyhow.
#[must_use]
pub fn links(plant: &Plant, health: &Health, clock: &Clock) -> Vec<Link> {
    let mut links: IndexMap<(&str, u16), Link> = IndexMap::new();
    for device in &plant.devices {
        let Protocol::Modbus(settings) = &device.protocol else {
            continue;
        };
        let ModbusWire::Tcp { host, port } = &settings.wire else {
            continue;
        };
        let (host, port) = (host.as_str(), *port);
        let link = links
            .entry((host, port))
            .or_insert_with(|| Link::modbus_tcp(host, port, clock));
        let cells = health
            .devices
            .get(device.id.index())
            .cloned()
            .unwrap_or_default();
        let Kind::ModbusTcp(server) = &mut link.driver else {
            continue;
        };
        server.add(device, settings, tags(plant, device), cells.clone());
        link.devices.push(Watched {
            id: device.id,
            name: device.name.clone(),
            lost_after: device.lost_after,
            speaks_unasked: device.protocol.speaks_unasked(),
            conditioner: Conditioner::new(tags(plant, device), Arc::clone(&cells)),
            health: cells,
        });
    }
    let sessions = plant
        .devices
        .iter()
        .filter_map(|device| Link::opc_ua(device, plant, health, clock));
    links.into_values().chain(sessions).collect()
}

fn tags<'a>(plant: &'a Plant, device: &'a Device) -> impl Iterator<Item = &'a Tag> {
    device
        .tags
        .iter()
        .filter_map(|tag| plant.tags.get(tag.index()))
}

impl Link {
    fn modbus_tcp(host: &str, port: u16, clock: &Clock) -> Link {
        Link {
            name: format!("{host}:{port}"),
            devices: Vec::new(),
            pace: Pace::default(),
            clock: clock.clone(),
            driver: Kind::ModbusTcp(ModbusServer::new(host.to_owned(), port, clock.clone())),
        }
    }

    /// A session of its own for each OPC UA device; `None` for others.
    fn opc_ua(device: &Device, plant: &Plant, health: &Health, clock: &Clock) -> Option<Link> {
        let Protocol::OpcUa(settings) = &device.protocol else {
            return None;
        };
        let cells = health.devices.get(device.id.index()).cloned();
        let cells = cells.unwrap_or_default();
        let server = OpcUaServer::new(
            device,
            settings,
            &plant.buffer.path.join("pki"),
            tags(plant, device),
            clock.clone(),
            Arc::clone(&cells),
        );
        Some(Link {
            name: settings.endpoint.clone(),
            devices: vec![Watched {
                id: device.id,
                name: device.name.clone(),
                lost_after: device.lost_after,
                speaks_unasked: device.protocol.speaks_unasked(),
                conditioner: Conditioner::new(tags(plant, device), Arc::clone(&cells)),
                health: cells,
            }],
            pace: Pace::default(),
            clock: clock.clone(),
            driver: Kind::OpcUa(Box::new(server)),
        })
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

    /// The same link with another back-off than 1 s doubling to 30 s.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Link {
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
            Kind::ModbusTcp(server) => {
                run_link(server, name, devices, pace, clock, out, stop).await;
            }
            Kind::OpcUa(server) => {
                run_link(*server, name, devices, pace, clock, out, stop).await;
            }
        }
    }
}
