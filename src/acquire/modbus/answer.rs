//! From the answer of one request to the readings of its tags.
//!
//! Pure. All readings of one answer carry its stamp: they are one instant.

use super::plan::Request;
use super::registers;
use crate::acquire::driver::Reading;
use crate::model::{BadReason, Stamp, Value};

/// What a device said to a read request: exactly as many as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of holding or input registers.
    Words(Vec<u16>),
    /// Of coils or discrete inputs.
    Bits(Vec<bool>),
}

/// Appends a reading for each tag of the request.
pub fn read(request: &Request, answer: &Answer, stamp: Stamp, readings: &mut Vec<Reading>) {
    readings.extend(request.fields.iter().map(|field| {
        let offset = usize::from(field.offset);
        let raw = match answer {
            Answer::Words(words) => {
                registers::decode(&field.register, words.get(offset..).unwrap_or_default())
            }
            Answer::Bits(bits) => bits
                .get(offset)
                .map(|on| Value::Bool(*on))
                .ok_or(BadReason::Malformed),
        };
        Reading {
            tag: field.tag,
            stamp,
            source: None,
            raw,
            uncertain: false,
        }
    }));
}

/// Appends a bad reading for each tag of a request without an answer.
pub fn bad(request: &Request, reason: BadReason, stamp: Stamp, readings: &mut Vec<Reading>) {
    readings.extend(request.fields.iter().map(|field| Reading {
        tag: field.tag,
        stamp,
        source: None,
        raw: Err(reason),
        uncertain: false,
    }));
}
