//! How long delivery waits for what. The house rule is the default; tests shorten it.

use crate::backoff::Backoff;
use std::time::Duration;

/// Waits of one uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Bound of the first wait after a failure; doubles with each further one. Every wait is drawn evenly below its bound.
    pub first_wait: Duration,
    /// The bound doubles up to this.
    pub longest_wait: Duration,
    /// A connection with its handshakes must be made in that time.
    pub connect_within: Duration,
    /// A broker must acknowledge an event in that time, or the connection counts as dead.
    pub verdict_within: Duration,
    /// A destination may ask for a pause (`Retry-After`) of at most that long.
    pub longest_asked_wait: Duration,
    /// Bound of the first wait before a parked event is tried again; doubles with each further attempt. Drawn evenly below.
    pub first_retry: Duration,
    /// That bound doubles up to this.
    pub longest_retry: Duration,
    /// Least time between two attempts with parked events, unless the one before was taken.
    pub between_retries: Duration,
    /// Before it is tried again to park an event for which there was no room.
    pub park_again: Duration,
    /// At the stop, verdicts that are still out are waited for that long, so that the next run need not send again.
    pub stop_within: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
            connect_within: Duration::from_secs(10),
            verdict_within: Duration::from_secs(30),
            longest_asked_wait: Duration::from_secs(600),
            first_retry: Duration::from_secs(10),
            longest_retry: Duration::from_secs(600),
            between_retries: Duration::from_secs(1),
            park_again: Duration::from_secs(10),
            stop_within: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// A back-off by these waits, jittered from `seed`.
    pub(super) fn backoff(&self, seed: u64) -> Backoff {
        Backoff::new(self.first_wait, self.longest_wait, seed)
    }

    /// The wait before a parked event is tried again that was sent so often; `share` is drawn evenly from 0 to 1.
    pub(super) fn retry_wait(&self, attempts: u32, share: f64) -> Duration {
        let doubled = 1u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let bound = self.first_retry.saturating_mul(doubled);
        bound.min(self.longest_retry).mul_f64(share)
    }
}
