//! Random damage to every file of a store, and to the names of its directories: it opens, only the damaged generation
//! suffers, nothing wrong is delivered, each loss is counted and told once, and no position is ever given twice. Seeds are
//! printed; `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` runs more.

use super::disk::{Disk, Files, names};
use super::engine::{Medium, Purpose, open_sled};
use super::listing::{Listing, path_of};
use super::testing::{copy_tree, done, fast_home, options, payload, render, trials, turn};
use super::{OpenOptions, Store};
use crate::health::BufferHealth;
use crate::model::{CheckpointEntry, DropReason, Position, Stamp, UplinkId};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const EVENTS: u64 = 60;
/// So far the second uplink has come; the first has settled nothing.
const SETTLED: u64 = 17;
const UPLINKS: [&str; 2] = ["mes", "scada"];
/// The longest that a start may take, whatever the damage.
const LONGEST_START: Duration = Duration::from_secs(10);

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

/// Options with cells of their own.
fn own(path: &Path, medium: &Medium) -> OpenOptions {
    OpenOptions {
        generation_bytes: 6_000,
        health: Arc::new(BufferHealth::default()),
        medium: medium.clone(),
        ..options(path, &UPLINKS)
    }
}

fn build(path: &Path, medium: &Medium) -> Vec<Position> {
    let options = own(path, medium);
    let (mut store, restored) = Store::open(&options).unwrap();
    let mut next = restored.next;
    while next.seq <= EVENTS {
        let mut turn = turn(next, 5);
        turn.checkpoint.push(CheckpointEntry {
            key: format!("slot/{}", next.seq % 4),
            value: Some(vec![1; 100]),
        });
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        next.seq += 5;
    }
    done(&mut store, UplinkId(1), at(SETTLED)).unwrap();
    drop(store);
    // Once more, so that the head has a snapshot beside its log.
    drop(Store::open(&options).unwrap());
    Listing::read(&Files, &path.join("store")).unwrap().whole
}

/// Flips a bit, zeroes a page, cuts the end off, or removes: returns what it did.
pub(crate) fn harm(file: &Path, random: &mut Rng) -> &'static str {
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

/// A file of this generation, mostly the one with the records.
fn pick(generation: &Path, random: &mut Rng) -> PathBuf {
    let files = files(generation);
    let large = |path: &&PathBuf| std::fs::metadata(path).is_ok_and(|it| it.len() > 1_000);
    let large: Vec<&PathBuf> = files.iter().filter(large).collect();
    if random.bool() && !large.is_empty() {
        return large[random.usize(0..large.len())].clone();
    }
    files[random.usize(0..files.len())].clone()
}

/// All files below, but those of directories in it.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let paths = names(directory).unwrap().into_iter();
    paths
        .map(|name| directory.join(name))
        .filter(|path| path.is_file())
        .collect()
}

/// What was done to a store: the generations that may suffer, by their index.
enum Harm {
    Generations(Vec<usize>),
    /// Beside the generations: nothing may be lost.
    Beside,
    /// A name: its own events and those of the place it claims may be lost.
    Name,
}

fn damage(root: &Path, firsts: &[Position], random: &mut Rng) -> Harm {
    match random.u8(0..10) {
        0 => {
            let files = files(root);
            let file = &files[random.usize(0..files.len())];
            println!("  {} in {}", harm(file, random), file.display());
            Harm::Beside
        }
        1 => {
            let first = firsts[random.usize(0..firsts.len())];
            let mut name = first.to_string().into_bytes();
            let place = random.usize(0..name.len());
            name[place] = b'0' + random.u8(0..12);
            let to = root.join(String::from_utf8(name).unwrap());
            if !to.exists() {
                println!("  {first} is called {}", to.display());
                std::fs::rename(path_of(root, first), to).unwrap();
            }
            Harm::Name
        }
        kind => {
            let count = if kind == 2 { 2 } else { 1 };
            let hit = |random: &mut Rng| match random.bool() {
                true => firsts.len() - 1,
                false => random.usize(0..firsts.len()),
            };
            let hits: Vec<usize> = (0..count).map(|_| hit(random)).collect();
            for hit in &hits {
                let directory = path_of(root, firsts[*hit]);
                // The second may have lost its only file to the first.
                if files(&directory).is_empty() {
                    continue;
                }
                let file = pick(&directory, random);
                println!("  {} in {}", harm(&file, random), file.display());
            }
            Harm::Generations(hits)
        }
    }
}

/// Everything that an uplink gets.
pub(crate) fn readable(store: &mut Store, uplink: UplinkId) -> BTreeSet<Position> {
    let mut found = BTreeSet::new();
    let mut after = store.cursor(uplink);
    loop {
        let records = store.read_for(uplink, after, 50, 1 << 20).unwrap();
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

/// Reads for each uplink, and holds each account against what it got.
fn conserves(store: &mut Store) -> Vec<BTreeSet<Position>> {
    let mut all = Vec::new();
    for uplink in store.uplink_ids() {
        let found = readable(store, uplink);
        let account = store.account(uplink);
        assert_eq!(
            account.stored(),
            found.len() as u64,
            "{uplink:?}: {account:?}"
        );
        assert_eq!(account.offered, account.gone() + found.len() as u64);
        all.push(found);
    }
    all
}

fn dropped(store: &Store) -> Vec<u64> {
    let uplinks = store.uplink_ids();
    uplinks
        .map(|uplink| store.account(uplink).dropped(DropReason::Damaged))
        .collect()
}

fn check(home: &Path, medium: &Medium, firsts: &[Position], harm: &Harm) {
    let options = own(home, medium);
    let began = Instant::now();
    let (mut store, restored) = Store::open(&options).unwrap();
    assert!(began.elapsed() < LONGEST_START);
    let next = restored.next;
    assert!(next == at(EVENTS + 1) || next.epoch > 1, "{next} is next");
    let found = conserves(&mut store);
    for (seen, first) in found.iter().zip([1, SETTLED + 1]) {
        for position in (first..=EVENTS).map(at) {
            let generation = firsts.partition_point(|first| *first <= position) - 1;
            let may_suffer = match harm {
                Harm::Generations(hits) => hits.contains(&generation),
                Harm::Beside => false,
                Harm::Name => true,
            };
            assert!(may_suffer || seen.contains(&position), "{position} is gone");
        }
    }
    let lost = dropped(&store);
    let missing = [EVENTS, EVENTS - SETTLED].into_iter().zip(&found);
    let missing: Vec<u64> = missing
        .map(|(all, found)| all - found.len() as u64)
        .collect();
    assert_eq!(lost, missing, "counted");
    let told: u64 = options.health.drops.take().iter().map(|it| it.count).sum();
    assert!(
        told >= lost[0] && (told > 0) == (lost[0] > 0),
        "{told} told of {lost:?}"
    );
    // It goes on working, and counts nothing again.
    store
        .commit(&[turn(next, 3)], Stamp::default(), &render)
        .unwrap();
    drop(store);
    let again = own(home, medium);
    let (mut store, _) = Store::open(&again).unwrap();
    let both = conserves(&mut store);
    assert_eq!(dropped(&store), lost, "after another start");
    assert_eq!(both[0].len(), found[0].len() + 3);
    let told_again: u64 = again.health.drops.take().iter().map(|it| it.count).sum();
    assert_eq!(told_again, told, "what is not told comes back");
}

fn many(medium: &Medium, usual: usize) {
    let home = fast_home();
    let firsts = build(home.path(), medium);
    assert!(firsts.len() > 4, "{}", firsts.len());
    for seed in trials(usual) {
        println!("MILLGATE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let copy = fast_home();
        copy_tree(home.path(), copy.path());
        let harm = damage(&copy.path().join("store"), &firsts, &mut random);
        check(copy.path(), medium, &firsts, &harm);
    }
}

#[test]
fn damage_stays_where_it_is() {
    many(&Medium::sled(), 40);
}

#[test]
fn damage_stays_where_it_is_whatever_the_engine() {
    many(&Medium::log(disk()), 500);
}

#[test]
fn damage_under_an_open_store_harms_one_generation() {
    let medium = Medium::sled();
    let home = fast_home();
    let firsts = build(home.path(), &medium);
    for seed in trials(20) {
        println!("MILLGATE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let copy = fast_home();
        copy_tree(home.path(), copy.path());
        let (mut store, restored) = Store::open(&own(copy.path(), &medium)).unwrap();
        let hit = random.usize(0..firsts.len() - 1);
        if random.bool() {
            // It is open for reading already.
            let before = firsts[hit].seq.saturating_sub(1);
            store.read(at(before), 1, 0).unwrap();
        }
        let file = path_of(&copy.path().join("store"), firsts[hit]).join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        let page = random.usize(0..bytes.len()) / 4096 * 4096;
        let end = (page + 4096).min(bytes.len());
        bytes[page..end].fill(0);
        // In place: the file that the database has open.
        let open = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&open, &bytes, 0).unwrap();
        let found = conserves(&mut store);
        assert_eq!(restored.next, at(EVENTS + 1));
        for position in (1..=EVENTS).map(at) {
            let generation = firsts.partition_point(|first| *first <= position) - 1;
            assert!(
                generation == hit || found[0].contains(&position),
                "{position}"
            );
        }
        let lost = dropped(&store);
        drop(store);
        let (mut store, _) = Store::open(&own(copy.path(), &medium)).unwrap();
        conserves(&mut store);
        // What was in memory is read from the disk now.
        let now = dropped(&store);
        assert!(now.iter().zip(&lost).all(|(now, lost)| now >= lost));
    }
}

/// A page that cannot be read takes what lies in it, not its generation.
#[test]
fn damage_inside_an_older_generation_costs_a_part_of_it() {
    const COMMITS: u64 = 50;
    const EACH: u64 = 60;
    let home = fast_home();
    let options = OpenOptions {
        generation_bytes: 5 << 19,
        health: Arc::new(BufferHealth::default()),
        ..options(home.path(), &["mes"])
    };
    let (mut store, restored) = Store::open(&options).unwrap();
    let mut next = restored.next;
    for _ in 0..COMMITS {
        let turn = turn(next, EACH);
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        store.prepare();
        next.seq += EACH;
    }
    drop(store);
    let root = home.path().join("store");
    let whole = Listing::read(&Files, &root).unwrap().whole;
    assert_eq!(whole.len(), 2, "{whole:?}");
    let inside = whole[1].seq - 1;
    for with_snapshot in [false, true] {
        let copy = fast_home();
        copy_tree(home.path(), copy.path());
        let first = path_of(&copy.path().join("store"), whole[0]);
        if with_snapshot {
            drop(open_sled(&disk(), &first, Purpose::Write).unwrap());
        }
        let file = first.join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[700_000] ^= 16;
        std::fs::write(&file, bytes).unwrap();
        let options = OpenOptions {
            path: copy.path().to_owned(),
            health: Arc::new(BufferHealth::default()),
            ..options.clone()
        };
        let (mut store, restored) = Store::open(&options).unwrap();
        assert_eq!(restored.next, next);
        conserves(&mut store);
        let lost = dropped(&store)[0];
        // Without a snapshot the database passes over the rest of the segment as well.
        let most = if with_snapshot { 9 * EACH } else { inside / 2 };
        assert!(lost > 0 && lost <= most, "{lost} of {inside}");
        let listing = Listing::read(&Files, store.root()).unwrap();
        assert_eq!((listing.whole.len(), listing.damaged.len()), (2, 0));
        let told: u64 = options.health.drops.take().iter().map(|it| it.count).sum();
        assert_eq!(told, lost);
    }
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(Files)
}
