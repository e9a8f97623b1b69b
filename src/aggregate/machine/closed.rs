//! Operations that have ended and may still be corrected: a late id or order. At most 4 of each slot, for 2 min. Pure.

use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::part::{Candidate, MAX_PARTS};
use crate::aggregate::saved::{self, Saved};
use crate::model::{
    Body, BootTime, CorrectedReport, Flag, OperationReport, Part, PartKind, Reference, Stamp,
};
use crate::settings::shape::ScanFor;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Most ended operations of a slot that are kept: with statistics and profiles about 10 KB each.
const MAX_CLOSED: usize = 4;
/// How long they are kept, at the least.
const KEPT_FOR: Duration = Duration::from_secs(120);

/// An operation that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Closed {
    /// The event that told its end, or corrected it last.
    event: Uuid,
    pub(super) report: OperationReport,
    started: BootTime,
    ended: BootTime,
    /// Forgotten then.
    until: BootTime,
    late_window: Duration,
    /// What it takes from a scan where it lacks it.
    by_scan: Vec<ScanFor>,
    /// A reboot without a synchronised clock came after it: how long ago it ended is not known.
    unmeasured: bool,
}

impl Closed {
    fn age(&self, now: BootTime) -> Option<Duration> {
        (!self.unmeasured).then(|| now.since(self.ended))
    }

    pub(super) fn in_time(&self, now: BootTime) -> bool {
        self.age(now).is_some_and(|age| age <= self.late_window)
    }

    pub(super) fn has_part(&self) -> bool {
        self.report.parts.iter().any(is_read)
    }

    fn candidate<'a>(&self, slot: &'a str, now: BootTime, is_last: bool) -> Candidate<'a> {
        Candidate {
            slot,
            ended: true,
            age: self.age(now),
            has_part: self.has_part(),
            late_window: self.late_window,
            is_last,
        }
    }
}

/// True for a part that was read, not made up.
pub(super) fn is_read(part: &Part) -> bool {
    part.kind != PartKind::Generated
}

impl Machine {
    pub(super) fn closed_due(&self) -> Option<BootTime> {
        let closed = self.slots.iter().flat_map(|slot| &slot.closed);
        closed.map(|closed| closed.until).min()
    }

    pub(super) fn forget_closed(&mut self, moment: &mut Moment<'_>) {
        for slot in &mut self.slots {
            let before = slot.closed.len();
            slot.closed.retain(|closed| closed.until > moment.now.boot);
            if slot.closed.len() != before {
                self.unsaved = self.unsaved.max(Unsaved::Later);
            }
        }
    }

    /// An operation ended and was told by the event `told`.
    pub(super) fn keep_closed(
        &mut self,
        slot: usize,
        operation: &OpenOperation,
        report: OperationReport,
        at: Stamp,
        told: Uuid,
    ) {
        let Some(definition) = self.definitions.get(operation.definition_index) else {
            return;
        };
        let late_window = definition.settings.part.late_window.get();
        let closed = Closed {
            event: told,
            report,
            started: operation.started.boot,
            ended: at.boot,
            until: at.boot.plus(late_window.max(KEPT_FOR)),
            late_window,
            by_scan: definition.takes_scanned().collect(),
            unmeasured: false,
        };
        if let Some(slot) = self.slots.get_mut(slot) {
            let last = closed.report.parts.last().filter(|part| is_read(part));
            if let Some(part) = last {
                slot.last_part = Some(part.id.clone());
            }
            while slot.closed.len() >= MAX_CLOSED {
                slot.closed.pop_front();
            }
            slot.closed.push_back(closed);
        }
    }

    /// The ended operations that a part could belong to, with their slot and place there.
    pub(super) fn closed_candidates(
        &self,
        now: BootTime,
    ) -> impl Iterator<Item = ((usize, usize), Candidate<'_>)> {
        let slots = self.slots.iter().enumerate();
        slots.flat_map(move |(s, slot)| {
            let last = slot.closed.len().checked_sub(1);
            // What is beginning, and what is open, is where a part for the next operation goes.
            let last = last.filter(|_| slot.open.is_none() && slot.starting.is_empty());
            let closed = slot.closed.iter().enumerate();
            closed.map(move |(place, closed)| {
                let is_last = last == Some(place);
                ((s, place), closed.candidate(&slot.name, now, is_last))
            })
        })
    }

    /// A part was learnt after the end. What was made up gives way.
    pub(super) fn correct_part(
        &mut self,
        slot: usize,
        place: usize,
        part: Part,
        at: Stamp,
        moment: &mut Moment<'_>,
    ) {
        let learn = |report: &mut OperationReport| {
            let before = report.parts.clone();
            add_part(&mut report.parts, part);
            if report.parts == before {
                return false;
            }
            report.flags.retain(|flag| *flag != Flag::NoPartId);
            if !report.flags.contains(&Flag::LatePartId) {
                report.flags.push(Flag::LatePartId);
                report.flags.sort();
            }
            true
        };
        self.correct(slot, place, "late_part_id", at, learn, moment);
    }

    /// Order, lot or product was scanned: operations that have just ended without it were for it, unless another one begins.
    pub(super) fn late_fact(
        &mut self,
        what: ScanFor,
        learnt: &Reference,
        at: Stamp,
        moment: &mut Moment<'_>,
    ) {
        let reason = match what {
            ScanFor::Order => "late_order",
            ScanFor::Lot => "late_lot",
            ScanFor::Product => "late_product",
            _ => return,
        };
        for slot in 0..self.slots.len() {
            self.late_while_trailed(slot, what, learnt, at, moment);
            let concerned = self.slots.get_mut(slot).and_then(|slot| {
                let place = slot.closed.len().checked_sub(1)?;
                let closed = slot.closed.get_mut(place)?;
                let takes = closed.by_scan.contains(&what) && closed.in_time(at.boot);
                let lacks = fact_of(&mut closed.report, what)?.is_none();
                let last = slot.open.is_none() && slot.starting.is_empty();
                (last && takes && lacks).then_some(place)
            });
            if let Some(place) = concerned {
                let learn = |report: &mut OperationReport| {
                    if let Some(fact) = fact_of(report, what) {
                        *fact = Some(learnt.clone());
                    }
                    true
                };
                self.correct(slot, place, reason, at, learn, moment);
            }
        }
    }

    /// The same for one that has ended and waits for what trails it.
    fn late_while_trailed(
        &mut self,
        slot: usize,
        what: ScanFor,
        learnt: &Reference,
        at: Stamp,
        moment: &mut Moment<'_>,
    ) -> Option<()> {
        let open = self.slots.get_mut(slot)?.open.as_mut()?;
        let definition = self.definitions.get(open.definition_index)?;
        let ended = open.over_since()?;
        let window = definition.settings.part.late_window.get();
        let takes = definition.takes_scanned().any(|one| one == what);
        let facts = &mut open.facts;
        let fact = match what {
            ScanFor::Order => &mut facts.order,
            ScanFor::Lot => &mut facts.lot,
            _ => &mut facts.product,
        };
        if takes && fact.is_none() && !open.unmeasured && at.boot.since(ended) <= window {
            *fact = Some(learnt.clone());
            self.tell_identified(slot, at.utc, None, moment);
        }
        Some(())
    }

    fn correct(
        &mut self,
        slot: usize,
        place: usize,
        reason: &'static str,
        at: Stamp,
        learn: impl FnOnce(&mut OperationReport) -> bool,
        moment: &mut Moment<'_>,
    ) {
        let Some(slot) = self.slots.get_mut(slot) else {
            return;
        };
        let Some(closed) = slot.closed.get_mut(place) else {
            return;
        };
        if !learn(&mut closed.report) {
            return;
        }
        closed.report.revision += 1;
        let heading = Heading {
            causation: Some(closed.event),
            ..Heading::operation(&self.name, &slot.name, at.utc, Some(closed.report.id))
        };
        let body = Body::OperationCorrected(Box::new(CorrectedReport {
            operation: closed.report.clone(),
            supersedes: closed.event,
            reason,
        }));
        closed.event = moment.tell(heading, body);
        self.unsaved = Unsaved::Soon;
    }

    /// A sample of an ended operation came too late to be merged: its correction would say so.
    pub(super) fn count_late(&mut self, definition: &str, parameter: &str, at: BootTime) {
        let closed = self.slots.iter_mut().flat_map(|slot| &mut slot.closed);
        for closed in closed {
            let inside = (closed.started..=closed.ended).contains(&at);
            if closed.report.name != definition || !inside {
                continue;
            }
            let Some(ending) = &mut closed.report.ending else {
                continue;
            };
            ending.data_quality.late_samples += 1;
            let measured = ending.parameters.iter_mut();
            if let Some(found) = measured.into_iter().find(|one| one.name == parameter) {
                found.samples.late += 1;
            }
            if !closed.report.flags.contains(&Flag::LateSamples) {
                closed.report.flags.push(Flag::LateSamples);
                closed.report.flags.sort();
            }
            self.unsaved = self.unsaved.max(Unsaved::Later);
        }
    }

    pub(super) fn save_closed(&self, into: &mut Saved) {
        for slot in &self.slots {
            if let Some(part) = &slot.last_part {
                into.put(
                    format!("{}/last_part/{}", self.scope_key(), slot.name),
                    part,
                );
            }
            for closed in &slot.closed {
                let ordinal = closed.report.ordinal;
                let key = format!("{}/closed/{}/{ordinal:020}", self.scope_key(), slot.name);
                into.put(key, closed);
            }
        }
    }

    /// Slots are known by now: those of the settings, and those that ever had an operation.
    pub(super) fn restore_closed(&mut self, entries: &super::Entries, resumed: &super::Resumed) {
        let key = self.scope_key();
        for slot in &mut self.slots {
            let prefix = format!("{key}/closed/{}/", slot.name);
            let own = entries
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix))
                .filter_map(|(_, bytes)| saved::read::<Closed>(bytes));
            let closed = own.map(|closed| Closed {
                started: closed.started.shifted(resumed.shift_ns),
                ended: closed.ended.shifted(resumed.shift_ns),
                until: closed.until.shifted(resumed.shift_ns),
                unmeasured: closed.unmeasured || !resumed.measurable,
                ..closed
            });
            slot.closed = closed.collect();
            let last = entries.get(&format!("{key}/last_part/{}", slot.name));
            slot.last_part = last.and_then(|bytes| saved::read(bytes));
        }
    }
}

fn fact_of(report: &mut OperationReport, what: ScanFor) -> Option<&mut Option<Reference>> {
    match what {
        ScanFor::Order => Some(&mut report.order),
        ScanFor::Lot => Some(&mut report.lot),
        ScanFor::Product => Some(&mut report.product),
        _ => None,
    }
}

/// Adds a part that is not there yet; what was made up gives way. What is too much is not listed.
pub(super) fn add_part(parts: &mut Vec<Part>, part: Part) {
    if parts.iter().any(|one| one.id == part.id && is_read(one)) {
        return;
    }
    parts.retain(is_read);
    if parts.len() < MAX_PARTS {
        parts.push(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartSource, UtcTime};

    fn part(id: &str, kind: PartKind) -> Part {
        Part {
            id: id.to_owned(),
            kind,
            source: PartSource::Barcode,
            symbology: None,
            identified_at: UtcTime(0),
        }
    }

    #[test]
    fn a_part_is_listed_once_and_what_was_made_up_gives_way() {
        let cases: &[(&[&str], &str, &[&str])] = &[
            (&[], "A", &["A"]),
            (&["A"], "A", &["A"]),
            (&["A"], "B", &["A", "B"]),
            (&["GEN-1"], "A", &["A"]),
        ];
        for (before, comes, expected) in cases {
            let kind = |id: &str| match id.starts_with("GEN-") {
                true => PartKind::Generated,
                false => PartKind::Serial,
            };
            let mut parts: Vec<Part> = before.iter().map(|id| part(id, kind(id))).collect();
            add_part(&mut parts, part(comes, PartKind::Serial));
            let ids: Vec<&str> = parts.iter().map(|part| part.id.as_str()).collect();
            assert_eq!(&ids, expected, "{before:?} + {comes}");
        }
    }

    #[test]
    fn the_parts_of_an_operation_are_bounded() {
        let mut parts = Vec::new();
        for number in 0..1_000 {
            add_part(&mut parts, part(&number.to_string(), PartKind::Serial));
        }
        assert_eq!(parts.len(), MAX_PARTS);
    }
}
