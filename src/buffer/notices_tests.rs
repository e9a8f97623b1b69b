//! What is dropped is told: once, however often the gateway is killed in between; and what becomes of the events of uplinks
//! that come, go, and change their names.

use super::disk::Files;
use super::listing::{Listing, path_of};
use super::testing::{copy_tree, done, fast_home, options, payload, render, turn};
use super::{OpenOptions, Store, Why};
use crate::health::BufferHealth;
use crate::model::{
    Body, DeliveryAlert, DeliveryAlertKind, DropNotice, DropReason, Position, Stamp, Turn, UplinkId,
};
use crate::settings::shape::StartAt;
use std::path::Path;
use std::sync::Arc;

const MES: UplinkId = UplinkId(0);

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

/// Opens with cells of its own, as a process does.
fn start(path: &Path, uplinks: &[(&str, StartAt)]) -> (Store, Arc<BufferHealth>) {
    let health = Arc::new(BufferHealth::default());
    let one = |(name, start_at): &(&str, StartAt)| ((*name).to_owned(), *start_at);
    let options = OpenOptions {
        uplinks: uplinks.iter().map(one).collect(),
        health: Arc::clone(&health),
        ..options(path, &[])
    };
    (Store::open(&options).unwrap().0, health)
}

fn append(store: &mut Store, count: u64) {
    for _ in 0..count {
        let next = Position {
            seq: store.last().seq + 1,
            ..store.last()
        };
        store
            .commit(&[turn(next, 1)], Stamp::default(), &render)
            .unwrap();
    }
}

/// An event that tells of a drop or of the epoch, as aggregation writes it.
fn telling(store: &Store, kind: DeliveryAlertKind, dropped: Option<DropNotice>) -> Turn {
    let next = Position {
        seq: store.last().seq + 1,
        ..store.last()
    };
    let mut turn = turn(next, 1);
    turn.events[0].body = Body::Delivery(DeliveryAlert {
        destination: None,
        kind,
        count: dropped.as_ref().map_or(0, |dropped| dropped.count),
        oldest: None,
        last_code: None,
        detail: None,
        buffer_used_fraction: None,
        dropped,
    });
    turn
}

fn tell(store: &mut Store, notice: DropNotice) {
    let turn = telling(store, DeliveryAlertKind::Dropped, Some(notice));
    store.commit(&[turn], Stamp::default(), &render).unwrap();
}

/// Everything that an uplink gets, with the right payloads.
fn readable(store: &mut Store, uplink: UplinkId) -> Vec<Position> {
    let mut after = store.cursor(uplink);
    let mut found = Vec::new();
    loop {
        let records = store.read_for(uplink, after, 20, 1 << 20).unwrap();
        let Some(last) = records.last() else {
            return found;
        };
        after = last.position;
        for record in records {
            assert_eq!(record.payload, payload(record.position));
            found.push(record.position);
        }
    }
}

/// What is stored for an uplink is what it gets.
fn conserves(store: &mut Store, uplink: UplinkId) {
    let found = readable(store, uplink).len() as u64;
    assert_eq!(store.account(uplink).stored(), found);
    let account = store.account(uplink);
    assert_eq!(account.offered, account.gone() + found);
}

/// A store of 120 events whose oldest generation is gone; gives its range.
fn without_its_oldest(home: &Path) -> (Position, Position) {
    let (mut store, _) = start(home, &[("mes", StartAt::Newest)]);
    append(&mut store, 120);
    done(&mut store, MES, at(1, 3)).unwrap();
    store.commit_progress().unwrap();
    drop(store);
    let root = home.join("store");
    let firsts = Listing::read(&Files, &root).unwrap().whole;
    std::fs::remove_dir_all(path_of(&root, firsts[0])).unwrap();
    (at(1, 4), at(1, firsts[1].seq - 1))
}

#[test]
fn a_notice_whose_alert_was_not_committed_comes_back_and_is_told_once() {
    let home = fast_home();
    let (from, to) = without_its_oldest(home.path());
    let lost = to.seq + 1 - from.seq;
    for run in 0..4 {
        let (mut store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
        assert_eq!(store.account(MES).dropped(DropReason::Damaged), lost);
        conserves(&mut store, MES);
        let [notice] = health.drops.take().try_into().unwrap();
        assert_eq!((notice.from, notice.to, notice.count), (from, to, lost));
        assert_eq!(notice.uplink, None, "run {run}");
        // Killed before the alert was committed.
    }
    let (mut store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    let [notice] = health.drops.take().try_into().unwrap();
    tell(&mut store, notice);
    drop(store);
    for _ in 0..2 {
        let (mut store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
        assert_eq!(health.drops.take(), []);
        assert_eq!(store.account(MES).dropped(DropReason::Damaged), lost);
        conserves(&mut store, MES);
    }
}

#[test]
fn what_is_dropped_while_an_alert_is_on_its_way_is_told_by_the_next() {
    let home = fast_home();
    let (mut store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    append(&mut store, 30);
    let notice = |from, to| DropNotice {
        reason: DropReason::Full,
        uplink: Some("mes".into()),
        count: to - from + 1,
        from: at(1, from),
        to: at(1, to),
        detail: None,
    };
    store.dropped(notice(1, 4));
    let [first] = health.drops.take().try_into().unwrap();
    store.dropped(notice(5, 9));
    tell(&mut store, first);
    drop(store);
    let (mut store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    assert_eq!(health.drops.take(), [notice(5, 9)]);
    tell(&mut store, notice(5, 9));
    drop(store);
    let (_, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    assert_eq!(health.drops.take(), []);
}

#[test]
fn why_an_epoch_began_is_known_until_it_is_told() {
    let home = fast_home();
    let uplinks = [("mes".to_owned(), StartAt::Newest)];
    let mut here = options(home.path(), &[]);
    here.uplinks = uplinks.to_vec();
    let (mut store, restored) = Store::open(&here).unwrap();
    assert_eq!(restored.new_epoch, Some(Why::Created));
    append(&mut store, 3);
    drop(store);
    let (store, restored) = Store::open(&here).unwrap();
    assert_eq!(restored.new_epoch, None, "a new store is no alarm");
    drop(store);
    here.machine_id = Some("another box".into());
    for _ in 0..3 {
        let (_, restored) = Store::open(&here).unwrap();
        assert_eq!(restored.new_epoch, Some(Why::OtherMachine));
        assert_eq!(restored.next, at(2, 1));
    }
    let (mut store, _) = Store::open(&here).unwrap();
    let turn = telling(&store, DeliveryAlertKind::NewEpoch, None);
    store.commit(&[turn], Stamp::default(), &render).unwrap();
    drop(store);
    let (_, restored) = Store::open(&here).unwrap();
    assert_eq!(restored.new_epoch, None);
}

#[test]
fn a_loss_found_while_reading_is_durable_before_the_reader_passes_it() {
    let home = fast_home();
    let (mut store, _) = start(home.path(), &[("mes", StartAt::Newest)]);
    append(&mut store, 150);
    drop(store);
    // Without what is in memory.
    let (mut store, _) = start(home.path(), &[("mes", StartAt::Newest)]);
    let root = home.path().join("store");
    let firsts = Listing::read(&Files, &root).unwrap().whole;
    assert!(firsts.len() > 3);
    // Under the open store: the second generation was not opened yet.
    std::fs::remove_dir_all(path_of(&root, firsts[1])).unwrap();
    let mut after = Position::default();
    while after < firsts[2] {
        after = store
            .read_for(MES, after, 7, 1 << 20)
            .unwrap()
            .last()
            .unwrap()
            .position;
    }
    // The files as they are: a kill.
    let killed = fast_home();
    copy_tree(home.path(), killed.path());
    let (mut store, health) = start(killed.path(), &[("mes", StartAt::Newest)]);
    let lost = firsts[2].seq - firsts[1].seq;
    let [notice] = health.drops.take().try_into().unwrap();
    assert_eq!((notice.from, notice.count), (firsts[1], lost));
    assert_eq!(store.account(MES).dropped(DropReason::Damaged), lost);
    conserves(&mut store, MES);
}

#[test]
fn an_uplink_that_leaves_pins_nothing_and_its_events_are_told_as_dropped() {
    let home = fast_home();
    let (mut store, _) = start(
        home.path(),
        &[("mes", StartAt::Newest), ("scada", StartAt::Newest)],
    );
    append(&mut store, 150);
    done(&mut store, MES, at(1, 150)).unwrap();
    done(&mut store, UplinkId(1), at(1, 20)).unwrap();
    store.commit_progress().unwrap();
    // Known to the side file only.
    done(&mut store, UplinkId(1), at(1, 25)).unwrap();
    drop(store);
    let (store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    assert_eq!(store.older.len(), 0, "nothing waits for it");
    let [notice] = health.drops.take().try_into().unwrap();
    assert_eq!(notice.reason, DropReason::UplinkRemoved);
    assert_eq!(notice.uplink.as_deref(), Some("scada"));
    assert_eq!((notice.from, notice.to), (at(1, 26), at(1, 150)));
    assert_eq!(notice.count, 125);
    drop(store);
    let (mut store, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    let [notice] = health.drops.take().try_into().unwrap();
    assert_eq!(notice.count, 125, "told once, not counted again");
    tell(&mut store, notice);
    drop(store);
    let (_, health) = start(home.path(), &[("mes", StartAt::Newest)]);
    assert_eq!(health.drops.take(), []);
}

#[test]
fn uplinks_come_go_change_places_and_names_over_restarts() {
    use StartAt::{Newest, Oldest};
    let home = fast_home();
    let (mut store, _) = start(home.path(), &[("mes", Newest), ("scada", Newest)]);
    append(&mut store, 60);
    done(&mut store, MES, at(1, 60)).unwrap();
    done(&mut store, UplinkId(1), at(1, 10)).unwrap();
    drop(store);

    let swapped = [("scada", Newest), ("mes", Newest)];
    let (mut store, _) = start(home.path(), &swapped);
    assert_eq!(store.cursor(UplinkId(0)), at(1, 10));
    assert_eq!(store.cursor(UplinkId(1)), at(1, 60));
    append(&mut store, 10);
    conserves(&mut store, UplinkId(0));
    conserves(&mut store, UplinkId(1));
    assert_eq!(store.account(UplinkId(0)).offered, 70);
    drop(store);

    // One more that wants everything, one that wants what comes.
    let four = [
        ("scada", Newest),
        ("all", Oldest),
        ("mes", Newest),
        ("new", Newest),
    ];
    for run in 0..2 {
        let (mut store, _) = start(home.path(), &four);
        for uplink in 0..4 {
            conserves(&mut store, UplinkId(uplink));
        }
        let all = readable(&mut store, UplinkId(1));
        assert_eq!(all.last(), Some(&at(1, 70)));
        assert!(all.len() >= 60, "what scada still keeps and more");
        assert_eq!(store.account(UplinkId(3)).offered, 0, "run {run}");
    }
    let (mut store, _) = start(home.path(), &four);
    append(&mut store, 5);
    assert_eq!(readable(&mut store, UplinkId(3)).len(), 5);
    drop(store);

    // Another name is another uplink.
    let renamed = [("scada-2", Oldest), ("all", Oldest), ("mes", Newest)];
    let (mut store, health) = start(home.path(), &renamed);
    let mut gone = health.drops.take();
    gone.sort_by(|a, b| a.uplink.cmp(&b.uplink));
    let told: Vec<(Option<&str>, u64)> = gone
        .iter()
        .map(|notice| (notice.uplink.as_deref(), notice.count))
        .collect();
    assert_eq!(told, [(Some("new"), 5), (Some("scada"), 65)]);
    for uplink in 0..3 {
        conserves(&mut store, UplinkId(uplink));
        assert_eq!(store.account(UplinkId(uplink)).dropped, [0; 5]);
    }
}
