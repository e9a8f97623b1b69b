//! `ProcessOperationsPerformance`: an operation that started, goes on, or ended.
//!
//! Performance, response and segment have the operation's id, so that what comes later about it is a change of the same.

use super::area::{application_area, common_groups, group, hierarchy_scope, operations_type};
use super::made::{counts, resources};
use super::parameter::segment_data;
use super::told::Told;
use super::values::{all_of, values};
use super::xml::{Written, Xml};
use super::{B2mmlError, MAX_DOCUMENT_BYTES};
use crate::format::line;
use crate::model::EventKind;

/// What an operation says in elements of their own.
const OF_ITS_OWN: [&str; 12] = [
    "id",
    "name",
    "segment",
    "definition",
    "definition_version",
    "parts",
    "started_at",
    "ended_at",
    "order.id",
    "product.id",
    "lot.id",
    "operator.id",
];

/// True for what an operation tells of itself.
pub(super) fn maps(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::OperationStarted
            | EventKind::OperationIdentified
            | EventKind::OperationPaused
            | EventKind::OperationResumed
            | EventKind::OperationProgress
            | EventKind::OperationCompleted
            | EventKind::OperationAborted
            | EventKind::OperationCorrected
    )
}

/// The document of such an event.
pub(super) fn document(told: Told<'_>, kind: EventKind) -> Written<Vec<u8>> {
    let state = state(told, kind)?;
    Xml::document(
        "ProcessOperationsPerformance",
        "",
        MAX_DOCUMENT_BYTES,
        |xml| {
            application_area(xml, told)?;
            xml.inside("DataArea", |xml| {
                process(xml, told, kind, state)?;
                xml.inside("OperationsPerformance", |xml| performance(xml, told, state))
            })
        },
    )
}

/// The state that the operation has now; `None` where the event does not say it.
fn state(told: Told<'_>, kind: EventKind) -> Written<Option<&'static str>> {
    Ok(match kind {
        EventKind::OperationIdentified => None,
        EventKind::OperationPaused => Some("Paused"),
        EventKind::OperationCompleted => Some("Completed"),
        EventKind::OperationAborted => Some("Aborted"),
        EventKind::OperationCorrected => Some(match told.needed("/data/operation/outcome")? {
            "completed" => "Completed",
            "aborted" | "interrupted" => "Aborted",
            _ => return Err(B2mmlError::Shape("/data/operation/outcome")),
        }),
        _ => Some("Running"),
    })
}

/// The verb: what is to be done with it, and why.
fn process(xml: &mut Xml, told: Told<'_>, kind: EventKind, state: Option<&str>) -> Written {
    let action = match kind {
        EventKind::OperationStarted
        | EventKind::OperationCompleted
        | EventKind::OperationAborted => "Add",
        _ => "Change",
    };
    xml.inside_with("Process", &[("acknowledgeCode", "Always")], |xml| {
        xml.inside("ActionCriteria", |xml| {
            let action = [("actionCode", action)];
            xml.leaf_with("ActionExpression", &action, "/OperationsPerformance");
            change(xml, told, kind, state)
        })
    })
}

/// For what changes a state, or what was told before: since when, and why.
fn change(xml: &mut Xml, told: Told<'_>, kind: EventKind, state: Option<&str>) -> Written {
    let (from_to, reason) = match kind {
        EventKind::OperationPaused => (Some(("Running", "Paused")), "/data/reason"),
        EventKind::OperationResumed => (Some(("Paused", "Running")), "/data/reason"),
        EventKind::OperationAborted => (None, "/data/operation/abort_reason"),
        EventKind::OperationCorrected => (None, "/data/supersedes/reason"),
        _ => return Ok(()),
    };
    let reason = told.text(reason)?;
    let time = told.needed_time("/time")?;
    xml.inside("ChangeStatus", |xml| {
        xml.maybe("Code", state);
        xml.leaf("EffectiveDateTime", &time);
        xml.maybe("ReasonCode", reason);
        let Some((from, to)) = from_to else {
            return Ok(());
        };
        xml.inside("StateChange", |xml| {
            xml.leaf("FromStateCode", from);
            xml.leaf("ToStateCode", to);
            xml.leaf("ChangeDateTime", &time);
            Ok(())
        })
    })
}

fn performance(xml: &mut Xml, told: Told<'_>, state: Option<&str>) -> Written {
    let id = told.needed("/data/operation/id")?;
    xml.leaf("ID", id);
    xml.leaf("Description", &line(told.0));
    xml.leaf("PublishedDate", &told.needed_time("/recordedtime")?);
    times(xml, told, "StartTime", "Endtime")?;
    hierarchy_scope(xml, told)?;
    operations_type(xml, told, "Production")?;
    xml.maybe("PerformanceState", state);
    xml.inside("OperationsResponse", |xml| {
        xml.leaf("ID", id);
        times(xml, told, "StartTime", "EndTime")?;
        operations_type(xml, told, "Production")?;
        xml.maybe(
            "OperationsRequestID",
            told.text("/data/operation/order/id")?,
        );
        if let Some(definition) = told.text("/data/operation/definition")? {
            let version = told.text("/data/operation/definition_version")?;
            let version = version.map(|version| ("schemeVersionID", version));
            xml.leaf_with("OperationsDefinitionID", version.as_slice(), definition);
        }
        xml.maybe("OperationsSegmentID", told.text("/data/operation/segment")?);
        xml.maybe("ResponseState", state);
        xml.inside("SegmentResponse", |xml| segment(xml, told, id, state))
    })
}

/// Start and end, the latter where it is known.
fn times(xml: &mut Xml, told: Told<'_>, start: &'static str, end: &'static str) -> Written {
    xml.leaf(start, &told.needed_time("/data/operation/started_at")?);
    xml.maybe(end, told.time("/data/operation/ended_at")?.as_deref());
    Ok(())
}

fn segment(xml: &mut Xml, told: Told<'_>, id: &str, state: Option<&str>) -> Written {
    xml.leaf("ID", id);
    times(xml, told, "ActualStartTime", "ActualEndTime")?;
    operations_type(xml, told, "Production")?;
    xml.leaf("ProcessSegmentID", told.needed("/data/operation/name")?);
    xml.maybe("SegmentState", state);
    for parameter in told.list("/data/parameters")? {
        segment_data(xml, parameter)?;
    }
    groups(xml, told)?;
    resources(xml, told)
}

/// What B2MML has no place for.
fn groups(xml: &mut Xml, told: Told<'_>) -> Written {
    if let Some(operation) = told.object("/data/operation")? {
        group(xml, "SegmentData", "x-operation", |xml| {
            all_of(xml, operation, &OF_ITS_OWN)
        })?;
    }
    if let Some(window) = told.object("/data/window")? {
        group(xml, "SegmentData", "x-window", |xml| {
            all_of(xml, window, &[])
        })?;
    }
    counts(xml, told)?;
    if let Some(quality) = told.object("/data/data_quality")? {
        group(xml, "SegmentData", "x-data", |xml| {
            all_of(xml, quality, &[])?;
            match told.at("/data/verdict") {
                Some(verdict) => values(xml, "verdict", verdict, &[]),
                None => Ok(()),
            }
        })?;
    }
    common_groups(xml, told, "SegmentData")
}
