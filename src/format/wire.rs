//! The small pieces that every event is made of, and how they stand in JSON: times, texts from outside, references.

use crate::model::{Reason, Reference, UtcTime, Value};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt::{self, Display};

/// Longest text from a machine, in bytes as JSON writes it; a longer one is cut at a character. So the twenty texts that an
/// event may have beside its lists never fill it, even if each character is escaped.
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
        serializer.serialize_str(self.kept())
    }
}

impl<'a> Text<'a> {
    fn kept(self) -> &'a str {
        let mut bytes = 0;
        let end = self.0.char_indices().find(|(_, c)| {
            bytes += json_bytes(*c);
            bytes > MAX_TEXT_BYTES
        });
        match end {
            Some((end, _)) => self.0.get(..end).unwrap_or_default(),
            None => self.0,
        }
    }
}

/// How many bytes a character takes in a JSON string.
fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
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
    source: Text<'a>,
}

/// A reference that may be missing.
pub(super) fn reference(reference: &Option<Reference>) -> Option<ReferenceOut<'_>> {
    reference.as_ref().map(|known| ReferenceOut {
        id: Text(&known.id),
        source: Text(&known.source),
    })
}

/// Why a machine stands, in the words of the catalogue.
#[derive(Serialize)]
pub(super) struct ReasonOut<'a> {
    code: Text<'a>,
    native: Option<Text<'a>>,
    catalogue: Option<Text<'a>>,
    catalogue_version: Option<Text<'a>>,
    text: Option<Text<'a>>,
    category: Option<&'static str>,
    source: &'static str,
}

/// A reason that may be missing.
pub(super) fn reason(reason: &Option<Reason>) -> Option<ReasonOut<'_>> {
    reason.as_ref().map(|known| ReasonOut {
        code: Text(&known.code),
        native: text(&known.native),
        catalogue: text(&known.catalogue),
        catalogue_version: text(&known.catalogue_version),
        text: text(&known.text),
        category: known
            .planned
            .map(|planned| if planned { "planned" } else { "unplanned" }),
        source: known.source.word(),
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

/// A length of time; what is no number or negative is not known.
pub(super) fn seconds(number: Option<f64>) -> Option<f64> {
    maybe(number).filter(|seconds| *seconds >= 0.0)
}

/// A part of a whole, 0 to 1. What rounding put just outside is put back.
pub(super) fn fraction(number: Option<f64>) -> Option<f64> {
    let near = -ROUNDING..=1.0 + ROUNDING;
    maybe(number)
        .filter(|part| near.contains(part))
        .map(|part| part.clamp(0.0, 1.0))
}

/// How far outside of 0 to 1 a sum of fractions may come to lie.
const ROUNDING: f64 = 1e-9;

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
        for bad in ["\u{1}", "\"", "\n", "x", "ü\u{0}", "\u{1f527}\\"] {
            let json = serde_json::to_string(&Text(&bad.repeat(2_000))).unwrap();
            let size = MAX_TEXT_BYTES - 12..=MAX_TEXT_BYTES;
            assert!(size.contains(&(json.len() - 2)), "{bad:?}: {}", json.len());
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_null() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let json = serde_json::to_string(&TagValue(&Value::Float(value))).unwrap();
            assert_eq!(json, "null");
        }
        assert_eq!(seconds(Some(-1.0)), None);
        assert_eq!(seconds(Some(0.0)), Some(0.0));
        assert_eq!(fraction(Some(1.000_000_000_2)), Some(1.0));
        assert_eq!(fraction(Some(1.1)), None);
        assert_eq!(
            serde_json::to_string(&TagValue(&Value::Int(i64::MIN))).unwrap(),
            "-9223372036854775808"
        );
    }
}
