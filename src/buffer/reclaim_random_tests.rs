//! What goes when the store is full or its events are old, over a long time and in a random life of three uplinks. Seeds are printed;
//! `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` runs more.

use super::super::disk::{Disk, Files};
use super::super::listing::{Listing, lean_path_of};
use super::super::progress::{Fate, Settled};
use super::super::testing::{fast_home, payload, trials};
use super::tests::{HOUR, append, append_at, check, full_options, open, waiting};
use super::*;
use crate::model::{BootTime, UplinkId};
use fastrand::Rng;
use std::collections::BTreeSet;

/// Uplinks at random places, random verdicts, restarts, other quotas: the accounts are right at each step.
#[test]
fn accounts_are_right_at_each_step_of_a_random_life() {
    for seed in trials(5) {
        println!("MILLGATE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let home = fast_home();
        let mut options = full_options(home.path(), &["mes", "scada", "erp"], 8);
        options.quota.max_age = HOUR * 20;
        if random.bool() {
            options.quota.keep_delivered = HOUR * random.u32(1..10);
        }
        let mut store = open(&options);
        let mut now = Stamp::default();
        for _ in 0..200 {
            match random.u8(0..20) {
                0..12 => append_at(&mut store, random.u64(1..9), random.u64(1..4), now),
                12..16 => settle_some(&mut store, &mut random),
                16 => now = now.plus(Duration::from_secs(random.u64(0..3_000))),
                17 | 18 => store.keep_house(now).unwrap(),
                _ => {
                    drop(store);
                    options.quota.max_bytes = random.u64(8..12) * 20_000;
                    store = open(&options);
                    now.boot = BootTime::default();
                    continue;
                }
            }
            check_accounts(&mut store);
        }
        assert_eq!(options.health.quarantined.get(), 0);
    }
}

fn check_accounts(store: &mut Store) {
    let room = store.room.ceiling.unwrap_or(u64::MAX);
    assert!(Files.used(&store.root).unwrap() <= room.max(store.room.limits.hard));
    for uplink in store.uplink_ids().collect::<Vec<_>>() {
        let stored = store.account(uplink).stored();
        assert_eq!(store.waiting(uplink.index()), stored);
        assert_eq!(waiting(store, uplink).len() as u64, stored);
    }
}

/// One uplink settles some of what it can read, in part above its cursor.
fn settle_some(store: &mut Store, random: &mut Rng) {
    // The last one is far behind.
    let uplinks = if random.u8(0..10) == 0 { 3 } else { 2 };
    let uplink = UplinkId(random.u32(0..uplinks));
    let records = store
        .read_for(uplink, store.cursor(uplink), 30, 1 << 20)
        .unwrap();
    let all = random.bool();
    let mut settled = Settled::default();
    let mut gap = false;
    for record in records {
        if all || random.bool() {
            let fate = [Fate::Delivered, Fate::Filtered][random.usize(0..2)];
            settled.fates.push((record.position, fate));
            if !gap {
                settled.up_to = record.position;
            }
        } else {
            gap = true;
        }
    }
    store.settle(uplink, &settled).unwrap();
}

/// Full for long: each generation is rewritten once at the most, one in a commit, and less is written for that than for the
/// events themselves.
#[test]
fn a_store_that_stays_full_does_bounded_work() {
    let home = fast_home();
    let options = full_options(home.path(), &["mes"], 10);
    let mut store = open(&options);
    let mut rewritten = BTreeSet::new();
    let (mut accepted, mut again, mut heads) = (0u64, 0u64, BTreeSet::new());
    for _ in 0..700 {
        let before = rewritten.len();
        append(&mut store, 1, 2);
        accepted += payload(store.last()).len() as u64;
        heads.insert(store.newest.first());
        for first in Listing::read(&Files, &store.root).unwrap().lean {
            if rewritten.insert(first) {
                again += Files.used(&lean_path_of(&store.root, first)).unwrap();
            }
        }
        assert!(rewritten.len() <= before + 1);
    }
    println!(
        "{again} bytes rewritten for {accepted} accepted, {} of {} generations",
        rewritten.len(),
        heads.len()
    );
    assert!(rewritten.len() > 5 && rewritten.len() < heads.len());
    assert!(again < accepted, "{again} for {accepted}");
    check(&mut store);
}
