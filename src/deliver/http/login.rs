//! OAuth2 client credentials (RFC 6749, 4.4): one token for all requests of an uplink, fetched by whoever needs it first.
//!
//! It is renewed ahead of its end by the boot clock, and once at once when the server refuses it. Neither token nor secret
//! is ever printed; what the token endpoint says is told only in its two standard words.

use super::super::uplink::{Trouble, Verdict, printable};
use super::client::{ClientError, Line, read, secret_value};
use super::encode::{base64, form, percent};
use super::exchange::not_answered;
use crate::settings::shape::{Http, OAuth2, SendClient};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Longest token: header lines of servers end at 8 to 16 KiB.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// Life of a token whose endpoint does not tell it.
const UNTOLD_LIFE: Duration = Duration::from_secs(300);
/// No token is believed to live longer.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);
/// A token is renewed that long ahead of its end, or a tenth of its life if that is less: clocks differ, and requests take
/// their time.
const MOST_AHEAD: Duration = Duration::from_secs(30);
/// Longest words of the endpoint that are told on.
const MAX_WORDS_CHARS: usize = 160;

/// The tokens of one uplink.
pub(in crate::deliver) struct Login {
    settings: OAuth2,
    /// Proxy, certificates and times are those of the uplink.
    http: Http,
    connect_within: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Token(Token),
    /// There was none to be had then.
    Failed(Trouble, Instant),
}

#[derive(Clone)]
pub(super) struct Token {
    value: HeaderValue,
    renew_at: Instant,
    /// How long it lives, where the endpoint says so.
    life: Option<Duration>,
}

impl Login {
    /// Nothing is fetched yet. `None` where the settings want no tokens.
    pub(super) fn new(http: &Http, connect_within: Duration) -> Option<Login> {
        Some(Login {
            settings: http.oauth2.clone()?,
            http: http.clone(),
            connect_within,
            known: Mutex::default(),
        })
    }

    /// `Bearer ...` that lives a while. Who asks while another fetches gets what that one gets.
    pub(super) async fn bearer(&self) -> Result<HeaderValue, Trouble> {
        let asked_at = Instant::now();
        let mut known = self.known.lock().await;
        match &*known {
            Known::Token(token) if token.renew_at > Instant::now() => {
                return Ok(token.value.clone());
            }
            Known::Failed(trouble, at) if *at >= asked_at => return Err(trouble.clone()),
            Known::Token(_) | Known::Failed(..) | Known::Nothing => {}
        }
        match self.fetch().await {
            Ok(token) => {
                let value = token.value.clone();
                *known = Known::Token(token);
                Ok(value)
            }
            Err(trouble) => {
                *known = Known::Failed(trouble.clone(), Instant::now());
                Err(trouble)
            }
        }
    }

    /// Fetches a token, unless one is here: how long it lives, where the endpoint says so.
    pub(in crate::deliver) async fn life(&self) -> Result<Option<Duration>, Trouble> {
        self.bearer().await?;
        Ok(match &*self.known.lock().await {
            Known::Token(token) => token.life,
            Known::Nothing | Known::Failed(..) => None,
        })
    }

    /// This token was refused: the next who asks gets another.
    pub(super) async fn refuse(&self, refused: &HeaderValue) {
        let mut known = self.known.lock().await;
        if matches!(&*known, Known::Token(token) if token.value == *refused) {
            *known = Known::Nothing;
        }
    }

    async fn fetch(&self) -> Result<Token, Trouble> {
        let asked_at = Instant::now();
        let untold = |error: ClientError| without_token(&error.to_string());
        let (headers, body) = self.question().map_err(untold)?;
        let url = &self.settings.token_url;
        let client = Line {
            tls: self.settings.tls.as_ref().or(self.http.tls.as_ref()),
            encrypted: url.starts_with("https:"),
            proxy: self.http.proxy.as_deref(),
            proxy_user: self.http.proxy_user.as_ref(),
            headers,
            connect_within: self.connect_within,
            timeout: self.http.timeout.get(),
            connections: 0,
        };
        let client = client.client().map_err(untold)?;
        let response = client.post(url).body(body).send().await;
        let reply = match response {
            Ok(response) => read(response).await,
            Err(error) => return Err(unreachable(not_answered(&error))),
        };
        if reply.is_broken().is_some() || reply.cut {
            return Err(without_token(
                "its answer is not whole, late, or longer than 64 KiB",
            ));
        }
        if !reply.status.is_success() {
            let words = self.words_of(&reply.at("").cloned().unwrap_or_default());
            let status = reply.status.as_u16();
            return Err(Trouble {
                at_least: reply.retry_after,
                status: Some(status),
                ..without_token(&format!("it answers {status}{words}"))
            });
        }
        token_in(reply.at(""), asked_at).map_err(|why| without_token(&why))
    }

    /// Header lines and body of the request for a token, with the secret as it is now.
    fn question(&self) -> Result<(HeaderMap, String), ClientError> {
        let OAuth2 {
            client,
            secret,
            scope,
            audience,
            send,
            ..
        } = &self.settings;
        let secret = secret.read()?;
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
        fields.extend(audience.as_deref().map(|audience| ("audience", audience)));
        match send {
            SendClient::Basic => {
                // RFC 6749, 2.3.1: both are encoded as in a form first.
                let pair = format!("{}:{}", percent(client), percent(secret.expose()));
                let value = secret_value(format!("Basic {}", base64(pair.as_bytes())))?;
                headers.insert(AUTHORIZATION, value);
            }
            SendClient::Body => {
                fields.push(("client_id", client));
                fields.push(("client_secret", secret.expose()));
            }
        }
        Ok((headers, form(&fields)))
    }

    /// The standard words of an error (RFC 6749, 5.2), unless they repeat the secret.
    fn words_of(&self, body: &Value) -> String {
        let secret = self.settings.secret.read().ok();
        let words: Vec<&str> = ["error", "error_description"]
            .iter()
            .filter_map(|key| body.get(key)?.as_str())
            .filter(|words| {
                let repeats = |secret: &str| !secret.is_empty() && words.contains(secret);
                secret
                    .as_ref()
                    .is_none_or(|secret| !repeats(secret.expose()))
            })
            .collect();
        match words.is_empty() {
            true => String::new(),
            false => format!(" {}", printable(&words.join(": "), MAX_WORDS_CHARS)),
        }
    }
}

fn without_token(why: &str) -> Trouble {
    Trouble::new(format!(
        "no token from `oauth2.token_url`: {why}; check `client`, `secret`, `scope` and the rights there"
    ))
}

fn unreachable(verdict: Verdict) -> Trouble {
    let reason = match verdict {
        Verdict::Unavailable(trouble) | Verdict::Unanswered(trouble) | Verdict::Broken(trouble) => {
            trouble.reason
        }
        _ => String::new(),
    };
    Trouble::new(format!("no token from `oauth2.token_url`: {reason}"))
}

/// The token of a good answer (RFC 6749, 5.1).
pub(super) fn token_in(body: Option<&Value>, asked_at: Instant) -> Result<Token, String> {
    let body = body.ok_or("its answer is no JSON")?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let token = text("access_token").ok_or("its answer has no `access_token`")?;
    if token.is_empty() || token.len() > MAX_TOKEN_BYTES {
        return Err("its token is empty, or longer than 16 KiB".into());
    }
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("its token is of another kind than Bearer".into());
    }
    let value = secret_value(format!("Bearer {token}"))
        .map_err(|_| "its token has characters that no HTTP header can carry")?;
    let told = body.get("expires_in").and_then(life);
    let life = told.unwrap_or(UNTOLD_LIFE);
    let ahead = (life / 10).min(MOST_AHEAD);
    Ok(Token {
        value,
        renew_at: asked_at + (life - ahead),
        life: told,
    })
}

/// Seconds, as a number or, as some endpoints write it, as a text.
fn life(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    Some(Duration::try_from_secs_f64(seconds).ok()?.min(LONGEST_LIFE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lives(body: Value) -> Result<u64, String> {
        let now = Instant::now();
        token_in(Some(&body), now).map(|token| {
            assert!(token.value.is_sensitive());
            (token.renew_at - now).as_secs()
        })
    }

    #[test]
    fn a_token_is_renewed_ahead_of_its_end() {
        for (expires_in, renewed_after) in [
            (json!(3600), 3570),
            (json!("3600"), 3570),
            (json!(60), 54),
            (json!(0), 0),
            (json!(-5), 270),
            (json!(null), 270),
            (json!(1e300), 270),
            (json!(1e9), 86_370),
        ] {
            let body =
                json!({ "access_token": "t", "token_type": "bearer", "expires_in": expires_in });
            assert_eq!(lives(body), Ok(renewed_after), "{expires_in}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_without_repeating_it() {
        for (body, says) in [
            (json!({}), "no `access_token`"),
            (json!({ "access_token": 5 }), "no `access_token`"),
            (json!({ "access_token": "" }), "empty"),
            (json!({ "access_token": "x".repeat(20_000) }), "longer than"),
            (json!({ "access_token": "canary\n" }), "no HTTP header"),
            (
                json!({ "access_token": "canary", "token_type": "mac" }),
                "another kind",
            ),
        ] {
            let error = lives(body).unwrap_err();
            assert!(error.contains(says) && !error.contains("canary"), "{error}");
        }
        assert!(token_in(None, Instant::now()).is_err());
    }
}
