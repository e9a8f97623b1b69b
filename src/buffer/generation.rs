//! One generation: a database with a run of records and the head state of its last commit.

use super::Record;
use super::absent::Absent;
use super::engine::{Batch, Closed, Engine, EngineError, Medium, Purpose};
use super::head::Head;
use super::keys;
use super::record::{self, MAX_ENVELOPE, MAX_PAYLOAD};
use crate::model::Position;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// Joined pieces past this are no record.
pub(super) const MAX_RECORD: usize = MAX_PAYLOAD + MAX_ENVELOPE + 1024;

/// Why records are missing, where nothing tells.
pub(super) const GONE: &str = "not in the store any more";

/// The same, of what came behind the end of the generation that was read.
pub const BEHIND: &str = "the part of the store that had them is not there";

/// How much one reading may bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Records; at least one.
    pub(super) events: usize,
    /// Payload bytes past the first record.
    pub(super) bytes: usize,
}

/// Records that were written and cannot be had any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The first one.
    pub from: Position,
    /// The last one, of the same epoch.
    pub to: Position,
    /// Why.
    pub reason: String,
}

impl Loss {
    /// How many records.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.to.seq + 1).saturating_sub(self.from.seq)
    }
}

/// What a reading found.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) records: Vec<Record>,
    pub(super) losses: Vec<Loss>,
    /// The limits ended it, not the generation.
    pub(super) limited: bool,
}

/// An open generation.
#[derive(Debug)]
pub(super) struct Generation {
    engine: Box<dyn Engine>,
    first: Position,
    /// What was taken out of it on purpose.
    absent: Absent,
    /// Bytes of values that were committed since it was opened.
    put_bytes: u64,
}

impl Generation {
    /// Opens or creates the generation in `path` whose first record has, or will have, the position `first`.
    pub(super) fn open(
        medium: &Medium,
        path: &Path,
        first: Position,
        purpose: Purpose,
    ) -> Result<Generation, EngineError> {
        let engine = medium.open(path, purpose)?;
        let absent = absent(engine.as_ref(), path, first)?;
        let generation = Generation {
            engine,
            first,
            absent,
            put_bytes: 0,
        };
        if purpose == Purpose::Read
            && let Some(reason) = generation.misnamed()?
        {
            let path = path.to_owned();
            return Err(EngineError::Damaged { path, reason });
        }
        Ok(generation)
    }

    /// Stands for the generation that begins with `first` until there is one: everything that is asked of it fails.
    pub(super) fn closed(root: &Path, first: Position) -> Generation {
        Generation {
            engine: Box::new(Closed(root.to_owned())),
            first,
            absent: Absent::of(first.epoch),
            put_bytes: 0,
        }
    }

    /// What was taken out of it on purpose.
    pub(super) fn absent(&self) -> &Absent {
        &self.absent
    }

    /// Why nothing can be had of it, though it opens: one that was rewritten (`lean`) says what was taken out of it, and one
    /// that had records has some.
    pub(super) fn emptied(
        &self,
        lean: bool,
        had_records: bool,
    ) -> Result<Option<&'static str>, EngineError> {
        Ok(match (lean, had_records) {
            (true, _) if self.absent.is_empty() => {
                Some("it does not say which events were taken out of it")
            }
            // One that says that it never had any lost them in another way, which is counted already.
            (false, true) if self.last()?.is_none() && self.head()?.is_err() => {
                Some("all of its records are gone")
            }
            _ => None,
        })
    }

    /// The keys and values of its head state and checkpoint, as they are.
    pub(super) fn entries(&self) -> Result<Batch, EngineError> {
        let mut state = Batch::new();
        for prefix in [keys::HEAD, keys::CHECKPOINT] {
            self.engine.scan(prefix, prefix, &mut |key, value| {
                state.push((key.to_vec(), Some(value.to_vec())));
                ControlFlow::Continue(())
            })?;
        }
        Ok(state)
    }

    /// The position of its first record.
    pub(super) fn first(&self) -> Position {
        self.first
    }

    /// Makes a batch durable. After an error nothing more can be committed here.
    pub(super) fn commit(&mut self, batch: Batch) -> Result<(), EngineError> {
        let values = batch.iter().filter_map(|(_, value)| value.as_ref());
        self.put_bytes += values.map(|value| value.len() as u64).sum::<u64>();
        self.engine.put(batch)?;
        self.engine.sync()
    }

    /// Bytes that were committed since it was opened, also those of states that later ones replaced.
    pub(super) fn put_bytes(&self) -> u64 {
        self.put_bytes
    }

    /// Takes room for a commit of so many bytes. A refusal has changed nothing.
    pub(super) fn prepare(&mut self, bytes: u64) -> Result<(), EngineError> {
        self.engine.prepare(bytes)
    }

    /// The head state and checkpoint, checked against one another and against the last record. The inner error says what
    /// does not fit.
    pub(super) fn head(&self) -> Result<Result<Head, String>, EngineError> {
        let state = self.state()?;
        let mut entries = BTreeMap::<String, Vec<u8>>::new();
        let mut foreign = false;
        self.engine
            .scan(keys::CHECKPOINT, keys::CHECKPOINT, &mut |key, value| {
                match keys::checkpoint_name(key) {
                    Some(name) => entries.entry(name.to_owned()).or_default().extend(value),
                    None => foreign = true,
                }
                ControlFlow::Continue(())
            })?;
        if foreign {
            return Ok(Err("it has keys that nobody wrote".into()));
        }
        let last = self.last()?;
        if let Some(reason) = self.misnamed()? {
            return Ok(Err(reason));
        }
        Ok(
            Head::read(state.as_deref(), entries).and_then(|head| match last {
                Some(last) if successor(last) != head.next => Err(format!(
                    "it ends with {last} and says {} is next",
                    head.next
                )),
                None if self.first != head.next => Err("its records are gone".into()),
                _ => Ok(head),
            }),
        )
    }

    /// The head state as it is written, without the checkpoint.
    pub(super) fn state(&self) -> Result<Option<Vec<u8>>, EngineError> {
        let mut state: Option<Vec<u8>> = None;
        self.engine.scan(keys::HEAD, keys::HEAD, &mut |_, value| {
            state.get_or_insert_default().extend_from_slice(value);
            ControlFlow::Continue(())
        })?;
        Ok(state)
    }

    /// Shows the pieces of all records from `start` on, in order, until `each` breaks.
    pub(super) fn pieces(
        &self,
        start: Position,
        each: &mut dyn FnMut(Position, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let from = keys::record(start);
        self.engine.scan(
            keys::RECORD,
            &from,
            &mut |key, value| match keys::position(key) {
                Some(position) => each(position, value),
                None => ControlFlow::Continue(()),
            },
        )
    }

    /// What of it could not be read by now and was left out, in words.
    pub(super) fn harm(&self) -> Option<String> {
        self.engine.harm()
    }

    /// What is wrong where its directory has the name of another one.
    fn misnamed(&self) -> Result<Option<String>, EngineError> {
        let mut first = None;
        let records = keys::RECORD;
        self.engine.scan(records, records, &mut |key, _| {
            first = keys::position(key);
            ControlFlow::Break(())
        })?;
        let outside = |first: &Position| first.epoch != self.first.epoch || *first < self.first;
        let first = first.filter(outside);
        Ok(first.map(|first| format!("it has {first}, which its name leaves out")))
    }

    /// The position of its last record, also of one that was taken out.
    pub(super) fn last(&self) -> Result<Option<Position>, EngineError> {
        let key = self.engine.last(keys::RECORD)?;
        let last = key.and_then(|key| keys::position(&key));
        Ok(last.max(self.absent.last()))
    }

    /// Reads records after `after`. `last` is where the generation is known to end: what should come before and does not is
    /// a loss.
    pub(super) fn read(
        &self,
        after: Position,
        last: Position,
        limits: Limits,
    ) -> Result<Reading, EngineError> {
        let start = self.first.max(successor(after));
        let mut collector = Collector {
            expected: start,
            limits,
            bytes: 0,
            joined: None,
            reading: Reading::default(),
        };
        self.engine.scan(
            keys::RECORD,
            &keys::record(start),
            &mut |key, value| match keys::position(key) {
                Some(position) if position <= last => collector.piece(position, value),
                _ => ControlFlow::Continue(()),
            },
        )?;
        let mut reading = collector.finish(last);
        self.split_end(&mut reading.losses, last);
        if let Some(harm) = self.harm() {
            for loss in &mut reading.losses {
                if loss.reason == GONE {
                    loss.reason.clone_from(&harm);
                }
            }
        }
        if !self.absent.is_empty() {
            reading.losses = self.not_absent(reading.losses);
        }
        Ok(reading)
    }

    /// Of what is missing up to `last`, what this generation had is told apart from what came behind it.
    fn split_end(&self, losses: &mut Vec<Loss>, last: Position) {
        let Some(loss) = losses.last_mut().filter(|loss| loss.to == last) else {
            return;
        };
        let own = self.own_end();
        if let Some(own) = own.filter(|own| loss.from <= *own && *own < loss.to) {
            let behind = Loss {
                from: successor(own),
                reason: BEHIND.into(),
                ..loss.clone()
            };
            loss.to = own;
            losses.push(behind);
        }
    }

    /// The last position that it ever had, as its own state says: what is missing behind that was never in it.
    pub(super) fn own_end(&self) -> Option<Position> {
        let head = self.head().ok()?.ok()?;
        let end = predecessor(head.next);
        (end.epoch == self.first.epoch).then_some(end)
    }

    /// What was taken out on purpose is not lost.
    fn not_absent(&self, losses: Vec<Loss>) -> Vec<Loss> {
        let parts = losses.into_iter().flat_map(|loss| {
            let parts = self.absent.without(loss.from, loss.to);
            parts.into_iter().map(move |(from, to)| Loss {
                from,
                to,
                reason: loss.reason.clone(),
            })
        });
        parts.collect()
    }

    /// For tests: the next commit fails as on a broken disk.
    #[cfg(test)]
    pub(super) fn break_barrier(&mut self) {
        self.engine.break_barrier();
    }
}

fn absent(engine: &dyn Engine, path: &Path, first: Position) -> Result<Absent, EngineError> {
    let mut written: Option<Vec<u8>> = None;
    engine.scan(keys::ABSENT, keys::ABSENT, &mut |_, value| {
        written.get_or_insert_default().extend_from_slice(value);
        ControlFlow::Continue(())
    })?;
    let Some(written) = written else {
        return Ok(Absent::of(first.epoch));
    };
    Absent::decode(&written).map_err(|reason| EngineError::Damaged {
        path: path.to_owned(),
        reason,
    })
}

/// The position after `position` in its epoch.
pub(super) fn successor(position: Position) -> Position {
    Position {
        seq: position.seq.saturating_add(1),
        ..position
    }
}

/// The position before `position` in its epoch; 0 stands before the first.
pub(super) fn predecessor(position: Position) -> Position {
    Position {
        seq: position.seq.saturating_sub(1),
        ..position
    }
}

/// Joins pieces to records and notices what is missing between them.
struct Collector {
    expected: Position,
    limits: Limits,
    bytes: usize,
    joined: Option<(Position, Vec<u8>)>,
    reading: Reading,
}

impl Collector {
    fn piece(&mut self, position: Position, value: &[u8]) -> ControlFlow<()> {
        match &mut self.joined {
            Some((at, bytes)) if *at == position => {
                if bytes.len() <= MAX_RECORD {
                    bytes.extend_from_slice(value);
                }
            }
            _ => {
                self.complete()?;
                self.joined = Some((position, value.to_vec()));
            }
        }
        ControlFlow::Continue(())
    }

    /// Takes the joined record, if the limits still allow it.
    fn complete(&mut self) -> ControlFlow<()> {
        let Some((position, bytes)) = self.joined.take() else {
            return ControlFlow::Continue(());
        };
        match record::decode(&bytes) {
            Ok(record) if record.position == position => {
                let first = self.reading.records.is_empty();
                let bytes = self.bytes.saturating_add(record.payload.len());
                let fits =
                    self.reading.records.len() < self.limits.events && bytes <= self.limits.bytes;
                if !first && !fits {
                    self.reading.limited = true;
                    return ControlFlow::Break(());
                }
                self.lack_until(position);
                self.bytes = bytes;
                self.reading.records.push(record);
            }
            Ok(record) => self.lose(position, format!("it claims to be {}", record.position)),
            Err(error) => self.lose(position, error.to_string()),
        }
        self.expected = successor(position);
        ControlFlow::Continue(())
    }

    fn finish(mut self, last: Position) -> Reading {
        if !self.reading.limited && self.complete().is_continue() {
            self.lack_until(successor(last));
        }
        self.reading
    }

    fn lose(&mut self, position: Position, reason: String) {
        self.lack_until(position);
        self.reading.losses.push(Loss {
            from: position,
            to: position,
            reason,
        });
    }

    fn lack_until(&mut self, position: Position) {
        if self.expected.epoch == position.epoch && self.expected < position {
            self.reading.losses.push(Loss {
                from: self.expected,
                to: predecessor(position),
                reason: GONE.into(),
            });
        }
    }
}
