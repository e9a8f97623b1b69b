//! What the task does while the disk takes nothing: when it tries again, and when a disk that fails is given up. Pure: time
//! comes in as an argument.
//!
//! A full disk is waited for without end, since somebody can make room. A disk that fails is tried a few times: systemd
//! starts the gateway anew after that, and says so.

use super::error::StoreError;
use crate::model::BootTime;
use std::time::Duration;

/// Between two attempts: well inside the 60 s in which the gateway goes on by itself when there is space.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Attempts in a row that may fail otherwise than for lack of space.
const MAX_FAILURES: u32 = 5;
/// Between two lines in the log about a refusal that lasts.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Whether events are refused, and until when.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    retry_at: Option<BootTime>,
    failures: u32,
    said: Option<BootTime>,
}

/// What to do about a failed commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep what waits and try again; `say` when it is time for a line in the log.
    Retry {
        /// A line is due.
        say: bool,
    },
    /// End with the error.
    End,
}

impl Refusal {
    /// A commit failed at `now`; nothing of it is durable.
    pub(super) fn failed(&mut self, error: &StoreError, now: BootTime) -> Verdict {
        self.failures = match error {
            StoreError::Full(_) => 0,
            StoreError::Io { .. } => self.failures + 1,
            _ => return Verdict::End,
        };
        if self.failures > MAX_FAILURES {
            return Verdict::End;
        }
        self.retry_at = Some(now.plus(RETRY_EVERY));
        let say = self.said.is_none_or(|said| now.since(said) >= SAY_EVERY);
        if say {
            self.said = Some(now);
        }
        Verdict::Retry { say }
    }

    /// A commit succeeded. True when that ends a refusal.
    pub(super) fn over(&mut self) -> bool {
        std::mem::take(self).retry_at.is_some()
    }

    /// When to try again; `None` while events are accepted.
    pub(super) fn retry_at(&self) -> Option<BootTime> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::PathBuf;

    fn at(seconds: u64) -> BootTime {
        BootTime(0).plus(Duration::from_secs(seconds))
    }

    fn full() -> StoreError {
        StoreError::Full(PathBuf::from("/store"))
    }

    fn broken() -> StoreError {
        StoreError::Io {
            path: PathBuf::from("/store"),
            source: io::Error::from_raw_os_error(libc::EIO),
        }
    }

    #[test]
    fn a_full_disk_is_waited_for_without_end_and_told_each_minute() {
        let mut refusal = Refusal::default();
        assert!(!refusal.over());
        let mut lines = 0;
        for attempt in 0..1800 {
            let now = at(attempt * 2);
            match refusal.failed(&full(), now) {
                Verdict::Retry { say } => lines += u32::from(say),
                Verdict::End => panic!("given up after {attempt}"),
            }
            assert_eq!(refusal.retry_at(), Some(now.plus(RETRY_EVERY)));
        }
        assert_eq!(lines, 60, "an hour");
        assert!(refusal.over());
        assert_eq!(refusal.retry_at(), None);
        assert!(!refusal.over());
    }

    #[test]
    fn a_disk_that_fails_is_tried_a_few_times() {
        let mut refusal = Refusal::default();
        for attempt in 0..5 {
            let verdict = refusal.failed(&broken(), at(attempt));
            assert_eq!(verdict, Verdict::Retry { say: attempt == 0 });
        }
        assert_eq!(refusal.failed(&broken(), at(6)), Verdict::End);
        // What it took meanwhile, or a disk that is merely full, ends the count.
        for between in [true, false] {
            let mut refusal = Refusal::default();
            for attempt in 0..20 {
                assert_ne!(refusal.failed(&broken(), at(attempt)), Verdict::End);
                if between {
                    assert!(refusal.over());
                } else {
                    refusal.failed(&full(), at(attempt));
                }
            }
        }
    }

    #[test]
    fn what_no_space_can_mend_ends_at_once() {
        let path = PathBuf::from("/store");
        for error in [
            StoreError::ReadOnly(path.clone()),
            StoreError::NoPermission(path.clone()),
            StoreError::Locked(path.clone()),
            StoreError::Damaged {
                path,
                reason: String::new(),
            },
        ] {
            assert_eq!(Refusal::default().failed(&error, at(0)), Verdict::End);
        }
    }
}
