//! What a device has to do with time: its own stamps, how far its clock may be away, its heartbeat.

use super::join;
use crate::model::TagId;
use crate::settings::plant::{Device, LinesPoll, Plant, Protocol};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, Reading, Timestamps};
use crate::settings::units::Period;
use std::time::Duration;

/// How long a machine waits for samples that a device stamped itself (DESIGN, section 2).
const WATERMARK: Duration = Duration::from_millis(500);
/// A heartbeat must be read so often, or a late answer would look like a frozen program.
const READINGS_PER_BEAT: u32 = 2;

/// `timestamps:` and `max_skew:`.
pub(super) fn stamps(
    shape: &shape::Device,
    device: &Device,
    plant: &Plant,
    path: &str,
    report: &mut Report,
) {
    if shape.opc_ua.is_none() {
        return;
    }
    if let Some(skew) = shape.max_skew {
        let at = join(path, "max_skew");
        if device.timestamps == Timestamps::Gateway {
            report.add(
                at,
                "the device's clock does not matter while we stamp the values: write `timestamps: source` or `server` beside it, or leave `max_skew` out",
            );
        } else if skew.get().is_zero() {
            report.add(
                at,
                "no two clocks agree to 0: write what may lie between them, such as 500ms",
            );
        }
    }
    if let (Protocol::OpcUa(server), true) =
        (&device.protocol, device.timestamps != Timestamps::Gateway)
        && server.read == Reading::Subscribe
    {
        let periods = device
            .tags
            .iter()
            .filter_map(|tag| plant.tags.get(tag.index()));
        let finest = periods.map(|tag| tag.every).min().unwrap_or_default();
        if server.publishing_interval.saturating_sub(finest) > WATERMARK {
            let at = join(&join(path, "opc_ua"), "publishing_interval");
            let message = format!(
                "{} is too long for tags that are sampled every {} and stamped by the device: a machine waits 500ms for them, what comes later is not merged. Write at most {}",
                report.written(&at),
                String::from(Period::rounded(finest)),
                String::from(Period::rounded(finest + WATERMARK))
            );
            report.add(at, message);
        }
    }
}

/// The heartbeat: a tag of the same device that comes often enough.
pub(super) fn heartbeat(
    shape: &shape::Device,
    device: &Device,
    plant: &Plant,
    path: &str,
    report: &mut Report,
) -> Option<(TagId, Duration)> {
    let heartbeat = shape.heartbeat.as_ref()?;
    let path = join(path, "heartbeat");
    if device.protocol.speaks_unasked() {
        let message = "a device that speaks when it wants to has no heartbeat: leave it out, or write `poll:`";
        report.add(path, message);
        return None;
    }
    let at = join(&path, "tag");
    let named = |id: &&TagId| {
        let tag = plant.tags.get(id.index());
        tag.is_some_and(|tag| tag.name == heartbeat.tag)
    };
    let Some(id) = device.tags.iter().find(named) else {
        let message = format!("{} is not a tag of this device", shown(&heartbeat.tag));
        let known = shape.tags.keys().map(String::as_str);
        report.unknown(&at, &heartbeat.tag, message, known);
        return None;
    };
    let within = heartbeat.must_change_within.get();
    let every = plant.tags.get(id.index()).map(|tag| tag.every);
    let comes = comes_every(&device.protocol, every.unwrap_or_default());
    if within < comes.saturating_mul(READINGS_PER_BEAT) {
        let at = join(&path, "must_change_within");
        let message = format!(
            "{} is too short: the tag comes every {}; write at least twice that",
            report.written(&at),
            String::from(Period::rounded(comes))
        );
        report.add(at, message);
    }
    Some((*id, within))
}

/// How often a tag comes at the most.
fn comes_every(protocol: &Protocol, every: Duration) -> Duration {
    match protocol {
        Protocol::OpcUa(server) if server.read == Reading::Subscribe => {
            every.max(server.publishing_interval)
        }
        Protocol::Lines(lines) => lines
            .poll
            .as_ref()
            .map_or(every, |LinesPoll { every: poll, .. }| *poll),
        _ => every,
    }
}
