//! Who is trusted over OPC UA: the folder `<buffer.path>/pki` with `own`, `trusted`, `issuers` and `rejected`.
//!
//! The driver asks [`Trust::verify`] at each connect, so that what `millgate opcua trust` does counts at the next one, and
//! [`Own::load`] who we are. The commands use the rest. The library's own certificate store decides nothing: it compares
//! names of files that a server chooses.

mod certificate;
mod folder;
mod judge;
mod keygen;
mod own;

pub use certificate::{
    Certificate, MAX_CERTIFICATE_BYTES, Names, NoThumbprint, Thumbprint, Unreadable,
};
pub use folder::{Filed, FolderError, MAX_REJECTED};
pub use judge::{MAX_CHAIN, MAX_KEY_BITS, MIN_KEY_BITS, Refusal};
pub use keygen::{KeygenError, MAX_DAYS, MAX_HOSTS, NewOwn};
pub use own::Own;

use crate::acquire::driver::link_error;
use crate::model::LinkError;
use judge::{Expected, Known, judge};
use std::path::{Path, PathBuf};
use tracing::warn;

/// A place in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Servers that are trusted, and authorities whose servers are.
    Trusted,
    /// Authorities on the way from a trusted one to a server; not trusted for themselves.
    Issuers,
    /// What was refused.
    Rejected,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Trusted => "trusted",
            Place::Issuers => "issuers",
            Place::Rejected => "rejected",
        }
    }
}

/// The trust list. Nothing is kept in memory: each question reads the folder anew.
#[derive(Clone, Debug)]
pub struct Trust {
    pki: PathBuf,
}

impl Trust {
    /// The trust list in a folder, which need not be there yet: nobody is trusted then.
    #[must_use]
    pub fn open(pki: &Path) -> Trust {
        Trust {
            pki: pki.to_owned(),
        }
    }

    /// Whether a server may be spoken with: `certificate_der` as its endpoint has it, `endpoint_host` from the settings,
    /// `application_uri` as the server says, `now_unix_s` seconds since 1970. What is refused is kept in `rejected`, with
    /// the reason, unless it is longer than a certificate may be. Reads and writes files: a few milliseconds.
    ///
    /// # Errors
    /// `untrusted` with what to do, or `denied` when the folder cannot be read.
    pub fn verify(
        &self,
        certificate_der: &[u8],
        endpoint_host: &str,
        application_uri: &str,
        now_unix_s: i64,
    ) -> Result<(), LinkError> {
        let known = Known {
            trusted: self.readable(Place::Trusted)?,
            issuers: self.readable(Place::Issuers)?,
        };
        let expected = Expected {
            host: endpoint_host,
            application: application_uri,
            now: now_unix_s,
        };
        judge_sent(certificate_der, &known, &expected).map_err(|(first, refusal)| {
            let reason = refusal.to_string();
            if first.len() <= MAX_CERTIFICATE_BYTES {
                self.keep(first, &reason);
            }
            link_error("untrusted", reason)
        })
    }

    /// What lies in a place.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, place: Place) -> Result<Vec<Filed>, FolderError> {
        folder::list(&self.folder(place))
    }

    /// Trusts a certificate from now on; it is rejected no more.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn trust(&self, certificate: &Certificate) -> Result<(), FolderError> {
        let trusted = self.folder(Place::Trusted);
        folder::make(&self.pki)?;
        folder::make(&trusted)?;
        let thumbprint = certificate.thumbprint();
        folder::write(
            &trusted.join(format!("{thumbprint}.der")),
            certificate.der(),
        )?;
        self.remove(Place::Rejected, &thumbprint).map(drop)
    }

    /// Takes a certificate out of a place; false where it did not lie there.
    ///
    /// # Errors
    /// When a file cannot be read or removed.
    pub fn remove(&self, place: Place, thumbprint: &Thumbprint) -> Result<bool, FolderError> {
        let mut was_there = false;
        for filed in self.list(place)? {
            if filed.thumbprint == *thumbprint {
                folder::remove(&filed)?;
                was_there = true;
            }
        }
        Ok(was_there)
    }

    fn folder(&self, place: Place) -> PathBuf {
        self.pki.join(place.name())
    }

    /// The certificates of a place; a file that is none is told and passed over.
    fn readable(&self, place: Place) -> Result<Vec<Certificate>, LinkError> {
        let there = self.list(place).map_err(|error| {
            link_error("denied", format!("the trust list cannot be read: {error}"))
        })?;
        let certificate = |filed: Filed| match filed.certificate {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                warn!(file = %filed.path.display(), "not trusted, {error}");
                None
            }
        };
        Ok(there.into_iter().filter_map(certificate).collect())
    }

    /// Keeps what was refused, as well as it goes: that it is refused does not depend on it.
    fn keep(&self, der: &[u8], reason: &str) {
        let kept = folder::make(&self.pki)
            .and_then(|()| folder::reject(&self.folder(Place::Rejected), der, reason));
        if let Err(error) = kept {
            warn!("a refused certificate cannot be kept: {error}");
        }
    }
}

/// Judges what a server sent; with the refusal comes the certificate that is refused.
fn judge_sent<'a>(
    sent: &'a [u8],
    known: &Known,
    expected: &Expected<'_>,
) -> Result<(), (&'a [u8], Refusal)> {
    if sent.len() > MAX_CHAIN * MAX_CERTIFICATE_BYTES {
        return Err((sent, Refusal::TooLong { bytes: sent.len() }));
    }
    let parts = certificate::split(sent).map_err(|_| (sent, unreadable(sent)))?;
    let Some((server, issuers)) = parts.split_first() else {
        return Err((sent, Refusal::Unreadable));
    };
    if parts.len() > MAX_CHAIN {
        return Err((server, Refusal::LongChain(parts.len())));
    }
    let read = |der: &&[u8]| Certificate::from_der(der);
    let certificate = read(server).map_err(|_| (*server, unreadable(server)))?;
    let issuers: Result<Vec<Certificate>, Unreadable> = issuers.iter().map(read).collect();
    let issuers = issuers.map_err(|_| (*server, Refusal::Unreadable))?;
    judge(&certificate, &issuers, known, expected).map_err(|refusal| (*server, refusal))
}

/// What a refused certificate would still be refused for if it was trusted, as far as that does not depend on the server.
#[must_use]
pub fn lasting_fault(certificate: &Certificate, now_unix_s: i64) -> Option<Refusal> {
    judge::lasting_fault(certificate, now_unix_s)
}

fn unreadable(bytes: &[u8]) -> Refusal {
    if bytes.len() > MAX_CERTIFICATE_BYTES {
        Refusal::TooLong { bytes: bytes.len() }
    } else {
        Refusal::Unreadable
    }
}
