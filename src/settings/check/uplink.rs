//! Destinations: one protocol each, addresses with a scheme, certificates where they are needed, known events.

use super::{http, join, mqtt, names};
use crate::model::{EventKind, UplinkId};
use crate::settings::plant::{Plant, Uplink, UplinkProtocol};
use crate::settings::problem::{nearest, shown};
use crate::settings::report::Report;
use crate::settings::shape::{self, AckTimeout, Acknowledge, File, Secret, Tls, User};
use crate::settings::units::{Period, Rate};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long the word of the MES may be waited for at first, and at last.
const ACK_FIRST: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
const ACK_LONGEST: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Events per second of a rate limit: one an hour, and more than any destination takes.
const SLOWEST_PER_S: f64 = 1.0 / 3_600.0;
const FASTEST_PER_S: f64 = 100_000.0;

/// Checks all destinations and adds them to the plant.
pub(super) fn check(file: &File, plant: &mut Plant, report: &mut Report) {
    for (name, shape) in &file.uplinks {
        let path = join("uplinks", name);
        names::name("an uplink", name, &path, report);
        check_events(&shape.events, &join(&path, "events"), report);
        check_waits(shape, &path, report);
        let protocol = match (&shape.mqtt, &shape.http) {
            (Some(mqtt), None) => {
                let path = join(&path, "mqtt");
                mqtt::check(mqtt, shape.acknowledge, &path, report);
                UplinkProtocol::Mqtt(mqtt.clone())
            }
            (None, Some(http)) => {
                http::check(shape, http, &join(&path, "http"), report);
                if shape.acknowledge == Acknowledge::Mes {
                    report.add(
                        join(&path, "acknowledge"),
                        "`mes` is for MQTT, where a broker stands between: over HTTP the answer is the word of the MES; take it away",
                    );
                }
                UplinkProtocol::Http(http.clone())
            }
            (Some(_), Some(_)) => {
                report.add(&path, format!("`{name}` has both `mqtt:` and `http:`: make two uplinks of it, each gets all events"));
                continue;
            }
            (None, None) => {
                report.add(&path, format!("how is `{name}` reached? Write `mqtt: {{ url: mqtt://HOST }}` or `http: {{ url: http://HOST/PATH }}`"));
                continue;
            }
        };
        plant.uplinks.push(Uplink {
            id: UplinkId(u32::try_from(plant.uplinks.len()).unwrap_or(u32::MAX)),
            name: name.clone(),
            protocol,
            format: shape.format,
            acknowledge: shape.acknowledge,
            ack_timeout: shape.ack_timeout,
            on_reject: shape.on_reject,
            rate_limit: shape.rate_limit,
            events: shape.events.clone(),
            start_at: shape.start_at,
        });
    }
}

/// Waits and limits that an uplink can work with.
fn check_waits(shape: &shape::Uplink, path: &str, report: &mut Report) {
    let AckTimeout { first, then_up_to } = shape.ack_timeout;
    let at = join(path, "ack_timeout");
    if shape.acknowledge == Acknowledge::Broker && shape.ack_timeout != AckTimeout::default() {
        report.add(
            &at,
            "nobody waits so long: it is the patience with the word of the MES; write `acknowledge: mes` beside `mqtt`, or take `ack_timeout` away",
        );
    }
    within("first", first, ACK_FIRST, "1s to 1h", &at, report);
    within(
        "then_up_to",
        then_up_to,
        ACK_LONGEST,
        "1s to 24h",
        &at,
        report,
    );
    if then_up_to < first {
        report.add(
            join(&at, "then_up_to"),
            "shorter than `first`: the wait grows from the one to the other",
        );
    }
    let per_second = shape.rate_limit.map(Rate::per_second);
    if per_second.is_some_and(|rate| !(SLOWEST_PER_S..=FASTEST_PER_S).contains(&rate)) {
        report.add(
            join(path, "rate_limit"),
            "a rate is 1/h to 100000/s; leave it out for as many as the destination takes",
        );
    }
}

/// Each pattern must match an event that exists: `*`, `operation.*`, `operation.completed`.
fn check_events(patterns: &[String], path: &str, report: &mut Report) {
    if patterns.is_empty() {
        report.add(
            path,
            "an empty list: nothing would be sent. Leave `events` out for all of them",
        );
    }
    let names = EventKind::ALL.map(EventKind::name);
    for (at, pattern) in patterns.iter().enumerate() {
        if names.iter().any(|name| matches_event(pattern, name)) {
            continue;
        }
        let mut known: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        for name in names {
            let group = format!("{}.*", name.split('.').next().unwrap_or(name));
            if !known.contains(&group) {
                known.push(group);
            }
        }
        let near = nearest(pattern, known.iter().map(String::as_str)).map(str::to_owned);
        let message = format!(
            "no event is called {}; there are {}, patterns such as `operation.*`, and `*` for all",
            shown(pattern),
            names.join(", ")
        );
        report.unknown_but(&format!("{path}.{at}"), pattern, message, near);
    }
}

/// Whether a pattern of `events:` matches the name of an event.
pub(in crate::settings) fn matches_event(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(prefix) if prefix.ends_with('.') => name.starts_with(prefix),
        Some(_) => false,
        None => pattern == name,
    }
}

/// Whether the scheme is the encrypted one; `None` when it is neither.
pub(super) fn scheme(
    found: &str,
    known: [&str; 2],
    path: &str,
    report: &mut Report,
) -> Option<bool> {
    let at = known.iter().position(|scheme| *scheme == found);
    if at.is_none() {
        let message = format!(
            "{} is not known here: the address begins with {}:// or {}://",
            shown(found),
            known[0],
            known[1]
        );
        report.unknown(path, found, message, []);
    }
    at.map(|at| at == 1)
}

/// Certificates without encryption are a mistake. Without a `ca` the authorities of the system are trusted.
pub(super) fn check_tls(
    safe: Option<bool>,
    tls: Option<&Tls>,
    [plain, encrypted]: [&str; 2],
    path: &str,
    report: &mut Report,
) {
    let at = join(path, "tls");
    if safe == Some(false) && tls.is_some() {
        report.add(
            &at,
            format!(
                "{plain}:// is not encrypted: write {encrypted}:// in `url`, or take `tls` away"
            ),
        );
    }
    let Some(tls) = tls else { return };
    match (&tls.cert, &tls.key) {
        (Some(_), None) => report.add(
            &at,
            "`cert` needs its `key:` beside it, { credential: NAME } or { file: PATH }",
        ),
        (None, Some(_)) => report.add(&at, "`key` needs its `cert:` beside it, a PEM file"),
        _ => {}
    }
    if let Some(key) = &tls.key {
        check_secret(key, &join(&at, "key"), report);
    }
}

pub(super) fn check_user(user: &User, path: &str, report: &mut Report) {
    if user.name.is_empty() {
        report.add(join(path, "name"), "the user's name is empty");
    } else if user.name.contains(char::is_control) {
        report.add(
            join(path, "name"),
            "the user's name has a control character",
        );
    }
    check_secret(&user.password, &join(path, "password"), report);
}

pub(super) fn check_secret(secret: &Secret, path: &str, report: &mut Report) {
    match secret {
        Secret::Credential(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => report.add(
            join(path, "credential"),
            "a credential is the name of a file in $CREDENTIALS_DIRECTORY, without a path; write { file: /PATH } for a path",
        ),
        Secret::File(file) if file.as_os_str().is_empty() => {
            report.add(join(path, "file"), "the path is empty: write where the secret lies");
        }
        Secret::Credential(_) | Secret::File(_) => {}
    }
}

pub(super) fn within(
    key: &str,
    found: Period,
    range: RangeInclusive<Duration>,
    words: &str,
    path: &str,
    report: &mut Report,
) {
    if !range.contains(&found.get()) {
        let at = join(path, key);
        let found = report.written(&at);
        report.add(at, format!("{found} is out of range: `{key}` is {words}"));
    }
}
