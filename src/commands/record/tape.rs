//! What was read, as the lines of a capture that `millgate replay` plays: in the order of time, whoever said it first.
//!
//! Pure but for the writer. Devices hand over side by side and values may carry their source's time, so lines wait for
//! [`SETTLE`] before they are written; what comes later still is written at the time reached by then, and counted.

use crate::commands::replay::names;
use crate::model::{BadReason, Batch, BootTime, Content, Quality, Sample, Stamp, UtcTime, Value};
use crate::settings::Plant;
use crate::settings::shape::Timestamps;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

/// How long a line waits for others that were before it: twice the watermark of values with a time of their own.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
/// Most lines that wait: a second at ten times the design load. Then the oldest are written whatever may still come.
const MAX_WAITING: usize = 100_000;
/// The wall clock against the boot clock: below that it is being slewed, above it was set.
const STEP_NS: i64 = 500_000_000;

/// How much there is on a tape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Samples.
    pub(super) samples: u64,
    /// Of these, bad ones.
    pub(super) bad: u64,
    /// Times that a device was lost.
    pub(super) lost: u64,
    /// Lines that came too late to be put in order.
    pub(super) late: u64,
    /// Bytes.
    pub(super) bytes: u64,
}

/// A capture that is being written.
pub(super) struct Tape {
    tags: Vec<TagOnTape>,
    devices: Vec<DeviceOnTape>,
    start: Stamp,
    /// Nanoseconds by which the wall clock was set since the start.
    stepped_ns: i64,
    synchronised: bool,
    /// By time, then as they came.
    waiting: BTreeMap<(i64, u64), Line>,
    heard: u64,
    /// Time of the last line that was written.
    reached: i64,
    counts: Counts,
}

struct TagOnTape {
    name: String,
    /// Its stamps come from the device's clock.
    has_own_time: bool,
}

struct DeviceOnTape {
    name: String,
    lost: bool,
}

/// A line; which of its fields are there says what it is.
#[derive(Debug, Default, Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_step: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Synchronised>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Synchronised {
    synchronised: bool,
}

impl Tape {
    /// An empty tape that begins at `start`; its first line is written at once.
    ///
    /// # Errors
    /// The writer's.
    pub(super) fn begin(plant: &Plant, start: Stamp, out: &mut dyn Write) -> io::Result<Tape> {
        let tags = plant.tags.iter().map(|tag| TagOnTape {
            name: names::tag(plant, tag),
            has_own_time: plant
                .devices
                .get(tag.device.index())
                .is_some_and(|device| device.timestamps != Timestamps::Gateway),
        });
        let devices = plant.devices.iter().map(|device| DeviceOnTape {
            name: names::device(plant, device),
            lost: false,
        });
        let mut tape = Tape {
            tags: tags.collect(),
            devices: devices.collect(),
            start,
            stepped_ns: 0,
            // A capture begins so unless it says otherwise.
            synchronised: true,
            waiting: BTreeMap::new(),
            heard: 0,
            reached: 0,
            counts: Counts::default(),
        };
        let first = Line {
            start: Some(utc(start.utc)),
            ..Line::default()
        };
        tape.put(&first, out)?;
        Ok(tape)
    }

    /// How much there is on it.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes what a device said.
    pub(super) fn hear(&mut self, batch: &Batch) {
        let Some(device) = self.devices.get_mut(batch.device.index()) else {
            return;
        };
        let lost = matches!(batch.content, Content::Lost(_));
        if std::mem::replace(&mut device.lost, lost) != lost {
            let line = Line {
                device: Some(device.name.clone()),
                link: Some(if lost { "lost" } else { "good" }),
                ..Line::default()
            };
            self.counts.lost += u64::from(lost);
            // The first sample says that it is back, so the news must not come after it.
            let first = match &batch.content {
                Content::Samples(samples) => samples.iter().map(|sample| sample.stamp.boot).min(),
                Content::Lost(_) => None,
            };
            self.wait(first.unwrap_or(batch.stamp.boot), line);
        }
        if let Content::Samples(samples) = &batch.content {
            for sample in samples {
                self.sample(sample, batch.stamp.boot);
            }
        }
    }

    /// Takes what the clocks say.
    pub(super) fn clock(&mut self, now: Stamp, synchronised: bool) {
        let expected = self
            .start
            .at(now.boot)
            .utc
            .0
            .saturating_add(self.stepped_ns);
        let by = now.utc.0.saturating_sub(expected);
        if by.saturating_abs() > STEP_NS {
            self.stepped_ns = self.stepped_ns.saturating_add(by);
            let line = Line {
                wall_step: Some(seconds(by)),
                ..Line::default()
            };
            self.wait(now.boot, line);
        }
        if std::mem::replace(&mut self.synchronised, synchronised) != synchronised {
            let line = Line {
                clock: Some(Synchronised { synchronised }),
                ..Line::default()
            };
            self.wait(now.boot, line);
        }
    }

    /// Writes what has settled by `now`.
    ///
    /// # Errors
    /// The writer's.
    pub(super) fn write(&mut self, now: BootTime, out: &mut dyn Write) -> io::Result<()> {
        let settled = self.since_start(now).saturating_sub(nanoseconds(SETTLE));
        while let Some(first) = self.waiting.first_entry() {
            let (t, _) = *first.key();
            if t > settled && self.waiting.len() <= MAX_WAITING {
                break;
            }
            let line = self.waiting.pop_first();
            self.put_at(t, line.map(|(_, line)| line).unwrap_or_default(), out)?;
        }
        out.flush()
    }

    /// Writes all that is left, and the end at `now`.
    ///
    /// # Errors
    /// The writer's.
    pub(super) fn end(mut self, now: BootTime, out: &mut dyn Write) -> io::Result<Counts> {
        for ((t, _), line) in std::mem::take(&mut self.waiting) {
            self.put_at(t, line, out)?;
        }
        let last = Line {
            end: Some(true),
            ..Line::default()
        };
        self.put_at(self.since_start(now).max(self.reached), last, out)?;
        out.flush()?;
        Ok(self.counts)
    }

    /// What a device stamped itself stands where it arrived, with its own time beside it: replay orders it as the gateway did.
    fn sample(&mut self, sample: &Sample, arrived: BootTime) {
        let Some(tag) = self.tags.get(sample.tag.index()) else {
            return;
        };
        let (quality, reason) = match sample.quality {
            Quality::Good => (None, None),
            Quality::Uncertain => (Some("uncertain"), None),
            Quality::Bad(reason) => (Some("bad"), Some(words(reason))),
        };
        let has_own_time = tag.has_own_time;
        let line = Line {
            tag: Some(tag.name.clone()),
            value: sample.value.as_ref().map(json),
            quality,
            reason,
            source_time: has_own_time.then(|| utc(sample.stamp.utc)),
            ..Line::default()
        };
        self.counts.samples += 1;
        self.counts.bad += u64::from(matches!(sample.quality, Quality::Bad(_)));
        let at = if has_own_time {
            arrived
        } else {
            sample.stamp.boot
        };
        self.wait(at, line);
    }

    fn wait(&mut self, at: BootTime, line: Line) {
        self.heard += 1;
        self.waiting
            .insert((self.since_start(at), self.heard), line);
    }

    fn since_start(&self, at: BootTime) -> i64 {
        at.0.saturating_sub(self.start.boot.0).max(0)
    }

    fn put_at(&mut self, t: i64, line: Line, out: &mut dyn Write) -> io::Result<()> {
        self.counts.late += u64::from(t < self.reached);
        self.reached = self.reached.max(t);
        let line = Line {
            t: Some(seconds(self.reached)),
            ..line
        };
        self.put(&line, out)
    }

    fn put(&mut self, line: &Line, out: &mut dyn Write) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        out.write_all(&text)?;
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.counts.bytes = self.counts.bytes.saturating_add(bytes);
        Ok(())
    }
}

/// The word, and of an exception the code.
fn words(reason: BadReason) -> String {
    match reason {
        BadReason::Exception(code) => format!("exception {code}"),
        other => other.word().to_owned(),
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(on) => (*on).into(),
        Value::Int(whole) => (*whole).into(),
        Value::Float(measured) => (*measured).into(),
        Value::Text(text) => text.as_ref().into(),
    }
}

/// A double holds nanoseconds of 100 days; a capture ends long before.
fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn utc(time: UtcTime) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.0))
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests;
