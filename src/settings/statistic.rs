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
    /// Seconds for which `while:` held.
    DurationS,
    /// A percentile, 0 to 100, as asked for in `percentiles:`.
    Percentile(f64),
}

impl Statistic {
    /// The words of those that every parameter has, and `duration_s`.
    pub const WORDS: [(&'static str, Statistic); 9] = [
        ("first", Statistic::First),
        ("last", Statistic::Last),
        ("min", Statistic::Min),
        ("max", Statistic::Max),
        ("mean", Statistic::Mean),
        ("stddev", Statistic::Stddev),
        ("time_weighted_mean", Statistic::TimeWeightedMean),
        ("integral", Statistic::Integral),
        ("duration_s", Statistic::DurationS),
    ];

    /// Reads a word: one of [`Self::WORDS`], or `p` and a percentile: `p5`, `p05`, `p99.9`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Statistic> {
        if let Some((_, statistic)) = Statistic::WORDS.iter().find(|(known, _)| *known == word) {
            return Some(*statistic);
        }
        let digits = word.strip_prefix('p')?;
        let numeric = digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent: f64 = digits.parse().ok().filter(|_| numeric)?;
        (percent <= 100.0).then_some(Statistic::Percentile(percent))
    }

    /// Takes `PARAMETER.STATISTIC` apart. Parameters may have dots in their names, and so may percentiles.
    #[must_use]
    pub fn of<'a, 'b>(
        text: &'a str,
        parameters: impl IntoIterator<Item = &'b str>,
    ) -> Option<(&'a str, Statistic)> {
        parameters
            .into_iter()
            .filter_map(|name| {
                let word = text.strip_prefix(name)?.strip_prefix('.')?;
                Some((text.get(..name.len())?, Statistic::parse(word)?))
            })
            .max_by_key(|(name, _)| name.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_and_its_statistic_are_taken_apart() {
        let known = ["speed", "speed.left"];
        let of = |text| Statistic::of(text, known);
        assert_eq!(of("speed.max"), Some(("speed", Statistic::Max)));
        assert_eq!(of("speed.left.max"), Some(("speed.left", Statistic::Max)));
        assert_eq!(
            of("speed.p99.9"),
            Some(("speed", Statistic::Percentile(99.9)))
        );
        assert_eq!(of("speed.p05"), Some(("speed", Statistic::Percentile(5.0))));
        for wrong in [
            "speed",
            "speed.",
            "speed.p",
            "speed.p101",
            "speed.pinf",
            "sped.max",
            "speed.maximum",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
