//! Full disks and disks that fail, in memory and at every call: what was accepted is there, and the store goes on by itself.

use super::disk::Disk;
use super::disk::memory::{Memory, Plan};
use super::engine::Medium;
use super::testing::{done, options, payload, render, trials};
use super::{OpenOptions, Store, StoreError};
use crate::model::{CheckpointEntry, Position, Stamp, Turn, UplinkId};
use std::path::Path;
use std::sync::Arc;

const MES: UplinkId = UplinkId(0);
const ROOT: &str = "/buffer/store";
const MIB: u64 = 1 << 20;

fn on(disk: &Memory) -> OpenOptions {
    OpenOptions {
        medium: Medium::log(Arc::new(disk.clone())),
        ..options(Path::new("/buffer"), &["mes"])
    }
}

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

/// Events, and a checkpoint that says which of them is the last.
fn turn(next: Position, count: u64) -> Turn {
    let mut turn = super::testing::turn(next, count);
    turn.checkpoint = vec![CheckpointEntry {
        key: "last".into(),
        value: Some((next.seq + count - 1).to_le_bytes().to_vec()),
    }];
    turn
}

/// Commits until it is taken, as the task does; shows the errors on the way.
fn insist_and(store: &mut Store, turn: &Turn, mut each: impl FnMut(StoreError)) {
    let mut errors = 0;
    while let Err(error) = store.commit(std::slice::from_ref(turn), Stamp::default(), &render) {
        errors += 1;
        assert!(errors < 5, "{error}");
        each(error);
    }
}

fn insist(store: &mut Store, turn: &Turn) {
    insist_and(store, turn, |error| panic!("{error}"));
}

/// Everything behind the cursor, each with the payload that belongs to its position.
fn check_content(store: &mut Store, last: Position) {
    let mut after = store.cursor(MES);
    while after < last {
        let records = store.read(after, 5, 4_000).unwrap();
        assert!(!records.is_empty(), "nothing after {after} of {last}");
        for record in records {
            assert_eq!(record.position.seq, after.seq + 1);
            assert_eq!(record.payload, payload(record.position));
            after = record.position;
        }
    }
    let account = store.account(MES);
    assert_eq!(account.offered, last.seq);
    assert_eq!(account.delivered + account.stored(), account.offered);
}

/// Opens what a disk has, and holds it against what was accepted and what was tried.
fn check_again(disk: &Memory, accepted: Position, tried: Position) {
    let (mut store, restored) = Store::open(&on(disk)).unwrap();
    assert_eq!(store.new_epoch(), None);
    let last = store.last();
    assert!(
        last >= accepted && last <= tried,
        "{accepted} {last} {tried}"
    );
    if let Some(said) = restored.checkpoint.get("last") {
        assert_eq!(said.as_slice(), last.seq.to_le_bytes());
    }
    check_content(&mut store, last);
}

/// Leaves so many bytes free, by a file that is not ours.
fn leave(disk: &Memory, free: u64) {
    let other = disk.open(Path::new("/other")).unwrap();
    other.set_length(0).unwrap();
    let room = disk.space(Path::new("/")).unwrap().free;
    other.set_length(room - free).unwrap();
}

fn has_ballast(disk: &Memory) -> bool {
    disk.used(&Path::new(ROOT).join("ballast")).unwrap() > MIB
}

#[test]
fn a_full_disk_refuses_before_it_is_written_to_and_accepts_again_with_room() {
    let disk = Memory::new(1);
    disk.plan(Plan {
        bytes: Some(32 * MIB),
        ..Plan::default()
    });
    let (mut store, _) = Store::open(&on(&disk)).unwrap();
    assert!(has_ballast(&disk));
    insist(&mut store, &turn(at(1), 3));
    leave(&disk, MIB - 1);
    let before = disk.calls();
    let refused = store.commit(&[turn(at(4), 1)], Stamp::default(), &render);
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(disk.calls(), before, "nothing is written");

    // What is delivered meanwhile becomes durable, and on an utterly full disk from the ballast.
    for (free, seq, ballast) in [(MIB - 1, 1, true), (0, 2, false)] {
        leave(&disk, free);
        done(&mut store, MES, at(seq)).unwrap();
        store.commit_progress().unwrap();
        assert_eq!(has_ballast(&disk), ballast);
        let (store, _) = Store::open(&on(&disk.crash(seq))).unwrap();
        assert_eq!(store.cursor(MES), at(seq));
    }
    check_content(&mut store, at(3));

    // A little room is not enough after that: it would be full again at once.
    leave(&disk, MIB + MIB / 2);
    let refused = store.commit(&[turn(at(4), 1)], Stamp::default(), &render);
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    leave(&disk, 12 * MIB);
    insist(&mut store, &turn(at(4), 1));
    assert!(has_ballast(&disk), "it is made again");
    check_content(&mut store, at(4));
    check_again(&disk.crash(1), at(4), at(4));
}

#[test]
fn a_full_disk_is_opened_from_the_ballast() {
    let disk = Memory::new(1);
    disk.plan(Plan {
        bytes: Some(32 * MIB),
        ..Plan::default()
    });
    let (mut store, _) = Store::open(&on(&disk)).unwrap();
    insist(&mut store, &turn(at(1), 3));
    drop(store);
    leave(&disk, 0);
    let (mut store, _) = Store::open(&on(&disk)).unwrap();
    assert!(!has_ballast(&disk));
    check_content(&mut store, at(3));
    drop(store);
    // Without ballast it cannot be opened, and is whole when there is room.
    leave(&disk, 0);
    let refused = Store::open(&on(&disk)).unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    leave(&disk, 16 * MIB);
    check_again(&disk, at(3), at(3));
}

#[test]
fn without_names_the_newest_generation_grows_past_its_size() {
    let disk = Memory::new(1);
    let (mut store, _) = Store::open(&on(&disk)).unwrap();
    insist(&mut store, &turn(at(1), 1));
    let used = u64::MAX - disk.space(Path::new("/")).unwrap().free_names;
    let limit = |names| Plan {
        names: Some(names),
        ..Plan::default()
    };
    // Enough that it is not refused; the names vanish while a generation is being made.
    disk.plan(limit(used + 16));
    let mut next = 2;
    while disk.names(Path::new(ROOT)).unwrap().len() < 8 && next < 2_000 {
        match store.commit(&[turn(at(next), 1)], Stamp::default(), &render) {
            Ok(_) => next += 1,
            Err(StoreError::Full(_)) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(next > 10);
    check_content(&mut store, at(next - 1));
    disk.plan(Plan::default());
    insist(&mut store, &turn(at(next), 1));
    check_again(&disk.crash(2), at(next), at(next));
}

/// One life of a store on a disk of which the call with this number fails; whether it got that far.
fn life(seed: u64, broken: u64) -> bool {
    let disk = Memory::new(seed);
    let (mut store, _) = Store::open(&on(&disk)).unwrap();
    let begun = disk.calls();
    disk.plan(Plan {
        broken: vec![begun + broken],
        ..Plan::default()
    });
    let mut next = 1;
    let mut met = 0;
    for round in 0..16 {
        let count = 1 + round % 4;
        insist_and(&mut store, &turn(at(next), count), |error| {
            assert!(matches!(error, StoreError::Io { .. }), "{error}");
            // Nobody knows how much of it the disk has; what was accepted it has.
            check_again(&disk.crash(seed), at(next - 1), at(next + count - 1));
        });
        next += count;
        if met == 0 && disk.calls() >= begun + broken {
            met = next;
            check_again(&disk.crash(seed), at(next - 1), at(next - 1));
        }
        if round % 3 == 0 {
            // A side file that cannot be written is an error of its own; the progress is there for the next commit.
            done(&mut store, MES, at(next / 2)).ok();
        }
    }
    check_content(&mut store, at(next - 1));
    check_again(&disk.kill(), at(next - 1), at(next - 1));
    check_again(&disk.crash(seed), at(next - 1), at(next - 1));
    met > 0
}

#[test]
fn whichever_call_fails_the_store_goes_on_and_has_what_it_accepted() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut broken = 1;
    while life(seed.wrapping_add(broken), broken) {
        broken += 1;
    }
    assert!(broken > 60, "only {broken} calls");
}

#[test]
fn a_crash_while_a_generation_is_renewed_keeps_its_state() {
    for records in [0, 2] {
        let mut cut = 1;
        loop {
            let disk = Memory::new(cut);
            let (mut store, _) = Store::open(&on(&disk)).unwrap();
            if records > 0 {
                insist(&mut store, &turn(at(1), records));
            }
            // State without records: what it knows is in this generation alone.
            let state = Turn {
                events: vec![],
                checkpoint: vec![CheckpointEntry {
                    key: "order".into(),
                    value: Some(b"4711".to_vec()),
                }],
            };
            insist(&mut store, &state);
            store.newest.break_barrier();
            let next = at(records + 1);
            let failed = store.commit(&[turn(next, 1)], Stamp::default(), &render);
            assert!(failed.is_err());
            let begun = disk.calls();
            disk.plan(Plan {
                cut: Some(begun + cut),
                ..Plan::default()
            });
            let renewed = store.renew().is_ok();
            for seed in 0..6 {
                let left = disk.crash(seed);
                let (mut store, restored) = Store::open(&on(&left)).unwrap();
                assert_eq!(store.new_epoch(), None, "cut {cut}");
                assert_eq!(restored.checkpoint["order"], b"4711", "cut {cut}");
                assert!(restored.next == next || restored.next == at(records + 2));
                let last = store.last();
                check_content(&mut store, last);
                insist(&mut store, &turn(at(last.seq + 1), 1));
                check_content(&mut store, at(last.seq + 1));
            }
            if renewed {
                break;
            }
            cut += 1;
        }
        assert!(cut > 5, "only {cut} calls");
    }
}

#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing() {
    for seed in trials(60) {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut disk = Memory::new(seed);
        let (mut store, _) = Store::open(&on(&disk)).unwrap();
        let mut last = 0;
        for _ in 0..60 {
            let used = disk.used(Path::new("/")).unwrap();
            match random.u8(0..10) {
                0..6 => {
                    let count = random.u64(1..6);
                    match store.commit(&[turn(at(last + 1), count)], Stamp::default(), &render) {
                        Ok(_) => last += count,
                        Err(StoreError::Full(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                6 => {
                    done(&mut store, MES, at(random.u64(0..=last))).unwrap();
                    match store.commit_progress() {
                        Ok(()) | Err(StoreError::Full(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                7 => disk.plan(Plan {
                    bytes: Some(used + random.u64(0..4 * MIB)),
                    ..Plan::default()
                }),
                8 => disk.plan(Plan::default()),
                _ => {
                    drop(store);
                    disk = if random.bool() {
                        disk.kill()
                    } else {
                        disk.crash(random.u64(..))
                    };
                    disk.plan(Plan::default());
                    store = Store::open(&on(&disk)).unwrap().0;
                    assert_eq!(store.last(), at(last));
                }
            }
        }
        disk.plan(Plan::default());
        insist(&mut store, &turn(at(last + 1), 1));
        check_content(&mut store, at(last + 1));
    }
}

#[test]
fn a_start_on_a_disk_without_room_takes_it_from_what_was_set_aside() {
    let disk = Memory::new(1);
    let (mut store, _) = Store::open(&on(&disk)).unwrap();
    insist(&mut store, &turn(at(1), 3));
    let damaged = Path::new(ROOT).join(format!("damaged-{}", at(9)));
    disk.create_dirs(&damaged).unwrap();
    let file = disk.open(&damaged.join("db")).unwrap();
    file.set_length(4 * MIB).unwrap();
    drop((store, file));
    let disk = disk.kill();
    disk.remove_file(&Path::new(ROOT).join("ballast")).unwrap();
    let used = disk.used(Path::new("/")).unwrap();
    disk.plan(Plan {
        bytes: Some(used),
        ..Plan::default()
    });
    let (mut store, restored) = Store::open(&on(&disk)).unwrap();
    assert!(
        !disk
            .names(Path::new(ROOT))
            .unwrap()
            .contains(&format!("damaged-{}", at(9)))
    );
    assert!(restored.next.seq <= 4);
    check_content(&mut store, at(3));
}
