//! Tables of counters: what was read and when, and what was counted.

use super::*;

/// Plays `(second, raw or gap)` and gives `(delta, delta_max, wraps, resets, ambiguous)`.
#[track_caller]
fn check(
    modulus: u64,
    max_rate: f64,
    input: &[(i64, Option<i64>)],
    expected: (u64, u64, u32, u32, bool),
) {
    let mut counter = Counter::new(Limits {
        modulus: Some(modulus),
        max_rate: Some(max_rate),
    });
    for (second, raw) in input {
        let now = Stamp {
            boot: BootTime(second * 1_000_000_000),
            utc: UtcTime(second * 1_000_000_000),
        };
        match raw {
            Some(raw) => {
                counter.count(*raw, now, Reset::Unknown);
            }
            None => {
                counter.lost();
            }
        }
    }
    let counted = counter.report(UtcTime(0)).expect("something counted");
    let w = counted.window;
    assert_eq!(
        (w.delta, w.delta_max, w.wraps, w.resets, w.ambiguous),
        expected
    );
    assert_eq!(counted.total, w.delta);
    assert_eq!(counter.report(UtcTime(0)), None, "a window is told once");
}

#[test]
fn a_fall_is_a_wrap_when_the_rate_allows_it() {
    check(
        65_536,
        1.0,
        &[(0, Some(65_535)), (1, Some(0))],
        (1, 1, 1, 0, false),
    );
    // A minute at 1000/s could have come from anywhere in the range: say so.
    check(
        65_536,
        1_000.0,
        &[(0, Some(65_420)), (60, Some(124))],
        (240, 60_001, 1, 0, true),
    );
}

#[test]
fn a_fall_that_would_be_too_fast_a_wrap_is_a_reset() {
    check(
        65_536,
        1.0,
        &[(0, Some(4_000)), (10, Some(0)), (20, Some(7))],
        (7, 18, 0, 1, false),
    );
}

#[test]
fn a_gap_may_hide_a_reset_or_a_turn() {
    check(
        65_536,
        1.0,
        &[(0, Some(4_000)), (5, None), (10, Some(4_005))],
        (5, 5, 0, 0, false),
    );
    check(
        65_536,
        1.0,
        &[(0, Some(4)), (5, None), (10, Some(9))],
        (5, 11, 0, 0, true),
    );
    check(
        100,
        1.0,
        &[(0, Some(10)), (5, None), (210, Some(20))],
        (10, 210, 0, 0, true),
    );
}

#[test]
fn what_cannot_have_been_counted_is_not_booked_in_silence() {
    check(
        65_536,
        1.0,
        &[(0, Some(4_000)), (1, Some(3_999))],
        (2, 3_999, 0, 1, true),
    );
    check(
        65_536,
        1.0,
        &[(0, Some(100)), (1, Some(60_000))],
        (59_900, 59_900, 0, 0, true),
    );
}

#[test]
fn a_counter_that_stood_still_was_seen_until_the_end() {
    let limits = Limits {
        modulus: Some(65_536),
        max_rate: Some(1.0),
    };
    let second = |s: i64| BootTime(s * 1_000_000_000);
    let at = |s: i64| Stamp {
        boot: second(s),
        utc: UtcTime(0),
    };
    for (measurable, ambiguous) in [(true, false), (false, true)] {
        let mut before = Counter::new(limits);
        before.count(40_000, at(0), Reset::Unknown);
        let mut after = Counter::new(limits);
        after.resume(before.tally().unwrap(), second(400_000), 0, measurable);
        after.count(40_001, at(400_002), Reset::Unknown);
        let window = after.report(UtcTime(0)).unwrap().window;
        assert_eq!((window.delta, window.ambiguous), (1, ambiguous));
    }
}

#[test]
fn a_counter_without_modulus_only_resets() {
    let mut counter = Counter::new(Limits::default());
    let stamp = Stamp::default();
    assert!(!counter.count(10, stamp, Reset::Unknown));
    assert!(!counter.count(12, stamp, Reset::Unknown));
    assert!(counter.count(3, stamp, Reset::Unknown));
    assert_eq!(counter.report(UtcTime(0)).unwrap().window.delta, 5);
}
