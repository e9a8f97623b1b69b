//! `mqtt:` of an uplink: address, topics, names and times.

use super::uplink::{check_tls, check_user, scheme, within};
use super::{join, template, url};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Acknowledge, Mqtt};
use std::ops::RangeInclusive;
use std::time::Duration;

/// MQTT counts its keep-alive in seconds of 16 bits; below 5 s the library would not go.
const KEEP_ALIVE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(65_535);
/// Longest MQTT client id in bytes.
const MAX_CLIENT_ID_BYTES: usize = 256;

/// Most brokers that stand in for the first.
const MAX_FALLBACK: usize = 4;

/// Checks the way to a broker.
pub(super) fn check(mqtt: &Mqtt, acknowledge: Acknowledge, path: &str, report: &mut Report) {
    servers(mqtt, path, report);
    if let Some(problem) = template::check(&mqtt.topic, &join(path, "topic")) {
        report.push(problem);
    }
    for (key, topic) in [("answers", &mqtt.answers), ("status", &mqtt.status)] {
        let at = join(path, key);
        if let Some(problem) = topic
            .as_ref()
            .and_then(|topic| template::check_fixed(topic, &at))
        {
            report.push(problem);
        }
    }
    if mqtt.answers.is_some() && acknowledge == Acknowledge::Broker {
        report.add(
            join(path, "answers"),
            "nobody listens to it: write `acknowledge: mes` beside `mqtt`, so that the word of the MES counts, or take `answers` away",
        );
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
        "5s to 65535s",
        path,
        report,
    );
}

/// The broker and those that stand in for it; with one of them encrypted, certificates have their use.
fn servers(mqtt: &Mqtt, path: &str, report: &mut Report) {
    let mut safe = server(&mqtt.url, &join(path, "url"), report);
    let at = join(path, "fallback");
    if mqtt.fallback.len() > MAX_FALLBACK {
        let message = format!("{} brokers: at most {MAX_FALLBACK}", mqtt.fallback.len());
        report.add(&at, message);
    }
    for (nth, url) in mqtt.fallback.iter().enumerate() {
        let at = join(&at, &nth.to_string());
        let mut before = std::iter::once(&mqtt.url).chain(mqtt.fallback.iter().take(nth));
        let here = url::broker(url);
        if let Some(other) =
            before.find(|other| *other == url || here.is_some() && url::broker(other) == here)
        {
            let message = format!(
                "{} is the same broker as {}: nothing would stand in for it; take one of them away",
                shown(url),
                shown(other)
            );
            report.add(&at, message);
        }
        match (safe, server(url, &at, report)) {
            (Some(first), Some(other)) if first != other => report.add(
                &at,
                "one broker is encrypted and another is not: what the one protects the other gives away; write all with mqtts://",
            ),
            (None, other) => safe = other,
            _ => {}
        }
    }
    check_tls(safe, mqtt.tls.as_ref(), ["mqtt", "mqtts"], path, report);
}

/// Whether the broker is reached encrypted; `None` where its address is none.
fn server(address: &str, at: &str, report: &mut Report) -> Option<bool> {
    match url::parse(address) {
        Ok(url) => {
            if !matches!(url.path, "" | "/") {
                report.add(
                    at,
                    "a broker has no path: write `topic:` for where the events go",
                );
            }
            scheme(url.scheme, ["mqtt", "mqtts"], at, report)
        }
        Err(wrong) => {
            report.add(at, format!("{wrong} mqtt://HOST:1883 or mqtts://HOST:8883"));
            None
        }
    }
}
