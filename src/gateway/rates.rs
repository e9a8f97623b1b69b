//! How fast the backlog of each uplink goes down, looked at over the last minute or since it was paused last. Pure.
//!
//! The control socket feeds it with what the buffer publishes, and asks when somebody wants to know.

use crate::buffer::inspect::DrainStatus;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back it looks.
const WINDOW: Duration = Duration::from_secs(60);
/// Less says nothing: the buffer publishes every 5 s.
const LEAST: Duration = Duration::from_secs(5);
/// What does not change is taken again after that.
const AGAIN: Duration = Duration::from_secs(5);
/// Most samples of an uplink: one a second of the window.
const MAX_SAMPLES: usize = 61;

/// An uplink's account at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Events settled by a positive verdict since it exists.
    pub(super) delivered: u64,
    /// Events that wait.
    pub(super) waiting: u64,
}

/// What was seen of one uplink.
#[derive(Debug, Default)]
pub(super) struct Rates(VecDeque<(Instant, Counts)>);

impl Rates {
    /// Looks at it; `counts` are `None` while it is paused, which begins the reckoning anew.
    pub(super) fn look(&mut self, now: Instant, counts: Option<Counts>) {
        let Some(counts) = counts else {
            self.0.clear();
            return;
        };
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > WINDOW;
        while self.0.len() >= MAX_SAMPLES || self.0.front().is_some_and(|(at, _)| is_old(at)) {
            self.0.pop_front();
        }
        let is_news = self.0.back().is_none_or(|(at, last)| {
            *last != counts || now.saturating_duration_since(*at) >= AGAIN
        });
        if is_news {
            self.0.push_back((now, counts));
        }
    }

    /// How fast it goes, with the account as it is now; `None` where too little was seen.
    pub(super) fn drain(&self, now: Instant, counts: Counts) -> Option<DrainStatus> {
        let mut seen = self.0.iter();
        let (at, then) = seen.find(|(at, _)| now.saturating_duration_since(*at) <= WINDOW)?;
        let over = now.saturating_duration_since(*at);
        if over < LEAST {
            return None;
        }
        let over_s = over.as_secs_f64();
        let delivered = counts.delivered.saturating_sub(then.delivered);
        let shrinks_per_s = (float(then.waiting) - float(counts.waiting)) / over_s;
        let is_draining = counts.waiting > 0 && shrinks_per_s > 0.0;
        Some(DrainStatus {
            over_s,
            delivered_per_s: float(delivered) / over_s,
            shrinks_per_s,
            empty_in_s: is_draining.then(|| float(counts.waiting) / shrinks_per_s),
        })
    }
}

/// Exact enough for people.
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counts(delivered: u64, waiting: u64) -> Counts {
        Counts { delivered, waiting }
    }

    #[test]
    fn a_backlog_that_goes_down_says_when_it_is_gone() {
        let start = Instant::now();
        let mut rates = Rates::default();
        for second in 0..200_u32 {
            let gone = u64::from(second) * 1_000;
            let account = counts(gone, 300_000 - gone / 2);
            rates.look(start + second * SECOND, Some(account));
        }
        assert!(rates.0.len() <= MAX_SAMPLES);
        let drain = rates.drain(start + 200 * SECOND, counts(200_000, 200_000));
        let drain = drain.unwrap();
        assert!((59.0..=60.0).contains(&drain.over_s), "{drain:?}");
        assert!((drain.delivered_per_s - 1_000.0).abs() < 1.0, "{drain:?}");
        assert!((drain.shrinks_per_s - 500.0).abs() < 1.0, "{drain:?}");
        assert!((drain.empty_in_s.unwrap() - 400.0).abs() < 1.0, "{drain:?}");
    }

    #[test]
    fn one_that_does_not_shrink_has_no_end_and_an_empty_one_needs_none() {
        let start = Instant::now();
        let mut rates = Rates::default();
        rates.look(start, Some(counts(0, 100)));
        let after = |delivered, waiting| {
            let drain = rates.drain(start + 10 * SECOND, counts(delivered, waiting));
            drain.unwrap()
        };
        assert_eq!(after(50, 120).empty_in_s, None);
        assert!((after(50, 120).shrinks_per_s + 2.0).abs() < 1e-9);
        assert_eq!(after(0, 100).empty_in_s, None);
        assert_eq!(after(100, 0).empty_in_s, None);
        assert_eq!(rates.drain(start + 4 * SECOND, counts(9, 9)), None);
        assert_eq!(rates.drain(start + 61 * SECOND, counts(9, 9)), None);
    }

    #[test]
    fn a_pause_begins_the_reckoning_anew() {
        let start = Instant::now();
        let mut rates = Rates::default();
        rates.look(start, Some(counts(0, 1_000)));
        rates.look(start + 20 * SECOND, None);
        rates.look(start + 30 * SECOND, Some(counts(0, 1_000)));
        let drain = rates.drain(start + 40 * SECOND, counts(500, 500)).unwrap();
        assert!((drain.delivered_per_s - 50.0).abs() < 1e-9, "{drain:?}");
    }

    #[test]
    fn what_stands_still_is_looked_at_again_and_again() {
        let start = Instant::now();
        let mut rates = Rates::default();
        for second in 0..300_u32 {
            rates.look(start + second * SECOND, Some(counts(7, 70)));
        }
        let drain = rates.drain(start + 300 * SECOND, counts(7, 70)).unwrap();
        assert!(drain.over_s > 50.0 && drain.delivered_per_s == 0.0);
    }
}
