//! Numbers as people read them. Pure.

use crate::model::Position;
use jiff::Timestamp;
use std::time::Duration;

/// Bytes with a unit: `5.2 MiB`.
pub(in crate::commands) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A number with thousands apart: `12,034`.
pub(in crate::commands) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 event`, `7 events`.
pub(in crate::commands) fn events(count: u64) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} event{s}", number(count))
}

/// How long ago: `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`; what lies ahead of the clock says so.
pub(in crate::commands) fn age(then_ns: i64, now_ns: i64) -> String {
    let Some(s) = now_ns
        .checked_sub(then_ns)
        .and_then(|ns| u64::try_from(ns.div_euclid(1_000_000_000)).ok())
    else {
        return "ahead of this computer's clock".into();
    };
    match s {
        0..60 => format!("{s} s ago"),
        60..3_600 => format!("{} min ago", s / 60),
        3_600..86_400 => format!("{} h {} min ago", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h ago", s / 86_400, s % 86_400 / 3_600),
    }
}

/// How long something lasts, from seconds: `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`.
pub(in crate::commands) fn lasting(seconds: f64) -> String {
    // Nobody waits for longer than the calendar goes; a float past it ends there.
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    match whole.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        s => format!("{} d {} h", number(s / 86_400), s % 86_400 / 3_600),
    }
}

/// An estimate: `about 15 s`, `less than a second`.
pub(in crate::commands) fn about(seconds: f64) -> String {
    match seconds < 1.0 {
        true => "less than a second".into(),
        false => format!("about {}", lasting(seconds)),
    }
}

/// Events per second in the unit that fits: `12,300/s`, `2.5/s`, `30/min`, `4/h`.
pub(in crate::commands) fn per_second(rate: f64) -> String {
    let (rate, unit) = match rate {
        none if none <= 0.0 => (0.0, "s"),
        slow if slow < 1.0 / 60.0 => (slow * 3_600.0, "h"),
        slow if slow < 1.0 => (slow * 60.0, "min"),
        fast => (fast, "s"),
    };
    let text = match rate < 10.0 {
        true => format!("{rate:.1}"),
        false => format!("{rate:.0}"),
    };
    let text = text.trim_end_matches(".0");
    let grouped = text.parse().map_or(text.to_owned(), number);
    format!("{grouped}/{unit}")
}

/// UTC to the second: `2026-11-23 00:12:03 UTC`.
pub(in crate::commands) fn utc(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns)).map_or_else(
        |_| "at no time that there is".into(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// A position, short: `1.42` is event 42 of epoch 1.
pub(in crate::commands) fn place(at: Position) -> String {
    format!("{}.{}", at.epoch, at.seq)
}

/// Several positions: `1.42`, or `1.42 to 1.57`.
pub(in crate::commands) fn range(from: Position, to: Position) -> String {
    if from == to {
        place(from)
    } else {
        format!("{} to {}", place(from), place(to))
    }
}

/// Reads `1.42`, or a CloudEvents `sequence`.
pub(in crate::commands) fn position(text: &str) -> Option<Position> {
    let (epoch, seq) = text.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !digits(epoch) || !digits(seq) {
        return None;
    }
    Some(Position {
        epoch: epoch.parse().ok()?,
        seq: seq.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (count, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (4 << 30, "4.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(count), text);
        }
        assert_eq!(
            (events(1), events(2)),
            ("1 event".into(), "2 events".into())
        );
        let s = 1_000_000_000;
        for (then, text) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3_700, "1 h 1 min ago"),
            (90_000, "1 d 1 h ago"),
            (-5, "ahead of this computer's clock"),
        ] {
            assert_eq!(age(-then * s, 0), text);
        }
        assert_eq!(age(i64::MIN, i64::MAX), "ahead of this computer's clock");
        for (seconds, text) in [
            (0.4, "less than a second"),
            (15.2, "about 15 s"),
            (119.0, "about 1 min"),
            (7_500.0, "about 2 h 5 min"),
            (1e300, "about 213,503,982,334,601 d 7 h"),
        ] {
            assert_eq!(about(seconds), text);
        }
        for (rate, text) in [
            (12_300.4, "12,300/s"),
            (2.5, "2.5/s"),
            (0.5, "30/min"),
            (1.0 / 900.0, "4/h"),
            (0.0, "0/s"),
        ] {
            assert_eq!(per_second(rate), text);
        }
        assert_eq!(utc(1_700_000_000 * s), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn positions_are_read_as_they_are_written() {
        let at = Position { epoch: 1, seq: 42 };
        for text in [place(at), at.to_string()] {
            assert_eq!(position(&text), Some(at));
        }
        for wrong in ["", "1", "1.", ".1", "1.-2", "a.b", "4294967296.1", "1.2.3"] {
            assert_eq!(position(wrong), None, "{wrong}");
        }
    }
}
