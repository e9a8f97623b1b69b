//! Rust source as far as the architecture test must understand it: code without comments and texts, the words in it, and
//! which modules of the crate it names.

use std::path::{Path, PathBuf};

/// A file of `src/`.
pub(super) struct Source {
    /// Below `src/`, with slashes: `deliver/mqtt/mod.rs`.
    pub(super) path: String,
    /// Lines in the file as it stands.
    pub(super) lines: usize,
    /// What its `//!` lines say.
    pub(super) header: String,
    /// The code: comments and the insides of texts are blank, line breaks are kept.
    pub(super) code: String,
}

/// All files of a folder and the folders in it, in order.
pub(super) fn read_all(root: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            Source {
                path: file
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('\\', "/"),
                lines: text.lines().count(),
                header: header(&text),
                code: without_comments_and_texts(&text),
            }
        })
        .collect()
}

fn header(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
    lines.collect::<Vec<_>>().join(" ")
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            into.push(path);
        }
    }
}

impl Source {
    /// The module directly below the crate that the file belongs to: `deliver`.
    pub(super) fn top(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// True for a file that holds nothing but tests.
    pub(super) fn is_tests(&self) -> bool {
        let name = self
            .path
            .rsplit('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs");
        let folder = self.path.contains("/tests/") || self.path.contains("_tests/");
        folder || name == "tests" || name.ends_with("_tests")
    }

    /// True for a file that says in its header that it is a pure rule.
    pub(super) fn says_that_it_is_pure(&self) -> bool {
        ["Pure.", "Pure:", "Pure;", "A pure rule", "is a pure rule"]
            .iter()
            .any(|words| self.header.contains(words))
    }

    /// The code before the test module, which stands last in a file.
    pub(super) fn shipped(&self) -> &str {
        if self.is_tests() {
            return "";
        }
        let end = self
            .code
            .match_indices("#[cfg(test)]")
            .map(|(at, _)| at)
            .find(|at| {
                let next = self.code[at + "#[cfg(test)]".len()..].trim_start();
                next.starts_with("mod ") || next.starts_with("pub(crate) mod ")
            });
        &self.code[..end.unwrap_or(self.code.len())]
    }

    /// Modules of the crate that the file names, with the line: `use crate::a::B`, `use crate::{a, b::C}`, `crate::a::f()`,
    /// and `super::super::a` where that leaves its own module.
    pub(super) fn references(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            if !ends_a_word(&self.code[..at]) {
                let rest = &self.code[at + "crate::".len()..];
                for name in first_names(rest) {
                    found.push((line_of(&self.code, at), name));
                }
            }
        }
        // A file directly below src/ and a `mod.rs` one floor down reach the crate by one `super`, the others by more.
        let at_the_root = !self.path.contains('/')
            || self.path.matches('/').count() == 1 && self.path.ends_with("/mod.rs");
        let chain = if at_the_root {
            "super::"
        } else {
            "super::super::"
        };
        for (at, _) in self.code.match_indices(chain) {
            let rest = self.code[at..].trim_start_matches("super::");
            for name in first_names(rest) {
                found.push((line_of(&self.code, at), name));
            }
        }
        found
    }
}

/// The line of the first place where `word` stands as a word of its own.
pub(super) fn line_with_word(code: &str, word: &str) -> Option<usize> {
    code.match_indices(word)
        .find(|(at, _)| !ends_a_word(&code[..*at]) && !code[at + word.len()..].starts_with(is_word))
        .map(|(at, _)| line_of(code, at))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn ends_a_word(before: &str) -> bool {
    before.ends_with(is_word)
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The names that a path may begin with: `a` of `a::b`, and `a`, `c` of `{a::b, c}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| is_word(*c))
            .collect()
    };
    let Some(group) = path.trim_start().strip_prefix('{') else {
        return Vec::from([name(path)]);
    };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// Blanks comments, texts and character literals, so that what is left is code on its own lines.
fn without_comments_and_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at..] {
            ['/', '/', ..] => until(&chars, at, |rest| rest[0] == '\n'),
            ['/', '*', ..] => block_comment_end(&chars, at),
            ['"', ..] => text_end(&chars, at + 1),
            ['r', '"', ..] | ['r', '#', ..] if at == 0 || !is_word(chars[at - 1]) => {
                raw_text_end(&chars, at)
            }
            ['\'', '\\', ..] => until(&chars, at + 3, |rest| rest[0] == '\'') + 1,
            ['\'', _, '\'', ..] => at + 3,
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(
                chars[at..end.min(chars.len())]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    code
}

fn until(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len())
        .find(|at| found(&chars[*at..]))
        .unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn text_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of `r#"..."#`; of a raw identifier such as `r#type`, its start.
fn raw_text_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    let quote = from + 1 + hashes;
    if chars.get(quote) != Some(&'"') {
        return from;
    }
    let closed = |rest: &[char]| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#')
    };
    until(chars, quote + 1, closed) + 1 + hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            lines: text.lines().count(),
            header: header(text),
            code: without_comments_and_texts(text),
        }
    }

    #[test]
    fn comments_and_texts_are_no_code() {
        for text in [
            "// crate::buffer",
            "/// [`crate::buffer`]",
            "/* crate::buffer /* */ crate::buffer */",
            "let x = \"crate::buffer \\\" crate::buffer\";",
            "let x = r#\"crate::buffer \" crate::buffer\"#;",
            "let x = '\"'; // \" crate::buffer",
            "let x = '\\''; // crate::buffer",
        ] {
            assert_eq!(source("format/a.rs", text).references(), [], "{text}");
        }
    }

    #[test]
    fn every_way_to_name_a_module_is_seen() {
        for (path, text, named) in [
            ("deliver/a.rs", "use crate::model::Stamp;", vec!["model"]),
            (
                "deliver/a.rs",
                "use crate::{model::{Stamp, x}, health};",
                vec!["model", "health"],
            ),
            (
                "deliver/a.rs",
                "fn f<'a>() { crate::clock::boot_id() }",
                vec!["clock"],
            ),
            (
                "deliver/a.rs",
                "use super::super::acquire;",
                vec!["acquire"],
            ),
            ("deliver/mod.rs", "use super::acquire::x;", vec!["acquire"]),
            ("deliver/a.rs", "use super::window;", vec![]),
        ] {
            let names: Vec<String> = source(path, text)
                .references()
                .into_iter()
                .map(|it| it.1)
                .collect();
            assert_eq!(names, named, "{text}");
        }
    }

    #[test]
    fn words_are_whole_words_and_tests_are_not_shipped() {
        let file = source(
            "a.rs",
            "fn f() {}\nuse sled::Db;\n#[cfg(test)]\nmod tests { spawn() }",
        );
        assert_eq!(line_with_word(&file.code, "sled"), Some(2));
        assert_eq!(line_with_word(&file.code, "sle"), None);
        assert_eq!(line_with_word(file.shipped(), "spawn"), None);
    }
}
