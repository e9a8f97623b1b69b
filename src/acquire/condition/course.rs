//! The course of a tag's values: changes that are too fast to be true, and changes that are too small to be handed on.
//!
//! Pure: time comes in with the values.

use crate::model::{BootTime, Quality};
use crate::settings::{Conditioning, Deadband};

/// So many values in a row that agree with one another are believed, however far they are from the last good one: a
/// step that stays is real, a disturbance does not repeat itself.
const AGREEING: u8 = 3;
/// Room for rounding where a value changes exactly as fast as it may.
const ROUNDING: f64 = 1e-9;

type Point = (BootTime, f64);

/// What is remembered of one tag.
#[derive(Clone, Debug)]
pub(super) struct Course {
    rate: Option<Rate>,
    still: Option<Still>,
}

/// The fastest change that is believed.
#[derive(Clone, Debug)]
struct Rate {
    per_s: f64,
    good: Option<Point>,
    suspect: Option<Point>,
    agreeing: u8,
}

/// The smallest change that is handed on.
#[derive(Clone, Debug)]
struct Still {
    deadband: Deadband,
    told: Option<(Point, Quality)>,
}

impl Course {
    /// `None` where nothing needs to be remembered.
    pub(super) fn new(conditioning: &Conditioning) -> Option<Box<Course>> {
        let rate = conditioning.max_rate_per_s.map(|per_s| Rate {
            per_s,
            good: None,
            suspect: None,
            agreeing: 0,
        });
        let still = conditioning.deadband.map(|deadband| Still {
            deadband,
            told: None,
        });
        (rate.is_some() || still.is_some()).then(|| Box::new(Course { rate, still }))
    }

    /// False when the value changed faster than is believed. A value that is not usable breaks a row of suspects.
    pub(super) fn believes(&mut self, at: BootTime, usable: Option<f64>) -> bool {
        let Some(rate) = &mut self.rate else {
            return true;
        };
        match usable {
            Some(number) => rate.believes((at, number)),
            None => {
                rate.suspect = None;
                true
            }
        }
    }

    /// Whether the value is handed on. What is bad or no number always is.
    pub(super) fn is_told(&mut self, at: BootTime, number: Option<f64>, quality: Quality) -> bool {
        let Some(still) = &mut self.still else {
            return true;
        };
        match number {
            Some(number) if !matches!(quality, Quality::Bad(_)) => {
                still.is_told((at, number), quality)
            }
            _ => {
                still.told = None;
                true
            }
        }
    }

    /// The next stage knows nothing of the tag any more: its next value is handed on, whatever it is.
    pub(super) fn forget(&mut self) {
        if let Some(still) = &mut self.still {
            still.told = None;
        }
        if let Some(rate) = &mut self.rate {
            rate.suspect = None;
        }
    }
}

impl Rate {
    fn believes(&mut self, now: Point) -> bool {
        let follows = |before: Option<Point>, none: bool| {
            before.map_or(none, |before| is_plausible(before, now, self.per_s))
        };
        if follows(self.good, true) {
            self.accept(now);
            return true;
        }
        self.agreeing = if follows(self.suspect, false) {
            self.agreeing.saturating_add(1)
        } else {
            1
        };
        self.suspect = Some(now);
        if self.agreeing >= AGREEING {
            self.accept(now);
            return true;
        }
        false
    }

    fn accept(&mut self, now: Point) {
        self.good = Some(now);
        self.suspect = None;
    }
}

fn is_plausible(before: Point, now: Point, per_s: f64) -> bool {
    let change = (now.1 - before.1).abs();
    let most = per_s * now.0.seconds_since(before.0).abs();
    change <= most + ROUNDING * most.max(now.1.abs())
}

impl Still {
    fn is_told(&mut self, now: Point, quality: Quality) -> bool {
        let same = self.told.is_some_and(|((at, number), before)| {
            before == quality
                && (now.1 - number).abs() <= self.deadband.absolute
                && now.0.since(at) < self.deadband.heartbeat
        });
        if !same {
            self.told = Some((now, quality));
        }
        !same
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BadReason;
    use std::time::Duration;

    fn at(ms: i64) -> BootTime {
        BootTime(ms * 1_000_000)
    }

    fn limited(per_s: f64) -> Box<Course> {
        Course::new(&Conditioning {
            max_rate_per_s: Some(per_s),
            ..Conditioning::default()
        })
        .unwrap()
    }

    fn damped(absolute: f64, heartbeat_ms: u64) -> Box<Course> {
        Course::new(&Conditioning {
            deadband: Some(Deadband {
                absolute,
                heartbeat: Duration::from_millis(heartbeat_ms),
            }),
            ..Conditioning::default()
        })
        .unwrap()
    }

    /// Plays `(ms, value)`, NaN for one that is not usable; gives those that are not believed.
    #[track_caller]
    fn check_rate(per_s: f64, input: &[(i64, f64)], refused: &[i64]) {
        let mut course = limited(per_s);
        let not_believed: Vec<i64> = input
            .iter()
            .filter(|(ms, value)| !course.believes(at(*ms), value.is_finite().then_some(*value)))
            .map(|(ms, _)| *ms)
            .collect();
        assert_eq!(not_believed, refused, "{input:?}");
    }

    #[test]
    fn a_disturbance_is_refused_and_the_values_after_it_are_not() {
        check_rate(
            100.0,
            &[(0, 20.0), (100, 21.0), (200, 850.0), (300, 22.0)],
            &[200],
        );
        // Two in a row that have nothing to do with one another, and one that comes back.
        check_rate(
            100.0,
            &[(0, 20.0), (100, 850.0), (200, -400.0), (300, 20.5)],
            &[100, 200],
        );
    }

    #[test]
    fn exactly_as_fast_as_allowed_is_believed() {
        check_rate(100.0, &[(0, 0.0), (100, 10.0), (200, 0.0)], &[]);
        check_rate(0.1, &[(0, 0.0), (100, 0.01), (200, 0.02), (300, 0.03)], &[]);
        check_rate(100.0, &[(0, 0.0), (100, 10.1)], &[100]);
    }

    #[test]
    fn a_step_that_stays_is_believed_with_its_third_value() {
        check_rate(
            100.0,
            &[
                (0, 20.0),
                (100, 80.0),
                (200, 80.0),
                (300, 81.0),
                (400, 81.0),
            ],
            &[100, 200],
        );
        // Something bad in between begins the row anew.
        let broken = [
            (0, 20.0),
            (100, 80.0),
            (200, 80.0),
            (300, f64::NAN),
            (400, 120.0),
            (500, 121.0),
            (600, 121.0),
        ];
        check_rate(100.0, &broken, &[100, 200, 400, 500]);
    }

    #[test]
    fn after_a_long_silence_a_large_change_is_possible() {
        check_rate(100.0, &[(0, 20.0), (60_000, 4_000.0)], &[]);
        check_rate(100.0, &[(0, 20.0), (0, 20.0), (0, 21.0)], &[0]);
    }

    /// Plays `(ms, value, quality letter)` and gives the times that are handed on.
    #[track_caller]
    fn check_still(course: &mut Course, input: &[(i64, f64, char)], told: &[i64]) {
        let passed: Vec<i64> = input
            .iter()
            .filter(|(ms, value, letter)| {
                let quality = match letter {
                    'g' => Quality::Good,
                    'u' => Quality::Uncertain,
                    _ => Quality::Bad(BadReason::Source),
                };
                course.is_told(at(*ms), Some(*value), quality)
            })
            .map(|(ms, ..)| *ms)
            .collect();
        assert_eq!(passed, told, "{input:?}");
    }

    #[test]
    fn small_changes_are_swallowed_until_they_add_up_or_the_heartbeat_comes() {
        let creeping = [
            (0, 10.0, 'g'),
            (100, 10.4, 'g'),
            (200, 10.5, 'g'),
            (300, 10.6, 'g'),
            (400, 11.0, 'g'),
        ];
        check_still(&mut damped(0.5, 60_000), &creeping, &[0, 300]);
        let flat = [
            (0, 1.0, 'g'),
            (900, 1.0, 'g'),
            (1_000, 1.0, 'g'),
            (1_900, 1.0, 'g'),
            (2_000, 1.0, 'g'),
        ];
        check_still(&mut damped(0.5, 1_000), &flat, &[0, 1_000, 2_000]);
    }

    #[test]
    fn a_change_of_quality_always_passes() {
        let input = [
            (0, 1.0, 'g'),
            (1, 1.0, 'u'),
            (2, 1.0, 'u'),
            (3, 1.0, 'b'),
            (4, 1.0, 'b'),
            (5, 1.0, 'g'),
            (6, 1.0, 'g'),
        ];
        check_still(&mut damped(0.5, 60_000), &input, &[0, 1, 3, 4, 5]);
    }

    #[test]
    fn after_a_loss_the_same_value_is_handed_on_again() {
        let mut course = damped(0.5, 60_000);
        check_still(&mut course, &[(0, 1.0, 'g'), (1, 1.0, 'g')], &[0]);
        course.forget();
        check_still(&mut course, &[(2, 1.0, 'g'), (3, 1.0, 'g')], &[2]);
    }
}
