//! What the gateway tells about itself: its birth, that it lives, other settings, destinations that take nothing, and what
//! its buffer noticed. Pure.
//!
//! Devices are told by `links`, the wall clock by `clock_watch`.

use super::Aggregate;
use super::dead_letter::DeadLetters;
use super::destination::Destinations;
use super::machine::{Draft, Machine};
use super::saved::{self, Saved};
use super::storage::{self, Storage};
use crate::health::{BufferHealth, UplinkHealth};
use crate::model::{
    Birth, Body, BootTime, ConfigReport, EpochReason, Heartbeat, Position, Scope, Stamp,
};
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
    storage: Storage,
    dead_letters: DeadLetters,
}

impl OwnLife {
    pub(super) fn new(plant: &Plant, began: BootTime) -> OwnLife {
        OwnLife {
            began,
            beat_due: began.plus(HEARTBEAT_EVERY),
            digest: plant.digest.clone(),
            destinations: Destinations::default(),
            storage: Storage::default(),
            dead_letters: DeadLetters::default(),
        }
    }

    /// When the next heartbeat comes.
    pub(super) fn due(&self) -> BootTime {
        self.beat_due
    }

    pub(super) fn save(&self, into: &mut Saved) {
        into.put_lasting(SETTINGS.to_owned(), &self.digest);
    }
}

impl Aggregate {
    /// From now on alerts are told of these uplinks, by name.
    pub fn watch_uplinks(
        &mut self,
        uplinks: impl IntoIterator<Item = (String, Arc<UplinkHealth>)>,
    ) {
        let uplinks: Vec<_> = uplinks.into_iter().collect();
        self.life.dead_letters = DeadLetters::new(uplinks.iter().cloned());
        self.life.destinations = Destinations::new(uplinks);
    }

    /// From now on alerts are told of this buffer.
    pub fn watch_buffer(&mut self, buffer: Arc<BufferHealth>) {
        self.life.storage = Storage::new(buffer);
    }

    pub(super) fn birth(&mut self, last: Option<Position>, new_epoch: Option<EpochReason>) {
        let birth = Birth {
            version: VERSION,
            last,
            boot_id: self.boot_id.clone(),
            open_operations: self.all_open_operations(),
            new_epoch,
        };
        self.tell_own(self.now, Body::Birth(birth));
    }

    /// Numbering from 1 again is an alarm, but in a new store.
    pub(super) fn tell_new_epoch(&mut self, reason: Option<EpochReason>) {
        if let Some(alert) = reason.and_then(storage::new_epoch) {
            self.tell_own(self.now, Body::Delivery(alert));
        }
    }

    /// Other settings than those of the run before. A first start has nothing to compare with.
    pub(super) fn tell_other_settings(&mut self, entries: &BTreeMap<String, Vec<u8>>) {
        let before = entries.get(SETTINGS);
        let Some(before) = before.and_then(|bytes| saved::read_lasting::<String>(bytes)) else {
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
        let mut alerts = self.life.destinations.look(now.boot);
        alerts.extend(self.life.dead_letters.look(now.boot));
        for alert in alerts {
            self.tell_own(now, Body::Delivery(alert));
        }
        for alert in self.life.storage.look(now.boot) {
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

#[cfg(test)]
mod tests {
    use super::super::Start;
    use super::*;
    use crate::model::{CheckpointEntry, ClockQuality, Restored};
    use crate::settings;

    const SETTINGS_FILE: &str = "
gateway: { id: gw01, path: [EXAMPLE] }
machine: PRESS-04
devices:
  plc:
    modbus_tcp: { host: 127.0.0.1 }
    addresses: zero_based
    tags: { status: { holding: 1, type: u16, every: 1s } }
equipment: { state: [ { when: 'status == 1', is: RUNNING }, { is: IDLE } ] }
";

    fn at(seconds: i64) -> Stamp {
        Stamp::default().plus(Duration::from_secs(seconds.unsigned_abs()))
    }

    fn start(file: &str, checkpoint: BTreeMap<String, Vec<u8>>) -> Aggregate {
        let plant = settings::load(file).unwrap().plant;
        let restored = Restored {
            next: Position { epoch: 1, seq: 1 },
            checkpoint,
            ..Restored::default()
        };
        let start = Start {
            now: at(0),
            boot_id: "boot".into(),
            clock: ClockQuality::default(),
        };
        Aggregate::new(&plant, restored, start, Arc::default()).unwrap()
    }

    /// What a run with this file tells at its start, after one that left this checkpoint; and what it leaves.
    fn first_turn(
        file: &str,
        checkpoint: BTreeMap<String, Vec<u8>>,
    ) -> (Vec<Body>, BTreeMap<String, Vec<u8>>) {
        let mut left = checkpoint.clone();
        let turn = start(file, checkpoint).take_turn().unwrap();
        for CheckpointEntry { key, value } in turn.checkpoint {
            left.insert(key, value.unwrap());
        }
        (
            turn.events.into_iter().map(|event| event.body).collect(),
            left,
        )
    }

    #[test]
    fn other_settings_are_told_at_the_start_and_only_then() {
        let (told, left) = first_turn(SETTINGS_FILE, BTreeMap::new());
        assert!(matches!(told.as_slice(), [Body::Birth(_)]), "a first start");
        let (told, left) = first_turn(SETTINGS_FILE, left);
        assert!(
            matches!(told.as_slice(), [Body::Birth(_)]),
            "the same settings"
        );
        let other = SETTINGS_FILE.replace("every: 1s", "every: 2s");
        let (told, left) = first_turn(&other, left);
        let [Body::Birth(_), Body::Config(report)] = told.as_slice() else {
            panic!("{told:?}");
        };
        let digest = |file: &str| settings::load(file).unwrap().plant.digest;
        assert_eq!(report.before, Some(digest(SETTINGS_FILE)));
        assert_eq!(report.after, digest(&other));
        let (told, _) = first_turn(&other, left);
        assert!(matches!(told.as_slice(), [Body::Birth(_)]), "once");
    }

    #[test]
    fn a_gateway_with_nothing_to_do_commits_twice_a_minute() {
        let mut aggregate = start(SETTINGS_FILE, BTreeMap::new());
        let mut turns = Vec::new();
        let mut now = BootTime(0);
        while now <= at(300).boot {
            aggregate.advance(Stamp::default().at(now));
            turns.extend(aggregate.take_turn());
            now = aggregate.next_wakeup().max(BootTime(now.0 + 1));
        }
        let beats: Vec<f64> = turns
            .iter()
            .flat_map(|turn| &turn.events)
            .filter_map(|event| match &event.body {
                Body::Heartbeat(beat) => Some(beat.up_s),
                _ => None,
            })
            .collect();
        let expected: Vec<f64> = (1..=10).map(|beat| f64::from(beat) * 30.0).collect();
        assert_eq!(beats, expected);
        assert!(turns.len() <= 12, "{} commits in 5 minutes", turns.len());
    }

    #[test]
    fn a_heartbeat_names_the_event_before_it() {
        let mut aggregate = start(SETTINGS_FILE, BTreeMap::new());
        aggregate.advance(at(30));
        let events = aggregate.take_turn().unwrap().events;
        let [birth, heartbeat] = events.as_slice() else {
            panic!("{events:?}");
        };
        let Body::Heartbeat(report) = &heartbeat.body else {
            panic!("{heartbeat:?}");
        };
        assert_eq!(report.last, Some(birth.position));
    }

    #[test]
    fn a_paused_destination_is_told_while_nothing_is_read() {
        let mut aggregate = start(SETTINGS_FILE, BTreeMap::new());
        let uplink: Arc<UplinkHealth> = Arc::default();
        aggregate.watch_uplinks([("mes".to_owned(), Arc::clone(&uplink))]);
        uplink.destination.pause("401 Unauthorized");
        aggregate.advance(at(5));
        let events = aggregate.take_turn().unwrap().events;
        let alerts = events
            .iter()
            .filter(|event| matches!(&event.body, Body::Delivery(_)));
        assert_eq!(alerts.count(), 1);
    }
}
