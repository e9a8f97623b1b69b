//! Durable append: batches of 1, 10 and 100 events of 2 KB into the store, against the plain log under the same store and
//! against a bare file with `fdatasync`, in turns in the same run, so that the ratios say something on any machine.
//! `cargo bench --bench append`
//!
//! sled hands each commit to threads of its own and waits for `sync_file_range` before the barrier: some 0.1 to 0.3 ms that
//! count where the disk's barrier takes 0.1 ms, and vanish where it takes as long as flash does.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints its table and may panic"
)]

mod stores;

use millgate::buffer::disk::Files;
use millgate::buffer::engine::Medium;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stores::{Filler, Payload, noise, realistic};

const EVENT_BYTES: usize = 2_048;
/// Turns of the contenders; the median of their times counts.
const ROUNDS: usize = 60;
/// Commits in one turn.
const COMMITS: u64 = 5;

/// Appends the same bytes to a plain file.
fn bare(file: &mut File, payload: Payload, round: usize, batch: u64) -> Duration {
    let first = round as u64 * COMMITS * batch;
    let batches: Vec<Vec<u8>> = (0..COMMITS)
        .map(|commit| {
            let seqs = first + commit * batch..first + (commit + 1) * batch;
            seqs.flat_map(|seq| payload(seq, EVENT_BYTES)).collect()
        })
        .collect();
    let start = Instant::now();
    for bytes in &batches {
        file.write_all(bytes).unwrap();
        file.sync_data().unwrap();
    }
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2] / u32::try_from(COMMITS).unwrap()
}

fn main() {
    println!("Durable append of events of 2 KB. Goal: at least 1.00 x the plain log at batch 10.");
    println!(
        "payload    batch   store/commit  plain log/commit  bare file/commit   log : store   bare : store   events/s"
    );
    for (name, payload) in [("realistic", realistic as Payload), ("noise", noise)] {
        for batch in [1, 10, 100] {
            let homes = [(); 3].map(|()| tempfile::tempdir_in("target").unwrap());
            let log = Medium::log(Arc::new(Files));
            let mut store = Filler::open(homes[0].path(), Medium::sled(), payload, EVENT_BYTES);
            let mut plain = Filler::open(homes[1].path(), log, payload, EVENT_BYTES);
            let mut file = File::create(homes[2].path().join("bare")).unwrap();
            let mut times: [Vec<Duration>; 3] = Default::default();
            for round in 0..ROUNDS {
                times[0].push(store.commit(COMMITS, batch, None));
                store.settle();
                times[1].push(plain.commit(COMMITS, batch, None));
                plain.settle();
                times[2].push(bare(&mut file, payload, round, batch));
            }
            let [store, plain, bare] = times.map(median);
            println!(
                "{name:<10} {batch:>5} {store:>14.1?} {plain:>17.1?} {bare:>17.1?} {:>11.2} x {:>12.2} x {:>10.0}",
                plain.as_secs_f64() / store.as_secs_f64(),
                bare.as_secs_f64() / store.as_secs_f64(),
                batch as f64 / store.as_secs_f64()
            );
        }
    }
}
