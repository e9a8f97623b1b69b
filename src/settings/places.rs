//! Where each path of a settings file stands in its text.

use super::problem::{Place, Problem};
use super::yaml::{Content, Node};

/// Where each path of a settings file stands in its text.
#[derive(Clone, Debug, Default)]
pub struct Places {
    root: Option<Node>,
}

impl Places {
    pub(super) fn new(root: Node) -> Places {
        Places { root: Some(root) }
    }

    /// Where a problem is: its own place, else that of its path, else of the nearest path above it that exists.
    #[must_use]
    pub fn of(&self, problem: &Problem) -> Place {
        problem.place.unwrap_or_else(|| self.find(&problem.path))
    }

    /// Where a path is: its value, or for a list or block its key; of a path that does not exist, the nearest above it.
    #[must_use]
    pub fn find(&self, path: &str) -> Place {
        self.root
            .as_ref()
            .map_or(Place::START, |root| deepest(root, root.place, path).1)
    }
}

/// How many bytes of the path were left over, and the place of what was found. Names may contain dots, so each key
/// that fits is tried and the deepest one wins.
fn deepest(node: &Node, place: Place, path: &str) -> (usize, Place) {
    let mut best = (path.len(), place);
    let mut consider = |name: &str, key: Option<Place>, child: &Node| {
        let Some(rest) = path.strip_prefix(name) else {
            return;
        };
        let rest = match rest.strip_prefix('.') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return,
        };
        let own = match child.content {
            Content::List(_) | Content::Map(_) => key.unwrap_or(child.place),
            _ => child.place,
        };
        let found = deepest(child, own, rest);
        if found.0 < best.0 {
            best = found;
        }
    };
    if path.is_empty() {
        return best;
    }
    match &node.content {
        Content::Map(entries) => {
            for entry in entries {
                consider(&entry.key, Some(entry.place), &entry.node);
            }
        }
        Content::List(nodes) => {
            let index = path.split('.').next().unwrap_or_default();
            if let Some(child) = index.parse().ok().and_then(|at: usize| nodes.get(at)) {
                consider(index, None, child);
            }
        }
        _ => {}
    }
    best
}
