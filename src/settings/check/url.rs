//! The address of a destination, taken apart just far enough to say what is wrong with it.

/// `scheme://host[:port][/path]`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: &'a str,
    pub(super) path: &'a str,
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
    if !port.is_empty() {
        let number = port
            .strip_prefix(':')
            .and_then(|digits| digits.parse::<u16>().ok());
        if number.is_none_or(|number| number == 0) {
            return Err("the port is a number from 1 to 65535: write".into());
        }
    }
    Ok(Url { scheme, path })
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
}
