//! What an uplink asks the buffer's task about its parked events, and the answers.

use super::super::error::StoreError;
use super::super::outlet::{Closed, Outlet, Request};
use super::super::store::Store;
use super::{Changed, DueParked, Heads, ParkedChange, Parking, Retried, ToPark};
use crate::model::{ParkedGroup, Position, Stamp, UplinkId};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long an uplink waits for what it asked on a full disk: well inside the 60 s in which all goes on when there is space.
const WITHOUT_ROOM: Duration = Duration::from_secs(10);

/// A question about parked events.
#[derive(Debug)]
pub enum ParkedRequest {
    /// An event is to be parked.
    Park {
        /// By whom.
        uplink: UplinkId,
        /// Which, and why.
        event: Box<ToPark>,
        /// What became of it, once that is durable, and how many are parked now.
        reply: oneshot::Sender<(Parking, Vec<ParkedGroup>)>,
    },
    /// Which parked event is to be tried now.
    Due {
        /// By whom.
        uplink: UplinkId,
        /// The event, if there is one, and how many are parked now.
        reply: oneshot::Sender<(DueParked, Vec<ParkedGroup>)>,
    },
    /// The same where each parked event holds the later ones of its key.
    Heads {
        /// By whom.
        uplink: UplinkId,
        /// The event, the keys, and how many are parked now.
        reply: oneshot::Sender<Heads>,
    },
    /// Another attempt has ended.
    Retried {
        /// Whose.
        uplink: UplinkId,
        /// With which event.
        position: Position,
        /// How.
        retried: Box<Retried>,
    },
    /// Somebody wants something with parked events.
    Change {
        /// Of which uplink, by name.
        uplink: String,
        /// What.
        change: ParkedChange,
        /// What became of it, once that is durable, and how many are parked now; or why nothing did.
        reply: oneshot::Sender<Result<(Changed, Vec<ParkedGroup>), String>>,
    },
}

impl Store {
    /// Does what an uplink asks. True when there is something to commit. Also where the disk fails the uplink has an answer,
    /// which lets it ask again later; the error goes to the task.
    pub(in crate::buffer) fn answer_parked(
        &mut self,
        request: ParkedRequest,
        now: Stamp,
    ) -> Result<bool, StoreError> {
        // Who asked and went away wants no answer.
        match request {
            ParkedRequest::Park {
                uplink,
                event,
                reply,
            } => {
                let (done, failed) = match self.park(uplink, *event, now) {
                    Err(StoreError::Full(_)) => (Parking::NoRoom, None),
                    Err(error @ StoreError::Io { .. }) => (Parking::NoRoom, Some(error)),
                    done => (done?, None),
                };
                reply.send((done, self.parked_groups(uplink))).ok();
                failed.map_or(Ok(()), Err)?;
            }
            ParkedRequest::Due { uplink, reply } => {
                let later = DueParked::After(WITHOUT_ROOM);
                let (due, failed) = match self.due_parked(uplink, now) {
                    Err(StoreError::Full(_)) => (later, None),
                    Err(error @ StoreError::Io { .. }) => (later, Some(error)),
                    due => (due?, None),
                };
                reply.send((due, self.parked_groups(uplink))).ok();
                failed.map_or(Ok(()), Err)?;
            }
            ParkedRequest::Heads { uplink, reply } => match self.parked_heads(uplink, now) {
                Err(StoreError::Full(_)) => {
                    let mut heads = self.parked_keys(uplink);
                    heads.due = DueParked::After(WITHOUT_ROOM);
                    reply.send(heads).ok();
                }
                heads => {
                    reply.send(heads?).ok();
                }
            },
            ParkedRequest::Retried {
                uplink,
                position,
                retried,
            } => self.retried(uplink, position, *retried, now)?,
            ParkedRequest::Change {
                uplink,
                change,
                reply,
            } => {
                let done = self.change_parked_of(&uplink, &change, now)?;
                reply.send(done).ok();
            }
        }
        Ok(self.moved)
    }

    fn change_parked_of(
        &mut self,
        name: &str,
        change: &ParkedChange,
        now: Stamp,
    ) -> Result<Result<(Changed, Vec<ParkedGroup>), String>, StoreError> {
        let mut named = self.uplink_ids().zip(&self.uplinks);
        let Some(uplink) = named.find_map(|(id, (one, _))| (one == name).then_some(id)) else {
            return Ok(Err(format!("this gateway has no uplink `{name}`")));
        };
        let done = self.change_parked(uplink, change, now)?;
        Ok(done.map(|done| (done, self.parked_groups(uplink))))
    }
}

impl Outlet {
    /// Parks an event: out of the way of the others, once the answer says so.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn park(&self, event: ToPark) -> Result<(Parking, Vec<ParkedGroup>), Closed> {
        let (reply, answer) = oneshot::channel();
        let event = Box::new(event);
        let uplink = self.uplink();
        let park = ParkedRequest::Park {
            uplink,
            event,
            reply,
        };
        self.ask(Request::Parked(park)).await?;
        answer.await.map_err(|_| Closed)
    }

    /// The parked event that is to be tried now.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn due_parked(&self) -> Result<(DueParked, Vec<ParkedGroup>), Closed> {
        let (reply, answer) = oneshot::channel();
        let uplink = self.uplink();
        let due = ParkedRequest::Due { uplink, reply };
        self.ask(Request::Parked(due)).await?;
        answer.await.map_err(|_| Closed)
    }

    /// Another attempt with a parked event has ended.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn retried(&self, position: Position, retried: Retried) -> Result<(), Closed> {
        let retried = ParkedRequest::Retried {
            uplink: self.uplink(),
            position,
            retried: Box::new(retried),
        };
        self.ask(Request::Parked(retried)).await
    }
}
