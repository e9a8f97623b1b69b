//! What a generation knows beside its records: the next position, the uplinks' progress, the machine, and the checkpoint with a
//! digest that tells whether all of its entries came back. Only the newest generation's is in use. Pure.

use super::engine::Batch;
use super::generation::Loss;
use super::kept::Kept;
use super::keys;
use super::progress::Progress;
use super::seal::{SealError, seal, unseal};
use crate::model::{CheckpointEntry, DropNotice, EpochReason, Position};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const VERSION: u8 = 2;

/// A machine id, hashed: the id itself is nobody's business.
pub(super) type Machine = [u8; 16];

/// The head state as it lies on disk, without the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    next: Position,
    machine: Option<Machine>,
    uplinks: BTreeMap<String, Progress>,
    untold: Vec<DropNotice>,
    ends: BTreeMap<u32, u64>,
    lost: Vec<Loss>,
    new_epoch: Option<EpochReason>,
    powered_ns: u64,
    began_ns: u64,
    swept: Position,
    kept: Kept,
    passing_bytes: u64,
    entries: u64,
    digest: u32,
    written_bytes: u64,
}

/// The head state with its checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The position of the next event.
    pub(super) next: Position,
    /// The box that wrote it.
    pub(super) machine: Option<Machine>,
    /// How far each uplink has come.
    pub(super) uplinks: BTreeMap<String, Progress>,
    /// What was dropped and is not told yet.
    pub(super) untold: Vec<DropNotice>,
    /// Where earlier epochs ended.
    pub(super) ends: BTreeMap<u32, u64>,
    /// What was lost when this epoch began and is not counted yet.
    pub(super) lost: Vec<Loss>,
    /// Why this epoch began, until that is told.
    pub(super) new_epoch: Option<EpochReason>,
    /// How long the gateway has been running with this store, over all its runs, at the last commit: the clock by which
    /// events age, since the wall clock may be wrong and a box in a cupboard loses nothing.
    pub(super) powered_ns: u64,
    /// The same clock when this generation was begun.
    pub(super) began_ns: u64,
    /// Generations up to the one that begins here have no passing events to give up any more. A rewritten one beside its
    /// original counts when it is not above this, and not before: its evicted events are in the accounts then.
    pub(super) swept: Position,
    /// Since when what is settled is settled.
    pub(super) kept: Kept,
    /// Of `written_bytes`, those of passing events.
    pub(super) passing_bytes: u64,
    /// The aggregation's state.
    pub(super) checkpoint: BTreeMap<String, Vec<u8>>,
    /// Record and checkpoint bytes that were written to this generation.
    pub(super) written_bytes: u64,
    digest: u32,
    stored_length: usize,
}

impl Head {
    /// An empty state before the event of this position.
    pub(super) fn at(next: Position) -> Head {
        Head {
            next,
            ..Head::default()
        }
    }

    /// Applies checkpoint changes and adds what they change on disk to `batch`.
    pub(super) fn change(&mut self, changes: &[CheckpointEntry], batch: &mut Batch) {
        for CheckpointEntry { key: name, value } in changes {
            let key = keys::checkpoint(name);
            let old = match value {
                Some(value) => self.checkpoint.insert(name.clone(), value.clone()),
                None => self.checkpoint.remove(name),
            };
            let old_sealed = old.map(|old| seal(VERSION, &old));
            if let Some(old) = &old_sealed {
                self.digest ^= digest(name, old);
            }
            match value {
                Some(value) => {
                    let sealed = seal(VERSION, value);
                    self.digest ^= digest(name, &sealed);
                    self.written_bytes += sealed.len() as u64;
                    keys::put(batch, &key, &sealed, old_sealed.map(|old| old.len()));
                }
                None => {
                    if let Some(old) = old_sealed {
                        keys::remove(batch, &key, old.len());
                    }
                }
            }
        }
    }

    /// Adds the state without the checkpoint to `batch`.
    pub(super) fn put(&mut self, batch: &mut Batch) -> Result<(), postcard::Error> {
        let stored = Stored {
            next: self.next,
            machine: self.machine,
            uplinks: self.uplinks.clone(),
            untold: self.untold.clone(),
            ends: self.ends.clone(),
            lost: self.lost.clone(),
            new_epoch: self.new_epoch,
            powered_ns: self.powered_ns,
            began_ns: self.began_ns,
            swept: self.swept,
            kept: self.kept.clone(),
            passing_bytes: self.passing_bytes,
            entries: self.checkpoint.len() as u64,
            digest: self.digest,
            written_bytes: self.written_bytes,
        };
        let bytes = seal(VERSION, &postcard::to_stdvec(&stored)?);
        keys::put(batch, keys::HEAD, &bytes, Some(self.stored_length));
        self.stored_length = bytes.len();
        Ok(())
    }

    /// The same state as the first batch of a fresh generation.
    pub(super) fn copied(&self) -> (Head, Vec<CheckpointEntry>) {
        let entries = self
            .checkpoint
            .iter()
            .map(|(key, value)| CheckpointEntry {
                key: key.clone(),
                value: Some(value.clone()),
            })
            .collect();
        let head = Head {
            next: self.next,
            machine: self.machine,
            uplinks: self.uplinks.clone(),
            untold: self.untold.clone(),
            ends: self.ends.clone(),
            lost: self.lost.clone(),
            new_epoch: self.new_epoch,
            powered_ns: self.powered_ns,
            began_ns: self.powered_ns,
            swept: self.swept,
            kept: self.kept.clone(),
            ..Head::default()
        };
        (head, entries)
    }

    /// The state that the joined values of a generation tell; the error says what does not fit.
    pub(super) fn read(
        state: Option<&[u8]>,
        entries: BTreeMap<String, Vec<u8>>,
    ) -> Result<Head, String> {
        let bytes = state.ok_or("it has no head state")?;
        let body = unseal(VERSION, bytes).map_err(|error| format!("head state: {error}"))?;
        let stored: Stored =
            postcard::from_bytes(body).map_err(|error| format!("head state: {error}"))?;
        let found = entries
            .iter()
            .fold(0, |sum, (name, sealed)| sum ^ digest(name, sealed));
        if entries.len() as u64 != stored.entries || found != stored.digest {
            return Err("its checkpoint is not the one that was written".into());
        }
        let mut checkpoint = BTreeMap::new();
        for (name, sealed) in entries {
            let value = unseal(VERSION, &sealed).map_err(|error| format!("{name}: {error}"))?;
            checkpoint.insert(name, value.to_vec());
        }
        Ok(Head {
            next: stored.next,
            machine: stored.machine,
            uplinks: stored.uplinks,
            untold: stored.untold,
            ends: stored.ends,
            lost: stored.lost,
            new_epoch: stored.new_epoch,
            powered_ns: stored.powered_ns,
            began_ns: stored.began_ns,
            swept: stored.swept,
            kept: stored.kept,
            passing_bytes: stored.passing_bytes,
            checkpoint,
            written_bytes: stored.written_bytes,
            digest: stored.digest,
            stored_length: bytes.len(),
        })
    }
}

/// The version of a head state that is whole, but of another release.
pub(super) fn other_version(state: &[u8]) -> Option<u8> {
    match unseal(VERSION, state) {
        Err(SealError::Version(version)) => Some(version),
        _ => None,
    }
}

fn digest(name: &str, sealed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(name.as_bytes()), sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: Option<&[u8]>) -> CheckpointEntry {
        CheckpointEntry {
            key: key.into(),
            value: value.map(<[u8]>::to_vec),
        }
    }

    /// Joins the pieces that a batch would leave on disk.
    fn on_disk(batches: Vec<Batch>) -> (Option<Vec<u8>>, BTreeMap<String, Vec<u8>>) {
        let mut pieces = BTreeMap::new();
        for (key, value) in batches.into_iter().flatten() {
            match value {
                Some(value) => pieces.insert(key, value),
                None => pieces.remove(&key),
            };
        }
        let (mut state, mut entries) = (None, BTreeMap::<String, Vec<u8>>::new());
        for (key, value) in pieces {
            match keys::checkpoint_name(&key) {
                Some(name) => entries.entry(name.into()).or_default().extend(value),
                None => state.get_or_insert_with(Vec::new).extend(value),
            }
        }
        (state, entries)
    }

    #[test]
    fn a_head_comes_back_as_it_was_and_a_lost_entry_is_noticed() {
        let mut head = Head {
            next: Position { epoch: 2, seq: 9 },
            machine: Some([3; 16]),
            ..Head::default()
        };
        for n in 0..300 {
            let progress = Progress::at(Position { epoch: 1, seq: n });
            head.uplinks.insert(format!("uplink-number-{n}"), progress);
        }
        let mut first = Batch::new();
        let big = vec![7; 20_000];
        let changes = [
            entry("a", Some(b"1")),
            entry("b", Some(&big)),
            entry("c", Some(b"")),
        ];
        head.change(&changes, &mut first);
        head.put(&mut first).unwrap();
        head.uplinks.retain(|name, _| name.ends_with('7'));
        let mut second = Batch::new();
        head.change(&[entry("b", Some(b"small")), entry("a", None)], &mut second);
        head.put(&mut second).unwrap();

        let (state, entries) = on_disk(vec![first, second]);
        let read = Head::read(state.as_deref(), entries.clone()).unwrap();
        assert_eq!(read, head);
        assert_eq!(read.checkpoint.len(), 2);

        for name in ["b", "c"] {
            let mut lacking = entries.clone();
            lacking.remove(name);
            assert!(Head::read(state.as_deref(), lacking).is_err());
        }
        let mut older = entries.clone();
        older.insert("b".into(), seal(VERSION, &big));
        assert!(Head::read(state.as_deref(), older).is_err());
        assert!(Head::read(None, entries).is_err());
    }

    #[test]
    fn a_copy_says_the_same() {
        let mut head = Head::default();
        head.change(&[entry("a", Some(b"1"))], &mut Batch::new());
        let (mut copy, entries) = head.copied();
        copy.change(&entries, &mut Batch::new());
        assert_eq!(copy.checkpoint, head.checkpoint);
        assert_eq!(copy.digest, head.digest);
    }
}
