//! The power-cut test. A store works on a disk that logs its writes and flushes; then, for hundreds of moments, the disk is
//! made again as a power cut at that moment could have left it, and the store on it is judged by what it had told. It
//! appends, settles, parks, discards, rotates and evicts, and one of its uplinks comes and goes. A
//! store without the barrier must lose events in this box, or the box would prove nothing.

mod books;
mod device;
mod kills;
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
/// One in so many of them costs events at least: a quarter to two thirds do. In a box that shows less, ten thousand cuts
/// without a loss would say little.
const CONTROL_LOSES: usize = 8;
const CUTS: &str = "CUTS";
const SEED: &str = "MILLGATE_SEED";
/// Set for a box whose store has no barrier.
const CONTROL: &str = "CUTBOX_CONTROL";
/// Where disks of harmed stores are kept.
const KEEP: &str = "CUTBOX_KEEP";
/// A verdict that begins so says that something accepted is not there any more.
const LOST: &str = "lost";
/// Does in small what the box does: a loop device, and a file system of FUSE.
const TRIAL: &str = r#"
mount -t tmpfs none "$0"
truncate -s 1M "$0/file"
loop=$(losetup --find --show "$0/file")
losetup --detach "$loop"
mkdir "$0/fuse"
exec 3<>/dev/fuse
mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none "$0/fuse"
"#;

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
    let all = |tools: &[&str]| tools.iter().all(|tool| installed(tool));
    // Programs of root may be out of sight to whoever is not.
    all(&["unshare", "setpriv", "timeout"])
        && allowed("true")
        && all(&["mkfs.ext4", "losetup", "mount", "qemu-storage-daemon"])
        && allowed(TRIAL)
}

fn allowed(script: &str) -> bool {
    let home = tempfile::tempdir().unwrap();
    let mut trial = apart();
    trial.args(["sh", "-ec", script]).arg(home.path());
    let output = trial.output().unwrap();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        forbidden(&format!(
            "power cuts, which need root, mounts, loop devices and FUSE ({})",
            errors.lines().next().unwrap_or_default()
        ));
    }
    output.status.success()
}

/// A command line for name spaces of its own. What is started, mounted and attached in them ends with them, however the
/// box or its test ends.
fn apart() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    command.args(["--mount", "--pid", "--fork", "--kill-child"]);
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
    } else {
        command.env(KEEP, env!("CARGO_TARGET_TMPDIR"));
    }
    println!("seed {seed}");
    let start = Instant::now();
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let took = start.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "the box failed, {}: {text}",
        output.status
    );
    // Not what the harness in the box says: it would be taken for the harness here.
    let said = |line: &&str| line.starts_with("seed ") || line.starts_with("harm: ");
    for line in text.lines().filter(said) {
        println!("{line}");
    }
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
    let kept = env!("CARGO_TARGET_TMPDIR");
    assert_eq!(
        (report.cuts, report.harmed),
        (cuts, 0),
        "some of the disks are in {kept}"
    );
}

/// The box would show a loss: sled's own flush is none that a power cut respects.
#[test]
fn without_the_barrier_power_cuts_cost_events() {
    if !possible() || !works("strace", &["-qq", "-o", "/dev/null"]) {
        return;
    }
    let report = run(CONTROL_CUTS, true);
    assert_eq!(report.cuts, CONTROL_CUTS);
    assert!(report.lost * CONTROL_LOSES >= report.cuts, "{report:?}");
}
