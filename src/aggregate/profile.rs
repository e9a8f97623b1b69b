//! The course of a parameter over an operation, thinned to a few points that keep what matters.
//!
//! While the operation runs, points are kept until there are too many, then each of a number of equal stretches of time
//! keeps its lowest and highest. At the end MinMaxLTTB picks the points to show (Donoho and others, arXiv:2305.00332).
//! First, last, lowest and highest always stay: plain LTTB was measured to lose the peak that failed the part.

use super::statistics::seconds;
use crate::model::ProfileReport;
use serde::{Deserialize, Serialize};

/// A point: nanoseconds since the start, and the value.
type Point = (i64, f64);

/// Points kept while running, as a multiple of the points to show.
const KEEP: usize = 4;

/// The course so far. At most `KEEP` times `max_points` points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    max_points: u32,
    seen: u64,
    points: Vec<Point>,
}

impl Profile {
    /// A profile of at most `max_points`, at least 4.
    #[must_use]
    pub fn new(max_points: u32) -> Profile {
        Profile {
            max_points: max_points.clamp(4, 1_000),
            seen: 0,
            points: Vec::new(),
        }
    }

    /// One more point; times never fall.
    pub fn add(&mut self, t: i64, value: f64) {
        self.seen += 1;
        if self.points.len() >= self.capacity() {
            self.points = extremes(&self.points, self.capacity() / 4);
        }
        self.points.push((t, value));
    }

    fn capacity(&self) -> usize {
        self.max_points as usize * KEEP
    }

    /// The points to show.
    #[must_use]
    pub fn report(&self) -> ProfileReport {
        let chosen = thin(&self.points, self.max_points as usize);
        ProfileReport {
            max_points: self.max_points,
            source_points: self.seen,
            t: chosen.iter().map(|(t, _)| seconds(*t)).collect(),
            v: chosen.iter().map(|(_, v)| *v).collect(),
        }
    }
}

/// Of each of `stretches` equal stretches of time the lowest and the highest point, in order of time; first and last stay.
fn extremes(points: &[Point], stretches: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let span = last.0.saturating_sub(first.0).max(1);
    let stretch_of = |t: i64| {
        let part = (t.saturating_sub(first.0)) as f64 / span as f64;
        ((part * stretches as f64) as usize).min(stretches.saturating_sub(1))
    };
    let mut kept = Vec::with_capacity(stretches * 2 + 2);
    kept.push(*first);
    for stretch in points.chunk_by(|a, b| stretch_of(a.0) == stretch_of(b.0)) {
        let lowest = stretch
            .iter()
            .enumerate()
            .min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let highest = stretch
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        if let (Some((i, low)), Some((j, high))) = (lowest, highest) {
            let (earlier, later) = if i <= j { (low, high) } else { (high, low) };
            kept.push(*earlier);
            kept.push(*later);
        }
    }
    kept.push(*last);
    kept.dedup();
    kept
}

/// MinMaxLTTB: preselect extremes, then keep of each bucket the point that spans the largest triangle with its neighbours.
fn thin(points: &[Point], max_points: usize) -> Vec<Point> {
    if points.len() <= max_points {
        return points.to_vec();
    }
    let preselected = extremes(points, max_points * 2);
    // Room is left for the two extremes, which the triangles may pass over.
    let mut chosen = largest_triangles(&preselected, max_points.saturating_sub(2).max(2));
    let lowest = preselected.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let highest = preselected.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    for extreme in [lowest, highest].into_iter().flatten() {
        if !chosen.iter().any(|(_, v)| v == &extreme.1) {
            let place = chosen.partition_point(|(t, _)| *t <= extreme.0);
            chosen.insert(place.min(chosen.len().saturating_sub(1)), *extreme);
        }
    }
    chosen
}

/// Largest-Triangle-Three-Buckets (Steinarsson 2013).
fn largest_triangles(points: &[Point], wanted: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    if points.len() <= wanted || wanted < 3 {
        return if wanted < 3 {
            vec![*first, *last]
        } else {
            points.to_vec()
        };
    }
    let inner = points.len() - 2;
    let bucket = |i: usize| 1 + i * inner / (wanted - 2);
    let mut chosen = vec![*first];
    let mut before = *first;
    for i in 0..wanted - 2 {
        let here = points.get(bucket(i)..bucket(i + 1)).unwrap_or_default();
        let beyond = points
            .get(bucket(i + 1)..(bucket(i + 2)).min(points.len()))
            .filter(|next| !next.is_empty())
            .unwrap_or(std::slice::from_ref(last));
        let middle = average(beyond);
        let best = here
            .iter()
            .max_by(|a, b| area(before, **a, middle).total_cmp(&area(before, **b, middle)));
        if let Some(best) = best {
            chosen.push(*best);
            before = *best;
        }
    }
    chosen.push(*last);
    chosen
}

fn average(points: &[Point]) -> (f64, f64) {
    let n = points.len().max(1) as f64;
    let (t, v) = points
        .iter()
        .fold((0.0, 0.0), |(t, v), p| (t + p.0 as f64, v + p.1));
    (t / n, v / n)
}

fn area(a: Point, b: Point, c: (f64, f64)) -> f64 {
    ((a.0 as f64 - c.0) * (b.1 - a.1) - (a.0 - b.0) as f64 * (c.1 - a.1)).abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn first_last_and_both_extremes_stay_and_the_limit_holds(
            values in proptest::collection::vec(-1e6f64..1e6, 1..3_000),
            max_points in 4u32..120,
            gaps in proptest::collection::vec(0i64..1_000_000, 3_000),
        ) {
            let mut profile = Profile::new(max_points);
            let mut t = 0;
            for (value, gap) in values.iter().zip(&gaps) {
                t += gap;
                profile.add(t, *value);
                prop_assert!(profile.points.len() <= max_points as usize * KEEP);
            }
            let report = profile.report();
            prop_assert!(report.v.len() <= max_points as usize, "{} > {max_points}", report.v.len());
            prop_assert_eq!(report.v.len(), report.t.len());
            prop_assert_eq!(report.source_points, values.len() as u64);
            prop_assert_eq!(report.v.first(), values.first());
            prop_assert_eq!(report.v.last(), values.last());
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(report.v.contains(&lowest));
            prop_assert!(report.v.contains(&highest));
            prop_assert!(report.t.windows(2).all(|w| w[0] <= w[1]), "{:?}", report.t);
        }
    }

    #[test]
    fn a_single_peak_among_a_million_points_is_seen() {
        let mut profile = Profile::new(50);
        for i in 0..1_000_000i64 {
            let value = if i == 777_777 {
                251.4
            } else {
                (i % 100) as f64
            };
            profile.add(i * 10_000, value);
        }
        let report = profile.report();
        let peak = report.v.iter().position(|v| *v == 251.4).unwrap();
        assert_eq!(report.t[peak], 7.777_77);
    }
}
