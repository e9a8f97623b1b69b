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
            let stretches = self.capacity() / 4;
            keep_extremes(&mut self.points, stretches);
        }
        self.points.push((t, value));
    }

    fn capacity(&self) -> usize {
        self.max_points as usize * KEEP
    }

    /// Points that fit into the memory it takes.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.points.capacity()
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

/// The lowest and the highest point of a stretch of time, with their places.
#[derive(Clone, Copy)]
struct Stretch {
    until: i64,
    low: (usize, Point),
    high: (usize, Point),
}

/// Keeps of each of at most `stretches` equal stretches of time the lowest and the highest point, in order of time; first and
/// last stay. In place, since it happens again and again while samples come.
fn keep_extremes(points: &mut Vec<Point>, stretches: usize) {
    let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) else {
        return;
    };
    let span = last.0.saturating_sub(first.0).max(0);
    let length = span / i64::try_from(stretches).unwrap_or(i64::MAX).max(1) + 1;
    let mut stretch: Option<Stretch> = None;
    // Fewer are written than were read: what is written over is no longer needed.
    let mut kept = 1;
    for place in 0..points.len() {
        let Some(point) = points.get(place).copied() else {
            break;
        };
        match &mut stretch {
            Some(stretch) if point.0 < stretch.until => {
                if point.1 < stretch.low.1.1 {
                    stretch.low = (place, point);
                }
                if point.1 > stretch.high.1.1 {
                    stretch.high = (place, point);
                }
            }
            _ => {
                kept = write(points, kept, stretch);
                let passed = point.0.saturating_sub(first.0).max(0) / length;
                stretch = Some(Stretch {
                    until: first.0.saturating_add((passed + 1).saturating_mul(length)),
                    low: (place, point),
                    high: (place, point),
                });
            }
        }
    }
    let end = points.len() - 1;
    let has_last = stretch.is_some_and(|stretch| stretch.low.0 == end || stretch.high.0 == end);
    kept = write(points, kept, stretch);
    if !has_last && let Some(slot) = points.get_mut(kept) {
        *slot = last;
        kept += 1;
    }
    points.truncate(kept);
}

/// Writes what a stretch keeps, in order of time; the very first point is there already.
fn write(points: &mut [Point], mut kept: usize, stretch: Option<Stretch>) -> usize {
    let Some(Stretch { low, high, .. }) = stretch else {
        return kept;
    };
    let (earlier, later) = if low.0 <= high.0 {
        (low, high)
    } else {
        (high, low)
    };
    let both = [
        Some(earlier),
        Some(later).filter(|later| later.0 != earlier.0),
    ];
    for (place, point) in both.into_iter().flatten() {
        if place > 0
            && let Some(slot) = points.get_mut(kept)
        {
            *slot = point;
            kept += 1;
        }
    }
    kept
}

/// MinMaxLTTB: preselect extremes, then keep of each bucket the point that spans the largest triangle with its neighbours.
fn thin(points: &[Point], max_points: usize) -> Vec<Point> {
    if points.len() <= max_points {
        return points.to_vec();
    }
    let mut preselected = points.to_vec();
    keep_extremes(&mut preselected, max_points * 2);
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
            let mut t = 0;
            let all: Vec<(f64, f64)> = values
                .iter()
                .zip(&gaps)
                .map(|(value, gap)| {
                    t += gap;
                    (seconds(t), *value)
                })
                .collect();
            for point in report.t.iter().copied().zip(report.v.iter().copied()) {
                prop_assert!(all.contains(&point), "{point:?} was never measured");
            }
            prop_assert_eq!(report.t.first(), all.first().map(|(t, _)| t));
            prop_assert_eq!(report.t.last(), all.last().map(|(t, _)| t));
        }

        #[test]
        fn what_is_kept_while_running_has_the_extremes_of_each_stretch(
            values in proptest::collection::vec(-5i32..5, 1..400),
            gaps in proptest::collection::vec(0i64..50, 400),
            stretches in 1usize..60,
        ) {
            let mut t = 0;
            let points: Vec<Point> = values
                .iter()
                .zip(&gaps)
                .map(|(value, gap)| {
                    t += gap;
                    (t, f64::from(*value))
                })
                .collect();
            let mut kept = points.clone();
            keep_extremes(&mut kept, stretches);
            prop_assert!(kept.len() <= 2 * stretches + 2);
            prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
            let mut rest = points.iter();
            for point in &kept {
                prop_assert!(rest.any(|one| one == point), "{kept:?} of {points:?}");
            }
            let length = (points[points.len() - 1].0 - points[0].0) / stretches as i64 + 1;
            let stretch = |point: &Point| (point.0 - points[0].0) / length;
            for group in points.chunk_by(|a, b| stretch(a) == stretch(b)) {
                let here = || kept.iter().filter(|point| stretch(point) == stretch(&group[0]));
                for pick in [f64::min as fn(f64, f64) -> f64, f64::max] {
                    let of = |points: &mut dyn Iterator<Item = &Point>| {
                        points.map(|point| point.1).reduce(pick)
                    };
                    prop_assert_eq!(of(&mut here()), of(&mut group.iter()));
                }
            }
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
