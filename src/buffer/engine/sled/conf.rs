//! sled's `conf` file: told apart are one of other settings, which must not be touched, and a damaged one, which sled
//! would take at its word.

use crate::buffer::disk::remove_file;
use std::io;
use std::path::Path;

/// Large enough that a commit of ten events of 2 KB is one piece, see `frame`. Fixed, because a database keeps the size it
/// was created with; and a store of another layout, which had other sizes, is told by it.
pub(in crate::buffer) const SEGMENT_SIZE: usize = 1 << 20;
/// The pages of this layout. A `conf` of another one belongs to another program.
const SLED_VERSION: &str = "0.34";
/// A whole `conf` has less than a hundred bytes.
const MAX_CONF: u64 = 4 << 10;

/// What `conf` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Conf {
    /// Ours, or not there yet.
    Fits,
    /// Whole, and of other settings: this many lines of text say which.
    Foreign(String),
    /// Torn or bent; it was removed and sled writes it anew.
    Renewed,
}

/// Reads `conf` of a database directory before sled does, and removes it where it is damaged.
pub(super) fn check(directory: &Path) -> io::Result<Conf> {
    let path = directory.join("conf");
    let Some(bytes) = read(&path)? else {
        return Ok(Conf::Fits);
    };
    let conf = judge(&bytes);
    if conf == Conf::Renewed {
        tracing::warn!(path = %path.display(), "a damaged conf file was renewed");
        remove_file(&path)?;
    }
    Ok(conf)
}

/// Whether there is one, and it is torn or bent. Changes nothing.
pub(in crate::buffer) fn is_damaged(directory: &Path) -> io::Result<bool> {
    let bytes = read(&directory.join("conf"))?;
    Ok(bytes.is_some_and(|bytes| judge(&bytes) == Conf::Renewed))
}

/// Its bytes; none of them where it is too long to be one.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > MAX_CONF => Ok(Some(Vec::new())),
        Ok(_) => Ok(Some(std::fs::read(path)?)),
    }
}

fn judge(bytes: &[u8]) -> Conf {
    let expected =
        format!("segment_size: {SEGMENT_SIZE}\nuse_compression: false\nversion: {SLED_VERSION}\n");
    match bytes.split_last_chunk::<4>() {
        Some((text, _)) if text == expected.as_bytes() => Conf::Fits,
        Some((text, crc)) if !text.is_empty() && crc32(text) == u32::from_le_bytes(*crc) => {
            let text = String::from_utf8_lossy(text);
            Conf::Foreign(text.trim_end().replace('\n', ", "))
        }
        _ => Conf::Renewed,
    }
}

/// CRC-32 of IEEE 802.3, which sled puts behind `conf`. Ours are CRC-32C; this one is for a hundred bytes at an open.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low == 1 {
                crc ^= 0xEDB8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_by_sled(segment_size: usize) -> Vec<u8> {
        let home = tempfile::tempdir().unwrap();
        let database = sled::Config::new()
            .path(home.path().join("x"))
            .segment_size(segment_size)
            .flush_every_ms(None)
            .open()
            .unwrap();
        drop(database);
        std::fs::read(home.path().join("x/conf")).unwrap()
    }

    #[test]
    fn ours_fits_and_another_segment_size_is_foreign() {
        assert_eq!(judge(&written_by_sled(SEGMENT_SIZE)), Conf::Fits);
        assert_eq!(
            judge(&written_by_sled(SEGMENT_SIZE / 2)),
            Conf::Foreign(format!(
                "segment_size: {}, use_compression: false, version: 0.34",
                SEGMENT_SIZE / 2
            ))
        );
    }

    #[test]
    fn a_bent_or_torn_conf_is_damage_and_never_foreign() {
        let bytes = written_by_sled(SEGMENT_SIZE);
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(judge(&bent), Conf::Foreign(_)), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(judge(&bytes[..length]), Conf::Renewed, "{length} bytes");
        }
    }
}
