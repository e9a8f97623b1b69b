//! `http:` of an uplink.

use super::{Secret, Tls, User, defaults};
use crate::settings::status::{Scalar, Statuses};
use crate::settings::units::Period;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where each event is posted: `http://` or `https://`. Not needed where `requests` cover all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<User>,
    /// Tokens of an authorization server, by client credentials (RFC 6749, 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// Certificates, for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Longest wait for one answer.
    #[serde(default = "defaults::http_timeout")]
    pub timeout: Period,
    /// Requests under way at a time, each for other equipment, 1 to 64.
    #[serde(default = "defaults::http_in_flight")]
    #[schemars(range(min = 1, max = 64))]
    pub in_flight: u8,
    /// Most events in one request, 1 to 100: above 1 the server must take `application/cloudevents-batch+json`.
    #[serde(default = "defaults::http_batch")]
    #[schemars(range(min = 1, max = 100))]
    pub batch: u8,
    /// Header lines that each request carries besides; a key or token is `{ credential: NAME }` or `{ file: PATH }`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, HeaderText>,
    /// Proxy on the way, `http://HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Who logs in at the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_user: Option<User>,
    /// What the status 202 means where the answer has no `Location`.
    #[serde(default)]
    pub on_202: On202,
    /// What answers mean that mean something else at this server; the first that matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<Response>,
    /// Requests of the server's own form, by event name or pattern such as `operation.*`; the narrowest counts.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub requests: IndexMap<String, Request>,
}

/// The value of a header line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderText {
    /// Fixed, for everybody to see.
    Plain(String),
    /// Where its secret is, such as the key of an interface.
    Secret(Secret),
}

/// Tokens by client credentials.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// Where tokens are asked for.
    pub token_url: String,
    /// Client id.
    pub client: String,
    /// Where the client's secret is.
    pub secret: Secret,
    /// What the token is for, words with spaces between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Whom the token is for, where the authorization server asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// How client and secret are sent.
    #[serde(default)]
    pub send: SendClient,
    /// Certificates for an authorization server with `https`; those of the uplink by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// How an OAuth2 client says who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendClient {
    /// In the header `Authorization`.
    #[default]
    Basic,
    /// As `client_id` and `client_secret` in the body.
    Body,
}

/// What the status 202 without a `Location` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On202 {
    /// The server has the event and answers for it.
    #[default]
    Accepted,
    /// Nothing yet: the event is sent again.
    Retry,
}

/// What an answer means.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// Status of the answer, such as `417`, or a hundred of them, such as `5xx`.
    pub status: Statuses,
    /// What must stand in its body besides.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub within: Option<Where>,
    /// What follows for the event.
    pub then: Then,
    /// Whose matter a rejected event is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<RejectClass>,
    /// The code by which rejected events are grouped; else the answer's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Said>,
    /// Why, in words; else those of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Said>,
}

/// What stands in the JSON body of an answer. Write one of `equals`, `exists` and `matches`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Where {
    /// Where in the body (RFC 6901), such as `/error/code`.
    pub pointer: String,
    /// The value that stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Scalar>,
    /// Whether anything but `null` stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// A regular expression that the text there matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-instead" = { "accept": "write `accepted`", "reject": "write `rejected`" }))]
pub enum Then {
    /// The event is delivered.
    Accepted,
    /// The event is put aside.
    Rejected,
    /// The event is sent again after a while.
    Retry,
    /// The server takes nothing at present: all events wait.
    Pause,
}

/// Whose matter a rejected event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectClass {
    /// Of who set the interface up: the server does not understand it.
    Schema,
    /// Of who plans the orders: the server understands it and does not want it.
    Business,
}

/// A text that is fixed, or stands in the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// Fixed.
    Value(String),
    /// In the JSON body, there (RFC 6901).
    Pointer(String),
}

/// A request of the server's own form. Write one of `post`, `put` and `patch`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// URL to POST to; a template, `{{ data.operation.id }}` in path and query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// URL to PUT to, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    /// URL to PATCH, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Header lines; values are templates.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, String>,
    /// File with the template of the body, beside the settings or with its whole path; `.json` and `.xml` escape by themselves.
    pub body: PathBuf,
}

impl Request {
    /// Method and URL; `None` where not exactly one is written.
    #[must_use]
    pub fn target(&self) -> Option<(&'static str, &str)> {
        let all = [
            ("POST", &self.post),
            ("PUT", &self.put),
            ("PATCH", &self.patch),
        ];
        let mut written = all
            .into_iter()
            .filter_map(|(method, url)| Some((method, url.as_deref()?)));
        let target = written.next()?;
        written.next().is_none().then_some(target)
    }
}
