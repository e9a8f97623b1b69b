//! The address of a destination, taken apart just far enough to say what is wrong with it, and whether two of them mean
//! the same broker.

/// `scheme://host[:port][/path]`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
    pub(super) path: &'a str,
}

/// Host and port of a broker, the same for all ways to write them: letters of any case, a port left out, the names of this
/// computer's own loopback. `None` for what is no address of a broker.
#[must_use]
pub fn broker(address: &str) -> Option<(String, u16)> {
    let url = parse(address).ok()?;
    let usual = match url.scheme {
        "mqtt" => 1883,
        "mqtts" => 8883,
        _ => return None,
    };
    let host = url.host.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let host = match host {
        "127.0.0.1" | "::1" => "localhost",
        other => other,
    };
    Some((host.to_owned(), url.port.unwrap_or(usual)))
}

/// Takes an address apart. The error never repeats it: it may hold a password.
pub(super) fn parse(text: &str) -> Result<Url<'_>, String> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("this is not an address: write SCHEME://HOST, such as")?;
    let ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(ends).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err("no name and no password in an address: write them below `user:` or `basic:`; the address alone is".into());
    }
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("no spaces in an address: write".into());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(six) => six
            .split_once(']')
            .ok_or("an IPv6 address is written in brackets:")?,
        None => authority
            .split_at_checked(authority.find(':').unwrap_or(authority.len()))
            .unwrap_or((authority, "")),
    };
    if host.is_empty() {
        return Err("the host is missing: write".into());
    }
    let number = port
        .strip_prefix(':')
        .and_then(|digits| digits.parse::<u16>().ok())
        .filter(|number| *number > 0);
    if !port.is_empty() && number.is_none() {
        return Err("the port is a number from 1 to 65535: write".into());
    }
    Ok(Url {
        scheme,
        host,
        port: number,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for good in [
            "mqtt://10.0.0.1",
            "mqtts://broker.plant:8883",
            "http://[::1]:80/a/b?c=d",
            "https://h/",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        assert_eq!(
            parse("http://h:1/p").map(|url| (url.scheme, url.path)),
            Ok(("http", "/p"))
        );
        for bad in [
            "10.0.0.1",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://h:0",
            "mqtt://h:65536",
            "mqtt://h:x",
            "mqtt://[::1",
            "mqtt://a b",
            "mqtt://u:secret@h",
        ] {
            let message = parse(bad).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_broker_is_the_same_however_it_is_written() {
        let at = |address| broker(address).unwrap();
        for (one, other) in [
            ("mqtt://Broker.Plant1", "mqtt://broker.plant1:1883/"),
            ("mqtts://b", "mqtts://b.:8883"),
            ("mqtt://localhost", "mqtt://127.0.0.1:1883"),
            ("mqtt://[::1]:9", "mqtt://LOCALHOST:9"),
        ] {
            assert_eq!(at(one), at(other));
        }
        for (one, other) in [
            ("mqtt://b", "mqtts://b"),
            ("mqtt://b", "mqtt://b:1884"),
            ("mqtt://127.0.0.1", "mqtt://127.0.0.2"),
        ] {
            assert_ne!(at(one), at(other));
        }
        for none in ["http://b", "b:1883", "mqtt://:1"] {
            assert_eq!(broker(none), None);
        }
    }
}
