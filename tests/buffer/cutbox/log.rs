//! The log of the recording disk (the format of the kernel's dm-log-writes), and what the disk may hold after a cut: all
//! that was written before, or what was flushed and any part of the rest.

use super::device::{BLOCK, FILE_SYSTEM, Mark, SECTOR};
use fastrand::Rng;
use std::fs::File;
use std::os::unix::fs::FileExt;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// Where ext4 keeps its superblock. Its halves are in two sectors under one checksum, so ext4 takes it for granted that
/// both are written or none.
const SUPERBLOCK: usize = 0;

#[derive(Debug)]
enum Entry {
    /// All writes before it are safe from here on.
    Flush,
    Write {
        offset: usize,
        bytes: Vec<u8>,
        /// Safe by itself.
        forced: bool,
    },
    Mark(Mark),
}

/// The last step that was begun, and the last that was done; `None` where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) begun: Option<u64>,
    pub(super) done: Option<u64>,
}

/// What a disk did, in order.
pub(super) struct Log {
    base: Vec<u8>,
    /// What had been told before.
    told: Told,
    entries: Vec<Entry>,
}

/// A moment at which the power goes, and what the disk keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// So many entries of the log had come.
    pub(super) entries: usize,
    pub(super) keeps: Keeps,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Everything,
    /// What was flushed, and of the rest what this seed decides.
    Some(u64),
}

fn number(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes[at..].first_chunk().unwrap();
    usize::try_from(u64::from_le_bytes(*bytes)).unwrap()
}

impl Log {
    pub(super) fn read(base: Vec<u8>, told: Told, file: &File) -> Log {
        let mut head = [0; SECTOR];
        file.read_exact_at(&mut head, 0).unwrap();
        assert_eq!(number(&head, 0) as u64, MAGIC);
        let count = number(&head, 16);
        let mut at = SECTOR as u64;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            file.read_exact_at(&mut head, at).unwrap();
            at += SECTOR as u64;
            let (sector, sectors) = (number(&head, 0), number(&head, 8));
            let flags = number(&head, 16) as u64;
            assert_eq!(flags & DISCARD, 0, "nothing here discards");
            let mut bytes = vec![0; sectors * SECTOR];
            file.read_exact_at(&mut bytes, at).unwrap();
            at += bytes.len() as u64;
            if flags & FLUSH != 0 {
                entries.push(Entry::Flush);
            }
            if sectors > 0 {
                entries.push(entry(sector * SECTOR, bytes, flags & FUA != 0));
            }
        }
        Log {
            base,
            told,
            entries,
        }
    }

    /// All cuts: after each write and each mark, and once more with a random choice where something was not flushed.
    /// Before the first step there is nothing to judge.
    pub(super) fn cuts(&self, random: &mut Rng) -> Vec<Cut> {
        let mut begun = self.told.begun.is_some();
        let mut cuts = Vec::new();
        let mut flushed = true;
        for (index, entry) in self.entries.iter().enumerate() {
            begun |= matches!(entry, Entry::Mark(_));
            if !begun {
                continue;
            }
            match entry {
                Entry::Flush => {
                    flushed = true;
                    continue;
                }
                Entry::Write { .. } => flushed = false,
                Entry::Mark(_) => {}
            }
            let entries = index + 1;
            cuts.push(Cut {
                entries,
                keeps: Keeps::Everything,
            });
            if !flushed {
                cuts.push(Cut {
                    entries,
                    keeps: Keeps::Some(random.u64(..)),
                });
            }
        }
        cuts
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn entry(offset: usize, bytes: Vec<u8>, forced: bool) -> Entry {
    if offset < FILE_SYSTEM {
        return Entry::Write {
            offset,
            bytes,
            forced,
        };
    }
    Entry::Mark(Mark::parse(&bytes).unwrap())
}

/// Goes along a log; cuts must rise.
pub(super) struct Replay<'a> {
    log: &'a Log,
    reached: usize,
    /// All that was written so far.
    written: Vec<u8>,
    flushed: Vec<u8>,
    /// What was flushed, and some of the rest.
    mixed: Vec<u8>,
    /// Entries of the log that `flushed` has.
    safe: usize,
    told: Told,
}

impl<'a> Replay<'a> {
    pub(super) fn new(log: &'a Log) -> Replay<'a> {
        let base = &log.base;
        Replay {
            log,
            reached: 0,
            written: base.to_vec(),
            flushed: base.to_vec(),
            mixed: base.to_vec(),
            safe: 0,
            told: log.told,
        }
    }

    /// What had been told before the last cut.
    pub(super) fn told(&self) -> Told {
        self.told
    }

    /// What the disk holds after a cut.
    pub(super) fn content(&mut self, cut: Cut) -> &[u8] {
        for index in self.reached..cut.entries {
            match &self.log.entries[index] {
                Entry::Flush => {
                    put_all(&mut self.flushed, &self.log.entries[self.safe..index]);
                    self.safe = index;
                }
                Entry::Mark(Mark::Begun(step)) => self.told.begun = Some(*step),
                Entry::Mark(Mark::Done(step)) => self.told.done = Some(*step),
                Entry::Write { offset, bytes, .. } => put(&mut self.written, *offset, bytes),
            }
        }
        self.reached = cut.entries;
        let Keeps::Some(seed) = cut.keeps else {
            return &self.written;
        };
        self.mixed.copy_from_slice(&self.flushed);
        let rest = &self.log.entries[self.safe..cut.entries];
        put_some(&mut self.mixed, rest, &mut Rng::with_seed(seed));
        &self.mixed
    }
}

fn put(content: &mut [u8], offset: usize, bytes: &[u8]) {
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn put_all(content: &mut [u8], entries: &[Entry]) {
    for entry in entries {
        if let Entry::Write { offset, bytes, .. } = entry {
            put(content, *offset, bytes);
        }
    }
}

/// Writes whole, torn at sectors, or not at all; few of them, half, or most.
fn put_some(content: &mut [u8], entries: &[Entry], random: &mut Rng) {
    let kept = [10, 50, 90][random.usize(0..3)];
    for entry in entries {
        let Entry::Write {
            offset,
            bytes,
            forced,
        } = entry
        else {
            continue;
        };
        let atomic = *forced || offset / BLOCK == SUPERBLOCK;
        if !atomic && random.u8(0..4) == 0 {
            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                if random.u8(0..100) < kept {
                    put(content, offset + index * SECTOR, sector);
                }
            }
        } else if *forced || random.u8(0..100) < kept {
            put(content, *offset, bytes);
        }
    }
}

#[test]
fn a_cut_keeps_what_was_flushed_and_some_of_the_rest() {
    let write = |block: usize, byte| Entry::Write {
        offset: block * BLOCK,
        bytes: vec![byte; BLOCK],
        forced: false,
    };
    let log = Log {
        base: vec![0; FILE_SYSTEM],
        told: Told::default(),
        entries: vec![
            Entry::Mark(Mark::Begun(0)),
            write(1, 1),
            Entry::Flush,
            Entry::Mark(Mark::Done(0)),
            write(1, 2),
            write(2, 2),
            Entry::Mark(Mark::Begun(1)),
        ],
    };
    let cuts = log.cuts(&mut Rng::with_seed(1));
    let entries: Vec<usize> = cuts.iter().map(|cut| cut.entries).collect();
    assert_eq!(entries, [1, 2, 2, 4, 5, 5, 6, 6, 7, 7]);

    let mut replay = Replay::new(&log);
    let keeps = Keeps::Everything;
    let content = replay.content(Cut { entries: 5, keeps });
    assert_eq!((content[BLOCK], content[2 * BLOCK]), (2, 0));
    assert_eq!((replay.told.begun, replay.told.done), (Some(0), Some(0)));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let keeps = Keeps::Some(seed);
        let content = replay.content(Cut { entries: 7, keeps });
        seen.insert((content[BLOCK], content[2 * BLOCK]));
        seen.insert((content[BLOCK], content[2 * BLOCK - 1]));
    }
    assert_eq!(replay.told.begun, Some(1));
    // Never less than what was flushed.
    assert!(seen.len() >= 4 && seen.iter().all(|(one, _)| *one >= 1));
}
