//! A store under SIGKILL: a child appends and settles and says so on a pipe, and is killed at random moments. Whatever it
//! said is true afterwards, in the same epoch, and nothing is there that it did not write.

use super::{DIRECTORY, MES, open, payload, render, turn};
use fastrand::Rng;
use millgate::buffer::Settled;
use millgate::model::{Position, Stamp};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: usize = 30;
const SEED: &str = "MILLGATE_SEED";

/// Appends and settles until it is killed.
#[test]
#[ignore = "the child that the test below kills"]
fn child() {
    let path = std::env::var(DIRECTORY).unwrap();
    let mut random = Rng::with_seed(std::env::var(SEED).unwrap().parse().unwrap());
    let (mut store, restored) = open(Path::new(&path)).unwrap();
    let mut next = restored.next;
    loop {
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
    let enough = random.usize(0..40);
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
    assert_eq!(store.account(MES).stored(), last.seq - after.seq);
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
fn nothing_accepted_is_lost_and_no_verdict_forgotten_through_thirty_kills() {
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
