//! The side file: how far each uplink has come and how far the store reached, written at each verdict without a sync.
//!
//! It survives a kill, not a power cut, and stands beside the databases: it keeps duplicates after a kill within the
//! window, and it tells a store that lost its end from one that never had it. Every value in it was true when written.

use super::disk::{Disk, DiskFile, is_damage};
use super::progress::Progress;
use super::seal::{seal, unseal};
use crate::model::Position;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

const NAME: &str = "progress";
const VERSION: u8 = 2;
/// Room of a slot: a progress of 4,096 events settled one by one takes less than 13 KiB.
const SLOT: usize = 16 << 10;
/// Slots that are read: more uplinks than any settings have.
const MAX_SLOTS: usize = 65;

/// What a slot says; the first one is the store's, with an empty name.
#[derive(Debug, Serialize, Deserialize)]
struct Slot {
    name: String,
    progress: Progress,
    /// How far the store reached then: what came behind it is not in the account. Earlier files do not say so.
    #[serde(default, deserialize_with = "last_field")]
    tail: Option<Position>,
}

/// The last field of what may end before it. Who reads an earlier layout passes over it.
fn last_field<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Position>, D::Error> {
    Ok(Option::<Position>::deserialize(from).unwrap_or_default())
}

/// What an earlier run left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    slots: Vec<(String, Progress)>,
    /// How far the store reached when each of `slots` was written, where it says so.
    tails: Vec<Option<Position>>,
    bent: usize,
}

impl Known {
    /// What the file in `directory` says. A slot that is torn or bent says nothing.
    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> io::Result<Known> {
        let limit = (MAX_SLOTS * SLOT) as u64;
        let bytes = match disk.read(&directory.join(NAME), limit) {
            // Its blocks are bad: no event is in it, and the next start makes it anew.
            Err(error) if error.kind() != io::ErrorKind::IsADirectory && is_damage(&error) => {
                tracing::warn!(%error, "the side file `progress` cannot be read: it is made anew");
                Some(Vec::new())
            }
            read => read?,
        };
        let is_there = bytes.is_some();
        let bytes = bytes.unwrap_or_default();
        let slots: Vec<Option<Slot>> = bytes.chunks(SLOT).map(parse).collect();
        let all = slots.len();
        let slots = slots.into_iter().flatten();
        let (slots, tails): (Vec<_>, Vec<_>) = slots
            .map(|slot| ((slot.name, slot.progress), slot.tail))
            .unzip();
        Ok(Known {
            tails,
            // A file without a byte is one that lost them.
            bent: (all - slots.len()).max(usize::from(is_there && all == 0)),
            slots,
        })
    }

    /// Slots that say nothing, because they are torn or bent.
    pub(super) fn bent(&self) -> usize {
        self.bent
    }

    /// How far this uplink had come.
    pub(super) fn progress(&self, uplink: &str) -> Option<&Progress> {
        let mut slots = self.slots.iter().filter(|(name, _)| !name.is_empty());
        let found = slots.find(|(name, _)| name == uplink);
        found.map(|(_, progress)| progress)
    }

    /// How many events this uplink was offered, up to the last one that it knows of; `None` where it cannot say.
    pub(super) fn offered(&self, uplink: &str) -> Option<u64> {
        let mut all = self.slots.iter();
        let (_, store) = all.find(|(name, _)| name.is_empty())?;
        let mut all = self.slots.iter().zip(&self.tails);
        let ((_, progress), tail) = all.find(|((name, _), _)| name == uplink)?;
        let (tail, end) = ((*tail)?, store.cursor());
        let since = end.seq.checked_sub(tail.seq);
        let since = since.filter(|_| end.epoch == tail.epoch)?;
        Some(progress.account.offered.saturating_add(since))
    }

    /// Without the uplinks that `stays` does not say yes to.
    pub(super) fn only(mut self, stays: impl Fn(&str) -> bool) -> Known {
        let slots = self.slots.into_iter().zip(self.tails);
        let stays = slots.filter(|((name, _), _)| name.is_empty() || stays(name));
        (self.slots, self.tails) = stays.unzip();
        self
    }

    /// The uplinks that it knows.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.slots.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !name.is_empty())
    }

    /// The cursor of the uplink that is furthest behind; the start of everything without one.
    pub(super) fn nearest(&self) -> Position {
        let uplinks = self.slots.iter().filter(|(name, _)| !name.is_empty());
        let cursors = uplinks.map(|(_, progress)| progress.cursor());
        cursors.min().unwrap_or_default()
    }

    /// The furthest position that it knows of; `None` when there was no file or nothing legible in it.
    pub(super) fn furthest(&self) -> Option<Position> {
        let positions = self.slots.iter().map(|(_, progress)| progress.furthest());
        positions.max()
    }
}

/// The open file of this run.
#[derive(Debug)]
pub(super) struct SideFile {
    file: Box<dyn DiskFile>,
    uplinks: Vec<String>,
}

impl SideFile {
    /// Replaces the file by one that knows this progress, durably.
    pub(super) fn create(
        disk: &dyn Disk,
        directory: &Path,
        tail: Position,
        uplinks: &[(String, Progress)],
    ) -> io::Result<SideFile> {
        let fresh = directory.join(format!("{NAME}.new"));
        disk.remove_file(&fresh)?;
        let side = SideFile {
            file: disk.open(&fresh)?,
            uplinks: uplinks.iter().map(|(name, _)| name.clone()).collect(),
        };
        side.tail(tail)?;
        for (index, (_, progress)) in uplinks.iter().enumerate() {
            side.progress(index, progress, tail)?;
        }
        side.file.sync()?;
        disk.rename(&fresh, &directory.join(NAME))?;
        disk.sync_dir(directory)?;
        Ok(side)
    }

    /// The store reaches to `tail`, durably.
    pub(super) fn tail(&self, tail: Position) -> io::Result<()> {
        self.put(0, "", &Progress::at(tail), tail)
    }

    /// How far the uplink of this index has come, in the order of [`SideFile::create`], with all up to `tail` in its account.
    pub(super) fn progress(
        &self,
        index: usize,
        progress: &Progress,
        tail: Position,
    ) -> io::Result<()> {
        match self.uplinks.get(index) {
            Some(name) => self.put(index + 1, name, progress, tail),
            None => Ok(()),
        }
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn put(&self, slot: usize, name: &str, progress: &Progress, tail: Position) -> io::Result<()> {
        let said = Slot {
            name: name.to_owned(),
            progress: progress.clone(),
            tail: Some(tail),
        };
        let body = postcard::to_stdvec(&said).map_err(io::Error::other)?;
        let sealed = seal(VERSION, &body);
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        if sealed.len() + LENGTH > SLOT {
            return Err(io::Error::other(
                "the progress of an uplink does not fit into its slot",
            ));
        }
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&sealed);
        self.file.write_all_at(&bytes, (slot * SLOT) as u64)
    }
}

/// Bytes of the length before a slot's sealed body.
const LENGTH: usize = 4;

fn parse(slot: &[u8]) -> Option<Slot> {
    let (length, rest) = slot.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = unseal(VERSION, rest.get(..length)?).ok()?;
    postcard::from_bytes(body).ok()
}

#[cfg(test)]
mod tests {
    use super::super::disk::Files;
    use super::*;

    fn at(epoch: u32, seq: u64) -> Position {
        Position { epoch, seq }
    }

    fn uplinks(cursors: &[(&str, Position)]) -> Vec<(String, Progress)> {
        let one = |(name, cursor): &(&str, Position)| ((*name).to_owned(), Progress::at(*cursor));
        cursors.iter().map(one).collect()
    }

    #[test]
    fn the_next_run_knows_what_was_written_last() {
        let home = tempfile::tempdir().unwrap();
        let read = || Known::read(&Files, home.path()).unwrap();
        assert_eq!(read().furthest(), None);
        let both = uplinks(&[("mes", at(1, 0)), ("scada", at(1, 0))]);
        let side = SideFile::create(&Files, home.path(), at(1, 5), &both).unwrap();
        side.progress(1, &Progress::at(at(1, 4)), at(1, 5)).unwrap();
        side.progress(7, &Progress::at(at(9, 9)), at(1, 5)).unwrap();
        side.tail(at(1, 8)).unwrap();
        side.sync().unwrap();

        let known = read();
        assert_eq!(known.progress("mes").unwrap().cursor(), at(1, 0));
        assert_eq!(known.progress("scada").unwrap().cursor(), at(1, 4));
        assert_eq!(known.progress("other"), None);
        assert_eq!(known.progress(""), None);
        assert_eq!(known.furthest(), Some(at(1, 8)));
        // Three more than when the progress was written.
        assert_eq!(known.offered("scada"), Some(3));
        assert_eq!(known.offered("other"), None);

        let again = SideFile::create(&Files, home.path(), at(2, 0), &both[..1]).unwrap();
        again
            .progress(0, &Progress::at(at(1, 8)), at(2, 0))
            .unwrap();
        let known = read();
        assert_eq!(known.progress("scada"), None);
        assert_eq!(known.furthest(), Some(at(2, 0)));
    }

    #[test]
    fn a_bent_slot_says_nothing_and_spoils_no_other() {
        let home = tempfile::tempdir().unwrap();
        let both = uplinks(&[("mes", at(1, 3)), ("scada", at(1, 2))]);
        drop(SideFile::create(&Files, home.path(), at(1, 5), &both).unwrap());
        let path = home.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in 0..24 {
            bytes[SLOT + byte] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            bytes[SLOT + byte] ^= 4;
            let known = Known::read(&Files, home.path()).unwrap();
            assert_eq!(known.progress("mes"), None, "byte {byte}");
            assert_eq!(known.progress("scada").unwrap().cursor(), at(1, 2));
        }
        std::fs::write(&path, &bytes[..SLOT + 3]).unwrap();
        let known = Known::read(&Files, home.path()).unwrap();
        assert_eq!(known.furthest(), Some(at(1, 5)));
    }

    #[test]
    fn a_slot_of_an_earlier_layout_is_read_and_says_nothing_of_what_was_offered() {
        #[derive(Serialize, Deserialize)]
        struct Earlier {
            name: String,
            progress: Progress,
        }
        let earlier = Earlier {
            name: "mes".into(),
            progress: Progress::at(at(1, 3)),
        };
        let slot = |sealed: Vec<u8>| {
            let length = u32::try_from(sealed.len()).unwrap();
            [length.to_le_bytes().to_vec(), sealed].concat()
        };
        let body = postcard::to_stdvec(&earlier).unwrap();
        let found = parse(&slot(seal(VERSION, &body))).unwrap();
        assert_eq!((found.name.as_str(), found.tail), ("mes", None));
        assert_eq!(found.progress, earlier.progress);
        // And the other way round: an earlier release reads what this one writes.
        let now = Slot {
            tail: Some(at(1, 9)),
            ..found
        };
        let body = postcard::to_stdvec(&now).unwrap();
        let read: Earlier = postcard::from_bytes(&body).unwrap();
        assert_eq!(read.progress, earlier.progress);
    }

    #[test]
    fn the_longest_progress_fits_into_its_slot() {
        let home = tempfile::tempdir().unwrap();
        let mut progress = Progress::at(at(u32::MAX, u64::MAX / 2));
        for nth in 1..=super::super::progress::MAX_ABOVE / 2 {
            progress.mark(at(u32::MAX, u64::MAX / 2 + 2 * nth));
        }
        let all = [("mes".repeat(20), progress.clone())];
        drop(SideFile::create(&Files, home.path(), at(1, 5), &all).unwrap());
        let known = Known::read(&Files, home.path()).unwrap();
        assert_eq!(known.progress(&all[0].0), Some(&progress));
    }
}
