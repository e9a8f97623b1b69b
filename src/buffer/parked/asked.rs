//! What is said between an uplink and its parked events: what is to be parked and why, what became of it, what is due.

use super::super::Record;
use super::entry::{Answered, Moment, Parked, ParkedState};
use crate::model::ParkClass;
use std::time::Duration;

/// An event that is to be parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPark {
    /// The event.
    pub record: Record,
    /// Why.
    pub class: ParkClass,
    /// Whether the destination refused it, or only never took it.
    pub state: ParkedState,
    /// How often it was sent.
    pub attempts: u32,
    /// How long ago it was sent first.
    pub since_first: Duration,
    /// The last answer.
    pub answered: Answered,
    /// How long to wait before it is tried again.
    pub wait: Duration,
}

/// What became of an event that was to be parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parking {
    /// It is parked, durably.
    Done,
    /// There are [`super::MAX_PARKED`] already.
    Full,
    /// The disk has no room for its file.
    NoRoom,
}

/// What became of another attempt with a parked event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The destination has it now.
    Delivered,
    /// It stays parked.
    Again {
        /// The answer, or why there was none.
        answered: Answered,
        /// The class of a verdict against it; `None` where there was no verdict.
        rejected: Option<ParkClass>,
        /// How long to wait before it is tried again.
        wait: Duration,
    },
}

/// The parked event whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueParked {
    /// This one.
    Event(Box<Parked>),
    /// None before that time has passed.
    After(Duration),
    /// There is none.
    Never,
}

impl ToPark {
    pub(super) fn into_parked(self, now: Moment) -> Parked {
        Parked {
            record: self.record,
            class: self.class,
            state: self.state,
            attempts: self.attempts,
            first_attempt: now.before(self.since_first),
            last_attempt: now,
            answers: vec![self.answered.cut()],
            audit: Vec::new(),
        }
    }
}
