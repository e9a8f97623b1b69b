//! Pages for people where an answer should be: a login page, the error page of a proxy, what a script prints when it dies. Pure.

/// Most bytes that are looked through for a title: it stands in the head of a page.
const MAX_HEAD_BYTES: usize = 4 << 10;
/// Longest comment or instruction before the page itself that is passed over, together.
const MAX_AHEAD_BYTES: usize = 4 << 10;

/// Elements of HTML with which a page without a head may begin. Some servers send every answer as `text/html`, also one in XML, whose
/// elements have other names: so those are left out that a message in XML may well be called (`address`, `code`, `data`, `label`, `object`).
const ELEMENTS: [&str; 76] = [
    "a",
    "abbr",
    "article",
    "aside",
    "audio",
    "b",
    "big",
    "blink",
    "blockquote",
    "body",
    "br",
    "button",
    "canvas",
    "center",
    "cite",
    "dd",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figure",
    "font",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "i",
    "iframe",
    "img",
    "input",
    "kbd",
    "legend",
    "li",
    "link",
    "main",
    "marquee",
    "menu",
    "meta",
    "nav",
    "noframes",
    "noscript",
    "ol",
    "p",
    "pre",
    "samp",
    "script",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "textarea",
    "title",
    "tr",
    "tt",
    "ul",
];

/// Whether this body is a page. `says_html`: its content type is that of one; then so is one that begins within the page, as the
/// `<b>Fatal error</b>` of a script does.
pub(super) fn is_page(body: &[u8], says_html: bool) -> bool {
    let start = content(body);
    let begins = |with: &str| {
        let start = start.get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    let is_element = || {
        let name = start.strip_prefix(b"<").unwrap_or_default();
        let ends = |it: &u8| it.is_ascii_whitespace() || b"/>".contains(it);
        let end = name.iter().position(ends);
        let name = end.and_then(|end| name.get(..end)).unwrap_or_default();
        let mut elements = ELEMENTS.iter();
        elements.any(|element| name.eq_ignore_ascii_case(element.as_bytes()))
    };
    begins("<!doctype html") || begins("<html") || (says_html && is_element())
}

/// What the page calls itself, as it stands there; `None` where it does not say.
pub(super) fn title(body: &[u8]) -> Option<String> {
    let head = body.get(..MAX_HEAD_BYTES.min(body.len()))?;
    let head = String::from_utf8_lossy(head);
    // ASCII letters alone change, so places are the same in both.
    let small = head.to_ascii_lowercase();
    let tag = small.find("<title")?;
    let begin = tag + small.get(tag..)?.find('>')? + 1;
    let end = begin + small.get(begin..)?.find("</title")?;
    let words: Vec<&str> = head.get(begin..end)?.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The body behind its byte order mark, the XML declaration and comments.
fn content(body: &[u8]) -> &[u8] {
    let mut rest = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    rest = rest.trim_ascii_start();
    let far = rest.len().saturating_sub(MAX_AHEAD_BYTES);
    loop {
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            _ => return rest,
        };
        let found = rest.windows(end.len()).position(|part| part == end);
        let behind = found.and_then(|at| rest.get(at + end.len()..));
        match behind {
            Some(behind) if behind.len() >= far => rest = behind.trim_ascii_start(),
            Some(_) | None => return rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_are_told_from_answers() {
        for (body, says_html, expected) in [
            ("<!DOCTYPE html><html>", false, true),
            ("\u{feff}\n <HTML lang=en>", false, true),
            (
                "<?xml version=\"1.0\"?>\n<!-- x --><!DOCTYPE html PUBLIC \"-//W3C\">",
                false,
                true,
            ),
            ("<br />\n<b>Fatal error</b>: no database", true, true),
            ("<br />\n<b>Fatal error</b>: no database", false, false),
            ("<?xml version=\"1.0\"?><ConfirmBOD/>", false, false),
            (
                "<?xml version=\"1.0\"?><a:ConfirmBOD xmlns:a=\"x\"/>",
                true,
                false,
            ),
            ("<ConfirmBOD/>", true, false),
            ("<h1>Not Found</h1>", true, true),
            ("<form action=\"/login\" method=\"post\">", true, true),
            ("<noscript>", true, true),
            ("<UL><li>", true, true),
            ("<hr>", true, true),
            ("<main class=x>", true, true),
            ("<span>", true, true),
            ("<form/>", false, false),
            (
                "<AcknowledgeProductionPerformance xmlns=\"x\"/>",
                true,
                false,
            ),
            ("<ns0:header xmlns:ns0=\"x\"/>", true, false),
            ("<response>", true, false),
            ("<data/>", true, false),
            ("OK", true, false),
            ("", true, false),
            (r#"{"a":"<html>"}"#, true, false),
            ("<!-- no end", false, false),
        ] {
            assert_eq!(is_page(body.as_bytes(), says_html), expected, "{body}");
        }
    }

    #[test]
    fn a_page_is_called_by_its_title() {
        let of = |body: &str| title(body.as_bytes());
        let page = "<html><head><TITLE class=x>\n Sign\n in </title>";
        assert_eq!(of(page).as_deref(), Some("Sign in"));
        assert_eq!(of("<html><title>never ends"), None);
        assert_eq!(of("<html><title> </title>"), None);
        assert_eq!(of("<html>"), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "(<!--|-->|<\\?|\\?>|<title>|</title>|\\PC){0,40}") {
            drop((is_page(body.as_bytes(), true), title(body.as_bytes())));
        }
    }
}
