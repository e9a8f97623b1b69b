//! One connection while it lives: the wire, what is known of the server, and what is waited for.
//!
//! Owned by the driver. Everything that happens on it comes out of [`Live::event`], which is safe to drop and call again:
//! what is under way is kept here.

use super::items::{Item, Known, Missing};
use super::prepare::Server;
use super::services;
use super::state::States;
use super::subscribe::Subscription;
use super::types::Types;
use super::wire::{Answering, Trouble, Wire};
use crate::acquire::driver::link_error;
use crate::acquire::schedule::Grid;
use crate::model::LinkError;
use crate::settings::shape::Timestamps;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use opcua::core::ResponseMessage;
use opcua::types::{DataValue, Error, NodeId, ReadRequest, ReadValueId, VariableId};
use std::time::Duration;
use tokio::select;
use tokio::time::{Instant, sleep_until};

/// How often a server that has nothing to say is asked whether it lives, at the least.
const ALIVE: Duration = Duration::from_secs(5);
/// And at the most.
const ALIVE_AT_MOST: Duration = Duration::from_millis(200);

/// A connection.
pub(super) struct Live {
    pub(super) wire: Wire,
    pub(super) server: Server,
    pub(super) types: Types,
    pub(super) states: States,
    pub(super) subscription: Option<Subscription>,
    /// Tags of equal period, where the server is asked.
    pub(super) polls: Vec<Poll>,
    pub(super) retry_at: Instant,
    retry: Duration,
    publishes: FuturesUnordered<Answering>,
    alive: Option<Answering>,
    alive_at: Instant,
    alive_every: Duration,
}

/// Tags that are read together.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) grid: Grid,
    pub(super) items: Vec<usize>,
}

/// What happened.
pub(super) enum Event {
    /// A request for notifications was answered.
    Published(Result<ResponseMessage, Error>),
    /// The server was asked whether it lives, and answered or did not.
    Alive(Result<ResponseMessage, Error>),
    /// Something is due.
    Due,
    /// The connection has ended.
    Closed(LinkError),
}

impl Live {
    /// A connection on which nothing is read yet.
    /// `retry`: how often tags that cannot be read are looked for again.
    pub(super) fn new(wire: Wire, server: Server, lost_after: Duration, retry: Duration) -> Live {
        let now = Instant::now();
        let alive_every = (lost_after / 3).clamp(ALIVE_AT_MOST, ALIVE);
        Live {
            wire,
            server,
            types: Types::default(),
            states: States::default(),
            subscription: None,
            polls: Vec::new(),
            retry_at: now + retry,
            retry,
            publishes: FuturesUnordered::new(),
            alive: None,
            alive_at: now + alive_every,
            alive_every,
        }
    }

    /// Waits for what happens next; `reading`: also for what is to be read. Cancel-safe.
    pub(super) async fn event(&mut self, reading: bool) -> Event {
        let due = self.due(reading);
        let Live {
            wire,
            publishes,
            alive,
            ..
        } = self;
        let answered = async {
            match alive {
                Some(answering) => answering.await,
                None => std::future::pending().await,
            }
        };
        select! {
            biased;
            Some(answer) = publishes.next(), if !publishes.is_empty() => Event::Published(answer),
            answer = answered => {
                self.alive = None;
                Event::Alive(answer)
            }
            error = wire.closed() => Event::Closed(error),
            () = sleep_until(due) => Event::Due,
        }
    }

    fn due(&self, reading: bool) -> Instant {
        let alive = match &self.alive {
            Some(_) => None,
            None => Some(self.alive_at),
        };
        let watchdog = self.subscription.as_ref().map(Subscription::deadline);
        let polls = self.polls.iter().map(|poll| poll.grid.due());
        let reads = polls.chain([self.retry_at]).filter(|_| reading);
        reads
            .chain(alive)
            .chain(watchdog)
            .min()
            .unwrap_or(self.retry_at)
    }

    /// The server said something.
    pub(super) fn heard(&mut self) {
        self.alive_at = Instant::now() + self.alive_every;
    }

    /// Values can be expected: tags are polled, or the subscription has said something.
    pub(super) fn is_proven(&self) -> bool {
        self.subscription
            .as_ref()
            .is_none_or(Subscription::is_proven)
    }

    /// Next time, tags that cannot be read are tried in a while.
    pub(super) fn tried(&mut self) {
        self.retry_at = Instant::now() + self.retry;
    }

    /// Does what is due without waiting: asks a silent server whether it lives. The error: its subscription died.
    ///
    /// # Errors
    /// When the subscription is silent for too long, although the connection is there.
    pub(super) fn tend(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        if let Some(subscription) = &self.subscription
            && subscription.deadline() <= now
        {
            let silence = subscription.silence().as_millis();
            let detail = format!(
                "{}: the subscription has died: nothing came for {silence} ms; it is made anew",
                self.wire.name()
            );
            return Err(link_error("timeout", detail));
        }
        if self.alive.is_none() && self.alive_at <= now {
            let state: NodeId = VariableId::Server_ServerStatus_State.into();
            let request = ReadRequest {
                request_header: self.wire.usual_header(),
                nodes_to_read: Some(vec![ReadValueId::new_value(state)]),
                ..ReadRequest::default()
            };
            self.alive = Some(self.wire.start(request.into(), self.wire.timeout()));
        }
        Ok(())
    }

    /// Keeps enough requests for notifications at the server.
    pub(super) fn ask_for_news(&mut self) {
        let Some(subscription) = &mut self.subscription else {
            return;
        };
        while self.publishes.len() < subscription.in_flight {
            let request = services::publish(&self.wire, subscription.acknowledgements());
            self.publishes
                .push(self.wire.start(request.into(), subscription.patience()));
        }
    }

    /// Asks what must be known to understand values.
    pub(super) async fn learn(&mut self, missing: Vec<Missing>) -> Result<(), LinkError> {
        let mut states = Vec::new();
        for one in missing {
            match one {
                Missing::State(state) => states.push(state),
                Missing::Layout(mark) => {
                    let learnt = self.types.learn_mark(&mut self.wire, &mark).await;
                    survivable(learnt)?;
                }
            }
        }
        survivable(self.states.learn(&mut self.wire, states).await)
    }

    /// What must be asked before these values can be understood.
    pub(super) fn missing(
        &self,
        items: &[Item],
        values: &[(usize, DataValue)],
        timestamps: Timestamps,
    ) -> Vec<Missing> {
        let context = self.wire.context().read();
        let known = self.known(&context, timestamps);
        let mut missing = Vec::new();
        for (number, value) in values {
            let Some(one) = items
                .get(*number)
                .and_then(|item| item.missing(value, &known))
            else {
                continue;
            };
            if !missing.contains(&one) {
                missing.push(one);
            }
        }
        missing
    }

    /// What is known, to understand values.
    pub(super) fn known<'a>(
        &'a self,
        context: &'a opcua::types::ContextOwned,
        timestamps: Timestamps,
    ) -> Known<'a> {
        Known {
            types: &self.types,
            states: &self.states,
            context,
            timestamps,
        }
    }
}

/// What the server refuses to say stays unknown; only a broken connection matters.
fn survivable(asked: Result<(), Trouble>) -> Result<(), LinkError> {
    match asked {
        Err(Trouble::Broken(error)) => Err(error),
        Ok(()) | Err(Trouble::Refused(_)) => Ok(()),
    }
}
