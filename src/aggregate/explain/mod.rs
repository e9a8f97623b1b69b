//! Why each event came, and why others did not: a recorder that `millgate replay --explain` hands to the rules. Pure.
//!
//! The rules note at a few places what they decide (`machine/explain`); without a recorder they note nothing and no text is
//! made. What is kept grows with the settings, not with the capture: whoever plays takes the rest away at each step.

mod summary;
mod told;

pub use summary::{OperationSummary, Summary, TagSummary};
pub use told::{PartTold, Reason, Remark, ValueTold};
pub(super) use told::{seconds, word};

use super::condition::PartSaid;
use super::equipment::Reading;
use crate::model::{Body, BootTime, EndCause, Event, Quality, Sample, Stamp, StateReport, Value};
use std::collections::BTreeMap;

/// Most values of one instant that are named.
const MAX_VALUES: usize = 6;
/// Most characters of a text that are shown.
const MAX_TEXT: usize = 40;

/// A tag as it was last read.
#[derive(Clone, Debug, Default)]
struct TagNotes {
    /// `None` when it is bad.
    value: Option<Value>,
    bad: Option<String>,
    uncertain: bool,
    since: BootTime,
    /// Good or uncertain samples.
    usable: u64,
}

/// The parts of a condition when an edge of it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Began {
    pub(super) parts: Vec<PartTold>,
    /// Of `only_if`, for a start.
    pub(super) only_if: Vec<PartTold>,
}

/// One operation of the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct OperationNotes {
    /// Edges of its start that held.
    pub(super) starts: u64,
    /// Edges of its end that held.
    pub(super) ends: u64,
    /// Operations that were told.
    pub(super) told: u64,
    /// Starts that came to nothing, by why.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// The start was true when it was known first: no edge.
    pub(super) true_at_first: bool,
    /// The start was true at some time.
    pub(super) was_true: bool,
    /// Where the start came nearest to being true: when, and what was missing.
    pub(super) nearest: Option<(f64, Vec<PartTold>)>,
    pub(super) during: bool,
    began: BTreeMap<&'static str, Began>,
    /// Why it started.
    start: Vec<Reason>,
    /// Why its end fired last.
    end: Vec<Reason>,
}

#[derive(Clone, Debug, Default)]
struct MachineNotes {
    tags: BTreeMap<String, TagNotes>,
    operations: BTreeMap<String, OperationNotes>,
    /// What the rules said, latest last, with why: one of each state and mode.
    readings: Vec<(Reading, Why)>,
}

/// Why the rules say what they say.
#[derive(Clone, Debug, Default)]
pub(super) struct Why {
    /// Of the state.
    pub(super) state: Vec<Reason>,
    /// Of the mode.
    pub(super) mode: Vec<Reason>,
    /// Somebody scanned the reason of the stop.
    pub(super) scanned: Option<Reason>,
}

impl Why {
    /// Of a change, what is about it: nobody asks why the mode stayed as it was.
    fn of_change(&self, report: &StateReport) -> Vec<Reason> {
        let same_state = report.previous == Some(report.current);
        let same_mode = report.previous_mode == Some(report.mode);
        match &self.scanned {
            Some(scanned) if same_state && same_mode => return vec![scanned.clone()],
            _ => {}
        }
        let state = self.state.iter().filter(|_| !same_state || same_mode);
        let mode = self.mode.iter().filter(|_| !same_mode);
        state.chain(mode).chain(&self.scanned).cloned().collect()
    }
}

/// The recorder.
#[derive(Debug, Default)]
pub struct Notes {
    machines: BTreeMap<String, MachineNotes>,
    remarks: Vec<(u64, Remark)>,
    because: BTreeMap<u64, Vec<Reason>>,
    /// Why what is told now is told.
    cause: Option<Vec<Reason>>,
    /// What was read in this instant; empty when time passed.
    instant: Vec<ValueTold>,
    /// Values of the instant that are not named.
    more: usize,
}

impl Notes {
    /// What was noted before event `seq` and became no event, in order.
    pub fn take_remarks_before(&mut self, seq: u64) -> Vec<Remark> {
        let mut taken = Vec::new();
        self.remarks.retain(|(before, remark)| {
            let due = *before <= seq;
            if due {
                taken.push(remark.clone());
            }
            !due
        });
        taken
    }

    /// Why an event came.
    pub fn take_because(&mut self, event: &Event) -> Vec<Reason> {
        let noted = self.because.remove(&event.position.seq);
        noted.unwrap_or_else(|| of_itself(&event.body))
    }

    /// The power went: what was not on disk is forgotten, and how many events that were.
    pub fn power_off(&mut self) -> usize {
        let lost = self.because.len();
        self.because.clear();
        self.cause = None;
        let tags = self
            .machines
            .values_mut()
            .flat_map(|machine| machine.tags.values_mut());
        for tag in tags {
            (tag.value, tag.bad) = (None, None);
        }
        lost
    }

    pub(super) fn sample(&mut self, machine: &str, name: &str, sample: &Sample) {
        let value = sample.usable().cloned();
        let bad = match sample.quality {
            Quality::Bad(reason) => Some(reason.word().to_owned()),
            Quality::Good | Quality::Uncertain => None,
        };
        let tags = &mut self.machine(machine).tags;
        let tag = tags.entry(name.to_owned()).or_default();
        tag.usable += u64::from(value.is_some());
        let same = tag.value == value && tag.bad == bad && (value.is_some() || bad.is_some());
        if !same || tag.since > sample.stamp.boot {
            tag.since = sample.stamp.boot;
        }
        (tag.value, tag.bad) = (value, bad);
        tag.uncertain = sample.quality == Quality::Uncertain;
        if self.instant.len() < MAX_VALUES {
            let told = self.value(machine, name);
            self.instant.push(told);
        } else {
            self.more += 1;
        }
    }

    /// Another instant begins.
    pub(super) fn instant(&mut self) {
        self.instant.clear();
        self.more = 0;
    }

    fn machine(&mut self, name: &str) -> &mut MachineNotes {
        if !self.machines.contains_key(name) {
            self.machines
                .insert(name.to_owned(), MachineNotes::default());
        }
        self.machines.entry(name.to_owned()).or_default()
    }

    pub(super) fn operation(&mut self, machine: &str, name: &str) -> &mut OperationNotes {
        let operations = &mut self.machine(machine).operations;
        operations.entry(name.to_owned()).or_default()
    }

    /// A tag as it is now.
    pub(super) fn value(&self, machine: &str, name: &str) -> ValueTold {
        let machine = self.machines.get(machine);
        let tag = machine.and_then(|machine| machine.tags.get(name));
        ValueTold {
            name: name.to_owned(),
            value: tag.and_then(|tag| tag.value.as_ref()).map(value_text),
            since_s: tag.map(|tag| seconds(tag.since)),
            bad: tag.and_then(|tag| tag.bad.clone()),
            uncertain: tag.is_some_and(|tag| tag.uncertain),
        }
    }

    /// A part of a condition with the values of its variables. `axis` gives state and mode.
    pub(super) fn part(
        &self,
        machine: &str,
        said: &PartSaid,
        axis: impl Fn(&str) -> Option<String>,
    ) -> PartTold {
        let value = |name: &String| match axis(name) {
            Some(word) => ValueTold {
                name: name.clone(),
                value: Some(word),
                since_s: None,
                bad: None,
                uncertain: false,
            },
            None => self.value(machine, name),
        };
        PartTold {
            condition: said.text.clone(),
            is: word(said.says),
            values: said.variables.iter().map(value).collect(),
        }
    }

    pub(super) fn remark(&mut self, before: u64, now: Stamp, place: (&str, &str), reason: Reason) {
        let remark = Remark {
            t: seconds(now.boot),
            machine: place.0.to_owned(),
            operation: place.1.to_owned(),
            reason,
        };
        self.remarks.push((before, remark));
    }

    pub(super) fn began(&mut self, place: (&str, &str), role: &'static str, began: Began) {
        self.operation(place.0, place.1).began.insert(role, began);
    }

    pub(super) fn take_began(&mut self, place: (&str, &str), role: &'static str) -> Option<Began> {
        self.operation(place.0, place.1).began.remove(role)
    }

    /// What is told from now on is told because of this.
    pub(super) fn set_cause(&mut self, cause: Option<Vec<Reason>>) {
        self.cause = cause;
    }

    /// Why the operation that begins now begins.
    pub(super) fn set_start(&mut self, place: (&str, &str), start: Vec<Reason>) {
        self.operation(place.0, place.1).start = start;
    }

    /// Why the end of the operation fired: it may be told when nothing trails it any more.
    pub(super) fn set_end(&mut self, place: (&str, &str), end: Vec<Reason>) {
        self.operation(place.0, place.1).end = end;
    }

    /// What the rules of state and mode say; false when they said so before.
    pub(super) fn differs(&self, machine: &str, reading: &Reading) -> bool {
        let machine = self.machines.get(machine);
        machine
            .and_then(|m| m.readings.last())
            .is_none_or(|(last, _)| last != reading)
    }

    pub(super) fn reading(&mut self, machine: &str, reading: Reading, why: Why) {
        let readings = &mut self.machine(machine).readings;
        let same = |known: &Reading| known.state == reading.state && known.mode == reading.mode;
        readings.retain(|(known, _)| !same(known));
        readings.push((reading, why));
    }

    /// An event is told: keeps why.
    pub(super) fn told(&mut self, seq: u64, machine: &str, body: &Body) {
        let why = match body {
            Body::State(report) => {
                let readings = &self.machine(machine).readings;
                let fits = |r: &Reading| r.state == report.current && r.mode == report.mode;
                let found = readings.iter().rev().find(|(reading, _)| fits(reading));
                found.map(|(_, why)| why.of_change(report))
            }
            Body::OperationStarted(report) => {
                let operation = self.operation(machine, &report.name);
                operation.told += 1;
                Some(operation.start.clone()).filter(|start| !start.is_empty())
            }
            Body::OperationCompleted(report) if self.cause.is_none() => {
                let ending = report.ending.as_ref();
                let fired = ending.is_some_and(|ending| ending.end_cause == EndCause::Trigger);
                let operation = self.operation(machine, &report.name);
                Some(std::mem::take(&mut operation.end)).filter(|end| fired && !end.is_empty())
            }
            _ => None,
        };
        let why = why.or_else(|| self.cause.clone());
        let why = why.unwrap_or_else(|| self.of_the_instant(body));
        self.because.insert(seq, why);
    }

    /// Without a condition: what the event says of itself, or else what was read in its instant.
    fn of_the_instant(&self, body: &Body) -> Vec<Reason> {
        let itself = of_itself(body);
        if !itself.is_empty() {
            return itself;
        }
        if self.instant.is_empty() {
            return vec![Reason::new("its time had come")];
        }
        let mut read: Vec<String> = self.instant.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            read.push(format!("and {} more", self.more));
        }
        vec![Reason::new(format!("this was read: {}", read.join(", ")))]
    }
}

/// What an event itself says about why it came.
fn of_itself(body: &Body) -> Vec<Reason> {
    let says = match body {
        Body::Clock(report) => match report.delta_s {
            Some(delta) => format!("UTC moved by {delta:.3} s against the boot clock"),
            None => "the wall clock changed".to_owned(),
        },
        Body::Counted(report) => format!(
            "the raw count went from {} to {}",
            report.raw_from, report.raw_to
        ),
        Body::LimitExceeded(report) => format!(
            "{} went beyond {}{}",
            report.parameter,
            report.threshold,
            held(report.hold_s)
        ),
        Body::LimitCleared(report) => format!(
            "{} came back by more than its hysteresis of {}{}",
            report.parameter,
            report.hysteresis,
            held(report.hold_s)
        ),
        Body::DowntimeClosed(report) if report.last => "the stop was over".to_owned(),
        Body::DowntimeClosed(_) => "the order or the shift changed during the stop".to_owned(),
        Body::OperationAborted(report) | Body::OperationCompleted(report) => {
            match report.ending.as_ref().map(|ending| ending.end_cause) {
                Some(EndCause::MaxDuration) => {
                    "it had lasted for `max_duration`: `end` never fired".to_owned()
                }
                _ => return Vec::new(),
            }
        }
        _ => return Vec::new(),
    };
    vec![Reason::new(says)]
}

fn held(hold_s: f64) -> String {
    if hold_s > 0.0 {
        format!(" and stayed there for {hold_s} s")
    } else {
        String::new()
    }
}

/// A value as people write it.
fn value_text(value: &Value) -> String {
    match value {
        Value::Bool(on) => on.to_string(),
        Value::Int(whole) => whole.to_string(),
        Value::Float(measured) => measured.to_string(),
        Value::Text(text) => {
            let shown: String = text.chars().take(MAX_TEXT).collect();
            let cut = if shown.len() < text.len() { "..." } else { "" };
            format!("'{}{cut}'", shown.escape_debug())
        }
    }
}
