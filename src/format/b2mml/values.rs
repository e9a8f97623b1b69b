//! `Value` elements out of JSON: one for each number, text or yes and no, with its data type, its unit, and as `Key` the
//! name that it has in the event. What has a name of its own in B2MML is written by others; all the rest comes here.

use super::B2mmlError;
use super::told::{Told, duration, utc};
use super::xml::{Written, Xml};
use serde_json::{Map, Number, Value};

/// How deep events are nested at most: `data.parameters[].stats.percentiles` is less.
const MAX_DEPTH: usize = 8;
/// Longest unit that is repeated at each value, in bytes; UCUM has none that long. So units cannot make a document large.
const MAX_UNIT_BYTES: usize = 64;
/// Names of times that do not end in `_at`.
const TIMES: [&str; 4] = ["time", "from", "to", "since"];

/// A unit as it may stand at each value.
pub(super) fn unit(unit: Option<&str>) -> Option<&str> {
    unit.filter(|unit| unit.len() <= MAX_UNIT_BYTES)
}

/// One value.
pub(super) fn value(xml: &mut Xml, text: &str, kind: &str, unit: Option<&str>, key: &str) {
    // Cannot fail: leaves do not.
    let written = xml.inside("Value", |xml| {
        xml.leaf("ValueString", text);
        xml.leaf("DataType", kind);
        xml.maybe("UnitOfMeasure", unit);
        if !key.is_empty() {
            xml.leaf("Key", key);
        }
        Ok(())
    });
    debug_assert!(written.is_ok());
}

/// A number with its unit. It is written as it stands in the event.
pub(super) fn number(xml: &mut Xml, number: &Number, unit: Option<&str>, key: &str) {
    value(xml, &number.to_string(), kind_of(number), unit, key);
}

/// What `DataType` says of a number.
pub(super) fn kind_of(number: &Number) -> &'static str {
    if number.is_f64() { "double" } else { "integer" }
}

/// Everything in a piece of the event but the places `but`, which are written with dots between their names.
pub(super) fn values(xml: &mut Xml, key: &str, told: Told<'_>, but: &[&str]) -> Written {
    any(xml, key, told.0, but, MAX_DEPTH)
}

/// What a piece of the event is made of, each under its own name.
pub(super) fn all_of(xml: &mut Xml, map: &Map<String, Value>, but: &[&str]) -> Written {
    object(xml, "", map, but, MAX_DEPTH)
}

fn any(xml: &mut Xml, key: &str, told: &Value, but: &[&str], depth: usize) -> Written {
    match told {
        Value::Null => {}
        Value::Bool(yes) => value(
            xml,
            if *yes { "true" } else { "false" },
            "boolean",
            None,
            key,
        ),
        Value::Number(told) => told_number(xml, key, told),
        Value::String(text) => told_text(xml, key, text),
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                if item.is_object() || item.is_array() {
                    any(xml, &format!("{key}.{at}"), item, but, deeper(depth)?)?;
                } else {
                    any(xml, key, item, but, deeper(depth)?)?;
                }
            }
        }
        Value::Object(map) => object(xml, key, map, but, deeper(depth)?)?,
    }
    Ok(())
}

fn object(
    xml: &mut Xml,
    key: &str,
    map: &Map<String, Value>,
    but: &[&str],
    depth: usize,
) -> Written {
    for (name, told) in map {
        let name = match key {
            "" => name.clone(),
            key => format!("{key}.{name}"),
        };
        if !but.contains(&name.as_str()) {
            any(xml, &name, told, but, depth)?;
        }
    }
    Ok(())
}

fn deeper(depth: usize) -> Written<usize> {
    depth.checked_sub(1).ok_or(B2mmlError::Shape("/data"))
}

/// A number; one that is named as seconds becomes a duration.
fn told_number(xml: &mut Xml, key: &str, told: &Number) {
    match key.strip_suffix("_s").zip(duration(told)) {
        Some((key, duration)) => value(xml, &duration, "duration", None, key),
        None => number(xml, told, None, key),
    }
}

/// A text; one that is named as a time and is one becomes that.
fn told_text(xml: &mut Xml, key: &str, text: &str) {
    let name = key.rsplit('.').next().unwrap_or(key);
    let named = name.ends_with("_at") || TIMES.contains(&name);
    match utc(text).filter(|_| named) {
        Some(time) => value(xml, &time, "dateTime", None, key),
        None => value(xml, text, "string", None, key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What the values of `told` say: text, type, unit and key.
    fn written(told: &Value, but: &[&str]) -> Vec<String> {
        let xml = Xml::document("Root", "", 100_000, |xml| values(xml, "", Told(told), but));
        let text = String::from_utf8(xml.unwrap()).unwrap();
        text.split("<Value>")
            .skip(1)
            .map(|value| {
                let plain = value.split('<').filter_map(|tag| tag.split_once('>'));
                let words: Vec<&str> = plain
                    .map(|(_, text)| text)
                    .filter(|text| !text.is_empty())
                    .collect();
                words.join("|")
            })
            .collect()
    }

    #[test]
    fn each_fact_becomes_a_value_with_its_name_and_type() {
        let told = json!({
            "name": "form", "ordinal": 17, "mean": 186.9, "ratio": 1.0, "nothing": null, "recovered": false,
            "duration_s": 3.52, "ended_at": "2026-11-22T09:14:05.83Z", "from": "the left", "max_t": 1.241,
            "flags": ["power_loss", "start_missed"], "order": {"id": "WO-1", "source": "plc"},
            "list": [{"tag": "a", "value": 1}, {"tag": "b", "value": null}],
        });
        let expected = [
            "form|string|name",
            "17|integer|ordinal",
            "186.9|double|mean",
            "1.0|double|ratio",
            "false|boolean|recovered",
            "PT3.52S|duration|duration",
            "2026-11-22T09:14:05.83Z|dateTime|ended_at",
            "the left|string|from",
            "1.241|double|max_t",
            "power_loss|string|flags",
            "start_missed|string|flags",
            "plc|string|order.source",
            "a|string|list.0.tag",
            "1|integer|list.0.value",
            "b|string|list.1.tag",
        ];
        assert_eq!(written(&told, &["order.id"]), expected);
    }

    #[test]
    fn numbers_stand_as_they_stood() {
        let text = r#"[0.1,1e+21,-0.0,5e-324,1.7976931348623157e+308,18446744073709551615,186.90000000000003,2.2250738585072014e-308]"#;
        let told: Value = serde_json::from_str(text).unwrap();
        let expected: Vec<&str> = text.trim_matches(['[', ']']).split(',').collect();
        let written: Vec<String> = (written(&told, &[]).iter())
            .map(|value| value.split('|').next().unwrap().to_owned())
            .collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_nested_without_end_is_no_event() {
        let mut told = json!(1);
        for _ in 0..20 {
            told = json!([told]);
        }
        let xml = Xml::document("Root", "", 1_000, |xml| {
            values(xml, "deep", Told(&told), &[])
        });
        assert!(matches!(xml, Err(B2mmlError::Shape("/data"))));
    }

    #[test]
    fn a_unit_that_is_none_is_not_repeated() {
        assert_eq!(unit(Some("mm/s")), Some("mm/s"));
        assert_eq!(unit(Some(&"x".repeat(65))), None);
        assert_eq!(unit(None), None);
    }
}
