//! Plans by hand, and the promises of a plan for any tags: covered once, never torn, within the limits, no fewer possible.

use super::*;
use crate::model::{DeviceId, Interpolation, ValueKind};
use crate::settings::Reported;
use crate::settings::shape::{ByteOrder, TagType};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    max_registers: 125,
    max_gap: 16,
};

fn tag(id: u32, table: Table, address: u16, width: u16, every_ms: u64) -> Tag {
    Tag {
        id: TagId(id),
        machine: 0,
        device: DeviceId(0),
        name: format!("t{id}"),
        kind: ValueKind::Int,
        every: Duration::from_millis(every_ms),
        reported: Reported::Each,
        unit: None,
        interpolation: Interpolation::default(),
        source: TagSource::Modbus(Register {
            table,
            address,
            kind: if has_bits(table) {
                TagType::Bit
            } else {
                TagType::Text
            },
            bit: 0,
            length: width * 2,
            trim: Vec::new(),
            byte_order: ByteOrder::ABCD,
        }),
        conditioning: Default::default(),
    }
}

/// Holding registers as (address, width), planned as (start, count, tags).
fn check(values: &[(u16, u16)], limits: Limits, expected: &[(u16, u16, usize)]) {
    let tags: Vec<Tag> = (0u32..)
        .zip(values)
        .map(|(id, (address, width))| tag(id, Table::HoldingRegisters, *address, *width, 100))
        .collect();
    let planned: Vec<_> = plan(&tags, limits)
        .iter()
        .flat_map(|group| &group.requests)
        .map(|request| (request.start, request.count, request.fields.len()))
        .collect();
    assert_eq!(planned, expected, "{values:?}");
}

#[test]
fn neighbours_and_small_gaps_share_a_request() {
    check(&[], LIMITS, &[]);
    check(&[(10, 1), (11, 2)], LIMITS, &[(10, 3, 2)]);
    check(&[(10, 1), (27, 1)], LIMITS, &[(10, 18, 2)]);
    check(&[(10, 1), (28, 1)], LIMITS, &[(10, 1, 1), (28, 1, 1)]);
    let no_gap = Limits {
        max_gap: 0,
        ..LIMITS
    };
    check(
        &[(10, 1), (11, 1), (13, 1)],
        no_gap,
        &[(10, 2, 2), (13, 1, 1)],
    );
}

#[test]
fn one_register_is_read_once_whatever_is_in_it() {
    check(&[(5, 1), (5, 1), (5, 2), (5, 1)], LIMITS, &[(5, 2, 4)]);
}

#[test]
fn a_value_is_never_torn() {
    let four = Limits {
        max_registers: 4,
        max_gap: 16,
    };
    check(&[(0, 2), (2, 1), (3, 2)], four, &[(0, 3, 2), (3, 2, 1)]);
    check(&[(0, 1), (1, 4)], four, &[(0, 1, 1), (1, 4, 1)]);
    check(&[(0, 125), (124, 2)], LIMITS, &[(0, 125, 1), (124, 2, 1)]);
}

#[test]
fn a_text_wider_than_the_limit_gets_a_request_of_its_own() {
    let ten = Limits {
        max_registers: 10,
        max_gap: 16,
    };
    check(
        &[(0, 1), (2, 120), (130, 1)],
        ten,
        &[(0, 1, 1), (2, 120, 1), (130, 1, 1)],
    );
    check(&[(2, 120), (50, 1)], ten, &[(2, 120, 2)]);
}

#[test]
fn the_last_address_is_reached() {
    check(&[(65_534, 1), (65_535, 1)], LIMITS, &[(65_534, 2, 2)]);
}

#[test]
fn tables_and_periods_are_read_apart() {
    let tags = [
        tag(0, Table::InputRegisters, 0, 1, 100),
        tag(1, Table::HoldingRegisters, 0, 1, 100),
        tag(2, Table::Coils, 0, 1, 1_000),
        tag(3, Table::Coils, 1_999, 1, 1_000),
        tag(4, Table::Coils, 2_200, 1, 1_000),
        tag(5, Table::Coils, 250, 1, 1_000),
    ];
    let groups = plan(&tags, LIMITS);
    let shape: Vec<(u128, Vec<_>)> = groups
        .iter()
        .map(|group| {
            let requests = group.requests.iter().map(|r| (r.table, r.start, r.count));
            (group.every.as_millis(), requests.collect())
        })
        .collect();
    let fast = vec![
        (Table::HoldingRegisters, 0, 1),
        (Table::InputRegisters, 0, 1),
    ];
    let slow = vec![(Table::Coils, 0, 251), (Table::Coils, 1_999, 202)];
    assert_eq!(shape, [(100, fast), (1_000, slow)]);
}

fn any_tags() -> impl Strategy<Value = Vec<Tag>> {
    let table = prop::sample::select(vec![
        Table::Coils,
        Table::HoldingRegisters,
        Table::InputRegisters,
    ]);
    let every = prop::sample::select(vec![100u64, 1_000]);
    let place = (
        table,
        prop_oneof![0u16..400, any::<u16>()],
        1u16..=120,
        every,
    );
    prop::collection::vec(place, 0..60).prop_map(|places| {
        (0u32..)
            .zip(places)
            .map(|(id, (table, address, width, every))| {
                let width = if has_bits(table) {
                    1
                } else {
                    width.min((u16::MAX - address).saturating_add(1))
                };
                // Most values are narrow, some are texts.
                let width = if width % 3 == 0 { width } else { width.min(4) };
                tag(id, table, address, width, every)
            })
            .collect()
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (4u16..=125, 0u16..=124).prop_map(|(max_registers, max_gap)| Limits {
        max_registers,
        max_gap,
    })
}

/// The registers of a field, as addresses.
fn span(request: &Request, field: &Field) -> (u32, u32) {
    let start = u32::from(request.start) + u32::from(field.offset);
    (start, start + u32::from(field.register.width()))
}

/// Fewest requests for values in order of address, by trying every cut.
fn fewest(values: &[(u32, u32)], most: u32, gap: u32) -> usize {
    let mut best = vec![0usize; values.len() + 1];
    for from in (0..values.len()).rev() {
        let start = values[from].0;
        let mut end = start;
        best[from] = usize::MAX;
        for to in from..values.len() {
            let (next, next_end) = values[to];
            let own_width = if to == from {
                next_end - next
            } else {
                values[from].1 - start
            };
            if (to > from && next > end + gap) || next_end.max(end) - start > most.max(own_width) {
                break;
            }
            end = end.max(next_end);
            best[from] = best[from].min(1 + best[to + 1]);
        }
    }
    best[0]
}

proptest! {
    #[test]
    fn every_tag_is_read_by_exactly_one_request(tags in any_tags(), limits in any_limits()) {
        let groups = plan(&tags, limits);
        let mut read: Vec<TagId> = Vec::new();
        for group in &groups {
            for request in &group.requests {
                for field in &request.fields {
                    let tag = &tags[field.tag.index()];
                    let TagSource::Modbus(register) = &tag.source else { panic!() };
                    prop_assert_eq!(tag.every, group.every);
                    prop_assert_eq!(register.table, request.table);
                    let (start, end) = span(request, field);
                    prop_assert_eq!(start, u32::from(register.address));
                    prop_assert!(end <= u32::from(request.start) + u32::from(request.count));
                    read.push(field.tag);
                }
            }
        }
        read.sort_unstable();
        prop_assert_eq!(read, tags.iter().map(|tag| tag.id).collect::<Vec<_>>());
    }

    #[test]
    fn no_request_is_longer_or_has_wider_gaps_than_allowed(tags in any_tags(), limits in any_limits()) {
        for request in plan(&tags, limits).iter().flat_map(|group| &group.requests) {
            let (most, gap) = limits.of(request.table);
            let widest = request.fields.iter().map(|f| u32::from(f.register.width())).max().unwrap();
            prop_assert!(u32::from(request.count) <= most.max(widest));
            let standard = if has_bits(request.table) { MAX_BITS } else { MAX_REGISTERS };
            prop_assert!(request.count <= standard);
            let mut end = u32::from(request.start);
            for field in &request.fields {
                let (start, field_end) = span(request, field);
                prop_assert!(start <= end + gap);
                end = end.max(field_end);
            }
            prop_assert_eq!(end, u32::from(request.start) + u32::from(request.count));
        }
    }

    #[test]
    fn the_order_of_the_tags_does_not_matter(tags in any_tags().prop_shuffle(), limits in any_limits()) {
        let mut sorted = tags.clone();
        sorted.sort_by_key(|tag| tag.id);
        prop_assert_eq!(plan(&tags, limits), plan(&sorted, limits));
    }

    #[test]
    fn no_fewer_requests_would_do(
        mut values in prop::collection::vec((0u16..300, 1u16..=12), 1..40),
        max_registers in 4u16..=40,
        max_gap in 0u16..=20,
    ) {
        values.sort_unstable_by_key(|(address, width)| (*address, address + width));
        let tags: Vec<Tag> = (0u32..)
            .zip(&values)
            .map(|(id, (address, width))| tag(id, Table::InputRegisters, *address, *width, 100))
            .collect();
        let spans: Vec<(u32, u32)> = values
            .iter()
            .map(|(address, width)| (u32::from(*address), u32::from(address + width)))
            .collect();
        let groups = plan(&tags, Limits { max_registers, max_gap });
        prop_assert_eq!(
            groups[0].requests.len(),
            fewest(&spans, u32::from(max_registers), u32::from(max_gap))
        );
    }
}
