//! Where things lie in a generation: the keys, and the cutting of values into pieces that sled keeps inline. Pure.
//!
//! Records come last in the order of keys, so that the leaf that grows holds nothing else.

use super::engine::{Batch, MAX_VALUE};
use crate::model::Position;

/// What was taken out of a generation on purpose.
pub(super) const ABSENT: &[u8] = b"a";
/// Prefix of checkpoint entries.
pub(super) const CHECKPOINT: &[u8] = b"c";
/// Prefix of the head state.
pub(super) const HEAD: &[u8] = b"h";
/// Prefix of records.
pub(super) const RECORD: &[u8] = b"r";

/// The key of a record, before its piece number: sorts as positions do.
pub(super) fn record(position: Position) -> Vec<u8> {
    let mut key = RECORD.to_vec();
    key.extend_from_slice(&position.epoch.to_be_bytes());
    key.extend_from_slice(&position.seq.to_be_bytes());
    key
}

/// The position in a whole record key.
pub(super) fn position(key: &[u8]) -> Option<Position> {
    let (whole, _) = split_piece(key)?;
    let rest = whole.strip_prefix(RECORD)?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    rest.is_empty().then_some(Position {
        epoch: u32::from_be_bytes(*epoch),
        seq: u64::from_be_bytes(*seq),
    })
}

/// The key of a checkpoint entry, before its piece number.
pub(super) fn checkpoint(name: &str) -> Vec<u8> {
    let mut key = CHECKPOINT.to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}

/// The name in a whole checkpoint key.
pub(super) fn checkpoint_name(key: &[u8]) -> Option<&str> {
    let (whole, _) = split_piece(key)?;
    std::str::from_utf8(whole.strip_prefix(CHECKPOINT)?).ok()
}

/// A whole key without its piece number, and that number.
pub(super) fn split_piece(key: &[u8]) -> Option<(&[u8], u16)> {
    let (whole, piece) = key.split_last_chunk::<2>()?;
    Some((whole, u16::from_be_bytes(*piece)))
}

/// How many pieces a value takes: at least one, so that an empty value exists.
pub(super) fn pieces(length: usize) -> u16 {
    u16::try_from(length.div_ceil(MAX_VALUE).max(1)).unwrap_or(u16::MAX)
}

/// Writes a value under `key` and removes the pieces by which an older value of `old_length` was longer.
pub(super) fn put(batch: &mut Batch, key: &[u8], value: &[u8], old_length: Option<usize>) {
    let chunks: Vec<&[u8]> = if value.is_empty() {
        vec![value]
    } else {
        value.chunks(MAX_VALUE).collect()
    };
    for (piece, chunk) in (0u16..).zip(&chunks) {
        batch.push((numbered(key, piece), Some(chunk.to_vec())));
    }
    let old_pieces = old_length.map_or(0, pieces);
    for piece in pieces(value.len())..old_pieces {
        batch.push((numbered(key, piece), None));
    }
}

/// Removes a value of `length` bytes.
pub(super) fn remove(batch: &mut Batch, key: &[u8], length: usize) {
    for piece in 0..pieces(length) {
        batch.push((numbered(key, piece), None));
    }
}

fn numbered(key: &[u8], piece: u16) -> Vec<u8> {
    let mut numbered = key.to_vec();
    numbered.extend_from_slice(&piece.to_be_bytes());
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_keys_sort_as_positions_do_and_read_back() {
        let positions = [(1, 1), (1, 255), (1, 256), (1, u64::MAX), (2, 1), (256, 0)]
            .map(|(epoch, seq)| Position { epoch, seq });
        let keys = positions.map(|at| numbered(&record(at), 3));
        assert!(keys.is_sorted());
        assert_eq!(keys.map(|key| position(&key)), positions.map(Some));
        assert_eq!(position(b"r123"), None);
        assert_eq!(position(&numbered(&checkpoint("x"), 0)), None);
    }

    #[test]
    fn a_shrinking_value_leaves_no_old_pieces() {
        let key = checkpoint("slot");
        let mut batch = Batch::new();
        put(
            &mut batch,
            &key,
            &vec![1; MAX_VALUE + 1],
            Some(4 * MAX_VALUE),
        );
        let kinds: Vec<(u16, bool)> = batch
            .iter()
            .map(|(key, value)| (split_piece(key).unwrap().1, value.is_some()))
            .collect();
        assert_eq!(kinds, [(0, true), (1, true), (2, false), (3, false)]);

        let mut batch = Batch::new();
        put(&mut batch, &key, b"", Some(0));
        assert_eq!(batch.len(), 1);
        let mut batch = Batch::new();
        remove(&mut batch, &key, 2 * MAX_VALUE);
        assert_eq!(batch.len(), 2);
        assert_eq!(checkpoint_name(&batch[0].0), Some("slot"));
    }
}
