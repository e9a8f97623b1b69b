//! The buffer's task: takes turns, commits them by the rule, answers the outlets. It alone touches the disk, and blocks
//! on it, so the gateway gives it a thread of its own.

use super::commit::{CommitRule, Weight};
use super::error::StoreError;
use super::store::{Render, Store};
use super::{Outlet, Request};
use crate::clock::Clock;
use crate::health::BEAT_EVERY;
use crate::model::{BootTime, Position, Turn, UplinkId};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Turns that may wait for the task. A turn holds a few events or at most 16 KiB of checkpoint: some MiB together.
pub const TURNS: usize = 64;
/// Requests that may wait. An outlet has one reading and one settling under way.
const REQUESTS: usize = 64;
/// How long outlets may go on settling after the last turn was committed.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often the store is looked after: ages, what is kept, what it takes.
const KEEP_HOUSE_EVERY: Duration = Duration::from_secs(60);
/// Most records in one answer, whatever was asked for.
const MAX_READ_EVENTS: usize = 1024;
/// Most payload bytes past the first record in one answer, whatever was asked for.
const MAX_READ_BYTES: usize = 4 << 20;

/// What a task leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The last durable position.
    pub last: Position,
    /// Events that each uplink has not settled, by uplink id.
    pub stored: Vec<u64>,
}

/// One outlet per uplink of the store, in the order of their ids, and the ends of their channels for [`run`].
#[must_use]
pub fn outlets(
    store: &Store,
) -> (
    Vec<Outlet>,
    mpsc::Receiver<Request>,
    watch::Sender<Position>,
) {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    let (durable, follower) = watch::channel(store.last());
    let outlets = store
        .uplink_ids()
        .map(|uplink| {
            let cursor = store.cursor(uplink);
            Outlet::new(uplink, cursor, requests.clone(), follower.clone())
        })
        .collect();
    (outlets, receiver, durable)
}

/// Runs until `turns` closes, everything is committed, and the outlets are gone or [`STOP_GRACE`] is over; progress is
/// durable then. Blocks: never call it on a thread of the runtime.
///
/// # Errors
/// Any error of the store ends it at once: what was not committed was never shown to anybody.
pub fn run(
    store: Store,
    turns: mpsc::Receiver<Turn>,
    requests: mpsc::Receiver<Request>,
    durable: watch::Sender<Position>,
    render: &Render<'_>,
    clock: &Clock,
) -> Result<Stopped, StoreError> {
    run_with(store, turns, requests, durable, render, clock, STOP_GRACE)
}

fn run_with(
    store: Store,
    turns: mpsc::Receiver<Turn>,
    requests: mpsc::Receiver<Request>,
    durable: watch::Sender<Position>,
    render: &Render<'_>,
    clock: &Clock,
    grace: Duration,
) -> Result<Stopped, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| StoreError::Io {
            path: store.root().to_owned(),
            source,
        })?;
    let mut task = Task {
        store,
        rule: CommitRule::default(),
        waiting: Vec::new(),
        durable,
        render,
        clock,
        kept_house: None,
    };
    runtime.block_on(async {
        let requests = task.work(turns, requests).await?;
        task.drain(requests, grace).await
    })?;
    Ok(task.stopped())
}

struct Task<'a> {
    store: Store,
    rule: CommitRule,
    waiting: Vec<Turn>,
    durable: watch::Sender<Position>,
    render: &'a Render<'a>,
    clock: &'a Clock,
    kept_house: Option<BootTime>,
}

impl Task<'_> {
    /// Until the turns end; gives the requests back.
    async fn work(
        &mut self,
        mut turns: mpsc::Receiver<Turn>,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<mpsc::Receiver<Request>, StoreError> {
        let mut asked = true;
        loop {
            let now = self.clock.now().boot;
            self.store.health.pulse.beat(now);
            let wait = self.rule.wake().map_or(BEAT_EVERY, |wake| wake.since(now));
            tokio::select! {
                turn = turns.recv() => match turn {
                    Some(turn) => self.take(turn, &mut turns),
                    None => break,
                },
                request = requests.recv(), if asked => match request {
                    Some(request) => self.answer(request)?,
                    None => asked = false,
                },
                () = tokio::time::sleep(wait.min(BEAT_EVERY)) => {}
            }
            if self.rule.is_due(self.clock.now().boot) {
                self.commit()?;
            }
            self.keep_house()?;
        }
        self.commit()?;
        Ok(requests)
    }

    /// Looks after the store now and then, also when nothing comes.
    fn keep_house(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = |at: BootTime| now.boot.since(at) >= KEEP_HOUSE_EVERY;
        if self.kept_house.is_none_or(due) {
            self.store.keep_house(now)?;
            self.kept_house = Some(now.boot);
        }
        Ok(())
    }

    /// Goes on answering while outlets wind up, then makes the progress durable.
    async fn drain(
        &mut self,
        mut requests: mpsc::Receiver<Request>,
        grace: Duration,
    ) -> Result<(), StoreError> {
        let end = Instant::now() + grace;
        while let Ok(Some(request)) = tokio::time::timeout_at(end, requests.recv()).await {
            self.answer(request)?;
        }
        self.store.commit_progress()
    }

    /// Takes a turn and whatever is queued behind it, as far as one batch goes: at once does not mean one by one.
    fn take(&mut self, turn: Turn, turns: &mut mpsc::Receiver<Turn>) {
        let mut next = Some(turn);
        let now = self.clock.now().boot;
        while let Some(turn) = next {
            if !turn.is_empty() {
                self.rule.turn(Weight::of(&turn), now);
                self.waiting.push(turn);
            }
            next = if self.rule.full() {
                None
            } else {
                turns.try_recv().ok()
            };
        }
    }

    fn answer(&mut self, request: Request) -> Result<(), StoreError> {
        match request {
            Request::Read {
                after,
                max_events,
                max_bytes,
                reply,
                ..
            } => {
                let events = max_events.min(MAX_READ_EVENTS);
                let records = self
                    .store
                    .read(after, events, max_bytes.min(MAX_READ_BYTES))?;
                // A reader that went away wants no answer.
                reply.send(records).ok();
            }
            Request::Settle { uplink, settled } => {
                if self.store.settle(uplink, &settled)? {
                    self.rule.cursor(self.clock.now().boot);
                }
            }
        }
        Ok(())
    }

    /// Makes durable what waits, and only then shows it.
    fn commit(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.waiting.is_empty() {
            self.store.commit_progress()?;
        } else {
            let last = self.store.commit(&self.waiting, now, self.render)?;
            self.waiting.clear();
            self.durable
                .send_if_modified(|shown| std::mem::replace(shown, last) != last);
        }
        self.rule.committed(self.clock.now().boot);
        Ok(())
    }

    fn stopped(self) -> Stopped {
        let uplinks: Vec<UplinkId> = self.store.uplink_ids().collect();
        Stopped {
            last: self.store.last(),
            stored: uplinks
                .into_iter()
                .map(|uplink| self.store.account(uplink).stored())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
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
            run_with(store, receiver, requests, durable, &render, &clock, grace)
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
        assert_eq!(stopped.stored, [0, 15]);

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
        assert_eq!(stopped.stored, [1]);
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
}
