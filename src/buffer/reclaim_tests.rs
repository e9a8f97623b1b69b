//! What goes when the store is full or its events are old: order, accounts, notices, crashes. On the plain log, whose
//! disk use follows what is written, and on sled where that matters.

use super::super::disk::{Disk, Files, names};
use super::super::engine::Medium;
use super::super::listing::{Listing, lean_path_of, path_of};
use super::super::progress::{Fate, Settled};
use super::super::quota::{Extent, Quota};
use super::super::testing::{
    copy_tree, done, fast_home, options, passing_at, payload, quiet_at, render,
};
use super::super::{OpenOptions, Record};
use super::*;
use crate::model::{Class, Turn, UplinkId};
use crate::settings::shape::StartAt;
use fastrand::Rng;
use std::path::Path;
use std::sync::Arc;

const MES: UplinkId = UplinkId(0);
const SCADA: UplinkId = UplinkId(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

/// The plain log with generations of 20 kB, of which so many fit into the quota.
pub(super) fn full_options(path: &Path, uplinks: &[&str], generations: u64) -> OpenOptions {
    OpenOptions {
        medium: Medium::log(Arc::new(Files)),
        quota: Quota {
            max_bytes: generations * 20_000,
            ..Quota::default()
        },
        ..options(path, uplinks)
    }
}

pub(super) fn open(options: &OpenOptions) -> Store {
    Store::open(options).unwrap().0
}

/// Appends `count` events one by one; every `passing`th is lasting, all others pass. 0: all last.
pub(super) fn append(store: &mut Store, count: u64, passing: u64) {
    for _ in 0..count {
        append_at(store, 1, passing, Stamp::default());
    }
}

pub(super) fn append_at(store: &mut Store, count: u64, passing: u64, now: Stamp) {
    let next = store.head.next;
    let event = |seq: u64| {
        let position = Position { seq, ..next };
        if is_passing(seq, passing) {
            passing_at(position)
        } else {
            quiet_at(position)
        }
    };
    let turn = Turn {
        events: (next.seq..next.seq + count).map(event).collect(),
        checkpoint: vec![],
    };
    store.commit(&[turn], now, &render).unwrap();
}

fn is_passing(seq: u64, passing: u64) -> bool {
    passing > 0 && !seq.is_multiple_of(passing)
}

/// All that an uplink can still have, checked.
pub(super) fn waiting(store: &mut Store, uplink: UplinkId) -> Vec<Record> {
    let mut found = Vec::new();
    let mut after = store.cursor(uplink);
    loop {
        let records = store.read_for(uplink, after, 50, 1 << 20).unwrap();
        let Some(last) = records.last() else {
            return found;
        };
        after = last.position;
        for record in &records {
            assert_eq!(record.payload, payload(record.position));
        }
        found.extend(records);
    }
}

/// Each event stands in one place of each account, and what is stored can be had.
pub(super) fn check(store: &mut Store) {
    for uplink in store.uplink_ids().collect::<Vec<_>>() {
        let account = store.account(uplink);
        let dropped: u64 = account.dropped.iter().sum();
        let gone = account.delivered + account.filtered + account.parked + account.discarded;
        assert_eq!(account.offered, gone + dropped + account.stored());
        assert_eq!(
            store.waiting(uplink.index()),
            account.stored(),
            "{account:?}"
        );
        let found = waiting(store, uplink);
        assert_eq!(found.len() as u64, account.stored(), "{account:?}");
        assert!(found.is_sorted_by(|a, b| a.position < b.position));
    }
    let used = Files.used(&store.root).unwrap();
    let limits = store.room.limits;
    assert!(used <= limits.hard, "{used} of {}", limits.hard);
}

pub(super) fn dropped(store: &Store, uplink: UplinkId, reason: DropReason) -> u64 {
    store.account(uplink).dropped(reason)
}

fn notices(store: &Store) -> Vec<(DropReason, Option<String>, u64)> {
    let untold = store.head.untold.iter();
    let mut notices: Vec<_> = untold
        .map(|notice| (notice.reason, notice.uplink.clone(), notice.count))
        .collect();
    notices.sort();
    notices
}

#[test]
fn passing_events_go_before_any_lasting_one_and_then_the_oldest() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes"], 12);
    let mut store = open(&options);
    let mut before = 0;
    while dropped(&store, MES, DropReason::Full) == 0 {
        before = dropped(&store, MES, DropReason::Evicted);
        append(&mut store, 1, 3);
    }
    check(&mut store);
    assert!(before > 100, "{before}");
    let found = waiting(&mut store, MES);
    let newest = store.newest.first();
    let passing = |record: &&Record| record.class == Class::Passing;
    assert!(
        found
            .iter()
            .filter(passing)
            .all(|record| record.position >= newest)
    );
    // What is left of the lasting ones has no gap.
    let lasting: Vec<u64> = found
        .iter()
        .filter(|record| record.class == Class::Lasting)
        .map(|record| record.position.seq)
        .collect();
    assert!(lasting.windows(2).all(|two| two[1] == two[0] + 3));
    assert_eq!(
        notices(&store),
        [DropReason::Evicted, DropReason::Full].map(|reason| (
            reason,
            None,
            dropped(&store, MES, reason)
        ))
    );
    assert_eq!(options.health.quarantined.get(), 0);

    drop(store);
    let mut store = open(&options);
    check(&mut store);
    assert_eq!(waiting(&mut store, MES), found);
    assert_eq!(options.health.quarantined.get(), 0);
}

#[test]
fn only_who_had_not_settled_an_event_loses_it() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes", "scada"], 10);
    let mut store = open(&options);
    let mut random = Rng::with_seed(7);
    for step in 0..700 {
        append(&mut store, 1, 2);
        if random.u8(0..4) == 0 {
            let last = store.last();
            done(&mut store, SCADA, last).unwrap();
        }
        if step % 20 == 0 {
            check(&mut store);
        }
    }
    let evicted = |uplink| dropped(&store, uplink, DropReason::Evicted);
    assert!(evicted(MES) > 5 * evicted(SCADA));
    assert!(dropped(&store, MES, DropReason::Full) > 0);
    assert_eq!(dropped(&store, SCADA, DropReason::Full), 0);
    let full = (
        DropReason::Full,
        Some("mes".to_owned()),
        dropped(&store, MES, DropReason::Full),
    );
    assert!(notices(&store).contains(&full));
    drop(store);
    let mut store = open(&options);
    check(&mut store);
}

/// An uplink has read events that are evicted before its verdicts come, and has settled some above its cursor.
#[test]
fn a_verdict_on_an_evicted_event_changes_nothing() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes"], 10);
    let mut store = open(&options);
    append(&mut store, 60, 2);
    let read = store.read_for(MES, at(0), 50, 1 << 20).unwrap();
    let above = |store: &mut Store, fates: &[u64]| {
        let fates = fates.iter().map(|seq| (at(*seq), Fate::Delivered));
        let settled = Settled {
            up_to: Position::default(),
            fates: fates.collect(),
        };
        store.settle(MES, &settled).unwrap()
    };
    // 3 passes and is settled, 4 lasts and is settled.
    above(&mut store, &[3, 4]);
    while store.head.swept < at(1) {
        append(&mut store, 1, 2);
    }
    check(&mut store);
    assert_eq!(store.account(MES).delivered, 2);
    let stored = store.account(MES).stored();
    assert!(!above(&mut store, &[5, 7]), "both are evicted");
    assert_eq!(store.account(MES).stored(), stored);
    assert!(above(&mut store, &[5, 6, 7, 8]));
    assert_eq!(store.account(MES).stored(), stored - 2);
    check(&mut store);
    let last = read.last().unwrap().position;
    done(&mut store, MES, last).unwrap();
    check(&mut store);
    store.commit_progress().unwrap();
    drop(store);
    let mut store = open(&options);
    assert_eq!(store.cursor(MES), last);
    check(&mut store);
}

#[test]
fn a_store_of_passing_events_alone_goes_generation_by_generation() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes"], 8);
    let mut store = open(&options);
    for _ in 0..40 {
        append(&mut store, 10, u64::MAX);
        check(&mut store);
    }
    assert!(dropped(&store, MES, DropReason::Evicted) > 0);
    assert_eq!(dropped(&store, MES, DropReason::Full), 0);
    assert!(Listing::read(&Files, &store.root).unwrap().lean.is_empty());
}

/// What was delivered is kept, can be read, and goes first.
#[test]
fn what_is_kept_after_delivery_goes_before_anything_else() {
    let home = fast_home();
    let mut options = full_options(home.path(), &["mes"], 10);
    options.quota.keep_delivered = HOUR;
    let mut store = open(&options);
    append(&mut store, 90, 0);
    done(&mut store, MES, at(80)).unwrap();
    store.commit_progress().unwrap();
    assert_eq!(store.oldest(), at(1));
    assert!(store.older.len() > 2);
    let kept = store.read(Position::default(), 1, 1).unwrap();
    assert_eq!(kept.first().map(|record| record.position), Some(at(1)));
    drop(store);
    let mut store = open(&options);
    assert_eq!(store.oldest(), at(1));
    store.keep_house(Stamp::default()).unwrap();
    assert!(options.health.spare.get() > 0);
    while store.oldest() <= at(50) {
        assert_eq!(notices(&store), []);
        append(&mut store, 1, 2);
    }
    check(&mut store);
    append(&mut store, 400, 2);
    check(&mut store);
    assert!(dropped(&store, MES, DropReason::Evicted) > 0);
}

fn after(hours: u32) -> Stamp {
    Stamp::default().plus(HOUR * hours)
}

#[test]
fn what_was_delivered_is_kept_for_its_time_over_restarts() {
    let home = fast_home();
    let mut options = full_options(home.path(), &["mes"], 1_000);
    options.quota.keep_delivered = HOUR * 16;
    let mut store = open(&options);
    append(&mut store, 100, 0);
    done(&mut store, MES, at(90)).unwrap();
    store.keep_house(after(0)).unwrap();
    store.keep_house(after(1)).unwrap();
    store.keep_house(after(10)).unwrap();
    assert_eq!(store.oldest(), at(1));
    drop(store);
    // The box was off for a day: that does not count.
    let mut store = open(&options);
    store.keep_house(after(34)).unwrap();
    store.keep_house(after(39)).unwrap();
    assert_eq!(store.oldest(), at(1));
    store.keep_house(after(41)).unwrap();
    assert!(store.oldest() > at(1) && store.oldest() <= at(91));
    check(&mut store);
    assert_eq!(notices(&store), []);
}

#[test]
fn events_age_also_when_nothing_comes() {
    let home = fast_home();
    let mut options = full_options(home.path(), &["mes", "scada"], 1_000);
    options.quota.max_age = HOUR * 16;
    let mut store = open(&options);
    append_at(&mut store, 60, 2, after(0));
    append_at(&mut store, 20, 2, after(8));
    done(&mut store, SCADA, at(50)).unwrap();
    store.keep_house(after(15)).unwrap();
    assert_eq!(store.account(MES).stored(), 80);
    assert!(store.last() == at(80) && store.newest.first() == at(81));
    drop(store);
    let mut store = open(&options);
    store.keep_house(after(100)).unwrap();
    assert_eq!(store.account(MES).stored(), 80, "it was off");
    store.keep_house(after(102)).unwrap();
    assert_eq!(dropped(&store, MES, DropReason::Aged), 60);
    assert_eq!(dropped(&store, SCADA, DropReason::Aged), 10);
    check(&mut store);
    store.keep_house(after(120)).unwrap();
    assert_eq!(dropped(&store, MES, DropReason::Aged), 80);
    assert_eq!(notices(&store), [(DropReason::Aged, None, 80)]);
    assert_eq!(store.older.len(), 0);
    append_at(&mut store, 5, 0, after(121));
    check(&mut store);
}

/// A disk that others filled gets what it asks for, but never an unsettled lasting event.
#[test]
fn room_for_others_costs_no_lasting_event() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes"], 1_000);
    let mut store = open(&options);
    append(&mut store, 300, 2);
    assert_eq!(store.make_room(1 << 30, Extent::Spare).unwrap(), 0);
    let mut freed = 0;
    loop {
        let more = store.make_room(1 << 30, Extent::Passing).unwrap();
        check(&mut store);
        if more == 0 {
            break;
        }
        freed += more;
    }
    assert!(freed > 50_000, "{freed}");
    assert_eq!(dropped(&store, MES, DropReason::Full), 0);
    let found = waiting(&mut store, MES);
    let lasting = found.iter().filter(|record| record.class == Class::Lasting);
    assert_eq!(lasting.count(), 150);
}

/// The copies of a store at each moment between two changes of its directory.
#[test]
fn a_crash_at_any_step_of_an_eviction_doubles_and_loses_nothing() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes", "scada"], 1_000);
    let mut store = open(&options);
    append(&mut store, 200, 2);
    done(&mut store, SCADA, at(7)).unwrap();
    store.commit_progress().unwrap();
    let root = store.root.clone();
    let first = store.oldest();
    let original = tempfile::tempdir().unwrap();
    copy_tree(&path_of(&root, first), &original.path().join("first"));
    let before = fast_home();
    copy_tree(home.path(), before.path());
    store.make_room(1, Extent::Passing).unwrap();
    assert!(lean_path_of(&root, first).exists());
    drop(store);

    let reopened = |path: &Path| {
        let mut options = options.clone();
        options.path = path.to_owned();
        let mut store = open(&options);
        check(&mut store);
        let listing = Listing::read(&Files, &store.root).unwrap();
        assert!(listing.twice.is_empty());
        (
            listing.lean.contains(&first),
            store.account(MES).dropped(DropReason::Evicted),
        )
    };
    // Half of the copy, and all of it before it counts.
    let half = before.path().join("store/creating");
    copy_tree(&lean_path_of(&root, first), &half);
    assert_eq!(reopened(before.path()), (false, 0));
    assert!(!half.exists());
    let copy = lean_path_of(&before.path().join("store"), first);
    copy_tree(&lean_path_of(&root, first), &copy);
    assert_eq!(reopened(before.path()), (false, 0));
    // It counts, and the original is still there, or half of it under another name.
    let evicted = {
        copy_tree(&original.path().join("first"), &path_of(&root, first));
        let (lean, evicted) = reopened(home.path());
        assert!(lean && evicted > 0);
        evicted
    };
    copy_tree(
        &original.path().join("first"),
        &root.join(format!("removing-{first}")),
    );
    assert_eq!(reopened(home.path()), (true, evicted));
    assert_eq!(
        names(&root)
            .unwrap()
            .iter()
            .filter(|name| name.starts_with("removing"))
            .count(),
        0
    );
}

#[test]
fn a_rewritten_generation_that_is_damaged_is_counted_once() {
    let home = fast_home();
    let options = OpenOptions {
        medium: Medium::sled(),
        ..full_options(home.path(), &["mes", "scada"], 1_000)
    };
    let mut store = open(&options);
    append(&mut store, 200, 2);
    done(&mut store, SCADA, at(9)).unwrap();
    let first = store.oldest();
    store.make_room(1, Extent::Passing).unwrap();
    drop(store);
    let database = lean_path_of(&home.path().join("store"), first).join("db");
    let length = std::fs::metadata(&database).unwrap().len();
    std::fs::write(&database, vec![7; usize::try_from(length).unwrap()]).unwrap();
    let mut store = open(&options);
    waiting(&mut store, MES);
    check(&mut store);
    assert!(dropped(&store, MES, DropReason::Damaged) > 0);
    assert!(
        dropped(&store, MES, DropReason::Damaged) > dropped(&store, SCADA, DropReason::Damaged)
    );
    // It is the first to go when there is need.
    store.keep_house(Stamp::default()).unwrap();
    assert_eq!(options.health.damaged.get(), 1);
    assert!(store.make_room(1, Extent::Spare).unwrap() > 0);
    assert!(
        Listing::read(&Files, &store.root)
            .unwrap()
            .damaged
            .is_empty()
    );
}

#[test]
fn a_rewritten_generation_serves_as_head_state_when_the_head_is_gone() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes"], 1_000);
    let mut store = open(&options);
    append(&mut store, 200, 2);
    while store.make_room(1 << 30, Extent::Passing).unwrap() > 0 {}
    let (root, newest, last) = (store.root.clone(), store.newest.first(), store.last());
    drop(store);
    std::fs::remove_dir_all(path_of(&root, newest)).unwrap();
    std::fs::remove_file(root.join("progress")).unwrap();
    let mut store = open(&options);
    assert!(
        store.head.next <= last,
        "numbering goes on behind what is there"
    );
    assert!(path_of(&root, store.newest.first()).exists());
    append(&mut store, 100, 2);
    let found = waiting(&mut store, MES);
    assert!(found.len() > 100);
    assert_eq!(options.health.quarantined.get(), 0);
}

#[test]
fn a_new_uplink_is_offered_what_is_left() {
    let home = fast_home();
    let mut options = full_options(home.path(), &["mes"], 1_000);
    let mut store = open(&options);
    append(&mut store, 200, 2);
    while store.make_room(1 << 30, Extent::Passing).unwrap() > 0 {}
    drop(store);
    options.uplinks.push(("scada".into(), StartAt::Oldest));
    let mut store = open(&options);
    check(&mut store);
    assert_eq!(store.account(SCADA).stored(), store.account(MES).stored());
}
