//! How a batch lies in sled: one frame of keys and values, cut into pieces that are values of sled's. Pure.
//!
//! sled pays for each key and not much for bytes, and a batch in one value is there whole or not at all whatever happens.

use super::conf::SEGMENT_SIZE;
use crate::buffer::engine::Batch;
use std::ops::ControlFlow;

/// Longest piece. A page of nine of them may become one message of sled's log, and one that is longer than a quarter of a
/// segment lands in a file of its own, which sled never syncs.
pub(super) const MAX_PIECE: usize = SEGMENT_SIZE / 40;
/// Of the layout of pieces and frames.
const VERSION: u8 = 1;
/// Of a piece: the version, and how many more pieces of its frame follow.
const PIECE_HEADER: usize = 3;
/// Of a frame: the CRC-32C of what follows it.
const FRAME_HEADER: usize = 4;
/// Of an entry: the lengths of its key and its value.
const ENTRY_HEADER: usize = 6;
/// In place of a value's length: the key is removed.
const REMOVED: u32 = u32::MAX;

/// What does not fit in a frame or a piece, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bent {
    /// It makes no sense.
    Damaged(&'static str),
    /// It is of this version of the layout, which this release does not know.
    Layout(u8),
}

/// What the entries of a frame are shown to; a key without a value was removed.
pub(super) type EachEntry<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> ControlFlow<()> + 'a;

/// The pieces of a batch, each a value of at most [`MAX_PIECE`]; `None` where a length is past its field.
pub(super) fn pieces(batch: &Batch) -> Option<Vec<Vec<u8>>> {
    let bytes = batch.iter().map(|(key, value)| {
        ENTRY_HEADER + key.len() + value.as_ref().map_or(0, |value| value.len())
    });
    let length = PIECE_HEADER + FRAME_HEADER + bytes.sum::<usize>();
    let mut frame = Vec::with_capacity(length);
    frame.extend_from_slice(&[0; PIECE_HEADER + FRAME_HEADER]);
    for (key, value) in batch {
        frame.extend_from_slice(&u16::try_from(key.len()).ok()?.to_le_bytes());
        let length = match value {
            Some(value) => u32::try_from(value.len())
                .ok()
                .filter(|it| *it != REMOVED)?,
            None => REMOVED,
        };
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(key);
        frame.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let (_, sealed) = frame.split_at_mut_checked(PIECE_HEADER)?;
    let (crc, body) = sealed.split_first_chunk_mut::<FRAME_HEADER>()?;
    *crc = crc32c::crc32c(body).to_le_bytes();
    if frame.len() <= MAX_PIECE {
        frame.get_mut(..PIECE_HEADER)?.copy_from_slice(&header(0));
        return Some(vec![frame]);
    }
    let chunks = frame.get(PIECE_HEADER..)?.chunks(MAX_PIECE - PIECE_HEADER);
    let last = chunks.len() - 1;
    let piece = |(number, chunk): (usize, &[u8])| {
        let mut piece = Vec::with_capacity(PIECE_HEADER + chunk.len());
        piece.extend_from_slice(&header(u16::try_from(last - number).ok()?));
        piece.extend_from_slice(chunk);
        Some(piece)
    };
    chunks.enumerate().map(piece).collect()
}

fn header(following: u16) -> [u8; PIECE_HEADER] {
    let [low, high] = following.to_le_bytes();
    [VERSION, low, high]
}

/// How many pieces follow this one in its frame, and its part of the frame.
pub(super) fn piece(value: &[u8]) -> Result<(u16, &[u8]), Bent> {
    let (header, part) = value
        .split_first_chunk::<PIECE_HEADER>()
        .ok_or(Bent::Damaged("a piece is cut off"))?;
    match *header {
        [VERSION, low, high] => Ok((u16::from_le_bytes([low, high]), part)),
        [other, ..] => Err(Bent::Layout(other)),
    }
}

/// Shows the entries of a whole frame in the order in which they were put, until `each` breaks; `None` is a removed key.
pub(super) fn entries(frame: &[u8], each: &mut EachEntry<'_>) -> Result<ControlFlow<()>, Bent> {
    let (crc, mut rest) = frame
        .split_first_chunk::<FRAME_HEADER>()
        .ok_or(Bent::Damaged("a frame is cut off"))?;
    if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
        return Err(Bent::Damaged("the checksum of a frame does not match"));
    }
    while !rest.is_empty() {
        let (key, value) =
            entry(&mut rest).ok_or(Bent::Damaged("the lengths in a frame make no sense"))?;
        if each(key, value).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn entry<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (key, after) = rest.split_first_chunk::<2>()?;
    let (value, after) = after.split_first_chunk::<4>()?;
    let value = u32::from_le_bytes(*value);
    let (key, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*key)))?;
    if value == REMOVED {
        *rest = after;
        return Some((key, None));
    }
    let (value, after) = after.split_at_checked(usize::try_from(value).ok()?)?;
    *rest = after;
    Some((key, Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut frame = Vec::new();
        for (number, value) in pieces.iter().enumerate() {
            let (following, part) = piece(value).unwrap();
            assert_eq!(usize::from(following), pieces.len() - 1 - number);
            assert!(value.len() <= MAX_PIECE);
            frame.extend_from_slice(part);
        }
        frame
    }

    fn read(frame: &[u8]) -> Result<Batch, Bent> {
        let mut batch = Batch::new();
        let end = entries(frame, &mut |key, value| {
            batch.push((key.to_vec(), value.map(<[u8]>::to_vec)));
            ControlFlow::Continue(())
        });
        end.map(|_| batch)
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_as_it_was(
            entries in proptest::collection::vec((1usize..20, proptest::option::of(0usize..9_000)), 0..30),
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut noise = |length| std::iter::repeat_with(|| random.u8(..)).take(length).collect::<Vec<u8>>();
            let batch: Batch = entries
                .into_iter()
                .map(|(key, value)| (noise(key), value.map(&mut noise)))
                .collect();
            prop_assert_eq!(read(&joined(&pieces(&batch).unwrap())), Ok(batch));
        }

        #[test]
        fn nonsense_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err());
            let mut sealed = crc32c::crc32c(&bytes).to_le_bytes().to_vec();
            sealed.extend_from_slice(&bytes);
            read(&sealed).ok();
            piece(&bytes).ok();
        }
    }

    #[test]
    fn a_small_batch_is_one_value_and_a_flipped_bit_is_noticed() {
        let batch: Batch = vec![
            (b"r1".to_vec(), Some(vec![7; 100])),
            (b"c".to_vec(), None),
            (b"h".to_vec(), Some(Vec::new())),
        ];
        let made = pieces(&batch).unwrap();
        assert_eq!(made.len(), 1);
        let frame = joined(&made);
        for bit in 0..frame.len() * 8 {
            let mut bent = frame.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bent).is_err(), "bit {bit}");
        }
    }

    /// Pieces of release 0.1. They never change: a later release must go on reading them.
    const WRITTEN_BY_0_1: &str = "\
        010000c388e84a0300050000007231326576656e740100ffffffff630100040000006868656164";

    #[test]
    fn what_release_0_1_wrote_can_be_read() {
        let batch: Batch = vec![
            (b"r12".to_vec(), Some(b"event".to_vec())),
            (b"c".to_vec(), None),
            (b"h".to_vec(), Some(b"head".to_vec())),
        ];
        let written: Vec<u8> = WRITTEN_BY_0_1
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        let (following, frame) = piece(&written).unwrap();
        assert_eq!((following, read(frame)), (0, Ok(batch)));
    }
}
