//! The same work as under the power cuts, under SIGKILL: a child is killed at a random moment of a random step, also while it
//! parks, rewrites, removes or opens, and what it left is judged as a cut is. Nothing but the process goes: what was written
//! stays, so that also what was said last is there.

use super::super::DIRECTORY;
use super::super::refusals::child;
use super::device::{FILE_SYSTEM, MARKED, Mark, SECTOR, tell_marks_in};
use super::store::{BEGUN, DONE, SEED, STEPS, VERDICT, WHOLE};
use fastrand::Rng;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Beside the two hundred of `buffer::kill`, which do less and are quicker.
const KILLS: u64 = 24;
/// A kill comes before the child has done so many steps.
const MOST_STEPS: u64 = 300;
const WITHIN: Duration = Duration::from_secs(120);

/// The last step that was begun, and the last that was done.
fn marks(file: &std::fs::File) -> (Option<u64>, Option<u64>) {
    let (mut begun, mut done) = (None, None);
    let mut bytes = vec![0; MARKED];
    file.read_exact_at(&mut bytes, FILE_SYSTEM as u64).unwrap();
    for sector in bytes.chunks(SECTOR) {
        match Mark::parse(sector) {
            // The mark of an end takes the place of that of its beginning.
            Some(Mark::Begun(step)) => begun = begun.max(Some(step)),
            Some(Mark::Done(step)) => (begun, done) = (begun.max(Some(step)), done.max(Some(step))),
            None => {}
        }
    }
    (begun, done)
}

fn kill_and_judge(home: &Path, seed: u64, random: &mut Rng) -> String {
    let store = home.join("box");
    std::fs::create_dir(&store).unwrap();
    let file = std::fs::File::create_new(home.join("marks")).unwrap();
    file.set_len((FILE_SYSTEM + MARKED) as u64).unwrap();
    let file = std::fs::File::open(home.join("marks")).unwrap();
    let line = child("cutbox::store::workload");
    let mut workload = Command::new(&line[0]);
    workload
        .args(&line[1..])
        .env(DIRECTORY, &store)
        .env(SEED, seed.to_string())
        .env(STEPS, (2 * MOST_STEPS).to_string())
        .stdout(Stdio::null());
    tell_marks_in(&mut workload, &home.join("marks"));
    let mut workload = workload.spawn().unwrap();
    let enough = random.u64(0..MOST_STEPS);
    let until = Instant::now() + WITHIN;
    while marks(&file).1.is_none_or(|done| done < enough) {
        assert!(workload.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(Instant::now() < until, "it hangs");
        std::thread::yield_now();
    }
    let moment = Instant::now() + Duration::from_micros(random.u64(0..5_000));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    workload.kill().unwrap();
    workload.wait().unwrap();
    let (begun, done) = marks(&file);
    let line = child("cutbox::store::judge");
    let mut judge = Command::new(&line[0]);
    judge
        .args(&line[1..])
        .env(DIRECTORY, &store)
        .env(SEED, seed.to_string())
        .env(BEGUN, begun.unwrap().to_string())
        .env(DONE, done.unwrap().to_string());
    let output = judge.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = said.lines().find_map(|line| line.strip_prefix(VERDICT));
    println!("seed {seed}: killed in step {begun:?}: {verdict:?}");
    verdict.map_or_else(|| said.clone().into_owned(), str::to_owned)
}

#[test]
fn no_kill_costs_what_was_parked_settled_or_not_evicted() {
    let first = std::env::var("MILLGATE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let first: u64 = first.unwrap_or_else(|| fastrand::u64(..1 << 60));
    let mut random = Rng::with_seed(first);
    for nth in 0..KILLS {
        // On a real disk, where the marks can be written past the cache.
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let verdict = kill_and_judge(home.path(), first + nth, &mut random);
        assert_eq!(verdict, WHOLE, "seed {}", first + nth);
    }
}
