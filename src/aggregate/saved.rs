//! The checkpoint as bytes by key: what changed since it was last handed to the disk.
//!
//! Each value begins with a version byte. State that must be readable by later releases for longer than a restart (the
//! definition that an operation carries) is JSON; the rest is postcard.

use crate::model::CheckpointEntry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

const VERSION: u8 = 1;

/// Entries by key, as they are now.
#[derive(Debug, Default)]
pub(super) struct Saved(BTreeMap<String, Vec<u8>>);

impl Saved {
    pub(super) fn put(&mut self, key: String, value: &impl Serialize) {
        match postcard::to_extend(value, vec![VERSION]) {
            Ok(bytes) => {
                self.0.insert(key, bytes);
            }
            Err(error) => {
                tracing::error!(key, %error, "a part of the checkpoint cannot be written")
            }
        }
    }

    pub(super) fn put_json(&mut self, key: String, value: &impl Serialize) {
        let mut bytes = vec![VERSION];
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
    let value = body(bytes).and_then(|body| postcard::from_bytes(body).ok());
    if value.is_none() {
        tracing::error!("a part of the checkpoint cannot be read: it is left out");
    }
    value
}

/// A JSON entry; `None`, with a log line, when it cannot be read.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value = body(bytes).and_then(|body| serde_json::from_slice(body).ok());
    if value.is_none() {
        tracing::error!("a part of the checkpoint cannot be read: it is left out");
    }
    value
}

fn body(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.split_first() {
        Some((version, body)) if *version == VERSION => Some(body),
        _ => None,
    }
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
