//! Why a connection ended, in words, noted where the bytes come in: of the library only a status code would be left.
//!
//! Written by `guard`, read by `wire`.

use opcua::types::StatusCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Most characters of a server's own words.
const MAX_WORDS: usize = 100;
/// Kind, size and status code stand before the words of an error message (OPC 10000-6, 7.1.2.5).
const CODE: std::ops::Range<usize> = 8..12;

/// The first reason that was noted on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Reason(Arc<Mutex<Option<String>>>);

impl Reason {
    /// What came is refused, `what` being it.
    pub(super) fn refuse(&self, what: &str) {
        self.note(format!(
            "the connection is ended because of what came: {what}"
        ));
    }

    /// Takes the reason out of an error message; any other chunk says nothing.
    pub(super) fn look(&self, chunk: &[u8]) {
        if let (b"ERR", Some(code)) = (chunk.get(..3).unwrap_or_default(), chunk.get(CODE)) {
            let code = code
                .iter()
                .rev()
                .fold(0, |all, &byte| all << 8 | u32::from(byte));
            let words = words(chunk.get(CODE.end..).unwrap_or_default());
            let status = StatusCode::from(code);
            let colon = if words.is_empty() { "" } else { ": " };
            self.note(format!(
                "the server ends the connection, {status}{colon}{words}"
            ));
        }
    }

    /// The words, if anybody noted some.
    pub(super) fn words(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, words: String) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert(words);
    }
}

/// A text with its length before it, fit for a line of the log.
fn words(bytes: &[u8]) -> String {
    let Some((length, text)) = bytes.split_at_checked(4) else {
        return String::new();
    };
    let length = length
        .iter()
        .rev()
        .fold(0, |all, &byte| all << 8 | u32::from(byte));
    let length = i32::try_from(length).map_or(0, |length| usize::try_from(length).unwrap_or(0));
    let text = String::from_utf8_lossy(text.get(..length).unwrap_or(text));
    let plain = text.chars().filter(|letter| !letter.is_control());
    plain.take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rest: &[u8]) -> Option<String> {
        let reason = Reason::default();
        let chunk = [b"ERRF\0\0\0\0", rest].concat();
        reason.look(&chunk);
        reason.words()
    }

    #[test]
    fn an_error_of_the_server_is_told_in_its_words() {
        let code = 0x8083_0000_u32.to_le_bytes();
        let with = |rest: &[u8]| said(&[&code, rest].concat()).unwrap();
        assert_eq!(
            with(b"\x09\0\0\0no\n such\0!"),
            "the server ends the connection, BadTcpEndpointUrlInvalid: no such"
        );
        let alone = "the server ends the connection, BadTcpEndpointUrlInvalid";
        for nothing in [&b"\xFF\xFF\xFF\xFF"[..], b"\0\0\0\0", b"\x05\0", b""] {
            assert_eq!(with(nothing), alone);
        }
        let long = [&5_000_u32.to_le_bytes()[..], &[b'x'; 5_000]].concat();
        assert!(with(&long).ends_with(&"x".repeat(MAX_WORDS)));
        assert!(with(&long).len() < 200);
    }

    #[test]
    fn what_is_no_error_says_nothing_and_the_first_reason_stays() {
        assert_eq!(said(b""), None);
        let reason = Reason::default();
        reason.look(b"MSGF\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(reason.words(), None);
        reason.refuse("a chunk of 7 bytes");
        reason.refuse("another");
        let first = "the connection is ended because of what came: a chunk of 7 bytes";
        assert_eq!(reason.words().as_deref(), Some(first));
    }
}
