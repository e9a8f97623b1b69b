//! Where each path of a settings file stands in its text.

use super::problem::{Place, Problem};
use super::yaml::{Content, Node};

/// Where each path of a settings file stands in its text.
#[derive(Clone, Default)]
pub struct Places {
    root: Option<Node>,
}

impl std::fmt::Debug for Places {
    /// Not the tree: somebody may have written a password into the file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
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
            .map_or(Place::START, |root| deepest(root, root.place, path).place)
    }

    /// The single value at a path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let root = self.root.as_ref()?;
        let found = deepest(root, root.place, path);
        match &found.node.content {
            Content::Plain(text) | Content::Quoted(text) if found.left == 0 => Some(text),
            _ => None,
        }
    }
}

/// How far a path could be followed.
struct Found<'a> {
    /// Bytes of the path that lead nowhere.
    left: usize,
    place: Place,
    node: &'a Node,
}

/// Follows a path. Names may contain dots, so each key that fits is tried and the deepest one wins.
fn deepest<'a>(node: &'a Node, place: Place, path: &str) -> Found<'a> {
    let mut best = Found {
        left: path.len(),
        place,
        node,
    };
    if path.is_empty() {
        return best;
    }
    let mut consider = |name: &str, key: Option<Place>, child: &'a Node| {
        let Some(rest) = after(path, name) else {
            return;
        };
        let own = match child.content {
            Content::Plain(ref text) if !text.is_empty() => child.place,
            Content::Quoted(_) => child.place,
            // A block, or nothing at all: there is only the key to point at.
            _ => key.unwrap_or(child.place),
        };
        let found = deepest(child, own, rest);
        if found.left < best.left {
            best = found;
        }
    };
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

/// The path after its first name.
fn after<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix('.')
}
