//! `measurements:`: a gauge beside the line has a number, limits and an id.

use super::operation::{Limits, in_order};
use super::scope::{Scope, at_most};
use super::{join, names};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use std::collections::HashMap;

/// Most measurements of a machine.
const MAX_MEASUREMENTS: usize = 256;

/// Checks the measurements of a machine; their conditions are read by `aggregate`.
pub(super) fn check(scope: &Scope<'_>, path: &str, report: &mut Report) {
    let measurements = &scope.machine.measurements;
    let count = measurements.len();
    at_most(MAX_MEASUREMENTS, "measurements", count, path, report);
    let mut seen = HashMap::new();
    for (name, measurement) in measurements {
        let path = join(path, name);
        names::name("a measurement", name, &path, report);
        let what = "what is measured";
        scope.number(
            &measurement.value.tag,
            what,
            &join(&path, "value.tag"),
            report,
        );
        if let Some(part) = &measurement.part {
            scope.naming(&part.tag, &join(&path, "part.tag"), report);
        }
        if let Some(instrument) = &measurement.instrument {
            scope.source(instrument, &join(&path, "instrument"), report);
        }
        let at = join(&path, "id");
        if measurement.id.trim().is_empty() {
            let message = "the id is empty: write the characteristic's id as the MES knows it";
            report.add(at, message);
        } else if let Some(first) = seen.insert(measurement.id.as_str(), name.as_str()) {
            let message = format!(
                "{} is the id of `{first}` already: the MES could not tell them apart",
                shown(&measurement.id)
            );
            report.add(at, message);
        }
        let limits = Limits {
            low: measurement.low,
            target: measurement.target,
            high: measurement.high,
        };
        in_order(&limits, &path, report);
    }
}
