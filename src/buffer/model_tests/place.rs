//! Where a trial's store lies: in memory with the log engine, where a disk may do anything, or in real files with sled.

use super::super::disk::memory::{Memory, Plan};
use super::super::engine::Medium;
use super::super::testing::{copy_tree, fast_home};
use fastrand::Rng;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

pub(super) enum Place {
    Memory(Memory),
    /// The files, and what the side file was since it was last made durable.
    Files(TempDir, Vec<Vec<u8>>),
}

impl Place {
    pub(super) fn memory(seed: u64) -> Place {
        Place::Memory(Memory::new(seed))
    }

    pub(super) fn files() -> Place {
        Place::Files(fast_home(), Vec::new())
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            Place::Memory(_) => PathBuf::from("/box"),
            Place::Files(home, _) => home.path().to_owned(),
        }
    }

    pub(super) fn medium(&self) -> Medium {
        match self {
            Place::Memory(disk) => Medium::log(Arc::new(disk.clone())),
            Place::Files(..) => Medium::sled(),
        }
    }

    /// Something goes wrong `after` so many more calls. Real files do not fail.
    pub(super) fn plan(&mut self, random: &mut Rng) {
        let Place::Memory(disk) = self else {
            return;
        };
        let nth = disk.calls() + random.u64(1..24);
        let used = super::super::disk::Disk::used(disk, Path::new("/")).unwrap_or(0);
        let raced = random.bool();
        let plan = match random.u8(0..8) {
            0 => Plan {
                bytes: Some(used + random.u64(0..3000)),
                shared: true,
                raced,
                ..Plan::default()
            },
            1 => Plan {
                names: Some(random.u64(4..14)),
                raced,
                ..Plan::default()
            },
            2 | 3 => Plan {
                broken: vec![nth],
                ..Plan::default()
            },
            _ => Plan {
                cut: Some(nth),
                ..Plan::default()
            },
        };
        disk.plan(plan);
    }

    /// A quota of some generations, beside the side file of three uplinks.
    pub(super) fn quota(&self, random: &mut Rng, generation_bytes: u64) -> u64 {
        match self {
            Place::Memory(_) => (49 << 10) + generation_bytes * random.u64(3..10),
            Place::Files(..) => random.u64(3..10) << 20,
        }
    }

    /// The disk answers nothing any more: what is asked of the store now says nothing about it.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Place::Memory(disk) => disk.is_cut(),
            Place::Files(..) => false,
        }
    }

    /// Nothing is planned to go wrong.
    pub(super) fn is_well(&self) -> bool {
        match self {
            Place::Memory(disk) => disk.is_well(),
            Place::Files(..) => true,
        }
    }

    /// Nothing goes wrong any more; false where the disk is cut off for good.
    pub(super) fn recover(&mut self) -> bool {
        match self {
            Place::Memory(disk) => disk.recover(),
            Place::Files(..) => true,
        }
    }

    /// The process ends as it stands; the disk is whole again. The directory before is for as long as the process lives on
    /// in the test.
    pub(super) fn kill(&mut self) -> Option<TempDir> {
        match self {
            Place::Memory(disk) => {
                *disk = disk.kill();
                None
            }
            Place::Files(home, _) => Some(move_on(home)),
        }
    }

    /// The power goes. sled is trusted to keep what it synced, which another test proves; the side file may be as it ever was.
    pub(super) fn crash(&mut self, random: &mut Rng) -> Option<TempDir> {
        match self {
            Place::Memory(disk) => {
                *disk = disk.crash(random.u64(..));
                None
            }
            Place::Files(home, sides) => {
                let before = move_on(home);
                if !sides.is_empty() {
                    let side = &sides[random.usize(0..sides.len())];
                    std::fs::write(home.path().join("store/progress"), side).unwrap();
                }
                Some(before)
            }
        }
    }

    /// The store was opened: what the side file is now is durable.
    pub(super) fn opened(&mut self) {
        if let Place::Files(_, sides) = self {
            sides.clear();
        }
        self.settled();
    }

    /// The side file was written.
    pub(super) fn settled(&mut self) {
        if let Place::Files(home, sides) = self {
            sides.push(std::fs::read(home.path().join("store/progress")).unwrap());
        }
    }
}

/// Goes on in a copy; returns the directory before.
fn move_on(home: &mut TempDir) -> TempDir {
    let copy = fast_home();
    copy_tree(home.path(), copy.path());
    std::mem::replace(home, copy)
}
