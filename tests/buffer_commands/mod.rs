//! `millgate buffer` as people run it: beside a running gateway, on a store that was left in order, killed or damaged.

mod broken;
mod lasting;
mod lost;
mod mended;
mod owner;
mod progress;
mod running;
mod shut;

use millgate::buffer::engine::Medium;
use millgate::buffer::{OpenOptions, Quota, Settled, Store};
use millgate::health::BufferHealth;
use millgate::model::{Position, Stamp, UplinkId};
use millgate::settings::shape::StartAt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// Bytes after which a generation of the tests is full: some ten events.
const GENERATION: u64 = 8_000;

fn options(path: &Path) -> OpenOptions {
    OpenOptions {
        path: path.to_owned(),
        generation_bytes: GENERATION,
        uplinks: vec![
            ("mes".into(), StartAt::Oldest),
            ("scada".into(), StartAt::Oldest),
        ],
        machine_id: None,
        health: Arc::new(BufferHealth::default()),
        quota: Quota::default(),
        medium: Medium::sled(),
    }
}

/// A line of JSON that the position alone decides, hard to compress.
fn payload(position: Position) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(position.seq);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric())
        .take(600)
        .collect();
    format!("{{\"sequence\":\"{position}\",\"noise\":\"{noise}\"}}").into_bytes()
}

/// A closed store with so many events; `mes` has the first `mes` of them, `scada` none.
fn store(path: &Path, events: u64, mes: u64) {
    let (mut store, restored) = Store::open(&options(path)).unwrap();
    let mut next = restored.next;
    let render = |event: &millgate::model::Event, recorded| {
        let (mut envelope, _) = super::buffer::render(event, recorded);
        envelope.time_ns = i64::try_from(event.position.seq).unwrap() * 1_000_000_000;
        (envelope, payload(event.position))
    };
    for _ in 0..events {
        let turn = super::buffer::turn(next, 1);
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        next.seq += 1;
    }
    let up_to = Position { epoch: 1, seq: mes };
    let settled = Settled::delivered(Position { epoch: 1, seq: 0 }, up_to);
    store.settle(UplinkId(0), &settled).unwrap();
    store.commit_progress().unwrap();
}

/// The generations of a store, rising.
fn generations(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(path.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("db").exists())
        .collect();
    found.sort();
    found
}

/// `millgate buffer` with these arguments on the store, run to its end.
fn buffer(what: &str, path: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["buffer", what])
        .arg(path)
        .args(arguments)
        .output()
        .unwrap();
    Said::of(&output)
}

/// What a command said, and its exit code.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Fails where it is not so.
    fn says(&self, code: i32, words: &[&str]) -> &Said {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        let all = format!("{}{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "`{word}` is not in\n{all}");
        }
        assert!(!all.contains("panicked"), "{all}");
        self
    }
}

/// The events that an export wrote, by their numbers; each as it was stored.
fn exported(said: &Said) -> Vec<u64> {
    let one = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let (epoch, seq) = value["sequence"].as_str().unwrap().split_once('.').unwrap();
        let at = Position {
            epoch: epoch.parse().unwrap(),
            seq: seq.parse().unwrap(),
        };
        assert_eq!(line.as_bytes(), payload(at));
        at.seq
    };
    said.out.lines().map(one).collect()
}

/// No copy was left behind.
fn no_copies(path: &Path) {
    assert!(!path.join("copies").exists(), "copies stay behind");
}
