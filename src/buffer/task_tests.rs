//! The buffer's task: what is committed when, who hears of it, how it stops.

use super::super::testing::{completed, options, payload, quiet, render};
use super::*;
use crate::buffer::Settled;
use crate::model::Event;
use std::path::Path;
use std::thread::JoinHandle;

struct Running {
    turns: mpsc::Sender<Turn>,
    outlets: Vec<Outlet>,
    task: JoinHandle<Result<Stopped, StoreError>>,
}

fn start(path: &Path, uplinks: &[&str], grace: Duration) -> Running {
    let (store, _) = Store::open(&options(path, uplinks)).unwrap();
    let (outlets, requests, durable) = outlets(&store);
    let (turns, receiver) = mpsc::channel(TURNS);
    let task = std::thread::spawn(move || {
        let clock = Clock::system();
        let stop = CancellationToken::new();
        let task = Task::new(store, durable, &render, &clock, stop);
        run_with(task, receiver, requests, grace)
    });
    Running {
        turns,
        outlets,
        task,
    }
}

fn turn(event: Event) -> Turn {
    Turn {
        events: vec![event],
        checkpoint: vec![],
    }
}

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

/// Far longer than anything here takes.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it should have come long ago")
}

#[tokio::test]
async fn events_reach_every_outlet_in_order_and_verdicts_survive() {
    let home = tempfile::tempdir().unwrap();
    let mut running = start(home.path(), &["mes", "scada"], STOP_GRACE);
    for seq in 1..=20 {
        let event = if seq % 3 == 0 {
            completed(seq)
        } else {
            quiet(seq)
        };
        running.turns.send(turn(event)).await.unwrap();
    }
    for outlet in &mut running.outlets {
        let mut after = outlet.cursor();
        while after < at(20) {
            for record in soon(outlet.next(after, 6, 1 << 20)).await.unwrap() {
                assert_eq!(record.position.seq, after.seq + 1);
                assert_eq!(record.payload, payload(record.position));
                after = record.position;
            }
        }
    }
    running.outlets[0]
        .settle(Settled::delivered(at(0), at(20)))
        .await
        .unwrap();
    running.outlets[1]
        .settle(Settled::delivered(at(0), at(5)))
        .await
        .unwrap();
    drop(running.turns);
    drop(running.outlets);
    let stopped = running.task.join().unwrap().unwrap();
    assert_eq!(stopped.last, at(20));
    let stored: Vec<u64> = stopped.accounts.iter().map(Account::stored).collect();
    assert_eq!(stored, [0, 15]);

    let (store, restored) = Store::open(&options(home.path(), &["mes", "scada"])).unwrap();
    assert_eq!(restored.next, at(21));
    assert_eq!(store.cursor(UplinkId(0)), at(20));
    assert_eq!(store.account(UplinkId(1)).stored(), 15);
}

#[tokio::test]
async fn a_quiet_event_is_committed_without_anything_else_happening() {
    let home = tempfile::tempdir().unwrap();
    let mut running = start(home.path(), &["mes"], STOP_GRACE);
    running.turns.send(turn(quiet(1))).await.unwrap();
    let records = soon(running.outlets[0].next(at(0), 9, 9)).await.unwrap();
    assert_eq!(records.len(), 1);
}

#[tokio::test]
async fn the_grace_ends_although_an_outlet_stays() {
    let home = tempfile::tempdir().unwrap();
    let mut running = start(home.path(), &["mes"], Duration::ZERO);
    running.turns.send(turn(quiet(1))).await.unwrap();
    drop(running.turns);
    let stopped = running.task.join().unwrap().unwrap();
    assert_eq!(stopped.accounts[0].stored(), 1);
    let closed = soon(running.outlets[0].next(at(1), 9, 9)).await;
    assert_eq!(closed, Err(super::super::Closed));
}

#[tokio::test]
async fn an_error_of_the_store_ends_the_task() {
    let home = tempfile::tempdir().unwrap();
    let running = start(home.path(), &["mes"], STOP_GRACE);
    running.turns.send(turn(completed(7))).await.unwrap();
    let result = running.task.join().unwrap();
    assert!(matches!(result, Err(StoreError::Sequence { .. })));
    assert!(running.turns.send(turn(completed(1))).await.is_err());
}
