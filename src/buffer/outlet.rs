//! The side of the buffer that `deliver` drains: one [`Outlet`] per uplink, each with its own cursor.
//!
//! It only sends requests to the buffer's task, which alone touches the disk. Events are shown when they are durable, never before.

use super::inspect::Look;
use super::parked::ParkedRequest;
use super::progress::Settled;
use crate::model::{Class, Envelope, Position, UplinkId};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

/// A durable event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// What delivery must know about it.
    pub envelope: Envelope,
    /// Whether a full buffer may drop it.
    pub class: Class,
    /// CloudEvents JSON, as rendered before the commit.
    pub payload: Bytes,
}

/// What an outlet asks of the buffer's task.
#[derive(Debug)]
pub enum Request {
    /// Records after `after`, at least one if there is one, at most `max_events`, and past the first at most `max_bytes` of payload.
    Read {
        /// For whom.
        uplink: UplinkId,
        /// The last one that is not wanted again.
        after: Position,
        /// Most records.
        max_events: usize,
        /// Most payload bytes.
        max_bytes: usize,
        /// Where the answer goes; dropped by a reader that went away.
        reply: oneshot::Sender<Vec<Record>>,
    },
    /// Records are settled.
    Settle {
        /// By whom.
        uplink: UplinkId,
        /// Which, and what became of them.
        settled: Settled,
        /// Told when it survives a kill; dropped where nobody waits for that.
        noted: Option<oneshot::Sender<()>>,
    },
    /// About parked events.
    Parked(ParkedRequest),
    /// Somebody looks into the store.
    Look(Look),
}

/// The buffer has stopped: there is nothing more to deliver in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the buffer has stopped")]
pub struct Closed;

/// One uplink's view of the buffer.
#[derive(Debug)]
pub struct Outlet {
    uplink: UplinkId,
    cursor: Position,
    carried: (u64, Position),
    requests: mpsc::Sender<Request>,
    durable: watch::Receiver<Position>,
}

impl Outlet {
    /// `cursor` is the last position that this uplink settled in earlier runs; `durable` follows the last durable position.
    #[must_use]
    pub fn new(
        uplink: UplinkId,
        cursor: Position,
        requests: mpsc::Sender<Request>,
        durable: watch::Receiver<Position>,
    ) -> Outlet {
        Outlet {
            uplink,
            cursor,
            carried: (0, cursor),
            requests,
            durable,
        }
    }

    /// Of an uplink that settled so many events above its cursor, up to that position.
    #[must_use]
    pub fn carrying(self, count: u64, up_to: Position) -> Outlet {
        Outlet {
            carried: (count, up_to),
            ..self
        }
    }

    /// How many events above the cursor were settled in earlier runs, and up to where.
    #[must_use]
    pub fn carried(&self) -> (u64, Position) {
        self.carried
    }

    /// A second view of the same uplink that only reads, so that a read may be under way while this one settles.
    #[must_use]
    pub fn reader(&self) -> Outlet {
        Outlet {
            uplink: self.uplink,
            cursor: self.cursor,
            carried: self.carried,
            requests: self.requests.clone(),
            durable: self.durable.clone(),
        }
    }

    /// The last position that was settled when the store was opened, or by [`Outlet::settle`] since.
    #[must_use]
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// Waits until something after `after` is durable, and reads it. Cancel-safe: nothing is consumed by reading.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn next(
        &mut self,
        after: Position,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Closed> {
        loop {
            self.durable
                .wait_for(|last| *last > after)
                .await
                .map_err(|_| Closed)?;
            let (reply, answer) = oneshot::channel();
            let read = Request::Read {
                uplink: self.uplink,
                after,
                max_events,
                max_bytes,
                reply,
            };
            self.ask(read).await?;
            let records = answer.await.map_err(|_| Closed)?;
            if !records.is_empty() {
                return Ok(records);
            }
            // What was durable has been settled or quarantined meanwhile: wait for news.
            self.durable.changed().await.map_err(|_| Closed)?;
        }
    }

    /// Settles events. It is durable with one of the next commits, not at once. Said again, it changes nothing.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn settle(&mut self, settled: Settled) -> Result<(), Closed> {
        self.settle_with(settled, None).await
    }

    /// [`Outlet::settle`], and a word when it survives a kill: until then a run after this one may repeat these events. `None`
    /// when there was nothing to settle.
    ///
    /// # Errors
    /// [`Closed`] when the buffer has stopped.
    pub async fn settle_noted(
        &mut self,
        settled: Settled,
    ) -> Result<Option<oneshot::Receiver<()>>, Closed> {
        if self.knows(&settled) {
            return Ok(None);
        }
        let (noted, word) = oneshot::channel();
        self.settle_with(settled, Some(noted)).await?;
        Ok(Some(word))
    }

    fn knows(&self, settled: &Settled) -> bool {
        settled.up_to <= self.cursor && settled.fates.is_empty()
    }

    async fn settle_with(
        &mut self,
        settled: Settled,
        noted: Option<oneshot::Sender<()>>,
    ) -> Result<(), Closed> {
        if self.knows(&settled) {
            return Ok(());
        }
        self.cursor = self.cursor.max(settled.up_to);
        let settle = Request::Settle {
            uplink: self.uplink,
            settled,
            noted,
        };
        self.ask(settle).await
    }

    pub(super) fn uplink(&self) -> UplinkId {
        self.uplink
    }

    pub(super) async fn ask(&self, request: Request) -> Result<(), Closed> {
        self.requests.send(request).await.map_err(|_| Closed)
    }
}
