//! Trends that are exact, levels that do not flap, buckets that outlive the gateway.

use super::*;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;
/// A window of 240 s: buckets of a second.
const WINDOW: i64 = 240 * SECOND;

fn at(seconds: i64) -> BootTime {
    BootTime(seconds * SECOND)
}

/// Looks at `value(t)` each second in `seconds`.
fn feed(indicator: &mut Indicator, seconds: std::ops::Range<i64>, value: impl Fn(i64) -> f64) {
    indicator.gate(at(seconds.start), true);
    for second in seconds {
        indicator.hold(at(second), Some(value(second)));
    }
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found} and not {expected}"
    );
}

#[test]
fn a_straight_line_has_its_slope_its_newest_and_its_oldest_part() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    feed(&mut indicator, 0..240, |t| 2.0 + 0.01 * t as f64);
    let found = indicator.findings(at(240));
    near(found.trend_per_day, 864.0);
    near(found.value, 2.0 + 0.01 * 227.5);
    near(found.baseline, 2.0 + 0.01 * 11.5);
    assert_eq!(found.covered_s, 240.0);
}

#[test]
fn it_says_nothing_before_there_is_something_to_say() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    assert_eq!(indicator.findings(at(10)), Findings::default());
    feed(&mut indicator, 10..30, |_| 5.0);
    let found = indicator.findings(at(30));
    assert_eq!(
        (found.value, found.baseline, found.trend_per_day),
        (Some(5.0), None, None)
    );
    feed(&mut indicator, 30..60, |_| 5.0);
    let found = indicator.findings(at(60));
    assert_eq!(found.baseline, Some(5.0));
    near(found.trend_per_day, 0.0);
}

#[test]
fn only_what_was_looked_at_counts() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    feed(&mut indicator, 0..100, |_| 4.0);
    indicator.gate(at(100), false);
    indicator.hold(at(110), Some(1_000.0));
    indicator.gate(at(120), true);
    indicator.hold(at(121), None);
    indicator.hold(at(130), Some(f64::NAN));
    let found = indicator.findings(at(200));
    // One second of the 1,000: from the gate to the bad value.
    assert_eq!(found.covered_s, 101.0);
    near(found.value, (4.0 * 3.0 + 1_000.0) / 4.0);
    assert_eq!(found.baseline, Some(4.0));
}

#[test]
fn a_weekend_does_not_wipe_the_value_and_a_window_does() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    feed(&mut indicator, 0..50, |_| 4.0);
    indicator.gate(at(50), false);
    assert_eq!(indicator.findings(at(200)).value, Some(4.0));
    assert_eq!(indicator.findings(at(400)), Findings::default());
}

#[test]
fn memory_does_not_grow() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    feed(&mut indicator, 0..10_000, |t| (t % 7) as f64);
    assert!(indicator.buckets.len() <= 240);
    // A value that held for a year is one window's worth.
    indicator.pass(at(31_536_000));
    assert!(indicator.buckets.len() <= 240);
    let found = indicator.findings(at(31_536_000));
    assert!(found.covered_s <= 240.0);
}

#[test]
fn a_level_rises_at_once_and_falls_when_it_came_back_far_enough() {
    let rising = Thresholds {
        warn: Some(4.5),
        alarm: Some(7.1),
    };
    let falling = Thresholds {
        warn: Some(20.0),
        alarm: Some(10.0),
    };
    let only_alarm = Thresholds {
        warn: None,
        alarm: Some(100.0),
    };
    use Level::{Alarm, Ok, Unknown, Warn};
    let table: [(Thresholds, &[(f64, Level)]); 3] = [
        (
            rising,
            &[
                (4.4, Ok),
                (4.5, Warn),
                (4.4, Warn),
                (4.36, Ok),
                (7.2, Alarm),
                (7.0, Alarm),
                (6.9, Warn),
            ],
        ),
        (
            falling,
            &[
                (21.0, Ok),
                (20.0, Warn),
                (20.4, Warn),
                (20.6, Ok),
                (9.0, Alarm),
                (10.4, Alarm),
                (11.0, Warn),
            ],
        ),
        (
            only_alarm,
            &[(99.0, Ok), (100.0, Alarm), (98.5, Alarm), (97.9, Ok)],
        ),
    ];
    for (thresholds, course) in table {
        let mut level = Unknown;
        for (value, expected) in course {
            level = thresholds.level(*value, level);
            assert_eq!(level, *expected, "{thresholds:?} at {value}");
        }
    }
}

/// Through the checkpoint, `off` seconds later on a boot clock that began anew.
fn restart(indicator: &Indicator, now: i64, off: i64, measurable: bool) -> Indicator {
    let buckets = indicator.buckets().copied().collect();
    let shift = if measurable { -(now + off) } else { -now };
    Indicator::resumed(indicator.frame(), buckets, shift * SECOND, measurable)
}

#[test]
fn a_trend_goes_on_over_a_power_cut() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    feed(&mut indicator, 0..100, |t| 0.01 * t as f64);
    indicator.pass(at(100));
    let mut after = restart(&indicator, 100, 50, true);
    feed(&mut after, 0..50, |t| 0.01 * (t + 150) as f64);
    let found = after.findings(at(50));
    near(found.trend_per_day, 864.0);
    assert_eq!(found.covered_s, 150.0);
}

#[test]
fn time_that_nobody_measured_leaves_no_trend_until_it_has_left_the_window() {
    let mut indicator = Indicator::new(WINDOW, at(0));
    feed(&mut indicator, 0..100, |t| 0.01 * t as f64);
    indicator.pass(at(100));
    let mut after = restart(&indicator, 100, 50, false);
    feed(&mut after, 0..150, |t| 0.01 * (t + 150) as f64);
    let found = after.findings(at(150));
    assert_eq!(found.trend_per_day, None);
    near(found.baseline, 0.01 * 21.5);
    feed(&mut after, 150..300, |t| 0.01 * (t + 150) as f64);
    near(after.findings(at(300)).trend_per_day, 864.0);
}

#[test]
fn a_checkpoint_that_makes_no_sense_is_left_out() {
    let frame = Frame {
        origin: at(0),
        bucket_ns: 0,
        broken: None,
    };
    let wrong = vec![
        Bucket {
            index: 5,
            covered_ns: -1,
            mean: 1.0,
        },
        Bucket {
            index: 3,
            covered_ns: 1,
            mean: f64::NAN,
        },
    ];
    let mut indicator = Indicator::resumed(frame, wrong, i64::MAX, true);
    assert_eq!(indicator.findings(at(10)).value, None);
}

proptest! {
    #[test]
    fn any_course_gives_numbers_or_nothing(
        course in prop::collection::vec((0_i64..100 * SECOND, any::<Option<f64>>(), any::<bool>()), 0..200),
    ) {
        let mut indicator = Indicator::new(WINDOW, at(0));
        let mut now = 0;
        for (later, value, gate) in course {
            now += later;
            indicator.gate(BootTime(now), gate);
            indicator.hold(BootTime(now), value);
            let found = indicator.findings(BootTime(now));
            let numbers = [found.value, found.baseline, found.trend_per_day];
            prop_assert!(numbers.iter().flatten().all(|number| number.is_finite()));
            prop_assert!(indicator.buckets.len() <= 240);
            prop_assert!(found.covered_s * 1e9 <= WINDOW as f64);
        }
    }
}
