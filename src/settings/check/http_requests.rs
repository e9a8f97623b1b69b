//! `requests:` of an HTTP uplink: one method and address each, events that there are, none that goes nowhere. The templates
//! themselves are read by `deliver`, which knows the engine.

use super::http::headers;
use super::uplink::{matches_event, scheme};
use super::{join, url};
use crate::model::EventKind;
use crate::settings::problem::{nearest, shown};
use crate::settings::report::Report;
use crate::settings::shape::{Format, Http, Request, Uplink};

/// Most requests: more than there are kinds of events.
const MAX_REQUESTS: usize = 64;
/// Longest address with its expressions, in bytes.
const MAX_URL_BYTES: usize = 8_192;

/// Checks all requests; whether one of them is encrypted, where that can be told.
pub(super) fn check(uplink: &Uplink, http: &Http, path: &str, report: &mut Report) -> Option<bool> {
    let path = join(path, "requests");
    if http.requests.is_empty() {
        return None;
    }
    if uplink.format == Format::B2mml {
        report.add(
            &path,
            "requests have bodies of their own: take `format: b2mml` or `requests` away",
        );
    }
    if http.requests.len() > MAX_REQUESTS {
        report.add(&path, format!("more than {MAX_REQUESTS} requests"));
    }
    let mut safe = None;
    for (pattern, request) in &http.requests {
        let at = join(&path, pattern);
        known(uplink, pattern, &at, report);
        safe = safe.max(target(request, &at, report));
        headers(
            request.headers.iter(),
            &["content-type"],
            &join(&at, "headers"),
            report,
        );
        if request.body.as_os_str().is_empty() {
            report.add(
                join(&at, "body"),
                "the path is empty: write the file with the template of the body",
            );
        }
    }
    if http.url.is_none() {
        covered(uplink, http, &path, report);
    }
    safe
}

/// The pattern matches an event that exists and that the uplink gets.
fn known(uplink: &Uplink, pattern: &str, path: &str, report: &mut Report) {
    let names = EventKind::ALL.map(EventKind::name);
    let mut matched = names
        .iter()
        .filter(|name| matches_event(pattern, name))
        .peekable();
    if matched.peek().is_none() {
        let near = nearest(pattern, names).map(str::to_owned);
        let message = format!("no event is called {}", shown(pattern));
        report.unknown_but(path, pattern, message, near);
    } else if !matched.any(|name| wanted(uplink, name)) {
        let message = format!(
            "`events` lets none of {} come here: add it there, or take the request away",
            shown(pattern)
        );
        report.add(path, message);
    }
}

fn wanted(uplink: &Uplink, name: &str) -> bool {
    uplink
        .events
        .iter()
        .any(|pattern| matches_event(pattern, name))
}

/// Without a `url`, each event that comes needs a request.
fn covered(uplink: &Uplink, http: &Http, path: &str, report: &mut Report) {
    let is_covered = |name: &str| {
        http.requests
            .keys()
            .any(|pattern| matches_event(pattern, name))
    };
    let names = EventKind::ALL.map(EventKind::name);
    let open: Vec<&str> = names
        .into_iter()
        .filter(|name| wanted(uplink, name) && !is_covered(name))
        .collect();
    if !open.is_empty() {
        let message = format!(
            "where do {} go? Write a request for them, a `url` for all others, or `events:` without them",
            open.join(", ")
        );
        report.add(path, message);
    }
}

/// One method, and an address whose host is fixed.
fn target(request: &Request, path: &str, report: &mut Report) -> Option<bool> {
    let Some((method, address)) = request.target() else {
        report.add(path, "a request has one method and one address: write `post: URL`, `put: URL` or `patch: URL`");
        return None;
    };
    let at = join(path, &method.to_ascii_lowercase());
    if address.len() > MAX_URL_BYTES {
        report.add(&at, format!("an address has at most {MAX_URL_BYTES} bytes"));
        return None;
    }
    let plain = without_expressions(address);
    match url::parse(&plain) {
        Ok(url)
            if plain
                .split('/')
                .nth(2)
                .is_some_and(|host| host.contains(HOLE)) =>
        {
            report.add(
                &at,
                "the host is fixed: expressions stand behind it, in path and query",
            );
            scheme(url.scheme, ["http", "https"], &at, report)
        }
        Ok(url) => scheme(url.scheme, ["http", "https"], &at, report),
        Err(wrong) => {
            report.add(&at, format!("{wrong} https://HOST/PATH"));
            None
        }
    }
}

/// What stands for an expression while the rest is looked at.
const HOLE: char = '_';

/// An address with a mark for each expression. Host names have no underscore, so the mark is found in one.
fn without_expressions(address: &str) -> String {
    let mut plain = String::new();
    let mut rest = address;
    while let Some((before, after)) = rest.split_once("{") {
        plain.push_str(before);
        plain.push(HOLE);
        rest = match (after.find("}}"), after.find("%}")) {
            (Some(one), Some(other)) => after.get(one.min(other) + 2..),
            (Some(end), None) | (None, Some(end)) => after.get(end + 2..),
            (None, None) => None,
        }
        .unwrap_or_default();
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::without_expressions;

    #[test]
    fn expressions_are_taken_out_of_an_address() {
        for (address, plain) in [
            ("https://h/{{ data.a }}/b", "https://h/_/b"),
            (
                "https://h/{% if x %}a{% endif %}?q={{ y }}",
                "https://h/_a_?q=_",
            ),
            ("https://{{ host }}/", "https://_/"),
            ("https://h/{{ open", "https://h/_"),
            ("https://h/", "https://h/"),
        ] {
            assert_eq!(without_expressions(address), plain);
        }
    }
}
