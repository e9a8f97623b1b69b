//! Waiting longer after each failure, with full jitter, so that forty gateways do not knock at one server together.
//!
//! Pure: it says how long to wait and never waits.

use std::time::Duration;

/// Doubles from `first` to `longest`; each wait is drawn evenly between nothing and that bound.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// `longest` is at least `first`, and `first` at least a millisecond: smaller values are raised.
    #[must_use]
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Backoff {
        let first = first.max(Duration::from_millis(1));
        Backoff {
            first,
            longest: longest.max(first),
            failures: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The house rule: 1 s doubling to 30 s.
    #[must_use]
    pub fn standard() -> Backoff {
        Backoff::new(
            Duration::from_secs(1),
            Duration::from_secs(30),
            fastrand::u64(..),
        )
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let bound = doubled.min(self.longest);
        self.failures = self.failures.saturating_add(1).min(31);
        bound.mul_f64(self.random.f64())
    }

    /// It worked: the next failure waits shortly again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_bound_that_doubles_and_stops() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), 7);
        for bound in [1, 2, 4, 8, 16, 30, 30, 30] {
            let wait = backoff.next_wait();
            assert!(wait <= Duration::from_secs(bound), "{wait:?} > {bound} s");
        }
        for _ in 0..100 {
            assert!(backoff.next_wait() <= Duration::from_secs(30));
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }

    #[test]
    fn waits_of_many_gateways_are_spread_evenly_over_the_whole_bound() {
        const GATEWAYS: usize = 4_000;
        let mut backoffs: Vec<Backoff> = (0..GATEWAYS as u64)
            .map(|seed| Backoff::new(Duration::from_secs(1), Duration::from_secs(30), seed))
            .collect();
        for bound in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let mut tenths = [0; 10];
            for backoff in &mut backoffs {
                let share = backoff.next_wait().as_secs_f64() / bound;
                tenths[((share * 10.0) as usize).min(9)] += 1;
            }
            // Five times the deviation of 400, which is 19.
            assert!(
                tenths.iter().all(|count| (305..=495).contains(count)),
                "{bound} s: {tenths:?}"
            );
        }
    }

    #[test]
    fn two_gateways_that_fail_together_do_not_wait_together() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), seed);
            (0..8).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(3), waits(3));
    }
}
