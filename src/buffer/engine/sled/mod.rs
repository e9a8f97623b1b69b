//! The product's engine: one sled database. Everything that sled needs to be told or kept from is here: its `flush` is no
//! barrier, its panics are damage, its leftovers stop an open.

mod ahead;
mod conf;
mod frame;
mod heap;
mod index;
mod joined;
mod places;
mod slots;
mod waker;
mod whole;

pub(in crate::buffer) use conf::{SEGMENT_SIZE, is_damaged as conf_is_damaged};

use super::{Batch, Each, Engine, EngineError, Purpose, damaged, io_error};
use crate::buffer::disk::{Disk, create_dirs, names, remove_file, sync_dir};
use ahead::Lacking;
use conf::Conf;
use places::{SlotError, caught};
use slots::Slots;
use std::fs::{File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use waker::Waker;

/// Pages that sled keeps in memory, per database. It divides this by 256; a full leaf should fit into such a part.
const CACHE_BYTES: u64 = 8 << 20;
/// A database that was just closed keeps its lock until sled's threads have let go of it.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An open database.
#[derive(Debug)]
struct Sled {
    path: PathBuf,
    /// Taken out on drop only.
    database: Option<sled::Db>,
    slots: Slots,
    /// The `db` file, opened before sled wrote to it: the kernel reports each failed write-back once per descriptor.
    barrier: File,
    poisoned: bool,
    /// Only where it is written to.
    waker: Option<Waker>,
}

/// Opens the database in `path`, or creates it. sled knows only real files: the disk is not asked.
///
/// # Errors
/// Each [`EngineError`].
pub fn open(
    _: &Arc<dyn Disk>,
    path: &Path,
    purpose: Purpose,
) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(Sled::open(path, purpose)?))
}

impl Sled {
    fn open(path: &Path, purpose: Purpose) -> Result<Sled, EngineError> {
        heap::keep_limit();
        let io = |source| io_error(path, source);
        if path.is_file() {
            return Err(damaged(path, "it is a file where a directory belongs"));
        }
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
        whole::read(&path.join("db")).map_err(|error| unreadable(path, error))?;
        let database = open_patiently(path).or_else(|error| match error {
            // A snapshot only saves time; a bad one is the commonest reason not to open.
            EngineError::Damaged { .. } => {
                remove_snapshots(path, |_| true).map_err(io)?;
                open_patiently(path)
            }
            other => Err(other),
        })?;
        let writes = purpose == Purpose::Write;
        let slots = guarded(path, || Slots::replay(&database, !writes))?;
        let mut engine = Sled {
            path: path.to_owned(),
            waker: writes
                .then(|| Waker::start(&database))
                .transpose()
                .map_err(io)?,
            database: Some(database),
            slots,
            barrier,
            poisoned: false,
        };
        if writes {
            engine.sync()?;
            engine.sync_entries().map_err(io)?;
        }
        Ok(engine)
    }

    fn write<T>(
        &mut self,
        work: impl FnOnce(&sled::Db, &mut Slots) -> Result<T, SlotError>,
    ) -> Result<T, EngineError> {
        let (Some(database), false) = (&self.database, self.poisoned) else {
            return Err(EngineError::Poisoned(self.path.clone()));
        };
        let slots = &mut self.slots;
        let result = guarded(&self.path, || work(database, slots)).map_err(|error| match error {
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

    fn guarded<T>(
        &self,
        work: impl FnOnce(&sled::Db) -> Result<T, SlotError>,
    ) -> Result<T, EngineError> {
        let Some(database) = &self.database else {
            return Err(EngineError::Poisoned(self.path.clone()));
        };
        guarded(&self.path, || work(database))
    }

    /// Room for so many bytes, before sled is asked for anything: where there is none, all is as it was.
    fn reserve(&mut self, bytes: u64) -> Result<(), EngineError> {
        let (Some(database), false) = (&self.database, self.poisoned) else {
            return Err(EngineError::Poisoned(self.path.clone()));
        };
        ahead::ensure(&self.barrier, tip(database), bytes).map_err(|lacking| {
            let (failed, source) = match lacking {
                Lacking::Space(source) => (false, source),
                Lacking::Failed(source) => (true, source),
            };
            self.poisoned = failed;
            io_error(&self.path, source)
        })
    }

    /// The names that make the database findable: a crash may have come between creating and syncing them.
    fn sync_entries(&self) -> io::Result<()> {
        File::open(self.path.join("conf"))?.sync_all()?;
        sync_dir(&self.path.join("blobs"))?;
        sync_dir(&self.path)?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))
    }
}

impl Engine for Sled {
    fn put(&mut self, batch: Batch) -> Result<(), EngineError> {
        let bytes = batch
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, |value| value.len()));
        self.reserve(bytes.sum::<usize>() as u64)?;
        self.write(|database, slots| slots.put(database, &batch))
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        self.write(|database, _| Ok(database.flush()?))?;
        self.barrier.sync_data().map_err(|source| {
            self.poisoned = true;
            io_error(&self.path, source)
        })
    }

    fn prepare(&mut self, bytes: u64) -> Result<(), EngineError> {
        self.reserve(bytes)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], each: &mut Each<'_>) -> Result<(), EngineError> {
        self.guarded(|database| self.slots.scan(database, prefix, from, each))
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.guarded(|database| self.slots.last(database, prefix))
    }

    fn harm(&self) -> Option<String> {
        self.slots.harm().map(str::to_owned)
    }

    #[cfg(test)]
    fn break_barrier(&mut self) {
        // A character device has no fdatasync: EINVAL.
        self.barrier = OpenOptions::new().write(true).open("/dev/null").unwrap();
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        // It holds on to the database, too.
        let wrote = self.waker.take().is_some();
        let Some(database) = self.database.take() else {
            return;
        };
        let tip = tip(&database);
        // After a failed write sled does no more of its own accord; after a failed barrier it may find the same error once
        // more and panic, with everything freed all the same. Neither leaks, and the directory can be opened again.
        let closed = catch_unwind(AssertUnwindSafe(|| drop(database)));
        if closed.is_err() && !self.poisoned {
            tracing::error!(path = %self.path.display(), "the database panicked while it was closed");
        }
        if wrote && !self.poisoned {
            // On a disk that takes nothing it stays longer than it must.
            ahead::give_back(&self.path.join("db"), tip).ok();
        }
    }
}

/// How far sled has written its file. As long as it copies nothing, and frames give it nothing to copy, this is where it
/// goes on; where it filled a place again that was freed, it is further than that.
fn tip(database: &sled::Db) -> u64 {
    let offset = database.context.pagecache.log.stable_offset();
    u64::try_from(offset).unwrap_or(0).saturating_add(1)
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
        match guarded(path, || Ok(config.open()?)) {
            Err(EngineError::Locked(_)) if tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            result => return result,
        }
    }
}

fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, SlotError>) -> Result<T, EngineError> {
    caught(work).map_err(|error| match error {
        SlotError::Sled(error) => sled_error(path, error),
        SlotError::Bent(reason) => damaged(path, reason),
        SlotError::Foreign(found) => EngineError::Foreign {
            path: path.to_owned(),
            found,
        },
    })
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

/// A block that cannot be read is damage of this database; any other refusal is about the disk.
fn unreadable(path: &Path, error: io::Error) -> EngineError {
    if names_a_cause(&error) {
        io_error(path, error)
    } else {
        damaged(path, format!("a block of it cannot be read: {error}"))
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
