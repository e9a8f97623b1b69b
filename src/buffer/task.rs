//! The buffer's task: takes turns, commits them by the rule, answers the outlets. It alone touches the disk, and blocks
//! on it, so the gateway gives it a thread of its own.

use super::commit::{CommitRule, Weight};
use super::error::StoreError;
use super::inspect::Inspector;
use super::parked::ParkedRequest;
use super::progress::Account;
use super::refusal::{Refusal, Verdict};
use super::store::{Render, Store};
use super::{Outlet, Record, Request};
use crate::clock::Clock;
use crate::health::BEAT_EVERY;
use crate::model::{BootTime, Position, Stamp, Turn, UplinkId};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    /// Where the events of each uplink went, by uplink id.
    pub accounts: Vec<Account>,
    /// Events that were made and could not be stored before the end, because the disk took nothing: never accepted, never
    /// shown. What they tell of is not known after the next start.
    pub unstored: u64,
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
    let (outlets, _, receiver, durable) = outlets_and_inspector(store);
    (outlets, receiver, durable)
}

/// [`outlets`], and who looks into the store of a running gateway.
#[must_use]
pub fn outlets_and_inspector(
    store: &Store,
) -> (
    Vec<Outlet>,
    Inspector,
    mpsc::Receiver<Request>,
    watch::Sender<Position>,
) {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    let (durable, follower) = watch::channel(store.last());
    let outlets = store
        .uplink_ids()
        .map(|uplink| {
            let progress = store.progress(uplink);
            let outlet = Outlet::new(
                uplink,
                progress.cursor(),
                requests.clone(),
                follower.clone(),
            );
            outlet.carrying(progress.above(), progress.furthest())
        })
        .collect();
    let inspector = Inspector::new(store, requests);
    (outlets, inspector, receiver, durable)
}

/// Runs until `turns` closes, everything is committed, and the outlets are gone or [`STOP_GRACE`] is over; progress is
/// durable then. Blocks: never call it on a thread of the runtime.
///
/// While the disk is full it takes no turns and goes on answering; `stop` ends that waiting, with what waits given up.
///
/// # Errors
/// Any error of the store that waiting does not mend: what was not committed was never shown to anybody.
pub fn run(
    store: Store,
    turns: mpsc::Receiver<Turn>,
    requests: mpsc::Receiver<Request>,
    durable: watch::Sender<Position>,
    render: &Render<'_>,
    clock: &Clock,
    stop: CancellationToken,
) -> Result<Stopped, StoreError> {
    let task = Task::new(store, durable, render, clock, stop);
    run_with(task, turns, requests, STOP_GRACE)
}

fn run_with(
    mut task: Task<'_>,
    turns: mpsc::Receiver<Turn>,
    requests: mpsc::Receiver<Request>,
    grace: Duration,
) -> Result<Stopped, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| StoreError::Io {
            path: task.store.root().to_owned(),
            source,
        })?;
    runtime.block_on(async {
        let requests = task.work(turns, requests).await?;
        task.drain(requests, grace).await
    })?;
    Ok(task.stopped())
}

/// What an outlet wants to read.
struct Wanted {
    uplink: UplinkId,
    after: Position,
    max_events: usize,
    max_bytes: usize,
    reply: oneshot::Sender<Vec<Record>>,
}

impl Wanted {
    fn read(&self, store: &mut Store) -> Result<Vec<Record>, StoreError> {
        store.read_for(self.uplink, self.after, self.max_events, self.max_bytes)
    }
}

struct Task<'a> {
    store: Store,
    rule: CommitRule,
    waiting: Vec<Turn>,
    durable: watch::Sender<Position>,
    render: &'a Render<'a>,
    clock: &'a Clock,
    stop: CancellationToken,
    refusal: Refusal,
    /// The same of the files of parked events: what fails there keeps no event from being accepted.
    parked_refusal: Refusal,
    /// Reading that needs room on the disk: at most one request of each outlet.
    held: Vec<Wanted>,
    /// Set when it stops while the disk takes nothing: how many events were given up.
    given_up: Option<u64>,
    /// When the store was looked after last.
    kept_house: Option<BootTime>,
}

impl<'a> Task<'a> {
    fn new(
        store: Store,
        durable: watch::Sender<Position>,
        render: &'a Render<'a>,
        clock: &'a Clock,
        stop: CancellationToken,
    ) -> Task<'a> {
        Task {
            store,
            rule: CommitRule::default(),
            waiting: Vec::new(),
            durable,
            render,
            clock,
            stop,
            refusal: Refusal::default(),
            parked_refusal: Refusal::default(),
            held: Vec::new(),
            given_up: None,
            kept_house: None,
        }
    }

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
            match self.store.publish(now) {
                // What is not looked at while there is no room is looked at later.
                Ok(()) | Err(StoreError::Full(_)) => {}
                Err(other) => return Err(other),
            }
            let refusing = self.refusal.retry_at().is_some() && self.given_up.is_none();
            tokio::select! {
                turn = turns.recv(), if !refusing => match turn {
                    Some(turn) => self.take(turn, &mut turns),
                    None => break,
                },
                request = requests.recv(), if asked => match request {
                    Some(request) => self.answer(request)?,
                    None => asked = false,
                },
                () = self.stop.cancelled(), if refusing => self.give_up()?,
                () = tokio::time::sleep(self.wait(now)) => {}
            }
            if self.is_due() {
                self.commit()?;
            }
            self.keep_house()?;
        }
        self.commit()?;
        if self.refusal.retry_at().is_some() {
            self.discard();
        }
        Ok(requests)
    }

    /// Looks after the store now and then, also when nothing comes.
    fn keep_house(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = |at: BootTime| now.boot.since(at) >= KEEP_HOUSE_EVERY;
        if !self.kept_house.is_none_or(due) {
            return Ok(());
        }
        self.kept_house = Some(now.boot);
        match self.store.keep_house(now) {
            Err(error) => self.refuse(error, now),
            Ok(()) => Ok(()),
        }
    }

    /// How long there is nothing to do unless something comes.
    fn wait(&self, now: BootTime) -> Duration {
        let due = self.refusal.retry_at().or_else(|| self.rule.wake());
        due.map_or(BEAT_EVERY, |due| due.since(now)).min(BEAT_EVERY)
    }

    fn is_due(&self) -> bool {
        let now = self.clock.now().boot;
        match self.refusal.retry_at() {
            _ if self.given_up.is_some() => false,
            Some(retry) => retry <= now,
            None => self.rule.is_due(now),
        }
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
        match self.store.commit_progress() {
            Err(error @ StoreError::Full(_)) => {
                tracing::warn!(%error, "the progress of the uplinks is not durable: what was delivered last may come twice");
                Ok(())
            }
            result => result,
        }
    }

    /// Takes a turn and whatever is queued behind it, as far as one batch goes: at once does not mean one by one.
    fn take(&mut self, turn: Turn, turns: &mut mpsc::Receiver<Turn>) {
        if let Some(events) = &mut self.given_up {
            *events += turn.events.len() as u64;
            return;
        }
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
                uplink,
                after,
                max_events,
                max_bytes,
                reply,
            } => self.read(Wanted {
                uplink,
                after,
                max_events: max_events.min(MAX_READ_EVENTS),
                max_bytes: max_bytes.min(MAX_READ_BYTES),
                reply,
            })?,
            Request::Settle {
                uplink,
                settled,
                noted,
            } => {
                if self.store.settle(uplink, &settled)? {
                    self.rule.cursor(self.clock.now().boot);
                }
                if let Some(noted) = noted {
                    // Whoever waited for it may have gone.
                    let _gone = noted.send(());
                }
            }
            Request::Parked(request) => self.answer_parked(request)?,
            Request::Look(look) => self.store.look(look, self.clock.now().boot)?,
        }
        Ok(())
    }

    fn answer_parked(&mut self, request: ParkedRequest) -> Result<(), StoreError> {
        let now = self.clock.now();
        let writes = !matches!(request, ParkedRequest::Due { .. });
        match self.store.answer_parked(request, now) {
            Ok(moved) => {
                if writes {
                    self.parked_refusal.over();
                }
                if moved {
                    self.rule.cursor(now.boot);
                }
                Ok(())
            }
            // What it changed is in memory, and becomes durable when there is room.
            Err(error @ StoreError::Full(_)) => self.refuse(error, now),
            Err(error) => {
                let Verdict::Retry { .. } = self.parked_refusal.failed(&error, now.boot) else {
                    return Err(error);
                };
                tracing::error!(%error, "the file of a parked event is refused: the uplink tries it again");
                self.rule.cursor(now.boot);
                Ok(())
            }
        }
    }

    /// Reads for an outlet. A generation that is opened for it needs room: from the ballast, else it waits for room.
    fn read(&mut self, wanted: Wanted) -> Result<(), StoreError> {
        let mut read = wanted.read(&mut self.store);
        if matches!(read, Err(StoreError::Full(_))) {
            self.store.release_ballast()?;
            read = wanted.read(&mut self.store);
        }
        match read {
            // A reader that went away wants no answer.
            Ok(records) => drop(wanted.reply.send(records)),
            Err(error @ StoreError::Full(_)) => {
                self.held.push(wanted);
                self.refuse(error, self.clock.now())?;
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn answer_held(&mut self) -> Result<(), StoreError> {
        for request in std::mem::take(&mut self.held) {
            self.read(request)?;
        }
        Ok(())
    }

    /// Makes durable what waits, and only then shows it. Where the disk takes nothing, it goes on waiting.
    fn commit(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        match self.try_commit(now) {
            Ok(()) => {
                self.rule.committed(self.clock.now().boot);
                if self.refusal.over() {
                    self.store.health.refusing.end(now);
                    tracing::info!("the disk takes events again");
                }
                self.answer_held()?;
                self.store.prepare();
                Ok(())
            }
            Err(error) => self.refuse(error, now),
        }
    }

    fn try_commit(&mut self, now: Stamp) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            if self.refusal.retry_at().is_some() {
                self.store.room_for(0)?;
            }
            return self.store.commit_progress();
        }
        let last = self.store.commit(&self.waiting, now, self.render)?;
        self.waiting.clear();
        self.durable
            .send_if_modified(|shown| std::mem::replace(shown, last) != last);
        Ok(())
    }

    /// Keeps what waits for the next attempt. What was delivered meanwhile becomes durable all the same, from the ballast:
    /// that is what makes room.
    fn refuse(&mut self, error: StoreError, now: Stamp) -> Result<(), StoreError> {
        let Verdict::Retry { say } = self.refusal.failed(&error, now.boot) else {
            return Err(error);
        };
        self.store.health.refusing.begin(now, &error.to_string());
        if say {
            tracing::error!(%error, "nothing is accepted, so the machines are read no more");
        }
        if !matches!(error, StoreError::Full(_)) {
            return Ok(());
        }
        match self.store.commit_progress() {
            Err(StoreError::Full(_) | StoreError::Io { .. }) => Ok(()),
            result => result,
        }
    }

    /// The gateway stops while the disk takes nothing: one more attempt, then what waits and what comes is given up, so that
    /// the stages before this one can end.
    fn give_up(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        if self.refusal.retry_at().is_some() {
            self.discard();
        }
        Ok(())
    }

    fn discard(&mut self) {
        let events = self.waiting.drain(..).map(|turn| turn.events.len() as u64);
        *self.given_up.get_or_insert(0) += events.sum::<u64>();
    }

    fn stopped(self) -> Stopped {
        let uplinks: Vec<UplinkId> = self.store.uplink_ids().collect();
        Stopped {
            last: self.store.last(),
            accounts: uplinks
                .into_iter()
                .map(|uplink| self.store.account(uplink))
                .collect(),
            unstored: self.given_up.unwrap_or(0),
        }
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
