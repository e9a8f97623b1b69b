//! Calendars: zones, times, days, breaks, and whose calendar is whose.

use super::{FILLER, LINE, changed, check_in, load};

fn check(from: &str, to: &str, mark: &str, says: &str) {
    check_in(LINE, from, to, mark, says);
}

#[test]
fn a_time_zone_exists() {
    check(
        "Europe/Berlin",
        "Europe/Berln",
        "Europe/Berln",
        "`Europe/Berln` is no time zone: write its IANA name, such as Europe/Berlin or America/Chicago; did you mean `Europe/Berlin`?",
    );
    check(
        "Europe/Berlin",
        "berlin",
        "berlin",
        "did you mean `Europe/Berlin`?",
    );
    check("Europe/Berlin", "CET+1", "CET+1", "is no time zone");
    check(
        "Europe/Berlin",
        "../../etc/passwd",
        "../../etc",
        "is no time zone",
    );
}

#[test]
fn times_and_days_are_read() {
    check(
        "from: \"06:00\"",
        "from: \"6:00\"",
        "\"6:00\"",
        "`6:00` is no time of the day: write hours and minutes with two digits each",
    );
    check(
        "to: \"14:00\", days: mon-fri, breaks: [\"09",
        "to: \"24:01\", days: mon-fri, breaks: [\"09",
        "\"24:01\"",
        "`24:01` is no time of the day",
    );
    check(
        "from: \"06:00\"",
        "from: \"24:00\"",
        "\"24:00\"",
        "no day begins at 24:00: write 00:00",
    );
    check(
        "days: sun-thu",
        "days: sunday",
        "sunday",
        "`sunday` is neither a day nor a range of days: write such as mon-fri, sun-thu, or \"mon, wed, sat\"; did you mean `sun`?",
    );
    check("days: sun-thu", "days: \"\"", "\"\"", "neither a day nor");
    assert!(
        load(
            &changed(LINE, "to: \"22:00\"", "to: \"24:00\"")
                .replace("from: \"22:00\"", "from: \"00:00\"")
        )
        .is_ok()
    );
}

#[test]
fn breaks_lie_inside_their_shift() {
    check(
        "\"12:00-12:30\"",
        "\"12:00-14:30\"",
        "\"12:00-14:30\"",
        "`12:00-14:30` is not inside its shift, 06:00 to 14:00",
    );
    check(
        "\"12:00-12:30\"",
        "\"05:50-06:10\"",
        "\"05:50",
        "is not inside its shift",
    );
    check(
        "\"12:00-12:30\"",
        "\"09:10-09:30\"",
        "\"09:10",
        "`09:10-09:30` overlaps a break above",
    );
    check(
        "\"12:00-12:30\"",
        "\"12:00-12:00\"",
        "\"12:00-12:00\"",
        "is a break of no length",
    );
    check(
        "\"12:00-12:30\"",
        "noon",
        "noon",
        "`noon` is no break: write such as",
    );
    let midnight = changed(
        LINE,
        "days: sun-thu, dated: end",
        "days: sun-thu, breaks: [\"23:50-00:20\"], dated: end",
    );
    assert!(load(&midnight).is_ok());
}

#[test]
fn shifts_of_a_calendar_do_not_overlap() {
    check(
        "from: \"14:00\"",
        "from: \"13:00\"",
        "late:",
        "`late` and `early` are both on at mon 13:00: shifts of a calendar may not overlap",
    );
    // The night of Sunday to Monday runs into Monday's early shift, not into that of any other day.
    check(
        "from: \"22:00\", to: \"06:00\", days: sun-thu",
        "from: \"22:00\", to: \"07:00\", days: sun",
        "night:",
        "`night` and `early` are both on at mon 06:00",
    );
    let weekend = changed(
        LINE,
        "      late:  {",
        "      long: { from: \"06:00\", to: \"06:00\", days: sat }\n      late:  {",
    );
    assert!(load(&weekend).is_ok(), "a shift may last a whole day");
    check(
        "      late:  {",
        "      long: { from: \"07:00\", to: \"08:00\", days: fri }\n      late:  {",
        "long:",
        "`long` and `early` are both on at fri 07:00",
    );
}

#[test]
fn a_machine_works_in_one_calendar_that_exists() {
    check(
        "calendar: hall2",
        "calendar: hall",
        "hall }",
        "`hall` is not one of `calendars:`; did you mean `hall2`?",
    );
    check(
        "  debounce: 250ms",
        "  debounce: 250ms\n  calendar: hall3",
        "hall3",
        "`hall3` is not one of `calendars:`; did you mean `hall2`?",
    );
    check_in(
        &changed(
            LINE,
            "  debounce: 250ms",
            "  debounce: 250ms\n  calendar: hall3",
        ),
        "calendars:",
        "calendars:\n  hall3: { timezone: Europe/Berlin, shifts: { day: { from: \"08:00\", to: \"16:00\" } } }",
        "hall2 }\n\noperations",
        "`hall2` here and `hall3` in `equipment: calendar:`",
    );
    let two = "calendars:\n  other: { timezone: Europe/Berlin, shifts: { day: { from: \"08:00\", to: \"16:00\" } } }";
    let text = changed(FILLER, "calendars:", two);
    let told = super::told(&text);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].1.contains("no shift ever ends: write `calendars:`"),
        "{told:?}"
    );
    assert_eq!(told[0].0, super::place_of(&text, "shift, order]"));
    let named = text.replace("  ideal_cycle", "  calendar: packaging\n  ideal_cycle");
    let plant = load(&named).unwrap().plant;
    assert_eq!(
        plant.machines[0].equipment.calendar.as_deref(),
        Some("packaging")
    );
    check_in(
        FILLER,
        "      early: { from: \"06:00\", to: \"14:00\" }\n      late:  { from: \"14:00\", to: \"22:00\" }\n      night: { from: \"22:00\", to: \"06:00\", dated: end }\n",
        "      # none\n",
        "shifts:",
        "`shifts` has no value",
    );
}
