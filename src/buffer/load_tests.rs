//! How often the disk is asked: the rule of the group commit over a store, event by event as a plant makes them, in virtual
//! time. Flash wears by the commit: at most two a second at one event a second, and at the design load no more than the
//! events that must not wait, and five for all others.

use super::Store;
use super::commit::{CommitRule, Weight};
use super::disk::memory::Memory;
use super::engine::Medium;
use super::testing::{completed, done, options, quiet, render};
use crate::health::BufferHealth;
use crate::model::{BootTime, CheckpointEntry, Stamp, Turn, UplinkId};
use fastrand::Rng;
use std::path::Path;
use std::sync::Arc;

const SECONDS: i64 = 120;
/// Commits a second that quiet events, checkpoints and cursors cost at the most: one in 200 ms.
const QUIET_COMMITS: usize = 5;

/// What arrives at the buffer's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Urgent,
    Quiet,
    Checkpoint,
    /// The destination has everything.
    Verdict,
}

/// Plays arrivals at their milliseconds, as the task does; the second of each commit that was made.
fn commits(mut arrivals: Vec<(i64, Arrival)>) -> Vec<i64> {
    arrivals.sort_by_key(|(ms, _)| *ms);
    let health = Arc::new(BufferHealth::default());
    let options = super::OpenOptions {
        generation_bytes: 1 << 20,
        health: health.clone(),
        medium: Medium::log(Arc::new(Memory::new(1))),
        ..options(Path::new("/box"), &["mes"])
    };
    let mut store = Store::open(&options).unwrap().0;
    let before = health.commits.get();
    let (mut rule, mut waiting, mut made) = (CommitRule::default(), Vec::new(), Vec::new());
    let mut next = 1;
    for (ms, arrival) in arrivals {
        let now = BootTime(ms * 1_000_000);
        while let Some(due) = rule.wake().filter(|due| *due < now) {
            flush(&mut store, &mut waiting, due);
            rule.committed(due);
            made.push(due.0 / 1_000_000_000);
        }
        let mut turn = Turn {
            events: Vec::new(),
            checkpoint: Vec::new(),
        };
        match arrival {
            Arrival::Urgent => turn.events.push(completed(next)),
            Arrival::Quiet => turn.events.push(quiet(next)),
            Arrival::Checkpoint => turn.checkpoint.push(CheckpointEntry {
                key: "slot".into(),
                value: Some(ms.to_le_bytes().repeat(500)),
            }),
            Arrival::Verdict => {
                let last = store.last();
                if done(&mut store, UplinkId(0), last).unwrap() {
                    rule.cursor(now);
                }
                continue;
            }
        }
        next += turn.events.len() as u64;
        rule.turn(Weight::of(&turn), now);
        waiting.push(turn);
    }
    // What the store counts are the commits that were asked for, and those of the rotations.
    let counted = usize::try_from(health.commits.get() - before).unwrap();
    assert!(
        counted <= made.len() + made.len() / 20,
        "{counted} of {}",
        made.len()
    );
    assert_eq!(
        store.last().seq + waiting.iter().map(|it| it.events.len() as u64).sum::<u64>(),
        next - 1
    );
    made
}

fn flush(store: &mut Store, waiting: &mut Vec<Turn>, now: BootTime) {
    let now = Stamp {
        boot: now,
        ..Stamp::default()
    };
    if waiting.is_empty() {
        store.commit_progress().unwrap();
    } else {
        store.commit(waiting, now, &render).unwrap();
        waiting.clear();
    }
}

/// The most in any one second.
fn most(of: &[i64]) -> usize {
    let count = |second: i64| of.iter().filter(|at| **at == second).count();
    (0..=SECONDS).map(count).max().unwrap_or(0)
}

/// One event a second, an operation that ends every other second, its verdicts at any moment, a checkpoint every five.
#[test]
fn an_event_a_second_needs_at_most_two_commits_a_second() {
    for seed in super::testing::trials(20) {
        println!("MILLGATE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let mut arrivals = Vec::new();
        for second in 0..SECONDS {
            let event = [Arrival::Quiet, Arrival::Urgent][usize::try_from(second % 2).unwrap()];
            let at = second * 1_000 + random.i64(0..100);
            arrivals.push((at, event));
            arrivals.push((at + random.i64(5..900), Arrival::Verdict));
            if second % 5 == 0 {
                arrivals.push((second * 1_000 + random.i64(0..1_000), Arrival::Checkpoint));
            }
        }
        let made = commits(arrivals).len();
        let seconds = usize::try_from(SECONDS).unwrap();
        assert!(made <= 2 * seconds, "{made} commits in {seconds} s");
        assert!(
            made >= seconds,
            "each event is committed within its second: {made}"
        );
    }
}

/// Ten events a second at any moment, three of them of operations: those are on the disk at once, all others share commits.
#[test]
fn the_design_load_commits_what_is_urgent_at_once_and_all_else_together() {
    const URGENT: usize = 3;
    const QUIET: usize = 7;
    for seed in super::testing::trials(20) {
        println!("MILLGATE_SEED={seed}");
        let mut random = Rng::with_seed(seed);
        let (mut arrivals, mut urgent) = (Vec::new(), Vec::new());
        for second in 0..SECONDS {
            for nth in 0..URGENT + QUIET {
                let at = second * 1_000 + random.i64(0..1_000);
                let kind = if nth < URGENT {
                    urgent.push(second);
                    Arrival::Urgent
                } else {
                    Arrival::Quiet
                };
                arrivals.push((at, kind));
                arrivals.push((at + random.i64(5..900), Arrival::Verdict));
            }
            if second % 5 == 0 {
                arrivals.push((second * 1_000 + random.i64(0..1_000), Arrival::Checkpoint));
            }
        }
        let made = commits(arrivals);
        let seconds = usize::try_from(SECONDS).unwrap();
        let sustained = made.len() / seconds;
        println!("{} commits in {seconds} s", made.len());
        assert!(sustained <= URGENT + QUIET_COMMITS, "{sustained} a second");
        assert!(
            most(&made) <= most(&urgent) + QUIET_COMMITS,
            "{}",
            most(&made)
        );
        assert!(
            made.len() < seconds * (URGENT + QUIET),
            "none is shared: {}",
            made.len()
        );
    }
}
