//! Which devices answer: tells their loss and return, and which tags a loss makes bad.

use super::machine::Draft;
use super::saved::{self, Saved};
use crate::model::{
    Body, ConnectionReport, ConnectionState, DeviceId, Scope, Stamp, TagId, UtcTime,
};
use crate::settings::Plant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug)]
struct Link {
    name: String,
    protocol: &'static str,
    tags: Vec<TagId>,
    known: Known,
}

/// What must outlive the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    lost: bool,
}

/// All devices of the plant.
#[derive(Debug)]
pub(super) struct Links {
    links: Vec<Link>,
    last_good: Vec<Option<UtcTime>>,
}

impl Links {
    pub(super) fn new(plant: &Plant) -> Links {
        let links = plant.devices.iter().map(|device| Link {
            name: device.name.clone(),
            protocol: device.protocol.word(),
            tags: device.tags.clone(),
            known: Known::default(),
        });
        Links {
            links: links.collect(),
            last_good: vec![None; plant.devices.len()],
        }
    }

    pub(super) fn save(&self, into: &mut Saved) {
        for link in self.links.iter().filter(|link| link.known.lost) {
            into.put(format!("device/{}", link.name), &link.known);
        }
    }

    pub(super) fn restore(&mut self, entries: &BTreeMap<String, Vec<u8>>) {
        for link in &mut self.links {
            let entry = entries.get(&format!("device/{}", link.name));
            link.known = entry
                .and_then(|bytes| saved::read(bytes))
                .unwrap_or_default();
        }
    }

    /// A device answered; an event if it had been lost.
    pub(super) fn answered(&mut self, device: DeviceId, now: Stamp) -> Option<Draft> {
        let link = self.links.get_mut(device.index())?;
        let last_good = self.last_good.get_mut(device.index())?;
        let before = last_good.replace(now.utc);
        if !std::mem::take(&mut link.known.lost) {
            return None;
        }
        Some(report(link, ConnectionState::Good, now, before, None))
    }

    /// A device is lost: its event, unless that is known, and the tags that are bad now.
    pub(super) fn lost(
        &mut self,
        device: DeviceId,
        now: Stamp,
        error: &str,
    ) -> (Option<Draft>, Vec<TagId>) {
        let last_good = self.last_good.get(device.index()).copied().flatten();
        let Some(link) = self.links.get_mut(device.index()) else {
            return (None, Vec::new());
        };
        let known = std::mem::replace(&mut link.known.lost, true);
        let draft =
            (!known).then(|| report(link, ConnectionState::Lost, now, last_good, Some(error)));
        (draft, link.tags.clone())
    }
}

fn report(
    link: &Link,
    state: ConnectionState,
    now: Stamp,
    last_good: Option<UtcTime>,
    error: Option<&str>,
) -> Draft {
    Draft {
        about: Scope::Gateway,
        time: now.utc,
        correlation: None,
        causation: None,
        body: Body::Connection(ConnectionReport {
            name: link.name.clone(),
            protocol: link.protocol,
            state,
            since: now,
            last_good,
            error: error.map(|text| text.chars().take(200).collect()),
            affected_tags: u32::try_from(link.tags.len()).unwrap_or(u32::MAX),
        }),
    }
}
