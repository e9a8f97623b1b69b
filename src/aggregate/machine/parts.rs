//! The parts of operations: those that wait for the next one, those that come during it and after it. Pure.
//!
//! The rule where a part belongs is in `aggregate/part`; here it is told and given to the operation.

use super::closed::{add_part, is_read};
use super::context::{in_late_window, purpose};
use super::scans::Scan;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::definition::Definition;
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::part::{self, Candidate, MAX_PARTS, Pending, Place};
use crate::aggregate::report;
use crate::aggregate::scan::{self, Meaning};
use crate::model::{
    Body, Flag, Part, PartKind, PartScan, PartSource, ScanRejection, Stamp, UtcTime, Value,
};
use crate::settings::shape::{Bind, MissingPart, ReadPart, ScanFor};
use uuid::Uuid;

/// Where a candidate of `part::place` is.
#[derive(Clone, Copy, Debug)]
enum Home {
    Open(usize),
    Closed(usize, usize),
}

impl Machine {
    /// Does what a code of this machine means. Gives why it came to nothing; what was `said` already is not told again.
    pub(super) fn mean(
        &mut self,
        scan: &Scan,
        said: Option<ScanRejection>,
        moment: &mut Moment<'_>,
    ) -> Option<ScanRejection> {
        let mut touched = None;
        let mut refused = None;
        let mut cause = None;
        let waits = self.is_for_the_next(scan);
        for meaning in &scan.meanings {
            match meaning.is {
                ScanFor::Part => match self.part_scanned(scan, meaning, moment) {
                    Ok((slot, told)) => {
                        touched = slot;
                        cause = Some(told);
                    }
                    Err(why) => refused = Some(why),
                },
                ScanFor::Purpose if purpose(meaning).is_none() => {
                    refused = Some(ScanRejection::Pattern);
                }
                _ => {
                    refused = self
                        .context_scanned(scan, meaning, waits, moment)
                        .or(refused)
                }
            }
        }
        if let Some(slot) = touched {
            self.tell_identified(slot, scan.at.utc, cause, moment);
        }
        self.step_order(moment);
        match refused {
            Some(_) if refused == said => moment.health.scans_repeated.add(1),
            Some(why) => self.reject(scan, why, moment),
            None => {}
        }
        refused
    }

    /// The scan names a part that waits: what else it says is about that part, and no earlier one.
    fn is_for_the_next(&self, scan: &Scan) -> bool {
        let mut parts = scan.meanings.iter().filter(|one| one.is == ScanFor::Part);
        parts.any(|one| {
            let home = self.home_of(one.rule.bind, one.rule.slot.as_deref(), scan.at);
            matches!(home, Ok(None))
        })
    }

    /// Gives the slot of the open operation that took it, and the event that told it.
    fn part_scanned(
        &mut self,
        scan: &Scan,
        meaning: &Meaning,
        moment: &mut Moment<'_>,
    ) -> Result<(Option<usize>, Uuid), ScanRejection> {
        let rule = &meaning.rule;
        let part = Part {
            id: meaning.code.clone(),
            kind: rule.kind.unwrap_or_default(),
            source: PartSource::Barcode,
            symbology: scan.symbology.clone(),
            identified_at: scan.at.utc,
        };
        let pending = Pending {
            part: part.clone(),
            reader: scan.reader.clone(),
            text: scan.text.clone(),
            slot: rule.slot.clone(),
            until: scan.at.boot.plus(rule.valid_for.get()),
        };
        match self.home_of(rule.bind, rule.slot.as_deref(), scan.at) {
            Ok(Some(Home::Open(slot))) => {
                let id = self.open_id(slot);
                let told = self.tell_part(scan, part.clone(), id, moment);
                let changed = self.give_part(slot, part, true);
                if id.is_none() {
                    self.may_go_back(slot, rule.bind, pending);
                }
                Ok((changed.then_some(slot), told))
            }
            Ok(Some(Home::Closed(slot, place))) => {
                let closed = self.slots.get(slot).and_then(|slot| slot.closed.get(place));
                let id = closed.map(|closed| closed.report.id);
                let told = self.tell_part(scan, part.clone(), id, moment);
                self.correct_part(slot, place, part, scan.at, moment);
                Ok((None, told))
            }
            Ok(None) => {
                if let Some(before) = self.scans.waiting.put(pending) {
                    self.reject_pending(before, ScanRejection::Replaced, scan.at.utc, moment);
                }
                Ok((None, self.tell_part(scan, part, None, moment)))
            }
            Err(why) => Err(why),
        }
    }

    /// Where a part belongs; `None` where it waits.
    fn home_of(
        &self,
        bind: Bind,
        slot: Option<&str>,
        at: Stamp,
    ) -> Result<Option<Home>, ScanRejection> {
        let open = self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let open = slot.open.as_ref()?;
            let definition = self.definitions.get(open.definition_index)?;
            // One that has ended and waits for what trails it is no current one any more.
            let ended = open.tail.as_ref().and_then(|tail| tail.end.as_ref());
            let since = ended.map_or(open.started, |end| end.at);
            let candidate = Candidate {
                slot: &slot.name,
                ended: ended.is_some(),
                age: (!open.unmeasured).then(|| at.boot.since(since.boot)),
                has_part: open.facts.parts.iter().any(is_read),
                late_window: definition.settings.part.late_window.get(),
                is_last: true,
            };
            Some((Home::Open(index), candidate))
        });
        let closed = self
            .closed_candidates(at.boot)
            .map(|((slot, place), candidate)| (Home::Closed(slot, place), candidate));
        let (homes, candidates): (Vec<Home>, Vec<Candidate<'_>>) = open.chain(closed).unzip();
        match part::place(bind, slot, &candidates) {
            Place::To(index) => Ok(homes.get(index).copied()),
            Place::Waits => Ok(None),
            Place::Nowhere => Err(ScanRejection::NoOperation),
        }
    }

    fn tell_part(
        &mut self,
        scan: &Scan,
        part: Part,
        operation: Option<Uuid>,
        moment: &mut Moment<'_>,
    ) -> Uuid {
        self.unsaved = Unsaved::Soon;
        let heading = Heading {
            correlation: operation,
            ..Heading::machine(&self.name, scan.at.utc)
        };
        let body = Body::PartIdentified(PartScan {
            part,
            reader: scan.reader.clone(),
            operation,
        });
        moment.tell(heading, body)
    }

    fn open_id(&self, slot: usize) -> Option<Uuid> {
        let open = self.slots.get(slot)?.open.as_ref()?;
        open.identity.map(|(id, _)| id)
    }

    /// Gives a part to the open operation of a slot; `late`: its start should have known it. True when that is new.
    fn give_part(&mut self, slot: usize, part: Part, late: bool) -> bool {
        let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
        let Some(open) = open else { return false };
        let before = open.facts.parts.clone();
        add_part(&mut open.facts.parts, part);
        if late {
            open.flags.insert(Flag::LatePartId);
        }
        self.unsaved = Unsaved::Soon;
        before != open.facts.parts
    }

    /// Something was learnt about the open operation of a slot; before its start is told, the start will say it.
    pub(super) fn tell_identified(
        &mut self,
        slot: usize,
        at: UtcTime,
        cause: Option<Uuid>,
        moment: &mut Moment<'_>,
    ) {
        self.unsaved = Unsaved::Soon;
        let Some(slot) = self.slots.get_mut(slot) else {
            return;
        };
        let Some((open, (id, _))) = slot
            .open
            .as_mut()
            .and_then(|open| open.identity.map(|identity| (open, identity)))
        else {
            return;
        };
        open.revision = open.revision.saturating_add(1);
        let heading = Heading {
            causation: cause,
            ..Heading::operation(&self.name, &slot.name, at, Some(id))
        };
        let body = Body::OperationIdentified(Box::new(report::started(open)));
        moment.tell(heading, body);
    }

    /// The part that the definition's tag says at the start edge.
    pub(super) fn parts_at_start(&self, definition: &Definition, moment: &Moment<'_>) -> Vec<Part> {
        let found = match definition.settings.part.read {
            ReadPart::End => None,
            ReadPart::Start => self.part_of_tag(definition, moment.now.utc),
            // What passed during the operation before is none of this one.
            ReadPart::Change => self
                .part_of_tag(definition, moment.now.utc)
                .filter(|part| !self.was_last(definition, part)),
        };
        found.into_iter().collect()
    }

    /// What the definition's part tag says now; `None` where it is empty, bad, or can be no id.
    fn part_of_tag(&self, definition: &Definition, at: UtcTime) -> Option<Part> {
        let settings = &definition.settings.part;
        Some(Part {
            id: id_of(self.scope.value(definition.part?)?)?,
            kind: settings.kind,
            source: settings.source,
            symbology: None,
            identified_at: at,
        })
    }

    /// An operation was opened: it takes the part that waits for it, and uses what is there.
    pub(super) fn begin_using(&mut self, slot_index: usize) {
        let Some(slot) = self.slots.get_mut(slot_index) else {
            return;
        };
        let Some(open) = &mut slot.open else { return };
        let Some(definition) = self.definitions.get(open.definition_index) else {
            return;
        };
        if open.facts.parts.is_empty() {
            let taken = self.scans.waiting.take(&slot.name, open.started.boot);
            open.facts
                .parts
                .extend(taken.iter().map(|one| one.part.clone()));
            if taken.is_some() {
                self.context.comes_with_its_part();
            }
            open.used.taken = taken;
        }
        for (number, need) in definition.settings.materials.iter().enumerate() {
            if let Some(lot) = self
                .context
                .material(&need.id)
                .filter(|_| need.lot.is_none())
            {
                open.used.lot(number, lot);
            }
        }
        for (local, number) in &definition.lots {
            if let Some(lot) = self.scope.value(*local).and_then(id_of) {
                open.used.lot(*number, &lot);
            }
        }
        if let Some(tool) = self.tools.in_use(definition) {
            open.used.tool(tool);
        }
    }

    /// An operation that is not told yet took a part: it may turn out to be none.
    fn may_go_back(&mut self, slot: usize, bind: Bind, pending: Pending) {
        let open = self.slots.get_mut(slot).and_then(|slot| slot.open.as_mut());
        let Some(open) = open else { return };
        match bind {
            Bind::NextOperation => open.used.taken = Some(pending),
            _ if open.used.given.len() < MAX_PARTS => open.used.given.push(pending),
            _ => {}
        }
    }

    /// An operation turned out to be none: the part that it took waits again, what was scanned for it alone is for nothing.
    pub(super) fn part_goes_back(&mut self, operation: OpenOperation, moment: &mut Moment<'_>) {
        let at = moment.now.utc;
        for given in operation.used.given {
            self.reject_pending(given, ScanRejection::NoOperation, at, moment);
        }
        let Some(taken) = operation.used.taken else {
            return;
        };
        if let Some(replaced) = self.scans.waiting.take_back(taken) {
            self.reject_pending(replaced, ScanRejection::Replaced, at, moment);
        }
    }

    /// The debounce of an end began: what the part tag says now counts.
    pub(super) fn note_part_at_end(&mut self, d: usize, moment: &Moment<'_>) {
        let Some(definition) = self.definitions.get(d) else {
            return;
        };
        let read = definition.settings.part.read;
        if read == ReadPart::Start {
            return;
        }
        let found = self.part_of_tag(definition, moment.now.utc);
        self.with_running(d, |operation| {
            // Of an end with debounce, what counts is what was read when it began.
            operation.used.at_end = operation.used.at_end.take().or(found);
        });
    }

    /// The operation ends: its tag may say the part now; what has none may be given one.
    pub(super) fn part_at_end(
        &self,
        definition: &Definition,
        operation: &mut OpenOperation,
        moment: &Moment<'_>,
    ) {
        let settings = &definition.settings.part;
        if settings.read != ReadPart::Start {
            let found = operation.used.at_end.take();
            let found = found.or_else(|| self.part_of_tag(definition, moment.now.utc));
            let stale = |part: &Part| {
                settings.read == ReadPart::Change && self.is_stale(definition, operation, part)
            };
            if let Some(part) = found.filter(|part| !stale(part)) {
                add_part(&mut operation.facts.parts, part);
            }
        }
        if !operation.facts.parts.is_empty() {
            return;
        }
        let id = operation.identity.map(|(id, _)| id);
        match (settings.missing, id) {
            (MissingPart::Generate, Some(id)) => operation.facts.parts.push(Part {
                id: format!("GEN-{}", id.simple()),
                kind: PartKind::Generated,
                source: PartSource::Gateway,
                symbology: None,
                identified_at: moment.now.utc,
            }),
            _ if definition.part_expected => {
                operation.flags.insert(Flag::NoPartId);
            }
            _ => {}
        }
    }

    /// The part is still that of the operation before: its tag has not changed since.
    fn is_stale(&self, definition: &Definition, operation: &OpenOperation, part: &Part) -> bool {
        let tag = definition.part.and_then(|local| self.tags.get(local));
        let changed = tag.is_some_and(|tag| tag.changed >= operation.started.boot);
        !changed && self.was_last(definition, part)
    }

    /// The last operation of the slot had it as its last part.
    fn was_last(&self, definition: &Definition, part: &Part) -> bool {
        let slot = self.slots.get(definition.slot);
        let last = slot.and_then(|slot| slot.last_part.as_ref());
        last == Some(&part.id)
    }

    /// Part tags, and tags of lots, that changed in this instant.
    pub(super) fn step_part_tags(&mut self, moment: &mut Moment<'_>) {
        for d in 0..self.definitions.len() {
            let Some(definition) = self.definitions.get(d) else {
                continue;
            };
            let changed = |local: &usize| self.changed.contains(local);
            if definition.part.as_ref().is_some_and(changed) {
                self.part_tag_changed(d, moment);
            }
            self.lot_tags_changed(d);
        }
    }

    fn part_tag_changed(&mut self, d: usize, moment: &mut Moment<'_>) -> Option<()> {
        let definition = self.definitions.get(d)?;
        let part = self.part_of_tag(definition, moment.now.utc)?;
        let read = definition.settings.part.read;
        let index = definition.slot;
        let slot = self.slots.get(index)?;
        if let Some(open) = slot.open.as_ref().filter(|open| open.definition_index == d) {
            let lacks = !open.facts.parts.iter().any(is_read);
            let late = lacks && in_late_window(definition, open, moment.now.boot);
            let wanted = match read {
                ReadPart::Start => late,
                ReadPart::End => false,
                ReadPart::Change => !self.is_stale(definition, open, &part),
            };
            if wanted && self.give_part(index, part, read == ReadPart::Start) {
                self.tell_identified(index, moment.now.utc, None, moment);
            }
            return Some(());
        }
        let place = slot.closed.len().checked_sub(1)?;
        let closed = slot.closed.get(place)?;
        let own = closed.report.name == definition.name && slot.open.is_none();
        if own && !closed.has_part() && closed.in_time(moment.now.boot) {
            self.correct_part(index, place, part, moment.now, moment);
        }
        Some(())
    }

    /// Another lot of a material whose lot is in a tag.
    fn lot_tags_changed(&mut self, d: usize) -> Option<()> {
        let definition = self.definitions.get(d)?;
        let slot = self.slots.get_mut(definition.slot)?;
        let open = slot
            .open
            .as_mut()
            .filter(|open| open.definition_index == d)?;
        for (local, number) in &definition.lots {
            if self.changed.contains(local)
                && let Some(lot) = self.scope.value(*local).and_then(id_of)
            {
                open.used.lot(*number, &lot);
            }
        }
        Some(())
    }
}

/// The id that a tag holds, without the blanks and zeros that fill it up; 0 and an empty text are none.
pub(super) fn id_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::Text(text) => text.trim_matches([' ', '\0', '\r', '\n', '\t']).to_owned(),
        Value::Int(0) => return None,
        Value::Int(whole) => whole.to_string(),
        Value::Bool(_) | Value::Float(_) => return None,
    };
    scan::is_id(&text).then_some(text)
}
