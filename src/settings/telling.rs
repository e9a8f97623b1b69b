//! Names that tell that a value is a secret: of header lines, and of what stands in the query of an address. Pure.
//!
//! `check` warns where such a value stands in the file, and what is shown to people has `***` for it.

/// Parts of names that tell it wherever they stand.
const PARTS: [&str; 9] = [
    "authorization",
    "token",
    "secret",
    "passw",
    "pwd",
    "signature",
    "credential",
    "cookie",
    "apikey",
];
/// Words that tell it as a whole word of a name.
const WORDS: [&str; 5] = ["key", "sig", "auth", "pass", "code"];
/// Names that only sound so.
const HARMLESS: [&str; 2] = ["idempotency-key", "status-code"];

/// Whether a value of this name is probably a secret.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    if HARMLESS.contains(&small.as_str()) {
        return false;
    }
    // `accessKey` has two words.
    let mut apart = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            apart.push(' ');
        }
        apart.push(letter.to_ascii_lowercase());
    }
    let mut words = small
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .chain(apart.split(|letter: char| !letter.is_ascii_alphanumeric()));
    PARTS.iter().any(|part| small.contains(part)) || words.any(|word| WORDS.contains(&word))
}

/// The names in the query of an address that tell it.
pub fn secrets_in_query(address: &str) -> impl Iterator<Item = &str> {
    secret_pairs(address).map(|(name, _)| name)
}

/// The values of these, as they stand there.
pub fn secret_values_in_query(address: &str) -> impl Iterator<Item = &str> {
    secret_pairs(address).map(|(_, value)| value)
}

fn secret_pairs(address: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let names = query.split('&').filter_map(|pair| pair.split_once('='));
    names.filter(|(name, value)| names_a_secret(name) && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell_are_told_from_others() {
        for name in [
            "Authorization",
            "X-Api-Key",
            "apikey",
            "api_key",
            "apiKey",
            "token",
            "access_token",
            "X-Auth-Token",
            "subscription-key",
            "Ocp-Apim-Subscription-Key",
            "client_secret",
            "sig",
            "X-Signature",
            "password",
            "pwd",
            "Cookie",
            "X-Functions-Key",
            "code",
            "X-Auth",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in [
            "X-Plant",
            "Content-Type",
            "Idempotency-Key",
            "Accept",
            "order",
            "X-Line",
            "monkey",
            "author",
            "decode",
            "design",
            "",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn a_secret_in_an_address_is_found_by_its_name() {
        let found = |address| secrets_in_query(address).collect::<Vec<_>>().join(" ");
        assert_eq!(
            found("https://mes/x?plant=1&token=abc&sig=d#key=e"),
            "token sig"
        );
        let values: Vec<_> =
            secret_values_in_query("https://mes/x?plant=1&token=abc&sig=d#key=e").collect();
        assert_eq!(values, ["abc", "d"]);
        assert_eq!(found("https://mes/x?token=&plant=2"), "");
        assert_eq!(found("https://mes/token=1"), "");
    }
}
