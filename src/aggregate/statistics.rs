//! Statistics of one tag over one operation, in bounded memory whatever the duration. Pure.
//!
//! Samples of any order of magnitude go through Welford's recurrence; time weighting integrates the value between samples,
//! by steps or straight lines. Only bad or missing data is a gap: a value holds until the next sample. Times are
//! nanoseconds since the operation's start, so that nothing here changes when a reboot moves the clock.

use super::condition::Known;
use super::covered::Covered;
use super::percentiles::Percentiles;
use super::profile::Profile;
use super::sequence::Sequence;
use crate::model::{Coverage, Interpolation, SampleCounts, SequenceReport, Statistics, Value};
use serde::{Deserialize, Serialize};

/// What is known about the tag between samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Course {
    /// A value, and the instant from which it was known.
    Holds { since: i64, value: f64 },
    /// Bad or missing data. `unsure` when it is not known whether `while:` holds: samples are not taken then.
    Gap { since: i64, unsure: bool },
    /// `while:` does not hold: this time does not count.
    Outside,
}

/// The accumulator of one parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accumulator {
    linear: bool,
    course: Course,
    /// Time is accounted for up to here.
    accounted: i64,
    counts: SampleCounts,
    first: Option<f64>,
    last: Option<(i64, f64)>,
    min: Option<(f64, i64)>,
    max: Option<(f64, i64)>,
    n: u64,
    mean: f64,
    m2: f64,
    area: f64,
    covered: i64,
    gap: i64,
    longest_gap: i64,
    /// Of the gaps, the time in which `while:` was known to hold all the same.
    unread: i64,
    profile: Option<Profile>,
    percentiles: Option<Percentiles>,
    /// Of a parameter that is no quantity: nothing is reckoned then.
    sequence: Option<Sequence>,
}

/// How a parameter is to be accumulated.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How the value moves between samples.
    pub interpolation: Interpolation,
    /// Most points of the profile.
    pub profile: Option<u32>,
    /// Whether percentiles are asked for.
    pub percentiles: bool,
    /// Its values are told one after the other, and not added up.
    pub sequence: bool,
}

/// The value of the tag when the accumulation begins: `(nanoseconds before the start, value)`.
pub type Held = Option<(i64, f64)>;

impl Accumulator {
    /// Begins at time 0 with the value that the tag holds since `held`, if it is a good one. `inside` is what `while:` says, true without one.
    #[must_use]
    pub fn new(plan: &Plan, held: Held, inside: Known) -> Accumulator {
        let mut accumulator = Accumulator {
            linear: plan.interpolation == Interpolation::Linear,
            course: Course::Outside,
            accounted: 0,
            counts: SampleCounts::default(),
            first: None,
            last: None,
            min: None,
            max: None,
            n: 0,
            mean: 0.0,
            m2: 0.0,
            area: 0.0,
            covered: 0,
            gap: 0,
            longest_gap: 0,
            unread: 0,
            profile: plan.profile.map(Profile::new),
            percentiles: plan.percentiles.then(Percentiles::default),
            sequence: plan.sequence.then(Sequence::default),
        };
        match inside {
            Known::True => accumulator.enter(0, held),
            Known::False => {}
            Known::Unknown => accumulator.unsure(0),
        }
        accumulator
    }

    /// `while:` changed at `t`; `held` is the value of the tag then.
    pub fn gate(&mut self, t: i64, inside: Known, held: Held) {
        match (inside, self.course) {
            (Known::True, Course::Outside) => self.enter(t, held),
            (Known::True, Course::Gap { .. }) => {
                self.account(t, None);
                self.enter(t, held);
            }
            (Known::True, Course::Holds { .. }) => {}
            (Known::False, _) => {
                self.account(t, None);
                self.course = Course::Outside;
            }
            (Known::Unknown, _) => self.unsure(t),
        }
    }

    fn enter(&mut self, t: i64, held: Held) {
        self.accounted = self.accounted.max(t);
        self.course = match held {
            Some((since, value)) => Course::Holds { since, value },
            None => Course::Gap {
                since: t,
                unsure: false,
            },
        };
    }

    /// A usable sample. Samples while `while:` does not hold are not the parameter's.
    pub fn add(&mut self, t: i64, value: f64, uncertain: bool) {
        if self.is_closed() {
            return;
        }
        if t < 0 {
            // Read before the start, handed over after it: what the tag holds, and no sample of the operation.
            self.course = Course::Holds { since: t, value };
            return;
        }
        let repeated = self.last.is_some_and(|(_, last)| last == value);
        if !self.admit(t, repeated, uncertain) {
            return;
        }
        self.account(t, Some(value));
        self.course = Course::Holds { since: t, value };
        self.last = Some((t, value));
        self.take(t, value);
    }

    /// A usable sample of a sequence, of whatever type. Only that it covers the time counts beside its value.
    pub fn observe(&mut self, t: i64, value: &Value, uncertain: bool) {
        if self.is_closed() {
            return;
        }
        let holds = Course::Holds {
            since: t,
            value: 0.0,
        };
        if t >= 0 {
            let repeated = (self.sequence.as_ref()).is_some_and(|sequence| sequence.is(value));
            if !self.admit(t, repeated, uncertain) {
                return;
            }
            self.account(t, Some(0.0));
            self.last = Some((t, 0.0));
        }
        self.course = holds;
        self.hold(t, value);
    }

    /// What the tag of a sequence holds at `t`, where it begins to count.
    pub fn hold(&mut self, t: i64, value: &Value) {
        if self.is_closed() {
            return;
        }
        if let Some(sequence) = &mut self.sequence {
            sequence.observe(t.max(0), value);
        }
    }

    /// Counts a sample; false when it is late or repeats the last one.
    fn admit(&mut self, t: i64, repeated: bool, uncertain: bool) -> bool {
        self.counts.count += 1;
        match self.last {
            Some((last, _)) if t < last => {
                self.counts.late += 1;
                return false;
            }
            Some((last, _)) if t == last && repeated => {
                self.counts.duplicate += 1;
                return false;
            }
            _ => {}
        }
        if uncertain {
            self.counts.uncertain += 1;
        } else {
            self.counts.good += 1;
        }
        true
    }

    /// A bad sample, or the loss of the device.
    pub fn bad(&mut self, t: i64) {
        if self.is_closed() {
            return;
        }
        self.counts.count += 1;
        self.counts.bad += 1;
        self.gap_from(t);
    }

    /// A sample that came too late to be merged, or twice: it is counted, if it belongs here.
    pub fn refuse(&mut self, t: i64, late: bool) {
        if t < 0 || self.is_closed() {
            return;
        }
        self.counts.count += 1;
        if late {
            self.counts.late += 1;
        } else {
            self.counts.duplicate += 1;
        }
    }

    /// Nothing is known from `t` on: power was off, or `while:` is unknown.
    pub fn gap_from(&mut self, t: i64) {
        self.account(t, None);
        self.accounted = self.accounted.max(t);
        if !matches!(self.course, Course::Gap { .. }) {
            self.course = Course::Gap {
                since: self.accounted,
                unsure: false,
            };
        }
    }

    /// From `t` on it is not known whether `while:` holds: the time is a gap, and samples are not taken.
    pub fn unsure(&mut self, t: i64) {
        self.gap_from(t);
        if let Course::Gap { unsure, .. } = &mut self.course {
            *unsure = true;
        }
    }

    /// Samples are not the parameter's now.
    fn is_closed(&self) -> bool {
        matches!(
            self.course,
            Course::Outside | Course::Gap { unsure: true, .. }
        )
    }

    /// Accounts for the time up to the end. Nothing is added after it.
    pub fn finish(&mut self, t: i64) {
        self.account(t, None);
    }

    /// Puts the time from `accounted` to `t` where it belongs; `next` is the value at `t` if one is known.
    fn account(&mut self, t: i64, next: Option<f64>) {
        let passed = t.saturating_sub(self.accounted);
        match self.course {
            Course::Outside => return,
            _ if passed <= 0 && !matches!(self.course, Course::Gap { .. }) => return,
            Course::Gap { since, unsure } => {
                self.gap += passed.max(0);
                self.unread += if unsure { 0 } else { passed.max(0) };
                self.longest_gap = self.longest_gap.max(t.saturating_sub(since.max(0)));
            }
            Course::Holds { since, value } => {
                self.covered += passed;
                let (from, to) = match next {
                    Some(next) if self.linear && t > since => {
                        let slope = (next - value) / (t - since) as f64;
                        (value + slope * (self.accounted - since) as f64, next)
                    }
                    _ => (value, value),
                };
                self.area += (from / 2.0 + to / 2.0) * seconds(passed);
            }
        }
        self.accounted = self.accounted.max(t);
    }

    fn take(&mut self, t: i64, value: f64) {
        self.first.get_or_insert(value);
        if self.min.is_none_or(|(min, _)| value < min) {
            self.min = Some((value, t));
        }
        if self.max.is_none_or(|(max, _)| value > max) {
            self.max = Some((value, t));
        }
        self.n += 1;
        let delta = value - self.mean;
        self.mean += delta / self.n as f64;
        self.m2 += delta * (value - self.mean);
        if let Some(profile) = &mut self.profile {
            profile.add(t, value);
        }
        if let Some(percentiles) = &mut self.percentiles {
            percentiles.add(value);
        }
    }

    /// Samples by kind; `every_s` lets expect so many over the time that counts.
    #[must_use]
    pub fn counts(&self, every_s: f64) -> SampleCounts {
        let time = seconds(self.covered.saturating_add(self.gap));
        let expected = (every_s > 0.0).then(|| (time / every_s + 1e-6).floor() as u64);
        SampleCounts {
            expected,
            ..self.counts
        }
    }

    /// The numbers. `gated` when the parameter has a `while:`; `wanted` are the percentiles asked for.
    #[must_use]
    pub fn statistics(&self, gated: bool, wanted: &[f64]) -> Statistics {
        let covered_s = seconds(self.covered);
        let duration_s = gated.then(|| seconds(self.covered.saturating_add(self.unread)));
        if self.sequence.is_some() {
            return Statistics {
                duration_s,
                ..Statistics::default()
            };
        }
        // Sums of the largest numbers that there are leave what can be told.
        let finite = |number: f64| Some(number).filter(|number| number.is_finite());
        let spread = finite(self.m2).filter(|_| self.n > 1);
        let covered = Some(self.area).filter(|_| self.covered > 0);
        Statistics {
            first: self.first,
            last: self.last.map(|(_, value)| value),
            min: self.min.map(|(value, t)| (value, seconds(t))),
            max: self.max.map(|(value, t)| (value, seconds(t))),
            mean: Some(self.mean).filter(|_| self.n > 0).and_then(finite),
            stddev: spread.map(|m2| (m2.max(0.0) / (self.n - 1) as f64).sqrt()),
            time_weighted_mean: covered.and_then(|area| finite(area / covered_s)),
            integral: covered.and_then(finite),
            duration_s,
            percentiles: wanted
                .iter()
                .map(|percent| {
                    let value = self.percentiles.as_ref().and_then(|p| p.value(*percent));
                    (*percent, value)
                })
                .collect(),
            percentile_method: self.percentiles.as_ref().map(Percentiles::method),
        }
    }

    /// Time by quality, of the time that counts.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.covered_at(self.accounted).coverage()
    }

    /// Time by quality up to `t`, which is not before the last sample. Changes nothing.
    #[must_use]
    pub fn covered_at(&self, t: i64) -> Covered {
        let passed = t.saturating_sub(self.accounted).max(0);
        let mut covered = Covered::new(self.covered, self.gap, self.longest_gap);
        match self.course {
            Course::Outside => {}
            Course::Holds { .. } => covered.hold(passed),
            Course::Gap { since, .. } => covered.lack(passed, t.saturating_sub(since.max(0))),
        }
        covered
    }

    /// The profile so far.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// The values of a sequence so far.
    #[must_use]
    pub fn sequence(&self) -> Option<SequenceReport> {
        self.sequence.as_ref().map(Sequence::report)
    }
}

/// Nanoseconds as seconds.
#[must_use]
pub fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests;
