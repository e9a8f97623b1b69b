//! The store against a plain list: random appends, verdicts, readings, uplinks that come and go, stops, kills, power cuts,
//! cuts between any two calls, broken and full disks, with generations so small that they rotate all the time.
//!
//! `place` is where the store lies, `expected` the list, `trial` plays. Seeds are printed when a trial fails;
//! `MILLGATE_SEED` replays one, `MILLGATE_TRIALS` runs more.

mod every_call;
mod expected;
mod place;
mod trial;

use super::testing::trials;
use place::Place;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use trial::Trial;

/// Sequences on the log engine over the disk in memory.
const LOG_TRIALS: usize = 100_000;
/// Sequences on sled over real files.
const SLED_TRIALS: usize = 1_000;

fn play(seeds: Vec<u64>, steps: u32, place: impl Fn(u64) -> Place) {
    for seed in seeds {
        let one = AssertUnwindSafe(|| {
            let mut trial = Trial::new(seed, place(seed));
            for _ in 0..steps {
                trial.step();
            }
            trial.finish();
        });
        if let Err(panic) = catch_unwind(one) {
            println!("MILLGATE_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

#[test]
fn a_store_behaves_like_a_list_through_whatever_a_disk_may_do() {
    play(trials(LOG_TRIALS), 24, Place::memory);
}

#[test]
fn a_store_on_sled_behaves_like_a_list_through_kills_and_power_cuts() {
    play(trials(SLED_TRIALS), 10, |_| Place::files());
}
