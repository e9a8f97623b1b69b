//! Devices that mind gaps, numbers, single values or everything, and what is asked of them in the end.

use super::super::plan::Field;
use super::*;
use crate::model::TagId;
use crate::settings::shape::{ByteOrder, TagType};
use crate::settings::{Register, Table};
use proptest::prelude::*;

const PERIOD: Duration = Duration::from_millis(100);

/// One planned request for u16 values at these addresses.
fn request(addresses: &[u16]) -> Request {
    let start = addresses[0];
    let field = |(id, address): (u32, &u16)| Field {
        tag: TagId(id),
        offset: address - start,
        register: Register {
            table: Table::HoldingRegisters,
            address: *address,
            kind: TagType::U16,
            bit: 0,
            length: 0,
            trim: Vec::new(),
            byte_order: ByteOrder::ABCD,
        },
    };
    Request {
        table: Table::HoldingRegisters,
        start,
        count: addresses[addresses.len() - 1] - start + 1,
        fields: (0u32..).zip(addresses).map(field).collect(),
    }
}

fn blocks(addresses: &[u16]) -> Blocks {
    Blocks::new(PERIOD, vec![request(addresses)], &HashSet::new())
}

/// One cycle against a device that takes what `takes` says; returns what was read, and how many requests it took.
fn cycle(blocks: &mut Blocks, now: Instant, takes: impl Fn(&Request) -> bool) -> (Vec<u16>, usize) {
    let (mut read, mut asked, mut place) = (Vec::new(), 0, 0);
    while let Some((request, rests)) = blocks.at(place, now) {
        if rests.is_some() {
            place += 1;
            continue;
        }
        asked += 1;
        if takes(request) {
            let start = request.start;
            read.extend(request.fields.iter().map(|field| start + field.offset));
            blocks.answered(place);
            place += 1;
        } else if blocks.refused(place, 2, now) == Refusal::Stands {
            place += 1;
        }
    }
    blocks.rejoin(now);
    read.sort_unstable();
    (read, asked)
}

fn spans(blocks: &Blocks) -> Vec<(u16, u16)> {
    let all = blocks.blocks.iter().map(|block| &block.request);
    let mut spans: Vec<_> = all.map(|one| (one.start, one.count)).collect();
    spans.sort_unstable();
    spans
}

#[test]
fn a_gap_that_the_device_minds_is_cut_out_first() {
    let now = Instant::now();
    let mut blocks = blocks(&[0, 1, 5, 6, 9]);
    let no_gap = |request: &Request| usize::from(request.count) == request.fields.len();
    let (read, asked) = cycle(&mut blocks, now, no_gap);
    assert_eq!((read.len(), asked), (5, 4));
    assert_eq!(spans(&blocks), [(0, 2), (5, 2), (9, 1)]);
    assert_eq!(cycle(&mut blocks, now, no_gap).1, 3);
    assert!(blocks.take_changed() && !blocks.take_changed());
}

#[test]
fn a_device_that_takes_thirty_two_registers_gets_no_more() {
    let now = Instant::now();
    let all: Vec<u16> = (0..125).collect();
    let mut blocks = blocks(&all);
    let few = |request: &Request| request.count <= 32;
    let (read, asked) = cycle(&mut blocks, now, few);
    assert_eq!((read, asked), (all, 7));
    assert_eq!(spans(&blocks), [(0, 31), (31, 31), (62, 31), (93, 32)]);
}

#[test]
fn one_absent_value_stands_alone_and_is_asked_seldom() {
    let now = Instant::now();
    let mut blocks = blocks(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let without_five =
        |request: &Request| !(request.start..request.start + request.count).contains(&5);
    let (read, _) = cycle(&mut blocks, now, without_five);
    assert_eq!(read, [0, 1, 2, 3, 4, 6, 7]);
    assert_eq!(spans(&blocks), [(0, 4), (4, 1), (5, 1), (6, 2)]);
    let later = now + Duration::from_millis(9_999);
    assert_eq!(cycle(&mut blocks, later, without_five).1, 3);
    let place =
        (0..blocks.blocks.len()).find(|place| blocks.at(*place, later).unwrap().0.start == 5);
    let (_, rests) = blocks.at(place.unwrap(), later).unwrap();
    assert_eq!(rests, Some(BadReason::Exception(2)));
    let after = now + Duration::from_secs(10);
    assert_eq!(cycle(&mut blocks, after, without_five).1, 4);
    let (read, _) = cycle(&mut blocks, after + Duration::from_secs(10), |_| true);
    assert_eq!(read.len(), 8, "it was programmed in the meantime");
}

#[test]
fn where_nothing_is_readable_the_merging_was_not_to_blame() {
    let mut now = Instant::now();
    let mut blocks = blocks(&[0, 1, 2, 3]);
    for rest_s in [10, 20, 40, 80, 160, 320, 600, 600] {
        let (read, asked) = cycle(&mut blocks, now, |_| false);
        assert_eq!((read.len(), asked), (0, 7));
        assert_eq!(spans(&blocks), [(0, 4)]);
        assert_eq!(blocks.learnt().count(), 0);
        now += Duration::from_secs(rest_s) - Duration::from_millis(1);
        assert_eq!(cycle(&mut blocks, now, |_| true).1, 0);
        now += Duration::from_millis(1);
    }
    assert_eq!(cycle(&mut blocks, now, |_| true), (vec![0, 1, 2, 3], 1));
    assert!(!blocks.take_changed());
}

#[test]
fn several_values_in_one_register_cannot_be_split() {
    assert_eq!(request(&[7, 7, 7]).split(), None);
    let now = Instant::now();
    let mut blocks = blocks(&[7, 7, 8]);
    let (read, asked) = cycle(&mut blocks, now, |request| request.count == 1);
    assert_eq!((read, asked), (vec![7, 7, 8], 3));
}

#[test]
fn other_exceptions_split_nothing_and_are_asked_again_at_once() {
    let now = Instant::now();
    let mut blocks = blocks(&[0, 1]);
    for code in [1, 4, 5, 6, 0x99] {
        assert_eq!(blocks.refused(0, code, now), Refusal::Stands);
        assert_eq!(blocks.at(0, now).unwrap().1, None);
    }
    assert_eq!(spans(&blocks), [(0, 2)]);
}

#[test]
fn a_request_that_is_never_answered_rests_and_the_others_are_next() {
    let now = Instant::now();
    let planned = vec![request(&[0]), request(&[100]), request(&[200])];
    let mut blocks = Blocks::new(PERIOD, planned, &HashSet::new());
    assert_eq!(blocks.missed(1), 1);
    let order: Vec<u16> = (0..3)
        .map(|at| blocks.at(at, now).unwrap().0.start)
        .collect();
    assert_eq!(order, [200, 0, 100]);
    assert_eq!(blocks.missed(2), 2);
    blocks.give_up_last(now);
    assert_eq!(blocks.at(2, now).unwrap().1, Some(BadReason::DeviceLost));
    let after = now + SHORTEST_REST;
    assert_eq!(blocks.at(2, after).unwrap().1, None);
    blocks.answered(2);
    assert_eq!(blocks.missed(2), 1);
    blocks.forgive();
    assert_eq!(blocks.missed(2), 1);
}

#[test]
fn a_map_of_another_plan_means_nothing() {
    let foreign = Span {
        table: Table::HoldingRegisters,
        start: 0,
        count: 3,
    };
    let learnt: HashSet<Span> = [foreign].into();
    let made = Blocks::new(PERIOD, vec![request(&[0, 1, 2, 3]), request(&[7])], &learnt);
    assert_eq!(spans(&made), [(0, 4), (7, 1)]);
    assert_eq!(made.learnt().count(), 0);
}

proptest! {
    #[test]
    fn what_was_learnt_is_not_asked_again(
        addresses in prop::collection::btree_set(0u16..200, 1..60),
        absent in prop::collection::hash_set(0u16..200, 0..40),
        most in 1u16..50,
    ) {
        let now = Instant::now();
        let addresses: Vec<u16> = addresses.into_iter().collect();
        let takes = |request: &Request| {
            request.count <= most
                && !(request.start..request.start + request.count).any(|at| absent.contains(&at))
        };
        let mut first = Blocks::new(PERIOD, vec![request(&addresses)], &HashSet::new());
        let (read, _) = cycle(&mut first, now, takes);
        let there: Vec<u16> = addresses.iter().copied().filter(|at| !absent.contains(at)).collect();
        prop_assert_eq!(&read, &there, "each value that the device has is read in the first cycle");
        let learnt: HashSet<Span> = first.learnt().collect();
        let mut second = Blocks::new(PERIOD, vec![request(&addresses)], &learnt);
        if !there.is_empty() {
            prop_assert_eq!(spans(&second), spans(&first));
        }
        let refused = std::cell::Cell::new(0);
        let (again, _) = cycle(&mut second, now, |request| {
            let fine = takes(request);
            if !fine && request.split().is_some() {
                refused.set(refused.get() + 1);
            }
            fine
        });
        prop_assert_eq!(again, read);
        prop_assert!(refused.get() == 0 || there.is_empty());
    }

    #[test]
    fn a_split_loses_no_value_and_tears_none(
        addresses in prop::collection::btree_set(0u16..400, 2..60),
    ) {
        let addresses: Vec<u16> = addresses.into_iter().collect();
        let whole = request(&addresses);
        let parts = whole.split().unwrap();
        prop_assert!(parts.len() > 1);
        let mut read: Vec<(u32, u16)> = Vec::new();
        for part in &parts {
            prop_assert!(part.count < whole.count);
            for field in &part.fields {
                prop_assert!(field.offset + field.register.width() <= part.count);
                read.push((field.tag.0, part.start + field.offset));
            }
        }
        read.sort_unstable();
        let all: Vec<(u32, u16)> = (0u32..).zip(addresses.iter().copied()).collect();
        prop_assert_eq!(read, all);
        let shortest = whole.shortest();
        prop_assert_eq!((shortest.start, shortest.count), (addresses[0], 1));
    }
}
