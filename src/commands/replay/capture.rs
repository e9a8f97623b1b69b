//! The capture file of `millgate replay`: JSON Lines, one reading or one happening per line.

use crate::model::{
    BadReason, BootTime, DeviceId, Quality, Sample, Stamp, TagId, UtcTime, Value, ValueKind,
};
use crate::settings::Plant;
use crate::settings::shape::Timestamps;
use serde::Deserialize;
use std::collections::HashMap;

/// Longest line: a sample's text is at most 1 KiB.
const MAX_LINE: usize = 8 * 1024;
/// Oldest stamp of a device that is believed: 7 days.
const OLDEST_NS: i64 = 7 * 86_400 * 1_000_000_000;
/// How far ahead such a stamp may be: 5 minutes.
const MOST_AHEAD_NS: i64 = 300 * 1_000_000_000;
/// Where virtual UTC begins when the capture does not say: 2026-01-01T00:00:00Z.
const DEFAULT_START_NS: i64 = 1_767_225_600_000_000_000;

/// Something that happens in a capture.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands) enum Happening {
    /// A reading of a tag, with the device's own stamp if it has one; the player sets the sample's.
    Reading(DeviceId, TagId, Option<Value>, Quality, Option<UtcTime>),
    /// A device is lost or back.
    Link(DeviceId, bool),
    /// The gateway loses or regains power.
    Power(bool),
    /// The wall clock steps by so many nanoseconds.
    WallStep(i64),
    /// The wall clock is synchronised, or not.
    Clock(bool),
    /// The gateway is reloaded with other settings: those of that number.
    Settings(usize),
    /// Time passes up to here.
    End,
}

/// A line: nanoseconds since the start, and what happens.
pub(in crate::commands) type Line = (i64, Happening);

/// A whole capture.
#[derive(Debug)]
pub(in crate::commands) struct Capture {
    pub(in crate::commands) start: Stamp,
    pub(in crate::commands) lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    start: Option<String>,
    t: Option<f64>,
    tag: Option<String>,
    value: Option<serde_json::Value>,
    quality: Option<String>,
    reason: Option<String>,
    source_time: Option<String>,
    device: Option<String>,
    link: Option<String>,
    power: Option<String>,
    wall_step: Option<f64>,
    clock: Option<RawClock>,
    settings: Option<String>,
    end: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClock {
    synchronised: bool,
}

/// The settings files that a capture names, in order, each once. What is wrong with a line is said when it is read.
pub(super) fn settings_named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    let candidates = text.lines().filter(|line| line.contains("\"settings\""));
    for line in candidates.filter(|line| line.len() <= MAX_LINE) {
        let raw: Option<Raw> = serde_json::from_str(line).ok();
        if let Some(file) = raw.and_then(|raw| raw.settings)
            && !named.contains(&file)
        {
            named.push(file);
        }
    }
    named
}

impl Capture {
    /// Reads a capture for `plant`, and from each line `settings` on for the one of `others` of that name.
    ///
    /// # Errors
    /// `line N: what is wrong`.
    pub(in crate::commands) fn read(
        text: &str,
        plant: &Plant,
        others: &[(String, Plant)],
    ) -> Result<Capture, String> {
        let mut names = Names::new(plant);
        let mut capture = Capture {
            start: Stamp {
                boot: BootTime(0),
                utc: UtcTime(DEFAULT_START_NS),
            },
            lines: Vec::new(),
        };
        let mut last = 0;
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let number = index + 1;
            let wrong = |what: String| format!("line {number}: {what}");
            if line.len() > MAX_LINE {
                return Err(wrong(format!("longer than {MAX_LINE} bytes")));
            }
            let raw: Raw = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            if let Some(start) = &raw.start {
                capture.start.utc = utc(start).map_err(|what| wrong(format!("`start`: {what}")))?;
                continue;
            }
            let (t, happening) = names.happening(raw, others).map_err(wrong)?;
            if let Happening::Settings(other) = happening
                && let Some((_, other)) = others.get(other)
            {
                names = Names::new(other);
            }
            if t < last {
                return Err(wrong("`t` is less than in the line before".into()));
            }
            last = t;
            capture.lines.push((t, happening));
        }
        Ok(capture)
    }
}

/// Names of a plant as captures use them: bare with one machine, `PRESS-04.status` with several.
struct Names<'a> {
    plant: &'a Plant,
    tags: HashMap<String, TagId>,
    devices: HashMap<String, DeviceId>,
}

impl Names<'_> {
    fn new(plant: &Plant) -> Names<'_> {
        let single = plant.machines.len() == 1;
        let mut tags = HashMap::new();
        let mut devices = HashMap::new();
        for tag in &plant.tags {
            let machine = plant.machines.get(tag.machine).map_or("", |m| &m.name);
            tags.insert(format!("{machine}.{}", tag.name), tag.id);
            if single {
                tags.insert(tag.name.clone(), tag.id);
            }
        }
        for device in &plant.devices {
            devices.insert(device.name.clone(), device.id);
            if let Some((_, bare)) = device.name.split_once('.').filter(|_| single) {
                devices.insert(bare.to_owned(), device.id);
            }
        }
        Names {
            plant,
            tags,
            devices,
        }
    }

    fn happening(&self, raw: Raw, others: &[(String, Plant)]) -> Result<Line, String> {
        let seconds = raw.t.ok_or("`t` is missing: seconds since the start")?;
        if !(0.0..=4e9).contains(&seconds) {
            return Err(format!("`t` is {seconds}: it must be 0 or more"));
        }
        let t = (seconds * 1e9).round() as i64;
        let happening = match raw {
            Raw { tag: Some(tag), value, quality, reason, source_time, .. } => {
                let quality = quality_of(quality.as_deref(), reason.as_deref())?;
                let source = source_time.as_deref().map(utc).transpose();
                let source = source.map_err(|what| format!("`source_time`: {what}"))?;
                self.reading(&tag, value, quality, source)?
            }
            Raw { device: Some(device), link: Some(link), .. } => {
                let id = self.devices.get(&device);
                let id = *id.ok_or_else(|| format!("there is no device `{device}`"))?;
                Happening::Link(id, one_of(&link, "good", "lost")?)
            }
            Raw { power: Some(power), .. } => Happening::Power(one_of(&power, "on", "off")?),
            Raw { wall_step: Some(by), .. } => Happening::WallStep((by * 1e9).round() as i64),
            Raw { clock: Some(clock), .. } => Happening::Clock(clock.synchronised),
            Raw { settings: Some(file), .. } => {
                let known = others.iter().position(|(name, _)| *name == file);
                Happening::Settings(known.ok_or_else(|| format!("the settings `{file}` were not read"))?)
            }
            Raw { end: Some(true), .. } => Happening::End,
            _ => return Err("nothing happens in this line: tag, device and link, power, wall_step, clock, settings or end is missing".into()),
        };
        Ok((t, happening))
    }

    fn reading(
        &self,
        name: &str,
        value: Option<serde_json::Value>,
        quality: Quality,
        source: Option<UtcTime>,
    ) -> Result<Happening, String> {
        let id = *self
            .tags
            .get(name)
            .ok_or_else(|| format!("there is no tag `{name}`"))?;
        let tag = self.plant.tags.get(id.index()).ok_or("no such tag")?;
        let value = value.map(|value| convert(&value, tag.kind)).transpose()?;
        if value.is_none() && !matches!(quality, Quality::Bad(_)) {
            return Err("`value` is missing".into());
        }
        let device = self.plant.devices.get(tag.device.index());
        let source = source
            .filter(|_| device.is_some_and(|device| device.timestamps != Timestamps::Gateway));
        Ok(Happening::Reading(tag.device, id, value, quality, source))
    }
}

fn quality_of(quality: Option<&str>, reason: Option<&str>) -> Result<Quality, String> {
    match (quality, reason) {
        (Some("bad"), Some(reason)) => self::reason(reason)
            .map(Quality::Bad)
            .ok_or_else(|| format!("reason `{reason}` is not known")),
        (Some("bad"), None) => Ok(Quality::Bad(BadReason::Source)),
        (_, Some(_)) => Err("`reason` belongs to `\"quality\":\"bad\"`".into()),
        (None | Some("good"), None) => Ok(Quality::Good),
        (Some("uncertain"), None) => Ok(Quality::Uncertain),
        (Some(other), None) => Err(format!("quality `{other}`: good, uncertain or bad")),
    }
}

/// The word of a reason, and of an exception its code: `exception 2`.
fn reason(text: &str) -> Option<BadReason> {
    const PLAIN: [BadReason; 11] = [
        BadReason::DeviceLost,
        BadReason::OutOfRange,
        BadReason::NotFinite,
        BadReason::Malformed,
        BadReason::Source,
        BadReason::Frozen,
        BadReason::TooFast,
        BadReason::Unlisted,
        BadReason::Overflow,
        BadReason::Stamp,
        BadReason::NotRead,
    ];
    match text.strip_prefix("exception ") {
        Some(code) => code.parse().ok().map(BadReason::Exception),
        None => PLAIN.into_iter().find(|reason| reason.word() == text),
    }
}

/// An RFC 3339 time.
fn utc(text: &str) -> Result<UtcTime, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    i64::try_from(time.as_nanosecond())
        .map(UtcTime)
        .map_err(|_| "further away than 292 years".to_owned())
}

fn one_of(found: &str, yes: &str, no: &str) -> Result<bool, String> {
    match found {
        _ if found == yes => Ok(true),
        _ if found == no => Ok(false),
        _ => Err(format!("`{found}`: {yes} or {no}")),
    }
}

fn convert(value: &serde_json::Value, kind: ValueKind) -> Result<Value, String> {
    let converted = match kind {
        ValueKind::Bool => value
            .as_bool()
            .or_else(|| value.as_i64().map(|number| number != 0))
            .map(Value::Bool),
        ValueKind::Int => value
            .as_i64()
            .or_else(|| value.as_bool().map(i64::from))
            .map(Value::Int),
        ValueKind::Float => value.as_f64().map(Value::Float),
        ValueKind::Text => value.as_str().map(|text| Value::Text(text.into())),
        ValueKind::Any => any(value),
    };
    converted.ok_or_else(|| format!("the value {value} does not fit the tag's type"))
}

/// A value as JSON has it.
fn any(value: &serde_json::Value) -> Option<Value> {
    let number = || {
        value
            .as_i64()
            .map(Value::Int)
            .or(value.as_f64().map(Value::Float))
    };
    let text = || value.as_str().map(|text| Value::Text(text.into()));
    value
        .as_bool()
        .map(Value::Bool)
        .or_else(number)
        .or_else(text)
}

impl Happening {
    /// The sample of a reading that arrived at `arrival`. `device_time` puts a device's own time on the boot clock.
    pub(in crate::commands) fn sample(
        self,
        arrival: Stamp,
        device_time: impl Fn(UtcTime) -> Stamp,
    ) -> Option<(DeviceId, Sample)> {
        let Happening::Reading(device, tag, value, quality, source) = self else {
            return None;
        };
        let own = source.map(device_time);
        let age_ns = own.map_or(0, |own| arrival.boot.0.saturating_sub(own.boot.0));
        let possible = (-MOST_AHEAD_NS..=OLDEST_NS).contains(&age_ns);
        // What is stamped a little ahead was stamped when it came.
        let own = own.filter(|own| possible && own.boot < arrival.boot);
        let sample = Sample {
            tag,
            stamp: own.unwrap_or(arrival),
            value,
            quality: if possible {
                quality
            } else {
                Quality::Bad(BadReason::Stamp)
            },
        };
        Some((device, sample))
    }
}
