//! A rewritten generation that is damaged, with a power cut at each call of finding out: its loss is counted once.

use super::super::OpenOptions;
use super::super::disk::Disk;
use super::super::disk::memory::{Memory, Plan};
use super::super::engine::Medium;
use super::super::listing::lean_path_of;
use super::super::quota::Extent;
use super::super::testing::done;
use super::tests::{append, dropped, full_options, open, waiting};
use super::*;
use crate::model::UplinkId;
use std::path::Path;
use std::sync::Arc;

const MES: UplinkId = UplinkId(0);
const SCADA: UplinkId = UplinkId(1);

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

/// The events that were evicted before are not counted again.
#[test]
fn a_power_cut_while_a_rewritten_generation_is_set_aside_counts_it_once() {
    let home = Path::new("/box");
    let begun = Memory::new(5);
    let on = |disk: &Memory| OpenOptions {
        medium: Medium::log(Arc::new(disk.clone())),
        ..full_options(home, &["mes", "scada"], 1_000)
    };
    let mut store = open(&on(&begun));
    append(&mut store, 60, 2);
    done(&mut store, SCADA, at(9)).unwrap();
    let first = store.oldest();
    store.make_room(1, Extent::Passing).unwrap();
    let evicted = [MES, SCADA].map(|uplink| dropped(&store, uplink, DropReason::Evicted));
    assert!(evicted[0] > evicted[1] && evicted[1] > 0, "{evicted:?}");
    drop(store);
    let lean = lean_path_of(&home.join("store"), first);
    let log = begun.open(&lean.join("log")).unwrap();
    log.set_length(5).unwrap();
    log.sync().unwrap();

    let read = |disk: &Memory| -> Result<(), super::super::StoreError> {
        let (mut store, _) = Store::open(&on(disk))?;
        store.read_for(MES, at(0), 9, 1 << 20)?;
        store.commit_progress()
    };
    let accounts = |disk: &Memory| {
        let mut store = open(&on(disk));
        let accounts = [MES, SCADA].map(|uplink| {
            let found = waiting(&mut store, uplink).len() as u64;
            let account = store.account(uplink);
            assert_eq!(account.stored(), found, "{account:?}");
            account
        });
        store.commit_progress().unwrap();
        let names = disk.names(&home.join("store")).unwrap();
        assert!(
            !names.iter().any(|name| name.ends_with("-lasting")),
            "{names:?}"
        );
        accounts
    };
    let calm = begun.kill();
    read(&calm).unwrap();
    let expected = accounts(&calm);
    let lost = expected.map(|account| account.dropped(DropReason::Damaged));
    assert!(lost[0] > lost[1] && lost[1] > 0, "{lost:?}");
    let calls = calm.calls() - begun.calls();
    for call in 1..=calls {
        for seed in 0..6 {
            let disk = begun.kill();
            disk.plan(Plan {
                cut: Some(disk.calls() + call),
                ..Plan::default()
            });
            read(&disk).ok();
            let after = disk.crash(seed);
            assert_eq!(accounts(&after), expected, "cut at {call}, {seed}");
        }
    }
}
