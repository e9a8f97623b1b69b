//! One request and its answer: with a token where there are tokens, and with the verdict fetched where the server keeps it
//! elsewhere (202 with `Location`). `sending` says what is asked and what the answers mean.

use super::super::handshake;
use super::super::uplink::{Trouble, Verdict, printable, with_causes};
use super::answer::{Reading, Reply};
use super::client::read;
use super::login::Login;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the verdict is asked for that a server keeps at a `Location`; then the event is put aside, so that it holds
/// nobody.
const PENDING_WITHIN: Duration = Duration::from_secs(30);
/// The first wait before it is asked for, unless the server names one. Doubles.
const FIRST_POLL: Duration = Duration::from_secs(1);
/// Longest wait in between.
const LONGEST_POLL: Duration = Duration::from_secs(30);
/// Longest reason in the log.
const MAX_REASON_CHARS: usize = 300;
/// What bodies at a `Location` say while there is no verdict.
const STILL_WORKING: [&str; 8] = [
    "pending",
    "queued",
    "waiting",
    "received",
    "notstarted",
    "running",
    "processing",
    "inprogress",
];

/// What is asked.
#[derive(Clone, Debug)]
pub(in crate::deliver) struct Outgoing {
    /// POST, PUT or PATCH.
    pub(in crate::deliver) method: Method,
    /// Where.
    pub(in crate::deliver) url: Url,
    /// Without who it is.
    pub(in crate::deliver) headers: HeaderMap,
    /// What is sent.
    pub(in crate::deliver) body: Bytes,
}

/// The way to a server.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) client: Client,
    pub(super) login: Option<Arc<Login>>,
    pub(super) reading: Arc<Reading>,
}

/// What came of a request.
pub(super) enum Came {
    /// An answer to what was asked.
    Reply(Reply),
    /// What stands at the place of the verdict.
    Located(Reply),
    /// There is no verdict any more where it was to be: the event is sent again.
    Gone(Trouble),
    /// The verdict will be there; it was not yet.
    Pending(Url, Trouble),
    /// No answer that can be read.
    Nothing(Verdict),
}

impl Wire {
    /// Asks, and follows an answer to the place of its verdict.
    pub(super) async fn ask(&self, outgoing: Outgoing) -> Came {
        let url = outgoing.url.clone();
        let reply = match self.exchange(outgoing).await {
            Ok(reply) => reply,
            Err(verdict) => return Came::Nothing(verdict),
        };
        match self.location_of(&reply, &url) {
            None => Came::Reply(reply),
            Some(Ok(place)) => self.poll(place, &reply).await,
            Some(Err(trouble)) => Came::Nothing(Verdict::Unavailable(trouble)),
        }
    }

    /// Where the verdict will be, if the answer says that it is elsewhere: on this server, or it is not looked for.
    fn location_of(&self, reply: &Reply, asked: &Url) -> Option<Result<Url, Trouble>> {
        if reply.status != StatusCode::ACCEPTED || self.reading.rules.verdict(reply).is_some() {
            return None;
        }
        let place = asked.join(reply.location.as_ref()?);
        Some(match place {
            Ok(place) if place.origin() == asked.origin() => Ok(place),
            Ok(_) | Err(_) => Err(reply.trouble(
                "the verdict is to be fetched from another server, which is not done: let the server answer with a `Location` of its own",
            )),
        })
    }

    /// Asks for a verdict until it is there, at most [`PENDING_WITHIN`].
    async fn poll(&self, place: Url, first: &Reply) -> Came {
        let until = Instant::now() + PENDING_WITHIN;
        let mut place = place;
        let mut trouble = first.trouble("the server has not decided yet");
        let mut wait = FIRST_POLL;
        loop {
            let asked = trouble.at_least.take().unwrap_or(wait);
            if Instant::now() + asked > until {
                return Came::Pending(place, trouble);
            }
            sleep(asked).await;
            wait = wait.saturating_mul(2).min(LONGEST_POLL);
            match self.look(place).await {
                Came::Pending(there, found) => {
                    place = there;
                    trouble = found;
                }
                other => return other,
            }
        }
    }

    /// Asks once for a verdict.
    pub(super) async fn look(&self, place: Url) -> Came {
        let question = Outgoing {
            method: Method::GET,
            url: place.clone(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let reply = match self.exchange(question).await {
            Ok(reply) => reply,
            Err(verdict) => return Came::Nothing(verdict),
        };
        match self.location_of(&reply, &place) {
            Some(Ok(further)) => return Came::Pending(further, still(&reply)),
            Some(Err(trouble)) => return Came::Nothing(Verdict::Unavailable(trouble)),
            None => {}
        }
        if self.reading.rules.verdict(&reply).is_some() {
            return Came::Located(reply);
        }
        match reply.status.as_u16() {
            202 => Came::Pending(place, still(&reply)),
            200..=299 if is_working(&reply) => Came::Pending(place, still(&reply)),
            404 | 410 => {
                Came::Gone(reply.trouble(
                    "there is no verdict any more at the `Location` that the server named",
                ))
            }
            _ => Came::Located(reply),
        }
    }

    async fn exchange(&self, outgoing: Outgoing) -> Result<Reply, Verdict> {
        let Some(login) = &self.login else {
            return self.send(outgoing, None).await;
        };
        let token = login.bearer().await.map_err(Verdict::Unavailable)?;
        let reply = self.send(outgoing.clone(), Some(token.clone())).await?;
        if reply.status == StatusCode::FORBIDDEN {
            login.refuse(&token).await;
        }
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        // It may have been called back ahead of its end. Once: a server that refuses a new one refuses us.
        login.refuse(&token).await;
        let token = login.bearer().await.map_err(Verdict::Unavailable)?;
        let reply = self.send(outgoing, Some(token.clone())).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            login.refuse(&token).await;
        }
        Ok(reply)
    }

    async fn send(&self, outgoing: Outgoing, token: Option<HeaderValue>) -> Result<Reply, Verdict> {
        let Outgoing {
            method,
            url,
            mut headers,
            body,
        } = outgoing;
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token);
        }
        let request = self.client.request(method, url).headers(headers);
        let request = if body.is_empty() {
            request
        } else {
            request.body(body)
        };
        match request.send().await {
            Ok(response) => Ok(read(response).await),
            Err(error) => Err(not_answered(&error)),
        }
    }
}

fn still(reply: &Reply) -> Trouble {
    reply.trouble("the server has not decided yet")
}

/// The body says that there is no verdict yet.
fn is_working(reply: &Reply) -> bool {
    let said = reply.at("/status").or_else(|| reply.at("/state"));
    let said = said.and_then(Value::as_str).unwrap_or_default();
    let plain = said.to_ascii_lowercase().replace(['_', '-', ' '], "");
    STILL_WORKING.contains(&plain.as_str())
}

/// No answer: a destination that cannot be reached pauses everything, a request that got lost only its event.
pub(super) fn not_answered(error: &reqwest::Error) -> Verdict {
    if let Some(tls) = handshake::find(error) {
        let host = error.url().and_then(Url::host_str).unwrap_or_default();
        let reason = handshake::explain(tls, host);
        return Verdict::Unavailable(Trouble::new(printable(&reason, MAX_REASON_CHARS)));
    }
    let reason = printable(&causes(error), MAX_REASON_CHARS);
    if error.is_connect() {
        return Verdict::Unavailable(Trouble::new(format!(
            "{reason}: check host, port, `proxy`, `tls.ca` and the server's certificate"
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
