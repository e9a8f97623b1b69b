//! What is allowed and probably not meant, and what the box alone can tell: told by `check`, stops nothing.

use super::register::looks_like_a_manual;
use super::uplink::matches_event;
use super::{doubtful, join, line_warning, untyped};
use crate::settings::problem::Problem;
use crate::settings::shape::{
    Acknowledge, Device, Equipment, File, Format, HeaderText, Http, Machine, MqttVersion,
    Operation, Secret, Tls, Uplink, User,
};
use crate::settings::{names_a_secret, secrets_in_query};
use indexmap::IndexMap;
use std::path::Path;

/// What is worth a look in settings without problems. Looks at the box: certificates, credentials.
pub(in crate::settings) fn warnings(file: &File) -> Vec<Problem> {
    let mut found = Vec::new();
    let one = Machine {
        devices: file.devices.clone(),
        equipment: file.equipment.clone(),
        scans: file.scans.clone(),
        measurements: file.measurements.clone(),
        operations: file.operations.clone(),
    };
    if file.machine.is_some() {
        machine(&one, "", &mut found);
    }
    for (name, several) in &file.machines {
        machine(several, &join("machines", name), &mut found);
    }
    if file.uplinks.is_empty() {
        found.push(Problem::new(
            "",
            "no uplinks: events are kept in the buffer and go nowhere",
        ));
    }
    super::buffer::warnings(file, &mut found);
    super::opc_ua_box::warnings(file, &mut found);
    super::control::warnings(file, &mut found);
    for (name, shape) in &file.uplinks {
        uplink(shape, &join("uplinks", name), &mut found);
    }
    found
}

fn machine(machine: &Machine, path: &str, found: &mut Vec<Problem>) {
    if machine.devices.is_empty() {
        found.push(Problem::new(path, "no devices: nothing is read"));
    }
    devices(&machine.devices, &join(path, "devices"), found);
    if let Some(equipment) = &machine.equipment {
        counters(equipment, &join(path, "equipment"), found);
    }
    operations(&machine.operations, &join(path, "operations"), found);
    doubtful::warn(machine, path, found);
    untyped::warn(machine, path, found);
}

fn devices(devices: &IndexMap<String, Device>, path: &str, found: &mut Vec<Problem>) {
    for (name, device) in devices {
        let path = join(path, name);
        if device.tags.is_empty() {
            found.push(Problem::new(
                join(&path, "tags"),
                format!("`{name}` has no tags: nothing is read from it"),
            ));
        }
        line_warning::warnings(device, &path, found);
        for (name, tag) in &device.tags {
            if let Some(how) = looks_like_a_manual(tag) {
                let message = format!("the address looks like a number of a manual: {how}");
                found.push(Problem::new(join(&join(&path, "tags"), name), message));
            }
        }
    }
}

fn counters(equipment: &Equipment, path: &str, found: &mut Vec<Problem>) {
    for (name, counter) in &equipment.counters {
        if counter.modulus.is_some() && counter.max_rate.is_none() {
            let message =
                "without `max_rate:` a counter that was set back looks like one that ran over";
            found.push(Problem::new(join(&join(path, "counters"), name), message));
        }
    }
}

fn operations(operations: &IndexMap<String, Operation>, path: &str, found: &mut Vec<Problem>) {
    for (name, operation) in operations {
        if operation.recovery_counter.is_none() {
            let message = "no `recovery_counter`: after a power cut an operation that runs is taken for the one that was open";
            found.push(Problem::new(join(path, name), message));
        }
        let abort = operation.abort.as_ref().map(|abort| abort.debounce);
        let end = operation.ends().debounce;
        if let Some(abort) = abort.filter(|abort| *abort > end) {
            let message = format!(
                "`abort` must hold for {}, `end` for {} only: where both come at once, the operation is completed before its abort counts; give `end` the longer `debounce`",
                String::from(abort),
                String::from(end)
            );
            let path = format!("{}.abort.debounce", join(path, name));
            found.push(Problem::new(path, message));
        }
    }
}

fn uplink(uplink: &Uplink, path: &str, found: &mut Vec<Problem>) {
    if let Some(mqtt) = &uplink.mqtt {
        let path = join(path, "mqtt");
        if uplink.acknowledge == Acknowledge::Broker {
            let message = "an event counts as delivered when the broker has it: whether the MES gets it from there is the broker's business; `acknowledge: mes` waits for its word";
            found.push(Problem::new(&path, message));
        }
        if mqtt.version == MqttVersion::V3 && uplink.acknowledge == Acknowledge::Broker {
            let message = "MQTT 3.1.1 brokers take an event also where its topic is not permitted, or nobody reads it, and do not say so: it would count as delivered; `version: 5` tells it, or `acknowledge: mes` waits for the word of the MES";
            found.push(Problem::new(join(&path, "version"), message));
        }
        if mqtt.version == MqttVersion::V5
            && uplink.format == Format::Cloudevents
            && matches_any(&uplink.events, "gateway.heartbeat")
        {
            let message = "the gateway's own events go to {enterprise}/{site}/_gw/{gateway}/evt/{type}: where nobody subscribes to that, an MQTT 5 broker says so (0x10), and they hold up all others; `millgate deliver test` tries it, `events:` can leave `gateway.*` out";
            found.push(Problem::new(join(&path, "topic"), message));
        }
        let urls = std::iter::once(&mqtt.url).chain(&mqtt.fallback);
        public_trust(urls.map(String::as_str), mqtt.tls.as_ref(), &path, found);
        if let Some(user) = &mqtt.user {
            plain_password(&mqtt.url, &join(&path, "user"), found);
            self::user(user, &join(&path, "user"), found);
        }
        tls(mqtt.tls.as_ref(), &join(&path, "tls"), found);
    }
    if let Some(http) = &uplink.http {
        http_secrets(http, &join(path, "http"), found);
    }
}

fn matches_any(patterns: &[String], name: &str) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| matches_event(pattern, name))
}

fn http_secrets(http: &Http, path: &str, found: &mut Vec<Problem>) {
    let requests = || {
        let requests = http.requests.values();
        requests.filter_map(|one| Some(one.target()?.1))
    };
    let mut urls = http.url.iter().map(String::as_str).chain(requests());
    let url = urls.find(|url| url.starts_with("http:"));
    if let Some(user) = &http.basic {
        plain_password(url.unwrap_or_default(), &join(path, "basic"), found);
        self::user(user, &join(path, "basic"), found);
    }
    if let Some(bearer) = &http.bearer {
        plain_password(url.unwrap_or_default(), &join(path, "bearer"), found);
        secret(bearer, &join(path, "bearer"), found);
    }
    if let Some(oauth2) = &http.oauth2 {
        let path = join(path, "oauth2");
        plain_password(&oauth2.token_url, &join(&path, "token_url"), found);
        plain_password(url.unwrap_or_default(), &path, found);
        secret(&oauth2.secret, &join(&path, "secret"), found);
        tls(oauth2.tls.as_ref(), &join(&path, "tls"), found);
        let trust = oauth2.tls.as_ref().or(http.tls.as_ref());
        public_trust([oauth2.token_url.as_str()], trust, &path, found);
    }
    for (name, text) in &http.headers {
        let path = join(&join(path, "headers"), name);
        match text {
            HeaderText::Secret(secret) => {
                plain_password(url.unwrap_or_default(), &path, found);
                self::secret(secret, &path, found);
            }
            HeaderText::Plain(text) if names_a_secret(name) && !text.is_empty() => {
                found.push(Problem::new(path, IN_CLEAR));
            }
            HeaderText::Plain(_) => {}
        }
    }
    in_addresses(http, path, found);
    if let Some(user) = &http.proxy_user {
        self::user(user, &join(path, "proxy_user"), found);
    }
    tls(http.tls.as_ref(), &join(path, "tls"), found);
    let all = http.url.iter().map(String::as_str).chain(requests());
    public_trust(all, http.tls.as_ref(), path, found);
}

/// What is told where the file has a secret in clear.
const IN_CLEAR: &str =
    "this looks like a secret, and it stands in this file: write `{ credential: NAME }`";

/// Secrets in addresses and in header lines of `requests`, where they can only stand in clear.
fn in_addresses(http: &Http, path: &str, found: &mut Vec<Problem>) {
    const ELSEWHERE: &str = "looks like a secret, and it stands in this file and in the logs of servers: let the server take it as a header line, `headers: { NAME: { credential: NAME } }`";
    let url = http.url.iter().map(|url| (join(path, "url"), url.as_str()));
    let requests = http.requests.iter().filter_map(|(pattern, request)| {
        let (method, url) = request.target()?;
        let at = join(&join(path, "requests"), pattern);
        Some((join(&at, &method.to_ascii_lowercase()), url))
    });
    for (at, url) in url.chain(requests) {
        for name in secrets_in_query(url) {
            found.push(Problem::new(at.clone(), format!("`{name}` {ELSEWHERE}")));
        }
    }
    for (pattern, request) in &http.requests {
        let at = join(&join(&join(path, "requests"), pattern), "headers");
        for name in request.headers.keys().filter(|name| names_a_secret(name)) {
            found.push(Problem::new(
                join(&at, name),
                format!("`{name}` {ELSEWHERE}"),
            ));
        }
    }
}

/// Without a `ca` the authorities of the system are trusted: it must have some.
fn public_trust<'a>(
    urls: impl IntoIterator<Item = &'a str>,
    tls: Option<&Tls>,
    path: &str,
    found: &mut Vec<Problem>,
) {
    let encrypted = |url: &str| {
        url.split_once("://")
            .is_some_and(|(scheme, _)| scheme.ends_with('s'))
    };
    let trusts_system = tls.is_none_or(|tls| tls.ca.is_none());
    if trusts_system
        && urls.into_iter().any(encrypted)
        && rustls_native_certs::load_native_certs().certs.is_empty()
    {
        found.push(Problem::new(
            path,
            "without `tls: { ca: FILE }` the public authorities of the system are trusted, and this machine has none: install the package ca-certificates, or name the plant's own authority",
        ));
    }
}

fn plain_password(address: &str, path: &str, found: &mut Vec<Problem>) {
    if let Some((scheme, _)) = address.split_once("://")
        && !scheme.ends_with('s')
    {
        let message = format!(
            "the password travels unencrypted: {scheme}s:// keeps it from everyone on the way"
        );
        found.push(Problem::new(path, message));
    }
}

fn tls(tls: Option<&Tls>, path: &str, found: &mut Vec<Problem>) {
    let Some(tls) = tls else { return };
    for (key, file) in [("ca", &tls.ca), ("cert", &tls.cert)] {
        if let Some(file) = file {
            absent(file, &join(path, key), found);
        }
    }
    if let Some(key) = &tls.key {
        secret(key, &join(path, "key"), found);
    }
}

pub(super) fn user(user: &User, path: &str, found: &mut Vec<Problem>) {
    secret(&user.password, &join(path, "password"), found);
}

/// Credentials are there when systemd has started the gateway; elsewhere only their directory can be missed.
pub(super) fn secret(secret: &Secret, path: &str, found: &mut Vec<Problem>) {
    match secret {
        Secret::File(file) => absent(file, &join(path, "file"), found),
        Secret::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(directory) => absent(&Path::new(&directory).join(name), &join(path, "credential"), found),
            None => found.push(Problem::new(
                join(path, "credential"),
                format!("`{name}` is not here: systemd provides it, `LoadCredential={name}:/PATH` in the unit"),
            )),
        },
    }
}

pub(super) fn absent(file: &Path, path: &str, found: &mut Vec<Problem>) {
    if !file.exists() {
        let message = format!("{} is not on this machine", file.display());
        found.push(Problem::new(path, message));
    }
}
