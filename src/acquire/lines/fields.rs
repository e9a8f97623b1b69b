//! Pure. A telegram -> what the tags of the device read in it. Called by the driver with each whole telegram.
//!
//! A line that is not what the settings expect is refused as a whole: no symbology identifier, no match of the pattern. A
//! part that did not take part gives no reading; one that is there and cannot be read is bad.

use super::number;
use crate::model::{BadReason, TagId, Value, gs1};
use crate::settings::shape::{Decimal, Encoding, Parity, TagType};
use crate::settings::{LineField, Lines, LinesWire, Tag, TagSource};
use regex::{Captures, Regex};
use std::borrow::Cow;

/// What a tag read in a line.
pub type Part = (TagId, Result<Value, BadReason>);

/// Reads the lines of one device.
#[derive(Debug)]
pub struct Fields {
    encoding: Encoding,
    aim: bool,
    pattern: Option<Regex>,
    decimal: Decimal,
    /// A character whose parity was wrong reads as NUL.
    garbled_is_nul: bool,
    tags: Vec<(TagId, LineField)>,
}

/// A line that is none of those that the device should send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `aim: true`, and no symbology identifier stands first: the beginning is lost, or the scanner is not set so.
    NoSymbology,
    /// The pattern does not match.
    NoMatch,
}

impl Refusal {
    /// What to check.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Refusal::NoSymbology => {
                "no symbology identifier stands first; is the scanner set to send it?"
            }
            Refusal::NoMatch => "it does not match `pattern`",
        }
    }
}

/// A line, taken apart as far as all tags need it.
struct Line<'a> {
    symbology: Option<&'a str>,
    text: &'a str,
    groups: Option<Captures<'a>>,
}

impl Fields {
    /// For the tags of one device.
    pub fn new<'a>(settings: &Lines, tags: impl IntoIterator<Item = &'a Tag>) -> Fields {
        let field = |tag: &Tag| match &tag.source {
            TagSource::Line(field) => Some((tag.id, field.clone())),
            TagSource::Modbus(_) | TagSource::OpcUa(_) => None,
        };
        let garbled_is_nul =
            matches!(&settings.wire, LinesWire::Serial(port) if port.parity != Parity::None);
        Fields {
            encoding: settings.encoding,
            aim: settings.aim,
            // The settings have been checked: it is one.
            pattern: settings
                .pattern
                .as_deref()
                .and_then(|text| Regex::new(text).ok()),
            decimal: settings.decimal,
            garbled_is_nul,
            tags: tags.into_iter().filter_map(field).collect(),
        }
    }

    /// What the tags read in a telegram.
    ///
    /// # Errors
    /// The line is none of those that the device should send.
    pub fn read(&self, telegram: &[u8]) -> Result<Vec<Part>, Refusal> {
        let Some(text) = self.decoded(telegram) else {
            return Ok(self.all_bad(BadReason::Malformed));
        };
        let (symbology, text) = self.split(&text)?;
        let groups = match &self.pattern {
            Some(pattern) => Some(pattern.captures(text).ok_or(Refusal::NoMatch)?),
            None => None,
        };
        let line = Line {
            symbology,
            text,
            groups,
        };
        Ok(self.parts(&line))
    }

    /// All tags bad for one reason: of a device that was asked and said something else.
    #[must_use]
    pub fn all_bad(&self, reason: BadReason) -> Vec<Part> {
        self.tags
            .iter()
            .map(|(tag, _)| (*tag, Err(reason)))
            .collect()
    }

    /// Why a telegram whose tags want elements of a GS1 symbol holds none, where that is what is wrong with it.
    #[must_use]
    pub fn flaw(&self, telegram: &[u8]) -> Option<gs1::Gs1Error> {
        let text = self.decoded(telegram)?;
        let (symbology, text) = self.split(&text).ok()?;
        self.elements(symbology, text)?.err()
    }

    /// The symbology identifier where one is wanted, and the text.
    fn split<'a>(&self, text: &'a str) -> Result<(Option<&'a str>, &'a str), Refusal> {
        match gs1::split_symbology(text) {
            Some((symbology, rest)) if self.aim => Ok((Some(symbology), rest)),
            None if self.aim => Err(Refusal::NoSymbology),
            _ => Ok((None, text)),
        }
    }

    /// The elements of a symbol, where some are wanted and it may have some.
    fn elements<'a>(
        &self,
        symbology: Option<&str>,
        text: &'a str,
    ) -> Option<Result<Vec<gs1::Element<'a>>, gs1::Gs1Error>> {
        let is_gs1 = symbology.is_none_or(gs1::means_gs1);
        let wants_elements = self
            .tags
            .iter()
            .any(|(_, field)| matches!(field, LineField::Gs1(_)));
        (wants_elements && is_gs1).then(|| gs1::elements(text))
    }

    /// The characters, or nothing where these bytes mean none.
    fn decoded<'a>(&self, telegram: &'a [u8]) -> Option<Cow<'a, str>> {
        if self.garbled_is_nul && telegram.contains(&0) {
            return None;
        }
        match self.encoding {
            Encoding::Utf8 => std::str::from_utf8(telegram).ok().map(Cow::Borrowed),
            Encoding::Latin1 => Some(telegram.iter().copied().map(char::from).collect()),
        }
    }

    fn parts(&self, line: &Line<'_>) -> Vec<Part> {
        let elements = self.elements(line.symbology, line.text);
        let value = |(tag, field): &(TagId, LineField)| {
            let value = match field {
                LineField::Text => Ok(Value::Text(line.text.into())),
                LineField::Number => number::measured(line.text, self.decimal),
                LineField::Symbology => Ok(Value::Text(line.symbology?.into())),
                LineField::Group { name, kind } => self.group(line, name, *kind)?,
                LineField::Gs1(identifier) => match elements.as_ref()? {
                    Ok(elements) => element(elements, identifier)?,
                    Err(_) => Err(BadReason::Malformed),
                },
            };
            Some((*tag, value))
        };
        self.tags.iter().filter_map(value).collect()
    }

    fn group(
        &self,
        line: &Line<'_>,
        name: &str,
        kind: TagType,
    ) -> Option<Result<Value, BadReason>> {
        let group = line.groups.as_ref()?.name(name)?;
        Some(number::typed(group.as_str(), kind, self.decimal))
    }
}

/// The value of an application identifier; `310` means any of `3100` to `3109`. `None` where the symbol has none.
fn element(elements: &[gs1::Element<'_>], wanted: &str) -> Option<Result<Value, BadReason>> {
    let any_decimals = wanted.len() == 3;
    let is_wanted = |element: &&gs1::Element<'_>| {
        let is_of_family = any_decimals
            && gs1::has_decimals(element.identifier)
            && element.identifier.starts_with(wanted);
        element.identifier == wanted || is_of_family
    };
    let element = elements.iter().find(is_wanted)?;
    if gs1::has_decimals(element.identifier) {
        Some(
            element
                .number()
                .map(Value::Float)
                .ok_or(BadReason::Malformed),
        )
    } else {
        Some(Ok(Value::Text(element.value.into())))
    }
}

#[cfg(test)]
mod tests;
