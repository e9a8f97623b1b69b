//! What `probe --json` prints. Pure.

use super::modbus::Look;
use super::table::Block;
use super::view::{self, Several};
use crate::commands::range;
use crate::model::Value;
use serde_json::{Map, Value as Json, json};

/// One reading of a Modbus unit.
pub(super) fn look(url: &str, unit: u8, look: &Look) -> Json {
    let at = jiff::Timestamp::from_nanosecond(i128::from(look.at.utc.0)).unwrap_or_default();
    let blocks: Vec<Json> = look.blocks.iter().map(block).collect();
    json!({ "url": url, "unit": unit, "time": at.to_string(), "blocks": blocks })
}

fn block(block: &Block) -> Json {
    match block {
        Block::Refused(why) => json!({ "error": why }),
        Block::Bits(table, first, bits) => {
            json!({ "table": range::key(*table), "first": first, "bits": bits })
        }
        Block::Words(table, first, words) => {
            let registers: Vec<Json> = view::singles(*first, words)
                .iter()
                .map(|row| {
                    json!({
                        "address": row.address,
                        "hex": format!("{:04X}", row.word),
                        "u16": row.word,
                        "i16": row.i16,
                        "bits": format!("{:016b}", row.word),
                        "bcd16": row.bcd16,
                    })
                })
                .collect();
            let texts: Vec<Json> = view::texts(*first, words)
                .iter()
                .map(|text| json!({ "address": text.address, "order": text.order, "text": text.text }))
                .collect();
            json!({
                "table": range::key(*table),
                "first": first,
                "registers": registers,
                "pairs": several(&view::pairs(*first, words)),
                "quads": several(&view::quads(*first, words)),
                "texts": texts,
            })
        }
    }
}

fn several(rows: &[Several]) -> Vec<Json> {
    let row = |row: &Several| {
        let orders = view::ORDERS.iter().map(|(_, name)| *name);
        let mut object = Map::new();
        object.insert("address".into(), row.address.into());
        object.insert("type".into(), row.kind.into());
        for (order, value) in orders.zip(&row.values) {
            object.insert(order.into(), value.as_ref().map_or(Json::Null, number));
        }
        Json::Object(object)
    };
    rows.iter().map(row).collect()
}

/// A value as JSON has it.
pub(in crate::commands) fn number(value: &Value) -> Json {
    match value {
        Value::Bool(on) => (*on).into(),
        Value::Int(whole) => (*whole).into(),
        Value::Float(measured) => (*measured).into(),
        Value::Text(text) => text.as_ref().into(),
    }
}
