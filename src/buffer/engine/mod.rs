//! The line between the store and what keeps its bytes: open, put a batch, sync, scan, last. Whatever survives a power cut
//! does so behind [`Engine::sync`]. Two more may be left out and change nothing that is stored: `prepare` makes room when
//! nobody waits, `harm` tells what an open could not read.
//!
//! Two engines: `sled`, the product's, and `log`, a plain segment log for tests and as the yardstick of the benches. Rotation,
//! progress, quota, classes and quarantine are the business of what is above.

mod closed;
mod log;
mod sled;

pub(super) use closed::Closed;
pub use log::open as open_log;
use sled::SEGMENT_SIZE;
pub(super) use sled::conf_is_damaged;
pub use sled::open as open_sled;

use super::disk::{Disk, Files};
use std::fmt::Debug;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest value: no engine needs to take more in one piece.
pub(super) const MAX_VALUE: usize = 5 << 10;

/// Why a database cannot be used. The variants differ in what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process has it.
    #[error("{0} is locked by another process")]
    Locked(PathBuf),
    /// Created with other settings, or by another program: not touched.
    #[error("{path} was created with other settings ({found})")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What it says of its settings.
        found: String,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is on the disk makes no sense: to be quarantined.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// An earlier write failed: nothing is accepted on this handle any more.
    #[error("{0} is closed for writing after a failed write")]
    Poisoned(PathBuf),
}

/// Keys and their new values; `None` removes. Applied whole or not at all.
pub type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What a database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To commit to: all that the open finds is made durable first. After a kill the last writes may be in the page cache
    /// only, and must not be shown before the disk has them.
    Write,
    /// To read what was made durable when it was written.
    Read,
}

/// An open database.
pub trait Engine: Debug + Send {
    /// Applies a batch. It is not durable before [`Engine::sync`].
    ///
    /// # Errors
    /// After any error nothing more is accepted on this handle.
    fn put(&mut self, batch: Batch) -> Result<(), EngineError>;

    /// The barrier: what was put before is on the disk when it returns. After a failure the kernel may have dropped the
    /// pages, so that a second try would lie: the handle is closed for writing.
    ///
    /// # Errors
    /// As [`Engine::put`].
    fn sync(&mut self) -> Result<(), EngineError>;

    /// Takes room for a batch of so many bytes, so that the disk is not found full when it is put. Best when nobody waits.
    ///
    /// # Errors
    /// The disk's, most likely that it is full: nothing has changed then, and the handle stays as it was.
    fn prepare(&mut self, _bytes: u64) -> Result<(), EngineError> {
        Ok(())
    }

    /// Shows all keys from `from` on that start with `prefix`, in order, until `each` breaks.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] where they cannot be read.
    fn scan(&self, prefix: &[u8], from: &[u8], each: &mut Each<'_>) -> Result<(), EngineError>;

    /// The greatest key that starts with `prefix`.
    ///
    /// # Errors
    /// As [`Engine::scan`].
    fn last(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// What of it could not be read by now, in words, where it is read around: of [`Purpose::Read`], what can be read is
    /// shown, and what cannot is left out.
    fn harm(&self) -> Option<String> {
        None
    }

    /// For tests: the next sync fails as on a broken disk.
    #[cfg(test)]
    fn break_barrier(&mut self);
}

/// What [`Engine::scan`] shows each key and value to.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Opens the database in a directory, or creates it: the fifth call of an engine.
pub type Open =
    fn(disk: &Arc<dyn Disk>, path: &Path, purpose: Purpose) -> Result<Box<dyn Engine>, EngineError>;

/// Where a store lies, and what keeps its bytes there.
#[derive(Clone, Debug)]
pub struct Medium {
    /// The directories and files.
    pub disk: Arc<dyn Disk>,
    /// The databases in them.
    pub open: Open,
    /// Bytes of the disk that a database may take at once beside what it is given.
    pub step_bytes: u64,
    /// Payloads are compressed: always, but in the bench that measures what that gains.
    pub packs: bool,
}

impl Medium {
    /// The product's: sled on real files.
    #[must_use]
    pub fn sled() -> Medium {
        Medium {
            disk: Arc::new(Files),
            open: open_sled,
            step_bytes: SEGMENT_SIZE as u64,
            packs: true,
        }
    }

    /// For tests and benches: the plain log.
    #[must_use]
    pub fn log(disk: Arc<dyn Disk>) -> Medium {
        Medium {
            disk,
            open: open_log,
            // It needs none. The same room as beside sled makes a full disk the same in tests of both.
            step_bytes: SEGMENT_SIZE as u64,
            packs: true,
        }
    }

    pub(super) fn open(
        &self,
        path: &Path,
        purpose: Purpose,
    ) -> Result<Box<dyn Engine>, EngineError> {
        (self.open)(&self.disk, path, purpose).map_err(|error| match error {
            // An open writes: one that fails for want of space must not look like damage, whatever the engine makes of it.
            EngineError::Damaged { .. } if self.is_full(path) => {
                io_error(path, io::ErrorKind::StorageFull.into())
            }
            other => other,
        })
    }

    fn is_full(&self, path: &Path) -> bool {
        let space = self.disk.space(path);
        space.is_ok_and(|space| space.free < 2 * self.step_bytes)
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> EngineError {
    EngineError::Io {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> EngineError {
    EngineError::Damaged {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
