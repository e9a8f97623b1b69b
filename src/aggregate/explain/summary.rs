//! The end of an explanation: for each operation how often it started, what kept it from starting, and which tags never came.

use super::{MachineNotes, Notes, OperationNotes, PartTold};
use crate::aggregate::Aggregate;
use crate::aggregate::machine::Machine;
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;

/// What a whole capture came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// One of each operation of the settings.
    pub operations: Vec<OperationSummary>,
    /// One of each machine with tags that were never usable.
    pub tags: Vec<TagSummary>,
}

/// What an operation of the settings came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationSummary {
    /// The machine.
    pub machine: String,
    /// The operation.
    pub operation: String,
    /// How often its start fired.
    pub starts: u64,
    /// How many operations were told.
    pub told: u64,
    /// How often its end fired.
    pub ends: u64,
    /// How often a start came to nothing, with why.
    pub refused: Vec<(u64, &'static str)>,
    /// Where it never started: why, in words.
    pub never: Option<&'static str>,
    /// Where it never started: when it came nearest.
    pub nearest_t: Option<f64>,
    /// Where it never started: what was missing then.
    pub nearest: Vec<PartTold>,
    #[serde(skip)]
    during: bool,
}

/// Tags of a machine that were never usable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagSummary {
    /// The machine.
    pub machine: String,
    /// Never read at all.
    pub never_read: Vec<String>,
    /// Bad each time, with the last reason.
    pub always_bad: Vec<(String, String)>,
}

impl Notes {
    /// Sums up. `plan` gives each machine with its tags and operations in the order of the settings.
    pub(in crate::aggregate) fn summary<'a>(
        &self,
        plan: impl Iterator<Item = (&'a str, Vec<&'a str>, Vec<&'a str>)>,
    ) -> Summary {
        let mut summary = Summary {
            operations: Vec::new(),
            tags: Vec::new(),
        };
        let (nothing, none) = (MachineNotes::default(), OperationNotes::default());
        for (machine, tags, operations) in plan {
            let notes = self.machines.get(machine).unwrap_or(&nothing);
            for operation in operations {
                let known = notes.operations.get(operation).unwrap_or(&none);
                summary
                    .operations
                    .push(of_operation(machine, operation, known));
            }
            summary.tags.extend(of_tags(machine, &tags, notes));
        }
        summary
    }
}

fn of_operation(machine: &str, name: &str, notes: &OperationNotes) -> OperationSummary {
    let never = (notes.starts == 0).then_some(match (notes.was_true, notes.true_at_first) {
        (false, _) => "it was never true",
        (true, true) => "it was true when it was known first, which is no edge",
        (true, false) => "it never held for its debounce",
    });
    let nearest = notes
        .nearest
        .clone()
        .filter(|_| never.is_some() && !notes.was_true);
    OperationSummary {
        machine: machine.to_owned(),
        operation: name.to_owned(),
        starts: notes.starts,
        told: notes.told,
        ends: notes.ends,
        refused: notes
            .refused
            .iter()
            .map(|(why, count)| (*count, *why))
            .collect(),
        never,
        nearest_t: nearest.as_ref().map(|(t, _)| *t),
        nearest: nearest.map(|(_, parts)| parts).unwrap_or_default(),
        during: notes.during,
    }
}

fn of_tags(machine: &str, tags: &[&str], notes: &MachineNotes) -> Option<TagSummary> {
    let mut found = TagSummary {
        machine: machine.to_owned(),
        never_read: Vec::new(),
        always_bad: Vec::new(),
    };
    for name in tags {
        match notes.tags.get(*name) {
            None => found.never_read.push((*name).to_owned()),
            Some(tag) if tag.usable == 0 => {
                let reason = tag.bad.clone().unwrap_or_default();
                found.always_bad.push(((*name).to_owned(), reason));
            }
            Some(_) => {}
        }
    }
    let anything = !found.never_read.is_empty() || !found.always_bad.is_empty();
    anything.then_some(found)
}

impl Aggregate {
    /// From now on `notes` records why. Costs time: for people who ask, not for the running gateway.
    pub fn explain(&mut self, notes: Notes) {
        self.notes = Some(RefCell::new(notes));
    }

    /// The recorder, if there is one.
    pub fn notes(&mut self) -> Option<&mut Notes> {
        self.notes.as_mut().map(RefCell::get_mut)
    }

    /// Takes the recorder back, for the next run.
    pub fn take_notes(&mut self) -> Option<Notes> {
        self.notes.take().map(RefCell::into_inner)
    }

    /// Sums up what was recorded.
    pub fn summary(&self) -> Option<Summary> {
        let notes = self.notes.as_ref()?.borrow();
        Some(notes.summary(self.machines.iter().map(Machine::explained)))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in all:")?;
        self.operations
            .iter()
            .try_for_each(|operation| write!(f, "\n{operation}"))?;
        self.tags.iter().try_for_each(|tags| write!(f, "\n{tags}"))
    }
}

impl fmt::Display for OperationSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.during { "during" } else { "start" };
        write!(f, "  {} {}: ", self.machine, self.operation)?;
        match self.never {
            Some(never) => write!(f, "`{key}` never fired: {never}")?,
            None => write!(
                f,
                "`{key}` fired {}, {} told",
                times(self.starts),
                operations(self.told)
            )?,
        }
        for (count, why) in &self.refused {
            write!(f, "; {} {why}", times(*count))?;
        }
        if self.ends == 0 && self.told > 0 {
            let end = if self.during {
                "`during` never became false"
            } else {
                "`end` never fired"
            };
            write!(f, "; {end}")?;
        }
        if let Some(t) = self.nearest_t {
            write!(f, "; nearest at {t:.3} s:")?;
            self.nearest
                .iter()
                .try_for_each(|part| write!(f, "\n    {part}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for TagSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        if !self.never_read.is_empty() {
            lines.push(format!(
                "  {}: never read: {}",
                self.machine,
                self.never_read.join(", ")
            ));
        }
        if !self.always_bad.is_empty() {
            let bad = self
                .always_bad
                .iter()
                .map(|(name, why)| format!("{name} ({why})"));
            let bad: Vec<String> = bad.collect();
            lines.push(format!(
                "  {}: bad all the time: {}",
                self.machine,
                bad.join(", ")
            ));
        }
        f.write_str(&lines.join("\n"))
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

fn operations(count: u64) -> String {
    match count {
        1 => "1 operation".to_owned(),
        n => format!("{n} operations"),
    }
}
