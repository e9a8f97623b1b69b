//! Alarms of the machine, where their tags and conditions meet their codes: by number or word, by bit, by condition.

use super::reasons::says_nothing;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::alarm::{Alarm, Code, Seen, Standing, Tell};
use crate::aggregate::condition::{Allowed, Condition, Known, Scope};
use crate::aggregate::definition::{Compiler, Fact};
use crate::model::{AlarmReport, Body, BootTime, Severity, Value};
use crate::settings::shape::{self, AlarmCode};
use serde::{Deserialize, Serialize};

/// The alarms of a machine, and which stand.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    watched: Vec<Watched>,
    /// They stood when the settings still had them.
    gone: Vec<(String, Alarm)>,
}

/// An alarm of the settings.
#[derive(Debug)]
struct Watched {
    name: String,
    what: What,
    /// One for each bit; else one.
    alarms: Vec<Alarm>,
}

#[derive(Debug)]
enum What {
    /// A number or word.
    Tag(usize, shape::Alarm),
    /// Bits of a word, in the order of `alarms`.
    Bits(usize, Vec<(u32, Code)>),
    When(Condition, Code),
}

/// An alarm in the checkpoint: its name, its place among those of that name, what is known of it.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    name: String,
    place: String,
    alarm: Alarm,
}

impl Watched {
    fn see(&self, scope: &Scope, evaluate: impl Fn(&Condition) -> Known) -> Vec<Seen> {
        match &self.what {
            What::Tag(local, settings) => vec![by_code(*local, &self.name, settings, scope)],
            What::Bits(local, bits) => {
                let word = match scope.value(*local) {
                    Some(Value::Int(word)) => Some(*word),
                    Some(Value::Bool(on)) => Some(i64::from(*on)),
                    _ => None,
                };
                bits.iter()
                    .map(|(bit, code)| match word {
                        None => Seen::Unknown,
                        Some(word) if word >> bit & 1 == 1 => Seen::Stands(code.clone()),
                        Some(_) => Seen::Clear,
                    })
                    .collect()
            }
            What::When(condition, code) => vec![match evaluate(condition) {
                Known::Unknown => Seen::Unknown,
                Known::False => Seen::Clear,
                Known::True => Seen::Stands(code.clone()),
            }],
        }
    }

    /// What tells its alarms apart.
    fn place(&self, index: usize) -> String {
        match &self.what {
            What::Bits(_, bits) => bits
                .get(index)
                .map_or_else(String::new, |(bit, _)| bit.to_string()),
            _ => String::new(),
        }
    }

    fn refers_to(&self, local: usize) -> bool {
        match &self.what {
            What::Tag(tag, _) | What::Bits(tag, _) => *tag == local,
            What::When(condition, _) => condition.tags.contains(&local),
        }
    }
}

fn by_code(local: usize, name: &str, settings: &shape::Alarm, scope: &Scope) -> Seen {
    let Some(value) = scope.value(local) else {
        return Seen::Unknown;
    };
    let native = Fact::Tag(local).text(scope).unwrap_or_default();
    if says_nothing(&native) {
        return Seen::Clear;
    }
    let own = match value {
        Value::Bool(_) => settings.code.as_deref().unwrap_or(name),
        _ => native.as_str(),
    };
    let listed = settings.codes.get(&native);
    let mut code = code_of(listed, own, settings.severity);
    if code.text.is_none() {
        code.text.clone_from(&settings.text);
    }
    Seen::Stands(code)
}

fn code_of(listed: Option<&AlarmCode>, own: &str, severity: Severity) -> Code {
    let code = listed.and_then(|listed| listed.code.as_deref());
    Code {
        code: code.unwrap_or(own).to_owned(),
        text: listed.and_then(|listed| listed.text.clone()),
        severity: listed
            .and_then(|listed| listed.severity)
            .unwrap_or(severity),
    }
}

impl Alarms {
    pub(super) fn due(&self) -> Option<BootTime> {
        let at_once = self.gone.first().map(|_| BootTime(i64::MIN));
        let watched = self.watched.iter().flat_map(|watched| &watched.alarms);
        watched.filter_map(Alarm::due).chain(at_once).min()
    }

    /// Code of the first of the worst alarms that stand.
    pub(super) fn first(&self) -> Option<String> {
        let standing = |watched: &Watched| -> Vec<Standing> {
            let alarms = watched.alarms.iter();
            alarms
                .filter_map(|alarm| alarm.standing().cloned())
                .collect()
        };
        let worst = |standing: &Standing| match standing.what.severity {
            Severity::High => 0,
            Severity::Medium => 1,
            Severity::Low => 2,
        };
        self.watched
            .iter()
            .flat_map(standing)
            .min_by_key(|standing| (worst(standing), standing.raised.boot))
            .map(|standing| standing.what.code)
    }

    /// Conditions or alarms refer to the tag.
    pub(super) fn refer_to(&self, local: usize) -> bool {
        self.watched.iter().any(|watched| watched.refers_to(local))
    }

    /// What is in the checkpoint: alarms that stand, or were told to.
    pub(super) fn memory(&self) -> impl Serialize + use<> {
        let saved = |watched: &Watched| -> Vec<Saved> {
            let alarms = watched.alarms.iter().enumerate();
            alarms
                .filter(|(_, alarm)| !alarm.is_idle())
                .map(|(index, alarm)| Saved {
                    name: watched.name.clone(),
                    place: watched.place(index),
                    alarm: alarm.clone(),
                })
                .collect()
        };
        self.watched.iter().flat_map(saved).collect::<Vec<_>>()
    }

    /// Goes on with what an earlier run knew.
    pub(super) fn resume(&mut self, bytes: &[u8], shift_ns: i64, measurable: bool) {
        let saved = crate::aggregate::saved::read::<Vec<Saved>>(bytes);
        for Saved { name, place, alarm } in saved.unwrap_or_default() {
            let watched = self.watched.iter_mut().find(|watched| watched.name == name);
            let index = watched.as_ref().and_then(|watched| {
                (0..watched.alarms.len()).find(|index| watched.place(*index) == place)
            });
            let found = watched
                .zip(index)
                .and_then(|(w, index)| w.alarms.get_mut(index));
            match found {
                Some(found) => found.resume(alarm, shift_ns, measurable),
                None => {
                    let mut gone = Alarm::default();
                    gone.resume(alarm, shift_ns, measurable);
                    self.gone.push((name, gone));
                }
            }
        }
    }
}

impl Machine {
    /// Tells alarms that were raised or cleared in this instant.
    pub(super) fn step_alarms(&mut self, moment: &mut Moment<'_>) {
        let mut alarms = std::mem::take(&mut self.alarms);
        for (name, mut gone) in alarms.gone.drain(..) {
            self.tell_alarm(&name, [gone.give_up(moment.now), None], moment);
        }
        for watched in &mut alarms.watched {
            for index in 0..watched.alarms.len() {
                if let Some(alarm) = watched.alarms.get_mut(index) {
                    let told = alarm.expire(moment.now.boot);
                    self.tell_alarm(&watched.name, told, moment);
                }
            }
            let concerned = match &watched.what {
                What::Tag(local, _) | What::Bits(local, _) => self.changed.contains(local),
                What::When(condition, _) => self.affected(condition),
            };
            if !concerned {
                continue;
            }
            // Also what is not told must outlive a restart.
            self.unsaved = self.unsaved.max(Unsaved::Later);
            let seen = watched.see(&self.scope, |condition| {
                moment.evaluate(condition, &self.scope)
            });
            for (alarm, seen) in watched.alarms.iter_mut().zip(seen) {
                if let Seen::Stands(code) = &seen {
                    self.stops.alarm(&code.code);
                }
                let told = alarm.observe(seen, moment.now);
                self.tell_alarm(&watched.name, told, moment);
            }
        }
        self.alarms = alarms;
    }

    fn tell_alarm(&mut self, name: &str, told: [Option<Tell>; 2], moment: &mut Moment<'_>) {
        for tell in told.into_iter().flatten() {
            self.unsaved = Unsaved::Soon;
            let report = AlarmReport {
                name: name.to_owned(),
                code: tell.what.code,
                text: tell.what.text,
                severity: tell.what.severity,
                raised_at: tell.raised.utc,
                stood_s: tell.stood_s,
                untold: tell.untold,
                active_operation: self.open_operations().next(),
            };
            let (time, body) = match tell.cleared {
                Some(cleared) => (cleared.utc, Body::AlarmCleared(report)),
                None => (tell.raised.utc, Body::AlarmRaised(report)),
            };
            moment.tell(Heading::machine(&self.name, time), body);
        }
    }
}

impl Compiler<'_> {
    pub(super) fn alarms(&mut self) -> Alarms {
        let mut alarms = Alarms::default();
        for (name, settings) in &self.machine.equipment.alarms {
            let Some((what, places)) = self.alarm(name, settings) else {
                continue;
            };
            alarms.watched.push(Watched {
                name: name.clone(),
                what,
                alarms: vec![Alarm::default(); places],
            });
        }
        alarms
    }

    fn alarm(&mut self, name: &str, settings: &shape::Alarm) -> Option<(What, usize)> {
        if let Some(when) = &settings.when {
            let allowed = Allowed {
                pulses: false,
                ..Allowed::ALL
            };
            let path = format!("equipment.alarms.{name}.when");
            let condition = self.condition(&path, when, allowed)?;
            let own = settings.code.as_deref().unwrap_or(name);
            let code = Code {
                text: settings.text.clone(),
                ..code_of(None, own, settings.severity)
            };
            return Some((What::When(condition, code), 1));
        }
        let (local, _) = self.scope.tag(settings.tag.as_ref()?)?;
        if settings.bits.is_empty() {
            return Some((What::Tag(local, settings.clone()), 1));
        }
        let bit = |(bit, listed): (&String, &AlarmCode)| {
            let number: u32 = bit.trim().parse().ok().filter(|number| *number < 64)?;
            let own = format!("{name}.{number}");
            Some((number, code_of(Some(listed), &own, settings.severity)))
        };
        let bits: Vec<(u32, Code)> = settings.bits.iter().filter_map(bit).collect();
        let places = bits.len();
        Some((What::Bits(local, bits), places))
    }
}
