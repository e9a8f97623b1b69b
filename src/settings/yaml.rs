//! YAML text to a small tree in which every key and value knows its line and column.
//!
//! Refuses what a settings file has no use for and what has been used to break readers: anchors, aliases, tags,
//! several documents, duplicate keys, deep nesting. Knows nothing of the settings themselves: that is `verify`.

use super::problem::{Place, Problem, shown};
use super::report::Report;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Largest settings file in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of lists and blocks.
pub(super) const MAX_DEPTH: usize = 16;
/// Most entries of one list or block; a device with twice the tags that a gateway is built for has fewer.
pub(super) const MAX_ENTRIES: usize = 20_000;
/// Longest key in bytes.
pub(super) const MAX_KEY_BYTES: usize = 128;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Without quotes: may be a number, a bool, nothing, or a text.
    Plain(String),
    /// In quotes or as a block: always a text.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the file.
    Map(Vec<Entry>),
    /// Something that was refused; the problem is already noted.
    Refused,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// Reads a file. `None` when it cannot be read to its end.
pub(super) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    if text.len() > MAX_BYTES {
        report.push(Problem::at(Place::START, super::source::too_long()));
        return None;
    }
    let mut builder = Builder {
        open: Vec::new(),
        root: None,
        documents: 0,
        report,
    };
    let options = granit_parser::options! { emit_comments: false, emit_unresolved_aliases: true, disallow_directives: true };
    for next in Parser::new_from_str_with_options(text, options) {
        let taken = match next {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(unreadable(&error)),
        };
        if let Err(problem) = taken {
            builder.report.push(problem);
            return None;
        }
    }
    let root = builder.root;
    if root.is_none() && report.is_empty() {
        let message = "the file is empty: start from `examples/press.yaml`";
        report.push(Problem::at(Place::START, message));
    }
    root
}

/// A list or block that is not closed yet.
enum Open {
    List(Place, Vec<Node>),
    Map(Place, Block, Option<Key>),
}

/// A block that is being read, and the line of each of its keys.
#[derive(Default)]
struct Block {
    entries: Vec<Entry>,
    lines: HashMap<String, usize>,
}

/// A key whose value is still to come.
struct Key {
    text: String,
    place: Place,
    /// It stood in this block before: its value is left out.
    again: bool,
}

struct Builder<'a> {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    report: &'a mut Report,
}

impl Builder<'_> {
    /// One event of the parser. An error ends the reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = Place::of(span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::at(
                        place,
                        "a second document begins here: a settings file is one document, without `---` in the middle",
                    ));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_anchor(anchor, place);
                let tagged = self.refuse_tag(tag, span);
                // The parser writes `~` for a value that is not there at all.
                let absent = style == ScalarStyle::Plain && span.start == span.end;
                let content = match style {
                    _ if tagged => Content::Refused,
                    ScalarStyle::Plain if absent => Content::Plain(String::new()),
                    ScalarStyle::Plain => Content::Plain(text.into_owned()),
                    _ => Content::Quoted(text.into_owned()),
                };
                self.scalar(content, place)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_anchor(anchor, place);
                self.refuse_tag(tag, span);
                self.deeper(Open::List(place, Vec::new()), place)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_anchor(anchor, place);
                self.refuse_tag(tag, span);
                self.deeper(Open::Map(place, Block::default(), None), place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.report.push(Problem::at(
                    place,
                    "`*` stands for something written elsewhere, which is not allowed here: write the value out. A text that begins with `*` needs quotes",
                ));
                self.place_node(Node {
                    place,
                    content: Content::Refused,
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse_anchor(&mut self, anchor: usize, place: Place) {
        if anchor != 0 {
            self.report.push(Problem::at(
                place,
                "`&` marks something to be repeated elsewhere, which is not allowed here: write the value where it is needed. A text that begins with `&` needs quotes",
            ));
        }
    }

    fn refuse_tag(&mut self, tag: Option<Cow<'_, Tag>>, span: Span) -> bool {
        if tag.is_some() {
            self.report.push(Problem::at(
                Place::of(span.tag_start.unwrap_or(span.start)),
                "a value that begins with `!` needs quotes, such as \"!bit(status, 0)\": without them `!` gives it a type, which is not allowed here",
            ));
        }
        tag.is_some()
    }

    /// A single value, or the key of a block.
    fn scalar(&mut self, content: Content, place: Place) -> Result<(), Problem> {
        if let Some(Open::Map(_, block, key @ None)) = self.open.last_mut() {
            let (Content::Plain(text) | Content::Quoted(text)) = content else {
                return Err(Problem::at(place, "a name and a colon are needed here"));
            };
            if text.len() > MAX_KEY_BYTES {
                let message = format!(
                    "the key {} is too long: at most {MAX_KEY_BYTES} bytes",
                    shown(&text)
                );
                return Err(Problem::at(place, message));
            }
            let first = block.lines.get(&text).copied();
            if let Some(line) = first {
                let message = format!(
                    "{} stands here a second time, the first is in line {line}: take one away",
                    shown(&text)
                );
                self.report.push(Problem::at(place, message));
            } else {
                block.lines.insert(text.clone(), place.line);
            }
            *key = Some(Key {
                text,
                place,
                again: first.is_some(),
            });
            return Ok(());
        }
        self.place_node(Node { place, content })
    }

    fn deeper(&mut self, open: Open, place: Place) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::at(
                place,
                format!(
                    "nested deeper than {MAX_DEPTH} levels: no setting is; look for a bracket or an indentation too many"
                ),
            ));
        }
        if let Some(Open::Map(_, _, None)) = self.open.last() {
            return Err(Problem::at(
                place,
                "a name and a colon are needed here, not a list or a block: look for braces without quotes",
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let node = match self.open.pop() {
            Some(Open::List(place, nodes)) => Node {
                place,
                content: Content::List(nodes),
            },
            Some(Open::Map(place, block, _)) => Node {
                place,
                content: Content::Map(block.entries),
            },
            None => return Ok(()),
        };
        self.place_node(node)
    }

    /// Puts a finished value where it belongs. A second value of a key is left out: its problem is noted.
    fn place_node(&mut self, node: Node) -> Result<(), Problem> {
        let full = match self.open.last() {
            Some(Open::List(_, nodes)) => nodes.len() >= MAX_ENTRIES,
            Some(Open::Map(_, block, _)) => block.entries.len() >= MAX_ENTRIES,
            None => false,
        };
        if full {
            let message = format!("more than {MAX_ENTRIES} entries in one list or block");
            return Err(Problem::at(node.place, message));
        }
        match self.open.last_mut() {
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Map(_, block, key)) => match key.take() {
                Some(key) if key.again => {}
                Some(key) => block.entries.push(Entry {
                    key: key.text,
                    place: key.place,
                    node,
                }),
                None => {
                    return Err(Problem::at(
                        node.place,
                        "a name and a colon are needed here",
                    ));
                }
            },
            None => self.root = Some(node),
        }
        Ok(())
    }
}

/// Text that is not YAML, in words for someone who does not know YAML by heart.
fn unreadable(error: &ScanError) -> Problem {
    let hint = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "a tab: indent with spaces".to_owned(),
        ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => {
            "this line does not fit the lines above: keys of one block begin in the same column, what belongs to a key is indented further".to_owned()
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            format!("`{open}` is opened and never closed")
        }
        ErrorKind::UnclosedQuotedScalar => "a quote is opened and never closed".to_owned(),
        ErrorKind::ExpectedFlowMappingSeparator => {
            "`,` or `}` is missing here or just above".to_owned()
        }
        ErrorKind::ExpectedFlowSequenceSeparator => {
            "`,` or `]` is missing here or just above".to_owned()
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::SimpleKeyExpected => {
            "a colon too many, or the key before it is not on a line of its own; a text with `: ` in it needs quotes".to_owned()
        }
        ErrorKind::DirectiveDisallowed => {
            "a line that begins with `%` is not allowed: take it away".to_owned()
        }
        ErrorKind::UnexpectedCharacter { character } => {
            format!("`{}` cannot begin a value: put the value in quotes", character.escape_default())
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            "`\\` in double quotes must be written `\\\\`, or use single quotes".to_owned()
        }
        ErrorKind::RecursionLimitExceeded => {
            format!("nested deeper than {MAX_DEPTH} levels")
        }
        other => other.to_string(),
    };
    Problem::at(
        Place::of(*error.marker()),
        format!("this is not YAML: {hint}"),
    )
}

/// What a plain scalar means (YAML 1.2 core schema).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    /// Nothing at all, `~`, `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction or an exponent; always finite.
    Float(f64),
    /// `.inf` or `.nan`, or a number too large.
    NotFinite,
    /// A whole number that begins with a zero: 8, 10 or 7 depending on who reads it.
    LeadingZero,
    /// Anything else.
    Text,
}

/// What a plain scalar means.
pub(super) fn meaning(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Plain::NotFinite;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.starts_with(['-', '+'])
            && let Ok(number) = i128::from_str_radix(digits, radix)
        {
            return Plain::Int(number);
        }
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return Plain::LeadingZero;
        }
        return text.parse().map_or(Plain::NotFinite, Plain::Int);
    }
    float(text, unsigned)
}

fn float(text: &str, unsigned: &str) -> Plain {
    let numeric = unsigned
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !numeric || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Plain::Text;
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Plain::Float(number),
        Ok(_) => Plain::NotFinite,
        Err(_) => Plain::Text,
    }
}
