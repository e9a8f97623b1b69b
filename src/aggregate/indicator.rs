//! Something that wears: level and trend of a value over a long window, in memory that does not grow. Pure.
//!
//! The window is cut into buckets with the time-weighted mean of each. `value` is the mean of the newest tenth of the window
//! in which there is data, `baseline` that of the oldest one, the trend a straight line by weighted least squares.

use crate::model::{BootTime, Level};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Buckets of a window: of 7 days, 42 minutes each.
pub const BUCKETS: i64 = 240;
/// Buckets that one page of the checkpoint has: only the newest page changes.
pub const PAGE: i64 = 24;
/// Buckets of the newest and of the oldest part.
const TENTH: i64 = BUCKETS / 10;
/// Part of the distance between `warn` and `alarm` that a value must come back before its level falls.
const HYSTERESIS: f64 = 0.05;
/// The same part of the only threshold, where there is one.
const HYSTERESIS_OF_ONE: f64 = 0.02;
/// Nanoseconds of a day.
const DAY_NS: f64 = 86_400e9;

/// What the settings say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// From here on it is worth a look.
    pub warn: Option<f64>,
    /// From here on something must be done.
    pub alarm: Option<f64>,
}

impl Thresholds {
    /// What falls is bad: `alarm` is below `warn`.
    fn falling(self) -> bool {
        matches!((self.warn, self.alarm), (Some(warn), Some(alarm)) if alarm < warn)
    }

    fn hysteresis(self) -> f64 {
        match (self.warn, self.alarm) {
            (Some(warn), Some(alarm)) => (alarm - warn).abs() * HYSTERESIS,
            (warn, alarm) => warn.or(alarm).map_or(0.0, f64::abs) * HYSTERESIS_OF_ONE,
        }
    }

    /// The level of `value` after `before`: up at once, down when it has come back far enough.
    #[must_use]
    pub fn level(self, value: f64, before: Level) -> Level {
        let sign = if self.falling() { -1.0 } else { 1.0 };
        let beyond = |threshold: Option<f64>, held: bool| {
            let back = if held { self.hysteresis() } else { 0.0 };
            threshold.is_some_and(|threshold| sign * value >= sign * threshold - back)
        };
        let alarm = before == Level::Alarm;
        let warn = alarm || before == Level::Warn;
        if beyond(self.alarm, alarm) {
            Level::Alarm
        } else if beyond(self.warn, warn) {
            Level::Warn
        } else {
            Level::Ok
        }
    }
}

/// A part of the window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its number since the origin.
    pub index: i64,
    /// Nanoseconds in which the value was looked at.
    pub covered_ns: i64,
    /// Mean over them.
    pub mean: f64,
}

impl Bucket {
    fn add(&mut self, ns: i64, value: f64) {
        self.covered_ns += ns;
        self.mean += (value - self.mean) * ns as f64 / self.covered_ns as f64;
    }
}

/// What is said about it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// Mean of the newest tenth of the window in which there is data.
    pub value: Option<f64>,
    /// Mean of the oldest tenth, where that is another one.
    pub baseline: Option<f64>,
    /// Slope per day; `None` where elapsed time is not known.
    pub trend_per_day: Option<f64>,
    /// Seconds of the window in which it was looked at.
    pub covered_s: f64,
}

/// Where the buckets begin, and what time they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Bucket 0 begins here.
    pub origin: BootTime,
    /// Length of a bucket in nanoseconds.
    pub bucket_ns: i64,
    /// Before this bucket lies time that nobody measured.
    pub broken: Option<i64>,
}

/// Level and trend of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Indicator {
    frame: Frame,
    buckets: VecDeque<Bucket>,
    /// The value that holds, and up to when it was added.
    held: Option<(BootTime, f64)>,
    /// The condition holds.
    looked_at: bool,
}

impl Indicator {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(window_ns: i64, now: BootTime) -> Indicator {
        Indicator {
            frame: Frame {
                origin: now,
                bucket_ns: (window_ns / BUCKETS).max(1),
                broken: None,
            },
            buckets: VecDeque::new(),
            held: None,
            looked_at: false,
        }
    }

    /// Goes on after a restart. `measurable`: the time between is known.
    #[must_use]
    pub fn resumed(
        frame: Frame,
        buckets: Vec<Bucket>,
        shift_ns: i64,
        measurable: bool,
    ) -> Indicator {
        let mut buckets = VecDeque::from(buckets);
        buckets.make_contiguous().sort_by_key(|bucket| bucket.index);
        buckets.retain(|bucket| bucket.covered_ns > 0 && bucket.mean.is_finite());
        let after = buckets.back().map(|bucket| bucket.index + 1);
        Indicator {
            frame: Frame {
                origin: frame.origin.shifted(shift_ns),
                bucket_ns: frame.bucket_ns.max(1),
                broken: if measurable {
                    frame.broken
                } else {
                    after.or(frame.broken)
                },
            },
            buckets,
            held: None,
            looked_at: false,
        }
    }

    /// What must survive a restart besides the buckets.
    #[must_use]
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// The buckets, oldest first.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter()
    }

    /// When the bucket of `now` ends.
    #[must_use]
    pub fn bucket_end(&self, now: BootTime) -> BootTime {
        self.begin_of(self.index(now).saturating_add(1))
    }

    /// The value from `now` on; `None` when it is bad.
    pub fn hold(&mut self, now: BootTime, value: Option<f64>) {
        self.pass(now);
        self.held = value
            .filter(|value| value.is_finite())
            .map(|value| (now, value));
    }

    /// The condition holds, or not, from `now` on.
    pub fn gate(&mut self, now: BootTime, looked_at: bool) {
        self.pass(now);
        self.looked_at = looked_at;
    }

    /// Adds what held up to `now`, and forgets what is older than the window.
    pub fn pass(&mut self, now: BootTime) {
        let Some((since, value)) = &mut self.held else {
            return;
        };
        let (from, value) = (*since, *value);
        *since = from.max(now);
        if self.looked_at && from < now {
            self.spread(from, now, value);
        }
    }

    fn spread(&mut self, from: BootTime, to: BootTime, value: f64) {
        // What is longer ago than the window is forgotten in any case.
        let oldest = self.begin_of(self.index(to).saturating_sub(BUCKETS));
        let mut at = from.max(oldest);
        while at < to {
            let index = self.index(at);
            let end = self.begin_of(index.saturating_add(1)).min(to);
            if end <= at {
                return;
            }
            if let Some(bucket) = self.bucket(index) {
                bucket.add(end.0.saturating_sub(at.0), value);
            }
            at = end;
        }
    }

    fn bucket(&mut self, index: i64) -> Option<&mut Bucket> {
        if self.buckets.back().is_none_or(|last| last.index < index) {
            self.buckets.push_back(Bucket {
                index,
                covered_ns: 0,
                mean: 0.0,
            });
            while self
                .buckets
                .front()
                .is_some_and(|b| b.index <= index - BUCKETS)
            {
                self.buckets.pop_front();
            }
        }
        self.buckets.back_mut()
    }

    fn index(&self, at: BootTime) -> i64 {
        at.0.saturating_sub(self.frame.origin.0)
            .div_euclid(self.frame.bucket_ns)
    }

    fn begin_of(&self, index: i64) -> BootTime {
        let since = index.saturating_mul(self.frame.bucket_ns);
        BootTime(self.frame.origin.0.saturating_add(since))
    }

    /// What is to be said at `now`. Everything is `None` while there is less than a bucket's worth of data.
    pub fn findings(&mut self, now: BootTime) -> Findings {
        self.pass(now);
        // A bucket that begins now has nothing yet.
        let newest = self.index(now.shifted(-1));
        let oldest = newest.saturating_sub(BUCKETS);
        while self
            .buckets
            .front()
            .is_some_and(|bucket| bucket.index <= oldest)
        {
            self.buckets.pop_front();
        }
        let covered: i64 = self.buckets.iter().map(|bucket| bucket.covered_ns).sum();
        let covered_s = covered as f64 / 1e9;
        let (Some(first), Some(last)) = (self.buckets.front(), self.buckets.back()) else {
            return Findings::default();
        };
        if covered < self.frame.bucket_ns {
            return Findings {
                covered_s,
                ..Findings::default()
            };
        }
        let (newest, oldest) = (last.index - TENTH, first.index + TENTH);
        let apart = oldest <= newest + 1;
        Findings {
            value: self.mean(|index| index > newest),
            baseline: apart.then(|| self.mean(|index| index < oldest)).flatten(),
            trend_per_day: apart.then(|| self.slope_per_day()).flatten(),
            covered_s,
        }
    }

    fn mean(&self, inside: impl Fn(i64) -> bool) -> Option<f64> {
        let part = self.buckets.iter().filter(|bucket| inside(bucket.index));
        let (mut weight, mut sum) = (0.0, 0.0);
        for bucket in part {
            let covered = bucket.covered_ns as f64;
            weight += covered;
            sum += bucket.mean * covered;
        }
        (weight > 0.0)
            .then(|| sum / weight)
            .filter(|mean| mean.is_finite())
    }

    /// The straight line through the means of the buckets, each with the weight of the time that it knows.
    fn slope_per_day(&self) -> Option<f64> {
        let first = self.buckets.front()?.index;
        // Nobody knows how much time lies between: there is no line.
        if self.frame.broken.is_some_and(|broken| broken > first) {
            return None;
        }
        let points = || {
            let of = |b: &Bucket| ((b.index - first) as f64, b.mean, b.covered_ns as f64);
            self.buckets.iter().map(of)
        };
        let weight: f64 = points().map(|(.., w)| w).sum();
        let x_mean = points().map(|(x, _, w)| x * w).sum::<f64>() / weight;
        let y_mean = points().map(|(_, y, w)| y * w).sum::<f64>() / weight;
        let spread: f64 = points().map(|(x, _, w)| w * (x - x_mean).powi(2)).sum();
        let product: f64 = points()
            .map(|(x, y, w)| w * (x - x_mean) * (y - y_mean))
            .sum();
        let per_bucket = product / spread;
        let per_day = per_bucket * DAY_NS / self.frame.bucket_ns as f64;
        (spread > 0.0)
            .then_some(per_day)
            .filter(|slope| slope.is_finite())
    }
}

#[cfg(test)]
mod tests;
