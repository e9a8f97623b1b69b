//! The instant that is being worked on, and the one way to tell an event of it. Pure.

use crate::aggregate::condition::{Condition, Evaluator, Known, Scope};
use crate::aggregate::explain::Notes;
use crate::format::event_id;
use crate::health::AggregateHealth;
use crate::model::{Body, Position, Scope as About, Stamp, UtcTime};
use std::cell::RefCell;
use uuid::Uuid;

/// What an event says, before it is numbered.
#[derive(Debug)]
pub(in crate::aggregate) struct Draft {
    pub(in crate::aggregate) about: About,
    pub(in crate::aggregate) time: UtcTime,
    pub(in crate::aggregate) correlation: Option<Uuid>,
    /// The event that this one answers or replaces.
    pub(in crate::aggregate) causation: Option<Uuid>,
    pub(in crate::aggregate) body: Body,
}

/// What is needed to name operations, stops and events.
#[derive(Clone, Debug)]
pub(in crate::aggregate) struct Naming {
    pub(in crate::aggregate) gateway: String,
    /// CloudEvents `source` of the gateway.
    pub(in crate::aggregate) source: String,
    pub(in crate::aggregate) run: Uuid,
    pub(in crate::aggregate) epoch: u32,
}

/// The instant that is being worked on, and where what comes of it goes.
pub(in crate::aggregate) struct Moment<'a> {
    pub(in crate::aggregate) now: Stamp,
    pub(in crate::aggregate) evaluator: &'a Evaluator,
    pub(in crate::aggregate) naming: &'a Naming,
    pub(in crate::aggregate) health: &'a AggregateHealth,
    /// Number of the first event of `out`.
    pub(in crate::aggregate) first_seq: u64,
    pub(in crate::aggregate) out: &'a mut Vec<Draft>,
    /// Who asks why (`replay --explain`).
    pub(in crate::aggregate) notes: Option<&'a RefCell<Notes>>,
}

/// What an event is about, when, and what it belongs to.
#[derive(Debug)]
pub(in crate::aggregate) struct Heading {
    pub(in crate::aggregate) about: About,
    pub(in crate::aggregate) time: UtcTime,
    pub(in crate::aggregate) correlation: Option<Uuid>,
    pub(in crate::aggregate) causation: Option<Uuid>,
}

impl Heading {
    /// About the machine itself.
    pub(in crate::aggregate) fn machine(name: &str, time: UtcTime) -> Heading {
        Heading {
            about: About::Equipment {
                id: name.to_owned(),
                slot: None,
            },
            time,
            correlation: None,
            causation: None,
        }
    }

    /// About an operation in a slot of the machine.
    pub(in crate::aggregate) fn operation(
        machine: &str,
        slot: &str,
        time: UtcTime,
        id: Option<Uuid>,
    ) -> Heading {
        Heading {
            about: About::Equipment {
                id: machine.to_owned(),
                slot: Some(slot.to_owned()),
            },
            time,
            correlation: id,
            causation: None,
        }
    }
}

impl Moment<'_> {
    /// Tells an event; gives its id, which later events may refer to.
    pub(in crate::aggregate) fn tell(&mut self, heading: Heading, body: Body) -> Uuid {
        let position = Position {
            epoch: self.naming.epoch,
            seq: self.first_seq.saturating_add(self.out.len() as u64),
        };
        if let (Some(notes), About::Equipment { id, .. }) = (self.notes, &heading.about) {
            notes.borrow_mut().told(position.seq, id, &body);
        }
        self.out.push(Draft {
            about: heading.about,
            time: heading.time,
            correlation: heading.correlation,
            causation: heading.causation,
            body,
        });
        event_id(&self.naming.source, self.naming.run, position)
    }

    pub(super) fn evaluate(&self, condition: &Condition, scope: &Scope) -> Known {
        let mut failed = 0;
        let known = self.evaluator.evaluate(condition, scope, &mut failed);
        self.health.condition_errors.add(failed);
        known
    }

    pub(super) fn at(&mut self, now: Stamp) -> Moment<'_> {
        Moment {
            now,
            evaluator: self.evaluator,
            naming: self.naming,
            health: self.health,
            first_seq: self.first_seq,
            out: self.out,
            notes: self.notes,
        }
    }
}
