//! Random damage to the files of a store: it opens, only the damaged generation suffers, nothing wrong is delivered, and
//! no position is ever given twice. Seeds are printed; `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` runs more.

use super::Store;
use super::disk::{Files, names};
use super::listing::{Listing, path_of};
use super::testing::{copy_tree, fast_home, options, payload, render, trials, turn};
use crate::model::{CheckpointEntry, Position, Stamp};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const EVENTS: u64 = 150;

fn build(path: &Path) -> Vec<Position> {
    let mut options = options(path, &["mes"]);
    options.generation_bytes = 15_000;
    let (mut store, restored) = Store::open(&options).unwrap();
    let mut next = restored.next;
    while next.seq <= EVENTS {
        let mut turn = turn(next, 5);
        turn.checkpoint.push(CheckpointEntry {
            key: format!("slot/{}", next.seq % 4),
            value: Some(vec![1; 2_000]),
        });
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        next.seq += 5;
    }
    drop(store);
    // Once more, so that the head has a snapshot beside its log.
    drop(Store::open(&options).unwrap());
    Listing::read(&Files, &path.join("store")).unwrap().whole
}

/// Flips a bit, zeroes a page, cuts the end off, or removes: returns what it did.
fn harm(file: &Path, random: &mut Rng) -> &'static str {
    let mut bytes = std::fs::read(file).unwrap();
    let length = bytes.len();
    if length == 0 || random.u8(0..20) == 0 {
        std::fs::remove_file(file).unwrap();
        return "removed";
    }
    let at = random.usize(0..length);
    let what = match random.u8(0..4) {
        0 | 1 => {
            bytes[at] ^= 1 << random.u8(0..8);
            "a bit flipped"
        }
        2 => {
            let page = at / 4096 * 4096;
            let end = (page + 4096).min(length);
            bytes[page..end].fill(0);
            "a page zeroed"
        }
        _ => {
            bytes.truncate(at);
            "cut off"
        }
    };
    std::fs::write(file, bytes).unwrap();
    what
}

fn pick(generation: &Path, random: &mut Rng) -> PathBuf {
    let mut files = names(generation).unwrap();
    files.retain(|name| name != "blobs");
    // Most of the bytes are in `db`.
    let name = if random.bool() {
        "db".to_owned()
    } else {
        files[random.usize(0..files.len())].clone()
    };
    generation.join(name)
}

fn drain(store: &mut Store) -> BTreeSet<Position> {
    let mut found = BTreeSet::new();
    let mut after = Position::default();
    loop {
        let records = store.read(after, 50, 1 << 20).unwrap();
        let Some(last) = records.last() else {
            return found;
        };
        after = last.position;
        for record in records {
            assert_eq!(record.payload, payload(record.position), "a wrong payload");
            assert!(found.insert(record.position), "the same record twice");
        }
    }
}

#[test]
fn damage_stays_where_it_is() {
    let home = fast_home();
    let firsts = build(home.path());
    assert!(firsts.len() > 4, "{}", firsts.len());
    let all: BTreeSet<Position> = (1..=EVENTS).map(|seq| Position { epoch: 1, seq }).collect();
    for seed in trials(60) {
        let mut random = Rng::with_seed(seed);
        let copy = fast_home();
        copy_tree(home.path(), copy.path());
        let hit = match random.bool() {
            true => firsts.len() - 1,
            false => random.usize(0..firsts.len()),
        };
        let file = pick(
            &path_of(&copy.path().join("store"), firsts[hit]),
            &mut random,
        );
        let what = harm(&file, &mut random);
        println!("MILLGATE_SEED={seed}: {what} in {}", file.display());

        let (mut store, restored) = Store::open(&options(copy.path(), &["mes"])).unwrap();
        let end = Position {
            epoch: 1,
            seq: EVENTS + 1,
        };
        assert!(
            restored.next == end || restored.next.epoch == 2,
            "{} is next",
            restored.next
        );
        let found = drain(&mut store);
        for position in &all {
            let inside =
                *position >= firsts[hit] && firsts.get(hit + 1).is_none_or(|next| position < next);
            assert!(inside || found.contains(position), "{position} is gone");
        }
        let lost = (all.len() - found.len()) as u64;
        let reported = store.health.quarantined.get();
        assert!(reported >= lost, "{lost} lost, {reported} reported");
        // It goes on working.
        store
            .commit(&[turn(restored.next, 3)], Stamp::default(), &render)
            .unwrap();
        assert_eq!(drain(&mut store).len(), found.len() + 3);
    }
}
