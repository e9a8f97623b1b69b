//! What the machine's readers read, routed by the settings' patterns to what it is for. Pure.
//!
//! Each line of a scanner is a scan, also when it says the same twice; a tag that is polled scans when it changes. A code for
//! another machine is handed over through [`Machine::take_forwards`].

use super::{Heading, Machine, Moment, Slot, Unsaved};
use crate::aggregate::condition::Scope;
use crate::aggregate::part::{Pending, Waiting};
use crate::aggregate::saved::{self, Saved};
use crate::aggregate::scan::{Code, MAX_CODE, Meaning, Router, symbology_in_words};
use crate::model::{
    BadReason, Body, BootTime, Quality, RejectedScan, Sample, ScanRejection, Stamp, UtcTime, Value,
};
use crate::settings::shape::{Bind, ScanFor};
use crate::settings::{self, LineField, Plant, Problem, TagSource};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// A refused code that is read again within that is not told again.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);
/// Most of a refused code that is shown, in bytes.
const MAX_SHOWN: usize = 256;

/// The readers of a machine, and what was read and still waits.
#[derive(Debug, Default)]
pub(super) struct Scans {
    readers: Vec<Reader>,
    /// Parts that wait for their operation.
    pub(super) waiting: Waiting,
    /// For other machines.
    forwards: Vec<Forward>,
    /// From other machines' readers.
    pub(super) arrived: VecDeque<Scan>,
    /// All machines of the plant.
    machines: Vec<String>,
}

/// A tag that reads codes.
#[derive(Debug)]
struct Reader {
    tag: usize,
    name: String,
    /// Each sample is a scan; else each change.
    each: bool,
    /// The tag with the symbology identifier of the same line.
    symbology: Option<usize>,
    router: Router,
    memory: ReaderMemory,
}

/// What a reader remembers over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct ReaderMemory {
    /// Of a tag that is polled: its value.
    value: Option<Value>,
    last: Option<LastScan>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LastScan {
    text: String,
    /// When it was read last.
    at: BootTime,
    refused: Option<ScanRejection>,
    /// Of a part: where it was to go.
    goes: Goes,
}

/// Where a part is to go: two readers that mean the same place and read the same code read one part.
type Goes = Option<(Bind, Option<String>)>;

/// One code, and what it means.
#[derive(Clone, Debug)]
pub(in crate::aggregate) struct Scan {
    pub(super) reader: String,
    pub(super) at: Stamp,
    /// As it was read.
    pub(super) text: String,
    /// In words.
    pub(super) symbology: Option<String>,
    pub(super) meanings: Vec<Meaning>,
}

/// A scan for another machine, by its place in the plant.
#[derive(Debug)]
pub(in crate::aggregate) struct Forward {
    pub(in crate::aggregate) machine: usize,
    pub(in crate::aggregate) scan: Scan,
}

impl Scans {
    /// The readers of the settings; patterns that are none are problems.
    pub(super) fn compile(
        plant: &Plant,
        machine: &settings::Machine,
        scope: &Scope,
        problems: &mut Vec<Problem>,
    ) -> Scans {
        let mut readers = Vec::new();
        for (name, rules) in &machine.scans {
            let Some((tag, _)) = scope.tag(name) else {
                continue;
            };
            match Router::compile(rules) {
                Ok(router) => readers.push(Reader {
                    tag,
                    name: name.clone(),
                    each: speaks_unasked(plant, machine, name),
                    symbology: symbology_tag(plant, machine, name),
                    router,
                    memory: ReaderMemory::default(),
                }),
                Err((rule, error)) => {
                    let path = format!("scans.{name}.{rule}.pattern");
                    let path = if machine.path.is_empty() {
                        path
                    } else {
                        format!("{}.{path}", machine.path)
                    };
                    problems.push(Problem::new(path, error));
                }
            }
        }
        Scans {
            readers,
            machines: plant.machines.iter().map(|one| one.name.clone()).collect(),
            ..Scans::default()
        }
    }
}

fn speaks_unasked(plant: &Plant, machine: &settings::Machine, tag: &str) -> bool {
    let tag = machine.tags.get(tag).map(|tag| tag.index());
    tag.and_then(|tag| plant.tags.get(tag))
        .and_then(|tag| plant.devices.get(tag.device.index()))
        .is_some_and(|device| device.protocol.speaks_unasked())
}

/// The tag of the same device that has the symbology identifier, by its local number.
fn symbology_tag(plant: &Plant, machine: &settings::Machine, reader: &str) -> Option<usize> {
    let device = plant
        .tags
        .get(machine.tags.get(reader)?.index())
        .map(|tag| tag.device);
    machine.tags.values().position(|tag| {
        plant.tags.get(tag.index()).is_some_and(|tag| {
            let names_it = matches!(tag.source, TagSource::Line(LineField::Symbology));
            names_it && Some(tag.device) == device
        })
    })
}

impl Reader {
    /// True where the sample is a scan; a polled tag's first value ever, and an empty one, are none.
    fn reads(&mut self, value: &Value) -> bool {
        if self.each {
            return true;
        }
        if self.memory.value.as_ref() == Some(value) {
            return false;
        }
        let before = self.memory.value.replace(value.clone());
        let empty = matches!(value, Value::Text(text) if text.is_empty());
        before.is_some() && !empty
    }

    /// What was read, and whether it can be believed. What a scanner sent and nobody can read is a scan, too; that its device
    /// is lost or was not read is none.
    fn read(&mut self, sample: &Sample) -> Option<(String, bool)> {
        let Some(value) = sample.usable() else {
            let lost =
                [BadReason::DeviceLost, BadReason::Frozen, BadReason::NotRead].map(Quality::Bad);
            let text = match &sample.value {
                Some(Value::Text(text)) => text.to_string(),
                _ => String::new(),
            };
            return (self.each && !lost.contains(&sample.quality)).then_some((text, false));
        };
        let text = match value {
            _ if !self.reads(value) => return None,
            Value::Text(text) => text.to_string(),
            Value::Int(whole) => whole.to_string(),
            Value::Bool(_) | Value::Float(_) => return None,
        };
        // A text that was cut on its way is uncertain, and nearly as long as it may be.
        let cut = sample.quality == Quality::Uncertain && text.len() + 4 > MAX_CODE;
        Some((text, !cut))
    }

    /// It took the same code for the same place, in time.
    fn took(&self, text: &str, goes: &Goes, now: BootTime, within: Duration) -> bool {
        let took = |last: &LastScan| {
            let same = last.text == text && last.goes == *goes;
            same && last.refused.is_none() && now.since(last.at) <= within
        };
        goes.is_some() && self.memory.last.as_ref().is_some_and(took)
    }

    /// The same code again, in time: gives what became of the scan that it repeats.
    fn same(
        &mut self,
        text: &str,
        now: BootTime,
        within: Duration,
    ) -> Option<Option<ScanRejection>> {
        let last = self.memory.last.as_mut()?;
        let same = last.text == text && now.since(last.at) <= within;
        if same {
            last.at = now;
        }
        same.then_some(last.refused)
    }
}

/// What a code means, or why nothing.
type Routed = Result<Vec<Meaning>, ScanRejection>;

/// Where the part goes that a code names.
fn goes(routed: &Routed) -> Goes {
    let mut found = routed.iter().flatten();
    let part = found.find(|one| one.is == ScanFor::Part)?;
    Some((part.rule.bind, part.rule.slot.clone()))
}

/// An operation whose start is being debounced may take it: it was in time when that began.
fn is_awaited(slots: &[Slot], pending: &Pending) -> bool {
    slots.iter().any(|slot| {
        let mut starting = slot.starting.iter();
        starting.any(|one| one.facts.parts.is_empty() && pending.fits(&slot.name, one.started.boot))
    })
}

/// There may be what it was for by now: it is tried again.
fn is_tried_again(why: ScanRejection) -> bool {
    matches!(why, ScanRejection::NoOperation | ScanRejection::NoStop)
}

/// How soon the same code is the same scan.
fn same_within(routed: &Routed) -> Duration {
    let first = routed.as_ref().ok().and_then(|found| found.first());
    first.map_or(REFUSED_AGAIN, |one| one.rule.same_within.get())
}

impl Machine {
    /// A sample of a tag that may be a reader's.
    pub(super) fn scanned(&mut self, local: usize, sample: &Sample, moment: &mut Moment<'_>) {
        let mut readers = self.scans.readers.iter_mut();
        let Some(reader) = readers.find(|reader| reader.tag == local) else {
            return;
        };
        let before = reader.memory.value.clone();
        let read = reader.read(sample);
        if reader.memory.value != before {
            self.unsaved = self.unsaved.max(Unsaved::Later);
        }
        let Some((text, whole)) = read else { return };
        moment.health.scans.add(1);
        self.unsaved = self.unsaved.max(Unsaved::Later);
        let symbology = match reader.symbology.map(|local| self.scope.value(local)) {
            Some(Some(Value::Text(symbology))) => Some(&**symbology),
            _ => None,
        };
        let code = Code::new(&text, symbology);
        let routed = if whole {
            reader.router.route(code)
        } else {
            Err(ScanRejection::Unusable)
        };
        let (within, goes) = (same_within(&routed), goes(&routed));
        let same = reader.same(&text, moment.now.boot, within);
        let reader = reader.name.clone();
        let mut others = self.scans.readers.iter();
        let elsewhere = others.any(|one| one.took(&text, &goes, moment.now.boot, within));
        let final_already = same.is_some_and(|refused| !refused.is_some_and(is_tried_again));
        if final_already || elsewhere {
            moment.health.scans_repeated.add(1);
            self.waits_longer(&text, &routed, moment.now.boot);
            return;
        }
        let scan = Scan {
            reader,
            at: moment.now,
            symbology: code.symbology.map(symbology_in_words),
            meanings: routed.as_ref().map_or(Vec::new(), Clone::clone),
            text,
        };
        let refused = match routed {
            Ok(_) => self.read_code(&scan, same.flatten(), moment),
            Err(why) => {
                self.reject(&scan, why, moment);
                Some(why)
            }
        };
        let mut readers = self.scans.readers.iter_mut();
        if let Some(reader) = readers.find(|reader| reader.tag == local) {
            reader.memory.last = Some(LastScan {
                text: scan.text,
                at: moment.now.boot,
                refused,
                goes,
            });
        }
    }

    /// A part that lies before the reader is read over and over: it goes on waiting as long as that is so.
    fn waits_longer(&mut self, text: &str, routed: &Routed, now: BootTime) {
        let mut found = routed.iter().flatten();
        if let Some(part) = found.find(|one| one.is == ScanFor::Part) {
            let (slot, until) = (&part.rule.slot, now.plus(part.rule.valid_for.get()));
            self.scans.waiting.again(text, slot.as_deref(), until);
        }
    }

    /// Hands a code to the machine that it is for. Gives why it came to nothing; what was said already is not told again.
    fn read_code(
        &mut self,
        scan: &Scan,
        said: Option<ScanRejection>,
        moment: &mut Moment<'_>,
    ) -> Option<ScanRejection> {
        let first = scan.meanings.first()?;
        let wanted = first.rule.machine.as_ref().or(first.machine.as_ref());
        let Some(wanted) = wanted.filter(|wanted| **wanted != self.name) else {
            return self.mean(scan, said, moment);
        };
        let machine = self.scans.machines.iter().position(|name| name == wanted);
        let Some(machine) = machine else {
            self.reject(scan, ScanRejection::Pattern, moment);
            return Some(ScanRejection::Pattern);
        };
        let scan = Scan {
            reader: format!("{}.{}", self.name, scan.reader),
            ..scan.clone()
        };
        self.scans.forwards.push(Forward { machine, scan });
        // With what the other machine keeps of it: else the same code again would be another scan.
        self.unsaved = Unsaved::Soon;
        None
    }

    /// Scans for other machines, since the last call.
    pub(in crate::aggregate) fn take_forwards(&mut self) -> Vec<Forward> {
        std::mem::take(&mut self.scans.forwards)
    }

    pub(super) fn scans_due(&self) -> Option<BootTime> {
        let arrived = self.scans.arrived.front().map(|scan| scan.at.boot);
        let awaited = |pending: &Pending| is_awaited(&self.slots, pending);
        let expires = self.scans.waiting.due(awaited);
        arrived.into_iter().chain(expires).min()
    }

    /// Parts that have waited too long.
    pub(super) fn scans_expire(&mut self, moment: &mut Moment<'_>) {
        let awaited = |pending: &Pending| is_awaited(&self.slots, pending);
        for pending in self.scans.waiting.expire(moment.now.boot, awaited) {
            self.reject_pending(pending, ScanRejection::Expired, moment.now.utc, moment);
        }
    }

    pub(super) fn reject_pending(
        &mut self,
        pending: Pending,
        why: ScanRejection,
        at: UtcTime,
        moment: &mut Moment<'_>,
    ) {
        let rejected = rejected(pending.reader, &pending.text, why);
        moment.tell(
            Heading::machine(&self.name, at),
            Body::ScanRejected(rejected),
        );
        self.unsaved = Unsaved::Soon;
    }

    pub(super) fn reject(&mut self, scan: &Scan, why: ScanRejection, moment: &mut Moment<'_>) {
        let rejected = rejected(scan.reader.clone(), &scan.text, why);
        let heading = Heading::machine(&self.name, scan.at.utc);
        moment.tell(heading, Body::ScanRejected(rejected));
        self.unsaved = Unsaved::Soon;
    }

    pub(super) fn save_scans(&self, into: &mut Saved) {
        let key = self.scope_key();
        self.save_arrived(into);
        if self.scans.waiting != Waiting::default() {
            into.put(format!("{key}/parts"), &self.scans.waiting);
        }
        for reader in &self.scans.readers {
            if reader.memory != ReaderMemory::default() {
                into.put(format!("{key}/reader/{}", reader.name), &reader.memory);
            }
        }
    }

    pub(super) fn restore_scans(&mut self, entries: &super::Entries, resumed: &super::Resumed) {
        let key = self.scope_key();
        self.restore_arrived(entries, resumed);
        if let Some(waiting) = entries
            .get(&format!("{key}/parts"))
            .and_then(|bytes| saved::read::<Waiting>(bytes))
        {
            self.scans.waiting = waiting;
            self.scans
                .waiting
                .resume(resumed.shift_ns, resumed.measurable);
        }
        for reader in &mut self.scans.readers {
            let bytes = entries.get(&format!("{key}/reader/{}", reader.name));
            if let Some(memory) = bytes.and_then(|bytes| saved::read::<ReaderMemory>(bytes)) {
                reader.memory = memory;
            }
            // How long ago a code was read may not be known: then it is no repeat.
            let last = reader.memory.last.take().filter(|_| resumed.measurable);
            reader.memory.last = last.map(|last| LastScan {
                at: last.at.shifted(resumed.shift_ns),
                ..last
            });
        }
    }
}

fn rejected(reader: String, text: &str, reason: ScanRejection) -> RejectedScan {
    let printable = !text.is_empty() && !text.chars().any(char::is_control);
    let shown = |text: &str| {
        text.get(..text.floor_char_boundary(MAX_SHOWN))
            .map(str::to_owned)
    };
    RejectedScan {
        reader,
        reason,
        text: printable.then(|| shown(text)).flatten(),
        raw: text.bytes().take(MAX_SHOWN).collect(),
    }
}
