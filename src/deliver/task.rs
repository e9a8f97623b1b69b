//! The task of one uplink: reads from the buffer, sends through a protocol, settles what the destination has taken.
//!
//! `gateway` spawns [`run_uplink`] once per uplink. The rules are in `window` and `gate`; this file only waits, and
//! does what they say. Whatever happens, an event is settled only after its verdict, and in the buffer's order.

use super::answering::Answering;
use super::filter::EventFilter;
use super::gate::Gate;
use super::holding::Holding;
use super::noting::Noting;
use super::pace::Pace;
use super::parking::Desk;
use super::report::Report;
use super::retries::Retries;
use super::setup::{Prepared, Protocol};
use super::timing::Timing;
use super::uplink::{Fault, Terms, Uplink};
use super::window::Window;
use crate::buffer::{Closed, Outlet, Record};
use crate::health::UplinkHealth;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Most payload bytes in one read from the buffer.
const READ_BYTES: usize = 1 << 20;
/// Verdicts taken in a row before settling: one message to the buffer for many of them.
const VERDICTS_AT_ONCE: usize = 64;

/// Delivers until `stop` is cancelled or the buffer has stopped. After `stop` nothing more is sent, and verdicts that
/// are still out are waited for, at most [`Timing::stop_within`].
pub async fn run_uplink(
    prepared: Prepared,
    outlet: Outlet,
    health: Arc<UplinkHealth>,
    stop: CancellationToken,
) {
    let seed = fastrand::u64(..);
    let Prepared {
        name,
        filter,
        timing,
        protocol,
        patience,
        per_second,
        holds,
    } = prepared;
    let cells = Arc::clone(&health);
    let drain = |destination: &str| Drain {
        window: {
            let window = Window::new(outlet.cursor(), outlet.carried(), timing, seed);
            if holds { window.strict() } else { window }
        },
        desk: Desk::default(),
        noting: Noting::default(),
        retries: Retries::new(now(), timing, seed),
        gate: Gate::new(timing.backoff(seed)),
        report: Report::new(&name, destination, holds),
        answering: patience.map(|(patience, answers)| Answering::new(patience, answers)),
        holding: holds.then(Holding::default),
        pace: per_second.map(|rate| Pace::new(rate, now())),
        live_went_last: false,
        connected_at: now(),
        reading: None,
        outlet,
        filter,
        health: cells,
        timing,
        stop,
    };
    match protocol {
        Protocol::Mqtt(mut mqtt) => {
            mqtt.count_ignored_in(Arc::clone(&health));
            drain(&mqtt.destination()).run(&mut *mqtt).await;
        }
        Protocol::Http(mut http) => drain(&http.destination()).run(&mut *http).await,
    }
}

/// One uplink at work.
pub(super) struct Drain {
    pub(super) window: Window,
    pub(super) gate: Gate,
    pub(super) report: Report,
    pub(super) outlet: Outlet,
    pub(super) desk: Desk,
    pub(super) noting: Noting,
    pub(super) retries: Retries,
    /// Where the word of the MES counts.
    pub(super) answering: Option<Answering>,
    /// Where a rejected event holds the later ones of its key.
    pub(super) holding: Option<Holding>,
    /// Where the settings limit it.
    pub(super) pace: Option<Pace>,
    /// Of live and parked events, a live one was sent last.
    pub(super) live_went_last: bool,
    /// When the connection was made.
    pub(super) connected_at: Instant,
    /// A read under way. Kept over connections and turns of the loop: the buffer answers each read once.
    reading: Option<BoxFuture<'static, Result<Vec<Record>, Closed>>>,
    filter: EventFilter,
    pub(super) health: Arc<UplinkHealth>,
    pub(super) timing: Timing,
    stop: CancellationToken,
}

/// Why serving a connection ended.
pub(super) enum Ended {
    /// The stop was asked for.
    Stopped,
    /// The buffer has stopped.
    Closed,
    /// The connection is lost.
    Lost(Fault),
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Ended {
        Ended::Closed
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Ended {
        Ended::Lost(fault)
    }
}

impl Drain {
    async fn run<U: Uplink>(mut self, uplink: &mut U) {
        loop {
            let ended = match self.connect(uplink).await {
                Ok(terms) => {
                    let ended = self.serve(uplink, terms).await;
                    if matches!(ended, Ended::Stopped) {
                        self.take_last_verdicts(uplink, &terms).await;
                        // A broker that does not take the leave notices that we are gone.
                        let _in_time = timeout(self.timing.stop_within, uplink.close()).await;
                    }
                    // What came with the end counts, also if the next connection is days away. A closed buffer ends
                    // the loop anyway.
                    let _closed = self.settle_all().await;
                    let _closed = self.tell_retries().await;
                    ended
                }
                Err(ended) => ended,
            };
            self.connection_lost();
            let Ended::Lost(fault) = ended else {
                return;
            };
            if !self.wait_after(&fault).await {
                return;
            }
        }
    }

    async fn connect<U: Uplink>(&mut self, uplink: &mut U) -> Result<Terms, Ended> {
        let within = self.timing.connect_within;
        let attempt = async {
            timeout(within, uplink.connect()).await.unwrap_or_else(|_| {
                Err(Fault(format!(
                    "no complete answer to the connection within {} ms: check that this is the right server and port",
                    within.as_millis()
                )))
            })
        };
        let terms = tokio::select! {
            () = self.stop.cancelled() => return Err(Ended::Stopped),
            terms = attempt => terms?,
        };
        self.health.connects.add(1);
        self.connected_at = now();
        if let Some(server) = uplink.server() {
            self.report.uses(now(), &server);
            self.health.server.set(&server);
        }
        self.report.ready(now(), terms.connected);
        Ok(self.strict(terms))
    }

    /// Waits before the next attempt to connect; false when the stop came instead.
    async fn wait_after(&mut self, fault: &Fault) -> bool {
        let wait = self.gate.lost();
        self.report.lost(now(), &fault.0, wait);
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    /// Serves one connection until it is lost or everything ends.
    async fn serve<U: Uplink>(&mut self, uplink: &mut U, terms: Terms) -> Ended {
        loop {
            if let Err(ended) = self.turn(uplink, terms).await {
                return ended;
            }
        }
    }

    /// Settles what may be settled, sends what may be sent, and waits for one thing to happen.
    async fn turn<U: Uplink>(&mut self, uplink: &mut U, terms: Terms) -> Result<(), Ended> {
        self.start_reading(&terms);
        // Before sending: the fewer events are out and not settled, the fewer come twice after a crash.
        self.note_in_time(&terms, now()).await?;
        self.tell_retries().await?;
        let now = now();
        self.park_what_holds_back(&terms);
        self.ask_about_parked(now);
        self.mind_silence(now);
        self.send_due(uplink, &terms, now);
        let wake = self.next_wake(&terms, now);
        tokio::select! {
            () = self.stop.cancelled() => return Err(Ended::Stopped),
            answer = uplink.next() => {
                self.take_answer(answer?, &terms);
                self.take_ready_answers(uplink, &terms)?;
            }
            records = wait_for(&mut self.reading) => {
                self.reading = None;
                self.take_in(records?);
            }
            () = wait_for(&mut self.noting.under_way) => self.noting.done(),
            parked = wait_for(&mut self.desk.under_way) => self.take_parked(parked)?,
            due = wait_for(&mut self.retries.asking) => self.take_due(due)?,
            () = sleep_until(wake) => self.check_silence(&terms)?,
        }
        Ok(())
    }

    /// Verdicts that are here already, up to a batch.
    fn take_ready_answers<U: Uplink>(
        &mut self,
        uplink: &mut U,
        terms: &Terms,
    ) -> Result<(), Ended> {
        for _ in 0..VERDICTS_AT_ONCE {
            let Some(answer) = uplink.next().now_or_never() else {
                break;
            };
            self.take_answer(answer?, terms);
        }
        Ok(())
    }

    fn start_reading(&mut self, terms: &Terms) {
        if self.reading.is_some() {
            return;
        }
        if let Some((after, most)) = self.window.wants(terms) {
            let mut reader = self.outlet.reader();
            self.reading = Some(async move { reader.next(after, most, READ_BYTES).await }.boxed());
        }
    }

    fn take_in(&mut self, records: Vec<Record>) {
        let filter = &self.filter;
        let filtered = self
            .window
            .take_in(records, |record| filter.wants(&record.envelope.kind));
        self.health.filtered.add(filtered);
    }

    /// The next time at which something is to be done without anything happening, as seen after sending at `now`.
    fn next_wake(&self, terms: &Terms, now: Instant) -> Option<Instant> {
        let silence = terms
            .verdict_within
            .and_then(|within| Some(self.oldest_sent()? + within));
        let overdue = match &self.answering {
            Some(mes) if mes.is_silent() => mes.wake(now),
            _ => self.window.next_overdue(),
        };
        [
            overdue,
            self.pace.as_ref().and_then(|pace| pace.wake(now)),
            self.gate.reopens(self.has_another(terms)),
            self.window.next_due(now),
            self.desk.wake(),
            self.retries.wake(),
            self.noting.wake(),
            silence,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn oldest_sent(&self) -> Option<Instant> {
        let both = [self.window.oldest_sent(), self.retries.sent_at()];
        both.into_iter().flatten().min()
    }

    fn waits_for_verdicts(&self) -> bool {
        let from_mes = self.window.taken_count() > 0 && !self.is_silent();
        from_mes || self.oldest_sent().is_some()
    }

    /// A connection that does not bring verdicts is dead, whatever TCP believes.
    fn check_silence(&self, terms: &Terms) -> Result<(), Fault> {
        let (Some(within), Some(sent_at)) = (terms.verdict_within, self.oldest_sent()) else {
            return Ok(());
        };
        if now().saturating_duration_since(sent_at) < within {
            return Ok(());
        }
        Err(Fault(format!(
            "an event was not acknowledged within {} ms: the connection counts as dead",
            within.as_millis()
        )))
    }

    /// After the stop: nothing is sent any more, but what is out may still be settled.
    async fn take_last_verdicts<U: Uplink>(&mut self, uplink: &mut U, terms: &Terms) {
        let within = self.timing.stop_within;
        let window_is_empty = async {
            while self.waits_for_verdicts() {
                match uplink.next().await {
                    Ok(answer) => self.take_answer(answer, terms),
                    Err(Fault(_)) => break,
                }
            }
        };
        // Too late is no error: the next run sends these events again.
        let _in_time = timeout(within, window_is_empty).await;
    }
}

/// The end of a read that is under way; without one, never.
pub(super) async fn wait_for<T>(reading: &mut Option<BoxFuture<'static, T>>) -> T {
    match reading {
        Some(read) => read.await,
        None => std::future::pending().await,
    }
}

/// That time; without one, never.
async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Tokio's clock, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "poison_tests.rs"]
mod poison_tests;

#[cfg(test)]
#[path = "sporadic_tests.rs"]
mod sporadic_tests;

#[cfg(test)]
#[path = "noting_tests.rs"]
mod noting_tests;
