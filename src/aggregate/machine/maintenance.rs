//! What wears: trend and level of tags over long windows, told every so often and when the level changes. Pure.

use super::restart::Resumed;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::condition::{Allowed, Condition, Known};
use crate::aggregate::definition::Compiler;
use crate::aggregate::indicator::{Bucket, Frame, Indicator, PAGE, Thresholds};
use crate::aggregate::saved::{self, Saved};
use crate::model::{Body, BootTime, IndicatorReport, Level, Quality, Sample};
use crate::settings::shape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How old what is on disk of the newest bucket may be: a window of a week must not be written every few seconds.
const KEPT_EVERY: Duration = Duration::from_secs(300);

/// The indicators of a machine.
#[derive(Debug, Default)]
pub(super) struct Wear {
    watched: Vec<Watched>,
    /// Indices of those that look at a tag, by its local number.
    by_tag: Vec<Vec<usize>>,
}

/// An indicator of the settings.
#[derive(Debug)]
struct Watched {
    name: String,
    tag: usize,
    unit: Option<String>,
    condition: Option<Condition>,
    /// The condition was evaluated since the start.
    asked: bool,
    thresholds: Thresholds,
    window: Duration,
    every: Duration,
    identity: Identity,
    indicator: Indicator,
    level: Level,
    tell_due: BootTime,
    look_due: BootTime,
    /// The newest bucket as it was at the last look: what goes to the disk.
    kept: Option<Bucket>,
}

/// What it looks at: with another one, the buckets on disk say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    tag: String,
    condition: Option<String>,
    window_ns: u64,
}

/// What must outlive the gateway, besides the pages of complete buckets.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    identity: Identity,
    frame: Frame,
    kept: Option<Bucket>,
    level: Level,
    tell_due: BootTime,
}

impl Wear {
    pub(super) fn compile(compiler: &mut Compiler<'_>, now: BootTime) -> Wear {
        let settings = &compiler.machine.equipment.maintenance;
        let watched: Vec<Watched> = settings
            .iter()
            .filter_map(|(name, indicator)| Watched::compile(name, indicator, compiler, now))
            .collect();
        let mut by_tag: Vec<Vec<usize>> = Vec::new();
        for (index, one) in watched.iter().enumerate() {
            if by_tag.len() <= one.tag {
                by_tag.resize(one.tag + 1, Vec::new());
            }
            if let Some(looking) = by_tag.get_mut(one.tag) {
                looking.push(index);
            }
        }
        Wear { watched, by_tag }
    }

    /// Conditions of indicators refer to this tag.
    pub(super) fn refers_to(&self, local: usize) -> bool {
        let mut conditions = self.watched.iter().filter_map(|one| one.condition.as_ref());
        conditions.any(|condition| condition.tags.contains(&local))
    }

    pub(super) fn due(&self) -> Option<BootTime> {
        let due = |one: &Watched| one.tell_due.min(one.look_due);
        self.watched.iter().map(due).min()
    }

    pub(super) fn save(&self, scope: &str, into: &mut Saved) {
        for one in &self.watched {
            let key = format!("{scope}/wear/{}", one.name);
            let kept = one.kept;
            let memory = Memory {
                identity: one.identity.clone(),
                frame: one.indicator.frame(),
                kept,
                level: one.level,
                tell_due: one.tell_due,
            };
            into.put(key.clone(), &memory);
            let complete = |bucket: &&Bucket| kept.is_some_and(|kept| bucket.index < kept.index);
            let mut pages: BTreeMap<i64, Vec<&Bucket>> = BTreeMap::new();
            for bucket in one.indicator.buckets().filter(complete) {
                let page = bucket.index.div_euclid(PAGE);
                pages.entry(page).or_default().push(bucket);
            }
            for (page, buckets) in pages {
                into.put(format!("{key}/{page}"), &buckets);
            }
        }
    }

    pub(super) fn restore(
        &mut self,
        scope: &str,
        entries: &BTreeMap<String, Vec<u8>>,
        resumed: Resumed,
    ) {
        for one in &mut self.watched {
            let key = format!("{scope}/wear/{}", one.name);
            let memory = entries
                .get(&key)
                .and_then(|bytes| saved::read::<Memory>(bytes));
            let Some(memory) = memory.filter(|memory| memory.identity == one.identity) else {
                continue;
            };
            let pages = format!("{key}/");
            let pages = entries
                .range(pages.clone()..)
                .take_while(|(key, _)| key.starts_with(&pages));
            let complete = pages.filter_map(|(_, bytes)| saved::read::<Vec<Bucket>>(bytes));
            let buckets = complete.flatten().chain(memory.kept).collect();
            let (shift_ns, measurable) = (resumed.shift_ns, resumed.measurable);
            one.indicator = Indicator::resumed(memory.frame, buckets, shift_ns, measurable);
            one.indicator.gate(resumed.now, one.condition.is_none());
            one.kept = one.indicator.buckets().last().copied();
            one.level = memory.level;
            one.tell_due = memory.tell_due.shifted(shift_ns);
            one.look_due = one.next_look(resumed.now);
        }
    }
}

impl Watched {
    fn compile(
        name: &str,
        settings: &shape::Indicator,
        compiler: &mut Compiler<'_>,
        now: BootTime,
    ) -> Option<Watched> {
        let (tag, _) = compiler.scope.tag(&settings.tag)?;
        let allowed = Allowed {
            pulses: false,
            ..Allowed::ALL
        };
        let path = format!("equipment.maintenance.{name}.while");
        let condition = match &settings.during {
            Some(during) => Some(compiler.condition(&path, during, allowed)?),
            None => None,
        };
        let id = compiler.machine.tags.get(&settings.tag);
        let unit = id.and_then(|id| compiler.plant.tags.get(id.index())?.unit.clone());
        let window = settings.window.get();
        let window_ns = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let window_i = i64::try_from(window_ns).unwrap_or(i64::MAX);
        let mut indicator = Indicator::new(window_i, now);
        indicator.gate(now, condition.is_none());
        let mut watched = Watched {
            name: name.to_owned(),
            tag,
            unit,
            asked: condition.is_none(),
            condition,
            thresholds: Thresholds {
                warn: settings.warn,
                alarm: settings.alarm,
            },
            window,
            every: settings.every.get().max(Duration::from_secs(1)),
            identity: Identity {
                tag: settings.tag.clone(),
                condition: settings.during.as_ref().map(|cel| cel.0.clone()),
                window_ns,
            },
            indicator,
            level: Level::Unknown,
            tell_due: now,
            look_due: now,
            kept: None,
        };
        watched.tell_due = now.plus(watched.every);
        watched.look_due = watched.next_look(now);
        Some(watched)
    }

    fn next_look(&self, now: BootTime) -> BootTime {
        let bucket = self.indicator.bucket_end(now);
        bucket.min(now.plus(KEPT_EVERY))
    }

    /// Looks at it at `now`; gives what is to be said, if its level changed or its time has come.
    fn look(&mut self, now: BootTime) -> Option<IndicatorReport> {
        let findings = self.indicator.findings(now);
        let before = self.level;
        self.level = findings
            .value
            .map_or(Level::Unknown, |value| self.thresholds.level(value, before));
        self.kept = self.indicator.buckets().last().copied();
        self.look_due = self.next_look(now);
        let is_due = self.tell_due <= now;
        // That there is enough data now to say that all is well waits for its time.
        let news = self.level != before && (before, self.level) != (Level::Unknown, Level::Ok);
        if !is_due && !news {
            return None;
        }
        if is_due {
            self.tell_due = now.plus(self.every);
        }
        Some(IndicatorReport {
            name: self.name.clone(),
            unit: self.unit.clone(),
            value: findings.value,
            baseline: findings.baseline,
            trend_per_day: findings.trend_per_day,
            warn: self.thresholds.warn,
            alarm: self.thresholds.alarm,
            level: self.level,
            window_s: self.window.as_secs_f64(),
            covered_s: findings.covered_s,
        })
    }
}

impl Machine {
    /// A sample of a tag that wears.
    pub(super) fn measure_wear(&mut self, local: usize, sample: &Sample) {
        let Some(looking) = self.wear.by_tag.get(local) else {
            return;
        };
        let number = self.tags.get(local).and_then(|tag| tag.number);
        let value = number.filter(|_| !matches!(sample.quality, Quality::Bad(_)));
        for index in looking {
            if let Some(one) = self.wear.watched.get_mut(*index) {
                one.indicator.hold(sample.stamp.boot, value);
            }
        }
    }

    /// `while:` of indicators, where something that it refers to changed. Not known is not looked at.
    pub(super) fn step_wear(&mut self, moment: &Moment<'_>) {
        for index in 0..self.wear.watched.len() {
            let Some(one) = self.wear.watched.get(index) else {
                continue;
            };
            let Some(condition) = &one.condition else {
                continue;
            };
            let of_state = condition.uses_state || condition.uses_mode;
            // A state that was restored is not known until it was seen again.
            let first = !one.asked && (!of_state || self.equipment.is_seen());
            let again = one.asked && self.affected(condition);
            if !(first || again) {
                continue;
            }
            let holds = moment.evaluate(condition, &self.scope) == Known::True;
            if let Some(one) = self.wear.watched.get_mut(index) {
                one.asked = true;
                one.indicator.gate(moment.now.boot, holds);
            }
        }
    }

    pub(super) fn report_wear_due(&mut self, moment: &mut Moment<'_>) {
        let now = moment.now.boot;
        for one in &mut self.wear.watched {
            if one.tell_due.min(one.look_due) > now {
                continue;
            }
            self.unsaved = self.unsaved.max(Unsaved::Later);
            if let Some(report) = one.look(now) {
                self.unsaved = Unsaved::Soon;
                let heading = Heading::machine(&self.name, moment.now.utc);
                moment.tell(heading, Body::Indicator(report));
            }
        }
    }
}
