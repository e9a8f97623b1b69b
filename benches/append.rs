//! Durable append: batches of 1, 10 and 100 events of 2 KB into the store, against a plain file with `fdatasync`, in turns
//! in the same run, so that the ratios say something on any machine. Then a backlog: opening it, and draining it from the
//! disk. `cargo bench --bench append`
//!
//! sled hands each commit to threads of its own and waits for `sync_file_range` before the barrier: some 0.3 ms that count
//! where the disk's barrier takes 0.1 ms, and vanish where it takes as long as flash does.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its table and may panic"
)]

use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Settled, Store};
use millgate::health::BufferHealth;
use millgate::model::{
    Birth, Body, ClockQuality, Envelope, Event, Position, Restored, Scope, Stamp, Turn, UplinkId,
    UtcTime,
};
use millgate::settings::shape::StartAt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const EVENT_BYTES: usize = 2_048;
/// Turns of each pair of contenders; the median of their times counts.
const ROUNDS: usize = 15;
/// Commits in one turn.
const COMMITS: usize = 20;
/// Events of the backlog.
const BACKLOG: u64 = 40_000;
/// Records in one reading, as an MQTT window asks for.
const READING: usize = 64;

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

fn envelope(event: &Event) -> Envelope {
    Envelope {
        id: Uuid::from_u128(u128::from(event.position.seq)),
        run: event.run,
        kind: "operation.completed".into(),
        partition_key: "PRESS-04".into(),
        equipment: Some("PRESS-04".into()),
        path: vec!["acme".into(), "ulm".into(), "pressing".into()],
        time_ns: 0,
    }
}

/// JSON with changing numbers, as statistics have.
fn realistic(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    let mut json = format!("{{\"sequence\":\"{seq:020}\",\"parameters\":[");
    while json.len() < EVENT_BYTES - 2 {
        let (mean, deviation) = (random.f64() * 100.0, random.f64());
        json += &format!(
            "{{\"name\":\"pressure\",\"unit\":\"bar\",\"mean\":{mean:.4},\"stddev\":{deviation:.5},\"min\":{:.2},\"max\":{:.2}}},",
            mean - deviation,
            mean + deviation
        );
    }
    json.truncate(EVENT_BYTES - 2);
    json += "]}";
    json.into_bytes()
}

/// Nothing to compress: what the store must write whatever happens.
fn noise(seq: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seq);
    std::iter::repeat_with(|| random.u8(..))
        .take(EVENT_BYTES)
        .collect()
}

struct Contender {
    store: Store,
    next: Position,
    plain: File,
    payload: fn(u64) -> Vec<u8>,
}

fn open(home: &Path) -> (Store, Restored) {
    let options = OpenOptions {
        path: home.to_owned(),
        generation_bytes: 8 << 20,
        uplinks: vec![("mes".into(), StartAt::Newest)],
        machine_id: None,
        quota: Quota::default(),
        health: Arc::new(BufferHealth::default()),
        medium: Medium::sled(),
    };
    Store::open(&options).unwrap()
}

impl Contender {
    fn new(home: &Path, payload: fn(u64) -> Vec<u8>) -> Contender {
        let (store, restored) = open(home);
        Contender {
            store,
            next: restored.next,
            plain: File::create(home.join("plain.log")).unwrap(),
            payload,
        }
    }

    /// Commits batches into the store. Rendering is not what is measured, so payloads are made before.
    fn store(&mut self, batch: u64) -> Duration {
        let turns: Vec<(Turn, Vec<Vec<u8>>)> = (0..COMMITS)
            .map(|_| {
                let seqs = self.next.seq..self.next.seq + batch;
                self.next.seq = seqs.end;
                let turn = Turn {
                    events: seqs
                        .clone()
                        .map(|seq| event(Position { seq, ..self.next }))
                        .collect(),
                    checkpoint: vec![],
                };
                (turn, seqs.map(self.payload).collect())
            })
            .collect();
        let start = Instant::now();
        for (turn, payloads) in &turns {
            let first = turn.events[0].position.seq;
            let render = |event: &Event, _: UtcTime| {
                let index = usize::try_from(event.position.seq - first).unwrap();
                (envelope(event), payloads[index].clone())
            };
            self.store
                .commit(std::slice::from_ref(turn), Stamp::default(), &render)
                .unwrap();
        }
        start.elapsed()
    }

    /// Settles everything, so that full generations go.
    fn settle(&mut self) {
        let last = self.store.last();
        let settled = Settled::delivered(self.store.cursor(UplinkId(0)), last);
        self.store.settle(UplinkId(0), &settled).unwrap();
    }

    /// Appends the same bytes to a plain file.
    fn plain(&mut self, batch: u64) -> Duration {
        let batches: Vec<Vec<u8>> = (0..COMMITS)
            .map(|_| (0..batch).flat_map(self.payload).collect())
            .collect();
        let start = Instant::now();
        for bytes in &batches {
            self.plain.write_all(bytes).unwrap();
            self.plain.sync_data().unwrap();
        }
        start.elapsed()
    }
}

/// Fills a store, opens it again and reads it from the first record to the last.
fn backlog() {
    let home = tempfile::tempdir_in("target").unwrap();
    let mut contender = Contender::new(home.path(), realistic);
    while contender.store.last().seq < BACKLOG {
        contender.store(100);
    }
    drop(contender);
    let start = Instant::now();
    let (mut store, _) = open(home.path());
    let opened = start.elapsed();
    let (start, last) = (Instant::now(), store.last());
    let mut after = Position { seq: 0, ..last };
    while after < last {
        let records = store.read(after, READING, 1 << 20).unwrap();
        let last = records.last().unwrap().position;
        let settled = Settled::delivered(after, last);
        store.settle(UplinkId(0), &settled).unwrap();
        after = last;
    }
    let drained = start.elapsed();
    println!(
        "\nbacklog of {} events: opened in {opened:.1?}, drained from the disk at {:.0} events/s",
        last.seq,
        last.seq as f64 / drained.as_secs_f64()
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2] / u32::try_from(COMMITS).unwrap()
}

fn main() {
    println!("payload    batch      store/commit   plain/commit   plain : store   store events/s");
    for (name, payload) in [
        ("realistic", realistic as fn(u64) -> Vec<u8>),
        ("noise", noise),
    ] {
        for batch in [1, 10, 100] {
            let home = tempfile::tempdir_in("target").unwrap();
            let mut contender = Contender::new(home.path(), payload);
            let (mut store, mut plain) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                store.push(contender.store(batch));
                contender.settle();
                plain.push(contender.plain(batch));
            }
            let (store, plain) = (median(store), median(plain));
            println!(
                "{name:<10} {batch:>5} {store:>14.1?} {plain:>14.1?} {:>13.2} x {:>14.0}",
                plain.as_secs_f64() / store.as_secs_f64(),
                batch as f64 / store.as_secs_f64()
            );
        }
    }
    backlog();
}
