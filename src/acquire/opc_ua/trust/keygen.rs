//! Makes our own certificate and key, as OPC 10000-6, 6.2.2 wants an application's: asked for by `millgate opcua keygen`,
//! since a small box takes seconds for it.

use super::folder::{self, FolderError};
use super::own::{certificate_path, key_path};
use crate::model::LinkError;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::{OsRng, RngCore};
use sha2::Sha256;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::der::asn1::{GeneralizedTime, Ia5String, ObjectIdentifier};
use x509_cert::der::{Encode, referenced::OwnedToRef};
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

/// Longest life of a certificate in days: 20 years, as long as a machine.
pub const MAX_DAYS: u32 = 7_305;
/// Names a certificate may have.
pub const MAX_HOSTS: usize = 16;
/// The certificate begins this much before now, in seconds: the server's clock may be behind.
const HEAD_START_S: u64 = 86_400;
/// 2026-01-01: a clock before this was never set.
const FIRST_TIME_S: u64 = 1_767_225_600;

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// What our own certificate shall say.
#[derive(Clone, Debug)]
pub struct NewOwn {
    /// URI of the application: unique in the plant, as `urn:HOST:millgate:GATEWAY`.
    pub application_uri: String,
    /// Its common name.
    pub name: String,
    /// Names and addresses of the box, at most [`MAX_HOSTS`].
    pub hosts: Vec<String>,
    /// How long it is valid, 1 to [`MAX_DAYS`].
    pub days: u32,
    /// Bits of the key: 2048, 3072 or 4096.
    pub bits: usize,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// There is one already.
    #[error(
        "there is a certificate already, {0}: servers trust it; `--force` makes another, which each server must trust anew"
    )]
    Exists(PathBuf),
    /// The box's clock was never set.
    #[error(
        "the box's clock says a time before 2026: set it first, or no server accepts the certificate"
    )]
    Clock,
    /// A name, a number of days or of bits cannot be written into a certificate.
    #[error("{0}")]
    Wish(String),
    /// A file could not be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The library refused; what was asked for was checked before.
    #[error("the certificate could not be made: {0}")]
    Library(String),
    /// What was written cannot be read back.
    #[error("what was written cannot be used: {0}")]
    Unusable(LinkError),
}

/// Makes key and certificate and writes them below `pki`; `now_unix_s` is seconds since 1970. Takes seconds on a small box.
///
/// # Errors
/// When a wish is out of range, there is one already and `force` is not set, or a file cannot be written.
pub(super) fn make(
    pki: &Path,
    wish: &NewOwn,
    force: bool,
    now_unix_s: u64,
) -> Result<(), KeygenError> {
    check(wish)?;
    if now_unix_s < FIRST_TIME_S {
        return Err(KeygenError::Clock);
    }
    let certificate_file = certificate_path(pki);
    let key_file = key_path(pki);
    for path in [&certificate_file, &key_file] {
        if path.exists() && !force {
            return Err(KeygenError::Exists(path.clone()));
        }
    }
    let key = RsaPrivateKey::new(&mut OsRng, wish.bits).map_err(library)?;
    let certificate = certificate(wish, &key, now_unix_s)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(library)?;
    folder::make(pki)?;
    folder::make(&pki.join("own"))?;
    folder::write(&key_file, pem.as_bytes())?;
    folder::write(&certificate_file, &certificate)?;
    Ok(())
}

fn check(wish: &NewOwn) -> Result<(), KeygenError> {
    let refused = |text: String| Err(KeygenError::Wish(text));
    if !(1..=MAX_DAYS).contains(&wish.days) {
        return refused(format!(
            "{} days: 1 to {MAX_DAYS} can be asked for",
            wish.days
        ));
    }
    if ![2048, 3072, 4096].contains(&wish.bits) {
        return refused(format!("{} bits: a key has 2048, 3072 or 4096", wish.bits));
    }
    if wish.hosts.is_empty() || wish.hosts.len() > MAX_HOSTS {
        return refused(format!(
            "{} host names: 1 to {MAX_HOSTS} can be written",
            wish.hosts.len()
        ));
    }
    match wish.hosts.iter().find(|host| !is_host(host)) {
        Some(host) => refused(format!(
            "`{}` is no host name: letters, digits, `-` and `.`, or an address",
            host.escape_debug()
        )),
        None => Ok(()),
    }
}

/// A DNS name as RFC 1123 has it, or an address.
fn is_host(host: &str) -> bool {
    let sign = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    host.parse::<IpAddr>().is_ok() || ((1..=253).contains(&host.len()) && host.chars().all(sign))
}

/// The certificate in DER, signed by its own key.
fn certificate(
    wish: &NewOwn,
    key: &RsaPrivateKey,
    now_unix_s: u64,
) -> Result<Vec<u8>, KeygenError> {
    let signer = SigningKey::<Sha256>::new(key.clone());
    let public = SubjectPublicKeyInfoOwned::from_key(key.to_public_key()).map_err(library)?;
    let subject =
        Name::from_str(&format!("CN={},O=Millgate", escaped(&wish.name))).map_err(library)?;
    let serial = serial()?;
    let from = now_unix_s.saturating_sub(HEAD_START_S);
    let validity = Validity {
        not_before: time(from)?,
        not_after: time(now_unix_s + u64::from(wish.days) * 86_400)?,
    };
    let ours = SubjectKeyIdentifier::try_from(public.owned_to_ref()).map_err(library)?;
    let issuer = AuthorityKeyIdentifier {
        key_identifier: Some(ours.0.clone()),
        authority_cert_issuer: Some(vec![GeneralName::DirectoryName(subject.clone())]),
        authority_cert_serial_number: Some(serial.clone()),
    };
    let profile = Profile::Manual { issuer: None };
    let mut builder = CertificateBuilder::new(profile, serial, validity, subject, public, &signer)
        .map_err(library)?;
    builder.add_extension(&ours).map_err(library)?;
    builder.add_extension(&issuer).map_err(library)?;
    let no_authority = BasicConstraints {
        ca: false,
        path_len_constraint: None,
    };
    builder.add_extension(&no_authority).map_err(library)?;
    builder
        .add_extension(&KeyUsage(usages()))
        .map_err(library)?;
    let purposes = ExtendedKeyUsage(vec![SERVER_AUTH, CLIENT_AUTH]);
    builder.add_extension(&purposes).map_err(library)?;
    builder
        .add_extension(&SubjectAltName(names(wish)?))
        .map_err(library)?;
    let built = builder.build().map_err(library)?;
    built.to_der().map_err(library)
}

/// What an application's key is for (OPC 10000-6, table 43); a self-signed one has also signed a certificate.
fn usages() -> x509_cert::der::flagset::FlagSet<KeyUsages> {
    KeyUsages::DigitalSignature
        | KeyUsages::NonRepudiation
        | KeyUsages::KeyEncipherment
        | KeyUsages::DataEncipherment
        | KeyUsages::KeyCertSign
}

/// The application URI first: some servers look at the first name only.
fn names(wish: &NewOwn) -> Result<GeneralNames, KeygenError> {
    let uri = Ia5String::new(&wish.application_uri).map_err(library)?;
    let mut names = vec![GeneralName::UniformResourceIdentifier(uri)];
    for host in &wish.hosts {
        names.push(match host.parse::<IpAddr>() {
            Ok(address) => GeneralName::from(address),
            Err(_) => GeneralName::DnsName(Ia5String::new(host).map_err(library)?),
        });
    }
    Ok(names)
}

/// 127 random bits: positive, and never the same twice.
fn serial() -> Result<SerialNumber, KeygenError> {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7F) | 0x40;
    }
    SerialNumber::new(&bytes).map_err(library)
}

fn time(unix_s: u64) -> Result<Time, KeygenError> {
    GeneralizedTime::from_unix_duration(Duration::from_secs(unix_s))
        .map(Time::GeneralTime)
        .map_err(library)
}

/// A name as RFC 4514 wants it.
fn escaped(name: &str) -> String {
    let letter = |letter: char| match letter {
        ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#' => format!("\\{letter}"),
        other => other.to_string(),
    };
    name.chars().map(letter).collect()
}

fn library(error: impl std::fmt::Display) -> KeygenError {
    KeygenError::Library(error.to_string())
}
