//! The task on a protocol that is told what to say, in virtual time.

use super::*;
use crate::buffer::{
    DueParked, Heads, Moment, Parked, ParkedRequest, ParkedState, Parking, Request, Retried,
};
use crate::deliver::uplink::{Answer, Trouble, Verdict};
use crate::deliver::window::Patience;
use crate::health::DestinationState;
use crate::model::{Class, Envelope, ParkClass, Position, UplinkId};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant as TokioInstant;

/// What the protocol says to the n-th attempt of all, with an event, and after how long.
type Script = Box<dyn FnMut(usize, u64) -> Vec<(Duration, Verdict)> + Send>;

#[derive(Default)]
pub(super) struct Log {
    pub(super) connects: Vec<TokioInstant>,
    pub(super) sent: Vec<(u64, TokioInstant)>,
    asked: usize,
    pub(super) parked: Vec<(u64, ParkClass)>,
    delivered: u64,
    /// What the destination's cell says at the end.
    destination: DestinationState,
}

struct Scripted {
    terms: Terms,
    script: Script,
    answers: Vec<(TokioInstant, Answer)>,
    /// How long a connection lives.
    lives: Duration,
    log: Arc<Mutex<Log>>,
}

impl Uplink for Scripted {
    async fn connect(&mut self) -> Result<Terms, Fault> {
        // A broker's word is lost with its connection, that of the MES comes over the next one.
        let from_broker = |(_, answer): &mut (_, Answer)| answer.verdict != Verdict::Taken;
        self.answers.retain_mut(from_broker);
        let mut log = self.log.lock().expect("no panic");
        log.connects.push(TokioInstant::now());
        Ok(self.terms)
    }

    fn send(&mut self, events: &[&Record]) {
        let [record] = events else {
            panic!("one at a time");
        };
        let mut log = self.log.lock().expect("no panic");
        let now = TokioInstant::now();
        log.sent.push((record.position.seq, now));
        let position = record.position;
        let said = (self.script)(log.sent.len(), position.seq);
        let answer = |verdict| Answer { position, verdict };
        self.answers.extend(
            said.into_iter()
                .map(|(after, verdict)| (now + after, answer(verdict))),
        );
    }

    async fn next(&mut self) -> Result<Answer, Fault> {
        let cut = {
            let mut log = self.log.lock().expect("no panic");
            log.asked += 1;
            *log.connects.last().expect("connected") + self.lives
        };
        let first = self
            .answers
            .iter()
            .enumerate()
            .min_by_key(|(_, (due, _))| *due);
        let (nth, due) = match first {
            Some((nth, (due, _))) if *due < cut => (nth, *due),
            _ => {
                tokio::time::sleep_until(cut).await;
                return Err(Fault("cut".into()));
            }
        };
        tokio::time::sleep_until(due).await;
        Ok(self.answers.remove(nth).1)
    }
}

/// Three machines in turn.
fn key_of(seq: u64) -> String {
    format!("PRESS-{}", seq % 3)
}

fn record(seq: u64) -> Record {
    Record {
        position: Position { epoch: 1, seq },
        envelope: Envelope {
            id: uuid::Uuid::nil(),
            run: uuid::Uuid::nil(),
            kind: "operation.completed".into(),
            partition_key: key_of(seq),
            equipment: Some(key_of(seq)),
            path: Vec::new(),
            time_ns: 0,
        },
        class: Class::Lasting,
        payload: bytes::Bytes::from_static(b"{}"),
    }
}

/// What is to be delivered, and how.
#[derive(Clone, Copy)]
pub(super) struct Case {
    events: u64,
    /// An event comes each time that has passed; all are there where it is zero.
    pub(super) every: Duration,
    pub(super) terms: Terms,
    within: Duration,
    /// How long a connection lives.
    lives: Duration,
    patience: Option<Patience>,
    per_second: Option<f64>,
    /// A rejected event holds the later ones of its key; somebody has it retried after that time.
    hold: Option<Duration>,
    /// Rejected in an earlier run.
    parked_before: &'static [u64],
}

impl Case {
    pub(super) fn of(events: u64, within: Duration) -> Case {
        Case {
            events,
            every: Duration::ZERO,
            terms: terms(),
            within,
            lives: 10_000 * 60 * MINUTE,
            patience: None,
            per_second: None,
            hold: None,
            parked_before: &[],
        }
    }
}

/// Runs until `events` are settled or `within` is over; what happened.
async fn run(
    events: u64,
    terms: Terms,
    within: Duration,
    mut script: impl FnMut(usize, u64) -> Option<Verdict> + Send + 'static,
) -> (Log, u64) {
    let case = Case {
        terms,
        ..Case::of(events, within)
    };
    play(case, move |attempt, seq| {
        let verdict = script(attempt, seq);
        verdict
            .into_iter()
            .map(|one| (Duration::ZERO, one))
            .collect()
    })
    .await
}

/// What is parked, in memory.
#[derive(Default)]
struct Aside(BTreeMap<u64, Parked>);

impl Aside {
    fn put(&mut self, record: Record, class: ParkClass, state: ParkedState, attempts: u32) {
        let parked = Parked {
            record,
            class,
            state,
            attempts,
            first_attempt: Moment::default(),
            last_attempt: Moment::default(),
            answers: Vec::new(),
            audit: Vec::new(),
        };
        self.0.insert(parked.record.position.seq, parked);
    }

    /// Of each key the oldest may go, a rejected one when somebody has it retried.
    fn heads(&self, retried: bool) -> Heads {
        let mut keys = BTreeMap::new();
        for parked in self.0.values() {
            let key = parked.record.envelope.partition_key.clone();
            keys.entry(key).or_insert(parked);
        }
        let may_go = |one: &&&Parked| retried || one.state == ParkedState::Retrying;
        let due = keys.values().find(may_go);
        Heads {
            due: due.map_or(DueParked::Never, |one| {
                DueParked::Event(Box::new((*one).clone()))
            }),
            groups: Vec::new(),
            keys: keys.into_keys().collect(),
        }
    }
}

/// The buffer: events that come in time, and what is settled and parked.
async fn buffer(
    case: Case,
    mut requests: mpsc::Receiver<Request>,
    durable: watch::Sender<Position>,
    settling: watch::Sender<u64>,
    log: Arc<Mutex<Log>>,
) {
    let begin = TokioInstant::now();
    let mut shown = 0;
    let mut aside = Aside::default();
    for seq in case.parked_before {
        aside.put(record(*seq), ParkClass::Business, ParkedState::Rejected, 1);
    }
    loop {
        let due = begin + case.every * u32::try_from(shown).expect("few");
        if shown < case.events && due <= TokioInstant::now() {
            shown += 1;
            durable.send_replace(Position {
                epoch: 1,
                seq: shown,
            });
            continue;
        }
        let request = tokio::select! {
            request = requests.recv() => request,
            () = tokio::time::sleep_until(due), if shown < case.events => continue,
        };
        let Some(request) = request else { return };
        match request {
            Request::Read {
                after,
                max_events,
                reply,
                ..
            } => {
                let records = (after.seq + 1..=shown).take(max_events).map(record);
                drop(reply.send(records.collect()));
            }
            Request::Parked(ParkedRequest::Due { reply, .. }) => {
                drop(reply.send((DueParked::Never, Vec::new())));
            }
            Request::Parked(ParkedRequest::Park { event, reply, .. }) => {
                let parked = (event.record.position.seq, event.class);
                log.lock().expect("no panic").parked.push(parked);
                aside.put(event.record, event.class, event.state, event.attempts);
                drop(reply.send((Parking::Done, Vec::new())));
            }
            Request::Parked(ParkedRequest::Heads { reply, .. }) => {
                let retried = case.hold.is_some_and(|after| begin.elapsed() >= after);
                drop(reply.send(aside.heads(retried)));
            }
            Request::Parked(ParkedRequest::Retried {
                position, retried, ..
            }) => {
                if *retried == Retried::Delivered {
                    aside.0.remove(&position.seq);
                }
            }
            Request::Settle { settled, .. } => drop(settling.send_replace(settled.up_to.seq)),
            Request::Look(_) | Request::Parked(ParkedRequest::Change { .. }) => {}
        }
    }
}

/// Runs until all events are settled or the time is over; what happened.
pub(super) async fn play(
    case: Case,
    script: impl FnMut(usize, u64) -> Vec<(Duration, Verdict)> + Send + 'static,
) -> (Log, u64) {
    let (sender, requests) = mpsc::channel(4);
    let (durable, seen) = watch::channel(Position::default());
    let (settling, mut settled) = watch::channel(0);
    let log = Arc::new(Mutex::new(Log::default()));
    tokio::spawn(buffer(case, requests, durable, settling, Arc::clone(&log)));
    let timing = Timing::default();
    let outlet = Outlet::new(UplinkId(0), Position::default(), sender, seen);
    let stop = CancellationToken::new();
    let health: Arc<UplinkHealth> = Arc::default();
    let drain = Drain {
        window: Window::new(Position::default(), outlet.carried(), timing, 7),
        desk: Desk::default(),
        noting: super::super::noting::Noting::default(),
        retries: Retries::new(now(), timing, 7),
        gate: Gate::new(timing.backoff(7)),
        report: Report::new("mes", "a script", false),
        answering: case
            .patience
            .map(|patience| Answering::new(patience, "ack".into())),
        holding: case.hold.map(|_| Holding::default()),
        pace: case.per_second.map(|rate| Pace::new(rate, now())),
        live_went_last: false,
        connected_at: now(),
        reading: None,
        outlet,
        filter: EventFilter::new(&["*".into()]),
        health: Arc::clone(&health),
        timing,
        stop: stop.clone(),
    };
    let mut uplink = Scripted {
        terms: case.terms,
        script: Box::new(script),
        answers: Vec::new(),
        lives: case.lives,
        log: Arc::clone(&log),
    };
    let task = tokio::spawn(async move { drain.run(&mut uplink).await });
    drop(timeout(case.within, settled.wait_for(|seq| *seq >= case.events)).await);
    stop.cancel();
    task.await.expect("no panic");
    let settled = *settled.borrow();
    let mut log = std::mem::take(&mut *log.lock().expect("no panic"));
    let state = health.destination.other_than(&DestinationState::default());
    log.destination = state.unwrap_or_default();
    log.delivered = health.delivered.get();
    (log, settled)
}

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn terms() -> Terms {
    Terms {
        connected: true,
        in_flight: 8,
        batch: 1,
        one_per_key: false,
        verdict_within: Some(Duration::from_secs(30)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_verdicts_is_given_up_after_exactly_its_time() {
    let (log, settled) = run(3, terms(), 10 * MINUTE, |attempt, _| {
        (attempt > 3).then_some(Verdict::Accepted)
    })
    .await;
    assert_eq!(settled, 3);
    assert_eq!(log.connects.len(), 2);
    let silence = log.connects[1].duration_since(log.sent[0].1);
    let limit = Duration::from_secs(30);
    // The first wait of the back-off is at most a second.
    assert!(
        silence >= limit && silence <= limit + Duration::from_millis(1_100),
        "{silence:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_with_postponed_events_behind_it_costs_nothing() {
    let trouble = || Trouble::new("scripted");
    let (log, settled) = run(40, terms(), 30 * MINUTE, move |_, seq| {
        Some(match seq {
            1 => Verdict::Unavailable(Trouble {
                at_least: Some(5 * MINUTE),
                ..trouble()
            }),
            _ => Verdict::Refused(trouble()),
        })
    })
    .await;
    assert_eq!(settled, 0);
    // Half an hour of pauses of five minutes, in which other events have long been due again.
    assert!(
        (4..=60).contains(&log.sent.len()),
        "{} attempts",
        log.sent.len()
    );
    // Parked events are asked for every 10 s.
    assert!(
        log.asked <= 10 * log.sent.len() + 100 + 2 * 180,
        "{} turns",
        log.asked
    );
    assert_eq!(log.connects.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_tried_less_and_less_often_and_others_pass() {
    let (log, settled) = run(20, terms(), 60 * MINUTE, |_, seq| {
        Some(match seq {
            5 => Verdict::Refused(Trouble::new("scripted")),
            _ => Verdict::Accepted,
        })
    })
    .await;
    assert_eq!(settled, 4);
    let of_five: Vec<_> = log.sent.iter().filter(|(seq, _)| *seq == 5).collect();
    // Waits of 15 s on average once they are grown: an hour has about 240.
    assert!(
        (120..=480).contains(&of_five.len()),
        "{} attempts",
        of_five.len()
    );
    assert_eq!(log.sent.len(), of_five.len() + 19);
}

#[tokio::test(start_paused = true)]
async fn everything_is_sent_at_once_where_nothing_stands_against_it() {
    let (log, settled) = run(500, terms(), MINUTE, |_, _| Some(Verdict::Accepted)).await;
    assert_eq!((settled, log.sent.len()), (500, 500));
    assert!(log.sent.iter().map(|(seq, _)| *seq).is_sorted());
    let (first, last) = (log.sent[0].1, log.sent[499].1);
    assert_eq!(last.duration_since(first), Duration::ZERO, "no waits");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_one_pause_however_often_it_is_tried_and_a_verdict_ends_it() {
    let trouble = || Trouble::new("401 Unauthorized");
    let back = [Verdict::Accepted, Verdict::Refused(trouble())];
    for (first, paused) in back
        .map(|verdict| (Some(verdict), false))
        .into_iter()
        .chain([(None, true)])
    {
        let mut first = first;
        let (log, _) = run(1, terms(), 2 * MINUTE, move |attempt, _| {
            Some(match attempt {
                1..=4 => Verdict::Unavailable(trouble()),
                _ => first.take().unwrap_or(Verdict::Unanswered(trouble())),
            })
        })
        .await;
        assert!(log.sent.len() > 4, "{} attempts", log.sent.len());
        assert_eq!(log.destination.pauses, 1);
        assert_eq!(log.destination.paused.is_some(), paused);
    }
}

#[path = "hold_tests.rs"]
mod hold;
#[path = "mes_tests.rs"]
mod mes;
