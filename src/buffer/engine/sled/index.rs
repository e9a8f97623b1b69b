//! Where the newest value of each key is. Pure.
//!
//! Keys that rise above all before them, as records do, are found by the frames they lie in; one in so many bytes is
//! remembered. What is put again or removed, as the head state is, is kept in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Bytes of frames between two that are remembered: what a reading passes over at most, and 500 points in a generation.
const DISTANCE: usize = 16 << 10;

/// The index of one database.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Keys that were below the greatest one when they were put; `None` where removed.
    newer: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    greatest: Vec<u8>,
    points: Vec<Point>,
    since_point: usize,
}

#[derive(Debug)]
struct Point {
    slot: u64,
    /// The greatest key before this frame.
    after: Vec<u8>,
}

impl Index {
    /// A frame of so many bytes begins at this slot; its entries follow.
    pub(super) fn frame(&mut self, slot: u64, bytes: usize) {
        if self.points.is_empty() || self.since_point >= DISTANCE {
            let after = self.greatest.clone();
            self.points.push(Point { slot, after });
            self.since_point = 0;
        }
        self.since_point += bytes;
    }

    /// An entry of the newest frame.
    pub(super) fn entry(&mut self, key: &[u8], value: Option<&[u8]>) {
        let rises = key > self.greatest.as_slice();
        if rises {
            self.greatest.clear();
            self.greatest.extend_from_slice(key);
        }
        if !rises || value.is_none() {
            self.newer.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        }
    }

    /// The slot of a frame from which on all keys from `from` are found that rose, and the greatest key before it.
    pub(super) fn start(&self, from: &[u8]) -> Option<(u64, &[u8])> {
        let past = self
            .points
            .partition_point(|point| point.after.as_slice() < from);
        let point = self.points.get(past.saturating_sub(1))?;
        Some((point.slot, &point.after))
    }

    /// What is in memory from `from` on.
    pub(super) fn newer(&self, from: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.newer
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Whether a key that rose is not found in its frame, but in memory or nowhere.
    pub(super) fn is_newer(&self, key: &[u8]) -> bool {
        !self.newer.is_empty() && self.newer.contains_key(key)
    }

    /// The greatest of all keys, where it was not removed.
    pub(super) fn greatest(&self) -> Option<&[u8]> {
        let is_there = !matches!(self.newer.get(&self.greatest), Some(None));
        (is_there && !self.greatest.is_empty()).then_some(self.greatest.as_slice())
    }
}
