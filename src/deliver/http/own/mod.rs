//! `requests:`: URL, header lines and body as a MES wants them, made from templates and the event.
//!
//! `template` knows the engine, `schema` what events have, `check` tells what is wrong with templates before
//! anything is sent, `doubt` what they take for granted.

pub(in crate::deliver) mod check;
pub(in crate::deliver) mod doubt;
mod quotes;
mod schema;
mod template;

use super::super::filter::EventFilter;
use super::super::uplink::Trouble;
use super::exchange::Outgoing;
use crate::buffer::Record;
use crate::settings::shape::Request;
use indexmap::IndexMap;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use template::{Kind, Templates};

/// Longest URL that is made.
const MAX_URL_BYTES: usize = 8 << 10;
/// Longest header value that is made.
const MAX_HEADER_BYTES: usize = 4 << 10;
/// Longest body that is made.
const MAX_BODY_BYTES: usize = 256 << 10;

/// The requests of one uplink, compiled.
#[derive(Debug, Default)]
pub(in crate::deliver) struct OwnRequests {
    /// The narrowest pattern first.
    requests: Vec<OwnRequest>,
    templates: Templates,
}

#[derive(Debug)]
struct OwnRequest {
    pattern: EventFilter,
    method: Method,
    /// Names of templates.
    url: String,
    headers: Vec<(HeaderName, String)>,
    body: String,
    content_type: &'static str,
    is_json: bool,
}

impl OwnRequests {
    /// Reads the files of the bodies and compiles all templates. The error names what is wrong.
    pub(in crate::deliver) fn new(
        requests: &IndexMap<String, Request>,
    ) -> Result<OwnRequests, String> {
        let mut own = OwnRequests::default();
        let mut patterns: Vec<&String> = requests.keys().collect();
        patterns.sort_by_key(|pattern| width(pattern));
        for pattern in patterns {
            if let Some(request) = requests.get(pattern) {
                let made = own.one(pattern, request);
                own.requests
                    .push(made.map_err(|why| format!("request `{pattern}`: {why}"))?);
            }
        }
        Ok(own)
    }

    fn one(&mut self, pattern: &str, request: &Request) -> Result<OwnRequest, String> {
        let (method, url) = request
            .target()
            .ok_or("write one of `post`, `put` and `patch`")?;
        let of = |what: &str| format!("{pattern} {what}");
        self.templates.add(of("url"), Kind::Url, url.to_owned())?;
        let mut headers = Vec::new();
        for (name, value) in &request.headers {
            let header = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
            let template = of(name);
            self.templates
                .add(template.clone(), Kind::Header, value.clone())?;
            headers.push((header, template));
        }
        let text = template::read(&request.body)?;
        let kind = Kind::of_file(&request.body);
        self.templates.add(of("body"), kind, text)?;
        Ok(OwnRequest {
            pattern: EventFilter::new(&[pattern.to_owned()]),
            method: Method::try_from(method).map_err(|error| error.to_string())?,
            url: of("url"),
            headers,
            body: of("body"),
            content_type: kind.content_type(),
            is_json: kind == Kind::Json,
        })
    }

    /// Whether events of this name have a request of their own.
    pub(in crate::deliver) fn cover(&self, name: &str) -> bool {
        self.of(name).is_some()
    }

    fn of(&self, name: &str) -> Option<&OwnRequest> {
        self.requests.iter().find(|one| one.pattern.wants(name))
    }

    /// The request of an event; `None` when it has none.
    ///
    /// # Errors
    /// When the templates do not fit the event: the request is not made, and others of this kind may be.
    pub(in crate::deliver) fn outgoing(
        &self,
        record: &Record,
    ) -> Option<Result<Outgoing, Trouble>> {
        let own = self.of(&record.envelope.kind)?;
        let made = self.made(own, record);
        Some(made.map_err(|why| {
            Trouble::new(format!("the request cannot be made from this event: {why}"))
                .coded(0, "template")
        }))
    }

    fn made(&self, own: &OwnRequest, record: &Record) -> Result<Outgoing, String> {
        let event = template::event(&record.payload)?;
        let render = |name: &str, most| self.templates.render(name, &event, most);
        let url = render(&own.url, MAX_URL_BYTES)?;
        let url = Url::parse(url.trim()).map_err(|error| format!("the URL is none: {error}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(own.content_type));
        for (name, template) in &own.headers {
            let value = render(template, MAX_HEADER_BYTES)?;
            let value = HeaderValue::try_from(value.trim())
                .map_err(|_| format!("`{name}` gets characters that no header line can carry"))?;
            headers.insert(name, value);
        }
        let body = render(&own.body, MAX_BODY_BYTES)?;
        if own.is_json {
            serde_json::from_str::<serde::de::IgnoredAny>(&body)
                .map_err(|error| format!("the body is no JSON: {error}"))?;
        }
        Ok(Outgoing {
            method: own.method.clone(),
            url,
            headers,
            body: body.into(),
        })
    }
}

/// How narrow a pattern is, the narrowest first: a name, then the longest branch, then all.
fn width(pattern: &str) -> (bool, std::cmp::Reverse<usize>) {
    (pattern.ends_with('*'), std::cmp::Reverse(pattern.len()))
}

#[cfg(test)]
#[path = "own_tests.rs"]
mod tests;
