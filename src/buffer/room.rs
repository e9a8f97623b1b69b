//! Room for the store: the ballast, and whether there is enough before something is written. `impl Store` for the task.
//!
//! A full disk is met before the engine is asked, so that nothing is half written. The ballast is space that nobody else can
//! take: what progress, reading and a start need on a full disk comes from it.

use super::disk::{Disk, Space};
use super::error::{StoreError, io_error};
use super::quota::Extent;
use super::store::Store;
use std::io;
use std::path::{Path, PathBuf};

const NAME: &str = "ballast";
/// Steps of the engine in the ballast, see [`super::engine::Medium::step_bytes`]: one for the zeros that an open writes and its snapshot, one for a generation that is opened to
/// be read, one for the progress of some hundred commits.
const BALLAST_STEPS: u64 = 3;
/// Steps that every commit of events leaves free: the rest of one, a new one.
const FLOOR_STEPS: u64 = 2;
/// Needed by a commit of progress alone: the state of a head with the progress of many uplinks.
const PROGRESS_BYTES: u64 = 128 << 10;
/// Names that must be left: a generation takes six, and a parked event one.
const MIN_NAMES: u64 = 16;
/// The ballast is at most this part of a file system, and of what the store may take: where either is smaller there is none.
const LARGEST_PART: u64 = 8;

/// Space that is held for the time when there is none.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
    /// Left free by every commit of events.
    floor: u64,
    held: bool,
    /// The file system does not reserve space, which is said once and not asked again, or the store is too small.
    impossible: bool,
}

impl Ballast {
    /// Of a store with generations of this size. Half of one is for a copy: a generation is rewritten where the half of it
    /// or more goes. The store may take `max_bytes`, with the ballast.
    pub(super) fn new(
        root: &Path,
        generation_bytes: u64,
        max_bytes: u64,
        step_bytes: u64,
    ) -> Ballast {
        let bytes = generation_bytes / 2 + BALLAST_STEPS * step_bytes;
        Ballast {
            path: root.join(NAME),
            bytes,
            floor: FLOOR_STEPS * step_bytes,
            held: false,
            impossible: bytes > max_bytes / LARGEST_PART,
        }
    }

    /// What an earlier run left of it counts, if it is all there.
    pub(super) fn find(&mut self, disk: &dyn Disk) -> io::Result<()> {
        self.held = disk.used(&self.path)? >= self.bytes;
        if !self.held {
            disk.remove_file(&self.path)?;
        }
        Ok(())
    }

    /// Gives the space back.
    pub(super) fn release(&mut self, disk: &dyn Disk) -> io::Result<()> {
        self.held = false;
        disk.remove_file(&self.path)
    }

    /// Takes the space, where there is enough; that there is not is no error.
    pub(super) fn take(&mut self, disk: &dyn Disk, space: Space) {
        if space.free >= self.bytes + 2 * self.floor {
            self.take_back(disk, space);
        }
    }

    /// Takes the space again that was given back in vain, as far as nobody was quicker.
    pub(super) fn take_back(&mut self, disk: &dyn Disk, space: Space) {
        if self.held || !self.fits(space) || space.free < self.bytes {
            return;
        }
        match disk.reserve(&self.path, self.bytes) {
            Ok(()) => self.held = true,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "no ballast for a full disk");
                // Somebody may have been quicker; what else is refused will be refused again.
                self.impossible = error.kind() != io::ErrorKind::StorageFull;
                disk.remove_file(&self.path).ok();
            }
        }
    }

    /// What is to be free beside, before events are accepted again after a full disk.
    fn lacking(&self, space: Space) -> u64 {
        if self.held || !self.fits(space) {
            self.floor
        } else {
            self.bytes + 2 * self.floor
        }
    }

    fn fits(&self, space: Space) -> bool {
        !self.impossible && self.bytes <= space.total / LARGEST_PART
    }
}

impl Store {
    /// Finds the ballast of an earlier run, or makes it where there is room.
    pub(super) fn begin_ballast(&mut self) -> Result<(), StoreError> {
        let disk = self.medium.disk.as_ref();
        let found = self.ballast.find(disk);
        found.map_err(|error| io_error(&self.root, error))?;
        if let Ok(space) = disk.space(&self.root) {
            self.ballast.take(disk, space);
        }
        Ok(())
    }

    /// Whether so many bytes of records and checkpoint may be written, before any of them is.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was written, and the store stays usable. After that it takes more room than before, so
    /// that a disk that is almost full is not met again at each commit.
    pub(super) fn room_for(&mut self, bytes: u64) -> Result<(), StoreError> {
        // First what nobody waits for, then, from the room that the ballast gives, passing events.
        for extent in [Extent::Spare, Extent::Passing] {
            let Some(lacking) = self.lacking(bytes) else {
                return Ok(());
            };
            if self.abandoned {
                break;
            }
            if extent == Extent::Passing && self.older.len() > 0 {
                self.release_ballast()?;
            }
            self.make_room(lacking, extent)?;
        }
        if self.lacking(bytes).is_none() {
            return Ok(());
        }
        // What did not help goes back to what it is for: the next start.
        let disk = self.medium.disk.as_ref();
        if let Ok(space) = disk.space(&self.root) {
            self.ballast.take_back(disk, space);
        }
        Err(StoreError::Full(self.root.clone()))
    }

    /// How many bytes must be free beside what is free, at least one, before so many are written; `None` when they may be.
    fn lacking(&mut self, bytes: u64) -> Option<u64> {
        // A file system that does not say is asked by writing.
        let space = self.medium.disk.space(&self.root).ok()?;
        self.health.free.set(space.free);
        let mut least = self.ballast.floor.saturating_add(bytes.saturating_mul(2));
        if self.was_full {
            least = least.saturating_add(self.ballast.lacking(space));
        }
        self.was_full = space.free < least || space.free_names < MIN_NAMES;
        if self.was_full {
            return Some(least.saturating_sub(space.free).max(1));
        }
        self.ballast.take(self.medium.disk.as_ref(), space);
        None
    }

    /// Whether progress may be committed: from the ballast where there is no other room.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was written, the progress stays in memory and in the side file.
    pub(super) fn room_for_progress(&mut self) -> Result<(), StoreError> {
        if self.has_room_for_progress() {
            return Ok(());
        }
        self.release_ballast()?;
        if self.has_room_for_progress() {
            return Ok(());
        }
        Err(StoreError::Full(self.root.clone()))
    }

    fn has_room_for_progress(&self) -> bool {
        let space = self.medium.disk.space(&self.root);
        space.is_ok_and(|it| it.free >= PROGRESS_BYTES && it.free_names >= MIN_NAMES)
    }

    /// The disk is full: what is needed to go on comes from the ballast.
    ///
    /// # Errors
    /// When it cannot be removed, as on a file system that has become read-only.
    pub(super) fn release_ballast(&mut self) -> Result<(), StoreError> {
        self.was_full = true;
        self.room.look_again();
        self.ballast
            .release(self.medium.disk.as_ref())
            .map_err(|error| io_error(&self.root, error))
    }
}
