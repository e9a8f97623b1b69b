//! The real files and directories.

use super::{Disk, DiskFile, Space};
use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Depth of directories that are counted: a store has three.
const MAX_DEPTH: u32 = 8;

/// The file systems of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Disk for Files {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        create_dirs(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            // Somebody's file in the place of a directory.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove_file(path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        remove_file(path)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        names(path)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Box::new(lock))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn used(&self, path: &Path) -> io::Result<u64> {
        used(path, MAX_DEPTH)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = nix::sys::statvfs::statvfs(path)?;
        let block = found.fragment_size();
        // The types of these numbers differ between platforms.
        let bytes = |blocks: u64| blocks.saturating_mul(block);
        let has_names = found.files() > 0;
        Ok(Space {
            free: bytes(found.blocks_available()),
            total: bytes(found.blocks()),
            free_names: if has_names {
                found.files_available()
            } else {
                u64::MAX
            },
        })
    }

    fn reserve(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        nix::fcntl::posix_fallocate(&file, 0, length)?;
        Ok(())
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Blocks are counted as stat(2) does, in 512 bytes. What vanishes meanwhile takes nothing; what lies in a directory that this
/// user may not look into, as in `lost+found` of a disk of its own, is none of the store's.
fn used(path: &Path, depth: u32) -> io::Result<u64> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        result => result?,
    };
    let mut bytes = metadata.blocks().saturating_mul(512);
    if metadata.is_dir() && depth > 0 {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(bytes),
            result => result?,
        };
        for entry in entries {
            bytes = bytes.saturating_add(used(&entry?.path(), depth - 1)?);
        }
    }
    Ok(bytes)
}

/// Makes the entries of a directory durable: created, renamed and removed names.
pub(in crate::buffer) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and its missing parents, each durable before the next.
pub(in crate::buffer) fn create_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dirs(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(error) if !path.is_dir() => return Err(error),
        _ => {}
    }
    sync_dir(parent)
}

/// Removes a file; that it is gone already is as good.
pub(in crate::buffer) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names in a directory that are text, sorted.
pub(in crate::buffer) fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_with_their_parents_and_removed_twice() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("a/b/c");
        create_dirs(&deep).unwrap();
        create_dirs(&deep).unwrap();
        fs::write(deep.join("file"), b"x").unwrap();
        assert_eq!(names(&deep).unwrap(), ["file"]);
        assert!(create_dirs(&deep.join("file/d")).is_err());
        assert!(Files.used(home.path()).unwrap() > 0);
        assert!(Files.space(home.path()).unwrap().total > 0);
        Files.remove_tree(&home.path().join("a")).unwrap();
        Files.remove_tree(&home.path().join("a")).unwrap();
        remove_file(&deep.join("file")).unwrap();
    }
}
