//! What was learnt of a device, as bytes: the merged requests that it refused and that are asked apart since.
//!
//! Pure. Bounded, sealed by a checksum and believed only where it fits: a span that is no request of the present plan means
//! nothing, and one that is only makes requests shorter. So a damaged, foreign or old file does no harm.

use super::plan::Request;
use crate::settings::Table;
use std::collections::HashSet;

/// Most spans that are kept; more are learnt anew after a restart.
pub const MAX_SPANS: usize = 2_048;
/// The longest file.
pub const MAX_BYTES: usize = HEAD_BYTES + MAX_SPANS * SPAN_BYTES + SUM_BYTES;
/// What the file begins with; the last byte is the version of what follows.
const MAGIC: [u8; 8] = *b"MGLEARN\x01";
const HEAD_BYTES: usize = MAGIC.len();
/// Table, first address, number of places.
const SPAN_BYTES: usize = 5;
const SUM_BYTES: usize = 4;

/// The place of a merged request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Where it reads.
    pub table: Table,
    /// First address, zero-based.
    pub start: u16,
    /// Registers or bits.
    pub count: u16,
}

impl From<&Request> for Span {
    fn from(request: &Request) -> Span {
        Span {
            table: request.table,
            start: request.start,
            count: request.count,
        }
    }
}

/// The file of these spans; those beyond [`MAX_SPANS`] are left out.
#[must_use]
pub fn encode(spans: impl IntoIterator<Item = Span>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for span in spans.into_iter().take(MAX_SPANS) {
        bytes.push(number(span.table));
        bytes.extend(span.start.to_be_bytes());
        bytes.extend(span.count.to_be_bytes());
    }
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}

/// The spans of a file; `None` when it is not whole, or none of ours.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<HashSet<Span>> {
    let (content, sum) = bytes.split_last_chunk::<SUM_BYTES>()?;
    if bytes.len() > MAX_BYTES || u32::from_be_bytes(*sum) != crc32c::crc32c(content) {
        return None;
    }
    let (spans, rest) = content.strip_prefix(&MAGIC)?.as_chunks::<SPAN_BYTES>();
    if !rest.is_empty() {
        return None;
    }
    spans.iter().map(span).collect()
}

fn span(bytes: &[u8; SPAN_BYTES]) -> Option<Span> {
    let [table, start_high, start_low, count_high, count_low] = *bytes;
    Some(Span {
        table: TABLES.into_iter().find(|one| number(*one) == table)?,
        start: u16::from_be_bytes([start_high, start_low]),
        count: u16::from_be_bytes([count_high, count_low]),
    })
}

const TABLES: [Table; 4] = [
    Table::Coils,
    Table::DiscreteInputs,
    Table::HoldingRegisters,
    Table::InputRegisters,
];

/// The function that reads it.
fn number(table: Table) -> u8 {
    match table {
        Table::Coils => 1,
        Table::DiscreteInputs => 2,
        Table::HoldingRegisters => 3,
        Table::InputRegisters => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_spans() -> impl Strategy<Value = HashSet<Span>> {
        let table = prop::sample::select(TABLES.to_vec());
        let span = (table, any::<u16>(), any::<u16>());
        let span = span.prop_map(|(table, start, count)| Span {
            table,
            start,
            count,
        });
        prop::collection::hash_set(span, 0..200)
    }

    #[test]
    fn more_than_a_file_holds_is_left_out() {
        let span = |start| Span {
            table: Table::Coils,
            start,
            count: 2,
        };
        let bytes = encode((0..10_000).map(span));
        assert_eq!(bytes.len(), MAX_BYTES);
        assert_eq!(decode(&bytes).map(|spans| spans.len()), Some(MAX_SPANS));
    }

    #[test]
    fn a_table_that_is_none_spoils_the_file() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([7, 0, 1, 0, 2]);
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        assert_eq!(decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn what_was_learnt_is_read_again(spans in any_spans()) {
            prop_assert_eq!(decode(&encode(spans.iter().copied())), Some(spans));
        }

        #[test]
        fn a_damaged_file_is_none(spans in any_spans(), place in any::<prop::sample::Index>(), with in 1u8.., cut in any::<prop::sample::Index>()) {
            let bytes = encode(spans);
            let mut damaged = bytes.clone();
            damaged[place.index(bytes.len())] ^= with;
            prop_assert_eq!(decode(&damaged), None);
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), None);
        }

        #[test]
        fn whatever_is_in_a_file_is_bounded_and_written_as_the_same(bytes in prop::collection::vec(any::<u8>(), 0..400), known: bool) {
            prop_assert_eq!(decode(&bytes), None);
            // With a right head and a right sum, what is between them is believed or not.
            let head = if known { &MAGIC[..] } else { &[] };
            let mut sealed = [head, &bytes].concat();
            sealed.extend(crc32c::crc32c(&sealed).to_be_bytes());
            if let Some(spans) = decode(&sealed) {
                prop_assert!(spans.len() <= bytes.len() / SPAN_BYTES);
                prop_assert_eq!(decode(&encode(spans.iter().copied())), Some(spans));
            }
        }

        #[test]
        fn places_of_any_table_are_read(places in prop::collection::vec((1u8..6, any::<u16>(), any::<u16>()), 0..20)) {
            let mut bytes = MAGIC.to_vec();
            for (table, start, count) in &places {
                bytes.push(*table);
                bytes.extend(start.to_be_bytes());
                bytes.extend(count.to_be_bytes());
            }
            bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
            let has_unknown = places.iter().any(|(table, ..)| *table > 4);
            prop_assert_eq!(decode(&bytes).is_none(), has_unknown);
        }
    }
}
