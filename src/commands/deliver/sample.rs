//! The event that `deliver test` sends: made of the settings with the product's own renderer, or read from a file, and in
//! both cases marked as a test, with an id that no other event has.

use crate::buffer::Record;
use crate::clock::Clock;
use crate::format::{MAX_EVENT_BYTES, Renderer};
use crate::model::{
    Body, Class, Counts, DataQuality, EndCause, Ending, Envelope, Event, Heartbeat, Mode,
    OperationReport, Outcome, Position, Scope, Stamp, UtcTime, Verdict,
};
use crate::settings::Plant;
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// How long the operation of the test event took.
const LENGTH: Duration = Duration::from_secs(10);
/// Epochs of stores begin at 1: nobody takes this for the sequence of a real event.
const AT: Position = Position { epoch: 0, seq: 1 };

/// A completed operation: the first one of the settings; without any, a sign of life.
pub(super) fn made(plant: &Plant) -> Record {
    let clock = Clock::system();
    let now = clock.now();
    let first = plant.machines.iter().find_map(|machine| {
        let (name, operation) = machine.operations.first()?;
        Some((machine.name.clone(), name.clone(), operation.slot.clone()))
    });
    let Some((machine, name, slot)) = first else {
        return heartbeat_of(plant);
    };
    let report = operation(name, now);
    let scope = Scope::Equipment {
        id: machine,
        slot: Some(slot),
    };
    let correlation = Some(report.id);
    let body = Body::OperationCompleted(Box::new(report));
    rendered(plant, &clock, scope, correlation, body)
}

/// A sign of life of the gateway itself.
pub(super) fn heartbeat_of(plant: &Plant) -> Record {
    let body = Body::Heartbeat(heartbeat());
    rendered(plant, &Clock::system(), Scope::Gateway, None, body)
}

fn rendered(
    plant: &Plant,
    clock: &Clock,
    scope: Scope,
    correlation: Option<Uuid>,
    body: Body,
) -> Record {
    let mut plant = plant.clone();
    plant.shadow = true;
    let now = clock.now();
    let event = Event {
        position: AT,
        run: Uuid::new_v4(),
        scope,
        time: now.utc,
        correlation,
        causation: None,
        clock: clock.quality(),
        body,
    };
    let rendered = Renderer::new(&plant).render(&event, now.utc);
    Record {
        position: AT,
        envelope: rendered.envelope,
        class: event.class(),
        payload: rendered.json.into(),
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        version: env!("CARGO_PKG_VERSION"),
        last: None,
        boot_id: crate::clock::boot_id(),
        up_s: 0.0,
        open_operations: Vec::new(),
    }
}

fn operation(name: String, now: Stamp) -> OperationReport {
    let length_ns = i64::try_from(LENGTH.as_nanos()).unwrap_or(0);
    OperationReport {
        id: Uuid::new_v4(),
        ordinal: 1,
        name,
        segment: None,
        order: None,
        product: None,
        lot: None,
        program: None,
        purpose: "test",
        shift: None,
        operator: None,
        parts: Vec::new(),
        reason: None,
        mode_at_start: Mode::Production,
        started_at: UtcTime(now.utc.0.saturating_sub(length_ns)),
        device_time: false,
        flags: Vec::new(),
        revision: 0,
        ending: Some(ending(now)),
    }
}

fn ending(now: Stamp) -> Ending {
    Ending {
        ended_at: now.utc,
        duration_s: Some(LENGTH.as_secs_f64()),
        active_s: Some(LENGTH.as_secs_f64()),
        paused_s: Some(0.0),
        outcome: Outcome::Completed,
        end_cause: EndCause::Trigger,
        abort_reason: None,
        recovered: false,
        end_uncertainty_s: None,
        parameters: Vec::new(),
        quality: Vec::new(),
        verdict: Verdict::NotEvaluated,
        // Nothing that a MES may book.
        counts: Counts {
            book: false,
            cycles: 1,
            ..Counts::default()
        },
        tools: Vec::new(),
        materials: Vec::new(),
        data_quality: DataQuality::default(),
    }
}

/// The CloudEvent in a file, marked as a test and with an id of its own.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &[u8], plant: &Plant) -> Result<Record, String> {
    let event: Value =
        serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let Value::Object(mut event) = event else {
        return Err("it is no JSON object".into());
    };
    let kind = name_of(&event)?;
    let id = Uuid::new_v4();
    event.insert("id".into(), id.to_string().into());
    mark(&mut event)?;
    let word = |name: &str| event.get(name)?.as_str().map(str::to_owned);
    let subject = word("subject").unwrap_or_default();
    let of_gateway = kind.starts_with("gateway.");
    let machine = subject.split('/').next().filter(|it| !it.is_empty());
    let equipment = machine.filter(|_| !of_gateway).map(str::to_owned);
    let time = word("time").and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let time_ns = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    let envelope = Envelope {
        id,
        run: Uuid::nil(),
        kind,
        partition_key: word("partitionkey")
            .or(equipment.clone())
            .unwrap_or_else(|| plant.gateway.id.clone()),
        equipment,
        path: plant.gateway.path.clone(),
        time_ns: time_ns.unwrap_or(0),
    };
    let payload = Value::Object(event).to_string().into_bytes();
    if payload.len() > MAX_EVENT_BYTES {
        return Err(format!(
            "it has {} bytes; no event has more than {MAX_EVENT_BYTES}",
            payload.len()
        ));
    }
    Ok(Record {
        position: AT,
        envelope,
        class: Class::Lasting,
        payload: payload.into(),
    })
}

/// `operation.completed` of `millgate.operation.completed.v1`.
fn name_of(event: &Map<String, Value>) -> Result<String, String> {
    let kind = event.get("type").and_then(Value::as_str);
    let kind = kind.ok_or("it has no `type`: it is no CloudEvent")?;
    let short = kind.strip_prefix("millgate.");
    let short = short.and_then(|rest| Some(rest.rsplit_once(".v")?.0));
    Ok(short.unwrap_or(kind).to_owned())
}

fn mark(event: &mut Map<String, Value>) -> Result<(), String> {
    let data = event.entry("data").or_insert_with(|| Map::new().into());
    let data = data.as_object_mut().ok_or("its `data` is no object")?;
    let gateway = data.entry("gateway").or_insert_with(|| Map::new().into());
    let gateway = gateway
        .as_object_mut()
        .ok_or("its `data.gateway` is no object")?;
    gateway.insert("test".into(), true.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EVENT_SCHEMA;

    fn plant(text: &str) -> Plant {
        crate::settings::load_with(text, crate::aggregate::check)
            .unwrap_or_else(|_| panic!("good settings"))
            .plant
    }

    #[test]
    fn the_test_event_is_what_the_schema_says_and_no_two_are_alike() {
        let schema: Value = serde_json::from_str(EVENT_SCHEMA).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let press = plant(include_str!("../../../examples/press.yaml"));
        let mut bare = press.clone();
        bare.machines.clear();
        for (plant, kind) in [
            (&press, "operation.completed"),
            (&bare, "gateway.heartbeat"),
        ] {
            let record = made(plant);
            assert_eq!(record.envelope.kind, kind);
            let event: Value = serde_json::from_slice(&record.payload).unwrap();
            let complaints: Vec<String> = validator
                .iter_errors(&event)
                .map(|it| it.to_string())
                .collect();
            assert!(complaints.is_empty(), "{complaints:#?}\n{event:#}");
            assert_eq!(event["data"]["gateway"]["test"], true);
            assert_ne!(made(plant).envelope.id, record.envelope.id);
        }
    }

    #[test]
    fn an_event_of_a_file_keeps_what_it_says_but_its_id_and_its_mark() {
        let press = plant(include_str!("../../../examples/press.yaml"));
        let text = br#"{"specversion":"1.0","id":"x","type":"millgate.quality.result.v1",
            "subject":"PRESS-04/1","data":{"gateway":{"id":"gw","test":false},"a":1}}"#;
        let record = read(text, &press).unwrap();
        let event: Value = serde_json::from_slice(&record.payload).unwrap();
        assert_eq!(event["id"], record.envelope.id.to_string());
        assert_eq!(event["data"]["gateway"]["test"], true);
        assert_eq!(event["data"]["a"], 1);
        let envelope = &record.envelope;
        assert_eq!(envelope.kind, "quality.result");
        assert_eq!(envelope.equipment.as_deref(), Some("PRESS-04"));
        assert_eq!(envelope.partition_key, "PRESS-04");
        for (wrong, says) in [
            (&b"[]"[..], "no JSON object"),
            (b"{", "no JSON"),
            (b"{}", "no `type`"),
            (br#"{"type":"t","data":7}"#, "`data` is no object"),
        ] {
            let why = read(wrong, &press).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
