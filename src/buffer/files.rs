//! The few calls on directories that the store's promises rest on: create, make entries durable, remove.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes the entries of a directory durable: created, renamed and removed names.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and its missing parents, each durable before the next.
pub(super) fn create_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dirs(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(error) if !path.is_dir() => return Err(error),
        _ => {}
    }
    sync_dir(parent)
}

/// Removes a directory with its content; that it is gone already is as good.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file; that it is gone already is as good.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names in a directory that are text, sorted.
pub(super) fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_with_their_parents_and_removed_twice() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("a/b/c");
        create_dirs(&deep).unwrap();
        create_dirs(&deep).unwrap();
        fs::write(deep.join("file"), b"x").unwrap();
        assert_eq!(names(&deep).unwrap(), ["file"]);
        assert!(create_dirs(&deep.join("file/d")).is_err());
        remove_tree(&home.path().join("a")).unwrap();
        remove_tree(&home.path().join("a")).unwrap();
        remove_file(&deep.join("file")).unwrap();
    }
}
