//! The buffer of the task's tests: events that come in time, in memory.

use super::*;
use crate::buffer::{DueParked, Heads, Moment, Parked, ParkedRequest, Parking, Request, Retried};
use std::collections::BTreeMap;

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
pub(super) async fn buffer(
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
        aside.put(
            case.record(*seq),
            ParkClass::Business,
            ParkedState::Rejected,
            1,
        );
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
                let records = (after.seq + 1..=shown)
                    .take(max_events)
                    .map(|seq| case.record(seq));
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
            Request::Settle { settled, .. } => {
                let note = (TokioInstant::now(), settled.fates.len());
                log.lock().expect("no panic").notes.push(note);
                settling.send_replace(settled.up_to.seq);
            }
            Request::Look(_) | Request::Parked(ParkedRequest::Change { .. }) => {}
        }
    }
}
