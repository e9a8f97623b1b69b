//! The way to a destination, step by step and in words: its name, the connection, TLS. Sends no event: for `deliver test`,
//! which has to say where it ends.

mod chain;

use super::handshake;
use super::mqtt::Address;
use super::tls;
use super::uplink::with_causes;
use crate::settings::{self, UplinkProtocol, shape};
use reqwest::Url;
use rumqttc::tokio_rustls::TlsConnector;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Longest time for each step.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was tried: `name`, `connection`, `TLS`.
    pub what: &'static str,
    /// What was found, one line each. Where the way ends, the first one says why and what to check.
    pub words: Vec<String>,
    /// Where the way ends, whose matter that is.
    pub ends: Option<End>,
}

/// Why the way ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The settings, or the files that they name.
    Settings,
    /// The network, or the server.
    Unreachable,
}

/// Where an uplink's server is.
#[derive(Clone, Debug)]
struct Way {
    host: String,
    port: u16,
    /// The settings for TLS, where it is used.
    tls: Option<Option<shape::Tls>>,
}

/// Goes the way of an uplink, until it ends; with HTTP to the server of that URL, or to the proxy before it.
pub async fn walk(uplink: &settings::Uplink, url: Option<&str>) -> Vec<Step> {
    let way = match Way::of(&uplink.protocol, url) {
        Ok(way) => way,
        Err(why) => return vec![Step::end("settings", End::Settings, why)],
    };
    let mut steps = Vec::new();
    let addresses = match way.resolve().await {
        Ok(addresses) => addresses,
        Err(why) => return vec![Step::end("name", End::Unreachable, why)],
    };
    let shown: Vec<String> = addresses.iter().map(|it| it.ip().to_string()).collect();
    steps.push(Step::good(
        "name",
        vec![format!("{} is {}", way.host, shown.join(", "))],
    ));
    let stream = match way.connect(&addresses).await {
        Ok((stream, words)) => {
            steps.push(Step::good("connection", vec![words]));
            stream
        }
        Err(why) => {
            steps.push(Step::end("connection", End::Unreachable, why));
            return steps;
        }
    };
    if let Some(settings) = &way.tls {
        steps.push(way.shake_hands(stream, settings.as_ref(), &addresses).await);
    }
    steps
}

impl Step {
    fn good(what: &'static str, words: Vec<String>) -> Step {
        Step {
            what,
            words,
            ends: None,
        }
    }

    fn end(what: &'static str, end: End, why: String) -> Step {
        Step {
            what,
            words: vec![why],
            ends: Some(end),
        }
    }
}

impl Way {
    fn of(protocol: &UplinkProtocol, url: Option<&str>) -> Result<Way, String> {
        match protocol {
            UplinkProtocol::Mqtt(mqtt) => {
                let address = Address::parse(&mqtt.url).map_err(|error| error.to_string())?;
                Ok(Way {
                    host: address.host,
                    port: address.port,
                    tls: address.tls.then(|| mqtt.tls.clone()),
                })
            }
            UplinkProtocol::Http(http) => {
                // Behind a proxy only the proxy's own way can be seen from here.
                let target = http.proxy.as_deref().or(url).or(http.url.as_deref());
                let url = Url::parse(target.unwrap_or_default());
                let url = url.map_err(|error| error.to_string())?;
                let host = url.host_str().ok_or("the URL has no host")?;
                let encrypted = url.scheme() == "https" && http.proxy.is_none();
                Ok(Way {
                    host: host.to_owned(),
                    port: url.port_or_known_default().ok_or("the URL has no port")?,
                    tls: encrypted.then(|| http.tls.clone()),
                })
            }
        }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let name = format!("{}:{}", self.host, self.port);
        let found = timeout(STEP_WITHIN, lookup_host(name)).await;
        let check = "check the host name in `url`, and this box's name server (`resolvectl query`)";
        match found {
            Ok(Ok(addresses)) => {
                let addresses: Vec<SocketAddr> = addresses.take(MAX_ADDRESSES).collect();
                match addresses.is_empty() {
                    true => Err(format!("{} has no address: {check}", self.host)),
                    false => Ok(addresses),
                }
            }
            Ok(Err(error)) => Err(format!("{}: {error}: {check}", self.host)),
            Err(_) => Err(format!(
                "{}: no answer from the name server within {} s: {check}",
                self.host,
                STEP_WITHIN.as_secs()
            )),
        }
    }

    /// To the first address that answers; the last one's error otherwise.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<(TcpStream, String), String> {
        let mut why = String::new();
        for address in addresses {
            let began = Instant::now();
            why = match timeout(STEP_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let took = began.elapsed().as_millis();
                    let own = stream.local_addr();
                    let own = own.map_or(String::new(), |own| format!(" from {}", own.ip()));
                    return Ok((stream, format!("{address} answers{own}, in {took} ms")));
                }
                Ok(Err(error)) => format!("{address}: {error}: {}", hint(&error)),
                Err(_) => format!(
                    "{address} does not answer within {} s: check address, route and firewall",
                    STEP_WITHIN.as_secs()
                ),
            };
        }
        Err(why)
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        settings: Option<&shape::Tls>,
        addresses: &[SocketAddr],
    ) -> Step {
        let config = match tls::client_config(settings) {
            Ok(config) => config,
            Err(error) => return Step::end("TLS", End::Settings, error.to_string()),
        };
        let named = ServerName::try_from(self.bare_host().to_owned());
        let Ok(name) = named else {
            let why = format!("`{}` is no name that a certificate can have", self.host);
            return Step::end("TLS", End::Settings, why);
        };
        match handshake(config.clone(), name.clone(), stream).await {
            Ok(mut words) => {
                if settings.is_some_and(|tls| tls.cert.is_some()) {
                    words.push("our own certificate (`tls.cert`) goes along".into());
                }
                Step::good("TLS", words)
            }
            Err(error) => {
                let why = match handshake::find(&error) {
                    Some(tls) => handshake::explain(tls, &self.host),
                    None => format!("TLS: {}: {}", with_causes(&error), hint(&error)),
                };
                let mut step = Step::end("TLS", End::Unreachable, why);
                let shown = look(&config, name, addresses).await;
                step.words.extend(chain::words(&shown));
                step.words.extend(trusted(settings));
                step
            }
        }
    }

    /// An IPv6 address without the brackets of an URL.
    fn bare_host(&self) -> &str {
        let inner = self.host.strip_prefix('[');
        let inner = inner.and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(&self.host)
    }
}

/// What the version is, and whom the server says it is.
async fn handshake(
    config: ClientConfig,
    name: ServerName<'static>,
    stream: TcpStream,
) -> io::Result<Vec<String>> {
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let made = timeout(STEP_WITHIN, connecting).await;
    let slow = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let stream = made.unwrap_or_else(|_| Err(slow()))?;
    let connection = stream.get_ref().1;
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        Some(_) | None => "of another version",
    };
    let mut words = vec![format!("{version}, and the server is whom we trust")];
    let shown: Vec<Vec<u8>> = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    words.extend(chain::words(&shown));
    Ok(words)
}

/// What the server shows, when it is not whom we trust: a second handshake, which ends at its certificates.
async fn look(
    config: &ClientConfig,
    name: ServerName<'static>,
    addresses: &[SocketAddr],
) -> Vec<Vec<u8>> {
    let looker = Arc::new(chain::Looker::default());
    let mut config = config.clone();
    config
        .dangerous()
        .set_certificate_verifier(Arc::clone(&looker) as _);
    let trying = async {
        for address in addresses {
            if let Ok(stream) = TcpStream::connect(address).await {
                // It fails by what it is made for.
                drop(handshake(config, name, stream).await);
                return;
            }
        }
    };
    // What it has not shown by then it does not show.
    drop(timeout(STEP_WITHIN, trying).await);
    looker.seen()
}

/// Whom the settings trust.
fn trusted(settings: Option<&shape::Tls>) -> Vec<String> {
    let Some(path) = settings.and_then(|tls| tls.ca.as_deref()) else {
        return vec!["no `tls.ca`: the public authorities of this box are trusted".into()];
    };
    let found: Vec<CertificateDer<'_>> = tls::certificates(path).unwrap_or_default();
    let names: Vec<String> = found.iter().filter_map(|it| chain::subject(it)).collect();
    vec![format!(
        "`tls.ca` ({}) has {}",
        path.display(),
        names.join(", ")
    )]
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there: is the server running, and is the port right?"
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "check cable, address and route"
        }
        io::ErrorKind::TimedOut => "check address, route and firewall",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof => {
            "the server hung up: does it speak TLS on this port? Its log says why"
        }
        io::ErrorKind::PermissionDenied => {
            "this box forbids it: see IPAddressAllow= of the unit, and the firewall"
        }
        _ => "check cable, address and firewall",
    }
}
