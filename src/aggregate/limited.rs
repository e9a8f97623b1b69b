//! All limits of one open operation: which are exceeded, and what waits to be told. Pure.
//!
//! Crossings wait until the operation may be spoken of: its start was told (`min_duration`), and no end of it is being
//! debounced, since what comes after the end is not its own. `machine/limits` tells them.

use super::definition::Parameter;
use super::limit::{Crossing, Reached, Threshold, Watch};
use crate::model::{Severity, Side, UtcTime};
use crate::settings::shape;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most crossings that wait: three limits that flutter for a minute. Later exceedings are only counted.
const MOST_WAITING: usize = 64;

/// A limit of the settings, on one side of a parameter.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// The parameter's name and its place in the definition, if that still has it.
    pub(super) name: String,
    pub(super) parameter: Option<usize>,
    pub(super) threshold: Threshold,
    pub(super) severity: Severity,
}

/// The limits of an operation; a parameter that has some is marked. One that is limited above and below has two.
pub(super) fn compile(settings: &shape::Operation, parameters: &mut [Parameter]) -> Vec<Limit> {
    let mut limits = Vec::new();
    for limit in &settings.limits {
        let parameter = parameters.iter().position(|found| found.name == limit.of);
        if let Some(limited) = parameter.and_then(|place| parameters.get_mut(place)) {
            limited.limited = true;
        }
        for (side, at) in [(Side::High, limit.above), (Side::Low, limit.below)] {
            limits.extend(at.map(|at| Limit {
                name: limit.of.clone(),
                parameter,
                threshold: Threshold {
                    side,
                    at,
                    hysteresis: limit.hysteresis,
                    hold: i64::try_from(limit.hold.get().as_nanos()).unwrap_or(i64::MAX),
                },
                severity: limit.severity,
            }));
        }
    }
    limits
}

/// The limits of an open operation, in the order of its definition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Limited {
    watches: Vec<Watch>,
    queue: Queue,
}

/// What waits to be told, in the order in which it was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Queue {
    waiting: Vec<(usize, Crossing)>,
    /// By limit, the event that told of an exceeding that is not cleared yet.
    told: Vec<Option<Uuid>>,
    /// Exceedings that found no room.
    held_back: u64,
}

impl Queue {
    fn keep(&mut self, index: usize, crossing: Option<Crossing>) {
        let Some(crossing) = crossing else { return };
        let mut newest_first = self.waiting.iter().rev();
        let before = newest_first.find(|(kept, _)| *kept == index);
        let takes = match (crossing, before) {
            (Crossing::Exceeded(_), _) => {
                let room = self.waiting.len() < MOST_WAITING;
                self.held_back += u64::from(!room);
                room
            }
            // An end goes in whenever its beginning did.
            (_, Some((_, before))) => matches!(before, Crossing::Exceeded(_)),
            (_, None) => self.told.get(index).is_some_and(Option::is_some),
        };
        if takes {
            self.waiting.push((index, crossing));
        }
    }
}

impl Limited {
    pub(super) fn new(limits: &[Limit]) -> Limited {
        Limited {
            watches: limits.iter().map(|_| Watch::default()).collect(),
            queue: Queue {
                told: vec![None; limits.len()],
                ..Queue::default()
            },
        }
    }

    /// Does `what` to the watch of each limit on a parameter, and keeps what comes of it. True when something waits.
    fn each(
        &mut self,
        limits: &[Limit],
        parameter: usize,
        what: impl Fn(&mut Watch, &Threshold) -> Option<Crossing>,
    ) -> bool {
        let watches = self.watches.iter_mut().zip(limits).enumerate();
        for (index, (watch, limit)) in watches {
            if limit.parameter == Some(parameter) {
                let crossing = what(watch, &limit.threshold);
                self.queue.keep(index, crossing);
            }
        }
        !self.queue.waiting.is_empty()
    }

    /// A usable value of a parameter.
    pub(super) fn value(&mut self, limits: &[Limit], parameter: usize, now: Reached) -> bool {
        self.each(limits, parameter, |watch, limit| watch.value(limit, now))
    }

    /// A bad value of a parameter, or nothing is known about it.
    pub(super) fn unknown(&mut self, limits: &[Limit], parameter: usize) {
        self.each(limits, parameter, |watch, _| {
            watch.unknown();
            None
        });
    }

    /// `while:` of a parameter holds no longer.
    pub(super) fn leave(&mut self, limits: &[Limit], parameter: usize, t: i64, utc: UtcTime) {
        self.each(limits, parameter, |watch, _| watch.end(t, utc));
    }

    /// When [`Limited::expire`] has something to do, in nanoseconds since the start.
    pub(super) fn due(&self, limits: &[Limit]) -> Option<i64> {
        let watches = self.watches.iter().zip(limits);
        watches
            .filter_map(|(watch, limit)| watch.due(&limit.threshold))
            .min()
    }

    pub(super) fn expire(&mut self, limits: &[Limit], t: i64) {
        for (index, (watch, limit)) in self.watches.iter_mut().zip(limits).enumerate() {
            let crossing = watch.expire(&limit.threshold, t);
            self.queue.keep(index, crossing);
        }
    }

    /// The operation ended at `t`: nothing stays exceeded, and what came later is not its own.
    pub(super) fn finish(&mut self, t: i64, utc: UtcTime) {
        for (index, watch) in self.watches.iter_mut().enumerate() {
            let crossing = watch.end(t, utc);
            self.queue.keep(index, crossing);
        }
        // What was told is ended in any case.
        let told = &self.queue.told;
        let ends_told = |index: usize, crossing: &Crossing| {
            let is_told = told.get(index).is_some_and(Option::is_some);
            is_told && matches!(crossing, Crossing::Cleared { .. })
        };
        self.queue
            .waiting
            .retain(|(index, crossing)| crossing.since() <= t || ends_told(*index, crossing));
        for (_, crossing) in &mut self.queue.waiting {
            if let Crossing::Cleared { back, outside, .. } = crossing
                && back.t > t
            {
                let value = *outside;
                *back = Reached { t, utc, value };
            }
        }
    }

    /// Forgets what was exceeded while nobody could say whether the operation still ran: it had ended.
    pub(super) fn forget_new(&mut self) {
        let is_end = |crossing: &Crossing| matches!(crossing, Crossing::Cleared { .. });
        self.queue.waiting.retain(|(_, crossing)| is_end(crossing));
    }

    /// Carries them over a restart of the gateway.
    pub(super) fn resume(&mut self, measurable: bool) {
        for watch in &mut self.watches {
            watch.resume(measurable);
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.queue.waiting.is_empty()
    }

    /// The next crossing to tell: the number of its limit, and for an end the event that it answers. Ends of what was not told
    /// are passed over.
    pub(super) fn next(&mut self) -> Option<(usize, Crossing, Option<Uuid>)> {
        while !self.queue.waiting.is_empty() {
            let (index, crossing) = self.queue.waiting.remove(0);
            match crossing {
                Crossing::Exceeded(_) => return Some((index, crossing, None)),
                Crossing::Cleared { .. } => {
                    let answers = self.queue.told.get_mut(index).and_then(Option::take);
                    if answers.is_some() {
                        return Some((index, crossing, answers));
                    }
                }
            }
        }
        None
    }

    /// An exceeding was told by this event.
    pub(super) fn was_told(&mut self, index: usize, event: Uuid) {
        if let Some(told) = self.queue.told.get_mut(index) {
            *told = Some(event);
        }
    }

    /// Exceedings that were not told since this was last asked.
    pub(super) fn take_held_back(&mut self) -> u64 {
        let fluttered: u32 = self.watches.iter_mut().map(Watch::take_held_back).sum();
        std::mem::take(&mut self.queue.held_back) + u64::from(fluttered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Vec<Limit> {
        vec![Limit {
            name: "force".into(),
            parameter: Some(0),
            threshold: Threshold {
                side: Side::High,
                at: 250.0,
                hysteresis: 0.0,
                hold: 0,
            },
            severity: Severity::Medium,
        }]
    }

    fn reached(t: i64, value: f64) -> Reached {
        let utc = UtcTime(t);
        Reached { t, utc, value }
    }

    #[test]
    fn what_was_told_is_ended_also_by_an_end_that_is_stamped_before_it() {
        let (limits, event) = (limits(), Uuid::from_u128(7));
        let mut limited = Limited::new(&limits);
        assert!(limited.value(&limits, 0, reached(5, 260.0)));
        assert!(matches!(
            limited.next(),
            Some((0, Crossing::Exceeded(_), None))
        ));
        limited.was_told(0, event);
        limited.finish(4, UtcTime(4));
        let cleared = limited.next();
        assert!(
            matches!(cleared, Some((0, Crossing::Cleared { .. }, Some(told))) if told == event)
        );
        assert!(limited.next().is_none());
    }

    #[test]
    fn what_came_after_the_end_is_never_told_and_what_waits_has_a_limit() {
        let limits = limits();
        let mut limited = Limited::new(&limits);
        limited.value(&limits, 0, reached(5, 260.0));
        limited.value(&limits, 0, reached(6, 100.0));
        limited.finish(4, UtcTime(4));
        assert!(limited.next().is_none());
        for minute in 0..1_000 {
            let t = minute * 60_000_000_000;
            limited.value(&limits, 0, reached(t, 260.0));
            limited.value(&limits, 0, reached(t + 1, 100.0));
        }
        assert!(limited.queue.waiting.len() <= MOST_WAITING + limits.len());
        assert_eq!(limited.take_held_back(), 1_000 - MOST_WAITING as u64 / 2);
        let told = std::iter::from_fn(|| {
            let next = limited.next()?;
            if matches!(next.1, Crossing::Exceeded(_)) {
                limited.was_told(next.0, Uuid::nil());
            }
            Some(next)
        });
        assert_eq!(told.count(), MOST_WAITING);
    }
}
