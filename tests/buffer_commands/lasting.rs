//! Generations that were rewritten without their passing events: commands know them, and miss nothing in them.

use super::{buffer, exported, generations, no_copies, options, payload};
use millgate::buffer::{Extent, Store};
use millgate::model::{Body, Heartbeat, Position, Stamp, UplinkId};
use std::path::Path;

const EVENTS: u64 = 80;

/// A closed store in which every second event passed, and was evicted as far as it can be. Its lasting events are even; the
/// answer is the first position of the head.
fn evicted(path: &Path) -> u64 {
    let (mut store, restored) = Store::open(&options(path)).unwrap();
    let mut next = restored.next;
    let render = |event: &millgate::model::Event, recorded| {
        let (envelope, _) = crate::buffer::render(event, recorded);
        (envelope, payload(event.position))
    };
    for _ in 0..EVENTS {
        let mut turn = crate::buffer::turn(next, 1);
        if next.seq % 2 == 1 {
            turn.events[0].body = Body::Heartbeat(Heartbeat {
                version: "0",
                last: None,
                boot_id: String::new(),
                up_s: 0.0,
                open_operations: vec![],
            });
        }
        store.commit(&[turn], Stamp::default(), &render).unwrap();
        next.seq += 1;
    }
    let before = store.account(UplinkId(0)).stored();
    for _ in 0..EVENTS {
        store.make_room(1 << 40, Extent::Passing).unwrap();
    }
    let account = store.account(UplinkId(0));
    assert_eq!(account.offered, before);
    let records = store.read(Position::default(), 1024, 1 << 20).unwrap();
    let mut all: Vec<u64> = records.iter().map(|record| record.position.seq).collect();
    while let Some(last) = all.last().copied() {
        let after = Position {
            epoch: 1,
            seq: last,
        };
        let more = store.read(after, 1024, 1 << 20).unwrap();
        if more.is_empty() {
            break;
        }
        all.extend(more.iter().map(|record| record.position.seq));
    }
    assert_eq!(account.stored(), all.len() as u64);
    let odd = all.iter().copied().find(|seq| seq % 2 == 1);
    odd.expect("the head keeps what passes")
}

fn rewritten(path: &Path) -> Vec<std::path::PathBuf> {
    let is_lean = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("-lasting");
    generations(path).into_iter().filter(is_lean).collect()
}

#[test]
fn what_was_evicted_on_purpose_is_no_damage_and_the_rest_is_exported() {
    let home = tempfile::tempdir().unwrap();
    let head = evicted(home.path());
    assert!(rewritten(home.path()).len() > 3);
    buffer("verify", home.path(), &[]).says(0, &[]);
    buffer("status", home.path(), &[]).says(0, &[]);
    let export = buffer("export", home.path(), &[]);
    export.says(0, &[]);
    let left: Vec<u64> = (1..=EVENTS)
        .filter(|seq| seq % 2 == 0 || *seq >= head)
        .collect();
    assert_eq!(exported(&export), left);
    no_copies(home.path());
}

#[test]
fn a_damaged_one_is_told_and_set_aside_and_what_was_evicted_is_not_lost_again() {
    let home = tempfile::tempdir().unwrap();
    evicted(home.path());
    let damaged = rewritten(home.path()).remove(1);
    super::broken::zero(&damaged.join("db"));
    buffer("verify", home.path(), &[]).says(65, &["-lasting"]);
    buffer("repair", home.path(), &["--yes"]).says(0, &[]);
    buffer("verify", home.path(), &[]).says(0, &[]);
    no_copies(home.path());
    let (mut store, _) = Store::open(&options(home.path())).unwrap();
    for uplink in [UplinkId(0), UplinkId(1)] {
        let account = store.account(uplink);
        let mut waiting = 0;
        let mut after = store.cursor(uplink);
        loop {
            let records = store.read_for(uplink, after, 100, 1 << 20).unwrap();
            let Some(last) = records.last() else { break };
            after = last.position;
            waiting += records.len() as u64;
        }
        assert_eq!(account.stored(), waiting, "{account:?}");
    }
}
