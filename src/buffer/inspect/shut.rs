//! Looking at a store that no gateway has open, and repairing one: by copies, under the lock, with the same code that opens
//! it for a gateway.

use super::copy::CopyError;
use super::live::{SetAside, listed};
use super::status::{StoreStatus, UplinkStatus};
use super::walk::{Opened, Trouble};
use super::{Name, names, owner, root};
use crate::buffer::disk::{Disk, Files};
use crate::buffer::engine::{Medium, conf_is_damaged};
use crate::buffer::error::{StoreError, misplaced};
use crate::buffer::generation::predecessor;
use crate::buffer::head::Head;
use crate::buffer::listing::MAX_DAMAGED;
use crate::buffer::open::further;
use crate::buffer::progress::Progress;
use crate::buffer::side::Known;
use crate::buffer::{OpenOptions, Quota, Store};
use crate::health::BufferHealth;
use crate::model::{DropReason, EpochReason, Position};
use crate::settings::shape::StartAt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why a store cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ShutError {
    /// There is none.
    #[error(
        "{} has no store: give the directory that `buffer.path` names, or `--config FILE`", .0.display()
    )]
    NoStore(PathBuf),
    /// Not for this user.
    #[error(
        "{} may not be read by this user: run the command as root, or as the user that runs the gateway", .0.display()
    )]
    NoPermission(PathBuf),
    /// A file where a directory belongs, or the other way round.
    #[error(
        "{path} is a {is} where a {needed} belongs: move it away, then try again; no event is lost by that",
        path = path.display()
    )]
    Misplaced {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What belongs there.
        needed: &'static str,
    },
    /// No copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl ShutError {
    /// The error of a call on a file or directory.
    #[must_use]
    pub fn io(path: &Path, source: io::Error) -> ShutError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ShutError::NoPermission(path),
            _ => match misplaced(&path, &source) {
                Some((path, is, needed)) => ShutError::Misplaced { path, is, needed },
                None => ShutError::Io { path, source },
            },
        }
    }
}

/// Looks at a side file of which a part makes no sense.
const LOOKS: u32 = 4;

/// What the side file says.
#[derive(Clone, Debug)]
pub struct Beside(pub(super) Known);

impl Beside {
    /// What is wrong with it, if anything: none is missed where there are no generations either.
    #[must_use]
    pub fn trouble(&self, generations: usize, head: Option<&ShutHead>) -> Option<&'static str> {
        let knows = |name: &str| self.0.progress(name).is_some();
        let all = head.is_none_or(|head| head.head.uplinks.keys().all(|name| knows(name)));
        match (self.0.furthest(), self.0.bent()) {
            (None, 0) => (generations > 0).then_some("it is missing"),
            (None, _) => Some("nothing in it can be read"),
            (Some(_), 0) if all => None,
            (Some(_), 0) => Some("it does not know every uplink"),
            (Some(_), _) => Some("a part of it cannot be read"),
        }
    }

    /// Whether it knows of any event.
    #[must_use]
    pub fn knows_events(&self) -> bool {
        self.0.furthest().is_some_and(|furthest| furthest.seq > 0)
    }
}

/// The lock of a store: as long as it is held, no gateway opens it.
#[derive(Debug)]
pub struct Held {
    _file: Option<File>,
}

/// What the head of a store says, or would say if one opened it.
#[derive(Clone, Debug)]
pub struct ShutHead {
    /// Its generation.
    pub name: Name,
    /// Names and progress: the further one of store and side file.
    uplinks: Vec<(String, Progress)>,
    head: Head,
}

impl ShutHead {
    /// The position of the next event.
    #[must_use]
    pub fn next(&self) -> Position {
        self.head.next
    }

    /// The names of the uplinks.
    pub fn uplinks(&self) -> impl Iterator<Item = &str> {
        self.uplinks.iter().map(|(name, _)| name.as_str())
    }

    /// Of these positions, how many each uplink had not settled, and whether any of them is still needed.
    #[must_use]
    pub fn unsettled(&self, from: Position, to: Position) -> Vec<(String, u64)> {
        let one = |(name, progress): &(String, Progress)| {
            let mut copy = progress.clone();
            (name.clone(), copy.drop_range(from, to, DropReason::Damaged))
        };
        self.uplinks.iter().map(one).collect()
    }

    /// Whether this event waits for that uplink; `None` where there is no such uplink.
    #[must_use]
    pub fn waits_for(&self, uplink: &str, at: Position) -> Option<bool> {
        let mut all = self.uplinks.iter();
        let (_, progress) = all.find(|(name, _)| name == uplink)?;
        Some(!progress.is_settled(at))
    }

    pub(super) fn state(&self) -> &Head {
        &self.head
    }

    /// The progress of each uplink, by its name.
    pub(super) fn progress(&self) -> Vec<(String, Progress)> {
        self.uplinks.clone()
    }

    /// How many events somebody has discarded for that uplink since it exists; 0 where there is no such uplink.
    #[must_use]
    pub fn discarded(&self, uplink: &str) -> u64 {
        let mut all = self.uplinks.iter();
        let found = all.find(|(name, _)| name == uplink);
        found.map_or(0, |(_, progress)| progress.account.discarded)
    }

    /// From where on each uplink needs events: the position that it settled last.
    pub fn cursors(&self) -> impl Iterator<Item = (&str, Position)> {
        let all = self.uplinks.iter();
        all.map(|(name, progress)| (name.as_str(), progress.cursor()))
    }
}

/// A store on the disk, whoever has it open.
#[derive(Clone, Debug)]
pub struct ShutStore {
    path: PathBuf,
    root: PathBuf,
}

impl ShutStore {
    /// The store in a `buffer.path`.
    ///
    /// # Errors
    /// When there is none, or it may not be looked at.
    pub fn find(path: &Path) -> Result<ShutStore, ShutError> {
        let root = root(path);
        match std::fs::read_dir(&root) {
            Ok(_) => Ok(ShutStore {
                path: path.to_owned(),
                root,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ShutError::NoStore(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(ShutError::NoStore(path.to_owned()))
            }
            Err(error) => Err(ShutError::io(&root, error)),
        }
    }

    /// `buffer.path`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the lock; `None` while a gateway has the store. Works on a file system that takes no writes, too: without a
    /// lock file no gateway has ever been here.
    ///
    /// # Errors
    /// When the lock may not be read.
    pub fn lock(&self) -> Result<Option<Held>, ShutError> {
        let path = self.root.join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Held { _file: None }));
            }
            Err(error) => return Err(ShutError::io(&path, error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Held { _file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(ShutError::io(&path, error)),
        }
    }

    /// See [`names`].
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self) -> Result<(Vec<Name>, Vec<String>), ShutError> {
        names(&self.root).map_err(|error| ShutError::io(&self.root, error))
    }

    /// What the side file says at present.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn beside(&self) -> Result<Beside, ShutError> {
        Ok(Beside(self.known()?))
    }

    /// The head, when `opened` is the newest generation.
    ///
    /// # Errors
    /// What does not fit in it.
    pub fn head(&self, name: Name, opened: &Opened) -> Result<ShutHead, Trouble> {
        let head = opened.head()?;
        let known = self
            .known()
            .map_err(|error| Trouble::Io(error.to_string()))?;
        let uplinks = head.uplinks.iter().map(|(uplink, stored)| {
            let progress = match known.progress(uplink) {
                Some(beside) => further(stored, beside),
                None => stored.clone(),
            };
            (uplink.clone(), progress)
        });
        Ok(ShutHead {
            name,
            uplinks: uplinks.collect(),
            head,
        })
    }

    /// Whether the file that says how a database was made is damaged. The next open renews it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn conf_is_damaged(&self, name: Name) -> Result<bool, ShutError> {
        let directory = self.root.join(name.to_string());
        conf_is_damaged(&directory).map_err(|error| ShutError::io(&directory, error))
    }

    /// A gateway may be writing it: then a part of it that makes no sense does at another look.
    fn known(&self) -> Result<Known, ShutError> {
        let read = || Known::read(&Files, &self.root);
        let mut known = read().map_err(|error| ShutError::io(&self.root, error))?;
        for _ in 1..LOOKS {
            if known.bent() == 0 {
                break;
            }
            known = read().map_err(|error| ShutError::io(&self.root, error))?;
        }
        Ok(known)
    }

    /// Everything but what only records say: the last event, and the oldest that waits for each uplink.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn status(&self, head: &ShutHead, names: &[Name]) -> Result<StoreStatus, ShutError> {
        let io = |error| ShutError::io(&self.root, error);
        let last = predecessor(head.next());
        let uplinks = head.uplinks.iter();
        Ok(StoreStatus {
            store: self.root.clone(),
            epoch: last.epoch,
            last: None,
            next: head.next(),
            uplinks: uplinks
                .map(|(name, progress)| UplinkStatus::of(name, progress))
                .collect(),
            generations: names.len() as u64,
            listed: listed(&self.root, names, head.name.first, last),
            used_bytes: Files.used(&self.root).map_err(io)?,
            max_bytes: None,
            free_bytes: Files.space(&self.root).map_err(io)?.free,
            refusing: None,
            untold: head.head.untold.iter().map(|notice| notice.count).sum(),
            powered_ns: head.head.powered_ns,
        })
    }

    /// Opens the store as a gateway would, which renews what can be renewed and sets aside a newest generation that does not
    /// open, then opens and reads the older ones to `renew`, and sets aside these. Says what was lost with each, and why the next start begins a new epoch, if it does.
    ///
    /// # Errors
    /// When it is in use, or nothing more may be set aside.
    pub fn repair(
        &self,
        uplinks: &[String],
        aside: &[(Position, String)],
        renew: &[Position],
        generation_bytes: u64,
    ) -> Result<(Vec<SetAside>, Option<EpochReason>), RepairError> {
        let options = OpenOptions {
            path: self.path.clone(),
            generation_bytes,
            uplinks: uplinks
                .iter()
                .map(|name| (name.clone(), StartAt::Newest))
                .collect(),
            // Whose box this is matters to the gateway that opens it next, not to whoever repairs it.
            machine_id: None,
            // Nothing is given up by a repair: that is for the gateway, which knows what may be.
            quota: Quota {
                keep_delivered: Duration::MAX,
                ..Quota::default()
            },
            health: Arc::new(BufferHealth::default()),
            medium: Medium::sled(),
        };
        let done = Store::open(&options)
            .map_err(RepairError::Store)
            .and_then(|(mut store, _)| {
                let done = repair_open(&mut store, aside, renew);
                // As long as it is held: no gateway shall find what it may not write.
                owner::give_back(&self.path)?;
                done
            });
        // Also what was written when it was closed, or before it could not be opened.
        owner::give_back(&self.path)?;
        done
    }

    /// How many more generations can be set aside before the oldest one of those would go.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn room_for_damaged(&self) -> Result<usize, ShutError> {
        let damaged = self.names()?.0.iter().filter(|name| name.damaged).count();
        Ok(MAX_DAMAGED.saturating_sub(damaged))
    }
}

fn repair_open(
    store: &mut Store,
    aside: &[(Position, String)],
    renew: &[Position],
) -> Result<(Vec<SetAside>, Option<EpochReason>), RepairError> {
    let mut lost = Vec::new();
    // First what may have been evicted before it went: as long as those to be set aside are in their places, the account
    // tells how many of its events are missed.
    for first in renew {
        store.read_through(*first)?;
    }
    for (first, reason) in aside {
        let done = store.set_aside_on_behalf(*first, reason.clone())?;
        lost.push(done.map_err(RepairError::Left)?);
    }
    store.commit_progress()?;
    Ok((lost, store.new_epoch()))
}

/// Why a repair ended.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was written cannot be given to whose the store is.
    #[error(
        "{0}: the store is repaired, but a part of it belongs to another user than its directory: give it to that one with \
         chown"
    )]
    Owner(#[from] ShutError),
    /// A generation is left alone, and why.
    #[error("{0}")]
    Left(String),
}
