//! What every document begins with: who sends it and which event it is; and where in the plant it happened.

use super::B2mmlError;
use super::told::Told;
use super::values::{all_of, values};
use super::xml::{Written, Xml};

/// Deepest equipment path: enterprise, site, area, line, cell and equipment are six.
const MAX_LEVELS: usize = 16;
/// ISA-95 levels of the path above the equipment, from the enterprise down.
const LEVELS: [&str; 5] = ["Enterprise", "Site", "Area", "ProductionLine", "WorkCell"];
/// The level of an equipment.
pub(super) const WORK_UNIT: &str = "WorkUnit";

/// `ApplicationArea`: a MES deduplicates on `LogicalID` (the event's source) and `BODID` (its id).
pub(super) fn application_area(xml: &mut Xml, told: Told<'_>) -> Written {
    let source = told.needed("/source")?;
    let subject = told.text("/subject")?;
    let sequence = told.needed("/sequence")?;
    let recorded = told.needed_time("/recordedtime")?;
    let id = told.needed("/id")?;
    xml.inside("ApplicationArea", |xml| {
        xml.inside("Sender", |xml| {
            xml.leaf("LogicalID", source);
            xml.leaf("ComponentID", "millgate");
            xml.maybe("TaskID", subject);
            xml.leaf("ReferenceID", sequence);
            // A ConfirmBOD is wanted for what could not be read only.
            xml.leaf("ConfirmationCode", "OnError");
            Ok(())
        })?;
        xml.leaf("CreationDateTime", &recorded);
        xml.leaf("BODID", id);
        Ok(())
    })
}

/// `HierarchyScope`: the path from the enterprise down to the equipment, each level inside the one above.
pub(super) fn hierarchy_scope(xml: &mut Xml, told: Told<'_>) -> Written {
    let mut path = Vec::new();
    for level in told.list("/data/equipment/path")? {
        let name = level.0.as_str();
        path.push(name.ok_or(B2mmlError::Shape("/data/equipment/path"))?);
    }
    if path.is_empty() {
        path.push(told.needed("/data/equipment/id")?);
    }
    if path.len() > MAX_LEVELS {
        return Err(B2mmlError::Shape("/data/equipment/path"));
    }
    level(xml, "HierarchyScope", &path, &LEVELS)
}

fn level(xml: &mut Xml, element: &'static str, path: &[&str], names: &[&str]) -> Written {
    let Some((first, below)) = path.split_first() else {
        return Ok(());
    };
    let (name, names) = names.split_first().unwrap_or((&"Other", &[]));
    xml.inside(element, |xml| {
        xml.leaf("EquipmentID", first);
        if below.is_empty() {
            xml.leaf("EquipmentLevel", WORK_UNIT);
        } else {
            xml.leaf("EquipmentLevel", name);
        }
        level(xml, "HierarchyScopeChild", below, names)
    })
}

/// `OperationsType`. That of a test is none that a MES books.
pub(super) fn operations_type(xml: &mut Xml, told: Told<'_>, usual: &str) -> Written {
    if told.is_test()? {
        xml.leaf_with("OperationsType", &[("OtherValue", "Test")], "Other");
    } else {
        xml.leaf("OperationsType", usual);
    }
    Ok(())
}

/// A group of facts: a `SegmentData` or a property with values in it.
pub(super) fn group(
    xml: &mut Xml,
    element: &'static str,
    id: &str,
    content: impl FnOnce(&mut Xml) -> Written,
) -> Written {
    xml.inside(element, |xml| {
        xml.leaf("ID", id);
        content(xml)
    })
}

/// The groups that stand in every document: how far the times can be trusted, which gateway with which settings, and the
/// event itself.
pub(super) fn common_groups(xml: &mut Xml, told: Told<'_>, element: &'static str) -> Written {
    if let Some(clock) = told.object("/data/clock")? {
        group(xml, element, "x-clock", |xml| all_of(xml, clock, &[]))?;
    }
    if let Some(gateway) = told.object("/data/gateway")? {
        group(xml, element, "x-gateway", |xml| all_of(xml, gateway, &[]))?;
    }
    group(xml, element, "x-event", |xml| {
        let facts = [
            ("type", "/type"),
            ("time", "/time"),
            ("causationid", "/causationid"),
            ("supersedes", "/data/supersedes"),
            ("reason", "/data/reason"),
            ("truncated", "/data/truncated"),
        ];
        for (key, place) in facts {
            if let Some(fact) = told.at(place) {
                values(xml, key, fact, &[])?;
            }
        }
        Ok(())
    })
}
