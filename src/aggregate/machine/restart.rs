//! Carries a machine over a restart of the gateway: what is kept, and what becomes of an operation that was open.
//!
//! An open operation that still runs, with its recovery counter unchanged or none set, goes on. Else it is closed once,
//! and if something runs now a new one opens. Operations are never invented: further cycles are only counted.

use super::compile::slot_named;
use super::retired::Carried;
use super::{Machine, Moment, ORDER, Part, Slot, Unsaved, armed, armed_mut};
use crate::aggregate::change::Watched;
use crate::aggregate::condition::Known;
use crate::aggregate::counter::Tally;
use crate::aggregate::definition::{Definition, Gone, PieceCount};
use crate::aggregate::equipment;
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::report::End;
use crate::aggregate::saved::{self, Saved};
use crate::aggregate::trigger;
use crate::model::{BootTime, EndCause, Flag, Outcome, Value};
use crate::settings::shape::PiecesFrom;
use crate::settings::{self, Plant};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How the present run follows the last one.
#[derive(Clone, Copy, Debug)]
pub(in crate::aggregate) struct Resumed {
    /// The start of the present run.
    pub(in crate::aggregate) now: BootTime,
    /// When the last run was last known to be alive, on its own boot clock.
    pub(in crate::aggregate) alive: BootTime,
    /// From its boot clock to the present one.
    pub(in crate::aggregate) shift_ns: i64,
    /// False when a reboot without a synchronised clock lies between.
    pub(in crate::aggregate) measurable: bool,
    /// The box was not rebooted.
    pub(in crate::aggregate) same_boot: bool,
}

/// An open operation in the checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct SavedOperation {
    /// What came later is not in its statistics.
    seen_until: BootTime,
    operation: OpenOperation,
}

/// What became of a restored operation that does not run any more.
struct Closing {
    /// What broke it off shows.
    aborted: bool,
    /// It came to its end: its counter rose, or the next one began.
    rose: bool,
    /// For people.
    found: &'static str,
    /// What the settings no longer have.
    gone: Option<Gone>,
}

/// The conditions in the checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SavedConditions {
    /// By operation and condition text: another condition of the same name has another memory.
    triggers: Vec<(String, String, trigger::Memory)>,
    /// Last known values of tags whose changes are waited for.
    pulses: Vec<(String, Value)>,
    /// By operation and tag of `new_when_changed`, empty without one: its value, and that an operation is still to begin.
    during: Vec<(String, String, Watched, bool)>,
}

impl Machine {
    /// Everything that must outlive the gateway, by key.
    pub(in crate::aggregate) fn save(&self, now: BootTime, into: &mut Saved) {
        let name = &self.scope_key();
        if let Some(memory) = self.equipment.memory() {
            into.put(format!("{name}/equipment"), memory);
        }
        into.put(format!("{name}/conditions"), &self.saved_conditions());
        self.save_equipment(into);
        for counter in &self.counters {
            if let Some(tally) = counter.counter.tally() {
                into.put(format!("{name}/counter/{}", counter.name), &tally);
            }
        }
        self.shifts.save(name, into);
        self.intervals.save(name, into);
        self.wear.save(name, into);
        self.save_scans(into);
        self.save_context(into);
        self.save_closed(into);
        self.save_tools(into);
        self.save_measurements(into);
        for slot in &self.slots {
            into.put_lasting(format!("{name}/ordinal/{}", slot.name), &slot.ordinal);
            let Some(open) = &slot.open else { continue };
            let Some(definition) = self.definitions.get(open.definition_index) else {
                continue;
            };
            let carried = self.carried(definition);
            into.put_json(format!("{name}/definition/{}", slot.name), &carried);
            let saved = SavedOperation {
                seen_until: now,
                operation: open.clone(),
            };
            into.put(format!("{name}/open/{}", slot.name), &saved);
        }
    }

    /// Before the keys of this machine's entries.
    pub(in crate::aggregate) fn scope_key(&self) -> String {
        format!("machine/{}", self.name)
    }

    fn saved_conditions(&self) -> SavedConditions {
        let pulsing: std::collections::BTreeSet<usize> = self
            .definitions
            .iter()
            .flat_map(|definition| {
                let parts = ORDER.iter().filter_map(|part| armed(definition, *part));
                let conditions = parts.map(|armed| &armed.condition);
                conditions.chain(&definition.only_if)
            })
            .filter(|condition| condition.uses_pulses)
            .flat_map(|condition| condition.tags.iter().copied())
            .collect();
        let pulses = self
            .scope
            .tag_names()
            .enumerate()
            .filter(|(local, _)| pulsing.contains(local))
            .filter_map(|(local, name)| {
                Some((name.to_owned(), self.scope.last_known(local)?.clone()))
            })
            .collect();
        SavedConditions {
            triggers: self
                .definitions
                .iter()
                .filter(|definition| !definition.retired)
                .flat_map(|definition| {
                    let parts = ORDER
                        .iter()
                        .filter_map(|part| remembered(definition, *part));
                    parts.map(|(text, memory)| (definition.name.clone(), text, memory))
                })
                .collect(),
            pulses,
            during: self
                .definitions
                .iter()
                .filter(|definition| !definition.retired)
                .filter_map(|definition| {
                    let during = definition.during.as_ref()?;
                    let tag = definition.settings.new_when_changed.clone();
                    let watched = during.watched.clone();
                    let name = definition.name.clone();
                    Some((name, tag.unwrap_or_default(), watched, during.waits))
                })
                .collect(),
        }
    }

    /// Goes on with what the checkpoint says. Entries that cannot be read are left out: they were counted when they were written.
    pub(in crate::aggregate) fn restore(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        entries: &std::collections::BTreeMap<String, Vec<u8>>,
        resumed: Resumed,
    ) {
        let name = self.scope_key();
        let entry = |key: String| entries.get(&key);
        if let Some(memory) = entry(format!("{name}/equipment"))
            .and_then(|bytes| saved::read::<equipment::Memory>(bytes))
        {
            self.scope.set_state(memory.reading.state);
            self.scope.set_mode(memory.reading.mode);
            self.equipment
                .resume(memory, resumed.shift_ns, resumed.measurable);
        }
        self.restore_equipment(entries, resumed);
        for counter in &mut self.counters {
            let key = format!("{name}/counter/{}", counter.name);
            if let Some(tally) = entry(key).and_then(|bytes| saved::read::<Tally>(bytes)) {
                counter
                    .counter
                    .resume(tally, resumed.alive, resumed.shift_ns, resumed.measurable);
            }
        }
        self.shifts.restore(&name, entries, resumed);
        self.intervals.restore(&name, entries, resumed);
        self.wear.restore(&name, entries, resumed);
        // Ordinals first, also of slots that the settings no longer have: they never begin anew.
        let ordinals = format!("{name}/ordinal/");
        let slots = entries
            .iter()
            .filter_map(|(key, bytes)| Some((key.strip_prefix(&ordinals)?, bytes)));
        for (slot, bytes) in slots {
            let place = slot_named(&mut self.slots, slot);
            if let Some(place) = self.slots.get_mut(place) {
                place.ordinal = saved::read_lasting(bytes).unwrap_or(0);
            }
            let carried = entry(format!("{name}/definition/{slot}"));
            let open = entry(format!("{name}/open/{slot}"));
            let open = open.and_then(|bytes| saved::read::<SavedOperation>(bytes));
            if let Some(open) = open {
                self.restore_operation(plant, machine, slot, open, carried, resumed);
            }
        }
        self.restore_scans(entries, &resumed);
        self.restore_context(entries);
        self.restore_closed(entries, &resumed);
        self.restore_tools(entries);
        self.restore_measurements(entries, &resumed);
        if let Some(conditions) = entry(format!("{name}/conditions"))
            .and_then(|bytes| saved::read::<SavedConditions>(bytes))
        {
            self.restore_conditions(conditions, resumed);
        }
        // What was carried to the present boot clock must be written on it, before another restart reads it.
        self.unsaved = Unsaved::Soon;
    }

    fn restore_operation(
        &mut self,
        plant: &Plant,
        machine: &settings::Machine,
        slot: &str,
        saved: SavedOperation,
        carried: Option<&Vec<u8>>,
        resumed: Resumed,
    ) {
        let carried = carried.and_then(|bytes| saved::read_json::<Carried>(bytes));
        if let Some(carried) = carried.as_ref().filter(|_| self.removed) {
            self.pieces_from = carried.pieces_from;
        }
        let index = carried.and_then(|carried| self.definition_for(plant, machine, &carried));
        let Some(definition) = index.and_then(|index| self.definitions.get(index)) else {
            tracing::error!(machine = %self.name, slot, "the definition of the open operation cannot be read: it is not continued");
            return;
        };
        let mut operation = saved.operation;
        operation.definition_index = index.unwrap_or_default();
        let seen_until = saved.seen_until.min(resumed.alive);
        operation.restore(definition, seen_until, &resumed);
        let key = operation.key.clone();
        if let Some(during) = self
            .definitions
            .get_mut(operation.definition_index)
            .and_then(|d| d.during.as_mut())
        {
            during.watched.begin(key.as_ref());
            during.watched =
                during
                    .watched
                    .clone()
                    .resumed(seen_until, resumed.shift_ns, resumed.measurable);
        }
        if let Some(place) = self.slots.iter_mut().find(|place| place.name == slot) {
            place.open = Some(operation);
        }
    }

    fn restore_conditions(&mut self, saved: SavedConditions, resumed: Resumed) {
        for (name, text, memory) in saved.triggers {
            let memory = memory.resumed(resumed.alive, resumed.shift_ns, resumed.measurable);
            let named = self.definitions.iter_mut().filter(|d| d.name == name);
            for definition in named {
                for part in ORDER {
                    let same = remembered(definition, part).is_some_and(|(now, _)| now == text);
                    if let Some(armed) = armed_mut(definition, part).filter(|_| same) {
                        armed.trigger.resume(memory);
                    }
                }
            }
        }
        for (name, tag, watched, waits) in saved.during {
            let watched = watched.resumed(resumed.alive, resumed.shift_ns, resumed.measurable);
            for definition in self.definitions.iter_mut().filter(|d| d.name == name) {
                let same = definition.settings.new_when_changed.as_deref() == Some(tag.as_str());
                if let Some(during) = &mut definition.during {
                    during.waits |= waits;
                    if same {
                        during.watched = watched.clone();
                    }
                }
            }
        }
        for (name, value) in saved.pulses {
            if let Some((local, _)) = self.scope.tag(&name) {
                self.scope.remember(local, value);
            }
        }
    }

    /// Decides what becomes of restored operations, as soon as the data says whether they still run.
    pub(super) fn decide_recovered(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            self.decide_slot(slot, moment);
        }
    }

    fn decide_slot(&mut self, slot: usize, moment: &mut Moment<'_>) -> Option<()> {
        let operation = self.slots.get(slot)?.open.as_ref()?;
        let since = operation.undecided_since?;
        let d = operation.definition_index;
        let definition = self.definitions.get(d)?;
        let ended = moment
            .evaluate(&definition.end.condition, &self.scope)
            .value()?;
        // What has a debounce must hold that long now, too.
        let held = definition.end.trigger.settled() == Some(true);
        if ended && !held && !definition.settings.ends().debounce.is_zero() {
            return None;
        }
        let counted = match (definition.recovery_counter, operation.counter) {
            (Some(counter), Some(before)) => match self.raw_count(counter) {
                Some(raw) => Some(raw != before),
                // A counter that is bad decides nothing; one that was not read yet is waited for.
                None if self.is_seen(self.counters.get(counter)?.tag) => None,
                None => return None,
            },
            _ => None,
        };
        let pieces = match definition.pieces {
            PieceCount::Tag(local) => Some(local),
            PieceCount::Fixed(_) => None,
        };
        let key = definition.during.as_ref().and_then(|during| during.tag);
        if pieces
            .into_iter()
            .chain(key)
            .any(|local| !self.is_seen(local))
        {
            return None;
        }
        // The next order, or what the tag stands for, has begun: that is how this one ends.
        let succeeded = definition.during.as_ref().is_some_and(|during| {
            let now = during.tag.and_then(|local| self.scope.value(local));
            during.watched.differs(now)
        });
        let rose = counted == Some(true) && !operation.counter_reset;
        // Count and run bit are read one after the other: the later one must agree with the earlier one's present.
        let order = counted.map(|_| self.read_order(definition));
        if rose && !ended && order == Some(Ordering::Greater)
            || ended && !rose && order == Some(Ordering::Less)
        {
            return None;
        }
        let aborted = definition
            .abort
            .as_ref()
            .is_some_and(|abort| moment.evaluate(&abort.condition, &self.scope) == Known::True);
        if !ended && !rose && !aborted && !succeeded {
            let raw = definition.recovery_counter.and_then(|c| self.raw_count(c));
            let open = self.slots.get_mut(slot)?.open.as_mut()?;
            open.undecided_since = None;
            open.counter = raw;
            open.limit_not_before = moment.now.boot;
            self.unsaved = Unsaved::Soon;
            self.catch_up_pause(d, moment);
            return Some(());
        }
        let closing = Closing {
            aborted,
            rose: rose || succeeded,
            found: match (rose, succeeded) {
                (true, _) => "its counter had gone on",
                (false, true) => "the next one had begun",
                (false, false) => "it runs no longer",
            },
            gone: None,
        };
        self.close_recovered(slot, since, &closing, moment)
    }

    /// Closes operations of an earlier settings file that cannot go on.
    pub(in crate::aggregate) fn close_gone(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            let open = self.slots.get(slot).and_then(|slot| slot.open.as_ref());
            let gone = open.and_then(|open| self.definitions.get(open.definition_index)?.gone);
            let Some((since, gone)) = open.and_then(|open| open.undecided_since).zip(gone) else {
                continue;
            };
            let closing = Closing {
                aborted: false,
                rose: false,
                found: gone.in_words(),
                gone: Some(gone),
            };
            self.close_recovered(slot, since, &closing, moment);
        }
    }

    /// Closes a restored operation that does not run any more.
    fn close_recovered(
        &mut self,
        slot: usize,
        since: BootTime,
        closing: &Closing,
        moment: &mut Moment<'_>,
    ) -> Option<()> {
        let operation = self.slots.get_mut(slot)?.open.as_mut()?;
        operation.undecided_since = None;
        let at = operation.end_seen.unwrap_or(moment.now);
        let measured = !operation.unmeasured;
        let d = operation.definition_index;
        let (outcome, cause) = match (closing.aborted, closing.rose) {
            (_, true) => (Outcome::Completed, EndCause::RecoveredState),
            (true, false) => (Outcome::Aborted, EndCause::AbortTrigger),
            (false, false) => (Outcome::Interrupted, EndCause::RecoveredState),
        };
        let reason = self.definitions.get(d)?.abort_reason.as_ref();
        let reason = reason.filter(|_| outcome == Outcome::Aborted);
        let gone = closing.gone.map(|gone| gone.word().to_owned());
        let end = End {
            at,
            outcome,
            cause,
            reason: reason.and_then(|fact| fact.text(&self.scope)).or(gone),
            uncertain: true,
            uncertainty: measured.then(|| at.boot.since(since)),
            pieces: None,
            book: self.pieces_from == PiecesFrom::Operations,
        };
        self.explain_restart(d, closing.found, moment);
        self.finish(slot, end, None, moment);
        // What was broken off is what still shows: no other one began.
        let started = match outcome {
            Outcome::Aborted => Some(()),
            Outcome::Completed | Outcome::Interrupted => self.start_missed(d, moment),
        };
        self.explain_no_more(moment);
        started
    }

    /// Whether the recovery counter was read before, with or after the tags of the end condition.
    fn read_order(&self, definition: &Definition) -> Ordering {
        let read = |local: usize| self.tags.get(local).map(|tag| tag.stamp.boot);
        let counter = definition
            .recovery_counter
            .and_then(|c| self.counters.get(c));
        let counted = counter.and_then(|counter| read(counter.tag));
        let end = definition.end.condition.tags.iter();
        counted.cmp(&end.filter_map(|local| read(*local)).min())
    }

    pub(super) fn has_undecided(&self) -> bool {
        let undecided = |slot: &Slot| {
            let open = slot.open.as_ref();
            open.is_some_and(OpenOperation::is_undecided)
        };
        self.slots.iter().any(undecided)
    }

    fn is_seen(&self, local: usize) -> bool {
        // A tag that the settings no longer have is not waited for.
        self.tags.get(local).is_none_or(|tag| tag.seen)
    }

    /// If the machine runs now, the operation that runs was begun in the down time.
    fn start_missed(&mut self, d: usize, moment: &mut Moment<'_>) -> Option<()> {
        let definition = self.definitions.get(d)?;
        let runs = moment.evaluate(&definition.start.condition, &self.scope) == Known::True
            && moment.evaluate(&definition.end.condition, &self.scope) == Known::False
            && definition
                .only_if
                .as_ref()
                .is_none_or(|only| moment.evaluate(only, &self.scope) == Known::True);
        // A start that was not settled before is an edge of its own, which fires in this same instant.
        let was_running = definition.start.trigger.settled() == Some(true);
        if !runs || !was_running || definition.retired {
            return None;
        }
        self.explain_restart(d, "the next one was found running", moment);
        let mut operation = self.begin(d, definition, moment.now, moment);
        operation.flags.insert(Flag::StartMissed);
        let slot = definition.slot;
        self.open(slot, operation, moment);
        Some(())
    }
}

/// What is kept of a condition: its text, with the part it plays, and its memory.
fn remembered(definition: &Definition, part: Part) -> Option<(String, trigger::Memory)> {
    let settings = &definition.settings;
    let trigger = match part {
        Part::Abort => settings.abort.clone()?,
        Part::End => settings.ends(),
        Part::Pause => settings.pause.clone()?,
        Part::Start => settings.begins(),
    };
    let memory = armed(definition, part)?.trigger.memory();
    Some((format!("{part:?}: {}", trigger.when.0), memory))
}
