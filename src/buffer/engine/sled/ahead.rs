//! Zeros ahead of sled's tip, written before sled comes there. Called between commits.
//!
//! A write into blocks that are there and written needs no entry in the file system's journal: the barrier then costs half,
//! and the disk sees half the bytes. And a full disk is met here, before sled was asked for anything.
//! Zeros are what sled itself writes behind its tip: it takes them for an empty place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Written at a time.
const PORTION: u64 = 512 << 10;
/// Read at a time.
const READ: usize = 64 << 10;
/// What sled writes beside a batch: new places, its index of them, its own headers.
const BESIDE: u64 = 64 << 10;

/// Why there are no zeros ahead.
#[derive(Debug)]
pub(super) enum Lacking {
    /// There is no space for them. All is as it was.
    Space(io::Error),
    /// The disk failed: what is behind the tip now is not known.
    Failed(io::Error),
}

impl From<io::Error> for Lacking {
    fn from(error: io::Error) -> Lacking {
        Lacking::Failed(error)
    }
}

/// Makes sure that `bytes` more can be put where sled has come to `tip`. Only ever makes the file longer: what sled wrote is
/// not touched. sled places nothing further than its tip counts: it uses freed segments first.
///
/// # Errors
/// See [`Lacking`].
pub(super) fn ensure(file: &File, tip: u64, bytes: u64) -> Result<(), Lacking> {
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
            Err(error) if is_full(&error) && at >= least => break,
            Err(error) if is_full(&error) => return Err(Lacking::Space(error)),
            Err(error) => return Err(Lacking::Failed(error)),
        }
    }
    Ok(file.sync_data()?)
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge
    )
}

/// Gives back the zeros behind `tip` once sled has closed the file: nothing more is written to most of them. What is not
/// zero there stays, with all before it.
///
/// # Errors
/// The disk's; the file is as it was, then.
pub(super) fn give_back(path: &Path, tip: u64) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut end = tip.min(length);
    let mut piece = vec![0; READ];
    let mut at = end;
    while at < length {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            break;
        }
        let bytes = piece.get(..read).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            end = at + last as u64 + 1;
        }
        at += read as u64;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(())
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
        assert!(matches!(ensure(&full, 0, 1), Err(Lacking::Space(_))));
    }

    #[test]
    fn a_disk_that_fails_is_told_from_a_full_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db");
        std::fs::write(&path, b"sled").unwrap();
        let closed = File::open(&path).unwrap();
        assert!(matches!(ensure(&closed, 0, 1), Err(Lacking::Failed(_))));
    }

    #[test]
    fn zeros_go_and_what_is_none_stays() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db");
        let zeros = vec![0; 3 * READ];
        for (written, tip, left) in [
            (vec![b"sled".as_slice(), &zeros], 4, 4),
            (vec![b"sled", &zeros], 2, 4),
            (vec![b"sled", &zeros, b"more", &zeros], 4, 8 + zeros.len()),
            (vec![b"sled"], 100, 4),
            (vec![&zeros, b"sled"], 0, 4 + zeros.len()),
            (vec![&zeros], 7, 7),
        ] {
            std::fs::write(&path, written.concat()).unwrap();
            give_back(&path, tip).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len(), left, "{tip}");
            assert!(written.concat().starts_with(&bytes));
        }
    }
}
