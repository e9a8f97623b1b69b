//! Opening a store: the lock, the newest generation that opens, where numbering goes on, the cursors.

use super::engine::{EngineError, Purpose};
use super::epoch::{self, Found, Numbering, Why};
use super::error::{StoreError, io_error, making_error};
use super::files::create_dirs;
use super::generation::{Generation, Loss, predecessor};
use super::generations::{self, Generations, Listing, path_of};
use super::head::{Head, Machine};
use super::progress::{Known, Progress};
use super::store::{OpenOptions, Store};
use super::tail::TailCache;
use crate::model::{Position, Restored};
use crate::settings::shape::StartAt;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use uuid::Uuid;

/// The newest generation that opens, and what was set aside before.
#[derive(Debug, Default)]
struct Newest {
    opened: Option<(Generation, Head)>,
    set_aside: Vec<Loss>,
}

/// `/etc/machine-id` of this box; `None` where it has none.
#[must_use]
pub fn machine_id() -> Option<String> {
    std::fs::read_to_string("/etc/machine-id").ok()
}

impl Store {
    /// Opens the store in `options.path`, or creates it, and tells where numbering and aggregation go on.
    ///
    /// Damage never stops it: a generation that does not open is set aside, and a new epoch begins where the end of the
    /// old one cannot be proved.
    ///
    /// # Errors
    /// When the store is in use, cannot be written, or belongs to other settings.
    pub fn open(options: &OpenOptions) -> Result<(Store, Restored), StoreError> {
        let root = options.path.join("store");
        let io = |error| io_error(&root, error);
        create_dirs(&root).map_err(|error| making_error(&root, error))?;
        let lock = take_lock(&root)?;
        let known = Known::read(&root).map_err(io)?;
        let listing = Listing::read(&root).map_err(io)?;
        let newest = open_newest(&root, &listing, known.furthest())?;
        let machine = options.machine_id.as_deref().and_then(epoch::machine);
        let numbering = epoch::decide(&Found {
            head: newest
                .opened
                .as_ref()
                .map(|(_, head)| (head.next, head.machine)),
            head_quarantined: !newest.set_aside.is_empty(),
            greatest_epoch: listing.greatest_epoch(),
            progress: known.furthest(),
            machine,
        });
        let mut losses = newest.set_aside;
        losses.extend(lost_tail(numbering, &newest.opened, &known));
        let (generation, head) = go_on(&root, numbering, newest.opened, machine)?;
        let uplinks = cursors(options, &head, &known);
        // The listing again: what was set aside moved.
        let listing = Listing::read(&root).map_err(io)?;
        let mut store = Store {
            generation_bytes: options.generation_bytes,
            health: options.health.clone(),
            older: Generations::new(&root, &listing, generation.first()),
            newest: generation,
            progress: Progress::create(&root, predecessor(head.next), &uplinks).map_err(io)?,
            head,
            uplinks,
            cursors_moved: false,
            tail: TailCache::default(),
            reported: BTreeSet::new(),
            new_epoch: why(numbering),
            root,
            _lock: lock,
        };
        store.report(losses);
        store.begin(machine)?;
        let restored = Restored {
            next: store.head.next,
            run: Uuid::new_v4(),
            checkpoint: store.head.checkpoint.clone(),
        };
        Ok((store, restored))
    }

    /// Makes durable what the open decided, where that is not what the disk has, and removes what is settled.
    fn begin(&mut self, machine: Option<Machine>) -> Result<(), StoreError> {
        let machine = machine.or(self.head.machine);
        if self.head.machine != machine
            || self.head.cursors != self.uplinks.iter().cloned().collect()
        {
            self.head.machine = machine;
            self.commit_head(Vec::new())?;
        }
        self.remove_settled()
    }
}

/// Two processes on one store would be the end of it. The lock goes with the process, also when it is killed.
fn take_lock(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| io_error(root, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(root.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error(root, error)),
    }
}

/// Opens generations from the newest down until one is whole. Damaged ones are set aside; `furthest` tells where the
/// newest of them ended.
fn open_newest(
    root: &Path,
    listing: &Listing,
    furthest: Option<Position>,
) -> Result<Newest, StoreError> {
    let mut end = furthest;
    let mut newest = Newest::default();
    for first in listing.whole.iter().rev() {
        let reason = match open_one(root, *first) {
            Ok(Ok(opened)) => {
                newest.opened = Some(opened);
                break;
            }
            Ok(Err(reason)) | Err(EngineError::Damaged { reason, .. }) => reason,
            Err(other) => return Err(other.into()),
        };
        tracing::error!(generation = %first, reason, "a damaged generation is set aside");
        generations::set_aside(root, *first)?;
        let known = end.filter(|end| end.epoch == first.epoch && *end > *first);
        newest.set_aside.push(Loss {
            from: *first,
            to: known.unwrap_or(*first),
            reason,
        });
        end = Some(predecessor(*first));
    }
    Ok(newest)
}

fn open_one(
    root: &Path,
    first: Position,
) -> Result<Result<(Generation, Head), String>, EngineError> {
    let generation = Generation::open(&path_of(root, first), first, Purpose::Write)?;
    Ok(generation.head()?.map(|head| (generation, head)))
}

/// Events that the progress file knows of and the store does not have.
fn lost_tail(
    numbering: Numbering,
    opened: &Option<(Generation, Head)>,
    known: &Known,
) -> Option<Loss> {
    let (Numbering::BeginsAnew(_, Why::TailLost), Some((_, head))) = (numbering, opened) else {
        return None;
    };
    let to = known.furthest()?;
    (to.epoch == head.next.epoch && to >= head.next).then(|| Loss {
        from: head.next,
        to,
        reason: Why::TailLost.words().into(),
    })
}

/// The generation to write to: the one that opened, or the first of a new epoch with a copy of its state.
fn go_on(
    root: &Path,
    numbering: Numbering,
    opened: Option<(Generation, Head)>,
    machine: Option<Machine>,
) -> Result<(Generation, Head), StoreError> {
    match (numbering, opened) {
        (Numbering::GoesOn(_), Some(opened)) => Ok(opened),
        (Numbering::GoesOn(next), None) => generations::create(root, &Head::at(next)),
        (Numbering::BeginsAnew(epoch, why), opened) => {
            if why != Why::Created {
                tracing::warn!(epoch, reason = why.words(), "a new epoch begins");
            }
            let mut head = opened.map(|(_, head)| head).unwrap_or_default();
            head.next = epoch::first_of(epoch);
            head.machine = machine.or(head.machine);
            generations::create(root, &head)
        }
    }
}

/// The cursor of each uplink: the further one of store and progress file, and for a new uplink where it is to start.
fn cursors(options: &OpenOptions, head: &Head, known: &Known) -> Vec<(String, Position)> {
    let start = |start_at: &StartAt| match start_at {
        StartAt::Newest => predecessor(head.next),
        StartAt::Oldest => Position::default(),
    };
    for gone in head.cursors.keys() {
        if !options.uplinks.iter().any(|(name, _)| name == gone) {
            tracing::warn!(
                uplink = gone,
                "an uplink left the settings: its progress is forgotten"
            );
        }
    }
    options
        .uplinks
        .iter()
        .map(|(name, start_at)| {
            let stored = head.cursors.get(name).copied();
            let cursor = stored.max(known.cursor(name));
            (name.clone(), cursor.unwrap_or_else(|| start(start_at)))
        })
        .collect()
}

fn why(numbering: Numbering) -> Option<Why> {
    match numbering {
        Numbering::GoesOn(_) => None,
        Numbering::BeginsAnew(_, why) => Some(why),
    }
}
