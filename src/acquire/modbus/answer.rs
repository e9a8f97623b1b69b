//! From the answer of one request to the samples of its tags.
//!
//! Pure but for the counters of the device. All samples of one answer carry its stamp: they are one instant.

use super::plan::Request;
use super::registers;
use crate::acquire::condition;
use crate::health::DeviceHealth;
use crate::model::{BadReason, Quality, Sample, Stamp, Value};

/// What a device said to a read request: exactly as many as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of holding or input registers.
    Words(Vec<u16>),
    /// Of coils or discrete inputs.
    Bits(Vec<bool>),
}

/// Appends a sample for each tag of the request.
pub fn read(
    request: &Request,
    answer: &Answer,
    stamp: Stamp,
    health: &DeviceHealth,
    samples: &mut Vec<Sample>,
) {
    for field in &request.fields {
        let offset = usize::from(field.offset);
        let decoded = match answer {
            Answer::Words(words) => {
                registers::decode(&field.register, words.get(offset..).unwrap_or_default())
            }
            Answer::Bits(bits) => bits
                .get(offset)
                .map(|on| Value::Bool(*on))
                .ok_or(BadReason::Malformed),
        };
        let sample = condition::sample(field.tag, stamp, decoded, &field.conditioning);
        if let Quality::Bad(reason) = sample.quality {
            health.refuse(reason);
        }
        samples.push(sample);
    }
}

/// Appends a bad sample for each tag of a request that the device answered with an exception.
pub fn refused(request: &Request, code: u8, stamp: Stamp, samples: &mut Vec<Sample>) {
    samples.extend(request.fields.iter().map(|field| Sample {
        tag: field.tag,
        stamp,
        value: None,
        quality: Quality::Bad(BadReason::Exception(code)),
    }));
}
