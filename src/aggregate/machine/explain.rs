//! Notes why a machine's conditions did what they did, for whoever asked (`replay --explain`). Pure.
//!
//! Called at the few places where something is decided; without a recorder each returns at once.

use super::{Machine, Moment, Part, armed};
use crate::aggregate::condition::{Condition, Known, PartSaid};
use crate::aggregate::equipment::Reading;
use crate::aggregate::explain::{Began, Notes, PartTold, Reason, Why, seconds, word};
use crate::aggregate::trigger::Edge;
use crate::model::Sample;
use std::cell::RefCell;
use std::time::Duration;

/// Why a start or an end came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unused {
    /// `only_if` did not hold at the start edge.
    OnlyIf,
    /// Another operation is open, and `on_next_start: ignore`.
    Ignored,
    /// It is the end of a pause.
    Resume,
    /// A restored operation is open, of which is not known yet whether it still runs.
    Undecided,
    /// Shorter than `min_duration`.
    Short(Duration),
    /// An end or abort, and nothing is open.
    NothingOpen,
}

impl Unused {
    /// For counting: `once refused by only_if`.
    fn counted(self) -> &'static str {
        match self {
            Unused::OnlyIf => "refused by `only_if`",
            Unused::Ignored => "ignored, since one was open",
            Unused::Resume => "the end of a pause",
            Unused::Undecided => "before a restored operation was decided",
            Unused::Short(_) => "shorter than `min_duration`",
            Unused::NothingOpen => "an end with nothing open",
        }
    }
}

impl<'a> Moment<'a> {
    /// The recorder, if anybody asked.
    pub(super) fn notes(&self) -> Option<&'a RefCell<Notes>> {
        self.notes
    }

    fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.out.len() as u64)
    }
}

impl Machine {
    /// What there is to explain: its name, its tags, its operations.
    pub(in crate::aggregate) fn explained(&self) -> (&str, Vec<&str>, Vec<&str>) {
        let present = self.definitions.iter().filter(|d| !d.retired);
        let operations = present.map(|definition| definition.name.as_str());
        (
            &self.name,
            self.scope.tag_names().collect(),
            operations.collect(),
        )
    }

    /// What was read in this instant.
    pub(super) fn explain_samples<'s>(
        &self,
        samples: impl Iterator<Item = (usize, &'s Sample)>,
        moment: &Moment<'_>,
    ) {
        let Some(notes) = moment.notes() else { return };
        let mut notes = notes.borrow_mut();
        notes.instant();
        for (local, sample) in samples {
            let name = self.scope.tag_names().nth(local).unwrap_or_default();
            notes.sample(&self.name, name, sample);
        }
    }

    /// The parts that decide a condition now, with their values.
    fn parts_of(&self, condition: &Condition, moment: &Moment<'_>) -> Vec<PartTold> {
        self.with_values(&moment.evaluator.deciding(condition, &self.scope), moment)
    }

    fn with_values(&self, said: &[PartSaid], moment: &Moment<'_>) -> Vec<PartTold> {
        let Some(notes) = moment.notes() else {
            return Vec::new();
        };
        let notes = notes.borrow();
        let axis = |name: &str| self.scope.axis(name).map(str::to_owned);
        let part = |said| notes.part(&self.name, said, axis);
        said.iter().map(part).collect()
    }

    fn now_of(&self, d: usize, part: Part, moment: &Moment<'_>) -> Option<Began> {
        let definition = self.definitions.get(d)?;
        let condition = &armed(definition, part)?.condition;
        let only_if = definition.only_if.as_ref().filter(|_| part == Part::Start);
        Some(Began {
            parts: self.parts_of(condition, moment),
            only_if: only_if.map_or_else(Vec::new, |only| self.parts_of(only, moment)),
        })
    }

    /// An edge began whose debounce runs: what it began with is kept.
    pub(super) fn explain_began(&self, d: usize, part: Part, moment: &Moment<'_>) -> Option<()> {
        let notes = moment.notes()?;
        let began = self.now_of(d, part, moment)?;
        let place = (self.name.as_str(), self.definitions.get(d)?.name.as_str());
        notes.borrow_mut().began(place, role(part), began);
        Some(())
    }

    /// What had begun did not hold for its debounce.
    pub(super) fn explain_lapsed(
        &self,
        d: usize,
        part: Part,
        began: Option<Edge>,
        moment: &Moment<'_>,
    ) -> Option<()> {
        let notes = moment.notes()?;
        let began = began.filter(|edge| edge.to)?;
        let definition = self.definitions.get(d)?;
        let parts = self.parts_of(&armed(definition, part)?.condition, moment);
        let key = self.key(d, part);
        let says = format!(
            "{key} was true at {:.3} s and did not hold for its debounce",
            seconds(began.at.boot)
        );
        let place = (self.name.as_str(), definition.name.as_str());
        let mut notes = notes.borrow_mut();
        if part == Part::Start {
            let refused = &mut notes.operation(place.0, place.1).refused;
            *refused.entry("shorter than its debounce").or_default() += 1;
        }
        notes.remark(
            moment.next_seq(),
            moment.now,
            place,
            Reason::with(says, parts),
        );
        Some(())
    }

    /// The start was evaluated: where it does not hold, how near it is.
    pub(super) fn explain_start(&self, d: usize, known: Known, moment: &Moment<'_>) -> Option<()> {
        let notes = moment.notes()?;
        let definition = self.definitions.get(d)?;
        let first = definition.start.trigger.settled().is_none();
        let condition = &definition.start.condition;
        let missing = moment.evaluator.missing(condition, &self.scope);
        let missing = self.with_values(&missing, moment);
        let mut notes = notes.borrow_mut();
        let operation = notes.operation(&self.name, &definition.name);
        operation.during = definition.settings.during.is_some();
        if known == Known::True {
            operation.was_true = true;
            operation.true_at_first |= first;
            return Some(());
        }
        let nearest = operation.nearest.as_ref().map(|(_, parts)| parts.len());
        if nearest.is_none_or(|nearest| missing.len() < nearest) {
            operation.nearest = Some((seconds(moment.now.boot), missing));
        }
        Some(())
    }

    /// An edge held: what is told from now on is told because of it.
    pub(super) fn explain_edge(
        &self,
        d: usize,
        part: Part,
        edge: Edge,
        held: bool,
        moment: &Moment<'_>,
    ) -> Option<()> {
        let notes = moment.notes()?;
        let definition = self.definitions.get(d)?;
        let place = (self.name.as_str(), definition.name.as_str());
        let began = notes.borrow_mut().take_began(place, role(part));
        let began = match began.filter(|_| held) {
            Some(began) => began,
            None => self.now_of(d, part, moment)?,
        };
        let debounce = armed(definition, part)?.trigger.debounce();
        let mut why = vec![Reason::with(
            self.edge_says(d, part, edge, debounce),
            began.parts,
        )];
        if !began.only_if.is_empty() {
            why.push(Reason::with("`only_if` at that time", began.only_if));
        }
        let mut notes = notes.borrow_mut();
        let operation = notes.operation(place.0, place.1);
        match (part, edge.to) {
            (Part::Start, true) => operation.starts += 1,
            (Part::End, true) => operation.ends += 1,
            _ => {}
        }
        match (part, edge.to) {
            (Part::Start, true) => notes.set_start(place, why.clone()),
            (Part::End, true) => notes.set_end(place, why.clone()),
            _ => {}
        }
        notes.set_cause(Some(why));
        Some(())
    }

    fn edge_says(&self, d: usize, part: Part, edge: Edge, debounce: Duration) -> String {
        let became = match (part, self.during(d)) {
            (Part::End, true) => "false",
            _ => word(if edge.to { Known::True } else { Known::False }),
        };
        let at = seconds(edge.at.boot);
        let mut says = format!("{} became {became} at {at:.3} s", self.key(d, part));
        if !debounce.is_zero() {
            says += &format!(" and held for {debounce:?}");
        }
        match (edge.uncertain, edge.uncertainty) {
            (true, Some(earlier)) => {
                let earlier = earlier.as_secs_f64();
                says += &format!(", perhaps up to {earlier:.3} s earlier: it was unknown before");
            }
            (true, None) => says += ", perhaps earlier: nobody knows how long it was unknown",
            (false, _) => {}
        }
        says
    }

    fn during(&self, d: usize) -> bool {
        let definition = self.definitions.get(d);
        definition.is_some_and(|definition| definition.settings.during.is_some())
    }

    /// The key of the settings that a condition stands at.
    fn key(&self, d: usize, part: Part) -> &'static str {
        match part {
            Part::Start | Part::End if self.during(d) => "`during`",
            Part::Start => "`start`",
            Part::End => "`end`",
            Part::Abort => "`abort`",
            Part::Pause => "`pause`",
        }
    }

    /// The tag of `new_when_changed` changed: one operation ends and the next begins because of it.
    pub(super) fn explain_change(&self, d: usize, local: usize, moment: &Moment<'_>) -> Option<()> {
        let notes = moment.notes()?;
        let definition = self.definitions.get(d)?;
        let tag = self.scope.tag_names().nth(local)?;
        let mut notes = notes.borrow_mut();
        let value = notes.value(&self.name, tag);
        let why = vec![Reason::new(format!("`new_when_changed` did: {value}"))];
        notes.set_start((&self.name, &definition.name), why.clone());
        notes.set_cause(Some(why));
        Some(())
    }

    /// What was told is told.
    pub(super) fn explain_no_more(&self, moment: &Moment<'_>) {
        if let Some(notes) = moment.notes() {
            notes.borrow_mut().set_cause(None);
        }
    }

    /// A start or an end came to nothing.
    pub(super) fn explain_unused(&self, d: usize, why: Unused, moment: &Moment<'_>) -> Option<()> {
        let notes = moment.notes()?;
        let definition = self.definitions.get(d)?;
        let open = self.slots.get(definition.slot)?.open.as_ref();
        if why == Unused::NothingOpen && open.is_some() {
            // A restored one, which will be decided about.
            return None;
        }
        let mut parts = Vec::new();
        let says = match why {
            Unused::OnlyIf => {
                let only_if = definition.only_if.as_ref();
                parts = only_if.map_or_else(Vec::new, |only| self.parts_of(only, moment));
                "not started: `only_if` does not hold".to_owned()
            }
            Unused::Ignored => "not started: one is open, and `on_next_start: ignore`".to_owned(),
            Unused::Resume => "no new start: the open one goes on after its pause".to_owned(),
            Unused::Undecided => {
                "not started: whether the one from before the restart still runs is not known yet"
                    .to_owned()
            }
            Unused::Short(shortest) => {
                format!("not told: it was shorter than `min_duration` {shortest:?}")
            }
            Unused::NothingOpen => "its end came, and nothing is open".to_owned(),
        };
        let place = (self.name.as_str(), definition.name.as_str());
        let mut notes = notes.borrow_mut();
        if why != Unused::NothingOpen {
            let refused = &mut notes.operation(place.0, place.1).refused;
            *refused.entry(why.counted()).or_default() += 1;
        }
        notes.remark(
            moment.next_seq(),
            moment.now,
            place,
            Reason::with(says, parts),
        );
        Some(())
    }

    /// What becomes of a restored operation is decided now, or one is found running.
    pub(super) fn explain_restart(&self, d: usize, found: &str, moment: &Moment<'_>) -> Option<()> {
        let notes = moment.notes()?;
        let definition = self.definitions.get(d)?;
        let start = self.parts_of(&definition.start.condition, moment);
        let end = self.parts_of(&definition.end.condition, moment);
        let why = vec![
            Reason::new(format!("after the restart, {found}")),
            Reason::with("`start` now", start),
            Reason::with("`end` now", end),
        ];
        let mut notes = notes.borrow_mut();
        notes.set_start((&self.name, &definition.name), why.clone());
        notes.set_cause(Some(why));
        Some(())
    }

    /// What the rules of state and mode say now, and by which rule.
    pub(super) fn explain_reading(
        &self,
        reading: &Reading,
        scanned: bool,
        moment: &Moment<'_>,
    ) -> Option<()> {
        let notes = moment.notes()?;
        if !notes.borrow().differs(&self.name, reading) {
            return None;
        }
        let mut why = match self.packml_tags() {
            Some(tags) => self.packml_says(tags, notes),
            None => self.rules_say(moment),
        };
        let code = reading.reason.as_ref().filter(|_| scanned);
        why.scanned = code.map(|reason| {
            Reason::new(format!(
                "the reason of the stop was scanned: {}",
                reason.code
            ))
        });
        notes.borrow_mut().reading(&self.name, reading.clone(), why);
        Some(())
    }

    /// PackML goes by table: what stands in its tags says it all.
    fn packml_says(&self, tags: impl Iterator<Item = usize>, notes: &RefCell<Notes>) -> Why {
        let notes = notes.borrow();
        let names = tags.filter_map(|local| self.scope.tag_names().nth(local));
        let values: Vec<String> = names
            .map(|name| notes.value(&self.name, name).to_string())
            .collect();
        Why {
            state: vec![Reason::new(format!("`packml` reads {}", values.join(", ")))],
            ..Why::default()
        }
    }

    fn rules_say(&self, moment: &Moment<'_>) -> Why {
        let states = self.rules.state.iter();
        let states = states.map(|rule| (rule.condition.as_ref(), rule.state.word()));
        let state = self.rule_says("state", states, moment);
        let modes = self.rules.mode.iter();
        let modes = modes.map(|rule| (rule.condition.as_ref(), rule.mode.word()));
        let mode = match self.rules.mode.is_empty() {
            true => Vec::new(),
            false => self.rule_says("mode", modes, moment),
        };
        Why {
            state,
            mode,
            scanned: None,
        }
    }

    /// The rule that decides, first; then what kept those before it from holding.
    fn rule_says<'c>(
        &self,
        key: &str,
        rules: impl Iterator<Item = (Option<&'c Condition>, &'static str)>,
        moment: &Moment<'_>,
    ) -> Vec<Reason> {
        let mut why = Vec::new();
        for (index, (condition, is)) in rules.enumerate() {
            let name = format!("rule {} of `{key}` ({is})", index + 1);
            let says = condition.map_or(Known::True, |c| moment.evaluate(c, &self.scope));
            let parts = condition.map_or_else(Vec::new, |c| self.parts_of(c, moment));
            let (verb, decides) = match (says, condition) {
                (Known::True, Some(_)) => ("holds", true),
                (Known::True, None) => ("holds where none before it does", true),
                (Known::False, _) => ("does not hold", false),
                // A mode that cannot be known is none; either way the rules after it are not asked.
                (Known::Unknown, _) => ("cannot be decided", true),
            };
            let reason = Reason::with(format!("{name} {verb}"), parts);
            if decides {
                why.insert(0, reason);
                return why;
            }
            why.push(reason);
        }
        why.insert(0, Reason::new(format!("no rule of `{key}` holds")));
        why
    }
}

/// The condition's part in the settings.
fn role(part: Part) -> &'static str {
    match part {
        Part::Abort => "abort",
        Part::End => "end",
        Part::Pause => "pause",
        Part::Start => "start",
    }
}
