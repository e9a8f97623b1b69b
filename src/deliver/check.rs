//! What only this stage can tell of the settings of uplinks: templates of requests, events that a format has no form for,
//! and (in `neighbours`) what uplinks at one broker must not share.

use super::body::has_form;
use super::filter::EventFilter;
use super::http::{check_requests, doubts_of_requests};
use super::neighbours;
use crate::model::EventKind;
use crate::settings::{Plant, Problem, Uplink, UplinkProtocol};
use std::path::Path;

/// Everything that is wrong with the uplinks of a plant, whose settings file stands in `folder`. The plant may have other
/// problems already.
#[must_use]
pub fn check(plant: &Plant, folder: &Path) -> Vec<Problem> {
    let mut problems = neighbours::check(plant);
    for uplink in &plant.uplinks {
        problems.extend(without_form(uplink));
        if let UplinkProtocol::Http(http) = &uplink.protocol {
            problems.extend(check_requests(uplink, http, folder));
        }
    }
    problems
}

/// What is worth a look in the uplinks of a plant without problems, which knows where its files are.
#[must_use]
pub fn warnings(plant: &Plant) -> Vec<Problem> {
    let uplinks = plant.uplinks.iter();
    let doubts = uplinks.filter_map(|uplink| match &uplink.protocol {
        UplinkProtocol::Http(http) => Some(doubts_of_requests(uplink, http, Path::new(""))),
        UplinkProtocol::Mqtt(_) => None,
    });
    doubts.flatten().collect()
}

/// Patterns of `events:` that name events which the format has no form for; `*` is all that it has.
fn without_form(uplink: &Uplink) -> Vec<Problem> {
    let has = |name: &str| has_form(uplink.format, name);
    let names = EventKind::ALL.map(EventKind::name);
    let known: Vec<&str> = names.into_iter().filter(|name| has(name)).collect();
    let patterns = uplink.events.iter().enumerate();
    let problems = patterns.filter(|(_, pattern)| *pattern != "*");
    let problems = problems.filter_map(|(at, pattern)| {
        let filter = EventFilter::new(std::slice::from_ref(pattern));
        let lacking = names
            .into_iter()
            .filter(|name| filter.wants(name) && !has(name));
        let lacking: Vec<&str> = lacking.collect();
        let path = format!("uplinks.{}.events.{at}", uplink.name);
        let message = format!(
            "`format: b2mml` has no document for {}; it has them for {}, and `*` for all of these",
            lacking.join(", "),
            known.join(", ")
        );
        (!lacking.is_empty()).then(|| Problem::new(path, message))
    });
    problems.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UplinkId;
    use crate::settings::shape::{Format, Http};

    #[test]
    fn patterns_that_a_format_has_no_form_for_are_told_with_their_events() {
        let http: Http = serde_json::from_value(serde_json::json!({ "url": "http://h/" })).unwrap();
        let mut uplink = Uplink::new(UplinkId(0), "mes", UplinkProtocol::Http(http));
        uplink.events = ["*", "operation.*", "gateway.birth", "equipment.*"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(without_form(&uplink), []);
        uplink.format = Format::B2mml;
        let problems = without_form(&uplink);
        let paths: Vec<&str> = problems.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["uplinks.mes.events.2", "uplinks.mes.events.3"]);
        let message = &problems[1].message;
        assert!(message.contains("equipment.alarm.raised"), "{message}");
    }
}
