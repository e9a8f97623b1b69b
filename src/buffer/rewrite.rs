//! Writes a generation anew without its passing events: a copy beside it that counts only when the head says so.
//!
//! Called when the quota needs room. The copy has the head state and the checkpoint of the original, and a list of what is
//! no longer in it.

use super::absent::Absent;
use super::engine::{Batch, EngineError, Medium, Purpose};
use super::error::{StoreError, io_error};
use super::generation::{Generation, Limits, Loss, predecessor};
use super::listing::{CREATING, lean_path_of};
use super::{keys, record};
use crate::model::{Class, Position};
use std::io;
use std::path::Path;

/// Read and written at a time.
const STEP: Limits = Limits {
    events: 1024,
    bytes: 1 << 20,
};

/// What a copy leaves out.
#[derive(Debug)]
pub(super) struct Copied {
    /// Passing events, to be counted as evicted.
    pub(super) evicted: Absent,
    /// What could not be read.
    pub(super) losses: Vec<Loss>,
    /// Events in the copy.
    pub(super) left: u64,
}

/// Why there is no copy. The original is as it was.
#[derive(Debug)]
pub(super) enum CopyError {
    /// The original cannot be read.
    Source(EngineError),
    /// The copy cannot be written: most likely there is no space for it.
    Target(StoreError),
}

/// Copies the generation `source` that ends with `last` to its new name, durably. The original stays.
pub(super) fn copy(
    medium: &Medium,
    root: &Path,
    source: &Generation,
    last: Position,
) -> Result<Copied, CopyError> {
    // One of an earlier attempt that never counted.
    discard(medium, root, source.first()).map_err(CopyError::Target)?;
    let written = write(medium, root, source, last);
    if written.is_err() {
        discard(medium, root, source.first()).map_err(CopyError::Target)?;
    }
    written
}

/// Removes a copy that does not count, whole or half.
pub(super) fn discard(medium: &Medium, root: &Path, first: Position) -> Result<(), StoreError> {
    let disk = medium.disk.as_ref();
    disk.remove_tree(&root.join(CREATING))
        .and_then(|()| disk.remove_tree(&lean_path_of(root, first)))
        .and_then(|()| disk.sync_dir(root))
        .map_err(|error| io_error(root, error))
}

fn write(
    medium: &Medium,
    root: &Path,
    source: &Generation,
    last: Position,
) -> Result<Copied, CopyError> {
    let first = source.first();
    let path = root.join(CREATING);
    let disk = medium.disk.as_ref();
    let io = |error: io::Error| CopyError::Target(io_error(root, error));
    let target = |error: EngineError| CopyError::Target(error.into());
    disk.remove_tree(&path).map_err(io)?;
    let mut made = Generation::open(medium, &path, first, Purpose::Write).map_err(target)?;
    let mut copied = Copied {
        evicted: Absent::of(first.epoch),
        losses: Vec::new(),
        left: 0,
    };
    let mut after = predecessor(first);
    loop {
        let reading = source.read(after, last, STEP).map_err(CopyError::Source)?;
        copied.losses.extend(reading.losses);
        let mut batch = Batch::new();
        for one in &reading.records {
            after = one.position;
            if one.class == Class::Passing {
                copied.evicted.add(one.position, one.position);
                continue;
            }
            let bytes = record::encode(one).map_err(|error| {
                CopyError::Target(StoreError::Event {
                    position: one.position,
                    source: error,
                })
            })?;
            copied.left += 1;
            keys::put(&mut batch, &keys::record(one.position), &bytes, None);
        }
        if !batch.is_empty() {
            made.commit(batch).map_err(target)?;
        }
        if reading.records.is_empty() || after >= last {
            break;
        }
    }
    made.commit(last_batch(source, &copied, root)?)
        .map_err(target)?;
    drop(made);
    disk.rename(&path, &lean_path_of(root, first)).map_err(io)?;
    disk.sync_dir(root).map_err(io)?;
    Ok(copied)
}

/// The state of the original, and what is missing in the copy.
fn last_batch(source: &Generation, copied: &Copied, root: &Path) -> Result<Batch, CopyError> {
    let mut batch = source.entries().map_err(CopyError::Source)?;
    let mut absent = copied.evicted.clone();
    for loss in &copied.losses {
        absent.add(loss.from, loss.to);
    }
    let bytes = absent.encode().map_err(|error| {
        CopyError::Target(StoreError::Damaged {
            path: root.to_owned(),
            reason: format!("what was evicted cannot be encoded: {error}"),
        })
    })?;
    keys::put(&mut batch, keys::ABSENT, &bytes, None);
    Ok(batch)
}
