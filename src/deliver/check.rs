//! What only this stage can tell of the settings of uplinks: templates of requests, events that a format has no form for.

use super::http::check_requests;
use crate::settings::{Plant, Problem, UplinkProtocol};
use std::path::Path;

/// Everything that is wrong with the uplinks of a plant, whose settings file stands in `folder`. The plant may have other
/// problems already.
#[must_use]
pub fn check(plant: &Plant, folder: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for uplink in &plant.uplinks {
        if let UplinkProtocol::Http(http) = &uplink.protocol {
            problems.extend(check_requests(uplink, http, folder));
        }
    }
    problems
}
