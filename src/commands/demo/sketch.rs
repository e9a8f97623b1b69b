//! A curve in one line of a terminal: `▁▁▂▄▆█▇▇▅▂▁`. Pure.

/// From low to high.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The course of `v` over `t` (seconds, rising) in `width` characters: each shows the highest value of its time, so that
/// no peak is lost; where there is no point, the value before it holds. Empty without a course.
#[must_use]
pub(super) fn sketch(t: &[f64], v: &[f64], width: usize) -> String {
    let points: Vec<(f64, f64)> = t.iter().copied().zip(v.iter().copied()).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let (low, high) = points
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), (_, v)| {
            (low.min(*v), high.max(*v))
        });
    let (begins, lasts) = (first.0, last.0 - first.0);
    if lasts <= 0.0 || high <= low || width == 0 {
        return String::new();
    }
    let mut held = first.1;
    let mut rest = points.as_slice();
    let mut drawn = String::new();
    for column in 1..=width {
        let until = begins + lasts * column as f64 / width as f64;
        let here = rest.partition_point(|(t, _)| *t <= until);
        let (mine, others) = rest.split_at(here);
        rest = others;
        let top = mine.iter().map(|(_, v)| *v).reduce(f64::max);
        held = mine.last().map_or(held, |(_, v)| *v);
        drawn.push(step((top.unwrap_or(held) - low) / (high - low)));
    }
    drawn
}

/// The sign for a part of the height, 0 to 1.
fn step(part: f64) -> char {
    let reached = |step: usize| part * STEPS.len() as f64 >= step as f64;
    let highest = (1..STEPS.len()).take_while(|step| reached(*step)).last();
    STEPS.get(highest.unwrap_or(0)).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_up_and_down_and_keeps_its_peak() {
        let t: Vec<f64> = (0..=70).map(f64::from).collect();
        let ramp: Vec<f64> = t.iter().map(|t| *t / 10.0).collect();
        assert_eq!(sketch(&t, &ramp, 7), "▂▃▄▅▆▇█");
        let mut peak = vec![0.0; 71];
        peak[35] = 9.0;
        assert_eq!(sketch(&t, &peak, 7), "▁▁▁█▁▁▁");
        // Between far points the last value holds.
        assert_eq!(
            sketch(&[0.0, 1.0, 9.0, 10.0], &[0.0, 8.0, 8.0, 0.0], 5),
            "█████"
        );
    }

    #[test]
    fn what_is_no_curve_is_not_drawn() {
        for (t, v) in [
            (vec![], vec![]),
            (vec![1.0], vec![2.0]),
            (vec![1.0, 1.0], vec![2.0, 3.0]),
            (vec![1.0, 2.0], vec![3.0, 3.0]),
            (vec![f64::NAN, f64::NAN], vec![f64::NAN, 1.0]),
        ] {
            assert_eq!(sketch(&t, &v, 20), "", "{t:?} {v:?}");
        }
        assert_eq!(sketch(&[0.0, 1.0], &[0.0, 1.0], 0), "");
    }
}
