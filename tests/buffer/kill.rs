//! A store under SIGKILL: a child appends and settles and says so on a pipe, and is killed at random moments, or right at a
//! system call of rotation and removal. Whatever it said is true afterwards, in the same epoch, and nothing is there that it
//! did not write.

use super::refusals::{child as command, works};
use super::{DIRECTORY, MES, open, payload, render, turn};
use fastrand::Rng;
use millgate::buffer::Settled;
use millgate::model::{Position, Stamp};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: usize = 200;
/// Commits of a child that nobody kills.
const LAST_COMMIT: usize = 150;
const SEED: &str = "MILLGATE_SEED";

/// Appends and settles until it is killed, or has done enough.
#[test]
#[ignore = "the child that the test below kills"]
fn child() {
    let path = std::env::var(DIRECTORY).unwrap();
    let mut random = Rng::with_seed(std::env::var(SEED).unwrap().parse().unwrap());
    let (mut store, restored) = open(Path::new(&path)).unwrap();
    let mut next = restored.next;
    for _ in 0..LAST_COMMIT {
        let count = random.u64(1..8);
        let last = store
            .commit(&[turn(next, count)], Stamp::default(), &render)
            .unwrap();
        println!("accepted {}", last.seq);
        next.seq += count;
        let cursor = store.cursor(MES);
        if random.u8(0..3) == 0 && cursor < last {
            let up_to = Position {
                seq: random.u64(cursor.seq + 1..=last.seq),
                ..last
            };
            println!("settling {}", up_to.seq);
            let settled = Settled::delivered(cursor, up_to);
            store.settle(MES, &settled).unwrap();
            println!("settled {}", up_to.seq);
        }
    }
}

/// The largest number that followed each word.
#[derive(Debug, Default)]
struct Said {
    accepted: u64,
    settling: u64,
    settled: u64,
}

impl Said {
    fn hear(&mut self, line: &str) -> bool {
        // The test harness talks on the same pipe.
        let Some((word, number)) = line.split_once(' ') else {
            return false;
        };
        let Ok(number) = number.parse() else {
            return false;
        };
        match word {
            "accepted" => self.accepted = number,
            "settling" => self.settling = number,
            "settled" => self.settled = number,
            _ => return false,
        }
        true
    }
}

/// Runs a child on the store and kills it after some lines and some microseconds.
fn run_and_kill(path: &Path, random: &mut Rng, said: &mut Said) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["buffer::kill::child", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, path)
        .env(SEED, random.u64(..).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let enough = random.usize(0..12);
    let mut heard = 0;
    while heard < enough {
        let line = lines.next().expect("the child ended by itself").unwrap();
        heard += usize::from(said.hear(&line));
    }
    let moment = Instant::now() + Duration::from_micros(random.u64(0..3_000));
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        said.hear(&line.unwrap());
    }
}

fn verify(path: &Path, said: &Said) {
    let (mut store, restored) = open(path).unwrap();
    let last = store.last();
    assert_eq!(last.epoch, 1, "{:?}", store.new_epoch());
    assert!(last.seq >= said.accepted, "{last} is the last of {said:?}");
    if last.seq > 0 {
        assert_eq!(restored.checkpoint["last"], last.seq.to_le_bytes());
    }
    let mut after = store.cursor(MES);
    assert!(
        said.settled <= after.seq && after.seq <= said.settling,
        "the cursor is {after} after {said:?}"
    );
    let account = store.account(MES);
    assert_eq!(account.stored(), last.seq - after.seq);
    assert_eq!(account.offered, last.seq, "each event once");
    assert_eq!(account.delivered, after.seq, "each verdict once");
    while after < last {
        let records = store.read(after, 100, 1 << 20).unwrap();
        assert!(!records.is_empty(), "nothing after {after} of {last}");
        for record in records {
            assert_eq!(record.position.seq, after.seq + 1);
            assert_eq!(record.payload, payload(record.position));
            after = record.position;
        }
    }
}

#[test]
fn nothing_accepted_is_lost_and_no_verdict_forgotten_through_two_hundred_kills() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let home = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for kill in 0..KILLS {
        run_and_kill(home.path(), &mut random, &mut said);
        println!("kill {kill}: {said:?}");
        verify(home.path(), &said);
    }
    assert!(said.accepted > 0 && said.settled > 0);
}

/// System calls of commits, rotation and removal, by what strace calls them on any platform.
const CALLS: [&str; 6] = [
    "pwrite64",
    "fdatasync,fsync",
    "?rename,?renameat,?renameat2",
    "?unlink,unlinkat,?rmdir",
    "?mkdir,mkdirat",
    "ftruncate",
];

/// Runs a child that dies at the n-th of these system calls; hears what it said.
fn run_and_kill_at(path: &Path, call: &str, nth: usize, random: &mut Rng, said: &mut Said) {
    let fault = format!("inject={call}:signal=KILL:when={nth}");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &fault])
        .args(command("kill::child"))
        .env(DIRECTORY, path)
        .env(SEED, random.u64(..).to_string())
        .output()
        .unwrap();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        said.hear(line);
    }
}

#[test]
fn a_kill_at_any_system_call_of_rotation_and_removal_loses_nothing() {
    if !works("strace", &["-qq", "-o", "/dev/null"]) {
        return;
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let home = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for round in 0..8 {
        for call in CALLS {
            // The first are those of the start; a child makes some five rotations.
            let nth = match round {
                0..4 => random.usize(1..12),
                _ => random.usize(12..60),
            };
            run_and_kill_at(home.path(), call, nth, &mut random, &mut said);
            println!("{call} {nth}: {said:?}");
            verify(home.path(), &said);
        }
    }
    assert!(said.accepted > 0 && said.settled > 0);
}
