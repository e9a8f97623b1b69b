//! What the buffer publishes about itself: what it takes on the disk, what waits for whom, why it takes nothing.
//!
//! The buffer's task sets these cells; aggregation turns some of them into alerts; status and metrics show them.

use super::{Counter, Drops, Gauge, Pulse};
use crate::model::{BootTime, DropReason, Stamp, UtcTime};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest words of a [`Refusal`], in characters.
const MAX_WORDS: usize = 200;

/// Of the buffer.
#[derive(Debug, Default)]
pub struct BufferHealth {
    /// Beaten by the buffer's loop, only while the disk takes what it is given.
    pub pulse: Pulse,
    /// Events made durable in this run.
    pub accepted: Counter,
    /// Commits.
    pub commits: Counter,
    /// Records that could not be decoded.
    pub quarantined: Counter,
    /// Events that were dropped, to be told.
    pub drops: Drops,
    /// Bytes of records, checkpoint and progress handed to the disk in this run, before the database's own overhead.
    pub written: Counter,
    /// Bytes that this process wrote to the device, as the kernel counts them; 0 where it does not say.
    pub device_written: Gauge,
    /// Bytes that the store takes on the disk, parked events and damaged parts included.
    pub used: Gauge,
    /// Of these, bytes that may go at once when there is need: delivered events that are kept, damaged parts.
    pub spare: Gauge,
    /// Bytes that the store may take; 0 before that is known.
    pub quota: Gauge,
    /// Bytes that are free on its file system.
    pub free: Gauge,
    /// Generations, the one that is written included.
    pub generations: Gauge,
    /// Generations that were set aside because they are damaged.
    pub damaged: Gauge,
    /// What waits for each uplink, by uplink id.
    pub backlogs: Backlogs,
    /// Why nothing is accepted, and what was not read meanwhile.
    pub refusing: Refusing,
}

impl BufferHealth {
    /// How full the store is, 0 to 1: what cannot be given up without losing something, of what it may take. `None` before
    /// both are known.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let (used, quota) = (
            self.used.get().saturating_sub(self.spare.get()),
            self.quota.get(),
        );
        (quota > 0).then(|| ratio(used, quota).min(1.0))
    }

    /// What goes to the flash at this rate in a day, in bytes; `None` in the first minute and where the kernel does not say.
    #[must_use]
    pub fn device_bytes_per_day(&self, running: Duration) -> Option<f64> {
        const DAY_S: u64 = 24 * 60 * 60;
        let written = self.device_written.get();
        let seconds = running.as_secs();
        (written > 0 && seconds >= 60).then(|| ratio(written, seconds) * ratio(DAY_S, 1))
    }
}

/// One number by another, as a floating point number: exact enough for people.
fn ratio(of: u64, by: u64) -> f64 {
    of as f64 / by as f64
}

/// What waits for one uplink, and where its events went since it exists: offered is the sum of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The uplink's name.
    pub uplink: String,
    /// Events made durable for it.
    pub offered: u64,
    /// Events that wait for it in the store.
    pub stored: u64,
    /// Settled by a positive verdict.
    pub delivered: u64,
    /// Left out by its `events:`.
    pub filtered: u64,
    /// Parked at present.
    pub parked: u64,
    /// Parked, and discarded by somebody.
    pub discarded: u64,
    /// Dropped, by [`DropReason::index`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// When the oldest event that waits happened, as it says itself; `None` when none waits.
    pub oldest: Option<UtcTime>,
}

/// The backlogs of all uplinks, as of the buffer's last look.
#[derive(Debug, Default)]
pub struct Backlogs(Mutex<Vec<Backlog>>);

impl Backlogs {
    /// Replaces what was known.
    pub fn set(&self, backlogs: Vec<Backlog>) {
        *locked(&self.0) = backlogs;
    }

    /// What is known, by uplink id.
    #[must_use]
    pub fn get(&self) -> Vec<Backlog> {
        locked(&self.0).clone()
    }
}

/// Why the buffer accepts nothing, so that the machines are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Since when.
    pub since: Stamp,
    /// Why, and what to do about it.
    pub why: String,
}

/// Stretches in which nothing was accepted and that are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When the first of them began.
    pub from: Stamp,
    /// When the last of them ended.
    pub until: Stamp,
    /// How many.
    pub times: u64,
    /// How long they were together, on the boot clock.
    pub lasted: Duration,
    /// Why, of the last one.
    pub why: String,
}

/// Whether the buffer accepts events: a cell that it sets, and of which aggregation tells what is over.
#[derive(Debug, Default)]
pub struct Refusing(Mutex<Stretches>);

#[derive(Debug, Default)]
struct Stretches {
    now: Option<Refusal>,
    over: Option<Refused>,
}

impl Refusing {
    /// Nothing is accepted from `at` on. Said again, it is the same stretch, with other words.
    pub fn begin(&self, at: Stamp, why: &str) {
        let why: String = why.chars().take(MAX_WORDS).collect();
        let mut stretches = locked(&self.0);
        let since = stretches.now.as_ref().map_or(at, |now| now.since);
        stretches.now = Some(Refusal { since, why });
    }

    /// Events are accepted again.
    pub fn end(&self, at: Stamp) {
        let mut stretches = locked(&self.0);
        let Some(Refusal { since, why }) = stretches.now.take() else {
            return;
        };
        let lasted = at.boot.since(since.boot);
        let before = stretches.over.take();
        stretches.over = Some(Refused {
            from: before.as_ref().map_or(since, |before| before.from),
            until: at,
            times: before
                .as_ref()
                .map_or(1, |before| before.times.saturating_add(1)),
            lasted: before.map_or(lasted, |before| before.lasted.saturating_add(lasted)),
            why,
        });
    }

    /// Why nothing is accepted at present; `None` while events are.
    #[must_use]
    pub fn now(&self) -> Option<Refusal> {
        locked(&self.0).now.clone()
    }

    /// How long nothing has been accepted; zero while events are.
    #[must_use]
    pub fn lasts(&self, now: BootTime) -> Duration {
        let since = locked(&self.0).now.as_ref().map(|now| now.since.boot);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Takes what is over and is to be told.
    #[must_use]
    pub fn take_over(&self) -> Option<Refused> {
        locked(&self.0).over.take()
    }
}

fn locked<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Stamp {
        Stamp::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_may_go_at_once_fills_nothing() {
        let health = BufferHealth::default();
        health.used.set(900);
        assert_eq!(health.fraction(), None);
        health.quota.set(1000);
        assert_eq!(health.fraction(), Some(0.9));
        health.spare.set(400);
        assert_eq!(health.fraction(), Some(0.5));
        health.used.set(5000);
        assert_eq!(health.fraction(), Some(1.0));
    }

    #[test]
    fn the_flash_of_a_day_is_known_after_a_minute() {
        let health = BufferHealth::default();
        let minute = Duration::from_secs(60);
        assert_eq!(health.device_bytes_per_day(minute), None);
        health.device_written.set(60);
        assert_eq!(health.device_bytes_per_day(minute / 2), None);
        assert_eq!(health.device_bytes_per_day(minute), Some(86_400.0));
    }

    #[test]
    fn stretches_without_acceptance_add_up_until_they_are_told() {
        let refusing = Refusing::default();
        refusing.end(at(1));
        assert_eq!(refusing.take_over(), None);
        refusing.begin(at(10), "full");
        refusing.begin(at(12), "still full");
        assert_eq!(refusing.now().unwrap().since, at(10));
        assert_eq!(refusing.lasts(at(15).boot), Duration::from_secs(5));
        refusing.end(at(20));
        refusing.begin(at(30), "full again");
        refusing.end(at(35));
        assert_eq!(refusing.now(), None);
        let over = refusing.take_over().unwrap();
        assert_eq!((over.from, over.until, over.times), (at(10), at(35), 2));
        assert_eq!(over.lasted, Duration::from_secs(15));
        assert_eq!(over.why, "full again");
        assert_eq!(refusing.take_over(), None);
    }
}
