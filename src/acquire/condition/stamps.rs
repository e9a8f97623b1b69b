//! The stamps of a device that stamps its own values: which of them are used, and where they lie on the boot clock.
//!
//! Pure. A stamp is used where it is *new*: other than the one that came with the tag before. The first value after a
//! connection or a loss, and one that came with an old stamp, hold at their arrival; only exact repeats keep their stamp.

use crate::acquire::clocks::{self, Change, DeviceClock};
use crate::acquire::driver::Reading;
use crate::health::DeviceHealth;
use crate::model::{BadReason, BootTime, UtcTime, Value};
use std::time::Duration;

/// What came with a tag last.
#[derive(Clone, Debug)]
struct Last {
    source: UtcTime,
    raw: Result<Value, BadReason>,
    boot: BootTime,
}

/// Why a stamp was refused, for the log: once until there is a good one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The trust in the clock changed.
    Trust(Change),
    /// A stamp that cannot be came, so many seconds old (negative: ahead).
    Impossible(i64),
}

/// The stamps of one device.
#[derive(Clone, Debug)]
pub(super) struct Stamps {
    clock: DeviceClock,
    /// By local number of the tag.
    last: Vec<Option<Last>>,
    impossible: bool,
    news: Vec<News>,
}

/// A server tells the values of one tag in their order: one that lies before the one before it by more than this was
/// stamped by a clock that was set back, and is none the less the newest.
const SET_BACK_NS: i64 = 1_000_000_000;
/// Most news kept until somebody asks.
const MAX_NEWS: usize = 4;

impl Stamps {
    pub(super) fn new(max_skew: Duration, reports_every: Duration, tags: usize) -> Stamps {
        Stamps {
            clock: DeviceClock::new(max_skew, reports_every),
            last: vec![None; tags],
            impossible: false,
            news: Vec::new(),
        }
    }

    /// The device was lost: whatever comes next holds from its arrival on.
    pub(super) fn forget(&mut self) {
        self.last.fill(None);
    }

    /// What is to be told since the last time.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Puts the readings of one answer where they belong and in that order; `first` is the number of the first tag.
    pub(super) fn place(
        &mut self,
        readings: &mut [Reading],
        first: usize,
        synchronised: bool,
        health: &DeviceHealth,
    ) {
        for reading in readings.iter_mut() {
            self.check(reading, synchronised);
        }
        self.learn(readings, first, synchronised);
        for reading in readings.iter_mut() {
            self.stamp(reading, first, health);
        }
        readings.sort_by_key(|reading| reading.stamp.boot);
    }

    /// A stamp that cannot be makes its value bad.
    fn check(&mut self, reading: &mut Reading, synchronised: bool) {
        let Some(source) = reading.source else { return };
        let impossible = !self.clock.is_possible(source, reading.stamp, synchronised);
        if impossible {
            reading.raw = Err(BadReason::Stamp);
            reading.source = None;
            if !self.impossible {
                let age_ns = reading.stamp.utc.0.saturating_sub(source.0);
                self.tell(News::Impossible(age_ns / 1_000_000_000));
            }
        }
        self.impossible = impossible;
    }

    /// The clock is learnt from what was newly stamped, and from what cannot have waited: a stamp ahead of us.
    fn learn(&mut self, readings: &[Reading], first: usize, synchronised: bool) {
        let mut least: Option<i64> = None;
        let mut arrival = None;
        for reading in readings {
            let Some(source) = reading.source else {
                continue;
            };
            let last = local(reading, first).and_then(|local| self.last.get(local)?.as_ref());
            let is_new = last.is_some_and(|last| last.source != source);
            let is_ahead = synchronised && source > reading.stamp.utc;
            if is_new || is_ahead {
                let delay = clocks::delay(source, reading.stamp);
                least = Some(least.map_or(delay, |least| least.min(delay)));
                arrival = Some(reading.stamp);
            }
        }
        if let Some((least, arrival)) = least.zip(arrival)
            && let Some(change) = self.clock.hear(least, arrival, synchronised)
        {
            self.tell(News::Trust(change));
        }
    }

    fn stamp(&mut self, reading: &mut Reading, first: usize, health: &DeviceHealth) {
        let (Some(source), Some(local)) = (reading.source, local(reading, first)) else {
            return;
        };
        let arrival = reading.stamp;
        let Some(last) = self.last.get_mut(local) else {
            return;
        };
        let boot = match last {
            _ if self.clock.is_skewed() => {
                health.skewed.add(1);
                arrival.boot
            }
            Some(last) if last.source == source && last.raw == reading.raw => last.boot,
            Some(last) if last.source != source => {
                let mapped = self.clock.boot_time(source, arrival);
                let mapped = mapped.unwrap_or(arrival.boot);
                // The device's own order of one tag counts for more than our reckoning.
                if last.boot.0.saturating_sub(mapped.0) > SET_BACK_NS {
                    arrival.boot
                } else if source > last.source {
                    mapped.max(last.boot).min(arrival.boot)
                } else {
                    mapped
                }
            }
            _ => arrival.boot,
        };
        reading.stamp = arrival.at(boot);
        *last = Some(Last {
            source,
            raw: reading.raw.clone(),
            boot,
        });
    }

    fn tell(&mut self, news: News) {
        if self.news.len() < MAX_NEWS {
            self.news.push(news);
        }
    }
}

fn local(reading: &Reading, first: usize) -> Option<usize> {
    reading.tag.index().checked_sub(first)
}

/// For the log: what happened to the device's stamps, and what is to be done.
pub(super) fn in_words(news: News) -> String {
    match news {
        News::Trust(Change::Good) => "its clock is good again: its own stamps are used".to_owned(),
        News::Trust(Change::Skewed(None)) => {
            "its clock is set again and again: our own stamps are used instead".to_owned()
        }
        News::Trust(Change::Skewed(Some(behind_ns))) => {
            let (by, way) = if behind_ns < 0 {
                (behind_ns.saturating_neg(), "ahead of ours")
            } else {
                (behind_ns, "behind ours, or its values come that late")
            };
            format!(
                "its clock is {} ms {way}: our own stamps are used instead; let it follow the same NTP server, look for local time set as UTC, or write a larger `max_skew`",
                by / 1_000_000
            )
        }
        News::Impossible(age_s) if age_s < 0 => format!(
            "a stamp lies {} s in the future, which makes its value bad: set the device's clock (local time as UTC?), or write `timestamps: gateway`",
            age_s.saturating_neg()
        ),
        News::Impossible(age_s) => format!(
            "a stamp is {} days old, which makes its value bad: set the device's clock; if the value has only not changed for so long, write `timestamps: server`",
            age_s / 86_400
        ),
    }
}
