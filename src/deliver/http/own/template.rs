//! The template engine as this gateway uses it: strict about what is not there, escaping by what a text becomes, bounded.

use super::super::encode::percent;
use minijinja::value::{Serde, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

/// Longest template.
pub(super) const MAX_TEMPLATE_BYTES: u64 = 64 << 10;
/// Instructions of one rendering: a profile of 1,000 points takes some 20,000.
const FUEL: u64 = 500_000;
/// Longest reason that is told on, in characters.
const MAX_REASON_CHARS: usize = 240;

/// What a template becomes, which says how its expressions are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A URL: each expression is percent-encoded, and one of nothing is refused.
    Url,
    /// A header value: no control characters.
    Header,
    /// JSON: each expression is a JSON value, quotes and all.
    Json,
    /// XML: each expression is character data.
    Xml,
    /// Anything else: as it is.
    Text,
}

impl Kind {
    /// By the name of a body's file, without `.j2` or `.jinja`.
    pub(super) fn of_file(file: &Path) -> Kind {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        let name = [".j2", ".jinja", ".jinja2"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(&name);
        match name.rsplit_once('.') {
            Some((_, "json")) => Kind::Json,
            Some((_, "xml" | "soap")) => Kind::Xml,
            _ => Kind::Text,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Kind::Json => "application/json",
            Kind::Xml => "application/xml; charset=utf-8",
            Kind::Url | Kind::Header | Kind::Text => "text/plain; charset=utf-8",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Url => "url",
            Kind::Header => "header",
            Kind::Json => "json",
            Kind::Xml => "xml",
            Kind::Text => "text",
        }
    }

    fn escape(name: &str) -> AutoEscape {
        match name.rsplit_once(':') {
            Some((_, "url")) => AutoEscape::Custom("url".into()),
            Some((_, "header")) => AutoEscape::Custom("header".into()),
            Some((_, "json")) => AutoEscape::Json,
            Some((_, "xml")) => AutoEscape::Custom("xml".into()),
            _ => AutoEscape::Custom("text".into()),
        }
    }
}

/// Compiled templates by name.
pub(super) struct Templates {
    environment: Environment<'static>,
    kinds: std::collections::HashMap<String, Kind>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Templates")
    }
}

impl Default for Templates {
    fn default() -> Templates {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        // So that errors know their place.
        environment.set_debug(true);
        environment.set_auto_escape_callback(Kind::escape);
        environment.set_formatter(format);
        Templates {
            environment,
            kinds: std::collections::HashMap::new(),
        }
    }
}

/// A problem of a template and where it is, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: Option<usize>,
    /// First byte in the text.
    pub(super) offset: Option<usize>,
    pub(super) words: String,
}

impl Templates {
    /// Compiles a template.
    pub(super) fn add(&mut self, name: String, kind: Kind, text: String) -> Result<(), String> {
        self.try_add(name, kind, text)
            .map_err(|fault| match fault.line {
                Some(line) => format!("line {line}: {}", fault.words),
                None => fault.words,
            })
    }

    pub(super) fn try_add(&mut self, name: String, kind: Kind, text: String) -> Result<(), Fault> {
        let inner = inner(&name, kind);
        let added = self.environment.add_template_owned(inner, text);
        self.kinds.insert(name, kind);
        added.map_err(|error| Fault {
            line: error.line(),
            offset: error.range().map(|range| range.start),
            words: words(&error),
        })
    }

    /// What the template makes of an event, at most so many bytes.
    pub(super) fn render(&self, name: &str, event: &Value, most: usize) -> Result<String, String> {
        let kind = self.kinds.get(name).copied().unwrap_or(Kind::Text);
        let template = self
            .environment
            .get_template(&inner(name, kind))
            .map_err(|error| words(&error))?;
        let mut out = Bounded {
            bytes: Vec::new(),
            most,
        };
        template
            .render_captured_to(event.clone(), &mut out)
            .map_err(|error| {
                let place = error.line().map(|line| format!(" (line {line})"));
                format!("{}{}", words(&error), place.unwrap_or_default())
            })?;
        String::from_utf8(out.bytes).map_err(|_| "no UTF-8".to_owned())
    }

    /// Whether the engine has a filter of this name.
    pub(super) fn has_filter(&self, name: &str) -> bool {
        let applied = self.environment.empty_state().apply_filter(name, &[]);
        !matches!(applied, Err(error) if error.kind() == ErrorKind::UnknownFilter)
    }

    /// Whether the engine has a test of this name, as in `x is defined`.
    pub(super) fn has_test(&self, name: &str) -> bool {
        let performed = self.environment.empty_state().perform_test(name, &[]);
        !matches!(performed, Err(error) if error.kind() == ErrorKind::UnknownTest)
    }

    /// Every variable that a template takes from the event, with the parts it takes: `data.operation.id`.
    pub(super) fn variables(&self, name: &str, kind: Kind) -> HashSet<String> {
        let Ok(template) = self.environment.get_template(&inner(name, kind)) else {
            return HashSet::new();
        };
        let mut found = template.undeclared_variables(true);
        for (global, _) in self.environment.globals() {
            found.retain(|one| one.split('.').next() != Some(global));
        }
        found
    }
}

/// The engine's name of a template: its end says how it escapes.
fn inner(name: &str, kind: Kind) -> String {
    format!("{name}:{}", kind.word())
}

/// The event as templates see it.
pub(super) fn event(payload: &[u8]) -> Result<Value, String> {
    let event: serde_json::Value = serde_json::from_slice(payload)
        .map_err(|error| format!("the event is no JSON: {error}"))?;
    Ok(Value::from(Serde(event)))
}

/// The text of a template's file.
pub(super) fn read(file: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", file.display());
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MAX_TEMPLATE_BYTES + 1).read_to_end(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_TEMPLATE_BYTES {
        return Err(format!("{} is longer than 64 KiB", file.display()));
    }
    String::from_utf8(text).map_err(|_| format!("{} is not UTF-8 text", file.display()))
}

/// Writes one expression.
fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let escape = match state.auto_escape() {
        AutoEscape::Custom(name) => name.to_string(),
        _ => return minijinja::escape_formatter(out, state, value),
    };
    let text = plain(value);
    let written = match escape.as_str() {
        "url" => out.write_str(&percent(&part_of_url(&text)?)),
        "header" if text.chars().any(char::is_control) => {
            return Err(refused(
                "it has control characters, which no header line can carry",
            ));
        }
        "header" if value.is_none() => return Err(refused("it is null")),
        "xml" if !value.is_safe() => xml(out, &text),
        _ => out.write_str(&text),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "it is too long"))
}

/// A value as people write it: `true`, and nothing for null.
fn plain(value: &Value) -> String {
    match value.kind() {
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.into(),
        ValueKind::None | ValueKind::Undefined => String::new(),
        _ => value.to_string(),
    }
}

/// Nothing would name another resource, and dots would climb to one.
fn part_of_url(text: &str) -> Result<String, Error> {
    match text {
        "" => Err(refused("it is null or empty, and would make another URL")),
        "." | ".." => Err(refused("it would make another URL")),
        text => Ok(text.to_owned()),
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// Character data. What XML 1.0 cannot have becomes its picture: codes of parts have group separators.
fn xml(out: &mut Output<'_>, text: &str) -> fmt::Result {
    for letter in text.chars() {
        match letter {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&apos;")?,
            '\t' | '\n' | '\r' => write!(out, "&#{};", u32::from(letter))?,
            '\0'..='\u{1f}' => {
                let picture = char::from_u32(0x2400 + u32::from(letter));
                write!(out, "{}", picture.unwrap_or(char::REPLACEMENT_CHARACTER))?;
            }
            '\u{fffe}' | '\u{ffff}' => write!(out, "{}", char::REPLACEMENT_CHARACTER)?,
            other => write!(out, "{other}")?,
        }
    }
    Ok(())
}

/// What went wrong, in one line.
fn words(error: &Error) -> String {
    let words = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, Some(detail)) => {
            format!("the event does not have it: {detail}")
        }
        (ErrorKind::UndefinedError, None) => {
            "the event does not have a part that is written here".into()
        }
        (ErrorKind::OutOfFuel, _) => "it takes more steps than a body may".into(),
        (ErrorKind::WriteFailure, _) => "it becomes longer than it may".into(),
        (ErrorKind::TemplateNotFound | ErrorKind::BadInclude, _) => {
            "a template is one file: it cannot include or extend another".into()
        }
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    words
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(MAX_REASON_CHARS)
        .collect()
}

/// Text that is not longer than it may be.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.most {
            return Err(io::Error::other("too long"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
