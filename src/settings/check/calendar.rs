//! `calendars:`: time zones that exist, shifts that do not overlap, breaks inside them; and whose calendar is whose.

use super::scope::at_most;
use super::{join, names};
use crate::settings::problem::{nearest, shown};
use crate::settings::report::Report;
use crate::settings::shape::{Calendar, Equipment, Shift};
use crate::settings::week::{self, DAY_MINUTES, DAYS, minutes_between};
use indexmap::IndexMap;
use jiff::tz::TimeZone;

/// Most calendars of a gateway: one for each hall and its neighbours.
const MAX_CALENDARS: usize = 64;
/// Most shifts of a calendar: four a day, each day of its own, and some more.
const MAX_SHIFTS: usize = 32;
/// Most breaks of a shift.
const MAX_BREAKS: usize = 16;
/// Minutes of a week.
const WEEK: u16 = 7 * DAY_MINUTES;

/// Checks all calendars.
pub(super) fn check(calendars: &IndexMap<String, Calendar>, report: &mut Report) {
    at_most(
        MAX_CALENDARS,
        "calendars",
        calendars.len(),
        "calendars",
        report,
    );
    for (name, calendar) in calendars {
        let path = join("calendars", name);
        names::name("a calendar", name, &path, report);
        timezone(&calendar.timezone, &join(&path, "timezone"), report);
        let path = join(&path, "shifts");
        if calendar.shifts.is_empty() {
            let message =
                "no shifts: write at least one, such as early: { from: \"06:00\", to: \"14:00\" }";
            report.add(&path, message);
        }
        at_most(MAX_SHIFTS, "shifts", calendar.shifts.len(), &path, report);
        let mut before: Vec<(&str, Times)> = Vec::new();
        for (name, shift) in calendar.shifts.iter().take(MAX_SHIFTS) {
            let path = join(&path, name);
            names::name("a shift", name, &path, report);
            let Some(times) = times(shift, &path, report) else {
                continue;
            };
            breaks(shift, &times, &join(&path, "breaks"), report);
            overlap(name, &times, &before, &path, report);
            before.push((name, times));
        }
    }
}

/// The calendar of an equipment: the one that it names, or the only one there is.
pub(in crate::settings) fn of<'a>(
    equipment: &'a Equipment,
    calendars: &'a IndexMap<String, Calendar>,
) -> Option<&'a str> {
    let performance = equipment.performance.as_ref();
    let named = equipment.calendar.as_deref();
    named
        .or_else(|| performance?.calendar.as_deref())
        .or_else(|| {
            let only = calendars.keys().next().filter(|_| calendars.len() == 1);
            only.map(String::as_str)
        })
}

/// Checks that the calendar of an equipment exists, and is one.
pub(super) fn named(
    equipment: &Equipment,
    calendars: &IndexMap<String, Calendar>,
    path: &str,
    report: &mut Report,
) {
    let performance = equipment.performance.as_ref();
    let also = performance.and_then(|performance| performance.calendar.as_deref());
    let own = equipment.calendar.as_deref();
    let in_performance = format!("{path}.performance.calendar");
    for (at, name) in [
        (join(path, "calendar"), own),
        (in_performance.clone(), also),
    ] {
        let Some(name) = name.filter(|name| !calendars.contains_key(*name)) else {
            continue;
        };
        let message = if calendars.is_empty() {
            format!(
                "there is no calendar {}: write it below `calendars:`",
                shown(name)
            )
        } else {
            format!("{} is not one of `calendars:`", shown(name))
        };
        report.unknown(&at, name, message, calendars.keys().map(String::as_str));
    }
    let both = own.zip(also).filter(|(own, also)| {
        own != also && calendars.contains_key(*own) && calendars.contains_key(*also)
    });
    if let Some((own, also)) = both {
        let message = format!(
            "{} here and {} in `equipment: calendar:`: a machine works in the shifts of one calendar",
            shown(also),
            shown(own)
        );
        report.add(in_performance, message);
    }
}

fn timezone(name: &str, path: &str, report: &mut Report) {
    if TimeZone::get(name).is_ok() {
        return;
    }
    let message = format!(
        "{} is no time zone: write its IANA name, such as Europe/Berlin or America/Chicago",
        shown(name)
    );
    let near = report.is_short().then(|| {
        let known: Vec<String> = jiff::tz::db()
            .available()
            .map(|zone| zone.to_string())
            .collect();
        let whole = nearest(name, known.iter().map(String::as_str));
        let city = || {
            let is_city = |zone: &&String| {
                let city = zone.rsplit('/').next().unwrap_or_default();
                city.eq_ignore_ascii_case(name)
            };
            known.iter().find(is_city).map(String::as_str)
        };
        whole.or_else(city).map(str::to_owned)
    });
    report.unknown_but(path, name, message, near.flatten());
}

/// A shift in minutes.
struct Times {
    /// Of the day, at which it begins.
    from: u16,
    length: u16,
    days: [bool; 7],
}

impl Times {
    /// Minutes of the week at which it begins.
    fn beginnings(&self) -> impl Iterator<Item = u16> {
        let starts = (0..).zip(self.days).filter(|(_, on)| *on);
        starts.map(|(day, _)| day * DAY_MINUTES + self.from)
    }
}

/// The times of a shift; `None` where one of them cannot be read.
fn times(shift: &Shift, path: &str, report: &mut Report) -> Option<Times> {
    let from = local_time(&shift.from, &join(path, "from"), report);
    let to = local_time(&shift.to, &join(path, "to"), report);
    let days = days(shift.days.as_deref(), &join(path, "days"), report);
    if from == Some(DAY_MINUTES) {
        let message = "no day begins at 24:00: write 00:00, and `days` with the day after";
        report.add(join(path, "from"), message);
        return None;
    }
    Some(Times {
        from: from?,
        length: minutes_between(from?, to?),
        days: days?,
    })
}

fn local_time(text: &str, path: &str, report: &mut Report) -> Option<u16> {
    let minute = week::minute_of_day(text);
    if minute.is_none() {
        let message = format!(
            "{} is no time of the day: write hours and minutes with two digits each, such as \"06:00\"",
            shown(text)
        );
        report.add(path, message);
    }
    minute
}

fn days(text: Option<&str>, path: &str, report: &mut Report) -> Option<[bool; 7]> {
    let Some(text) = text else {
        return Some([true; 7]);
    };
    match week::days(text) {
        Ok(days) => Some(days),
        Err(part) => {
            let message = format!(
                "{} is neither a day nor a range of days: write such as mon-fri, sun-thu, or \"mon, wed, sat\"",
                shown(part)
            );
            let near = part.get(..3).and_then(|start| nearest(start, DAYS));
            report.unknown_but(path, part, message, near.map(str::to_owned));
            None
        }
    }
}

/// Breaks lie inside their shift and beside one another.
fn breaks(shift: &Shift, times: &Times, path: &str, report: &mut Report) {
    at_most(MAX_BREAKS, "breaks", shift.breaks.len(), path, report);
    let mut before: Vec<(u16, u16)> = Vec::new();
    for (at, text) in shift.breaks.iter().enumerate().take(MAX_BREAKS) {
        let path = format!("{path}.{at}");
        let Some((from, to)) = week::span(text) else {
            let message = format!("{} is no break: write such as \"09:00-09:15\"", shown(text));
            report.add(path, message);
            continue;
        };
        if from == to {
            report.add(path, format!("{} is a break of no length", shown(text)));
            continue;
        }
        // In minutes since the shift began.
        let begins = minutes_between(times.from, from) % DAY_MINUTES;
        let ends = begins.saturating_add(minutes_between(from, to));
        if ends > times.length {
            let message = format!(
                "{} is not inside its shift, {} to {}",
                shown(text),
                shift.from,
                shift.to
            );
            report.add(path, message);
        } else if before
            .iter()
            .any(|(first, last)| begins < *last && *first < ends)
        {
            let message = format!("{} overlaps a break above", shown(text));
            report.add(path, message);
        } else {
            before.push((begins, ends));
        }
    }
}

/// Two shifts of a calendar never run at one time: which of them is it?
fn overlap(name: &str, times: &Times, before: &[(&str, Times)], path: &str, report: &mut Report) {
    for (other_name, other) in before {
        let shared = times.beginnings().find_map(|begins| {
            other.beginnings().find_map(|other_begins| {
                let into_other = (begins + WEEK - other_begins) % WEEK;
                let into_this = (other_begins + WEEK - begins) % WEEK;
                let first = if into_other < other.length {
                    Some(begins)
                } else {
                    (into_this < times.length).then_some(other_begins)
                };
                first.map(|first| first % WEEK)
            })
        });
        if let Some(first) = shared {
            let day = DAYS.get(usize::from(first / DAY_MINUTES)).copied();
            let minute = first % DAY_MINUTES;
            let message = format!(
                "`{name}` and `{other_name}` are both on at {} {:02}:{:02}: shifts of a calendar may not overlap",
                day.unwrap_or_default(),
                minute / 60,
                minute % 60
            );
            report.add(path, message);
            return;
        }
    }
}
