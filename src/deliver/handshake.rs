//! Why a TLS handshake failed, in words that tell what to check. The library's own words are names of its code.

use super::uplink::printable;
use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
use std::io;

/// Longest list of names from a certificate in the log.
const MAX_NAMES_CHARS: usize = 100;

/// The error of the TLS library among an error and its causes, where there is one.
pub(super) fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<Error>() {
            return Some(found);
        }
        // What an io::Error carries is not among its causes; only the causes of that are.
        let carried = inner
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = carried.and_then(|carried| find(carried)) {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

/// What is wrong and what to check, about the server `host`.
pub(super) fn explain(error: &Error, host: &str) -> String {
    let words = match error {
        Error::InvalidCertificate(bad) => certificate(bad, host),
        Error::NoCertificatesPresented => {
            "the server shows no certificate: give it one of its own".into()
        }
        Error::InvalidMessage(_) => {
            "the server does not speak TLS here: check the port, or write the address without TLS"
                .into()
        }
        Error::PeerIncompatible(_) => {
            "the server has no TLS version or cipher in common with this gateway: it needs TLS 1.2 or 1.3".into()
        }
        Error::AlertReceived(alert) => alerted(*alert),
        other => format!("{other}: check `tls.ca`, the server's certificate (name `{host}`, dates) and this box's clock"),
    };
    format!("TLS: {words}")
}

fn certificate(bad: &Bad, host: &str) -> String {
    match bad {
        Bad::UnknownIssuer | Bad::BadSignature => {
            "the server's certificate is not signed by an authority in `tls.ca`: name the one that signed it, and have the server send the certificates between".into()
        }
        Bad::NotValidForName => {
            format!("the server's certificate is not for the name `{host}`: write a name in `url` that stands in it, or issue one with this name")
        }
        Bad::NotValidForNameContext { presented, .. } => {
            format!("the server's certificate is for {} and not for `{host}`: write a name in `url` that stands in it, or issue one with this name", listed(presented))
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it, and check this box's clock".into()
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: check the clocks of this box and of who issued it".into()
        }
        Bad::Revoked => "the server's certificate is revoked: give it another".into(),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "the server's certificate is not made for servers: issue it one with the extended key usage serverAuth".into()
        }
        // The library below has no name that can be matched on.
        Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server shows a CA certificate as its own: issue it a server certificate that is signed by this CA, and name the CA in `tls.ca`".into()
        }
        Bad::Other(other) if other.to_string().contains("UnsupportedCertVersion") => {
            "the server's certificate is not of X.509 version 3: issue it one with its name as subjectAltName".into()
        }
        _ => format!("the server's certificate cannot be used ({}): issue it another", code(bad)),
    }
}

/// The names of a certificate, which the library hands out as `DnsName("a")`.
fn listed(names: &[String]) -> String {
    let bare = |name: &String| {
        let inside = name.split(['(', ')', '"']).rfind(|part| !part.is_empty());
        inside.unwrap_or_default().to_owned()
    };
    let names: Vec<String> = names.iter().map(bare).collect();
    match names.as_slice() {
        [] => "no name".into(),
        names => printable(&names.join(", "), MAX_NAMES_CHARS),
    }
}

/// The library's name for what has no words here: its code alone.
fn code(bad: &Bad) -> String {
    match bad {
        Bad::Other(other) => other.to_string(),
        other => other.to_string(),
    }
}

/// The server has ended the handshake.
fn alerted(alert: Alert) -> String {
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            "the server wants a certificate of this gateway: write `tls.cert` and `tls.key`".into()
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError => {
            format!(
                "the server refuses this gateway's certificate ({alert:?}): check that its authority is known there, and the dates of `tls.cert`"
            )
        }
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            format!(
                "the server has no TLS version or cipher in common with this gateway, or wants a certificate ({alert:?}): it needs TLS 1.2 or 1.3"
            )
        }
        Alert::UnrecognisedName => {
            "the server does not know the name in `url`: write one of its names".into()
        }
        other => format!("the server ends the handshake ({other:?}): its log says why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
    };
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
    use std::sync::Arc;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Issuer {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// Shakes hands in memory; what the client says of it.
    fn told(trusted: &Issuer, chain: CertificateDer<'static>, key: &KeyPair) -> String {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        loop {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            assert!(!wire.is_empty(), "the handshake went well");
            client.read_tls(&mut wire.as_slice()).unwrap();
            if let Err(error) = client.process_new_packets() {
                let inner = io::Error::new(io::ErrorKind::InvalidData, error);
                let outer = io::Error::other(inner);
                return explain(find(&outer).unwrap(), "localhost");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        let (ours, foreign) = (authority(), authority());
        let signed = |by: &Issuer, name: &str, years: (i32, i32)| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            let certificate = params.signed_by(&key, by).unwrap();
            (certificate.der().clone(), key)
        };
        let good = (2000, 4000);
        for (by, name, years, says) in [
            (
                &foreign,
                "localhost",
                good,
                "not signed by an authority in `tls.ca`",
            ),
            (
                &ours,
                "broker.plant",
                good,
                "is for broker.plant and not for `localhost`",
            ),
            (&ours, "localhost", (2000, 2001), "has expired"),
            (&ours, "localhost", (3000, 3001), "is not valid yet"),
        ] {
            let (certificate, key) = signed(by, name, years);
            let told = told(&ours, certificate, &key);
            assert!(told.contains(says), "{told} should say {says}");
        }
        let told = told(&ours, ours.der().clone(), ours.key());
        assert!(told.contains("shows a CA certificate as its own"), "{told}");
    }

    #[test]
    fn what_the_server_says_is_said_in_words() {
        for (error, says) in [
            (
                Error::AlertReceived(Alert::CertificateRequired),
                "`tls.cert`",
            ),
            (
                Error::AlertReceived(Alert::UnknownCA),
                "refuses this gateway's certificate",
            ),
            (
                Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                "does not speak TLS",
            ),
        ] {
            let told = explain(&error, "broker");
            assert!(told.contains(says), "{told} should say {says}");
        }
    }
}
