//! The clock of a device against ours: where its own stamps lie on the boot clock, and whether they may be used at all.
//!
//! Pure: time comes in with what was heard. The offset is learnt from the least delayed stamps of the last minute, on the
//! boot clock, so that a step of the box's wall clock moves nothing. Called by `condition/stamps`.

use crate::model::{BootTime, Stamp, UtcTime};
use std::time::Duration;

const SECOND_NS: i64 = 1_000_000_000;
/// The least delay is looked for in this and the half before: a drift of the device's clock shows after a minute.
const HALF_WINDOW_NS: i64 = 30 * SECOND_NS;
/// A device's clock that differs by less than this from what was learnt has not been set: its values came late.
const STEP_AT_LEAST_NS: i64 = SECOND_NS;
/// So many answers in a row with stamps that are too old mean that the clock was set back; one alone is late.
const ODD_ANSWERS: u8 = 3;
/// A clock that was set so often within [`UNSTEADY_NS`] is none, while ours is not synchronised and cannot judge it.
const UNSTEADY_STEPS: usize = 3;
/// See [`UNSTEADY_STEPS`].
const UNSTEADY_NS: i64 = 60 * SECOND_NS;
/// The offset rises by at most this part of the time: clocks drift by far less.
const RISE: i64 = 1_000;
/// The offset falls by at most this part of the time: a jump would put what was stamped later before what was earlier.
const FALL: i64 = 2;
/// Oldest stamp that is believed.
const OLDEST_NS: i64 = 7 * 86_400 * SECOND_NS;
/// How far ahead of us a stamp may be.
const AHEAD_NS: i64 = 300 * SECOND_NS;

/// What became of the trust in a device's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is too far from ours, by so much (negative: it is ahead); where ours is not synchronised, it is unsteady.
    Skewed(Option<i64>),
    /// It may be used again.
    Good,
}

/// The clock of one device.
#[derive(Clone, Debug)]
pub(super) struct DeviceClock {
    /// How far ahead it may be.
    ahead_ns: i64,
    /// How far behind it may seem: what it told may have waited for the next report.
    behind_ns: i64,
    learnt: Option<Offset>,
    /// Answers in a row whose stamps are all too old.
    odd: u8,
    steps: [Option<BootTime>; UNSTEADY_STEPS],
    skewed: bool,
}

/// From the device's time to boot time: the least delay, which is the one nearest to the truth.
#[derive(Clone, Copy, Debug)]
struct Offset {
    used: i64,
    at: BootTime,
    half_began: BootTime,
    before: i64,
    now: i64,
}

impl Offset {
    fn new(delay: i64, at: BootTime) -> Offset {
        Offset {
            used: delay,
            at,
            half_began: at,
            before: delay,
            now: delay,
        }
    }

    fn least(&self) -> i64 {
        self.before.min(self.now)
    }

    /// One more answer; what is used moves towards the least delay, no faster than a clock can be wrong.
    fn learn(&mut self, delay: i64, at: BootTime) {
        if at.0.saturating_sub(self.half_began.0) >= HALF_WINDOW_NS {
            (self.before, self.now, self.half_began) = (self.now, delay, at);
        } else {
            self.now = self.now.min(delay);
        }
        let passed = at.0.saturating_sub(self.at.0).max(0);
        let wanted = self.least().saturating_sub(self.used);
        self.used = self
            .used
            .saturating_add(wanted.clamp(-passed / FALL, passed / RISE));
        self.at = at;
    }
}

impl DeviceClock {
    /// A clock that may be `max_skew` from ours, of a device that reports what it stamped after `reports_every` at the latest.
    pub(super) fn new(max_skew: Duration, reports_every: Duration) -> DeviceClock {
        let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        DeviceClock {
            ahead_ns: ns(max_skew),
            behind_ns: ns(max_skew).saturating_add(ns(reports_every)),
            learnt: None,
            odd: 0,
            steps: [None; UNSTEADY_STEPS],
            skewed: false,
        }
    }

    /// False for a stamp more than 7 days old or 5 minutes ahead: by UTC, or by what was learnt while ours means nothing; and
    /// for one too far away to be counted.
    pub(super) fn is_possible(&self, source: UtcTime, arrival: Stamp, synchronised: bool) -> bool {
        if matches!(source.0, i64::MIN | i64::MAX) {
            return false;
        }
        let age = match (&self.learnt, synchronised) {
            (_, true) => arrival.utc.0.saturating_sub(source.0),
            (Some(learnt), false) => delay(source, arrival).saturating_sub(learnt.used),
            (None, false) => 0,
        };
        (-AHEAD_NS..=OLDEST_NS).contains(&age)
    }

    /// Takes the least delay of what an answer newly stamped, and says when the trust in the clock changed.
    pub(super) fn hear(
        &mut self,
        least_delay: i64,
        arrival: Stamp,
        synchronised: bool,
    ) -> Option<Change> {
        self.learn(least_delay, arrival.boot);
        let (skewed, by) = if synchronised {
            let by = self.skew(arrival);
            (self.is_far(by), Some(by))
        } else {
            (self.is_unsteady(arrival.boot), None)
        };
        if skewed == std::mem::replace(&mut self.skewed, skewed) {
            return None;
        }
        Some(if skewed {
            Change::Skewed(by)
        } else {
            Change::Good
        })
    }

    /// Its stamps are not used.
    pub(super) fn is_skewed(&self) -> bool {
        self.skewed
    }

    /// Where a stamp lies on the boot clock, not after its arrival; `None` before anything is known of the clock.
    pub(super) fn boot_time(&self, source: UtcTime, arrival: Stamp) -> Option<BootTime> {
        let learnt = self.learnt.as_ref()?;
        Some(BootTime(source.0.saturating_add(learnt.used)).min(arrival.boot))
    }

    fn learn(&mut self, delay: i64, at: BootTime) {
        let step = self.behind_ns.max(STEP_AT_LEAST_NS);
        let Some(learnt) = &mut self.learnt else {
            self.learnt = Some(Offset::new(delay, at));
            return;
        };
        let off = delay.saturating_sub(learnt.least());
        self.odd = if off > step {
            self.odd.saturating_add(1)
        } else {
            0
        };
        if off < -step || self.odd >= ODD_ANSWERS {
            *learnt = Offset::new(delay, at);
            self.odd = 0;
            self.steps.rotate_left(1);
            if let Some(last) = self.steps.last_mut() {
                *last = Some(at);
            }
        } else if self.odd == 0 {
            learnt.learn(delay, at);
        }
    }

    /// How far it is behind ours, by UTC.
    fn skew(&self, arrival: Stamp) -> i64 {
        let learnt = self.learnt.as_ref().map_or(0, Offset::least);
        let ours = arrival.boot.0.saturating_sub(arrival.utc.0);
        learnt.saturating_sub(ours)
    }

    /// Too far; to be good again it must come clearly inside, so that a clock on the border does not chatter.
    fn is_far(&self, behind: i64) -> bool {
        let limit = |ns: i64| if self.skewed { ns / 4 * 3 } else { ns };
        behind > limit(self.behind_ns) || behind < -limit(self.ahead_ns)
    }

    fn is_unsteady(&self, now: BootTime) -> bool {
        let first = self.steps.first().copied().flatten();
        first.is_some_and(|first| now.0.saturating_sub(first.0) < UNSTEADY_NS)
    }
}

/// From the device's stamp to the arrival on the boot clock.
pub(super) fn delay(source: UtcTime, arrival: Stamp) -> i64 {
    arrival.boot.0.saturating_sub(source.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;
    /// UTC of boot time zero.
    const EPOCH: i64 = 1_800_000_000 * SECOND_NS;

    /// An arrival `ms` after the boot; our UTC is off by `wall_ms`.
    fn arrival(ms: i64, wall_ms: i64) -> Stamp {
        Stamp {
            boot: BootTime(ms * MS),
            utc: UtcTime(EPOCH + (ms + wall_ms) * MS),
        }
    }

    fn source(ms: i64) -> UtcTime {
        UtcTime(EPOCH + ms * MS)
    }

    fn clock() -> DeviceClock {
        DeviceClock::new(Duration::from_millis(500), Duration::from_millis(100))
    }

    /// Hears an answer at `ms` whose value was stamped at `stamped`, and gives the boot time of the stamp in ms.
    fn hear(clock: &mut DeviceClock, ms: i64, stamped: i64, wall_ms: i64, good: bool) -> i64 {
        let at = arrival(ms, wall_ms);
        clock.hear(delay(source(stamped), at), at, good);
        clock.boot_time(source(stamped), at).unwrap().0 / MS
    }

    #[test]
    fn the_least_delay_wins_and_nothing_lies_after_its_arrival() {
        let mut clock = clock();
        assert_eq!(hear(&mut clock, 1_000, 995, 0, true), 1_000);
        // Late by 80 ms more: put back to where it belongs.
        assert_eq!(hear(&mut clock, 2_085, 2_000, 0, true), 2_005);
        // A faster one than ever: the offset follows at once as far as time allows.
        assert_eq!(hear(&mut clock, 3_001, 3_000, 0, true), 3_001);
        assert_eq!(hear(&mut clock, 4_050, 4_000, 0, true), 4_001);
    }

    #[test]
    fn a_step_of_our_wall_clock_moves_nothing_on_the_boot_clock() {
        let mut clock = clock();
        hear(&mut clock, 1_000, 990, 0, false);
        for (at, wall_ms) in [(2_000, 3_600_000), (3_000, -86_400_000)] {
            assert_eq!(hear(&mut clock, at, at - 10, wall_ms, false), at);
            assert_eq!(hear(&mut clock, at + 100, at + 40, wall_ms, false), at + 50);
        }
        assert!(!clock.is_skewed());
    }

    #[test]
    fn a_constant_offset_is_fine_while_our_clock_is_not_synchronised() {
        let mut clock = clock();
        let hour = 3_600_000;
        assert_eq!(hear(&mut clock, 1_000, hour + 995, 0, false), 1_000);
        assert_eq!(hear(&mut clock, 2_085, hour + 2_000, 0, false), 2_005);
        assert!(!clock.is_skewed());
    }

    #[test]
    fn a_clock_too_far_away_is_said_once_and_when_it_is_good_again() {
        let mut clock = clock();
        let mut said = |ms: i64, stamped: i64| {
            let at = arrival(ms, 0);
            clock.hear(delay(source(stamped), at), at, true)
        };
        assert_eq!(said(1_000, 995), None);
        // Ahead by 700 ms; then it is set right, and three answers show that this is meant.
        assert_eq!(said(2_000, 4_695), Some(Change::Skewed(Some(-2_695 * MS))));
        assert_eq!(said(3_000, 5_695), None);
        for ms in [4_000, 5_000] {
            assert_eq!(said(ms, ms - 5), None);
        }
        assert_eq!(said(6_000, 5_995), Some(Change::Good));
        assert_eq!(said(7_000, 6_995), None);
    }

    #[test]
    fn what_waited_for_its_report_is_no_skew() {
        // 500 ms and a report behind, 500 ms ahead.
        for (behind_ms, skewed) in [(590, false), (610, true), (-490, false), (-510, true)] {
            let at = arrival(1_000, 0);
            let behind_ns = behind_ms * MS;
            let said = clock().hear(at.boot.0 - at.utc.0 + behind_ns, at, true);
            assert_eq!(said, skewed.then_some(Change::Skewed(Some(behind_ns))));
        }
    }

    #[test]
    fn one_late_answer_is_late_and_three_are_a_clock_that_was_set_back() {
        let mut clock = clock();
        hear(&mut clock, 1_000, 990, 0, false);
        assert_eq!(hear(&mut clock, 5_000, 2_000, 0, false), 2_010);
        assert_eq!(hear(&mut clock, 5_100, 5_090, 0, false), 5_100);
        let back = -60_000;
        assert_eq!(hear(&mut clock, 6_000, 5_990 + back, 0, false), -54_000);
        assert_eq!(hear(&mut clock, 6_100, 6_090 + back, 0, false), -53_900);
        assert_eq!(hear(&mut clock, 6_200, 6_190 + back, 0, false), 6_200);
        assert_eq!(hear(&mut clock, 6_300, 6_290 + back, 0, false), 6_300);
    }

    #[test]
    fn a_clock_that_is_set_again_and_again_is_not_used_until_it_is_steady() {
        let mut clock = clock();
        let mut said = Vec::new();
        for round in 0..4 {
            let at = arrival(1_000 * (round + 1), 0);
            let stamped = source(1_000 * (round + 1) + round * 10_000);
            said.push(clock.hear(delay(stamped, at), at, false));
        }
        assert_eq!(said, [None, None, None, Some(Change::Skewed(None))]);
        let at = arrival(70_000, 0);
        let later = clock.hear(delay(source(100_000), at), at, false);
        assert_eq!(later, Some(Change::Good));
    }

    #[test]
    fn stamps_that_cannot_be_are_known_by_utc_or_by_what_was_learnt() {
        let mut clock = clock();
        let at = arrival(1_000, 0);
        let minute = 60_000;
        for (stamped, possible) in [
            (0, true),
            (1_000 + 5 * minute, true),
            (1_001 + 5 * minute, false),
            (1_000 - 7 * 24 * 60 * minute, true),
            (999 - 7 * 24 * 60 * minute, false),
        ] {
            assert_eq!(clock.is_possible(source(stamped), at, true), possible);
            assert!(clock.is_possible(source(stamped), at, false));
        }
        assert!(!clock.is_possible(UtcTime(i64::MAX), at, true));
        assert!(!clock.is_possible(UtcTime(i64::MIN), at, true));
        // A year away, on both: known to be so, and then a stamp of the other century is none.
        let year = 365 * 24 * 60 * minute;
        clock.hear(delay(source(year), at), at, false);
        assert!(clock.is_possible(source(year), at, false));
        assert!(!clock.is_possible(source(0), at, false));
    }

    proptest! {
        #[test]
        fn mapped_stamps_lie_near_the_arrival_and_never_after_it(
            answers in proptest::collection::vec((1i64..2_000, 0i64..400, -20i64..20), 1..200),
        ) {
            let mut clock = clock();
            let mut ms = 0;
            for (passed, waited, drift) in answers {
                ms += passed;
                let at = arrival(ms + 400, 0);
                let stamped = source(ms + 400 - waited + drift);
                clock.hear(delay(stamped, at), at, false);
                let boot = clock.boot_time(stamped, at).unwrap();
                prop_assert!(boot <= at.boot);
                prop_assert!(at.boot.0 - boot.0 <= 2_500 * MS);
            }
        }

        #[test]
        fn no_stamp_of_a_device_makes_it_overflow(stamps: Vec<(i64, i64, i64)>, good: bool) {
            let mut clock = clock();
            for (boot, utc, stamped) in stamps {
                let at = Stamp { boot: BootTime(boot), utc: UtcTime(utc) };
                clock.is_possible(UtcTime(stamped), at, good);
                clock.hear(delay(UtcTime(stamped), at), at, good);
                prop_assert!(clock.boot_time(UtcTime(stamped), at).unwrap() <= at.boot);
            }
        }
    }
}
