//! One request and its answer: with a token where there are tokens, and with the verdict fetched where the server keeps it
//! elsewhere (202 with `Location`). `sending` says what is asked and what the answers mean.

use super::super::handshake;
use super::super::uplink::{Trouble, Verdict, printable, with_causes};
use super::answer::{Reading, Reply};
use super::client::read;
use super::echo::secrets_in;
use super::glimpse::{Glimpses, glimpse};
use super::job;
use super::login::Login;
use super::place::{Front, Place};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long the verdict is asked for that a server keeps at a `Location`; then the event is put aside, so that it holds
/// nobody.
const PENDING_WITHIN: Duration = Duration::from_secs(30);
/// The first wait before it is asked for, unless the server names one. Doubles.
const FIRST_POLL: Duration = Duration::from_secs(1);
/// Longest wait in between.
const LONGEST_POLL: Duration = Duration::from_secs(30);
/// Longest reason in the log.
const MAX_REASON_CHARS: usize = 300;
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
    pub(super) front: Arc<Front>,
    /// What each request carries and nobody is to see.
    pub(super) secrets: Arc<[String]>,
    /// Where somebody wants to see what comes.
    pub(super) glimpses: Option<Glimpses>,
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
    /// Asks, and follows an answer to the place of the verdict on these events.
    pub(super) async fn ask(&self, outgoing: Outgoing, ids: &[Uuid]) -> Came {
        let url = outgoing.url.clone();
        let reply = match self.exchange(outgoing).await {
            Ok(reply) => reply,
            Err(verdict) => return Came::Nothing(verdict),
        };
        match self.location_of(&reply) {
            None => Came::Reply(reply),
            Some(location) => {
                let location = location.to_owned();
                let places = self.front.places(&url, &location);
                self.poll(places.into(), (&location, ids), reply).await
            }
        }
    }

    /// What names the place of the verdict, if the answer says that it is elsewhere.
    fn location_of<'a>(&self, reply: &'a Reply) -> Option<&'a str> {
        let elsewhere =
            reply.status == StatusCode::ACCEPTED && self.reading.rules.verdict(reply).is_none();
        reply.location.as_deref().filter(|_| elsewhere)
    }

    /// Asks for a verdict until it is there, at most [`PENDING_WITHIN`]. The server has the event: what fails meanwhile does
    /// not send it again. Where none of the places knows of it, `first` counts, unless one of them is the server's own word.
    async fn poll(
        &self,
        mut places: VecDeque<Place>,
        (location, ids): (&str, &[Uuid]),
        first: Reply,
    ) -> Came {
        let until = Instant::now() + PENDING_WITHIN;
        let mut trouble = first.trouble("the server has not decided yet");
        let mut wait = FIRST_POLL;
        let mut gone = None;
        while let Some(place) = places.pop_front() {
            let mut known = !place.guessed;
            let mut there = place.url.clone();
            let came = loop {
                let asked = trouble.at_least.take().unwrap_or(wait);
                if Instant::now() + asked > until {
                    break Came::Pending(there, trouble.clone());
                }
                sleep(asked).await;
                wait = wait.saturating_mul(2).min(LONGEST_POLL);
                match self.look(there.clone(), known, ids).await {
                    Came::Nothing(
                        Verdict::Unavailable(found)
                        | Verdict::Unanswered(found)
                        | Verdict::Broken(found),
                    ) => trouble = found,
                    Came::Pending(further, found) => {
                        let status = found.status.unwrap_or_default();
                        known |= status < 300;
                        there = further;
                        trouble = found;
                        if !known && status < 408 {
                            break Came::Pending(there, trouble.clone());
                        }
                    }
                    other => break other,
                }
            };
            match came {
                Came::Gone(_) if !place.guessed => gone = Some(came),
                Came::Gone(_) => {}
                Came::Pending(..) if !known => {}
                Came::Located(reply) if self.is_no_job(&reply, known) => {}
                came => {
                    self.front.found(&place, location);
                    return came;
                }
            }
            // The next place at once.
            trouble.at_least = Some(Duration::ZERO);
        }
        gone.unwrap_or_else(|| {
            self.front.missing(location);
            Came::Reply(first)
        })
    }

    /// Nothing that tells of a job. What the server named itself may look like anything.
    fn is_no_job(&self, reply: &Reply, known: bool) -> bool {
        let no_way_in = reply.status == StatusCode::METHOD_NOT_ALLOWED;
        let is_odd = no_way_in || (!known && !reply.may_be_of_a_job());
        is_odd && self.reading.rules.verdict(reply).is_none()
    }

    /// Asks once for the verdict on these events; `known`: the server has named this place.
    pub(super) async fn look(&self, place: Url, known: bool, ids: &[Uuid]) -> Came {
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
        if let Some(location) = self.location_of(&reply) {
            let further = self.front.places(&place, location).into_iter().next();
            let further = further.filter(|further| !further.guessed);
            let there = further.map_or(place, |further| further.url);
            return Came::Pending(there, still(&reply));
        }
        if self.reading.rules.verdict(&reply).is_some() {
            return Came::Located(reply);
        }
        match reply.status.as_u16() {
            202 => Came::Pending(place, still(&reply)),
            200..=299 if job::state(&reply, ids) == job::State::Working => {
                Came::Pending(place, still(&reply))
            }
            200..=299 if known && reply.is_good_page() => {
                Came::Pending(place, reply.trouble("there is a page where the server was to say what became of this event: it may want another login there"))
            }
            300..=302 | 304..=399 | 401 | 403 | 407 | 408 | 425 | 429 | 500..=599 => {
                let why = "the server has this event and does not tell what became of it";
                Came::Pending(place, reply.trouble(why))
            }
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
            login.forbid(&token).await;
        }
        // It may have been called back ahead of its end. Once: a server that refuses a new one refuses us, or this event.
        if reply.status != StatusCode::UNAUTHORIZED || !login.refuse(&token).await {
            return Ok(reply);
        }
        let token = login.bearer().await.map_err(Verdict::Unavailable)?;
        let reply = self.send(outgoing, Some(token.clone())).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            login.renewed_in_vain().await;
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
        let own = secrets_in(&headers);
        let request = self.client.request(method, url).headers(headers);
        let request = if body.is_empty() {
            request
        } else {
            request.body(body)
        };
        match request.send().await {
            Ok(response) => {
                let reply = read(response).await;
                let reply = reply.without(self.secrets.iter().chain(&own));
                if let Some(glimpses) = &self.glimpses {
                    glimpses.put(glimpse(&reply, &self.reading));
                }
                Ok(reply)
            }
            Err(error) => Err(not_answered(&error)),
        }
    }
}

fn still(reply: &Reply) -> Trouble {
    reply.trouble("the server has not decided yet")
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
    let hint = if reason.contains("invalid HTTP") {
        ": what answers there does not speak HTTP (an MQTT broker, or a port that wants `https://`): check the port"
    } else {
        ""
    };
    Verdict::Broken(Trouble::new(format!(
        "the connection broke before the answer: {reason}{hint}"
    )))
}

/// The causes below the library's own words, which repeat the URL.
fn causes(error: &reqwest::Error) -> String {
    std::error::Error::source(error).map_or_else(|| "request failed".to_owned(), with_causes)
}
