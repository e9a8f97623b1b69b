//! Verdicts on their way into the buffer's notes. Until they are there, a kill makes the next run send their events again, so
//! they count as under way: after a kill no more comes twice than a window.

use super::task::{Drain, wait_for};
use super::uplink::Terms;
use crate::buffer::Closed;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::time::{Duration, Instant};

/// So many events may come again after a kill where less than that are ever under way: the window of MQTT.
const MOST_REPEATED: usize = 64;

/// So many verdicts are worth waking the buffer for; fewer wait for one another. One wake costs as much as a fifth of a
/// request.
const WORTH_NOTING: usize = 16;
/// The longest that they wait: what a kill would repeat although its verdict came is never older.
const NOTED_WITHIN: Duration = Duration::from_millis(10);

/// What the buffer was told and has not noted yet.
#[derive(Default)]
pub(super) struct Noting {
    /// Its word on it.
    pub(super) under_way: Option<BoxFuture<'static, ()>>,
    /// Delivered events in it.
    events: usize,
    /// Since when verdicts wait for others, to be told together.
    since: Option<Instant>,
}

impl Noting {
    /// The buffer has noted what it was told.
    pub(super) fn done(&mut self) {
        self.under_way = None;
        self.events = 0;
    }

    /// When what waits for others is told without them.
    pub(super) fn wake(&self) -> Option<Instant> {
        let waits = self.under_way.is_none();
        self.since
            .filter(|_| waits)
            .map(|since| since + NOTED_WITHIN)
    }
}

impl Drain {
    /// [`Drain::note_settled`], unless more verdicts are about to come, nothing waits for the notes, and nobody is the worse
    /// for it.
    pub(super) async fn note_in_time(&mut self, terms: &Terms, now: Instant) -> Result<(), Closed> {
        let untold = self.window.untold();
        if untold == 0 {
            self.noting.since = None;
        } else {
            let since = *self.noting.since.get_or_insert(now);
            let waits = untold < WORTH_NOTING
                && now.saturating_duration_since(since) < NOTED_WITHIN
                && self.window.in_flight() > 0
                && self.repeatable(terms) >= terms.in_flight;
            if waits {
                return Ok(());
            }
        }
        self.note_settled().await
    }

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
            self.noting = Noting {
                under_way,
                events,
                since: None,
            };
        }
        Ok(())
    }

    /// Tells the buffer everything, and waits until it is noted.
    pub(super) async fn settle_all(&mut self) -> Result<(), Closed> {
        for _ in 0..2 {
            if self.noting.under_way.is_some() {
                wait_for(&mut self.noting.under_way).await;
                self.noting.done();
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
