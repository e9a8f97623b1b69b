//! The store in the box, as two children see it: one works on it, one judges what a power cut left of it. What is said to
//! the store, is said here alone.

use super::super::{DIRECTORY, event};
use super::LOST;
use super::device::Marks;
use super::plan::{self, MAX_BATCH, Model, Plan, Step, UPLINKS, is_filtered, payload};
use fastrand::Rng;
use millgate::buffer::engine::Medium;
use millgate::buffer::{Account, Fate, OpenOptions, Quota, Settled, Store, StoreError};
use millgate::health::BufferHealth;
use millgate::model::{
    CheckpointEntry, Envelope, Event, Position, Restored, Stamp, Turn, UplinkId, UtcTime,
};
use millgate::settings::shape::StartAt;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub(super) const SEED: &str = "CUTBOX_SEED";
pub(super) const STEPS: &str = "CUTBOX_STEPS";
/// The last step that was begun, and the last that was done; nothing where there was none.
pub(super) const BEGUN: &str = "CUTBOX_BEGUN";
pub(super) const DONE: &str = "CUTBOX_DONE";
/// Set where another judge may have come before, and may have gone on.
pub(super) const AGAIN: &str = "CUTBOX_AGAIN";
pub(super) const VERDICT: &str = "verdict: ";
pub(super) const WHOLE: &str = "whole";

/// Some thirty events: rotation and removal go on all the time.
const GENERATION_BYTES: u64 = 60_000;
/// The uplink that falls behind.
const SLOW: usize = 1;
/// Events that a judge appends: more than a batch of the workload has, so that both are told apart.
const MORE: u64 = MAX_BATCH + 1;

fn open(path: &Path) -> Result<(Store, Restored), StoreError> {
    Store::open(&OpenOptions {
        path: path.to_owned(),
        generation_bytes: GENERATION_BYTES,
        uplinks: ["mes", "scada"]
            .map(|name| (name.to_owned(), StartAt::Oldest))
            .to_vec(),
        machine_id: None,
        health: Arc::new(BufferHealth::default()),
        quota: Quota::default(),
        medium: Medium::sled(),
    })
}

fn render(event: &Event, _: UtcTime) -> (Envelope, Vec<u8>) {
    let (envelope, _) = super::super::render(event, UtcTime(0));
    (envelope, payload(event.position.seq))
}

fn uplink(index: usize) -> UplinkId {
    UplinkId(u32::try_from(index).unwrap())
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Takes the steps of the seed, and marks on the device when it begins and ends each.
#[test]
#[ignore = "a child of the box"]
fn workload() {
    let path = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let (seed, steps) = (variable(SEED).unwrap(), variable(STEPS).unwrap());
    let mut marks = Marks::from_environment();
    let mut plan = Plan::new(seed);
    let mut store = None;
    let (working, stop) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| write_back(&path, seed, stop));
        for number in 0..steps {
            let before = plan.model().clone();
            let step = plan.step();
            marks.begun(number);
            perform(&mut store, &path, &before, step);
            marks.done(number);
        }
        drop(working);
    });
}

/// Does what the kernel may do at any time: hands pages to the disk that nobody asked it to, and no flush.
fn write_back(path: &Path, seed: u64, stop: mpsc::Receiver<()>) {
    let mut random = Rng::with_seed(seed);
    let mut pause = || Duration::from_micros(random.u64(50..3_000));
    while stop.recv_timeout(pause()) == Err(mpsc::RecvTimeoutError::Timeout) {
        // Files come and go.
        let names = std::fs::read_dir(path.join("store")).into_iter().flatten();
        for path in names.flatten().map(|entry| entry.path()) {
            let path = if path.is_dir() { path.join("db") } else { path };
            if let Ok(file) = File::open(path) {
                posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
            }
        }
    }
}

fn perform(held: &mut Option<Store>, path: &Path, before: &Model, step: Step) {
    if step == Step::Open {
        drop(held.take());
    }
    let store = held.get_or_insert_with(|| {
        let (store, restored) = open(path).unwrap();
        assert_eq!(restored.next.seq, before.last + 1);
        store
    });
    match step {
        Step::Open => {}
        Step::Commit { events, entries } => {
            let turn = turn(store.last(), events, entries);
            store.commit(&[turn], Stamp::default(), &render).unwrap();
            // As the task does behind each commit; a store that is asked for more than was prepared makes the room itself.
            if store.last().seq.is_multiple_of(2) {
                store.prepare();
            }
        }
        Step::Settle {
            uplink: index,
            up_to,
            news,
        } => {
            let at = |seq| Position {
                seq,
                ..store.last()
            };
            let settled = Settled {
                up_to: at(up_to),
                fates: news.into_iter().map(|seq| (at(seq), fate(seq))).collect(),
            };
            store.settle(uplink(index), &settled).unwrap();
        }
        Step::CommitProgress => store.commit_progress().unwrap(),
        Step::Read => assert_eq!(read(store, SLOW), Ok(())),
        Step::WriteBack => nix::unistd::syncfs(File::open(path).unwrap()).unwrap(),
    }
}

fn turn(last: Position, events: u64, entries: Vec<(String, Option<Vec<u8>>)>) -> Turn {
    Turn {
        events: (last.seq + 1..=last.seq + events)
            .map(|seq| event(Position { seq, ..last }))
            .collect(),
        checkpoint: entries
            .into_iter()
            .map(|(key, value)| CheckpointEntry { key, value })
            .collect(),
    }
}

fn fate(seq: u64) -> Fate {
    if is_filtered(seq) {
        Fate::Filtered
    } else {
        Fate::Delivered
    }
}

/// Reads what an uplink has not settled and checks it; the error says what is wrong.
fn read(store: &mut Store, index: usize) -> Result<(), String> {
    let (last, progress) = (store.last(), store.progress(uplink(index)));
    let mut at = progress.cursor();
    let mut expected = (at.seq + 1..=last.seq)
        .map(|seq| Position { seq, ..last })
        .filter(|position| !progress.is_settled(*position))
        .peekable();
    while let Some(next) = expected.peek().copied() {
        let records = store
            .read_for(uplink(index), at, 100, 1 << 20)
            .map_err(|error| format!("{LOST}: reading after {at} failed: {error}"))?;
        if records.is_empty() {
            return Err(format!("{LOST}: {next} is not there, of {last}"));
        }
        for record in records {
            at = record.position;
            let expected = expected.next();
            if expected != Some(at) {
                return Err(format!("{LOST}: {at} comes, not {expected:?}"));
            }
            if record.payload != payload(at.seq) {
                return Err(format!("{LOST}: {at} has another payload"));
            }
        }
    }
    Ok(())
}

/// Opens what a cut left, and says whether all is there that was accepted, and nothing else.
#[test]
#[ignore = "a child of the box"]
fn judge() {
    let path = std::env::var(DIRECTORY).unwrap();
    let (accepted, offered) = models();
    let verdict = match open(Path::new(&path)) {
        Ok((mut store, restored)) => compare(&mut store, &restored, &accepted, &offered),
        Err(error) => Err(format!("{LOST}: the store does not open: {error}")),
    };
    println!("\n{VERDICT}{}", verdict.err().unwrap_or(WHOLE.into()));
}

/// What the steps that were done leave, and what the one under way would.
fn models() -> (Model, Model) {
    let mut plan = Plan::new(variable(SEED).unwrap());
    let (begun, done) = (variable(BEGUN), variable(DONE));
    let mut accepted = Model::default();
    for number in 0..=begun.unwrap() {
        plan.step();
        if Some(number) == done {
            accepted = plan.model().clone();
        }
    }
    (accepted, plan.model().clone())
}

fn compare(
    store: &mut Store,
    restored: &Restored,
    accepted: &Model,
    offered: &Model,
) -> Result<(), String> {
    let last = store.last();
    if last.epoch != 1 {
        let why = store.new_epoch().map(|why| why.words());
        return Err(format!("{LOST}: a new epoch began: {why:?}"));
    }
    if last.seq < accepted.last {
        let accepted = accepted.last;
        return Err(format!("{LOST}: {} is the last, not {accepted}", last.seq));
    }
    // A batch comes back whole or not at all.
    let more = std::env::var_os(AGAIN).map_or(0, |_| MORE);
    let mut models = [accepted, offered].into_iter();
    let model = models
        .find(|model| last.seq == model.last || last.seq == model.last + more)
        .ok_or_else(|| format!("{} is the last, nobody wrote that", last.seq))?;
    if restored.next.seq != last.seq + 1 {
        return Err(format!("{} follows {last}", restored.next));
    }
    if restored.checkpoint != model.checkpoint() {
        return Err("the checkpoint is not that of the last event".into());
    }
    for index in 0..UPLINKS {
        let (durable, offered) = (&model.durable[index], &offered.settled[index]);
        settled(store, index, durable, offered)?;
        read(store, index)?;
    }
    go_on(store)
}

/// No less is settled than was durable and no more than was ever said, and each event stands once in the account.
fn settled(
    store: &Store,
    index: usize,
    durable: &plan::Settled,
    offered: &plan::Settled,
) -> Result<(), String> {
    let (last, progress) = (store.last(), store.progress(uplink(index)));
    let mut account = Account {
        offered: last.seq,
        ..Account::default()
    };
    for seq in 1..=last.seq {
        let is_settled = progress.is_settled(Position { seq, ..last });
        if durable.contains(seq) && !is_settled {
            return Err(format!("uplink {index} has {seq} again"));
        }
        if is_settled && !offered.contains(seq) {
            return Err(format!("{LOST}: uplink {index} never settled {seq}"));
        }
        match is_settled.then(|| fate(seq)) {
            Some(Fate::Delivered) => account.delivered += 1,
            Some(Fate::Filtered) => account.filtered += 1,
            None => {}
        }
    }
    if progress.account != account {
        let found = progress.account;
        return Err(format!("uplink {index} counts {found:?}, not {account:?}"));
    }
    Ok(())
}

/// What a cut left takes events like any other store.
fn go_on(store: &mut Store) -> Result<(), String> {
    let last = store.last();
    let more = turn(last, MORE, vec![]);
    store
        .commit(&[more], Stamp::default(), &render)
        .map_err(|error| format!("it takes nothing more: {error}"))?;
    for index in 0..UPLINKS {
        read(store, index)?;
    }
    Ok(())
}
