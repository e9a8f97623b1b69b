//! The words of a calendar: local times `06:00`, days `sun-thu`, breaks `09:00-09:15`. Pure.
//!
//! Read by the checks of the settings, and by who works out the shifts.

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// The days as they are written, Monday first.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes since midnight of a local time `HH:MM`, 0 to 1440: `24:00` is the midnight at the end of the day.
#[must_use]
pub fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY_MINUTES).then_some(minute)
}

/// Days by weekday, Monday first: `mon-fri`, `sun-thu` (over the end of the week), `mon, wed, sat`. At least one.
///
/// # Errors
/// The part that is no day and no range of days.
pub fn days(text: &str) -> Result<[bool; 7], &str> {
    let mut found = [false; 7];
    for part in text.split(',') {
        let part = part.trim();
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (day(first.trim()), day(last.trim())) else {
            return Err(part);
        };
        let length = (last + DAYS.len() - first) % DAYS.len();
        for (at, on) in found.iter_mut().enumerate() {
            *on |= (at + DAYS.len() - first) % DAYS.len() <= length;
        }
    }
    Ok(found)
}

fn day(word: &str) -> Option<usize> {
    DAYS.iter().position(|day| day.eq_ignore_ascii_case(word))
}

/// First and last minute of the day of a break `HH:MM-HH:MM`; the last may be before the first, over midnight.
#[must_use]
pub fn span(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    Some((minute_of_day(from.trim())?, minute_of_day(to.trim())?))
}

/// Minutes from one time of the day to another; a whole day where they are the same. A shift `22:00` to `06:00` has 480.
#[must_use]
pub fn minutes_between(from: u16, to: u16) -> u16 {
    let length = (to % DAY_MINUTES + DAY_MINUTES - from % DAY_MINUTES) % DAY_MINUTES;
    if length == 0 { DAY_MINUTES } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_digits_and_end_at_midnight() {
        let table = [
            ("00:00", Some(0)),
            ("06:30", Some(390)),
            ("24:00", Some(1440)),
            ("24:01", None),
            ("6:00", None),
            ("06:60", None),
            ("06.00", None),
            ("+6:00", None),
            ("", None),
        ];
        for (text, minute) in table {
            assert_eq!(minute_of_day(text), minute, "{text}");
        }
    }

    #[test]
    fn days_are_ranges_that_may_go_over_the_end_of_the_week_and_lists() {
        let all = |text: &str| {
            let days = days(text).map_err(str::to_owned)?;
            let named = DAYS.iter().zip(days).filter(|(_, on)| *on);
            let named: Vec<&str> = named.map(|(day, _)| *day).collect();
            Ok::<String, String>(named.join(" "))
        };
        let table = [
            ("mon-fri", Ok("mon tue wed thu fri")),
            ("sun-thu", Ok("mon tue wed thu sun")),
            ("sat - Sun", Ok("sat sun")),
            ("mon, wed,sat", Ok("mon wed sat")),
            ("fri-mon, wed", Ok("mon wed fri sat sun")),
            ("tue-tue", Ok("tue")),
            ("tue-mon", Ok("mon tue wed thu fri sat sun")),
            ("mon;tue", Err("mon;tue")),
            ("mon,", Err("")),
            ("monday", Err("monday")),
            ("mon-fri-sun", Err("mon-fri-sun")),
        ];
        for (text, wanted) in table {
            let found = all(text);
            let found = found.as_deref().map_err(String::as_str);
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn a_span_goes_over_midnight_and_a_shift_may_last_a_day() {
        assert_eq!(span("09:00-09:15"), Some((540, 555)));
        assert_eq!(span("23:50 - 00:10"), Some((1430, 10)));
        assert_eq!(span("09:00"), None);
        assert_eq!(minutes_between(1320, 360), 480);
        assert_eq!(minutes_between(360, 360), 1440);
        assert_eq!(minutes_between(840, 1440), 600);
    }
}
