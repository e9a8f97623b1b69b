//! Stops of a machine: one from the edge where it came to stand to the edge where it no longer does, in segments. Pure.
//!
//! Missing data neither begins nor ends a stop. Its time counts, and is said beside it; where the stop turns out to be
//! over, it ended when that was seen, and may have ended that much earlier. Segments sum to the stop. Whether it was a
//! micro-stop is said of the whole: a segment waits until the stop is long enough, or over.

mod plan;
mod segment;

pub use plan::Plan;
pub use segment::{Before, Cut, Segment, Told};

use super::equipment::Reading;
use crate::model::{BootTime, Mode, Reason, ReasonSource, Reference, Stamp, State};
use segment::Open;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use uuid::Uuid;

/// A scanned reason is about the last stop for so long: a shift, at whose end people write down what happened in it.
const RECLASSIFY_WITHIN: Duration = Duration::from_secs(8 * 3600);
/// Changes of shift and order that are kept for a stop that is told later than it began: bridges and debounces are short.
const CUTS: usize = 8;

/// What a stop is, in all its segments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Its id.
    pub id: Uuid,
    /// State that it began with.
    pub state: State,
    /// Its substate.
    pub substate: Option<String>,
    /// Mode that it began with.
    pub mode: Mode,
    /// The first that the machine said.
    machine: Option<Reason>,
    /// The first that the settings say.
    rule: Option<Reason>,
    /// The last that somebody scanned.
    scanned: Option<Reason>,
    /// Code of the alarm that stood first.
    pub first_alarm: Option<String>,
}

impl Stop {
    /// Why: what a person says comes before the machine, the machine before the settings.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        let said = self.scanned.as_ref().or(self.machine.as_ref());
        said.or(self.rule.as_ref())
    }

    fn learn(&mut self, reason: Option<&Reason>) {
        let Some(reason) = reason else { return };
        let place = match reason.source {
            ReasonSource::Plc => &mut self.machine,
            ReasonSource::Settings => &mut self.rule,
            ReasonSource::Operator => return,
        };
        place.get_or_insert_with(|| reason.clone());
    }
}

/// What is the case while the machine stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The order that is worked on.
    pub order: Option<Reference>,
    /// The shift.
    pub shift: Option<String>,
}

/// A stop that is over, and whose reason may still be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Closed {
    stop: Stop,
    micro: bool,
    ended: BootTime,
    told: VecDeque<Told>,
}

/// What must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Of the last stop.
    ordinal: u64,
    open: Option<Open>,
    last: Option<Closed>,
    cuts: VecDeque<Cut>,
}

/// Segments of a stop that can be told now.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// The stop.
    pub stop: Stop,
    /// It is a micro-stop.
    pub micro: bool,
    /// In order.
    pub segments: Vec<Segment>,
}

/// A reason that came late: what was told of the stop is told again.
#[derive(Clone, Debug, PartialEq)]
pub struct Reclassified {
    /// The stop, with its new reason.
    pub stop: Stop,
    /// It was a micro-stop.
    pub micro: bool,
    /// The reason before.
    pub before: Option<Reason>,
    /// What was told, by the events that told it last; nothing, where that reason was said already.
    pub told: Vec<Told>,
}

/// The stops of a machine.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    plan: Option<Plan>,
    memory: Memory,
}

impl Stops {
    /// Without a plan nothing is a stop.
    #[must_use]
    pub fn new(plan: Option<Plan>) -> Stops {
        Stops {
            plan,
            memory: Memory::default(),
        }
    }

    /// What must survive a restart.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Goes on with what an earlier run knew: nobody saw the machine since `alive`.
    pub fn resume(&mut self, memory: Memory, alive: BootTime, shift_ns: i64, measurable: bool) {
        self.memory = memory;
        if let Some(open) = &mut self.memory.open {
            open.resume(alive, shift_ns, measurable);
        }
        if let Some(last) = &mut self.memory.last {
            last.ended = last.ended.shifted(shift_ns);
        }
        self.memory.cuts.clear();
    }

    /// The open stop.
    #[must_use]
    pub fn open(&self) -> Option<&Stop> {
        self.memory.open.as_ref().map(|open| &open.stop)
    }

    /// What somebody said about the open stop, if `reading` still belongs to it.
    #[must_use]
    pub fn scanned_reason(&self, reading: &Reading) -> Option<&Reason> {
        let open = self.memory.open.as_ref()?;
        (self.is_stop(reading) == Some(true))
            .then_some(open.stop.scanned.as_ref())
            .flatten()
    }

    fn is_stop(&self, reading: &Reading) -> Option<bool> {
        let plan = self.plan.as_ref();
        plan.map_or(Some(false), |plan| plan.is_stop(reading))
    }

    /// The state is `reading` since `since`. `place` is what is the case now, `name` names a stop by its ordinal.
    pub fn follow(
        &mut self,
        reading: &Reading,
        since: Stamp,
        place: &Place,
        name: impl FnOnce(u64) -> Uuid,
    ) -> Option<Ready> {
        let Some(open) = &mut self.memory.open else {
            if self.is_stop(reading) == Some(true) {
                self.begin(reading, since, place, name);
            }
            return None;
        };
        let plan = self.plan.as_ref();
        match plan.map_or(Some(false), |plan| plan.is_stop(reading)) {
            Some(true) => {
                open.seen(since.boot);
                open.stop.learn(reading.reason.as_ref());
                None
            }
            Some(false) => self.end(since),
            None => {
                open.unseen(since.boot);
                None
            }
        }
    }

    /// The state holds still at `now`: a stop that was carried over a restart goes on, or is one no longer.
    pub fn seen(&mut self, reading: &Reading, now: Stamp) -> Option<Ready> {
        let judged = self.is_stop(reading)?;
        let open = self.memory.open.as_mut()?;
        if judged {
            open.seen(now.boot);
            return None;
        }
        self.end(now)
    }

    fn begin(
        &mut self,
        reading: &Reading,
        since: Stamp,
        place: &Place,
        name: impl FnOnce(u64) -> Uuid,
    ) {
        self.memory.ordinal += 1;
        let mut stop = Stop {
            id: name(self.memory.ordinal),
            state: reading.state,
            substate: reading.substate.clone(),
            mode: reading.mode,
            machine: None,
            rule: None,
            scanned: None,
            first_alarm: None,
        };
        stop.learn(reading.reason.as_ref());
        // What changed between its beginning and now cuts it, too.
        let later = |cut: &&Cut| cut.at.boot > since.boot;
        let cuts: Vec<Cut> = self.memory.cuts.iter().filter(later).cloned().collect();
        let until = |index: usize| {
            let rest = cuts.iter().skip(index).rev();
            rest.fold(place.clone(), |after, cut| cut.before(after))
        };
        let mut open = Open::new(stop, since, until(0));
        for (index, cut) in cuts.iter().enumerate() {
            open.cut(cut.at, until(index + 1));
        }
        self.memory.open = Some(open);
    }

    /// The shift now: a segment that began with it takes its name.
    pub fn shift_is(&mut self, shift: Option<&str>) {
        if let Some(open) = &mut self.memory.open {
            open.shift_is(shift);
        }
    }

    /// The shift or the order changed: `before` is what it was, `place` what is the case from now on. The name of a new
    /// shift is not known yet: [`Stops::shift_is`] says it.
    pub fn cut(&mut self, cut: Cut, place: &Place) {
        let plan = self.plan.as_ref();
        let wanted = plan.is_some_and(|plan| match cut.before {
            Before::Shift(_) => plan.split_at_shift,
            Before::Order(_) => plan.split_at_order,
        });
        if !wanted {
            return;
        }
        match (&mut self.memory.open, &cut.before) {
            (Some(open), Before::Shift(before)) => {
                open.cut_shift(cut.at, before.as_deref(), place.clone());
            }
            (Some(open), Before::Order(_)) => open.cut(cut.at, place.clone()),
            (None, _) => {}
        }
        self.memory.cuts.push_back(cut);
        while self.memory.cuts.len() > CUTS {
            self.memory.cuts.pop_front();
        }
    }

    /// An alarm was raised, or stood already, while the stop is open.
    pub fn alarm(&mut self, code: &str) {
        if let Some(open) = &mut self.memory.open {
            open.stop.first_alarm.get_or_insert_with(|| code.to_owned());
        }
    }

    /// When segments that wait can be told, as far as that is known.
    #[must_use]
    pub fn due(&self, leaving: Option<BootTime>) -> Option<BootTime> {
        let open = self.memory.open.as_ref()?;
        if self.plan.is_none() {
            return Some(open.began.boot);
        }
        let grown = open.began.boot.plus(self.micro_stop_below());
        let may_be_told = leaving.is_none_or(|left| left >= grown);
        (open.waits(leaving) && may_be_told).then_some(grown)
    }

    /// Segments that waited for the stop to be long enough. From `leaving` on it may be over already.
    pub fn ready(&mut self, now: Stamp, leaving: Option<BootTime>) -> Option<Ready> {
        if self.plan.is_none() {
            return self.end(now);
        }
        if self.due(leaving)? > now.boot {
            return None;
        }
        let open = self.memory.open.as_mut()?;
        let segments = open.release(leaving);
        Some(Ready {
            stop: open.stop.clone(),
            micro: false,
            segments,
        })
    }

    fn micro_stop_below(&self) -> Duration {
        let plan = self.plan.as_ref();
        plan.map_or(Duration::ZERO, |plan| plan.micro_stop_below)
    }

    fn end(&mut self, at: Stamp) -> Option<Ready> {
        let mut open = self.memory.open.take()?;
        open.end(at);
        let segments = open.release(None);
        let length = open.length(at.boot);
        let micro = length.is_some_and(|length| length < self.micro_stop_below());
        // People explain what kept them waiting, not the short stop after it.
        let explains =
            |last: &Closed| micro && !last.micro && at.boot <= last.ended.plus(RECLASSIFY_WITHIN);
        if !self.memory.last.as_ref().is_some_and(explains) {
            self.memory.last = Some(Closed {
                stop: open.stop.clone(),
                micro,
                ended: at.boot,
                told: open.told,
            });
        }
        Some(Ready {
            stop: open.stop,
            micro,
            segments,
        })
    }

    /// A segment was told by `event`.
    pub fn was_told(&mut self, stop: Uuid, segment: Segment, event: Uuid) {
        if let Some(told) = self.told_of(stop) {
            segment::remember(told, segment, event);
        }
    }

    fn told_of(&mut self, stop: Uuid) -> Option<&mut VecDeque<Told>> {
        let memory = &mut self.memory;
        let open = memory.open.as_mut().filter(|open| open.stop.id == stop);
        let last = memory.last.as_mut().filter(|last| last.stop.id == stop);
        open.map(|open| &mut open.told)
            .or(last.map(|last| &mut last.told))
    }

    /// Somebody says why the machine stands, or stood last. `None` where there is no stop that it could be about.
    pub fn reclassify(&mut self, reason: Reason, now: BootTime) -> Option<Reclassified> {
        let (stop, micro, told) = match (&mut self.memory.open, &mut self.memory.last) {
            (Some(open), _) => (&mut open.stop, false, &open.told),
            (None, Some(last)) if now <= last.ended.plus(RECLASSIFY_WITHIN) => {
                (&mut last.stop, last.micro, &last.told)
            }
            _ => return None,
        };
        let before = stop.reason().cloned();
        if stop.scanned.as_ref() == Some(&reason) {
            return Some(Reclassified {
                stop: stop.clone(),
                micro,
                before,
                told: Vec::new(),
            });
        }
        stop.scanned = Some(reason);
        Some(Reclassified {
            stop: stop.clone(),
            micro,
            before,
            told: told.iter().cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
