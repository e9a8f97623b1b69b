//! Certificates of every kind, made for one test: good ones, and each way to be bad.

use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::der::Encode;
use x509_cert::der::asn1::{BitString, GeneralizedTime, Ia5String, ObjectIdentifier};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

/// The host of all endpoints here.
pub(crate) const HOST: &str = "plc-04.example";
/// What all servers here call themselves.
pub(crate) const URI: &str = "urn:plc-04.example:EXAMPLE:Filler";
/// 2026-11-22 09:00 UTC.
pub(crate) const NOW: i64 = 1_795_338_000;
const DAY: i64 = 86_400;

/// Keys take long to make, so there are three, each made once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Server,
    Authority,
    Stranger,
}

impl Key {
    pub(crate) fn get(self) -> &'static RsaPrivateKey {
        static KEYS: [OnceLock<RsaPrivateKey>; 3] =
            [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        KEYS[self as usize].get_or_init(|| RsaPrivateKey::new(&mut OsRng, 2048).unwrap())
    }

    /// As a file has it.
    pub(crate) fn pem(self) -> String {
        self.get().to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }
}

/// What signs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// A certificate to be.
#[derive(Clone, Debug)]
pub(crate) struct Animal {
    pub(crate) subject: String,
    /// Who says to have signed it; itself where there is none.
    pub(crate) issuer: Option<String>,
    pub(crate) signer: Key,
    pub(crate) key: Key,
    /// A made-up key of so many bits instead.
    pub(crate) made_up_bits: Option<usize>,
    pub(crate) hash: Hash,
    /// Seconds since 1970.
    pub(crate) valid: (i64, i64),
    pub(crate) uris: Vec<String>,
    pub(crate) hosts: Vec<String>,
    /// May sign others, over so many authorities between.
    pub(crate) authority: Option<Option<u8>>,
    /// More names, to make it long.
    pub(crate) padding: usize,
    pub(crate) serial: u32,
}

impl Animal {
    /// A self-signed server without fault.
    pub(crate) fn good() -> Animal {
        Animal {
            subject: "CN=Filler,O=EXAMPLE".to_owned(),
            issuer: None,
            signer: Key::Server,
            key: Key::Server,
            made_up_bits: None,
            hash: Hash::Sha256,
            valid: (NOW - DAY, NOW + 365 * DAY),
            uris: vec![URI.to_owned()],
            hosts: vec![HOST.to_owned()],
            authority: None,
            padding: 0,
            serial: 7,
        }
    }

    /// The authority of the plant.
    pub(crate) fn authority() -> Animal {
        Animal {
            subject: "CN=Plant CA,O=EXAMPLE".to_owned(),
            signer: Key::Authority,
            key: Key::Authority,
            uris: Vec::new(),
            hosts: Vec::new(),
            authority: Some(None),
            ..Animal::good()
        }
    }

    /// The same server, signed by the authority of the plant.
    pub(crate) fn issued() -> Animal {
        Animal {
            issuer: Some(Animal::authority().subject),
            signer: Key::Authority,
            ..Animal::good()
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        match self.hash {
            Hash::Sha1 => self.signed(&SigningKey::<sha1::Sha1>::new(self.signer.get().clone())),
            Hash::Sha256 => {
                self.signed(&SigningKey::<sha2::Sha256>::new(self.signer.get().clone()))
            }
            Hash::Sha384 => {
                self.signed(&SigningKey::<sha2::Sha384>::new(self.signer.get().clone()))
            }
            Hash::Sha512 => {
                self.signed(&SigningKey::<sha2::Sha512>::new(self.signer.get().clone()))
            }
        }
    }

    fn signed<S>(&self, signer: &S) -> Vec<u8>
    where
        S: rsa::signature::Keypair
            + x509_cert::spki::DynSignatureAlgorithmIdentifier
            + rsa::signature::Signer<rsa::pkcs1v15::Signature>,
        S::VerifyingKey: x509_cert::spki::EncodePublicKey,
    {
        let profile = Profile::Manual {
            issuer: self
                .issuer
                .as_deref()
                .map(|name| Name::from_str(name).unwrap()),
        };
        let mut builder = CertificateBuilder::new(
            profile,
            SerialNumber::from(self.serial),
            Validity {
                not_before: time(self.valid.0),
                not_after: time(self.valid.1),
            },
            Name::from_str(&self.subject).unwrap(),
            self.public_key(),
            signer,
        )
        .unwrap();
        let basic = BasicConstraints {
            ca: self.authority.is_some(),
            path_len_constraint: self.authority.flatten(),
        };
        builder.add_extension(&basic).unwrap();
        builder
            .add_extension(&SubjectAltName(self.names()))
            .unwrap();
        builder
            .build::<rsa::pkcs1v15::Signature>()
            .unwrap()
            .to_der()
            .unwrap()
    }

    fn public_key(&self) -> SubjectPublicKeyInfoOwned {
        match self.made_up_bits {
            None => SubjectPublicKeyInfoOwned::from_key(self.key.get().to_public_key()).unwrap(),
            Some(bits) => made_up_key(bits),
        }
    }

    fn names(&self) -> Vec<GeneralName> {
        let text = |text: &str| Ia5String::new(text).unwrap();
        let uris = self
            .uris
            .iter()
            .map(|uri| GeneralName::UniformResourceIdentifier(text(uri)));
        let hosts = self.hosts.iter().map(|host| match host.parse::<IpAddr>() {
            Ok(address) => GeneralName::from(address),
            Err(_) => GeneralName::DnsName(text(host)),
        });
        let padding = (0..self.padding)
            .map(|n| GeneralName::DnsName(text(&format!("padding-{n:08}.example"))));
        uris.chain(hosts).chain(padding).collect()
    }
}

/// An RSA key that nobody has: the modulus is just long. Making a true one of 8,192 bits takes minutes.
fn made_up_key(bits: usize) -> SubjectPublicKeyInfoOwned {
    let mut modulus = vec![0xA5_u8; bits.div_ceil(8)];
    let surplus = modulus.len() * 8 - bits;
    modulus[0] = 0xFF >> surplus;
    let key = rsa::pkcs1::RsaPublicKey {
        modulus: rsa::pkcs1::UintRef::new(&modulus).unwrap(),
        public_exponent: rsa::pkcs1::UintRef::new(&[1, 0, 1]).unwrap(),
    };
    SubjectPublicKeyInfoOwned {
        algorithm: AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
            parameters: Some(x509_cert::der::Any::null()),
        },
        subject_public_key: BitString::from_bytes(&key.to_der().unwrap()).unwrap(),
    }
}

fn time(unix_s: i64) -> Time {
    let since = Duration::from_secs(u64::try_from(unix_s).unwrap());
    Time::GeneralTime(GeneralizedTime::from_unix_duration(since).unwrap())
}
