//! What a device sends, cut where it pauses or ends a line, and shown with every sign that is in it. Pure.
//!
//! Other than the driver, which is told where a telegram ends: here a person is to find that out.

use crate::model::gs1;
use serde_json::{Value as Json, json};

/// More without an end is shown in pieces.
const MOST_BYTES: usize = 1_024;

/// Bytes that are sent to make a device answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request(pub(super) Vec<u8>);

/// Reads a request with `\r`, `\n`, `\t`, `\\` and `\x05`.
///
/// # Errors
/// What to write instead.
pub(super) fn request(text: &str) -> Result<Request, String> {
    let wrong = |sign: &str| {
        format!(
            "`\\{sign}` is not known: write \\r, \\n, \\t, \\\\ or two hexadecimal digits as in \\x05"
        )
    };
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let sign = after.get(..1).ok_or_else(|| wrong(""))?;
        let mut taken = 1;
        bytes.push(match sign {
            "r" => b'\r',
            "n" => b'\n',
            "t" => b'\t',
            "\\" => b'\\',
            "x" => {
                taken = 3;
                let digits = after.get(1..3).ok_or_else(|| wrong("x"))?;
                u8::from_str_radix(digits, 16).map_err(|_| wrong(after.get(..3).unwrap_or("x")))?
            }
            other => return Err(wrong(other)),
        });
        rest = after.get(taken..).unwrap_or_default();
    }
    bytes.extend(rest.bytes());
    if bytes.is_empty() || bytes.len() > MOST_BYTES {
        return Err(format!("a request has 1 to {MOST_BYTES} bytes"));
    }
    Ok(Request(bytes))
}

/// Cuts a stream of bytes into what is shown as one line each.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    kept: Vec<u8>,
}

impl Cutter {
    /// Takes bytes; what they complete comes out, end marks included.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for byte in bytes {
            // A CR ends a line unless an LF follows.
            if self.kept.last() == Some(&b'\r') && *byte != b'\n' {
                whole.extend(self.rest());
            }
            self.kept.push(*byte);
            if *byte == b'\n' || self.kept.len() >= MOST_BYTES {
                whole.extend(self.rest());
            }
        }
        whole
    }

    /// What came last, where the device pauses.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.kept.is_empty()).then(|| std::mem::take(&mut self.kept))
    }

    /// True where a pause would end something.
    pub(super) fn waits(&self) -> bool {
        !self.kept.is_empty()
    }
}

/// A line taken apart.
struct Parts<'a> {
    symbology: Option<&'a str>,
    elements: Vec<gs1::Element<'a>>,
}

/// What stands in a line beside its characters.
fn parts(text: &str) -> Parts<'_> {
    let text = text.trim_end_matches(['\r', '\n']);
    let (symbology, code) = match gs1::split_symbology(text) {
        Some((symbology, rest)) => (Some(symbology), rest),
        None => (None, text),
    };
    let is_gs1 =
        symbology.is_some_and(gs1::means_gs1) || code.starts_with('(') || code.contains('\u{1d}');
    let elements = if is_gs1 {
        gs1::elements(code).unwrap_or_default()
    } else {
        Vec::new()
    };
    Parts {
        symbology,
        elements,
    }
}

/// A line for people: `"SN-0000017\r\n"  AIM ]C1  (01) 09521234543213`.
pub(super) fn told(bytes: &[u8]) -> String {
    let mut text = format!("\"{}\"", bytes.escape_ascii());
    let decoded = String::from_utf8_lossy(bytes);
    let parts = parts(&decoded);
    if let Some(symbology) = parts.symbology {
        text += &format!("  AIM {symbology}");
    }
    for element in &parts.elements {
        text += &format!(
            "  ({}) {}",
            element.identifier,
            element.value.escape_debug()
        );
    }
    if !bytes.ends_with(b"\n") && !bytes.ends_with(b"\r") {
        text += "  ends with a pause, no line end";
    }
    text
}

/// A line for programs.
pub(super) fn report(time: &str, bytes: &[u8]) -> Json {
    let decoded = String::from_utf8_lossy(bytes);
    let parts = parts(&decoded);
    let gs1: serde_json::Map<String, Json> = parts
        .elements
        .iter()
        .map(|element| (element.identifier.to_owned(), element.value.into()))
        .collect();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "time": time,
        "text": decoded,
        "hex": hex,
        "symbology": parts.symbology,
        "gs1": gs1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str]) -> Vec<String> {
        let mut cutter = Cutter::default();
        let mut whole: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            whole.extend(cutter.feed(piece.as_bytes()));
        }
        whole.extend(cutter.rest());
        assert!(!cutter.waits());
        whole
            .into_iter()
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_cut_at_every_kind_of_end_however_they_arrive() {
        assert_eq!(cut(&["A\r\nB\r\n"]), ["A\r\n", "B\r\n"]);
        assert_eq!(cut(&["A\r", "\nB", "\r\n"]), ["A\r\n", "B\r\n"]);
        assert_eq!(cut(&["A\rB\r"]), ["A\r", "B\r"]);
        assert_eq!(cut(&["A\nB"]), ["A\n", "B"]);
        assert_eq!(cut(&["\u{2}12.5\u{3}"]), ["\u{2}12.5\u{3}"]);
        assert_eq!(cut(&[&"x".repeat(1_500)]).len(), 2);
    }

    #[test]
    fn every_sign_of_a_line_is_seen() {
        assert_eq!(told(b"SN-0000017\r\n"), r#""SN-0000017\r\n""#);
        assert_eq!(
            told(b"\x0212.5\xff\x03"),
            r#""\x0212.5\xff\x03"  ends with a pause, no line end"#
        );
        let gs1 = told(b"]C10109521234543213\x1d10LOT7\r");
        assert!(
            gs1.contains("AIM ]C1  (01) 09521234543213  (10) LOT7"),
            "{gs1}"
        );
        assert!(
            !told(b"0109521234543213\r").contains("(01)"),
            "without a sign of GS1 it is a number"
        );
    }

    #[test]
    fn a_report_has_the_bytes_and_what_they_mean() {
        let report = report("2026-11-22T09:00:00Z", b"]C10109521234543213\r");
        assert_eq!(report["gs1"]["01"], "09521234543213");
        assert_eq!(report["symbology"], "]C1");
        assert!(report["hex"].as_str().unwrap().ends_with("0d"));
    }

    #[test]
    fn a_request_is_written_with_its_control_characters() {
        let bytes = |text: &str| request(text).map(|request| request.0);
        assert_eq!(bytes(r"P\r\n"), Ok(b"P\r\n".to_vec()));
        assert_eq!(bytes(r"\x05\\t\t"), Ok(b"\x05\\t\t".to_vec()));
        for wrong in [r"\", r"\q", r"\x5", r"\xzz", r"\é", ""] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
