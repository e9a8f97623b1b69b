//! Where a device's learnt map is kept: `learnt/<device>` below the state directory, which may be deleted at any time.
//!
//! Read once at the start. Written beside the reading, while the wire waits: a slow disk delays no request. What cannot be
//! read or written is learnt again; it is said once and harms nothing.

use super::learnt::{self, MAX_BYTES, Span};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use tracing::{debug, info, warn};

/// The folder below the state directory.
const FOLDER: &str = "learnt";

/// A file, on its way to the disk.
type Writing = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The learnt map of one device on disk.
pub(super) struct Notebook {
    path: PathBuf,
    /// What is to be written next; only the newest.
    unwritten: Option<Vec<u8>>,
    writing: Option<Writing>,
    complained: bool,
}

impl Notebook {
    /// That of a device, by its full name, which the settings keep to letters, digits and `-_.`.
    pub(super) fn of(device: &str, state: &Path) -> Notebook {
        Notebook {
            path: state.join(FOLDER).join(device),
            unwritten: None,
            writing: None,
            complained: false,
        }
    }

    /// What is written in it; nothing where there is none, or no believable one.
    pub(super) fn read(&self) -> HashSet<Span> {
        let path = self.path.display();
        match bounded(&self.path) {
            Ok(bytes) => learnt::decode(&bytes).unwrap_or_else(|| {
                info!(%path, "not used: it is damaged, or of another version; it is written anew");
                HashSet::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    info!(%path, "not used: {error}");
                }
                HashSet::new()
            }
        }
    }

    /// To be written when there is time; replaces what still waits.
    pub(super) fn note(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.unwritten = Some(learnt::encode(spans));
    }

    /// Something is to be written.
    pub(super) fn is_open(&self) -> bool {
        self.unwritten.is_some() || self.writing.is_some()
    }

    /// Writes what there is to write. Cancel-safe: goes on where it was.
    pub(super) async fn write(&mut self) {
        if self.writing.is_none() {
            let Some(bytes) = self.unwritten.take() else {
                return;
            };
            self.writing = Some(Box::pin(replace(self.path.clone(), bytes)));
        }
        let Some(writing) = self.writing.as_mut() else {
            return;
        };
        let written = writing.await;
        self.writing = None;
        let path = self.path.display();
        match written {
            Ok(()) => debug!(%path, "written"),
            Err(error) if !self.complained => {
                self.complained = true;
                warn!(%path, "not written, so it is learnt again after a restart: {error}");
            }
            Err(_) => {}
        }
    }
}

/// A whole file, if it is one and not longer than it may be.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file so that there is always a whole one or none. Not forced to the disk: it may be lost, and has a checksum.
async fn replace(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    if let Some(folder) = path.parent()
        && let Err(error) = tokio::fs::create_dir(folder).await
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    // No name in the settings may have this sign.
    let mut beside = path.clone().into_os_string();
    beside.push("~");
    tokio::fs::write(&beside, bytes).await?;
    tokio::fs::rename(&beside, &path).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Table;

    fn spans(starts: std::ops::Range<u16>) -> HashSet<Span> {
        let span = |start| Span {
            table: Table::HoldingRegisters,
            start,
            count: 2,
        };
        starts.map(span).collect()
    }

    #[tokio::test]
    async fn the_newest_is_read_again() {
        let home = tempfile::tempdir().unwrap();
        let mut notebook = Notebook::of("M.plc", home.path());
        assert!(!notebook.is_open());
        assert_eq!(notebook.read(), HashSet::new());
        for end in [3, 9] {
            notebook.note(spans(0..5));
            notebook.note(spans(0..end));
            while notebook.is_open() {
                notebook.write().await;
            }
            assert_eq!(Notebook::of("M.plc", home.path()).read(), spans(0..end));
        }
        let names: Vec<_> = fs::read_dir(home.path().join(FOLDER)).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[tokio::test]
    async fn what_is_no_believable_file_is_nothing_and_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FOLDER).join("M.plc");
        fs::create_dir(home.path().join(FOLDER)).unwrap();
        let mut notebook = Notebook::of("M.plc", home.path());
        for bytes in [vec![], vec![0; 100], vec![0; MAX_BYTES * 3]] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(notebook.read(), HashSet::new());
        }
        notebook.note(spans(0..2));
        notebook.write().await;
        assert_eq!(notebook.read(), spans(0..2));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(notebook.read(), HashSet::new());
    }

    #[tokio::test]
    async fn where_nothing_can_be_written_nothing_else_happens() {
        let mut notebook = Notebook::of("M.plc", Path::new("/millgate-none"));
        notebook.note(spans(0..2));
        notebook.write().await;
        assert!(notebook.complained && !notebook.is_open());
    }
}
