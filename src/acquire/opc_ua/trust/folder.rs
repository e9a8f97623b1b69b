//! The folder `pki`: which certificate lies where. Everything is read with limits, and nothing that a certificate says
//! becomes a name of a file.

use super::certificate::{Certificate, MAX_FILE_BYTES, Thumbprint, Unreadable};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most files that are read in one folder.
const MAX_FILES: usize = 500;
/// Most certificates that are kept as rejected; each has a file beside it that says why. The oldest goes first.
pub const MAX_REJECTED: usize = 50;
/// Longest reason.
const MAX_REASON_BYTES: usize = 1024;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct FolderError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A file that should be a certificate.
#[derive(Debug)]
pub struct Filed {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub certificate: Result<Certificate, Unreadable>,
    /// What it is called, be it a certificate or not.
    pub thumbprint: Thumbprint,
    /// Why it was refused, where it was.
    pub reason: Option<String>,
    changed: SystemTime,
}

/// What lies in one folder, by name; nothing where there is no such folder. At most 500 files are looked at.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub(super) fn list(folder: &Path) -> Result<Vec<Filed>, FolderError> {
    let fault = |source| FolderError {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fault)?,
    };
    let mut paths = Vec::new();
    for entry in entries.take(MAX_FILES) {
        let path = entry.map_err(fault)?.path();
        if is_certificate_file(&path) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(filed).collect()
}

/// What a tool calls a certificate; what lies beside it, such as a reason, is none.
fn is_certificate_file(path: &Path) -> bool {
    let ends = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["der", "cer", "crt", "pem"]
        .iter()
        .any(|known| ends.eq_ignore_ascii_case(known))
}

fn filed(path: PathBuf) -> Result<Filed, FolderError> {
    let bytes = read(&path, MAX_FILE_BYTES)?;
    let certificate = Certificate::from_file(&bytes);
    let thumbprint = certificate
        .as_ref()
        .map_or_else(|_| Thumbprint::of(&bytes), Certificate::thumbprint);
    let reason = read(&reason_file(&path), MAX_REASON_BYTES).ok();
    let changed = fs::metadata(&path).and_then(|file| file.modified());
    Ok(Filed {
        certificate,
        thumbprint,
        reason: reason.map(|text| String::from_utf8_lossy(&text).trim().to_owned()),
        changed: changed.unwrap_or(SystemTime::UNIX_EPOCH),
        path,
    })
}

/// Reads a file up to one byte over its limit: longer is not read, and no certificate.
pub(super) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FolderError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    fs::File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|source| FolderError {
            path: path.to_owned(),
            source,
        })?;
    Ok(bytes)
}

/// Keeps what was refused, with the reason. What lies there already with this reason is not written again: a server
/// that is refused is tried for years, and flash wears.
///
/// # Errors
/// When it cannot be written.
pub(super) fn reject(folder: &Path, der: &[u8], reason: &str) -> Result<(), FolderError> {
    make(folder)?;
    let path = folder.join(format!("{}.der", Thumbprint::of(der)));
    let why = reason_file(&path);
    let known = path.is_file()
        && read(&why, MAX_REASON_BYTES).is_ok_and(|known| known == reason.as_bytes());
    if known {
        return Ok(());
    }
    make_room(folder, &path)?;
    write(&path, der)?;
    write(&why, reason.as_bytes())
}

/// Removes the oldest ones until one more has room.
fn make_room(folder: &Path, path: &Path) -> Result<(), FolderError> {
    let mut there = list(folder)?;
    there.retain(|filed| filed.path != path);
    there.sort_by_key(|filed| filed.changed);
    let too_many = (there.len() + 1).saturating_sub(MAX_REJECTED);
    there.iter().take(too_many).try_for_each(remove)
}

/// Removes a certificate and the reason beside it.
pub(super) fn remove(filed: &Filed) -> Result<(), FolderError> {
    for path in [filed.path.clone(), reason_file(&filed.path)] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(FolderError { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn reason_file(path: &Path) -> PathBuf {
    path.with_extension("reason")
}

/// Makes a folder that only its owner can look into.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make(folder: &Path) -> Result<(), FolderError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .and_then(|()| give_away(folder))
        .map_err(|source| FolderError {
            path: folder.to_owned(),
            source,
        })
}

/// Gives what root has made to the owner of the folder above: the service runs as another user, and could not read it.
fn give_away(path: &Path) -> io::Result<()> {
    let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) else {
        return Ok(());
    };
    let (mine, above) = (fs::metadata(path)?, fs::metadata(above)?);
    if mine.uid() != 0 || above.uid() == 0 {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(above.uid()), Some(above.gid()))
}

/// Writes a file that only its owner can read: whole, or not at all.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let part = path.with_extension("part");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| give_away(&part))
        .and_then(|()| fs::rename(&part, path));
    written.map_err(|source| FolderError {
        path: path.to_owned(),
        source,
    })
}
