//! An HTTP server as a destination: POST of one CloudEvent, settled by a 2xx, parked by a refusal.
//!
//! Keep-alive connections, one request under way per partition key and eight in all, no redirects, bounded answers.
//! `answer` says what a status means. The client is made anew, secrets and all, whenever the destination was at fault.

mod answer;

use super::handshake;
use super::setup::SetupError;
use super::timing::Timing;
use super::tls::{self, TlsError};
use super::uplink::{Answer, Fault, Terms, Trouble, Uplink, Verdict, printable, with_causes};
use crate::buffer::Record;
use crate::settings::shape;
use answer::Reply;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
};
use reqwest::{Client, Url, redirect, retry};
use std::collections::VecDeque;
use std::time::Duration;

/// Requests under way at a time, each of another partition key.
const IN_FLIGHT: usize = 8;
/// Longest body of an answer that is looked at. Verdicts are short; the rest is not read.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;
/// An idle connection is closed before most servers would do so under a request.
const POOL_IDLE: Duration = Duration::from_secs(15);
/// CloudEvents, HTTP protocol binding 1.0, structured mode.
const CLOUD_EVENT: HeaderValue = HeaderValue::from_static(CLOUD_EVENT_TYPE);
/// The same as text.
pub(super) const CLOUD_EVENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// The IETF's Idempotency-Key draft: a string in double quotes.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest reason in the log.
const MAX_REASON_CHARS: usize = 300;

/// One HTTP server.
pub(super) struct HttpUplink {
    url: Url,
    settings: shape::Http,
    timing: Timing,
    client: Option<Client>,
    under_way: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// Verdicts that needed no request.
    own_verdicts: VecDeque<Answer>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Secret(#[from] crate::settings::SecretError),
    #[error("the token or password has characters that no HTTP header can carry")]
    Header(#[from] InvalidHeaderValue),
    #[error("the HTTP client cannot be made: {0}")]
    Build(#[from] reqwest::Error),
}

impl HttpUplink {
    /// Checks the settings of the uplink called `name`.
    pub(super) fn new(
        name: &str,
        http: &shape::Http,
        timing: Timing,
    ) -> Result<HttpUplink, SetupError> {
        let wrong = |reason: String| SetupError::Url {
            uplink: name.to_owned(),
            url: http.url.clone(),
            reason,
        };
        let url = Url::parse(&http.url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SetupError::Url {
                uplink: name.to_owned(),
                url: "***".into(),
                reason: "a user does not stand in the URL: write `basic:`".into(),
            });
        }
        Ok(HttpUplink {
            url,
            settings: http.clone(),
            timing,
            client: None,
            under_way: FuturesUnordered::new(),
            own_verdicts: VecDeque::new(),
        })
    }

    /// Where it delivers to, for the log. Without the query: tokens are sometimes put there.
    pub(super) fn destination(&self) -> String {
        let mut shown = self.url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        shown.to_string()
    }

    /// A client with secrets and certificates as they are now.
    fn client(&self) -> Result<Client, ClientError> {
        let tls = if self.url.scheme() == "https" {
            tls::client_config(self.settings.tls.as_ref())?
        } else {
            tls::trusting_nobody()?
        };
        Ok(Client::builder()
            .tls_backend_preconfigured(tls)
            .default_headers(self.headers()?)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .tcp_nodelay(true)
            .connect_timeout(self.timing.connect_within)
            .timeout(self.settings.timeout.get())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(IN_FLIGHT)
            .build()?)
    }

    fn headers(&self) -> Result<HeaderMap, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, CLOUD_EVENT);
        let credentials = if let Some(bearer) = &self.settings.bearer {
            Some(format!("Bearer {}", bearer.read()?.expose()))
        } else if let Some(basic) = &self.settings.basic {
            let pair = format!("{}:{}", basic.name, basic.password.read()?.expose());
            Some(format!("Basic {}", answer::base64(pair.as_bytes())))
        } else {
            None
        };
        if let Some(credentials) = credentials {
            let mut value = HeaderValue::try_from(credentials)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    fn post(
        &self,
        client: &Client,
        record: &Record,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let position = record.position;
        let request = client
            .post(self.url.clone())
            .header(IDEMPOTENCY_KEY, format!("\"{}\"", record.envelope.id))
            .body(record.payload.clone());
        async move {
            let verdict = match request.send().await {
                Ok(response) => answer::verdict(&read(response).await),
                Err(error) => not_answered(&error),
            };
            Answer { position, verdict }
        }
    }
}

impl Uplink for HttpUplink {
    async fn connect(&mut self) -> Result<Terms, Fault> {
        self.under_way = FuturesUnordered::new();
        self.own_verdicts.clear();
        self.client = Some(self.client().map_err(|error| Fault(error.to_string()))?);
        Ok(Terms {
            in_flight: IN_FLIGHT,
            batch: 1,
            connected: false,
            one_per_key: true,
            verdict_within: None,
        })
    }

    fn send(&mut self, events: &[&Record]) {
        events.iter().for_each(|record| self.start(record));
    }

    async fn next(&mut self) -> Result<Answer, Fault> {
        let answer = match self.own_verdicts.pop_front() {
            Some(answer) => answer,
            None if self.under_way.is_empty() => std::future::pending().await,
            None => match self.under_way.next().await {
                Some(answer) => answer,
                None => std::future::pending().await,
            },
        };
        if matches!(answer.verdict, Verdict::Unavailable(_)) {
            // A new token or certificate may be there at the next attempt.
            self.client = None;
        }
        Ok(answer)
    }
}

impl HttpUplink {
    fn start(&mut self, record: &Record) {
        let made = match &self.client {
            Some(client) => Ok(client.clone()),
            None => self.client(),
        };
        match made {
            Ok(client) => {
                let request = self.post(&client, record).boxed();
                self.under_way.push(request);
                self.client = Some(client);
            }
            Err(error) => self.own_verdicts.push_back(Answer {
                position: record.position,
                verdict: Verdict::Unavailable(Trouble::new(error.to_string())),
            }),
        }
    }
}

/// Reads as much of an answer as its verdict needs.
async fn read(mut response: reqwest::Response) -> Reply {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while body.len() < MAX_BODY_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_BODY_BYTES - body.len();
                body.extend(chunk.iter().take(room));
            }
            Ok(None) => break,
            // An incomplete message is no acceptance (RFC 9112, 8): better twice than not at all.
            Err(error) if status.is_success() => {
                return Reply::broken(with_causes(&error.without_url()));
            }
            Err(_) => break,
        }
    }
    Reply::new(status, &headers, body)
}

/// No answer: a destination that cannot be reached pauses everything, a request that got lost only its event.
fn not_answered(error: &reqwest::Error) -> Verdict {
    if let Some(tls) = handshake::find(error) {
        let host = error.url().and_then(Url::host_str).unwrap_or_default();
        let reason = handshake::explain(tls, host);
        return Verdict::Unavailable(Trouble::new(printable(&reason, MAX_REASON_CHARS)));
    }
    let reason = printable(&causes(error), MAX_REASON_CHARS);
    if error.is_connect() {
        return Verdict::Unavailable(Trouble::new(format!(
            "{reason}: check host, port, `tls.ca` and the server's certificate"
        )));
    }
    if error.is_timeout() {
        return Verdict::Unanswered(Trouble::new("no answer in time (`timeout`)"));
    }
    Verdict::Unanswered(Trouble::new(format!(
        "the connection broke before the answer: {reason}"
    )))
}

/// The causes below the library's own words, which repeat the URL.
fn causes(error: &reqwest::Error) -> String {
    std::error::Error::source(error).map_or_else(|| "request failed".to_owned(), with_causes)
}
