//! The task on a protocol that is told what to say, in virtual time.

use super::*;
use crate::buffer::ParkedState;
use crate::deliver::uplink::{Answer, Doubt, Trouble, Verdict};
use crate::deliver::window::Patience;
use crate::health::DestinationState;
use crate::model::{Class, Envelope, ParkClass, Position, UplinkId};
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
    /// When something was sent, one event or several.
    pub(super) requests: Vec<TokioInstant>,
    asked: usize,
    /// When the buffer was told of verdicts, and of how many.
    pub(super) notes: Vec<(TokioInstant, usize)>,
    pub(super) parked: Vec<(u64, ParkClass)>,
    pub(super) delivered: u64,
    /// What the destination's cell says at the end.
    pub(super) destination: DestinationState,
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
        let mut log = self.log.lock().expect("no panic");
        let now = TokioInstant::now();
        log.requests.push(now);
        let mut said = Vec::new();
        for record in events {
            log.sent.push((record.position.seq, now));
            said.push((self.script)(log.sent.len(), record.position.seq));
        }
        if events.len() > 1 {
            said = as_batch(said);
        }
        for (record, said) in events.iter().zip(said) {
            let position = record.position;
            let answer = |verdict| Answer { position, verdict };
            let due = |(after, verdict)| (now + after, answer(verdict));
            self.answers.extend(said.into_iter().map(due));
        }
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

type Said = Vec<(Duration, Verdict)>;

/// What an HTTP server says of a batch: one event that it does not take makes the whole request fail.
fn as_batch(said: Vec<Said>) -> Vec<Said> {
    let is_refused = |(_, verdict): &&(Duration, Verdict)| *verdict != Verdict::Accepted;
    let Some((after, verdict)) = said.iter().flatten().find(is_refused).cloned() else {
        return said;
    };
    let whole = match verdict {
        Verdict::Unanswered(trouble) => Verdict::Undivided(trouble),
        Verdict::InDoubt(..) | Verdict::Unavailable(_) => verdict,
        // Its events go one by one inside of the sending.
        _ => return said,
    };
    said.iter().map(|_| vec![(after, whole.clone())]).collect()
}

/// What is to be delivered, and how.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) events: u64,
    /// They are of so many machines, and of so many kinds, in turn.
    pub(super) machines: u64,
    pub(super) kinds: u64,
    /// An event comes each time that has passed; all are there where it is zero.
    pub(super) every: Duration,
    pub(super) terms: Terms,
    pub(super) within: Duration,
    /// How long a connection lives.
    pub(super) lives: Duration,
    pub(super) patience: Option<Patience>,
    pub(super) per_second: Option<f64>,
    /// A rejected event holds the later ones of its key; somebody has it retried after that time.
    pub(super) hold: Option<Duration>,
    /// Rejected in an earlier run.
    pub(super) parked_before: &'static [u64],
}

impl Case {
    pub(super) fn of(events: u64, within: Duration) -> Case {
        Case {
            events,
            machines: 3,
            kinds: 1,
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

    fn record(&self, seq: u64) -> Record {
        let key = format!("PRESS-{}", seq % self.machines);
        let kinds = ["operation.completed", "operation.started"];
        let kind = kinds[usize::try_from(seq % self.kinds).expect("few")];
        Record {
            position: Position { epoch: 1, seq },
            envelope: Envelope {
                id: uuid::Uuid::nil(),
                run: uuid::Uuid::nil(),
                kind: kind.into(),
                partition_key: key.clone(),
                equipment: Some(key),
                path: Vec::new(),
                time_ns: 0,
            },
            class: Class::Lasting,
            payload: bytes::Bytes::from_static(b"{}"),
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

/// Runs until all events are settled or the time is over; what happened.
pub(super) async fn play(
    case: Case,
    script: impl FnMut(usize, u64) -> Vec<(Duration, Verdict)> + Send + 'static,
) -> (Log, u64) {
    let (sender, requests) = mpsc::channel(4);
    let (durable, seen) = watch::channel(Position::default());
    let (settling, mut settled) = watch::channel(0);
    let log = Arc::new(Mutex::new(Log::default()));
    tokio::spawn(events::buffer(
        case,
        requests,
        durable,
        settling,
        Arc::clone(&log),
    ));
    let timing = Timing::default();
    let outlet = Outlet::new(UplinkId(0), Position::default(), sender, seen);
    let stop = CancellationToken::new();
    let health: Arc<UplinkHealth> = Arc::default();
    let drain = Drain {
        window: {
            let window = Window::new(Position::default(), outlet.carried(), timing, 7);
            if case.hold.is_some() {
                window.strict()
            } else {
                window
            }
        },
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

#[path = "buffer_tests.rs"]
mod events;
#[path = "hold_tests.rs"]
mod hold;
#[path = "mes_tests.rs"]
mod mes;
