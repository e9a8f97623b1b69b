//! The settings with every default written out, and the digest over them.

use super::check::{kind, lost_after};
use super::shape::{Device, File};
use sha2::{Digest, Sha256};

/// Hex digits of the digest that events carry.
const DIGEST_DIGITS: usize = 16;

/// The file with the defaults that depend on other keys written out as well.
pub(super) fn settled(file: &File) -> File {
    let mut file = file.clone();
    let gateway = file.gateway.id.clone();
    let machines = file
        .machines
        .values_mut()
        .map(|machine| &mut machine.devices);
    for device in machines
        .chain([&mut file.devices])
        .flat_map(|devices| devices.values_mut())
    {
        settle_device(device);
    }
    for (name, uplink) in &mut file.uplinks {
        if let Some(mqtt) = &mut uplink.mqtt {
            mqtt.client_id
                .get_or_insert_with(|| format!("{gateway}-{name}"));
        }
    }
    file
}

fn settle_device(device: &mut Device) {
    device.lost_after = Some(lost_after(device));
    for tag in device.tags.values_mut() {
        tag.kind = Some(kind(tag));
    }
}

/// `sha256:` and the first 16 hex digits over the effective settings as JSON.
pub(super) fn digest(file: &File) -> String {
    let json = serde_json::to_vec(&settled(file)).unwrap_or_default();
    let hex: String = Sha256::digest(&json)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let short = hex.get(..DIGEST_DIGITS).unwrap_or(&hex);
    format!("sha256:{short}")
}
