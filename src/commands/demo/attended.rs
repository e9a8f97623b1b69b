//! The time of a simulated machine: it begins with the first look at it, and hardly goes on while nobody looks.
//!
//! So nothing happens that nobody could see, however slow the computer is on which the demo plays.

use std::time::Duration;
use tokio::time::Instant;

/// Most that happens between two looks; shorter than anything that the machines do.
const LONGEST_STEP: Duration = Duration::from_millis(250);

/// Time of a machine that is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attended {
    /// Up to the last look.
    lived: Duration,
    looked: Option<Instant>,
}

impl Attended {
    /// True when somebody has looked: time runs.
    pub(super) fn has_begun(&self) -> bool {
        self.looked.is_some()
    }

    /// Somebody looks.
    pub(super) fn look(&mut self) {
        self.lived = self.now();
        self.looked = Some(Instant::now());
    }

    /// Time since the first look.
    pub(super) fn now(&self) -> Duration {
        let since = self.looked.map(|looked| looked.elapsed().min(LONGEST_STEP));
        self.lived + since.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_while_somebody_looks() {
        let wait = |ms| tokio::time::advance(Duration::from_millis(ms));
        let mut time = Attended::default();
        wait(10_000).await;
        assert_eq!((time.has_begun(), time.now()), (false, Duration::ZERO));
        time.look();
        assert!(time.has_begun());
        for step in [100, 20, 9_000] {
            wait(step).await;
            time.look();
        }
        assert_eq!(time.now(), Duration::from_millis(100 + 20) + LONGEST_STEP);
        wait(30).await;
        assert_eq!(time.now(), Duration::from_millis(150) + LONGEST_STEP);
    }
}
