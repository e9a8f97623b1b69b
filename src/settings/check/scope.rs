//! What can be named inside one machine: its tags.

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

    /// A text that is fixed or comes from a tag that names something: no measured number.
    pub(super) fn source(&self, source: &Source, path: &str, report: &mut Report) {
        match source {
            Source::Tag(name) => {
                let at = super::join(path, "tag");
                let found = self.tag(name, &at, report);
                if found.is_some_and(|tag| tag.kind == ValueKind::Float) {
                    let message = format!(
                        "{} is a measured number and cannot name anything: use a text or a whole number without `scale`",
                        shown(name)
                    );
                    report.add(at, message);
                }
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
