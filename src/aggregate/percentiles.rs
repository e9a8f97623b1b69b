//! Percentiles when asked for: exact below 1,000 samples, then a DDSketch with 1 % relative error. Bounded memory.

use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

/// Samples up to which every value is kept.
const EXACT_BELOW: usize = 1_000;

/// The values so far.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Percentiles {
    /// Every value.
    Exact(Vec<f64>),
    /// Too many to keep.
    Sketch(Box<DDSketch>),
}

impl std::fmt::Debug for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.method())
    }
}

impl Default for Percentiles {
    fn default() -> Self {
        Percentiles::Exact(Vec::new())
    }
}

impl Percentiles {
    pub(super) fn add(&mut self, value: f64) {
        match self {
            Percentiles::Exact(values) if values.len() + 1 < EXACT_BELOW => values.push(value),
            Percentiles::Exact(values) => {
                let mut sketch = DDSketch::new(Config::defaults());
                for kept in values.iter().chain([&value]) {
                    sketch.add(*kept);
                }
                *self = Percentiles::Sketch(Box::new(sketch));
            }
            Percentiles::Sketch(sketch) => sketch.add(value),
        }
    }

    /// Nearest rank (the smallest value with at least `percent` of the samples at or below it).
    pub(super) fn value(&self, percent: f64) -> Option<f64> {
        match self {
            Percentiles::Exact(values) => {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
                sorted.get(rank - 1).copied()
            }
            Percentiles::Sketch(sketch) => {
                let found = sketch.quantile(percent / 100.0).ok().flatten()?;
                // The sketch is right within 1 %, which must not lie beyond what was seen.
                Some(found.clamp(sketch.min()?, sketch.max()?))
            }
        }
    }

    pub(super) fn method(&self) -> &'static str {
        match self {
            Percentiles::Exact(_) => "exact",
            Percentiles::Sketch(_) => "ddsketch-0.01",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_are_exact_and_many_are_near() {
        let mut percentiles = Percentiles::default();
        for value in 1..=999 {
            percentiles.add(f64::from(value));
        }
        assert_eq!(percentiles.method(), "exact");
        assert_eq!(percentiles.value(50.0), Some(500.0));
        assert_eq!(percentiles.value(0.0), Some(1.0));
        assert_eq!(percentiles.value(100.0), Some(999.0));
        for value in 1_000..=20_000 {
            percentiles.add(f64::from(value));
        }
        assert_eq!(percentiles.method(), "ddsketch-0.01");
        let median = percentiles.value(50.0).unwrap();
        assert!((median / 10_000.0 - 1.0).abs() < 0.011, "{median}");
        assert_eq!(Percentiles::default().value(50.0), None);
    }
}
