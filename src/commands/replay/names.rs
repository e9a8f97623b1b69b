//! Names of a plant as captures use them: bare with one machine, `PRESS-04.status` with several. Pure.

use crate::settings::{Device, Plant, Tag};

/// The name of a tag.
pub(in crate::commands) fn tag(plant: &Plant, tag: &Tag) -> String {
    match plant.machines.get(tag.machine) {
        Some(machine) if plant.machines.len() > 1 => format!("{}.{}", machine.name, tag.name),
        _ => tag.name.clone(),
    }
}

/// The name of a device.
pub(in crate::commands) fn device(plant: &Plant, device: &Device) -> String {
    let bare = device.name.split_once('.').map(|(_, bare)| bare);
    let single = plant.machines.len() == 1;
    bare.filter(|_| single).unwrap_or(&device.name).to_owned()
}
