//! A disk in memory for tests that promises what POSIX does and no more: what was not synced may vanish, come in another order,
//! or be torn between sectors when the power goes; names last only behind a sync of their directory.
//!
//! [`Memory::crash`] is a power cut, [`Memory::kill`] the end of a process. A [`Plan`] makes calls fail: full, broken, or
//! cut off at any call that changes something.

mod node;
mod state;
#[cfg(test)]
mod tests;

use super::{Disk, DiskFile, Space};
use state::State;
use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong. Calls that change or sync something are numbered from 1 on, see [`Memory::calls`].
#[derive(Clone, Debug, Default)]
pub(in crate::buffer) struct Plan {
    /// This call and all after it fail and change nothing: the moment before the power goes.
    pub(in crate::buffer) cut: Option<u64>,
    /// These calls fail once. Of a write any beginning is done; after a sync nobody knows what the disk has, and the
    /// next sync says that all is well.
    pub(in crate::buffer) broken: Vec<u64>,
    /// Bytes of all files together past which the disk is full.
    pub(in crate::buffer) bytes: Option<u64>,
    /// The rest of a large file system is taken by others: `bytes` is not all that there is.
    pub(in crate::buffer) shared: bool,
    /// Files and directories past which no name can be made.
    pub(in crate::buffer) names: Option<u64>,
    /// Others take the space between the asking and the writing: who asks is told that there is enough.
    pub(in crate::buffer) raced: bool,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(in crate::buffer) struct Memory(Arc<Mutex<State>>);

impl fmt::Debug for Memory {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:?}", self.state())
    }
}

impl Memory {
    /// An empty disk; the seed decides what a failed call leaves.
    pub(in crate::buffer) fn new(seed: u64) -> Memory {
        Memory(Arc::new(Mutex::new(State::new(seed))))
    }

    /// The disk as a power cut of this moment leaves it; the seed decides what of the unsynced is there.
    pub(in crate::buffer) fn crash(&self, seed: u64) -> Memory {
        Memory(Arc::new(Mutex::new(self.state().crash(seed))))
    }

    /// The disk as another process finds it when this one is killed: everything is visible, nothing more is durable.
    pub(in crate::buffer) fn kill(&self) -> Memory {
        Memory(Arc::new(Mutex::new(self.state().kill())))
    }

    /// How many calls changed or synced something so far.
    pub(in crate::buffer) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// From now on this goes wrong, and nothing else.
    pub(in crate::buffer) fn plan(&self, plan: Plan) {
        self.state().plan = plan;
    }

    /// Whatever was planned is over; false where the disk is cut off already.
    pub(in crate::buffer) fn recover(&self) -> bool {
        let cut = self.is_cut();
        if !cut {
            self.plan(Plan::default());
        }
        !cut
    }

    /// Whether it is cut off: every call fails from now on.
    pub(in crate::buffer) fn is_cut(&self) -> bool {
        let state = self.state();
        state.plan.cut.is_some_and(|cut| cut <= state.calls)
    }

    /// Whether nothing is planned to go wrong.
    pub(in crate::buffer) fn is_well(&self) -> bool {
        let plan = &self.state().plan;
        plan.cut.is_none() && plan.broken.is_empty() && plan.bytes.is_none() && plan.names.is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Memory {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        self.state().create_dirs(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.state().sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().rename(from, to)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.state().remove_tree(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.state().remove_file(path)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        self.state().names(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        let found = state.file_at(path)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(found.map(|file| file.data()[..file.data().len().min(limit)].to_vec()))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = self.state().open(path)?;
        let disk = self.clone();
        Ok(Box::new(Handle { disk, id }))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        let mut state = self.state();
        let id = state.open(path)?;
        if !state.locked.insert(id) {
            return Ok(None);
        }
        let disk = self.clone();
        Ok(Some(Box::new(Lock { disk, id })))
    }

    fn used(&self, path: &Path) -> io::Result<u64> {
        Ok(self.state().used(path)?.0)
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        self.state().space()
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.state().reserve(path, bytes)
    }
}

/// An open file; it stays usable when its name goes.
struct Handle {
    disk: Memory,
    id: usize,
}

impl fmt::Debug for Handle {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "file {}", self.id)
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(self.id)?.data().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let data = state.file(self.id)?.data();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = data.get(start..).unwrap_or_default();
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.state().write(self.id, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.state().set_length(self.id, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().sync(self.id)
    }
}

/// Held by a process; a kill ends it, see [`Memory::kill`].
struct Lock {
    disk: Memory,
    id: usize,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.id);
    }
}
