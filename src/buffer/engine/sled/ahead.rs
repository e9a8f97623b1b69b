//! Zeros ahead of sled's tip, written before sled comes there. Called between commits.
//!
//! A write into blocks that are there and written needs no entry in the file system's journal: the barrier then costs half,
//! and the disk sees half the bytes. And a full disk is met here, before sled was asked for anything.
//! Zeros are what sled itself writes behind its tip: it takes them for an empty place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Written at a time.
const PORTION: u64 = 512 << 10;
/// What sled writes beside a batch: new places, its index of them, its own headers.
const BESIDE: u64 = 64 << 10;

/// Makes sure that `bytes` more can be put where sled has come to `tip`. Only ever makes the file longer: what sled wrote is
/// not touched. sled places nothing further than its tip counts: it uses freed segments first.
///
/// # Errors
/// The disk's, most likely that it is full.
pub(super) fn ensure(file: &File, tip: u64, bytes: u64) -> io::Result<()> {
    // A batch that does not fit the rest of a segment leaves it unused.
    let least = tip
        .saturating_add(bytes.saturating_mul(2))
        .saturating_add(BESIDE);
    let length = file.metadata()?.len();
    if length >= least {
        return Ok(());
    }
    let end = least.saturating_add(PORTION) / PORTION * PORTION;
    let zeros = vec![0; usize::try_from(PORTION).unwrap_or(usize::MAX)];
    let mut at = length;
    while at < end {
        let piece = usize::try_from(end - at)
            .unwrap_or(usize::MAX)
            .min(zeros.len());
        match file.write_at(zeros.get(..piece).unwrap_or_default(), at) {
            Ok(written) => at += written as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // More than is needed now would have been welcome.
            Err(_) if at >= least => break,
            Err(error) => return Err(error),
        }
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_grows_by_portions_and_what_is_in_it_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db");
        std::fs::write(&path, b"sled").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        ensure(&file, 4, 1_000).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, PORTION);
        assert!(bytes.starts_with(b"sled") && bytes[4..].iter().all(|byte| *byte == 0));
        ensure(&file, PORTION - 2_000 - BESIDE, 1_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), PORTION, "it is enough");
        ensure(&file, PORTION - 2_000 - BESIDE, 1_001).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2 * PORTION);
        ensure(&file, 3 * PORTION, 4 * PORTION).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 12 * PORTION);
    }

    #[test]
    fn a_full_disk_is_said() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = ensure(&full, 0, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
