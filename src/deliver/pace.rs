//! At most so many events per time (`rate_limit`), live ones, repeats and what commands send beside them together. A pure rule.
//!
//! Every event costs an interval; what was not used is kept for one second's worth, at least one event.

use std::time::{Duration, Instant};

/// Longest interval that is reckoned with.
const SLOWEST: Duration = Duration::from_secs(86_400);
/// Shortest one: past a million events per second there is no limit.
const FASTEST: Duration = Duration::from_micros(1);

/// The limit of one uplink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// Most events that may go at once after a rest.
    most: u32,
    /// Everything up to then is paid for.
    paid: Instant,
    /// How many events others have sent so far; `None` before that was looked at.
    beside: Option<u64>,
}

impl Pace {
    /// So many per second, from `now` on.
    pub(super) fn new(per_second: f64, now: Instant) -> Pace {
        let interval = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(SLOWEST);
        let interval = interval.clamp(FASTEST, SLOWEST);
        let in_a_second = Duration::from_secs(1).as_nanos() / interval.as_nanos();
        Pace {
            interval,
            most: u32::try_from(in_a_second).unwrap_or(u32::MAX).max(1),
            paid: now,
            beside: None,
        }
    }

    /// Others have sent so many to the same destination, counted since whenever: what is new counts here, too.
    pub(super) fn others_sent(&mut self, now: Instant, total: u64) {
        let new = total.saturating_sub(self.beside.unwrap_or(total));
        self.beside = Some(total);
        if new > 0 {
            self.takes(now, usize::try_from(new).unwrap_or(usize::MAX));
        }
    }

    /// How many events may go now.
    pub(super) fn allows(&self, now: Instant) -> usize {
        let saved = now.saturating_duration_since(self.paid);
        let ahead = self.paid.saturating_duration_since(now);
        let worth = self.interval.saturating_mul(self.most);
        let credit = worth.saturating_sub(ahead).saturating_add(saved).min(worth);
        usize::try_from(credit.as_nanos() / self.interval.as_nanos()).unwrap_or(usize::MAX)
    }

    /// So many events go.
    pub(super) fn takes(&mut self, now: Instant, events: usize) {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.paid = self.paid.max(now) + self.interval.saturating_mul(events);
    }

    /// When the next event may go; `None` when one may go now.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let held = self.interval.saturating_mul(self.most.saturating_sub(1));
        (self.allows(now) == 0).then(|| self.paid.checked_sub(held).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends whenever it may, for so long; when each event went.
    fn run(per_second: f64, seconds: u32) -> Vec<Duration> {
        let start = Instant::now();
        let mut pace = Pace::new(per_second, start);
        let mut now = start;
        let mut sent = Vec::new();
        while now < start + seconds * SECOND {
            for _ in 0..pace.allows(now) {
                pace.takes(now, 1);
                sent.push(now - start);
            }
            let wake = pace.wake(now).expect("all is used up");
            assert!(wake > now, "it wakes in the future");
            now = wake;
            assert!(pace.allows(now) >= 1, "and something may go then");
        }
        sent
    }

    #[test]
    fn no_second_has_more_than_its_share_and_one_seconds_worth() {
        for (per_second, seconds, total) in [
            (200.0 / 60.0, 60, 203),
            (10.0, 30, 310),
            (0.5, 60, 31),
            (2_000.0, 3, 8_000),
        ] {
            let sent = run(per_second, seconds);
            assert!(
                sent.len() <= total && sent.len() + 4 >= total,
                "{per_second}/s: {} events",
                sent.len()
            );
            let most = per_second.floor().max(1.0) + (per_second + 1.0).ceil();
            for (nth, from) in sent.iter().enumerate() {
                let within = sent[nth..].iter().take_while(|at| **at < *from + SECOND);
                assert!(within.count() as f64 <= most, "{per_second}/s");
            }
        }
    }

    #[test]
    fn a_rest_is_worth_no_more_than_a_second_and_a_batch_is_paid_for_afterwards() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0, start);
        assert_eq!(pace.allows(start + 3_600 * SECOND), 10);
        let now = start + 3_600 * SECOND;
        pace.takes(now, 10);
        assert_eq!(pace.allows(now), 0);
        assert_eq!(pace.wake(now), Some(now + SECOND / 10));
        assert_eq!(pace.allows(now + SECOND / 2), 5);
    }

    #[test]
    fn what_others_send_is_left_out_of_ones_own() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0, start);
        pace.others_sent(start, 1_000);
        let (mut own, mut beside) = (0_u32, 0_u32);
        for tenth in 0..600_u32 {
            let now = start + tenth * SECOND / 10;
            // Somebody who sends five a second, and says so before.
            if tenth.is_multiple_of(2) {
                beside += 1;
            }
            pace.others_sent(now, 1_000 + u64::from(beside));
            let allowed = pace.allows(now);
            pace.takes(now, allowed);
            own += u32::try_from(allowed).unwrap();
        }
        assert!(own + beside <= 60 * 10 + 10, "{own} and {beside}");
        assert!(own >= 60 * 5 - 10, "{own}: the rest is its own");
    }
}
