//! The HTTP library as this gateway uses it: TLS of the settings, a proxy, no redirects, no retries, bounded answers.

use super::super::tls::{self, TlsError};
use super::super::uplink::with_causes;
use super::answer::Reply;
use super::echo::secret_text;
use super::encode::base64;
use crate::settings::shape::{self, HeaderText, User};
use crate::settings::{SecretError, names_a_secret, secret_values_in_query};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
};
use reqwest::{Client, Proxy, Response, redirect, retry};
use std::time::Duration;

/// Longest body of an answer that is read.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;
/// Most bytes of all header lines of an answer. The library itself reads at most 400 KiB.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// An idle connection is closed before most servers would do so under a request.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the token or password has characters that no HTTP header can carry")]
    Header(#[from] InvalidHeaderValue),
    #[error("the HTTP client cannot be made: {}", with_causes(.0))]
    Build(#[from] reqwest::Error),
}

/// What a client is made from.
pub(super) struct Line<'a> {
    pub(super) tls: Option<&'a shape::Tls>,
    pub(super) encrypted: bool,
    pub(super) proxy: Option<&'a str>,
    pub(super) proxy_user: Option<&'a User>,
    pub(super) headers: HeaderMap,
    pub(super) connect_within: Duration,
    pub(super) timeout: Duration,
    pub(super) connections: usize,
}

impl Line<'_> {
    /// A client with secrets and certificates as they are now.
    pub(super) fn client(self) -> Result<Client, ClientError> {
        let tls = if self.encrypted {
            tls::client_config(self.tls)?
        } else {
            tls::trusting_nobody()?
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .default_headers(self.headers)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .tcp_nodelay(true)
            .connect_timeout(self.connect_within)
            .timeout(self.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(self.connections);
        if let Some(url) = self.proxy {
            let mut proxy = Proxy::all(url)?;
            if let Some(user) = self.proxy_user {
                proxy = proxy.custom_http_auth(basic(user)?);
            }
            builder = builder.proxy(proxy);
        }
        Ok(builder.build()?)
    }
}

/// `Basic ...`, with the password as it is now.
pub(super) fn basic(user: &User) -> Result<HeaderValue, ClientError> {
    let pair = format!("{}:{}", user.name, user.password.read()?.expose());
    secret_value(format!("Basic {}", base64(pair.as_bytes())))
}

/// A header value that nothing prints.
pub(super) fn secret_value(text: String) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::try_from(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header lines that every request of an uplink carries: its own, and who it is unless tokens say so.
pub(super) fn fixed_headers(http: &shape::Http) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        // Names and values have been checked with the settings.
        if let Ok(name) = HeaderName::try_from(name.as_str()) {
            let value = match value {
                HeaderText::Plain(text) => {
                    let mut value = HeaderValue::try_from(text.as_str())?;
                    value.set_sensitive(names_a_secret(name.as_str()));
                    value
                }
                HeaderText::Secret(secret) => secret_value(secret.read()?.expose().to_owned())?,
            };
            headers.insert(name, value);
        }
    }
    if let Some(bearer) = &http.bearer {
        let value = secret_value(format!("Bearer {}", bearer.read()?.expose()))?;
        headers.insert(AUTHORIZATION, value);
    } else if let Some(user) = &http.basic {
        headers.insert(AUTHORIZATION, basic(user)?);
    }
    Ok(headers)
}

/// What stands in the query of an address and names itself a secret: as it is written, and as a server reads it.
pub(super) fn secrets_in_address(address: &str) -> Vec<String> {
    let each = secret_values_in_query(address).filter(|value| !value.contains('{'));
    let both = each.flat_map(|value| {
        let decoded = reqwest::Url::parse(&format!("http://x/?v={value}")).ok();
        let decoded = decoded.and_then(|url| Some(url.query_pairs().next()?.1.into_owned()));
        decoded.into_iter().chain([value.to_owned()])
    });
    both.filter_map(|value| secret_text(&value)).collect()
}

/// Reads as much of an answer as its verdict needs, within the time-out of the request.
///
/// A good status is a verdict by itself, and what its body says besides is needed only where it can be another one. So a body
/// without end is cut, one that does not come in time as well, unless it is JSON, in which a verdict may stand. One that breaks
/// off is no acceptance (RFC 9112, 8): the server may have died on it, and better twice than not at all.
pub(super) async fn read(mut response: Response) -> Reply {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if headers.iter().map(bytes).sum::<usize>() > MAX_HEADER_BYTES {
        return Reply::broken("its header lines are longer than 16 KiB".into());
    }
    let mut body = Vec::new();
    let mut cut = false;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_BODY_BYTES - body.len();
                cut = chunk.len() > room;
                body.extend(chunk.iter().take(room));
                if cut {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) if error.is_timeout() && !is_json(&headers) => {
                cut = true;
                break;
            }
            Err(error) if status.is_success() => {
                return Reply::broken(with_causes(&error.without_url()));
            }
            Err(_) => break,
        }
    }
    let mut reply = Reply::new(status, &headers, body);
    reply.cut = cut;
    reply
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        String::from_utf8_lossy(kind)
            .to_ascii_lowercase()
            .contains("json")
    })
}
