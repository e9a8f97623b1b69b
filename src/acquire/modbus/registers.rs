//! What lies in registers, as values: every type and byte order of the settings (DESIGN section 3).
//!
//! Pure: words in, value or reason out; no allocation except for texts. Called for each tag of an answer; scaling and
//! ranges are `condition`'s. Modbus itself sends each register big-endian (Application Protocol 1.1b3, 4.2).
//!
//! The byte order concerns values of several registers: `CDAB` reverses the words, `BADC` the bytes of each word, `DCBA`
//! both; for 64 bits that is GHEFCDAB, BADCFEHG, HGFEDCBA. One register alone is always as Modbus sends it. A text keeps
//! its registers in their order; `BADC` and `DCBA` swap the two characters of each.

use crate::acquire::decimal;
use crate::model::{BadReason, Value};
use crate::settings::Register;
use crate::settings::shape::{ByteOrder, TagType, Trim};
use std::sync::Arc;

/// Most bytes of a text: what one answer can hold.
const MAX_TEXT_BYTES: usize = 250;

/// The value of a tag in `words`, which are its registers and no others.
///
/// # Errors
/// `Malformed`: too few words, a BCD digit above 9, a text that is not UTF-8. `OutOfRange`: 2^63 and above.
/// `NotFinite`: NaN and infinity.
pub fn decode(register: &Register, words: &[u16]) -> Result<Value, BadReason> {
    let words = words
        .get(..usize::from(register.width()))
        .ok_or(BadReason::Malformed)?;
    if register.kind == TagType::Text {
        return text(register, words);
    }
    number(register, bits(words, register.byte_order))
}

/// All words as one number, most significant first.
fn bits(words: &[u16], order: ByteOrder) -> u64 {
    let join = |sum: u64, word: u16| (sum << 16) | u64::from(word);
    match (words, order) {
        ([word], _) => u64::from(*word),
        (_, ByteOrder::ABCD) => words.iter().copied().fold(0, join),
        (_, ByteOrder::CDAB) => words.iter().rev().copied().fold(0, join),
        (_, ByteOrder::BADC) => words.iter().map(|word| word.swap_bytes()).fold(0, join),
        (_, ByteOrder::DCBA) => words
            .iter()
            .rev()
            .map(|word| word.swap_bytes())
            .fold(0, join),
    }
}

fn number(register: &Register, bits: u64) -> Result<Value, BadReason> {
    let value = match register.kind {
        TagType::Bit => {
            Value::Bool(bits.checked_shr(u32::from(register.bit)).unwrap_or(0) & 1 == 1)
        }
        TagType::U16 | TagType::U32 => Value::Int(bits.cast_signed()),
        TagType::I16 => Value::Int(i64::from(half(bits)?.cast_signed())),
        TagType::I32 => Value::Int(i64::from(single(bits)?.cast_signed())),
        TagType::I64 => Value::Int(bits.cast_signed()),
        TagType::U64 => Value::Int(i64::try_from(bits).map_err(|_| BadReason::OutOfRange)?),
        TagType::F32 => measured(f32::from_bits(single(bits)?))?,
        TagType::F64 => finite(f64::from_bits(bits))?,
        TagType::Bcd16 => Value::Int(decimal_digits(bits, 4)?),
        TagType::Bcd32 => Value::Int(decimal_digits(bits, 8)?),
        TagType::Text | TagType::Bool | TagType::I8 | TagType::U8 => {
            return Err(BadReason::Malformed);
        }
    };
    Ok(value)
}

fn half(bits: u64) -> Result<u16, BadReason> {
    u16::try_from(bits).map_err(|_| BadReason::Malformed)
}

fn single(bits: u64) -> Result<u32, BadReason> {
    u32::try_from(bits).map_err(|_| BadReason::Malformed)
}

/// A single as the decimal that was meant: 21.3, not 21.299999237060547.
fn measured(single: f32) -> Result<Value, BadReason> {
    if single.is_finite() {
        Ok(Value::Float(decimal::of_single(single)))
    } else {
        Err(BadReason::NotFinite)
    }
}

fn finite(double: f64) -> Result<Value, BadReason> {
    if double.is_finite() {
        Ok(Value::Float(double))
    } else {
        Err(BadReason::NotFinite)
    }
}

/// Packed BCD: four bits to a digit, the most significant first, no sign.
fn decimal_digits(bits: u64, digits: u32) -> Result<i64, BadReason> {
    let mut sum = 0;
    for place in (0..digits).rev() {
        let digit = (bits >> (4 * place)) & 0xF;
        if digit > 9 {
            return Err(BadReason::Malformed);
        }
        sum = sum * 10 + digit.cast_signed();
    }
    Ok(sum)
}

/// The first `length` bytes, trimmed, if they are UTF-8. Control characters stay: who shows them escapes them.
fn text(register: &Register, words: &[u16]) -> Result<Value, BadReason> {
    let swapped = matches!(register.byte_order, ByteOrder::BADC | ByteOrder::DCBA);
    let mut bytes = [0u8; MAX_TEXT_BYTES];
    for (pair, word) in bytes.chunks_exact_mut(2).zip(words) {
        let word = if swapped { word.swap_bytes() } else { *word };
        pair.copy_from_slice(&word.to_be_bytes());
    }
    let whole = bytes
        .get(..usize::from(register.length))
        .ok_or(BadReason::Malformed)?;
    let kept = register.trim.iter().fold(whole, |text, cut| match cut {
        Trim::Nul => text.split(|byte| *byte == 0).next().unwrap_or(text),
        Trim::Space => without_blanks(text),
    });
    let text = std::str::from_utf8(kept).map_err(|_| BadReason::Malformed)?;
    Ok(Value::Text(Arc::from(text)))
}

/// Cuts blanks and nothing else: a tab or a line end at the end of a text is part of it.
fn without_blanks(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| *byte != b' ');
    text.get(..kept.map_or(0, |last| last + 1))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
