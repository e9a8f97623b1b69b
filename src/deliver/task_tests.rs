//! The task on a protocol that is told what to say, in virtual time.

use super::*;
use crate::buffer::{DueParked, ParkedRequest, Parking, Request};
use crate::health::DestinationState;
use crate::model::{Class, Envelope, UplinkId};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant as TokioInstant;

/// What the protocol says to the n-th attempt of all, and whether it says anything.
type Script = Box<dyn FnMut(usize, u64) -> Option<Verdict> + Send>;

#[derive(Default)]
pub(super) struct Log {
    connects: Vec<TokioInstant>,
    pub(super) sent: Vec<(u64, TokioInstant)>,
    /// When each event was durable.
    pub(super) shown: Vec<TokioInstant>,
    /// What was put aside, and when.
    pub(super) parked: Vec<(u64, TokioInstant)>,
    asked: usize,
    /// What the destination's cell says at the end.
    destination: DestinationState,
}

struct Scripted {
    terms: Terms,
    script: Script,
    answers: VecDeque<Answer>,
    log: Arc<Mutex<Log>>,
}

impl Uplink for Scripted {
    async fn connect(&mut self) -> Result<Terms, Fault> {
        self.answers.clear();
        let mut log = self.log.lock().expect("no panic");
        log.connects.push(TokioInstant::now());
        Ok(self.terms)
    }

    fn send(&mut self, events: &[&Record]) {
        let [record] = events else {
            panic!("one at a time");
        };
        let mut log = self.log.lock().expect("no panic");
        log.sent.push((record.position.seq, TokioInstant::now()));
        let position = record.position;
        let verdict = (self.script)(log.sent.len(), position.seq);
        self.answers
            .extend(verdict.map(|verdict| Answer { position, verdict }));
    }

    async fn next(&mut self) -> Result<Answer, Fault> {
        self.log.lock().expect("no panic").asked += 1;
        match self.answers.pop_front() {
            Some(answer) => Ok(answer),
            None => std::future::pending().await,
        }
    }
}

fn record(seq: u64) -> Record {
    record_of(seq, "PRESS-04")
}

/// An event of that machine.
pub(super) fn record_of(seq: u64, machine: &str) -> Record {
    Record {
        position: Position { epoch: 1, seq },
        envelope: Envelope {
            id: uuid::Uuid::nil(),
            run: uuid::Uuid::nil(),
            kind: "operation.completed".into(),
            partition_key: machine.into(),
            equipment: Some(machine.into()),
            path: Vec::new(),
            time_ns: 0,
        },
        class: Class::Lasting,
        payload: bytes::Bytes::from_static(b"{}"),
    }
}

/// Runs until `events` are settled or `within` is over; what happened.
async fn run(
    events: u64,
    terms: Terms,
    within: Duration,
    script: impl FnMut(usize, u64) -> Option<Verdict> + Send + 'static,
) -> (Log, u64) {
    run_paced((events, Duration::ZERO, record), terms, within, script).await
}

/// The same with an event becoming durable each so often, and a say in what they are.
pub(super) async fn run_paced(
    (events, every, record): (u64, Duration, impl Fn(u64) -> Record + Send + 'static),
    terms: Terms,
    within: Duration,
    script: impl FnMut(usize, u64) -> Option<Verdict> + Send + 'static,
) -> (Log, u64) {
    let (sender, mut requests) = mpsc::channel(4);
    let at = |seq| Position { epoch: 1, seq };
    let (durable, seen) = watch::channel(at(if every.is_zero() { events } else { 0 }));
    let (settling, mut settled) = watch::channel(0);
    let log = Arc::new(Mutex::new(Log::default()));
    let (shown, parked, last) = (Arc::clone(&log), Arc::clone(&log), seen.clone());
    let pace = async move {
        for seq in 1..=events {
            if !every.is_zero() {
                tokio::time::sleep(every).await;
                durable.send_replace(at(seq));
            }
            shown
                .lock()
                .expect("no panic")
                .shown
                .push(TokioInstant::now());
        }
        // The buffer lives on.
        std::future::pending::<()>().await;
    };
    let paced = tokio::spawn(pace);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Read {
                    after,
                    reply,
                    max_events,
                    ..
                } => {
                    let last = last.borrow().seq;
                    let found = (after.seq + 1..=last).take(max_events).map(&record);
                    drop(reply.send(found.collect()));
                }
                Request::Parked(ParkedRequest::Due { reply, .. }) => {
                    drop(reply.send((DueParked::Never, Vec::new())));
                }
                Request::Parked(ParkedRequest::Park { event, reply, .. }) => {
                    let moment = (event.record.position.seq, TokioInstant::now());
                    parked.lock().expect("no panic").parked.push(moment);
                    drop(reply.send((Parking::Done, Vec::new())));
                }
                Request::Parked(ParkedRequest::Retried { .. }) | Request::Look(_) => {}
                Request::Settle { settled, .. } => drop(settling.send_replace(settled.up_to.seq)),
            }
        }
    });
    let timing = Timing::default();
    let outlet = Outlet::new(UplinkId(0), Position::default(), sender, seen);
    let stop = CancellationToken::new();
    let health: Arc<UplinkHealth> = Arc::default();
    let drain = Drain {
        window: Window::new(Position::default(), outlet.carried(), timing, 7),
        desk: Desk::default(),
        retries: Retries::new(now(), timing, 7),
        gate: Gate::new(timing.backoff(7)),
        report: Report::new("mes", "a script"),
        reading: None,
        outlet,
        filter: EventFilter::new(&["*".into()]),
        health: Arc::clone(&health),
        timing,
        stop: stop.clone(),
    };
    let mut uplink = Scripted {
        terms,
        script: Box::new(script),
        answers: VecDeque::new(),
        log: Arc::clone(&log),
    };
    let task = tokio::spawn(async move { drain.run(&mut uplink).await });
    drop(timeout(within, settled.wait_for(|seq| *seq >= events)).await);
    stop.cancel();
    task.await.expect("no panic");
    paced.abort();
    let settled = *settled.borrow();
    let mut log = std::mem::take(&mut *log.lock().expect("no panic"));
    let state = health.destination.other_than(&DestinationState::default());
    log.destination = state.unwrap_or_default();
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
    assert!(
        log.asked <= 10 * log.sent.len() + 100,
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
