//! A store under SIGKILL: a child appends and settles and says so on a pipe, and is killed at random moments. Whatever it
//! said is true afterwards, in the same epoch, and nothing is there that it did not write.

use fastrand::Rng;
use millgate::buffer::{OpenOptions, Store};
use millgate::health::BufferHealth;
use millgate::model::{
    Birth, Body, CheckpointEntry, ClockQuality, Envelope, Event, Position, Scope, Turn, UplinkId,
    UtcTime,
};
use millgate::settings::shape::StartAt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const KILLS: usize = 30;
const DIRECTORY: &str = "MILLGATE_TEST_STORE";
const SEED: &str = "MILLGATE_SEED";
const MES: UplinkId = UplinkId(0);

fn open(path: &Path) -> (Store, millgate::model::Restored) {
    let options = OpenOptions {
        path: path.to_owned(),
        generation_bytes: 30_000,
        uplinks: vec![("mes".into(), StartAt::Newest)],
        machine_id: None,
        health: Arc::new(BufferHealth::default()),
    };
    Store::open(&options).unwrap()
}

fn payload(position: Position) -> Vec<u8> {
    format!("{position} ").repeat(40).into_bytes()
}

fn render(event: &Event, _: UtcTime) -> (Envelope, Vec<u8>) {
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
        clock: ClockQuality::default(),
        body: Body::Birth(Birth {
            version: "0",
            last: None,
            boot_id: String::new(),
            open_operations: vec![],
        }),
    }
}

/// Some events, and a checkpoint that says which is the last.
fn turn(next: Position, count: u64) -> Turn {
    let seqs = next.seq..next.seq + count;
    Turn {
        checkpoint: vec![CheckpointEntry {
            key: "last".into(),
            value: Some((seqs.end - 1).to_le_bytes().to_vec()),
        }],
        events: seqs.map(|seq| event(Position { seq, ..next })).collect(),
    }
}

/// Appends and settles until it is killed.
#[test]
#[ignore = "the child that the test below kills"]
fn child() {
    let path = std::env::var(DIRECTORY).unwrap();
    let mut random = Rng::with_seed(std::env::var(SEED).unwrap().parse().unwrap());
    let (mut store, restored) = open(Path::new(&path));
    let mut next = restored.next;
    loop {
        let count = random.u64(1..8);
        let last = store
            .commit(&[turn(next, count)], UtcTime(0), &render)
            .unwrap();
        println!("accepted {}", last.seq);
        next.seq += count;
        let cursor = store.cursor(MES);
        if random.u8(0..3) == 0 && cursor < last {
            let up_to = Position {
                seq: random.u64(cursor.seq + 1..=last.seq),
                ..last
            };
            println!("settling {}", up_to.seq);
            store.settle(MES, up_to).unwrap();
            println!("settled {}", up_to.seq);
        }
    }
}

/// The largest number that followed each word.
#[derive(Debug, Default)]
struct Said {
    accepted: u64,
    settling: u64,
    settled: u64,
}

impl Said {
    fn hear(&mut self, line: &str) -> bool {
        // The test harness talks on the same pipe.
        let Some((word, number)) = line.split_once(' ') else {
            return false;
        };
        let Ok(number) = number.parse() else {
            return false;
        };
        match word {
            "accepted" => self.accepted = number,
            "settling" => self.settling = number,
            "settled" => self.settled = number,
            _ => return false,
        }
        true
    }
}

/// Runs a child on the store and kills it after some lines and some microseconds.
fn run_and_kill(path: &Path, random: &mut Rng, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["buffer_kill::child", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, path)
        .env(SEED, random.u64(..).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let enough = random.usize(0..40);
    let mut heard = 0;
    while heard < enough {
        let line = lines.next().expect("the child ended by itself").unwrap();
        heard += usize::from(said.hear(&line));
    }
    let moment = Instant::now() + Duration::from_micros(random.u64(0..3_000));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        said.hear(&line.unwrap());
    }
}

fn verify(path: &Path, said: &Said) {
    let (mut store, restored) = open(path);
    let last = store.last();
    assert_eq!(last.epoch, 1, "{:?}", store.new_epoch());
    assert!(last.seq >= said.accepted, "{last} is the last of {said:?}");
    if last.seq > 0 {
        assert_eq!(restored.checkpoint["last"], last.seq.to_le_bytes());
    }
    let mut after = store.cursor(MES);
    assert!(
        said.settled <= after.seq && after.seq <= said.settling,
        "the cursor is {after} after {said:?}"
    );
    assert_eq!(store.stored(MES), last.seq - after.seq);
    while after < last {
        let records = store.read(after, 100, 1 << 20).unwrap();
        assert!(!records.is_empty(), "nothing after {after} of {last}");
        for record in records {
            assert_eq!(record.position.seq, after.seq + 1);
            assert_eq!(record.payload, payload(record.position));
            after = record.position;
        }
    }
}

#[test]
fn nothing_accepted_is_lost_and_no_verdict_forgotten_through_thirty_kills() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let home = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for kill in 0..KILLS {
        run_and_kill(home.path(), &mut random, &mut said);
        println!("kill {kill}: {said:?}");
        verify(home.path(), &said);
    }
    assert!(said.accepted > 0 && said.settled > 0);
}
