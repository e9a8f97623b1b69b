//! A problem in a settings file, in words for the person who can mend it.

use super::places::Places;

/// A place in a file, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Place {
    /// The beginning of the file.
    pub const START: Place = Place { line: 1, column: 1 };

    pub(super) fn of(marker: granit_parser::Marker) -> Place {
        Place {
            line: marker.line().max(1),
            column: marker.col() + 1,
        }
    }
}

/// One problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The exact place, when the path does not say it: a key that is unknown, text that is not YAML.
    pub place: Option<Place>,
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
            place: None,
            path: path.into(),
            message: message.into(),
            suggestion: None,
        }
    }

    /// A problem at a place instead of a path.
    pub(super) fn at(place: Place, message: impl Into<String>) -> Problem {
        Problem {
            place: Some(place),
            ..Problem::new("", message)
        }
    }

    /// The same with a suggestion: the nearest of `known` to `found`, if one is near.
    #[must_use]
    pub fn near<'a>(mut self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        self.suggestion = nearest(found, known).map(str::to_owned);
        self
    }
}

/// Every problem of a file.
#[derive(Clone, Debug)]
pub struct Problems {
    /// The first 100, in the order of the file.
    pub list: Vec<Problem>,
    /// How many more there are.
    pub left_out: usize,
    /// Where their paths are.
    pub places: Places,
}

/// Most problems that are reported at once.
pub(super) const MAX_PROBLEMS: usize = 100;

impl Problems {
    /// Puts problems into the order of the file and keeps the first 100.
    #[must_use]
    pub fn new(mut list: Vec<Problem>, places: Places) -> Problems {
        list.sort_by_cached_key(|problem| places.of(problem));
        let left_out = list.len().saturating_sub(MAX_PROBLEMS);
        list.truncate(MAX_PROBLEMS);
        Problems {
            list,
            left_out,
            places,
        }
    }
}

/// Longest text that is quoted in a message, in characters.
const MAX_SHOWN: usize = 48;

/// A text of the file as it may stand in a message: in backquotes, short, without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(MAX_SHOWN)
        .flat_map(|letter| {
            let plain = !letter.is_control();
            let escaped = (!plain)
                .then(|| letter.escape_default())
                .into_iter()
                .flatten();
            plain.then_some(letter).into_iter().chain(escaped)
        })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Longest word that gets a suggestion, in bytes: no name is longer, and the comparison takes its square.
const MAX_COMPARED: usize = 128;

/// The nearest of `known` to `found`: at most a third of its letters (at least one) changed, added, removed or swapped.
#[must_use]
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.len() > MAX_COMPARED {
        return None;
    }
    let allowed = (found.chars().count() / 3).max(1);
    // UTF-8 takes at most four bytes for a letter, so a longer difference in bytes cannot be near.
    let comparable = |candidate: &&str| {
        candidate.len() <= MAX_COMPARED && candidate.len().abs_diff(found.len()) <= 4 * allowed
    };
    known
        .into_iter()
        .filter(comparable)
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
