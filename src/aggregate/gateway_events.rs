//! What the gateway tells about itself: its birth, that it lives, other settings, and destinations that take nothing. Pure.
//!
//! Devices are told by `links`, the wall clock by `clock_watch`.

use super::Aggregate;
use super::destination::Destinations;
use super::machine::{Draft, Machine};
use super::saved::{self, Saved};
use crate::health::UplinkHealth;
use crate::model::{Birth, Body, BootTime, ConfigReport, Heartbeat, Position, Scope, Stamp};
use crate::settings::Plant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the gateway says that it lives. Each is a commit where nothing else happens: 2,880 of some 2 KB a day.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// The checkpoint entry with the digest of the settings. Under the same scope as the sign of life, and written with it.
const SETTINGS: &str = "gateway/settings";
/// The version that events name.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a run knows of itself.
#[derive(Debug)]
pub(super) struct OwnLife {
    began: BootTime,
    beat_due: BootTime,
    digest: String,
    destinations: Destinations,
}

impl OwnLife {
    pub(super) fn new(plant: &Plant, began: BootTime) -> OwnLife {
        OwnLife {
            began,
            beat_due: began.plus(HEARTBEAT_EVERY),
            digest: plant.digest.clone(),
            destinations: Destinations::default(),
        }
    }

    /// When the next heartbeat comes.
    pub(super) fn due(&self) -> BootTime {
        self.beat_due
    }

    pub(super) fn save(&self, into: &mut Saved) {
        into.put(SETTINGS.to_owned(), &self.digest);
    }
}

impl Aggregate {
    /// From now on alerts are told of these uplinks, by name.
    pub fn watch_uplinks(
        &mut self,
        uplinks: impl IntoIterator<Item = (String, Arc<UplinkHealth>)>,
    ) {
        self.life.destinations = Destinations::new(uplinks);
    }

    pub(super) fn birth(&mut self, last: Option<Position>) {
        let birth = Birth {
            version: VERSION,
            last,
            boot_id: self.boot_id.clone(),
            open_operations: self.all_open_operations(),
        };
        self.tell_own(self.now, Body::Birth(birth));
    }

    /// Other settings than those of the run before. A first start has nothing to compare with.
    pub(super) fn tell_other_settings(&mut self, entries: &BTreeMap<String, Vec<u8>>) {
        let before = entries.get(SETTINGS);
        let Some(before) = before.and_then(|bytes| saved::read::<String>(bytes)) else {
            return;
        };
        if before != self.life.digest {
            let report = ConfigReport {
                before: Some(before),
                after: self.life.digest.clone(),
            };
            self.tell_own(self.now, Body::Config(report));
        }
    }

    /// A sign of life, if it is time for one. Those that were missed are not made up for.
    pub(super) fn beat(&mut self, now: Stamp) {
        if now.boot < self.life.beat_due {
            return;
        }
        self.life.beat_due = now.boot.plus(HEARTBEAT_EVERY);
        let last = (self.next.seq.saturating_add(self.drafts.len() as u64)).checked_sub(1);
        let heartbeat = Heartbeat {
            version: VERSION,
            last: last
                .filter(|seq| *seq > 0)
                .map(|seq| Position { seq, ..self.next }),
            boot_id: self.boot_id.clone(),
            up_s: now.boot.seconds_since(self.life.began),
            open_operations: self.all_open_operations(),
        };
        self.tell_own(now, Body::Heartbeat(heartbeat));
    }

    pub(super) fn look_at_destinations(&mut self, now: Stamp) {
        for alert in self.life.destinations.look(now.boot) {
            self.tell_own(now, Body::Delivery(alert));
        }
    }

    fn all_open_operations(&self) -> Vec<uuid::Uuid> {
        let machines = self.machines.iter();
        machines.flat_map(Machine::open_operations).collect()
    }

    fn tell_own(&mut self, at: Stamp, body: Body) {
        self.drafts.push(Draft {
            about: Scope::Gateway,
            time: at.utc,
            correlation: None,
            causation: None,
            body,
        });
    }
}
