//! The open stop, cut into segments: from where to where, what of it was seen, and in which shift and for which order. Pure.

use super::{Place, Stop};
use crate::model::{BootTime, Reference, Stamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use uuid::Uuid;

/// Segments that wait at a time: more changes of order than that in so short a stop do not cut it.
const WAITING: usize = 16;
/// Segments that can be told again with another reason: the last ones, five days of three shifts.
const TOLD: usize = 16;

/// A part of a stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// From 1.
    pub index: u32,
    /// The stop ended with it.
    pub last: bool,
    /// Start.
    pub from: Stamp,
    /// End.
    pub to: Stamp,
    /// False where a reboot without a synchronised clock lies inside.
    pub measured: bool,
    /// Nanoseconds in which nobody saw the machine.
    pub unseen_ns: i64,
    /// Nanoseconds by which the stop may have ended earlier.
    pub uncertain_ns: Option<i64>,
    /// Order and shift during it.
    pub place: Place,
}

impl Segment {
    /// Seconds on the boot clock.
    #[must_use]
    pub fn duration_s(&self) -> Option<f64> {
        self.measured
            .then(|| self.to.boot.seconds_since(self.from.boot))
    }

    /// Seconds of it in which nobody saw the machine.
    #[must_use]
    pub fn unknown_s(&self) -> Option<f64> {
        self.measured.then_some(self.unseen_ns as f64 / 1e9)
    }

    /// Seconds by which the stop may have ended earlier; `None` also where that cannot be measured.
    #[must_use]
    pub fn end_uncertainty_s(&self) -> Option<f64> {
        let uncertain = self.uncertain_ns.filter(|_| self.measured)?;
        Some(uncertain as f64 / 1e9)
    }
}

/// A segment that was told, and the event that told it last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The segment.
    pub segment: Segment,
    /// Id of the event.
    pub event: Uuid,
}

/// Notes what was told; a segment that is told again has a new event.
pub(super) fn remember(told: &mut VecDeque<Told>, segment: Segment, event: Uuid) {
    told.retain(|known| known.segment.index != segment.index);
    told.push_back(Told { segment, event });
    while told.len() > TOLD {
        told.pop_front();
    }
}

/// What a cut ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Before {
    /// The shift that ended.
    Shift(Option<String>),
    /// The order that was worked on until then.
    Order(Option<Reference>),
}

/// A change of shift or order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// When.
    pub at: Stamp,
    /// What it was.
    pub before: Before,
}

impl Cut {
    /// What was the case before it, given what was the case after.
    pub(super) fn before(&self, after: Place) -> Place {
        match &self.before {
            Before::Shift(shift) => Place {
                shift: shift.clone(),
                ..after
            },
            Before::Order(order) => Place {
                order: order.clone(),
                ..after
            },
        }
    }
}

/// The stop that is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) stop: Stop,
    pub(super) began: Stamp,
    /// The whole can be measured.
    measured: bool,
    /// The segment that is open: its `to` is not known yet.
    segment: Segment,
    /// It began with a shift, whose name is not known until it is looked at.
    shift_open: bool,
    unseen_since: Option<BootTime>,
    /// Segments that are over and not told.
    waiting: VecDeque<Segment>,
    pub(super) told: VecDeque<Told>,
}

impl Open {
    pub(super) fn new(stop: Stop, began: Stamp, place: Place) -> Open {
        Open {
            stop,
            began,
            measured: true,
            segment: Segment {
                index: 1,
                last: false,
                from: began,
                to: began,
                measured: true,
                unseen_ns: 0,
                uncertain_ns: None,
                place,
            },
            shift_open: false,
            unseen_since: None,
            waiting: VecDeque::new(),
            told: VecDeque::new(),
        }
    }

    /// Carried over a restart.
    pub(super) fn resume(&mut self, alive: BootTime, shift_ns: i64, measurable: bool) {
        let moved = |stamp: &mut Stamp| stamp.boot = stamp.boot.shifted(shift_ns);
        moved(&mut self.began);
        moved(&mut self.segment.from);
        for segment in &mut self.waiting {
            moved(&mut segment.from);
            moved(&mut segment.to);
        }
        self.measured &= measurable;
        self.segment.measured &= measurable;
        let since = self.unseen_since.unwrap_or(alive);
        self.unseen_since = Some(since.shifted(shift_ns));
    }

    /// Nobody sees the machine from now on.
    pub(super) fn unseen(&mut self, now: BootTime) {
        self.unseen_since.get_or_insert(now);
    }

    /// It is seen to stand.
    pub(super) fn seen(&mut self, now: BootTime) {
        if let Some(since) = self.unseen_since.take() {
            self.segment.unseen_ns += span(since.max(self.segment.from.boot), now);
        }
    }

    /// The shift now.
    pub(super) fn shift_is(&mut self, shift: Option<&str>) {
        if std::mem::take(&mut self.shift_open) {
            self.segment.place.shift = shift.map(str::to_owned);
        }
    }

    /// The shift changes: what the next one is called is said later.
    pub(super) fn cut_shift(&mut self, at: Stamp, before: Option<&str>, place: Place) {
        self.shift_is(before);
        self.cut(at, place);
        self.shift_open = true;
    }

    /// A segment ends and the next one begins, in which `place` is the case.
    pub(super) fn cut(&mut self, at: Stamp, place: Place) {
        if at.boot <= self.segment.from.boot {
            self.segment.place = place;
            return;
        }
        if self.waiting.len() >= WAITING {
            return;
        }
        let unseen_since = self.unseen_since;
        self.seen(at.boot);
        // It is still not seen.
        self.unseen_since = unseen_since;
        let next = Segment {
            index: self.segment.index + 1,
            from: at,
            measured: true,
            unseen_ns: 0,
            place,
            ..self.segment.clone()
        };
        let ended = std::mem::replace(&mut self.segment, next);
        self.waiting.push_back(Segment { to: at, ..ended });
    }

    /// The stop ended at `at`: before cuts that came after it.
    pub(super) fn end(&mut self, at: Stamp) {
        while self
            .waiting
            .back()
            .is_some_and(|last| last.to.boot > at.boot)
        {
            if let Some(last) = self.waiting.pop_back() {
                self.segment = last;
                self.shift_open = false;
            }
        }
        let to = if at.boot < self.segment.from.boot {
            self.segment.from
        } else {
            at
        };
        let unseen_since = self.unseen_since.filter(|_| self.measured);
        self.segment.uncertain_ns = unseen_since.map(|since| span(since, to.boot));
        self.seen(to.boot);
        let whole = span(self.segment.from.boot, to.boot);
        self.segment.unseen_ns = self.segment.unseen_ns.min(whole);
        self.segment.to = to;
        self.segment.last = true;
        self.waiting.push_back(self.segment.clone());
    }

    /// Segments wait that ended before `leaving`.
    pub(super) fn waits(&self, leaving: Option<BootTime>) -> bool {
        let surely = |segment: &Segment| leaving.is_none_or(|left| segment.to.boot <= left);
        self.waiting.front().is_some_and(surely)
    }

    /// Those segments, to be told.
    pub(super) fn release(&mut self, leaving: Option<BootTime>) -> Vec<Segment> {
        let mut released = Vec::new();
        while self.waits(leaving) {
            released.extend(self.waiting.pop_front());
        }
        released
    }

    /// From its beginning to `at`.
    pub(super) fn length(&self, at: BootTime) -> Option<Duration> {
        self.measured.then(|| at.since(self.began.boot))
    }
}

/// Nanoseconds from one to the other, none where that is negative.
fn span(from: BootTime, to: BootTime) -> i64 {
    to.0.saturating_sub(from.0).max(0)
}
