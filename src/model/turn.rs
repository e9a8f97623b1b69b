//! What aggregation hands to the buffer: events together with the state that produced them, to be durable as one.

use super::{EpochReason, Event, Position};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Events and the changed parts of the checkpoint after them. One turn is never split over two commits.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// In order of their positions, without a gap.
    pub events: Vec<Event>,
    /// Entries that changed since the last turn.
    pub checkpoint: Vec<CheckpointEntry>,
}

impl Turn {
    /// True when there is nothing to make durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.checkpoint.is_empty()
    }
}

/// One named part of the aggregation's state. The bytes mean nothing to the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointEntry {
    /// Such as `PRESS-04/slot/1`; at most 200 bytes.
    pub key: String,
    /// The new bytes, or `None` when the entry is gone.
    pub value: Option<Vec<u8>>,
}

/// What a store says when it is opened: where numbering goes on, and the state to go on from.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The position of the next event.
    pub next: Position,
    /// 128 random bits drawn at this start; nil in replay.
    pub run: Uuid,
    /// Why numbering begins anew with this run, or did with an earlier one that could not tell it any more; `None` when it
    /// goes on.
    pub new_epoch: Option<EpochReason>,
    /// All checkpoint entries of the last commit.
    pub checkpoint: BTreeMap<String, Vec<u8>>,
}
