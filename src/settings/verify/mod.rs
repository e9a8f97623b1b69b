//! Reads the tree of a file against the JSON Schema of the settings: unknown, missing and misspelt keys, wrong types.
//!
//! Called by `load`. Notes every problem with its place and hands back what is right, so that the checks after it can
//! still say what is wrong with the rest. Knows the schema's keywords, not the settings.

mod scalar;

use super::problem::{Problem, nearest, shown};
use super::report::Report;
use super::yaml::{Content, Entry, Node};
use serde_json::{Map, Value};

/// Reads a file. What is wrong is noted, and left out or replaced by a stand-in; `None` when nothing is left.
pub(super) fn verify(root: &Node, schema: &Value, report: &mut Report) -> Option<Value> {
    let mut verifier = Verifier {
        schema,
        path: Vec::new(),
        report,
    };
    verifier.node(root, schema)
}

/// The definition of what never stands in the file: its text is not repeated.
const SECRET: &str = "Secret";

struct Verifier<'a> {
    schema: &'a Value,
    path: Vec<String>,
    report: &'a mut Report,
}

impl<'a> Verifier<'a> {
    fn node(&mut self, node: &Node, schema: &'a Value) -> Option<Value> {
        let (schema, name) = self.resolved(schema);
        if matches!(node.content, Content::Refused) {
            self.report.refused(self.path.join("."));
            return None;
        }
        if let Some(choices) = array(schema, "oneOf") {
            return match node.content {
                Content::Map(_) if is_tagged(choices) => self.tagged(node, choices, name),
                _ if is_tagged(choices) => self.not_tagged(node, choices, name),
                _ => self.scalar(node, schema, name),
            };
        }
        if let Some(choices) = array(schema, "anyOf") {
            return self.any_of(node, choices);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.object(node, schema),
            Some("array") => self.list(node, schema),
            _ => self.scalar(node, schema, name),
        }
    }

    /// Follows `$ref`; with the name of what it refers to.
    fn resolved(&self, schema: &'a Value) -> (&'a Value, &'a str) {
        let Some(target) = schema.get("$ref").and_then(Value::as_str) else {
            return (schema, "");
        };
        let name = target.strip_prefix("#/$defs/").unwrap_or(target);
        let found = self.schema.get("$defs").and_then(|defs| defs.get(name));
        (found.unwrap_or(schema), name)
    }

    fn object(&mut self, node: &Node, schema: &'a Value) -> Option<Value> {
        let Content::Map(entries) = &node.content else {
            self.wrong_kind(node, &self.wants_block(schema));
            return None;
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|one| one.is_object());
        let mut built = Map::new();
        let mut meant = Vec::new();
        for entry in entries {
            let Some(of) = properties.and_then(|keys| keys.get(&entry.key)).or(others) else {
                meant.extend(self.unknown_key(entry, properties));
                self.report.lose_name(&entry.key);
                self.report.lose(&entry.node);
                continue;
            };
            self.path.push(entry.key.clone());
            let value = self.node(&entry.node, of);
            if value.is_none() {
                self.report.lose(&entry.node);
            }
            // A name stays a name: what refers to it is not to blame for what is wrong with it.
            let named = || others.map(|of| self.stand_in(of));
            if let Some(value) = value.or_else(named) {
                built.insert(entry.key.clone(), value);
            }
            self.path.pop();
        }
        for key in array(schema, "required").into_iter().flatten() {
            let key = key.as_str().unwrap_or_default();
            if !entries.iter().any(|entry| entry.key == key) && !meant.contains(&key) {
                self.missing_key(node, key, properties);
            }
            if let Some(of) = properties.and_then(|keys| keys.get(key)) {
                let value = self.stand_in(of);
                built.entry(key).or_insert(value);
            }
        }
        Some(Value::Object(built))
    }

    /// Notes an unknown key; the key that was probably meant.
    fn unknown_key(
        &mut self,
        entry: &Entry,
        properties: Option<&'a Map<String, Value>>,
    ) -> Option<&'a str> {
        let known = || {
            properties
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
        };
        let short = self.report.is_short();
        let near = if short {
            nearest(&entry.key, known())
        } else {
            None
        };
        let mut message = format!("{} is not a key of {}", shown(&entry.key), self.here());
        if short && near.is_none() {
            let known: Vec<&str> = known().collect();
            message = format!("{message}; its keys are {}", known.join(", "));
        }
        self.report.push(Problem {
            place: Some(entry.place),
            path: self.at(&entry.key),
            message,
            suggestion: near.map(str::to_owned),
        });
        near
    }

    fn missing_key(&mut self, node: &Node, key: &str, properties: Option<&Map<String, Value>>) {
        let says = properties
            .and_then(|keys| keys.get(key)?.get("description")?.as_str())
            .unwrap_or_default();
        let first = says
            .split(". ")
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        let message = format!(
            "`{key}` is missing in {}: {}",
            self.here(),
            uncapitalised(first)
        );
        let place = self.path.is_empty().then_some(node.place);
        self.report.push(Problem {
            place,
            ..Problem::new(self.at(key), message)
        });
    }

    fn list(&mut self, node: &Node, schema: &'a Value) -> Option<Value> {
        let Content::List(nodes) = &node.content else {
            let example = match &node.content {
                Content::Plain(text) | Content::Quoted(text) if !text.is_empty() => {
                    format!("{} is a list: write [{text:?}]", self.here())
                }
                _ => format!(
                    "{} is a list: write [a, b], or a line with `- ` for each",
                    self.here()
                ),
            };
            self.wrong_kind(node, &example);
            return None;
        };
        let exactly = schema.get("maxItems").and_then(Value::as_u64);
        if let Some(wanted) = exactly.filter(|wanted| u64::try_from(nodes.len()) != Ok(*wanted)) {
            let message = format!("{} takes {wanted} values, not {}", self.here(), nodes.len());
            self.note(node, message);
            return None;
        }
        let of = schema.get("items")?;
        let mut built = Vec::new();
        for (at, item) in nodes.iter().enumerate() {
            self.path.push(at.to_string());
            let value = self.node(item, of);
            built.push(value.unwrap_or_else(|| self.stand_in(of)));
            self.path.pop();
        }
        Some(Value::Array(built))
    }

    /// The smallest value that a schema takes. It stands for one that was refused, so that the rest can be looked at;
    /// with a problem noted, it is never used.
    fn stand_in(&self, schema: &'a Value) -> Value {
        let (schema, name) = self.resolved(schema);
        let first = |keyword| array(schema, keyword).and_then(<[Value]>::first);
        if let Some(choice) = first("oneOf").or_else(|| first("anyOf")) {
            return choice
                .get("const")
                .cloned()
                .unwrap_or_else(|| self.stand_in(choice));
        }
        if let Some(word) = first("enum") {
            return word.clone();
        }
        match (name, schema.get("type").and_then(Value::as_str)) {
            ("Period", _) => "1s".into(),
            ("ByteSize", _) => "1MiB".into(),
            ("Rate", _) => "1/s".into(),
            ("Statuses", _) => "200".into(),
            (_, Some("object")) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let required = array(schema, "required").into_iter().flatten();
                let pair = |key: &Value| {
                    let key = key.as_str()?;
                    Some((key.to_owned(), self.stand_in(properties?.get(key)?)))
                };
                Value::Object(required.filter_map(pair).collect())
            }
            (_, Some("array")) => Value::Array(Vec::new()),
            (_, Some("boolean")) => false.into(),
            (_, Some("integer" | "number")) => schema.get("minimum").cloned().unwrap_or(0.into()),
            _ => "".into(),
        }
    }

    /// A block of exactly one of several keys, such as `{ tag: x }` or `{ value: "x" }`.
    fn tagged(&mut self, node: &Node, choices: &'a [Value], name: &str) -> Option<Value> {
        let Content::Map(entries) = &node.content else {
            return None;
        };
        if entries.len() > 1
            && entries
                .iter()
                .all(|one| tags(choices).any(|tag| tag == one.key))
        {
            let message = format!("{} takes one of {}, not both", self.here(), forms(choices));
            self.note(node, message);
            return None;
        }
        let first = entries.first().map(|entry| entry.key.as_str());
        let fitting = choices.iter().find(|choice| {
            first.is_some_and(|key| tags(std::slice::from_ref(choice)).any(|tag| tag == key))
        });
        match (fitting, first) {
            (Some(choice), _) => self.object(node, choice),
            (None, Some(key)) if name != SECRET => {
                let near = nearest(key, tags(choices)).map(str::to_owned);
                self.report.push(Problem {
                    place: entries.first().map(|entry| entry.place),
                    path: self.at(key),
                    message: format!(
                        "{} is not a key of {}: write {}",
                        shown(key),
                        self.here(),
                        forms(choices)
                    ),
                    suggestion: near,
                });
                None
            }
            (None, Some(_)) => self.not_tagged(node, choices, name),
            (None, None) => {
                let message = format!("{} is empty: write {}", self.here(), forms(choices));
                self.note(node, message);
                None
            }
        }
    }

    fn not_tagged(&mut self, node: &Node, choices: &[Value], name: &str) -> Option<Value> {
        let message = if name == SECRET {
            format!(
                "a secret never stands in this file: write {}",
                forms(choices)
            )
        } else {
            format!(
                "{} says where it comes from: write {}",
                self.here(),
                forms(choices)
            )
        };
        self.wrong_kind(node, &message);
        None
    }

    /// One of several kinds, told apart by whether it is a block.
    fn any_of(&mut self, node: &Node, choices: &'a [Value]) -> Option<Value> {
        let block = matches!(node.content, Content::Map(_));
        let kind = |choice: &'a Value| {
            let schema = self.resolved(choice).0;
            match array(schema, "oneOf").is_some_and(is_tagged) {
                true => Some("object"),
                false => schema.get("type").and_then(Value::as_str),
            }
        };
        let is_block = |choice: &&'a Value| kind(choice) == Some("object");
        let fitting = choices.iter().find(|choice| is_block(choice) == block)?;
        let wants_text = kind(fitting) == Some("string");
        if !wants_text
            && let Content::Plain(text) | Content::Quoted(text) = &node.content
            && !text.starts_with(|letter: char| letter.is_ascii_digit() || "-+.".contains(letter))
            && !text.is_empty()
        {
            let message = format!(
                "{} is not a number; what comes from a tag is written {{ tag: NAME }}",
                shown(text)
            );
            self.note(node, message);
            return None;
        }
        self.node(node, fitting)
    }

    /// What a block should have, for someone who wrote something else.
    fn wants_block(&self, schema: &Value) -> String {
        match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                let required: Vec<String> = array(schema, "required")
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(|key| format!("`{key}:`"))
                    .collect();
                let keys = if required.is_empty() {
                    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
                    keys.join(", ")
                } else {
                    required.join(" and ")
                };
                format!("{} is a block with keys of its own: {keys}", self.here())
            }
            None => format!(
                "{} is a block: below it one line for each, `NAME: ...`",
                self.here()
            ),
        }
    }

    /// Notes that something of another kind was wanted; an empty value is told as such.
    fn wrong_kind(&mut self, node: &Node, wanted: &str) {
        let empty = matches!(&node.content, Content::Plain(text) if scalar::is_null(text));
        if empty {
            let message = format!(
                "{} has no value: write one, or take the key away",
                self.here()
            );
            self.note(node, message);
        } else {
            self.note(node, wanted.to_owned());
        }
    }

    /// Notes a problem of the value at hand.
    fn note(&mut self, node: &Node, message: String) {
        let place = match node.content {
            _ if self.path.is_empty() => Some(node.place),
            // Of a block, or of nothing, the key is the better place; `Places` knows it.
            Content::List(_) | Content::Map(_) => None,
            Content::Plain(ref text) if text.is_empty() => None,
            _ => Some(node.place),
        };
        self.report.push(Problem {
            place,
            ..Problem::new(self.path.join("."), message)
        });
    }

    /// The path of a key of the block at hand.
    fn at(&self, key: &str) -> String {
        let mut path = self.path.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        path + key
    }

    /// The value at hand in words.
    fn here(&self) -> String {
        let is_name = |key: &&String| key.parse::<usize>().is_err();
        match (self.path.last(), self.path.iter().rev().find(is_name)) {
            (Some(last), _) if is_name(&last) => shown(last),
            (Some(last), Some(list)) => {
                let number = last.parse::<usize>().unwrap_or(0).saturating_add(1);
                format!("entry {number} of {}", shown(list))
            }
            _ => "the settings".into(),
        }
    }
}

/// A sentence as it goes on after a colon.
fn uncapitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

/// A list among the keywords of a schema.
fn array<'a>(schema: &'a Value, keyword: &str) -> Option<&'a [Value]> {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
}

/// True when the choices are blocks of one key each.
fn is_tagged(choices: &[Value]) -> bool {
    choices
        .iter()
        .all(|choice| choice.get("properties").is_some())
}

/// The keys that tell the choices apart.
fn tags(choices: &[Value]) -> impl Iterator<Item = &str> {
    choices
        .iter()
        .filter_map(|choice| choice.get("properties")?.as_object())
        .flat_map(Map::keys)
        .map(String::as_str)
}

/// How the choices are written.
fn forms(choices: &[Value]) -> String {
    let forms: Vec<String> = tags(choices)
        .map(|tag| match tag {
            "value" => "`{ value: \"TEXT\" }`".into(),
            "file" => "`{ file: /PATH }`".into(),
            tag => format!("`{{ {tag}: NAME }}`"),
        })
        .collect();
    forms.join(" or ")
}
