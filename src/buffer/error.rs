//! What ends the gateway when the store cannot be used, in words for whoever stands in front of the box.

use super::engine::EngineError;
use super::record::RecordError;
use crate::model::Position;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "{0} is in use by another process: stop the other gateway or command that has it open, or give this one a \
         buffer.path of its own"
    )]
    Locked(PathBuf),
    /// The file system takes no writes.
    #[error(
        "{0} lies on a file system that is mounted read-only: remount it for writing, and look into the kernel's log for \
         the reason"
    )]
    ReadOnly(PathBuf),
    /// The user may not.
    #[error(
        "{0} may not be written by this user: give the directory to the user that runs the gateway"
    )]
    NoPermission(PathBuf),
    /// No space.
    #[error("{0}: the disk or the quota is full: make room there; nothing that was stored is lost")]
    Full(PathBuf),
    /// A database of other settings.
    #[error(
        "{path} was created with other settings ({found}): it belongs to another program or release, choose another \
             buffer.path or move it away"
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// Its settings.
        found: String,
    },
    /// A part of the path is no directory.
    #[error(
        "{0} is a file where `buffer.path` needs a directory: choose another buffer.path or move the file away"
    )]
    NotADirectory(PathBuf),
    /// A file where a directory belongs, or the other way round.
    #[error(
        "{path} is a {is} where a {needed} belongs: move it away, then try again; no event is lost by that",
        path = path.display()
    )]
    Misplaced {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What belongs there.
        needed: &'static str,
    },
    /// The directory cannot be made.
    #[error("no directory can be made in {parent}: {source}: choose a buffer.path on a disk")]
    NoDirectory {
        /// The last part of the path that is there.
        parent: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else that the operating system says.
    #[error("{path}: {source}: check the disk and that every part of the path is a directory")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Damage where it cannot be set aside: in what was written a moment ago.
    #[error("{path} cannot be used: {reason}: check the disk")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Numbering would have a gap: an error in the program, and never written.
    #[error("event {found} was to be stored where {expected} is next")]
    Sequence {
        /// The next position.
        expected: Position,
        /// The event's.
        found: Position,
    },
    /// An event that is no record.
    #[error("event {position} cannot be stored: {source}")]
    Event {
        /// Its position.
        position: Position,
        /// Why.
        source: RecordError,
    },
}

/// The error of a call on a file or directory.
pub(super) fn io_error(path: &Path, source: io::Error) -> StoreError {
    use io::ErrorKind as Kind;
    let path = path.to_owned();
    match source.kind() {
        Kind::ReadOnlyFilesystem => StoreError::ReadOnly(path),
        Kind::PermissionDenied => StoreError::NoPermission(path),
        Kind::StorageFull | Kind::QuotaExceeded => StoreError::Full(path),
        _ => match misplaced(&path, &source) {
            Some((path, is, needed)) => StoreError::Misplaced { path, is, needed },
            None => StoreError::Io { path, source },
        },
    }
}

/// Files of a store and of its folders of parked events.
const FILES: [&str; 6] = [
    "progress",
    "progress.new",
    "lock",
    "ballast",
    "discarded.jsonl",
    "discarded.1.jsonl",
];

/// What is in the way of a call on the directory `path` or a file in it: where, what it is, what belongs there.
pub(super) fn misplaced(
    path: &Path,
    source: &io::Error,
) -> Option<(PathBuf, &'static str, &'static str)> {
    use io::ErrorKind as Kind;
    if !matches!(source.kind(), Kind::NotADirectory | Kind::IsADirectory) {
        return None;
    }
    let mut above = path.ancestors();
    if let Some(file) = above.find(|part| part.is_file()) {
        return Some((file.to_owned(), "file", "directory"));
    }
    let mut files = FILES.iter().map(|name| path.join(name));
    let directory = files.find(|file| file.is_dir())?;
    Some((directory, "directory", "file"))
}

/// The error of making the store's directory: which part of its path is in the way.
pub(super) fn making_error(path: &Path, source: io::Error) -> StoreError {
    use io::ErrorKind as Kind;
    let there = path.ancestors().find(|part| part.exists());
    match (there, source.kind()) {
        (Some(part), _) if !part.is_dir() => StoreError::NotADirectory(part.to_owned()),
        (Some(part), Kind::NotFound) => StoreError::NoDirectory {
            parent: part.to_owned(),
            source,
        },
        _ => io_error(path, source),
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> StoreError {
        match error {
            EngineError::Locked(path) => StoreError::Locked(path),
            EngineError::Foreign { path, found } => StoreError::Foreign { path, found },
            EngineError::Io { path, source } => io_error(&path, source),
            EngineError::Damaged { path, reason } => StoreError::Damaged { path, reason },
            EngineError::Poisoned(path) => StoreError::Damaged {
                path,
                reason: "an earlier write failed".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_the_system_has_its_own_words() {
        let cases = [
            (libc::EROFS, "read-only"),
            (libc::EACCES, "may not be written"),
            (libc::EPERM, "may not be written"),
            (libc::ENOSPC, "full"),
            (libc::EDQUOT, "full"),
            (libc::EIO, "check the disk"),
            (libc::ENOTDIR, "is a directory"),
        ];
        for (number, words) in cases {
            let error = io_error(
                Path::new("/var/lib/x"),
                io::Error::from_raw_os_error(number),
            );
            let text = error.to_string();
            assert!(
                text.contains("/var/lib/x") && text.contains(words),
                "{text}"
            );
        }
    }

    #[test]
    fn what_lies_where_something_else_belongs_is_named() {
        let home = tempfile::tempdir().unwrap();
        let (file, directory) = (home.path().join("mes"), home.path().join("progress"));
        std::fs::write(&file, b"x").unwrap();
        std::fs::create_dir(&directory).unwrap();
        let says = |path: &Path, number, words: String| {
            let error = io_error(path, io::Error::from_raw_os_error(number));
            let text = error.to_string();
            assert!(text.starts_with(&words), "{text}");
            assert!(text.contains("move it away"), "{text}");
        };
        let words = format!("{} is a file where a directory belongs", file.display());
        says(&file, libc::ENOTDIR, words);
        let words = format!("{} is a directory where a file", directory.display());
        says(home.path(), libc::EISDIR, words);
    }

    #[test]
    fn the_part_of_the_path_that_is_in_the_way_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("afile");
        std::fs::write(&file, b"x").unwrap();
        for path in [file.join("store"), file.join("deep/store")] {
            let error = super::super::disk::create_dirs(&path).unwrap_err();
            let text = making_error(&path, error).to_string();
            let says = format!("{} is a file", file.display());
            assert!(text.starts_with(&says), "{text}");
        }
        let path = Path::new("/proc/millgate/store");
        let error = super::super::disk::create_dirs(path).unwrap_err();
        let text = making_error(path, error).to_string();
        assert!(
            text.starts_with("no directory can be made in /proc: "),
            "{text}"
        );
    }
}
