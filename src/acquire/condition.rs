//! The end of `acquire`: scale, offset and range turn what was decoded into a sample, once and for every driver.
//!
//! Pure but for the counters of the device. What fails becomes bad with its reason, and is counted. A whole number that is
//! scaled becomes measured.

use super::decimal::without_noise;
use super::driver::Reading;
use crate::health::DeviceHealth;
use crate::model::{BadReason, Quality, Sample, Stamp, TagId, Value};
use crate::settings::{Conditioning, Tag};
use std::sync::Arc;

/// What is done to the values of one device.
#[derive(Clone, Debug, Default)]
pub struct Conditioner {
    /// Number of the first tag: those of a device follow one another.
    first: usize,
    tags: Vec<Arc<Conditioning>>,
    health: Arc<DeviceHealth>,
}

impl Conditioner {
    /// For the tags of one device, in the order of their numbers.
    pub fn new<'a>(
        tags: impl IntoIterator<Item = &'a Tag>,
        health: Arc<DeviceHealth>,
    ) -> Conditioner {
        let mut first = None;
        let mut kept = Vec::new();
        for tag in tags {
            first.get_or_insert(tag.id.index());
            kept.push(Arc::clone(&tag.conditioning));
        }
        Conditioner {
            first: first.unwrap_or(0),
            tags: kept,
            health,
        }
    }

    /// Makes the samples of what was read.
    pub fn samples(&mut self, readings: Vec<Reading>) -> Vec<Sample> {
        readings
            .into_iter()
            .filter_map(|reading| self.one(reading))
            .collect()
    }

    fn one(&mut self, reading: Reading) -> Option<Sample> {
        let local = reading.tag.index().checked_sub(self.first)?;
        let conditioning = self.tags.get(local)?;
        let mut made = sample(reading.tag, reading.stamp, reading.raw, conditioning);
        match made.quality {
            Quality::Bad(reason) => self.health.refuse(reason),
            Quality::Good if reading.uncertain => made.quality = Quality::Uncertain,
            _ => {}
        }
        Some(made)
    }
}

/// Makes the sample of a tag from what its registers hold.
///
/// A value outside `range` is kept, so that people can see it, but it is bad. Scaled numbers are rounded to 15
/// significant digits of the largest operand: raw 3 with scale 0.1 is 0.3, and 2951 with 0.1 and -273.15 is 21.95.
#[must_use]
pub(super) fn sample(
    tag: TagId,
    stamp: Stamp,
    decoded: Result<Value, BadReason>,
    conditioning: &Conditioning,
) -> Sample {
    let (value, quality) = match decoded.and_then(|raw| scaled(raw, conditioning)) {
        Ok(value) if believable(&value, conditioning.range) => (Some(value), Quality::Good),
        Ok(value) => (Some(value), Quality::Bad(BadReason::OutOfRange)),
        Err(reason) => (None, Quality::Bad(reason)),
    };
    Sample {
        tag,
        stamp,
        value,
        quality,
    }
}

/// Scale first, then offset. Bits and texts have neither.
fn scaled(raw: Value, conditioning: &Conditioning) -> Result<Value, BadReason> {
    if conditioning.scale.is_none() && conditioning.offset.is_none() {
        return Ok(raw);
    }
    let (Value::Int(_) | Value::Float(_), Some(number)) = (&raw, raw.number()) else {
        return Ok(raw);
    };
    let product = number * conditioning.scale.unwrap_or(1.0);
    let offset = conditioning.offset.unwrap_or(0.0);
    let sum = product + offset;
    let measured = without_noise(sum, product.abs().max(offset.abs()));
    if measured.is_finite() {
        Ok(Value::Float(measured))
    } else {
        Err(BadReason::NotFinite)
    }
}

/// Inside the range, bounds included; bits and texts have none.
fn believable(value: &Value, range: Option<(f64, f64)>) -> bool {
    match (value, range) {
        (Value::Int(_) | Value::Float(_), Some((low, high))) => value
            .number()
            .is_some_and(|number| (low..=high).contains(&number)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        raw: Value,
        (scale, offset, range): (Option<f64>, Option<f64>, Option<(f64, f64)>),
        value: Option<Value>,
        quality: Quality,
    ) {
        let conditioning = Conditioning {
            scale,
            offset,
            range,
            ..Conditioning::default()
        };
        let made = sample(TagId(3), Stamp::default(), Ok(raw), &conditioning);
        assert_eq!((made.value, made.quality), (value, quality));
    }

    #[test]
    fn a_value_without_conditioning_passes_as_it_is() {
        let nothing = (None, None, None);
        for value in [
            Value::Int(i64::MAX),
            Value::Float(0.1 + 0.2),
            Value::Bool(true),
            Value::Text("A7".into()),
        ] {
            check(value.clone(), nothing, Some(value), Quality::Good);
        }
    }

    #[test]
    fn scaled_numbers_print_as_the_decimals_they_mean() {
        let tenth = (Some(0.1), None, None);
        check(
            Value::Int(213),
            tenth,
            Some(Value::Float(21.3)),
            Quality::Good,
        );
        check(Value::Int(3), tenth, Some(Value::Float(0.3)), Quality::Good);
        let kelvin = (Some(0.1), Some(-273.15), None);
        check(
            Value::Int(2951),
            kelvin,
            Some(Value::Float(21.95)),
            Quality::Good,
        );
        check(
            Value::Int(7),
            (Some(1.0), None, None),
            Some(Value::Float(7.0)),
            Quality::Good,
        );
        check(
            Value::Int(7),
            (None, Some(-7.0), None),
            Some(Value::Float(0.0)),
            Quality::Good,
        );
    }

    #[test]
    fn the_range_is_inclusive_and_looks_at_the_scaled_value() {
        let out = Quality::Bad(BadReason::OutOfRange);
        let range = (Some(0.1), None, Some((0.0, 10.0)));
        check(Value::Int(0), range, Some(Value::Float(0.0)), Quality::Good);
        check(
            Value::Int(100),
            range,
            Some(Value::Float(10.0)),
            Quality::Good,
        );
        check(Value::Int(101), range, Some(Value::Float(10.1)), out);
        check(Value::Int(-1), range, Some(Value::Float(-0.1)), out);
        check(
            Value::Int(11),
            (None, None, Some((0.0, 10.0))),
            Some(Value::Int(11)),
            out,
        );
    }

    #[test]
    fn bits_and_texts_are_neither_scaled_nor_ranged() {
        let all = (Some(2.0), Some(1.0), Some((5.0, 6.0)));
        check(
            Value::Bool(true),
            all,
            Some(Value::Bool(true)),
            Quality::Good,
        );
        check(
            Value::Text("x".into()),
            all,
            Some(Value::Text("x".into())),
            Quality::Good,
        );
    }

    #[test]
    fn a_product_that_no_double_holds_is_not_finite() {
        let huge = (Some(1e300), None, None);
        check(
            Value::Float(1e300),
            huge,
            None,
            Quality::Bad(BadReason::NotFinite),
        );
    }

    #[test]
    fn what_could_not_be_decoded_has_no_value() {
        let made = sample(
            TagId(1),
            Stamp::default(),
            Err(BadReason::Malformed),
            &Conditioning::default(),
        );
        assert_eq!(made.value, None);
        assert_eq!(made.quality, Quality::Bad(BadReason::Malformed));
    }
}
