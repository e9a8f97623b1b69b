//! Files and directories of the disk in memory: what is visible, what is durable, and what lies between.

use fastrand::Rng;
use std::collections::BTreeMap;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// How much of the unsynced a power cut leaves, of 255; the two ends are certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odds(u8);

impl Odds {
    pub(super) const NOTHING: Odds = Odds(0);
    pub(super) const ALL: Odds = Odds(u8::MAX);

    /// Nothing, all, or something in between.
    pub(super) fn draw(random: &mut Rng) -> Odds {
        match random.u8(0..4) {
            0 => Odds::NOTHING,
            1 => Odds::ALL,
            _ => Odds(random.u8(1..u8::MAX)),
        }
    }

    fn survives(self, random: &mut Rng) -> bool {
        self.0 == u8::MAX || random.u8(..u8::MAX) < self.0
    }
}

/// A change of a file since its last sync.
#[derive(Clone, Debug)]
enum Edit {
    /// Bytes from here to there of the edited ones, at that offset.
    Write {
        from: usize,
        to: usize,
        offset: usize,
    },
    Length(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    data: Vec<u8>,
    durable: Vec<u8>,
    edits: Vec<Edit>,
    /// Of all edits, one behind the other.
    edited: Vec<u8>,
    /// Bytes that it takes at least, whatever is in it.
    reserved: u64,
}

impl File {
    /// What a process reads.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        let from = self.edited.len();
        self.edited.extend_from_slice(bytes);
        let to = self.edited.len();
        self.edits.push(Edit::Write { from, to, offset });
        put(&mut self.data, bytes, offset);
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.edits.push(Edit::Length(length));
        set_length(&mut self.data, length);
    }

    pub(super) fn reserve(&mut self, bytes: u64) {
        self.reserved = self.reserved.max(bytes);
    }

    /// Bytes that it takes on the disk.
    pub(super) fn used(&self) -> u64 {
        self.reserved.max(self.data.len() as u64)
    }

    pub(super) fn sync(&mut self) {
        if !self.edits.is_empty() {
            self.durable.clone_from(&self.data);
            self.forget_edits();
        }
    }

    /// The kernel could not write: some of it may be there, and it takes the rest for written.
    pub(super) fn fail_sync(&mut self, odds: Odds, random: &mut Rng) {
        self.durable = self.survivors(odds, random);
        self.forget_edits();
    }

    /// After a power cut.
    pub(super) fn crash(&self, odds: Odds, random: &mut Rng) -> File {
        let durable = self.survivors(odds, random);
        File {
            data: durable.clone(),
            durable,
            reserved: if odds.survives(random) {
                self.reserved
            } else {
                0
            },
            ..File::default()
        }
    }

    fn forget_edits(&mut self) {
        self.edits.clear();
        self.edited.clear();
    }

    /// Each sector as it was after any of its writes, or before all of them; likewise the length.
    fn survivors(&self, odds: Odds, random: &mut Rng) -> Vec<u8> {
        let mut kept = self.durable.clone();
        let mut length = kept.len();
        let mut left = self.surviving_writes(odds, random);
        let mut now = self.durable.clone();
        for edit in &self.edits {
            let before = now.len();
            match edit {
                Edit::Length(length) => set_length(&mut now, *length),
                Edit::Write { from, to, offset } => {
                    put(&mut now, &self.edited[*from..*to], *offset);
                    for sector in sectors(*offset, to - from) {
                        let Some(left) = left.get_mut(&sector).filter(|left| **left > 0) else {
                            continue;
                        };
                        *left -= 1;
                        if *left == 0 {
                            let start = sector * SECTOR;
                            let end = (start + SECTOR).min(now.len());
                            put(&mut kept, &now[start..end], start);
                        }
                    }
                }
            }
            if now.len() != before && odds.survives(random) {
                length = now.len();
            }
        }
        set_length(&mut kept, length);
        kept
    }

    /// The write of each sector that is its last to reach the disk, counted from 1; 0 where none does.
    fn surviving_writes(&self, odds: Odds, random: &mut Rng) -> BTreeMap<usize, usize> {
        let mut writes = BTreeMap::new();
        for edit in &self.edits {
            if let Edit::Write { from, to, offset } = edit {
                for sector in sectors(*offset, to - from) {
                    *writes.entry(sector).or_insert(0) += 1;
                }
            }
        }
        for count in writes.values_mut() {
            *count = match odds {
                Odds::ALL => *count,
                _ if odds.survives(random) => random.usize(1..=*count),
                _ => 0,
            };
        }
        writes
    }
}

fn put(to: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset + bytes.len();
    if to.len() < end {
        set_length(to, end);
    }
    to[offset..end].copy_from_slice(bytes);
}

/// As `resize` with zeros, which takes its time without an optimising compiler.
fn set_length(bytes: &mut Vec<u8>, length: usize) {
    static ZEROS: [u8; 8192] = [0; 8192];
    bytes.truncate(length);
    while bytes.len() < length {
        let more = (length - bytes.len()).min(ZEROS.len());
        bytes.extend_from_slice(&ZEROS[..more]);
    }
}

fn sectors(offset: usize, length: usize) -> std::ops::Range<usize> {
    offset / SECTOR..(offset + length).div_ceil(SECTOR)
}

/// A change of a directory since its last sync; one of both kinds is a renaming, which is whole.
#[derive(Clone, Debug)]
struct Change {
    gone: Option<(String, usize)>,
    here: Option<(String, usize)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// What a process sees: names and the nodes that they mean.
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    changes: Vec<Change>,
}

impl Directory {
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.now.get(name).copied()
    }

    /// Names and nodes, rising.
    pub(super) fn entries(&self) -> &BTreeMap<String, usize> {
        &self.now
    }

    pub(super) fn add(&mut self, name: &str, id: usize) {
        self.now.insert(name.into(), id);
        let here = Some((name.to_owned(), id));
        self.changes.push(Change { gone: None, here });
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(id) = self.now.remove(name) {
            let gone = Some((name.to_owned(), id));
            self.changes.push(Change { gone, here: None });
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(id) = self.now.remove(from) {
            self.now.insert(to.into(), id);
            self.changes.push(Change {
                gone: Some((from.to_owned(), id)),
                here: Some((to.to_owned(), id)),
            });
        }
    }

    pub(super) fn sync(&mut self) {
        if !self.changes.is_empty() {
            self.durable.clone_from(&self.now);
            self.changes.clear();
        }
    }

    /// Some of it may be there. A journal does not forget the rest: the next sync has it to do.
    pub(super) fn fail_sync(&mut self, odds: Odds, random: &mut Rng) {
        self.durable = self.survivors(odds, random);
    }

    /// What a power cut leaves: any of the changes, in any order.
    pub(super) fn survivors(&self, odds: Odds, random: &mut Rng) -> BTreeMap<String, usize> {
        let mut kept = self.durable.clone();
        let mut changes: Vec<&Change> = self.changes.iter().collect();
        if odds != Odds::ALL {
            changes.retain(|_| odds.survives(random));
            if random.bool() {
                random.shuffle(&mut changes);
            }
        }
        for change in changes {
            if let Some((name, id)) = &change.gone
                && kept.get(name) == Some(id)
            {
                kept.remove(name);
            }
            if let Some((name, id)) = &change.here {
                kept.insert(name.clone(), *id);
            }
        }
        kept
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(File),
    Directory(Directory),
}
