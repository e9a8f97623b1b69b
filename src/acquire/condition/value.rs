//! One raw value made into what the settings say that it means: words, scale, offset, line, range, texts cut to their limit.
//!
//! Pure, and without memory: what needs the values before it is in `course`.

use crate::acquire::decimal::without_noise;
use crate::model::{BadReason, Quality, Value, ValueKind};
use crate::settings::Conditioning;
use std::sync::Arc;

/// Longest text in bytes.
const MAX_TEXT_BYTES: usize = 1_024;

/// What a raw value became.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    pub(super) value: Option<Value>,
    pub(super) quality: Quality,
    /// A text that was cut, which makes it uncertain.
    pub(super) truncated: bool,
}

impl Made {
    fn good(value: Value) -> Made {
        Made {
            value: Some(value),
            quality: Quality::Good,
            truncated: false,
        }
    }

    /// Refused; the value is kept where there is one, so that people can see it.
    pub(super) fn bad(value: Option<Value>, reason: BadReason) -> Made {
        Made {
            value,
            quality: Quality::Bad(reason),
            truncated: false,
        }
    }
}

/// The value of a tag whose settings ask for nothing.
pub(super) fn plain(raw: Value, kind: ValueKind) -> Made {
    match (raw, kind) {
        (raw @ Value::Int(_), ValueKind::Int | ValueKind::Any)
        | (raw @ Value::Bool(_), ValueKind::Bool | ValueKind::Any) => Made::good(raw),
        (Value::Float(number), ValueKind::Float | ValueKind::Any) => finite(number),
        (Value::Int(whole), ValueKind::Float) => Made::good(Value::Float(whole as f64)),
        (Value::Text(text), ValueKind::Text | ValueKind::Any) => text_of(text),
        (other, _) => Made::bad(Some(other), BadReason::Malformed),
    }
}

/// The value of a tag by its settings. `kind` is what it must be in the end.
///
/// A value outside `range` is kept, so that people can see it, but it is bad. Scaled numbers are rounded to 15
/// significant digits of the largest operand: raw 3 with scale 0.1 is 0.3, and 2951 with 0.1 and -273.15 is 21.95.
pub(super) fn conditioned(raw: Value, conditioning: &Conditioning, kind: ValueKind) -> Made {
    if let Some(words) = &conditioning.values {
        return match &raw {
            Value::Int(number) => words.get(number).map_or_else(
                || Made::bad(Some(raw.clone()), BadReason::Unlisted),
                |word| Made::good(Value::Text(Arc::clone(word))),
            ),
            _ => Made::bad(Some(raw), BadReason::Malformed),
        };
    }
    let made = match scaled(raw, conditioning) {
        Ok(value) => plain(value, kind),
        Err(made) => return made,
    };
    match (&made.value, conditioning.range) {
        (Some(value @ (Value::Int(_) | Value::Float(_))), Some((low, high)))
            if made.quality == Quality::Good =>
        {
            let inside = value.number().is_some_and(|n| (low..=high).contains(&n));
            if inside {
                made
            } else {
                Made::bad(made.value, BadReason::OutOfRange)
            }
        }
        _ => made,
    }
}

/// Scale first, then offset; or along the line. A bit or a text cannot be scaled.
fn scaled(raw: Value, conditioning: &Conditioning) -> Result<Value, Made> {
    let (scale, offset) = (conditioning.scale, conditioning.offset);
    if scale.is_none() && offset.is_none() && conditioning.linear.is_none() {
        return Ok(raw);
    }
    let (Value::Int(_) | Value::Float(_), Some(number)) = (&raw, raw.number()) else {
        return Err(Made::bad(Some(raw), BadReason::Malformed));
    };
    let (product, offset) = match conditioning.linear {
        Some(([from, _], [to, _])) => ((number - from) * slope(conditioning), to),
        None => (number * scale.unwrap_or(1.0), offset.unwrap_or(0.0)),
    };
    let measured = without_noise(product + offset, product.abs().max(offset.abs()));
    Ok(Value::Float(measured))
}

/// Of the line through the two points; `check` refuses two points above one another.
fn slope(conditioning: &Conditioning) -> f64 {
    conditioning
        .linear
        .map_or(1.0, |([a, b], [low, high])| (high - low) / (b - a))
}

fn finite(number: f64) -> Made {
    if number.is_finite() {
        Made::good(Value::Float(number))
    } else {
        Made::bad(None, BadReason::NotFinite)
    }
}

/// A text, cut at a character where it is too long.
fn text_of(text: Arc<str>) -> Made {
    if text.len() <= MAX_TEXT_BYTES {
        return Made::good(Value::Text(text));
    }
    let kept = text
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8())
        .take_while(|end| *end <= MAX_TEXT_BYTES)
        .last()
        .unwrap_or(0);
    Made {
        value: Some(Value::Text(text.get(..kept).unwrap_or_default().into())),
        quality: Quality::Uncertain,
        truncated: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_FINITE: Quality = Quality::Bad(BadReason::NotFinite);
    const OUT: Quality = Quality::Bad(BadReason::OutOfRange);
    const MALFORMED: Quality = Quality::Bad(BadReason::Malformed);

    #[track_caller]
    fn check(raw: Value, conditioning: &Conditioning, value: Option<Value>, quality: Quality) {
        let kind = match (&raw, conditioning) {
            (
                _,
                Conditioning {
                    values: Some(_), ..
                },
            ) => ValueKind::Text,
            (
                Value::Int(_),
                Conditioning {
                    scale: None,
                    offset: None,
                    linear: None,
                    ..
                },
            ) => ValueKind::Int,
            (Value::Int(_) | Value::Float(_), _) => ValueKind::Float,
            (Value::Bool(_), _) => ValueKind::Bool,
            (Value::Text(_), _) => ValueKind::Text,
        };
        let made = conditioned(raw, conditioning, kind);
        assert_eq!((made.value, made.quality), (value, quality));
    }

    fn scaled_by(scale: Option<f64>, offset: Option<f64>) -> Conditioning {
        Conditioning {
            scale,
            offset,
            ..Conditioning::default()
        }
    }

    #[test]
    fn a_value_without_conditioning_passes_as_it_is() {
        for value in [
            Value::Int(i64::MAX),
            Value::Float(0.1 + 0.2),
            Value::Bool(true),
            Value::Text("A7".into()),
        ] {
            check(
                value.clone(),
                &Conditioning::default(),
                Some(value),
                Quality::Good,
            );
        }
    }

    #[test]
    fn scaled_numbers_print_as_the_decimals_they_mean() {
        for (raw, scale, offset, value) in [
            (213, Some(0.1), None, 21.3),
            (3, Some(0.1), None, 0.3),
            (2951, Some(0.1), Some(-273.15), 21.95),
            (7, Some(1.0), None, 7.0),
            (7, None, Some(-7.0), 0.0),
        ] {
            let conditioning = scaled_by(scale, offset);
            check(
                Value::Int(raw),
                &conditioning,
                Some(Value::Float(value)),
                Quality::Good,
            );
        }
    }

    #[test]
    fn a_line_through_two_points_reaches_both_and_goes_on() {
        let line = |from, to| Conditioning {
            linear: Some((from, to)),
            ..Conditioning::default()
        };
        for (from, to, raw, value) in [
            ([0.0, 27_648.0], [0.0, 400.0], 27_648, 400.0),
            ([0.0, 27_648.0], [0.0, 400.0], 0, 0.0),
            ([0.0, 27_648.0], [0.0, 400.0], 13_824, 200.0),
            ([0.0, 27_648.0], [0.0, 400.0], -27_648, -400.0),
            ([4_000.0, 20_000.0], [-50.0, 150.0], 4_000, -50.0),
            ([4_000.0, 20_000.0], [-50.0, 150.0], 12_000, 50.0),
            ([0.0, 100.0], [10.0, 0.0], 25, 7.5),
        ] {
            check(
                Value::Int(raw),
                &line(from, to),
                Some(Value::Float(value)),
                Quality::Good,
            );
        }
    }

    #[test]
    fn the_range_is_inclusive_and_looks_at_the_scaled_value() {
        let ranged = Conditioning {
            range: Some((0.0, 10.0)),
            ..scaled_by(Some(0.1), None)
        };
        for (raw, value, quality) in [
            (0, 0.0, Quality::Good),
            (100, 10.0, Quality::Good),
            (101, 10.1, OUT),
            (-1, -0.1, OUT),
        ] {
            check(Value::Int(raw), &ranged, Some(Value::Float(value)), quality);
        }
        let whole = Conditioning {
            range: Some((0.0, 10.0)),
            ..Conditioning::default()
        };
        check(Value::Int(11), &whole, Some(Value::Int(11)), OUT);
    }

    #[test]
    fn what_is_no_finite_number_has_no_value() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check(
                Value::Float(number),
                &Conditioning::default(),
                None,
                NOT_FINITE,
            );
            check(
                Value::Float(number),
                &scaled_by(Some(2.0), None),
                None,
                NOT_FINITE,
            );
        }
        check(
            Value::Float(1e300),
            &scaled_by(Some(1e300), None),
            None,
            NOT_FINITE,
        );
    }

    #[test]
    fn numbers_become_words_and_one_that_is_not_listed_is_bad() {
        let words = [(0, "idle"), (1, "running"), (-1, "fault")];
        let listed = Conditioning {
            values: Some(words.map(|(number, word)| (number, word.into())).into()),
            ..Conditioning::default()
        };
        for (number, word) in words {
            let value = Some(Value::Text(word.into()));
            check(Value::Int(number), &listed, value, Quality::Good);
        }
        let unlisted = Quality::Bad(BadReason::Unlisted);
        check(Value::Int(2), &listed, Some(Value::Int(2)), unlisted);
        check(
            Value::Bool(true),
            &listed,
            Some(Value::Bool(true)),
            MALFORMED,
        );
    }

    #[test]
    fn what_is_of_another_kind_than_the_settings_say_is_malformed() {
        for (raw, kind) in [
            (Value::Text("1".into()), ValueKind::Int),
            (Value::Bool(true), ValueKind::Int),
            (Value::Float(1.5), ValueKind::Int),
            (Value::Text("x".into()), ValueKind::Float),
            (Value::Int(1), ValueKind::Bool),
            (Value::Int(1), ValueKind::Text),
        ] {
            assert_eq!(
                plain(raw.clone(), kind),
                Made::bad(Some(raw), BadReason::Malformed)
            );
        }
        let whole = plain(Value::Int(3), ValueKind::Float);
        assert_eq!(whole.value, Some(Value::Float(3.0)));
        // Only the device knows: a number is scaled, anything else cannot be.
        let text = Value::Text("x".into());
        let made = conditioned(text.clone(), &scaled_by(Some(2.0), None), ValueKind::Float);
        assert_eq!(made, Made::bad(Some(text), BadReason::Malformed));
        for raw in [
            Value::Int(1),
            Value::Float(1.5),
            Value::Bool(true),
            Value::Text("x".into()),
        ] {
            assert_eq!(plain(raw.clone(), ValueKind::Any), Made::good(raw));
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_flagged() {
        let exact = Value::Text("x".repeat(MAX_TEXT_BYTES).into());
        check(
            exact.clone(),
            &Conditioning::default(),
            Some(exact),
            Quality::Good,
        );
        for (letter, kept) in [
            ("x", 1_024),
            ("\u{e4}", 1_024),
            ("\u{20ac}", 1_023),
            ("\u{1f600}", 1_024),
        ] {
            let long = Value::Text(letter.repeat(2_000).into());
            let made = plain(long, ValueKind::Text);
            assert_eq!((made.quality, made.truncated), (Quality::Uncertain, true));
            let Some(Value::Text(text)) = made.value else {
                panic!("no text")
            };
            assert_eq!(text.len(), kept);
        }
    }
}
