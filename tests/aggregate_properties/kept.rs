//! What is told of operations, and what must be true of it.

use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;

/// An event that ended an operation.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Value);

impl Ended {
    fn operation(&self) -> &Value {
        &self.0["data"]["operation"]
    }

    /// It says that the power, or the data, was away.
    pub(crate) fn is_marked(&self) -> bool {
        let flags = self.operation()["flags"].as_array().unwrap();
        let marks = [
            "power_loss",
            "start_missed",
            "end_time_estimated",
            "connection_loss",
        ];
        let marked = flags
            .iter()
            .any(|flag| marks.contains(&flag.as_str().unwrap()));
        marked || self.operation()["recovered"] == true
    }

    /// Seconds of its start and end.
    pub(crate) fn span(&self) -> (f64, f64) {
        let at = |key: &str| {
            let text = self.operation()[key].as_str().unwrap();
            let time: jiff::Timestamp = text.parse().unwrap();
            time.as_nanosecond() as f64 / 1e9 - 1_767_225_600.0
        };
        (at("started_at"), at("ended_at"))
    }

    /// Everything but its number and id.
    pub(crate) fn says_the_same(&self, other: &Ended) -> bool {
        let operation = [
            "started_at",
            "ended_at",
            "duration_s",
            "active_s",
            "paused_s",
            "outcome",
            "end_cause",
            "order",
            "flags",
            "recovered",
            "abort_reason",
            "end_uncertainty_s",
        ];
        let rest = ["parameters", "quality", "verdict", "counts", "data_quality"];
        operation
            .iter()
            .all(|key| self.operation()[key] == other.operation()[key])
            && rest
                .iter()
                .all(|key| self.0["data"][key] == other.0["data"][key])
    }
}

/// What is told of operations in one replay.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) started: usize,
    pub(crate) ended: Vec<Ended>,
}

impl Told {
    pub(crate) fn new(events: &[Value]) -> Told {
        let started = events
            .iter()
            .filter(|event| name(event) == "operation.started");
        let ended = events.iter().filter(|event| is_end(event));
        Told {
            started: started.count(),
            ended: ended.cloned().map(Ended).collect(),
        }
    }

    pub(crate) fn times(&self) -> Vec<String> {
        let told = self.ended.iter().map(|ended| {
            let (from, to) = ended.span();
            let operation = ended.operation();
            format!(
                "{from} to {to}: {} {}",
                operation["end_cause"], operation["flags"]
            )
        });
        told.collect()
    }
}

fn name(event: &Value) -> &str {
    let full = event["type"].as_str().unwrap();
    full.strip_prefix("millgate.")
        .unwrap()
        .strip_suffix(".v1")
        .unwrap()
}

fn is_end(event: &Value) -> bool {
    matches!(name(event), "operation.completed" | "operation.aborted")
}

/// An operation that is open in a slot.
#[derive(Debug, Default)]
struct Open {
    id: Option<String>,
    ordinal: u64,
    paused: bool,
    window: u64,
    revision: u64,
}

/// Ordinals without a gap, one operation at a time, started before anything else is said of it and ended once.
pub(crate) fn keeps_the_life_cycle(events: &[Value]) -> Result<(), TestCaseError> {
    let mut slots: HashMap<String, Open> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        let wanted = format!("0000000001.{:020}", index + 1);
        prop_assert_eq!(event["sequence"].as_str(), Some(wanted.as_str()));
        if !name(event).starts_with("operation.") {
            continue;
        }
        let slot = slots.entry(event["subject"].as_str().unwrap().to_owned());
        one(event, slot.or_default())?;
    }
    Ok(())
}

fn one(event: &Value, slot: &mut Open) -> Result<(), TestCaseError> {
    let operation = &event["data"]["operation"];
    let id = event["correlationid"].as_str().map(str::to_owned);
    prop_assert_eq!(operation["id"].as_str(), id.as_deref());
    if name(event) == "operation.started" {
        prop_assert_eq!(&slot.id, &None, "two are open: {:#}", event);
        prop_assert_eq!(operation["ordinal"].as_u64(), Some(slot.ordinal + 1));
        *slot = Open {
            id,
            ordinal: slot.ordinal + 1,
            ..Open::default()
        };
        return Ok(());
    }
    prop_assert_eq!(&slot.id, &id, "not open: {:#}", event);
    prop_assert_eq!(operation["ordinal"].as_u64(), Some(slot.ordinal));
    let revision = operation["revision"].as_u64().unwrap();
    match name(event) {
        "operation.paused" | "operation.resumed" => {
            let pauses = name(event) == "operation.paused";
            prop_assert_ne!(slot.paused, pauses, "{:#}", event);
            slot.paused = pauses;
        }
        "operation.progress" => {
            prop_assert_eq!(event["data"]["window"]["index"].as_u64(), Some(slot.window));
            slot.window += 1;
        }
        "operation.identified" => prop_assert_eq!(revision, slot.revision + 1),
        _ => {
            slot.id = None;
            ends_plausibly(event)?;
        }
    }
    prop_assert!(revision >= slot.revision, "{:#}", event);
    slot.revision = revision;
    Ok(())
}

fn ends_plausibly(event: &Value) -> Result<(), TestCaseError> {
    let operation = &event["data"]["operation"];
    let seconds = |key: &str| operation[key].as_f64();
    for key in ["duration_s", "active_s", "paused_s", "end_uncertainty_s"] {
        prop_assert!(seconds(key).unwrap_or(0.0) >= 0.0, "{}: {:#}", key, event);
    }
    if let (Some(duration), Some(active), Some(paused)) = (
        seconds("duration_s"),
        seconds("active_s"),
        seconds("paused_s"),
    ) {
        prop_assert!((duration - active - paused).abs() < 1e-6, "{:#}", event);
    }
    Ok(())
}

/// Each event is one that the schema allows.
pub(crate) fn fits_the_schema(events: &[Value]) -> Result<(), TestCaseError> {
    let schema: Value = serde_json::from_str(millgate::format::EVENT_SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for event in events {
        let problems: Vec<String> = validator
            .iter_errors(event)
            .map(|error| error.to_string())
            .collect();
        prop_assert!(problems.is_empty(), "{:#?}\n{:#}", problems, event);
    }
    Ok(())
}
