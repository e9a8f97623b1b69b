//! The power-cut test. A store works on a disk that logs its writes and flushes; then, for hundreds of moments, the disk is
//! made again as a power cut at that moment could have left it, and the store on it is judged by what it had told. A
//! store without the barrier must lose events in this box, or the box would prove nothing.

mod device;
mod log;
mod plan;
mod replay;
mod store;

use super::DIRECTORY;
use super::refusals::{child, forbidden, installed, works};
use device::Recorder;
use fastrand::Rng;
use log::{Cut, Log};
use replay::Tally;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Cuts of a test run; `CUTS` says another number.
const USUAL_CUTS: usize = 500;
/// Cuts of the store without the barrier.
const CONTROL_CUTS: usize = 100;
/// Steps of one workload. More cuts than these give come from further workloads.
const WORKLOAD_STEPS: u64 = 400;
const CUTS: &str = "CUTS";
const SEED: &str = "MILLGATE_SEED";
const CONTROL: &str = "CUTBOX_CONTROL";
/// What a script needs: name spaces, and the devices.
const TRIAL: &str =
    "mount -t tmpfs none \"$0\" && exec 3<>/dev/fuse 4<>/dev/loop-control && losetup --find";

/// What came of a box.
#[derive(Debug)]
struct Report {
    cuts: usize,
    harmed: usize,
    /// Those of the harmed in which something accepted is not there any more.
    lost: usize,
}

fn count(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// Whether the machine has and allows what a box needs.
fn possible() -> bool {
    // First what needs root: the others may be out of sight to whoever is not.
    works("unshare", &["--mount", "--pid", "--fork"])
        && ["mkfs.ext4", "losetup", "qemu-storage-daemon"]
            .iter()
            .all(|tool| installed(tool))
        && works("timeout", &["9"])
        && works("strace", &["-qq", "-o", "/dev/null"])
        && allowed()
}

fn allowed() -> bool {
    let home = tempfile::tempdir().unwrap();
    let output = apart()
        .args(["sh", "-ec", TRIAL])
        .arg(home.path())
        .output()
        .unwrap();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        forbidden(&format!(
            "power cuts: mounts, FUSE and loop devices, as root ({})",
            errors.trim()
        ));
    }
    output.status.success()
}

/// A command line for name spaces of its own. What is started, mounted and attached in them ends with them, however the
/// box ends.
fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child"]);
    command
}

/// Runs a box in a process of its own.
fn run(cuts: usize, control: bool) -> Report {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let home = tempfile::tempdir().unwrap();
    let line = child("cutbox::the_box");
    let mut command = apart();
    command
        .args(line)
        .env(DIRECTORY, home.path())
        .env(SEED, seed.to_string())
        .env(CUTS, cuts.to_string());
    if control {
        command.env(CONTROL, "1");
    }
    println!("seed {seed}");
    let start = Instant::now();
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let took = start.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "the box failed, {}", output.status);
    let found = |name: &str| -> usize {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    let report = Report {
        cuts: found("cuts: "),
        harmed: found("harmed: "),
        lost: found("lost: "),
    };
    let kind = if control {
        "without the barrier"
    } else {
        "with the barrier"
    };
    println!(
        "cutbox: {kind}: {} cuts in {took:.1?}, {} stores harmed, {} with events lost",
        report.cuts, report.harmed, report.lost
    );
    report
}

/// Records workloads and takes cuts until there are enough.
#[test]
#[ignore = "a child of the tests below"]
fn the_box() {
    let home = std::env::var_os(DIRECTORY).unwrap();
    let home = Path::new(&home);
    device::tell(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=90%", "none"])
            .arg(home),
    );
    let (wanted, first_seed) = (
        count(CUTS).unwrap(),
        std::env::var(SEED).unwrap().parse::<u64>().unwrap(),
    );
    let mut whole = Tally::default();
    let mut lost = 0;
    for round in 0.. {
        let seed = first_seed.wrapping_add(round);
        let room = home.join(format!("round-{round}"));
        std::fs::create_dir(&room).unwrap();
        let tally = take_round(&room, seed, wanted - whole.cuts);
        for (cut, verdict) in &tally.harmed {
            println!("harm: seed {seed}, {cut:?}: {verdict}");
            lost += usize::from(verdict.starts_with(store::LOST));
        }
        whole.cuts += tally.cuts;
        whole.harmed.extend(tally.harmed);
        if whole.cuts >= wanted {
            break;
        }
    }
    println!(
        "\ncuts: {}\nharmed: {}\nlost: {lost}",
        whole.cuts,
        whole.harmed.len()
    );
}

fn take_round(room: &Path, seed: u64, wanted: usize) -> Tally {
    let start = Instant::now();
    let log = record(room, seed);
    println!(
        "\nseed {seed}: {} entries in {:.1?}",
        log.len(),
        start.elapsed()
    );
    let mut random = Rng::with_seed(seed);
    let mut cuts = log.cuts(&mut random);
    random.shuffle(&mut cuts);
    cuts.truncate(wanted);
    cuts.sort_unstable_by_key(|cut: &Cut| cut.entries);
    let disks = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    replay::take(room, &log, &cuts, seed, disks)
}

/// Runs a workload on a recording disk.
fn record(room: &Path, seed: u64) -> Log {
    let recorder = Recorder::start(room);
    let mut line = child("cutbox::store::workload");
    if std::env::var_os(CONTROL).is_some() {
        // sled alone: it flushes by sync_file_range, and nothing follows.
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf"];
        let fault = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:retval=0"];
        line.splice(0..0, strace.into_iter().chain(fault).map(str::to_owned));
    }
    let mut workload = Command::new(&line[0]);
    workload
        .args(&line[1..])
        .env(DIRECTORY, recorder.mounted())
        .env(store::SEED, seed.to_string())
        .env(store::STEPS, WORKLOAD_STEPS.to_string());
    recorder.tell_marks(&mut workload);
    device::tell(&mut workload);
    let (base, file): (Vec<u8>, File) = recorder.stop();
    Log::read(base, &file)
}

#[test]
fn no_power_cut_costs_an_accepted_event() {
    if !possible() {
        return;
    }
    let cuts = count(CUTS).unwrap_or(USUAL_CUTS);
    let report = run(cuts, false);
    assert_eq!((report.cuts, report.harmed), (cuts, 0));
}

/// The box would show a loss: sled's own flush is none that a power cut respects.
#[test]
fn without_the_barrier_power_cuts_cost_events() {
    if !possible() {
        return;
    }
    let report = run(CONTROL_CUTS, true);
    assert_eq!(report.cuts, CONTROL_CUTS);
    assert!(report.lost > 0, "{report:?}");
}
