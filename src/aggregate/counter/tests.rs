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
        (10, 211, 0, 0, true),
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

/// Plays `(second, raw, seconds since the reset)`, each read or not, and gives the window and whether a reset was seen.
#[track_caller]
fn check_with_reset(
    input: &[(i64, Option<i64>, Option<f64>)],
    expected: (u64, Option<u64>, u32, u32, bool),
) {
    let mut counter = Counter::new(Limits {
        modulus: Some(100),
        max_rate: Some(1.0),
    });
    let mut since = Since::default();
    for (second, raw, said) in input {
        let now = stamp(*second);
        since.read(*said, *raw, &mut counter, now);
    }
    let w = counter
        .report(UtcTime(0))
        .expect("something counted")
        .window;
    let most = (w.delta_max > w.delta).then_some(w.delta_max);
    assert_eq!((w.delta, most, w.wraps, w.resets, w.ambiguous), expected);
}

fn stamp(second: i64) -> Stamp {
    Stamp {
        boot: BootTime(second * 1_000_000_000),
        utc: UtcTime(0),
    }
}

/// The tag with the time since the reset, as the machine reads it.
#[derive(Default)]
struct Since {
    last: Option<f64>,
    fell: bool,
}

impl Since {
    fn read(&mut self, said: Option<f64>, raw: Option<i64>, counter: &mut Counter, now: Stamp) {
        if let Some(said) = said {
            self.fell |= self.last.is_some_and(|last| said < last);
            self.last = Some(said);
        }
        if let Some(raw) = raw {
            let reset = match (self.fell, said) {
                (true, _) => Reset::Fell,
                (false, Some(_)) => Reset::Stands,
                (false, None) if self.last.is_none() => Reset::Unknown,
                (false, None) => Reset::Later,
            };
            self.fell = false;
            counter.count(raw, now, reset);
        }
        if said.is_some() && counter.reset_read(self.fell).is_some() {
            self.fell = false;
        }
    }
}

#[test]
fn the_time_since_a_reset_tells_it_from_a_wrap_whatever_the_rate_says() {
    let (before, after) = (Some(500.0), Some(1.0));
    // A wrap would fit the rate.
    let expected = (3, Some(6), 0, 1, false);
    check_with_reset(&[(0, Some(98), before), (5, Some(3), after)], expected);
    // The count is read first, the time a moment later.
    let input = [(0, Some(98), before), (5, Some(3), None), (6, None, after)];
    check_with_reset(&input, expected);
    // The time first.
    let input = [(0, Some(98), before), (4, None, after), (5, Some(3), None)];
    check_with_reset(&input, expected);
    // It goes on: a wrap.
    let wrap = (5, None, 1, 0, false);
    check_with_reset(&[(0, Some(98), before), (5, Some(3), Some(505.0))], wrap);
    let input = [
        (0, Some(98), before),
        (5, Some(3), None),
        (6, None, Some(506.0)),
    ];
    check_with_reset(&input, wrap);
}

#[test]
fn a_reset_that_the_count_hides_is_said() {
    check_with_reset(
        &[(0, Some(2), Some(500.0)), (5, Some(4), Some(4.0))],
        (2, Some(10), 0, 1, true),
    );
}

#[test]
fn a_count_that_is_taken_back_is_no_piece_and_no_reset() {
    check_with_reset(
        &[
            (0, Some(50), Some(500.0)),
            (1, Some(51), None),
            (5, Some(45), Some(505.0)),
        ],
        (1, Some(6), 0, 0, true),
    );
    // Without a rate a fall by less than half shows nothing.
    let mut counter = Counter::new(Limits::default());
    counter.count(4_000, stamp(0), Reset::Unknown);
    counter.count(3_999, stamp(1), Reset::Unknown);
    counter.count(4_001, stamp(2), Reset::Unknown);
    let window = counter.report(UtcTime(0)).unwrap().window;
    assert_eq!(
        (window.delta, window.delta_max, window.ambiguous),
        (2, 4_001, true)
    );
}

/// What happens between two readings.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// So many seconds pass, and a share of what could be counted in them is.
    Works(i64, f64),
    /// The count is read, and the time since the reset, or one of them.
    Read(bool, bool),
    /// The count is bad.
    Lost,
    /// It is set back.
    SetBack,
    /// The gateway starts anew.
    Restart,
}

fn happenings() -> impl proptest::strategy::Strategy<Value = Vec<Happening>> {
    use proptest::prelude::*;
    let one = prop_oneof![
        8 => (1i64..6, 0.0f64..=1.0).prop_map(|(s, share)| Happening::Works(s, share)),
        5 => Just(Happening::Read(true, true)),
        2 => Just(Happening::Read(true, false)),
        2 => Just(Happening::Read(false, true)),
        1 => Just(Happening::Lost),
        1 => Just(Happening::SetBack),
        1 => Just(Happening::Restart),
    ];
    proptest::collection::vec(one, 1..60)
}

/// The machine as it is, and as a counter sees it.
struct Truth {
    limits: Limits,
    has_reset_tag: bool,
    counter: Counter,
    since: Since,
    second: i64,
    made: u64,
    raw: u64,
    since_reset: f64,
    /// When the count was last read, and whether it was bad since.
    seen: i64,
    gap: bool,
    /// Resets since the time was last read: the tag shows one of them.
    unread_resets: u32,
    first: Option<u64>,
    last_raw: u64,
}

impl Truth {
    fn rate(&self) -> f64 {
        self.limits.max_rate.unwrap_or(0.0)
    }

    fn happens(&mut self, what: Happening) {
        match what {
            Happening::Works(seconds, share) => {
                let most = (self.rate() * seconds as f64).floor();
                let made = (most * share).floor() as u64;
                self.second += seconds;
                self.since_reset += seconds as f64;
                self.made += made;
                self.raw = (self.raw + made) % self.limits.modulus.unwrap_or(u64::MAX);
            }
            Happening::Read(count, time) => self.read(count, time && self.has_reset_tag),
            Happening::Lost => {
                self.counter.lost();
                self.gap = true;
            }
            Happening::SetBack => self.set_back(),
            Happening::Restart => {
                let Some(tally) = self.counter.tally() else {
                    return;
                };
                self.counter = Counter::new(self.limits);
                self.counter
                    .resume(tally, BootTime(self.seen * 1_000_000_000), 0, true);
                self.gap = true;
            }
        }
    }

    /// Only resets that can be seen: by the tag, or by a fall that cannot be a wrap.
    fn set_back(&mut self) {
        let modulus = self.limits.modulus.unwrap_or(u64::MAX) as f64;
        let elapsed = (self.second - self.seen + 6) as f64;
        let like_a_wrap = modulus - self.raw as f64 <= self.rate() * elapsed + 1.0;
        let seen = if self.has_reset_tag {
            self.unread_resets == 0 && self.since.last.is_some_and(|last| last > 100.0)
        } else {
            !like_a_wrap && !self.gap && self.last_raw > 0
        };
        if !seen || self.first.is_none() {
            return;
        }
        self.raw = 0;
        self.since_reset = 0.0;
        self.unread_resets += 1;
        if !self.has_reset_tag {
            self.read(true, false);
        }
    }

    fn read(&mut self, count: bool, time: bool) {
        let raw = count.then(|| i64::try_from(self.raw).unwrap());
        let said = time.then_some(self.since_reset);
        if count {
            self.first.get_or_insert(self.made);
            self.seen = self.second;
            self.last_raw = self.raw;
            self.gap = false;
        }
        if time {
            self.unread_resets = 0;
        }
        self.since
            .read(said, raw, &mut self.counter, stamp(self.second));
    }
}

proptest::proptest! {
    /// What is counted is what was made, or says that it may not be; and never more was made than it says.
    #[test]
    fn no_piece_is_lost_or_invented_in_silence(
        input in happenings(),
        modulus in 40u64..100_000,
        rate in 1u32..5,
        has_reset_tag in proptest::prelude::any::<bool>(),
    ) {
        let limits = Limits { modulus: Some(modulus), max_rate: Some(f64::from(rate)) };
        let mut truth = Truth {
            limits,
            has_reset_tag,
            counter: Counter::new(limits),
            since: Since::default(),
            second: 0,
            made: 0,
            raw: modulus / 3,
            since_reset: 10_000.0,
            seen: 0,
            gap: false,
            unread_resets: 0,
            first: None,
            last_raw: 0,
        };
        for what in &input {
            truth.happens(*what);
        }
        truth.read(true, true);
        truth.read(true, true);
        let made = truth.made - truth.first.unwrap();
        let Some(counted) = truth.counter.report(UtcTime(0)) else {
            proptest::prop_assert_eq!(made, 0);
            return Ok(());
        };
        let window = counted.window;
        proptest::prop_assert!(window.delta_max >= made, "{} made: {:?}", made, window);
        proptest::prop_assert!(window.ambiguous || window.delta <= made, "{} made: {:?}", made, window);
        if window.resets == 0 && !window.ambiguous {
            proptest::prop_assert_eq!(window.delta, made);
        }
        proptest::prop_assert_eq!(counted.total, window.delta);
    }
}
