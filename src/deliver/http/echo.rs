//! What nobody is to see of an answer: which parts of a credential are looked for in it, and whether it repeats one of them in
//! whatever spelling, since what is told is read out of XML and JSON. Pure.

use crate::settings::names_a_secret;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};

/// Shortest secret that is looked for: a shorter one would be found everywhere.
const MIN_SECRET_CHARS: usize = 6;
/// Shortest part of a credential that is looked for by itself.
const MIN_PART_CHARS: usize = 8;
/// JSON in a text of JSON in a text: so often what was escaped is read.
const MOST_READINGS: usize = 3;

/// A secret that is long enough to be looked for.
pub(super) fn secret_text(secret: &str) -> Option<String> {
    (secret.len() >= MIN_SECRET_CHARS).then(|| secret.to_owned())
}

/// What header lines carry that must not come back in what is kept or told of an answer.
pub(super) fn secrets_in(headers: &HeaderMap) -> Vec<String> {
    let secret = |(name, value): &(&HeaderName, &HeaderValue)| {
        value.is_sensitive() || names_a_secret(name.as_str())
    };
    let lines = headers.iter().filter(secret);
    lines
        .filter_map(|(name, value)| Some((name, value.to_str().ok()?)))
        .flat_map(|(name, value)| secrets_of(name.as_str(), value))
        .collect()
}

/// The secrets in one header value: all of it, what stands behind its scheme, and each longer part, since a server may repeat
/// one cookie of several.
pub(super) fn secrets_of(name: &str, value: &str) -> Vec<String> {
    let behind_scheme = match value.split_once(' ') {
        Some((_, rest)) if name.eq_ignore_ascii_case(AUTHORIZATION.as_str()) => rest,
        _ => value,
    };
    let whole = [
        value,
        behind_scheme,
        value.rsplit(' ').next().unwrap_or_default(),
    ];
    let mut secrets: Vec<String> = whole.into_iter().filter_map(secret_text).collect();
    let is_cookie = name.eq_ignore_ascii_case(COOKIE.as_str());
    let pieces =
        behind_scheme.split(|letter: char| letter.is_whitespace() || ";,".contains(letter));
    for piece in pieces {
        // The name of a cookie is no secret.
        let told = piece.split_once('=').filter(|_| is_cookie);
        let piece = told.map_or(piece, |(_, value)| value);
        let parts = piece.split('=').chain([piece]);
        let parts = parts.map(|part| part.trim_matches('"'));
        let long = parts.filter(|part| part.len() >= MIN_PART_CHARS);
        secrets.extend(long.map(str::to_owned));
    }
    secrets.sort_unstable();
    secrets.dedup();
    secrets
}

/// A body in all the spellings in which its words may be told.
pub(super) fn spellings(body: &[u8]) -> Vec<String> {
    let plain = String::from_utf8_lossy(body).into_owned();
    let mut found = vec![plain];
    for _ in 0..MOST_READINGS {
        let Some(last) = found.last() else { break };
        let read = without_escapes(&without_entities(last));
        if read == *last {
            break;
        }
        found.push(read);
    }
    found
}

/// XML as it reads: entities as their letters, the text of `CDATA` as text, no comments.
fn without_entities(text: &str) -> String {
    if !text.contains(['&', '<']) {
        return text.to_owned();
    }
    let mut rest = text;
    let mut read = String::with_capacity(text.len());
    while let Some(place) = rest.find(['&', '<']) {
        let (before, from) = rest.split_at(place);
        read.push_str(before);
        let (letters, used) = entity(from);
        read.push_str(&letters);
        rest = from.get(used..).unwrap_or_default();
    }
    read.push_str(rest);
    // What encloses a text of CDATA has its end, too.
    read.replace("]]>", "")
}

/// What stands at the beginning of `text`, with `&` or `<`: its letters, and how many bytes it has.
fn entity(text: &str) -> (String, usize) {
    const CDATA: &str = "<![CDATA[";
    if text.starts_with(CDATA) {
        return (String::new(), CDATA.len());
    }
    if text.starts_with("<!--") {
        let end = text.find("-->").map_or(text.len(), |place| place + 3);
        return (String::new(), end);
    }
    let first = || (text.chars().take(1).collect(), 1);
    let Some(name) = text.strip_prefix('&').and_then(|text| text.split_once(';')) else {
        return first();
    };
    let letter = match name.0 {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        number => number.strip_prefix('#').and_then(letter_of),
    };
    letter.map_or_else(first, |letter| (letter.to_string(), name.0.len() + 2))
}

/// The letter of a number as XML writes it.
fn letter_of(number: &str) -> Option<char> {
    let number = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(number)
}

/// A text as JSON reads it, with its escaped letters.
fn without_escapes(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut read = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            read.push(letter);
            continue;
        }
        let Some(kind) = letters.next() else {
            read.push('\\');
            break;
        };
        let digits: String = letters.clone().take(4).collect();
        let number = || u32::from_str_radix(&digits, 16).ok();
        match kind {
            'u' if digits.len() == 4 && number().is_some() => {
                letters.by_ref().take(4).for_each(drop);
                // Half a letter stands for itself: no header carries one.
                read.extend(number().and_then(char::from_u32));
            }
            'n' => read.push('\n'),
            't' => read.push('\t'),
            'r' => read.push('\r'),
            'b' | 'f' => {}
            other => read.push(other),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_longer_part_of_a_credential_is_looked_for_and_no_name_of_a_cookie() {
        for (name, value, parts) in [
            (
                "cookie",
                "JSESSIONID=canary-01; lang=de",
                &["canary-01"][..],
            ),
            ("authorization", "Bearer canary01", &["canary01"]),
            (
                "authorization",
                "Basic Y2FuYXJ5MDE=",
                &["Y2FuYXJ5MDE", "Y2FuYXJ5MDE="],
            ),
            (
                "authorization",
                "Signature key=\"canary-1\",sig=\"canary-2\"",
                &["canary-1", "canary-2"],
            ),
            ("x-api-key", "canary one", &[]),
            ("x-api-key", "canary", &["canary"]),
        ] {
            let found = secrets_of(name, value);
            let has = |one: &str| found.iter().any(|secret| secret == one);
            assert!(
                has(value) && parts.iter().all(|part| has(part)),
                "{found:?}"
            );
            for harmless in ["JSESSIONID", "Bearer", "Signature", "de", "one"] {
                assert!(!has(harmless), "{found:?}");
            }
        }
        assert!(secrets_of("x-api-key", "12345").is_empty());
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        const SECRET: &str = "can&ary<\"/1'";
        for body in [
            "<Description>can&amp;ary&lt;&quot;/1&apos;</Description>",
            "<Description>can&#38;ary&#x3C;&#34;/1&#39;</Description>",
            "<Description><![CDATA[can&ary<\"/1']]></Description>",
            "<Description>can<!-- - -->&amp;ary&lt;\"/1'</Description>",
            r#"{"detail":"can\u0026ary\u003c\"\/1'"#,
            r#"{"detail":"{\"key\":\"can&ary<\\\"\\/1'\"}"}"#,
            "can&ary<\"/1'",
        ] {
            let found = spellings(body.as_bytes());
            assert!(found.iter().any(|text| text.contains(SECRET)), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in "[&#x<!\\-;\\\\u0-9a-f\\[\\]>]{0,40}") {
            drop((spellings(&body), spellings(text.as_bytes())));
            drop(secrets_of("cookie", &text));
        }
    }
}
