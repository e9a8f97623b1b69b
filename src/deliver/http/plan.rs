//! What is sent for which events: one CloudEvent or document, several in a batch, or a request of the server's own form.

use super::super::body::{self, CLOUD_EVENTS};
use super::super::setup::SetupError;
use super::super::uplink::Trouble;
use super::batch;
use super::exchange::Outgoing;
use super::learnt::Learnt;
use super::own::OwnRequests;
use crate::buffer::Record;
use crate::settings::shape::{Format, Http};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use std::collections::BTreeSet;

/// The IETF's Idempotency-Key draft: a string in double quotes.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The requests of one uplink.
#[derive(Debug)]
pub(super) struct Plan {
    url: Option<Url>,
    format: Format,
    /// Most events in one request; above 1, all are batches.
    pub(super) batch: usize,
    learnt: Learnt,
    /// Its requests go to several servers: one that cannot be reached says nothing of the others.
    pub(super) has_several_hosts: bool,
    own: OwnRequests,
}

impl Plan {
    /// Checks the settings of the uplink called `name`, and reads the templates of its requests.
    pub(super) fn new(name: &str, http: &Http, format: Format) -> Result<Plan, SetupError> {
        let own = OwnRequests::new(&http.requests).map_err(|why| SetupError::Http {
            uplink: name.to_owned(),
            why,
        })?;
        let url = http
            .url
            .as_deref()
            .map(|url| parse(name, url))
            .transpose()?;
        Ok(Plan {
            batch: if url.is_some() {
                usize::from(http.batch)
            } else {
                1
            },
            learnt: Learnt::new(name),
            url,
            format,
            own,
            has_several_hosts: hosts(http) > 1,
        })
    }

    /// Where it delivers to, for the log. Without the query: tokens are sometimes put there.
    pub(super) fn destination(&self, http: &Http) -> String {
        let first = || {
            http.requests
                .values()
                .find_map(|one| Some(one.target()?.1.to_owned()))
        };
        match &self.url {
            Some(url) => {
                let mut shown = url.clone();
                shown.set_query(None);
                shown.set_fragment(None);
                shown.to_string()
            }
            None => first()
                .unwrap_or_default()
                .split(['?', '{'])
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// How many of these events, from the first on, go in one request.
    pub(super) fn together<'a>(&self, records: impl Iterator<Item = &'a Record>) -> usize {
        if self.batch <= 1 {
            return 1;
        }
        let plain = records.take_while(|record| !self.own.cover(&record.envelope.kind));
        plain.take(self.learnt.most(self.batch)).count().max(1)
    }

    /// What a server takes together, as it has shown.
    pub(super) fn learnt(&self) -> &Learnt {
        &self.learnt
    }

    /// Whether these events go as a batch.
    pub(super) fn is_batch(&self, records: &[Record]) -> bool {
        let covered = |record: &Record| self.own.cover(&record.envelope.kind);
        self.batch > 1 && !records.iter().any(covered)
    }

    /// The request for these events.
    ///
    /// # Errors
    /// When it cannot be made from the event: it is for no server.
    pub(super) fn outgoing(&self, records: &[Record]) -> Result<Outgoing, Trouble> {
        let key = format!("\"{}\"", batch::key(records));
        let mut outgoing = self.bare(records)?;
        // Hyphens and hex digits: always a header value.
        if let Ok(key) = HeaderValue::try_from(key) {
            outgoing.headers.insert(IDEMPOTENCY_KEY, key);
        }
        Ok(outgoing)
    }

    fn bare(&self, records: &[Record]) -> Result<Outgoing, Trouble> {
        if let [one] = records
            && let Some(own) = self.own.outgoing(one)
        {
            return own;
        }
        let (content_type, body) = match records {
            [one] if self.batch <= 1 => {
                let body = body::render(self.format, one)?;
                (body.content_type, body.bytes)
            }
            several => (CLOUD_EVENTS, batch::body(several)),
        };
        let url = self.url.clone().ok_or_else(|| {
            Trouble::new("there is no request for this event, and no `url` for all others")
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(Outgoing {
            method: Method::POST,
            url,
            headers,
            body,
        })
    }
}

/// How many servers the requests go to, as the settings write them.
fn hosts(http: &Http) -> usize {
    let own = http
        .requests
        .values()
        .filter_map(|one| Some(one.target()?.1));
    let urls = http.url.as_deref().into_iter().chain(own);
    let host = |url: &str| url.split('/').take(3).collect::<Vec<_>>().join("/");
    urls.map(host).collect::<BTreeSet<String>>().len()
}

fn parse(name: &str, url: &str) -> Result<Url, SetupError> {
    let wrong = |shown: &str, reason: &str| SetupError::Url {
        uplink: name.to_owned(),
        url: shown
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .to_owned(),
        reason: reason.to_owned(),
    };
    let parsed = Url::parse(url).map_err(|error| wrong(url, &error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong(url, "it must begin with http:// or https://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong(
            "***",
            "a user does not stand in the URL: write `basic:`",
        ));
    }
    Ok(parsed)
}
