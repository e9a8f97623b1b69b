//! What `verify` says of a damaged store is what the gateway finds in it: the same losses for the same uplinks, a new epoch
//! where it says so, and good only where a start has nothing to count, set aside or renew. What the accounts then say to be
//! stored is what can be read. Seeds are printed;
//! `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` runs more.

use super::super::Exit;
use super::repair::Repair;
use super::site::{Site, Which};
use super::survey::{State, Survey};
use crate::buffer::damage_tests::{files, harm, readable};
use crate::buffer::engine::Medium;
use crate::buffer::testing::{copy_tree, done, fast_home, options, render, trials, turn};
use crate::buffer::{
    Answered, Extent, OpenOptions, ParkedState, Parking, Quota, Settled, Store, ToPark,
};
use crate::health::BufferHealth;
use crate::model::{Body, DropReason, Heartbeat, ParkClass, Position, Stamp, UplinkId};
use fastrand::Rng;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MES: UplinkId = UplinkId(0);
const SCADA: UplinkId = UplinkId(1);
/// Events of each of two epochs.
const EVENTS: u64 = 45;
/// The first uplink has put these aside and settled nothing else below them.
const PARKED: [u64; 3] = [4, 9, 31];

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch, seq }
}

fn own(path: &Path) -> OpenOptions {
    OpenOptions {
        generation_bytes: 6_000,
        health: Arc::new(BufferHealth::default()),
        quota: Quota::default(),
        medium: Medium::sled(),
        ..options(path, &["mes", "scada"])
    }
}

/// Every third event passes.
fn append(store: &mut Store, count: u64) {
    for _ in 0..count / 5 {
        let next = at(store.last().epoch, store.last().seq + 1);
        let mut turn = turn(next, 5);
        for event in turn.events.iter_mut().filter(|it| it.position.seq % 3 == 0) {
            event.body = Body::Heartbeat(Heartbeat {
                version: "0",
                last: None,
                boot_id: String::new(),
                up_s: 0.0,
                open_operations: vec![],
            });
        }
        store.commit(&[turn], Stamp::default(), &render).unwrap();
    }
}

/// Two epochs, parked events, a cursor and settled events above another one; rewritten generations where `lean`.
fn build(path: &Path, lean: bool) {
    let mut store = Store::open(&own(path)).unwrap().0;
    append(&mut store, EVENTS);
    for seq in PARKED {
        let record = store.read(at(1, seq - 1), 1, 1).unwrap().remove(0);
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
    }
    done(&mut store, SCADA, at(1, 17)).unwrap();
    let above = at(1, 22);
    let fates = vec![(above, crate::buffer::Fate::Delivered)];
    let settled = Settled {
        up_to: at(1, 17),
        fates,
    };
    store.settle(SCADA, &settled).unwrap();
    store.commit_progress().unwrap();
    drop(store);
    // Another box: a new epoch without a loss.
    let other = OpenOptions {
        machine_id: Some("another box".into()),
        ..own(path)
    };
    let mut store = Store::open(&other).unwrap().0;
    assert_eq!(store.last().epoch, 2);
    append(&mut store, EVENTS);
    if lean {
        for _ in 0..6 {
            store.make_room(1 << 40, Extent::Passing).unwrap();
        }
    }
    store.commit_progress().unwrap();
    drop(store);
    drop(Store::open(&other).unwrap());
}

fn generations(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(path.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// One damage; what it did.
fn damage(path: &Path, random: &mut Rng) -> String {
    let generations = generations(path);
    let any = |random: &mut Rng| match random.u8(0..3) {
        0 => generations.len() - 1,
        _ => random.usize(0..generations.len()),
    };
    match random.u8(0..12) {
        0 => {
            // From anywhere to the end, at times all of them.
            let from = random.usize(0..generations.len());
            for gone in &generations[from..] {
                std::fs::remove_dir_all(gone).unwrap();
            }
            format!("gone from {from} on")
        }
        1 => {
            let to = random.usize(0..generations.len());
            for gone in &generations[..to] {
                std::fs::remove_dir_all(gone).unwrap();
            }
            format!("gone up to {to}")
        }
        2 | 3 => {
            let gone = &generations[any(random)];
            std::fs::remove_dir_all(gone).unwrap();
            format!("gone: {}", gone.display())
        }
        4 => {
            let side = path.join("store/progress");
            match side.exists() {
                true => format!("side file {}", harm(&side, random)),
                false => "nothing".into(),
            }
        }
        5 | 6 => {
            let parked = files(&path.join("parked/mes"));
            match parked.is_empty() {
                true => "nothing".into(),
                false => {
                    let file = &parked[random.usize(0..parked.len())];
                    format!("{} in {}", harm(file, random), file.display())
                }
            }
        }
        _ => {
            let files = files(&generations[any(random)]);
            let db: Vec<_> = files.iter().filter(|it| it.ends_with("db")).collect();
            let file = match (random.bool(), db.first(), files.is_empty()) {
                (_, _, true) => return "nothing".into(),
                (true, Some(db), _) => *db,
                _ => &files[random.usize(0..files.len())],
            };
            format!("{} in {}", harm(file, random), file.display())
        }
    }
}

fn survey(path: &Path) -> Survey {
    let site: Site = Which::at(path).site().ok().unwrap();
    let store = site.store().ok().unwrap();
    loop {
        match Survey::take(&site, &store) {
            Ok(survey) => return survey,
            // Another test of this program raises the signal that it is about.
            Err(failure) => assert_eq!(failure.exit, Exit::Interrupted, "{:?}", failure.error),
        }
    }
}

/// What a gateway finds: what each uplink misses, whether a new epoch began, and whether something was set aside.
#[derive(Debug)]
struct Found {
    missed: Vec<(String, u64)>,
    new_epoch: bool,
    set_aside: usize,
}

fn start(path: &Path, before: &[u64]) -> Found {
    let options = own(path);
    let aside = set_aside(path);
    let (mut store, _) = Store::open(&OpenOptions {
        machine_id: None,
        ..options.clone()
    })
    .unwrap();
    for uplink in store.uplink_ids() {
        let there = readable(&mut store, uplink).len() as u64;
        let account = store.account(uplink);
        let parked = store.parked_positions(uplink).len() as u64;
        assert_eq!(account.stored(), there, "{uplink:?}: {account:?}");
        assert_eq!(account.parked, parked, "{uplink:?}: {account:?}");
        let all = account.gone() + there;
        assert_eq!(account.offered, all, "{uplink:?}: {account:?}");
        // Parked events of which nobody knows any more count once more.
        let most = 2 * EVENTS + PARKED.len() as u64;
        assert!(account.offered <= most, "{uplink:?}: {account:?}");
        for position in store.parked_positions(uplink) {
            store.parked(uplink, position).unwrap();
        }
    }
    let lost = |uplink| store.account(uplink).dropped(DropReason::Damaged);
    let names = ["mes", "scada"].into_iter().zip([MES, SCADA]);
    let missed = names.zip(before);
    Found {
        missed: missed
            .map(|((name, uplink), before)| (name.to_owned(), lost(uplink) - before))
            .collect(),
        new_epoch: store.new_epoch().is_some(),
        set_aside: set_aside(path) - aside,
    }
}

/// What lies set aside, generations and files of parked events.
fn set_aside(path: &Path) -> usize {
    let count = |directory: PathBuf| {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let damaged = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("damaged-");
        names.filter(damaged).count()
    };
    count(path.join("store")) + count(path.join("parked/mes"))
}

/// What `repair` makes of it is what was said, too, and good.
fn repaired(path: &Path, said: &Survey, before: &[u64]) {
    let copy = fast_home();
    copy_tree(path, copy.path());
    match Repair::at(copy.path()).run() {
        Ok(()) => {}
        // Another test of this program raises the signal that it is about.
        Err(failure) if failure.exit == Exit::Interrupted => return,
        Err(failure) => panic!("{:?}", failure.error),
    }
    let after = survey(copy.path());
    assert!(
        after.is_good(),
        "{}\nand before it\n{}",
        told(&after),
        told(said)
    );
    let again = start(copy.path(), before);
    let mut missed = said.missed.clone();
    missed.sort();
    if !missed.is_empty() {
        assert_eq!(missed, again.missed, "{}", told(said));
    }
    assert!(!again.new_epoch);
}

fn check(path: &Path, before: &[u64]) {
    let said = survey(path);
    repaired(path, &said, before);
    let again = survey(path);
    assert_eq!(said.missed, again.missed, "looking changes nothing");
    let conf = said.parts.iter().any(|part| part.conf_is_damaged);
    let renews = conf || said.side.is_some();
    let found = start(path, before);
    let nothing = |(name, count): &&(String, u64)| *count > 0 && !name.is_empty();
    let loses = found.missed.iter().any(|it| nothing(&it));
    // Without a whole state and without a side file nobody knows the uplinks: the gateway's settings do.
    let mut missed = said.missed.clone();
    missed.sort();
    if !missed.is_empty() {
        assert_eq!(missed, found.missed, "{:?}", said.new_epoch);
    }
    assert_eq!(
        said.new_epoch.is_some(),
        found.new_epoch,
        "{:?}",
        said.new_epoch
    );
    let finds = loses || found.new_epoch || found.set_aside > 0;
    assert_eq!(
        !said.is_good(),
        finds || renews,
        "{found:?}, renews: {renews}"
    );
    let broken = |part: &&super::survey::Part| matches!(part.state, State::Broken(_));
    let broken = said.parts.iter().filter(broken).count();
    let files: u64 = said.parked.iter().map(|harm| harm.damaged).sum();
    assert_eq!(
        broken as u64 + files,
        found.set_aside as u64,
        "{}",
        told(&said)
    );
    let after = survey(path);
    assert!(
        after.is_good(),
        "a start has made it good, but for {}",
        told(&after)
    );
}

/// What a survey says, for whoever looks for the reason.
fn told(survey: &Survey) -> String {
    let part = |part: &super::survey::Part| {
        let (name, state) = (part.name, &part.state);
        format!("{name} {state:?} {} of {}\n", part.lost, part.records)
    };
    let parts: String = survey.parts.iter().map(part).collect();
    let Survey {
        missing, parked, ..
    } = survey;
    let (epoch, side) = (survey.new_epoch, survey.side);
    format!("{missing:?} {parked:?} {epoch:?} {side:?}\n{parts}")
}

#[test]
fn verify_tells_what_the_gateway_finds() {
    let homes = [false, true].map(|lean| {
        let home = fast_home();
        build(home.path(), lean);
        home
    });
    let before = homes.each_ref().map(|home| {
        assert!(survey(home.path()).is_good());
        let store = Store::open(&OpenOptions {
            machine_id: None,
            ..own(home.path())
        });
        let store = store.unwrap().0;
        let dropped = |uplink| store.account(uplink).dropped(DropReason::Damaged);
        [MES, SCADA].map(dropped)
    });
    // Without any generation, too, nobody was offered more than there was.
    for (home, before) in homes.iter().zip(&before) {
        let copy = fast_home();
        copy_tree(home.path(), copy.path());
        for gone in generations(copy.path()) {
            std::fs::remove_dir_all(gone).unwrap();
        }
        check(copy.path(), before);
        let store = Store::open(&own(copy.path())).unwrap().0;
        let offered = [MES, SCADA].map(|uplink| store.account(uplink).offered);
        assert_eq!(offered, [2 * EVENTS; 2]);
    }
    for seed in trials(60) {
        println!("MILLGATE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let nth = random.usize(0..2);
        let copy = fast_home();
        copy_tree(homes[nth].path(), copy.path());
        for _ in 0..random.u8(1..4) {
            if !generations(copy.path()).is_empty() {
                println!("  {}", damage(copy.path(), &mut random));
            }
        }
        check(copy.path(), &before[nth]);
    }
}

/// A rewritten part is gone, of which everything that waited was evicted, and another part cannot be read: the loss is that
/// one's, not of what was evicted.
#[test]
fn what_was_evicted_before_its_part_went_is_not_taken_for_what_another_part_lost() {
    let home = fast_home();
    build(home.path(), true);
    let store = Store::open(&OpenOptions {
        machine_id: None,
        ..own(home.path())
    });
    let store = store.unwrap().0;
    let dropped = |uplink| store.account(uplink).dropped(DropReason::Damaged);
    let before = [MES, SCADA].map(dropped);
    drop(store);
    let all = generations(home.path());
    let is_lean = |path: &PathBuf| path.to_string_lossy().ends_with("-lasting");
    let mut tried = 0;
    for gone in 1..all.len() - 1 {
        for spoilt in (0..all.len() - 1).filter(|it| *it != gone && it + 1 != gone) {
            if !is_lean(&all[gone]) {
                continue;
            }
            tried += 1;
            println!(
                "{} gone, {} spoilt",
                all[gone].display(),
                all[spoilt].display()
            );
            let copy = fast_home();
            copy_tree(home.path(), copy.path());
            let there = generations(copy.path());
            std::fs::remove_dir_all(&there[gone]).unwrap();
            std::fs::write(there[spoilt].join("db"), []).unwrap();
            check(copy.path(), &before);
        }
    }
    assert!(tried > 10, "{tried}");
}
