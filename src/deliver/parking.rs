//! What the task does with events that the destination does not take: puts them into files of their own, and tries those
//! again now and then. Live events never wait for it, but where there is no room for more parked ones.

use super::retries::Due;
use super::task::{Drain, Ended};
use super::uplink::{Answer, Terms, Trouble, Verdict};
use crate::buffer::{Answered, Closed, MAX_PARKED, ParkedState, Parking, Retried, ToPark};
use crate::model::{ParkClass, ParkedGroup, Position};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Events that wait for their files, past which nothing more is sent: a destination that refuses all of them is not asked
/// faster than the disk writes.
const MAX_WAITING: usize = 64;

/// Which event, what became of it, and how many there are.
type Parked = Result<(Parking, Vec<ParkedGroup>), Closed>;

/// The way into the files.
#[derive(Default)]
pub(super) struct Desk {
    waiting: VecDeque<ToPark>,
    /// The first one, with the buffer.
    pub(super) under_way: Option<BoxFuture<'static, Parked>>,
    /// There was no room: the first one is tried again then.
    again_at: Option<Instant>,
    /// There are as many as there may be: live events wait.
    full: bool,
}

impl Desk {
    /// Whether live events must wait.
    pub(super) fn holds_all(&self) -> bool {
        self.full || self.waiting.len() >= MAX_WAITING
    }

    /// Whether there are as many as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// When to try again.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self.under_way {
            Some(_) => None,
            None => self.again_at,
        }
    }
}

impl Drain {
    /// The event is to be parked. `sent_at` is when it was sent last.
    pub(super) fn park(
        &mut self,
        position: Position,
        why: (ParkClass, ParkedState),
        trouble: Trouble,
    ) {
        let now = super::task::now();
        // Before it leaves its line, or the next one of its key would go.
        if let Some(record) = self.window.record(position) {
            let key = record.envelope.partition_key.clone();
            self.hold_key(&key);
        }
        let Some(parkable) = self.window.park(position) else {
            return;
        };
        self.report
            .parked(now, &parkable.record, why, &trouble.reason);
        let since_first = parkable
            .first_sent
            .map_or(Duration::ZERO, |first| now.saturating_duration_since(first));
        let wait = self.retries.first_wait(trouble.at_least);
        self.desk.waiting.push_back(ToPark {
            record: parkable.record,
            class: why.0,
            state: why.1,
            attempts: parkable.attempts,
            since_first,
            answered: answered(trouble),
            wait,
        });
    }

    /// Parks the event that holds the others back, if there is one.
    pub(super) fn park_what_holds_back(&mut self, terms: &Terms) {
        if self.desk.waiting.is_empty()
            && let Some(position) = self.window.holds_back(terms)
        {
            let held = self.window.sent_at(position).is_none();
            let trouble = Trouble::new(match held {
                true => "it waits for an event of its equipment that was not taken",
                false => "it was not taken so far, and thousands wait behind it",
            });
            self.park(position, (ParkClass::Held, ParkedState::Retrying), trouble);
        }
    }

    /// Asks the buffer to park the next event, and for a parked one that is due.
    pub(super) fn ask_about_parked(&mut self, now: Instant) {
        let may = self.desk.again_at.is_none_or(|at| at <= now);
        if self.desk.under_way.is_none()
            && may
            && let Some(event) = self.desk.waiting.front().cloned()
        {
            self.desk.again_at = None;
            let outlet = self.outlet.reader();
            self.desk.under_way = Some(async move { outlet.park(event).await }.boxed());
        }
        if self.retries.wants(now) {
            let outlet = self.outlet.reader();
            let asking = if let Some(holding) = &mut self.holding {
                let waiting = self.desk.waiting.iter();
                holding.asks(waiting.map(|event| event.record.envelope.partition_key.clone()));
                async move {
                    let heads = outlet.parked_heads().await?;
                    Ok((heads.due, heads.groups, Some(heads.keys)))
                }
                .boxed()
            } else {
                async move {
                    let (due, groups) = outlet.due_parked().await?;
                    Ok((due, groups, None))
                }
                .boxed()
            };
            self.retries.asking = Some(asking);
        }
    }

    /// The buffer's word on the first event that waits.
    pub(super) fn take_parked(&mut self, parked: Parked) -> Result<(), Ended> {
        let now = super::task::now();
        self.desk.under_way = None;
        let (parking, groups) = parked?;
        self.health.parked.set(groups);
        let again = self.timing.park_again;
        match parking {
            Parking::Done => {
                if let Some(event) = self.desk.waiting.pop_front() {
                    self.window.parked(event.record.position);
                    self.retries.parked(event.wait, now);
                }
                if std::mem::take(&mut self.desk.full) {
                    self.resume(now);
                }
            }
            Parking::Full => {
                let reason = format!(
                    "{MAX_PARKED} events that it did not take are put aside, and no more may be: look at why"
                );
                self.desk.full = true;
                self.desk.again_at = Some(now + again);
                self.report.paused(now, &reason, again);
                self.health.destination.pause(&reason);
            }
            Parking::NoRoom => self.desk.again_at = Some(now + again),
        }
        Ok(())
    }

    /// The buffer's word on what is due.
    pub(super) fn take_due(&mut self, due: Due) -> Result<(), Ended> {
        let (due, groups, keys) = due?;
        self.health.parked.set(groups);
        if let Some(keys) = keys {
            self.take_keys(keys);
        }
        self.retries.due(due, super::task::now());
        Ok(())
    }

    /// Tells the buffer how attempts with parked events ended.
    pub(super) async fn tell_retries(&mut self) -> Result<(), Closed> {
        for (position, retried) in std::mem::take(&mut self.retries.ended) {
            let delivered = retried == Retried::Delivered;
            self.outlet.retried(position, retried).await?;
            // There is room for one more.
            if delivered && self.desk.full {
                self.desk.again_at = Some(super::task::now());
            }
        }
        Ok(())
    }

    /// A verdict on the parked event that is under way; false when it is on another.
    pub(super) fn take_retry_answer(&mut self, answer: &Answer) -> bool {
        let Some(sent_at) = self.retries.is_sent(answer.position) else {
            return false;
        };
        let now = super::task::now();
        match answer.verdict.clone() {
            Verdict::Taken => {
                if let Some(mes) = &self.answering {
                    self.retries.taken(now, mes.patience.first);
                    if !mes.wants_nothing() {
                        self.gate.accepted(sent_at);
                        self.resume(now);
                    }
                }
            }
            Verdict::Accepted => {
                self.health.delivered.add(1);
                self.gate.accepted(sent_at);
                self.retries.delivered(now);
                self.resume(now);
            }
            Verdict::Rejected(class, trouble) => self.retry_failed(sent_at, trouble, Some(class)),
            Verdict::Conflict(trouble) | Verdict::Refused(trouble) => {
                self.retry_failed(sent_at, trouble, None);
            }
            Verdict::Unanswered(trouble)
            | Verdict::Broken(trouble)
            | Verdict::Pending(trouble)
            | Verdict::Undivided(trouble) => {
                self.gate.answered(sent_at);
                let at_least = trouble.at_least;
                self.retries.failed(now, answered(trouble), None, at_least);
            }
            // It has stood aside before: live events are not stopped to learn whose fault it is.
            Verdict::InDoubt(_, trouble) => {
                let at_least = trouble.at_least;
                self.retries.doubted(now, answered(trouble), at_least);
            }
            Verdict::Unavailable(trouble) => {
                self.retries.put_back(now, &trouble);
                self.close_gate(sent_at, now, trouble);
            }
        }
        true
    }

    fn retry_failed(&mut self, sent_at: Instant, trouble: Trouble, rejected: Option<ParkClass>) {
        let now = super::task::now();
        self.health.refused.add(1);
        self.gate.answered(sent_at);
        let at_least = trouble.at_least;
        self.retries
            .failed(now, answered(trouble), rejected, at_least);
        self.resume(now);
    }

    /// The connection is gone, and with it what was under way.
    pub(super) fn connection_lost(&mut self) {
        let now = super::task::now();
        let trouble = || Trouble::new("the connection was lost before the answer");
        if let Some(position) = self.window.connection_lost(now) {
            self.park(
                position,
                (ParkClass::Suspect, ParkedState::Retrying),
                trouble(),
            );
        }
        // It may be the cause: live events must not lose their connection to it over and over.
        if self.retries.sent_at().is_some() {
            self.retries.failed(now, answered(trouble()), None, None);
        }
    }

    /// The MES did not speak of the parked event that the broker has.
    pub(super) fn fail_overdue_retry(&mut self, now: Instant, trouble: Trouble) {
        if let Some(mes) = &self.answering
            && self.retries.is_overdue(now)
        {
            self.retries.unheard(now, answered(trouble), mes.patience);
        }
    }
}

/// The trouble as it stands in the file of a parked event.
pub(super) fn answered(trouble: Trouble) -> Answered {
    Answered {
        code: trouble.code,
        status: trouble.status,
        detail: trouble.reason,
        said: trouble.said,
    }
}
