//! The end of `acquire`: what was decoded becomes a sample, once and for every driver alike. Called by `link`.
//!
//! Pure but for the counters of the device. In this order: the stamp (`stamps`), words, scale, range and texts (`value`),
//! rate and deadband (`course`). What fails becomes bad with its reason, and is counted.

mod course;
mod kept;
mod stamps;
mod value;

#[cfg(test)]
mod tests;

use super::driver::Reading;
use crate::health::DeviceHealth;
use crate::model::{BadReason, Quality, Sample, Stamp, TagId, Value, ValueKind};
use crate::settings::shape::{self, Timestamps};
use crate::settings::{Conditioning, Device, Protocol, Tag};
use course::Course;
use kept::Kept;
use stamps::Stamps;
use std::sync::Arc;
use std::time::Duration;
use value::Made;

/// What is done to the values of one device, and what must be remembered for it.
#[derive(Clone, Debug, Default)]
pub struct Conditioner {
    /// Number of the first tag: those of a device follow one another.
    first: usize,
    rules: Vec<Rule>,
    /// Where the device stamps its own values.
    stamps: Option<Box<Stamps>>,
    /// Where the device tells changes only.
    kept: Option<Kept>,
    /// Whether our UTC means something.
    synchronised: bool,
    health: Arc<DeviceHealth>,
}

/// What is done to the values of one tag.
#[derive(Clone, Debug)]
struct Rule {
    kind: ValueKind,
    /// `None` where nothing is asked for.
    conditioning: Option<Arc<Conditioning>>,
    course: Option<Box<Course>>,
    every: Duration,
}

impl Rule {
    fn new(tag: &Tag) -> Rule {
        let asked = *tag.conditioning != Conditioning::default();
        Rule {
            kind: tag.kind,
            conditioning: asked.then(|| Arc::clone(&tag.conditioning)),
            course: Course::new(&tag.conditioning),
            every: tag.every,
        }
    }

    fn make(&self, raw: Value) -> Made {
        match &self.conditioning {
            None => value::plain(raw, self.kind),
            Some(conditioning) => value::conditioned(raw, conditioning, self.kind),
        }
    }
}

impl Conditioner {
    /// For the tags of one device, in the order of their numbers.
    pub fn new<'a>(
        tags: impl IntoIterator<Item = &'a Tag>,
        health: Arc<DeviceHealth>,
    ) -> Conditioner {
        let mut first = None;
        let mut rules = Vec::new();
        for tag in tags {
            first.get_or_insert(tag.id.index());
            rules.push(Rule::new(tag));
        }
        Conditioner {
            first: first.unwrap_or(0),
            rules,
            stamps: None,
            kept: None,
            synchronised: false,
            health,
        }
    }

    /// With the clock of `device`, where its settings want its own stamps, and with what it told last, where it tells
    /// changes only.
    #[must_use]
    pub fn of(mut self, device: &Device) -> Conditioner {
        let subscribed = match &device.protocol {
            Protocol::OpcUa(server) if server.read == shape::Reading::Subscribe => {
                Some(server.publishing_interval)
            }
            _ => None,
        };
        let shortest = self.rules.iter().map(|rule| rule.every).min();
        let reports_every = subscribed.or(shortest).unwrap_or_default();
        let tags = self.rules.len();
        self.stamps = (device.timestamps != Timestamps::Gateway)
            .then(|| Box::new(Stamps::new(device.max_skew, reports_every, tags)));
        self.kept = subscribed.map(|_| Kept::new(self.first, tags));
        self
    }

    /// Whether the trust in our UTC matters: said before each answer then.
    #[must_use]
    pub(super) fn needs_utc(&self) -> bool {
        self.stamps.is_some()
    }

    /// Whether our UTC is synchronised from now on. Until this is said, it is not.
    pub fn set_synchronised(&mut self, synchronised: bool) {
        self.synchronised = synchronised;
    }

    /// Makes the samples of one answer, in the order of their stamps.
    pub fn samples(&mut self, mut readings: Vec<Reading>) -> Vec<Sample> {
        if let Some(stamps) = &mut self.stamps {
            stamps.place(&mut readings, self.first, self.synchronised, &self.health);
        }
        readings
            .into_iter()
            .filter_map(|reading| self.one(reading))
            .collect()
    }

    /// Makes the samples of an answer that was complete at `stamp`. A device that `returns` from a loss and tells changes
    /// only does not say what has not changed: that holds again as it was.
    pub(super) fn hear(
        &mut self,
        mut readings: Vec<Reading>,
        stamp: Stamp,
        returns: bool,
    ) -> Vec<Sample> {
        if let Some(kept) = &mut self.kept {
            kept.keep(&readings);
            if returns {
                kept.complete(&mut readings, stamp);
            }
        }
        self.samples(readings)
    }

    /// Keeps what a device says whose values are not handed on.
    pub(super) fn keep(&mut self, readings: &[Reading]) {
        if let Some(kept) = &mut self.kept {
            kept.keep(readings);
        }
    }

    /// The device is lost: all its tags are bad in the next stage, so that whatever comes next is news.
    pub fn lost(&mut self) {
        for course in self
            .rules
            .iter_mut()
            .filter_map(|rule| rule.course.as_mut())
        {
            course.forget();
        }
        if let Some(stamps) = &mut self.stamps {
            stamps.forget();
        }
    }

    /// All its tags are bad from `stamp` on, because nothing is read: what comes next is news, and no number is held against
    /// one from before.
    pub(super) fn not_read(&mut self, stamp: Stamp) -> Vec<Sample> {
        self.lost();
        let tags = self.first..self.first + self.rules.len();
        let tags = tags.filter_map(|tag| u32::try_from(tag).ok());
        tags.map(|tag| {
            let made = Made::bad(None, BadReason::NotRead);
            sample(TagId(tag), stamp, made)
        })
        .collect()
    }

    /// What became of the device's clock since the last time, in words for the log.
    pub(super) fn take_news(&mut self) -> Vec<String> {
        let news = self.stamps.as_mut().map(|stamps| stamps.take_news());
        news.into_iter().flatten().map(stamps::in_words).collect()
    }

    fn one(&mut self, reading: Reading) -> Option<Sample> {
        let local = reading.tag.index().checked_sub(self.first)?;
        let rule = self.rules.get_mut(local)?;
        let mut made = match reading.raw {
            Ok(raw) => rule.make(raw),
            Err(reason) => Made::bad(None, reason),
        };
        if reading.uncertain && made.quality == Quality::Good {
            made.quality = Quality::Uncertain;
        }
        if let Some(course) = &mut rule.course
            && !followed(course, &mut made, reading.stamp)
        {
            self.health.unchanged.add(1);
            return None;
        }
        if let Quality::Bad(reason) = made.quality {
            self.health.refuse(reason);
        } else if made.truncated {
            self.health.truncated.add(1);
        }
        Some(sample(reading.tag, reading.stamp, made))
    }
}

/// Holds a value against those before it. False when it need not be handed on.
fn followed(course: &mut Course, made: &mut Made, stamp: Stamp) -> bool {
    let number = match &made.value {
        Some(Value::Int(_) | Value::Float(_)) => made.value.as_ref().and_then(Value::number),
        _ => None,
    };
    let usable = number.filter(|_| !matches!(made.quality, Quality::Bad(_)));
    if !course.believes(stamp.boot, usable) {
        made.quality = Quality::Bad(BadReason::TooFast);
    }
    course.is_told(stamp.boot, number, made.quality)
}

fn sample(tag: TagId, stamp: Stamp, made: Made) -> Sample {
    Sample {
        tag,
        stamp,
        value: made.value,
        quality: made.quality,
    }
}
