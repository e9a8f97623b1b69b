//! Tests of the window.

use super::*;
use crate::buffer::MAX_ABOVE;
use crate::deliver::uplink::Doubt;
use crate::model::{Class, Envelope};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn terms(in_flight: usize, one_per_key: bool) -> Terms {
    Terms {
        connected: true,
        in_flight,
        batch: 1,
        one_per_key,
        verdict_within: None,
    }
}

fn at(seq: u64) -> Position {
    Position { epoch: 1, seq }
}

fn record(seq: u64, key: &str) -> Record {
    Record {
        position: at(seq),
        envelope: Envelope {
            id: uuid::Uuid::from_u128(u128::from(seq)),
            run: uuid::Uuid::nil(),
            kind: "operation.completed".into(),
            partition_key: key.into(),
            equipment: Some(key.into()),
            path: Vec::new(),
            time_ns: 0,
        },
        class: Class::Lasting,
        payload: Bytes::from_static(b"{}"),
    }
}

fn window(keys: &[&str]) -> Window {
    let mut window = Window::new(at(0), (0, at(0)), Timing::default(), 7);
    let records = (1..).zip(keys).map(|(seq, key)| record(seq, key)).collect();
    assert_eq!(window.take_in(records, |_| true), 0);
    window
}

fn start_all(window: &mut Window, now: Instant, terms: &Terms) -> Vec<u64> {
    start_sendings(window, now, terms).concat()
}

/// What goes together, by sending.
fn start_sendings(window: &mut Window, now: Instant, terms: &Terms) -> Vec<Vec<u64>> {
    let sendings = std::iter::from_fn(|| {
        let started = window.start(now, terms, usize::MAX, terms.batch);
        let seqs: Vec<u64> = started.iter().map(|one| one.position.seq).collect();
        (!seqs.is_empty()).then_some(seqs)
    });
    sendings.collect()
}

#[test]
fn events_go_out_in_order_up_to_the_window_and_settle_from_the_front() {
    let now = Instant::now();
    let mut window = window(&["a"; 6]);
    let terms = terms(3, false);
    assert_eq!(start_all(&mut window, now, &terms), [1, 2, 3]);
    assert!(window.accept(at(3)).is_some());
    assert!(window.accept(at(2)).is_some());
    assert_eq!(window.settled(), at(0));
    assert_eq!(
        start_all(&mut window, now, &terms),
        [4, 5],
        "they pass the first one"
    );
    assert!(window.accept(at(1)).is_some());
    assert_eq!(window.settled(), at(3));
    assert_eq!(start_all(&mut window, now, &terms), [6]);
    assert_eq!(window.in_flight(), 3);
}

#[test]
fn a_second_or_foreign_acknowledgement_changes_nothing() {
    let now = Instant::now();
    let mut window = window(&["a"; 3]);
    assert!(window.accept(at(1)).is_none(), "never sent");
    assert_eq!(start_all(&mut window, now, &terms(2, false)), [1, 2]);
    assert!(window.accept(at(2)).is_some());
    assert!(window.accept(at(2)).is_none());
    assert!(window.accept(at(99)).is_none());
    assert_eq!((window.in_flight(), window.settled()), (1, at(0)));
}

#[test]
fn after_a_lost_connection_only_what_had_no_verdict_goes_again() {
    let now = Instant::now();
    let mut window = window(&["a"; 4]);
    let terms = terms(4, false);
    assert_eq!(start_all(&mut window, now, &terms), [1, 2, 3, 4]);
    assert!(window.accept(at(2)).is_some());
    assert_eq!(window.connection_lost(now), None);
    assert_eq!(window.in_flight(), 0);
    assert_eq!(window.oldest_sent(), None);
    let again = window.start(now, &terms, 8, 1);
    let first_again = Started {
        position: at(1),
        again: true,
    };
    assert_eq!(again, [first_again]);
    assert_eq!(start_all(&mut window, now, &terms), [3, 4]);
}

#[test]
fn one_request_per_key_and_the_others_pass() {
    let now = Instant::now();
    let mut window = window(&["a", "a", "b", "a", "c", "b"]);
    let terms = terms(8, true);
    assert_eq!(start_all(&mut window, now, &terms), [1, 3, 5]);
    assert!(window.accept(at(3)).is_some());
    assert_eq!(start_all(&mut window, now, &terms), [6]);
    let wait = 5 * SECOND;
    let failed = window.fail(at(1), now, Some(wait), Failure::Refused);
    assert_eq!(failed, Some((now, Consequence::Again(wait))));
    assert_eq!(
        start_all(&mut window, now, &terms),
        [] as [u64; 0],
        "2 waits behind 1"
    );
    assert_eq!(window.next_due(now), Some(now + wait));
    assert_eq!(
        window.next_due(now + wait),
        None,
        "no alarm for what may go at once"
    );
    assert_eq!(start_all(&mut window, now + wait, &terms), [1]);
}

#[test]
fn the_destination_may_not_ask_for_more_than_the_limit() {
    let now = Instant::now();
    let mut window = window(&["a"]);
    assert_eq!(start_all(&mut window, now, &terms(1, false)), [1]);
    let failed = window.fail(at(1), now, Some(Duration::MAX), Failure::Unanswered);
    let longest = Timing::default().longest_asked_wait;
    assert_eq!(failed, Some((now, Consequence::Again(longest))));
}

#[test]
fn what_is_not_wanted_is_settled_with_what_stands_before_it() {
    let now = Instant::now();
    let mut window = Window::new(at(0), (0, at(0)), Timing::default(), 7);
    let keys = ["x", "x", "a", "x", "a", "x"];
    let records = (1..).zip(keys).map(|(seq, key)| record(seq, key)).collect();
    let filtered = window.take_in(records, |record| record.envelope.partition_key == "a");
    assert_eq!(filtered, 4);
    assert_eq!(window.settled(), at(2));
    let terms = terms(8, false);
    assert_eq!(start_all(&mut window, now, &terms), [3, 5]);
    assert!(window.accept(at(5)).is_some());
    assert_eq!(window.settled(), at(2));
    assert!(window.accept(at(3)).is_some());
    assert_eq!(window.settled(), at(6));
}

#[test]
fn a_read_that_overlaps_brings_nothing_twice() {
    let mut window = window(&["a"; 4]);
    assert_eq!(
        window.take_in(vec![record(3, "a"), record(4, "a"), record(5, "a")], |_| {
            true
        }),
        0
    );
    assert_eq!(
        start_all(&mut window, Instant::now(), &terms(9, false)),
        [1, 2, 3, 4, 5]
    );
}

#[test]
fn reading_stops_when_enough_is_held() {
    let terms = terms(8, false);
    let mut window = window(&[]);
    let mut read = 0;
    while let Some((after, most)) = window.wants(&terms) {
        assert_eq!(after, at(read));
        let records = (1..=most as u64).map(|i| record(read + i, "a")).collect();
        window.take_in(records, |_| true);
        read += most as u64;
    }
    assert!((64..=64 + READ_AHEAD as u64).contains(&read), "{read}");

    let mut window = Window::new(at(0), (0, at(0)), Timing::default(), 7);
    let mut large = record(1, "a");
    large.payload = vec![b' '; HELD_BYTES].into();
    window.take_in(vec![large], |_| true);
    assert_eq!(window.wants(&terms), None);
    assert_eq!(start_all(&mut window, Instant::now(), &terms), [1]);
    assert!(window.accept(at(1)).is_some());
    assert!(window.wants(&terms).is_some());
}

/// Random verdicts, losses and reads against a model: everything is accepted once and settled in order.
#[test]
fn a_batch_takes_the_next_ones_of_its_keys_in_order_and_none_of_a_key_that_is_under_way() {
    let now = Instant::now();
    let mut window = window(&["a", "a", "b", "a", "c", "b", "c", "a"]);
    let terms = Terms {
        batch: 3,
        ..terms(2, true)
    };
    let sendings = start_sendings(&mut window, now, &terms);
    assert_eq!(sendings, [vec![1, 2, 3], vec![5, 7]]);
    assert_eq!(window.in_flight(), 2);
    assert!(window.accept(at(5)).is_some() && window.accept(at(7)).is_some());
    assert_eq!(window.in_flight(), 1);
    // The second of `a` has to wait, and those behind it with it.
    assert!(window.accept(at(1)).is_some() && window.accept(at(3)).is_some());
    let failed = window.fail(at(2), now, None, Failure::Unanswered);
    let Some((_, Consequence::Again(wait))) = failed else {
        panic!("again");
    };
    assert_eq!(start_all(&mut window, now, &terms), [6]);
    // What failed goes alone.
    assert_eq!(start_all(&mut window, now + wait, &terms), [2]);
    assert!(window.accept(at(2)).is_some());
    assert_eq!(start_all(&mut window, now + wait, &terms), [4, 8]);
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_settles_early() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..200 {
        play(&mut random);
    }
}

fn play(random: &mut fastrand::Rng) {
    const EVENTS: u64 = 120;
    let terms = Terms {
        batch: random.usize(1..5),
        ..terms(random.usize(1..12), random.bool())
    };
    let mut now = Instant::now();
    let mut window = Window::new(at(0), (0, at(0)), Timing::default(), random.u64(..));
    if terms.one_per_key && random.bool() {
        window = window.strict();
    }
    let keys = ["a", "b", "c"];
    // How often what fails does so.
    let trouble = random.u32(1..10);
    let mut accepted = BTreeSet::new();
    let mut under_way = BTreeSet::new();
    let mut parking = BTreeSet::new();
    let mut first_sent: BTreeMap<u64, usize> = BTreeMap::new();
    let mut sends = 0;
    while window.settled() < at(EVENTS) {
        if let Some((after, most)) = window.wants(&terms) {
            let last = EVENTS.min(after.seq + most as u64);
            let records = (after.seq + 1..=last)
                .map(|seq| {
                    let mut record = record(seq, keys[(seq % 3) as usize]);
                    record.envelope.kind = ["started", "completed"][(seq % 2) as usize].into();
                    record
                })
                .collect();
            window.take_in(records, |record| record.position.seq % 10 != 0);
        }
        let sendings = if random.u32(0..4) == 0 {
            let probe = window.start_probe(now, &terms, 1);
            assert!(probe.len() <= 1);
            vec![probe.iter().map(|one| one.position.seq).collect()]
        } else {
            start_sendings(&mut window, now, &terms)
        };
        for sending in sendings {
            assert!(sending.is_sorted() && sending.len() <= terms.batch);
            for seq in &sending {
                let same_key = |other: &&u64| **other % 3 == seq % 3;
                assert!(!terms.one_per_key || under_way.iter().filter(same_key).count() == 0);
            }
            for seq in sending {
                assert!(!accepted.contains(&seq), "{seq} was accepted before");
                assert!(under_way.insert(seq));
                sends += 1;
                first_sent.entry(seq).or_insert(sends);
            }
        }
        assert!(window.in_flight() <= terms.in_flight.min(under_way.len()));
        assert!(under_way.len() <= window.in_flight() * terms.batch);
        now += SECOND * random.u32(0..40);
        let out: Vec<u64> = under_way.iter().copied().collect();
        let seq = random.choice(out).unwrap_or(0);
        match if seq == 0 {
            19
        } else {
            random.u32(0..2 * trouble)
        } {
            0 => {
                assert_eq!(window.connection_lost(now), None);
                under_way.clear();
            }
            1 => {
                let failure = [Failure::Refused, Failure::Conflict, Failure::Unanswered];
                let failure = failure[random.usize(0..3)];
                let (_, consequence) = window.fail(at(seq), now, None, failure).expect("sent");
                under_way.remove(&seq);
                if !matches!(consequence, Consequence::Again(_) | Consequence::Waits) {
                    assert!(window.park(at(seq)).is_some());
                    parking.insert(seq);
                }
            }
            3 => {
                assert!(window.park(at(seq)).is_some() && window.park(at(seq)).is_none());
                under_way.remove(&seq);
                parking.insert(seq);
            }
            2 => {
                assert!(window.put_back(at(seq)).is_some());
                under_way.remove(&seq);
            }
            4 => {
                assert!(window.divide(at(seq)).is_some());
                under_way.remove(&seq);
            }
            5..=8 => {
                let doubt = [Doubt::Event, Doubt::Way][random.usize(0..2)];
                under_way.remove(&seq);
                if window.doubt(at(seq), now, SECOND * random.u32(0..9)) == Some(Doubted::Own) {
                    let failure = Failure::Doubted(doubt);
                    let (_, consequence) = window.fail(at(seq), now, None, failure).expect("sent");
                    if consequence == Consequence::Suspect {
                        assert!(window.park(at(seq)).is_some());
                        parking.insert(seq);
                    }
                }
            }
            _ if seq == 0 => {}
            _ => {
                assert!(window.accept(at(seq)).is_some());
                accepted.insert(seq);
                under_way.remove(&seq);
            }
        }
        if let Some(seq) = random.choice(parking.iter().copied().collect::<Vec<_>>()) {
            assert!(window.settled().seq < seq);
            window.parked(at(seq));
            parking.remove(&seq);
            accepted.insert(seq);
        }
        let settled = window.settled().seq;
        assert!((1..=settled).all(|seq| seq % 10 == 0 || accepted.contains(&seq)));
    }
    for key in 0..3 {
        let order: Vec<usize> = first_sent
            .iter()
            .filter(|(seq, _)| **seq % 3 == key)
            .map(|(_, sent)| *sent)
            .collect();
        assert!(
            order.is_sorted(),
            "first deliveries of a key keep their order"
        );
    }
}

#[path = "stuck_tests.rs"]
mod stuck;
