//! A start that ends at any of its calls, by a kill or a power cut, is followed by one that finds what the first would have
//! made: the same accounts, the same progress, the same number for the next event, and each drop told as often.

use super::damage_tests::readable;
use super::disk::Disk;
use super::disk::memory::{Memory, Plan};
use super::engine::Medium;
use super::listing::{Listing, path_of};
use super::testing::{done, options, render, turn};
use super::{OpenOptions, Progress, Store};
use crate::health::BufferHealth;
use crate::model::{DropReason, Position, Stamp, UplinkId};
use crate::settings::shape::StartAt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EVENTS: u64 = 40;
/// Power cuts of each moment, each of which leaves something else of what was not synced.
const CUTS: u64 = 3;

fn home() -> PathBuf {
    PathBuf::from("/box")
}

fn root() -> PathBuf {
    home().join("store")
}

fn on(disk: &Memory, uplinks: &[&str]) -> OpenOptions {
    let names = uplinks.iter();
    OpenOptions {
        generation_bytes: 1_500,
        health: Arc::new(BufferHealth::default()),
        medium: Medium::log(Arc::new(disk.clone())),
        uplinks: names
            .map(|name| ((*name).to_owned(), StartAt::Oldest))
            .collect(),
        ..options(&home(), &[])
    }
}

fn append(store: &mut Store, count: u64) {
    for _ in 0..count / 4 {
        let last = store.last();
        let next = Position {
            seq: last.seq + 1,
            ..last
        };
        let stamp = Stamp::default();
        store.commit(&[turn(next, 4)], stamp, &render).unwrap();
    }
}

/// What a store leaves whose side file has reached the disk.
fn stopped(store: Store, disk: &Memory) -> Memory {
    store.side.as_ref().unwrap().sync().unwrap();
    drop(store);
    disk.kill()
}

/// A store with several generations; the second uplink has settled more than the first.
fn built() -> Memory {
    let disk = Memory::new(3);
    let (mut store, _) = Store::open(&on(&disk, &["mes", "scada"])).unwrap();
    append(&mut store, EVENTS / 2);
    for (uplink, seq) in [(UplinkId(0), 3), (UplinkId(1), 9)] {
        done(&mut store, uplink, Position { epoch: 1, seq }).unwrap();
    }
    store.commit_progress().unwrap();
    append(&mut store, EVENTS / 2);
    assert!(store.older.len() > 2);
    stopped(store, &disk)
}

fn whole(disk: &Memory) -> Vec<Position> {
    Listing::read(disk, &root()).unwrap().whole
}

fn remove(disk: &Memory, path: &Path) {
    disk.remove_tree(path).unwrap();
    disk.sync_dir(&root()).unwrap();
}

/// Its database says nothing any more.
fn spoil(disk: &Memory, first: Position) {
    let log = disk.open(&path_of(&root(), first).join("log")).unwrap();
    log.set_length(0).unwrap();
    log.sync().unwrap();
}

/// What a start makes of a store: the next number, how far each uplink has come, and how many drops are to be told of whom.
#[derive(Debug, PartialEq)]
struct Made {
    next: Position,
    new_epoch: bool,
    uplinks: Vec<(String, Progress)>,
    waiting: Vec<usize>,
    told: BTreeMap<(DropReason, Option<String>), u64>,
    damaged: Vec<Position>,
}

fn made(disk: &Memory, uplinks: &[&str]) -> Made {
    let options = on(disk, uplinks);
    let (mut store, restored) = Store::open(&options).unwrap();
    let mut told = BTreeMap::new();
    for notice in options.health.drops.take() {
        *told.entry((notice.reason, notice.uplink)).or_default() += notice.count;
    }
    let ids: Vec<UplinkId> = store.uplink_ids().collect();
    let waiting = ids.iter().map(|id| readable(&mut store, *id).len());
    let waiting: Vec<usize> = waiting.collect();
    for (id, there) in ids.iter().zip(&waiting) {
        let account = store.account(*id);
        assert_eq!(account.stored(), *there as u64, "{account:?}");
        assert_eq!(account.offered, account.gone() + *there as u64);
    }
    Made {
        next: restored.next,
        new_epoch: restored.new_epoch.is_some(),
        uplinks: store.uplinks.clone(),
        waiting,
        told,
        damaged: Listing::read(disk, &root()).unwrap().damaged,
    }
}

/// Cuts the start of `begun` at each of its calls; `check` is asked what a whole start makes of it.
fn cut_at_every_call(begun: &Memory, uplinks: &[&str], check: impl Fn(&Made)) {
    let calm = begun.kill();
    drop(Store::open(&on(&calm, uplinks)).unwrap());
    let calls = calm.calls() - begun.kill().calls();
    let expected = made(&begun.kill(), uplinks);
    check(&expected);
    assert!(calls > 10, "{calls} calls");
    for call in 1..=calls {
        let ended = begun.kill();
        ended.plan(Plan {
            cut: Some(ended.calls() + call),
            ..Plan::default()
        });
        drop(Store::open(&on(&ended, uplinks)));
        let cuts = (0..CUTS).map(|seed| ended.crash(seed));
        for (nth, after) in [ended.kill()].into_iter().chain(cuts).enumerate() {
            println!("cut at {call}, {nth}");
            assert_eq!(made(&after.kill(), uplinks), expected);
            // Once more, in the middle of the second start.
            let again = after.kill();
            again.plan(Plan {
                cut: Some(again.calls() + 1 + (call * 7 + nth as u64) % calls),
                ..Plan::default()
            });
            drop(Store::open(&on(&again, uplinks)));
            assert_eq!(made(&again.kill(), uplinks), expected);
        }
    }
}

fn account<'a>(made: &'a Made, name: &str) -> &'a Progress {
    let found = made.uplinks.iter().find(|(uplink, _)| uplink == name);
    &found.unwrap().1
}

#[test]
fn a_start_that_ends_early_gives_a_new_uplink_all_that_is_stored() {
    cut_at_every_call(&built(), &["mes", "scada", "erp"], |made| {
        assert_eq!(account(made, "erp").account.offered, EVENTS);
    });
}

#[test]
fn a_start_that_ends_early_tells_once_what_an_uplink_that_left_had_not() {
    cut_at_every_call(&built(), &["scada"], |made| {
        let left = (DropReason::UplinkRemoved, Some("mes".to_owned()));
        assert_eq!(made.told[&left], EVENTS - 3);
    });
}

#[test]
fn a_start_without_any_part_that_ends_early_counts_all_that_is_lost() {
    let disk = built();
    for first in whole(&disk) {
        remove(&disk, &path_of(&root(), first));
    }
    cut_at_every_call(&disk, &["mes", "scada", "erp"], |made| {
        let mes = account(made, "mes").account;
        assert_eq!((mes.offered, mes.gone()), (EVENTS, EVENTS));
        let erp = account(made, "erp").account;
        assert_eq!(erp.offered, erp.gone());
        assert_eq!(made.next.epoch, 2);
    });
}

#[test]
fn a_start_on_damaged_newest_parts_that_ends_early_counts_them_once() {
    for (spoilt, beside) in [
        (1, true),
        (2, true),
        (1, false),
        (2, false),
        (9, true),
        (9, false),
    ] {
        println!("the last {spoilt}, with a side file: {beside}");
        let disk = built();
        for first in whole(&disk).iter().rev().take(spoilt) {
            spoil(&disk, *first);
        }
        if !beside {
            disk.remove_file(&root().join("progress")).unwrap();
            disk.sync_dir(&root()).unwrap();
        }
        cut_at_every_call(&disk, &["mes", "scada", "erp"], |made| {
            assert_eq!(made.next.epoch, 2);
            assert_eq!(made.damaged.len(), spoilt.min(whole(&disk).len()));
        });
    }
}

/// Its files were there before it was one of the settings.
#[test]
fn a_start_on_a_store_that_lost_its_end_and_gets_an_uplink_knows_what_each_had() {
    let disk = built();
    // Added since the state that will be left.
    let (mut store, _) = Store::open(&on(&disk, &["mes", "scada", "erp"])).unwrap();
    append(&mut store, EVENTS);
    let disk = stopped(store, &disk);
    let all = whole(&disk);
    for first in all.iter().filter(|first| first.seq > EVENTS) {
        remove(&disk, &path_of(&root(), *first));
    }
    let last = all.iter().rfind(|first| first.seq <= EVENTS).unwrap();
    spoil(&disk, *last);
    cut_at_every_call(&disk, &["mes", "scada", "erp"], |made| {
        for (name, progress) in &made.uplinks {
            assert_eq!(progress.account.offered, 2 * EVENTS, "{name}");
        }
    });
}
