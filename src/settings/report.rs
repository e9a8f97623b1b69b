//! The list that reading a file writes its problems to. Keeps it short, and keeps one mistake from being told twice.

use super::instances::{Folded, Instances};
use super::places::Places;
use super::problem::{MAX_PROBLEMS, Place, Problem, Problems, nearest, shown};
use super::yaml::{Content, Node};
use std::collections::{HashMap, HashSet};

/// Most problems that are kept at all; further ones are only counted.
const MAX_KEPT: usize = 10 * MAX_PROBLEMS;

/// The problems of a file, and what could not be read because of them.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Folded,
    not_kept: usize,
    /// What is worth a look in settings without problems.
    remarks: Vec<Problem>,
    instances: Instances,
    /// Names in the parts that were left out: what refers to them is not to blame.
    lost: HashSet<String>,
    /// Paths with a problem of their own, by the machine of a template that they are in; `None` until the single keys have
    /// all been read.
    faulty: Option<HashMap<String, Vec<String>>>,
    /// Paths of what was refused before it had a path.
    refused: Vec<String>,
    /// Paths with a problem when all keys had been checked.
    told: Vec<String>,
    places: Places,
}

impl Report {
    /// Notes a problem at a path.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.push(Problem::new(path, message));
    }

    /// Notes a problem, unless it only follows from one that is already noted.
    pub(super) fn push(&mut self, problem: Problem) {
        if self.is_known(&problem) || self.problems.take(&problem, &self.instances) {
            return;
        }
        if self.problems.len() < MAX_KEPT {
            self.problems.push_new(problem);
        } else {
            self.not_kept += 1;
        }
    }

    /// True when it only follows from a problem that is noted.
    fn is_known(&self, problem: &Problem) -> bool {
        let Some(faulty) = &self.faulty else {
            return false;
        };
        let machine = self
            .instances
            .of(&problem.path)
            .map(|inside| inside.machine);
        let inside = machine.and_then(|machine| faulty.get(machine));
        let outside = faulty.get("");
        [inside, outside]
            .into_iter()
            .flatten()
            .flatten()
            .any(|at| follows(&problem.path, at))
    }

    /// Notes what is worth a look in settings without problems.
    pub(super) fn remark(&mut self, problem: Problem) {
        self.remarks.push(problem);
    }

    /// The remarks, and what machines were made from.
    pub(super) fn take_remarks(&mut self) -> (Vec<Problem>, Instances) {
        (std::mem::take(&mut self.remarks), self.instances.clone())
    }

    /// Machines have been made from templates.
    pub(super) fn set_instances(&mut self, instances: Instances) {
        self.instances = instances;
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
        self.problems.len() == 0
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

    /// The keys have been checked: what comes now was found where they are put to use.
    pub(super) fn begin_later(&mut self) {
        self.told = self.problems.paths().cloned().collect();
    }

    /// Notes a problem of a condition, unless the condition names something that was lost, or what is in it was told.
    pub(super) fn push_later(&mut self, problem: Problem) {
        if self.told.iter().any(|at| is_inside(at, &problem.path)) {
            return;
        }
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
        let meant: Vec<String> = self.problems.iter().filter_map(meant).collect();
        let paths: Vec<String> = self.problems.paths().cloned().collect();
        let mut faulty: HashMap<String, Vec<String>> = HashMap::new();
        for path in paths.into_iter().chain(meant).chain(self.refused.drain(..)) {
            let machine = self.instances.of(&path).map(|inside| inside.machine);
            let machine = machine.unwrap_or_default().to_owned();
            faulty.entry(machine).or_default().push(path);
        }
        self.faulty = Some(faulty);
    }

    /// All problems in the order of the file, or what is right.
    pub(super) fn finish<T>(self, right: impl FnOnce(Places) -> T) -> Result<T, Problems> {
        if self.is_empty() {
            return Ok(right(self.places));
        }
        let problems = self.problems.named(&self.instances);
        let mut problems = Problems::new(problems, self.places);
        problems.left_out += self.not_kept;
        Err(problems)
    }
}

/// Blocks so small that a problem with one key makes what is said of the others doubtful.
const SMALL: [&str; 4] = ["tags", "counters", "parameters", "quality"];

/// True when a problem at `path` may only follow from the one at `faulty`: the same place, inside it, the block right
/// around it, or beside it in a small block.
fn follows(path: &str, faulty: &str) -> bool {
    let inside = |outer: &str| is_inside(path, outer);
    let around = above(faulty);
    let list = above(around).rsplit('.').next().unwrap_or_default();
    let small = SMALL.contains(&list) || around.ends_with(".mqtt") || around.ends_with(".http");
    inside(faulty) || path == around || (small && inside(around))
}

/// True for the same place and for all below it.
fn is_inside(path: &str, outer: &str) -> bool {
    let below = path.strip_prefix(outer);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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
