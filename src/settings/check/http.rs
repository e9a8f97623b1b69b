//! `http:` of an uplink: addresses, who logs in, header lines, batches, times. What answers mean and what requests look like
//! is checked in `http_answers` and `http_requests`.

use super::uplink::{check_secret, check_tls, check_user, scheme, within};
use super::{http_answers, http_requests, join, url};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{Format, HeaderText, Http, OAuth2, OnReject, Uplink};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long an HTTP answer may be waited for.
const HTTP_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(30);
/// Most header lines of one's own.
const MAX_HEADERS: usize = 32;
/// Longest value of one, in bytes.
const MAX_HEADER_BYTES: usize = 4_096;
/// Header lines that the gateway writes itself, or that belong to the connection.
const OWN_HEADERS: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks the way to an HTTP server.
pub(super) fn check(uplink: &Uplink, http: &Http, path: &str, report: &mut Report) {
    let mut safe = None;
    if let Some(address) = &http.url {
        safe = address_of(address, &join(path, "url"), report);
    } else if http.requests.is_empty() {
        report.add(
            path,
            "where do events go? Write `url: https://HOST/PATH`, or `requests:` for each kind of event",
        );
    }
    let of_requests = http_requests::check(uplink, http, path, report);
    // Certificates are for whatever is encrypted, tokens included.
    let of_tokens = http.oauth2.as_ref().filter(|oauth2| oauth2.tls.is_none());
    let of_tokens = of_tokens.map(|oauth2| oauth2.token_url.starts_with("https:"));
    let safe = [safe, of_requests].into_iter().flatten().max();
    let safe = safe.map(|safe| safe || of_tokens == Some(true));
    if safe.is_some() {
        check_tls(safe, http.tls.as_ref(), ["http", "https"], path, report);
    }
    login(http, path, report);
    own_headers(http, &join(path, "headers"), report);
    proxy(http, path, report);
    batch(uplink, http, path, report);
    http_answers::check(&http.responses, &join(path, "responses"), report);
    within(
        "timeout",
        http.timeout,
        HTTP_TIMEOUT,
        "10ms to 30s",
        path,
        report,
    );
}

/// True for an encrypted address, false for a plain one.
fn address_of(address: &str, at: &str, report: &mut Report) -> Option<bool> {
    let fault = if address.contains(['{', '}']) {
        Some("an address without expressions: `requests:` has addresses that depend on the event")
    } else if address.contains('#') {
        Some(
            "what follows `#` never leaves the gateway: take it away, or write %23 for a `#` that is meant",
        )
    } else {
        None
    };
    if let Some(fault) = fault {
        report.add(at, fault);
        return None;
    }
    match url::parse(address) {
        Ok(url) => scheme(url.scheme, ["http", "https"], at, report),
        Err(wrong) => {
            report.add(at, format!("{wrong} http://HOST/PATH or https://HOST/PATH"));
            None
        }
    }
}

fn login(http: &Http, path: &str, report: &mut Report) {
    let ways = [
        ("bearer", http.bearer.is_some()),
        ("basic", http.basic.is_some()),
        ("oauth2", http.oauth2.is_some()),
    ];
    let mut written = ways.iter().filter(|(_, is_there)| *is_there);
    if let (Some((first, _)), Some((second, _))) = (written.next(), written.next()) {
        report.add(
            join(path, second),
            format!("both `{first}` and `{second}` stand here: a request carries one of them, take the other away"),
        );
    }
    if let Some(secret) = &http.bearer {
        check_secret(secret, &join(path, "bearer"), report);
    }
    if let Some(user) = &http.basic {
        let at = join(path, "basic");
        check_user(user, &at, report);
        if user.name.contains(':') {
            report.add(
                join(&at, "name"),
                "a colon ends the user's name where it is sent (RFC 7617): the server would take the rest for the password",
            );
        }
    }
    if let Some(oauth2) = &http.oauth2 {
        token(oauth2, &join(path, "oauth2"), report);
    }
}

fn token(oauth2: &OAuth2, path: &str, report: &mut Report) {
    let safe = address_of(&oauth2.token_url, &join(path, "token_url"), report);
    check_tls(safe, oauth2.tls.as_ref(), ["http", "https"], path, report);
    if oauth2.client.is_empty() {
        report.add(join(path, "client"), "the client id is empty");
    }
    check_secret(&oauth2.secret, &join(path, "secret"), report);
}

/// Those of all requests. Who it is may be told in a way of the server's own, as long as it is a secret.
fn own_headers(http: &Http, path: &str, report: &mut Report) {
    let fixed = |text: &HeaderText| match text {
        HeaderText::Plain(text) => text.clone(),
        HeaderText::Secret(_) => String::new(),
    };
    let texts: Vec<(&String, String)> = http
        .headers
        .iter()
        .map(|(name, text)| (name, fixed(text)))
        .collect();
    let logs_in = http.bearer.is_some() || http.basic.is_some() || http.oauth2.is_some();
    let secret = |name: &str| matches!(http.headers.get(name), Some(HeaderText::Secret(_)));
    for (name, value) in &texts {
        let is_login = name.eq_ignore_ascii_case("authorization") && secret(name) && !logs_in;
        let allowed: &[&str] = if is_login { &["authorization"] } else { &[] };
        headers(std::iter::once((*name, value)), allowed, path, report);
    }
    if texts.len() > MAX_HEADERS {
        report.add(path, format!("more than {MAX_HEADERS} header lines"));
    }
    for (name, text) in &http.headers {
        if let HeaderText::Secret(secret) = text {
            check_secret(secret, &join(path, name), report);
        }
    }
}

/// Names that a header line can have, values without control characters, and none that the gateway writes itself but those
/// of `allowed`.
pub(super) fn headers<'a>(
    headers: impl Iterator<Item = (&'a String, &'a String)>,
    allowed: &[&str],
    path: &str,
    report: &mut Report,
) {
    let is_token =
        |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    for (at, (name, value)) in headers.enumerate() {
        let here = join(path, name);
        let small = name.to_ascii_lowercase();
        if at == MAX_HEADERS {
            report.add(path, format!("more than {MAX_HEADERS} header lines"));
        }
        if name.is_empty() || !name.chars().all(is_token) {
            let message = format!(
                "{} cannot be the name of a header line: letters, digits and `-`",
                shown(name)
            );
            report.add(&here, message);
        } else if OWN_HEADERS.contains(&small.as_str()) && !allowed.contains(&small.as_str()) {
            let message = format!(
                "`{name}` is written by the gateway itself: take it away{}",
                instead(&small)
            );
            report.add(&here, message);
        } else if value.len() > MAX_HEADER_BYTES || value.contains(char::is_control) {
            let message = format!(
                "a header line has no control characters and at most {MAX_HEADER_BYTES} bytes"
            );
            report.add(&here, message);
        }
    }
}

fn instead(name: &str) -> &'static str {
    match name {
        "authorization" => {
            "; `bearer`, `basic` or `oauth2` make it, or `{ credential: NAME }` with all of it, alone"
        }
        "proxy-authorization" => "; `proxy_user` makes it",
        _ => "",
    }
}

fn proxy(http: &Http, path: &str, report: &mut Report) {
    let at = join(path, "proxy");
    match http.proxy.as_deref().map(url::parse) {
        Some(Ok(url)) if url.scheme != "http" => {
            let message = format!(
                "{} is not known here: a proxy is http://HOST:PORT",
                shown(url.scheme)
            );
            report.add(&at, message);
        }
        Some(Ok(url)) if !matches!(url.path, "" | "/") => {
            report.add(&at, "a proxy has no path: write http://HOST:PORT");
        }
        Some(Err(wrong)) => report.add(&at, format!("{wrong} http://HOST:PORT")),
        Some(Ok(_)) | None => {}
    }
    if let Some(user) = &http.proxy_user {
        check_user(user, &join(path, "proxy_user"), report);
        if http.proxy.is_none() {
            report.add(
                join(path, "proxy_user"),
                "`proxy_user` without a proxy: write `proxy: http://HOST:PORT`",
            );
        }
    }
}

fn batch(uplink: &Uplink, http: &Http, path: &str, report: &mut Report) {
    if http.batch <= 1 {
        return;
    }
    let at = join(path, "batch");
    if uplink.on_reject == OnReject::Hold {
        report.add(&at, "with `on_reject: hold` the verdict on an event comes before the next of its machine goes, so each goes alone: take `batch` away, or `on_reject`");
    }
    if uplink.format == Format::B2mml {
        report.add(&at, "a batch is CloudEvents JSON: with `format: b2mml` each event goes alone, take `batch` away");
    } else if http.url.is_none() {
        report.add(&at, "`requests` send each event alone: take `batch` away, or write a `url` for the other events");
    }
}
