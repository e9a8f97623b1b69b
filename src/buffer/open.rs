//! Opening a store: the lock, the newest generation that opens, where numbering goes on, how far each uplink has come.

use super::disk::Disk;
use super::engine::{EngineError, Medium, Purpose};
use super::epoch::{self, Numbering, Why};
use super::error::{StoreError, io_error, making_error};
use super::generation::{Generation, Loss, predecessor, successor};
use super::generations::{self, Generations, span_after};
use super::head::{Head, Machine};
use super::inspect;
use super::listing::{self, Listing, lean_path_of, path_of};
use super::losses::{self, Reported};
use super::parked::{ParkedEvents, furthest_parked};
use super::progress::Progress;
use super::publish::Published;
use super::room::Ballast;
use super::side::{Known, SideFile};
use super::store::{OpenOptions, Store};
use super::tail::TailCache;
use super::used::Room;
use crate::model::{DropNotice, DropReason, Position, Restored};
use crate::settings::shape::StartAt;
use std::any::Any;
use std::collections::BTreeSet;
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
        let mut result = Store::try_open(options);
        // What an open writes has its place in the ballast, whichever file met the end of the disk. A store that fills its
        // disk by itself must not wait for others either: what nobody waits for goes.
        let rooms: [MakeRoom; 2] = [give_ballast, give_damaged];
        for make_room in rooms {
            if matches!(result, Err(StoreError::Full(_))) && make_room(options)? {
                result = Store::try_open(options);
            }
        }
        result
    }

    fn try_open(options: &OpenOptions) -> Result<(Store, Restored), StoreError> {
        let root = options.path.join("store");
        let io = |error| io_error(&root, error);
        let medium = &options.medium;
        let disk = medium.disk.as_ref();
        disk.create_dirs(&root)
            .map_err(|error| making_error(&root, error))?;
        disk.sync_dir(&root).map_err(io)?;
        sync_way_to(disk, &options.path).map_err(io)?;
        let lock = take_lock(disk, &root)?;
        let known = Known::read(disk, &root).map_err(io)?;
        inspect::clear_copies(disk, &options.path);
        let mut listing = Listing::read(disk, &root).map_err(io)?;
        let parked = options.path.join("parked");
        listing.parked =
            furthest_parked(disk, &parked).map_err(|error| io_error(&parked, error))?;
        let newest = open_newest(medium, &root, &listing, known.furthest())?;
        let machine = options.machine_id.as_deref().and_then(epoch::machine);
        let Newest { opened, set_aside } = newest;
        let head = opened.as_ref().map(|(_, head)| head);
        let no_head = head.is_none();
        let nobody_knows = no_head && known.names().next().is_none() && !set_aside.is_empty();
        if let Some(head) = head {
            settle_copies(disk, &root, &listing, head.swept)?;
        }
        let (numbering, losses) = losses::judge(&listing, head, &known, set_aside, machine);
        let (generation, head) =
            go_on(medium, &root, &listing, numbering, opened, machine, &losses)?;
        let uplinks = progress(options, &head, &known, nobody_knows);
        let gone = removed(options, &head, &known);
        // The listing again: what was set aside moved.
        let listing = Listing::read(disk, &root).map_err(io)?;
        let mut store = Store {
            generation_bytes: options.generation_bytes,
            health: options.health.clone(),
            medium: medium.clone(),
            older: Generations::new(medium, &root, &listing, generation.first(), &head.ends),
            newest: generation,
            side: SideFile::create(disk, &root, predecessor(head.next), &uplinks).map_err(io)?,
            head,
            parked: ParkedEvents::at(parked, uplinks.len()),
            uplinks,
            moved: false,
            committed_at: None,
            tail: TailCache::default(),
            room: Room::new(
                options.quota,
                disk.space(&root).map_or(0, |space| space.total),
                options.generation_bytes,
            ),
            reported: Reported::default(),
            published: Published::default(),
            abandoned: false,
            rotate_from: 0,
            behind: false,
            ballast: ballast(options, &root),
            was_full: false,
            new_epoch: why(numbering),
            root,
            _lock: lock,
        };
        for notice in store.head.untold.clone() {
            store.health.drops.add(notice);
        }
        let new = store.count_for_new_uplinks(&known);
        store.adopt_parked(&listing)?;
        let lost = std::mem::take(&mut store.head.lost);
        store.moved |= !lost.is_empty();
        store.report_unseen(lost);
        store.report_gaps(&listing, &new);
        store.count_evicted(&listing);
        if no_head {
            store.count_unaccounted(known.furthest().unwrap_or_default());
        }
        for notice in gone {
            store.dropped(notice);
        }
        store.begin(machine)?;
        // With what was counted by now.
        for uplink in 0..store.uplinks.len() {
            store.put_side_progress(uplink)?;
        }
        store.begin_ballast()?;
        store.finish_discards()?;
        let restored = Restored {
            next: store.head.next,
            run: Uuid::new_v4(),
            new_epoch: store.new_epoch.or(store.head.new_epoch),
            checkpoint: store.head.checkpoint.clone(),
        };
        Ok((store, restored))
    }

    /// What lies in the store for an uplink that it has not seen before.
    fn count_for_new_uplinks(&mut self, known: &Known) -> BTreeSet<usize> {
        let mut new = BTreeSet::new();
        for id in self.uplink_ids() {
            let Some((name, progress)) = self.uplinks.get(id.index()) else {
                continue;
            };
            if self.head.uplinks.contains_key(name) {
                continue;
            }
            let (cursor, above) = (progress.cursor(), progress.above());
            let gone = progress.account.gone();
            if progress.account.offered == 0 {
                new.insert(id.index());
            }
            // One that only the side file knows was offered what the head no longer tells.
            let lost = self.head.lost.iter();
            let lost: u64 = lost
                .map(|loss| span_after(cursor, loss.from, loss.to))
                .sum();
            let offered = known.offered(name).map(|offered| offered.max(gone));
            let stored = self.count_after(cursor).saturating_add(lost);
            if let Some((_, progress)) = self.uplinks.get_mut(id.index()) {
                let counted = gone + stored.saturating_sub(above);
                progress.account.offered = offered.unwrap_or(counted);
            }
        }
        new
    }

    fn count_after(&mut self, cursor: Position) -> u64 {
        let newest = span_after(cursor, self.newest.first(), self.last());
        self.older.count_after(cursor).saturating_add(newest)
    }

    /// Makes durable what the open decided, where that is not what the disk has, and removes what is settled.
    fn begin(&mut self, machine: Option<Machine>) -> Result<(), StoreError> {
        let machine = machine.or(self.head.machine);
        if self.head.machine != machine
            || self.moved
            || self.head.uplinks != self.uplinks.iter().cloned().collect()
        {
            self.head.machine = machine;
            self.commit_head(Vec::new())?;
        }
        self.clear_away();
        Ok(())
    }
}

/// Makes room for a start; false where it has none to give.
type MakeRoom = fn(&OpenOptions) -> Result<bool, StoreError>;

fn ballast(options: &OpenOptions, root: &Path) -> Ballast {
    let (bytes, step) = (options.generation_bytes, options.medium.step_bytes);
    Ballast::new(root, bytes, options.quota.max_bytes, step)
}

fn give_ballast(options: &OpenOptions) -> Result<bool, StoreError> {
    let root = options.path.join("store");
    let mut ballast = ballast(options, &root);
    let released = ballast.release(options.medium.disk.as_ref());
    released.map_err(|error| io_error(&root, error))?;
    Ok(true)
}

/// Removes what was set aside: it is kept for people as long as there is room.
fn give_damaged(options: &OpenOptions) -> Result<bool, StoreError> {
    let root = options.path.join("store");
    let disk = options.medium.disk.as_ref();
    let io = |error| io_error(&root, error);
    let damaged = Listing::read(disk, &root).map_err(io)?.damaged;
    for first in &damaged {
        tracing::warn!(%first, "a damaged generation is removed to make room for the start");
        disk.remove_tree(&listing::damaged_path_of(&root, *first))
            .map_err(io)?;
    }
    disk.sync_dir(&root).map_err(io)?;
    Ok(!damaged.is_empty())
}

/// An earlier run may have been killed, or refused, between making a directory and making it durable; of the store itself
/// that goes for the names of generations, too. Above `buffer.path`
/// may lie what this user cannot read, or what is never written to and knows no sync; a broken disk is one everywhere.
fn sync_way_to(disk: &dyn Disk, path: &Path) -> std::io::Result<()> {
    disk.sync_dir(path)?;
    for above in path.ancestors().skip(1) {
        match disk.sync_dir(above) {
            Err(error) if error.raw_os_error() == Some(libc::EIO) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Two processes on one store would be the end of it. The lock goes with the process, also when it is killed.
fn take_lock(disk: &dyn Disk, root: &Path) -> Result<Box<dyn Any + Send>, StoreError> {
    let lock = disk.lock(&root.join("lock"));
    lock.map_err(|error| io_error(root, error))?
        .ok_or_else(|| StoreError::Locked(root.to_owned()))
}

/// Opens generations from the newest down until one is whole. Damaged ones are set aside; `furthest` tells where the
/// newest of them ended.
fn open_newest(
    medium: &Medium,
    root: &Path,
    listing: &Listing,
    furthest: Option<Position>,
) -> Result<Newest, StoreError> {
    let mut end = furthest;
    let mut newest = Newest::default();
    for first in listing.whole.iter().rev() {
        let path = listing.path_of(root, *first);
        let reason = match open_one(medium, &path, *first) {
            Ok(Ok(opened)) => {
                newest.opened = Some(opened);
                break;
            }
            Ok(Err(reason)) | Err(EngineError::Damaged { reason, .. }) => reason,
            Err(other) => return Err(other.into()),
        };
        tracing::error!(generation = %first, reason, "a damaged generation is set aside");
        // All of them are kept: a start deletes nothing that people may want to read.
        listing::put_aside(medium.disk.as_ref(), root, &path, *first)?;
        let loss = losses::with_newest(*first, end, reason);
        newest.set_aside.push(loss);
        end = Some(predecessor(*first));
    }
    Ok(newest)
}

fn open_one(
    medium: &Medium,
    path: &Path,
    first: Position,
) -> Result<Result<(Generation, Head), String>, EngineError> {
    let generation = Generation::open(medium, path, first, Purpose::Write)?;
    Ok(generation.head()?.map(|head| (generation, head)))
}

/// Where a crash came between rewriting a generation and removing the original: the copy counts when its evicted events
/// are in the accounts.
fn settle_copies(
    disk: &dyn Disk,
    root: &Path,
    listing: &Listing,
    swept: Position,
) -> Result<(), StoreError> {
    for first in &listing.twice {
        let surplus = if *first <= swept {
            path_of(root, *first)
        } else {
            lean_path_of(root, *first)
        };
        listing::remove(disk, root, &surplus)?;
    }
    Ok(())
}

/// The generation to write to: the one that opened, or the first of a new epoch with a copy of its state.
fn go_on(
    medium: &Medium,
    root: &Path,
    listing: &Listing,
    numbering: Numbering,
    opened: Option<(Generation, Head)>,
    machine: Option<Machine>,
    losses: &[Loss],
) -> Result<(Generation, Head), StoreError> {
    match (numbering, opened) {
        // To a rewritten generation nothing is added.
        (Numbering::GoesOn(_), Some((generation, head)))
            if listing.path_of(root, generation.first()) != path_of(root, generation.first()) =>
        {
            generations::create(medium, root, &head)
        }
        (Numbering::GoesOn(_), Some(opened)) => Ok(opened),
        (Numbering::GoesOn(next), None) => generations::create(medium, root, &Head::at(next)),
        (Numbering::BeginsAnew(epoch, why), opened) => {
            if why != Why::Created {
                tracing::warn!(epoch, reason = why.words(), "a new epoch begins");
            }
            let head = opened.map(|(_, head)| head).unwrap_or_default();
            let mut head = losses::into_new_epoch(head, why, losses);
            head.next = epoch::first_of(epoch);
            head.machine = machine.or(head.machine);
            generations::create(medium, root, &head)
        }
    }
}

/// The progress of each uplink: the further one of store and side file, and for a new uplink where it is to start. Where there
/// were events and no state is left (`nobody_knows`), each may have waited for them.
fn progress(
    options: &OpenOptions,
    head: &Head,
    known: &Known,
    nobody_knows: bool,
) -> Vec<(String, Progress)> {
    let start = |start_at: &StartAt| match start_at {
        _ if nobody_knows => Position::default(),
        StartAt::Newest => predecessor(head.next),
        StartAt::Oldest => Position::default(),
    };
    let one = |(name, start_at): &(String, StartAt)| {
        let stored = head.uplinks.get(name);
        let beside = known.progress(name);
        let further = match (stored, beside) {
            (Some(stored), Some(beside)) => further(stored, beside),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => Progress::at(start(start_at)),
        };
        (name.clone(), further)
    };
    options.uplinks.iter().map(one).collect()
}

/// What the side file says was true when it was written, and is newer only where it says more. What was offered only
/// commits know.
pub(super) fn further(stored: &Progress, beside: &Progress) -> Progress {
    let reach = |progress: &Progress| (progress.cursor(), progress.above());
    if reach(beside) <= reach(stored) {
        return stored.clone();
    }
    let mut further = beside.clone();
    further.account.offered = stored.account.offered;
    further
}

/// Uplinks that left the settings: what they had not settled is dropped, and no generation waits for them.
fn removed(options: &OpenOptions, head: &Head, known: &Known) -> Vec<DropNotice> {
    let stays = |name: &str| options.uplinks.iter().any(|(one, _)| one == name);
    let gone = head.uplinks.iter().filter(|(name, _)| !stays(name));
    gone.filter_map(|(name, progress)| {
        let beside = known.progress(name);
        let progress = beside.map_or_else(|| progress.clone(), |beside| further(progress, beside));
        let count = progress.account.stored();
        tracing::warn!(
            uplink = name,
            dropped = count,
            "an uplink left the settings: its progress is forgotten"
        );
        (count > 0).then(|| DropNotice {
            reason: DropReason::UplinkRemoved,
            uplink: Some(name.clone()),
            count,
            from: successor(progress.cursor()),
            to: predecessor(head.next),
            detail: None,
        })
    })
    .collect()
}

fn why(numbering: Numbering) -> Option<Why> {
    match numbering {
        Numbering::GoesOn(_) => None,
        Numbering::BeginsAnew(_, why) => Some(why),
    }
}
