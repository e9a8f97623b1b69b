//! The newest records, kept in memory so that live delivery never reads the disk. Pure.

use super::Record;
use super::generation::{Limits, successor};
use crate::model::Position;
use std::collections::VecDeque;

/// Most bytes: half a thousand events of 2 KB.
const MAX_BYTES: usize = 1 << 20;
/// What a record takes beside its payload.
const OVERHEAD: usize = 512;

/// A gapless run of records that ends with the newest.
#[derive(Debug, Default)]
pub(super) struct TailCache {
    records: VecDeque<Record>,
    bytes: usize,
}

impl TailCache {
    /// Adds the record after the newest one.
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.payload.len() + OVERHEAD;
        self.records.push_back(record);
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len() + OVERHEAD;
        }
    }

    /// Forgets records up to here: they are no longer in the store, or not all of them.
    pub(super) fn forget(&mut self, last: Position) {
        while let Some(oldest) = self.records.front()
            && oldest.position <= last
        {
            self.bytes -= oldest.payload.len() + OVERHEAD;
            self.records.pop_front();
        }
    }

    /// Records after `after`; `None` when it does not reach back that far.
    pub(super) fn read(&self, after: Position, limits: Limits) -> Option<Vec<Record>> {
        let first = self.records.front()?.position;
        if first > successor(after) {
            return None;
        }
        let start = self
            .records
            .partition_point(|record| record.position <= after);
        let mut bytes = 0usize;
        let mut found = Vec::new();
        for record in self.records.range(start..) {
            bytes = bytes.saturating_add(record.payload.len());
            if !found.is_empty() && (found.len() >= limits.events || bytes > limits.bytes) {
                break;
            }
            found.push(record.clone());
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;

    fn seqs(cache: &TailCache, after: u64, events: usize, bytes: usize) -> Option<Vec<u64>> {
        let after = Position {
            epoch: 1,
            seq: after,
        };
        let records = cache.read(after, Limits { events, bytes })?;
        Some(records.iter().map(|record| record.position.seq).collect())
    }

    #[test]
    fn it_serves_what_it_has_within_the_limits_and_says_when_it_has_not() {
        let mut cache = TailCache::default();
        assert_eq!(seqs(&cache, 0, 9, 9), None);
        for seq in 5..=8 {
            cache.push(record(seq, 100));
        }
        let all = usize::MAX;
        assert_eq!(seqs(&cache, 3, all, all), None);
        assert_eq!(seqs(&cache, 4, all, all), Some(vec![5, 6, 7, 8]));
        assert_eq!(seqs(&cache, 6, 1, all), Some(vec![7]));
        assert_eq!(seqs(&cache, 4, all, 250), Some(vec![5, 6]));
        assert_eq!(seqs(&cache, 4, 0, 0), Some(vec![5]));
        assert_eq!(seqs(&cache, 8, all, all), Some(vec![]));
    }

    #[test]
    fn it_forgets_the_oldest_past_its_bytes() {
        let mut cache = TailCache::default();
        for seq in 1..=100 {
            cache.push(record(seq, MAX_BYTES / 10));
        }
        assert!(cache.bytes <= MAX_BYTES);
        assert_eq!(seqs(&cache, 90, 1, 0), None);
        assert_eq!(seqs(&cache, 99, 1, 0), Some(vec![100]));
    }
}
