//! Who we are to a server: the application's own certificate and key, made by `millgate opcua keygen`.

use super::certificate::{Certificate, MAX_FILE_BYTES, Thumbprint};
use super::folder::{self, FolderError};
use super::judge::date;
use super::keygen::{self, KeygenError, NewOwn};
use crate::acquire::driver::link_error;
use crate::model::LinkError;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Our certificate and where its key lies.
#[derive(Clone, Debug)]
pub struct Own {
    certificate: Certificate,
    application_uri: String,
    certificate_path: PathBuf,
    key_path: PathBuf,
}

impl Own {
    /// Reads `own/cert.der` and `own/key.pem` below the folder, and sees that they belong together.
    ///
    /// # Errors
    /// `denied`, with what to do: none are there, they cannot be read, or are not a pair.
    pub fn load(pki: &Path) -> Result<Own, LinkError> {
        let certificate_path = certificate_path(pki);
        let key_path = key_path(pki);
        let certificate = read(&certificate_path)?;
        let certificate = Certificate::from_file(&certificate)
            .map_err(|error| denied(&certificate_path, &error.to_string()))?;
        let key = private_key(&read(&key_path)?)
            .ok_or_else(|| denied(&key_path, "it is no RSA key in PEM, PKCS#8 or PKCS#1"))?;
        if certificate.public_key() != Some(key.to_public_key()) {
            return Err(denied(&key_path, "it is not the key of cert.der beside it"));
        }
        let uris = certificate.names().uris;
        let application_uri = uris
            .into_iter()
            .next()
            .ok_or_else(|| denied(&certificate_path, "it names no application URI"))?;
        Ok(Own {
            certificate,
            application_uri,
            certificate_path,
            key_path,
        })
    }

    /// Makes a new key and certificate, and writes them to `own`; `now_unix_s` is seconds since 1970. Takes seconds on a
    /// small box.
    ///
    /// # Errors
    /// When a wish is out of range, there is one already and `force` is not set, or a file cannot be written.
    pub fn make(
        pki: &Path,
        wish: &NewOwn,
        force: bool,
        now_unix_s: u64,
    ) -> Result<Own, KeygenError> {
        keygen::make(pki, wish, force, now_unix_s)?;
        Own::load(pki).map_err(KeygenError::Unusable)
    }

    /// Whether the certificate is valid now; a server would refuse it without saying why.
    ///
    /// # Errors
    /// `denied`, with what to do.
    pub fn check_dates(&self, now_unix_s: i64) -> Result<(), LinkError> {
        let (from, until) = (
            self.certificate.valid_from(),
            self.certificate.valid_until(),
        );
        if (from..=until).contains(&now_unix_s) {
            return Ok(());
        }
        let detail = format!(
            "our own certificate is valid from {} to {}, and here it is {}: set the box's clock right, or `millgate opcua keygen --force`",
            date(from),
            date(until),
            date(now_unix_s)
        );
        Err(link_error("denied", detail))
    }

    /// The URI that the certificate gives us; a server compares it with what we say.
    #[must_use]
    pub fn application_uri(&self) -> &str {
        &self.application_uri
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What it is called.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.certificate.thumbprint()
    }

    /// Where the certificate lies, as DER.
    #[must_use]
    pub fn certificate_path(&self) -> &Path {
        &self.certificate_path
    }

    /// Where the private key lies, as PEM.
    #[must_use]
    pub fn key_path(&self) -> &Path {
        &self.key_path
    }
}

pub(super) fn certificate_path(pki: &Path) -> PathBuf {
    pki.join("own").join("cert.der")
}

pub(super) fn key_path(pki: &Path) -> PathBuf {
    pki.join("own").join("key.pem")
}

fn private_key(pem: &[u8]) -> Option<RsaPrivateKey> {
    let text = std::str::from_utf8(pem).ok()?;
    RsaPrivateKey::from_pkcs8_pem(text)
        .or_else(|_| RsaPrivateKey::from_pkcs1_pem(text).map_err(rsa::pkcs8::Error::from))
        .ok()
}

fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    folder::read(path, MAX_FILE_BYTES).map_err(|error| {
        let FolderError { path, source } = &error;
        if source.kind() == ErrorKind::NotFound {
            let detail = format!(
                "we have no certificate of our own, {} is not there: make one by `millgate opcua keygen`",
                path.display()
            );
            return link_error("denied", detail);
        }
        link_error("denied", format!("our own certificate cannot be read: {error}"))
    })
}

fn denied(path: &Path, fault: &str) -> LinkError {
    let detail = format!(
        "our own {} cannot be used, {fault}: make a new pair by `millgate opcua keygen --force`",
        path.display()
    );
    link_error("denied", detail)
}
