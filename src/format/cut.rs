//! How an event that would be too large is made smaller: profiles first, then whole profiles, then sequences, then lists.
//!
//! The renderer asks for the next, harder cut until the event fits. What was cut stands in the event.

use serde::Serialize;
use std::cell::Cell;

/// How much of the parts that can grow is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Most points of a profile; 0 leaves profiles out.
    points: usize,
    /// Most values of a sequence.
    values: usize,
    /// Most entries of a list: parameters, characteristics, parts, native values, open operations.
    items: usize,
}

/// How long the longest parts of an event are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Longest {
    /// Points of the longest profile.
    pub(super) points: usize,
    /// Values of the longest sequence.
    pub(super) values: usize,
}

/// Below that a profile says nothing: first, last, smallest, largest.
const FEWEST_POINTS: usize = 4;
/// Longest list that is kept once profiles are gone and the event is still too large.
const FIRST_ITEMS: usize = 256;

impl Cut {
    /// Everything is kept.
    pub(super) const NONE: Cut = Cut {
        points: usize::MAX,
        values: usize::MAX,
        items: usize::MAX,
    };

    /// The next harder cut for an event with such parts; `None` when nothing is left to cut.
    pub(super) fn harder(self, longest: Longest) -> Option<Cut> {
        let points = self.points.min(longest.points);
        if points > 0 {
            return Some(Cut {
                points: fewer_points(points),
                ..self
            });
        }
        let values = self.values.min(longest.values);
        if values > 0 {
            return Some(Cut {
                points: 0,
                values: values / 2,
                ..self
            });
        }
        let items = match self.items {
            0 => return None,
            usize::MAX => FIRST_ITEMS,
            items => items / 2,
        };
        Some(Cut {
            points: 0,
            values: 0,
            items,
        })
    }

    /// Most points of a profile; 0 leaves profiles out.
    pub(super) fn points(self) -> usize {
        self.points
    }

    /// True when a profile of so many points is shortened or left out.
    pub(super) fn shortens(self, points: usize) -> bool {
        points > self.points
    }

    /// How many of so many values of a sequence are kept; notes what is lost.
    pub(super) fn values(self, all: usize, lost: &Lost) -> usize {
        if all > self.values {
            lost.note(Part::Sequences);
        }
        all.min(self.values)
    }

    /// The part of a list that is kept; notes what is lost.
    pub(super) fn list<'a, T>(self, all: &'a [T], lost: &Lost, name: Part) -> &'a [T] {
        match all.get(..self.items) {
            Some(kept) if kept.len() < all.len() => {
                lost.note(name);
                kept
            }
            _ => all,
        }
    }
}

fn fewer_points(points: usize) -> usize {
    if points > FEWEST_POINTS {
        (points / 2).max(FEWEST_POINTS)
    } else {
        0
    }
}

/// A part of an event that may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// Points of profiles, or profiles.
    Profiles,
    /// Values at the end of sequences.
    Sequences,
    /// Parts at the end of the list.
    Parts,
    /// Parameters at the end of the list.
    Parameters,
    /// Characteristics at the end of the list.
    Quality,
    /// Tools at the end of the list.
    Tools,
    /// Materials at the end of the list.
    Materials,
    /// Native values at the end of the list.
    Native,
    /// Products at the end of the list.
    IdealCycles,
    /// Bytes at the end of a scan.
    RawHex,
    /// Open operations at the end of the list.
    OpenOperations,
}

const PARTS: [Part; 11] = [
    Part::Profiles,
    Part::Sequences,
    Part::Parts,
    Part::Parameters,
    Part::Quality,
    Part::Tools,
    Part::Materials,
    Part::Native,
    Part::IdealCycles,
    Part::RawHex,
    Part::OpenOperations,
];

/// What was cut from one event.
#[derive(Debug, Default)]
pub(super) struct Lost([Cell<bool>; PARTS.len()]);

impl Lost {
    /// Notes that something of `part` is missing.
    pub(super) fn note(&self, part: Part) {
        for (known, cell) in PARTS.iter().zip(&self.0) {
            if *known == part {
                cell.set(true);
            }
        }
    }

    /// What is missing, in the order of the event.
    pub(super) fn parts(&self) -> Vec<Part> {
        PARTS
            .iter()
            .zip(&self.0)
            .filter(|(_, cell)| cell.get())
            .map(|(part, _)| *part)
            .collect()
    }
}

/// A course with at most `most` points: the first, the last, and the smallest and largest of each of equal stretches
/// between, so that the peak that failed the part stays. Points that are no numbers stay only at the ends.
pub(super) fn thinned(t: &[f64], v: &[f64], most: usize) -> (Vec<f64>, Vec<f64>) {
    let points: Vec<(f64, f64)> = t.iter().copied().zip(v.iter().copied()).collect();
    let (Some((first, inner)), true) = (points.split_first(), points.len() > most) else {
        return points.into_iter().unzip();
    };
    let Some((last, inner)) = inner.split_last() else {
        return points.into_iter().unzip();
    };
    let stretches = most.saturating_sub(2) / 2;
    let mut kept = vec![*first];
    if stretches > 0 {
        for stretch in inner.chunks(inner.len().div_ceil(stretches).max(1)) {
            kept.extend(extremes(stretch));
        }
    }
    kept.push(*last);
    kept.into_iter().unzip()
}

/// The smallest and the largest of a stretch, in the order of time; one point when they are the same.
fn extremes(stretch: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut found: Option<((usize, f64), (usize, f64))> = None;
    for (at, (_, value)) in stretch.iter().enumerate() {
        if value.is_nan() {
            continue;
        }
        let (min, max) = found.get_or_insert(((at, *value), (at, *value)));
        if *value < min.1 {
            *min = (at, *value);
        }
        if *value > max.1 {
            *max = (at, *value);
        }
    }
    let Some(((min, _), (max, _))) = found else {
        return Vec::new();
    };
    let mut places = vec![min.min(max), min.max(max)];
    places.dedup();
    places
        .into_iter()
        .filter_map(|at| stretch.get(at).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_course_keeps_its_ends_and_both_extremes() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let length = random.usize(0..600);
            let most = random.usize(4..300);
            let t: Vec<f64> = (0..length).map(|i| i as f64 * 0.01).collect();
            let v: Vec<f64> = (0..length).map(|_| random.f64() * 400.0 - 50.0).collect();
            let (thin_t, thin_v) = thinned(&t, &v, most);
            assert!(thin_t.len() <= most.max(2), "seed {seed}");
            assert_eq!(thin_t.len(), thin_v.len(), "seed {seed}");
            assert!(thin_t.is_sorted(), "seed {seed}");
            assert_eq!(thin_v.first(), v.first(), "seed {seed}");
            assert_eq!(thin_v.last(), v.last(), "seed {seed}");
            let peak = |all: &[f64]| all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let valley = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
            assert_eq!(peak(&thin_v), peak(&v), "seed {seed}");
            assert_eq!(valley(&thin_v), valley(&v), "seed {seed}");
        }
    }

    #[test]
    fn courses_of_few_points_and_of_none_stay_as_they_are() {
        assert_eq!(thinned(&[], &[], 4), (vec![], vec![]));
        assert_eq!(thinned(&[0.0], &[1.0], 4), (vec![0.0], vec![1.0]));
        let (t, v) = thinned(&[0.0, 1.0, 2.0], &[1.0, 2.0], 4);
        assert_eq!(
            (t.len(), v.len()),
            (2, 2),
            "a time without a value is no point"
        );
    }

    #[test]
    fn cutting_ends_and_takes_profiles_before_sequences_before_lists() {
        let mut cut = Cut::NONE;
        let mut steps = Vec::new();
        let longest = Longest {
            points: 1_000,
            values: 100,
        };
        while let Some(next) = cut.harder(longest) {
            cut = next;
            steps.push((cut.points, cut.values, cut.items));
        }
        let all = usize::MAX;
        assert_eq!(steps.first(), Some(&(500, all, all)));
        assert!(steps.contains(&(4, all, all)));
        assert!(steps.contains(&(0, all, all)));
        assert!(steps.contains(&(0, 50, all)));
        assert!(steps.contains(&(0, 0, all)));
        assert_eq!(steps.last(), Some(&(0, 0, 0)));
        assert!(steps.len() < 32);
    }
}
