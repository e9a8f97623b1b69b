//! From the shape of the file to the checked plant: everything that takes two keys together is looked at here.
//!
//! Called by `load` with a file whose single keys are already right. Notes every problem and goes on; conditions are
//! compiled and type-checked by `aggregate`, which knows CEL.

mod device;
mod report;

pub(super) use device::{kind, lost_after};
pub(super) use report::Report;

use super::plant::{Machine, Plant, Uplink, UplinkProtocol};
use super::shape;
use crate::model::UplinkId;
use indexmap::IndexMap;

/// Builds the plant. What is built is only to be used when the report is empty.
pub(super) fn check(file: &shape::File, digest: String, report: &mut Report) -> Plant {
    let mut plant = Plant {
        gateway: file.gateway.clone(),
        machines: Vec::new(),
        devices: Vec::new(),
        tags: Vec::new(),
        buffer: file.buffer.clone(),
        uplinks: uplinks(file),
        shadow: file.shadow,
        digest,
    };
    if let Some(name) = &file.machine {
        let blocks = Blocks {
            devices: &file.devices,
            equipment: file.equipment.as_ref(),
            operations: &file.operations,
        };
        machine(name, "", &blocks, &mut plant, report);
    }
    for (name, several) in &file.machines {
        let blocks = Blocks {
            devices: &several.devices,
            equipment: several.equipment.as_ref(),
            operations: &several.operations,
        };
        machine(
            name,
            &format!("machines.{name}"),
            &blocks,
            &mut plant,
            report,
        );
    }
    plant
}

/// The blocks of one machine, wherever they stand.
struct Blocks<'a> {
    devices: &'a IndexMap<String, shape::Device>,
    equipment: Option<&'a shape::Equipment>,
    operations: &'a IndexMap<String, shape::Operation>,
}

fn machine(name: &str, path: &str, blocks: &Blocks<'_>, plant: &mut Plant, report: &mut Report) {
    let mut built = Machine {
        name: name.to_owned(),
        path: path.to_owned(),
        tags: IndexMap::new(),
        devices: Vec::new(),
        equipment: blocks.equipment.cloned().unwrap_or_default(),
        operations: blocks.operations.clone(),
    };
    for (device_name, shape) in blocks.devices {
        let at = join(&join(path, "devices"), device_name);
        device::check(device_name, shape, &at, &mut built, plant, report);
    }
    plant.machines.push(built);
}

fn uplinks(file: &shape::File) -> Vec<Uplink> {
    let mut built = Vec::new();
    for (name, shape) in &file.uplinks {
        let protocol = match (&shape.mqtt, &shape.http) {
            (Some(mqtt), _) => UplinkProtocol::Mqtt(mqtt.clone()),
            (None, Some(http)) => UplinkProtocol::Http(http.clone()),
            (None, None) => continue,
        };
        built.push(Uplink {
            id: UplinkId(u32::try_from(built.len()).unwrap_or(u32::MAX)),
            name: name.clone(),
            protocol,
            events: shape.events.clone(),
            start_at: shape.start_at,
        });
    }
    built
}

/// A path one key further.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        return key.to_owned();
    }
    format!("{path}.{key}")
}
