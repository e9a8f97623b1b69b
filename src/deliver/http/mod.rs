//! An HTTP server as a destination: a request for each event or for several, settled by what it answers.
//!
//! In reading order: `plan` says what is sent, `own` makes requests of the server's own form, `sending` sends them,
//! `exchange` is one request and its answer, `echo` what nobody is to see of that, `place` where a verdict is that comes later, `answer`, `rules` and `batch` say
//! what an answer means; `client` and `login` are the way there. The client is made anew, secrets and all, whenever the
//! destination was at fault.

mod answer;
#[cfg(any(test, fuzzing))]
pub mod anything;
mod batch;
mod bod;
mod client;
mod echo;
mod encode;
mod exchange;
mod glimpse;
mod job;
mod learnt;
mod login;
mod own;
mod page;
mod place;
mod plan;
mod rules;
mod sending;
mod shown;
mod wait;

pub use glimpse::Glimpse;
pub(super) use own::check::check as check_requests;
pub(super) use own::doubt::doubts as doubts_of_requests;
pub use shown::{Shown, http_request};

use super::setup::SetupError;
use super::timing::Timing;
use super::uplink::{Answer, Fault, Terms, Trouble, Uplink, Verdict};
use crate::buffer::Record;
use crate::settings::names_a_secret;
use crate::settings::shape::{Format, Http};
use answer::Reading;
use client::{ClientError, Line, fixed_headers, secrets_in_address};
use echo::{secret_text, secrets_in, secrets_of};
use exchange::Wire;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use glimpse::Glimpses;
use login::Login;
use place::Front;
use plan::Plan;
use reqwest::Client;
use reqwest::header::HeaderMap;
use rules::Rules;
use sending::{Places, Sending, Step};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A client is that old at least when an answer that may blame one event only has it made anew: as long as a destination that
/// takes nothing waits between two attempts at the most.
const RENEW_AFTER: Duration = Duration::from_secs(30);

/// One HTTP server.
pub(super) struct HttpUplink {
    settings: Http,
    timing: Timing,
    plan: Arc<Plan>,
    reading: Arc<Reading>,
    login: Option<Arc<Login>>,
    places: Places,
    front: Arc<Front>,
    /// What the client's requests carry and nobody is to see.
    secrets: Arc<[String]>,
    client: Option<Client>,
    /// The header lines that it was made with, secrets and all.
    headers: HeaderMap,
    /// When the client was made.
    made_at: Instant,
    under_way: FuturesUnordered<BoxFuture<'static, Step>>,
    /// Where somebody wants to see what comes.
    glimpses: Option<Glimpses>,
    /// Verdicts that are to be told.
    ready: VecDeque<Answer>,
}

impl HttpUplink {
    /// Checks the settings of the uplink called `name`.
    pub(super) fn new(
        name: &str,
        http: &Http,
        format: Format,
        timing: Timing,
    ) -> Result<HttpUplink, SetupError> {
        let rules = Rules::new(&http.responses).map_err(|why| SetupError::Http {
            uplink: name.to_owned(),
            why,
        })?;
        let reading = Reading {
            rules,
            on_202: http.on_202,
            format,
            has_proxy: http.proxy.is_some(),
        };
        Ok(HttpUplink {
            plan: Arc::new(Plan::new(name, http, format)?),
            reading: Arc::new(reading),
            login: Login::new(http, timing.connect_within).map(Arc::new),
            settings: http.clone(),
            timing,
            places: Places::default(),
            front: Arc::new(Front::of(name)),
            secrets: Arc::default(),
            client: None,
            headers: HeaderMap::new(),
            made_at: Instant::now(),
            under_way: FuturesUnordered::new(),
            glimpses: None,
            ready: VecDeque::new(),
        })
    }

    /// Where it delivers to, for the log.
    pub(super) fn destination(&self) -> String {
        self.plan.destination(&self.settings)
    }

    /// Who fetches tokens, where the settings want them.
    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_deref()
    }

    /// From now on the last answer can be seen.
    pub(super) fn shows_answers(&mut self) {
        self.glimpses = Some(Glimpses::default());
    }

    /// The last answer that came since this was asked before, where answers are shown.
    pub(super) fn last_answer(&self) -> Option<Glimpse> {
        self.glimpses.as_ref()?.take()
    }

    /// A client with secrets and certificates as they are now.
    fn client(&mut self) -> Result<Client, ClientError> {
        let http = &self.settings;
        let headers = fixed_headers(http)?;
        let lines = headers.clone();
        let mut secrets = secrets_in(&headers);
        for user in http.basic.iter().chain(&http.proxy_user) {
            secrets.extend(secret_text(user.password.read()?.expose()));
        }
        let requests = http.requests.values();
        let own = requests.clone().flat_map(|one| one.headers.iter());
        // What is made of an event is known with its request alone.
        let fixed = own.filter(|(name, value)| names_a_secret(name) && !value.contains('{'));
        secrets.extend(fixed.flat_map(|(name, value)| secrets_of(name, value)));
        let requests = requests.filter_map(|one| Some(one.target()?.1));
        let mut urls = http.url.as_deref().into_iter().chain(requests);
        secrets.extend(urls.clone().flat_map(secrets_in_address));
        let client = Line {
            tls: http.tls.as_ref(),
            encrypted: urls.any(|url| url.starts_with("https:")),
            proxy: http.proxy.as_deref(),
            proxy_user: http.proxy_user.as_ref(),
            headers,
            connect_within: self.timing.connect_within,
            timeout: http.timeout.get(),
            connections: usize::from(http.in_flight),
        }
        .client()?;
        self.secrets = secrets.into();
        self.headers = lines;
        Ok(client)
    }

    /// Whether a token or password of the settings is another by now than the one that the client has.
    fn has_new_login(&self) -> bool {
        fixed_headers(&self.settings).is_ok_and(|headers| headers != self.headers)
    }

    fn start(&mut self, sending: Sending) {
        let made = match self.client.take() {
            Some(client) => Ok(client),
            None => {
                self.made_at = Instant::now();
                self.client()
            }
        };
        match made {
            Ok(client) => {
                let wire = Wire {
                    client: client.clone(),
                    login: self.login.clone(),
                    reading: Arc::clone(&self.reading),
                    front: Arc::clone(&self.front),
                    secrets: Arc::clone(&self.secrets),
                    glimpses: self.glimpses.clone(),
                };
                let step = sending.step(wire, Arc::clone(&self.plan), self.places.clone());
                self.under_way.push(step.boxed());
                self.client = Some(client);
            }
            Err(error) => {
                let trouble = Trouble::new(error.to_string());
                let away = |record: Record| Answer {
                    position: record.position,
                    verdict: Verdict::Unavailable(trouble.clone()),
                };
                self.ready.extend(sending.records.into_iter().map(away));
            }
        }
    }

    fn take(&mut self, step: Step) {
        self.ready.extend(step.answers);
        if !step.rest.records.is_empty() {
            self.start(step.rest);
        }
    }
}

impl Uplink for HttpUplink {
    async fn connect(&mut self) -> Result<Terms, Fault> {
        self.under_way = FuturesUnordered::new();
        self.ready.clear();
        self.client = Some(self.client().map_err(|error| Fault(error.to_string()))?);
        Ok(Terms {
            in_flight: usize::from(self.settings.in_flight),
            batch: self.plan.batch,
            connected: false,
            one_per_key: true,
            verdict_within: None,
        })
    }

    fn send(&mut self, events: &[&Record]) {
        let records = events.iter().map(|record| (*record).clone()).collect();
        self.start(Sending::of(records));
    }

    async fn next(&mut self) -> Result<Answer, Fault> {
        let answer = loop {
            if let Some(answer) = self.ready.pop_front() {
                break answer;
            }
            match self.under_way.next().await {
                Some(step) => self.take(step),
                None => std::future::pending().await,
            }
        };
        // A new token or certificate may be there at the next attempt.
        match &answer.verdict {
            Verdict::Unavailable(_) => self.client = None,
            Verdict::InDoubt(_, trouble) if trouble.status == Some(401) && self.has_new_login() => {
                self.client = None;
            }
            // Others may be taken over the connections that there are.
            Verdict::InDoubt(..) if self.made_at.elapsed() >= RENEW_AFTER => self.client = None,
            _ => {}
        }
        Ok(answer)
    }
}
