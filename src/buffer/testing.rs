//! Events, records and options for the buffer's own tests.

use super::engine::Medium;
use super::{OpenOptions, Quota, Record, Settled, Store, StoreError};
use crate::health::BufferHealth;
use crate::model::{
    Birth, Body, Class, ClockQuality, ConnectionReport, ConnectionState, Envelope, Event,
    Heartbeat, Position, Scope, Stamp, Turn, UplinkId, UtcTime,
};
use crate::settings::shape::StartAt;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

fn event(position: Position, body: Body) -> Event {
    Event {
        position,
        run: Uuid::nil(),
        scope: Scope::Gateway,
        time: UtcTime(0),
        correlation: None,
        causation: None,
        clock: ClockQuality::default(),
        body,
    }
}

/// An event that may wait for its commit.
pub(crate) fn quiet_at(position: Position) -> Event {
    event(
        position,
        Body::Birth(Birth {
            version: "0",
            last: None,
            boot_id: String::new(),
            open_operations: vec![],
            new_epoch: None,
        }),
    )
}

/// An event that a full buffer drops first.
pub(crate) fn passing_at(position: Position) -> Event {
    event(
        position,
        Body::Heartbeat(Heartbeat {
            version: "0",
            last: None,
            boot_id: String::new(),
            up_s: 0.0,
            open_operations: vec![],
        }),
    )
}

/// [`quiet_at`] in epoch 1.
pub(crate) fn quiet(seq: u64) -> Event {
    quiet_at(Position { epoch: 1, seq })
}

/// An event that must be on disk at once, in epoch 1.
pub(crate) fn completed(seq: u64) -> Event {
    use crate::model::{Mode, OperationReport};
    let report = OperationReport {
        id: Uuid::nil(),
        ordinal: seq,
        name: "stroke".into(),
        segment: None,
        order: None,
        product: None,
        lot: None,
        program: None,
        purpose: "production",
        shift: None,
        operator: None,
        parts: Vec::new(),
        reason: None,
        mode_at_start: Mode::Production,
        started_at: UtcTime(0),
        device_time: false,
        flags: vec![],
        revision: 0,
        ending: None,
    };
    event(
        Position { epoch: 1, seq },
        Body::OperationStarted(Box::new(report)),
    )
}

/// A device's report: quiet as well, and with a text that tells events apart.
pub(crate) fn lost(position: Position, name: &str) -> Event {
    event(
        position,
        Body::Connection(ConnectionReport {
            name: name.into(),
            protocol: "modbus_tcp",
            state: ConnectionState::Lost,
            since: Stamp::default(),
            last_good: None,
            error: None,
            affected_tags: 0,
        }),
    )
}

/// A payload that the position alone decides, between 1 and 9,000 bytes, hard to compress.
pub(crate) fn payload(position: Position) -> Vec<u8> {
    let seed = position.seq ^ (u64::from(position.epoch) << 40);
    let mut random = fastrand::Rng::with_seed(seed);
    let length = match random.u8(0..10) {
        0 => random.usize(5_000..9_000),
        _ => random.usize(1..600),
    };
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// Renders an event as [`payload`] says.
pub(crate) fn render(event: &Event, recorded: UtcTime) -> (Envelope, Vec<u8>) {
    (
        envelope(event.position, recorded.0),
        payload(event.position),
    )
}

fn envelope(position: Position, time_ns: i64) -> Envelope {
    Envelope {
        id: Uuid::from_u128(u128::from(position.seq)),
        run: Uuid::nil(),
        kind: "gateway.birth".into(),
        partition_key: "gateway".into(),
        equipment: None,
        path: vec![],
        time_ns,
    }
}

/// A record of epoch 1 with so many payload bytes.
pub(crate) fn record(seq: u64, bytes: usize) -> Record {
    let position = Position { epoch: 1, seq };
    Record {
        position,
        envelope: envelope(position, 0),
        class: Class::Lasting,
        payload: Bytes::from(vec![1; bytes]),
    }
}

/// Options with small generations and these uplinks.
pub(crate) fn options(path: &Path, uplinks: &[&str]) -> OpenOptions {
    OpenOptions {
        path: path.to_owned(),
        generation_bytes: 20_000,
        uplinks: uplinks
            .iter()
            .map(|name| ((*name).to_owned(), StartAt::Newest))
            .collect(),
        machine_id: Some("this box".into()),
        quota: Quota::default(),
        health: Arc::new(BufferHealth::default()),
        medium: Medium::sled(),
    }
}

/// A turn of so many events from `next` on.
pub(crate) fn turn(next: Position, count: u64) -> Turn {
    let events = (next.seq..next.seq + count)
        .map(|seq| quiet_at(Position { seq, ..next }))
        .collect();
    Turn {
        events,
        checkpoint: vec![],
    }
}

/// A directory in memory where there is one: for tests of many stores that are about content, not about the disk.
pub(crate) fn fast_home() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Copies a directory as it is this moment.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Where the usual seeds begin.
const USUAL_SEED: u64 = 7;

/// The seeds of a random test: `MILLGATE_SEED` alone, as many as `MILLGATE_TRIALS` says, drawn anew, or the `usual` ones, always
/// the same: what is red in CI is red everywhere.
pub(crate) fn trials(usual: usize) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("MILLGATE_SEED") {
        return vec![seed];
    }
    let anew = number("MILLGATE_TRIALS").and_then(|trials| usize::try_from(trials).ok());
    let mut random = match anew {
        Some(_) => fastrand::Rng::new(),
        None => fastrand::Rng::with_seed(USUAL_SEED),
    };
    let seeds = std::iter::repeat_with(|| random.u64(..));
    seeds.take(anew.unwrap_or(usual)).collect()
}

/// An uplink has delivered everything up to here.
pub(crate) fn done(
    store: &mut Store,
    uplink: UplinkId,
    up_to: Position,
) -> Result<bool, StoreError> {
    let settled = Settled::delivered(store.cursor(uplink), up_to);
    store.settle(uplink, &settled)
}
