//! One sending of events on its way: as a batch, one after the other, or one that asks again for a verdict that was pending.
//!
//! Each step is one request. Whatever it brings, each event of the sending gets exactly one verdict.

use super::super::uplink::{Answer, Doubt, Verdict};
use super::answer::verdict;
use super::batch::{Judged, ids_of, judged, shared};
use super::exchange::{Came, Wire};
use super::job::located;
use super::plan::Plan;
use crate::buffer::Record;
use crate::model::{ParkClass, Position};
use reqwest::{StatusCode, Url};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Most places of pending verdicts that are remembered. An event whose place is forgotten is sent again, with the same key.
const MAX_PLACES: usize = 1_024;

/// After so many answers in a row that may blame the destination, the others of a sending are not asked for.
const MOST_DOUBTS: usize = 2;

/// Where the verdict on an event will be.
#[derive(Clone)]
struct Place {
    url: Url,
    /// Other events went there in the same request.
    among_others: bool,
}

/// Where the verdicts of events will be that the server has and has not decided on.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<Position, Place>>>);

impl Places {
    fn get(&self, position: Position) -> Option<Place> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(&position).cloned()
    }

    fn put(&self, position: Position, place: &Place) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_PLACES && !places.contains_key(&position) {
            places.pop_first();
        }
        places.insert(position, place.clone());
    }

    fn forget(&self, position: Position) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(&position);
    }
}

/// Events that are to get their verdicts, in order.
pub(super) struct Sending {
    pub(super) records: VecDeque<Record>,
    /// So many of the first ones go alone: as a batch they were refused.
    pub(super) singly: usize,
    /// So many requests in a row brought answers that may blame the destination.
    pub(super) doubts: usize,
}

impl Sending {
    /// Of these events.
    pub(super) fn of(records: VecDeque<Record>) -> Sending {
        Sending {
            records,
            singly: 0,
            doubts: 0,
        }
    }
}

/// What one step brought.
pub(super) struct Step {
    /// Verdicts.
    pub(super) answers: Vec<Answer>,
    /// Events that are still to be sent.
    pub(super) rest: Sending,
}

impl Sending {
    /// Sends the next request and takes its answer.
    pub(super) async fn step(mut self, wire: Wire, plan: Arc<Plan>, places: Places) -> Step {
        let count = self.next_count(&plan, &places);
        let now: Vec<Record> = self
            .records
            .drain(..count.min(self.records.len()))
            .collect();
        self.singly = self.singly.saturating_sub(now.len());
        let judged = verdicts(&wire, &plan, &places, &now).await;
        if let (Together::Verdicts(verdicts), Some(glimpses)) = (&judged, &wire.glimpses)
            && !verdicts.contains(&Verdict::Accepted)
        {
            glimpses.is_no_acceptance();
        }
        let Together::Verdicts(verdicts) = judged else {
            if judged == Together::Singly {
                self.singly += now.len();
            }
            now.into_iter()
                .rev()
                .for_each(|record| self.records.push_front(record));
            return Step {
                answers: Vec::new(),
                rest: self,
            };
        };
        let answer = |(record, verdict): (&Record, Verdict)| Answer {
            position: record.position,
            verdict,
        };
        let mut answers: Vec<Answer> = now.iter().zip(verdicts).map(answer).collect();
        if let Some(verdict) = self.for_the_rest(&answers) {
            let others = self.records.drain(..);
            answers.extend(others.map(|record| Answer {
                position: record.position,
                verdict: verdict.clone(),
            }));
        }
        Step {
            answers,
            rest: self,
        }
    }

    /// What the answers to one request mean for those that are still to be asked for: a destination that takes nothing is
    /// not asked for each of them. One that may be away is asked once more.
    fn for_the_rest(&mut self, answers: &[Answer]) -> Option<Verdict> {
        let mut in_doubt = None;
        for answer in answers {
            match &answer.verdict {
                Verdict::Unavailable(trouble) => {
                    return Some(Verdict::Unavailable(trouble.clone()));
                }
                Verdict::InDoubt(_, trouble) | Verdict::Broken(trouble) => {
                    in_doubt = Some(trouble);
                }
                _ => {}
            }
        }
        self.doubts = in_doubt.map_or(0, |_| self.doubts + 1);
        let trouble = in_doubt.filter(|_| self.doubts >= MOST_DOUBTS)?;
        Some(Verdict::Undivided(trouble.clone()))
    }

    /// How many events the next request has.
    fn next_count(&self, plan: &Plan, places: &Places) -> usize {
        let first = self.records.front().map(|record| record.position);
        if self.singly > 0 || first.is_some_and(|first| places.get(first).is_some()) {
            return 1;
        }
        let fresh = |record: &&Record| places.get(record.position).is_none();
        plan.together(self.records.iter().take_while(fresh))
    }
}

/// What became of the events of one request.
#[derive(PartialEq, Eq)]
enum Together {
    /// Each has its verdict.
    Verdicts(Vec<Verdict>),
    /// Each is to go alone.
    Singly,
    /// They are too many for one request.
    Fewer,
}

/// The verdicts of one request.
async fn verdicts(wire: &Wire, plan: &Plan, places: &Places, records: &[Record]) -> Together {
    let known = records.first().and_then(|first| places.get(first.position));
    let ids = ids_of(records);
    let among_others = known.as_ref().is_some_and(|place| place.among_others);
    let came = match known {
        Some(place) => wire.look(place.url, true, &ids).await,
        None => match plan.outgoing(records) {
            Ok(outgoing) => wire.ask(outgoing, &ids).await,
            Err(trouble) => Came::Nothing(Verdict::Rejected(ParkClass::Schema, trouble)),
        },
    };
    let all =
        |verdict: &Verdict| Together::Verdicts(records.iter().map(|_| verdict.clone()).collect());
    match came {
        Came::Reply(reply) if plan.is_batch(records) => {
            let is_too_large = reply.status == StatusCode::PAYLOAD_TOO_LARGE
                && wire.reading.rules.verdict(&reply).is_none();
            if is_too_large {
                plan.learnt().too_large(records.len());
            } else if reply.status.is_success() {
                plan.learnt().fits(records.len());
            }
            match together(judged(&reply, &wire.reading, records), records) {
                Together::Singly if is_too_large => Together::Fewer,
                other => other,
            }
        }
        Came::Reply(reply) => {
            let of = |record: &Record| verdict(&reply, &wire.reading, record.envelope.id);
            Together::Verdicts(records.iter().map(of).collect())
        }
        Came::Located(reply) => {
            let judged = located(&reply, &wire.reading, &ids, among_others);
            // A server that lets nobody in still has the events, and the verdicts there.
            if !matches!(judged, Judged::All(Verdict::Unavailable(_))) {
                let forget = |record: &Record| places.forget(record.position);
                records.iter().for_each(forget);
            }
            together(judged, records)
        }
        Came::Gone(trouble) => {
            records
                .iter()
                .for_each(|record| places.forget(record.position));
            all(&Verdict::Unanswered(trouble))
        }
        Came::Pending(url, trouble) => {
            let place = Place {
                url,
                among_others: among_others || records.len() > 1,
            };
            records
                .iter()
                .for_each(|record| places.put(record.position, &place));
            all(&Verdict::Pending(trouble))
        }
        Came::Nothing(Verdict::Unavailable(trouble)) if plan.has_several_hosts => {
            all(&Verdict::InDoubt(Doubt::Way, trouble))
        }
        Came::Nothing(verdict) => all(&shared(verdict, records.len())),
    }
}

fn together(judged: Judged, records: &[Record]) -> Together {
    match judged {
        Judged::Each(verdicts) => Together::Verdicts(verdicts),
        Judged::All(verdict) => {
            Together::Verdicts(records.iter().map(|_| verdict.clone()).collect())
        }
        Judged::Singly => Together::Singly,
    }
}
