//! `NotifyOperationsEvent`: the state of an equipment changed, something was measured, a parameter left its limits or is
//! inside again.
//!
//! What was found stands in a `TestResult` or in `ChangeStatus`; everything else is a property of the equipment.

use super::area::{
    WORK_UNIT, application_area, common_groups, group, hierarchy_scope, operations_type,
};
use super::made::Parts;
use super::measured::Results;
use super::told::{Told, duration, utc};
use super::values::{all_of, number, unit, value, values};
use super::xml::{Written, Xml};
use super::{B2mmlError, MAX_DOCUMENT_BYTES};
use crate::format::line;
use crate::model::EventKind;
use serde_json::Value;

const PROPERTY: &str = "EquipmentProperty";
/// Properties of an equipment whose state changed, and where the event has them.
const STATE: [(&str, &str); 10] = [
    ("State", "current"),
    ("PreviousState", "previous"),
    ("PreviousStateDuration", "previous_duration_s"),
    ("Mode", "mode"),
    ("PreviousMode", "previous_mode"),
    ("Substate", "substate"),
    ("Since", "since"),
    ("ActiveOperation", "active_operation"),
    ("DowntimeID", "downtime_id"),
    ("StopReason", "reason/code"),
];

/// True for what happens beside operations and has a document.
pub(super) fn maps(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::EquipmentStateChanged
            | EventKind::QualityResult
            | EventKind::LimitExceeded
            | EventKind::LimitCleared
    )
}

/// The document of such an event.
pub(super) fn document(told: Told<'_>, kind: EventKind) -> Written<Vec<u8>> {
    Xml::document("NotifyOperationsEvent", "b:", MAX_DOCUMENT_BYTES, |xml| {
        application_area(xml, told)?;
        xml.inside("DataArea", |xml| {
            // The schemas want this verb in a Notify document.
            xml.inside("Sync", |xml| {
                xml.inside("ActionCriteria", |xml| action(xml, told, kind))
            })?;
            xml.inside("OperationsEvent", |xml| event(xml, told, kind))
        })
    })
}

fn action(xml: &mut Xml, told: Told<'_>, kind: EventKind) -> Written {
    let code = match kind {
        EventKind::EquipmentStateChanged => "Change",
        _ => "Add",
    };
    xml.leaf_with(
        "ActionExpression",
        &[("actionCode", code)],
        "/OperationsEvent",
    );
    if kind != EventKind::EquipmentStateChanged {
        return Ok(());
    }
    let current = told.needed("/data/state/current")?;
    let since = told.needed_time("/data/state/since")?;
    xml.inside("ChangeStatus", |xml| {
        xml.leaf("Code", current);
        xml.leaf("EffectiveDateTime", &since);
        if let Some(reason) = told.text("/data/state/reason/code")? {
            let list = [
                ("listID", told.text("/data/state/reason/catalogue")?),
                (
                    "listVersionID",
                    told.text("/data/state/reason/catalogue_version")?,
                ),
            ];
            let list: Vec<(&str, &str)> = (list.into_iter())
                .filter_map(|(name, text)| Some((name, text?)))
                .collect();
            xml.leaf_with("ReasonCode", &list, reason);
        }
        xml.maybe("Reason", told.text("/data/state/reason/text")?);
        xml.inside("StateChange", |xml| {
            xml.maybe("FromStateCode", told.text("/data/state/previous")?);
            xml.leaf("ToStateCode", current);
            xml.leaf("ChangeDateTime", &since);
            Ok(())
        })
    })
}

fn event(xml: &mut Xml, told: Told<'_>, kind: EventKind) -> Written {
    let time = told.needed_time("/time")?;
    let (usual, function, done) = match kind {
        EventKind::EquipmentStateChanged => ("Production", "Tracking", "Changed"),
        _ => ("Quality", "Data collection", "Observed"),
    };
    xml.leaf("ID", told.needed("/id")?);
    xml.leaf("Description", &line(told.0));
    hierarchy_scope(xml, told)?;
    xml.leaf("EffectiveTimeStamp", &time);
    xml.leaf("RecordTimeStamp", &told.needed_time("/recordedtime")?);
    xml.maybe("Priority", priority(told)?);
    xml.leaf("OperationsEventType", urgency(told, kind)?);
    xml.leaf("OperationsEventLevel", "Level 2");
    operations_type(xml, told, usual)?;
    xml.leaf("MOMFunction", function);
    xml.leaf("Category", kind.name());
    xml.leaf("Source", told.needed("/source")?);
    xml.inside("OperationsEventRecord", |xml| {
        xml.leaf("ID", "REC-1");
        xml.leaf("EffectiveTimestamp", &time);
        xml.leaf("Action", done);
        records(xml, told, kind)?;
        xml.leaf("OperationsRecordSpecificationID", told.needed("/type")?);
        Ok(())
    })
}

/// As OPC UA grades severities, 1 to 1000.
fn priority(told: Told<'_>) -> Written<Option<&'static str>> {
    Ok(match told.text("/data/limit/severity")? {
        Some("high") => Some("700"),
        Some("medium") => Some("500"),
        Some("low") => Some("300"),
        _ => None,
    })
}

/// An alarm wants somebody at the machine, an alert somebody who looks at the part.
fn urgency(told: Told<'_>, kind: EventKind) -> Written<&'static str> {
    Ok(match kind {
        EventKind::EquipmentStateChanged
            if told.text("/data/state/current")? == Some("FAULTED") =>
        {
            "Alarm"
        }
        EventKind::LimitExceeded => "Alert",
        EventKind::QualityResult if told.text("/data/verdict")? == Some("fail") => "Alert",
        _ => "Event",
    })
}

/// What was found, where something was; then the equipment.
fn records(xml: &mut Xml, told: Told<'_>, kind: EventKind) -> Written {
    let found = |xml: &mut Xml| match kind {
        EventKind::QualityResult => measured(told)?.content(xml),
        _ => limit(xml, told, kind),
    };
    if kind == EventKind::EquipmentStateChanged {
        return entry(xml, "ENT-1", "Equipment", "Equipment", |xml| {
            equipment(xml, told)
        });
    }
    entry(xml, "ENT-1", "TestResult", "Test Result", found)?;
    entry(xml, "ENT-2", "Equipment", "Equipment", |xml| {
        equipment(xml, told)
    })
}

fn entry(
    xml: &mut Xml,
    id: &str,
    element: &'static str,
    kind: &str,
    content: impl FnOnce(&mut Xml) -> Written,
) -> Written {
    xml.inside("OperationsRecordEntry", |xml| {
        xml.leaf("ID", id);
        xml.inside("InformationObject", |xml| {
            xml.inside_unqualified(element, content)
        })?;
        xml.leaf("InformationObjectType", kind);
        Ok(())
    })
}

/// What a gauge found.
fn measured(told: Told<'_>) -> Written<Results<'_>> {
    Ok(Results {
        id: told.needed("/id")?.to_owned(),
        at: told.time("/time")?,
        part: told.text("/data/part/id")?,
        verdict: told.text("/data/verdict")?,
        each: told.list("/data/quality")?,
    })
}

/// The value that crossed a limit.
fn limit(xml: &mut Xml, told: Told<'_>, kind: EventKind) -> Written {
    let exceeded = kind == EventKind::LimitExceeded;
    let time = told.needed_time("/time")?;
    xml.leaf("ID", told.needed("/id")?);
    xml.leaf("EvaluationDate", &time);
    if let Some(part) = Parts::of(told)?.only() {
        xml.leaf("TestableObjectID", part.needed("/id")?);
    }
    xml.leaf(
        "EvaluatedCriterionResult",
        if exceeded { "Fail" } else { "Pass" },
    );
    xml.inside("PropertyMeasurement", |xml| {
        xml.leaf("ID", told.needed("/data/limit/parameter")?);
        xml.leaf("MeasurementDate", &time);
        match told.at("/data/limit/value").map(|value| value.0) {
            None => {}
            Some(Value::Number(crossing)) => {
                number(xml, crossing, unit(told.text("/data/limit/unit")?), "");
            }
            Some(_) => return Err(B2mmlError::Shape("/data/limit/value")),
        }
        Ok(())
    })
}

fn equipment(xml: &mut Xml, told: Told<'_>) -> Written {
    xml.leaf("ID", told.needed("/data/equipment/id")?);
    xml.leaf("EquipmentLevel", WORK_UNIT);
    if let Some(slot) = told.at("/data/equipment/slot") {
        group(xml, PROPERTY, "slot", |xml| values(xml, "", slot, &[]))?;
    }
    if told.at("/data/state").is_some() {
        state(xml, told)?;
    }
    for (id, place) in [
        ("x-limit", "/data/limit"),
        ("x-operation", "/data/operation"),
        ("x-part", "/data/part"),
    ] {
        if let Some(facts) = told.object(place)? {
            group(xml, PROPERTY, id, |xml| all_of(xml, facts, &["parts"]))?;
        }
    }
    for (at, part) in told.list("/data/operation/parts")?.into_iter().enumerate() {
        let id = format!("x-part-{}", at + 1);
        group(xml, PROPERTY, &id, |xml| values(xml, "", part, &[]))?;
    }
    common_groups(xml, told, PROPERTY)
}

fn state(xml: &mut Xml, told: Told<'_>) -> Written {
    for (id, place) in STATE {
        let Some(fact) = told.at(&format!("/data/state/{place}")) else {
            continue;
        };
        let key = place.rsplit('/').next().unwrap_or(place);
        group(xml, PROPERTY, id, |xml| property(xml, key, fact))?;
    }
    if let Some(reason) = told.object("/data/state/reason")? {
        group(xml, PROPERTY, "x-reason", |xml| {
            all_of(xml, reason, &["code"])
        })?;
    }
    let native = told.list("/data/state/native/values")?;
    if native.is_empty() {
        return Ok(());
    }
    group(xml, PROPERTY, "x-native", |xml| {
        for tag in native {
            if let Some(now) = tag.at("/value") {
                scalar(xml, tag.needed("/tag")?, now)?;
            }
        }
        Ok(())
    })
}

/// One fact without a key: the property's id is its name.
fn property(xml: &mut Xml, key: &str, fact: Told<'_>) -> Written {
    match (key, fact.0) {
        ("since", Value::String(text)) => {
            let since = utc(text).ok_or(B2mmlError::Shape("/data/state/since"))?;
            value(xml, &since, "dateTime", None, "");
            Ok(())
        }
        ("previous_duration_s", Value::Number(seconds)) => {
            let text = duration(seconds);
            value(xml, &text.unwrap_or_default(), "duration", None, "");
            Ok(())
        }
        (_, Value::String(word)) => {
            value(xml, word, "Code", None, "");
            Ok(())
        }
        _ => Err(B2mmlError::Shape("/data/state")),
    }
}

/// What a tag said. Its name is the integrator's: it makes no time or duration of a value.
fn scalar(xml: &mut Xml, tag: &str, now: Told<'_>) -> Written {
    match now.0 {
        Value::Bool(on) => value(
            xml,
            if *on { "true" } else { "false" },
            "boolean",
            None,
            tag,
        ),
        Value::Number(told) => number(xml, told, None, tag),
        Value::String(text) => value(xml, text, "string", None, tag),
        _ => return Err(B2mmlError::Shape("/data/state/native/values")),
    }
    Ok(())
}
