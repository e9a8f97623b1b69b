//! Parked events as their files tell: read beside a running gateway, too, since each file is whole or not there. Changed only
//! under the lock of a store that no gateway has; a running one is asked instead (see `live`).

use super::{Held, ShutError, ShutStore, owner};
use crate::buffer::disk::{Disk, Files};
use crate::buffer::parked::Folder;
use crate::buffer::{Changed, Parked, ParkedChange, ParkedError};
use crate::model::{Position, UtcTime};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Uplinks with a folder that are looked at: more than any settings have.
const MAX_UPLINKS: usize = 256;

impl ShutStore {
    /// The uplinks that have, or had, parked events, sorted.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn parked_uplinks(&self) -> Result<Vec<String>, ShutError> {
        let root = self.parked_root();
        let names = match Files.names(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(|error| ShutError::io(&root, error))?,
        };
        let is_folder = |name: &String| root.join(name).is_dir();
        Ok(names
            .into_iter()
            .filter(is_folder)
            .take(MAX_UPLINKS)
            .collect())
    }

    /// The positions of an uplink's parked events, rising.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn parked_positions(&self, uplink: &str) -> Result<Vec<Position>, ShutError> {
        let root = self.parked_root();
        let folder = folder(&root, uplink);
        let listed = folder.listed();
        listed.map_err(|error| ShutError::io(&folder.path(), error))
    }

    /// The positions on an uplink's list of discarded events, as far back as it goes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn discarded_positions(&self, uplink: &str) -> Result<BTreeSet<Position>, ShutError> {
        let root = self.parked_root();
        let folder = folder(&root, uplink);
        let listed = folder.listed_as_discarded();
        listed.map_err(|error| ShutError::io(&folder.path(), error))
    }

    /// Since when that list has every discard; `None` where it has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn discards_listed_since(&self, uplink: &str) -> Result<Option<UtcTime>, ShutError> {
        let root = self.parked_root();
        let folder = folder(&root, uplink);
        let since = folder.listed_since();
        since.map_err(|error| ShutError::io(&folder.path(), error))
    }

    /// One parked event; `None` where its file is gone by now. The inner error says why it cannot be read.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn read_parked(
        &self,
        uplink: &str,
        position: Position,
    ) -> Result<Option<Result<Parked, ParkedError>>, ShutError> {
        let root = self.parked_root();
        let folder = folder(&root, uplink);
        let found = folder.parked(position);
        found.map_err(|error| ShutError::io(&folder.path(), error))
    }

    /// Changes parked events, durably. What is discarded stays where it is until the next start of a gateway, which alone
    /// can take it off the account.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn change_parked(
        &self,
        _lock: &Held,
        uplink: &str,
        change: &ParkedChange,
        now: UtcTime,
    ) -> Result<Changed, ShutError> {
        let root = self.parked_root();
        let folder = folder(&root, uplink);
        let done = folder.change(change, &change.positions, now);
        // The gateway runs as another user than whoever may run this, and must be able to read what was written.
        owner::give_back(self.path())?;
        let done = done.map_err(|error| ShutError::io(&folder.path(), error))?;
        Ok(done.counts)
    }

    pub(super) fn parked_root(&self) -> PathBuf {
        self.path().join("parked")
    }
}

fn folder<'a>(root: &'a Path, uplink: &'a str) -> Folder<'a> {
    Folder {
        disk: &Files,
        root,
        uplink,
    }
}
