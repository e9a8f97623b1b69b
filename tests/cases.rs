//! Edge cases of a plant: settings, a capture, and what must come of it. Each runs through the code of `millgate replay`.
//!
//! `expected.jsonl`: events in order, of which the named fields count (a subsequence of what comes). `{"near": x, "by": y}`
//! stands for a number, `"as": {name: pointer}` keeps a value that a later `"$name"` must equal, `{"never": event}` and
//! `{"count": event, "is": n}` are said of the whole.

use millgate::commands::replay::replay_with;
use millgate::settings;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

type Kept = HashMap<String, Value>;

#[test]
fn every_case_gives_what_it_must() {
    let mut played = 0;
    for case in cases() {
        play(&case);
        played += 1;
    }
    assert!(played >= 150, "only {played} cases were found");
}

/// The vectors of the specification, by the beginning of their names.
const VECTORS: [&str; 23] = [
    "E01",
    "E03",
    "E04",
    "E05",
    "E06",
    "E07",
    "E08",
    "E09",
    "E10",
    "E13",
    "E14",
    "E16",
    "E17",
    "E18",
    "E19",
    "E22",
    "E25",
    "E26",
    "E27",
    "E28",
    "example-press",
    "example-lathe",
    "example-filler",
];

#[test]
fn every_vector_has_its_case() {
    let cases = cases();
    for vector in VECTORS {
        let is_there = cases.iter().any(|case| {
            let name = case.file_name().unwrap().to_string_lossy();
            name.starts_with(vector)
        });
        assert!(is_there, "{vector} has no case");
    }
}

/// The durations of an interval sum exactly to it; where no clock was set, that is the time between its ends.
fn intervals_are_whole(name: &str, events: &[Value]) {
    let seconds = |value: &Value| value.as_f64();
    for event in events {
        let Some(durations) = event.pointer("/data/state_durations_s") else {
            continue;
        };
        let sum: f64 = durations
            .as_object()
            .unwrap()
            .values()
            .filter_map(seconds)
            .sum();
        let told = event.pointer("/data/interval/duration_s").and_then(seconds);
        let Some(told) = told else { continue };
        assert!(
            (sum - told).abs() < 1e-6,
            "{name}: {sum} s of {told} s\n{event:#}"
        );
        let flags = event.pointer("/data/flags").unwrap().to_string();
        if !flags.contains("clock") {
            let time = |end: &str| {
                let text = event.pointer(&format!("/data/interval/{end}")).unwrap();
                let time: jiff::Timestamp = text.as_str().unwrap().parse().unwrap();
                time.as_microsecond() as f64 / 1e6
            };
            let between = time("to") - time("from");
            assert!(
                (between - told).abs() < 1e-5,
                "{name}: {told} s of {between} s\n{event:#}"
            );
        }
    }
}

#[test]
fn of_conditions_that_do_their_work_nothing_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_folder = |folder: PathBuf| {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path())
    };
    let files = cases().into_iter().flat_map(in_folder);
    let files = files
        .chain(in_folder(root.join("examples")))
        .chain(in_folder(root.join("src/commands/demo")));
    let mut read = 0;
    for file in files.filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
        let text = fs::read_to_string(&file).unwrap();
        // What the demo fills in.
        let filled = [
            ("${SHIFT_BEFORE}", "05:00"),
            ("${SHIFT_CHANGE}", "13:00"),
            ("${SHIFT_AFTER}", "21:00"),
            ("${MODBUS_PORT}", "5020"),
            ("${HYDRAULICS_PORT}", "5021"),
            ("${SCANNER}", "/dev/ttyS9"),
            ("${OPC_UA_URL}", "opc.tcp://127.0.0.1:4840"),
            ("${STORE}", "/var/lib/millgate"),
            ("${MES_URL}", "http://127.0.0.1:8080/events"),
        ];
        let text = filled
            .iter()
            .fold(text, |text, (place, value)| text.replace(place, value));
        let loaded = settings::load(&text).unwrap_or_else(|p| panic!("{}: {p:?}", file.display()));
        let said = millgate::aggregate::warnings(&loaded.plant);
        assert!(said.is_empty(), "{}: {said:#?}", file.display());
        read += 1;
    }
    assert!(read >= 150, "only {read} settings were read");
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

fn play(case: &Path) {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let read = |file: &str| fs::read_to_string(case.join(file)).unwrap();
    let loaded = settings::load(&read("settings.yaml")).unwrap_or_else(|p| panic!("{name}: {p:?}"));
    // What the gateway is reloaded with in the capture.
    let others: Vec<_> = ["settings-2.yaml", "settings-3.yaml"]
        .into_iter()
        .filter(|file| case.join(file).exists())
        .map(|file| {
            let other =
                settings::load(&read(file)).unwrap_or_else(|p| panic!("{name}: {file}: {p:?}"));
            (file.to_owned(), other.plant)
        })
        .collect();
    let capture = read("capture.jsonl");
    let run = || {
        let mut out = Vec::new();
        replay_with(&loaded.plant, &others, &capture, &mut out, None)
            .unwrap_or_else(|e| panic!("{name}: {e:?}"));
        out
    };
    let out = run();
    assert_eq!(out, run(), "{name}: the same input gave other bytes");
    let events: Vec<Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    validate(&name, &events);
    intervals_are_whole(&name, &events);
    compare(&name, &read("expected.jsonl"), &events);
}

fn validate(name: &str, events: &[Value]) {
    let schema: Value = serde_json::from_str(millgate::format::EVENT_SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for event in events {
        let problems: Vec<String> = validator
            .iter_errors(event)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{name}: {problems:#?}\n{event:#}");
    }
}

fn compare(name: &str, expected: &str, events: &[Value]) {
    let mut rest = events.iter();
    let mut kept = Kept::new();
    for line in expected.lines().filter(|line| !line.is_empty()) {
        let mut wanted: Value = serde_json::from_str(line).unwrap();
        if let Some(never) = wanted.get("never") {
            let found = events.iter().find(|event| fits(never, event, &kept));
            assert!(
                found.is_none(),
                "{name}: must not come:\n{:#}",
                found.unwrap()
            );
            continue;
        }
        if let Some(counted) = wanted.get("count") {
            let found = events.iter().filter(|event| fits(counted, event, &kept));
            assert_eq!(
                Some(found.count() as u64),
                wanted["is"].as_u64(),
                "{name}: {counted}"
            );
            continue;
        }
        let keep = wanted.as_object_mut().unwrap().remove("as");
        let Some(found) = rest.by_ref().find(|event| fits(&wanted, event, &kept)) else {
            let came: Vec<String> = events.iter().map(millgate::format::line).collect();
            panic!(
                "{name}: did not come (in this order): {wanted}\ncame:\n{}",
                came.join("\n")
            );
        };
        for (key, pointer) in keep.iter().flat_map(|keep| keep.as_object().unwrap()) {
            let value = found.pointer(pointer.as_str().unwrap()).unwrap();
            kept.insert(key.clone(), value.clone());
        }
    }
}

/// Everything that `wanted` names is so in `found`.
fn fits(wanted: &Value, found: &Value, kept: &Kept) -> bool {
    match (wanted, found) {
        (Value::Object(near), found) if near.contains_key("near") => {
            let (near, by) = (near["near"].as_f64().unwrap(), near["by"].as_f64().unwrap());
            found
                .as_f64()
                .is_some_and(|value| (value - near).abs() <= by)
        }
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| fits(value, found, kept))),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .zip(found)
                    .all(|(wanted, found)| fits(wanted, found, kept))
        }
        (Value::Number(wanted), Value::Number(found)) => wanted.as_f64() == found.as_f64(),
        (Value::String(wanted), found) if wanted.starts_with('$') => {
            kept.get(&wanted[1..]) == Some(found)
        }
        (wanted, found) => wanted == found,
    }
}
