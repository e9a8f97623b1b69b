//! Events with one piece of them changed: what belongs there must be in the document, what does not must not break it.

use super::super::samples::{after, ordinary, renderer};
use super::document_tests::well_formed;
use super::{document, maps};
use crate::model::{Body, ParameterReport};
use serde_json::{Value, json};

/// What CloudEvents and the catalogue need and no MES books, what stands in the document already, and a tag without a value.
const LEFT_OUT: [&str; 8] = [
    "/specversion",
    "/datacontenttype",
    "/dataschema",
    "/partitionkey",
    "/correlationid",
    "/data/state/native/model",
    "/data/state/native/values/1/tag",
    "/data/operation/parts/0/role",
];

/// An event of each kind that has a document, as JSON; with short profiles, as each piece is tried.
fn events() -> Vec<Value> {
    let events = ordinary().into_iter().filter(|event| maps(event.kind()));
    events
        .map(|mut event| {
            for parameter in parameters(&mut event.body) {
                if let Some(profile) = &mut parameter.profile {
                    profile.t.truncate(2);
                    profile.v.truncate(2);
                }
            }
            let json = renderer().render(&event, after(0.1)).json;
            serde_json::from_slice(&json).unwrap()
        })
        .collect()
}

fn parameters(body: &mut Body) -> &mut [ParameterReport] {
    let report = match body {
        Body::OperationProgress(report) => return &mut report.parameters,
        Body::OperationCompleted(report) | Body::OperationAborted(report) => report,
        Body::OperationCorrected(report) => &mut report.operation,
        _ => return &mut [],
    };
    (report.ending.as_mut()).map_or(&mut [], |ending| &mut ending.parameters)
}

/// Every event with one piece of it replaced by something that does not belong there.
pub(super) fn misshapen() -> Vec<Vec<u8>> {
    let strange = [
        json!(null),
        json!(-7),
        json!("x"),
        json!([]),
        json!({"a": [1]}),
    ];
    let mut all = Vec::new();
    for event in events() {
        for place in pieces(&event) {
            for strange in &strange {
                let mut bad = event.clone();
                *bad.pointer_mut(&place).unwrap() = strange.clone();
                all.push(serde_json::to_vec(&bad).unwrap());
            }
        }
    }
    all
}

/// The places of all pieces; of lists, of the first two entries.
fn pieces(json: &Value) -> Vec<String> {
    let mut places = Vec::new();
    collect(json, String::new(), &mut places);
    places
}

fn collect(json: &Value, place: String, into: &mut Vec<String>) {
    match json {
        Value::Object(map) => {
            let children = map.iter();
            children.for_each(|(name, child)| collect(child, format!("{place}/{name}"), into));
        }
        Value::Array(list) => {
            let children = list.iter().take(2).enumerate();
            children.for_each(|(at, child)| collect(child, format!("{place}/{at}"), into));
        }
        _ => {}
    }
    into.push(place);
}

/// Another fact of the same sort, and how it is found in a document.
fn another(fact: &Value) -> Option<(Value, &'static str)> {
    match fact {
        Value::Bool(yes) => Some((json!(!yes), "")),
        Value::Number(_) => Some((json!(987_654.125), "987654.125")),
        Value::String(text) if text.ends_with('Z') && text.contains("T09:") => {
            Some((json!("2031-01-02T03:04:05Z"), "2031-01-02t03:04:05z"))
        }
        Value::String(_) => Some((json!("another"), "another")),
        _ => None,
    }
}

#[test]
fn every_fact_of_an_event_is_in_its_document() {
    let (mut tried, mut faults) = (0, Vec::new());
    for event in events() {
        let before = document(&serde_json::to_vec(&event).unwrap()).unwrap();
        for place in pieces(&event) {
            let Some((fact, shown)) = another(event.pointer(&place).unwrap()) else {
                continue;
            };
            let mut changed = event.clone();
            *changed.pointer_mut(&place).unwrap() = fact;
            // What selects the document, or is a word of a fixed few, cannot be changed at will.
            let Ok(after) = document(&serde_json::to_vec(&changed).unwrap()) else {
                continue;
            };
            tried += 1;
            let after = String::from_utf8(after).unwrap();
            // The line that a person reads is no place to look for a fact; words may be written with capitals.
            let (head, rest) = after.split_once("Description>").unwrap();
            let (_line, facts) = rest.split_once("Description>").unwrap();
            let told = [head, facts].map(str::to_lowercase);
            let told = told.iter().any(|part| part.contains(shown));
            let differs = after.as_bytes() != before;
            let expected = !LEFT_OUT.contains(&place.as_str());
            if (told && differs) != expected {
                faults.push(format!("{place} of {}", event["type"]));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(tried > 500, "{tried}");
}

#[test]
fn an_event_of_another_shape_is_an_error_or_still_a_document() {
    let (mut documents, mut errors) = (0, 0);
    for payload in misshapen() {
        match document(&payload) {
            Ok(document) => {
                documents += 1;
                assert!(well_formed(std::str::from_utf8(&document).unwrap()));
            }
            Err(_) => errors += 1,
        }
    }
    assert!(documents > 500 && errors > 500, "{documents} and {errors}");
}
