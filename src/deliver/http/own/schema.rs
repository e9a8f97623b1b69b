//! What events have, by their JSON Schema: whether a path such as `data.operation.order.id` leads somewhere. Pure.

use crate::format::EVENT_SCHEMA;
use crate::model::EventKind;
use serde_json::Value;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(EVENT_SCHEMA).unwrap_or_default());

/// Deepest chain of references: more would be a circle.
const MAX_DEPTH: usize = 16;

/// A place in events of one kind; several parts of the schema may speak of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Place(Vec<&'static Value>);

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Found {
    /// To a place that such events have.
    Place(Place),
    /// To where anything may stand.
    Anything,
    /// To nothing: so much of the path is good, and these names go on from there.
    Nothing { good: usize, names: Vec<String> },
}

/// How a part of an event may be wanting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// It is there, and nothing.
    Null,
    /// It is not there.
    Missing,
}

impl Place {
    /// The first step of a path that an event may lack, counted from 0. Null at its end is a value like others, unless
    /// `needs_all` says that it is not. Of lists it is not said whether they have so many entries.
    pub(super) fn lacks(&self, path: &[&str], needs_all: bool) -> Option<(usize, Lack)> {
        let mut here = self.clone();
        for (at, name) in path.iter().enumerate() {
            let Found::Place(next) = here.part(name) else {
                return None;
            };
            if name.parse::<usize>().is_err() && !here.requires(name) {
                return Some((at, Lack::Missing));
            }
            let is_last = at + 1 == path.len();
            if next.may_be_null() && (needs_all || !is_last) {
                return Some((at, Lack::Null));
            }
            here = next;
        }
        None
    }

    fn requires(&self, name: &str) -> bool {
        let lists = self.0.iter().filter_map(|part| part.get("required"));
        let mut names = lists.filter_map(Value::as_array).flatten();
        names.any(|one| one.as_str() == Some(name))
    }

    fn may_be_null(&self) -> bool {
        self.0.iter().any(|part| {
            let of_type = match part.get("type") {
                Some(Value::Array(types)) => types.iter().any(|one| one == "null"),
                Some(one) => one == "null",
                None => false,
            };
            let words = part.get("enum").and_then(Value::as_array);
            of_type || words.is_some_and(|words| words.contains(&Value::Null))
        })
    }

    /// A whole event of this kind.
    pub(super) fn event(kind: EventKind) -> Place {
        let name = format!("millgate.{}.v1", kind.name());
        let mut parts = vec![&*SCHEMA];
        let cases = SCHEMA.get("allOf").and_then(Value::as_array);
        let is_of = |case: &&'static Value| {
            let of = case.pointer("/if/properties/type/const");
            of.and_then(Value::as_str) == Some(name.as_str())
        };
        let cases = cases.into_iter().flatten().filter(is_of);
        parts.extend(cases.filter_map(|case| case.get("then")));
        Place(flat(parts))
    }

    /// The place that a path of names and numbers leads to.
    pub(super) fn follow(&self, path: &[&str]) -> Found {
        let mut here = self.clone();
        for (at, name) in path.iter().enumerate() {
            match here.part(name) {
                Found::Place(next) => here = next,
                Found::Anything => return Found::Anything,
                Found::Nothing { names, .. } => return Found::Nothing { good: at, names },
            }
        }
        Found::Place(here)
    }

    /// What stands in the lists at this place.
    pub(super) fn items(&self) -> Place {
        let items = self.0.iter().filter_map(|part| part.get("items"));
        Place(flat(items.collect()))
    }

    fn part(&self, name: &str) -> Found {
        if name.parse::<usize>().is_ok() {
            let items = self.items();
            if !items.0.is_empty() {
                return Found::Place(items);
            }
        }
        let named = self
            .0
            .iter()
            .filter_map(|part| part.get("properties")?.get(name));
        let named: Vec<&'static Value> = named.collect();
        if !named.is_empty() {
            return Found::Place(Place(flat(named)));
        }
        // What has names of its own choice: parameters, states.
        let free = self.0.iter().flat_map(|part| {
            let others = part
                .get("additionalProperties")
                .filter(|one| one.is_object());
            let patterns = part.get("patternProperties").and_then(Value::as_object);
            others
                .into_iter()
                .chain(patterns.into_iter().flat_map(|all| all.values()))
        });
        let free: Vec<&'static Value> = free.collect();
        if !free.is_empty() {
            return Found::Place(Place(flat(free)));
        }
        if self.is_open() {
            return Found::Anything;
        }
        let names = self
            .0
            .iter()
            .filter_map(|part| part.get("properties")?.as_object());
        let mut names: Vec<String> = names.flat_map(|all| all.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        Found::Nothing { good: 0, names }
    }

    /// Nothing is said of what stands here.
    fn is_open(&self) -> bool {
        let says = ["properties", "type", "const", "enum", "items"];
        !self
            .0
            .iter()
            .any(|part| says.iter().any(|word| part.get(word).is_some()))
    }
}

/// The parts of a schema with those that they refer to or consist of.
fn flat(parts: Vec<&'static Value>) -> Vec<&'static Value> {
    let mut found = Vec::new();
    for part in parts {
        collect(part, 0, &mut found);
    }
    found
}

fn collect(part: &'static Value, depth: usize, found: &mut Vec<&'static Value>) {
    if depth > MAX_DEPTH {
        return;
    }
    found.push(part);
    let target = part.get("$ref").and_then(Value::as_str);
    let target = target.and_then(|target| SCHEMA.pointer(target.strip_prefix('#')?));
    let several = ["allOf", "anyOf", "oneOf"].into_iter();
    let several = several
        .filter_map(|word| part.get(word)?.as_array())
        .flatten();
    for inner in target.into_iter().chain(several) {
        collect(inner, depth + 1, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(kind: EventKind, path: &str) -> String {
        let path: Vec<&str> = path.split('.').collect();
        match Place::event(kind).follow(&path) {
            Found::Place(_) => "there".into(),
            Found::Anything => "anything".into(),
            Found::Nothing { good, names } => {
                assert!(names.is_sorted());
                format!("{good} of {}", path.len())
            }
        }
    }

    #[test]
    fn paths_lead_somewhere_by_the_kind_of_event() {
        use EventKind::{OperationCompleted, OperationStarted};
        for (kind, path, expected) in [
            (OperationCompleted, "id", "there"),
            (OperationCompleted, "data.gateway.id", "there"),
            (OperationCompleted, "data.operation.order.id", "there"),
            (OperationCompleted, "data.operation.oder.id", "2 of 4"),
            (OperationCompleted, "data.operation.duration_s", "there"),
            (OperationStarted, "data.operation.duration_s", "2 of 3"),
            (OperationCompleted, "data.parameters.0.name", "there"),
            (OperationCompleted, "subject.x", "1 of 2"),
            (OperationCompleted, "nothing", "0 of 1"),
        ] {
            assert_eq!(leads(kind, path), expected, "{path}");
        }
    }

    #[test]
    fn every_kind_of_event_has_its_own_data() {
        for kind in EventKind::ALL {
            assert_eq!(leads(kind, "data.gateway.id"), "there", "{kind:?}");
            assert_eq!(leads(kind, "data.no_such_part"), "1 of 2", "{kind:?}");
        }
    }
}
