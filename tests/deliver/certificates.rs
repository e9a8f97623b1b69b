//! An authority, a server and a client certificate, made anew for each test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rumqttc::tokio_rustls::TlsAcceptor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// PEM files.
pub(super) struct Certificates {
    pub(super) authority: PathBuf,
    pub(super) server: PathBuf,
    pub(super) server_key: PathBuf,
    client: PathBuf,
    client_key: PathBuf,
}

impl Certificates {
    /// Writes them into `folder`; `name` keeps several sets apart.
    pub(super) fn make(folder: &Path, name: &str) -> Certificates {
        let put = |file: &str, text: String| {
            let path = folder.join(format!("{name}-{file}.pem"));
            std::fs::write(&path, text).expect("written");
            path
        };
        let key = || KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new([]).expect("parameters");
        // Without names of their own, issuer and subject look the same, and OpenSSL takes them for one.
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("authority {name}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
        let signed = |names: &[&str]| {
            let key = key();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names.clone()).expect("parameters");
            for name in names {
                params.distinguished_name.push(DnType::CommonName, name);
            }
            let certificate = params.signed_by(&key, &authority).expect("a certificate");
            (certificate.pem(), key.serialize_pem())
        };
        let (server, server_key) = signed(&["localhost"]);
        let (client, client_key) = signed(&["gw07"]);
        Certificates {
            authority: put("authority", authority.pem()),
            server: put("server", server),
            server_key: put("server-key", server_key),
            client: put("client", client),
            client_key: put("client-key", client_key),
        }
    }

    /// `tls:` of an uplink that trusts this authority, and shows the client certificate of `own`.
    pub(super) fn settings(&self, own: Option<&Certificates>) -> serde_json::Value {
        match own {
            None => serde_json::json!({ "ca": self.authority }),
            Some(own) => serde_json::json!({
                "ca": self.authority,
                "cert": own.client,
                "key": { "file": own.client_key },
            }),
        }
    }

    /// A client side that trusts this authority and shows the client's certificate.
    pub(super) fn client(&self) -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots())
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&self.client).expect("a certificate")],
                PrivateKeyDer::from_pem_file(&self.client_key).expect("a key"),
            )
            .expect("a client")
    }

    fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(&self.authority).expect("a certificate");
        roots.add(authority).expect("a root");
        roots
    }

    /// A server side that asks for a certificate of this authority.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots().into(), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let chain = vec![CertificateDer::from_pem_file(&self.server).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(&self.server_key).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("a server");
        TlsAcceptor::from(Arc::new(config))
    }
}
