//! The store in the box, as two children see it: one works on it, one judges what a power cut left of it. What is said to
//! the store, is said here alone.

use super::super::{DIRECTORY, event};
use super::LOST;
use super::books;
use super::device::Marks;
use super::plan::{self, MAX_BATCH, Model, Plan, Step, evicts, is_filtered, payload};
use fastrand::Rng;
use millgate::buffer::engine::Medium;
use millgate::buffer::{
    Answered, Fate, Left, OpenOptions, ParkedState, Parking, Quota, Settled, Store, StoreError,
    ToPark,
};
use millgate::health::BufferHealth;
use millgate::model::{
    Body, CheckpointEntry, DropReason, Envelope, Event, Heartbeat, ParkClass, Position, Restored,
    Stamp, Turn, UplinkId, UtcTime,
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
/// Of a store that evicts: some generations with the file that sled needs at least.
const SMALL: u64 = 3 << 20;
const NAMES: [&str; 3] = ["mes", "scada", "erp"];
/// The uplink that falls behind.
const SLOW: usize = 1;
/// Events that a judge appends: more than a batch of the workload has, so that both are told apart.
const MORE: u64 = MAX_BATCH + 1;

/// With so many of the uplinks; a new one begins with what comes next.
fn open(path: &Path, uplinks: usize, small: bool) -> Result<(Store, Restored), StoreError> {
    Store::open(&OpenOptions {
        path: path.to_owned(),
        generation_bytes: GENERATION_BYTES,
        uplinks: NAMES
            .iter()
            .take(uplinks)
            .map(|name| ((*name).to_owned(), StartAt::Newest))
            .collect(),
        machine_id: None,
        health: Arc::new(BufferHealth::default()),
        quota: Quota {
            max_bytes: if small { SMALL } else { u64::MAX },
            ..Quota::default()
        },
        medium: Medium::sled(),
    })
}

fn render(event: &Event, _: UtcTime) -> (Envelope, Vec<u8>) {
    let (envelope, _) = super::super::render(event, UtcTime(0));
    (envelope, payload(event.position.seq))
}

pub(super) fn uplink(index: usize) -> UplinkId {
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
    let mut work = Work {
        store: None,
        path: path.clone(),
        small: evicts(seed),
    };
    let (working, stop) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| write_back(&path, seed, stop));
        for number in 0..steps {
            let step = plan.step();
            marks.begun(number);
            let what = format!("{step:?}");
            work.perform(plan.model(), step);
            work.harms_nothing(&what);
            marks.done(number);
        }
        drop(working);
    });
    let dropped: u64 = work
        .store()
        .uplink_ids()
        .map(|id| books::given_up(work.store(), id))
        .sum();
    assert_eq!(dropped > 0, evicts(seed), "{dropped} events were given up");
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

/// The store at work.
struct Work {
    store: Option<Store>,
    path: PathBuf,
    small: bool,
}

impl Work {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// As long as nobody cuts the power, nothing is damaged.
    fn harms_nothing(&self, what: &str) {
        for uplink in self.store().uplink_ids() {
            let account = self.store().account(uplink);
            let damaged = account.dropped(DropReason::Damaged);
            assert_eq!(damaged, 0, "{uplink:?}: {account:?} behind {what}");
        }
    }

    fn perform(&mut self, after: &Model, step: Step) {
        if step == Step::Open {
            // In order: what was settled is durable before an uplink may go.
            if let Some(mut store) = self.store.take() {
                store.commit_progress().unwrap();
            }
            let (store, restored) = open(&self.path, after.uplinks.len(), self.small).unwrap();
            assert_eq!(restored.next.seq, after.last + 1);
            self.store = Some(store);
        }
        let store = self.store.as_mut().unwrap();
        let at = |seq| Position {
            seq,
            ..store.last()
        };
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
                let settled = Settled {
                    up_to: at(up_to),
                    fates: news.into_iter().map(|seq| (at(seq), fate(seq))).collect(),
                };
                store.settle(uplink(index), &settled).unwrap();
            }
            Step::Park { uplink: index, seq } => {
                let position = at(seq);
                park(store, uplink(index), position);
            }
            Step::Leave { uplink: index, seq } => {
                let (position, left) = (at(seq), left(seq));
                store.take_off(uplink(index), position, left).unwrap();
            }
            Step::CommitProgress => store.commit_progress().unwrap(),
            Step::Read => {
                books::read(store, SLOW, self.small).unwrap();
            }
            Step::WriteBack => {
                nix::unistd::syncfs(File::open(&self.path).unwrap()).unwrap();
            }
        }
    }
}

/// Where the store has evicted it, there is nothing to park.
fn park(store: &mut Store, uplink: UplinkId, position: Position) {
    let before = Position {
        seq: position.seq - 1,
        ..position
    };
    let found = store.read(before, 1, 1).unwrap();
    let Some(record) = found.into_iter().find(|it| it.position == position) else {
        return;
    };
    let to_park = ToPark {
        record,
        class: ParkClass::Business,
        state: ParkedState::Rejected,
        attempts: 1,
        since_first: Duration::ZERO,
        answered: Answered::default(),
        wait: Duration::ZERO,
    };
    let parked = store.park(uplink, to_park, Stamp::default()).unwrap();
    assert_eq!(parked, Parking::Done);
}

/// How a parked event stops being one.
pub(super) fn left(seq: u64) -> Left {
    if plan::is_discarded(seq) {
        Left::Discarded
    } else {
        Left::Delivered
    }
}

fn turn(last: Position, events: u64, entries: Vec<(String, Option<Vec<u8>>)>) -> Turn {
    Turn {
        events: (last.seq + 1..=last.seq + events)
            .map(|seq| {
                let mut event = event(Position { seq, ..last });
                if plan::passes(seq) {
                    event.body = passing();
                }
                event
            })
            .collect(),
        checkpoint: entries
            .into_iter()
            .map(|(key, value)| CheckpointEntry { key, value })
            .collect(),
    }
}

fn passing() -> Body {
    Body::Heartbeat(Heartbeat {
        version: "0",
        last: None,
        boot_id: String::new(),
        up_s: 0.0,
        open_operations: vec![],
    })
}

pub(super) fn fate(seq: u64) -> Fate {
    if is_filtered(seq) {
        Fate::Filtered
    } else {
        Fate::Delivered
    }
}

/// Opens what a cut left, and says whether all is there that was accepted, and nothing else.
#[test]
#[ignore = "a child of the box"]
fn judge() {
    let path = std::env::var(DIRECTORY).unwrap();
    let (accepted, offered) = models();
    let verdict = match open(Path::new(&path), offered.uplinks.len(), small()) {
        Ok((mut store, restored)) => {
            compare(&mut store, &restored, &accepted, &offered).and_then(|()| go_on(&mut store))
        }
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
    for (index, uplink) in offered.uplinks.iter().enumerate() {
        // One that was just added is what this open made of it.
        let durable = accepted.durable.get(index);
        books::check(store, index, durable.unwrap_or(uplink), uplink, small())?;
    }
    Ok(())
}

fn small() -> bool {
    evicts(variable(SEED).unwrap())
}

/// What a cut left takes events like any other store.
fn go_on(store: &mut Store) -> Result<(), String> {
    let last = store.last();
    let more = turn(last, MORE, vec![]);
    store
        .commit(&[more], Stamp::default(), &render)
        .map_err(|error| format!("it takes nothing more: {error}"))?;
    for uplink in store.uplink_ids() {
        books::read(store, uplink.index(), small())?;
    }
    Ok(())
}
