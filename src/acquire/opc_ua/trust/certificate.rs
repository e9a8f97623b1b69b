//! One certificate, read with limits: whom it names, until when it is valid, its key, and whether another one signed it.
//! It asks neither the clock nor the disk.

use rsa::RsaPublicKey;
use rsa::pkcs1v15::{Signature as RsaSignature, VerifyingKey};
use rsa::signature::Verifier;
use sha1::{Digest, Sha1};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::referenced::OwnedToRef;
use x509_cert::der::{self, Decode, Header, Reader, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::name::Name;

/// Longest certificate, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 8 << 10;
/// A PEM file is a third longer than what it says, and may have a text before it.
pub(super) const MAX_FILE_BYTES: usize = 2 * MAX_CERTIFICATE_BYTES;
/// Most characters of a name that is shown.
const MAX_SHOWN: usize = 48;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Signatures that can be forged, or nearly.
const BROKEN: &[(ObjectIdentifier, &str)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.2"), "MD2"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "MD5"),
    (
        ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
        "SHA-1",
    ),
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.29"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "SHA-1"),
];

/// The SHA-1 of a certificate (OPC 10000-6, 6.2.3): how people and tools call it. Trust compares the whole certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Thumbprint([u8; 20]);

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Thumbprint {
    type Err = NoThumbprint;

    /// 40 hexadecimal digits, with spaces or colons where a tool writes them.
    fn from_str(text: &str) -> Result<Thumbprint, NoThumbprint> {
        let digits: Option<Vec<u8>> = text
            .trim_start_matches("0x")
            .chars()
            .filter(|letter| !matches!(letter, ':' | ' ' | '-'))
            .map(|letter| u8::try_from(letter.to_digit(16)?).ok())
            .collect();
        let digits = digits.ok_or(NoThumbprint)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .filter_map(|pair| Some(pair.first()? << 4 | pair.get(1)?))
            .collect();
        match bytes.try_into() {
            Ok(bytes) if digits.len() == 40 => Ok(Thumbprint(bytes)),
            _ => Err(NoThumbprint),
        }
    }
}

impl Thumbprint {
    /// Of any bytes, be they a certificate or not.
    #[must_use]
    pub fn of(der: &[u8]) -> Thumbprint {
        Thumbprint(Sha1::digest(der).into())
    }
}

/// It is not 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint has 40 hexadecimal digits")]
pub struct NoThumbprint;

/// These bytes are no certificate, or a longer one than is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than [`MAX_CERTIFICATE_BYTES`].
    #[error("it has {0} bytes, at most 8192 are read")]
    TooLong(usize),
    /// Not X.509 in DER, nor in PEM where that is read.
    #[error("it is no X.509 certificate in DER or PEM")]
    NoCertificate,
}

/// How a certificate is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Sha256,
    Sha384,
    Sha512,
    /// In a way that is not spoken here: good for a certificate that is trusted itself, not for one that a CA vouches for.
    Otherwise,
    /// With a hash that is broken.
    Broken(&'static str),
}

/// The hosts and the application that a certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub hosts: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// URIs: that of the application.
    pub uris: Vec<String>,
}

/// An X.509 certificate.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    /// The part that is signed, as it was sent.
    to_be_signed: Vec<u8>,
    parsed: x509_cert::Certificate,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.thumbprint())
    }
}

impl Certificate {
    /// Reads a certificate as it comes over the wire.
    ///
    /// # Errors
    /// When it is too long or none.
    pub fn from_der(bytes: &[u8]) -> Result<Certificate, Unreadable> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(Unreadable::TooLong(bytes.len()));
        }
        let parsed =
            x509_cert::Certificate::from_der(bytes).map_err(|_| Unreadable::NoCertificate)?;
        let to_be_signed = first_part(bytes).map_err(|_| Unreadable::NoCertificate)?;
        Ok(Certificate {
            der: bytes.to_vec(),
            to_be_signed,
            parsed,
        })
    }

    /// Reads a certificate as people keep it in a file: DER, or the first one of a PEM text.
    ///
    /// # Errors
    /// When it is too long or none.
    pub fn from_file(bytes: &[u8]) -> Result<Certificate, Unreadable> {
        const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
        const END: &[u8] = b"-----END CERTIFICATE-----";
        let Some(begin) = find(bytes, BEGIN) else {
            return Certificate::from_der(bytes);
        };
        let text = bytes.get(begin..).unwrap_or_default();
        let end = find(text, END).ok_or(Unreadable::NoCertificate)? + END.len();
        let text = text.get(..end).unwrap_or_default();
        let (_, der) = der::pem::decode_vec(text).map_err(|_| Unreadable::NoCertificate)?;
        Certificate::from_der(&der)
    }

    /// The bytes as they came.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What it is called.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of(&self.der)
    }

    /// Whose it is, for people: cut, and without control characters.
    #[must_use]
    pub fn subject(&self) -> String {
        shown(&self.parsed.tbs_certificate.subject.to_string())
    }

    /// Who signed it, for people.
    #[must_use]
    pub fn issuer(&self) -> String {
        shown(&self.parsed.tbs_certificate.issuer.to_string())
    }

    /// Seconds since 1970 from which on it is valid.
    #[must_use]
    pub fn valid_from(&self) -> i64 {
        seconds(self.parsed.tbs_certificate.validity.not_before)
    }

    /// Seconds since 1970 until which it is valid.
    #[must_use]
    pub fn valid_until(&self) -> i64 {
        seconds(self.parsed.tbs_certificate.validity.not_after)
    }

    /// The end of its validity, for people.
    #[must_use]
    pub fn valid_until_text(&self) -> String {
        super::judge::date(self.valid_until())
    }

    /// Length of its RSA key in bits; `None` where it has another kind of key.
    #[must_use]
    pub fn key_bits(&self) -> Option<usize> {
        let key = &self.parsed.tbs_certificate.subject_public_key_info;
        if key.algorithm.oid != RSA {
            return None;
        }
        let parsed = rsa::pkcs1::RsaPublicKey::from_der(key.subject_public_key.raw_bytes()).ok()?;
        let modulus = parsed.modulus.as_bytes();
        let empty = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
        Some(modulus.len() * 8 - empty)
    }

    /// The public key; `None` where it is not an RSA key of at most 4,096 bits.
    pub(super) fn public_key(&self) -> Option<RsaPublicKey> {
        let key = &self.parsed.tbs_certificate.subject_public_key_info;
        RsaPublicKey::try_from(key.owned_to_ref()).ok()
    }

    /// What it is for.
    #[must_use]
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        for name in self
            .extension::<SubjectAltName>()
            .into_iter()
            .flat_map(|names| names.0)
        {
            match name {
                GeneralName::DnsName(name) => names.hosts.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
                GeneralName::IpAddress(bytes) => names.addresses.extend(address(bytes.as_bytes())),
                _ => {}
            }
        }
        names
    }

    /// The common name of its subject.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let parts = self.parsed.tbs_certificate.subject.0.iter();
        let name = parts
            .flat_map(|part| part.0.iter())
            .find(|part| part.oid == COMMON_NAME)?;
        Some(String::from_utf8_lossy(name.value.value()).into_owned())
    }

    /// True where it may sign other certificates.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.extension::<BasicConstraints>()
            .is_some_and(|basic| basic.ca)
            && self
                .extension::<KeyUsage>()
                .is_none_or(|usage| usage.key_cert_sign())
    }

    /// How many authorities may stand between it and the last certificate.
    pub(super) fn path_length(&self) -> Option<u8> {
        self.extension::<BasicConstraints>()?.path_len_constraint
    }

    /// True where the one below could have been signed by this one, by their names.
    pub(super) fn is_named_as_issuer_of(&self, below: &Certificate) -> bool {
        let issuer: &Name = &below.parsed.tbs_certificate.issuer;
        !issuer.is_empty() && self.parsed.tbs_certificate.subject == *issuer
    }

    /// True where subject and issuer are the same.
    #[must_use]
    pub fn names_itself_as_issuer(&self) -> bool {
        self.parsed.tbs_certificate.subject == self.parsed.tbs_certificate.issuer
    }

    /// How it is signed.
    pub(super) fn signed(&self) -> Signed {
        let algorithm = &self.parsed.signature_algorithm;
        match algorithm.oid {
            RSA_SHA256 => Signed::Sha256,
            RSA_SHA384 => Signed::Sha384,
            RSA_SHA512 => Signed::Sha512,
            RSA_PSS => match algorithm.parameters.as_ref().map(pss_hash) {
                Some(Some(false)) => Signed::Otherwise,
                // What is left out means SHA-1 (RFC 4055, 3.1).
                _ => Signed::Broken("SHA-1"),
            },
            other => BROKEN
                .iter()
                .find(|(oid, _)| *oid == other)
                .map_or(Signed::Otherwise, |(_, hash)| Signed::Broken(hash)),
        }
    }

    /// True where `issuer` has signed it, with RSA and SHA-2. The two must agree on how.
    pub(super) fn is_signed_by(&self, issuer: &Certificate) -> bool {
        if self.parsed.signature_algorithm != self.parsed.tbs_certificate.signature {
            return false;
        }
        let Some(key) = issuer.public_key() else {
            return false;
        };
        let Ok(signature) = RsaSignature::try_from(self.parsed.signature.raw_bytes()) else {
            return false;
        };
        let text = &self.to_be_signed;
        let verified = match self.signed() {
            Signed::Sha256 => VerifyingKey::<sha2::Sha256>::new(key).verify(text, &signature),
            Signed::Sha384 => VerifyingKey::<sha2::Sha384>::new(key).verify(text, &signature),
            Signed::Sha512 => VerifyingKey::<sha2::Sha512>::new(key).verify(text, &signature),
            Signed::Otherwise | Signed::Broken(_) => return false,
        };
        verified.is_ok()
    }

    fn extension<'a, E: Decode<'a> + x509_cert::der::oid::AssociatedOid>(&'a self) -> Option<E> {
        self.parsed
            .tbs_certificate
            .get()
            .ok()?
            .map(|(_, extension)| extension)
    }
}

/// What was sent may be a certificate with those of its issuers after it (OPC 10000-6, 6.2.6).
///
/// # Errors
/// When it is not a row of DER elements.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    let mut reader = SliceReader::new(bytes).map_err(|_| Unreadable::NoCertificate)?;
    let mut parts = Vec::new();
    while !reader.is_finished() {
        parts.push(reader.tlv_bytes().map_err(|_| Unreadable::NoCertificate)?);
    }
    Ok(parts)
}

/// A text from a certificate, as it may be shown: cut, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// The first element inside the outermost one.
fn first_part(bytes: &[u8]) -> der::Result<Vec<u8>> {
    let mut outer = SliceReader::new(bytes)?;
    let header = Header::decode(&mut outer)?;
    let body = outer.read_slice(header.length)?;
    Ok(SliceReader::new(body)?.tlv_bytes()?.to_vec())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn seconds(time: x509_cert::time::Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Whether the hash of RSA-PSS parameters is SHA-1; `None` where they cannot be read.
fn pss_hash(parameters: &der::Any) -> Option<bool> {
    const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
    let bytes = der::Encode::to_der(parameters).ok()?;
    let parameters = rsa::pkcs1::RsaPssParams::from_der(&bytes).ok()?;
    Some(parameters.hash.oid == SHA1)
}
