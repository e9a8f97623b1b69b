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
/// In place of a value's length: the key is removed.
const REMOVED: u32 = u32::MAX;

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    end: u64,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    poisoned: bool,
}

/// Opens the log in a directory, or creates it to write to it.
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
    let bytes = read_all(log.file.as_ref()).map_err(io)?;
    let whole = log.replay(&bytes);
    if purpose == Purpose::Write {
        log.file.set_length(log.end).map_err(io)?;
        // After a failed sync the kernel shows what the disk may not have, and takes it for written: so it is written.
        log.file.write_all_at(whole, 0).map_err(io)?;
        log.file.sync().map_err(io)?;
        disk.sync_dir(path).map_err(io)?;
    }
    Ok(Box::new(log))
}

impl Log {
    /// Takes in all frames up to the first that is not whole; returns their bytes.
    fn replay<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while let Some((batch, after)) = frame(rest) {
            for (key, value) in batch {
                self.apply(key, value);
            }
            rest = after;
        }
        let whole = bytes.len() - rest.len();
        self.end = whole as u64;
        bytes.get(..whole).unwrap_or_default()
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
        let bytes = encode(&batch).ok_or_else(|| damaged(&self.path, "the batch is too long"))?;
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
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// A batch as a frame; `None` past [`MAX_FRAME`].
fn encode(batch: &Batch) -> Option<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    for (key, value) in batch {
        put_length(&mut bytes, key.len())?;
        bytes.extend_from_slice(key);
        match value {
            Some(value) => {
                put_length(&mut bytes, value.len())?;
                bytes.extend_from_slice(value);
            }
            None => bytes.extend_from_slice(&REMOVED.to_le_bytes()),
        }
    }
    let (header, body) = bytes.split_first_chunk_mut::<HEADER>()?;
    if body.is_empty() || body.len() > MAX_FRAME {
        return None;
    }
    let length = u64::try_from(body.len()).ok()?;
    let both = length | u64::from(crc32c::crc32c(body)) << 32;
    *header = both.to_le_bytes();
    Some(bytes)
}

fn put_length(bytes: &mut Vec<u8>, length: usize) -> Option<()> {
    let length = u32::try_from(length)
        .ok()
        .filter(|length| *length != REMOVED)?;
    bytes.extend_from_slice(&length.to_le_bytes());
    Some(())
}

/// The first frame and what follows it; `None` where it is not whole.
fn frame(bytes: &[u8]) -> Option<(Batch, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length == 0 || length > MAX_FRAME {
        return None;
    }
    let (mut body, rest) = rest.split_at_checked(length)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut batch = Batch::new();
    while !body.is_empty() {
        let length = take_length(&mut body)?;
        let key = take(&mut body, length)?;
        let value = match take_length(&mut body)? {
            REMOVED => None,
            length => Some(take(&mut body, length)?),
        };
        batch.push((key, value));
    }
    Some((batch, rest))
}

fn take_length(body: &mut &[u8]) -> Option<u32> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    *body = rest;
    Some(u32::from_le_bytes(*length))
}

fn take(body: &mut &[u8], length: u32) -> Option<Vec<u8>> {
    let (found, rest) = body.split_at_checked(usize::try_from(length).ok()?)?;
    *body = rest;
    Some(found.to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::super::disk::memory::{Memory, Plan};
    use super::*;
    use std::ops::ControlFlow;

    fn opened(disk: &Memory) -> Box<dyn Engine> {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        open(&disk, Path::new("/log"), Purpose::Write).unwrap()
    }

    /// A batch that says everywhere which it is, of some sectors.
    fn batch(nth: u8, length: usize) -> Batch {
        let value = |byte: u8| Some(vec![byte; length]);
        let mut batch = vec![
            (b"a".to_vec(), value(nth)),
            (b"b".to_vec(), value(nth)),
            (vec![b'c', nth], Some(vec![])),
        ];
        if nth > 1 {
            batch.push((vec![b'c', nth - 1], None));
        }
        batch
    }

    /// Which batch was the last; all keys must say the same.
    fn last(log: &dyn Engine) -> u8 {
        let mut found = Vec::new();
        log.scan(b"", b"", &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
        let Some(nth) = log.last(b"c").unwrap().map(|key| key[1]) else {
            assert!(found.is_empty());
            return 0;
        };
        let length = found[0].1.len();
        assert_eq!(
            found,
            [
                (b"a".to_vec(), vec![nth; length]),
                (b"b".to_vec(), vec![nth; length]),
                (vec![b'c', nth], vec![]),
            ]
        );
        nth
    }

    #[test]
    fn what_was_synced_survives_every_power_cut_and_a_torn_end_is_cut_off() {
        let mut seen = [0; 3];
        for seed in 0..600 {
            let mut disk = Memory::new(seed);
            let length = fastrand::Rng::with_seed(seed).usize(0..1500);
            let mut log = opened(&disk);
            for nth in 1..=2 {
                log.put(batch(nth, length)).unwrap();
                log.sync().unwrap();
            }
            log.put(batch(3, length)).unwrap();
            disk = disk.crash(seed);
            // The power may go again while it recovers.
            disk.plan(Plan {
                cut: Some(disk.calls() + 1 + seed % 5),
                ..Plan::default()
            });
            let again: Arc<dyn Disk> = Arc::new(disk.clone());
            open(&again, Path::new("/log"), Purpose::Write).ok();
            disk = disk.crash(seed + 1);
            let mut log = opened(&disk);
            let found = last(log.as_ref());
            assert!(found == 2 || found == 3, "seed {seed}: {found}");
            seen[usize::from(found - 1)] += 1;
            log.put(batch(found + 1, length)).unwrap();
            log.sync().unwrap();
            assert_eq!(last(opened(&disk.crash(seed)).as_ref()), found + 1);
        }
        assert!(seen[1] > 50 && seen[2] > 50, "{seen:?}");
    }

    #[test]
    fn what_a_failed_sync_left_in_the_page_cache_is_durable_once_it_was_shown() {
        for seed in 0..300 {
            let disk = Memory::new(seed);
            let mut log = opened(&disk);
            log.put(batch(1, 700)).unwrap();
            disk.plan(Plan {
                broken: vec![disk.calls() + 1],
                ..Plan::default()
            });
            assert!(log.sync().is_err());
            assert!(matches!(log.sync(), Err(EngineError::Poisoned(_))));
            assert!(log.put(batch(2, 700)).is_err());
            let disk = disk.kill();
            let shown = last(opened(&disk).as_ref());
            assert_eq!(shown, 1);
            assert_eq!(last(opened(&disk.crash(seed)).as_ref()), shown);
        }
    }

    #[test]
    fn whatever_was_bent_or_cut_off_ends_it_there() {
        let mut bytes = Vec::new();
        for nth in 1..=3 {
            bytes.extend(encode(&batch(nth, 20)).unwrap());
        }
        let frames = |bytes: &[u8]| {
            let (mut rest, mut count) = (bytes, 0);
            while let Some((found, after)) = frame(rest) {
                count += 1;
                assert_eq!(found, batch(count, 20));
                rest = after;
            }
            count
        };
        assert_eq!(frames(&bytes), 3);
        let one = encode(&batch(1, 20)).unwrap().len();
        for bit in one * 8..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!((1..3).contains(&frames(&bent)), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(frames(&bytes[..length]) < 3);
        }
        assert!(encode(&Batch::new()).is_none(), "it would be no frame");
    }
}
