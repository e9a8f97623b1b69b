//! Operations, parts, limits and measurements in words.

use super::{clock_time, exact, labelled, lasting, number, sentence, shown, unit, word};
use serde_json::Value;

/// Most characteristics that one line names.
const MAX_RESULTS: usize = 3;

/// `form #17`
fn operation(event: &Value) -> String {
    let name = word(event, "/data/operation/name").unwrap_or_else(|| "operation".into());
    match word(event, "/data/operation/ordinal") {
        Some(ordinal) => format!("{name} #{ordinal}"),
        None => name,
    }
}

/// `part SN-0000001`, or how many.
fn parts(event: &Value) -> Option<String> {
    let parts = event.pointer("/data/operation/parts")?.as_array()?;
    match parts.as_slice() {
        [] => None,
        [one] => labelled(one, "part", "/id"),
        [first, ..] => {
            let first = word(first, "/id").unwrap_or_default();
            Some(format!("{} parts from {first} on", parts.len()))
        }
    }
}

/// Part, order, product, lot, operator, and what it is for where that is not production.
fn facts(event: &Value) -> [Option<String>; 6] {
    let purpose = word(event, "/data/operation/purpose").filter(|purpose| purpose != "production");
    [
        parts(event),
        labelled(event, "order", "/data/operation/order/id"),
        labelled(event, "product", "/data/operation/product/id"),
        labelled(event, "lot", "/data/operation/lot/id"),
        labelled(event, "operator", "/data/operation/operator/id"),
        purpose.map(|purpose| format!("for {}", purpose.replace('_', " "))),
    ]
}

pub(super) fn started(event: &Value) -> String {
    sentence(format!("{} started", operation(event)), facts(event))
}

pub(super) fn identified(event: &Value) -> String {
    sentence(format!("{} identified", operation(event)), facts(event))
}

pub(super) fn paused(event: &Value) -> String {
    let reason = word(event, "/data/reason");
    sentence(format!("{} paused", operation(event)), [reason])
}

pub(super) fn resumed(event: &Value) -> String {
    format!("{} goes on", operation(event))
}

pub(super) fn progress(event: &Value) -> String {
    let from = clock_time(event, "/data/window/from");
    let to = clock_time(event, "/data/window/to");
    let window = from.zip(to).map(|(from, to)| format!("{from}-{to}"));
    let mean = number(event, "/data/parameters/0/stats/mean").map(|mean| {
        let name = word(event, "/data/parameters/0/name").unwrap_or_default();
        let unit = unit(event.pointer("/data/parameters/0/unit"));
        format!("{name} {}{unit} on average", shown(mean))
    });
    sentence(
        format!("{} is still running", operation(event)),
        [window, mean],
    )
}

pub(super) fn completed(event: &Value) -> String {
    let head = format!("{} completed", operation(event));
    let head = match number(event, "/data/operation/duration_s") {
        Some(duration) => format!("{head} in {}", lasting(duration)),
        None => head,
    };
    sentence(
        head,
        [parts(event), verdict(event), pieces(event), results(event)],
    )
}

pub(super) fn aborted(event: &Value) -> String {
    let how = word(event, "/data/operation/outcome").unwrap_or_else(|| "aborted".into());
    let mut head = format!("{} {how}", operation(event));
    if let Some(duration) = number(event, "/data/operation/duration_s") {
        head = format!("{head} after {}", lasting(duration));
    }
    let reason = labelled(event, "reason", "/data/operation/abort_reason");
    let cause = word(event, "/data/operation/end_cause");
    let cause = cause.and_then(|cause| match cause.as_str() {
        "abort_trigger" if reason.is_some() => None,
        "abort_trigger" => Some("the machine broke it off".to_owned()),
        "next_start" => Some("the next one started first".to_owned()),
        "max_duration" => Some("it took too long".to_owned()),
        "connection_loss" => Some("its device was lost".to_owned()),
        "recovered_state" => Some("found so after a restart".to_owned()),
        other => Some(other.replace('_', " ")),
    });
    sentence(head, [cause, reason, parts(event)])
}

pub(super) fn corrected(event: &Value) -> String {
    let reason = word(event, "/data/supersedes/reason").unwrap_or_default();
    let head = match reason.as_str() {
        "" => format!("{} corrected", operation(event)),
        reason => format!(
            "{} corrected, {}",
            operation(event),
            reason.replace('_', " ")
        ),
    };
    let order = labelled(event, "order", "/data/operation/order/id");
    sentence(head, [parts(event), order, verdict(event)])
}

fn verdict(event: &Value) -> Option<String> {
    let verdict = word(event, "/data/verdict").filter(|verdict| verdict != "not_evaluated");
    verdict.map(|verdict| format!("verdict {verdict}"))
}

/// `11 good, 1 reject`, where it is not one piece.
fn pieces(event: &Value) -> Option<String> {
    let kinds = ["good", "reject", "rework", "undetermined"];
    let counted: Vec<(u64, &str)> = kinds
        .iter()
        .filter_map(|kind| {
            let place = format!("/data/counts/{kind}");
            Some((event.pointer(&place)?.as_u64()?, *kind))
        })
        .filter(|(count, _)| *count > 0)
        .collect();
    let sum = counted
        .iter()
        .fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
    let words = counted
        .iter()
        .map(|(count, kind)| format!("{count} {kind}"));
    (sum > 1).then(|| words.collect::<Vec<_>>().join(", "))
}

/// The characteristics that failed, else the first one, else the largest value of the first parameter.
fn results(event: &Value) -> Option<String> {
    let results = event.pointer("/data/quality").and_then(Value::as_array);
    let results = results.map(Vec::as_slice).unwrap_or_default();
    let failed = |result: &&Value| word(result, "/verdict").as_deref() == Some("fail");
    let failed: Vec<String> = results
        .iter()
        .filter(failed)
        .take(MAX_RESULTS)
        .filter_map(characteristic)
        .collect();
    if !failed.is_empty() {
        return Some(failed.join(", "));
    }
    if let Some(first) = results.first() {
        return characteristic(first);
    }
    let largest = number(event, "/data/parameters/0/stats/max")?;
    let name = word(event, "/data/parameters/0/name")?;
    let unit = unit(event.pointer("/data/parameters/0/unit"));
    Some(format!("{name} max {}{unit}", shown(largest)))
}

/// `forming_pressure max 251.4 bar above 250`
fn characteristic(result: &Value) -> Option<String> {
    let name = word(result, "/characteristic")?.replace('.', " ");
    let Some(value) = number(result, "/value") else {
        return Some(format!("{name} unknown"));
    };
    let unit = unit(result.get("unit"));
    let beside = outside(result, value).unwrap_or_default();
    Some(format!("{name} {}{unit}{beside}", exact(value)))
}

/// ` above 250`
fn outside(result: &Value, value: f64) -> Option<String> {
    if let Some(high) = number(result, "/high").filter(|high| value > *high) {
        return Some(format!(" above {}", exact(high)));
    }
    let low = number(result, "/low").filter(|low| value < *low)?;
    Some(format!(" below {}", exact(low)))
}

pub(super) fn part_read(event: &Value) -> String {
    let kind = word(event, "/data/part/kind").unwrap_or_default();
    let what = match kind.as_str() {
        "carrier" | "lot" => kind.as_str(),
        _ => "part",
    };
    let id = word(event, "/data/part/id").unwrap_or_else(|| "?".into());
    match word(event, "/data/part/reader") {
        Some(reader) => format!("{what} {id} read by {reader}"),
        None => format!("{what} {id} read"),
    }
}

pub(super) fn scan_refused(event: &Value) -> String {
    let read = word(event, "/data/scan/text").or_else(|| {
        let hex = word(event, "/data/scan/raw_hex")?;
        Some(format!("of the bytes {hex}"))
    });
    let scan = match read {
        Some(read) => format!("scan {read}"),
        None => "an empty scan".to_owned(),
    };
    let reason = word(event, "/data/scan/reason").unwrap_or_default();
    let (came_to, why) = match reason.as_str() {
        "pattern" => ("refused", "no pattern fits"),
        "checksum" => ("refused", "its check digit is wrong"),
        "unusable" => ("refused", "it cannot be an id"),
        "expired" => ("not used", "no operation came in time"),
        "replaced" => ("not used", "another scan came after it"),
        "no_operation" => ("not used", "there is no operation for it"),
        "no_stop" => ("not used", "there is no stop for it"),
        other => ("not used", other),
    };
    format!("{scan} {came_to}: {why}")
}

pub(super) fn limit_exceeded(event: &Value) -> String {
    let parameter = word(event, "/data/limit/parameter").unwrap_or_else(|| "parameter".into());
    let low = word(event, "/data/limit/which").as_deref() == Some("low");
    let way = if low { "low" } else { "high" };
    let limit =
        number(event, "/data/limit/threshold").map(|limit| format!("limit {}", exact(limit)));
    sentence(
        format!("{parameter} too {way}"),
        [
            limit_value(event),
            limit,
            Some(operation(event)),
            parts(event),
        ],
    )
}

pub(super) fn limit_cleared(event: &Value) -> String {
    let parameter = word(event, "/data/limit/parameter").unwrap_or_else(|| "parameter".into());
    let outside = number(event, "/data/limit/exceeded_s")
        .map(|seconds| format!("outside for {}", lasting(seconds)));
    let peak = number(event, "/data/limit/peak").map(|peak| format!("at worst {}", exact(peak)));
    sentence(
        format!("{parameter} inside its limit again"),
        [limit_value(event), outside, peak, Some(operation(event))],
    )
}

fn limit_value(event: &Value) -> Option<String> {
    let unit = unit(event.pointer("/data/limit/unit"));
    number(event, "/data/limit/value").map(|value| format!("{}{unit}", exact(value)))
}

pub(super) fn measured(event: &Value) -> String {
    let head = match results(event) {
        Some(results) => format!("measured {results}"),
        None => "measured".to_owned(),
    };
    sentence(
        head,
        [
            verdict(event),
            labelled(event, "part", "/data/part/id"),
            word(event, "/data/operation/name").map(|name| format!("made by {name}")),
        ],
    )
}

pub(super) fn tool(event: &Value) -> String {
    let tool = word(event, "/data/tool/id").unwrap_or_else(|| "?".into());
    let head = match word(event, "/data/tool/previous/id") {
        Some(before) => format!("tool {tool} in place of {before}"),
        None => format!("tool {tool} is in use"),
    };
    let cycles = word(event, "/data/tool/cycles").map(|cycles| format!("{cycles} cycles so far"));
    sentence(head, [cycles])
}

pub(super) fn material(event: &Value) -> String {
    let lot = word(event, "/data/material/lot").unwrap_or_else(|| "?".into());
    let material = word(event, "/data/material/id").unwrap_or_else(|| "material".into());
    let before = word(event, "/data/material/previous")
        .map(|before| format!(" in place of {before}"))
        .unwrap_or_default();
    let order = labelled(event, "order", "/data/order/id");
    sentence(format!("lot {lot} of {material} loaded{before}"), [order])
}
