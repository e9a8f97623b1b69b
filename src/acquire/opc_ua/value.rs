//! An OPC UA value as one of ours (OPC 10000-6, 5.1: the built-in types), and an element of an array.
//!
//! Pure. Scaling, ranges and NaN are `condition`'s business.

use crate::acquire::decimal;
use crate::model::{BadReason, Value};
use crate::settings::shape::TagType;
use opcua::types::{ByteString, Variant};
use std::fmt::Write;
use std::sync::Arc;

/// Most bytes of a byte string that are shown, two digits each.
const MAX_SHOWN_BYTES: usize = 512;

/// The value. A null string is an empty text; a value that is not there at all is bad.
///
/// # Errors
/// `OutOfRange`: 2^63 and above. `Malformed`: an array, a structure, or nothing.
pub(super) fn value(variant: &Variant) -> Result<Value, BadReason> {
    let value = match variant {
        Variant::Boolean(on) => Value::Bool(*on),
        Variant::SByte(whole) => Value::Int(i64::from(*whole)),
        Variant::Byte(whole) => Value::Int(i64::from(*whole)),
        Variant::Int16(whole) => Value::Int(i64::from(*whole)),
        Variant::UInt16(whole) => Value::Int(i64::from(*whole)),
        Variant::Int32(whole) => Value::Int(i64::from(*whole)),
        Variant::UInt32(whole) => Value::Int(i64::from(*whole)),
        Variant::Int64(whole) => Value::Int(*whole),
        Variant::UInt64(whole) => {
            Value::Int(i64::try_from(*whole).map_err(|_| BadReason::OutOfRange)?)
        }
        Variant::Float(single) => measured(*single)?,
        Variant::Double(double) if double.is_finite() => Value::Float(*double),
        Variant::Double(_) => return Err(BadReason::NotFinite),
        Variant::StatusCode(code) => Value::Int(i64::from(code.bits())),
        Variant::Variant(inner) => return nested(inner),
        Variant::DataValue(inner) => {
            return nested(inner.value.as_ref().unwrap_or(&Variant::Empty));
        }
        other => Value::Text(text(other).ok_or(BadReason::Malformed)?),
    };
    Ok(value)
}

/// One level only: a variant in a variant in a variant is nothing that a machine says.
fn nested(inner: &Variant) -> Result<Value, BadReason> {
    match inner {
        Variant::Variant(_) | Variant::DataValue(_) => Err(BadReason::Malformed),
        plain => value(plain),
    }
}

/// What is shown as a text.
fn text(variant: &Variant) -> Option<Arc<str>> {
    Some(match variant {
        Variant::String(text) => Arc::from(text.as_ref()),
        Variant::XmlElement(text) => Arc::from(text.to_string()),
        Variant::LocalizedText(text) => Arc::from(text.text.as_ref()),
        Variant::QualifiedName(name) => Arc::from(name.name.as_ref()),
        Variant::DateTime(time) => Arc::from(time.to_rfc3339()),
        Variant::Guid(guid) => Arc::from(guid.to_string()),
        Variant::NodeId(node) => Arc::from(node.to_string()),
        Variant::ExpandedNodeId(node) => Arc::from(node.to_string()),
        Variant::ByteString(bytes) => Arc::from(hex(bytes)),
        _ => return None,
    })
}

fn hex(bytes: &ByteString) -> String {
    let shown = bytes.as_ref().iter().take(MAX_SHOWN_BYTES);
    shown.fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _never = write!(text, "{byte:02x}");
        text
    })
}

/// A single as the decimal that was meant: 21.3, not 21.299999237060547.
fn measured(single: f32) -> Result<Value, BadReason> {
    if single.is_finite() {
        Ok(Value::Float(decimal::of_single(single)))
    } else {
        Err(BadReason::NotFinite)
    }
}

/// Whether a value is what `type:` says. A text is whatever is shown as one.
pub(super) fn fits(kind: TagType, variant: &Variant) -> bool {
    match (kind, variant) {
        (_, Variant::Variant(inner)) => {
            !matches!(**inner, Variant::Variant(_)) && fits(kind, inner)
        }
        (TagType::Bool | TagType::Bit, Variant::Boolean(_))
        | (TagType::I8, Variant::SByte(_))
        | (TagType::U8, Variant::Byte(_))
        | (TagType::I16, Variant::Int16(_))
        | (TagType::U16, Variant::UInt16(_))
        | (TagType::I32, Variant::Int32(_))
        | (TagType::U32, Variant::UInt32(_) | Variant::StatusCode(_))
        | (TagType::I64, Variant::Int64(_))
        | (TagType::U64, Variant::UInt64(_))
        | (TagType::F32, Variant::Float(_))
        | (TagType::F64, Variant::Double(_)) => true,
        (TagType::Text, other) => text(other).is_some(),
        _ => false,
    }
}

/// The element of an array of one dimension; what is no array has none.
///
/// # Errors
/// `Malformed`: no array, or a shorter one.
pub(super) fn element(variant: &Variant, index: usize) -> Result<&Variant, BadReason> {
    match variant {
        Variant::Array(array)
            if array
                .dimensions
                .as_ref()
                .is_none_or(|sizes| sizes.len() <= 1) =>
        {
            array.values.get(index).ok_or(BadReason::Malformed)
        }
        _ => Err(BadReason::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{Array, DateTime, LocalizedText, NodeId, StatusCode, VariantScalarTypeId};

    fn check(variant: impl Into<Variant>, expected: Result<Value, BadReason>) {
        let variant = variant.into();
        assert_eq!(value(&variant), expected, "{variant:?}");
    }

    #[test]
    fn every_built_in_type_is_a_value() {
        check(true, Ok(Value::Bool(true)));
        check(-5_i8, Ok(Value::Int(-5)));
        check(250_u8, Ok(Value::Int(250)));
        check(i64::MIN, Ok(Value::Int(i64::MIN)));
        check(i64::MAX.cast_unsigned(), Ok(Value::Int(i64::MAX)));
        check(1_u64 << 63, Err(BadReason::OutOfRange));
        check(21.3_f32, Ok(Value::Float(21.3)));
        check(0.1_f64, Ok(Value::Float(0.1)));
        check(f64::NAN, Err(BadReason::NotFinite));
        check(f32::INFINITY, Err(BadReason::NotFinite));
        check(Variant::Empty, Err(BadReason::Malformed));
    }

    #[test]
    fn what_is_no_number_is_shown_as_a_text() {
        let text = |shown: &str| Ok(Value::Text(shown.into()));
        check("A7", text("A7"));
        check(Variant::String(Default::default()), text(""));
        check(LocalizedText::new("de", "Läuft"), text("Läuft"));
        check(ByteString::from(vec![0xDE, 0xAD]), text("dead"));
        check(NodeId::new(2, "Running"), text("ns=2;s=Running"));
        check(
            DateTime::ymd_hms(2026, 7, 1, 6, 0, 0),
            text("2026-07-01T06:00:00.000Z"),
        );
        check(
            Variant::StatusCode(StatusCode::BadNodeIdUnknown),
            Ok(Value::Int(0x8034_0000)),
        );
    }

    #[test]
    fn a_variant_in_a_variant_is_what_it_holds_but_no_deeper() {
        let one = Variant::Variant(Box::new(Variant::from(7_i32)));
        check(one.clone(), Ok(Value::Int(7)));
        check(Variant::Variant(Box::new(one)), Err(BadReason::Malformed));
    }

    #[test]
    fn an_element_is_taken_from_one_dimension_only() {
        let values: Vec<Variant> = (0..3).map(Variant::from).collect();
        let flat = Array::new(VariantScalarTypeId::Int32, values.clone()).unwrap();
        let flat = Variant::Array(Box::new(flat));
        assert_eq!(element(&flat, 2), Ok(&Variant::from(2)));
        assert_eq!(element(&flat, 3), Err(BadReason::Malformed));
        assert_eq!(element(&Variant::from(2), 0), Err(BadReason::Malformed));
        let square = Array::new_multi(VariantScalarTypeId::Int32, values, vec![3, 1]).unwrap();
        assert_eq!(
            element(&Variant::Array(Box::new(square)), 0),
            Err(BadReason::Malformed)
        );
    }

    #[test]
    fn a_type_fits_only_itself() {
        assert!(fits(TagType::F64, &Variant::from(1.0_f64)));
        assert!(!fits(TagType::F64, &Variant::from(1.0_f32)));
        assert!(!fits(TagType::I16, &Variant::from(1_i32)));
        assert!(fits(TagType::Text, &Variant::from("x")));
        assert!(!fits(TagType::Text, &Variant::from(1_i32)));
    }
}
