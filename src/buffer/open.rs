//! Opening a store: the lock, the newest generation that opens, where numbering goes on, how far each uplink has come.

use super::disk::Disk;
use super::engine::Medium;
use super::epoch::{self, Numbering, Why};
use super::error::{StoreError, io_error, making_error};
use super::generation::{Generation, Loss, predecessor, successor};
use super::generations::{self, Generations, span_after};
use super::head::{Head, Machine};
use super::inspect;
use super::listing::{self, Listing, path_of};
use super::losses::{self, Reported};
use super::newest::{Newest, settle_copies};
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
        let newest = Newest::find(medium, &root, &listing, known.furthest())?;
        let machine = options.machine_id.as_deref().and_then(epoch::machine);
        let Newest { opened, set_aside } = newest;
        let head = opened.as_ref().map(|(_, head)| head);
        let no_head = head.is_none();
        let nobody_knows = no_head && known.names().next().is_none() && !set_aside.is_empty();
        if let Some(head) = head {
            settle_copies(disk, &root, &listing, head.swept)?;
        }
        let (numbering, losses) = losses::judge(&listing, head, &known, set_aside, machine);
        let known = losses::beside(known, head, numbering);
        // The listing again: what is set aside moved.
        let listing = Listing::read(disk, &root).map_err(io)?;
        let goes_on = go_on(medium, &root, &listing, numbering, opened, machine, &losses)?;
        let (generation, head, nameless) = goes_on;
        let uplinks = progress(options, &head, &known, nobody_knows);
        let gone = removed(options, &head, &known);
        let mut store = Store {
            generation_bytes: options.generation_bytes,
            health: options.health.clone(),
            medium: medium.clone(),
            older: Generations::new(medium, &root, &listing, generation.first(), &head.ends),
            newest: generation,
            side: None,
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
        let new = store.count_for_new_uplinks(&known);
        store.adopt_parked(&listing)?;
        let lost = std::mem::take(&mut store.head.lost);
        store.moved |= !lost.is_empty();
        store.report_unseen(lost);
        store.report_gaps(&listing, &new);
        store.count_evicted(&listing, &new);
        if no_head {
            store.count_unaccounted(known.furthest().unwrap_or_default());
        }
        for notice in gone {
            store.dropped(notice);
        }
        store.begin(machine, nameless, &listing)?;
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
            if known.offered(name).is_none() {
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
    ///
    /// Nothing that the next start goes by has changed before the commit, or before the name of a generation that is made for
    /// a new epoch: a start that ends there is followed by one that decides the same. Behind it the state knows at least as
    /// much as the side file of the run before, which only then is replaced.
    fn begin(
        &mut self,
        machine: Option<Machine>,
        nameless: bool,
        listing: &Listing,
    ) -> Result<(), StoreError> {
        let machine = machine.or(self.head.machine);
        let medium = self.medium.clone();
        let disk = medium.disk.as_ref();
        if self.head.machine != machine
            || self.moved
            || self.head.uplinks != self.uplinks.iter().cloned().collect()
        {
            self.head.machine = machine;
            self.commit_head(Vec::new())?;
        }
        if nameless {
            generations::give_name(disk, &self.root, self.newest.first())?;
        }
        listing::end_setting_aside(disk, &self.root, listing)?;
        let side = SideFile::create(disk, &self.root, self.last(), &self.uplinks);
        self.side = Some(side.map_err(|error| io_error(&self.root, error))?);
        // An attempt that ended before may have noted some of them.
        drop(self.health.drops.take());
        for notice in &self.head.untold {
            self.health.drops.add(notice.clone());
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

/// The generation to write to: the one that opened, or one with a copy of its state, the first of a new epoch perhaps. That
/// one has no name yet, as the last answer says.
fn go_on(
    medium: &Medium,
    root: &Path,
    listing: &Listing,
    numbering: Numbering,
    opened: Option<(Generation, Head)>,
    machine: Option<Machine>,
    losses: &[Loss],
) -> Result<(Generation, Head, bool), StoreError> {
    let head = match (numbering, opened) {
        // To a rewritten generation nothing is added.
        (Numbering::GoesOn(_), Some((generation, head)))
            if listing.path_of(root, generation.first()) != path_of(root, generation.first()) =>
        {
            head
        }
        (Numbering::GoesOn(_), Some((generation, head))) => return Ok((generation, head, false)),
        (Numbering::GoesOn(next), None) => Head::at(next),
        (Numbering::BeginsAnew(epoch, why), opened) => {
            if why != Why::Created {
                tracing::warn!(epoch, reason = why.words(), "a new epoch begins");
            }
            let head = opened.map(|(_, head)| head).unwrap_or_default();
            let mut head = losses::into_new_epoch(head, why, losses);
            head.next = epoch::first_of(epoch);
            head.machine = machine.or(head.machine);
            head
        }
    };
    let (generation, head) = generations::make_nameless(medium, root, &head)?;
    Ok((generation, head, true))
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
