//! The directories of a store: their names, and what a crash may leave of them.
//!
//! A generation is a directory named after the position of its first record, so that none has to be opened to know what
//! lies where. A directory gets that name when it is complete and loses it before it is taken apart.

use super::disk::Disk;
use super::error::{StoreError, io_error};
use crate::model::Position;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub(super) const CREATING: &str = "creating";
const REMOVING: &str = "removing-";
/// What the names of generations begin with that were set aside.
pub(super) const DAMAGED: &str = "damaged-";
/// What the names of newest generations begin with that did not open, until the start that found it has counted what is lost:
/// should it end before, the next one counts the same, and does not open what the first attempt may have changed.
const SETTING_ASIDE: &str = "setting-aside-";
/// Complete, and about to take the place of the generation of that name.
pub(super) const RENEWED: &str = "renewed-";
/// Ends the name of a generation that was rewritten without its passing events.
pub(super) const LEAN: &str = "-lasting";
/// Damaged generations that are kept for `buffer repair`; the oldest go first.
pub(super) const MAX_DAMAGED: usize = 8;

/// The directories of a store.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// First positions of all generations, rising.
    pub(super) whole: Vec<Position>,
    /// First positions of those that were set aside, rising.
    pub(super) damaged: Vec<Position>,
    /// Those of `damaged` that a start found, and ended before it had counted what is lost, or told so by their names.
    pub(super) setting_aside: BTreeSet<Position>,
    /// Those of `whole` of which there is a rewritten one.
    pub(super) lean: BTreeSet<Position>,
    /// Those of `lean` whose original is there as well: a crash came between.
    pub(super) twice: BTreeSet<Position>,
    /// The furthest event that has a file among the parked ones, of whichever uplink: where it is set, its number and those
    /// below are taken, whatever became of the store that gave them.
    pub(super) parked: Option<Position>,
}

impl Listing {
    /// Reads the directory and clears away what a crash left half done.
    pub(super) fn read(disk: &dyn Disk, root: &Path) -> io::Result<Listing> {
        let names = disk.names(root)?;
        for name in &names {
            if name == CREATING || name.starts_with(REMOVING) {
                disk.remove_tree(&root.join(name))?;
            } else if let Some(first) = name.strip_prefix(RENEWED).and_then(parse) {
                take_place(disk, root, first)?;
            }
        }
        Ok(Listing::of(names.iter().map(String::as_str)))
    }

    /// What a start makes of these names, sorted or not.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Listing {
        let mut listing = Listing::default();
        for name in names {
            let renewed = name.strip_prefix(RENEWED).unwrap_or(name);
            if let Some(first) = damaged_of(name) {
                listing.damaged.push(first);
            } else if let Some(first) = setting_aside_of(name) {
                listing.damaged.push(first);
                listing.setting_aside.insert(first);
            } else if let Some(first) = name.strip_suffix(LEAN).and_then(parse) {
                listing.lean.insert(first);
            } else if let Some(first) = parse(renewed) {
                listing.whole.push(first);
            }
        }
        listing.whole.sort_unstable();
        listing.whole.dedup();
        for first in &listing.lean {
            if listing.whole.contains(first) {
                listing.twice.insert(*first);
            } else {
                listing.whole.push(*first);
            }
        }
        listing.whole.sort_unstable();
        listing.damaged.sort_unstable();
        listing.damaged.dedup();
        listing
    }

    /// Where generations begin, those that were set aside and `head` included.
    pub(super) fn starts(&self, head: Position) -> BTreeSet<Position> {
        let all = self.whole.iter().chain(&self.damaged);
        all.copied().chain([head]).collect()
    }

    /// The directory of one of `whole`; where there are two, the original.
    pub(super) fn path_of(&self, root: &Path, first: Position) -> PathBuf {
        if self.lean.contains(&first) && !self.twice.contains(&first) {
            return lean_path_of(root, first);
        }
        path_of(root, first)
    }

    /// The greatest epoch that a name tells; 0 without any.
    pub(super) fn greatest_epoch(&self) -> u32 {
        let all = self.whole.iter().chain(&self.damaged);
        all.map(|first| first.epoch).max().unwrap_or(0)
    }
}

/// Whether a crash left it when a generation was made, renewed or removed: the next start tidies it up.
pub(super) fn is_half_made(name: &str) -> bool {
    let begins = [REMOVING, RENEWED, SETTING_ASIDE];
    name == CREATING || begins.iter().any(|begin| name.starts_with(begin))
}

/// The directory of a generation.
pub(super) fn path_of(root: &Path, first: Position) -> PathBuf {
    root.join(first.to_string())
}

/// The directory of one that was rewritten.
pub(super) fn lean_path_of(root: &Path, first: Position) -> PathBuf {
    root.join(format!("{first}{LEAN}"))
}

/// The directory of one that is about to take the place of another.
pub(super) fn renewed_path_of(root: &Path, first: Position) -> PathBuf {
    root.join(format!("{RENEWED}{first}"))
}

/// Gives a renewed generation the name of the one that it replaces. Its own name is durable before: a crash at any place is
/// followed by doing this again.
pub(super) fn take_place(disk: &dyn Disk, root: &Path, first: Position) -> io::Result<()> {
    let named = path_of(root, first);
    if disk.names(root)?.contains(&first.to_string()) {
        let going = root.join(format!("{REMOVING}{first}"));
        disk.remove_tree(&going)?;
        disk.rename(&named, &going)?;
        disk.sync_dir(root)?;
        disk.remove_tree(&going)?;
    }
    disk.rename(&renewed_path_of(root, first), &named)?;
    disk.sync_dir(root)
}

/// [`put_aside`]; where too many are kept by then, the oldest one of them goes.
pub(super) fn set_aside(
    disk: &dyn Disk,
    root: &Path,
    from: &Path,
    first: Position,
) -> Result<(), StoreError> {
    let io = |error| io_error(root, error);
    put_aside(disk, root, from, first)?;
    let damaged = Listing::read(disk, root).map_err(io)?.damaged;
    let Some(oldest) = damaged.first().filter(|_| damaged.len() > MAX_DAMAGED) else {
        return Ok(());
    };
    tracing::warn!(first = %oldest, "the oldest of the damaged generations that are kept is removed");
    disk.remove_tree(&damaged_path_of(root, *oldest))
        .map_err(io)?;
    disk.sync_dir(root).map_err(io)
}

/// Sets a generation aside, so that it is neither read nor removed with the settled ones.
pub(super) fn put_aside(
    disk: &dyn Disk,
    root: &Path,
    from: &Path,
    first: Position,
) -> Result<(), StoreError> {
    let io = |error| io_error(root, error);
    let to = damaged_path_of(root, first);
    disk.remove_tree(&to).map_err(io)?;
    disk.rename(from, &to).map_err(io)?;
    disk.sync_dir(root).map_err(io)
}

/// The first half of setting a newest generation aside: done before anything is made of its loss.
pub(super) fn begin_setting_aside(
    disk: &dyn Disk,
    root: &Path,
    from: &Path,
    first: Position,
) -> Result<(), StoreError> {
    let io = |error| io_error(root, error);
    let to = setting_aside_path_of(root, first);
    disk.remove_tree(&to).map_err(io)?;
    disk.rename(from, &to).map_err(io)?;
    disk.sync_dir(root).map_err(io)
}

/// The second half: what is lost with them is counted, durably.
pub(super) fn end_setting_aside(
    disk: &dyn Disk,
    root: &Path,
    listing: &Listing,
) -> Result<(), StoreError> {
    for first in &listing.setting_aside {
        put_aside(disk, root, &setting_aside_path_of(root, *first), *first)?;
    }
    Ok(())
}

/// The first position of the generation that has this name while it is set aside.
pub(super) fn setting_aside_of(name: &str) -> Option<Position> {
    name.strip_prefix(SETTING_ASIDE).and_then(parse)
}

fn setting_aside_path_of(root: &Path, first: Position) -> PathBuf {
    root.join(format!("{SETTING_ASIDE}{first}"))
}

/// True for the names of generations, also of rewritten ones.
pub(super) fn is_generation(name: &str) -> bool {
    parse(name.strip_suffix(LEAN).unwrap_or(name)).is_some()
}

/// The first position of the generation that was set aside under this name.
pub(super) fn damaged_of(name: &str) -> Option<Position> {
    name.strip_prefix(DAMAGED).and_then(parse)
}

/// The directory of one that was set aside.
pub(super) fn damaged_path_of(root: &Path, first: Position) -> PathBuf {
    root.join(format!("{DAMAGED}{first}"))
}

/// Removes a generation: its name first, durably, so that no half of it is ever taken for a whole.
pub(super) fn remove(disk: &dyn Disk, root: &Path, path: &Path) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let going = root.join(format!("{REMOVING}{name}"));
    disk.remove_tree(&going)
        .and_then(|()| disk.rename(path, &going))
        .and_then(|()| disk.sync_dir(root))
        .and_then(|()| disk.remove_tree(&going))
        .map_err(|error| io_error(root, error))
}

/// The position that the name of a whole generation is.
pub(super) fn parse(name: &str) -> Option<Position> {
    let (epoch, seq) = name.split_once('.')?;
    let digits =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(epoch, 10) || !digits(seq, 20) {
        return None;
    }
    Some(Position {
        epoch: epoch.parse().ok()?,
        seq: seq.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Files, names};
    use super::*;

    fn at(epoch: u32, seq: u64) -> Position {
        Position { epoch, seq }
    }

    #[test]
    fn only_whole_names_are_generations() {
        assert_eq!(parse(&at(3, 42).to_string()), Some(at(3, 42)));
        for name in [
            "creating",
            "lock",
            "progress",
            "1.2",
            "0000000001.0000000000000000000x",
            "+000000001.00000000000000000001",
            "9999999999.00000000000000000001",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn half_done_directories_are_cleared_away() {
        let home = tempfile::tempdir().unwrap();
        for name in [
            "creating".to_owned(),
            format!("removing-{}", at(1, 1)),
            format!("damaged-{}", at(4, 1)),
            at(1, 8).to_string(),
        ] {
            std::fs::create_dir(home.path().join(name)).unwrap();
        }
        let listing = Listing::read(&Files, home.path()).unwrap();
        assert_eq!(listing.whole, [at(1, 8)]);
        assert_eq!(listing.damaged, [at(4, 1)]);
        assert_eq!(listing.greatest_epoch(), 4);
        assert_eq!(names(home.path()).unwrap().len(), 2);
    }
}
