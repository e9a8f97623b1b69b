//! What happens in the box: workloads are recorded and cut until there are enough cuts. Some cuts are followed by a
//! second one, while the store recovers from the first.

use super::super::DIRECTORY;
use super::super::refusals::child;
use super::device::{Recorder, fresh, tell};
use super::log::{Cut, Log, Told};
use super::replay::{Case, Tally};
use super::{CONTROL, CUTS, LOST, SEED, store};
use fastrand::Rng;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Steps of one workload.
const STEPS: u64 = 400;
/// Cuts of one workload at the most; more of them come from further workloads. There are always two: every second store is
/// so small that it evicts.
const ROUND_CUTS: usize = 2_000;
/// One cut in so many is the second one.
const AGAIN: usize = 5;
/// Second cuts after the same first one.
const AGAIN_EACH: usize = 20;
const MAX_DISKS: usize = 8;

/// Takes the cuts that it is told to, and says what came of them.
#[test]
#[ignore = "a child of the tests in mod.rs"]
fn the_box() {
    let home = std::env::var_os(DIRECTORY).unwrap();
    let home = Path::new(&home);
    let mut mount = Command::new("mount");
    tell(
        mount
            .args(["-t", "tmpfs", "-o", "size=90%", "none"])
            .arg(home),
    );
    let number = |name| std::env::var(name).unwrap().parse().unwrap();
    let (wanted, first_seed): (u64, u64) = (number(CUTS), number(SEED));
    let wanted = usize::try_from(wanted).unwrap();
    let (mut cuts, mut harmed, mut lost) = (0, 0, 0);
    for round in 0.. {
        let room = tempfile::tempdir_in(home).unwrap();
        let mut round = Round {
            room: room.path(),
            seed: first_seed.wrapping_add(round),
            random: Rng::with_seed(first_seed ^ round),
            tally: Tally::default(),
            lost: 0,
        };
        round.run(ROUND_CUTS.min(wanted.div_ceil(2)).min(wanted - cuts));
        cuts += round.tally.cuts;
        harmed += round.tally.harmed.len();
        lost += round.lost;
        if cuts >= wanted {
            break;
        }
    }
    println!("\ncuts: {cuts}\nharmed: {harmed}\nlost: {lost}");
}

struct Round<'a> {
    room: &'a Path,
    seed: u64,
    random: Rng,
    tally: Tally,
    /// Harmed stores that lost what they had accepted.
    lost: usize,
}

impl Round<'_> {
    /// One workload, and as many cuts as are wanted and it gives.
    fn run(&mut self, wanted: usize) {
        let control = std::env::var_os(CONTROL).is_some();
        let start = Instant::now();
        let log = self.record(control);
        let took = start.elapsed();
        println!("\nseed {}: {} entries in {took:.1?}", self.seed, log.len());
        let again = if control { 0 } else { wanted / AGAIN };
        let case = Case {
            log: &log,
            seed: self.seed,
            first: None,
        };
        let cuts = self.choose(&log, wanted - again);
        self.take(&case, &cuts);
        for _ in 0..again.div_ceil(AGAIN_EACH) {
            let rest = wanted.saturating_sub(self.tally.cuts);
            let home = tempfile::tempdir_in(self.room).unwrap();
            let first = cuts[self.random.usize(..cuts.len())];
            let log = case.record_judge(home.path(), first);
            let cuts = self.choose(&log, rest.min(AGAIN_EACH));
            let again = Case {
                log: &log,
                seed: self.seed,
                first: Some(first),
            };
            self.take(&again, &cuts);
        }
    }

    fn choose(&mut self, log: &Log, wanted: usize) -> Vec<Cut> {
        let mut cuts = log.cuts(&mut self.random);
        self.random.shuffle(&mut cuts);
        cuts.truncate(wanted);
        cuts.sort_unstable_by_key(|cut| cut.entries);
        cuts
    }

    fn take(&mut self, case: &Case<'_>, cuts: &[Cut]) {
        let disks = std::thread::available_parallelism().map_or(1, usize::from);
        let tally = case.take(self.room, cuts, disks.min(MAX_DISKS));
        for (cut, verdict) in &tally.harmed {
            let (seed, first) = (case.seed, case.first);
            println!("\nharm: seed {seed}, {cut:?} after {first:?}: {verdict}");
            self.lost += usize::from(verdict.starts_with(LOST));
        }
        self.tally.cuts += tally.cuts;
        self.tally.harmed.extend(tally.harmed);
    }

    /// Runs a workload on a recording disk.
    fn record(&self, control: bool) -> Log {
        let base = fresh(self.room);
        let home = tempfile::tempdir_in(self.room).unwrap();
        let recorder = Recorder::start(home.path(), &base);
        let mut line = child("cutbox::store::workload");
        if control {
            // sled alone: it flushes by sync_file_range, and nothing follows.
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf"];
            let fault = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:retval=0"];
            line.splice(0..0, strace.into_iter().chain(fault).map(str::to_owned));
        }
        let mut workload = Command::new(&line[0]);
        workload
            .args(&line[1..])
            .env(DIRECTORY, recorder.mounted())
            .env(store::SEED, self.seed.to_string())
            .env(store::STEPS, STEPS.to_string());
        recorder.tell_marks(&mut workload);
        tell(&mut workload);
        Log::read(base, Told::default(), &recorder.stop())
    }
}
