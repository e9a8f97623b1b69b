//! Verdicts on their way into the buffer's notes. Until they are there, a kill makes the next run send their events again, so
//! they count as under way: after a kill no more comes twice than a window.

use super::task::{Drain, wait_for};
use super::uplink::Terms;
use crate::buffer::Closed;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// So many events may come again after a kill where less than that are ever under way: the window of MQTT.
const MOST_REPEATED: usize = 64;

/// What the buffer was told and has not noted yet.
#[derive(Default)]
pub(super) struct Noting {
    /// Its word on it.
    pub(super) under_way: Option<BoxFuture<'static, ()>>,
    /// Delivered events in it.
    events: usize,
}

impl Drain {
    /// Tells the buffer what was settled since, unless it is still noting what it was told before.
    pub(super) async fn note_settled(&mut self) -> Result<(), Closed> {
        if self.noting.under_way.is_some() {
            return Ok(());
        }
        let events = self.window.untold();
        let settled = self.window.take_settled();
        if let Some(noted) = self.outlet.settle_noted(settled).await? {
            // A buffer that has gone says so when it is asked next.
            let under_way = Some(noted.map(drop).boxed());
            self.noting = Noting { under_way, events };
        }
        Ok(())
    }

    /// Tells the buffer everything, and waits until it is noted.
    pub(super) async fn settle_all(&mut self) -> Result<(), Closed> {
        for _ in 0..2 {
            if self.noting.under_way.is_some() {
                wait_for(&mut self.noting.under_way).await;
                self.noting = Noting::default();
            }
            self.note_settled().await?;
        }
        Ok(())
    }

    /// How many sendings may be under way beside what a kill would repeat although its verdict came.
    pub(super) fn repeatable(&self, terms: &Terms) -> usize {
        let window = terms.in_flight.saturating_mul(terms.batch);
        // Few requests at a time: waiting for the notes would leave some of them unused.
        let window = if terms.one_per_key {
            window.max(MOST_REPEATED)
        } else {
            window
        };
        let unnoted = self.noting.events + self.window.untold();
        window.saturating_sub(unnoted) / terms.batch.max(1)
    }
}
