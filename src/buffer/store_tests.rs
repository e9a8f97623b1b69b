//! The store on a real directory: generations, cursors, reopening, epochs.

use super::super::disk::Files;
use super::super::listing::{Listing, path_of};
use super::super::testing::{copy_tree, done, lost, options, payload, render, turn};
use super::*;
use crate::model::EpochReason as Why;
use crate::model::{CheckpointEntry, Restored};
use std::path::Path;

const MES: UplinkId = UplinkId(0);
const SCADA: UplinkId = UplinkId(1);

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

fn open(path: &Path, uplinks: &[&str]) -> (Store, Restored) {
    Store::open(&options(path, uplinks)).unwrap()
}

fn append(store: &mut Store, count: u64) {
    let turn = turn(store.head.next, count);
    commit(store, turn);
}

fn checkpoint(store: &mut Store, key: &str, value: Option<&[u8]>) {
    let turn = Turn {
        events: vec![],
        checkpoint: vec![CheckpointEntry {
            key: key.into(),
            value: value.map(<[u8]>::to_vec),
        }],
    };
    commit(store, turn);
}

fn commit(store: &mut Store, turn: Turn) {
    let now = Stamp {
        utc: UtcTime(1),
        ..Stamp::default()
    };
    store.commit(&[turn], now, &render).unwrap();
}

/// Reads everything after `after` in small steps and checks each payload.
fn drain(store: &mut Store, after: Position) -> Vec<Position> {
    let mut positions = Vec::new();
    let mut after = after;
    loop {
        let records = store.read(after, 7, 4_000).unwrap();
        let Some(last) = records.last() else {
            return positions;
        };
        after = last.position;
        for record in records {
            assert_eq!(
                record.payload,
                payload(record.position),
                "{}",
                record.position
            );
            positions.push(record.position);
        }
    }
}

fn span(epoch: u32, seqs: std::ops::RangeInclusive<u64>) -> Vec<Position> {
    seqs.map(|seq| at(epoch, seq)).collect()
}

#[test]
fn a_new_store_begins_with_epoch_1_and_goes_on_after_a_reopen() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, restored) = open(home.path(), &["mes"]);
    assert_eq!(restored.next, at(1, 1));
    assert_eq!(store.new_epoch(), Some(Why::Created));
    append(&mut store, 3);
    checkpoint(&mut store, "slot", Some(b"open"));
    drop(store);

    let (mut store, again) = open(home.path(), &["mes"]);
    assert_eq!(again.next, at(1, 4));
    assert_ne!(again.run, restored.run);
    assert_eq!(again.checkpoint["slot"], b"open");
    assert_eq!(store.new_epoch(), None);
    assert_eq!(drain(&mut store, Position::default()), span(1, 1..=3));
    assert_eq!(store.account(MES).stored(), 3);
}

#[test]
fn rotation_keeps_checkpoint_and_cursors_and_settled_generations_go() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes", "scada"]);
    checkpoint(&mut store, "slot", Some(&[7; 12_000]));
    for _ in 0..60 {
        append(&mut store, 5);
    }
    assert!(store.older.len() > 3, "{}", store.older.len());
    assert_eq!(
        (store.account(MES).stored(), store.account(SCADA).stored()),
        (300, 300)
    );
    assert!(done(&mut store, MES, at(1, 299)).unwrap());
    store.commit_progress().unwrap();
    assert!(store.older.len() > 3, "one uplink has settled nothing");
    drop(store);

    let (mut store, restored) = open(home.path(), &["mes", "scada"]);
    assert_eq!(restored.next, at(1, 301));
    assert_eq!(restored.checkpoint["slot"], vec![7; 12_000]);
    assert_eq!(store.cursor(MES), at(1, 299));
    assert_eq!(store.cursor(SCADA), at(1, 0));
    assert_eq!(drain(&mut store, at(1, 0)), span(1, 1..=300));
    assert_eq!(
        (store.account(MES).stored(), store.account(SCADA).stored()),
        (1, 300)
    );

    done(&mut store, SCADA, at(1, 300)).unwrap();
    assert!(store.older.len() > 3, "the cursor is not durable yet");
    store.commit_progress().unwrap();
    assert_eq!(store.older.len(), 0);
    assert_eq!(Listing::read(&Files, &store.root).unwrap().whole.len(), 1);
}

#[test]
fn a_cursor_survives_a_kill_before_it_is_committed() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    append(&mut store, 9);
    done(&mut store, MES, at(1, 6)).unwrap();
    assert!(
        !done(&mut store, MES, at(1, 5)).unwrap(),
        "cursors never go back"
    );
    done(&mut store, MES, at(1, 70)).unwrap();
    assert_eq!(store.cursor(MES), at(1, 9), "never past what is stored");
    drop(store);
    let (store, _) = open(home.path(), &["mes"]);
    assert_eq!(store.cursor(MES), at(1, 9));
}

#[test]
fn a_new_uplink_begins_where_its_settings_say() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    append(&mut store, 9);
    drop(store);
    let mut options = options(home.path(), &["mes", "new"]);
    options.uplinks.push(("old".into(), StartAt::Oldest));
    let (mut store, _) = Store::open(&options).unwrap();
    assert_eq!(store.cursor(UplinkId(1)), at(1, 9));
    assert_eq!(store.cursor(UplinkId(2)), Position::default());
    assert_eq!(store.account(UplinkId(2)).stored(), 9);
    append(&mut store, 1);
    drop(store);
    let (store, _) = Store::open(&options).unwrap();
    assert_eq!(
        store.cursor(UplinkId(1)),
        at(1, 9),
        "not the newest of today"
    );
}

#[test]
fn a_new_epoch_begins_when_the_end_cannot_be_proved() {
    let home = tempfile::tempdir().unwrap();
    let store_dir = home.path().join("store");
    let (mut store, _) = open(home.path(), &["mes"]);
    append(&mut store, 4);
    drop(store);

    // Cloned to another box: everything is there, numbering is not trusted.
    let mut elsewhere = options(home.path(), &["mes"]);
    elsewhere.machine_id = Some("another box".into());
    let (mut store, restored) = Store::open(&elsewhere).unwrap();
    assert_eq!(
        (restored.next, store.new_epoch()),
        (at(2, 1), Some(Why::OtherMachine))
    );
    append(&mut store, 2);
    let all = [span(1, 1..=4), span(2, 1..=2)].concat();
    assert_eq!(drain(&mut store, Position::default()), all);
    assert_eq!(store.account(MES).stored(), 6);
    drop(store);

    // The databases are gone, the progress file is not.
    for first in Listing::read(&Files, &store_dir).unwrap().whole {
        std::fs::remove_dir_all(store_dir.join(first.to_string())).unwrap();
    }
    let (mut store, restored) = Store::open(&elsewhere).unwrap();
    assert_eq!(
        (restored.next, store.new_epoch()),
        (at(3, 1), Some(Why::StoreMissing))
    );
    // Also those of the epoch before.
    assert_eq!(store.health.quarantined.get(), 6);
    assert_eq!(store.account(MES).stored(), 0);
    append(&mut store, 5);
    drop(store);

    // An older copy of the databases came back.
    let copy = home.path().join("copy");
    copy_tree(&store_dir, &copy);
    let (mut store, _) = Store::open(&elsewhere).unwrap();
    append(&mut store, 3);
    drop(store);
    let progress = std::fs::read(store_dir.join("progress")).unwrap();
    std::fs::remove_dir_all(&store_dir).unwrap();
    copy_tree(&copy, &store_dir);
    std::fs::write(store_dir.join("progress"), progress).unwrap();
    let (store, restored) = Store::open(&elsewhere).unwrap();
    assert_eq!(
        (restored.next, store.new_epoch()),
        (at(4, 1), Some(Why::TailLost))
    );
    assert_eq!(store.health.quarantined.get(), 6 + 3);
}

#[test]
fn a_crash_at_any_step_of_rotation_or_removal_is_accepted() {
    let home = tempfile::tempdir().unwrap();
    let store_dir = home.path().join("store");
    let (mut store, _) = open(home.path(), &["mes"]);
    for _ in 0..20 {
        append(&mut store, 5);
    }
    drop(store);
    let firsts = Listing::read(&Files, &store_dir).unwrap().whole;
    // Rotation had not come to the rename; removal had come half way.
    copy_tree(
        &store_dir.join(firsts[0].to_string()),
        &store_dir.join("creating"),
    );
    let removing = store_dir.join(format!("removing-{}", at(1, 0)));
    std::fs::create_dir(&removing).unwrap();
    std::fs::write(removing.join("db"), b"half").unwrap();
    let (mut store, restored) = open(home.path(), &["mes"]);
    assert_eq!(restored.next, at(1, 101));
    assert_eq!(drain(&mut store, at(1, 0)), span(1, 1..=100));
    // Cursor durable, unlink not done: the next open does it.
    done(&mut store, MES, at(1, 100)).unwrap();
    let cursors_only = Batch::new();
    store.commit_head(cursors_only).unwrap();
    drop(store);
    let (store, _) = open(home.path(), &["mes"]);
    assert_eq!(Listing::read(&Files, &store.root).unwrap().whole.len(), 1);
}

#[test]
fn a_damaged_older_generation_is_passed_over_and_reported() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    for _ in 0..40 {
        append(&mut store, 5);
    }
    drop(store);
    let firsts = Listing::read(&Files, &home.path().join("store"))
        .unwrap()
        .whole;
    let path = path_of(&home.path().join("store"), firsts[1]);
    std::fs::write(path.join("db"), vec![0x55; 600_000]).unwrap();
    let (mut store, restored) = open(home.path(), &["mes"]);
    assert_eq!(restored.next, at(1, 201));
    let mut expected = span(1, 1..=200);
    expected.retain(|at| *at < firsts[1] || *at >= firsts[2]);
    assert_eq!(drain(&mut store, at(1, 0)), expected);
    assert_eq!(
        store.health.quarantined.get(),
        firsts[2].seq - firsts[1].seq
    );
    drain(&mut store, at(1, 0));
    assert_eq!(
        store.health.quarantined.get(),
        firsts[2].seq - firsts[1].seq
    );
}

#[test]
fn a_damaged_head_begins_a_new_epoch_with_the_state_of_the_generation_before() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    checkpoint(&mut store, "slot", Some(b"as it was"));
    for _ in 0..40 {
        append(&mut store, 5);
    }
    done(&mut store, MES, at(1, 2)).unwrap();
    drop(store);
    let head = *Listing::read(&Files, &home.path().join("store"))
        .unwrap()
        .whole
        .last()
        .unwrap();
    let path = path_of(&home.path().join("store"), head);
    std::fs::write(path.join("db"), vec![0; 600_000]).unwrap();
    let (mut store, restored) = open(home.path(), &["mes"]);
    assert_eq!(
        (restored.next, store.new_epoch()),
        (at(2, 1), Some(Why::HeadDamaged))
    );
    assert_eq!(restored.checkpoint["slot"], b"as it was");
    assert_eq!(store.cursor(MES), at(1, 2));
    append(&mut store, 3);
    let all = [span(1, 1..=head.seq - 1), span(2, 1..=3)].concat();
    assert_eq!(drain(&mut store, at(1, 0)), all);
    assert_eq!(store.health.quarantined.get(), 201 - head.seq);
}

#[test]
fn what_cannot_be_a_batch_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    let gap = turn(at(1, 2), 1);
    assert!(matches!(
        store.commit(&[gap], Stamp::default(), &render),
        Err(StoreError::Sequence { .. })
    ));
    let huge = |event: &Event, recorded| (render(event, recorded).0, vec![0; 300 << 10]);
    assert!(matches!(
        store.commit(&[turn(at(1, 1), 1)], Stamp::default(), &huge),
        Err(StoreError::Event { .. })
    ));
}

#[test]
fn a_failed_barrier_accepts_nothing_and_the_next_open_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    append(&mut store, 2);
    store.newest.break_barrier();
    let failed = store.commit(&[turn(at(1, 3), 1)], Stamp::default(), &render);
    assert!(failed.is_err());
    assert_eq!(store.health.accepted.get(), 2);
    assert_eq!(store.last(), at(1, 2));
    assert_eq!(store.account(UplinkId(0)).offered, 2);
    // What was accepted is read from where it was written, and the same batch is taken in a fresh generation.
    assert_eq!(store.read(at(1, 0), 9, 1 << 20).unwrap().len(), 2);
    let taken = store.commit(&[turn(at(1, 3), 1)], Stamp::default(), &render);
    assert_eq!(taken.unwrap(), at(1, 3));
    assert!(
        home.path()
            .join("store")
            .join(at(1, 3).to_string())
            .is_dir()
    );
    drop(store);
    let (mut store, restored) = open(home.path(), &["mes"]);
    assert_eq!(restored.next, at(1, 4));
    assert_eq!(store.read(at(1, 0), 9, 1 << 20).unwrap().len(), 2);
    assert_eq!(store.read(at(1, 2), 9, 1 << 20).unwrap().len(), 1);
}

#[test]
fn a_store_that_cannot_be_used_is_said_plainly() {
    let home = tempfile::tempdir().unwrap();
    let (store, _) = open(home.path(), &["mes"]);
    let error = Store::open(&options(home.path(), &["mes"])).unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    drop(store);

    let file = home.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Store::open(&options(&file, &["mes"])).unwrap_err();
    assert!(matches!(error, StoreError::NotADirectory(_)), "{error}");
    let error = Store::open(&options(Path::new("/proc/nowhere"), &["mes"])).unwrap_err();
    assert!(error.to_string().contains("/proc"), "{error}");
    assert!(matches!(error, StoreError::NoDirectory { .. }), "{error}");
}

#[test]
fn a_generation_of_another_segment_size_is_refused_and_not_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let path = path_of(&home.path().join("store"), at(1, 1));
    drop(
        sled::Config::new()
            .path(&path)
            .segment_size(512 << 10)
            .open()
            .unwrap(),
    );
    let error = Store::open(&options(home.path(), &["mes"])).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(path.exists());
}

#[test]
fn an_event_keeps_what_it_says_and_when_it_was_recorded() {
    let home = tempfile::tempdir().unwrap();
    let (mut store, _) = open(home.path(), &["mes"]);
    let by_name = |event: &Event, recorded: UtcTime| match &event.body {
        crate::model::Body::Connection(report) => (
            render(event, recorded).0,
            format!("{} {}", report.name, recorded.0).into_bytes(),
        ),
        _ => render(event, recorded),
    };
    let turn = Turn {
        events: vec![lost(at(1, 1), "plc")],
        checkpoint: vec![],
    };
    assert_eq!(
        store
            .commit(
                &[turn],
                Stamp {
                    utc: UtcTime(77),
                    ..Stamp::default()
                },
                &by_name
            )
            .unwrap(),
        at(1, 1)
    );
    drop(store);
    let (mut store, _) = open(home.path(), &["mes"]);
    let records = store.read(Position::default(), 1, 0).unwrap();
    assert_eq!(records[0].payload, b"plc 77"[..]);
    assert_eq!(records[0].envelope.time_ns, 77);
}
