//! A B2MML document that somebody else wrote, as a tree. Whatever the bytes are, reading them ends: bounded size and depth,
//! no document types, no entities but the five of XML.

use super::{AnswerError, MAX_ANSWER_BYTES};
use crate::format::b2mml::xml::{NAMESPACE, is_legal};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// Deepest element. An answer that repeats the whole document has 16.
const MAX_DEPTH: usize = 64;
/// The attribute that carries the verdict.
const ACTION_CODE: &str = "actionCode";
const ILLEGAL: &str = "a character that XML cannot have";

/// An element.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Its name without prefix; empty where it is not of B2MML.
    pub(super) name: String,
    /// The attribute `actionCode`.
    pub(super) action: Option<String>,
    /// The text in it, that of its children not included.
    text: String,
    children: Vec<Node>,
}

impl Node {
    /// The elements in it that have this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The only element in it of this name.
    ///
    /// # Errors
    ///
    /// When there are several.
    pub(super) fn one(&self, name: &'static str) -> Result<Option<&Node>, AnswerError> {
        let mut found = self.all(name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(AnswerError::Twice(name)),
            (one, _) => Ok(one),
        }
    }

    /// The text in it, without the space around it; nothing where there is none.
    pub(super) fn text(&self) -> Option<&str> {
        let text = self.text.trim();
        (!text.is_empty()).then_some(text)
    }
}

/// The root of the document in `body`.
///
/// # Errors
///
/// When it is no XML, or more than an answer may be.
pub(super) fn read(body: &[u8]) -> Result<Node, AnswerError> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(AnswerError::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| AnswerError::NotText)?;
    if !text.chars().all(is_legal) {
        return Err(AnswerError::NotXml(ILLEGAL.to_owned()));
    }
    let mut reader = NsReader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().enable_all_checks(true);
    let mut open = Open::default();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(not_xml)?;
        let ours = namespace == ResolveResult::Bound(Namespace(NAMESPACE));
        match event {
            Event::Start(start) => open.begin(&start, ours)?,
            Event::Empty(start) => {
                open.begin(&start, ours)?;
                open.end();
            }
            Event::End(_) => open.end(),
            Event::Text(text) => open.text(&text.xml10_content())?,
            Event::CData(text) => open.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => open.text(&character(&reference)?)?,
            Event::DocType(_) => return Err(AnswerError::Forbidden("a document type")),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return open.root(),
        }
    }
}

/// What has been read so far.
#[derive(Default)]
struct Open {
    root: Option<Node>,
    path: Vec<Node>,
}

impl Open {
    fn begin(&mut self, start: &BytesStart<'_>, ours: bool) -> Result<(), AnswerError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(AnswerError::Forbidden(
                "more than 64 elements in one another",
            ));
        }
        if self.path.is_empty() && self.root.is_some() {
            return Err(AnswerError::NotXml("a second root".to_owned()));
        }
        let mut node = Node::default();
        // All are looked at, so that one that is written twice is seen.
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| AnswerError::NotXml(error.to_string()))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(not_xml)?;
            if attribute.key.0 == ACTION_CODE {
                node.action = Some(value.into_owned());
            }
        }
        if ours {
            node.name = start.local_name().as_ref().to_owned();
        }
        self.path.push(node);
        Ok(())
    }

    fn end(&mut self) {
        let Some(ended) = self.path.pop() else {
            return;
        };
        match self.path.last_mut() {
            Some(parent) => parent.children.push(ended),
            None => self.root = Some(ended),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), AnswerError> {
        match self.path.last_mut() {
            Some(node) => node.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(AnswerError::NotXml("text outside of the root".to_owned())),
        }
        Ok(())
    }

    fn root(self) -> Result<Node, AnswerError> {
        match (self.root, self.path.is_empty()) {
            (Some(root), true) => Ok(root),
            _ => Err(AnswerError::NotXml("it ends in the middle".to_owned())),
        }
    }
}

/// The character that a reference means.
fn character(reference: &BytesRef<'_>) -> Result<String, AnswerError> {
    match reference.resolve_char_ref().map_err(not_xml)? {
        Some(c) if is_legal(c) => Ok(c.to_string()),
        Some(_) => Err(AnswerError::NotXml(ILLEGAL.to_owned())),
        None => {
            let known = resolve_xml_entity(reference);
            let known = known.ok_or(AnswerError::Forbidden("an entity of its own"))?;
            Ok(known.to_owned())
        }
    }
}

fn not_xml(error: quick_xml::Error) -> AnswerError {
    AnswerError::NotXml(error.to_string())
}
