//! The progress file: how far each uplink has come and how far the store reached, written at each verdict without a sync.
//!
//! It survives a kill, not a power cut, and stands beside the databases: it keeps duplicates after a kill within the
//! window, and it tells a store that lost its end from one that never had it. Every value in it was true when written.

use super::files::{remove_file, sync_dir};
use super::seal::{seal, unseal};
use crate::model::Position;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const NAME: &str = "progress";
const VERSION: u8 = 1;
/// A slot never crosses a sector, so that it is torn by a power cut only where the disk tears sectors.
const SLOT: usize = 64;
/// Uplinks whose slots are read: more than any settings have.
const MAX_SLOTS: usize = 1024;

/// An uplink's name, hashed to a fixed length.
type Name = [u8; 16];

/// What an earlier run left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    tail: Option<Position>,
    cursors: BTreeMap<Name, Position>,
}

impl Known {
    /// What the file in `directory` says. A slot that is torn or bent says nothing.
    pub(super) fn read(directory: &Path) -> io::Result<Known> {
        let mut known = Known::default();
        let file = match File::open(directory.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(known),
            result => result?,
        };
        let mut bytes = Vec::new();
        file.take((MAX_SLOTS * SLOT) as u64)
            .read_to_end(&mut bytes)?;
        for (index, slot) in bytes.chunks_exact(SLOT).enumerate() {
            let Some((name, position)) = parse(slot) else {
                continue;
            };
            if index == 0 {
                known.tail = Some(position);
            } else {
                known.cursors.insert(name, position);
            }
        }
        Ok(known)
    }

    /// How far this uplink had come.
    pub(super) fn cursor(&self, uplink: &str) -> Option<Position> {
        self.cursors.get(&hash(uplink)).copied()
    }

    /// The furthest position that it knows of; `None` when there was no file or nothing legible in it.
    pub(super) fn furthest(&self) -> Option<Position> {
        self.cursors.values().copied().chain(self.tail).max()
    }
}

/// The open file of this run.
#[derive(Debug)]
pub(super) struct Progress {
    file: File,
    uplinks: Vec<Name>,
}

impl Progress {
    /// Replaces the file by one that knows these cursors, durably.
    pub(super) fn create(
        directory: &Path,
        tail: Position,
        cursors: &[(String, Position)],
    ) -> io::Result<Progress> {
        let fresh = directory.join(format!("{NAME}.new"));
        remove_file(&fresh)?;
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&fresh)?;
        file.write_all(&slot(hash(""), tail))?;
        for (uplink, cursor) in cursors {
            file.write_all(&slot(hash(uplink), *cursor))?;
        }
        file.sync_all()?;
        std::fs::rename(&fresh, directory.join(NAME))?;
        sync_dir(directory)?;
        let uplinks = cursors.iter().map(|(uplink, _)| hash(uplink)).collect();
        Ok(Progress { file, uplinks })
    }

    /// The store reaches to `tail`, durably.
    pub(super) fn tail(&self, tail: Position) -> io::Result<()> {
        self.file.write_all_at(&slot(hash(""), tail), 0)
    }

    /// The uplink of this index, in the order of [`Progress::create`], settled up to `cursor`.
    pub(super) fn cursor(&self, index: usize, cursor: Position) -> io::Result<()> {
        let Some(name) = self.uplinks.get(index) else {
            return Ok(());
        };
        let offset = (index + 1) * SLOT;
        self.file.write_all_at(&slot(*name, cursor), offset as u64)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn hash(uplink: &str) -> Name {
    let mut name = Name::default();
    for (to, from) in name.iter_mut().zip(Sha256::digest(uplink)) {
        *to = from;
    }
    name
}

fn slot(name: Name, position: Position) -> [u8; SLOT] {
    let mut body = name.to_vec();
    body.extend_from_slice(&position.epoch.to_le_bytes());
    body.extend_from_slice(&position.seq.to_le_bytes());
    let mut slot = [0; SLOT];
    for (to, from) in slot.iter_mut().zip(seal(VERSION, &body)) {
        *to = from;
    }
    slot
}

fn parse(slot: &[u8]) -> Option<(Name, Position)> {
    // Seal, name, epoch, sequence; the rest of the slot is zeroes.
    let body = unseal(VERSION, slot.get(..5 + 16 + 4 + 8)?).ok()?;
    let (name, body) = body.split_first_chunk::<16>()?;
    let (epoch, body) = body.split_first_chunk::<4>()?;
    let (seq, _) = body.split_first_chunk::<8>()?;
    let position = Position {
        epoch: u32::from_le_bytes(*epoch),
        seq: u64::from_le_bytes(*seq),
    };
    Some((*name, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, seq: u64) -> Position {
        Position { epoch, seq }
    }

    #[test]
    fn the_next_run_knows_what_was_written_last() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Known::read(home.path()).unwrap().furthest(), None);
        let cursors = [("mes".to_owned(), at(1, 0)), ("scada".to_owned(), at(1, 0))];
        let progress = Progress::create(home.path(), at(1, 5), &cursors).unwrap();
        progress.cursor(1, at(1, 4)).unwrap();
        progress.cursor(7, at(9, 9)).unwrap();
        progress.tail(at(1, 8)).unwrap();
        progress.sync().unwrap();

        let known = Known::read(home.path()).unwrap();
        assert_eq!(known.cursor("mes"), Some(at(1, 0)));
        assert_eq!(known.cursor("scada"), Some(at(1, 4)));
        assert_eq!(known.cursor("other"), None);
        assert_eq!(known.furthest(), Some(at(1, 8)));

        let again = Progress::create(home.path(), at(2, 0), &cursors[..1]).unwrap();
        again.cursor(0, at(1, 8)).unwrap();
        let known = Known::read(home.path()).unwrap();
        assert_eq!(known.cursor("scada"), None);
        assert_eq!(known.furthest(), Some(at(2, 0)));
    }

    #[test]
    fn a_bent_slot_says_nothing_and_spoils_no_other() {
        let home = tempfile::tempdir().unwrap();
        let cursors = [("mes".to_owned(), at(1, 3)), ("scada".to_owned(), at(1, 2))];
        drop(Progress::create(home.path(), at(1, 5), &cursors).unwrap());
        let path = home.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in 0..33 {
            bytes[SLOT + byte] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            bytes[SLOT + byte] ^= 4;
            let known = Known::read(home.path()).unwrap();
            assert_eq!(known.cursor("mes"), None, "byte {byte}");
            assert_eq!(known.cursor("scada"), Some(at(1, 2)));
        }
        std::fs::write(&path, &bytes[..SLOT + 7]).unwrap();
        assert_eq!(Known::read(home.path()).unwrap().furthest(), Some(at(1, 5)));
    }
}
