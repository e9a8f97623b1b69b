//! `templates:`: a machine that is written once, with parameters, becomes as many as `machines:` names it for. Pure.
//!
//! Works on the tree of the file before its keys are verified, so that all that follows sees machines only. What a
//! template gives keeps the template's places: a problem in it is shown there, with the machine's name.

mod fill;
mod template;

use super::instances::Instances;
use super::problem::{Problem, nearest, shown};
use super::report::Report;
use super::yaml::{Content, Entry, Node};
use fill::{Budget, Fill};
use indexmap::IndexMap;
use template::Template;

/// The key with which a machine names its template.
const TEMPLATE: &str = "template";
/// Blocks of a machine. No parameter is called like one of them.
const BLOCKS: [&str; 5] = [
    "devices",
    "scans",
    "equipment",
    "operations",
    "measurements",
];
/// Most templates of a file.
const MAX_TEMPLATES: usize = 64;

/// Writes out the machines that are made from templates. What is left of `templates:` is handed back, for its places.
pub(super) fn expand(root: &mut Node, report: &mut Report) -> Option<Entry> {
    let Content::Map(entries) = &mut root.content else {
        return None;
    };
    let at = entries.iter().position(|entry| entry.key == "templates");
    let block = at.map(|at| entries.remove(at));
    let templates = block
        .as_ref()
        .map(|block| read(block, report))
        .unwrap_or_default();
    let machines = entries.iter_mut().find(|entry| entry.key == "machines");
    let mut expander = Expander {
        templates: &templates,
        budget: Budget::default(),
        instances: Instances::default(),
        report,
    };
    if let Some(Entry {
        node: Node {
            content: Content::Map(machines),
            ..
        },
        ..
    }) = machines
    {
        machines
            .iter_mut()
            .for_each(|entry| expander.machine(entry));
    }
    let instances = expander.instances;
    for name in templates.keys().filter(|name| !instances.has(name)) {
        let message = format!(
            "no machine is made from {}: nothing in it has been checked",
            shown(name)
        );
        report.remark(Problem::new(format!("templates.{name}"), message));
    }
    report.set_instances(instances);
    block
}

/// The templates that can be used; `None` for one whose problems have been told.
fn read<'a>(block: &'a Entry, report: &mut Report) -> IndexMap<&'a str, Option<Template<'a>>> {
    let Content::Map(entries) = &block.node.content else {
        if !matches!(block.node.content, Content::Refused) {
            let message = "`templates` is a block: below it one block for each, `NAME: { parameters: [...], devices: ... }`";
            report.add("templates", message);
        }
        return IndexMap::new();
    };
    if entries.len() > MAX_TEMPLATES {
        let message = format!(
            "{} templates are too many: at most {MAX_TEMPLATES}",
            entries.len()
        );
        report.add("templates", message);
    }
    let some = entries.iter().take(MAX_TEMPLATES);
    some.map(|entry| (entry.key.as_str(), Template::read(entry, report)))
        .collect()
}

struct Expander<'a, 'r> {
    templates: &'a IndexMap<&'a str, Option<Template<'a>>>,
    budget: Budget,
    instances: Instances,
    report: &'r mut Report,
}

impl Expander<'_, '_> {
    /// Writes out a machine, if it is made from a template. One that cannot be made is left without anything in it.
    fn machine(&mut self, machine: &mut Entry) {
        let Content::Map(entries) = &machine.node.content else {
            return;
        };
        let Some(named) = self.named(&machine.key, entries) else {
            return;
        };
        let made = named.and_then(|name| self.made(&machine.key, &name, entries));
        if made.is_none() {
            self.report.lose_name(&machine.key);
        }
        machine.node.content = Content::Map(made.unwrap_or_default());
    }

    /// The template that a machine names. `None` where it names none, and is written out itself.
    fn named(&mut self, machine: &str, entries: &[Entry]) -> Option<Option<String>> {
        let Some(entry) = entries.iter().find(|entry| entry.key == TEMPLATE) else {
            let is_block = |entry: &Entry| BLOCKS.contains(&entry.key.as_str());
            let misspelt = entries
                .iter()
                .find(|entry| nearest(&entry.key, [TEMPLATE]).is_some());
            let misspelt = misspelt.filter(|_| !entries.iter().any(is_block))?;
            self.problem(
                Problem {
                    suggestion: Some(TEMPLATE.to_owned()),
                    ..Problem::new(
                        format!("machines.{machine}"),
                        format!(
                            "{} is not a key of {}",
                            shown(&misspelt.key),
                            shown(machine)
                        ),
                    )
                },
                misspelt,
            );
            return Some(None);
        };
        let path = format!("machines.{machine}");
        if let Some(block) = entries
            .iter()
            .find(|entry| BLOCKS.contains(&entry.key.as_str()))
        {
            let message = format!(
                "{} has both `template` and `{}`: a machine is made from a template, or written out",
                shown(machine),
                block.key
            );
            self.problem(Problem::new(path, message), block);
            return Some(None);
        }
        match &entry.node.content {
            Content::Plain(name) | Content::Quoted(name) if !name.is_empty() => {
                Some(Some(name.clone()))
            }
            Content::Refused => Some(None),
            _ => {
                let message = "`template` is the name of one of `templates:`";
                self.problem(Problem::new(path, message), entry);
                Some(None)
            }
        }
    }

    /// The blocks of a machine, out of its template and its arguments.
    fn made(&mut self, machine: &str, name: &str, entries: &[Entry]) -> Option<Vec<Entry>> {
        let Some(template) = self.templates.get(name) else {
            let known: Vec<&str> = self.templates.keys().copied().collect();
            let message = if known.is_empty() {
                format!(
                    "there is no template {}: write it below `templates:`",
                    shown(name)
                )
            } else {
                format!("{} is not one of `templates:`", shown(name))
            };
            let entry = entries.iter().find(|entry| entry.key == TEMPLATE)?;
            let problem = Problem {
                place: Some(entry.node.place),
                ..Problem::new(format!("machines.{machine}"), message)
            };
            self.report.push(problem.near(name, known));
            return None;
        };
        // Machines of a template with problems of its own would only tell them again.
        self.instances.add(machine, name);
        let template = template.as_ref()?;
        let fits = self.arguments_fit(machine, name, template, entries);
        if !fits {
            self.instances.remove(machine);
            return None;
        }
        let mut fill = Fill {
            machine,
            template: name,
            arguments: entries,
            budget: &mut self.budget,
            report: self.report,
        };
        fill.entries(&template.blocks)
    }

    /// Each parameter has its argument, and each argument its parameter.
    fn arguments_fit(
        &mut self,
        machine: &str,
        name: &str,
        template: &Template<'_>,
        entries: &[Entry],
    ) -> bool {
        let path = format!("machines.{machine}");
        let mut fits = true;
        let given = || entries.iter().filter(|entry| entry.key != TEMPLATE);
        let mut meant = Vec::new();
        for entry in given() {
            let known = || template.parameters.iter().copied();
            if !known().any(|known| known == entry.key) {
                let near = nearest(
                    &entry.key,
                    known().filter(|one| !given().any(|e| e.key == *one)),
                );
                meant.extend(near);
                let message = format!(
                    "{} is no parameter of the template {}; its parameters are {}",
                    shown(&entry.key),
                    shown(name),
                    if template.parameters.is_empty() {
                        "none".to_owned()
                    } else {
                        template.parameters.join(", ")
                    }
                );
                let problem = Problem {
                    suggestion: near.map(str::to_owned),
                    ..Problem::new(&path, message)
                };
                self.problem(problem, entry);
                fits = false;
            } else if matches!(&entry.node.content, Content::Plain(text) if matches!(text.as_str(), "" | "~" | "null"))
            {
                let message = format!("`{}` has no value", entry.key);
                self.problem(Problem::new(&path, message), entry);
                fits = false;
            }
        }
        for parameter in &template.parameters {
            if !meant.contains(parameter) && !given().any(|entry| entry.key == *parameter) {
                let message = format!(
                    "`{parameter}` is missing in {}: the template {} asks for it",
                    shown(machine),
                    shown(name)
                );
                self.report.add(&path, message);
                fits = false;
            }
        }
        fits
    }

    /// Notes a problem at a key of a machine.
    fn problem(&mut self, problem: Problem, at: &Entry) {
        self.report.push(Problem {
            place: Some(at.place),
            ..problem
        });
    }
}
