//! Base64 for basic authentication, and percent signs for URLs and forms. Pure.

use std::fmt::Write;

/// Base64 with padding (RFC 4648, 4.), for basic authentication.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| {
        usize::try_from(bits & 63)
            .ok()
            .and_then(|index| LETTERS.get(index))
            .map_or('=', |letter| char::from(*letter))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut bits = 0u32;
        for place in 0..3 {
            bits = bits << 8 | chunk.get(place).copied().map_or(0, u32::from);
        }
        text.push(letter(bits >> 18));
        text.push(letter(bits >> 12));
        text.push(if chunk.len() > 1 {
            letter(bits >> 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 { letter(bits) } else { '=' });
    }
    text
}

/// Percent-encoded but for the unreserved characters (RFC 3986, 2.3): fit for any part of a URL, and for a form.
pub(super) fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // A String takes everything.
            let _written = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `application/x-www-form-urlencoded`.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", percent(name), percent(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn nothing_but_unreserved_characters_is_left() {
        assert_eq!(percent("a/b c?ü%~"), "a%2Fb%20c%3F%C3%BC%25~");
        assert_eq!(form(&[("a b", "1&2"), ("c", "")]), "a%20b=1%262&c=");
    }
}
