//! What a template takes for granted and events may lack: a parent that may be null, a part that may be missing. Told by `check`
//! as a warning, since a plant may know that its events always have it: where they do not, they are parked as `template`.

use super::super::super::filter::EventFilter;
use super::check::{Text, expressions, kinds, starts, texts, without_texts};
use super::schema::{Lack, Place};
use super::template::{Kind, Templates};
use crate::model::EventKind;
use crate::settings::shape::Http;
use crate::settings::{Problem, Uplink};
use regex::Regex;
use std::collections::BTreeMap;
use std::path::Path;

/// What is doubtful in the requests of an uplink, whose templates lie in `folder`.
pub(in crate::deliver) fn doubts(uplink: &Uplink, http: &Http, folder: &Path) -> Vec<Problem> {
    let mut found = Vec::new();
    let wanted = EventFilter::new(&uplink.events);
    for (pattern, request) in &http.requests {
        let path = format!("uplinks.{}.http.requests.{pattern}", uplink.name);
        let kinds: Vec<EventKind> = kinds(uplink, http, pattern)
            .into_iter()
            .filter(|kind| wanted.wants(kind.name()))
            .collect();
        // What cannot be read is a problem, and told as one.
        for text in texts(request, &path, folder, &mut Vec::new()) {
            found.extend(of_text(&text, &starts(&kinds)));
        }
    }
    found
}

fn of_text(text: &Text<'_>, starts: &[(EventKind, Place)]) -> Vec<Problem> {
    const NAME: &str = "t";
    let mut templates = Templates::default();
    let added = templates.try_add(NAME.into(), text.kind, text.text.clone());
    if added.is_err() {
        return Vec::new();
    }
    let mut uses: Vec<(String, String, Option<usize>)> = templates
        .variables(NAME, text.kind)
        .into_iter()
        .map(|variable| (variable.clone(), variable.clone(), text.find(&variable)))
        .collect();
    let loops = text.of_loops().into_iter();
    uses.extend(loops.map(|(written, path, at)| (written, path, Some(at))));
    let mut found = BTreeMap::new();
    for (written, path, at) in uses {
        if let Some(message) = doubt(text, &written, &path, starts) {
            found.insert((at, written), text.problem(at, &message));
        }
    }
    found.into_values().collect()
}

/// The doubt about a variable that is `written` so and means `path`.
fn doubt(
    text: &Text<'_>,
    written: &str,
    path: &str,
    starts: &[(EventKind, Place)],
) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let names: Vec<&str> = written.split('.').collect();
    // The variable of a loop stands for the first parts of the path.
    let hidden = parts.len().checked_sub(names.len())?;
    let needs_all = text.kind == Kind::Url;
    let lacking = starts.iter().filter_map(|(kind, start)| {
        let (at, lack) = start.lacks(&parts, needs_all)?;
        (at >= hidden).then(|| (at - hidden, lack, kind.name()))
    });
    let lacking: Vec<(usize, Lack, &str)> = lacking.collect();
    let (at, lack, _) = *lacking.first()?;
    let part = names.get(..=at)?.join(".");
    if asks(text, &part, written) {
        return None;
    }
    let of: Vec<&str> = lacking.iter().map(|(_, _, kind)| *kind).collect();
    let may = match lack {
        Lack::Null => "may be null",
        Lack::Missing => "may be missing",
    };
    let ask = match lack {
        Lack::Null => format!("{{% if {part} %}}"),
        Lack::Missing => format!("{{% if {part} is defined %}}"),
    };
    Some(format!(
        "`{part}` {may} in {}, and such an event is then put aside as `template`: ask before, {ask}",
        of.join(", ")
    ))
}

/// Whether the template asks for the part, itself or with a value for when it is not there.
fn asks(text: &Text<'_>, part: &str, written: &str) -> bool {
    if text.asks_for(part) {
        return true;
    }
    let alone = Regex::new(&format!(r"(^|[^\w.]){}($|[^\w.])", regex::escape(part)));
    // The value for what is not there serves for null only where it is told to.
    let null_too = if part == written {
        r"\s*\([^)]*,[\s\w=]*true"
    } else {
        r"\b"
    };
    let otherwise = Regex::new(&format!(
        r"(^|[^\w.]){}\s*\)?\s*\|\s*(default|d){null_too}",
        regex::escape(written)
    ));
    let (Ok(alone), Ok(otherwise)) = (alone, otherwise) else {
        return true;
    };
    expressions(&text.text).into_iter().any(|(start, end)| {
        let inside = without_texts(text.text.get(start..end).unwrap_or_default());
        otherwise.is_match(&inside) || (part != written && alone.is_match(&inside)) || {
            // In an address: a question about the part itself.
            part == written && inside.contains(" if ") && alone.is_match(&inside)
        }
    })
}
