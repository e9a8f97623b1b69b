//! Pure. Numbers as gauges and scales write them: `+  12.50`, `-0,3`, `1.2E-3`. Called by `fields`.
//!
//! Spaces around it and behind the sign, one sign, digits, the decimal sign of the settings; no thousands. Anything else is
//! no number: a unit stands outside the group that the pattern takes out.

use crate::model::{BadReason, Value};
use crate::settings::shape::{Decimal, TagType};

/// A measured number.
pub(super) fn measured(text: &str, decimal: Decimal) -> Result<Value, BadReason> {
    let (sign, digits) = signed(text);
    let digits = match decimal {
        Decimal::Point => digits.to_owned(),
        Decimal::Comma if digits.contains('.') => return Err(BadReason::Malformed),
        Decimal::Comma => digits.replacen(',', ".", 1),
    };
    let (mantissa, exponent) = digits
        .split_once(['e', 'E'])
        .map_or((digits.as_str(), None), |(mantissa, exponent)| {
            (mantissa, Some(exponent))
        });
    let plain = |one: char| one.is_ascii_digit() || one == '.';
    let has_digit = mantissa.contains(|one: char| one.is_ascii_digit());
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.chars().all(|one| one.is_ascii_digit())
    });
    if !has_digit || !mantissa.chars().all(plain) || !is_exponent {
        return Err(BadReason::Malformed);
    }
    let number: f64 = format!("{sign}{digits}")
        .parse()
        .map_err(|_| BadReason::Malformed)?;
    if number.is_finite() {
        Ok(Value::Float(number))
    } else {
        Err(BadReason::NotFinite)
    }
}

/// A value of a type of the settings.
pub(super) fn typed(text: &str, kind: TagType, decimal: Decimal) -> Result<Value, BadReason> {
    match kind {
        TagType::Text => Ok(Value::Text(text.into())),
        TagType::F32 | TagType::F64 => measured(text, decimal),
        TagType::Bit | TagType::Bool => bit(text),
        TagType::I8 => whole(text, i8::MIN.into(), i8::MAX.into()),
        TagType::U8 => whole(text, 0, u8::MAX.into()),
        TagType::I16 => whole(text, i16::MIN.into(), i16::MAX.into()),
        TagType::U16 => whole(text, 0, u16::MAX.into()),
        TagType::I32 => whole(text, i32::MIN.into(), i32::MAX.into()),
        TagType::U32 => whole(text, 0, u32::MAX.into()),
        TagType::I64 => whole(text, i64::MIN, i64::MAX),
        TagType::U64 => whole(text, 0, i64::MAX),
        TagType::Bcd16 => whole(text, 0, 9_999),
        TagType::Bcd32 => whole(text, 0, 99_999_999),
    }
}

/// A whole number within the bounds of its type.
fn whole(text: &str, least: i64, most: i64) -> Result<Value, BadReason> {
    let (sign, digits) = signed(text);
    if digits.is_empty() || !digits.chars().all(|one| one.is_ascii_digit()) {
        return Err(BadReason::Malformed);
    }
    // What does not fit 64 bits fits no type.
    let number: i64 = format!("{sign}{digits}")
        .parse()
        .map_err(|_| BadReason::OutOfRange)?;
    if (least..=most).contains(&number) {
        Ok(Value::Int(number))
    } else {
        Err(BadReason::OutOfRange)
    }
}

fn bit(text: &str) -> Result<Value, BadReason> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "on" => Ok(Value::Bool(true)),
        "0" | "false" | "off" => Ok(Value::Bool(false)),
        _ => Err(BadReason::Malformed),
    }
}

/// The sign, and what follows it without spaces.
fn signed(text: &str) -> (&'static str, &str) {
    let text = text.trim();
    match text.strip_prefix('-') {
        Some(rest) => ("-", rest.trim_start()),
        None => ("", text.strip_prefix('+').unwrap_or(text).trim_start()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, decimal: Decimal, expected: Result<f64, BadReason>) {
        assert_eq!(
            measured(text, decimal),
            expected.map(Value::Float),
            "{text:?}"
        );
    }

    #[test]
    fn numbers_are_read_as_scales_write_them() {
        for (text, number) in [
            ("12.50", 12.5),
            ("+   12.50 ", 12.5),
            ("-  0.3", -0.3),
            ("\t007\u{a0}", 7.0),
            ("12.", 12.0),
            (".5", 0.5),
            ("-.5e+2", -50.0),
            ("1.2E-3", 0.0012),
            ("-0", -0.0),
        ] {
            check(text, Decimal::Point, Ok(number));
        }
        check("-12,5", Decimal::Comma, Ok(-12.5));
        check("12", Decimal::Comma, Ok(12.0));
        for text in [
            "",
            " ",
            "-",
            ".",
            "12.5 kg",
            "1 2",
            "--1",
            "+-1",
            "nan",
            "inf",
            "1.2.3",
            "e5",
            "1e",
            "1e+",
            "0x1F",
            "1,5",
            "-infinity",
        ] {
            check(text, Decimal::Point, Err(BadReason::Malformed));
        }
        for text in ["1.5", "1.234,5", "1,2,3", ","] {
            check(text, Decimal::Comma, Err(BadReason::Malformed));
        }
        check("1e999", Decimal::Point, Err(BadReason::NotFinite));
    }

    #[test]
    fn a_type_has_its_bounds() {
        let typed = |text, kind| typed(text, kind, Decimal::Comma);
        assert_eq!(typed("+ 0042", TagType::U16), Ok(Value::Int(42)));
        assert_eq!(typed("65535", TagType::U16), Ok(Value::Int(65_535)));
        assert_eq!(typed("65536", TagType::U16), Err(BadReason::OutOfRange));
        assert_eq!(typed("-1", TagType::U8), Err(BadReason::OutOfRange));
        assert_eq!(typed("-128", TagType::I8), Ok(Value::Int(-128)));
        assert_eq!(
            typed("99999999999999999999", TagType::I64),
            Err(BadReason::OutOfRange)
        );
        assert_eq!(
            typed("-9223372036854775808", TagType::I64),
            Ok(Value::Int(i64::MIN))
        );
        assert_eq!(typed("1.0", TagType::I32), Err(BadReason::Malformed));
        assert_eq!(typed("1,25", TagType::F32), Ok(Value::Float(1.25)));
        assert_eq!(typed(" ON ", TagType::Bool), Ok(Value::Bool(true)));
        assert_eq!(typed("0", TagType::Bit), Ok(Value::Bool(false)));
        assert_eq!(typed("yes", TagType::Bool), Err(BadReason::Malformed));
        assert_eq!(typed(" A7 ", TagType::Text), Ok(Value::Text(" A7 ".into())));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            drop(measured(&text, Decimal::Comma));
            drop(typed(&text, TagType::I64, Decimal::Point));
        }

        #[test]
        fn a_decimal_is_the_nearest_double(units in -1_000_000_000i64..1_000_000_000, places in 1usize..6) {
            let sign = if units < 0 { "-" } else { "" };
            let digits = format!("{:0>width$}", units.abs(), width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let meant: f64 = format!("{sign}{whole}.{fraction}").parse().unwrap();
            prop_assert_eq!(measured(&format!("{sign} {whole},{fraction}"), Decimal::Comma), Ok(Value::Float(meant)));
        }
    }
}
