//! Where a broker is: `mqtt://host[:1883]` or `mqtts://host[:8883]`. Pure.

use std::fmt;

/// A broker's URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither `mqtt://` nor `mqtts://`.
    #[error("url: `{0}` must begin with mqtt:// or mqtts://")]
    Scheme(String),
    /// No host, or something after it.
    #[error("url: `{0}` must be a host and perhaps a port, such as mqtts://broker.plant1:8883")]
    Host(String),
    /// Not a port.
    #[error("url: `{0}` is not a port from 1 to 65535")]
    Port(String),
    /// Name and password do not belong here.
    #[error(
        "url: a user does not stand in the URL: write `user: {{ name: ..., password: {{ file: ... }} }}`"
    )]
    User,
}

/// A broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::deliver) struct Address {
    /// Name or IPv4 address; an IPv6 address in brackets.
    pub(in crate::deliver) host: String,
    /// TCP port.
    pub(in crate::deliver) port: u16,
    /// `mqtts`.
    pub(in crate::deliver) tls: bool,
}

impl Address {
    /// Reads an URL of the settings.
    pub(in crate::deliver) fn parse(url: &str) -> Result<Address, AddressError> {
        let (tls, rest) = if let Some(rest) = url.strip_prefix("mqtts://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("mqtt://") {
            (false, rest)
        } else {
            return Err(AddressError::Scheme(url.to_owned()));
        };
        if rest.contains('@') {
            return Err(AddressError::User);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            Some(_) | None => (rest, None),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#');
        if host.is_empty() || host.contains(odd) || (host.contains(':') && !bracketed) {
            return Err(AddressError::Host(url.to_owned()));
        }
        let port = match port {
            None if tls => 8883,
            None => 1883,
            Some(text) => text
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| AddressError::Port(text.to_owned()))?,
        };
        Ok(Address {
            host: host.to_owned(),
            port,
            tls,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_brokers_are_read_and_written() {
        for (url, shown) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtts://broker.plant1/", "mqtts://broker.plant1:8883"),
            ("mqtt://10.0.0.7:2883", "mqtt://10.0.0.7:2883"),
            ("mqtt://[::1]", "mqtt://[::1]:1883"),
            ("mqtts://[fd00::7]:9883", "mqtts://[fd00::7]:9883"),
        ] {
            assert_eq!(Address::parse(url).expect(url).to_string(), shown);
        }
    }

    #[test]
    fn what_is_not_an_url_of_a_broker_is_refused() {
        let url = |text: &str| text.to_owned();
        for (text, error) in [
            ("broker:1883", AddressError::Scheme(url("broker:1883"))),
            ("http://broker", AddressError::Scheme(url("http://broker"))),
            ("mqtt://", AddressError::Host(url("mqtt://"))),
            ("mqtt://a/b", AddressError::Host(url("mqtt://a/b"))),
            ("mqtt://::1", AddressError::Host(url("mqtt://::1"))),
            ("mqtt://a:0", AddressError::Port(url("0"))),
            ("mqtt://a:70000", AddressError::Port(url("70000"))),
            ("mqtt://me:pw@a", AddressError::User),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }
}
