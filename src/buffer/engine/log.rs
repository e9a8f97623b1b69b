//! The second engine: a plain log of batches in one file, the newest values in memory. For tests, on any [`Disk`], and as
//! the yardstick of the benches: nothing durable can be had with fewer writes than one append and one fsync.
//!
//! A batch is a frame: length, CRC-32C, entries. An open reads frames until one is not whole; what follows is cut off.

use super::{Batch, Disk, Each, Engine, EngineError, Purpose, damaged, io_error};
use crate::buffer::disk::DiskFile;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAME: &str = "log";
/// Length and checksum of a frame.
const HEADER: usize = 8;
/// Longest frame that is believed: a batch of the largest events.
const MAX_FRAME: usize = 64 << 20;
/// Read at a time when it is opened.
const READ_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    end: u64,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    poisoned: bool,
}

/// Opens or creates the log in a directory.
///
/// # Errors
/// [`EngineError::Io`] when the disk refuses.
pub fn open(
    disk: &Arc<dyn Disk>,
    path: &Path,
    purpose: Purpose,
) -> Result<Box<dyn Engine>, EngineError> {
    let io = |source| io_error(path, source);
    disk.create_dirs(path).map_err(io)?;
    let file = disk.open(&path.join(NAME)).map_err(io)?;
    let mut log = Log {
        path: path.to_owned(),
        file,
        end: 0,
        entries: BTreeMap::new(),
        poisoned: false,
    };
    log.replay().map_err(io)?;
    if purpose == Purpose::Write {
        log.file.set_length(log.end).map_err(io)?;
        log.file.sync().map_err(io)?;
        disk.sync_dir(path).map_err(io)?;
    }
    Ok(Box::new(log))
}

impl Log {
    fn replay(&mut self) -> io::Result<()> {
        let bytes = read_all(self.file.as_ref())?;
        let mut rest = bytes.as_slice();
        while let Some((batch, after)) = frame(rest) {
            for (key, value) in batch {
                self.apply(key, value);
            }
            self.end += (rest.len() - after.len()) as u64;
            rest = after;
        }
        Ok(())
    }

    fn apply(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.entries.insert(key, value),
            None => self.entries.remove(&key),
        };
    }

    fn write<T>(&mut self, result: io::Result<T>) -> Result<T, EngineError> {
        result.map_err(|source| {
            self.poisoned = true;
            io_error(&self.path, source)
        })
    }

    fn usable(&self) -> Result<(), EngineError> {
        if self.poisoned {
            return Err(EngineError::Poisoned(self.path.clone()));
        }
        Ok(())
    }
}

impl Engine for Log {
    fn put(&mut self, batch: Batch) -> Result<(), EngineError> {
        self.usable()?;
        let bytes = encode(&batch).map_err(|error| damaged(&self.path, error.to_string()))?;
        let written = self.file.write_all_at(&bytes, self.end);
        self.write(written)?;
        self.end += bytes.len() as u64;
        for (key, value) in batch {
            self.apply(key, value);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        self.usable()?;
        let synced = self.file.sync();
        self.write(synced)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], each: &mut Each<'_>) -> Result<(), EngineError> {
        for (key, value) in self.entries.range(from.to_vec()..) {
            if !key.starts_with(prefix) || each(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let mut found = self.entries.range(prefix.to_vec()..);
        let with_prefix = found
            .by_ref()
            .take_while(|(key, _)| key.starts_with(prefix));
        Ok(with_prefix.last().map(|(key, _)| key.clone()))
    }

    #[cfg(test)]
    fn break_barrier(&mut self) {
        self.file = Box::new(
            std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/null")
                .unwrap(),
        );
    }
}

fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; READ_BYTES];
    loop {
        let read = file.read_at(&mut piece, bytes.len() as u64)?;
        let Some(found) = piece.get(..read).filter(|found| !found.is_empty()) else {
            return Ok(bytes);
        };
        bytes.extend_from_slice(found);
    }
}

fn encode(batch: &Batch) -> Result<Vec<u8>, postcard::Error> {
    let body = postcard::to_stdvec(batch)?;
    let length = u32::try_from(body.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The first frame and what follows it; `None` where it is not whole.
fn frame(bytes: &[u8]) -> Option<(Batch, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length == 0 || length > MAX_FRAME {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some((postcard::from_bytes(body).ok()?, rest))
}
