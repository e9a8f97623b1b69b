//! Events that their destination does not take: the others pass, and they are parked in the end.

use super::*;
use crate::deliver::window::failure::SUSPECT_FAILURES;

/// Sends what is due, and has `poison` fail and all others accepted; returns how far it came.
fn pass_by(window: &mut Window, poison: u64, now: Instant, terms: &Terms) -> Option<Consequence> {
    let mut last = None;
    loop {
        let sent = start_all(window, now, terms);
        if sent.is_empty() {
            return last;
        }
        for seq in sent {
            if seq == poison {
                let failed = window.fail(at(seq), now, None, Failure::Unanswered);
                last = failed.map(|(_, consequence)| consequence);
            } else {
                assert!(window.accept(at(seq)).is_some());
            }
        }
    }
}

#[test]
fn an_event_that_fails_while_others_pass_is_suspect_and_one_among_failures_is_not() {
    let terms = terms(8, true);
    for others_pass in [true, false] {
        let mut now = Instant::now();
        let mut window = window(&["a"]);
        for nth in 1..100u64 {
            now += 60 * SECOND;
            if others_pass {
                window.take_in(vec![record(1 + nth, "b")], |_| true);
            }
            match pass_by(&mut window, 1, now, &terms) {
                Some(Consequence::Suspect) => {
                    assert_eq!((nth, others_pass), (u64::from(SUSPECT_FAILURES) + 1, true));
                    break;
                }
                other => assert!(matches!(other, Some(Consequence::Again(_)))),
            }
            assert!(nth < 60 || !others_pass, "never suspect");
        }
    }
}

#[test]
fn a_conflict_is_tried_again_three_times() {
    let mut now = Instant::now();
    let mut window = window(&["a"]);
    let terms = terms(8, true);
    let mut fail = |expected: bool| {
        now += 60 * SECOND;
        assert_eq!(start_all(&mut window, now, &terms), [1]);
        let (_, consequence) = window.fail(at(1), now, None, Failure::Conflict).unwrap();
        assert_eq!(consequence == Consequence::StillInConflict, expected);
    };
    for _ in 0..3 {
        fail(false);
    }
    fail(true);
}

#[test]
fn what_is_parked_holds_the_cursor_until_its_file_is_there_and_its_key_never() {
    let now = Instant::now();
    let mut window = window(&["a", "a", "b"]);
    let terms = terms(8, true);
    assert_eq!(start_all(&mut window, now, &terms), [1, 3]);
    let parkable = window.park(at(1)).expect("it is there");
    assert_eq!((parkable.record.position, parkable.attempts), (at(1), 1));
    assert_eq!(window.in_flight(), 1);
    assert_eq!(start_all(&mut window, now, &terms), [2]);
    assert!(window.accept(at(2)).is_some() && window.accept(at(3)).is_some());
    assert_eq!(window.settled(), at(0));
    window.parked(at(1));
    assert_eq!(window.settled(), at(3));
    let settled = window.take_settled();
    assert_eq!(settled.fates.len(), 2, "the buffer counts the parked one");
}

#[test]
fn what_was_taken_before_a_connection_broke_does_not_blame_the_event() {
    let now = Instant::now();
    let mut window = window(&["a", "a", "b", "b", "b", "b"]);
    let terms = terms(8, true);
    assert_eq!(start_all(&mut window, now, &terms), [1, 3]);
    assert!(window.accept(at(3)).is_some(), "sent with the first one");
    let broke = now + SECOND;
    assert!(!window.has_failed(at(1)));
    window.fail(at(1), broke, None, Failure::Broken);
    let again = broke + 10 * SECOND;
    assert_eq!(start_all(&mut window, again, &terms), [1, 4]);
    assert_eq!(
        window.breaks(at(1), again + SECOND),
        Some(Doubted::Broke(again))
    );
    let second = again + 2 * SECOND;
    assert_eq!(start_all(&mut window, second, &terms), [1], "not the next");
    assert!(window.accept(at(4)).is_some(), "sent before it broke");
    assert_eq!(start_all(&mut window, second, &terms), [5]);
    assert!(window.accept(at(5)).is_some(), "while it was under way");
    let third = second + SECOND;
    assert_eq!(
        window.breaks(at(1), third),
        Some(Doubted::Broke(second)),
        "the news of the break came late"
    );
    let probe = window.start_probe(third, &terms, 1);
    assert_eq!(probe.first().map(|one| one.position), Some(at(6)));
    assert!(window.accept(at(6)).is_some(), "between two breaks");
    assert_eq!(start_all(&mut window, third, &terms), [1]);
    assert_eq!(window.breaks(at(1), third + SECOND), Some(Doubted::Own));
}

#[test]
fn the_others_pass_one_that_is_not_taken_until_4096_are_settled_above_it() {
    // Also those of its key, unless they are to be held.
    for strict in [true, false] {
        others_pass_until_the_limit(strict);
    }
}

fn others_pass_until_the_limit(strict: bool) {
    let mut now = Instant::now();
    let mut window = window(&["a"]);
    if strict {
        window = window.strict();
    }
    let terms = terms(8, true);
    let mut next = 2;
    let mut passed = 0;
    for _ in 0..6_000 {
        if window.holds_back(&terms).is_some() {
            break;
        }
        now += 60 * SECOND;
        if let Some((after, most)) = window.wants(&terms) {
            assert_eq!(after, at(next - 1));
            let most = most as u64;
            // One in nine is of the held key.
            let key = |seq: u64| if seq.is_multiple_of(9) { "a" } else { "b" };
            let records = (next..next + most).map(|seq| record(seq, key(seq)));
            window.take_in(records.collect(), |_| true);
            next += most;
        }
        // The poison fails with a destination that gives everybody else a chance now and then.
        let mut sent = start_all(&mut window, now, &terms);
        if sent.contains(&1) {
            sent.retain(|seq| *seq != 1);
            window.fail(at(1), now, None, Failure::Unanswered);
            sent.extend(start_all(&mut window, now, &terms));
        }
        for seq in sent {
            assert!(window.accept(at(seq)).is_some());
            passed += 1;
        }
        assert!(window.entries.len() <= HELD_EVENTS);
        // Suspicion is another matter.
        window.entries.get_mut(&at(1)).unwrap().failures = 0;
    }
    assert_eq!(window.holds_back(&terms), Some(at(1)));
    assert!((MAX_ABOVE - 16..=MAX_ABOVE).contains(&passed), "{passed}");
    assert_eq!(window.settled(), at(0));
    window.park(at(1)).unwrap();
    window.parked(at(1));
    assert!(window.settled() >= at(8));
    assert_eq!(window.settled() >= at(10), !strict);
}

#[test]
fn many_events_behind_a_held_one_do_not_keep_others_from_being_read() {
    let mut now = Instant::now();
    let mut window = window(&["a"]);
    let terms = terms(8, true);
    let large = |seq: u64, key: &str| Record {
        payload: vec![b' '; 8_000].into(),
        ..record(seq, key)
    };
    let mut next = 2;
    let mut parked = 0;
    let mut others = 0;
    for _ in 0..5_000 {
        now += SECOND;
        if let Some((_, most)) = window.wants(&terms) {
            let most = most as u64;
            let key = |seq: u64| if seq.is_multiple_of(2) { "a" } else { "b" };
            let records = (next..next + most).map(|seq| large(seq, key(seq)));
            window.take_in(records.collect(), |_| true);
            next += most;
        }
        for seq in start_all(&mut window, now, &terms) {
            if seq == 1 || seq.is_multiple_of(2) {
                window.fail(at(seq), now, None, Failure::Unanswered);
                // Suspicion is another matter.
                window.entries.get_mut(&at(seq)).unwrap().failures = 0;
            } else {
                assert!(window.accept(at(seq)).is_some());
                others += 1;
            }
        }
        assert!(window.held_bytes <= HELD_BYTES + READ_AHEAD * 8_000);
        if let Some(position) = window.holds_back(&terms) {
            window.park(position).unwrap();
            window.parked(position);
            parked += 1;
        }
    }
    assert!(
        parked > 0 && others > 1_000,
        "{parked} parked, {others} passed"
    );
}

#[test]
fn seven_keys_that_are_slow_leave_room_for_one_that_is_not() {
    let now = Instant::now();
    let mut window = window(&[]);
    let terms = terms(8, true);
    let slow = ["a", "b", "c", "d", "e", "f", "g"];
    let mut next = 1;
    let mut passed = 0;
    // One event in ten is of the key that is not slow.
    while let Some((_, most)) = window.wants(&terms) {
        let most = most as u64;
        let key = |seq: u64| match seq % 10 {
            0 => "z",
            turn => slow[turn as usize % slow.len()],
        };
        let records = (next..next + most).map(|seq| record(seq, key(seq)));
        window.take_in(records.collect(), |_| true);
        next += most;
        loop {
            let started = start_all(&mut window, now, &terms);
            let quick: Vec<u64> = started.into_iter().filter(|seq| seq % 10 == 0).collect();
            if quick.is_empty() {
                break;
            }
            for seq in quick {
                assert!(window.accept(at(seq)).is_some());
                passed += 1;
            }
        }
        assert_eq!(passed, (next - 1) / 10, "each that was read has gone");
    }
    assert!(
        window.entries.len() + READ_AHEAD > HELD_EVENTS,
        "it read on"
    );
    assert!(passed > 400, "{passed}");
}

#[test]
fn a_destination_that_fails_for_all_has_nothing_parked_however_long_it_takes() {
    let mut now = Instant::now();
    let mut window = window(&[]);
    let terms = terms(8, true);
    let mut next = 1;
    for _ in 0..2_000 {
        now += SECOND;
        if let Some((_, most)) = window.wants(&terms) {
            let most = most as u64;
            let keys = ["a", "b", "c", "d"];
            let records = (next..next + most).map(|seq| record(seq, keys[(seq % 4) as usize]));
            window.take_in(records.collect(), |_| true);
            next += most;
        }
        for seq in start_all(&mut window, now, &terms) {
            let (_, consequence) = window.fail(at(seq), now, None, Failure::Refused).unwrap();
            assert!(matches!(consequence, Consequence::Again(_)));
        }
        assert_eq!(window.holds_back(&terms), None);
    }
}

#[test]
fn what_earlier_runs_settled_above_the_cursor_counts() {
    let now = Instant::now();
    let mut window = Window::new(at(0), (MAX_ABOVE, at(9_000)), Timing::default(), 7);
    window.take_in(vec![record(1, "a"), record(2, "b")], |_| true);
    let terms = terms(8, true);
    assert_eq!(start_all(&mut window, now, &terms), [1], "no further one");
    window.fail(at(1), now, None, Failure::Refused);
    assert_eq!(window.holds_back(&terms), Some(at(1)));
    window.take_in(vec![record(9_001, "b")], |_| true);
    window.park(at(1)).unwrap();
    window.parked(at(1));
    assert_eq!(start_all(&mut window, now, &terms), [2]);
    assert!(window.accept(at(2)).is_some());
    assert_eq!(window.settled(), at(2));
}

#[test]
fn an_event_on_which_each_connection_breaks_lets_others_pass_and_is_suspect_then() {
    let mut now = Instant::now();
    let mut window = window(&["a"; 64]);
    let terms = terms(8, false);
    let mut connections = 0;
    let suspect = loop {
        connections += 1;
        assert!(connections < 200);
        now += 60 * SECOND;
        // The broker takes what comes before the poison, and dies on it.
        for seq in start_all(&mut window, now, &terms) {
            if seq == 1 {
                break;
            }
            assert!(window.accept(at(seq)).is_some());
        }
        if let Some(suspect) = window.connection_lost(now) {
            break suspect;
        }
        // While it waits, others go.
        let other = window.start(now, &terms, 1, 1);
        match other.first().map(|started| started.position.seq) {
            Some(1) => drop(window.connection_lost(now)),
            Some(seq) => assert!(window.accept(at(seq)).is_some()),
            None => {}
        }
    };
    assert_eq!(suspect, at(1));
}

#[test]
fn what_was_under_way_before_does_not_have_a_doubted_machine_try_the_way_before_the_others() {
    let now = Instant::now();
    let mut window = window(&["a", "b", "a", "b"]);
    let terms = terms(1, true);
    assert_eq!(start_all(&mut window, now, &terms), [1]);
    let later = now + SECOND / 10;
    let two = Terms {
        in_flight: 2,
        ..terms
    };
    // The other machine's was sent shortly before.
    assert_eq!(start_all(&mut window, later, &two), [2]);
    assert_eq!(
        window.doubt(at(2), later, Duration::ZERO),
        Some(Doubted::Unclear(later))
    );
    assert!(window.accept(at(1)).is_some());
    let again = later + SECOND;
    let probe = window.start_probe(again, &two, 1);
    assert_eq!(probe.first().map(|one| one.position), Some(at(3)));
    assert!(window.accept(at(3)).is_some());
    // Now its failure is told to be its own.
    assert_eq!(start_all(&mut window, again, &two), [2]);
    assert_eq!(
        window.doubt(at(2), again, Duration::ZERO),
        Some(Doubted::Own)
    );
}
