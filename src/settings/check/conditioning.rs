//! What is done to a value after it was read: scale, range, rate, deadband, words. For every driver alike.

use super::join;
use crate::model::{Interpolation, ValueKind};
use crate::settings::plant::{Conditioning, Deadband};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::Tag;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest unit in bytes; UCUM's are short.
const MAX_UNIT_BYTES: usize = 64;
/// Most words of one tag.
const MAX_WORDS: usize = 1_000;
/// Longest word in bytes.
const MAX_WORD_BYTES: usize = 256;

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
    linear(tag, path, report);
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
    if tag.max_rate.is_some_and(|rate| rate.per_second() <= 0.0) {
        report.add(
            join(path, "max_rate"),
            "the fastest believable change is above 0: write it in units per second, such as 100/s, or leave it out",
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

/// `linear:`, two different points and nothing else that scales.
fn linear(tag: &Tag, path: &str, report: &mut Report) {
    let Some(line) = tag.linear else { return };
    let at = join(path, "linear");
    if tag.scale.is_some() || tag.offset.is_some() {
        report.add(
            at,
            "`linear` says how raw values become real ones, and so do `scale` and `offset`: write one or the other",
        );
        return;
    }
    for (key, [first, second], says) in [
        ("from", line.from, "two different raw values make a line"),
        ("to", line.to, "every value would become this one"),
    ] {
        if first == second {
            let message = format!("both points are {first}: {says}");
            report.add(join(&at, key), message);
        }
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
    if tag.values.len() > MAX_WORDS {
        let message = format!(
            "{} words are too many: at most {MAX_WORDS}",
            tag.values.len()
        );
        report.add(at.as_str(), message);
    }
    if tag.interpolation == Interpolation::Linear {
        report.add(
            join(path, "interpolation"),
            "a word does not move along a line: leave `interpolation` out",
        );
    }
    let listed = listed(tag, &at, report);
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

/// The words by their numbers.
fn listed(tag: &Tag, path: &str, report: &mut Report) -> BTreeMap<i64, Arc<str>> {
    let mut listed = BTreeMap::new();
    for (key, word) in &tag.values {
        let at = join(path, key);
        let Ok(number) = key.parse::<i64>() else {
            let message = format!("{} is no whole number: write `\"0\": idle`", shown(key));
            report.add(at, message);
            continue;
        };
        if word.trim().is_empty() || word.len() > MAX_WORD_BYTES {
            let message = format!(
                "{} is no word: write what {number} means, in at most {MAX_WORD_BYTES} bytes",
                shown(word)
            );
            report.add(at.as_str(), message);
        }
        if listed.insert(number, Arc::from(word.as_str())).is_some() {
            let message = format!("{number} stands here a second time: take one away");
            report.add(at, message);
        }
    }
    listed
}

/// `deadband:`, a percentage worked out.
fn deadband(tag: &Tag, path: &str, report: &mut Report) -> Option<Deadband> {
    let deadband = tag.deadband?;
    let at = join(path, "deadband");
    if deadband.heartbeat.get().is_zero() {
        report.add(
            join(&at, "heartbeat"),
            "a heartbeat of 0 hands on every value: leave `deadband` out, or write how long it may be silent",
        );
    }
    if let Some(percent) = deadband.percent.filter(|percent| *percent >= 100.0) {
        let message =
            format!("`{percent}` percent of the range is all of it: no change would be told");
        report.add(join(&at, "percent"), message);
    }
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
