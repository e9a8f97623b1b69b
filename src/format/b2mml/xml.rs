//! Writes XML: elements that are always closed, text that is always legal, a document that never grows without end.

use super::B2mmlError;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::borrow::Cow;

/// The namespace of B2MML, all releases since 7.0.
pub(super) const NAMESPACE: &str = "http://www.mesa.org/xml/B2MML";

/// The first of the characters that Unicode has as pictures of the control characters.
const PICTURES: u32 = 0x2400;

/// A document that is being written.
pub(super) struct Xml {
    writer: Writer<Vec<u8>>,
    /// Before the name of each element: empty, or with its colon.
    prefix: &'static str,
    most_bytes: usize,
    too_large: bool,
}

/// Attributes: names and values.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// What writing gives.
pub(super) type Written<T = ()> = Result<T, B2mmlError>;

impl Xml {
    /// A document with this root, all of whose elements have this prefix (`""` or `"b:"`).
    ///
    /// # Errors
    ///
    /// Those of `content`, and [`B2mmlError::TooLarge`].
    pub(super) fn document(
        root: &'static str,
        prefix: &'static str,
        most_bytes: usize,
        content: impl FnOnce(&mut Xml) -> Written,
    ) -> Written<Vec<u8>> {
        let mut xml = Xml {
            writer: Writer::new(Vec::with_capacity(16 * 1024)),
            prefix,
            most_bytes,
            too_large: false,
        };
        let declared = match prefix.strip_suffix(':') {
            Some(prefix) => format!("xmlns:{prefix}"),
            None => "xmlns".to_owned(),
        };
        xml.put(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml.put(Event::Text(BytesText::new("\n")));
        let attributes = [(declared.as_str(), NAMESPACE), ("releaseID", "0701")];
        xml.inside_with(root, &attributes, content)?;
        if xml.too_large {
            return Err(B2mmlError::TooLarge);
        }
        Ok(xml.writer.into_inner())
    }

    /// An element with elements in it.
    pub(super) fn inside(
        &mut self,
        name: &'static str,
        content: impl FnOnce(&mut Xml) -> Written,
    ) -> Written {
        self.inside_with(name, &[], content)
    }

    /// An element with attributes and with elements in it.
    pub(super) fn inside_with(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Xml) -> Written,
    ) -> Written {
        let name = self.named(name);
        self.element(&name, attributes, content)
    }

    /// An element of no namespace with elements of the usual one in it: what is in an `InformationObject`, whose schema
    /// forgot to qualify its elements. Only in a document with a prefix.
    pub(super) fn inside_unqualified(
        &mut self,
        name: &'static str,
        content: impl FnOnce(&mut Xml) -> Written,
    ) -> Written {
        self.element(name, &[], content)
    }

    /// An element with text in it.
    pub(super) fn leaf(&mut self, name: &'static str, text: &str) {
        self.leaf_with(name, &[], text);
    }

    /// An element with text in it, if there is one.
    pub(super) fn maybe(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// An element with attributes and text.
    pub(super) fn leaf_with(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        let name = self.named(name);
        self.put(Event::Start(start(&name, attributes)));
        self.put(Event::Text(BytesText::new(&legal(text))));
        self.put(Event::End(BytesEnd::new(name)));
    }

    fn element(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        content: impl FnOnce(&mut Xml) -> Written,
    ) -> Written {
        self.put(Event::Start(start(name, attributes)));
        content(self)?;
        self.put(Event::End(BytesEnd::new(name)));
        Ok(())
    }

    fn named(&self, name: &'static str) -> Cow<'static, str> {
        match self.prefix {
            "" => Cow::Borrowed(name),
            prefix => Cow::Owned(format!("{prefix}{name}")),
        }
    }

    /// Once the document is too large nothing is added: it is thrown away at its end.
    fn put(&mut self, event: Event<'_>) {
        self.too_large = self.too_large || self.writer.get_ref().len() > self.most_bytes;
        if self.too_large {
            return;
        }
        // Cannot fail: a Vec takes everything.
        if let Err(error) = self.writer.write_event(event) {
            unreachable!("XML is always written: {error}");
        }
    }
}

fn start<'a>(name: &'a str, attributes: Attributes<'a>) -> BytesStart<'a> {
    let mut start = BytesStart::new(name);
    for (name, value) in attributes {
        start.push_attribute((*name, legal(value)));
    }
    start
}

/// A text without the characters that XML 1.0 has no way to write, not even as references. In place of a control character
/// stands its picture (the group separator of a GS1 code becomes `U+241D`), in place of the others `U+FFFD`.
fn legal(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_legal) {
        return Cow::Borrowed(text);
    }
    let all = text.chars();
    Cow::Owned(
        all.map(|c| if is_legal(c) { c } else { picture(c) })
            .collect(),
    )
}

/// `Char` of XML 1.0; surrogates are no characters here anyway.
pub(super) fn is_legal(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= ' ',
    }
}

fn picture(c: char) -> char {
    let picture = Some(u32::from(c)).filter(|code| *code < 0x20);
    picture
        .and_then(|code| char::from_u32(PICTURES + code))
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prefix: &'static str, text: &str) -> String {
        let most = 10_000;
        let xml = Xml::document("Root", prefix, most, |xml| {
            xml.inside("Inner", |xml| {
                xml.leaf_with("Leaf", &[("name", text)], text);
                Ok(())
            })
        });
        String::from_utf8(xml.unwrap()).unwrap()
    }

    #[test]
    fn a_document_says_its_namespace_and_release() {
        let plain = written("", "x");
        let expected = concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            "\n",
            r#"<Root xmlns="http://www.mesa.org/xml/B2MML" releaseID="0701">"#,
            r#"<Inner><Leaf name="x">x</Leaf></Inner></Root>"#
        );
        assert_eq!(plain, expected);
        let prefixed = written("b:", "x");
        assert!(prefixed.contains(
            r#"<b:Root xmlns:b="http://www.mesa.org/xml/B2MML" releaseID="0701"><b:Inner>"#
        ));
        assert!(prefixed.ends_with("</b:Leaf></b:Inner></b:Root>"));
    }

    #[test]
    fn every_text_becomes_one_that_xml_can_have() {
        let cases = [
            (
                "a & b < c > \"d\" 'e'",
                "a &amp; b &lt; c &gt; &quot;d&quot; &apos;e&apos;",
            ),
            ("0109\u{1d}21SN", "0109\u{241d}21SN"),
            ("\u{0}\u{1b}[31m", "\u{2400}\u{241b}[31m"),
            ("\u{fffe}\u{ffff}", "\u{fffd}\u{fffd}"),
            ("]]>", "]]&gt;"),
            (
                "\u{7f}\u{85}\u{2028}ü\u{1f527}",
                "\u{7f}\u{85}\u{2028}ü\u{1f527}",
            ),
        ];
        for (text, expected) in cases {
            let whole = written("", text);
            assert!(whole.contains(&format!(">{expected}</Leaf>")), "{whole}");
            assert!(whole.contains(&format!("name=\"{expected}\"")), "{whole}");
        }
        // Line ends and tabs arrive as they are, also where a parser would make a space or another line end of them.
        let ends = written("", "a\r\nb\tc");
        assert!(ends.contains("a&#13;"), "{ends}");
        assert!(ends.contains("name=\"a&#13;&#10;b&#9;c\""), "{ends}");
    }

    #[test]
    fn a_document_that_grows_too_large_is_none() {
        let grown = Xml::document("Root", "", 1_000, |xml| {
            for _ in 0..1_000 {
                xml.leaf("Leaf", "and so on");
            }
            Ok(())
        });
        assert!(matches!(grown, Err(B2mmlError::TooLarge)));
    }
}
