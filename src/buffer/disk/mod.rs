//! The few calls on directories and files that the store's promises rest on, and their two homes: the real ones, and for
//! tests a disk in memory that forgets what was not synced.
//!
//! Everything above the engine goes through [`Disk`]; sled, which knows only real files, has a real directory each.

mod files;
#[cfg(test)]
pub(super) mod memory;

pub use files::Files;
pub(super) use files::{create_dirs, names, remove_file, sync_dir};

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;

/// How much there is on the file system of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free: u64,
    /// All of its bytes.
    pub total: u64,
    /// Names that may still be made; the greatest number where there is no limit.
    pub free_names: u64,
}

/// Whether the content of a file cannot be had, though the system lets this user have it: a bad block, or something else
/// of that name. It costs what the file says, and nothing else.
pub(super) fn is_damage(error: &io::Error) -> bool {
    let bad_block = [libc::EIO, libc::EUCLEAN, libc::EBADMSG];
    let is_bad = error
        .raw_os_error()
        .is_some_and(|it| bad_block.contains(&it));
    is_bad || error.kind() == io::ErrorKind::IsADirectory
}

/// A place for directories and files. Paths are as the caller gives them; nothing is durable before it is synced.
pub trait Disk: Debug + Send + Sync {
    /// Creates a directory and its missing parents, each durable before the next.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable: created, renamed and removed names.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file or directory another name; what had that name is gone. Durable with [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a directory with its content; that it is gone already is as good.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Removes a file; that it is gone already is as good.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory that are text, sorted.
    fn names(&self, path: &Path) -> io::Result<Vec<String>>;
    /// The first `limit` bytes of a file; `None` where there is none.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;
    /// Opens a file for reading and writing, and creates it where it is not there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Takes the lock of this file until the answer is dropped; `None` when another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>>;
    /// Bytes that a file, or a directory with all that is in it, takes on the disk.
    fn used(&self, path: &Path) -> io::Result<u64>;
    /// What is left on the file system of `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes that much space for a file, whatever is written into it.
    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Debug + Send {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes from `offset`; fewer at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts it, or fills it with zeros, to that length.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes what was written durable, also its length.
    fn sync(&self) -> io::Result<()>;
}
