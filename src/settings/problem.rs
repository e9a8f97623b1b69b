//! A problem in a settings file, in words for the person who can mend it.

/// One problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of keys from the top: `operations.form.start.when`, `machines.PRESS-04.devices.plc.tags.status.every`, `quality.0.id` by index in lists.
    pub path: String,
    /// What is wrong, with the offending text.
    pub message: String,
    /// What it should probably be.
    pub suggestion: Option<String>,
}

impl Problem {
    /// A problem without a suggestion.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            path: path.into(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// The same with a suggestion: the nearest of `known` to `found`, if one is near.
    #[must_use]
    pub fn near<'a>(mut self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        self.suggestion = nearest(found, known).map(str::to_owned);
        self
    }
}

/// The nearest of `known` to `found`: at most a third of its letters (at least one) changed, added, removed or swapped.
#[must_use]
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (found.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(found, candidate), candidate))
        .filter(|(away, _)| *away <= allowed)
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, letters compared without case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, letter) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = i;
        let mut beside = i + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let above = *cell;
            beside = (diagonal + usize::from(letter != *other))
                .min(above + 1)
                .min(beside + 1);
            diagonal = above;
            *cell = beside;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["holding", "input", "coil", "discrete"];
        assert_eq!(nearest("holdng", known), Some("holding"));
        assert_eq!(nearest("Input", known), Some("input"));
        assert_eq!(nearest("register", known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
