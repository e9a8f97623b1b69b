//! Puts the arguments of a machine into its template. Pure.

use super::template::is_word;
use crate::settings::problem::{Problem, shown};
use crate::settings::report::Report;
use crate::settings::yaml::{Content, Entry, Node};

/// Most values that all machines of templates have together: 10,000 tags of ten keys, and as much again.
const MAX_VALUES: usize = 200_000;
/// Most bytes of their texts: a file of the largest size, sixteen times over.
const MAX_BYTES: usize = 16 << 20;
/// Letters after a backslash that have a word in braces behind them, `\p{Greek}`: that of a pattern, no parameter.
const OF_PATTERNS: [u8; 5] = [b'p', b'P', b'x', b'u', b'U'];

/// What may still be written out.
pub(super) struct Budget {
    values: usize,
    bytes: usize,
    told: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            values: MAX_VALUES,
            bytes: MAX_BYTES,
            told: false,
        }
    }
}

impl Budget {
    /// Takes a value of so many bytes; `None` when there is no room for it.
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.values = self.values.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }

    /// Takes a value with all that is in it.
    fn take_all(&mut self, node: &Node) -> Option<()> {
        match &node.content {
            Content::Map(entries) => entries.iter().try_for_each(|entry| {
                self.take(entry.key.len())?;
                self.take_all(&entry.node)
            }),
            Content::List(nodes) => nodes.iter().try_for_each(|node| self.take_all(node)),
            Content::Plain(text) | Content::Quoted(text) => self.take(text.len()),
            Content::Refused => self.take(0),
        }
    }
}

/// One machine that is being made.
pub(super) struct Fill<'a> {
    pub(super) machine: &'a str,
    pub(super) template: &'a str,
    /// Its arguments, and `template` itself.
    pub(super) arguments: &'a [Entry],
    pub(super) budget: &'a mut Budget,
    pub(super) report: &'a mut Report,
}

impl<'a> Fill<'a> {
    /// The blocks of the machine; `None` when they cannot be made, which is told.
    pub(super) fn entries(&mut self, blocks: &[&Entry]) -> Option<Vec<Entry>> {
        let made: Option<Vec<Entry>> = blocks.iter().map(|entry| self.entry(entry)).collect();
        if made.is_none() && !self.budget.told {
            self.budget.told = true;
            let message = format!(
                "all machines made from templates have more than {MAX_VALUES} values or {MAX_BYTES} bytes together, which is more than a gateway is built for: this one and those below it are left out"
            );
            self.report
                .add(format!("machines.{}", self.machine), message);
        }
        made
    }

    fn entry(&mut self, entry: &Entry) -> Option<Entry> {
        self.budget.take(entry.key.len())?;
        Some(Entry {
            key: entry.key.clone(),
            place: entry.place,
            node: self.node(&entry.node)?,
        })
    }

    fn node(&mut self, node: &Node) -> Option<Node> {
        let content = match &node.content {
            Content::Map(entries) => {
                let entries: Option<Vec<Entry>> =
                    entries.iter().map(|entry| self.entry(entry)).collect();
                Content::Map(entries?)
            }
            Content::List(nodes) => {
                let nodes: Option<Vec<Node>> = nodes.iter().map(|node| self.node(node)).collect();
                Content::List(nodes?)
            }
            Content::Plain(text) => self.text(text, node, Content::Plain)?,
            Content::Quoted(text) => self.text(text, node, Content::Quoted)?,
            Content::Refused => Content::Refused,
        };
        Some(Node {
            place: node.place,
            content,
        })
    }

    /// A text with its parameters filled in. A parameter alone is replaced by its argument, whatever that is.
    fn text(&mut self, text: &str, node: &Node, kind: fn(String) -> Content) -> Option<Content> {
        let mut found = pieces(text);
        if let (Some(Piece::Parameter(name)), None) = (found.next(), found.next())
            && let Some(argument) = self.argument(name)
        {
            // Of its own kind: a number stays a number.
            self.budget.take_all(argument)?;
            return Some(argument.content.clone());
        }
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Parameter(name) => match self.argument(name).map(|node| &node.content) {
                    Some(Content::Plain(argument) | Content::Quoted(argument)) => {
                        filled.push_str(argument);
                    }
                    Some(Content::Refused) => return Some(Content::Refused),
                    Some(Content::List(_) | Content::Map(_)) => self.no_text(name, node),
                    None => {}
                },
            }
            if filled.len() > self.budget.bytes {
                return None;
            }
        }
        self.budget.take(filled.len())?;
        Some(kind(filled))
    }

    fn argument(&self, name: &str) -> Option<&'a Node> {
        let found = self.arguments.iter().find(|entry| entry.key == name);
        found.map(|entry| &entry.node)
    }

    fn no_text(&mut self, name: &str, node: &Node) {
        let message = format!(
            "`{name}` of {} is a list or a block and stands inside a text of the template {}: it can only stand alone, \"{{{name}}}\"",
            shown(self.machine),
            shown(self.template)
        );
        self.report.push(Problem {
            place: Some(node.place),
            ..Problem::new(format!("machines.{}", self.machine), message)
        });
    }
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What stood in braces.
    Parameter(&'a str),
}

/// The parts of a text: `{word}` is a parameter, `{{word}}` the text `{word}`, and all else stays as it is, such as the
/// `{7}` and `\p{Greek}` of a pattern.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut next = None;
    std::iter::from_fn(move || {
        if let Some(piece) = next.take() {
            return Some(piece);
        }
        if rest.is_empty() {
            return None;
        }
        let found = rest.match_indices('{').find_map(|(at, _)| {
            let (piece, end) = braced(rest, at)?;
            Some((at, piece, end))
        });
        let Some((at, piece, end)) = found else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        let before = rest.get(..at).unwrap_or_default();
        rest = rest.get(end..).unwrap_or_default();
        if before.is_empty() {
            return Some(piece);
        }
        next = Some(piece);
        Some(Piece::Text(before))
    })
}

/// What a brace opens, and where it ends; `None` when that is nothing of ours.
fn braced(text: &str, at: usize) -> Option<(Piece<'_>, usize)> {
    let inside = text.get(at + 1..)?;
    if let Some(doubled) = inside.strip_prefix('{') {
        let close = doubled.find('}')?;
        let word = doubled.get(..close).filter(|word| is_word(word))?;
        let doubled_too = doubled.get(close + 1..)?.starts_with('}');
        let kept = inside.get(..word.len() + 2)?;
        return doubled_too.then_some((Piece::Text(kept), at + word.len() + 4));
    }
    let close = inside.find('}')?;
    let word = inside.get(..close).filter(|word| is_word(word))?;
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let of_pattern = matches!(before, [.., b'\\', letter] if OF_PATTERNS.contains(letter));
    (!of_pattern).then_some((Piece::Parameter(word), at + word.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_braces_is_a_parameter_and_all_else_stays() {
        use Piece::{Parameter as P, Text as T};
        let table: [(&str, &[Piece<'_>]); 10] = [
            ("{host}", &[P("host")]),
            (
                "opc.tcp://{host}:4840/{n}",
                &[T("opc.tcp://"), P("host"), T(":4840/"), P("n")],
            ),
            ("^SN-[0-9]{7}$", &[T("^SN-[0-9]{7}$")]),
            (r"\p{Greek}{x}", &[T(r"\p{Greek}"), P("x")]),
            ("{{host}}", &[T("{host}")]),
            ("a{{host}}b", &[T("a"), T("{host}"), T("b")]),
            ("{{host}", &[T("{"), P("host")]),
            ("{1,3}{", &[T("{1,3}{")]),
            ("{a b}é{c}", &[T("{a b}é"), P("c")]),
            ("", &[]),
        ];
        for (text, wanted) in table {
            let found: Vec<Piece<'_>> = pieces(text).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn what_may_be_written_out_is_bounded() {
        let mut budget = Budget {
            values: 2,
            bytes: 10,
            told: false,
        };
        assert_eq!(budget.take(6), Some(()));
        assert_eq!(budget.take(6), None);
        let mut budget = Budget {
            values: 1,
            ..Budget::default()
        };
        assert_eq!(budget.take(0), Some(()));
        assert_eq!(budget.take(0), None);
    }
}
