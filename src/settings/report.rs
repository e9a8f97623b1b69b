//! The list that reading a file writes its problems to. Keeps it short, and keeps one mistake from being told twice.

use super::places::Places;
use super::problem::{MAX_PROBLEMS, Place, Problem, Problems, nearest, shown};
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
    /// Paths of what was refused before it had a path.
    refused: Vec<String>,
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

    /// What stands at a path was refused, and told, when the text was read.
    pub(super) fn refused(&mut self, path: String) {
        if self.refused.len() < MAX_PROBLEMS {
            self.refused.push(path);
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

    /// Where a path is.
    pub(super) fn place(&self, path: &str) -> Place {
        self.places.find(path)
    }

    /// What stands at a path, as it was written.
    pub(super) fn written(&self, path: &str) -> String {
        shown(self.places.text(path).unwrap_or_default())
    }

    /// The tree has been read: paths have places now.
    pub(super) fn set_places(&mut self, places: Places) {
        self.places = places;
    }

    /// The single keys have been read; from here on keys are held against one another.
    pub(super) fn begin_checks(&mut self) {
        let meant = |one: &Problem| Some(beside(&one.path, one.suggestion.as_ref()?));
        let paths = self.problems.iter().map(|one| one.path.clone());
        let meant = self.problems.iter().filter_map(meant);
        self.faulty = Some(paths.chain(meant).chain(self.refused.drain(..)).collect());
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

/// Blocks so small that a problem with one key makes what is said of the others doubtful.
const SMALL: [&str; 4] = ["tags", "counters", "parameters", "quality"];

/// True when a problem at `path` may only follow from the one at `faulty`: the same place, inside it, the block right
/// around it, or beside it in a small block.
fn follows(path: &str, faulty: &str) -> bool {
    let inside = |outer: &str| {
        path == outer
            || path
                .strip_prefix(outer)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let around = above(faulty);
    let list = above(around).rsplit('.').next().unwrap_or_default();
    let small = SMALL.contains(&list) || around.ends_with(".mqtt") || around.ends_with(".http");
    inside(faulty) || path == around || (small && inside(around))
}

/// The path of the block around a path.
fn above(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(block, _)| block)
}

/// The path of another key of the same block.
fn beside(path: &str, key: &str) -> String {
    match above(path) {
        "" => key.to_owned(),
        block => format!("{block}.{key}"),
    }
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
