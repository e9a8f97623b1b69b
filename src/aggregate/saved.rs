//! The checkpoint as bytes by key: what changed since it was last handed to the disk.
//!
//! Each value begins with a version byte. What a later release must be able to read is JSON (the definition that an
//! operation carries, and who it is) or has a layout that never changes (ordinals, the sign of life); the rest is postcard
//! of this release, and is left out by another one.

use crate::model::CheckpointEntry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Of postcard entries. Raised whenever the layout of one of them changes: nothing is read as what it is not.
const LAYOUT: u8 = 2;
/// Of entries that any release can read.
const LASTING: u8 = 1;

/// Entries by key, as they are now.
#[derive(Debug, Default)]
pub(super) struct Saved(BTreeMap<String, Vec<u8>>);

impl Saved {
    /// An entry that only releases with the same layout read.
    pub(super) fn put(&mut self, key: String, value: &impl Serialize) {
        self.put_postcard(LAYOUT, key, value);
    }

    /// An entry whose layout never changes.
    pub(super) fn put_lasting(&mut self, key: String, value: &impl Serialize) {
        self.put_postcard(LASTING, key, value);
    }

    fn put_postcard(&mut self, version: u8, key: String, value: &impl Serialize) {
        match postcard::to_extend(value, vec![version]) {
            Ok(bytes) => {
                self.0.insert(key, bytes);
            }
            Err(error) => {
                tracing::error!(key, %error, "a part of the checkpoint cannot be written")
            }
        }
    }

    /// An entry in words, which may gain keys that have a default.
    pub(super) fn put_json(&mut self, key: String, value: &impl Serialize) {
        let mut bytes = vec![LASTING];
        match serde_json::to_writer(&mut bytes, value) {
            Ok(()) => {
                self.0.insert(key, bytes);
            }
            Err(error) => {
                tracing::error!(key, %error, "a part of the checkpoint cannot be written")
            }
        }
    }
}

/// A postcard entry; `None`, with a log line, when it cannot be read.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    known(bytes, LAYOUT, |body| postcard::from_bytes(body).ok())
}

/// An entry of a layout that never changes; `None`, with a log line, when it cannot be read.
pub(super) fn read_lasting<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    known(bytes, LASTING, |body| postcard::from_bytes(body).ok())
}

/// A JSON entry; `None`, with a log line, when it cannot be read.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    known(bytes, LASTING, |body| serde_json::from_slice(body).ok())
}

fn known<T>(bytes: &[u8], version: u8, parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let (found, body) = bytes.split_first()?;
    let value = if *found == version { parse(body) } else { None };
    if value.is_none() {
        tracing::error!(
            found,
            wanted = version,
            "a part of the checkpoint cannot be read: it is left out"
        );
    }
    value
}

/// What the disk has, so that only differences are written.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    entries: BTreeMap<String, Vec<u8>>,
}

impl OnDisk {
    pub(super) fn new(entries: BTreeMap<String, Vec<u8>>) -> OnDisk {
        OnDisk { entries }
    }

    /// The entries that differ; keys under `scope` that are not in `now` are removed.
    pub(super) fn difference(&mut self, scope: &str, now: Saved) -> Vec<CheckpointEntry> {
        let gone: Vec<String> = self
            .entries
            .keys()
            .filter(|key| key.starts_with(scope) && !now.0.contains_key(*key))
            .cloned()
            .collect();
        let mut changes = Vec::new();
        for key in gone {
            self.entries.remove(&key);
            changes.push(CheckpointEntry { key, value: None });
        }
        for (key, value) in now.0 {
            if self.entries.get(&key) != Some(&value) {
                self.entries.insert(key.clone(), value.clone());
                changes.push(CheckpointEntry {
                    key,
                    value: Some(value),
                });
            }
        }
        changes
    }
}
