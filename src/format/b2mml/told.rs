//! Reads an event as it lies in the store: CloudEvents JSON. What is `null` or missing is not there; what has another shape
//! than an event is an error that names its place.

use super::B2mmlError;
use super::xml::Written;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// An event, or a piece of one.
#[derive(Clone, Copy)]
pub(super) struct Told<'a>(pub(super) &'a Value);

impl<'a> Told<'a> {
    /// What is there; nothing where it is `null`.
    pub(super) fn at(self, place: &str) -> Option<Told<'a>> {
        let found = self.0.pointer(place).filter(|found| !found.is_null());
        found.map(Told)
    }

    /// A text, where there is one.
    pub(super) fn text(self, place: &'static str) -> Written<Option<&'a str>> {
        match self.at(place) {
            None => Ok(None),
            Some(Told(Value::String(text))) => Ok(Some(text)),
            Some(_) => Err(B2mmlError::Shape(place)),
        }
    }

    /// A text that every event has.
    pub(super) fn needed(self, place: &'static str) -> Written<&'a str> {
        self.text(place)?.ok_or(B2mmlError::Shape(place))
    }

    /// A point in time, where there is one: as XML Schema wants it, in UTC.
    pub(super) fn time(self, place: &'static str) -> Written<Option<String>> {
        let Some(text) = self.text(place)? else {
            return Ok(None);
        };
        utc(text).map(Some).ok_or(B2mmlError::Shape(place))
    }

    /// A point in time that every event has.
    pub(super) fn needed_time(self, place: &'static str) -> Written<String> {
        self.time(place)?.ok_or(B2mmlError::Shape(place))
    }

    /// The pieces of a list; none where there is no list.
    pub(super) fn list(self, place: &'static str) -> Written<Vec<Told<'a>>> {
        let list = match self.at(place) {
            None => &[][..],
            Some(Told(Value::Array(list))) => list,
            Some(_) => return Err(B2mmlError::Shape(place)),
        };
        Ok(list.iter().map(Told).collect())
    }

    /// What a piece is made of; nothing where there is none.
    pub(super) fn object(self, place: &'static str) -> Written<Option<&'a Map<String, Value>>> {
        match self.at(place) {
            None => Ok(None),
            Some(Told(Value::Object(map))) => Ok(Some(map)),
            Some(_) => Err(B2mmlError::Shape(place)),
        }
    }

    /// True where a yes stands there.
    pub(super) fn yes(self, place: &'static str) -> Written<bool> {
        match self.at(place) {
            None => Ok(false),
            Some(Told(Value::Bool(yes))) => Ok(*yes),
            Some(_) => Err(B2mmlError::Shape(place)),
        }
    }

    /// Made in an acceptance run, or to try a destination: nothing to book.
    pub(super) fn is_test(self) -> Written<bool> {
        self.yes("/data/gateway/test")
    }
}

/// `xsd:dateTime` in UTC of what is written after RFC 3339; `None` for what is no time in the years 1 to 9999.
pub(super) fn utc(text: &str) -> Option<String> {
    let time: Timestamp = text.parse().ok()?;
    // Before the year 1 jiff writes a sign, and XML Schema 1.0 knows no year 0.
    let text = time.to_string();
    let plain = !text.starts_with(['-', '+']) && !text.starts_with("0000");
    plain.then_some(text)
}

/// `xsd:duration` of seconds: `PT3.52S`. Without exponents, which it does not know.
pub(super) fn duration(number: &serde_json::Number) -> Option<String> {
    let text = number.to_string();
    let plain = if text.contains(['e', 'E']) {
        number.as_f64().map(|seconds| seconds.to_string())?
    } else {
        text
    };
    Some(match plain.strip_prefix('-') {
        Some(size) => format!("-PT{size}S"),
        None => format!("PT{plain}S"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_utc_and_nothing_else_is_a_time() {
        let cases = [
            ("2026-11-22T09:14:02.31Z", Some("2026-11-22T09:14:02.31Z")),
            (
                "2026-11-22T10:14:02.31+01:00",
                Some("2026-11-22T09:14:02.31Z"),
            ),
            (
                "1677-09-21T00:12:43.145224Z",
                Some("1677-09-21T00:12:43.145224Z"),
            ),
            ("0000-06-01T00:00:00Z", None),
            ("-0001-06-01T00:00:00Z", None),
            ("2026-02-30T00:00:00Z", None),
            ("2026-11-22T09:14:02", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(utc(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn durations_have_no_exponent() {
        let cases = [
            (json!(3.52), "PT3.52S"),
            (json!(0), "PT0S"),
            (json!(670.0), "PT670.0S"),
            (json!(1e-7), "PT0.0000001S"),
            (json!(1e21), "PT1000000000000000000000S"),
            (json!(-3.217), "-PT3.217S"),
        ];
        for (seconds, expected) in cases {
            let Value::Number(number) = &seconds else {
                panic!("{seconds}");
            };
            assert_eq!(duration(number).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_has_another_shape_is_named() {
        let event =
            json!({"id": 7, "none": null, "time": "noon", "list": {}, "object": [], "yes": "yes"});
        let told = Told(&event);
        assert_eq!(told.text("/none").unwrap(), None);
        assert_eq!(told.text("/missing").unwrap(), None);
        assert!(!told.yes("/none").unwrap());
        let places = [
            told.text("/id").map(drop),
            told.needed("/none").map(drop),
            told.time("/time").map(drop),
            told.needed_time("/missing").map(drop),
            told.list("/list").map(drop),
            told.object("/object").map(drop),
            told.yes("/yes").map(drop),
        ]
        .map(|result| match result {
            Err(B2mmlError::Shape(place)) => place,
            other => panic!("{other:?}"),
        });
        let expected = [
            "/id", "/none", "/time", "/missing", "/list", "/object", "/yes",
        ];
        assert_eq!(places, expected);
    }
}
