//! Statistics against plain reckonings.

use super::*;
use proptest::prelude::*;

const S: i64 = 1_000_000_000;

fn ns(s: f64) -> i64 {
    (s * 1e9).round() as i64
}

fn run(interpolation: Interpolation, samples: &[(f64, f64)], end: f64) -> Accumulator {
    let plan = Plan {
        interpolation,
        ..Plan::default()
    };
    let mut a = Accumulator::new(&plan, None, Known::True);
    for (t, v) in samples {
        a.add(ns(*t), *v, false);
    }
    a.finish(ns(end));
    a
}

fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("a value");
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found} != {expected}"
    );
}

#[test]
fn irregular_sampling_has_two_means_and_says_which_is_which() {
    let samples = [(0.0, 0.0), (0.1, 100.0), (0.2, 100.0), (10.0, 0.0)];
    let step = run(Interpolation::Step, &samples, 10.0).statistics(false, &[]);
    close(step.mean, 50.0);
    close(step.time_weighted_mean, 99.0);
    let linear = run(Interpolation::Linear, &samples, 10.0).statistics(false, &[]);
    close(linear.time_weighted_mean, (5.0 + 10.0 + 490.0) / 10.0);
    close(linear.integral, 505.0);
    close(linear.stddev, (10_000.0f64 / 3.0).sqrt());
}

#[test]
fn a_flat_signal_that_reports_on_change_has_no_gap() {
    let mut a = Accumulator::new(&Plan::default(), Some((-100 * S, 5.0)), Known::True);
    a.finish(30 * S);
    close(a.statistics(false, &[]).time_weighted_mean, 5.0);
    assert_eq!(a.statistics(false, &[]).mean, None);
    close(a.coverage().good_fraction, 1.0);
    assert_eq!(a.counts(1.0).expected, Some(30));
}

#[test]
fn a_straight_line_from_before_the_start_is_cut_at_the_start() {
    let plan = Plan {
        interpolation: Interpolation::Linear,
        ..Plan::default()
    };
    let mut a = Accumulator::new(&plan, Some((-S, 0.0)), Known::True);
    a.add(S, 2.0, false);
    a.finish(S);
    close(a.statistics(false, &[]).integral, 1.5);
}

#[test]
fn only_bad_time_is_a_gap() {
    let mut a = Accumulator::new(&Plan::default(), Some((0, 1.0)), Known::True);
    a.bad(10 * S);
    a.bad(12 * S);
    a.add(14 * S, 1.0, false);
    a.finish(40 * S);
    close(a.coverage().gap_fraction, 0.1);
    assert_eq!(a.coverage().longest_gap_s, 4.0);
    close(a.statistics(false, &[]).time_weighted_mean, 1.0);
    assert_eq!(a.counts(1.0).bad, 2);
}

#[test]
fn what_is_outside_of_while_does_not_count() {
    let mut a = Accumulator::new(&Plan::default(), None, Known::False);
    a.add(S, 999.0, false);
    a.gate(2 * S, Known::True, Some((S, 3.0)));
    a.add(3 * S, 5.0, false);
    a.gate(5 * S, Known::False, None);
    a.add(6 * S, 999.0, false);
    a.finish(10 * S);
    let statistics = a.statistics(true, &[]);
    close(statistics.duration_s, 3.0);
    close(statistics.time_weighted_mean, (3.0 + 5.0 * 2.0) / 3.0);
    assert_eq!(statistics.max, Some((5.0, 3.0)));
    assert_eq!(a.coverage().gap_fraction, Some(0.0));
}

#[test]
fn an_operation_of_no_length_has_nulls_and_no_nan() {
    let mut a = Accumulator::new(&Plan::default(), None, Known::True);
    a.finish(0);
    let statistics = a.statistics(false, &[]);
    assert_eq!(statistics.mean, None);
    assert_eq!(statistics.time_weighted_mean, None);
    assert_eq!(a.coverage().good_fraction, None);
}

#[test]
fn repeats_and_latecomers_are_counted_and_not_merged() {
    let mut a = Accumulator::new(&Plan::default(), None, Known::True);
    for (t, v) in [(1.0, 10.0), (1.2, 12.0), (1.2, 12.0), (1.1, 11.0)] {
        a.add(ns(t), v, false);
    }
    a.finish(2 * S);
    let counts = a.counts(0.0);
    assert_eq!(
        (counts.count, counts.good, counts.duplicate, counts.late),
        (4, 2, 1, 1)
    );
    assert_eq!(counts.expected, None);
}

proptest! {
    #[test]
    fn the_statistics_agree_with_a_plain_reckoning(
        steps in proptest::collection::vec((1i64..5_000, -1e6f64..1e6), 1..200),
        tail in 0i64..5_000,
    ) {
        let mut a = Accumulator::new(&Plan::default(), None, Known::True);
        let (mut t, mut area, mut all) = (0i64, 0.0, Vec::new());
        let mut before: Option<f64> = None;
        for (gap_ms, value) in &steps {
            t += gap_ms * 1_000_000;
            area += before.unwrap_or(0.0) * *gap_ms as f64 / 1e3;
            a.add(t, *value, false);
            before = Some(*value);
            all.push(*value);
        }
        let end = t + tail * 1_000_000;
        area += before.unwrap_or(0.0) * tail as f64 / 1e3;
        a.finish(end);
        let s = a.statistics(false, &[]);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        prop_assert!((s.mean.unwrap() - mean).abs() < 1e-6);
        prop_assert_eq!(s.min.unwrap().0, all.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(s.max.unwrap().0, all.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        prop_assert!((s.integral.unwrap_or(0.0) - area).abs() < 1e-3);
        let first_ns = steps[0].0 * 1_000_000;
        let gap = a.coverage().gap_fraction.unwrap_or(0.0);
        prop_assert!((gap - first_ns as f64 / end as f64).abs() < 1e-9);
    }
}

#[test]
fn the_time_of_while_goes_on_where_the_tag_alone_is_bad() {
    let mut a = Accumulator::new(&Plan::default(), Some((0, 1.0)), Known::True);
    a.bad(2 * S);
    a.add(3 * S, 1.0, false);
    a.gate(5 * S, Known::Unknown, None);
    a.gate(9 * S, Known::True, Some((9 * S, 1.0)));
    a.finish(10 * S);
    close(a.statistics(true, &[]).duration_s, 6.0);
    close(a.coverage().gap_fraction, 0.5);
}

#[test]
fn a_small_spread_far_from_zero_is_not_lost() {
    let samples: Vec<(f64, f64)> = (0..10_000)
        .map(|i| (f64::from(i), 1e9 + f64::from(i % 2)))
        .collect();
    let statistics = run(Interpolation::Step, &samples, 10_000.0).statistics(false, &[]);
    close(statistics.mean, 1e9 + 0.5);
    let stddev = statistics.stddev.unwrap();
    assert!((stddev - 0.500_025).abs() < 1e-6, "{stddev}");
}

#[test]
fn the_largest_numbers_that_there_are_leave_no_nan() {
    let samples = [
        (0.0, f64::MAX),
        (1.0, f64::MIN),
        (2.0, f64::MAX),
        (3.0, 0.0),
    ];
    for interpolation in [Interpolation::Step, Interpolation::Linear] {
        let s = run(interpolation, &samples, 1e9).statistics(true, &[]);
        let numbers = [
            s.mean,
            s.stddev,
            s.time_weighted_mean,
            s.integral,
            s.duration_s,
        ];
        assert!(numbers.iter().flatten().all(|n| n.is_finite()), "{s:?}");
        assert_eq!(s.max, Some((f64::MAX, 0.0)));
    }
}

#[test]
fn a_sequence_has_its_values_and_no_numbers() {
    let plan = Plan {
        sequence: true,
        ..Plan::default()
    };
    let mut a = Accumulator::new(&plan, Some((-S, 0.0)), Known::True);
    a.hold(0, &Value::Text("FILL".into()));
    a.observe(S, &Value::Text("FILL".into()), false);
    a.observe(2 * S, &Value::Text("HEAT".into()), false);
    a.observe(2 * S, &Value::Text("HEAT".into()), false);
    a.observe(2 * S, &Value::Text("HOLD".into()), true);
    a.observe(S, &Value::Text("FILL".into()), false);
    a.bad(3 * S);
    a.observe(4 * S, &Value::Text("HOLD".into()), false);
    a.finish(10 * S);
    let report = a.sequence().unwrap();
    assert_eq!(report.v, ["FILL", "HEAT", "HOLD"]);
    assert_eq!(report.t, [0.0, 2.0, 2.0]);
    assert_eq!(a.statistics(false, &[]), Statistics::default());
    let counts = a.counts(1.0);
    assert_eq!((counts.count, counts.good, counts.uncertain), (7, 3, 1));
    assert_eq!((counts.bad, counts.duplicate, counts.late), (1, 1, 1));
    close(a.coverage().gap_fraction, 0.1);
}

/// What it takes on disk, with the room that its lists keep in memory beside it.
fn bytes(a: &Accumulator) -> (usize, usize) {
    let profile = a.profile.as_ref().map_or(0, Profile::room);
    (postcard::to_stdvec(a).unwrap().len(), profile)
}

#[test]
fn three_days_at_a_thousand_samples_a_second_take_no_more_than_an_hour() {
    let plan = Plan {
        interpolation: Interpolation::Linear,
        profile: Some(200),
        percentiles: true,
        sequence: false,
    };
    let mut a = Accumulator::new(&plan, None, Known::True);
    let mut after = Vec::new();
    // The clock runs over all 259 million milliseconds; every 131st of them is a sample.
    for (i, ms) in (0..72 * 3_600_000i64).step_by(131).enumerate() {
        a.add(
            ms * 1_000_000,
            200.0 + (ms as f64 / 7e4).sin() * 50.0,
            false,
        );
        if i % 30_000 == 29_999 {
            after.push(bytes(&a));
        }
    }
    let early = after[0];
    assert!(after.len() > 60);
    for (disk, memory) in &after {
        assert!(*disk < 17_000, "{disk}");
        assert_eq!(*memory, early.1);
    }
    let points = a.profile().unwrap().report().v.len();
    assert!((190..=200).contains(&points), "{points}");
}
