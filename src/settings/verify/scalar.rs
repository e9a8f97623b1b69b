//! A single value against its schema: text, number, bool, one of several words, or a duration, size or rate.

use super::{Verifier, array};
use crate::settings::problem::{Problem, nearest, shown};
use crate::settings::status::Statuses;
use crate::settings::units::{ByteSize, Period, Rate};
use crate::settings::yaml::{Content, Node, Plain, meaning};
use serde_json::Value;

/// True for a value that was left empty.
pub(super) fn is_null(text: &str) -> bool {
    meaning(text) == Plain::Null
}

impl Verifier<'_> {
    /// A single value. `name` is that of its definition.
    pub(super) fn scalar(&mut self, node: &Node, schema: &Value, name: &str) -> Option<Value> {
        let (text, plain) = match &node.content {
            Content::Plain(text) => (text, meaning(text)),
            Content::Quoted(text) => (text, Plain::Text),
            _ => {
                let message = format!("{} is a single value, not a list or a block", self.here());
                self.note(node, message);
                return None;
            }
        };
        if plain == Plain::Null {
            self.wrong_kind(node, "");
            return None;
        }
        let read = match name {
            "Period" => Period::try_from(text.clone()).map(|_| text.as_str().into()),
            "ByteSize" => ByteSize::try_from(text.clone()).map(|_| text.as_str().into()),
            "Rate" => Rate::try_from(text.clone()).map(|_| text.as_str().into()),
            "Statuses" => Statuses::try_from(text.clone()).map(|_| text.as_str().into()),
            "Scalar" => Ok(as_it_stands(text, plain)),
            _ => {
                if let Some(words) = words(schema) {
                    return self.one_of(node, text, &words, schema);
                }
                let quoted = matches!(node.content, Content::Quoted(_));
                typed(text, plain, quoted, schema).map_err(|wrong| self.in_words(wrong))
            }
        };
        read.map_err(|message| self.note(node, message)).ok()
    }

    /// Puts the name of the key where a message has `{}`. Below a secret the text is not repeated.
    fn in_words(&self, message: String) -> String {
        let delicate =
            |key: &String| matches!(key.as_str(), "password" | "bearer" | "key" | "secret");
        if self.path.iter().any(delicate) {
            return format!("{} is a text: write it in quotes", self.here());
        }
        message.replacen("{}", &self.here(), 1)
    }

    /// `x-instead` of the schema has words for what is often written and not known.
    fn one_of(
        &mut self,
        node: &Node,
        text: &str,
        words: &[&Value],
        schema: &Value,
    ) -> Option<Value> {
        let spelt = |word: &Value| {
            word.as_str()
                .map_or_else(|| word.to_string(), str::to_owned)
        };
        if let Some(found) = words.iter().find(|word| spelt(word) == text) {
            return Some((*found).clone());
        }
        let words: Vec<String> = words.iter().map(|word| spelt(word)).collect();
        let known = || words.iter().map(String::as_str);
        let near = (elsewhere(text).filter(|word| known().any(|known| known == *word)))
            .or_else(|| nearest(text, known()))
            .map(str::to_owned);
        let mut message = format!("{} is not one of {}", shown(text), words.join(", "));
        let instead = schema
            .get("x-instead")
            .and_then(|all| all.get(text)?.as_str());
        if let Some(instead) = instead {
            message = format!("{message}: {instead}");
        }
        self.report.push(Problem {
            place: Some(node.place),
            path: self.path.join("."),
            message,
            suggestion: near,
        });
        None
    }
}

/// Our word for what PLCs (IEC 61131-3), OPC UA and manuals of devices call so.
fn elsewhere(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "boolean" => "bool",
        "sint" | "sbyte" | "int8" => "i8",
        "usint" | "byte" | "uint8" => "u8",
        "int" | "int16" | "short" => "i16",
        "uint" | "uint16" | "word" => "u16",
        "dint" | "int32" | "long" => "i32",
        "udint" | "uint32" | "dword" => "u32",
        "lint" | "int64" => "i64",
        "ulint" | "uint64" | "lword" => "u64",
        "real" | "float" | "float32" | "single" => "f32",
        "lreal" | "double" | "float64" => "f64",
        "bcd" => "bcd16",
        "string" | "str" | "char" => "text",
        "n" => "none",
        "e" => "even",
        "o" => "odd",
        "big" | "big_endian" | "be" => "ABCD",
        "little" | "little_endian" | "word_swap" | "swapped" => "CDAB",
        "," => "comma",
        "." => "point",
        _ => return None,
    })
}

/// The words that a value is one of, when it is.
fn words(schema: &Value) -> Option<Vec<&Value>> {
    if let Some(words) = array(schema, "enum") {
        return Some(words.iter().collect());
    }
    let choices = array(schema, "oneOf")?;
    Some(
        choices
            .iter()
            .flat_map(|choice| {
                let several = array(choice, "enum").into_iter().flatten();
                choice.get("const").into_iter().chain(several)
            })
            .collect(),
    )
}

/// Whatever it is.
fn as_it_stands(text: &str, plain: Plain) -> Value {
    match plain {
        Plain::Bool(on) => on.into(),
        Plain::Int(number) => i64::try_from(number).map_or_else(|_| text.into(), Value::from),
        Plain::Float(number) => number.into(),
        _ => text.into(),
    }
}

/// A text, number or bool. `{}` in a message stands for the key.
fn typed(text: &str, plain: Plain, quoted: bool, schema: &Value) -> Result<Value, String> {
    let found = shown(text);
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => match plain {
            Plain::Bool(on) => Ok(on.into()),
            _ => Err(format!("{found} is neither true nor false")),
        },
        Some("integer") => {
            whole(text, plain, schema).map_err(|wrong| unquoted(text, quoted, wrong))
        }
        Some("number") => {
            number(text, plain, schema).map_err(|wrong| unquoted(text, quoted, wrong))
        }
        _ => match plain {
            Plain::Text => Ok(text.into()),
            Plain::Bool(_) => Err(format!(
                "{found} would be read as a yes or no, but {{}} is a text: write it in quotes, \"{text}\""
            )),
            _ => Err(format!(
                "{found} would be read as a number, but {{}} is a text: write it in quotes, \"{text}\""
            )),
        },
    }
}

/// A number in quotes gets told that the quotes are the mistake.
fn unquoted(text: &str, quoted: bool, wrong: String) -> String {
    if quoted && !matches!(meaning(text), Plain::Text | Plain::Null) {
        return format!("{{}} is a number: write {text} without quotes");
    }
    wrong
}

fn whole(text: &str, plain: Plain, schema: &Value) -> Result<Value, String> {
    let found = shown(text);
    let number = match plain {
        Plain::Int(number) => number,
        Plain::LeadingZero => return Err(leading_zero(text)),
        Plain::NotFinite => return Err(format!("{found} is too large, or not a number at all")),
        _ => return Err(format!("{found} is not a whole number")),
    };
    let (low, high) = bounds(schema);
    if number < low || number > high {
        // A range that depends on other keys is checked with them, and told here.
        let told = schema.get("x-range").and_then(Value::as_str);
        let range = told.map_or_else(|| format!("{low} to {high}"), str::to_owned);
        return Err(format!("{found} is out of range: {{}} is {range}"));
    }
    match (u64::try_from(number), i64::try_from(number)) {
        (Ok(number), _) => Ok(number.into()),
        (_, Ok(number)) => Ok(number.into()),
        _ => Err(format!("{found} is too large")),
    }
}

/// Lowest and highest whole number: as the schema says, else as its format can hold.
fn bounds(schema: &Value) -> (i128, i128) {
    let keyword = |key: &str| schema.get(key).and_then(Value::as_i64).map(i128::from);
    let widest = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => i128::from(u8::MAX),
        Some("uint16") => i128::from(u16::MAX),
        Some("uint32") => i128::from(u32::MAX),
        Some("uint64") => i128::from(u64::MAX),
        _ => i128::from(i64::MAX),
    };
    (
        keyword("minimum").unwrap_or(i128::from(i64::MIN)),
        keyword("maximum").unwrap_or(widest),
    )
}

fn number(text: &str, plain: Plain, schema: &Value) -> Result<Value, String> {
    let found = shown(text);
    let number = match plain {
        Plain::Float(number) => number,
        // Exact up to 2^53; beyond it no setting is meant that finely.
        Plain::Int(number) => number as f64,
        Plain::LeadingZero => return Err(leading_zero(text)),
        Plain::NotFinite => return Err(format!("{found} is not a finite number")),
        _ => return Err(format!("{found} is not a number")),
    };
    let keyword = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = keyword("minimum").unwrap_or(f64::NEG_INFINITY);
    let high = keyword("maximum").unwrap_or(f64::INFINITY);
    if number < low || number > high {
        return Err(format!("{found} is out of range: {{}} is {low} to {high}"));
    }
    Ok(number.into())
}

fn leading_zero(text: &str) -> String {
    let bare = text.trim_start_matches(['0', '-', '+']);
    let bare = if bare.is_empty() { "0" } else { bare };
    format!("{} begins with a zero: write {bare}", shown(text))
}
