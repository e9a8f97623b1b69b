//! Reads a copy of a generation record by record, in bounded memory, and goes on behind what cannot be read: for `verify`
//! and `export`, which want every record that there is and every one that there is not.

use super::Name;
use super::status::EventLabel;
use crate::buffer::Record;
use crate::buffer::engine::{EngineError, Medium, Purpose};
use crate::buffer::generation::{GONE, Generation, MAX_RECORD, predecessor, successor};
use crate::buffer::head::{self, Head};
use crate::buffer::record::{self, RecordError};
use crate::model::Position;
use std::ops::ControlFlow;
use std::path::Path;

/// Steps of one position behind what cannot be read; after them the steps double, so that the search has an end.
const SINGLE_STEPS: u64 = 256;

/// Why a generation, or a part of it, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// What is on the disk makes no sense.
    #[error("{0}")]
    Damaged(String),
    /// Another program's or another release's database.
    #[error("it was made with other settings ({0})")]
    Foreign(String),
    /// Written by a release that this one does not know.
    #[error("it was written by another release of Millgate (version {0} of its layout)")]
    OtherRelease(u8),
    /// The system refused.
    #[error("{0}")]
    Io(String),
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Trouble {
        match error {
            EngineError::Damaged { reason, .. } => Trouble::Damaged(reason),
            EngineError::Foreign { found, .. } => Trouble::Foreign(found),
            other => Trouble::Io(other.to_string()),
        }
    }
}

/// What a walk comes across, in order.
#[derive(Debug)]
pub enum Seen {
    /// A whole record.
    Record(Record),
    /// Records that were written and cannot be had.
    Lost {
        /// The first one.
        from: Position,
        /// The last one.
        to: Position,
        /// Why.
        reason: String,
    },
    /// A record of another release: whole, and not for this one to read.
    OtherRelease(Position, u8),
}

/// What a walk found, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The last position that was seen, or the one before the first.
    pub end: Position,
    /// It was ended by whom it was shown to.
    pub broken_off: bool,
    /// Pages could not be read, and not only records: a gateway would set the whole generation aside.
    pub pages_lost: bool,
    /// Whole records.
    pub records: u64,
}

/// An open copy.
#[derive(Debug)]
pub struct Opened {
    generation: Generation,
}

impl Opened {
    /// Opens a copy whose first record has that position.
    ///
    /// # Errors
    /// What does not fit.
    pub fn open(copy: &Path, first: Position) -> Result<Opened, Trouble> {
        let generation = Generation::open(&Medium::sled(), copy, first, Purpose::Read)?;
        Ok(Opened { generation })
    }

    /// The position of its last record; the one before its first where it has none.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn end(&self) -> Result<Position, Trouble> {
        let last = self.generation.last()?;
        Ok(last.unwrap_or_else(|| predecessor(self.generation.first())))
    }

    /// The last position that it ever had, as its own state says; `None` where that cannot be read.
    #[must_use]
    pub fn own_end(&self) -> Option<Position> {
        self.generation.own_end()
    }

    /// Why a gateway sets it aside although it opens, as an older generation of that name that ends with `last`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn emptied(&self, name: Name, last: Option<Position>) -> Result<Option<&str>, Trouble> {
        let had_records = last.is_some_and(|last| last >= name.first);
        Ok(self.generation.emptied(name.lean, had_records)?)
    }

    /// The head state: where numbering goes on, and the progress of each uplink.
    pub(super) fn head(&self) -> Result<Head, Trouble> {
        // To go on in it, a gateway needs all of it.
        if let Some(reason) = self.generation.harm() {
            return Err(Trouble::Damaged(reason));
        }
        let state = self.generation.state()?;
        if let Some(version) = state.as_deref().and_then(head::other_version) {
            return Err(Trouble::OtherRelease(version));
        }
        self.generation.head()?.map_err(Trouble::Damaged)
    }

    /// Shows every record after `after`, and what is missing up to `last`, where that is known, until `each` breaks.
    ///
    /// # Errors
    /// Nothing can be read at all for a reason that is no damage.
    pub fn walk(
        &self,
        after: Position,
        last: Option<Position>,
        each: &mut dyn FnMut(Seen) -> ControlFlow<()>,
    ) -> Result<Walked, Trouble> {
        let mut walk = Walk {
            expected: self.generation.first().max(successor(after)),
            last,
            generation: &self.generation,
            joined: None,
            why_not: None,
            stopped: false,
            records: 0,
            each,
        };
        let mut pages_lost = false;
        let mut steps: u64 = 0;
        let mut start = walk.expected;
        loop {
            let scanned = self
                .generation
                .pieces(start, &mut |position, value| walk.piece(position, value));
            walk.complete();
            match scanned {
                Ok(()) => break,
                Err(EngineError::Damaged { reason, .. }) => {
                    pages_lost = true;
                    walk.why_not = Some(reason);
                }
                Err(other) => return Err(other.into()),
            }
            let from = walk.expected.max(start);
            steps = if from > start { 0 } else { steps + 1 };
            let step = 1_u64 << steps.saturating_sub(SINGLE_STEPS).min(40);
            start = Position {
                seq: from.seq.saturating_add(step),
                ..from
            };
            if walk.stopped || last.is_some_and(|last| start > last) || step > 1 << 32 {
                break;
            }
        }
        if let Some(last) = last {
            walk.lack_until(successor(last));
        }
        Ok(Walked {
            end: predecessor(walk.expected),
            broken_off: walk.stopped,
            pages_lost,
            records: walk.records,
        })
    }

    /// The runs of positions up to `last` that were not taken out on purpose.
    pub(super) fn present(&self, last: Position) -> Vec<(Position, Position)> {
        let first = self.generation.first();
        match last < first {
            true => Vec::new(),
            false => self.generation.absent().without(first, last),
        }
    }

    /// The runs of positions that were taken out on purpose.
    pub(super) fn evicted(&self) -> Vec<(Position, Position)> {
        self.generation.absent().runs().collect()
    }

    /// The first record after `after` that can be read.
    #[must_use]
    pub fn first_after(&self, after: Position) -> Option<EventLabel> {
        let mut found = None;
        let mut look = |seen| match seen {
            Seen::Record(record) => {
                found = Some(EventLabel::of(&record));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        self.walk(after, None, &mut look).ok()?;
        found
    }
}

struct Walk<'a> {
    expected: Position,
    last: Option<Position>,
    generation: &'a Generation,
    joined: Option<(Position, Vec<u8>)>,
    /// Why the next missing ones are missing, where that is known.
    why_not: Option<String>,
    stopped: bool,
    records: u64,
    each: &'a mut dyn FnMut(Seen) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn piece(&mut self, position: Position, value: &[u8]) -> ControlFlow<()> {
        let known = self.last.is_none_or(|last| position <= last);
        if !known || position < self.expected || position.epoch != self.expected.epoch {
            return ControlFlow::Continue(());
        }
        match &mut self.joined {
            Some((at, bytes)) if *at == position => {
                if bytes.len() <= MAX_RECORD {
                    bytes.extend_from_slice(value);
                }
            }
            _ => {
                self.complete();
                self.joined = Some((position, value.to_vec()));
            }
        }
        match self.stopped {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn complete(&mut self) {
        let Some((position, bytes)) = self.joined.take() else {
            return;
        };
        self.lack_until(position);
        let lost = |reason| Seen::Lost {
            from: position,
            to: position,
            reason,
        };
        let seen = match record::decode(&bytes) {
            Ok(record) if record.position == position => {
                self.records += 1;
                Seen::Record(record)
            }
            Ok(record) => lost(format!("it claims to be {}", record.position)),
            Err(RecordError::Version(version)) => Seen::OtherRelease(position, version),
            Err(error) => lost(error.to_string()),
        };
        self.expected = successor(position);
        self.show(seen);
    }

    fn lack_until(&mut self, position: Position) {
        if self.expected.epoch != position.epoch || self.expected >= position {
            return;
        }
        let reason = self.why_not.take().or_else(|| self.generation.harm());
        let reason = reason.unwrap_or_else(|| GONE.into());
        // What was taken out on purpose is not lost.
        let absent = self.generation.absent();
        let missing = absent.without(self.expected, predecessor(position));
        self.expected = position;
        for (from, to) in missing {
            let reason = reason.clone();
            self.show(Seen::Lost { from, to, reason });
        }
    }

    fn show(&mut self, seen: Seen) {
        if !self.stopped {
            self.stopped = (self.each)(seen).is_break();
        }
    }
}
