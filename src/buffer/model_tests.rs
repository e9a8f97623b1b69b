//! The store against a plain list: random appends, verdicts, readings, stops, kills and power cuts, with generations so
//! small that they rotate all the time. Seeds are printed; `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` runs more.

use super::testing::{copy_tree, done, fast_home, options, payload, render, trials, turn};
use super::{OpenOptions, Store};
use crate::model::{CheckpointEntry, Position, Restored, Stamp, Turn, UplinkId};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

const UPLINKS: [&str; 2] = ["mes", "scada"];

/// What must be true.
struct Model {
    next: Position,
    settled: [Position; 2],
    checkpoint: BTreeMap<String, Vec<u8>>,
}

struct Trial {
    random: Rng,
    homes: Vec<TempDir>,
    options: OpenOptions,
    store: Store,
    model: Model,
    /// The progress file at some earlier moment, and how far the uplinks had come durably by then.
    old_progress: Option<(Vec<u8>, [Position; 2])>,
}

impl Trial {
    fn new(seed: u64) -> Trial {
        let home = fast_home();
        let mut random = Rng::with_seed(seed);
        let mut options = options(home.path(), &UPLINKS);
        options.generation_bytes = random.u64(1_000..30_000);
        let (store, restored) = Store::open(&options).unwrap();
        let start = Position { epoch: 1, seq: 0 };
        Trial {
            random,
            homes: vec![home],
            options,
            store,
            model: Model {
                next: restored.next,
                settled: [start; 2],
                checkpoint: BTreeMap::new(),
            },
            old_progress: None,
        }
    }

    fn step(&mut self) {
        match self.random.u8(0..20) {
            0..8 => self.append(),
            8..12 => self.settle(),
            12..13 => self.store.commit_progress().unwrap(),
            13..17 => self.read(),
            17 => self.reopen(),
            18 => self.kill(),
            _ => self.power_cut(),
        }
    }

    fn append(&mut self) {
        let mut turns = Vec::new();
        for _ in 0..self.random.u64(1..4) {
            let count = self.random.u64(0..6);
            let mut turn: Turn = turn(self.model.next, count);
            self.model.next.seq += count;
            for _ in 0..self.random.u8(0..3) {
                turn.checkpoint.push(self.entry());
            }
            turns.push(turn);
        }
        let last = self
            .store
            .commit(&turns, Stamp::default(), &render)
            .unwrap();
        assert_eq!(last.seq + 1, self.model.next.seq);
    }

    fn entry(&mut self) -> CheckpointEntry {
        let key = format!("slot/{}", self.random.u8(0..5));
        let value = self.random.bool().then(|| {
            let length = self.random.usize(0..15_000);
            vec![self.random.u8(..); length]
        });
        match &value {
            Some(value) => self.model.checkpoint.insert(key.clone(), value.clone()),
            None => self.model.checkpoint.remove(&key),
        };
        CheckpointEntry { key, value }
    }

    fn settle(&mut self) {
        let uplink = self.random.usize(0..2);
        let cursor = &mut self.model.settled[uplink];
        let up_to = self.random.u64(cursor.seq..self.model.next.seq);
        cursor.seq = up_to;
        let id = UplinkId(u32::try_from(uplink).unwrap());
        let position = Position {
            epoch: 1,
            seq: up_to,
        };
        done(&mut self.store, id, position).unwrap();
    }

    fn read(&mut self) {
        let from = self.model.settled.iter().map(|at| at.seq).min().unwrap();
        let after = self.random.u64(from..self.model.next.seq);
        let events = self.random.usize(1..20);
        let max_bytes = self.random.usize(0..20_000);
        let start = Position {
            epoch: 1,
            seq: after,
        };
        let records = self.store.read(start, events, max_bytes).unwrap();
        assert_eq!(records.is_empty(), after + 1 == self.model.next.seq);
        assert!(records.len() <= events);
        let mut bytes = 0;
        for (seq, record) in (after + 1..).zip(&records) {
            assert_eq!(record.position, Position { epoch: 1, seq });
            assert_eq!(record.payload, payload(record.position));
            bytes += record.payload.len();
        }
        assert!(records.len() <= 1 || bytes <= max_bytes);
    }

    fn check(&mut self, restored: &Restored) {
        assert_eq!(restored.next, self.model.next);
        assert_eq!(restored.checkpoint, self.model.checkpoint);
        assert_eq!(self.options.health.quarantined.get(), 0);
        for (uplink, settled) in (0..).zip(self.model.settled) {
            assert_eq!(self.store.cursor(UplinkId(uplink)), settled);
            let stored = self.model.next.seq - 1 - settled.seq;
            assert_eq!(self.store.account(UplinkId(uplink)).stored(), stored);
        }
    }

    fn reopen(&mut self) {
        self.move_to_copy(false);
    }

    /// The files as they are this moment, with no handle closed: what a kill leaves.
    fn kill(&mut self) {
        self.move_to_copy(true);
    }

    /// A kill that also takes what was never synced of the progress file: cursors may go back, never below a commit.
    fn power_cut(&mut self) {
        if let Some((bytes, durable)) = self.old_progress.take() {
            let (path, copy) = self.copy();
            std::fs::write(path.join("store/progress"), bytes).unwrap();
            self.open(copy);
            for (uplink, (durable, settled)) in durable.iter().zip(self.model.settled).enumerate() {
                let id = UplinkId(u32::try_from(uplink).unwrap());
                let cursor = self.store.cursor(id);
                assert!(*durable <= cursor && cursor <= settled);
                self.model.settled[uplink] = cursor;
            }
        }
        self.store.commit_progress().unwrap();
        let bytes = std::fs::read(self.options.path.join("store/progress")).unwrap();
        self.old_progress = Some((bytes, self.model.settled));
    }

    fn copy(&mut self) -> (PathBuf, TempDir) {
        let home = fast_home();
        copy_tree(&self.options.path, home.path());
        (home.path().to_owned(), home)
    }

    fn open(&mut self, home: TempDir) -> Restored {
        self.options.path = home.path().to_owned();
        self.homes.push(home);
        let (store, restored) = Store::open(&self.options).unwrap();
        self.store = store;
        restored
    }

    fn move_to_copy(&mut self, killed: bool) {
        let restored = if killed {
            let (_, copy) = self.copy();
            self.open(copy)
        } else {
            let unused = fast_home();
            let path = self.options.path.clone();
            // Opening elsewhere first closes this one in order.
            self.open(unused);
            self.options.path = path;
            let (store, restored) = Store::open(&self.options).unwrap();
            self.store = store;
            restored
        };
        self.check(&restored);
    }
}

#[test]
fn a_store_behaves_like_a_list_through_kills_and_power_cuts() {
    for seed in trials(20) {
        println!("MILLGATE_SEED={seed}");
        let mut trial = Trial::new(seed);
        for _ in 0..60 {
            trial.step();
        }
        trial.reopen();
        trial.kill();
    }
}
