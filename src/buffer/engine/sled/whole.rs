//! Reads a `db` file whole before sled opens it. Called by `open`.
//!
//! sled takes a block that cannot be read for the end of its log, and overwrites what is behind it with zeros: one transient
//! error while it opens destroys what was acknowledged. Found by failing single reads: with the worst of them all was gone.
//! What was read here lies in the page cache, so that sled asks the disk for nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Read at a time.
const PIECE: usize = 1 << 20;
/// Attempts at a piece: a bus that was disturbed for a moment is no lost block.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// Reads all of a file and forgets it; a file that is not there has nothing to read.
///
/// # Errors
/// That of the piece that could not be read.
pub(super) fn read(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    let mut piece = vec![0; PIECE];
    let mut offset = 0u64;
    loop {
        let read = patiently(|| file.read_at(&mut piece, offset))?;
        if read == 0 {
            return Ok(());
        }
        offset += read as u64;
    }
}

fn patiently(mut work: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    let mut tries = 1;
    loop {
        match work() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_read_at_the_second_attempt_is_no_damage() {
        let mut answers = vec![
            Ok(7),
            Err(io::Error::from_raw_os_error(libc::EIO)),
            Err(io::Error::from(io::ErrorKind::Interrupted)),
        ];
        let read = patiently(|| answers.pop().unwrap_or(Ok(0)));
        assert_eq!(read.unwrap(), 7);
        let mut asked = 0;
        let lost = patiently(|| {
            asked += 1;
            Err(io::Error::from_raw_os_error(libc::EIO))
        });
        assert_eq!(lost.unwrap_err().raw_os_error(), Some(libc::EIO));
        assert_eq!(asked, TRIES);
    }

    #[test]
    fn a_file_is_read_to_its_end_and_none_is_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("db");
        read(&path).unwrap();
        std::fs::write(&path, vec![1; 2 * PIECE + 1]).unwrap();
        read(&path).unwrap();
        assert!(read(home.path()).is_err(), "a directory is no file");
    }
}
