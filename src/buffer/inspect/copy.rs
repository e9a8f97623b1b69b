//! Copies of single generations, to be opened in place of the original: opening a database writes to it.
//!
//! They lie in `copies/` beside the store, are removed when they are dropped, and what a killed command left is removed at
//! the next start. Plain files: sled knows no others, and nothing rests on a copy.

use super::owner::give_to_parent_owner;
use super::{Name, root};
use crate::buffer::disk::{Disk, Files};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What must be left on the file system beside a copy: room for the running gateway to go on for some time.
const ROOM_BESIDE: u64 = 32 << 20;
/// Files of a database, and names in a directory of it, that are copied at most. sled has three, and no blobs of ours.
const MAX_FILES: usize = 64;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It was delivered and removed, or set aside, since its name was read.
    #[error("the generation {0} is not there any more")]
    Gone(Name),
    /// No room.
    #[error(
        "a copy of the generation {name} needs {needed} bytes in {directory} and leaves too little beside them: \
         {free} bytes are free, and {ROOM_BESIDE} stay for the gateway",
        directory = directory.display()
    )]
    NoRoom {
        /// The generation.
        name: Name,
        /// Where it was to be copied to.
        directory: PathBuf,
        /// Its size.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Where copies of a store lie that the gateway makes.
#[must_use]
pub fn copies_path(path: &Path) -> PathBuf {
    path.join("copies")
}

/// A copy; removed when dropped.
#[derive(Debug)]
pub struct Copied {
    path: PathBuf,
}

impl Copied {
    /// The directory that is the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Err(error) = Files.remove_tree(&self.path) {
            tracing::warn!(copy = %self.path.display(), %error, "a copy stays behind; the next start removes it");
        }
        // The last one takes the directory along.
        if let Some(parent) = self.path.parent() {
            fs::remove_dir(parent).ok();
        }
    }
}

/// Removes the copies that a killed command or gateway left: called under the lock. No start fails by one that stays.
pub(in crate::buffer) fn clear_copies(disk: &dyn Disk, path: &Path) {
    let copies = copies_path(path);
    if let Err(error) = disk.remove_tree(&copies) {
        tracing::warn!(path = %copies.display(), %error, "old copies of generations stay behind: remove them");
    }
}

/// Copies a generation of the store in `path` into a directory of its own below `into`. The head only between its commits.
///
/// # Errors
/// See [`CopyError`]; half a copy is removed.
pub fn copy_generation(path: &Path, name: Name, into: &Path) -> Result<Copied, CopyError> {
    match (copy_one(path, name, into), name.rewritten()) {
        (Err(CopyError::Gone(name)), Some(rewritten)) => {
            copy_one(path, rewritten, into).map_err(|error| match error {
                CopyError::Gone(_) => CopyError::Gone(name),
                other => other,
            })
        }
        (result, _) => result,
    }
}

fn copy_one(path: &Path, name: Name, into: &Path) -> Result<Copied, CopyError> {
    let from = root(path).join(name.to_string());
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Io { path, source }
    };
    private(into).map_err(io(into))?;
    let needed = Files.used(&from).map_err(io(&from))?;
    let free = Files.space(into).map_err(io(into))?.free;
    if free < needed.saturating_add(ROOM_BESIDE) {
        fs::remove_dir(into).ok();
        return Err(CopyError::NoRoom {
            name,
            directory: into.to_owned(),
            needed,
            free,
        });
    }
    let to = into.join(format!("{name}-{:016x}", fastrand::u64(..)));
    let copied = Copied { path: to.clone() };
    if from.is_file() {
        // Whoever opens the copy says what is wrong with it.
        fs::write(&to, []).map_err(io(&to))?;
        return Ok(copied);
    }
    private(&to).map_err(io(&to))?;
    match copy_files(&from, &to, 1) {
        Ok(()) => Ok(copied),
        Err((_, error)) if is_gone(&error) => Err(CopyError::Gone(name)),
        Err((path, source)) => Err(CopyError::Io { path, source }),
    }
}

/// Makes a directory for nobody else.
fn private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(()),
        Ok(()) => {
            // One that a killed command leaves must not keep the gateway from making others, and from removing it.
            give_to_parent_owner(path);
            Ok(())
        }
    }
}

/// With its snapshots: where a page is damaged, what can be read around it depends on them, and a copy is to tell what a
/// gateway would find. They come and go while a database is opened, and half of one is nothing to copy.
fn copy_files(from: &Path, to: &Path, deeper: u32) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    for (count, entry) in fs::read_dir(from).map_err(at(from))?.enumerate() {
        let entry = entry.map_err(at(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(at(&source))?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if count >= MAX_FILES || name.ends_with(b".generating") {
            continue;
        }
        if kind.is_dir() && deeper > 0 {
            private(&target).map_err(at(&target))?;
            copy_files(&source, &target, deeper - 1)?;
        } else if kind.is_file() {
            match copy_file(&source, &target) {
                Err((_, error)) if is_gone(&error) && name.starts_with(b"snap.") => {}
                copied => copied?,
            }
        }
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// A block that cannot be read is damage of that block: what stands around it is copied.
fn copy_file(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EIO) => copy_readable(from, to),
        Err(error) => Err((from.to_owned(), error)),
    }
}

/// Bytes that are read at a time where some cannot be.
const BLOCK: usize = 4096;

fn copy_readable(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    use std::os::unix::fs::FileExt;
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let source = fs::File::open(from).map_err(at(from))?;
    let target = fs::File::create(to).map_err(at(to))?;
    let length = source.metadata().map_err(at(from))?.len();
    target.set_len(length).map_err(at(to))?;
    let mut block = [0; BLOCK];
    for offset in (0..length).step_by(BLOCK) {
        match source.read_at(&mut block, offset) {
            Ok(read) => {
                let found = block.get(..read).unwrap_or_default();
                target.write_all_at(found, offset).map_err(at(to))?;
            }
            // It stays a block of zeros.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
            Err(error) => return Err((from.to_owned(), error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    fn name() -> Name {
        Name {
            first: Position { epoch: 1, seq: 1 },
            damaged: true,
            lean: false,
        }
    }

    #[test]
    fn a_copy_has_everything_but_half_a_snapshot_and_goes_when_it_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let from = home.path().join("store").join(name().to_string());
        fs::create_dir_all(from.join("blobs")).unwrap();
        for file in ["db", "conf", "snap.0001", "snap.0002.generating", "blobs/7"] {
            fs::write(from.join(file), file).unwrap();
        }
        let into = copies_path(home.path());
        let copied = copy_generation(home.path(), name(), &into).unwrap();
        for file in ["db", "conf", "snap.0001", "blobs/7"] {
            assert_eq!(fs::read(copied.path().join(file)).unwrap(), file.as_bytes());
        }
        assert!(!copied.path().join("snap.0002.generating").exists());
        drop(copied);
        assert!(!into.exists());
        fs::create_dir_all(into.join("left/over")).unwrap();
        clear_copies(&Files, home.path());
        assert!(!into.exists());
    }

    #[test]
    fn what_is_gone_is_said_to_be_gone() {
        let home = tempfile::tempdir().unwrap();
        let into = copies_path(home.path());
        let found = copy_generation(home.path(), name(), &into);
        assert!(matches!(found, Err(CopyError::Gone(_))), "{found:?}");
        assert!(!into.exists(), "nothing is left");
    }
}
