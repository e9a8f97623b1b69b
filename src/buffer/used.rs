//! What the store takes and may take: measured now and then, counted between, so that a commit does not pay for it.

use super::error::{StoreError, io_error};
use super::listing::{damaged_of, is_generation, path_of};
use super::quota::{Limits, Quota};
use super::store::Store;
use crate::model::Position;
use std::collections::BTreeMap;

/// The head is measured again after so many bytes of records and checkpoint. Between, they count [`GROWTH`]-fold, for
/// what the database adds.
const MEASURE_AFTER: u64 = 256 << 10;
pub(super) const GROWTH: u64 = 2;
/// Where parked events lie, beside the store.
const PARKED: &str = "parked";

/// What the store takes and may take, in bytes on the disk.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) quota: Quota,
    pub(super) limits: Limits,
    /// The most that it ever takes: more than the limit only where it took more when it was opened.
    pub(super) ceiling: Option<u64>,
    /// The powered-on time that was written last.
    pub(super) told_ns: u64,
    /// What was set aside.
    pub(super) damaged: BTreeMap<Position, u64>,
    /// What is neither a generation nor set aside: the side file, the ballast, parked events. `None` when it is to be
    /// measured again.
    other: Option<u64>,
    head: Option<Head>,
}

/// The head as it was measured last.
#[derive(Clone, Copy, Debug)]
struct Head {
    first: Position,
    used: u64,
    /// Bytes of records and checkpoint in it by then.
    written: u64,
}

impl Room {
    /// Before anything is measured, on a file system of `total_bytes`, 0 where that is not known.
    pub(super) fn new(quota: Quota, total_bytes: u64, generation_bytes: u64) -> Room {
        let limits = quota.limits(total_bytes, generation_bytes);
        if limits.hard != quota.max_bytes && quota.max_bytes != u64::MAX {
            tracing::warn!(
                max_size = quota.max_bytes,
                instead = limits.hard,
                file_system = total_bytes,
                "the store takes at most 80 % of its file system and at least four generations"
            );
        }
        Room {
            quota,
            limits,
            ceiling: None,
            told_ns: 0,
            damaged: BTreeMap::new(),
            other: None,
            head: None,
        }
    }

    /// All but the head and older generations is measured again.
    pub(super) fn look_again(&mut self) {
        self.other = None;
    }
}

impl Store {
    /// Bytes that the store takes on the disk, everything counted: the head as it was measured last, and twice what was
    /// written since.
    ///
    /// # Errors
    /// When the disk does not say.
    pub fn used_bytes(&mut self) -> Result<u64, StoreError> {
        let first = self.newest.first();
        let known = self.room.head.filter(|head| head.first == first);
        let since = |head: Head| self.head.written_bytes.saturating_sub(head.written);
        match known.map(|head| (head.used, since(head))) {
            Some((used, since)) if since < MEASURE_AFTER => {
                self.with_head(used.saturating_add(since.saturating_mul(GROWTH)))
            }
            _ => self.measured_bytes(),
        }
    }

    /// The same, with the head measured.
    pub(super) fn measured_bytes(&mut self) -> Result<u64, StoreError> {
        let first = self.newest.first();
        let found = self.medium.disk.used(&path_of(&self.root, first));
        let used = found.map_err(|error| io_error(&self.root, error))?;
        self.room.head = Some(Head {
            first,
            used,
            written: self.head.written_bytes,
        });
        self.with_head(used)
    }

    fn with_head(&mut self, head: u64) -> Result<u64, StoreError> {
        let other = match self.room.other {
            Some(other) => other,
            None => self.look_around()?,
        };
        let damaged: u64 = self.room.damaged.values().sum();
        let older = self.older.used()?;
        Ok([head, other, damaged]
            .into_iter()
            .fold(older, u64::saturating_add))
    }

    /// Publishes what is used and what may be.
    pub(super) fn tell_use(&mut self) -> Result<(), StoreError> {
        let used = self.used_bytes()?;
        let damaged: u64 = self.room.damaged.values().sum();
        let kept = self.older.used_up_to(self.settled())?;
        let health = &self.health;
        health.used.set(used);
        health.spare.set(kept.saturating_add(damaged));
        health.quota.set(self.room.limits.soft);
        health.generations.set(self.older.len() as u64 + 1);
        health.damaged.set(self.room.damaged.len() as u64);
        Ok(())
    }

    /// What every uplink has settled.
    fn settled(&self) -> Position {
        let cursors = self.uplinks.iter().map(|(_, progress)| progress.cursor());
        cursors.min().unwrap_or_else(|| self.last())
    }

    /// Measures what is no generation.
    fn look_around(&mut self) -> Result<u64, StoreError> {
        let io = |error| io_error(&self.root, error);
        let disk = self.medium.disk.as_ref();
        let beside = self.root.parent().map(|parent| parent.join(PARKED));
        let mut other = match beside {
            Some(parked) => disk.used(&parked).map_err(io)?,
            None => 0,
        };
        let mut damaged = BTreeMap::new();
        for name in disk.names(&self.root).map_err(io)? {
            if is_generation(&name) {
                continue;
            }
            let used = disk.used(&self.root.join(&name)).map_err(io)?;
            match damaged_of(&name) {
                Some(first) => {
                    damaged.insert(first, used);
                }
                None => other = other.saturating_add(used),
            }
        }
        self.room.damaged = damaged;
        self.room.other = Some(other);
        Ok(other)
    }
}
