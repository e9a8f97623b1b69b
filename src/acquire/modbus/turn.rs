//! Whose turn it is on a wire: who is due goes first, and a unit that did not answer is tried where it costs nobody anything.
//!
//! Pure. A time-out on a shared wire is time taken from all. So a unit whose rest is over is not asked in its turn but tried
//! with its shortest request, in a gap in which nobody else is due; with a shortened time-out where the gap is shorter, as
//! long as it leaves twice what the unit usually needs. Two minutes after its last whole try it gets its whole time-out in
//! the next gap however short, and after four whoever waits: a slow unit on a busy wire is found again too.

use std::time::Duration;
use tokio::time::Instant;

/// A unit that does not answer gets its whole time-out so often in a gap, however short: seldom enough that even at a
/// period of 1 s less than one cycle in a hundred is late.
const WHOLE_TRY_EVERY: Duration = Duration::from_secs(120);
/// Where there are no gaps, it gets it so often.
const WHOLE_TRY_AT_LEAST_EVERY: Duration = Duration::from_secs(240);

/// What is to be known of a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// When it is due; `None` when nothing is read from it.
    pub(super) due: Option<Instant>,
    /// It is left alone until then; over when in the past.
    pub(super) rests_until: Option<Instant>,
    /// When it was last given its whole time-out.
    pub(super) tried: Instant,
    /// Its whole time-out.
    pub(super) timeout: Duration,
    /// How long its shortest request takes on the wire, the silence after a failure included.
    pub(super) overhead: Duration,
    /// The shortest time-out that makes sense.
    pub(super) least: Duration,
}

/// What is to be done on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This unit has its cycle.
    Cycle(usize),
    /// This unit is tried, and waited for so long.
    Try(usize, Duration),
    /// Nothing before then; `None`: ever.
    Wait(Option<Instant>),
}

/// Whose turn it is.
pub(super) fn turn(units: &[Standing], now: Instant) -> Turn {
    let asked = |unit: &&Standing| unit.due.is_some();
    if !units.iter().filter(asked).any(Standing::is_well) {
        return alone(units, now);
    }
    let ripe = |unit: &Standing| unit.due.is_some() && unit.is_ripe(now);
    let overdue = |every: Duration| {
        let untried = |unit: &Standing| now.saturating_duration_since(unit.tried) >= every;
        let mut all = units.iter().enumerate();
        all.find(|(_, unit)| ripe(unit) && untried(unit))
    };
    let first = units
        .iter()
        .enumerate()
        .filter(|(_, unit)| unit.is_well())
        .filter_map(|(place, unit)| Some((place, unit.due?)))
        .min_by_key(|(_, due)| *due);
    let Some((place, due)) = first else {
        return Turn::Wait(None);
    };
    let patience = if due <= now {
        WHOLE_TRY_AT_LEAST_EVERY
    } else {
        WHOLE_TRY_EVERY
    };
    if let Some((silent, unit)) = overdue(patience) {
        return Turn::Try(silent, unit.timeout);
    }
    if due <= now {
        return Turn::Cycle(place);
    }
    let gap = due - now;
    let ripest = units
        .iter()
        .enumerate()
        .filter(|(_, unit)| ripe(unit) && unit.fits(gap))
        .min_by_key(|(_, unit)| unit.rests_until);
    match ripest {
        Some((place, unit)) => Turn::Try(place, unit.timeout.min(gap - unit.overhead)),
        None => Turn::Wait(Some(next_look(units, now, due))),
    }
}

/// Nobody else would lose anything: whoever is due and ready first.
fn alone(units: &[Standing], now: Instant) -> Turn {
    let ready = |unit: &Standing| {
        let due = unit.due?;
        Some(unit.rests_until.map_or(due, |until| until.max(due)))
    };
    let first = units
        .iter()
        .enumerate()
        .filter_map(|(place, unit)| Some((place, ready(unit)?)))
        .min_by_key(|(_, ready)| *ready);
    match first {
        Some((place, ready)) if ready <= now => Turn::Cycle(place),
        Some((_, ready)) => Turn::Wait(Some(ready)),
        None => Turn::Wait(None),
    }
}

/// When somebody is due, or the rest of one is over.
fn next_look(units: &[Standing], now: Instant, due: Instant) -> Instant {
    let rests = units.iter().filter(|unit| unit.due.is_some());
    let over = rests.filter_map(|unit| {
        let until = unit.rests_until?;
        let whole = unit.tried + WHOLE_TRY_EVERY;
        Some(if until > now { until } else { whole })
    });
    over.fold(due, Instant::min)
}

impl Standing {
    fn is_well(&self) -> bool {
        self.rests_until.is_none()
    }

    fn is_ripe(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until <= now)
    }

    /// Whether a gap is long enough for a try that makes sense.
    fn fits(&self, gap: Duration) -> bool {
        gap >= self.overhead + self.least.min(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(500);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    struct Bench {
        start: Instant,
        units: Vec<Standing>,
    }

    impl Bench {
        /// Units that are due so many milliseconds from the start, when all were asked last.
        fn new(dues: &[u64]) -> Bench {
            let start = Instant::now();
            let unit = |due: &u64| Standing {
                due: Some(start + ms(*due)),
                rests_until: None,
                tried: start,
                timeout: TIMEOUT,
                overhead: ms(10),
                least: ms(40),
            };
            Bench {
                start,
                units: dues.iter().map(unit).collect(),
            }
        }

        fn rests(mut self, unit: usize, until: u64) -> Bench {
            self.units[unit].rests_until = Some(self.start + ms(until));
            self
        }

        fn check(&self, at: u64, expected: Turn) {
            assert_eq!(turn(&self.units, self.start + ms(at)), expected, "at {at}");
        }

        fn wait(&self, until: u64) -> Turn {
            Turn::Wait(Some(self.start + ms(until)))
        }
    }

    #[test]
    fn who_is_due_longest_goes_first() {
        let bench = Bench::new(&[100, 50, 70]);
        bench.check(10, bench.wait(50));
        bench.check(60, Turn::Cycle(1));
        bench.check(200, Turn::Cycle(1));
        Bench::new(&[]).check(0, Turn::Wait(None));
    }

    #[test]
    fn a_unit_that_rests_is_tried_in_a_gap_and_no_longer_than_that() {
        let bench = Bench::new(&[100, 0]).rests(1, 20);
        bench.check(0, bench.wait(20));
        bench.check(20, Turn::Try(1, ms(70)));
        bench.check(50, Turn::Try(1, ms(40)));
        // Too short a gap: the next one, or its minute.
        bench.check(51, bench.wait(100));
        bench.check(100, Turn::Cycle(0));
        let wide = Bench::new(&[1_000, 0]).rests(1, 20);
        wide.check(30, Turn::Try(1, TIMEOUT));
    }

    #[test]
    fn now_and_then_it_gets_its_whole_time_out_whoever_waits() {
        let busy = Bench::new(&[0, 0]).rests(1, 20);
        busy.check(239_999, Turn::Cycle(0));
        busy.check(240_000, Turn::Try(1, TIMEOUT));
        let narrow = Bench::new(&[120_010, 0]).rests(1, 20);
        narrow.check(119_990, narrow.wait(120_000));
        narrow.check(120_000, Turn::Try(1, TIMEOUT));
        let later = Bench::new(&[120_300, 0]).rests(1, 130_000);
        later.check(120_000, later.wait(120_300));
    }

    #[test]
    fn where_nobody_answers_there_is_nobody_to_wait_for() {
        let bench = Bench::new(&[0, 0]).rests(0, 300).rests(1, 200);
        bench.check(100, bench.wait(200));
        bench.check(200, Turn::Cycle(1));
        let empty = Standing {
            due: None,
            ..bench.units[0]
        };
        assert_eq!(turn(&[empty], bench.start), Turn::Wait(None));
    }
}
