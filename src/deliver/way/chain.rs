//! What the certificates of a server say, for people: for whom, by whom, until when. It judges nothing: rustls does.

use super::super::uplink::printable;
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{Error, SignatureScheme};
use std::sync::{Mutex, PoisonError};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Certificates of a chain that are shown.
const MAX_SHOWN: usize = 4;
/// Longest certificate that is looked into.
const MAX_BYTES: usize = 16 << 10;
/// Longest name, in characters.
const MAX_NAME: usize = 100;
/// Names of one certificate that are shown.
const MAX_NAMES: usize = 8;

/// Sees what a server shows and goes away: it never says yes.
#[derive(Debug, Default)]
pub(super) struct Looker(Mutex<Vec<Vec<u8>>>);

impl Looker {
    /// What was shown, the server's own first.
    pub(super) fn seen(&self) -> Vec<Vec<u8>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn only_looking() -> Error {
    Error::General("only looking".into())
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = [own].into_iter().chain(between).take(MAX_SHOWN);
        let all = all.map(|certificate| certificate.to_vec()).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Err(only_looking())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_looking())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_looking())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A line for each certificate that a server shows, its own first.
pub(super) fn words(shown: &[Vec<u8>]) -> Vec<String> {
    let lines = shown.iter().take(MAX_SHOWN).enumerate();
    lines
        .map(|(at, bytes)| match read(bytes) {
            Some(certificate) => line(at, &certificate),
            None => "the server shows something that is no certificate".into(),
        })
        .collect()
}

/// Whom a certificate names.
pub(super) fn subject(bytes: &[u8]) -> Option<String> {
    read(bytes).map(|certificate| name(&certificate.tbs_certificate.subject))
}

fn read(bytes: &[u8]) -> Option<Certificate> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    Certificate::from_der(bytes).ok()
}

fn line(at: usize, certificate: &Certificate) -> String {
    let inner = &certificate.tbs_certificate;
    let from = day(inner.validity.not_before);
    let until = day(inner.validity.not_after);
    let signed = if inner.issuer == inner.subject {
        "signed by itself".to_owned()
    } else {
        format!("signed by {}", name(&inner.issuer))
    };
    let names = names(certificate);
    let names = match (at, names.as_slice()) {
        (0, []) => ", for no host name".to_owned(),
        (0, names) => format!(", for {}", names.join(", ")),
        _ => String::new(),
    };
    let what = if at == 0 { "the server shows" } else { "then" };
    let subject = name(&inner.subject);
    format!("{what} {subject}{names}; {signed}; valid {from} to {until}")
}

fn name(name: &x509_cert::name::Name) -> String {
    match printable(&name.to_string(), MAX_NAME) {
        none if none.is_empty() => "a certificate without a name".into(),
        name => name,
    }
}

/// The host names and addresses that it is for.
fn names(certificate: &Certificate) -> Vec<String> {
    let names = certificate.tbs_certificate.get::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = names else {
        return Vec::new();
    };
    let one = |name: &GeneralName| match name {
        GeneralName::DnsName(host) => Some(printable(host.as_str(), MAX_NAME)),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()),
        _ => None,
    };
    names.iter().filter_map(one).take(MAX_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

fn day(time: x509_cert::time::Time) -> String {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "for ever".into(),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn a_certificate_says_for_whom_by_whom_and_until_when() {
        let names = vec!["mes.plant1".to_owned(), "10.0.0.7".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "mes\u{1b}[2J");
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let words = words(&[made.der().to_vec(), b"nonsense".to_vec()]);
        assert!(words[0].contains("for mes.plant1, 10.0.0.7"), "{words:?}");
        assert!(words[0].contains("signed by itself"), "{words:?}");
        assert!(words[0].ends_with("to 2031-02-03"), "{words:?}");
        assert!(!words[0].contains('\u{1b}'), "{words:?}");
        assert!(words[1].contains("no certificate"), "{words:?}");
        assert_eq!(subject(b"nonsense"), None);
    }
}
