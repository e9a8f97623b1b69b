//! Reading a secret at the moment it is needed: from systemd's credentials directory or from a file.
//!
//! `deliver` reads it anew at each connect, so that a password can be changed without a restart. Errors name the
//! path, never the content; what was read prints as `***`.

use super::shape::Secret;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest secret. A private key of 4,096 bits has about 3 KiB in PEM.
const MAX_BYTES: u64 = 64 << 10;

/// A secret in memory. Printed as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The secret itself: for the wire only, never for a log or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The service was started without credentials.
    #[error(
        "credential `{0}` is asked for, but $CREDENTIALS_DIRECTORY is not set: add LoadCredential= to the unit"
    )]
    NoDirectory(String),
    /// A credential's name must be a plain file name.
    #[error("credential `{0}` is not a name: it must not be empty or contain `/` or `..`")]
    NotAName(String),
    /// The file is not there or may not be read.
    #[error("cannot read the secret in {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is longer than any secret.
    #[error("the secret in {0} is longer than 64 KiB")]
    TooLong(PathBuf),
    /// The file is not UTF-8.
    #[error("the secret in {0} is not UTF-8 text")]
    NotText(PathBuf),
}

impl Secret {
    /// Reads the secret, without one newline at its end (editors and `echo` add it).
    ///
    /// # Errors
    /// When there is no such file or credential, it may not be read, is too long, or is not UTF-8.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        read_text(&self.path(directory.as_deref())?)
    }

    /// The file that holds the secret, credentials being in `directory`.
    fn path(&self, directory: Option<&Path>) -> Result<PathBuf, SecretError> {
        match self {
            Secret::File(path) => Ok(path.clone()),
            Secret::Credential(name) => {
                if name.is_empty() || name.contains('/') || name == "." || name == ".." {
                    return Err(SecretError::NotAName(name.clone()));
                }
                directory
                    .map(|directory| directory.join(name))
                    .ok_or_else(|| SecretError::NoDirectory(name.clone()))
            }
        }
    }
}

fn read_text(path: &Path) -> Result<SecretText, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(SecretError::TooLong(path.to_owned()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(path.to_owned()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(SecretText(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, Secret) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        std::fs::write(&path, content).expect("written");
        (directory, Secret::File(path))
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_the_secret() {
        for (content, secret) in [
            (&b"s3cret"[..], "s3cret"),
            (b"s3cret\n", "s3cret"),
            (b"s3cret\r\n", "s3cret"),
            (b"s3cret\n\n", "s3cret\n"),
            (b" s3cret ", " s3cret "),
            (b"", ""),
        ] {
            let (_directory, found) = file(content);
            assert_eq!(found.read().expect("readable").expose(), secret);
        }
    }

    #[test]
    fn neither_the_text_nor_an_error_shows_the_content() {
        let (_directory, secret) = file(b"canary-4711");
        let text = secret.read().expect("readable");
        assert_eq!(format!("{text:?}"), "***");
        let (_directory, binary) = file(b"canary-\xff4711");
        let error = binary.read().expect_err("not text");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn a_secret_without_end_is_refused_and_bounded() {
        let error = Secret::File("/dev/zero".into())
            .read()
            .expect_err("endless");
        assert!(matches!(error, SecretError::TooLong(_)), "{error}");
    }

    #[test]
    fn an_error_names_the_path() {
        let error = Secret::File("/nowhere/token".into())
            .read()
            .expect_err("nothing there");
        assert!(error.to_string().contains("/nowhere/token"), "{error}");
    }

    #[test]
    fn a_credential_is_a_file_of_the_credentials_directory_and_nothing_else() {
        let name = |name: &str| Secret::Credential(name.into());
        let directory = Path::new("/run/credentials/millgate.service");
        assert_eq!(
            name("mqtt-password").path(Some(directory)).expect("a path"),
            directory.join("mqtt-password")
        );
        assert!(matches!(
            name("mqtt-password").path(None),
            Err(SecretError::NoDirectory(_))
        ));
        for bad in ["", "..", ".", "../../etc/shadow", "/etc/shadow"] {
            assert!(matches!(
                name(bad).path(Some(directory)),
                Err(SecretError::NotAName(_))
            ));
        }
    }
}
