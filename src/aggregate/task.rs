//! Drives the aggregation in real time: batches in, turns out, and a timer in between.

use super::Aggregate;
use crate::clock::Clock;
use crate::model::{Batch, Stamp, Turn};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most batches applied before their turn is handed on.
const BATCHES_PER_TURN: usize = 64;

/// Runs until `batches` ends, then hands on what is left. Not cancel-safe: dropped, it forgets what it has not handed on.
///
/// `beat` is called at least once a minute while the stage moves.
pub async fn run(
    mut aggregate: Aggregate,
    mut batches: mpsc::Receiver<Batch>,
    turns: mpsc::Sender<Turn>,
    clock: Clock,
    mut beat: impl FnMut(Stamp),
) {
    let mut behind_until = Instant::now();
    loop {
        let now = clock.now();
        beat(now);
        aggregate.set_clock(now, clock.quality());
        // Waiting batches come before timers: a sample may be older than the timer that it cancels.
        let wait = aggregate.next_wakeup().since(now.boot).min(MAX_SLEEP);
        let wait = wait.max(behind_until.saturating_duration_since(Instant::now()));
        let more = tokio::select! {
            biased;
            batch = batches.recv() => match batch {
                Some(batch) => {
                    aggregate.apply(&batch);
                    true
                }
                None => false,
            },
            () = tokio::time::sleep(wait) => {
                aggregate.advance(clock.now());
                true
            }
        };
        for _ in 1..BATCHES_PER_TURN {
            let Ok(batch) = batches.try_recv() else { break };
            aggregate.apply(&batch);
        }
        let turn = if more {
            aggregate.take_turn()
        } else {
            aggregate.last_turn()
        };
        if let Some(turn) = turn {
            let begun = Instant::now();
            if hand_on(&turns, turn, &clock, &mut beat).await.is_none() {
                return;
            }
            if begun.elapsed() >= CATCH_UP {
                behind_until = Instant::now() + CATCH_UP;
            }
        }
        if !more {
            return;
        }
    }
}

/// Hands a turn on, however long there is no room for it: while the disk is full the next stage takes nothing, and this one
/// goes on showing that it is alive. `None` when there is no next stage any more.
async fn hand_on(
    turns: &mpsc::Sender<Turn>,
    turn: Turn,
    clock: &Clock,
    beat: &mut impl FnMut(Stamp),
) -> Option<()> {
    loop {
        match tokio::time::timeout(MAX_SLEEP, turns.reserve()).await {
            Ok(room) => {
                room.ok()?.send(turn);
                return Some(());
            }
            Err(_) => beat(clock.now()),
        }
    }
}

/// Where this stage was held up for longer than this, its timers wait for as long again: what was read meanwhile waits for
/// room before it, and is older than they are.
const CATCH_UP: std::time::Duration = std::time::Duration::from_secs(1);

/// Longest sleep, so that the stage shows that it is alive.
const MAX_SLEEP: std::time::Duration = std::time::Duration::from_secs(5);
