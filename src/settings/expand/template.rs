//! One template: its parameters, and that each is used and no other is. Pure.

use super::fill::{Piece, pieces};
use super::{BLOCKS, TEMPLATE};
use crate::settings::problem::{Problem, nearest, shown};
use crate::settings::report::Report;
use crate::settings::yaml::{Content, Entry, Node};

/// Most parameters of a template.
const MAX_PARAMETERS: usize = 64;
/// Longest name of a template or parameter in bytes.
const MAX_NAME_BYTES: usize = 64;

/// A template that can be filled.
pub(super) struct Template<'a> {
    /// Its parameters.
    pub(super) parameters: Vec<&'a str>,
    /// Its blocks, as they are written.
    pub(super) blocks: Vec<&'a Entry>,
}

impl<'a> Template<'a> {
    /// Reads a template; `None` when it has problems, which are told.
    pub(super) fn read(entry: &'a Entry, report: &mut Report) -> Option<Template<'a>> {
        let path = format!("templates.{}", entry.key);
        if !is_name(&entry.key) {
            let message = format!(
                "{} cannot be the name of a template: letters a to z, digits, `-` and `_`, at most {MAX_NAME_BYTES}",
                shown(&entry.key)
            );
            report.add(&path, message);
            return None;
        }
        let Content::Map(entries) = &entry.node.content else {
            if !matches!(entry.node.content, Content::Refused) {
                let message = format!(
                    "{} is a block: `parameters:`, and the blocks of a machine",
                    shown(&entry.key)
                );
                report.add(path, message);
            }
            return None;
        };
        let written = entries.iter().find(|entry| entry.key == "parameters");
        let parameters = match written {
            Some(entry) => parameters(&entry.node, &format!("{path}.parameters"), report)?,
            None => Vec::new(),
        };
        if let Some(nested) = entries.iter().find(|entry| entry.key == TEMPLATE) {
            let message = "a template is not made from another one: write its blocks out";
            report.push(Problem {
                place: Some(nested.place),
                ..Problem::new(path, message)
            });
            return None;
        }
        let blocks = entries.iter().filter(|entry| entry.key != "parameters");
        let template = Template {
            parameters,
            blocks: blocks.collect(),
        };
        template.is_sound(&path, report).then_some(template)
    }

    /// True when what is used is a parameter, and what is a parameter is used.
    fn is_sound(&self, path: &str, report: &mut Report) -> bool {
        let mut look = Look {
            template: self,
            path: path.to_owned(),
            used: Vec::new(),
            sound: true,
            report,
        };
        self.blocks.iter().for_each(|entry| look.entry(entry));
        let Look {
            used, mut sound, ..
        } = look;
        for (at, parameter) in self.parameters.iter().enumerate() {
            if !used.contains(parameter) {
                let message = format!(
                    "`{parameter}` is used nowhere in the template: write \"{{{parameter}}}\" where it belongs, or take it away"
                );
                report.add(format!("{path}.parameters.{at}"), message);
                sound = false;
            }
        }
        sound
    }
}

fn parameters<'a>(node: &'a Node, path: &str, report: &mut Report) -> Option<Vec<&'a str>> {
    let Content::List(nodes) = &node.content else {
        report.add(path, "`parameters` is a list of words: write [host, base]");
        return None;
    };
    let mut found: Vec<&str> = Vec::new();
    let mut good = nodes.len() <= MAX_PARAMETERS;
    if !good {
        let message = format!(
            "{} parameters are too many: at most {MAX_PARAMETERS}",
            nodes.len()
        );
        report.add(path, message);
    }
    for (at, node) in nodes.iter().enumerate().take(MAX_PARAMETERS) {
        let (Content::Plain(name) | Content::Quoted(name)) = &node.content else {
            report.add(
                format!("{path}.{at}"),
                "a parameter is a word, such as host",
            );
            good = false;
            continue;
        };
        let problem = if !is_word(name) || name.len() > MAX_NAME_BYTES {
            format!(
                "{} cannot be a parameter: a word of letters a to z, digits and `_`, not a digit first",
                shown(name)
            )
        } else if BLOCKS.contains(&name.as_str()) || name == TEMPLATE || name == "parameters" {
            format!("`{name}` is a key of a machine: call the parameter otherwise")
        } else if found.contains(&name.as_str()) {
            format!("`{name}` stands here a second time: take one away")
        } else {
            found.push(name);
            continue;
        };
        report.add(format!("{path}.{at}"), problem);
        good = false;
    }
    good.then_some(found)
}

/// True for what can stand in braces.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(good)
}

/// Looks through a template for what stands in braces.
struct Look<'a, 'r> {
    template: &'r Template<'a>,
    path: String,
    used: Vec<&'a str>,
    sound: bool,
    report: &'r mut Report,
}

impl<'a> Look<'a, '_> {
    fn entry(&mut self, entry: &Entry) {
        let named = |piece: &Piece<'_>| matches!(piece, Piece::Parameter(name) if self.template.parameters.contains(name));
        if let Some(Piece::Parameter(name)) = pieces(&entry.key).find(named) {
            let message = format!(
                "`{{{name}}}` in a key: a parameter stands for a value, keys are the same in every machine"
            );
            self.refuse(entry.place, message, None);
        }
        if let (Content::Map(inner), true) = (&entry.node.content, self.is_unquoted(&entry.node)) {
            let name = inner.first().map(|entry| entry.key.as_str());
            let message = format!(
                "braces without quotes are a block: write `{}: \"{{{}}}\"`",
                entry.key,
                name.unwrap_or_default()
            );
            self.refuse(entry.node.place, message, None);
            // It is used, if not as it should be.
            let parameters = self.template.parameters.iter();
            self.used
                .extend(parameters.filter(|one| Some(**one) == name));
            return;
        }
        self.node(&entry.node);
    }

    fn node(&mut self, node: &Node) {
        match &node.content {
            Content::Map(entries) => entries.iter().for_each(|entry| self.entry(entry)),
            Content::List(nodes) => nodes.iter().for_each(|node| self.node(node)),
            Content::Plain(text) | Content::Quoted(text) => {
                for piece in pieces(text) {
                    if let Piece::Parameter(name) = piece {
                        self.reference(name, node);
                    }
                }
            }
            Content::Refused => {}
        }
    }

    fn reference(&mut self, name: &str, node: &Node) {
        let mut parameters = self.template.parameters.iter();
        if let Some(known) = parameters.find(|known| **known == name) {
            self.used.push(known);
            return;
        }
        let message = format!(
            "{} is no parameter of the template; braces that shall stay are doubled, {{{{{name}}}}}",
            shown(&format!("{{{name}}}"))
        );
        let near = nearest(name, self.template.parameters.iter().copied());
        self.used.extend(near);
        let near = near.map(|near| format!("{{{near}}}"));
        self.refuse(node.place, message, near);
    }

    /// `{host}` without quotes, which YAML takes for a block with the key `host` and nothing in it.
    fn is_unquoted(&self, node: &Node) -> bool {
        let Content::Map(inner) = &node.content else {
            return false;
        };
        let [only] = inner.as_slice() else {
            return false;
        };
        let empty = matches!(&only.node.content, Content::Plain(text) if text.is_empty());
        empty && self.template.parameters.contains(&only.key.as_str())
    }

    fn refuse(
        &mut self,
        place: crate::settings::Place,
        message: String,
        suggestion: Option<String>,
    ) {
        self.sound = false;
        self.report.push(Problem {
            place: Some(place),
            path: self.path.clone(),
            message,
            suggestion,
        });
    }
}
