//! The small pieces that every event is made of, and how they stand in JSON: times, texts from outside, references.

use crate::model::{Reference, UtcTime, Value};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt::{self, Display};

/// Longest text from a machine, in bytes; a longer one is cut at a character.
pub(super) const MAX_TEXT_BYTES: usize = 1_024;

/// RFC 3339 in UTC, to the microsecond, without zeros at the end: `2026-11-22T09:14:02.31Z`.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) UtcTime);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded down, so that a label never lies after what it labels.
        let micros = self.0.0.div_euclid(1_000);
        match Timestamp::from_microsecond(micros) {
            Ok(time) => time.fmt(f),
            // Cannot be: 64 bits of nanoseconds end in the year 2262.
            Err(_) => f.write_str("1970-01-01T00:00:00Z"),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Anything that can be shown, as a JSON string.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A text that a machine or a person chose: at most [`MAX_TEXT_BYTES`].
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = self.0.floor_char_boundary(MAX_TEXT_BYTES);
        serializer.serialize_str(self.0.get(..end).unwrap_or_default())
    }
}

/// A text that may be missing.
pub(super) fn text(text: &Option<String>) -> Option<Text<'_>> {
    text.as_deref().map(Text)
}

/// An order, product, lot or program.
#[derive(Serialize)]
pub(super) struct ReferenceOut<'a> {
    id: Text<'a>,
    source: &'a str,
}

/// A reference that may be missing.
pub(super) fn reference(reference: &Option<Reference>) -> Option<ReferenceOut<'_>> {
    reference.as_ref().map(|known| ReferenceOut {
        id: Text(&known.id),
        source: &known.source,
    })
}

/// A tag's value as JSON has it; a number that is not finite is `null`.
pub(super) struct TagValue<'a>(pub(super) &'a Value);

impl Serialize for TagValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(on) => serializer.serialize_bool(*on),
            Value::Int(whole) => serializer.serialize_i64(*whole),
            Value::Float(measured) => known(*measured).serialize(serializer),
            Value::Text(words) => Text(words).serialize(serializer),
        }
    }
}

/// A number, or `None` for what is none. JSON has no NaN, and a MES must not book one.
pub(super) fn known(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// As [`known`], for a number that may be missing already.
pub(super) fn maybe(number: Option<f64>) -> Option<f64> {
    number.and_then(known)
}

/// What this version has no source for yet: always `null`, so that a MES meets the field before it meets a value.
#[derive(Serialize)]
pub(super) struct NotYet;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_microsecond_without_zeros_at_the_end() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_338_842_310_000_000, "2026-11-22T09:14:02.31Z"),
            (1_795_338_842_310_456_789, "2026-11-22T09:14:02.310456Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224Z"),
        ];
        for (ns, expected) in cases {
            assert_eq!(Time(UtcTime(ns)).to_string(), expected, "{ns}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_keeps_its_control_characters_escaped() {
        let long = "ä".repeat(600);
        let json = serde_json::to_string(&Text(&long)).unwrap();
        assert_eq!(json.chars().count(), 512 + 2);
        let odd = serde_json::to_string(&Text("a\u{1d}\"\\\n")).unwrap();
        assert_eq!(odd, r#""a\u001d\"\\\n""#);
    }

    #[test]
    fn a_value_that_is_no_number_is_null() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let json = serde_json::to_string(&TagValue(&Value::Float(value))).unwrap();
            assert_eq!(json, "null");
        }
        assert_eq!(
            serde_json::to_string(&TagValue(&Value::Int(i64::MIN))).unwrap(),
            "-9223372036854775808"
        );
    }
}
