//! What an open makes of the files of parked events: which are counted already, which are news, which are gone.

use super::super::error::{StoreError, io_error};
use super::super::listing::Listing;
use super::super::progress::Progress;
use super::super::store::Store;
use super::{Parked, ParkedError, ParkedState};
use crate::model::{Position, UplinkId};

/// What the files of one uplink tell.
#[derive(Default)]
struct Found {
    whole: Vec<Parked>,
    /// Written by a newer release.
    unknown: Vec<Position>,
    damaged: Vec<(Position, String)>,
}

impl Found {
    fn positions(&self) -> Vec<Position> {
        let whole = self.whole.iter().map(|parked| parked.record.position);
        whole.chain(self.unknown.iter().copied()).collect()
    }
}

impl Store {
    /// Brings the progress and the files of each uplink together.
    ///
    /// What the progress says is leaving has left: its file goes with the next commit, for what the side file alone knows is
    /// not durable yet. A file of an event that the progress has not passed was
    /// written right before a crash: the event is parked, and no longer waits in the store. More files than that are those
    /// of an uplink that was away, or of a store that is gone: they count as offered anew. Fewer are lost.
    pub(in crate::buffer) fn adopt_parked(&mut self, listing: &Listing) -> Result<(), StoreError> {
        self.sweep_removed()?;
        for uplink in self.uplink_ids() {
            let found = self.find_parked(uplink)?;
            self.account_for(uplink, &found, listing);
            self.moved |= !found.damaged.is_empty();
            if let Some(folder) = self.folder(uplink) {
                for (position, _) in &found.damaged {
                    folder
                        .set_aside(*position)
                        .map_err(|error| io_error(&folder.path(), error))?;
                }
            }
            let Some(index) = self.parked.indices.get_mut(uplink.index()) else {
                continue;
            };
            for parked in &found.whole {
                // All that are tried by themselves, at once: what kept them away may be mended. The uplink tries them one
                // by one.
                index.put(parked, 0, parked.last_attempt.powered_ns);
            }
            for position in &found.unknown {
                index.put_unknown(*position);
            }
            let is_discarded = |parked: &&Parked| parked.state == ParkedState::Discarded;
            let discarded = found.whole.iter().filter(is_discarded);
            let discarded: Vec<Position> = discarded.map(|it| it.record.position).collect();
            if !discarded.is_empty() {
                self.parked.discarded.push((uplink, discarded));
            }
        }
        Ok(())
    }

    /// An uplink that has just left the settings may have left files behind that its progress is done with.
    fn sweep_removed(&self) -> Result<(), StoreError> {
        let stays = |name: &String| self.uplinks.iter().any(|(one, _)| one == name);
        for (name, progress) in &self.head.uplinks {
            if stays(name) || progress.leaving().is_empty() {
                continue;
            }
            let disk = self.medium.disk.as_ref();
            self.parked.remove(disk, name, progress.leaving())?;
        }
        Ok(())
    }

    fn find_parked(&self, uplink: UplinkId) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let Some(folder) = self.folder(uplink) else {
            return Ok(found);
        };
        let io = |error| io_error(&folder.path(), error);
        let positions = folder.positions().map_err(io)?;
        folder.keep().map_err(io)?;
        let progress = self.uplinks.get(uplink.index());
        let leaving = progress.map_or(&[][..], |(_, progress)| progress.leaving());
        for position in positions {
            if leaving.contains(&position) {
                continue;
            }
            match self.read_parked(uplink, position)? {
                Ok(parked) => found.whole.push(parked),
                Err(ParkedError::Version(_)) => found.unknown.push(position),
                Err(ParkedError::Damaged(reason)) => found.damaged.push((position, reason)),
            }
        }
        Ok(found)
    }

    fn account_for(&mut self, uplink: UplinkId, found: &Found, listing: &Listing) {
        let positions = found.positions();
        let held: Vec<Position> = positions
            .iter()
            .copied()
            .filter(|position| self.holds(*position, listing))
            .collect();
        let Some((name, progress)) = self.uplinks.get_mut(uplink.index()) else {
            return;
        };
        let changed = reconcile(progress, positions.len() as u64, &held);
        for position in &changed.parked {
            tracing::info!(uplink = name, %position, "an event was parked right before the last end");
        }
        if changed.adopted > 0 {
            let events = changed.adopted;
            tracing::warn!(
                uplink = name,
                events,
                "parked events of an earlier time are taken over"
            );
        }
        self.moved |= changed != Reconciled::default();
        if changed.lost > 0 {
            let cursor = progress.cursor();
            let range = range(&found.damaged).unwrap_or((Position::default(), cursor));
            let reason = found.damaged.first().map_or_else(
                || "their files are gone".to_owned(),
                |(_, reason)| reason.clone(),
            );
            self.tell_lost_parked(uplink, range, changed.lost, reason);
        }
    }

    /// Whether an event that no uplink's progress has passed lies in the store.
    fn holds(&mut self, position: Position, listing: &Listing) -> bool {
        if position.epoch == self.newest.first().epoch && position >= self.newest.first() {
            return position <= self.last();
        }
        if self.is_evicted(position) {
            return false;
        }
        let below = |first: &Position| first.epoch == position.epoch && *first <= position;
        self.older.holds(position) || listing.damaged.iter().any(below)
    }
}

/// What the files of parked events change in a progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::buffer) struct Reconciled {
    /// Parked right before the last end.
    pub(in crate::buffer) parked: Vec<Position>,
    /// Files of an earlier time, which count as offered anew.
    pub(in crate::buffer) adopted: u64,
    /// Events that were parked and have no file that can be read.
    pub(in crate::buffer) lost: u64,
}

/// Brings a progress and the files of its parked events together: so many can be read, and these of them lie in the store,
/// too. Also asked by whoever wants to know what a start would find.
pub(in crate::buffer) fn reconcile(
    progress: &mut Progress,
    files: u64,
    held: &[Position],
) -> Reconciled {
    let news = held
        .iter()
        .filter(|position| !progress.is_settled(**position));
    let news: Vec<Position> = news.copied().collect();
    for position in &news {
        progress.park(*position);
    }
    let known = progress.account.parked;
    let changed = Reconciled {
        parked: news,
        adopted: files.saturating_sub(known),
        lost: known.saturating_sub(files),
    };
    progress.adopt_parked(changed.adopted);
    progress.lose_parked(changed.lost);
    changed
}

fn range(damaged: &[(Position, String)]) -> Option<(Position, Position)> {
    let positions = || damaged.iter().map(|(position, _)| *position);
    Some((positions().min()?, positions().max()?))
}
