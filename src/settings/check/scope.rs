//! What can be named inside one machine: its tags.

use super::equipment::words;
use crate::model::ValueKind;
use crate::settings::plant::{Machine, Tag};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::Source;

/// What can be named inside one machine.
pub(super) struct Scope<'a> {
    pub(super) machine: &'a Machine,
    pub(super) tags: &'a [Tag],
}

impl<'a> Scope<'a> {
    /// The tag of a name; a problem when there is none.
    pub(super) fn tag(&self, name: &str, path: &str, report: &mut Report) -> Option<&'a Tag> {
        let found = self
            .machine
            .tags
            .get(name)
            .and_then(|id| self.tags.get(id.index()));
        if found.is_none() {
            let message = format!("{} is not a tag of this machine", shown(name));
            let known = self.machine.tags.keys().map(String::as_str);
            report.unknown(path, name, message, known);
        }
        found
    }

    /// A tag that names something: a text or a whole number, no measured number.
    pub(super) fn naming(&self, name: &str, path: &str, report: &mut Report) -> Option<&'a Tag> {
        let found = self.tag(name, path, report);
        if found.is_some_and(|tag| tag.kind == ValueKind::Float) {
            let message = format!(
                "{} is a measured number and cannot name anything: use a text or a whole number without `scale`",
                shown(name)
            );
            report.add(path, message);
        }
        found
    }

    /// A tag that is a number; `what` is what it is needed as.
    pub(super) fn number(&self, name: &str, what: &str, path: &str, report: &mut Report) {
        let found = self.tag(name, path, report);
        if let Some(tag) = found.filter(|tag| !is_number(tag.kind)) {
            let message = format!("{} is {}: {what} is a number", shown(name), words(tag.kind));
            report.add(path, message);
        }
    }

    /// A tag that is a bit: true or false.
    pub(super) fn bit(&self, name: &str, what: &str, path: &str, report: &mut Report) {
        let found = self.tag(name, path, report);
        let kind = found.map_or(ValueKind::Any, |tag| tag.kind);
        if !matches!(kind, ValueKind::Bool | ValueKind::Any) {
            let message = format!("{} is {}: {what} is a bit", shown(name), words(kind));
            report.add(path, message);
        }
    }

    /// A text that is fixed or comes from a tag that names something: no measured number.
    pub(super) fn source(&self, source: &Source, path: &str, report: &mut Report) {
        match source {
            Source::Tag(name) => {
                self.naming(name, &super::join(path, "tag"), report);
            }
            Source::Value(text) if text.trim().is_empty() => {
                report.add(
                    super::join(path, "value"),
                    "an empty text says nothing: leave it out",
                );
            }
            Source::Value(_) => {}
        }
    }
}

/// True for what can be added up.
pub(super) fn is_number(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::Int | ValueKind::Float | ValueKind::Any)
}

/// Notes that there is more of something than the gateway takes.
pub(super) fn at_most(most: usize, what: &str, found: usize, path: &str, report: &mut Report) {
    if found > most {
        report.add(path, format!("{found} {what} are too many: at most {most}"));
    }
}
