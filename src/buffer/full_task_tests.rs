//! The buffer's task on a disk that is full: it takes nothing, answers, goes on with room, and stops when it is told to.

use super::disk::Disk;
use super::disk::memory::{Memory, Plan};
use super::engine::Medium;
use super::testing::{options, render, turn};
use super::{
    Answered, OpenOptions, Outlet, ParkedState, Parking, Record, Retried, Settled, Stopped, Store,
    StoreError, ToPark, outlets, run,
};
use crate::clock::Clock;
use crate::health::BufferHealth;
use crate::model::{ParkClass, Position, Turn, UplinkId};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Turns that may wait here.
const ROOM: usize = 2;

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

struct Bench {
    disk: Memory,
    options: OpenOptions,
    health: Arc<BufferHealth>,
    turns: mpsc::Sender<Turn>,
    outlet: Outlet,
    stop: CancellationToken,
    task: JoinHandle<Result<Stopped, StoreError>>,
}

impl Bench {
    fn start() -> Bench {
        let disk = Memory::new(1);
        disk.plan(Plan {
            bytes: Some(32 * MIB),
            ..Plan::default()
        });
        let options = OpenOptions {
            medium: Medium::log(Arc::new(disk.clone())),
            ..options(Path::new("/buffer"), &["mes"])
        };
        let (store, _) = Store::open(&options).unwrap();
        let (mut outlets, requests, durable) = outlets(&store);
        let (turns, receiver) = mpsc::channel(ROOM);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = std::thread::spawn(move || {
            let clock = Clock::system();
            run(store, receiver, requests, durable, &render, &clock, stopped)
        });
        Bench {
            disk,
            health: options.health.clone(),
            options,
            turns,
            outlet: outlets.remove(0),
            stop,
            task,
        }
    }

    async fn send(&self, seq: u64, count: u64) {
        self.turns.send(turn(at(seq), count)).await.unwrap();
    }

    /// The next events as numbers.
    async fn read(&mut self, after: u64) -> Vec<u64> {
        let read = self.outlet.next(at(after), 99, 1 << 20);
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        let records = read.expect("it goes on by itself").unwrap();
        records.iter().map(|record| record.position.seq).collect()
    }

    /// Leaves so many bytes free, by a file that is not ours.
    fn leave(&self, free: u64) {
        let other = self.disk.open(Path::new("/other")).unwrap();
        other.set_length(0).unwrap();
        let room = self.disk.space(Path::new("/")).unwrap().free;
        other.set_length(room - free).unwrap();
    }

    async fn until(&self, words: &str, mut what: impl FnMut(&Bench) -> bool) {
        for _ in 0..6_000 {
            if what(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {words}");
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_what_is_delivered_meanwhile_becomes_durable() {
    let mut bench = Bench::start();
    bench.send(1, 2).await;
    assert_eq!(bench.read(0).await, [1, 2]);
    bench.leave(0);
    bench.send(3, 1).await;
    let refusing = |bench: &Bench| bench.health.refusing.now().is_some();
    bench.until("it refuses", refusing).await;
    let why = bench.health.refusing.now().unwrap().why;
    assert!(why.contains("is full"), "{why}");
    // No more than one batch is taken: what comes waits where it is.
    bench.send(4, 1).await;
    bench.send(5, 1).await;
    assert!(bench.turns.try_send(turn(at(6), 1)).is_err());
    let beat = bench.health.pulse.last();
    assert_eq!(bench.read(0).await, [1, 2], "it answers");
    let settled = Settled::delivered(at(0), at(2));
    bench.outlet.settle(settled).await.unwrap();
    let durable = |bench: &Bench| {
        let medium = Medium::log(Arc::new(bench.disk.crash(1)));
        let options = OpenOptions {
            medium,
            health: Arc::default(),
            ..bench.options.clone()
        };
        Store::open(&options).is_ok_and(|(store, _)| store.cursor(UplinkId(0)) == at(2))
    };
    bench.until("the progress is durable", durable).await;
    assert_eq!(bench.health.accepted.get(), 2);
    assert!(bench.health.pulse.last() > beat, "the watchdog is fed");

    bench.leave(16 * MIB);
    let mut read = bench.read(2).await;
    while read.last() != Some(&5) {
        let after = *read.last().unwrap();
        read.extend(bench.read(after).await);
    }
    assert_eq!(read, [3, 4, 5]);
    assert_eq!(bench.health.refusing.now(), None);
    assert_eq!(bench.health.refusing.take_over().unwrap().times, 1);
    drop(bench.turns);
    drop(bench.outlet);
    let stopped = bench.task.join().unwrap().unwrap();
    assert_eq!((stopped.last, stopped.unstored), (at(5), 0));
}

fn to_park(record: Record) -> ToPark {
    ToPark {
        record,
        class: ParkClass::Business,
        state: ParkedState::Rejected,
        attempts: 1,
        since_first: Duration::ZERO,
        answered: Answered::default(),
        wait: Duration::ZERO,
    }
}

#[tokio::test]
async fn parking_and_retries_on_a_full_disk_wait_for_room_and_end_nothing() {
    // More than are removed at once, which takes a commit.
    const PARKED: u64 = 70;
    let mut bench = Bench::start();
    bench.send(1, PARKED + 1).await;
    let records = bench.outlet.next(at(0), 99, 1 << 20).await.unwrap();
    let mut records: Vec<ToPark> = records.into_iter().map(to_park).collect();
    let last = records.pop().unwrap();
    for event in records {
        let (parking, _) = bench.outlet.park(event).await.unwrap();
        assert_eq!(parking, Parking::Done);
    }
    bench.leave(0);
    let (parking, groups) = bench.outlet.park(last.clone()).await.unwrap();
    assert_eq!((parking, groups.len()), (Parking::NoRoom, 1));
    // What the ballast was taken for is used up, too.
    bench
        .outlet
        .settle(Settled::delivered(at(0), at(PARKED)))
        .await
        .unwrap();
    let ballast = |bench: &Bench| bench.disk.used(Path::new("/buffer/store/ballast")).unwrap();
    bench
        .until("the ballast is gone", |bench| ballast(bench) == 0)
        .await;
    bench.leave(0);
    for seq in 1..=PARKED {
        let retried = bench.outlet.retried(at(seq), Retried::Delivered).await;
        retried.unwrap();
    }
    let refusing = |bench: &Bench| bench.health.refusing.now().is_some();
    bench.until("it refuses", refusing).await;
    let (_, groups) = bench.outlet.due_parked().await.unwrap();
    let parked: u64 = groups.iter().map(|group| group.count).sum();
    assert_eq!(parked, 0, "all of them are delivered: {groups:?}");

    bench.leave(16 * MIB);
    bench
        .until("it refuses no more", |bench| !refusing(bench))
        .await;
    let (parking, _) = bench.outlet.park(last).await.unwrap();
    assert_eq!(parking, Parking::Done);
    drop(bench.turns);
    drop(bench.outlet);
    let stopped = bench.task.join().unwrap().unwrap();
    let account = stopped.accounts[0];
    assert_eq!((account.delivered, account.parked), (PARKED, 1));
    assert_eq!((account.offered, account.stored()), (PARKED + 1, 0));
    let mut left = bench.disk.names(Path::new("/buffer/parked/mes")).unwrap();
    left.retain(|name| !name.starts_with('.'));
    assert_eq!(left, [at(PARKED + 1).to_string()]);
}

/// A disk that fails now and then costs an attempt; the uplink has its answer, and events are accepted meanwhile.
#[tokio::test]
async fn a_parked_event_that_the_disk_refuses_is_tried_again() {
    let mut bench = Bench::start();
    bench.send(1, 2).await;
    let mut records = bench.outlet.next(at(0), 99, 1 << 20).await.unwrap();
    assert_eq!(records.len(), 2);
    let record = records.remove(0);
    let mut refused = 0;
    for failing in 1..=4 {
        // One of the calls that make the file and its folder, and not the same each time.
        bench.disk.plan(Plan {
            bytes: Some(32 * MIB),
            broken: vec![bench.disk.calls() + failing],
            ..Plan::default()
        });
        let (parking, _) = bench.outlet.park(to_park(record.clone())).await.unwrap();
        refused += u64::from(parking == Parking::NoRoom);
        if parking == Parking::Done {
            break;
        }
    }
    assert!(refused >= 3, "{refused}");
    bench.disk.plan(Plan {
        bytes: Some(32 * MIB),
        ..Plan::default()
    });
    let (parking, _) = bench.outlet.park(to_park(record)).await.unwrap();
    assert_eq!(parking, Parking::Done);
    bench.send(3, 1).await;
    assert_eq!(bench.read(2).await, [3]);
    drop((bench.turns, bench.outlet));
    let stopped = bench.task.join().unwrap().unwrap();
    let account = stopped.accounts[0];
    assert_eq!(
        (account.offered, account.parked, account.stored()),
        (3, 1, 2)
    );
}

/// Five in a row, as of any other write: then it is for people, and systemd.
#[tokio::test]
async fn a_disk_that_takes_no_parked_event_ends_the_task_after_some_attempts() {
    let mut bench = Bench::start();
    bench.send(1, 1).await;
    let record = bench
        .outlet
        .next(at(0), 9, 1 << 20)
        .await
        .unwrap()
        .remove(0);
    // A file where the folder would be.
    bench.disk.create_dirs(Path::new("/buffer/parked")).unwrap();
    bench.disk.open(Path::new("/buffer/parked/mes")).unwrap();
    for _ in 0..6 {
        let (parking, _) = bench.outlet.park(to_park(record.clone())).await.unwrap();
        assert_eq!(parking, Parking::NoRoom);
    }
    let error = bench.task.join().unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[tokio::test]
async fn a_stop_is_heard_on_a_full_disk_and_counts_what_is_given_up() {
    let mut bench = Bench::start();
    bench.send(1, 2).await;
    assert_eq!(bench.read(0).await, [1, 2]);
    bench.leave(0);
    bench.send(3, 4).await;
    let refusing = |bench: &Bench| bench.health.refusing.now().is_some();
    bench.until("it refuses", refusing).await;
    bench.send(7, 1).await;
    bench.send(8, 1).await;
    bench.stop.cancel();
    // The stages before this one can hand over the rest, and end.
    for seq in 9..20 {
        bench.send(seq, 1).await;
    }
    drop(bench.turns);
    drop(bench.outlet);
    let stopped = bench.task.join().unwrap().unwrap();
    assert_eq!((stopped.last, stopped.unstored), (at(2), 17));
    bench.disk.plan(Plan::default());
    let (store, restored) = Store::open(&bench.options).unwrap();
    assert_eq!((store.new_epoch(), restored.next), (None, at(3)));
}
