//! Stops of the machine, told in segments: what begins, cuts and ends them is in the rule, here it meets the machine.

use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::downtime::{Before, Cut, Place, Plan, Ready, Segment, Stop, Stops};
use crate::aggregate::equipment::Change;
use crate::model::{Body, BootTime, DowntimeReport, ReasonSource, Reference};
use crate::settings::shape::Downtime;
use uuid::Uuid;

/// Names of stops: UUIDv5 in this namespace over gateway, equipment, run, epoch and ordinal.
const STOP_NAMESPACE: Uuid = Uuid::from_u128(0x6d69_6c6c_6761_5005_8f73_746f_7070_6564);

pub(super) fn compile(settings: Option<&Downtime>) -> Stops {
    Stops::new(settings.map(Plan::new))
}

impl Machine {
    /// When segments of the open stop are to be told.
    pub(super) fn stops_due(&self) -> Option<BootTime> {
        self.stops.due(self.equipment.may_have_left())
    }

    /// What is the case now, which the open segment may not know yet.
    fn place_now(&mut self) -> Place {
        let place = self.place();
        self.stops.shift_is(place.shift.as_deref());
        place
    }

    fn place(&self) -> Place {
        Place {
            order: self.order.clone(),
            shift: self.shifts.name(),
        }
    }

    /// The state changed: a stop may begin or end at `change.since`. Called before the change is told.
    pub(super) fn stops_follow(&mut self, change: &Change, moment: &mut Moment<'_>) {
        let was_open = self.stops.open().is_some();
        let place = self.place_now();
        let naming = moment.naming;
        let name = |ordinal| {
            let (gateway, run, epoch) = (&naming.gateway, naming.run, naming.epoch);
            let name = format!("{gateway}\n{}\n{run}\n{epoch}\n{ordinal}", self.name);
            Uuid::new_v5(&STOP_NAMESPACE, name.as_bytes())
        };
        let ready = self
            .stops
            .follow(&change.current, change.since, &place, name);
        if !was_open && let Some(first) = self.alarms.first() {
            self.stops.alarm(&first);
        }
        self.tell_stop(ready, moment);
    }

    /// The machine is seen: what was carried over a restart is still so, or is over.
    pub(super) fn stops_seen(&mut self, moment: &mut Moment<'_>) {
        if self.stops.open().is_none() || self.equipment.leaving().is_some() {
            return;
        }
        self.place_now();
        let current = self.equipment.current();
        let ready = self.stops.seen(&current, moment.now);
        self.tell_stop(ready, moment);
    }

    /// Segments that waited for the stop to be long enough.
    pub(super) fn stops_expire(&mut self, moment: &mut Moment<'_>) {
        if self.stops.open().is_some() {
            self.place_now();
            self.tell_ready(moment);
        }
    }

    fn tell_ready(&mut self, moment: &mut Moment<'_>) {
        let ready = self.stops.ready(moment.now, self.equipment.may_have_left());
        self.tell_stop(ready, moment);
    }

    pub(super) fn stops_shift_changed(&mut self, before: Option<&str>, moment: &mut Moment<'_>) {
        // The next shift has no name yet.
        let place = self.place();
        self.cut_stop(Before::Shift(before.map(str::to_owned)), &place, moment);
    }

    pub(super) fn stops_order_changed(
        &mut self,
        before: Option<&Reference>,
        moment: &mut Moment<'_>,
    ) {
        let place = self.place_now();
        self.cut_stop(Before::Order(before.cloned()), &place, moment);
    }

    fn cut_stop(&mut self, before: Before, place: &Place, moment: &mut Moment<'_>) {
        let at = moment.now;
        self.stops.cut(Cut { at, before }, place);
        if self.stops.open().is_some() {
            self.unsaved = Unsaved::Soon;
        }
        self.tell_ready(moment);
    }

    /// Somebody scanned why the machine stands: of the open stop, else of the last one. False where there is none.
    pub(super) fn reason_scanned(&mut self, code: &str, moment: &mut Moment<'_>) -> bool {
        let reason = self.catalogue.reason(code, ReasonSource::Operator);
        let Some(found) = self.stops.reclassify(reason, moment.now.boot) else {
            return false;
        };
        self.unsaved = Unsaved::Soon;
        for told in found.told {
            let report = DowntimeReport {
                previous_reason: found.before.clone(),
                ..report(&found.stop, found.micro, &told.segment)
            };
            let heading = Heading {
                causation: Some(told.event),
                ..Heading::machine(&self.name, moment.now.utc)
            };
            let event = moment.tell(heading, Body::DowntimeReclassified(report));
            self.stops.was_told(found.stop.id, told.segment, event);
        }
        // The state that is shown has this reason from now on, too.
        self.read_state(moment);
        true
    }

    fn tell_stop(&mut self, ready: Option<Ready>, moment: &mut Moment<'_>) {
        let Some(ready) = ready else { return };
        self.unsaved = Unsaved::Soon;
        for segment in ready.segments {
            let report = report(&ready.stop, ready.micro, &segment);
            let heading = Heading::machine(&self.name, segment.to.utc);
            let event = moment.tell(heading, Body::DowntimeClosed(report));
            self.stops.was_told(ready.stop.id, segment, event);
        }
    }
}

fn report(stop: &Stop, micro_stop: bool, segment: &Segment) -> DowntimeReport {
    DowntimeReport {
        id: stop.id,
        segment: segment.index,
        last: segment.last,
        from: segment.from.utc,
        to: segment.to.utc,
        duration_s: segment.duration_s(),
        unknown_s: segment.unknown_s(),
        end_uncertainty_s: segment.end_uncertainty_s(),
        micro_stop,
        state: stop.state,
        substate: stop.substate.clone(),
        mode: stop.mode,
        reason: stop.reason().cloned(),
        previous_reason: None,
        first_alarm: stop.first_alarm.clone(),
        order: segment.place.order.clone(),
        shift: segment.place.shift.clone(),
    }
}
