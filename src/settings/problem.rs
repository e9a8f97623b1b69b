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

/// Letters changed, added, removed, or swapped with their neighbour (optimal string alignment), compared without case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let first: Vec<usize> = (0..=right.len()).collect();
    // Rows of the table: of the letter before the last, of the last, of this one.
    let mut rows = [Vec::new(), first, Vec::new()];
    let mut last_letter = None;
    for (i, letter) in left.to_lowercase().chars().enumerate() {
        let [before, above, row] = &mut rows;
        row.clear();
        row.push(i + 1);
        for (j, other) in right.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(above, j) + usize::from(letter != *other))
                .min(cell(above, j + 1) + 1)
                .min(cell(row, j) + 1);
            let neighbour = j.checked_sub(1).and_then(|at| Some((at, right.get(at)?)));
            if let Some((at, neighbour)) = neighbour
                && *neighbour == letter
                && last_letter == Some(*other)
            {
                best = best.min(cell(before, at) + 1);
            }
            row.push(best);
        }
        rows.rotate_left(1);
        last_letter = Some(letter);
    }
    let [_, last, _] = &rows;
    last.last().copied().unwrap_or(0)
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
        assert_eq!(nearest("tga", ["tag", "value"]), Some("tag"));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("fautl", "fault"), 1);
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
    }
}
