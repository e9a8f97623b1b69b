//! How long a server asks to be left alone: `Retry-After`, as seconds or as a date (RFC 9110, 10.2.3). Pure.
//!
//! A date is held against the answer's own `Date`, never against the clock of this box.

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// The three forms of a date (RFC 9110, 5.6.7): the preferred one and the two old ones.
const FORMS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// The wait; `None` when none is asked for in a way that can be read.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = seconds_of(asked)?;
    let now = seconds_of(text(DATE)?)?;
    let wait = until.saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// Seconds since 1970 of a date in one of the three forms.
fn seconds_of(text: &str) -> Option<i64> {
    FORMS.iter().find_map(|form| {
        let read = jiff::civil::DateTime::strptime(form, text).ok()?;
        Some(
            read.to_zoned(jiff::tz::TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_second(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn wait(after: &str, date: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(after).unwrap());
        headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        asked(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date_by_the_clock_of_the_server() {
        const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (after, date, expected) in [
            ("120", "", Some(120)),
            (" 0 ", NOW, Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", NOW, Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", NOW, Some(60)),
            ("Sun Nov  6 08:50:37 1994", NOW, Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", NOW, Some(0)),
            // Without the server's own time a date says nothing.
            ("Sun, 06 Nov 1994 08:50:37 GMT", "", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", None),
            ("-1", NOW, None),
            ("1.5", NOW, None),
            ("soon", NOW, None),
        ] {
            assert_eq!(wait(after, date), expected, "{after}, {date}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(after in "[ -~]{0,40}", date in "[ -~]{0,40}") {
            let _ = wait(&after, &date);
        }
    }
}
