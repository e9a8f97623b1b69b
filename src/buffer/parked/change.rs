//! What people do to parked events: try them again, or discard them. The same on files that a gateway has open and on those
//! that nobody has; what follows in the account only a gateway can do, see `discards`.

use super::super::error::StoreError;
use super::super::store::Store;
use super::entry::{Audit, Parked, ParkedState};
use super::folder::Folder;
use super::{ParkedError, later};
use crate::model::{Position, Stamp, UplinkId, UtcTime};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// Events in one change: each costs the disk a sync, and the buffer's task does nothing else meanwhile. With 10 ms a sync
/// that is a third of a second, and a request of some 2 KB.
pub const CHANGED_AT_ONCE: usize = 32;

/// What somebody wants with parked events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkedAction {
    /// Send them again, with the ids they have.
    Retry,
    /// Give them up.
    Discard,
}

impl ParkedAction {
    /// The word in the audit.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ParkedAction::Retry => "retry",
            ParkedAction::Discard => "discard",
        }
    }
}

/// A change of some parked events of one uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedChange {
    /// What is done with them.
    pub action: ParkedAction,
    /// Who wants it.
    pub user: String,
    /// Why.
    pub comment: String,
    /// Which: at most [`CHANGED_AT_ONCE`], what is beyond is left alone.
    pub positions: Vec<Position>,
    /// Of several changes that belong together, the first one says how many events all of them concern; the others 0. One
    /// without positions says that they were broken off after so many.
    pub of: u64,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Changed, durably.
    pub changed: u64,
    /// Not parked any more, or discarded already.
    pub gone: u64,
    /// Not touched, because their files cannot be read.
    pub unreadable: u64,
    /// Not changed, because the disk is full.
    pub no_room: u64,
}

/// What a change came to in the files.
#[derive(Debug, Default)]
pub(in crate::buffer) struct Done {
    /// As they are now.
    pub(in crate::buffer) parked: Vec<Parked>,
    /// All of them counted.
    pub(in crate::buffer) counts: Changed,
    /// For which there was no room.
    left: Vec<Position>,
}

impl Parked {
    /// Does to it what somebody wants; false where that makes no sense any more.
    fn take(&mut self, change: &ParkedChange, at: UtcTime) -> bool {
        if self.state == ParkedState::Discarded {
            return false;
        }
        self.state = match change.action {
            ParkedAction::Retry => ParkedState::Retrying,
            ParkedAction::Discard => ParkedState::Discarded,
        };
        self.note(Audit {
            at,
            user: change.user.clone(),
            action: change.action.word().into(),
            comment: change.comment.clone(),
        });
        true
    }
}

impl Folder<'_> {
    /// Changes files, each durably, all of them when this returns. A second discard finds the first one's events.
    pub(in crate::buffer) fn change(
        &self,
        change: &ParkedChange,
        positions: &[Position],
        at: UtcTime,
    ) -> io::Result<Done> {
        let mut done = Done::default();
        for position in positions.iter().take(CHANGED_AT_ONCE) {
            self.change_one(change, *position, at, &mut done)?;
        }
        if !done.parked.is_empty() {
            self.disk.sync_dir(&self.path())?;
        }
        done.counts.changed = done.parked.len() as u64;
        Ok(done)
    }

    fn change_one(
        &self,
        change: &ParkedChange,
        position: Position,
        at: UtcTime,
        done: &mut Done,
    ) -> io::Result<()> {
        let Some(bytes) = self.read(position)? else {
            done.counts.gone += 1;
            return Ok(());
        };
        let mut parked = match Parked::decode_at(position, &bytes) {
            Ok(parked) => parked,
            Err(ParkedError::Damaged(_) | ParkedError::Version(_)) => {
                done.counts.unreadable += 1;
                return Ok(());
            }
        };
        if !parked.take(change, at) {
            match change.action {
                // An earlier one did not come to its end.
                ParkedAction::Discard => done.parked.push(parked),
                ParkedAction::Retry => done.counts.gone += 1,
            }
            return Ok(());
        }
        let bytes = parked.encode().map_err(io::Error::other)?;
        match self.replace(position, &bytes) {
            Ok(()) => done.parked.push(parked),
            Err(error) if is_full(&error) => {
                done.counts.no_room += 1;
                done.left.push(position);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    kinds.contains(&error.kind())
}

impl Store {
    /// Does to parked events what somebody wants. What was discarded is off the account, durably, and its files are gone.
    /// The inner error says why nothing, or not all, could be done; the files tell what was.
    ///
    /// # Errors
    /// As a commit.
    pub fn change_parked(
        &mut self,
        uplink: UplinkId,
        change: &ParkedChange,
        now: Stamp,
    ) -> Result<Result<Changed, String>, StoreError> {
        let is_parked = |at: &Position| self.index(uplink).is_some_and(|it| it.contains(*at));
        let wanted = change.positions.iter().take(CHANGED_AT_ONCE).copied();
        let (there, gone): (Vec<_>, Vec<_>) = wanted.partition(is_parked);
        let mut done = match self.change_files(uplink, change, &there, now) {
            Ok(done) => done,
            Err(error) => return Ok(Err(error.to_string())),
        };
        done.counts.gone += gone.len() as u64;
        if change.of > 0 {
            self.log_change(uplink, change);
        }
        match change.action {
            ParkedAction::Retry => self.make_due(uplink, &done.parked, now),
            ParkedAction::Discard => {
                if let Err(error) = self.give_up(uplink, &done.parked)? {
                    return Ok(Err(error.to_string()));
                }
            }
        }
        Ok(Ok(done.counts))
    }

    /// The ballast is for what makes room, too.
    fn change_files(
        &mut self,
        uplink: UplinkId,
        change: &ParkedChange,
        positions: &[Position],
        now: Stamp,
    ) -> io::Result<Done> {
        let Some(folder) = self.folder(uplink) else {
            return Ok(Done::default());
        };
        let mut done = folder.change(change, positions, now.utc)?;
        if done.left.is_empty() || change.action == ParkedAction::Retry {
            return Ok(done);
        }
        let left = std::mem::take(&mut done.left);
        self.release_ballast().map_err(io::Error::other)?;
        let Some(folder) = self.folder(uplink) else {
            return Ok(done);
        };
        let more = folder.change(change, &left, now.utc)?;
        done.parked.extend(more.parked);
        done.counts.no_room = more.counts.no_room;
        done.counts.changed += more.counts.changed;
        Ok(done)
    }

    fn make_due(&mut self, uplink: UplinkId, parked: &[Parked], now: Stamp) {
        let moment = self.moment(now);
        let due = later(moment, Duration::ZERO);
        let Some(index) = self.index_mut(uplink) else {
            return;
        };
        for parked in parked {
            let mut parked = parked.clone();
            // More than its file says, which is not written at each attempt.
            let known = index.attempts(parked.record.position);
            parked.attempts = known.map_or(0, |(known, _)| known).max(parked.attempts);
            index.put(&parked, due, moment.powered_ns);
        }
    }

    /// One line in the log for each command, however many events it is about; the files and the list of discarded events
    /// name each.
    fn log_change(&self, uplink: UplinkId, change: &ParkedChange) {
        let name = self.uplinks.get(uplink.index()).map(|(name, _)| name);
        let (user, chosen) = (&change.user, change.of);
        if change.positions.is_empty() {
            let action = change.action.word();
            tracing::warn!(
                uplink = name,
                user,
                action,
                changed = change.of,
                "that was broken off: the other parked events are as before"
            );
            return;
        }
        match change.action {
            ParkedAction::Retry => {
                tracing::info!(
                    uplink = name,
                    user,
                    chosen,
                    "parked events are to be tried again"
                );
            }
            ParkedAction::Discard => {
                let reason = &change.comment;
                tracing::warn!(
                    uplink = name,
                    user,
                    chosen,
                    reason,
                    "parked events are discarded"
                );
            }
        }
    }
}
