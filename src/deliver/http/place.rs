//! Where the verdict of a 202 is looked for: at its `Location`, on the server that was asked and on no other. Pure, but for what
//! an uplink remembers of its proxy.
//!
//! A proxy in front of a server often leaves that server's own name in `Location`, and takes a prefix off the path on the way
//! in. Credentials never go to another origin: the same path and query are asked for on the origin that was asked, then the
//! same below each path that the proxy may have taken off.

use super::super::uplink::printable;
use reqwest::Url;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Longest prefix that a proxy is thought to take off, in parts of the path: each is a question more for the first event.
const MAX_PREFIX: usize = 3;
/// Longest `Location` in the log, in characters.
const MAX_SHOWN_CHARS: usize = 120;

/// A place where a verdict may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// On the origin that was asked.
    pub(super) url: Url,
    /// So many parts of the path that was asked stand before that of the `Location`.
    pub(super) prefix: usize,
    /// It is not what the server wrote.
    pub(super) guessed: bool,
}

/// What a `Location` names, the likeliest place first; none where it cannot be read.
pub(super) fn places(asked: &Url, location: &str) -> Vec<Place> {
    let location = location.trim();
    let named = asked.join(location).ok();
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && !location.is_empty();
    let Some(named) = named.filter(is_web) else {
        return Vec::new();
    };
    let foreign = named.origin() != asked.origin();
    let at = |path: &str, prefix: usize| {
        let mut url = asked.clone();
        url.set_path(path);
        url.set_query(named.query());
        url.set_fragment(None);
        let guessed = foreign || prefix > 0;
        Place {
            url,
            prefix,
            guessed,
        }
    };
    let mut places = vec![at(named.path(), 0)];
    let mut before = String::new();
    // The last part is that of the events themselves.
    let parts = asked.path().split('/').skip(1);
    let above = parts.clone().count().saturating_sub(1);
    for (nth, part) in parts.take(above.min(MAX_PREFIX)).enumerate() {
        before.push('/');
        before.push_str(part);
        if !named.path().starts_with(&format!("{before}/")) {
            places.push(at(&format!("{before}{}", named.path()), nth + 1));
        }
    }
    places
}

/// What an uplink knows of the proxy before its server.
#[derive(Debug, Default)]
pub(super) struct Front {
    uplink: String,
    /// The prefix that the last found verdict was below, in parts.
    prefix: AtomicUsize,
    told_found: AtomicBool,
    told_missing: AtomicBool,
}

impl Front {
    /// Nothing is known yet.
    pub(super) fn of(uplink: &str) -> Front {
        Front {
            uplink: uplink.to_owned(),
            ..Front::default()
        }
    }

    /// The places of a `Location`, the one that was right before first.
    pub(super) fn places(&self, asked: &Url, location: &str) -> Vec<Place> {
        let usual = self.prefix.load(Ordering::Relaxed);
        let mut places = places(asked, location);
        places.sort_by_key(|place| (place.prefix != usual, place.prefix));
        places
    }

    /// A verdict is kept there; the log says once that it is not where the server wrote.
    pub(super) fn found(&self, place: &Place, location: &str) {
        self.prefix.store(place.prefix, Ordering::Relaxed);
        if place.guessed && !self.told_found.swap(true, Ordering::Relaxed) {
            tracing::info!(
                uplink = self.uplink,
                location = shown(location),
                asked = place.url.path(),
                "the `Location` of a 202 is not on the server that was asked: its path is asked for there"
            );
        }
    }

    /// There is no verdict at any of the places; the log says so once.
    pub(super) fn missing(&self, location: &str) {
        if !self.told_missing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                uplink = self.uplink,
                location = shown(location),
                "the `Location` of a 202 leads nowhere on the server that was asked, and no other is asked: the answer counts as `on_202` says; let the proxy write its own name into `Location`"
            );
        }
    }
}

/// Without the query: tokens are sometimes put there.
fn shown(location: &str) -> String {
    let plain = location.split(['?', '#']).next().unwrap_or_default();
    printable(plain, MAX_SHOWN_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn urls(asked: &str, location: &str) -> String {
        let places = places(&asked.parse().unwrap(), location);
        let shown = places.iter().map(|place| {
            let mark = if place.guessed { "?" } else { "" };
            format!("{mark}{}", place.url)
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_verdict_is_looked_for_on_the_server_that_was_asked_only() {
        for (asked, location, expected) in [
            ("https://mes/events", "/jobs/7", "https://mes/jobs/7"),
            (
                "https://mes/events",
                "jobs/7?x=1#y",
                "https://mes/jobs/7?x=1",
            ),
            (
                "https://mes/events?key=1",
                "https://mes:443/jobs/7",
                "https://mes/jobs/7",
            ),
            // The proxy's name, port or scheme is another.
            (
                "https://mes/events",
                "http://internal:8080/jobs/7?x=1",
                "?https://mes/jobs/7?x=1",
            ),
            (
                "https://mes/events",
                "http://mes/jobs/7",
                "?https://mes/jobs/7",
            ),
            (
                "https://mes/events",
                "//other/jobs/7",
                "?https://mes/jobs/7",
            ),
            (
                "https://mes/events",
                "https://user:word@mes/jobs/7",
                "https://mes/jobs/7",
            ),
            // A prefix is taken off on the way in.
            (
                "https://mes/plant/api/events",
                "http://internal/jobs/7",
                "?https://mes/jobs/7 ?https://mes/plant/jobs/7 ?https://mes/plant/api/jobs/7",
            ),
            (
                "https://mes/plant/api/events",
                "/plant/jobs/7",
                "https://mes/plant/jobs/7 ?https://mes/plant/api/plant/jobs/7",
            ),
            (
                "https://mes/a/b/c/d/e/events",
                "/j",
                "https://mes/j ?https://mes/a/j ?https://mes/a/b/j ?https://mes/a/b/c/j",
            ),
            ("https://mes/events", "http://[", ""),
            ("https://mes/events", " ", ""),
            ("https://mes/events", "urn:job:7", ""),
            ("https://mes/events", "file:///jobs/7", ""),
        ] {
            assert_eq!(urls(asked, location), expected, "{asked} {location}");
        }
    }

    #[test]
    fn the_prefix_that_was_right_is_tried_first() {
        let front = Front::of("mes");
        let asked = "https://mes/plant/events".parse().unwrap();
        let found = front.places(&asked, "http://internal/jobs/7").remove(1);
        front.found(&found, "http://internal/jobs/7");
        let next = front.places(&asked, "http://internal/jobs/8");
        let paths: Vec<&str> = next.iter().map(|place| place.url.path()).collect();
        assert_eq!(paths, ["/plant/jobs/8", "/jobs/8"]);
    }

    proptest! {
        #[test]
        fn no_location_leads_to_another_server(location in "\\PC{0,60}|(https?:)?//[a-z:@/.]{0,20}[/a-z?#%]{0,20}") {
            let asked: Url = "https://mes:8443/a/b/events".parse().unwrap();
            for place in places(&asked, &location) {
                prop_assert_eq!(place.url.origin(), asked.origin());
                prop_assert!(place.url.username().is_empty() && place.url.password().is_none());
            }
        }
    }
}
