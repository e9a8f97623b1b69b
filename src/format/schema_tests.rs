//! Every event, the extreme ones too, against the schema that goes out with the product, and against its size limit.

use super::samples::{ODD, after, event, extreme, huge_profiles, operation, ordinary, renderer};
use super::{EVENT_SCHEMA, MAX_EVENT_BYTES};
use crate::model::{Body, EventKind};
use serde_json::Value;
use std::collections::BTreeSet;

fn validator(schema: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

fn json(event: &crate::model::Event) -> Value {
    serde_json::from_slice(&renderer().render(event, after(0.1)).json).unwrap()
}

fn complaints(validator: &jsonschema::Validator, event: &Value) -> Vec<String> {
    validator
        .iter_errors(event)
        .map(|error| format!("{}: {error:.300}", error.instance_path()))
        .collect()
}

#[test]
fn every_event_is_what_the_schema_says() {
    let validator = validator(EVENT_SCHEMA);
    let mut seen = BTreeSet::new();
    for event in ordinary().into_iter().chain(extreme()) {
        seen.insert(event.kind().name());
        let complaints = complaints(&validator, &json(&event));
        assert!(complaints.is_empty(), "{:?}: {complaints:#?}", event.kind());
    }
    assert_eq!(seen.len(), EventKind::ALL.len(), "every kind was tried");
}

#[test]
fn the_schema_refuses_what_no_event_may_be() {
    let validator = validator(EVENT_SCHEMA);
    let good = json(&event(Body::OperationCompleted(operation(Some(
        huge_profiles(1, 8),
    )))));
    let spoilt: [(&str, Value); 8] = [
        ("/type", "millgate.operation.forgotten.v1".into()),
        ("/sequence", "3.184219".into()),
        ("/time", "2026-11-22 09:14:02".into()),
        ("/data/operation/flags/0", "tired".into()),
        ("/data/operation/outcome", "aborted".into()),
        ("/data/verdict", Value::Null),
        ("/data/parameters/0/stats/max", "251.4".into()),
        ("/data/counts/good", (-1).into()),
    ];
    for (place, value) in spoilt {
        let mut bad = good.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        match bad.pointer_mut(parent).unwrap() {
            Value::Array(list) => list.push(value),
            Value::Object(map) => drop(map.insert(key.into(), value)),
            _ => panic!("{place}"),
        }
        assert!(!validator.is_valid(&bad), "{place}");
    }
    for parent in ["", "/data", "/data/operation", "/data/parameters/0/stats"] {
        let mut bad = good.clone();
        let Some(Value::Object(map)) = bad.pointer_mut(parent) else {
            panic!("{parent}");
        };
        map.insert("surprise".into(), 1.into());
        assert!(!validator.is_valid(&bad), "an unknown key in `{parent}`");
    }
}

#[test]
fn no_event_is_larger_than_the_limit_and_a_cut_one_says_so() {
    for event in extreme() {
        let rendered = renderer().render(&event, after(0.1));
        assert!(rendered.json.len() <= MAX_EVENT_BYTES, "{:?}", event.kind());
    }
    let cases = [
        (40, 1_000, vec!["profiles"], true),
        (1, 1_000, vec![], false),
        (60, 1_000, vec!["profiles"], true),
        (400, 4, vec!["profiles", "parameters"], false),
    ];
    for (parameters, points, cut, profiles_left) in cases {
        let ending = huge_profiles(parameters, points);
        let json = json(&event(Body::OperationCompleted(operation(Some(ending)))));
        let data = &json["data"];
        let truncated = data
            .get("truncated")
            .cloned()
            .unwrap_or(Value::Array(vec![]));
        assert_eq!(
            truncated,
            Value::from(cut.clone()),
            "{parameters} x {points}"
        );
        let flags = data["operation"]["flags"].as_array().unwrap();
        assert_eq!(
            flags.contains(&"truncated_profile".into()),
            !cut.is_empty(),
            "{parameters} x {points}"
        );
        let profile = &data["parameters"][0]["profile"];
        assert_eq!(profile.is_object(), profiles_left || cut.is_empty());
    }
}

#[test]
fn a_shrunk_profile_keeps_its_ends_and_its_peak() {
    let mut ending = huge_profiles(40, 1_000);
    for parameter in &mut ending.parameters {
        parameter.profile.as_mut().unwrap().v[637] = 999.5;
    }
    let whole = ending.parameters[0].profile.clone().unwrap();
    let json = json(&event(Body::OperationCompleted(operation(Some(ending)))));
    let profile = &json["data"]["parameters"][39]["profile"];
    let v: Vec<f64> = serde_json::from_value(profile["v"].clone()).unwrap();
    let t: Vec<f64> = serde_json::from_value(profile["t"].clone()).unwrap();
    assert!(v.len() < 200 && v.len() >= 4 && v.len() == t.len());
    assert_eq!((t.first(), v.first()), (whole.t.first(), whole.v.first()));
    assert_eq!((t.last(), v.last()), (whole.t.last(), whole.v.last()));
    let peak = v.iter().position(|value| *value == 999.5).unwrap();
    assert_eq!(t[peak], whole.t[637]);
}

#[test]
fn the_same_event_gives_the_same_bytes() {
    for event in ordinary().into_iter().chain(extreme()) {
        let once = renderer().render(&event, after(0.1));
        let again = renderer().render(&event.clone(), after(0.1));
        assert_eq!(once, again);
        let retold = renderer().render(&event, after(9.9));
        assert_eq!(
            retold.envelope.id, once.envelope.id,
            "the id outlives a retry"
        );
    }
}

#[test]
fn what_a_machine_says_arrives_as_it_was_said() {
    let mut odd = operation(None);
    odd.order.as_mut().unwrap().id = ODD.into();
    let json = json(&event(Body::OperationStarted(odd)));
    assert_eq!(json["data"]["operation"]["order"]["id"], ODD);
}

/// The catalogue that the project was built to describes the same events more loosely.
#[test]
fn the_catalogue_of_the_project_accepts_these_events() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/events/event.schema.json"
    );
    let Ok(catalogue) = std::fs::read_to_string(path) else {
        println!(
            "not here: events against the project's catalogue: it is not beside this checkout"
        );
        return;
    };
    let validator = validator(&catalogue);
    for event in ordinary().into_iter().chain(extreme()) {
        let mut json = json(&event);
        // The catalogue wants a number here; it is not known after a restart with a clock that was not synchronised.
        if let Some(duration) = json.pointer_mut("/data/operation/duration_s")
            && duration.is_null()
        {
            *duration = 0.into();
        }
        let complaints = complaints(&validator, &json);
        assert!(complaints.is_empty(), "{:?}: {complaints:#?}", event.kind());
    }
}
