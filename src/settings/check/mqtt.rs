//! `mqtt:` of an uplink: address, topics, names and times.

use super::uplink::{check_tls, check_user, scheme, within};
use super::{join, template, url};
use crate::settings::report::Report;
use crate::settings::shape::Mqtt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// MQTT counts its keep-alive in seconds of 16 bits.
const KEEP_ALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(65_535);
/// Longest MQTT client id in bytes.
const MAX_CLIENT_ID_BYTES: usize = 256;

/// Checks the way to a broker.
pub(super) fn check(mqtt: &Mqtt, path: &str, report: &mut Report) {
    let at = join(path, "url");
    match url::parse(&mqtt.url) {
        Ok(url) => {
            let safe = scheme(url.scheme, ["mqtt", "mqtts"], &at, report);
            if !matches!(url.path, "" | "/") {
                report.add(
                    &at,
                    "a broker has no path: write `topic:` for where the events go",
                );
            }
            check_tls(safe, mqtt.tls.as_ref(), ["mqtt", "mqtts"], path, report);
        }
        Err(wrong) => report.add(
            &at,
            format!("{wrong} mqtt://HOST:1883 or mqtts://HOST:8883"),
        ),
    }
    if let Some(problem) = template::check(&mqtt.topic, &join(path, "topic")) {
        report.push(problem);
    }
    let good =
        |id: &str| (1..=MAX_CLIENT_ID_BYTES).contains(&id.len()) && !id.contains(char::is_control);
    if mqtt.client_id.as_ref().is_some_and(|id| !good(id)) {
        let message = format!(
            "a client id has 1 to {MAX_CLIENT_ID_BYTES} bytes; leave it out for the gateway's id and the uplink's name"
        );
        report.add(join(path, "client_id"), message);
    }
    if let Some(user) = &mqtt.user {
        check_user(user, &join(path, "user"), report);
    }
    within(
        "keep_alive",
        mqtt.keep_alive,
        KEEP_ALIVE,
        "1s to 65535s",
        path,
        report,
    );
}
