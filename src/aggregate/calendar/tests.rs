//! Nights that are too short or too long, zones of all kinds, weekends.

use super::*;

fn at(text: &str) -> UtcTime {
    let stamp: Timestamp = text.parse().unwrap();
    utc(stamp)
}

/// A calendar of `(name, from, to, days, breaks)`, where names that end with `*` are dated by their end.
fn calendar(zone: &str, shifts: &[(&str, &str, &str, &str, &[&str])]) -> Calendar {
    let shifts = shifts.iter().map(|(name, from, to, days, breaks)| {
        let dated = if name.ends_with('*') {
            shape::Dated::End
        } else {
            shape::Dated::Start
        };
        let shift = shape::Shift {
            from: (*from).to_owned(),
            to: (*to).to_owned(),
            days: (!days.is_empty()).then(|| (*days).to_owned()),
            breaks: breaks.iter().map(|b| (*b).to_owned()).collect(),
            dated,
        };
        (name.trim_end_matches('*').to_owned(), shift)
    });
    let settings = shape::Calendar {
        timezone: zone.to_owned(),
        shifts: shifts.collect(),
    };
    Calendar::new("presshop", &settings).unwrap()
}

fn three_shifts(zone: &str) -> Calendar {
    calendar(
        zone,
        &[
            (
                "early",
                "06:00",
                "14:00",
                "mon-fri",
                &["09:00-09:15", "12:00-12:30"],
            ),
            ("late", "14:00", "22:00", "mon-fri", &["18:00-18:30"]),
            ("night*", "22:00", "06:00", "sun-thu", &["02:00-02:30"]),
        ],
    )
}

/// What holds at `instant`: name, from, to; for no shift, when the next begins.
#[track_caller]
fn check(calendar: &Calendar, instant: &str, shift: Option<(&str, &str)>, until: &str) {
    let present = calendar.at(at(instant));
    let found = present
        .shift
        .as_ref()
        .map(|shift| (shift.name.as_str(), text(shift.from)));
    let shift = shift.map(|(name, from)| (name, from.to_owned()));
    assert_eq!(found, shift, "{instant}");
    assert_eq!(text(present.until), until, "{instant}");
}

#[test]
fn a_shift_has_its_first_instant_and_not_its_last() {
    let berlin = three_shifts("Europe/Berlin");
    let early = Some(("2026-11-23/early", "2026-11-23T05:00:00Z"));
    check(
        &berlin,
        "2026-11-23T05:00:00Z",
        early,
        "2026-11-23T13:00:00Z",
    );
    check(
        &berlin,
        "2026-11-23T12:59:59.999999999Z",
        early,
        "2026-11-23T13:00:00Z",
    );
    check(
        &berlin,
        "2026-11-23T13:00:00Z",
        Some(("2026-11-23/late", "2026-11-23T13:00:00Z")),
        "2026-11-23T21:00:00Z",
    );
}

#[test]
fn a_night_is_named_as_the_settings_say() {
    let berlin = three_shifts("Europe/Berlin");
    for instant in ["2026-11-23T22:00:00Z", "2026-11-24T03:00:00Z"] {
        check(
            &berlin,
            instant,
            Some(("2026-11-24/night", "2026-11-23T21:00:00Z")),
            "2026-11-24T05:00:00Z",
        );
    }
    let midnight = calendar("UTC", &[("late*", "16:00", "24:00", "", &[])]);
    check(
        &midnight,
        "2026-11-23T20:00:00Z",
        Some(("2026-11-23/late", "2026-11-23T16:00:00Z")),
        "2026-11-24T00:00:00Z",
    );
}

#[test]
fn a_weekend_ends_with_the_first_shift_after_it() {
    let berlin = three_shifts("Europe/Berlin");
    // Friday's late shift is the last, Sunday's night the next; days wrap over the week's end.
    check(
        &berlin,
        "2026-11-20T21:00:00Z",
        None,
        "2026-11-22T21:00:00Z",
    );
    let weekly = calendar("UTC", &[("clean", "06:00", "08:00", "sat-mon, wed", &[])]);
    check(
        &weekly,
        "2026-11-23T09:00:00Z",
        None,
        "2026-11-25T06:00:00Z",
    );
    check(
        &weekly,
        "2026-11-25T09:00:00Z",
        None,
        "2026-11-28T06:00:00Z",
    );
    let once = calendar("UTC", &[("clean", "06:00", "08:00", "mon", &[])]);
    check(&once, "2026-11-23T08:00:00Z", None, "2026-11-30T06:00:00Z");
}

#[test]
fn a_night_has_seven_or_nine_hours_when_the_clocks_change() {
    let daily = |zone: &str| calendar(zone, &[("night*", "22:00", "06:00", "", &["04:00-04:30"])]);
    // Europe, south of the equator, half an hour only, never.
    let nights = [
        (
            "Europe/Berlin",
            "2026-03-28T23:30:00Z",
            "2026-03-28T21:00:00Z",
            "2026-03-29T04:00:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-24T20:00:00Z",
            "2026-10-25T05:00:00Z",
        ),
        (
            "America/Santiago",
            "2026-04-05T04:00:00Z",
            "2026-04-05T01:00:00Z",
            "2026-04-05T10:00:00Z",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T14:00:00Z",
            "2026-10-03T11:30:00Z",
            "2026-10-03T19:00:00Z",
        ),
        (
            "Asia/Kolkata",
            "2026-03-28T20:00:00Z",
            "2026-03-28T16:30:00Z",
            "2026-03-29T00:30:00Z",
        ),
        (
            "America/Phoenix",
            "2026-03-08T10:00:00Z",
            "2026-03-08T05:00:00Z",
            "2026-03-08T13:00:00Z",
        ),
    ];
    for (zone, instant, from, to) in nights {
        let calendar = daily(zone);
        let present = calendar.at(at(instant));
        let shift = present.shift.unwrap();
        assert_eq!(
            (text(shift.from).as_str(), text(shift.to).as_str()),
            (from, to),
            "{zone}"
        );
        let planned = calendar.planned_ns(shift.from, shift.to).unwrap();
        assert_eq!(
            planned,
            shift.to.0 - shift.from.0 - 1_800_000_000_000,
            "{zone}"
        );
    }
}

#[test]
fn a_shift_that_begins_in_the_hour_that_does_not_exist_begins_after_it() {
    let odd = calendar(
        "Europe/Berlin",
        &[
            ("night", "22:00", "02:30", "", &[]),
            ("dawn", "02:30", "06:00", "", &[]),
        ],
    );
    let dawn = Some(("2026-03-29/dawn", "2026-03-29T01:30:00Z"));
    check(&odd, "2026-03-29T01:30:00Z", dawn, "2026-03-29T04:00:00Z");
    check(
        &odd,
        "2026-03-29T01:29:59Z",
        Some(("2026-03-28/night", "2026-03-28T21:00:00Z")),
        "2026-03-29T01:30:00Z",
    );
    // Where it exists twice, the first counts: the shift that ends then is not repeated.
    let dawn = Some(("2026-10-25/dawn", "2026-10-25T00:30:00Z"));
    check(&odd, "2026-10-25T01:30:00Z", dawn, "2026-10-25T05:00:00Z");
}

#[test]
fn shifts_never_overlap_even_where_the_clocks_are_put_forward() {
    let odd = calendar(
        "Europe/Berlin",
        &[
            ("a", "01:00", "02:30", "", &[]),
            ("b", "03:00", "05:00", "", &[]),
        ],
    );
    let a = Some(("2026-03-29/a", "2026-03-29T00:00:00Z"));
    check(&odd, "2026-03-29T00:30:00Z", a, "2026-03-29T01:00:00Z");
    let b = Some(("2026-03-29/b", "2026-03-29T01:00:00Z"));
    check(&odd, "2026-03-29T01:10:00Z", b, "2026-03-29T03:00:00Z");
}

#[test]
fn planned_is_shift_time_without_breaks() {
    let berlin = three_shifts("Europe/Berlin");
    let hours = |from: &str, to: &str| {
        berlin
            .planned_ns(at(from), at(to))
            .map(|ns| ns as f64 / 3.6e12)
    };
    assert_eq!(
        hours("2026-11-23T05:00:00Z", "2026-11-23T13:00:00Z"),
        Some(7.25)
    );
    assert_eq!(
        hours("2026-11-23T08:00:00Z", "2026-11-23T08:15:00Z"),
        Some(0.0)
    );
    assert_eq!(
        hours("2026-11-23T08:10:00Z", "2026-11-23T08:20:00Z"),
        Some(5.0 / 60.0)
    );
    assert_eq!(
        hours("2026-11-20T21:00:00Z", "2026-11-22T21:00:00Z"),
        Some(0.0)
    );
    assert_eq!(
        hours("2026-11-23T13:00:00Z", "2026-11-23T05:00:00Z"),
        Some(0.0)
    );
    // A week: five early and late shifts of 7.25 and 7.5 hours, five nights of 7.5.
    assert_eq!(
        hours("2026-11-22T21:00:00Z", "2026-11-29T21:00:00Z"),
        Some(111.25)
    );
    assert_eq!(hours("1970-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), None);
}

#[test]
fn midnight_is_local() {
    let day = |zone: &str, instant: &str| {
        let (from, to) = calendar(zone, &[]).day(at(instant));
        (text(from), text(to))
    };
    let expected = (
        "2026-10-24T22:00:00Z".to_owned(),
        "2026-10-25T23:00:00Z".to_owned(),
    );
    assert_eq!(day("Europe/Berlin", "2026-10-25T12:00:00Z"), expected);
    assert_eq!(
        utc_day(at("2026-10-25T12:00:00Z")).0,
        at("2026-10-25T00:00:00Z")
    );
}

#[test]
fn what_cannot_be_understood_is_said() {
    let shift = |from: &str, to: &str, days: Option<&str>, breaks: &[&str]| {
        Shift::new(
            "early",
            &shape::Shift {
                from: from.to_owned(),
                to: to.to_owned(),
                days: days.map(str::to_owned),
                breaks: breaks.iter().map(|b| (*b).to_owned()).collect(),
                dated: shape::Dated::Start,
            },
        )
        .err()
    };
    assert_eq!(shift("06:00", "14:00", Some("mon-fri"), &[]), None);
    assert!(shift("6:00", "14:00", None, &[]).is_some());
    assert!(shift("06:00", "24:01", None, &[]).is_some());
    assert!(shift("06:00", "14:00", Some("monday"), &[]).is_some());
    assert!(shift("06:00", "14:00", None, &["09:00"]).is_some());
    let nowhere = shape::Calendar {
        timezone: "Europe/Nowhere".to_owned(),
        shifts: indexmap::IndexMap::new(),
    };
    assert!(Calendar::new("x", &nowhere).is_err());
}
