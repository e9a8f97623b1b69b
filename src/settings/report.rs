//! The list that reading a file writes its problems to. Keeps it short, and keeps one mistake from being told twice.

use super::places::Places;
use super::problem::{MAX_PROBLEMS, Problem, Problems, nearest};
use super::yaml::{Content, Node};
use std::collections::HashSet;

/// Most problems that are kept at all; further ones are only counted.
const MAX_KEPT: usize = 10 * MAX_PROBLEMS;

/// The problems of a file, and what could not be read because of them.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    not_kept: usize,
    /// Names in the parts that were left out: what refers to them is not to blame.
    lost: HashSet<String>,
    /// Paths with a problem of their own; `None` until the single keys have all been read.
    faulty: Option<Vec<String>>,
    places: Places,
}

impl Report {
    /// Notes a problem at a path.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.push(Problem::new(path, message));
    }

    /// Notes a problem, unless it only follows from one that is already noted.
    pub(super) fn push(&mut self, problem: Problem) {
        if let Some(faulty) = &self.faulty
            && faulty.iter().any(|at| follows(&problem.path, at))
        {
            return;
        }
        if self.problems.len() < MAX_KEPT {
            self.problems.push(problem);
        } else {
            self.not_kept += 1;
        }
    }

    /// True while a further problem would be shown: only then is it worth looking for a suggestion.
    pub(super) fn is_short(&self) -> bool {
        self.problems.len() < MAX_PROBLEMS
    }

    /// True when nothing was noted.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// A part of the file is left out.
    pub(super) fn lose(&mut self, node: &Node) {
        match &node.content {
            Content::Map(entries) => {
                for entry in entries {
                    self.lost.insert(entry.key.clone());
                    self.lose(&entry.node);
                }
            }
            Content::List(nodes) => nodes.iter().for_each(|node| self.lose(node)),
            _ => {}
        }
    }

    /// A name is left out with what it stands for.
    pub(super) fn lose_name(&mut self, name: &str) {
        self.lost.insert(name.to_owned());
    }

    /// Notes that `name` stands for nothing, with the nearest of `known`; unless it was lost with a part left out.
    pub(super) fn unknown<'a>(
        &mut self,
        path: &str,
        name: &str,
        message: String,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let near = if self.is_short() {
            nearest(name, known)
        } else {
            None
        };
        self.unknown_but(path, name, message, near.map(str::to_owned));
    }

    /// The same with a suggestion that is already known.
    pub(super) fn unknown_but(
        &mut self,
        path: &str,
        name: &str,
        message: String,
        suggestion: Option<String>,
    ) {
        if !self.lost.contains(name) {
            self.push(Problem {
                suggestion,
                ..Problem::new(path, message)
            });
        }
    }

    /// Notes a problem of a condition, unless the condition names something that was lost.
    pub(super) fn push_later(&mut self, problem: Problem) {
        let text = self.places.text(&problem.path).unwrap_or_default();
        let not_in_names = |letter: char| !letter.is_alphanumeric() && letter != '_';
        if !text
            .split(not_in_names)
            .any(|word| self.lost.contains(word))
        {
            self.push(problem);
        }
    }

    /// The line of a path.
    pub(super) fn line(&self, path: &str) -> usize {
        self.places.find(path).line
    }

    /// The tree has been read: paths have places now.
    pub(super) fn set_places(&mut self, places: Places) {
        self.places = places;
    }

    /// The single keys have been read; from here on keys are held against one another.
    pub(super) fn begin_checks(&mut self) {
        self.faulty = Some(self.problems.iter().map(|one| one.path.clone()).collect());
    }

    /// All problems in the order of the file, or what is right.
    pub(super) fn finish<T>(self, right: impl FnOnce(Places) -> T) -> Result<T, Problems> {
        if self.problems.is_empty() {
            return Ok(right(self.places));
        }
        let mut problems = Problems::new(self.problems, self.places);
        problems.left_out += self.not_kept;
        Err(problems)
    }
}

/// True when a problem at `path` may only follow from the one at `faulty`: the same place, inside it, the block right
/// around it, or beside it in one tag.
fn follows(path: &str, faulty: &str) -> bool {
    let above = |path: &str| {
        path.rsplit_once('.')
            .map_or(String::new(), |(up, _)| up.into())
    };
    let around: String = above(faulty);
    let inside = |outer: &str| {
        path == outer
            || path
                .strip_prefix(outer)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let in_a_tag = around.contains("devices.") && above(&around).ends_with(".tags");
    inside(faulty) || path == around || (in_a_tag && inside(&around))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_a_noted_problem_is_not_noted() {
        let faulty = "devices.plc.tags.status.type";
        assert!(follows("devices.plc.tags.status", faulty));
        assert!(follows("devices.plc.tags.status.length", faulty));
        assert!(follows("devices.plc", "devices.plc.adresses"));
        assert!(!follows("devices.plc.tags.fault.length", faulty));
        assert!(!follows(
            "operations.form.recovery_counter",
            "operations.form.strat"
        ));
    }
}
