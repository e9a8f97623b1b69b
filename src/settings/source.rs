//! The bytes of a settings file: found, not too long, and text.

use super::places::Places;
use super::problem::{Place, Problem, Problems};
use super::yaml::MAX_BYTES;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Why there is no text to read settings from.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was read is no settings file.
    #[error(transparent)]
    NotText(#[from] Problems),
}

/// Reads the text of a settings file, at most 1 MiB of UTF-8.
///
/// # Errors
/// When it cannot be read, or is too long or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Unreadable> {
    let io = |source| Unreadable::Io {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    // One byte more than allowed: enough to know that it is too long.
    let most = u64::try_from(MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)
        .map_err(io)?
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(text(bytes)?)
}

/// The text of a settings file.
///
/// # Errors
/// When it is too long or not UTF-8, with the place of the first byte that is not.
pub fn text(bytes: Vec<u8>) -> Result<String, Problems> {
    let refuse = |place, message: String| {
        Err(Problems::new(
            vec![Problem::at(place, message)],
            Places::default(),
        ))
    };
    if bytes.len() > MAX_BYTES {
        return refuse(Place::START, too_long());
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return refuse(Place::START, "the file is UTF-16: save it as UTF-8".into());
    }
    String::from_utf8(bytes).or_else(|error| {
        let good = error.utf8_error().valid_up_to();
        let (before, after) = error.as_bytes().split_at_checked(good).unwrap_or_default();
        let bad = after.first().copied().unwrap_or_default();
        let line = before
            .split(|byte| *byte == b'\n')
            .next_back()
            .unwrap_or_default();
        let place = Place {
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: String::from_utf8_lossy(line).chars().count() + 1,
        };
        refuse(
            place,
            format!("the byte 0x{bad:02X} is not UTF-8: save the file as UTF-8"),
        )
    })
}

/// What is said of a file that is too long.
pub(super) fn too_long() -> String {
    format!("the file is longer than {MAX_BYTES} bytes (1 MiB), which is all that is read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> (Place, String) {
        let problems = text(bytes.to_vec()).unwrap_err();
        let first = problems.list[0].clone();
        (first.place.unwrap(), first.message)
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_refused_with_the_place_of_the_first_bad_byte() {
        let (place, message) = refused(b"gateway:\n  id: \xc3\xa4bc\xe4\n");
        assert_eq!((place.line, place.column), (2, 10));
        assert!(message.contains("0xE4"), "{message}");
        assert!(refused(b"\xff\xfeg\0").1.contains("UTF-16"));
    }

    #[test]
    fn an_overlong_file_is_refused() {
        let (place, message) = refused(&vec![b'#'; MAX_BYTES + 1]);
        assert_eq!(place, Place::START);
        assert!(message.contains("1 MiB"), "{message}");
        assert!(text(vec![b'#'; MAX_BYTES]).is_ok());
    }
}
