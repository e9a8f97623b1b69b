//! The files of parked events: `parked/UPLINK/POSITION` beside the store, one per event, each whole or not there.

use super::super::disk::{Disk, is_damage};
use super::super::listing::parse;
use super::entry::{MAX_FILE, Parked, ParkedError};
use crate::model::Position;
use std::io;
use std::path::{Path, PathBuf};

/// A file on its way to its name.
const FRESH: &str = ".new";
/// What cannot be read is kept under another name, for people.
const DAMAGED: &str = "damaged-";
/// Damaged files that are kept per uplink; the oldest go first.
const MAX_DAMAGED: usize = 8;

/// The files of one uplink. Its name is safe as a name of a directory: the settings see to that.
#[derive(Clone, Copy)]
pub(in crate::buffer) struct Folder<'a> {
    pub(in crate::buffer) disk: &'a dyn Disk,
    /// `parked` under `buffer.path`.
    pub(in crate::buffer) root: &'a Path,
    pub(in crate::buffer) uplink: &'a str,
}

impl Folder<'_> {
    pub(in crate::buffer) fn path(&self) -> PathBuf {
        self.root.join(self.uplink)
    }

    /// Whose events have files, rising. What a crash left half written is removed.
    pub(super) fn positions(&self) -> io::Result<Vec<Position>> {
        let folder = self.path();
        let names = self.names()?;
        for name in names.iter().filter(|name| name.ends_with(FRESH)) {
            self.disk.remove_file(&folder.join(name))?;
        }
        Ok(names.iter().filter_map(|name| parse(name)).collect())
    }

    /// Makes the folder and the names in it durable, where there is one: an earlier run, or attempt, may have ended between
    /// making one and making it durable, and no progress may pass an event whose file a power cut can still take away.
    pub(super) fn keep(&self) -> io::Result<()> {
        for directory in [
            Some(self.path().as_path()),
            Some(self.root),
            self.root.parent(),
        ] {
            match directory.map(|directory| self.disk.sync_dir(directory)) {
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the folder, durably.
    pub(super) fn make(&self) -> io::Result<()> {
        self.disk.create_dirs(&self.path())?;
        self.keep()
    }

    /// Whose events have files, rising. Changes nothing: somebody else may be writing.
    pub(in crate::buffer) fn listed(&self) -> io::Result<Vec<Position>> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| parse(name)).collect())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        match self.disk.names(&self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names,
        }
    }

    /// The bytes of an event's file; `None` where there is none.
    pub(super) fn read(&self, position: Position) -> io::Result<Option<Vec<u8>>> {
        let file = self.path().join(position.to_string());
        // One byte more than it may have: a longer file is not cut to a good one.
        self.disk.read(&file, MAX_FILE.saturating_add(1))
    }

    /// The parked event in its file; `None` where there is none. The inner error says why it cannot be read: a bad block
    /// costs the event whose file has it, and nothing else.
    pub(in crate::buffer) fn parked(
        &self,
        position: Position,
    ) -> io::Result<Option<Result<Parked, ParkedError>>> {
        match self.read(position) {
            Err(error) if is_damage(&error) => {
                let reason = format!("the disk does not give it: {error}");
                Ok(Some(Err(ParkedError::Damaged(reason))))
            }
            read => Ok(read?.map(|bytes| Parked::decode_at(position, &bytes))),
        }
    }

    /// Makes an event's file durable, whole, in place of an older one.
    pub(super) fn write(&self, position: Position, bytes: &[u8]) -> io::Result<()> {
        let folder = self.path();
        self.disk.create_dirs(&folder)?;
        self.replace(position, bytes)?;
        self.disk.sync_dir(&folder)
    }

    /// Puts a whole file in place of an older one: whichever of the two a crash leaves, until the directory is synced.
    pub(super) fn replace(&self, position: Position, bytes: &[u8]) -> io::Result<()> {
        let folder = self.path();
        let fresh = folder.join(format!("{position}{FRESH}"));
        self.disk.remove_file(&fresh)?;
        let file = self.disk.open(&fresh)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        drop(file);
        self.disk.rename(&fresh, &folder.join(position.to_string()))
    }

    /// After a [`Folder::write`] that failed: nothing of a new file stays, so that it is not taken for a parked event.
    pub(super) fn take_back(&self, position: Position) -> io::Result<()> {
        let folder = self.path();
        match self.disk.names(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.map(drop)?,
        }
        self.disk
            .remove_file(&folder.join(format!("{position}{FRESH}")))?;
        self.disk.remove_file(&folder.join(position.to_string()))?;
        self.disk.sync_dir(&folder)
    }

    /// Removes the files of these events, durably. That they are gone already is as good.
    pub(super) fn remove(&self, positions: &[Position]) -> io::Result<()> {
        let folder = self.path();
        match self.disk.names(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.map(drop)?,
        }
        for position in positions {
            self.disk.remove_file(&folder.join(position.to_string()))?;
        }
        self.disk.sync_dir(&folder)
    }

    /// Gives a damaged file a name under which nobody takes it for an event.
    pub(super) fn set_aside(&self, position: Position) -> io::Result<()> {
        let folder = self.path();
        let named = position.to_string();
        // Not by a look into it: that may be what cannot be done.
        if !self.names()?.contains(&named) {
            return Ok(());
        }
        let to = folder.join(format!("{DAMAGED}{named}"));
        self.remove_any(&to)?;
        self.disk.rename(&folder.join(named), &to)?;
        let names = self.disk.names(&folder)?;
        let damaged: Vec<&String> = names
            .iter()
            .filter(|name| name.starts_with(DAMAGED))
            .collect();
        let surplus = damaged.len().saturating_sub(MAX_DAMAGED);
        for name in damaged.into_iter().take(surplus) {
            self.remove_any(&folder.join(name))?;
        }
        self.disk.sync_dir(&folder)
    }

    /// Removes what was set aside, also a directory that somebody made in the place of a file.
    fn remove_any(&self, path: &Path) -> io::Result<()> {
        match self.disk.remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.disk.remove_tree(path)
            }
            removed => removed,
        }
    }
}

/// The furthest event that has a file in any folder, also in one of an uplink that left the settings, as far as they can be
/// listed.
pub(in crate::buffer) fn furthest_parked(
    disk: &dyn Disk,
    root: &Path,
) -> io::Result<Option<Position>> {
    let folders = match disk.names(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names?,
    };
    let mut furthest = None;
    for uplink in &folders {
        let listed = Folder { disk, root, uplink }.listed();
        match listed {
            // A file beside the folders is none of ours.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            // That of an uplink of the settings is read again, and then stops the start.
            Err(error) => {
                let folder = root.join(uplink);
                tracing::warn!(
                    folder = %folder.display(), %error,
                    "parked events cannot be listed: a new epoch, should one begin, does not know of them"
                );
            }
            Ok(listed) => furthest = furthest.max(listed.last().copied()),
        }
    }
    Ok(furthest)
}

#[cfg(test)]
mod tests {
    use super::super::super::disk::Files;
    use super::*;

    fn at(seq: u64) -> Position {
        Position { epoch: 1, seq }
    }

    #[test]
    fn what_cannot_be_listed_beside_the_folders_stops_nothing() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        let furthest = || furthest_parked(&Files, root).unwrap();
        assert_eq!(furthest(), None);
        std::fs::write(root.join("a-file"), b"!").unwrap();
        // Whoever lists it is told that there is no end of it.
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let folder = Folder {
            disk: &Files,
            root,
            uplink: "mes",
        };
        folder.write(at(7), b"x").unwrap();
        assert_eq!(furthest(), Some(at(7)));
    }

    #[test]
    fn files_come_and_go_and_what_is_half_or_damaged_is_none_of_them() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("parked");
        let folder = Folder {
            disk: &Files,
            root: &root,
            uplink: "mes",
        };
        assert_eq!(folder.positions().unwrap(), []);
        folder.remove(&[at(1)]).unwrap();
        folder.take_back(at(1)).unwrap();
        for seq in [3, 1, 2] {
            folder.write(at(seq), b"first").unwrap();
        }
        folder.write(at(2), b"second, longer").unwrap();
        folder.write(at(3), b"3").unwrap();
        std::fs::write(folder.path().join(format!("{}.new", at(9))), b"half").unwrap();
        std::fs::write(folder.path().join("notes of somebody"), b"!").unwrap();
        assert_eq!(folder.positions().unwrap(), [at(1), at(2), at(3)]);
        assert!(!folder.path().join(format!("{}.new", at(9))).exists());
        assert_eq!(folder.read(at(2)).unwrap().unwrap(), b"second, longer");
        assert_eq!(folder.read(at(3)).unwrap().unwrap(), b"3");
        assert_eq!(folder.read(at(4)).unwrap(), None);

        folder.set_aside(at(2)).unwrap();
        folder.set_aside(at(2)).unwrap();
        folder.remove(&[at(1), at(1)]).unwrap();
        assert_eq!(folder.positions().unwrap(), [at(3)]);
        for seq in 20..40 {
            folder.write(at(seq), b"x").unwrap();
            folder.set_aside(at(seq)).unwrap();
        }
        assert_eq!(folder.disk.names(&folder.path()).unwrap().len(), 1 + 8 + 1);
    }
}
