//! What a reader reads, routed by the settings to what it is for: the first rule that fits. Pure.
//!
//! Called by `machine/scans` with the code as the reader's tag has it. Nothing that cannot be an id gets past here: an id is
//! 1 to 128 printable ASCII characters.

use crate::model::{MAX_PART_ID, ScanRejection, gs1};
use crate::settings::shape::{ScanFor, ScanRule};
use regex::Regex;
use std::sync::Arc;

/// Longest code in bytes: what the longest line holds. A longer one was cut on its way, or is no code.
pub(super) const MAX_CODE: usize = 1_024;

/// The rules of one reader, in their order.
#[derive(Debug, Default)]
pub(super) struct Router {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    settings: Arc<ScanRule>,
    pattern: Option<Regex>,
}

/// One thing that a code says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meaning {
    pub(super) is: ScanFor,
    /// The id itself.
    pub(super) code: String,
    /// The machine that the code itself names.
    pub(super) machine: Option<String>,
    /// The rule that fitted.
    pub(super) rule: Arc<ScanRule>,
}

/// A code without what the reader put before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code<'a> {
    pub(super) text: &'a str,
    /// AIM symbology identifier, `]d2`.
    pub(super) symbology: Option<&'a str>,
}

impl<'a> Code<'a> {
    /// Takes the symbology identifier off, where the reader did not give it apart.
    pub(super) fn new(text: &'a str, symbology: Option<&'a str>) -> Code<'a> {
        match (symbology, gs1::split_symbology(text)) {
            (None, Some((symbology, text))) => Code {
                text,
                symbology: Some(symbology),
            },
            _ => Code { text, symbology },
        }
    }
}

impl Router {
    /// # Errors
    /// Which rule, and why its pattern is none.
    pub(super) fn compile(rules: &[ScanRule]) -> Result<Router, (usize, String)> {
        let rule = |(index, settings): (usize, &ScanRule)| {
            let pattern = settings.pattern.as_deref().map(Regex::new).transpose();
            Ok(Rule {
                pattern: pattern.map_err(|error| (index, error.to_string()))?,
                settings: Arc::new(settings.clone()),
            })
        };
        let rules = rules.iter().enumerate().map(rule);
        Ok(Router {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// What the code is for; several things only where one symbol holds them.
    ///
    /// # Errors
    /// Why it is for nothing.
    pub(super) fn route(&self, code: Code<'_>) -> Result<Vec<Meaning>, ScanRejection> {
        if code.text.is_empty() || code.text.len() > MAX_CODE {
            return Err(ScanRejection::Unusable);
        }
        let mut misread = None;
        for rule in &self.rules {
            match rule.meanings(code) {
                Ok(Some(found)) if found.iter().all(|one| is_id(&one.code)) => return Ok(found),
                Ok(Some(_)) => return Err(ScanRejection::Unusable),
                Ok(None) => {}
                Err(why) => misread = Some(why),
            }
        }
        let unreadable = code.text.chars().any(char::is_control);
        Err(match misread {
            Some(why) => why,
            None if unreadable => ScanRejection::Unusable,
            None => ScanRejection::Pattern,
        })
    }
}

impl Rule {
    /// `None` when the rule does not fit.
    fn meanings(&self, code: Code<'_>) -> Result<Option<Vec<Meaning>>, ScanRejection> {
        let mut id = code.text;
        let mut machine = None;
        if let Some(pattern) = &self.pattern {
            let Some(found) = pattern.captures(code.text) else {
                return Ok(None);
            };
            id = found.name("id").map_or(id, |group| group.as_str());
            machine = found.name("machine").map(|group| group.as_str().to_owned());
        }
        if !self.settings.gs1.is_empty() {
            let elements = self.elements(code)?;
            return Ok(elements.map(|found| {
                let meaning = |(is, id): (ScanFor, String)| self.meaning(is, &id, machine.clone());
                found.into_iter().map(meaning).collect()
            }));
        }
        Ok(Some(vec![self.meaning(self.settings.is, id, machine)]))
    }

    fn meaning(&self, is: ScanFor, id: &str, machine: Option<String>) -> Meaning {
        Meaning {
            is,
            code: id.to_owned(),
            machine,
            rule: Arc::clone(&self.settings),
        }
    }

    /// The elements that the rule names, that of `is` among them. What they go with comes before the part itself.
    fn elements(&self, code: Code<'_>) -> Result<Option<Vec<(ScanFor, String)>>, ScanRejection> {
        let link = digital_link(code.text);
        if link.is_none() && !code.symbology.is_none_or(gs1::means_gs1) {
            return Ok(None);
        }
        let elements = match gs1::elements(link.as_deref().unwrap_or(code.text)) {
            Ok(elements) => elements,
            Err(gs1::Gs1Error::CheckDigit { .. }) => return Err(ScanRejection::Checksum),
            Err(_) => return Ok(None),
        };
        let named = |(identifier, is): (&String, &ScanFor)| {
            let element = elements.iter().find(|one| one.identifier == identifier)?;
            Some((*is, element.value.to_owned()))
        };
        let mut found: Vec<_> = self.settings.gs1.iter().filter_map(named).collect();
        found.sort_by_key(|(is, _)| *is == ScanFor::Part);
        let whole = found.iter().any(|(is, _)| *is == self.settings.is);
        Ok(whole.then_some(found))
    }
}

/// The elements of a GS1 Digital Link URI (GS1 Digital Link Standard, URI syntax), written with brackets:
/// `https://id.example/01/04012345678901/21/A7?10=L4`. `None` for what is none.
fn digital_link(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))?;
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
    // The shop's own path may stand before the first identifier.
    let first = segments.iter().position(|one| gs1::is_identifier(one))?;
    let pairs = segments.get(first..)?.chunks(2);
    let of_path = pairs.filter_map(|pair| match pair {
        [identifier, value] => Some((*identifier, *value)),
        _ => None,
    });
    let of_query = query
        .split(['&', ';'])
        .filter_map(|one| one.split_once('='));
    let mut written = String::with_capacity(text.len() + 16);
    for (identifier, value) in of_path.chain(of_query.filter(|(key, _)| gs1::is_identifier(key))) {
        let value = percent_decoded(value)?;
        // A trade item number may be written short; its symbol has 14 digits.
        let width = if identifier == "01" { 14 } else { 0 };
        written.push_str(&format!("({identifier}){value:0>width$}"));
    }
    Some(written)
}

/// `None` where it is not printable ASCII, which no value is.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        decoded.push(char::from(byte));
        decoded.push_str(rest);
    }
    decoded.is_ascii().then_some(decoded)
}

/// 1 to 128 printable ASCII characters, of which one at least is no space.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_PART_ID).contains(&text.len())
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.bytes().any(|byte| byte != b' ')
}

/// The kind of symbol in words (ISO/IEC 15424); an identifier that is not known stays as it is.
pub(super) fn symbology_in_words(identifier: &str) -> String {
    let word = match identifier {
        "]C1" => "gs1_128",
        "]d2" => "gs1_datamatrix",
        "]Q3" => "gs1_qr",
        "]J1" => "gs1_dotcode",
        _ => match identifier.as_bytes().get(1) {
            Some(b'A') => "code39",
            Some(b'C') => "code128",
            Some(b'E') => "ean_upc",
            Some(b'F') => "codabar",
            Some(b'G') => "code93",
            Some(b'I') => "interleaved_2_of_5",
            Some(b'J') => "dotcode",
            Some(b'L') => "pdf417",
            Some(b'Q') => "qr",
            Some(b'U') => "maxicode",
            Some(b'd') => "datamatrix",
            Some(b'e') => "gs1_databar",
            Some(b'z') => "aztec",
            _ => identifier,
        },
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of the press example, and some more.
    const RULES: &str = r#"
- { pattern: "^SN-[0-9]{7}$", is: part }
- { gs1: { "21": part, "10": lot }, is: part }
- { pattern: "^COIL-(?<id>[0-9]+)$", is: material, material: BLANK }
- { pattern: "^(?<machine>PRESS-[0-9]{2})/(?<id>.+)$", is: part }
- { pattern: "^ANY", is: operator }
"#;

    fn router() -> Router {
        let rules: Vec<ScanRule> = serde_saphyr::from_str(RULES).unwrap();
        Router::compile(&rules).unwrap()
    }

    fn routed(text: &str, symbology: Option<&str>) -> String {
        match router().route(Code::new(text, symbology)) {
            Err(why) => why.word().to_owned(),
            Ok(found) => {
                let words = found.iter().map(|one| {
                    let machine = one.machine.as_deref().unwrap_or("");
                    format!("{:?}={}{}", one.is, one.code, machine)
                });
                words.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn the_first_rule_that_fits_says_what_a_code_is() {
        let long = "ANY".repeat(43);
        let longest = format!("ANY{}", "x".repeat(125));
        let huge = "ANY".repeat(4_000);
        let cases: &[(&str, Option<&str>, &str)] = &[
            ("SN-0000001", None, "Part=SN-0000001"),
            ("SN-000001", None, "pattern"),
            ("COIL-77", None, "Material=77"),
            ("PRESS-05/A7", None, "Part=A7PRESS-05"),
            // GS1: as sent, as written, with and without its lot; the part comes last.
            ("21A7\u{1d}10L4", None, "Lot=L4 Part=A7"),
            ("(10)L4(21)A7", None, "Lot=L4 Part=A7"),
            ("]d221A7", None, "Part=A7"),
            ("]C121A7", None, "Part=A7"),
            ("21A7", Some("]d2"), "Part=A7"),
            // No GS1 symbol, whatever its digits look like.
            ("21A7", Some("]C0"), "pattern"),
            ("]d121A7", None, "pattern"),
            // Without its serial number it is no part.
            ("10L4", None, "pattern"),
            ("0104012345678902\u{1d}21A7", None, "checksum"),
            ("0104012345678901\u{1d}21A7", None, "Part=A7"),
            // A Digital Link, in whatever symbol: a short trade item number, a path of the shop, an escape, a query.
            ("https://id.example/01/4012345678901/21/A7", None, "Part=A7"),
            (
                "]Q1https://shop.example/de/01/04012345678901/10/L%2F4/21/A7?17=270101&x=1#top",
                None,
                "Lot=L/4 Part=A7",
            ),
            (
                "https://id.example/01/04012345678901?21=A7",
                None,
                "Part=A7",
            ),
            (
                "https://id.example/01/04012345678902/21/A7",
                None,
                "checksum",
            ),
            ("https://id.example/21/A%07", None, "pattern"),
            ("https://id.example/21/A%zz", None, "pattern"),
            ("https://id.example/about", None, "pattern"),
            ("https://", None, "pattern"),
            // What can be no id.
            ("", None, "unusable"),
            ("]d2", None, "unusable"),
            ("ANY\u{7}thing", None, "unusable"),
            ("ANY\u{1d}thing", None, "unusable"),
            ("ANYTHING \u{e4}", None, "unusable"),
            ("x\u{0}y", None, "unusable"),
            (&longest, None, &format!("Operator={longest}")),
            (&long, None, "unusable"),
            (&huge, None, "unusable"),
        ];
        for (text, symbology, expected) in cases {
            assert_eq!(&routed(text, *symbology), expected, "{text:?}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let rules: Vec<ScanRule> =
            serde_saphyr::from_str("[{ is: part }, { pattern: '(', is: part }]").unwrap();
        assert_eq!(Router::compile(&rules).unwrap_err().0, 1);
    }

    #[test]
    fn symbologies_have_words() {
        for (identifier, word) in [
            ("]d1", "datamatrix"),
            ("]d2", "gs1_datamatrix"),
            ("]X0", "]X0"),
        ] {
            assert_eq!(symbology_in_words(identifier), word);
        }
    }
}
