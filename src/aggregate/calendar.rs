//! Shifts of a plant in its time zone: which one holds at an instant, when that changes, how much is planned. Pure.
//!
//! All instants are UTC; the zone exists only here. A local time that does not exist is as much later as the clocks were
//! put forward, of one that exists twice the first counts (RFC 5545). So a night has 7 or 9 hours where the clocks change.

use crate::model::UtcTime;
use crate::settings::shape;
use crate::settings::week::{self, minutes_between};
use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Minutes of a day as a clock on the wall shows them.
const DAY: i32 = 24 * 60;
/// How far ahead the next shift is looked for: shifts come back every week.
const AHEAD_DAYS: i32 = 9;
/// Longest time of which it is said how much is planned, in days: each day of it costs.
const LONGEST_DAYS: i32 = 400;

/// A shift on a certain day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// `2026-11-22/early`: the day that it is named after, and its name.
    pub name: String,
    /// When it begins.
    pub from: UtcTime,
    /// When it ends.
    pub to: UtcTime,
}

/// What holds at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The shift, if there is one.
    pub shift: Option<Occurrence>,
    /// When that changes.
    pub until: UtcTime,
}

/// The shifts of a plant.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Its name in the settings.
    pub name: String,
    zone: TimeZone,
    shifts: Vec<Shift>,
}

/// A shift of the settings. Minutes count from the midnight of the day on which it begins.
#[derive(Clone, Debug)]
struct Shift {
    name: String,
    from: i32,
    to: i32,
    /// By weekday, Monday first.
    days: [bool; 7],
    breaks: Vec<(i32, i32)>,
    dated: shape::Dated,
}

/// A shift on a certain day, with its breaks.
struct Day {
    shift: Occurrence,
    breaks: Vec<(UtcTime, UtcTime)>,
}

impl Calendar {
    /// Reads the settings.
    ///
    /// # Errors
    /// What cannot be understood, in words.
    pub fn new(name: &str, settings: &shape::Calendar) -> Result<Calendar, String> {
        let zone = TimeZone::get(&settings.timezone)
            .map_err(|_| format!("there is no time zone `{}`", settings.timezone))?;
        let shifts = settings
            .shifts
            .iter()
            .map(|(name, shift)| Shift::new(name, shift))
            .collect::<Result<_, _>>()?;
        Ok(Calendar {
            name: name.to_owned(),
            zone,
            shifts,
        })
    }

    /// The shift at `at`, and when it changes.
    #[must_use]
    pub fn at(&self, at: UtcTime) -> Present {
        // Most shifts follow one another: then two days tell.
        for ahead in [2, AHEAD_DAYS] {
            let days = self.days(at, at, ahead);
            let current = days
                .iter()
                .map(|day| &day.shift)
                .find(|shift| shift.from <= at && at < shift.to);
            if let Some(shift) = current {
                return Present {
                    until: shift.to,
                    shift: Some(shift.clone()),
                };
            }
            let next = days
                .iter()
                .map(|day| day.shift.from)
                .find(|from| *from > at);
            if let Some(until) = next {
                return Present { shift: None, until };
            }
        }
        Present {
            shift: None,
            until: later(at, AHEAD_DAYS),
        }
    }

    /// Nanoseconds of shifts without their breaks in `from..to`; `None` where that is too long to say.
    #[must_use]
    pub fn planned_ns(&self, from: UtcTime, to: UtcTime) -> Option<i64> {
        if to <= from {
            return Some(0);
        }
        if to > later(from, LONGEST_DAYS) {
            return None;
        }
        let inside = |a: UtcTime, b: UtcTime| (b.0.min(to.0) - a.0.max(from.0)).max(0);
        let planned = self.days(from, to, 1).into_iter().map(|day| {
            let breaks: i64 = day.breaks.iter().map(|(a, b)| inside(*a, *b)).sum();
            inside(day.shift.from, day.shift.to) - breaks
        });
        Some(planned.sum())
    }

    /// The local midnights around an instant.
    #[must_use]
    pub fn day(&self, at: UtcTime) -> (UtcTime, UtcTime) {
        day_in(&self.zone, at)
    }

    /// All shifts from the day before `from` to `ahead` days after `to`, in order. Where the clocks are put forward, one
    /// that would reach into the next is cut there.
    fn days(&self, from: UtcTime, to: UtcTime, ahead: i32) -> Vec<Day> {
        let first = plus_days(self.date(from), -2);
        let last = plus_days(self.date(to), ahead);
        let mut days: Vec<Day> = Vec::new();
        let mut date = first;
        while date <= last {
            let begin = self.shifts.iter().filter(|shift| shift.begins_on(date));
            days.extend(begin.map(|shift| self.on(shift, date)));
            date = match date.tomorrow() {
                Ok(next) => next,
                Err(_) => break,
            };
        }
        days.sort_by_key(|day| day.shift.from);
        let starts: Vec<UtcTime> = days.iter().skip(1).map(|day| day.shift.from).collect();
        for (day, next) in days.iter_mut().zip(starts) {
            day.cut(next);
        }
        days.retain(|day| day.shift.from < day.shift.to);
        days
    }

    fn on(&self, shift: &Shift, date: Date) -> Day {
        let local = |minutes: i32| self.local(date, minutes);
        let named_after = match shift.dated {
            shape::Dated::Start => date,
            // What ends at midnight ends on the day before it.
            shape::Dated::End => plus_days(date, (shift.to - 1).div_euclid(DAY)),
        };
        let breaks = shift.breaks.iter();
        Day {
            shift: Occurrence {
                name: format!("{named_after}/{}", shift.name),
                from: local(shift.from),
                to: local(shift.to),
            },
            breaks: breaks.map(|(a, b)| (local(*a), local(*b))).collect(),
        }
    }

    fn date(&self, at: UtcTime) -> Date {
        zoned(&self.zone, at).date()
    }

    fn local(&self, date: Date, minutes: i32) -> UtcTime {
        let date = plus_days(date, minutes.div_euclid(DAY));
        let minutes = minutes.rem_euclid(DAY);
        let hour = i8::try_from(minutes / 60).unwrap_or(0);
        let minute = i8::try_from(minutes % 60).unwrap_or(0);
        let wall = date.to_datetime(time(hour, minute, 0, 0));
        wall.to_zoned(self.zone.clone())
            .map_or(UtcTime(i64::MAX), |zoned| utc(zoned.timestamp()))
    }
}

impl Day {
    fn cut(&mut self, next: UtcTime) {
        self.shift.to = self.shift.to.min(next);
        for (a, b) in &mut self.breaks {
            *b = (*b).min(self.shift.to);
            *a = (*a).min(*b);
        }
    }
}

impl Shift {
    fn new(name: &str, settings: &shape::Shift) -> Result<Shift, String> {
        let wrong = |text: &str| format!("shift `{name}`: `{text}` cannot be understood");
        let minute = |text: &str| week::minute_of_day(text).ok_or_else(|| wrong(text));
        let (from, to) = (minute(&settings.from)?, minute(&settings.to)?);
        let mut breaks = Vec::new();
        for text in &settings.breaks {
            let (a, b) = week::span(text).ok_or_else(|| wrong(text))?;
            let a = after(i32::from(a), i32::from(from));
            breaks.push((a, after(i32::from(b), a)));
        }
        let days = settings.days.as_deref().map(week::days);
        Ok(Shift {
            name: name.to_owned(),
            from: i32::from(from),
            to: i32::from(from) + i32::from(minutes_between(from, to)),
            days: days.unwrap_or(Ok([true; 7])).map_err(wrong)?,
            breaks,
            dated: settings.dated,
        })
    }

    fn begins_on(&self, date: Date) -> bool {
        let weekday = date.weekday().to_monday_zero_offset();
        usize::try_from(weekday)
            .ok()
            .and_then(|day| self.days.get(day))
            .copied()
            .unwrap_or(false)
    }
}

/// The midnights (UTC) around an instant: for plants without a calendar.
#[must_use]
pub fn utc_day(at: UtcTime) -> (UtcTime, UtcTime) {
    day_in(&TimeZone::UTC, at)
}

/// An instant as text: `2026-11-22T05:00:00Z`.
#[must_use]
pub fn text(at: UtcTime) -> String {
    timestamp(at).to_string()
}

fn day_in(zone: &TimeZone, at: UtcTime) -> (UtcTime, UtcTime) {
    let local = zoned(zone, at);
    let start = |zoned: Result<jiff::Zoned, jiff::Error>| zoned.and_then(|z| z.start_of_day());
    let midnight = start(Ok(local.clone())).map_or(at, |z| utc(z.timestamp()));
    let next = start(local.tomorrow()).map_or(later(at, 1), |z| utc(z.timestamp()));
    (midnight, next)
}

/// The first time of day `minutes` that is not before `than`.
fn after(minutes: i32, than: i32) -> i32 {
    if minutes < than {
        minutes + DAY
    } else {
        minutes
    }
}

fn plus_days(date: Date, days: i32) -> Date {
    date.saturating_add(Span::new().days(days))
}

fn later(at: UtcTime, days: i32) -> UtcTime {
    UtcTime(at.0.saturating_add(i64::from(days) * 86_400_000_000_000))
}

fn timestamp(at: UtcTime) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or_default()
}

fn zoned(zone: &TimeZone, at: UtcTime) -> jiff::Zoned {
    timestamp(at).to_zoned(zone.clone())
}

fn utc(at: Timestamp) -> UtcTime {
    UtcTime(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
