//! At most ten lines a minute of one cause reach the log; the rest are counted.
//!
//! Pure: time comes in as an argument. One of these per link, for the lines about its troubles.

use std::time::Duration;
use tokio::time::Instant;

/// Lines in a minute.
const LINES: u32 = 10;
/// The minute.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts lines.
#[derive(Debug)]
pub(super) struct Quiet {
    since: Instant,
    lines: u32,
    swallowed: u64,
}

impl Quiet {
    /// Nothing said yet.
    pub(super) fn new(now: Instant) -> Quiet {
        Quiet {
            since: now,
            lines: 0,
            swallowed: 0,
        }
    }

    /// Whether one more line may be written now; if so, how many were swallowed since the last one.
    pub(super) fn may_speak(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.since = now;
            self.lines = 0;
        }
        if self.lines >= LINES {
            self.swallowed = self.swallowed.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.swallowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_line_waits_for_the_next_minute_and_is_counted() {
        let start = Instant::now();
        let mut quiet = Quiet::new(start);
        for _ in 0..10 {
            assert_eq!(quiet.may_speak(start), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(quiet.may_speak(start + Duration::from_secs(59)), None);
        }
        assert_eq!(quiet.may_speak(start + Duration::from_secs(60)), Some(5));
        assert_eq!(quiet.may_speak(start + Duration::from_secs(61)), Some(0));
    }
}
