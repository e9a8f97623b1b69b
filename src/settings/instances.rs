//! Which machine was made from which template: what is wrong in a template is told once, not for each of forty machines.

use super::problem::Problem;
use std::collections::HashMap;

/// Machines made from templates, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    templates: HashMap<String, String>,
}

/// A path inside a machine that was made from a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside<'a> {
    pub(super) machine: &'a str,
    template: &'a str,
    /// The path from there on.
    rest: &'a str,
}

impl Instances {
    pub(super) fn add(&mut self, machine: &str, template: &str) {
        self.templates
            .insert(machine.to_owned(), template.to_owned());
    }

    /// Forgets a machine: it could not be made.
    pub(super) fn remove(&mut self, machine: &str) {
        self.templates.remove(machine);
    }

    /// True when some machine was made from the template.
    pub(super) fn has(&self, template: &str) -> bool {
        self.templates.values().any(|of| of == template)
    }

    /// The machine that a path leads into, if it was made from a template. Names may contain dots: the longest that fits.
    pub(super) fn of<'a>(&'a self, path: &'a str) -> Option<Inside<'a>> {
        if self.templates.is_empty() {
            return None;
        }
        let below = path.strip_prefix("machines.")?;
        let dots = below.rmatch_indices('.').map(|(at, _)| at);
        let mut ends = std::iter::once(below.len()).chain(dots);
        ends.find_map(|end| {
            let (machine, rest) = below.split_at_checked(end)?;
            Some(Inside {
                machine,
                template: self.templates.get(machine)?,
                rest: rest.strip_prefix('.').unwrap_or(rest),
            })
        })
    }

    /// What two problems have in common that are the same but for their machine.
    pub(super) fn key(&self, problem: &Problem) -> Option<String> {
        let inside = self.of(&problem.path)?;
        Some(format!(
            "{}\0{}\0{:?}\0{}\0{:?}",
            inside.template, inside.rest, problem.place, problem.message, problem.suggestion
        ))
    }

    /// Says in a problem's message which template, machine and path it is about; `more` machines have it, too.
    pub(super) fn named(&self, problem: Problem, more: usize) -> Problem {
        let Some(inside) = self.of(&problem.path) else {
            return problem;
        };
        let more = match more {
            0 => String::new(),
            1 => " and 1 more machine".into(),
            more => format!(" and {more} more machines"),
        };
        let path = if inside.rest.is_empty() {
            String::new()
        } else {
            format!(", {}", inside.rest.escape_debug())
        };
        let message = format!(
            "template `{}`, machine `{}`{more}{path}: {}",
            inside.template.escape_debug(),
            inside.machine.escape_debug(),
            problem.message
        );
        Problem { message, ..problem }
    }

    /// Problems with those of one template told once.
    pub(super) fn folded(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let mut folded = Folded::default();
        for problem in problems {
            if !folded.take(&problem, self) {
                folded.push_new(problem);
            }
        }
        folded.named(self)
    }
}

/// Problems of which those of one template are kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    problems: Vec<Problem>,
    /// Paths of the same problem in other machines, by its index.
    others: HashMap<usize, Vec<String>>,
    known: HashMap<String, usize>,
}

impl Folded {
    /// Keeps a problem that is not the same as another.
    pub(super) fn push_new(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// True when it is the same as one that is kept already, and has been added to that.
    pub(super) fn take(&mut self, problem: &Problem, instances: &Instances) -> bool {
        let Some(key) = instances.key(problem) else {
            return false;
        };
        match self.known.get(&key) {
            Some(first) => {
                self.others
                    .entry(*first)
                    .or_default()
                    .push(problem.path.clone());
                true
            }
            None => {
                self.known.insert(key, self.problems.len());
                false
            }
        }
    }

    /// So many are kept.
    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    /// Those that are kept.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Paths of all problems, also of those that are kept once for several machines.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        let first = self.problems.iter().map(|problem| &problem.path);
        first.chain(self.others.values().flatten())
    }

    /// All problems, each saying what it is about.
    pub(super) fn named(self, instances: &Instances) -> Vec<Problem> {
        let Folded {
            problems, others, ..
        } = self;
        let more = |at: usize| others.get(&at).map_or(0, Vec::len);
        let problems = problems.into_iter().enumerate();
        problems
            .map(|(at, problem)| instances.named(problem, more(at)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_that_fits_is_the_machine() {
        let mut instances = Instances::default();
        instances.add("A", "press");
        instances.add("A.1", "lathe");
        let of = |path| {
            let inside = instances.of(path)?;
            Some((inside.machine, inside.template, inside.rest))
        };
        assert_eq!(
            of("machines.A.devices.plc"),
            Some(("A", "press", "devices.plc"))
        );
        assert_eq!(
            of("machines.A.1.devices"),
            Some(("A.1", "lathe", "devices"))
        );
        assert_eq!(of("machines.A"), Some(("A", "press", "")));
        assert_eq!(of("machines.B.devices"), None);
        assert_eq!(of("devices.A"), None);
    }

    #[test]
    fn one_mistake_of_three_machines_is_told_once() {
        let mut instances = Instances::default();
        for machine in ["P-1", "P-2", "P-3"] {
            instances.add(machine, "press");
        }
        let problem = |machine: &str, says: &str| {
            Problem::new(format!("machines.{machine}.devices.plc.base"), says)
        };
        let told = instances.folded(vec![
            problem("P-1", "too large"),
            problem("P-2", "too large"),
            problem("P-2", "another"),
            problem("P-3", "too large"),
        ]);
        let told: Vec<&str> = told.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "template `press`, machine `P-1` and 2 more machines, devices.plc.base: too large",
                "template `press`, machine `P-2`, devices.plc.base: another",
            ]
        );
    }
}
