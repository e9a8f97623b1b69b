//! What the benches of the store share: events, payloads, options, and a store that is filled.
#![expect(
    dead_code,
    reason = "each bench is a program of its own and uses a part"
)]

use bytes::Bytes;
use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Record, Settled, Store};
use millgate::health::BufferHealth;
use millgate::model::{
    Birth, Body, CheckpointEntry, Class, ClockQuality, Envelope, Event, Position, Scope, Stamp,
    Turn, UplinkId, UtcTime,
};
use millgate::settings::shape::StartAt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The payload of an event.
pub(crate) type Payload = fn(u64, usize) -> Vec<u8>;

/// As in production.
pub(crate) const GENERATION_BYTES: u64 = 8 << 20;
pub(crate) const MES: UplinkId = UplinkId(0);

pub(crate) fn options(home: &Path, medium: Medium) -> OpenOptions {
    OpenOptions {
        path: home.to_owned(),
        generation_bytes: GENERATION_BYTES,
        uplinks: vec![("mes".into(), StartAt::Newest)],
        machine_id: None,
        health: Arc::new(BufferHealth::default()),
        quota: Quota::default(),
        medium,
    }
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
            new_epoch: None,
            boot_id: String::new(),
            open_operations: vec![],
        }),
    }
}

/// Of one of so many machines.
pub(crate) fn envelope(event: &Event, machines: u64) -> Envelope {
    let machine = format!("PRESS-{:02}", 4 + event.position.seq % machines);
    Envelope {
        id: Uuid::from_u128(u128::from(event.position.seq)),
        run: event.run,
        kind: "operation.completed".into(),
        partition_key: machine.clone(),
        equipment: Some(machine),
        path: vec!["acme".into(), "ulm".into(), "pressing".into()],
        time_ns: 0,
    }
}

/// A record as the store encodes it.
pub(crate) fn record(seq: u64, payload: Vec<u8>) -> Record {
    let event = event(Position { epoch: 1, seq });
    Record {
        position: event.position,
        envelope: envelope(&event, 1),
        class: Class::Lasting,
        payload: Bytes::from(payload),
    }
}

/// JSON with changing numbers, as statistics have.
pub(crate) fn realistic(seq: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    let mut json = format!("{{\"sequence\":\"{seq:020}\",\"parameters\":[");
    while json.len() < bytes - 2 {
        let (mean, deviation) = (random.f64() * 100.0, random.f64());
        json += &format!(
            "{{\"name\":\"pressure\",\"unit\":\"bar\",\"mean\":{mean:.4},\"stddev\":{deviation:.5},\"min\":{:.2},\"max\":{:.2}}},",
            mean - deviation,
            mean + deviation
        );
    }
    json.truncate(bytes - 2);
    json += "]}";
    json.into_bytes()
}

/// Nothing to compress: what the store must write whatever happens.
pub(crate) fn noise(seq: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq ^ 0x00AB_CDEF);
    std::iter::repeat_with(|| random.u8(..))
        .take(bytes)
        .collect()
}

/// A store, and what comes next in it.
pub(crate) struct Filler {
    pub(crate) store: Store,
    next: Position,
    payload: Box<dyn Fn(u64, usize) -> Vec<u8>>,
    bytes: usize,
    machines: u64,
}

impl Filler {
    /// A store of one machine with events of so many bytes.
    pub(crate) fn open(home: &Path, medium: Medium, payload: Payload, bytes: usize) -> Filler {
        Filler {
            bytes,
            ..Filler::with(&options(home, medium), payload)
        }
    }

    /// A store with these options, filled with events that are made so.
    pub(crate) fn with(
        options: &OpenOptions,
        payload: impl Fn(u64, usize) -> Vec<u8> + 'static,
    ) -> Filler {
        let (store, restored) = Store::open(options).unwrap();
        Filler {
            store,
            next: restored.next,
            payload: Box::new(payload),
            bytes: 0,
            machines: 1,
        }
    }

    /// The events are those of so many machines in turn.
    pub(crate) fn of_machines(self, machines: u64) -> Filler {
        Filler { machines, ..self }
    }

    /// Commits so many batches, each with this entry of the checkpoint if there is one; the time without making payloads.
    pub(crate) fn commit(&mut self, commits: u64, batch: u64, entry: Option<&[u8]>) -> Duration {
        let made: Vec<(Turn, Vec<Vec<u8>>)> = (0..commits)
            .map(|_| {
                let seqs = self.next.seq..self.next.seq + batch;
                self.next.seq = seqs.end;
                let at = |seq| event(Position { seq, ..self.next });
                let turn = Turn {
                    events: seqs.clone().map(at).collect(),
                    checkpoint: entry.into_iter().map(slot).collect(),
                };
                let payload = |seq| (self.payload)(seq, self.bytes);
                (turn, seqs.map(payload).collect())
            })
            .collect();
        let start = Instant::now();
        for (turn, payloads) in &made {
            let first = turn.events[0].position.seq;
            let render = |event: &Event, _: UtcTime| {
                let index = usize::try_from(event.position.seq - first).unwrap();
                (envelope(event, self.machines), payloads[index].clone())
            };
            let turn = std::slice::from_ref(turn);
            self.store.commit(turn, Stamp::default(), &render).unwrap();
        }
        start.elapsed()
    }

    /// Settles everything, so that full generations go.
    pub(crate) fn settle(&mut self) {
        let settled = Settled::delivered(self.store.cursor(MES), self.store.last());
        self.store.settle(MES, &settled).unwrap();
    }
}

fn slot(value: &[u8]) -> CheckpointEntry {
    CheckpointEntry {
        key: "machine/PRESS-04".into(),
        value: Some(value.to_vec()),
    }
}

/// A number from a file of `/proc` or `/sys` behind this name.
pub(crate) fn number(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.unwrap().trim().split(' ').next().unwrap();
    digits.parse().unwrap()
}
