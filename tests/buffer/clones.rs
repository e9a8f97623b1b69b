//! Stores that were copied, restored, deleted, moved or mixed: whatever was done to the files, no id is ever used for two
//! different events, and every stored event keeps the id that it had.

use super::{MES, event};
use millgate::buffer::engine::Medium;
use millgate::buffer::{
    Answered, OpenOptions, ParkedAction, ParkedChange, ParkedState, Parking, Quota, Settled, Store,
    ToPark,
};
use millgate::format::Renderer;
use millgate::health::BufferHealth;
use millgate::model::{
    Body, ConnectionReport, ConnectionState, DropReason, EpochReason, Event, ParkClass, Position,
    Restored, Stamp, Turn, UtcTime,
};
use millgate::settings;
use millgate::settings::shape::StartAt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const HERE: &str = "b0d3c5a1";
const THERE: &str = "77aa01ff";

/// All that was ever sent by any of the boxes, as the MES sees it: one source, ids, what each event says.
struct World {
    home: TempDir,
    renderer: Renderer,
    sent: BTreeMap<Uuid, String>,
    events: u32,
    starts: u32,
}

impl World {
    fn new() -> World {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let mut cases: Vec<PathBuf> = std::fs::read_dir(case)
            .unwrap()
            .map(|entry| entry.unwrap().path().join("settings.yaml"))
            .filter(|path| path.exists())
            .collect();
        cases.sort();
        let text = std::fs::read_to_string(&cases[0]).unwrap();
        World {
            home: tempfile::tempdir().unwrap(),
            renderer: Renderer::new(&settings::load(&text).unwrap().plant),
            sent: BTreeMap::new(),
            events: 0,
            starts: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Copies a path of a box to another box, over what is there.
    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        if from.is_dir() {
            std::fs::remove_dir_all(&to).ok();
            copy_tree(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }

    fn remove(&self, path: &str) {
        std::fs::remove_dir_all(self.path(path)).unwrap();
    }

    fn open(&self, name: &str, machine: &str, uplink: &str) -> (Store, Restored) {
        let options = OpenOptions {
            path: self.path(name),
            generation_bytes: 6_000,
            uplinks: vec![(uplink.into(), StartAt::Oldest)],
            machine_id: Some(machine.into()),
            health: Arc::new(BufferHealth::default()),
            quota: Quota::default(),
            medium: Medium::sled(),
        };
        Store::open(&options).unwrap()
    }

    /// A box is on for a while: everything that is stored is sent, then `count` new events are stored and sent.
    fn run(&mut self, name: &str, machine: &str, count: u32) -> Option<EpochReason> {
        self.run_for(name, machine, count, "mes")
    }

    fn run_for(
        &mut self,
        name: &str,
        machine: &str,
        count: u32,
        uplink: &str,
    ) -> Option<EpochReason> {
        let (mut store, restored) = self.open(name, machine, uplink);
        self.starts += 1;
        self.send(&mut store);
        let mut next = restored.next;
        let mut fresh = Vec::new();
        for _ in 0..count {
            self.events += 1;
            let text = format!("device {} of start {}", self.events, self.starts);
            let event = Event {
                run: restored.run,
                ..lost(next, &text)
            };
            let turn = Turn {
                events: vec![event],
                checkpoint: vec![],
            };
            let render = |event: &Event, recorded: UtcTime| {
                let rendered = self.renderer.render(event, recorded);
                (rendered.envelope, rendered.json)
            };
            store.commit(&[turn], Stamp::default(), &render).unwrap();
            fresh.push(text);
            next.seq += 1;
        }
        self.send(&mut store);
        for text in fresh {
            assert!(self.sent.values().any(|sent| *sent == text), "{text}");
        }
        store.new_epoch()
    }

    /// Everything in a store reaches the MES: an id that it knows must be the event that it knows.
    fn send(&mut self, store: &mut Store) {
        let mut after = Position::default();
        loop {
            let records = store.read_for(MES, after, 100, 1 << 20).unwrap();
            let Some(last) = records.last() else {
                return;
            };
            after = last.position;
            for record in records {
                let id = record.envelope.id;
                let text = text_of(&record.payload);
                let json: serde_json::Value = serde_json::from_slice(&record.payload).unwrap();
                assert_eq!(json["id"], id.to_string());
                let known = self.sent.entry(id).or_insert_with(|| text.clone());
                assert_eq!(*known, text, "id {id} at {} again", record.position);
            }
        }
    }

    /// As many ids as events: none was used twice, none was given to what another box had sent.
    fn all_differ(&self) {
        assert_eq!(self.sent.len(), usize::try_from(self.events).unwrap());
    }
}

/// What an event says.
fn text_of(payload: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let name = json["data"]["connection"]["name"].as_str();
    name.unwrap().to_owned()
}

fn lost(position: Position, name: &str) -> Event {
    Event {
        body: Body::Connection(ConnectionReport {
            name: name.into(),
            protocol: "modbus_tcp",
            state: ConnectionState::Lost,
            since: Stamp::default(),
            last_good: None,
            error: None,
            affected_tags: 0,
        }),
        ..event(position)
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn two_boxes_from_one_image_give_different_ids() {
    let mut world = World::new();
    world.run("one", HERE, 12);
    world.copy("one", "two");
    // Also where the image has given both the same machine id.
    assert_eq!(world.run("one", HERE, 5), None);
    assert_eq!(world.run("two", HERE, 5), None);
    assert_eq!(world.run("two", HERE, 2), None);
    world.copy("one", "three");
    let reason = world.run("three", THERE, 5);
    assert_eq!(reason, Some(EpochReason::OtherMachine));
    assert_eq!(world.run("three", THERE, 2), None);
    world.all_differ();
}

#[test]
fn a_backup_that_is_put_back_gives_new_ids_to_new_events() {
    let mut world = World::new();
    world.run("box", HERE, 9);
    world.copy("box", "backup");
    world.run("box", HERE, 7);
    world.copy("backup", "box");
    // Nothing tells a whole backup from the store that it was.
    assert_eq!(world.run("box", HERE, 7), None);
    world.copy("backup", "box");
    world.run("box", HERE, 20);
    world.all_differ();
}

#[test]
fn a_store_that_was_deleted_begins_anew_with_ids_of_its_own() {
    let mut world = World::new();
    world.run("box", HERE, 9);
    world.remove("box");
    assert_eq!(world.run("box", HERE, 9), Some(EpochReason::Created));
    // Only the databases went: the side file knows that there were events.
    for entry in std::fs::read_dir(world.path("box/store")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let reason = world.run("box", HERE, 9);
    assert_eq!(reason, Some(EpochReason::StoreMissing));
    world.all_differ();
}

/// The first event that waits is put aside for people, as after a rejection.
fn put_aside(store: &mut Store) -> Position {
    let record = store.read_for(MES, Position::default(), 1, 1).unwrap();
    let record = record.into_iter().next().unwrap();
    let position = record.position;
    let to_park = ToPark {
        record,
        class: ParkClass::Business,
        state: ParkedState::Rejected,
        attempts: 1,
        since_first: Duration::ZERO,
        answered: Answered::default(),
        wait: Duration::ZERO,
    };
    let parked = store.park(MES, to_park, Stamp::default()).unwrap();
    assert_eq!(parked, Parking::Done);
    store.commit_progress().unwrap();
    position
}

/// What can be sent of parked events: their text.
fn parked_texts(store: &mut Store) -> Vec<String> {
    let positions = store.parked_positions(MES);
    let parked = positions.into_iter().map(|at| {
        let parked = store.parked(MES, at).unwrap().expect("it can be read");
        assert_eq!(parked.record.position, at);
        text_of(&parked.record.payload)
    });
    parked.collect()
}

#[test]
fn parked_events_outlive_their_store_and_no_new_event_is_taken_for_one() {
    // The uplink of the parked events is in the settings all the time, or away when the store is made anew.
    for meanwhile in ["mes", "other"] {
        let mut world = World::new();
        world.run("box", HERE, 5);
        let mut store = world.open("box", HERE, "mes").0;
        // The first four are done with: what is parked is the number 5.
        let done = Settled::delivered(Position { epoch: 1, seq: 0 }, Position { epoch: 1, seq: 4 });
        store.settle(MES, &done).unwrap();
        let parked = put_aside(&mut store);
        assert_eq!((parked.epoch, parked.seq), (1, 5));
        let said = parked_texts(&mut store);
        drop(store);
        world.remove("box/store");
        let reason = world.run_for("box", HERE, 2, meanwhile);
        assert_eq!(reason, Some(EpochReason::StoreMissing), "{meanwhile}");
        for count in [3, 4] {
            assert_eq!(world.run("box", HERE, count), None);
        }
        let mut store = world.open("box", HERE, "mes").0;
        assert_eq!(parked_texts(&mut store), said, "{meanwhile}");
        let account = store.account(MES);
        assert_eq!(
            (account.parked, account.dropped(DropReason::Damaged)),
            (1, 0)
        );
        let retry = ParkedChange {
            action: ParkedAction::Retry,
            user: "operator".into(),
            comment: "the order is open again".into(),
            positions: vec![parked],
            of: 1,
        };
        let changed = store.change_parked(MES, &retry, Stamp::default()).unwrap();
        assert_eq!(changed.map(|changed| changed.changed), Ok(1));
        world.all_differ();
    }
}

#[test]
fn a_backup_of_the_store_beside_newer_parked_events_begins_a_new_epoch() {
    let mut world = World::new();
    world.run("box", HERE, 5);
    world.copy("box/store", "backup");
    world.run("box", HERE, 3);
    let mut store = world.open("box", HERE, "mes").0;
    let done = Settled::delivered(Position { epoch: 1, seq: 0 }, Position { epoch: 1, seq: 7 });
    store.settle(MES, &done).unwrap();
    assert_eq!(put_aside(&mut store).seq, 8);
    let said = parked_texts(&mut store);
    drop(store);
    world.copy("backup", "box/store");
    assert_eq!(world.run("box", HERE, 9), Some(EpochReason::TailLost));
    assert_eq!(world.run("box", HERE, 2), None);
    let mut store = world.open("box", HERE, "mes").0;
    assert_eq!(parked_texts(&mut store), said);
    world.all_differ();
}

#[test]
fn an_old_side_file_beside_new_generations_changes_no_numbering() {
    let mut world = World::new();
    world.run("box", HERE, 9);
    world.copy("box/store/progress", "progress");
    world.run("box", HERE, 9);
    world.copy("progress", "box/store/progress");
    assert_eq!(world.run("box", HERE, 4), None);
    std::fs::remove_file(world.path("box/store/progress")).unwrap();
    assert_eq!(world.run("box", HERE, 4), None);
    world.all_differ();
}

#[test]
fn old_generations_beside_a_new_side_file_begin_a_new_epoch() {
    let mut world = World::new();
    world.run("box", HERE, 9);
    world.copy("box", "backup");
    world.run("box", HERE, 30);
    world.copy("box/store/progress", "progress");
    world.copy("backup", "box");
    world.copy("progress", "box/store/progress");
    let reason = world.run("box", HERE, 9);
    assert_eq!(reason, Some(EpochReason::TailLost));
    assert_eq!(world.run("box", HERE, 3), None);
    world.all_differ();
}

#[test]
fn settings_that_were_reset_change_no_numbering() {
    let mut world = World::new();
    world.run("box", HERE, 9);
    assert_eq!(world.run_for("box", HERE, 5, "other"), None);
    assert_eq!(world.run("box", HERE, 5), None);
    world.all_differ();
}

#[test]
fn a_store_that_moved_away_and_came_back_has_an_epoch_for_each_move() {
    let mut world = World::new();
    world.run("box", HERE, 6);
    for machine in [THERE, HERE, THERE] {
        world.copy("box", "moved");
        world.copy("moved", "box");
        let reason = world.run("box", machine, 6);
        assert_eq!(reason, Some(EpochReason::OtherMachine));
        assert_eq!(world.run("box", machine, 1), None);
    }
    world.all_differ();
}
