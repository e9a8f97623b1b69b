//! Parked events of an uplink where each holds the later ones of its partition key (`on_reject: hold`): which may go, and which
//! keys are held.

use super::super::error::StoreError;
use super::super::outlet::{Closed, Outlet, Request};
use super::super::store::Store;
use super::index::Next;
use super::{DueParked, ParkedRequest};
use crate::model::{ParkedGroup, Stamp, UplinkId};
use std::time::Duration;
use tokio::sync::oneshot;

/// What an uplink that holds hears about its parked events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The one whose turn it is, of those that are the oldest of their key.
    pub due: DueParked,
    /// How many there are of each kind.
    pub groups: Vec<ParkedGroup>,
    /// The keys that have one: their later events wait.
    pub keys: Vec<String>,
}

impl Store {
    /// The parked event that an uplink should try now, of those that are the oldest of their key; and the keys.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn parked_heads(&mut self, uplink: UplinkId, now: Stamp) -> Result<Heads, StoreError> {
        let now_ns = self.moment(now).powered_ns;
        loop {
            let next = self
                .index(uplink)
                .map_or(Next::Never, |index| index.head(now_ns));
            let due = match next {
                Next::Never => DueParked::Never,
                Next::At(due) => DueParked::After(Duration::from_nanos(due.saturating_sub(now_ns))),
                Next::Due(position) => match self.parked(uplink, position)? {
                    Some(parked) => DueParked::Event(Box::new(parked)),
                    // It could not be read, and is none of them any more.
                    None => continue,
                },
            };
            return Ok(Heads {
                due,
                ..self.parked_keys(uplink)
            });
        }
    }

    /// The keys, and no event.
    pub(super) fn parked_keys(&self, uplink: UplinkId) -> Heads {
        let keys = self.index(uplink).map(|index| index.keys().cloned());
        Heads {
            due: DueParked::Never,
            groups: self.parked_groups(uplink),
            keys: keys.into_iter().flatten().collect(),
        }
    }
}

impl Outlet {
    /// The parked event that is to be tried now, where only the oldest of a key may be; and the keys that have parked events.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn parked_heads(&self) -> Result<Heads, Closed> {
        let (reply, answer) = oneshot::channel();
        let uplink = self.uplink();
        let heads = ParkedRequest::Heads { uplink, reply };
        self.ask(Request::Parked(heads)).await?;
        answer.await.map_err(|_| Closed)
    }
}
