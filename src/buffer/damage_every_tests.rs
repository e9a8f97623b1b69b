//! Damage at every place of a small store, one after the other: each byte with a bit flipped, each page zeroed, doubled and
//! changed with the next one. Of long stretches of zeros a byte in some hundreds is tried. After each the store opens, only
//! what lay there is lost, counted and told, no wrong byte is shown, nothing settled comes back, and it goes on.
//!
//! On the plain log every place is tried; on sled so many as a CI run bears, all with `MILLGATE_EVERY=1`.

use super::disk::memory::Memory;
use super::disk::{Disk, Files};
use super::engine::Medium;
use super::listing::{Listing, path_of};
use super::parked::{Answered, ParkedState, Parking, ToPark};
use super::testing::{copy_tree, done, fast_home, options, turn};
use super::{OpenOptions, Store};
use crate::health::BufferHealth;
use crate::model::{
    CheckpointEntry, DropReason, Envelope, Event, ParkClass, Position, Stamp, UplinkId, UtcTime,
};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const MES: UplinkId = UplinkId(0);
const SCADA: UplinkId = UplinkId(1);
const EVENTS: u64 = 9;
/// The first uplink has put this one aside and settled nothing.
const PARKED: u64 = 2;
/// So far the second uplink has come.
const SETTLED: u64 = 4;
/// In a stretch of zeros that is longer than this, one byte in so many is tried.
const SPARSE: usize = 509;
/// Damages tried on sled, evenly spread over all, without `MILLGATE_EVERY`.
const SLED_TRIALS: usize = 2_000;

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

fn payload(position: Position) -> Vec<u8> {
    let length = usize::try_from(position.seq * 11 % 40).unwrap();
    let mut bytes = format!("{position}:").into_bytes();
    bytes.resize(
        bytes.len() + length,
        b'a' + u8::try_from(position.seq % 20).unwrap(),
    );
    bytes
}

fn render(event: &Event, _: UtcTime) -> (Envelope, Vec<u8>) {
    let (envelope, _) = super::testing::render(event, UtcTime(0));
    let envelope = Envelope {
        id: Uuid::nil(),
        ..envelope
    };
    (envelope, payload(event.position))
}

/// Where a store lies.
enum Place {
    Memory(Memory),
    Files(TempDir),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Place::Memory(_) => Path::new("/box"),
            Place::Files(home) => home.path(),
        }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Place::Memory(disk) => Arc::new(disk.clone()),
            Place::Files(_) => Arc::new(Files),
        }
    }

    fn copy(&self) -> Place {
        match self {
            Place::Memory(disk) => Place::Memory(disk.kill()),
            Place::Files(home) => {
                let copy = fast_home();
                copy_tree(home.path(), copy.path());
                Place::Files(copy)
            }
        }
    }

    /// Options with cells of their own.
    fn options(&self) -> OpenOptions {
        OpenOptions {
            generation_bytes: 500,
            health: Arc::new(BufferHealth::default()),
            medium: match self {
                Place::Memory(disk) => Medium::log(Arc::new(disk.clone())),
                Place::Files(_) => Medium::sled(),
            },
            ..options(self.path(), &["mes", "scada"])
        }
    }
}

fn build(place: &Place) -> Vec<Position> {
    let options = place.options();
    let (mut store, restored) = Store::open(&options).unwrap();
    let mut next = restored.next;
    while next.seq <= EVENTS {
        let mut turn = turn(next, 3);
        turn.checkpoint.push(CheckpointEntry {
            key: "slot".into(),
            value: Some(vec![7; 30]),
        });
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        next.seq += 3;
    }
    let record = store.read(at(PARKED - 1), 1, 1).unwrap().remove(0);
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
    done(&mut store, SCADA, at(SETTLED)).unwrap();
    store.commit_progress().unwrap();
    drop(store);
    // Once more, so that the head has a snapshot beside its log.
    drop(Store::open(&options).unwrap());
    let root = place.path().join("store");
    Listing::read(place.disk().as_ref(), &root).unwrap().whole
}

/// One damage of one file.
#[derive(Clone, Debug)]
enum Harm {
    Bit { byte: usize, bit: u8 },
    Zeroed { page: usize },
    Doubled { page: usize },
    Swapped { page: usize },
}

impl Harm {
    /// False where nothing has changed.
    fn apply(&self, bytes: &mut [u8], page_bytes: usize) -> bool {
        let before = bytes.to_vec();
        let page = |page: usize| page * page_bytes..((page + 1) * page_bytes).min(bytes.len());
        match *self {
            Harm::Bit { byte, bit } => bytes[byte] ^= 1 << bit,
            Harm::Zeroed { page: at } => {
                let range = page(at);
                bytes[range].fill(0);
            }
            Harm::Doubled { page: at } => {
                let (from, to) = (page(at), page(at + 1));
                let length = from.len().min(to.len());
                bytes.copy_within(from.start..from.start + length, to.start);
            }
            Harm::Swapped { page: at } => {
                let (from, to) = (page(at), page(at + 1));
                let length = from.len().min(to.len());
                for nth in 0..length {
                    bytes.swap(from.start + nth, to.start + nth);
                }
            }
        }
        before != bytes
    }
}

/// Every damage of a file, but in long stretches of zeros.
fn harms(bytes: &[u8], page_bytes: usize) -> Vec<Harm> {
    let mut harms = Vec::new();
    let mut zeros = 0;
    for (byte, value) in bytes.iter().enumerate() {
        zeros = if *value == 0 { zeros + 1 } else { 0 };
        if zeros <= 64 || zeros % SPARSE == 0 {
            let bit = u8::try_from((byte * 5 + byte / 8) % 8).unwrap();
            harms.push(Harm::Bit { byte, bit });
        }
    }
    let pages = bytes.len().div_ceil(page_bytes);
    harms.extend((0..pages).map(|page| Harm::Zeroed { page }));
    for page in 1..pages {
        harms.push(Harm::Doubled { page: page - 1 });
        harms.push(Harm::Swapped { page: page - 1 });
    }
    harms
}

/// All files below a directory.
fn files(disk: &dyn Disk, path: &Path) -> Vec<PathBuf> {
    match disk.names(path) {
        Ok(names) => {
            let below = names.into_iter().map(|name| path.join(name));
            below.flat_map(|path| files(disk, &path)).collect()
        }
        Err(_) => vec![path.to_owned()],
    }
}

/// What each uplink reads, with every byte as it was written; accounts are right.
fn shown(store: &mut Store) -> Vec<BTreeSet<Position>> {
    let mut all = Vec::new();
    for uplink in [MES, SCADA] {
        let mut found = BTreeSet::new();
        let mut after = store.cursor(uplink);
        while let Some(last) = {
            let records = store.read_for(uplink, after, 4, 1 << 20).unwrap();
            for record in &records {
                assert_eq!(record.payload, payload(record.position), "a wrong payload");
                assert!(found.insert(record.position), "the same record twice");
            }
            records.last().map(|record| record.position)
        } {
            after = last;
        }
        for position in store.parked_positions(uplink) {
            if let Some(parked) = store.parked(uplink, position).unwrap() {
                assert_eq!(
                    parked.record.payload,
                    payload(position),
                    "a wrong parked one"
                );
            }
        }
        let account = store.account(uplink);
        assert_eq!(account.stored(), found.len() as u64, "{account:?}");
        assert_eq!(account.offered, account.gone() + found.len() as u64);
        all.push(found);
    }
    all
}

fn lost(store: &Store) -> [u64; 2] {
    [MES, SCADA].map(|uplink| store.account(uplink).dropped(DropReason::Damaged))
}

/// Whether an event may be lost for an uplink by damage to that file.
fn may_suffer(root: &Path, firsts: &[Position], file: &Path, uplink: UplinkId, seq: u64) -> bool {
    if seq == PARKED && uplink == MES {
        return file.starts_with(root.join("parked"));
    }
    let generation = firsts.partition_point(|first| *first <= at(seq)) - 1;
    file.starts_with(path_of(&root.join("store"), firsts[generation]))
}

fn check(place: &Place, firsts: &[Position], file: &Path) {
    let options = place.options();
    let (mut store, restored) = Store::open(&options).unwrap();
    let next = restored.next;
    assert!(next == at(EVENTS + 1) || next.epoch > 1, "{next} is next");
    let found = shown(&mut store);
    let lost_now = lost(&store);
    let parked = store.account(MES).parked;
    for (uplink, found, first) in [(MES, &found[0], 1), (SCADA, &found[1], SETTLED + 1)] {
        for seq in first..=EVENTS {
            let is_parked = uplink == MES && seq == PARKED;
            let is_there = found.contains(&at(seq)) || (is_parked && parked == 1);
            let may_go = may_suffer(place.path(), firsts, file, uplink, seq);
            assert!(is_there || may_go, "{seq} of {uplink:?} is gone");
            assert!(!is_parked || !found.contains(&at(seq)), "parked and read");
        }
        let settled = (1..first).find(|seq| found.contains(&at(*seq)));
        assert_eq!(settled, None, "it was settled");
    }
    let missing = [
        EVENTS - parked - found[0].len() as u64,
        EVENTS - SETTLED - found[1].len() as u64,
    ];
    assert_eq!(lost_now, missing, "counted");
    let told: u64 = options.health.drops.take().iter().map(|it| it.count).sum();
    let most = lost_now.into_iter().max().unwrap_or(0);
    assert!(
        told >= most && (told > 0) == (most > 0),
        "{told} of {lost_now:?}"
    );
    // It goes on working, and counts nothing again.
    store
        .commit(&[turn(next, 1)], Stamp::default(), &render)
        .unwrap();
    drop(store);
    let (mut store, _) = Store::open(&place.options()).unwrap();
    let both = shown(&mut store);
    assert_eq!(lost(&store), lost_now, "after another start");
    assert_eq!(both[0].len(), found[0].len() + 1);
}

/// Tries every damage, or `most` of them, on all cores.
fn every(place: &Place, page_bytes: usize, most: usize) {
    let firsts = build(place);
    assert!(firsts.len() >= 3, "{firsts:?}");
    let disk = place.disk();
    let mut all = Vec::new();
    for file in files(disk.as_ref(), place.path()) {
        let bytes = disk.read(&file, 64 << 20).unwrap().unwrap();
        let relative = file.strip_prefix(place.path()).unwrap().to_owned();
        all.extend(
            harms(&bytes, page_bytes)
                .into_iter()
                .map(|harm| (relative.clone(), harm)),
        );
    }
    let total = all.len();
    if total > most {
        // Evenly spread, from anywhere on.
        let step = total.div_ceil(most);
        all = all
            .into_iter()
            .skip(fastrand::usize(0..step))
            .step_by(step)
            .collect();
    }
    println!("{} of {total} damages", all.len());
    let (left, failed) = (Mutex::new(all), Mutex::new(Vec::new()));
    let one = |relative: &Path, harm: &Harm| {
        let copy = place.copy();
        let (disk, file) = (copy.disk(), copy.path().join(relative));
        let mut bytes = disk.read(&file, 64 << 20).unwrap().unwrap();
        if harm.apply(&mut bytes, page_bytes) {
            disk.open(&file).unwrap().write_all_at(&bytes, 0).unwrap();
            check(&copy, &firsts, &file);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((file, harm)) = { left.lock().unwrap().pop() } {
                    let tried = catch_unwind(AssertUnwindSafe(|| one(&file, &harm)));
                    if tried.is_err() {
                        failed.lock().unwrap().push((file, harm));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}: {failed:?}", failed.len());
}

#[test]
fn damage_at_any_place_costs_only_what_lies_there() {
    every(&Place::Memory(Memory::new(3)), 512, usize::MAX);
}

#[test]
fn damage_at_any_place_of_a_store_on_sled_costs_only_what_lies_there() {
    let all = std::env::var_os("MILLGATE_EVERY").is_some();
    let most = if all { usize::MAX } else { SLED_TRIALS };
    every(&Place::Files(fast_home()), 4096, most);
}
