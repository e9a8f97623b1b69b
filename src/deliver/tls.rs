//! Certificates of an uplink: the authorities it trusts, and its own for mTLS. Both protocols use it at each connect.
//!
//! Where the settings name an authority, it alone is trusted: a plant has its own. Without one those of the system are.

use crate::settings::SecretError;
use crate::settings::shape;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest file of certificates.
const MAX_BYTES: u64 = 1 << 20;

/// Why there is no TLS set-up.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error(
        "this machine trusts no public authority: install the package ca-certificates, or name the PEM file of the authority that signed the server's certificate in `tls: {{ ca: FILE }}`"
    )]
    NoAuthority,
    #[error("cannot read the certificates in {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0} holds no certificate in PEM")]
    NoCertificate(PathBuf),
    #[error("the certificate in {path} is not usable: {source}")]
    BadCertificate {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("`tls.key` is missing: `tls.cert` needs its private key")]
    NoKey,
    #[error("`tls.cert` is missing: `tls.key` needs its certificate")]
    NoOwnCertificate,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("`tls.key` is not a private key in PEM")]
    BadKey,
    #[error("`tls.cert` and `tls.key` do not fit together: {0}")]
    Mismatch(rustls::Error),
    #[error("this build has no usable TLS version: {0}")]
    Provider(rustls::Error),
}

/// The set-up for one connection, read from the files as they are now.
pub(super) fn client_config(tls: Option<&shape::Tls>) -> Result<ClientConfig, TlsError> {
    let nothing = shape::Tls::default();
    let tls = tls.unwrap_or(&nothing);
    let roots = match &tls.ca {
        Some(authority) => roots(authority)?,
        None => system_roots(rustls_native_certs::load_native_certs().certs)?,
    };
    with_roots(roots, tls)
}

/// The authorities of the system. One that is not usable makes the others no worse.
fn system_roots(found: Vec<CertificateDer<'static>>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (usable, _unusable) = roots.add_parsable_certificates(found);
    if usable == 0 {
        return Err(TlsError::NoAuthority);
    }
    Ok(roots)
}

/// A set-up that trusts nobody: for plain connections of a library that wants one all the same.
pub(super) fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    with_roots(RootCertStore::empty(), &shape::Tls::default())
}

fn with_roots(roots: RootCertStore, tls: &shape::Tls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?
        .with_root_certificates(roots);
    match (&tls.cert, &tls.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (None, Some(_)) => Err(TlsError::NoOwnCertificate),
        (Some(_), None) => Err(TlsError::NoKey),
        (Some(cert), Some(key)) => {
            let key = key.read()?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                .map_err(|_| TlsError::BadKey)?;
            builder
                .with_client_auth_cert(certificates(cert)?, key)
                .map_err(TlsError::Mismatch)
        }
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::BadCertificate {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

/// The certificates in a PEM file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|source| TlsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(TlsError::NoCertificate(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (String, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        (own.cert.pem(), own.signing_key.serialize_pem())
    }

    #[test]
    fn without_a_ca_the_system_is_trusted_and_it_must_trust_somebody() {
        let (certificate, _) = signed();
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
        let broken = CertificateDer::from(vec![1, 2, 3]);
        let roots = system_roots(vec![broken.clone(), der]).expect("one is usable");
        assert_eq!(roots.len(), 1);
        for none in [vec![], vec![broken]] {
            let error = system_roots(none).expect_err("nobody").to_string();
            assert!(error.contains("ca-certificates"), "{error}");
        }
        // This machine may have some or not; both are said.
        let here = rustls_native_certs::load_native_certs().certs;
        assert_eq!(client_config(None).is_ok(), system_roots(here).is_ok());
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let put = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).expect("written");
            path
        };
        let (certificate, key) = signed();
        let (_, other_key) = signed();
        let ca = put("ca.pem", &certificate);
        let key_file = shape::Secret::File(put("key.pem", &key));
        let other_key = shape::Secret::File(put("other.pem", &other_key));
        let junk = put("junk.pem", "-----BEGIN NOTHING-----\n");
        let tls = |ca: Option<&PathBuf>, cert: Option<&PathBuf>, key: Option<&shape::Secret>| {
            client_config(Some(&shape::Tls {
                ca: ca.cloned(),
                cert: cert.cloned(),
                key: key.cloned(),
            }))
        };
        assert!(tls(Some(&ca), None, None).is_ok());
        assert!(tls(Some(&ca), Some(&ca), Some(&key_file)).is_ok());
        assert!(trusting_nobody().is_ok());
        for (result, says) in [
            (
                tls(Some(&junk), None, None),
                "junk.pem holds no certificate",
            ),
            (
                tls(Some(&PathBuf::from("/nowhere")), None, None),
                "/nowhere",
            ),
            (tls(Some(&ca), Some(&ca), None), "`tls.key` is missing"),
            (
                tls(Some(&ca), None, Some(&key_file)),
                "`tls.cert` is missing",
            ),
            (
                tls(Some(&ca), Some(&ca), Some(&shape::Secret::File(ca.clone()))),
                "not a private key",
            ),
            (
                tls(Some(&ca), Some(&ca), Some(&other_key)),
                "do not fit together",
            ),
        ] {
            let error = result.expect_err(says).to_string();
            assert!(error.contains(says), "{error} should say {says}");
        }
    }
}
