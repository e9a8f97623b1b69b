//! What is wrong with the templates of `requests:`, told by `check` before anything is sent: syntax, and every variable
//! against the schema of the events that come there. With the line and column in the template's file.

use super::super::super::filter::EventFilter;
use super::quotes::quoted;
use super::schema::{Found, Place};
use super::template::{self, Fault, Kind, Templates};
use crate::model::EventKind;
use crate::settings::shape::{Http, Request};
use crate::settings::{Problem, Uplink, nearest};
use regex::Regex;
use std::collections::BTreeMap;
use std::path::Path;

/// Most names that a message lists.
const MAX_NAMES: usize = 24;

/// A template and where it stands.
pub(super) struct Text<'a> {
    /// Path in the settings.
    path: String,
    /// The file, where it is one.
    file: Option<&'a Path>,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Everything that is wrong with the requests of an uplink, their files being beside the settings in `folder`.
pub(in crate::deliver) fn check(uplink: &Uplink, http: &Http, folder: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (pattern, request) in &http.requests {
        let path = format!("uplinks.{}.http.requests.{pattern}", uplink.name);
        let kinds = kinds(uplink, http, pattern);
        for text in texts(request, &path, folder, &mut problems) {
            problems.extend(of_text(&text, &kinds));
        }
    }
    problems
}

/// The kinds of events that come to the request with this pattern.
pub(super) fn kinds(uplink: &Uplink, http: &Http, pattern: &str) -> Vec<EventKind> {
    let events = EventFilter::new(&uplink.events);
    let own = EventFilter::new(&[pattern.to_owned()]);
    let narrower = http
        .requests
        .keys()
        .filter(|other| super::width(other) < super::width(pattern));
    let narrower: Vec<String> = narrower.cloned().collect();
    let narrower = EventFilter::new(&narrower);
    let comes = |kind: &EventKind| {
        let name = kind.name();
        events.wants(name) && own.wants(name) && !narrower.wants(name)
    };
    EventKind::ALL.into_iter().filter(comes).collect()
}

pub(super) fn texts<'a>(
    request: &'a Request,
    path: &str,
    folder: &Path,
    problems: &mut Vec<Problem>,
) -> Vec<Text<'a>> {
    let mut texts = Vec::new();
    if let Some((method, url)) = request.target() {
        texts.push(Text {
            path: format!("{path}.{}", method.to_ascii_lowercase()),
            file: None,
            kind: Kind::Url,
            text: url.to_owned(),
        });
    }
    for (name, value) in &request.headers {
        texts.push(Text {
            path: format!("{path}.headers.{name}"),
            file: None,
            kind: Kind::Header,
            text: value.clone(),
        });
    }
    let body = format!("{path}.body");
    match template::read(&folder.join(&request.body)) {
        _ if request.body.as_os_str().is_empty() => {}
        Ok(text) => texts.push(Text {
            path: body,
            file: Some(&request.body),
            kind: Kind::of_file(&request.body),
            text,
        }),
        Err(why) => problems.push(Problem::new(body, why)),
    }
    texts
}

fn of_text(text: &Text<'_>, kinds: &[EventKind]) -> Vec<Problem> {
    const NAME: &str = "t";
    let mut templates = Templates::default();
    if let Err(fault) = templates.try_add(NAME.into(), text.kind, text.text.clone()) {
        return vec![text.fault(&fault)];
    }
    let mut problems = Vec::new();
    if text.kind == Kind::Json {
        let twice = quoted(&text.text).into_iter().map(|at| {
            text.problem(
                Some(at),
                "an expression in JSON brings its own quotes: write {{ x }} without, or {{ \"A-\" ~ x }} for a part of a text",
            )
        });
        problems.extend(twice);
    }
    let mut found: BTreeMap<usize, Problem> = BTreeMap::new();
    for (at, message) in text.unknown_words(&templates) {
        found.insert(at, text.problem(Some(at), &message));
    }
    let variables = templates.variables(NAME, text.kind);
    for variable in &variables {
        let at = text.find(variable);
        if let Some(problem) = unknown(text, variable, variable, at, &starts(kinds)) {
            found.entry(at.unwrap_or(0)).or_insert(problem);
        }
    }
    for (written, path, at) in text.of_loops() {
        if let Some(problem) = unknown(text, &written, &path, Some(at), &starts(kinds)) {
            found.entry(at).or_insert(problem);
        }
    }
    problems.extend(found.into_values());
    problems
}

pub(super) fn starts(kinds: &[EventKind]) -> Vec<(EventKind, Place)> {
    kinds
        .iter()
        .map(|kind| (*kind, Place::event(*kind)))
        .collect()
}

/// What is wrong with a variable that is `written` so and means `path`; it must lead somewhere in all events that come, or,
/// where the template asks whether it is there, in some of them.
fn unknown(
    text: &Text<'_>,
    written: &str,
    path: &str,
    at: Option<usize>,
    starts: &[(EventKind, Place)],
) -> Option<Problem> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut missing: Vec<(&str, usize, Vec<String>)> = Vec::new();
    for (kind, start) in starts {
        if let Found::Nothing { good, names } = start.follow(&parts) {
            missing.push((kind.name(), good, names));
        }
    }
    let some = !missing.is_empty() && missing.len() < starts.len();
    if some && text.asks_for(written) {
        return None;
    }
    let (_, good, names) = missing.iter().max_by_key(|(_, good, _)| *good)?.clone();
    let of: Vec<&str> = missing.iter().map(|(name, ..)| *name).collect();
    let wrong = parts.get(good).copied().unwrap_or_default();
    let above = parts.get(..good).unwrap_or_default().join(".");
    let shown: Vec<&str> = names.iter().take(MAX_NAMES).map(String::as_str).collect();
    let there = match (above.as_str(), shown.is_empty()) {
        (_, true) => format!("`{above}` has no parts"),
        ("", false) => format!("there are {}", shown.join(", ")),
        (above, false) => format!("`{above}` has {}", shown.join(", ")),
    };
    let message = match some {
        true => format!(
            "`{written}` is not in {}: {there}; ask before, {{% if {written} is defined %}}",
            of.join(", ")
        ),
        false => format!("`{written}` is not in {}: {there}", of.join(", ")),
    };
    let near = nearest(wrong, names.iter().map(String::as_str)).map(|near| {
        let rest = parts.get(good + 1..).unwrap_or_default();
        let meant = [&[above.as_str()][..], &[near], rest].concat();
        let meant: Vec<&str> = meant.into_iter().filter(|part| !part.is_empty()).collect();
        meant.join(".")
    });
    Some(Problem {
        suggestion: near,
        ..text.problem(at, &message)
    })
}

impl Text<'_> {
    pub(super) fn problem(&self, offset: Option<usize>, message: &str) -> Problem {
        let place = match (self.file, offset) {
            (Some(file), Some(offset)) => {
                let before = self.text.get(..offset).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before
                    .rsplit('\n')
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .count()
                    + 1;
                format!("{}:{line}:{column}: ", file.display())
            }
            (Some(file), None) => format!("{}: ", file.display()),
            (None, _) => String::new(),
        };
        Problem::new(self.path.clone(), format!("{place}{message}"))
    }

    fn fault(&self, fault: &Fault) -> Problem {
        let line_start = |line: usize| {
            let before = self.text.split_inclusive('\n').take(line.saturating_sub(1));
            before.map(str::len).sum()
        };
        let offset = fault.offset.or(fault.line.map(line_start));
        self.problem(offset, &format!("not a template: {}", fault.words))
    }

    /// Where a variable stands first, as it was written.
    pub(super) fn find(&self, variable: &str) -> Option<usize> {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
        let whole = |at: &usize| {
            let before = self
                .text
                .get(..*at)
                .and_then(|text| text.chars().next_back());
            let after = self.text.get(at + variable.len()..);
            let after = after.and_then(|text| text.chars().next());
            let goes_on = |letter: char| letter.is_alphanumeric() || letter == '_';
            !before.is_some_and(is_part) && !after.is_some_and(goes_on)
        };
        let mut all = self.text.match_indices(variable).map(|(at, _)| at);
        all.find(whole)
    }

    /// Filters and tests that the engine does not have: it would notice only with an event.
    fn unknown_words(&self, templates: &Templates) -> Vec<(usize, String)> {
        let filter = Regex::new(r"\|\s*([A-Za-z_]\w*)");
        let test = Regex::new(r"\bis\s+(?:not\s+)?([A-Za-z_]\w*)");
        let (Ok(filter), Ok(test)) = (filter, test) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (start, end) in expressions(&self.text) {
            let inside = without_texts(self.text.get(start..end).unwrap_or_default());
            let names = |of: &Regex| -> Vec<(usize, String)> {
                let all = of.captures_iter(&inside).filter_map(|one| one.get(1));
                all.map(|name| (start + name.start(), name.as_str().to_owned()))
                    .collect()
            };
            let filters = names(&filter)
                .into_iter()
                .filter(|(_, name)| !templates.has_filter(name));
            found.extend(filters.map(|(at, name)| (at, format!("there is no filter `{name}`"))));
            let tests = names(&test)
                .into_iter()
                .filter(|(_, name)| !templates.has_test(name));
            found.extend(tests.map(|(at, name)| (at, format!("there is no test `{name}`"))));
        }
        found
    }

    /// Whether the template asks if this, or what it is a part of, is there.
    pub(super) fn asks_for(&self, variable: &str) -> bool {
        let mut whole = String::new();
        for part in variable.split('.') {
            if !whole.is_empty() {
                whole.push('.');
            }
            whole.push_str(part);
            for question in ["is defined", "is not defined", "is undefined"] {
                if self.text.contains(&format!("{whole} {question}")) {
                    return true;
                }
            }
        }
        false
    }

    /// What is taken from the variables of simple loops, `{% for part in data.parts %}`: as it is written, the path that it
    /// means, and where it stands.
    pub(super) fn of_loops(&self) -> Vec<(String, String, usize)> {
        let Ok(head) = Regex::new(r"\{%-?\s*for\s+(\w+)\s+in\s+([A-Za-z_][\w.]*)") else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut lists: BTreeMap<String, String> = BTreeMap::new();
        for head in head.captures_iter(&self.text) {
            let (Some(whole), Some(name), Some(list)) = (head.get(0), head.get(1), head.get(2))
            else {
                continue;
            };
            let list = meant(list.as_str(), &lists);
            lists.insert(name.as_str().to_owned(), format!("{list}.0"));
            let Ok(use_of) = Regex::new(&format!(r"\b{}((?:\.[A-Za-z_]\w*)+)", name.as_str()))
            else {
                continue;
            };
            let body = self.text.get(whole.end()..).unwrap_or_default();
            for (start, end) in expressions(body) {
                let inside = body.get(start..end).unwrap_or_default();
                for used in use_of.captures_iter(inside) {
                    let (Some(written), Some(parts)) = (used.get(0), used.get(1)) else {
                        continue;
                    };
                    let before = inside.get(..written.start()).unwrap_or_default();
                    if before.ends_with('.') {
                        continue;
                    }
                    let path = format!("{list}.0{}", parts.as_str());
                    let at = whole.end() + start + written.start();
                    found.push((written.as_str().to_owned(), path, at));
                }
            }
        }
        found
    }
}

/// An expression with blanks for what stands in quotes.
pub(super) fn without_texts(expression: &str) -> String {
    let mut quote = None;
    let mut plain = String::with_capacity(expression.len());
    let blank = |plain: &mut String, letter: char| {
        plain.extend(std::iter::repeat_n(' ', letter.len_utf8()));
    };
    for letter in expression.chars() {
        match (quote, letter) {
            (None, '"' | '\'') => {
                quote = Some(letter);
                blank(&mut plain, letter);
            }
            (None, _) => plain.push(letter),
            (Some(open), _) => {
                if letter == open {
                    quote = None;
                }
                blank(&mut plain, letter);
            }
        }
    }
    plain
}

/// A list that is taken from the variable of an outer loop is a part of that one's list.
fn meant(list: &str, loops: &BTreeMap<String, String>) -> String {
    let (first, rest) = list.split_once('.').unwrap_or((list, ""));
    match loops.get(first) {
        Some(outer) if rest.is_empty() => outer.clone(),
        Some(outer) => format!("{outer}.{rest}"),
        None => list.to_owned(),
    }
}

/// Where the expressions and blocks of a template are, until the end of the text.
pub(super) fn expressions(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find('{')) {
        let start = at + start;
        let rest = text.get(start..).unwrap_or_default();
        let end = match rest.as_bytes().get(1) {
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                at = start + 1;
                continue;
            }
        };
        let length = rest.find(end).unwrap_or(rest.len());
        found.push((start, start + length));
        at = start + length.max(1);
    }
    found
}
