//! Sends delivered events again: in order per partition key, at a pace, until a destination is at fault or somebody says stop.

use super::pace::Pace;
use crate::buffer::Record;
use crate::deliver::{Courier, Said, Word};
use crate::model::Position;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep_until;

/// Failures in a row after which it ends: the connection lost, no verdict, a pause asked for.
const MAX_FAILURES: u32 = 3;
/// Wait after the first failure; doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A destination that asks for a longer pause is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Refused events that are told one by one.
pub(super) const MAX_TOLD: usize = 20;

/// How sending ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Ctrl-C, or another signal to end.
    Interrupted,
    /// The destination is at fault, as it says; true when it does not let us in.
    Fault(String, bool),
}

/// Signals to end.
pub(super) struct Signals(Vec<Signal>);

impl Signals {
    /// Listens, inside a runtime.
    pub(super) fn listen() -> std::io::Result<Signals> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let signals: std::io::Result<Vec<Signal>> = kinds.into_iter().map(signal).collect();
        Ok(Signals(signals?))
    }

    async fn come(&mut self) {
        let waiting = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(waiting).await;
    }
}

/// What became of the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// The destination has them, or had them already: it is not asked to say which.
    pub(super) accepted: u64,
    /// It has them, and its verdict did not come in time.
    pub(super) pending: u64,
    /// It refused them.
    pub(super) rejected: u64,
    /// The first of those: position, type, reason.
    pub(super) told: Vec<(Position, String, String)>,
}

/// Sending again to one destination.
pub(super) struct Sending {
    courier: Courier,
    signals: Signals,
    pace: Pace,
    is_connected: bool,
    waiting: VecDeque<Record>,
    under_way: BTreeMap<Position, Record>,
    failures: u32,
    /// After a failure: nothing goes before.
    not_before: Option<Instant>,
    pub(super) sum: Sum,
}

impl Sending {
    pub(super) fn new(courier: Courier, signals: Signals, per_second: f64) -> Sending {
        Sending {
            courier,
            signals,
            pace: Pace::new(per_second, now()),
            is_connected: false,
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            failures: 0,
            not_before: None,
            sum: Sum::default(),
        }
    }

    /// From the next event on, at most so many a second.
    pub(super) fn set_rate(&mut self, per_second: f64) {
        self.pace.change(per_second);
    }

    /// These were handed over and never tried: where to go on from.
    pub(super) fn leave(&mut self, records: impl Iterator<Item = Record>) {
        self.waiting.extend(records);
    }

    /// The first event that has no verdict.
    pub(super) fn first_open(&self) -> Option<Position> {
        let waiting = self.waiting.iter().map(|record| record.position);
        waiting.chain(self.under_way.keys().copied()).min()
    }

    /// Sends these, and waits until each has its verdict.
    pub(super) async fn send(&mut self, records: Vec<Record>) -> Result<(), Stopped> {
        self.waiting.extend(records);
        while !self.waiting.is_empty() || !self.under_way.is_empty() {
            // One look at the clock: what is not due for the one and is due for the other would be waited for without end.
            let now = now();
            if !self.is_connected && self.may_go(now) {
                self.connect().await?;
                continue;
            }
            self.start(now);
            let wake = self.wake(now);
            select! {
                () = self.signals.come() => return Err(Stopped::Interrupted),
                said = self.courier.next(), if !self.under_way.is_empty() => match said {
                    Ok(said) => self.take(said)?,
                    Err(why) => self.lost(why)?,
                },
                () = until(wake) => {}
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Stopped> {
        let connected = select! {
            () = self.signals.come() => return Err(Stopped::Interrupted),
            connected = self.courier.connect() => connected,
        };
        match connected {
            Ok(()) => {
                self.is_connected = true;
                Ok(())
            }
            Err(why) => self.lost(why),
        }
    }

    fn may_go(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    fn start(&mut self, now: Instant) {
        while self.is_connected
            && self.may_go(now)
            && self.under_way.len() < self.courier.in_flight()
            && self.pace.next() <= now
            && let Some(record) = self.pick()
        {
            self.courier.send(&record);
            self.pace.went(now);
            self.under_way.insert(record.position, record);
        }
    }

    /// The next one whose turn it is: of each key the oldest, and where the protocol keeps no order one at a time.
    fn pick(&mut self) -> Option<Record> {
        let is_out = |key: &str| {
            let mut out = self.under_way.values();
            out.any(|record| record.envelope.partition_key == key)
        };
        let one_per_key = self.courier.one_per_key();
        let may = |record: &Record| !one_per_key || !is_out(&record.envelope.partition_key);
        let at = self.waiting.iter().position(may)?;
        self.waiting.remove(at)
    }

    /// When something is to be done although nothing comes.
    fn wake(&self, now: Instant) -> Option<Instant> {
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Some(at);
        }
        let has_room = self.under_way.len() < self.courier.in_flight();
        let paced = self.pace.next() > now;
        (has_room && paced && !self.waiting.is_empty()).then(|| self.pace.next())
    }

    fn take(&mut self, said: Said) -> Result<(), Stopped> {
        let Some(record) = self.under_way.remove(&said.position) else {
            return Ok(());
        };
        match said.word {
            Word::Accepted => {
                self.sum.accepted += 1;
                self.failures = 0;
            }
            Word::Pending => {
                self.sum.pending += 1;
                self.failures = 0;
            }
            Word::Rejected(_) | Word::Refused | Word::Conflict => {
                self.sum.rejected += 1;
                self.failures = 0;
                if self.sum.told.len() < MAX_TOLD {
                    let told = (said.position, record.envelope.kind, said.reason);
                    self.sum.told.push(told);
                }
            }
            Word::Unanswered | Word::Unavailable => {
                self.put_back(record);
                return self.failed(&said);
            }
        }
        Ok(())
    }

    fn failed(&mut self, said: &Said) -> Result<(), Stopped> {
        let denied = matches!(said.status, Some(401 | 403)) || said.reason.contains("(0x87)");
        let asked = said.at_least;
        let hopeless = said.word == Word::Unavailable && asked.is_none();
        if hopeless || asked.is_some_and(|asked| asked > LONGEST_PAUSE) {
            return Err(Stopped::Fault(said.reason.clone(), denied));
        }
        self.wait(&said.reason, asked.unwrap_or_default())
    }

    /// Everything under way is undecided, and goes again on a new connection.
    fn lost(&mut self, why: String) -> Result<(), Stopped> {
        self.is_connected = false;
        for (_, record) in std::mem::take(&mut self.under_way) {
            self.put_back(record);
        }
        let denied = why.contains("check `user`");
        if denied {
            return Err(Stopped::Fault(why, denied));
        }
        self.wait(&why, Duration::ZERO)
    }

    fn wait(&mut self, why: &str, at_least: Duration) -> Result<(), Stopped> {
        if self.failures >= MAX_FAILURES {
            return Err(Stopped::Fault(why.to_owned(), false));
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures).max(at_least);
        self.failures += 1;
        let until = now() + wait;
        self.not_before = Some(self.not_before.map_or(until, |at| at.max(until)));
        Ok(())
    }

    fn put_back(&mut self, record: Record) {
        let later = |other: &Record| other.position < record.position;
        let at = self.waiting.partition_point(later);
        self.waiting.insert(at, record);
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
