//! Looking into the store of a running gateway: asked through an [`Inspector`], answered by the buffer's task between its
//! commits, which alone touches the store.

use super::copy::{Copied, CopyError, copies_path, copy_generation};
use super::status::{EventLabel, GenerationStatus, Kind, StoreStatus, UplinkStatus};
use super::{Name, names};
use crate::buffer::engine::EngineError;
use crate::buffer::error::{StoreError, io_error};
use crate::buffer::generation::{Limits, predecessor};
use crate::buffer::generations::span_after;
use crate::buffer::listing::MAX_DAMAGED;
use crate::buffer::progress::Progress;
use crate::buffer::{Changed, Closed, ParkedChange, ParkedRequest, Record, Request, Store};
use crate::model::{BootTime, DropReason, ParkedGroup, Position};
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Generations that a status lists, beside those set aside.
const MAX_LISTED: usize = 90;
/// Records read at a time where the oldest one of an uplink is looked for.
const READ_EVENTS: usize = 64;
/// And bytes, past the first.
const READ_BYTES: usize = 64 << 10;

/// What is asked of the buffer's task.
#[derive(Debug)]
pub enum Look {
    /// How it goes.
    Status(oneshot::Sender<StoreStatus>),
    /// A copy of the head as its last commit left it; `None` for any other generation, which lies still.
    CopyHead(Name, oneshot::Sender<Option<Result<Copied, CopyError>>>),
    /// Set an older generation aside, for the reason that somebody found. The answer is what was lost, or why not.
    SetAside(Position, String, oneshot::Sender<Result<SetAside, String>>),
}

/// What was lost with a generation that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SetAside {
    /// Its first position, as a CloudEvents `sequence`.
    pub from: String,
    /// Its last one.
    pub to: String,
    /// Events that each uplink had not settled.
    pub dropped: Vec<(String, u64)>,
}

/// Asks the buffer's task. Waits behind its commits.
#[derive(Clone, Debug)]
pub struct Inspector {
    path: PathBuf,
    requests: mpsc::Sender<Request>,
}

impl Inspector {
    pub(in crate::buffer) fn new(store: &Store, requests: mpsc::Sender<Request>) -> Inspector {
        Inspector {
            path: store.path(),
            requests,
        }
    }

    /// `buffer.path`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it goes.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn status(&self) -> Result<StoreStatus, Closed> {
        self.ask(Look::Status).await
    }

    /// See [`Look::CopyHead`].
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn copy_head(&self, name: Name) -> Result<Option<Result<Copied, CopyError>>, Closed> {
        self.ask(|reply| Look::CopyHead(name, reply)).await
    }

    /// See [`Look::SetAside`].
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn set_aside(
        &self,
        first: Position,
        reason: String,
    ) -> Result<Result<SetAside, String>, Closed> {
        self.ask(|reply| Look::SetAside(first, reason, reply)).await
    }

    /// Does to parked events of an uplink what somebody wants; durable with the answer, which also says how many are parked
    /// now. The inner error says why nothing was done.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn change_parked(
        &self,
        uplink: String,
        change: ParkedChange,
    ) -> Result<Result<(Changed, Vec<ParkedGroup>), String>, Closed> {
        let (reply, answer) = oneshot::channel();
        let change = ParkedRequest::Change {
            uplink,
            change,
            reply,
        };
        let request = Request::Parked(change);
        self.requests.send(request).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    async fn ask<T>(&self, look: impl FnOnce(oneshot::Sender<T>) -> Look) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Look(look(reply));
        self.requests.send(request).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

impl Store {
    /// Answers; who asked may have gone away.
    pub(in crate::buffer) fn look(&mut self, look: Look, now: BootTime) -> Result<(), StoreError> {
        match look {
            Look::Status(reply) => {
                let status = self.status(now)?;
                reply.send(status).ok();
            }
            Look::CopyHead(name, reply) => {
                let is_head = !name.damaged && !name.lean && name.first == self.newest.first();
                let path = self.path();
                let copy = is_head.then(|| copy_generation(&path, name, &copies_path(&path)));
                reply.send(copy).ok();
            }
            Look::SetAside(first, reason, reply) => {
                let done = self.set_aside_on_behalf(first, reason)?;
                reply.send(done).ok();
            }
        }
        Ok(())
    }

    /// `buffer.path`.
    pub(super) fn path(&self) -> PathBuf {
        self.root.parent().unwrap_or(Path::new(".")).to_owned()
    }

    /// Sets an older generation aside and makes durable what that cost. The inner error says why it is left alone.
    ///
    /// # Errors
    /// As a commit.
    pub(super) fn set_aside_on_behalf(
        &mut self,
        first: Position,
        reason: String,
    ) -> Result<Result<SetAside, String>, StoreError> {
        if first == self.newest.first() {
            return Ok(Err("it is being written to: stop the gateway first".into()));
        }
        let damaged = self.names()?.iter().filter(|name| name.damaged).count();
        if damaged >= MAX_DAMAGED {
            return Ok(Err(format!(
                "{damaged} damaged generations are kept already, and one more would remove the oldest: move them away first"
            )));
        }
        let before: Vec<u64> = self.dropped_as_damaged();
        let Some(loss) = self.older.set_aside_at(first, reason)? else {
            return Ok(Err("it is not there any more".into()));
        };
        tracing::error!(from = %loss.from, to = %loss.to, reason = loss.reason, "a generation is set aside by a command");
        self.health.quarantined.add(loss.count());
        self.lose(&loss);
        // On a full disk it becomes durable later, with the progress of the uplinks.
        at_any_rate(self.commit_progress())?;
        if !self.moved {
            self.losses_are_durable();
        }
        let names = self.uplinks.iter().map(|(name, _)| name.clone());
        let lost = self.dropped_as_damaged().into_iter().zip(before);
        Ok(Ok(SetAside {
            from: loss.from.to_string(),
            to: loss.to.to_string(),
            dropped: names
                .zip(lost.map(|(after, before)| after.saturating_sub(before)))
                .collect(),
        }))
    }

    /// Reads a generation to its end, which renews its `conf` and counts what cannot be read in it.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub(super) fn read_through(&mut self, first: Position) -> Result<(), StoreError> {
        let Some(older) = self.older.get(first) else {
            return Ok(());
        };
        let last = match self.older.last_of(older) {
            Ok(last) => last,
            // Setting it aside is another's business.
            Err(_) => return Ok(()),
        };
        let limits = Limits {
            events: READ_EVENTS,
            bytes: READ_BYTES,
        };
        let mut after = predecessor(first);
        while after < last {
            // No further than this one: what is damaged behind it is set aside when this one's losses are counted.
            let reading = match self.older.read_one(older, after, limits) {
                Ok(reading) => reading,
                Err(EngineError::Damaged { .. }) => break,
                Err(other) => return Err(other.into()),
            };
            self.report_found(reading.losses)?;
            let Some(read) = reading.records.last() else {
                break;
            };
            after = read.position;
        }
        Ok(())
    }

    fn dropped_as_damaged(&self) -> Vec<u64> {
        let all = self.uplinks.iter();
        all.map(|(_, progress)| progress.account.dropped(DropReason::Damaged))
            .collect()
    }

    fn names(&self) -> Result<Vec<Name>, StoreError> {
        let found = names(&self.root).map_err(|error| io_error(&self.root, error))?;
        Ok(found.0)
    }

    fn status(&mut self, now: BootTime) -> Result<StoreStatus, StoreError> {
        let last = self.last();
        let newest = at_any_rate(self.read(predecessor(last), 1, 0))?;
        let names = self.names()?;
        let head = self.newest.first();
        let ids: Vec<_> = self.uplink_ids().collect();
        let mut uplinks = Vec::new();
        for id in ids {
            let progress = self.progress(id);
            let oldest = match progress.account.stored() {
                0 => Vec::new(),
                _ => at_any_rate(self.read_for(id, progress.cursor(), READ_EVENTS, READ_BYTES))?,
            };
            let name = self.uplinks.get(id.index()).map(|(name, _)| name.clone());
            let mut uplink = UplinkStatus::of(&name.unwrap_or_default(), &progress);
            uplink.oldest = oldest.first().map(EventLabel::of);
            uplinks.push(uplink);
        }
        let disk = self.medium.disk.as_ref();
        let io = |error| io_error(&self.root, error);
        Ok(StoreStatus {
            store: self.root.clone(),
            epoch: self.head.next.epoch,
            last: newest.last().map(EventLabel::of),
            next: self.head.next,
            uplinks,
            generations: names.len() as u64,
            listed: listed(&self.root, &names, head, last),
            used_bytes: disk.used(&self.root).map_err(io)?,
            max_bytes: None,
            free_bytes: disk.space(&self.root).map_err(io)?.free,
            refusing: None,
            untold: self.head.untold.iter().map(|notice| notice.count).sum(),
            powered_ns: self.powered_ns(now),
        })
    }
}

/// On a full disk a generation may not open: then its events are not shown, and that is all.
fn at_any_rate<T: Default>(result: Result<T, StoreError>) -> Result<T, StoreError> {
    match result {
        Err(StoreError::Full(_)) => Ok(T::default()),
        result => result,
    }
}

impl EventLabel {
    pub(super) fn of(record: &Record) -> EventLabel {
        EventLabel {
            sequence: record.position,
            kind: record.envelope.kind.clone(),
            time_ns: record.envelope.time_ns,
            run: record.envelope.run,
        }
    }
}

impl UplinkStatus {
    pub(super) fn of(name: &str, progress: &Progress) -> UplinkStatus {
        let account = progress.account;
        let dropped = DropReason::ALL
            .iter()
            .map(|reason| (reason.word().to_owned(), account.dropped(*reason)))
            .filter(|(_, count)| *count > 0);
        UplinkStatus {
            name: name.to_owned(),
            offered: account.offered,
            waiting: account.stored(),
            parked: account.parked,
            delivered: account.delivered,
            filtered: account.filtered,
            discarded: account.discarded,
            dropped: dropped.collect(),
            cursor: progress.cursor(),
            oldest: None,
            paused: None,
            drain: None,
        }
    }
}

/// The generations that a status shows: those set aside, the oldest, the head. Sizes are not worth an error.
pub(super) fn listed(
    root: &Path,
    names: &[Name],
    head: Position,
    last: Position,
) -> Vec<GenerationStatus> {
    let starts: Vec<Position> = names.iter().map(|name| name.first).collect();
    let one = |name: &Name| {
        let next = starts.iter().filter(|start| **start > name.first).min();
        let kind = match (name.damaged, name.first == head) {
            (true, _) => Kind::Damaged,
            (false, true) => Kind::Head,
            (false, false) => Kind::Older,
        };
        let end = match (kind, next) {
            (Kind::Head, _) => Some(last),
            (_, Some(next)) if next.epoch == name.first.epoch => Some(predecessor(*next)),
            _ => None,
        };
        let directory = root.join(name.to_string());
        GenerationStatus {
            name: name.to_string(),
            first: name.first,
            records: end.map(|end| span_after(predecessor(name.first), name.first, end)),
            bytes: crate::buffer::disk::Disk::used(&crate::buffer::disk::Files, &directory)
                .unwrap_or(0),
            kind,
        }
    };
    let (damaged, whole): (Vec<&Name>, Vec<&Name>) = names.iter().partition(|name| name.damaged);
    let oldest = whole.iter().filter(|name| name.first < head);
    let newest = whole.iter().filter(|name| name.first >= head);
    damaged
        .iter()
        .take(MAX_DAMAGED)
        .chain(oldest.take(MAX_LISTED))
        .chain(newest.take(1))
        .map(|name| one(name))
        .collect()
}
