//! One sled database as the store uses it: open, put a batch, sync, scan, last. Everything that sled needs to be told or
//! kept from is here: its `flush` is no barrier, its panics are damage, its leftovers stop an open.

mod conf;
mod waker;

pub(super) use conf::SEGMENT_SIZE;

use super::files::{create_dirs, names, remove_file, sync_dir};
use conf::Conf;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use waker::Waker;

/// Larger values could make a leaf that sled writes into a file of its own, which it never syncs.
pub(super) const MAX_VALUE: usize = SEGMENT_SIZE / 96;
/// Pages that sled keeps in memory, per database. It divides this by 256; a full leaf should fit into such a part.
const CACHE_BYTES: u64 = 8 << 20;
/// A database that was just closed keeps its lock until sled's threads have let go of it.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a database cannot be used. The variants differ in what the caller does next.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// Another process has it.
    #[error("{0} is locked by another process")]
    Locked(PathBuf),
    /// Created with other settings, or by another program: not touched.
    #[error("{path} was created with other settings ({found})")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The lines of its `conf`.
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
        /// What sled said.
        reason: String,
    },
    /// An earlier write failed: nothing is accepted on this handle any more.
    #[error("{0} is closed for writing after a failed write")]
    Poisoned(PathBuf),
}

/// Keys and their new values; `None` removes. Applied whole or not at all.
pub(super) type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What a database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To commit to: all that the open finds is made durable first. After a kill the last writes may be in the page cache
    /// only, and must not be shown before the disk has them.
    Write,
    /// To read what was made durable when it was written.
    Read,
}

/// An open database.
#[derive(Debug)]
pub(super) struct Engine {
    path: PathBuf,
    /// Taken out on drop only.
    database: Option<sled::Db>,
    /// The `db` file, opened before sled wrote to it: the kernel reports each failed write-back once per descriptor.
    barrier: File,
    poisoned: bool,
    /// Only where it is written to.
    waker: Option<Waker>,
}

impl Engine {
    /// Opens the database in `path`, or creates it.
    pub(super) fn open(path: &Path, purpose: Purpose) -> Result<Engine, EngineError> {
        let io = |source| io_error(path, source);
        create_dirs(path).map_err(io)?;
        remove_snapshots(path, |name| name.ends_with(".generating")).map_err(io)?;
        if let Conf::Foreign(found) = conf::check(path).map_err(io)? {
            let path = path.to_owned();
            return Err(EngineError::Foreign { path, found });
        }
        let barrier = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("db"))
            .map_err(io)?;
        if purpose == Purpose::Write {
            barrier.sync_all().map_err(io)?;
        }
        let database = open_patiently(path).or_else(|error| match error {
            // A snapshot only saves time; a bad one is the commonest reason not to open.
            EngineError::Damaged { .. } => {
                remove_snapshots(path, |_| true).map_err(io)?;
                open_patiently(path)
            }
            other => Err(other),
        })?;
        let writes = purpose == Purpose::Write;
        let mut engine = Engine {
            path: path.to_owned(),
            waker: writes
                .then(|| Waker::start(&database))
                .transpose()
                .map_err(io)?,
            database: Some(database),
            barrier,
            poisoned: false,
        };
        if writes {
            engine.sync()?;
            engine.sync_entries().map_err(io)?;
        }
        Ok(engine)
    }

    /// Applies a batch. It is not durable before [`Engine::sync`].
    pub(super) fn put(&mut self, batch: Batch) -> Result<(), EngineError> {
        let mut writes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.write(|database| database.apply_batch(writes))
    }

    /// The barrier: what was put before is on the disk when it returns. After a failure the kernel may have dropped the
    /// pages, so that a second try would lie: the handle is closed for writing.
    pub(super) fn sync(&mut self) -> Result<(), EngineError> {
        self.write(|database| database.flush())?;
        self.barrier.sync_data().map_err(|source| {
            self.poisoned = true;
            io_error(&self.path, source)
        })
    }

    /// Shows all keys from `from` on that start with `prefix`, in order, until `each` breaks.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        self.guarded(|database| {
            for item in database.range(from.to_vec()..) {
                let (key, value) = item?;
                if !key.starts_with(prefix) || each(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The greatest key that starts with `prefix`.
    pub(super) fn last(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.guarded(|database| {
            let last = database.scan_prefix(prefix).next_back().transpose()?;
            Ok(last.map(|(key, _)| key.to_vec()))
        })
    }

    fn write<T>(
        &mut self,
        work: impl FnOnce(&sled::Db) -> sled::Result<T>,
    ) -> Result<T, EngineError> {
        if self.poisoned {
            return Err(EngineError::Poisoned(self.path.clone()));
        }
        let result = self.guarded(work).map_err(|error| match error {
            // What fails in writing is the disk's, also where sled kept no more of the error than its text.
            EngineError::Damaged { path, reason } => {
                let source = io::Error::other(reason);
                EngineError::Io { path, source }
            }
            other => other,
        });
        self.poisoned = result.is_err();
        result
    }

    /// The directory got another name.
    pub(super) fn renamed(&mut self, path: &Path) {
        self.path = path.to_owned();
    }

    fn guarded<T>(
        &self,
        work: impl FnOnce(&sled::Db) -> sled::Result<T>,
    ) -> Result<T, EngineError> {
        let Some(database) = &self.database else {
            return Err(EngineError::Poisoned(self.path.clone()));
        };
        guarded(&self.path, || work(database))
    }

    /// The names that make the database findable: a crash may have come between creating and syncing them.
    fn sync_entries(&self) -> io::Result<()> {
        File::open(self.path.join("conf"))?.sync_all()?;
        sync_dir(&self.path.join("blobs"))?;
        sync_dir(&self.path)?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))
    }

    /// For tests: the next sync fails as on a broken disk.
    #[cfg(test)]
    pub(super) fn break_barrier(&mut self) {
        // A character device has no fdatasync: EINVAL.
        self.barrier = OpenOptions::new().write(true).open("/dev/null").unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It holds on to the database, too.
        drop(self.waker.take());
        let Some(database) = self.database.take() else {
            return;
        };
        if self.poisoned {
            // sled would flush again and panic when that fails. The process is about to end.
            std::mem::forget(database);
        } else if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!(path = %self.path.display(), "the database panicked while it was closed");
        }
    }
}

fn open_patiently(path: &Path) -> Result<sled::Db, EngineError> {
    let config = sled::Config::new()
        .path(path)
        .segment_size(SEGMENT_SIZE)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .use_compression(false);
    let mut tries = 1;
    loop {
        match guarded(path, || config.open()) {
            Err(EngineError::Locked(_)) if tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            result => return result,
        }
    }
}

fn guarded<T>(path: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, EngineError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| sled_error(path, error)),
        Err(panic) => Err(damaged(path, panic_text(panic.as_ref()))),
    }
}

fn sled_error(path: &Path, error: sled::Error) -> EngineError {
    match error {
        sled::Error::Io(source) if source.to_string().contains("could not acquire lock") => {
            EngineError::Locked(path.to_owned())
        }
        // What the kernel said is about the disk; what sled made up itself is about the content.
        sled::Error::Io(source) if names_a_cause(&source) => io_error(path, source),
        other => damaged(path, other.to_string()),
    }
}

/// True for refusals of the kernel; that a block cannot be read is damage, though. sled keeps failed writes as a copy that
/// has the kind alone.
fn names_a_cause(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    error
        .raw_os_error()
        .is_some_and(|number| number != libc::EIO)
        || matches!(
            error.kind(),
            Kind::StorageFull
                | Kind::QuotaExceeded
                | Kind::ReadOnlyFilesystem
                | Kind::PermissionDenied
        )
}

fn io_error(path: &Path, source: io::Error) -> EngineError {
    EngineError::Io {
        path: path.to_owned(),
        source,
    }
}

fn damaged(path: &Path, reason: String) -> EngineError {
    EngineError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}

fn remove_snapshots(path: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for name in names(path)? {
        if name.starts_with("snap.") && which(&name) {
            remove_file(&path.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
