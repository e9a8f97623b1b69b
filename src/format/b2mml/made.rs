//! What an operation made and used: `PersonnelActual`, `EquipmentActual`, `PhysicalAssetActual`, `MaterialActual`.
//!
//! The sum of all quantities of produced material is the number of pieces that a MES may book from here: where the counts
//! say that it may not, no produced material has a quantity.

use super::area::group;
use super::measured::{Results, named};
use super::told::Told;
use super::values::{all_of, kind_of, unit, values};
use super::xml::{Written, Xml};
use serde_json::{Number, Value};

/// Pieces by what became of them.
const PIECES: [&str; 4] = ["good", "reject", "rework", "undetermined"];
/// What a part says elsewhere than in its facts.
const OF_ITS_OWN: [&str; 2] = ["id", "role"];

/// The parts of an event: what is made, and what carries it.
pub(super) struct Parts<'a> {
    made: Vec<Told<'a>>,
    carriers: Vec<Told<'a>>,
}

impl<'a> Parts<'a> {
    /// Those in the operation.
    pub(super) fn of(told: Told<'a>) -> Written<Parts<'a>> {
        let mut parts = Parts {
            made: Vec::new(),
            carriers: Vec::new(),
        };
        for part in told.list("/data/operation/parts")? {
            if part.needed("/kind")? == "carrier" {
                parts.carriers.push(part);
            } else {
                parts.made.push(part);
            }
        }
        Ok(parts)
    }

    /// The only one that is made.
    pub(super) fn only(&self) -> Option<Told<'a>> {
        match self.made.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

/// Everything that took part in an operation, in the order of the schema.
pub(super) fn resources(xml: &mut Xml, told: Told<'_>) -> Written {
    if let Some(operator) = told.text("/data/operation/operator/id")? {
        xml.inside("PersonnelActual", |xml| {
            xml.leaf("ID", "PE-1");
            xml.leaf("PersonID", operator);
            Ok(())
        })?;
    }
    equipment(xml, told)?;
    let parts = Parts::of(told)?;
    assets(xml, told, &parts)?;
    materials(xml, told, &parts)
}

fn equipment(xml: &mut Xml, told: Told<'_>) -> Written {
    xml.inside("EquipmentActual", |xml| {
        xml.leaf("ID", "EA-1");
        xml.leaf("EquipmentID", told.needed("/data/equipment/id")?);
        xml.leaf("EquipmentUse", "Used");
        if let Some(slot) = told.at("/data/equipment/slot") {
            group(xml, "EquipmentActualProperty", "slot", |xml| {
                values(xml, "", slot, &[])
            })?;
        }
        Ok(())
    })
}

/// Tools, and carriers of parts.
fn assets(xml: &mut Xml, told: Told<'_>, parts: &Parts<'_>) -> Written {
    let tools = told.list("/data/tools")?;
    for (at, tool) in tools.iter().enumerate() {
        xml.inside("PhysicalAssetActual", |xml| {
            xml.leaf("ID", &format!("PA-{}", at + 1));
            xml.leaf("PhysicalAssetID", tool.needed("/id")?);
            xml.leaf("PhysicalAssetUse", "Used");
            match tool.at("/cycles") {
                None => Ok(()),
                Some(cycles) => group(xml, "PhysicalAssetActualProperty", "cycles", |xml| {
                    values(xml, "", cycles, &[])
                }),
            }
        })?;
    }
    for (at, carrier) in parts.carriers.iter().enumerate() {
        xml.inside("PhysicalAssetActual", |xml| {
            xml.leaf("ID", &format!("PA-{}", tools.len() + at + 1));
            xml.leaf("PhysicalAssetID", carrier.needed("/id")?);
            xml.leaf("PhysicalAssetUse", "Carrier");
            facts(xml, "PhysicalAssetActualProperty", *carrier)
        })?;
    }
    Ok(())
}

fn facts(xml: &mut Xml, element: &'static str, part: Told<'_>) -> Written {
    group(xml, element, "x-part", |xml| {
        values(xml, "", part, &OF_ITS_OWN)
    })
}

/// The product first, with the quantities and the quality; where several parts are made, each of them; then what was used.
fn materials(xml: &mut Xml, told: Told<'_>, parts: &Parts<'_>) -> Written {
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let product = Product::of(told, parts)?;
    if product.any() {
        product.write(xml, next())?;
    }
    if parts.only().is_none() {
        for part in &parts.made {
            several(xml, told, *part, next())?;
        }
    }
    for material in told.list("/data/materials")? {
        used(xml, material, next())?;
    }
    Ok(())
}

/// What an operation makes: of one part that part, else all of them together.
struct Product<'a> {
    part: Option<Told<'a>>,
    definition: Option<&'a str>,
    lot: Option<&'a str>,
    pieces: Vec<(&'static str, &'a Number)>,
    unit: Option<&'a str>,
    quality: Results<'a>,
}

impl<'a> Product<'a> {
    fn of(told: Told<'a>, parts: &Parts<'a>) -> Written<Product<'a>> {
        let part = parts.only();
        Ok(Product {
            part,
            definition: told.text("/data/operation/product/id")?,
            lot: told.text("/data/operation/lot/id")?,
            pieces: pieces(told)?,
            unit: unit(told.text("/data/counts/unit")?),
            quality: Results {
                id: "TR-1".to_owned(),
                at: match told.time("/data/operation/ended_at")? {
                    Some(ended_at) => Some(ended_at),
                    None => told.time("/time")?,
                },
                part: part.map(|part| part.needed("/id")).transpose()?,
                verdict: told.text("/data/verdict")?,
                each: told.list("/data/quality")?,
            },
        })
    }

    /// True where something is known of it.
    fn any(&self) -> bool {
        self.part.is_some()
            || self.definition.is_some()
            || self.lot.is_some()
            || !self.pieces.is_empty()
            || self.quality.any()
    }

    fn write(&self, xml: &mut Xml, number: usize) -> Written {
        xml.inside("MaterialActual", |xml| {
            xml.leaf("ID", &format!("MA-{number}"));
            xml.maybe("MaterialDefinitionID", self.definition);
            identified(xml, self.lot, self.part)?;
            xml.leaf("MaterialUse", "Produced");
            for (what, count) in &self.pieces {
                quantity(xml, count, self.unit, Some(what))?;
            }
            self.quality.write(xml)?;
            match self.part {
                Some(part) => facts(xml, "MaterialActualProperty", part),
                None => Ok(()),
            }
        })
    }
}

/// The lot, and the part as a lot or as one piece of it.
fn identified(xml: &mut Xml, lot: Option<&str>, part: Option<Told<'_>>) -> Written {
    xml.maybe("MaterialLotID", lot);
    let Some(part) = part else {
        return Ok(());
    };
    let id = part.needed("/id")?;
    match part.needed("/kind")? {
        "lot" if lot == Some(id) => {}
        "lot" => xml.leaf("MaterialLotID", id),
        kind => xml.leaf_with("MaterialSubLotID", &[("schemeName", kind)], id),
    }
    Ok(())
}

/// The pieces that may be booked from here, of each sort that there are any of.
fn pieces(told: Told<'_>) -> Written<Vec<(&'static str, &Number)>> {
    let mut pieces = Vec::new();
    if !told.yes("/data/counts/book")? {
        return Ok(pieces);
    }
    let Some(counts) = told.object("/data/counts")? else {
        return Ok(pieces);
    };
    for what in PIECES {
        if let Some(Value::Number(count)) = counts.get(what)
            && count.as_u64() != Some(0)
        {
            pieces.push((what, count));
        }
    }
    Ok(pieces)
}

/// One of several parts; the pieces are counted with the product.
fn several(xml: &mut Xml, told: Told<'_>, part: Told<'_>, number: usize) -> Written {
    let id = part.needed("/id")?;
    let definition = told.text("/data/operation/product/id")?;
    let lot = told.text("/data/operation/lot/id")?;
    let result = Results {
        id: format!("TR-{number}"),
        at: told.time("/data/operation/ended_at")?,
        part: Some(id),
        verdict: part.text("/verdict")?,
        each: Vec::new(),
    };
    xml.inside("MaterialActual", |xml| {
        xml.leaf("ID", &format!("MA-{number}"));
        xml.maybe("MaterialDefinitionID", definition);
        identified(xml, lot, Some(part))?;
        xml.leaf("MaterialUse", "Produced");
        result.write(xml)?;
        facts(xml, "MaterialActualProperty", part)
    })
}

/// A material of the settings, with its lot.
fn used(xml: &mut Xml, told: Told<'_>, number: usize) -> Written {
    let usage = told.needed("/use")?;
    xml.inside("MaterialActual", |xml| {
        xml.leaf("ID", &format!("MA-{number}"));
        xml.leaf("MaterialDefinitionID", told.needed("/id")?);
        xml.maybe("MaterialLotID", told.text("/lot")?);
        match usage {
            "consumed" | "produced" => xml.leaf("MaterialUse", &named(usage)),
            other => xml.leaf_with("MaterialUse", &[("OtherValue", other)], "Other"),
        }
        match told.at("/quantity") {
            Some(Told(Value::Number(count))) => {
                quantity(xml, count, unit(told.text("/unit")?), None)
            }
            _ => Ok(()),
        }
    })
}

fn quantity(xml: &mut Xml, count: &Number, unit: Option<&str>, key: Option<&str>) -> Written {
    xml.inside("Quantity", |xml| {
        xml.leaf("QuantityString", &count.to_string());
        xml.leaf("DataType", kind_of(count));
        xml.maybe("UnitOfMeasure", unit);
        xml.maybe("Key", key);
        Ok(())
    })
}

/// The counts as facts, also where they are not to be booked.
pub(super) fn counts(xml: &mut Xml, told: Told<'_>) -> Written {
    match told.object("/data/counts")? {
        Some(counts) => group(xml, "SegmentData", "x-counts", |xml| {
            all_of(xml, counts, &["unit"])
        }),
        None => Ok(()),
    }
}
