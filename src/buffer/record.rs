//! How an event lies on disk: sealed, with its position, its envelope and its compressed payload. Pure.
//!
//! The numbers have fixed places, the envelope is postcard, the payload an LZ4 block or, where that would not be smaller,
//! the bytes themselves. The next release reads it: a test keeps bytes that this release wrote.

use super::Record;
use super::seal::{SealError, seal, unseal};
use crate::model::{Class, Envelope, Position};
use bytes::Bytes;

/// Of this release. Change the layout only together with it, and keep reading the one before.
const VERSION: u8 = 1;
/// Largest payload, uncompressed. Events are at most 60 KiB; a claim above this is never believed.
pub const MAX_PAYLOAD: usize = 256 << 10;
/// Largest encoded envelope: names and levels of at most 1 KiB each.
pub const MAX_ENVELOPE: usize = 32 << 10;

const RAW: u8 = 0;
const LZ4: u8 = 1;
/// Beside the packing: the event is of the passing class.
const PASSING: u8 = 0x80;

/// Why a record cannot be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut off or changed since it was written.
    #[error("the record is damaged: its checksum does not match")]
    Damaged,
    /// Written by a release that this one does not know.
    #[error("the record has version {0}, which this release cannot read")]
    Version(u8),
    /// The checksum matches and the content makes no sense: written wrongly.
    #[error("the record's {0} makes no sense")]
    Content(&'static str),
    /// Larger than a record may be.
    #[error("the record's {part} takes {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Envelope or payload.
        part: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl From<SealError> for RecordError {
    fn from(error: SealError) -> RecordError {
        match error {
            SealError::Damaged => RecordError::Damaged,
            SealError::Version(version) => RecordError::Version(version),
        }
    }
}

/// The bytes of a record; its payload compressed where that makes it smaller.
///
/// # Errors
/// [`RecordError::TooLarge`] past [`MAX_PAYLOAD`] or [`MAX_ENVELOPE`].
pub fn encode(record: &Record) -> Result<Vec<u8>, RecordError> {
    let packed = lz4_flex::block::compress(&record.payload);
    if packed.len() < record.payload.len() {
        return sealed(record, LZ4, &packed);
    }
    encode_plain(record)
}

/// [`encode`] without compression; as readable.
///
/// # Errors
/// As [`encode`].
pub fn encode_plain(record: &Record) -> Result<Vec<u8>, RecordError> {
    sealed(record, RAW, &record.payload)
}

fn sealed(record: &Record, packing: u8, payload: &[u8]) -> Result<Vec<u8>, RecordError> {
    let envelope =
        postcard::to_stdvec(&record.envelope).map_err(|_| RecordError::Content("envelope"))?;
    let envelope_len = limited("envelope", envelope.len(), MAX_ENVELOPE)?;
    let payload_len = limited("payload", record.payload.len(), MAX_PAYLOAD)?;
    let mut body = Vec::with_capacity(21 + envelope.len() + payload.len());
    body.extend_from_slice(&record.position.epoch.to_le_bytes());
    body.extend_from_slice(&record.position.seq.to_le_bytes());
    let class = match record.class {
        Class::Passing => PASSING,
        Class::Lasting => 0,
    };
    body.push(packing | class);
    body.extend_from_slice(&payload_len.to_le_bytes());
    body.extend_from_slice(&envelope_len.to_le_bytes());
    body.extend_from_slice(&envelope);
    body.extend_from_slice(payload);
    Ok(seal(VERSION, &body))
}

/// The record in `bytes`. Allocates at most [`MAX_PAYLOAD`] and what the envelope's own bytes can hold, whatever they claim.
///
/// # Errors
/// Every other [`RecordError`].
pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
    let mut rest = unseal(VERSION, bytes)?;
    let position = Position {
        epoch: u32::from_le_bytes(take(&mut rest)?),
        seq: u64::from_le_bytes(take(&mut rest)?),
    };
    let [flags] = take(&mut rest)?;
    let (packing, class) = match flags & PASSING {
        0 => (flags, Class::Lasting),
        _ => (flags & !PASSING, Class::Passing),
    };
    let payload_len = believed("payload", u32::from_le_bytes(take(&mut rest)?), MAX_PAYLOAD)?;
    let envelope_len = believed(
        "envelope",
        u32::from_le_bytes(take(&mut rest)?),
        MAX_ENVELOPE,
    )?;
    let (envelope, payload) = rest
        .split_at_checked(envelope_len)
        .ok_or(RecordError::Content("length"))?;
    let envelope: Envelope =
        postcard::from_bytes(envelope).map_err(|_| RecordError::Content("envelope"))?;
    Ok(Record {
        position,
        envelope,
        class,
        payload: unpack(packing, payload, payload_len)?,
    })
}

fn unpack(packing: u8, payload: &[u8], length: usize) -> Result<Bytes, RecordError> {
    let bytes = match packing {
        RAW => payload.to_vec(),
        LZ4 => lz4_flex::block::decompress(payload, length)
            .map_err(|_| RecordError::Content("payload"))?,
        _ => return Err(RecordError::Content("packing")),
    };
    if bytes.len() != length {
        return Err(RecordError::Content("payload"));
    }
    Ok(Bytes::from(bytes))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (head, tail) = rest
        .split_first_chunk::<N>()
        .ok_or(RecordError::Content("length"))?;
    *rest = tail;
    Ok(*head)
}

fn limited(part: &'static str, bytes: usize, limit: usize) -> Result<u32, RecordError> {
    match u32::try_from(bytes) {
        Ok(length) if bytes <= limit => Ok(length),
        _ => Err(RecordError::TooLarge { part, bytes, limit }),
    }
}

fn believed(part: &'static str, claim: u32, limit: usize) -> Result<usize, RecordError> {
    let bytes = usize::try_from(claim).unwrap_or(usize::MAX);
    limited(part, bytes, limit).map(|_| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn records() -> impl Strategy<Value = Record> {
        let text = "\\PC{0,40}";
        (
            (any::<u32>(), any::<u64>(), any::<u128>(), any::<u128>()),
            (text, text, proptest::option::of(text)),
            proptest::collection::vec(text, 0..6),
            (any::<i64>(), any::<bool>()),
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..600),
                proptest::collection::vec(Just(b'a'), 0..5000),
            ],
        )
            .prop_map(
                |(numbers, texts, path, (time_ns, passing), payload)| Record {
                    position: Position {
                        epoch: numbers.0,
                        seq: numbers.1,
                    },
                    envelope: Envelope {
                        id: Uuid::from_u128(numbers.2),
                        run: Uuid::from_u128(numbers.3),
                        kind: texts.0,
                        partition_key: texts.1,
                        equipment: texts.2,
                        path,
                        time_ns,
                    },
                    class: if passing {
                        Class::Passing
                    } else {
                        Class::Lasting
                    },
                    payload: Bytes::from(payload),
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(record in records()) {
            let bytes = encode(&record).unwrap();
            prop_assert_eq!(decode(&bytes), Ok(record));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn a_sealed_body_of_nonsense_never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(record) = decode(&seal(VERSION, &body)) {
                prop_assert!(record.payload.len() <= MAX_PAYLOAD);
            }
        }
    }

    fn sample() -> Record {
        Record {
            position: Position { epoch: 3, seq: 42 },
            envelope: Envelope {
                id: Uuid::from_u128(7),
                run: Uuid::from_u128(8),
                kind: "operation.completed".into(),
                partition_key: "PRESS-04".into(),
                equipment: Some("PRESS-04".into()),
                path: vec!["acme".into(), "ulm".into()],
                time_ns: 1_700_000_000_000_000_000,
            },
            class: Class::Lasting,
            payload: Bytes::from(b"{\"a\":1,\"b\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}".to_vec()),
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&sample()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bent), Err(RecordError::Damaged), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Err(RecordError::Damaged));
        }
    }

    #[test]
    fn a_claim_of_a_huge_payload_is_refused_before_any_memory_is_taken() {
        for (packing, claim) in [(LZ4, u32::MAX), (RAW, u32::MAX), (LZ4, 256 * 1024 + 1)] {
            let mut body = vec![0; 12];
            body.push(packing);
            body.extend_from_slice(&claim.to_le_bytes());
            body.extend_from_slice(&0u32.to_le_bytes());
            assert!(matches!(
                decode(&seal(VERSION, &body)),
                Err(RecordError::TooLarge { .. })
            ));
        }
    }

    #[test]
    fn a_payload_over_the_limit_is_not_written() {
        let mut record = sample();
        record.payload = Bytes::from(vec![0; MAX_PAYLOAD]);
        assert!(encode(&record).is_ok());
        record.payload = Bytes::from(vec![0; MAX_PAYLOAD + 1]);
        assert!(matches!(
            encode(&record),
            Err(RecordError::TooLarge {
                part: "payload",
                ..
            })
        ));
    }

    /// Bytes that release 0.1 wrote. They never change: a later release must go on reading them.
    const WRITTEN_BY_0_1: &str = "\
        019f5f7195030000002a00000000000000012d0000005c000000100000000000000000000000000000000710000000000000\
        00000000000000000008136f7065726174696f6e2e636f6d706c657465640850524553532d3034010850524553532d303402\
        0461636d6503756c6d8080d0e2c6bfce972fef7b2261223a312c2262223a5b312c020006602c312c315d7d";

    #[test]
    fn what_release_0_1_wrote_can_be_read() {
        let bytes: Vec<u8> = WRITTEN_BY_0_1
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        assert_eq!(decode(&bytes), Ok(sample()));
    }
}
