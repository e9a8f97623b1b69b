//! What is done to a value after it was read: scale, range, rate, deadband, words. For every driver alike.

use super::join;
use crate::model::ValueKind;
use crate::settings::plant::{Conditioning, Deadband};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::Tag;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest unit in bytes; UCUM's are short.
const MAX_UNIT_BYTES: usize = 64;

/// What is done to the values of a tag whose raw values are of `raw`; and what they are afterwards.
pub(super) fn check(
    tag: &Tag,
    raw: ValueKind,
    path: &str,
    report: &mut Report,
) -> (Conditioning, ValueKind) {
    let unit = tag.unit.as_deref().unwrap_or("1");
    if unit.trim().is_empty() || unit.len() > MAX_UNIT_BYTES {
        report.add(
            join(path, "unit"),
            "write a UCUM unit, such as bar, mm, Cel or 1, or leave `unit` out",
        );
    }
    numbers(tag, raw, path, report);
    let values = words(tag, raw, path, report);
    let scaled = tag.scale.is_some() || tag.offset.is_some() || tag.linear.is_some();
    let kind = match raw {
        _ if values.is_some() => ValueKind::Text,
        ValueKind::Int | ValueKind::Any if scaled => ValueKind::Float,
        raw => raw,
    };
    let conditioning = Conditioning {
        values,
        scale: tag.scale,
        offset: tag.offset,
        linear: tag.linear.map(|line| (line.from, line.to)),
        range: tag.range.map(|[low, high]| (low, high)),
        max_rate_per_s: tag.max_rate.map(|rate| rate.per_second()),
        deadband: deadband(tag, path, report),
    };
    (conditioning, kind)
}

/// Keys that are about numbers, whether they are given, and where a value is allowed to have them.
fn numbers(tag: &Tag, raw: ValueKind, path: &str, report: &mut Report) {
    if matches!(raw, ValueKind::Bool | ValueKind::Text) {
        for (key, given) in [
            ("scale", tag.scale.is_some()),
            ("offset", tag.offset.is_some()),
            ("range", tag.range.is_some()),
            ("linear", tag.linear.is_some()),
            ("max_rate", tag.max_rate.is_some()),
            ("deadband", tag.deadband.is_some()),
        ] {
            if given {
                report.add(
                    join(path, key),
                    format!("`{key}` is for numbers: a bit or a text has none"),
                );
            }
        }
    }
    if tag.scale == Some(0.0) {
        report.add(
            join(path, "scale"),
            "a scale of 0 makes every value 0: leave `scale` out, or write the factor",
        );
    }
    if let Some([low, high]) = tag.range.filter(|[low, high]| low >= high) {
        let found = shown(&format!("[{low}, {high}]"));
        report.add(
            join(path, "range"),
            format!("{found} holds nothing: write the lowest value first, then the highest"),
        );
    }
}

/// `values:`, for whole numbers.
fn words(
    tag: &Tag,
    raw: ValueKind,
    path: &str,
    report: &mut Report,
) -> Option<BTreeMap<i64, Arc<str>>> {
    if tag.values.is_empty() {
        return None;
    }
    let at = join(path, "values");
    if !matches!(raw, ValueKind::Int | ValueKind::Any) {
        report.add(
            at.as_str(),
            "`values` has words for whole numbers: this tag is none",
        );
    }
    let mut listed = BTreeMap::new();
    for (number, word) in &tag.values {
        match number.parse::<i64>() {
            Ok(number) => {
                listed.insert(number, Arc::from(word.as_str()));
            }
            Err(_) => {
                let message = format!("{} is no whole number: write `\"0\": idle`", shown(number));
                report.add(join(&at, number), message);
            }
        }
    }
    for (key, given) in [
        ("scale", tag.scale.is_some()),
        ("offset", tag.offset.is_some()),
        ("linear", tag.linear.is_some()),
        ("range", tag.range.is_some()),
        ("max_rate", tag.max_rate.is_some()),
        ("deadband", tag.deadband.is_some()),
    ] {
        if given {
            report.add(
                join(path, key),
                format!("with `values:` the tag is a text: leave `{key}` out"),
            );
        }
    }
    Some(listed)
}

/// `deadband:`, a percentage worked out.
fn deadband(tag: &Tag, path: &str, report: &mut Report) -> Option<Deadband> {
    let deadband = tag.deadband?;
    let at = join(path, "deadband");
    let absolute = match (deadband.absolute, deadband.percent, tag.range) {
        (Some(absolute), None, _) => absolute,
        (None, Some(percent), Some([low, high])) => (high - low) * percent / 100.0,
        (None, Some(_), None) => {
            report.add(
                at,
                "percent of what? Write `range: [LOWEST, HIGHEST]`, or `absolute:` here",
            );
            return None;
        }
        (None, None, _) | (Some(_), Some(_), _) => {
            report.add(at, "write one of `absolute:` and `percent:`");
            return None;
        }
    };
    if !(absolute.is_finite() && absolute > 0.0) {
        report.add(at, "a deadband is above 0: leave it out to get every value");
        return None;
    }
    Some(Deadband {
        absolute,
        heartbeat: deadband.heartbeat.get(),
    })
}
