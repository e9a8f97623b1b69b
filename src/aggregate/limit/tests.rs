//! A limit over time: what is told, and when.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn high(hysteresis: f64, hold_ms: i64) -> Threshold {
    Threshold {
        side: Side::High,
        at: 100.0,
        hysteresis,
        hold: hold_ms * MS,
    }
}

fn reached(ms: i64, value: f64) -> Reached {
    Reached {
        t: ms * MS,
        utc: UtcTime(ms * MS),
        value,
    }
}

/// Plays `(ms, value)`, NaN for bad data, with the timers between them, up to `end_ms`.
fn play(limit: &Threshold, input: &[(i64, f64)], end_ms: i64) -> (Watch, Vec<Crossing>) {
    let (mut watch, mut told) = (Watch::default(), Vec::new());
    let pass = |watch: &mut Watch, told: &mut Vec<Crossing>, ms: i64| {
        while let Some(due) = watch.due(limit).filter(|due| *due <= ms * MS) {
            told.extend(watch.expire(limit, due));
        }
    };
    for (ms, value) in input {
        pass(&mut watch, &mut told, *ms);
        if value.is_nan() {
            watch.unknown();
        } else {
            told.extend(watch.value(limit, reached(*ms, *value)));
        }
    }
    pass(&mut watch, &mut told, end_ms);
    (watch, told)
}

/// What is told, as `(ms, value)` of an exceeding and `(ms, value, peak, ms outside)` of its end.
#[track_caller]
fn check(limit: &Threshold, input: &[(i64, f64)], expected: &[Crossing]) {
    assert_eq!(play(limit, input, 10_000).1, expected, "{input:?}");
}

/// The last value outside is the peak, unless said otherwise.
fn cleared(ms: i64, value: f64, peak: f64, outside_ms: i64) -> Crossing {
    Crossing::Cleared {
        back: reached(ms, value),
        peak,
        outside: peak,
        since: (ms - outside_ms) * MS,
        broken: false,
    }
}

fn exceeded(ms: i64, value: f64) -> Crossing {
    Crossing::Exceeded(reached(ms, value))
}

const BAD: f64 = f64::NAN;

#[test]
fn the_limit_itself_is_inside_and_without_hold_it_is_told_at_once() {
    check(&high(0.0, 0), &[(0, 100.0), (1, 99.0)], &[]);
    check(
        &high(0.0, 0),
        &[(0, 90.0), (5, 101.0), (6, 107.0), (9, 100.0)],
        &[exceeded(5, 101.0), cleared(9, 100.0, 107.0, 4)],
    );
}

#[test]
fn it_is_cleared_by_the_hysteresis_and_not_before() {
    check(
        &high(2.0, 0),
        &[(0, 101.0), (1, 99.0), (2, 101.5), (3, 98.0)],
        &[exceeded(0, 101.0), cleared(3, 98.0, 101.5, 3)],
    );
    let low = Threshold {
        side: Side::Low,
        ..high(2.0, 0)
    };
    check(
        &low,
        &[
            (0, 100.0),
            (1, 97.0),
            (2, 95.0),
            (3, 95.0),
            (4, 101.0),
            (5, 95.0),
            (6, 102.0),
        ],
        &[exceeded(1, 97.0), cleared(6, 102.0, 95.0, 5)],
    );
}

#[test]
fn what_does_not_hold_is_not_told_and_the_time_is_that_of_the_edge() {
    check(&high(0.0, 10), &[(0, 101.0), (9, 100.0)], &[]);
    check(
        &high(0.0, 10),
        &[(0, 101.0), (10, 100.0)],
        &[exceeded(0, 101.0), cleared(10, 100.0, 101.0, 10)],
    );
    // A value holds until the next one: no further sample is needed.
    check(&high(0.0, 10), &[(3, 101.0)], &[exceeded(3, 101.0)]);
    check(
        &high(0.0, 10),
        &[(0, 101.0), (20, 99.0), (25, 105.0), (40, 99.0)],
        &[exceeded(0, 101.0), cleared(40, 99.0, 105.0, 40)],
    );
}

#[test]
fn bad_data_neither_exceeds_nor_clears() {
    check(&high(0.0, 10), &[(0, 101.0), (5, BAD), (30, BAD)], &[]);
    check(
        &high(0.0, 10),
        &[(0, 101.0), (20, 99.0), (25, BAD), (60, 99.0)],
        &[exceeded(0, 101.0), cleared(60, 99.0, 101.0, 60)],
    );
}

#[test]
fn the_end_closes_what_was_told_and_nothing_else() {
    let (mut watch, _) = play(&high(0.0, 0), &[(1, 101.0), (2, 103.0)], 2);
    let end = watch.end(7 * MS, UtcTime(7 * MS));
    assert_eq!(end, Some(cleared(7, 103.0, 103.0, 6)));
    assert_eq!(watch.end(8 * MS, UtcTime(8 * MS)), None);
    let (mut watch, _) = play(&high(0.0, 10), &[(1, 101.0)], 2);
    assert_eq!(watch.end(7 * MS, UtcTime(7 * MS)), None);
}

#[test]
fn after_a_reboot_that_cannot_be_measured_the_time_outside_is_not_known() {
    let (mut watch, _) = play(&high(0.0, 0), &[(1, 101.0)], 2);
    watch.resume(true);
    let mut unmeasured = watch.clone();
    unmeasured.resume(false);
    let known = watch.value(&high(0.0, 0), reached(5, 90.0));
    assert_eq!(known, Some(cleared(5, 90.0, 101.0, 4)));
    let Some(Crossing::Cleared { broken, peak, .. }) =
        unmeasured.value(&high(0.0, 0), reached(5, 90.0))
    else {
        panic!("not cleared");
    };
    assert_eq!((broken, peak), (true, 101.0));
}

#[test]
fn noise_at_the_limit_is_told_a_few_times_a_minute_and_what_stays_outside_is_told_late() {
    let noise: Vec<(i64, f64)> = (0..1_000)
        .map(|i| (i * 20, if i % 2 == 0 { 101.0 } else { 99.0 }))
        .collect();
    let most = usize::from(TOLD_PER_MINUTE);
    let (mut watch, told) = play(&high(0.0, 0), &noise, 120_000);
    assert_eq!(told.len(), 2 * most);
    assert_eq!(watch.take_held_back(), 500 - u32::from(TOLD_PER_MINUTE));
    assert_eq!(watch.take_held_back(), 0);
    let stays = [noise, vec![(20_000, 105.0)]].concat();
    let (_, told) = play(&high(0.0, 0), &stays, 120_000);
    assert_eq!(told.last(), Some(&exceeded(20_000, 105.0)));
    assert_eq!(told.len(), 2 * most + 1);
}

proptest! {
    #[test]
    fn each_exceeding_has_one_end_and_their_order_is_kept(
        steps in proptest::collection::vec((1i64..400, 0u8..5), 1..300),
        hysteresis in 0.0f64..3.0,
        hold in 0i64..50,
    ) {
        let limit = high(hysteresis, hold);
        let mut ms = 0;
        let input: Vec<(i64, f64)> = steps
            .iter()
            .map(|(gap, kind)| {
                ms += gap;
                (ms, [BAD, 95.0, 99.5, 100.5, 104.0][usize::from(*kind)])
            })
            .collect();
        let (mut watch, mut told) = play(&limit, &input, ms);
        told.extend(watch.end((ms + 1) * MS, UtcTime(0)));
        prop_assert!(told.len() % 2 == 0);
        for pair in told.chunks(2) {
            let [Crossing::Exceeded(first), Crossing::Cleared { back, peak, since, .. }] = pair else {
                return Err(TestCaseError::fail(format!("{told:?}")));
            };
            prop_assert_eq!(*since, first.t);
            prop_assert!(back.t >= first.t);
            prop_assert!(*peak >= first.value && first.value > 100.0);
        }
        for edge in told.windows(2).filter(|pair| matches!(pair[0], Crossing::Cleared { .. })) {
            prop_assert!(edge[0].reached().t <= edge[1].reached().t);
        }
    }
}
