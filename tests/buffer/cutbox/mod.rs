//! The power-cut test. A store works on a disk that logs its writes and flushes; then, for hundreds of moments, the disk is
//! made again as a power cut at that moment could have left it, and the store on it is judged by what it had told. A
//! store without the barrier must lose events in this box, or the box would prove nothing.

mod device;
mod log;
mod plan;
mod replay;
mod rounds;
mod store;

use super::DIRECTORY;
use super::refusals::{child, forbidden, installed, works};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Cuts of a test run; `CUTS` says another number.
const USUAL_CUTS: usize = 500;
/// Cuts of the store without the barrier.
const CONTROL_CUTS: usize = 100;
const CUTS: &str = "CUTS";
const SEED: &str = "MILLGATE_SEED";
const APART: [&str; 4] = ["--mount", "--pid", "--fork", "--kill-child"];
/// Set for a box whose store has no barrier.
const CONTROL: &str = "CUTBOX_CONTROL";
/// A verdict that begins so says that something accepted is not there any more.
const LOST: &str = "lost";
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
    works("unshare", &APART)
        && installed("setpriv")
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
/// box or its test ends.
fn apart() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]).args(APART);
    command
}

/// Runs a box in a process of its own.
fn run(cuts: usize, control: bool) -> Report {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let home = tempfile::tempdir().unwrap();
    let line = child("cutbox::rounds::the_box");
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
