//! `SegmentData` of one parameter: a `Value` for each statistic, and its course as a child.

use super::B2mmlError;
use super::told::Told;
use super::values::{number, unit, value, values};
use super::xml::{Written, Xml};
use serde_json::{Number, Value};

/// Statistics that are seconds from the start.
const SECONDS: [&str; 2] = ["min_t", "max_t"];
/// Numbers of the limits that are in the parameter's unit.
const IN_ITS_UNIT: [&str; 3] = ["low", "target", "high"];

/// Everything that is known of a parameter.
pub(super) fn segment_data(xml: &mut Xml, told: Told<'_>) -> Written {
    let name = told.needed("/name")?;
    let written = told.text("/unit")?;
    xml.inside("SegmentData", |xml| {
        xml.leaf("ID", name);
        let unit = unit(written);
        statistics(xml, told, unit)?;
        limits(xml, told, unit)?;
        for key in ["kind", "interpolation", "samples", "coverage"] {
            if let Some(facts) = told.at(&format!("/{key}")) {
                values(xml, key, facts, &[])?;
            }
        }
        if let Some(long) = written.filter(|_| unit.is_none()) {
            value(xml, long, "string", None, "unit");
        }
        for key in ["profile", "sequence"] {
            if let Some(facts) = told.at(&format!("/{key}")) {
                let points = [format!("{key}.t"), format!("{key}.v")];
                values(xml, key, facts, &points.each_ref().map(String::as_str))?;
            }
        }
        course(
            xml,
            "profile",
            told.list("/profile/t")?,
            told.list("/profile/v")?,
            unit,
        )?;
        course(
            xml,
            "sequence",
            told.list("/sequence/t")?,
            told.list("/sequence/v")?,
            None,
        )
    })
}

fn statistics(xml: &mut Xml, told: Told<'_>, unit: Option<&str>) -> Written {
    let Some(stats) = told.object("/stats")? else {
        return Ok(());
    };
    // UCUM: what stands behind a quotient multiplies the whole of it.
    let integral = unit.map(|unit| format!("{unit}.s"));
    for (key, told) in stats {
        match told {
            Value::Number(told) if key == "integral" => {
                number(xml, told, Some(integral.as_deref().unwrap_or("s")), key);
            }
            Value::Number(told) if SECONDS.contains(&key.as_str()) => {
                number(xml, told, Some("s"), key);
            }
            Value::Number(told) if !key.ends_with("_s") => number(xml, told, unit, key),
            Value::Object(percentiles) if key == "percentiles" => {
                for (percent, told) in percentiles {
                    in_unit(xml, told, unit, percent, "/parameters/stats/percentiles")?;
                }
            }
            told => values(xml, key, Told(told), &[])?,
        }
    }
    Ok(())
}

fn limits(xml: &mut Xml, told: Told<'_>, unit: Option<&str>) -> Written {
    let Some(limits) = told.object("/limits")? else {
        return Ok(());
    };
    for (key, told) in limits {
        let name = format!("limits.{key}");
        if IN_ITS_UNIT.contains(&key.as_str()) {
            in_unit(xml, told, unit, &name, "/parameters/limits")?;
        } else {
            values(xml, &name, Told(told), &[])?;
        }
    }
    Ok(())
}

/// A number or nothing.
fn in_unit(
    xml: &mut Xml,
    told: &Value,
    unit: Option<&str>,
    key: &str,
    place: &'static str,
) -> Written {
    match told {
        Value::Null => {}
        Value::Number(told) => number(xml, told, unit, key),
        _ => return Err(B2mmlError::Shape(place)),
    }
    Ok(())
}

/// A course over time as a child: `Key` is the seconds from the start. Points of which nothing is known are left out.
fn course(
    xml: &mut Xml,
    name: &'static str,
    t: Vec<Told<'_>>,
    v: Vec<Told<'_>>,
    unit: Option<&str>,
) -> Written {
    let mut points: Vec<(&Number, &Value)> = Vec::with_capacity(t.len());
    for (t, v) in t.into_iter().zip(v) {
        match (t.0, v.0) {
            (Value::Null, _) | (_, Value::Null) => {}
            (Value::Number(t), v @ (Value::Number(_) | Value::String(_))) => points.push((t, v)),
            _ => return Err(B2mmlError::Shape("/parameters/profile")),
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    xml.inside("SegmentDataChild", |xml| {
        xml.leaf("ID", name);
        for (t, v) in points {
            let key = t.to_string();
            match v {
                Value::Number(told) => number(xml, told, unit, &key),
                Value::String(text) => value(xml, text, "string", None, &key),
                _ => {}
            }
        }
        Ok(())
    })
}
