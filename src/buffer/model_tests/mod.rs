//! The store against a plain list: random appends, verdicts, readings, parking, uplinks that come and go, stops, kills, power
//! cuts, cuts between any two calls, broken and full disks, with generations and quotas so small that they rotate and evict all
//! the time.
//!
//! `place` is where the store lies, `expected` the list, `uplink` one uplink in it; `trial` plays, `steps` and `parking` are what. Seeds are printed when a trial fails;
//! `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` draws so many others.

mod every_call;
mod expected;
mod parking;
mod place;
mod steps;
mod trial;
mod uplink;

use super::testing::trials;
use place::Place;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use trial::Trial;

/// Sequences on the log engine over the disk in memory: in CI, and at a desk, where they take some seconds.
const LOG_TRIALS: [usize; 2] = [100_000, 5_000];
/// Sequences on sled over real files.
const SLED_TRIALS: usize = 1_000;

/// Steps of a sequence, as its seed says: a kill or a power cut comes every eighth of them or so, a fault as often.
const STEPS: RangeInclusive<u64> = 4..=20;
/// The same on sled, where an open takes its time.
const SLED_STEPS: RangeInclusive<u64> = 4..=16;

fn play(seed: u64, steps: RangeInclusive<u64>, place: Place) {
    let mut trial = Trial::new(seed, place);
    let count = steps.start() + seed % (steps.end() - steps.start() + 1);
    for _ in 0..count {
        trial.step();
    }
    trial.finish();
}

/// Plays each seed, on all cores, until one fails.
fn play_all(seeds: Vec<u64>, steps: RangeInclusive<u64>, place: impl Fn(u64) -> Place + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (left, failed) = (Mutex::new(seeds), Mutex::new(None));
    let next = || match *failed.lock().unwrap() {
        None => left.lock().unwrap().pop(),
        Some(_) => None,
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let one = AssertUnwindSafe(|| play(seed, steps.clone(), place(seed)));
                    if catch_unwind(one).is_err() {
                        *failed.lock().unwrap() = Some(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert_eq!(failed, None, "replay it with MILLGATE_SEED");
}

#[test]
fn a_store_behaves_like_a_list_through_whatever_a_disk_may_do() {
    let [in_ci, else_where] = LOG_TRIALS;
    let usual = if std::env::var_os("CI").is_some() {
        in_ci
    } else {
        else_where
    };
    play_all(trials(usual), STEPS, Place::memory);
}

#[test]
fn a_store_on_sled_behaves_like_a_list_through_kills_and_power_cuts() {
    play_all(trials(SLED_TRIALS), SLED_STEPS, |_| Place::files());
}
