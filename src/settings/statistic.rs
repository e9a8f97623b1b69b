//! The statistics of a parameter that a characteristic can be about: `forming_pressure.max`, `speed.p95`.

/// A statistic of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// First usable value.
    First,
    /// Last usable value.
    Last,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Mean of the samples.
    Mean,
    /// Standard deviation of the samples.
    Stddev,
    /// Mean over the time covered.
    TimeWeightedMean,
    /// Value times seconds over the time covered.
    Integral,
    /// Largest less smallest value.
    Range,
    /// Seconds for which `while:` held.
    DurationS,
    /// A percentile, 0 to 100, as asked for in `percentiles:`.
    Percentile(f64),
}

impl Statistic {
    /// The words of those that every parameter has, and `duration_s`.
    pub const WORDS: [(&'static str, Statistic); 10] = [
        ("first", Statistic::First),
        ("last", Statistic::Last),
        ("min", Statistic::Min),
        ("max", Statistic::Max),
        ("mean", Statistic::Mean),
        ("stddev", Statistic::Stddev),
        ("time_weighted_mean", Statistic::TimeWeightedMean),
        ("integral", Statistic::Integral),
        ("range", Statistic::Range),
        ("duration_s", Statistic::DurationS),
    ];

    /// Reads a word: one of [`Self::WORDS`], or `p` and a percentile: `p5`, `p05`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Statistic> {
        if let Some((_, statistic)) = Statistic::WORDS.iter().find(|(known, _)| *known == word) {
            return Some(*statistic);
        }
        let digits = word.strip_prefix('p')?;
        let numeric = digits.bytes().all(|byte| byte.is_ascii_digit());
        let percent: f64 = digits.parse().ok().filter(|_| numeric)?;
        (percent <= 100.0).then_some(Statistic::Percentile(percent))
    }

    /// Takes `PARAMETER.STATISTIC` apart at its last dot: parameters may have dots in their names, statistics have none.
    #[must_use]
    pub fn of(text: &str) -> Option<(&str, Statistic)> {
        let (parameter, word) = text.rsplit_once('.')?;
        Some((parameter, Statistic::parse(word)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_and_its_statistic_are_taken_apart() {
        let of = Statistic::of;
        assert_eq!(of("speed.max"), Some(("speed", Statistic::Max)));
        assert_eq!(of("speed.left.max"), Some(("speed.left", Statistic::Max)));
        assert_eq!(of("speed.p05"), Some(("speed", Statistic::Percentile(5.0))));
        for wrong in [
            "speed",
            "speed.",
            "speed.p",
            "speed.p101",
            "speed.pinf",
            "speed.p9.9",
            "speed.maximum",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
