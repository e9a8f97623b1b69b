//! Samples of equal stamp are one instant; a tag that comes twice begins the next.

use crate::model::Sample;
use std::collections::HashSet;

/// Splits samples into instants.
pub(super) fn instants(samples: &[Sample]) -> impl Iterator<Item = &[Sample]> {
    let mut rest = samples;
    std::iter::from_fn(move || {
        let (instant, later) = rest.split_at(first_length(rest)?);
        rest = later;
        Some(instant)
    })
}

/// Samples of the first instant.
fn first_length(samples: &[Sample]) -> Option<usize> {
    let first = samples.first()?;
    let stamped = samples
        .iter()
        .take_while(|sample| sample.stamp.boot == first.stamp.boot)
        .count();
    let one = samples.get(..stamped).unwrap_or(samples);
    // One request never reads a tag twice in rising order: only then a repeat must be looked for.
    if one
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.tag < b.tag))
    {
        return Some(stamped);
    }
    let mut seen = HashSet::with_capacity(stamped);
    Some(
        one.iter()
            .take_while(|sample| seen.insert(sample.tag))
            .count(),
    )
}
