//! Whose a store is: what a command writes into it must belong to the user that runs the gateway, whoever runs the command.
//!
//! `store` and `parked` may be links to another disk, which are followed as the gateway follows them. Nothing is followed out of
//! these two: everything is opened once, relative to the open directory above it, and what is open is looked at and given.
//! Links stay as they are, and a file with a second name somewhere else is left alone.

use super::{ShutError, root};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchownat};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Directories in one another: a generation's blobs lie three below `buffer.path`.
const MAX_DEPTH: u32 = 8;

/// Gives all in the store of this `buffer.path` to the owner of the store's directory: what was written a moment ago, and
/// what an earlier command left to another user.
pub(super) fn give_back(path: &Path) -> Result<(), ShutError> {
    let store = root(path);
    let (opened, owner) = top(&store, None).map_err(|error| ShutError::io(&store, error))?;
    give(&store, &opened, &owner, MAX_DEPTH)?;
    let parked = path.join("parked");
    match top(&parked, Some(&owner)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        found => {
            let (opened, _) = found.map_err(|error| ShutError::io(&parked, error))?;
            give(&parked, &opened, &owner, MAX_DEPTH)
        }
    }
}

/// A directory that was made a moment ago goes to the owner of the one above it, where this user may give it away.
pub(super) fn give_to_parent_owner(made: &Path) {
    let above = made.parent().and_then(|above| fs::metadata(above).ok());
    if let Some(owner) = above {
        // In a directory for everybody's temporary files it stays this user's.
        open(AT_FDCWD, made)
            .and_then(|made| give_one(&made, &owner))
            .ok();
    }
}

/// One of the two directories, open, through a link perhaps. A link must not make somebody the owner of what was not theirs:
/// what it leads to belongs to the store's `owner` already or, as nobody is known to be that, to whoever made the link, if
/// that was not the administrator.
fn top(path: &Path, owner: Option<&Metadata>) -> io::Result<(File, Metadata)> {
    let itself = open(AT_FDCWD, path)?;
    let link = itself.metadata()?;
    if !link.is_symlink() {
        return Ok((itself, link));
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let leads_to = File::from(openat(AT_FDCWD, path, flags, Mode::empty())?);
    let found = leads_to.metadata()?;
    let may = match owner {
        Some(owner) => owner.uid() == found.uid(),
        None => [0, found.uid()].contains(&link.uid()),
    };
    if !may {
        let why = "a link to a directory of another user, which is not followed";
        return Err(io::Error::other(why));
    }
    Ok((leads_to, found))
}

/// What this name is, a link itself, for looking at it and giving it away, not for reading.
fn open(above: impl AsFd, name: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(openat(above, name, flags, Mode::empty())?))
}

fn give(path: &Path, opened: &File, owner: &Metadata, deeper: u32) -> Result<(), ShutError> {
    let io = |error| ShutError::io(path, error);
    let is_directory = give_one(opened, owner).map_err(io)?;
    if !is_directory || deeper == 0 {
        return Ok(());
    }
    // The directory that is open, whatever has its name by now.
    let entries = fs::read_dir(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    let entries = match entries {
        // Removed meanwhile: a gateway may have started.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io)?,
    };
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        let path = path.join(&name);
        match open(opened, Path::new(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => {
                let found = found.map_err(|error| ShutError::io(&path, error))?;
                give(&path, &found, owner, deeper - 1)?;
            }
        }
    }
    Ok(())
}

/// True for a directory.
fn give_one(opened: &File, owner: &Metadata) -> io::Result<bool> {
    let found = opened.metadata()?;
    let (uid, gid) = (owner.uid(), owner.gid());
    let may = found.is_dir() || (found.is_file() && found.nlink() == 1);
    if may && (found.uid(), found.gid()) != (uid, gid) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        fchownat(opened, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)?;
    }
    Ok(found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};
    use std::path::PathBuf;

    /// Whose the store is: nobody.
    const OWNER: u32 = 65_534;

    fn owner_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().uid()
    }

    /// A directory of that user with a file of root in it.
    fn directory(path: PathBuf, owner: u32) -> PathBuf {
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), b"written a moment ago").unwrap();
        lchown(&path, Some(owner), Some(owner)).unwrap();
        path
    }

    #[test]
    fn links_of_the_two_directories_are_followed_and_none_below_or_to_what_is_anothers() {
        if !Uid::effective().is_root() {
            println!("skipped: only root can give a store to another user");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let store = directory(at("disk-store"), OWNER);
        let parked = directory(at("disk-parked"), OWNER);
        let outside = directory(at("outside"), 0);
        let path = at("state");
        fs::create_dir(&path).unwrap();
        symlink(&store, path.join("store")).unwrap();
        symlink(&parked, path.join("parked")).unwrap();
        symlink(&outside, store.join("link")).unwrap();
        fs::hard_link(outside.join("file"), store.join("second-name")).unwrap();
        fs::create_dir_all(store.join("a/b/c")).unwrap();

        give_back(&path).unwrap();
        for given in [store.join("file"), store.join("a/b/c"), parked.join("file")] {
            assert_eq!(owner_of(&given), OWNER, "{}", given.display());
        }
        assert_eq!(owner_of(&outside.join("file")), 0);
        assert_eq!(owner_of(&store.join("link")), 0);

        // The gateway's user would have what is root's.
        fs::remove_file(path.join("parked")).unwrap();
        symlink(&outside, path.join("parked")).unwrap();
        lchown(path.join("parked"), Some(OWNER), Some(OWNER)).unwrap();
        assert!(give_back(&path).is_err());
        assert_eq!(
            [&outside, &outside.join("file")].map(|it| owner_of(it)),
            [0, 0]
        );
    }
}
