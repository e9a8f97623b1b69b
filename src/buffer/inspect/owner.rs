//! Whose a store is: what a command writes into it must belong to the user that runs the gateway, whoever runs the command.
//!
//! Nothing is followed out of the store: links stay as they are, and a file with a second name somewhere else is left alone.

use super::{ShutError, root};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

/// Directories in one another: a generation's blobs lie three below `buffer.path`.
const MAX_DEPTH: u32 = 8;

/// Gives all in the store of this `buffer.path` to the owner of the store's directory: what was written a moment ago, and
/// what an earlier command left to another user.
pub(super) fn give_back(path: &Path) -> Result<(), ShutError> {
    let store = root(path);
    let owner = fs::metadata(&store).map_err(|error| ShutError::io(&store, error))?;
    for part in [store, path.join("parked")] {
        give(&part, &owner, MAX_DEPTH)?;
    }
    Ok(())
}

/// A directory that was made a moment ago goes to the owner of the one above it, where this user may give it away.
pub(super) fn give_to_parent_owner(made: &Path) {
    let above = made.parent().and_then(|above| fs::metadata(above).ok());
    if let Some(owner) = above {
        // In a directory for everybody's temporary files it stays this user's.
        give_one(made, &owner).ok();
    }
}

fn give(path: &Path, owner: &Metadata, deeper: u32) -> Result<(), ShutError> {
    let io = |error| ShutError::io(path, error);
    let is_directory = match give_one(path, owner) {
        // Removed meanwhile: a gateway may have started.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        given => given.map_err(io)?,
    };
    if !is_directory || deeper == 0 {
        return Ok(());
    }
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        entries => {
            for entry in entries.map_err(io)? {
                give(&entry.map_err(io)?.path(), owner, deeper - 1)?;
            }
            Ok(())
        }
    }
}

/// True for a directory.
fn give_one(path: &Path, owner: &Metadata) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    let (uid, gid) = (owner.uid(), owner.gid());
    let may = found.is_dir() || (found.is_file() && found.nlink() == 1);
    if may && (found.uid(), found.gid()) != (uid, gid) {
        lchown(path, Some(uid), Some(gid))?;
    }
    Ok(found.is_dir())
}
