//! Whether a server's certificate is good for us: the rules of OPC 10000-4, 6.1.3, each refusal with what to do. The time is handed in.

use super::certificate::{Certificate, Signed, Thumbprint, shown};
use jiff::Timestamp;
use std::net::IpAddr;

/// Most certificates from the server's to the one that is trusted, both included.
pub const MAX_CHAIN: usize = 4;
/// Bits that an RSA key must have at least: below, it can be broken.
pub const MIN_KEY_BITS: usize = 2048;
/// Bits that an RSA key may have at most: above, each connect costs a small box seconds.
pub const MAX_KEY_BITS: usize = 4096;
/// Most signatures that are verified for one certificate, however many issuers of one name there are.
const MAX_VERIFICATIONS: usize = 16;

/// Why a server's certificate is refused, in words for the person who can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not one.
    #[error("the server's certificate cannot be read: make a new one on the server")]
    Unreadable,
    /// Longer than is read.
    #[error(
        "the server's certificate has {bytes} bytes, at most 8192 are read: make a smaller one on the server"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More issuers than are read.
    #[error(
        "the server sends {0} certificates in a row, at most {MAX_CHAIN} are read: put the issuing CA into `trusted` and send fewer"
    )]
    LongChain(usize),
    /// Too small a key, or too large a one.
    #[error(
        "the key of the server's certificate has {0} bits: make one with an RSA key of 2048 to 4096 bits on the server"
    )]
    Key(usize),
    /// Another kind of key.
    #[error(
        "the server's certificate has no RSA key: make one with an RSA key of 2048 to 4096 bits on the server"
    )]
    OtherKey,
    /// Signed with a broken hash.
    #[error(
        "the server's certificate is signed with {0}, which is broken: make a new one with SHA-256 on the server"
    )]
    Broken(&'static str),
    /// Its time has not come.
    #[error(
        "the server's certificate is valid from {from} on, and here it is {now}: set the clocks of box and server right"
    )]
    NotYetValid {
        /// When it begins.
        from: String,
        /// What the box's clock says.
        now: String,
    },
    /// Its time is over.
    #[error(
        "the server's certificate ended on {until}, and here it is {now}: make a new one on the server, or set the box's clock right"
    )]
    Expired {
        /// When it ended.
        until: String,
        /// What the box's clock says.
        now: String,
    },
    /// It is for another host.
    #[error(
        "the server's certificate is for {names}, not for {host}: write that name in `endpoint`, or make a new one on the server"
    )]
    OtherHost {
        /// As the settings call it.
        host: String,
        /// What it is for.
        names: String,
    },
    /// It is for another application.
    #[error(
        "the server calls itself {uri}, but its certificate is for {names}: make a new one on the server"
    )]
    OtherApplication {
        /// As the server says.
        uri: String,
        /// What it is for.
        names: String,
    },
    /// An authority above it is no good.
    #[error(
        "the server's certificate comes from {issuer}, which {fault}: replace that CA's certificate"
    )]
    Issuer {
        /// Which one.
        issuer: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// Nobody has trusted it.
    #[error(
        "the server's certificate is not trusted: compare its thumbprint with the server's, then `millgate opcua trust {0}`"
    )]
    Unknown(Thumbprint),
    /// Nobody has trusted it, nor who signed it.
    #[error(
        "the server's certificate is from {issuer}, who is not trusted: add that CA, or `millgate opcua trust {thumbprint}`"
    )]
    UnknownIssuer {
        /// Who signed it.
        issuer: String,
        /// What it is called.
        thumbprint: Thumbprint,
    },
}

/// What a certificate is held against.
pub(super) struct Expected<'a> {
    /// Host of the endpoint, as the settings write it.
    pub(super) host: &'a str,
    /// URI that the server says.
    pub(super) application: &'a str,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// Certificates that somebody has put there.
#[derive(Default)]
pub(super) struct Known {
    /// Trusted, themselves and what they signed.
    pub(super) trusted: Vec<Certificate>,
    /// Issuers that lead from a trusted one to a server, but are not trusted for themselves.
    pub(super) issuers: Vec<Certificate>,
}

/// Judges a server's certificate; `sent` are the issuers that came with it.
pub(super) fn judge(
    server: &Certificate,
    sent: &[Certificate],
    known: &Known,
    expected: &Expected<'_>,
) -> Result<(), Refusal> {
    lasting(server, expected.now)?;
    host(server, expected.host)?;
    application(server, expected.application)?;
    trusted(server, sent, known, expected.now)
}

/// What is wrong with a certificate whoever has it, and whoever trusts it.
pub(super) fn lasting_fault(certificate: &Certificate, now: i64) -> Option<Refusal> {
    lasting(certificate, now).err()
}

fn lasting(server: &Certificate, now: i64) -> Result<(), Refusal> {
    key(server)?;
    if let Signed::Broken(hash) = server.signed() {
        return Err(Refusal::Broken(hash));
    }
    dates(server, now)
}

fn key(server: &Certificate) -> Result<(), Refusal> {
    match server.key_bits() {
        Some(MIN_KEY_BITS..=MAX_KEY_BITS) => Ok(()),
        Some(bits) => Err(Refusal::Key(bits)),
        None => Err(Refusal::OtherKey),
    }
}

fn dates(server: &Certificate, now: i64) -> Result<(), Refusal> {
    if now < server.valid_from() {
        return Err(Refusal::NotYetValid {
            from: date(server.valid_from()),
            now: date(now),
        });
    }
    if now > server.valid_until() {
        return Err(Refusal::Expired {
            until: date(server.valid_until()),
            now: date(now),
        });
    }
    Ok(())
}

/// The host must be among the names; the common name counts where there are none.
fn host(server: &Certificate, host: &str) -> Result<(), Refusal> {
    let names = server.names();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let plain = plain.strip_suffix('.').unwrap_or(plain);
    let same = |name: &str| {
        name.strip_suffix('.')
            .unwrap_or(name)
            .eq_ignore_ascii_case(plain)
    };
    let address: Option<IpAddr> = plain.parse().ok();
    let none = names.hosts.is_empty() && names.addresses.is_empty();
    let common = server.common_name().filter(|_| none);
    let fits = names.hosts.iter().chain(&common).any(|name| same(name))
        || address.is_some_and(|address| names.addresses.contains(&address));
    if fits {
        return Ok(());
    }
    let addresses = names.addresses.iter().map(ToString::to_string);
    let all: Vec<String> = names
        .hosts
        .into_iter()
        .chain(common)
        .chain(addresses)
        .collect();
    Err(Refusal::OtherHost {
        host: shown(host),
        names: listed(&all),
    })
}

fn application(server: &Certificate, uri: &str) -> Result<(), Refusal> {
    let uris = server.names().uris;
    if uris.iter().any(|name| name == uri) {
        return Ok(());
    }
    Err(Refusal::OtherApplication {
        uri: shown(uri),
        names: listed(&uris),
    })
}

/// Trusted is what somebody has put into `trusted`, and what such an authority has signed, over at most two others.
fn trusted(
    server: &Certificate,
    sent: &[Certificate],
    known: &Known,
    now: i64,
) -> Result<(), Refusal> {
    if is_among(server, &known.trusted) {
        return Ok(());
    }
    let thumbprint = server.thumbprint();
    if server.names_itself_as_issuer() {
        return Err(Refusal::Unknown(thumbprint));
    }
    let mut search = Search {
        known,
        sent,
        now,
        verifications: 0,
        fault: None,
    };
    if search.leads_to_trust(server, 1) {
        return Ok(());
    }
    Err(search.fault.unwrap_or_else(|| Refusal::UnknownIssuer {
        issuer: server.issuer(),
        thumbprint,
    }))
}

/// Looks for a way from a server up to somebody who is trusted.
struct Search<'a> {
    known: &'a Known,
    sent: &'a [Certificate],
    now: i64,
    verifications: usize,
    /// What was wrong with an authority that would have been the way.
    fault: Option<Refusal>,
}

impl Search<'_> {
    /// True where `below`, the certificate at `height` (the server's is at 1), was signed by a good authority that is
    /// trusted, or leads to one.
    fn leads_to_trust(&mut self, below: &Certificate, height: usize) -> bool {
        if height >= MAX_CHAIN {
            return false;
        }
        let known = self.known;
        let above = known.trusted.iter().chain(&known.issuers).chain(self.sent);
        let above = above.filter(|above| above.is_named_as_issuer_of(below));
        for authority in above {
            if self.verifications >= MAX_VERIFICATIONS {
                return false;
            }
            self.verifications += 1;
            if !below.is_signed_by(authority) {
                continue;
            }
            let is_trusted = is_among(authority, &known.trusted);
            match self.fault_of(authority, is_trusted, height) {
                Some(fault) => {
                    self.fault = Some(Refusal::Issuer {
                        issuer: authority.subject(),
                        fault,
                    });
                }
                None if is_trusted => return true,
                None if self.leads_to_trust(authority, height + 1) => return true,
                None => {}
            }
        }
        false
    }

    /// What is wrong with an authority that stands above `height` certificates.
    fn fault_of(
        &self,
        authority: &Certificate,
        is_trusted: bool,
        height: usize,
    ) -> Option<&'static str> {
        let between = height - 1;
        let too_deep = |most: u8| between > usize::from(most);
        if !authority.is_authority() {
            Some("may not sign certificates")
        } else if authority.path_length().is_some_and(too_deep) {
            Some("may not sign for other CAs")
        } else if !matches!(authority.key_bits(), Some(MIN_KEY_BITS..=MAX_KEY_BITS)) {
            Some("has a key of less than 2048 or more than 4096 bits")
        } else if self.now < authority.valid_from() {
            Some("is not valid yet by the box's clock")
        } else if self.now > authority.valid_until() {
            Some("has expired by the box's clock")
        // Nobody vouches for a trusted one by its signature.
        } else if !is_trusted && matches!(authority.signed(), Signed::Broken(_)) {
            Some("is signed with a broken hash")
        } else {
            None
        }
    }
}

fn is_among(one: &Certificate, others: &[Certificate]) -> bool {
    others.iter().any(|other| other.der() == one.der())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    shown(&names.join(", "))
}

/// A date as it is shown.
pub(super) fn date(unix_s: i64) -> String {
    Timestamp::from_second(unix_s).map_or_else(
        |_| format!("{unix_s} s after 1970"),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
