//! The store as processes see it: killed, refused by the system, on a full disk. The children are ignored tests of this
//! binary, so that none has to be built and found.

mod barrier;
mod clones;
mod cutbox;
mod kill;
mod refusals;
mod unreadable;

pub(crate) use refusals::works;

use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Store, StoreError};
use millgate::health::BufferHealth;
use millgate::model::{
    Birth, Body, CheckpointEntry, ClockQuality, Envelope, Event, Position, Restored, Scope, Turn,
    UplinkId, UtcTime,
};
use millgate::settings::shape::StartAt;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Tells a child where its store is.
const DIRECTORY: &str = "MILLGATE_TEST_STORE";
const MES: UplinkId = UplinkId(0);

fn open(path: &Path) -> Result<(Store, Restored), StoreError> {
    let options = OpenOptions {
        path: path.to_owned(),
        generation_bytes: 30_000,
        uplinks: vec![("mes".into(), StartAt::Newest)],
        machine_id: None,
        quota: Quota::default(),
        health: Arc::new(BufferHealth::default()),
        medium: Medium::sled(),
    };
    Store::open(&options)
}

fn payload(position: Position) -> Vec<u8> {
    format!("{position} ").repeat(40).into_bytes()
}

pub(crate) fn render(event: &Event, _: UtcTime) -> (Envelope, Vec<u8>) {
    let envelope = Envelope {
        id: Uuid::nil(),
        run: event.run,
        kind: event.kind().name().into(),
        partition_key: "gateway".into(),
        equipment: None,
        path: vec![],
        time_ns: 0,
    };
    (envelope, payload(event.position))
}

fn event(position: Position) -> Event {
    Event {
        position,
        run: Uuid::nil(),
        scope: Scope::Gateway,
        time: UtcTime(0),
        correlation: None,
        causation: None,
        clock: ClockQuality::default(),
        body: Body::Birth(Birth {
            version: "0",
            last: None,
            boot_id: String::new(),
            open_operations: vec![],
            new_epoch: None,
        }),
    }
}

/// Some events, and a checkpoint that says which is the last.
pub(crate) fn turn(next: Position, count: u64) -> Turn {
    let seqs = next.seq..next.seq + count;
    Turn {
        checkpoint: vec![CheckpointEntry {
            key: "last".into(),
            value: Some((seqs.end - 1).to_le_bytes().to_vec()),
        }],
        events: seqs.map(|seq| event(Position { seq, ..next })).collect(),
    }
}
