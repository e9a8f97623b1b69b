//! Parked events, the dead letters: out of the way of the others, in a file each, until a destination or somebody takes them.
//!
//! A file is durable before the progress passes its event, and removed after the progress that says so is durable. A crash in
//! between leaves a file too much, never one too few; the open finds out which it is (see [`Store::adopt_parked`]).

mod adopt;
mod asked;
mod change;
mod discards;
mod entry;
mod folder;
mod heads;
mod index;
mod request;

pub use asked::{DueParked, Parking, Retried, ToPark};
pub use change::{CHANGED_AT_ONCE, Changed, ParkedAction, ParkedChange};
pub use discards::sha256;
pub use entry::{
    Answered, Audit, MAX_SAID, Moment, Parked, ParkedError, ParkedState, bounded_copy,
};
pub use heads::Heads;
pub use request::ParkedRequest;

use super::disk::Disk;
use super::error::{StoreError, io_error};
use super::progress::Left;
use super::store::Store;
use crate::model::{DropNotice, DropReason, ParkClass, ParkedGroup, Position, Stamp, UplinkId};
pub(super) use adopt::reconcile;
pub(super) use folder::{Folder, furthest_parked};
use index::{Index, Next};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Parked events of one uplink, past which it pauses: with 2 KB each in blocks of 4 KiB, 40 MB of disk.
pub const MAX_PARKED: usize = 10_000;
/// A file in which only the number of attempts has changed is written again after that much powered-on time: at the limit
/// of [`MAX_PARKED`], half a GiB a day go to the flash for it at the most.
const REWRITE_AFTER: Duration = Duration::from_secs(6 * 3_600);
/// Attempts after each of which the file is written: by then the verdicts have been seen.
const WRITTEN_ATTEMPTS: u32 = 4;
/// Files that wait for their removal until the next commit; past that it comes at once.
const MAX_LEAVING: usize = 64;

/// The parked events of all uplinks.
#[derive(Debug, Default)]
pub(super) struct ParkedEvents {
    /// `parked` under `buffer.path`.
    pub(super) root: PathBuf,
    /// By uplink id.
    indices: Vec<Index>,
    /// By uplink id: its folder is known to be durable.
    made: Vec<bool>,
    /// What the open found discarded, for [`Store::finish_discards`].
    discarded: Vec<(UplinkId, Vec<Position>)>,
}

impl ParkedEvents {
    /// None yet: [`Store::adopt_parked`] finds them.
    pub(super) fn at(root: PathBuf, uplinks: usize) -> ParkedEvents {
        ParkedEvents {
            root,
            indices: (0..uplinks).map(|_| Index::default()).collect(),
            made: vec![false; uplinks],
            discarded: Vec::new(),
        }
    }

    /// Removes the files of these events of an uplink, durably.
    fn remove(&self, disk: &dyn Disk, uplink: &str, gone: &[Position]) -> Result<(), StoreError> {
        let root = &self.root;
        let folder = Folder { disk, root, uplink };
        let removed = folder.remove(gone);
        removed.map_err(|error| io_error(&folder.path(), error))
    }
}

impl Store {
    /// Parks an event of an uplink: its file is durable, then its progress passes it. Said again, it changes nothing.
    ///
    /// # Errors
    /// When the disk fails otherwise than by being full.
    pub fn park(
        &mut self,
        uplink: UplinkId,
        to_park: ToPark,
        now: Stamp,
    ) -> Result<Parking, StoreError> {
        let position = to_park.record.position;
        let moment = self.moment(now);
        let settled = match self.uplinks.get(uplink.index()) {
            Some((_, progress)) => progress.is_settled(position),
            None => return Ok(Parking::Done),
        };
        if settled || position > self.last() || self.is_evicted(position) {
            return Ok(Parking::Done);
        }
        if self
            .index(uplink)
            .is_none_or(|index| index.len() >= MAX_PARKED)
        {
            return Ok(Parking::Full);
        }
        // A refused commit may be on the disk all the same, and say that the event is gone.
        self.renew()?;
        let wait = to_park.wait;
        let parked = to_park.into_parked(moment);
        if !self.write_parked(uplink, &parked, true)? {
            return Ok(Parking::NoRoom);
        }
        // Both, whatever the side file says: an event that is counted as parked is one that is tried again.
        if let Some(index) = self.index_mut(uplink) {
            index.put(&parked, later(moment, wait), moment.powered_ns);
        }
        self.change_progress(uplink, |progress| progress.park(position))?;
        Ok(Parking::Done)
    }

    /// The parked event that an uplink should try now, if there is one. Files that cannot be read are counted as dropped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn due_parked(&mut self, uplink: UplinkId, now: Stamp) -> Result<DueParked, StoreError> {
        let now_ns = self.moment(now).powered_ns;
        loop {
            let next = self
                .index(uplink)
                .map_or(Next::Never, |index| index.next(now_ns));
            match next {
                Next::Never => return Ok(DueParked::Never),
                Next::At(due) => return Ok(DueParked::After(Duration::from_nanos(due - now_ns))),
                Next::Due(position) => {
                    if let Some(parked) = self.parked(uplink, position)? {
                        return Ok(DueParked::Event(Box::new(parked)));
                    }
                }
            }
        }
    }

    /// One parked event; `None` when it is not parked. What cannot be read is counted as dropped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn parked(
        &mut self,
        uplink: UplinkId,
        position: Position,
    ) -> Result<Option<Parked>, StoreError> {
        let Some((attempts, _)) = self
            .index(uplink)
            .and_then(|index| index.attempts(position))
        else {
            return Ok(None);
        };
        match self.read_parked(uplink, position)? {
            Ok(mut parked) => {
                parked.attempts = parked.attempts.max(attempts);
                Ok(Some(parked))
            }
            Err(ParkedError::Version(_)) => {
                if let Some(index) = self.index_mut(uplink) {
                    index.put_unknown(position);
                }
                Ok(None)
            }
            Err(ParkedError::Damaged(reason)) => {
                self.lose_parked(uplink, position, reason)?;
                Ok(None)
            }
        }
    }

    /// The positions of an uplink's parked events, rising.
    pub fn parked_positions(&self, uplink: UplinkId) -> Vec<Position> {
        self.index(uplink)
            .map(|index| index.positions().collect())
            .unwrap_or_default()
    }

    /// How many events of each kind an uplink has parked.
    #[must_use]
    pub fn parked_groups(&self, uplink: UplinkId) -> Vec<ParkedGroup> {
        self.index(uplink)
            .map(|index| index.groups().to_vec())
            .unwrap_or_default()
    }

    /// Another attempt with a parked event has ended.
    ///
    /// # Errors
    /// When the disk fails otherwise than by being full.
    pub fn retried(
        &mut self,
        uplink: UplinkId,
        position: Position,
        retried: Retried,
        now: Stamp,
    ) -> Result<(), StoreError> {
        match retried {
            Retried::Delivered => {
                let now_ns = self.moment(now).powered_ns;
                if let Some(index) = self.index_mut(uplink) {
                    index.hurry(position, now_ns);
                }
                self.take_off(uplink, position, Left::Delivered)
            }
            Retried::Again {
                answered,
                rejected,
                wait,
            } => self.tried_again(uplink, position, (answered, rejected), wait, now),
        }
    }

    /// Takes a parked event out of its file for good: its progress says so with the next commit, then the file goes.
    ///
    /// # Errors
    /// When the side file cannot be written.
    pub fn take_off(
        &mut self,
        uplink: UplinkId,
        position: Position,
        left: Left,
    ) -> Result<(), StoreError> {
        let Some(index) = self.index_mut(uplink) else {
            return Ok(());
        };
        if !index.remove(position) {
            return Ok(());
        }
        self.change_progress(uplink, |progress| progress.leave(position, left))?;
        let waiting = self.uplinks.get(uplink.index());
        if waiting.is_some_and(|(_, progress)| progress.leaving().len() >= MAX_LEAVING) {
            self.commit_progress()?;
        }
        Ok(())
    }

    /// Replaces the file of a parked event, as after a note of somebody's in it. False when the disk is full.
    ///
    /// # Errors
    /// When the disk fails otherwise than by being full.
    pub fn rewrite_parked(
        &mut self,
        uplink: UplinkId,
        parked: &Parked,
        wait: Duration,
        now: Stamp,
    ) -> Result<bool, StoreError> {
        let moment = self.moment(now);
        let position = parked.record.position;
        if self
            .index(uplink)
            .is_none_or(|index| !index.contains(position))
        {
            return Ok(true);
        }
        let written = self.write_parked(uplink, parked, false)?;
        if let Some(index) = self.index_mut(uplink) {
            index.put(parked, later(moment, wait), moment.powered_ns);
        }
        Ok(written)
    }

    fn tried_again(
        &mut self,
        uplink: UplinkId,
        position: Position,
        (answered, rejected): (Answered, Option<ParkClass>),
        wait: Duration,
        now: Stamp,
    ) -> Result<(), StoreError> {
        let moment = self.moment(now);
        let written_ns = self
            .index(uplink)
            .and_then(|index| index.attempts(position));
        let Some((_, written_ns)) = written_ns else {
            return Ok(());
        };
        let Some(mut parked) = self.parked(uplink, position)? else {
            return Ok(());
        };
        let before = (parked.class, parked.state, parked.answers.last().cloned());
        parked.answer(answered, rejected, moment);
        let same = before == (parked.class, parked.state, parked.answers.last().cloned());
        let young = moment.powered_ns.saturating_sub(written_ns) < nanos(REWRITE_AFTER);
        if same && young && parked.attempts > WRITTEN_ATTEMPTS {
            if let Some(index) = self.index_mut(uplink) {
                index.put(&parked, later(moment, wait), written_ns);
            }
            return Ok(());
        }
        self.rewrite_parked(uplink, &parked, wait, now).map(drop)
    }

    /// Removes the files of events that are no longer parked. Only after a commit: the progress must be durable first.
    pub(super) fn sweep_parked(&mut self) -> Result<(), StoreError> {
        for (name, progress) in &mut self.uplinks {
            if progress.leaving().is_empty() {
                continue;
            }
            let disk = self.medium.disk.as_ref();
            self.parked.remove(disk, name, progress.leaving())?;
            progress.swept();
        }
        Ok(())
    }

    /// What lay in a file is lost: counted, told, and the file set aside.
    fn lose_parked(
        &mut self,
        uplink: UplinkId,
        position: Position,
        reason: String,
    ) -> Result<(), StoreError> {
        if let Some(index) = self.index_mut(uplink) {
            index.remove(position);
        }
        self.change_progress(uplink, |progress| progress.lose_parked(1))?;
        self.tell_lost_parked(uplink, (position, position), 1, reason);
        let Some(folder) = self.folder(uplink) else {
            return Ok(());
        };
        folder
            .set_aside(position)
            .map_err(|error| io_error(&folder.path(), error))
    }

    fn tell_lost_parked(
        &mut self,
        uplink: UplinkId,
        (from, to): (Position, Position),
        count: u64,
        reason: String,
    ) {
        let name = self
            .uplinks
            .get(uplink.index())
            .map(|(name, _)| name.clone());
        tracing::error!(uplink = name, %from, %to, count, reason, "parked events are lost");
        self.health.quarantined.add(count);
        self.dropped(DropNotice {
            reason: DropReason::Damaged,
            uplink: name,
            count,
            from,
            to,
            detail: Some(format!("parked: {reason}")),
        });
    }

    fn read_parked(
        &self,
        uplink: UplinkId,
        position: Position,
    ) -> Result<Result<Parked, ParkedError>, StoreError> {
        let Some(folder) = self.folder(uplink) else {
            return Ok(Err(ParkedError::Damaged("no such uplink".into())));
        };
        let found = folder.parked(position);
        let found = found.map_err(|error| io_error(&folder.path(), error))?;
        Ok(found.unwrap_or_else(|| Err(ParkedError::Damaged("its file is gone".into()))))
    }

    /// Writes a file; false when there is no room for it. A new one that failed is not there afterwards.
    fn write_parked(
        &mut self,
        uplink: UplinkId,
        parked: &Parked,
        new: bool,
    ) -> Result<bool, StoreError> {
        let position = parked.record.position;
        let Some(folder) = self.folder(uplink) else {
            return Ok(false);
        };
        let bytes = parked
            .encode()
            .map_err(|source| StoreError::Event { position, source })?;
        let is_made = self.parked.made.get(uplink.index());
        let ready = match is_made {
            Some(true) => Ok(()),
            _ => folder.make(),
        };
        let failed = match ready.and_then(|()| folder.write(position, &bytes)) {
            Ok(()) => {
                if let Some(made) = self.parked.made.get_mut(uplink.index()) {
                    *made = true;
                }
                return Ok(true);
            }
            Err(error) => error,
        };
        if new {
            folder
                .take_back(position)
                .map_err(|error| io_error(&folder.path(), error))?;
        }
        match failed.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ok(false),
            _ => Err(io_error(&folder.path(), failed)),
        }
    }

    fn change_progress(
        &mut self,
        uplink: UplinkId,
        change: impl FnOnce(&mut super::Progress),
    ) -> Result<(), StoreError> {
        if let Some((_, progress)) = self.uplinks.get_mut(uplink.index()) {
            change(progress);
        }
        self.moved = true;
        self.put_side_progress(uplink.index())
    }

    fn folder(&self, uplink: UplinkId) -> Option<Folder<'_>> {
        let (name, _) = self.uplinks.get(uplink.index())?;
        Some(Folder {
            disk: self.medium.disk.as_ref(),
            root: &self.parked.root,
            uplink: name,
        })
    }

    fn index(&self, uplink: UplinkId) -> Option<&Index> {
        self.parked.indices.get(uplink.index())
    }

    fn index_mut(&mut self, uplink: UplinkId) -> Option<&mut Index> {
        self.parked.indices.get_mut(uplink.index())
    }

    fn moment(&self, now: Stamp) -> Moment {
        Moment {
            utc: now.utc,
            powered_ns: self.powered_ns(now.boot),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When an event is due that waits from `now` on; never the time that stands for never.
fn later(now: Moment, wait: Duration) -> u64 {
    now.powered_ns.saturating_add(nanos(wait)).min(u64::MAX - 1)
}

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod tests;
