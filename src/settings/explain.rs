//! Problems as a person reads them: file, line, column, what is wrong, the line itself with a mark, what to write.

use super::places::Places;
use super::problem::{Problem, Problems};
use std::fmt;

/// Most characters of a line that are shown.
const MAX_LINE: usize = 120;
/// A line with one of these may hold a secret (or what somebody took for the place of one): it is not shown.
const DELICATE: [&str; 11] = [
    "pas", "pw", "secret", "token", "bearer", "cred", "key:", "auth", "user", "basic", "@",
];

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The settings cannot be used.
    Error,
    /// They can; it is worth a look.
    Warning,
}

impl Weight {
    fn word(self) -> &'static str {
        match self {
            Weight::Error => "error",
            Weight::Warning => "warning",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Weight::Error => "\u{1b}[1;31m",
            Weight::Warning => "\u{1b}[1;33m",
        }
    }
}

/// The file that problems are about.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name, as the user gave it.
    pub name: &'a str,
    /// What stands in it.
    pub text: &'a str,
    /// Whether to use colours.
    pub colour: bool,
}

impl Source<'_> {
    /// One problem in two to four lines.
    #[must_use]
    pub fn explain(&self, problem: &Problem, places: &Places, weight: Weight) -> String {
        let place = places.of(problem);
        let (start, end) = if self.colour {
            (weight.colour(), "\u{1b}[0m")
        } else {
            ("", "")
        };
        let mut out = format!(
            "{}:{}:{}: {start}{}{end}: {}\n",
            self.name,
            place.line,
            place.column,
            weight.word(),
            problem.message
        );
        let hint = problem
            .suggestion
            .as_ref()
            .map(|word| format!("did you mean `{word}`?"))
            .unwrap_or_default();
        let line = line_at(self.text, place.line);
        if line.trim().is_empty() || is_delicate(line) || is_below_delicate(&problem.path) {
            if !hint.is_empty() {
                out.push_str(&format!("      = {hint}\n"));
            }
        } else {
            let (shown, before, marked) = window(line, place.column);
            let mark = "^".repeat(marked);
            let indent = " ".repeat(before);
            out.push_str(&format!("{:>5} | {shown}\n", place.line));
            out.push_str(format!("      | {indent}{start}{mark}{end} {hint}").trim_end());
            out.push('\n');
        }
        out
    }

    /// All problems, and how many are left out.
    #[must_use]
    pub fn explain_all(&self, problems: &Problems) -> String {
        let mut out: String = problems
            .list
            .iter()
            .map(|problem| self.explain(problem, &problems.places, Weight::Error) + "\n")
            .collect();
        if problems.left_out > 0 {
            out.push_str(&format!("and {} more problems\n", problems.left_out));
        }
        out
    }
}

/// A line by its number. YAML ends lines as any system does: `\n`, `\r\n`, or `\r` alone.
fn line_at(text: &str, number: usize) -> &str {
    let mut rest = text;
    for _ in 1..number {
        let after = rest.find(['\n', '\r']).and_then(|at| rest.get(at..));
        let Some(after) = after else { return "" };
        let end = if after.starts_with("\r\n") { 2 } else { 1 };
        rest = after.get(end..).unwrap_or_default();
    }
    rest.split(['\n', '\r']).next().unwrap_or_default()
}

fn is_delicate(line: &str) -> bool {
    let line = line.to_lowercase();
    DELICATE.iter().any(|word| line.contains(word))
}

/// A value that stands in a line of its own has its key further up.
fn is_below_delicate(path: &str) -> bool {
    path.starts_with("uplinks.") && is_delicate(&format!("{path}:"))
}

/// The part of a line around a column, how many characters stand before the mark, and how wide it is.
fn window(line: &str, column: usize) -> (String, usize, usize) {
    let letters: Vec<char> = line
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let at = column.saturating_sub(1).min(letters.len());
    let from = if letters.len() <= MAX_LINE {
        0
    } else {
        at.saturating_sub(MAX_LINE / 2)
    };
    let shown: String = letters.iter().skip(from).take(MAX_LINE).collect();
    let after = letters.get(at..).unwrap_or_default();
    let quote = after
        .first()
        .copied()
        .filter(|letter| matches!(letter, '"' | '\''));
    let ends = match quote {
        Some(quote) => after
            .iter()
            .skip(1)
            .position(|letter| *letter == quote)
            .map(|at| at + 2),
        None => after
            .iter()
            .position(|letter| letter.is_whitespace() || ",:{}[]".contains(*letter)),
    };
    let room = MAX_LINE.saturating_sub(at - from).max(1);
    (shown, at - from, ends.unwrap_or(after.len()).clamp(1, room))
}

impl fmt::Display for Problems {
    /// One line for each, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            let place = self.places.of(problem);
            write!(f, "{}:{}: {}", place.line, place.column, problem.message)?;
            if let Some(word) = &problem.suggestion {
                write!(f, " (did you mean `{word}`?)")?;
            }
            writeln!(f)?;
        }
        if self.left_out > 0 {
            writeln!(f, "and {} more problems", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    fn explained(text: &str) -> String {
        let source = Source {
            name: "a.yaml",
            text,
            colour: false,
        };
        source.explain_all(&load(text).unwrap_err())
    }

    #[test]
    fn a_problem_shows_its_line_with_a_mark_and_a_suggestion() {
        let text = include_str!("../../examples/press.yaml")
            .replace("cavities: { holding", "cavities: { holdng");
        let shown = explained(&text);
        let line = text
            .lines()
            .position(|line| line.contains("holdng"))
            .unwrap()
            + 1;
        assert!(
            shown.starts_with(&format!(
                "a.yaml:{line}:19: error: `holdng` is not a key of `cavities`\n"
            )),
            "{shown}"
        );
        assert!(shown.contains("^^^^^^ did you mean `holding`?"), "{shown}");
    }

    #[test]
    fn a_secret_in_the_file_is_not_repeated() {
        for wrong in [
            "user: { name: gw, password: hunter2 }",
            "user: { name: gw, pasword: hunter2 }",
            "user: { name: gw, password: { value: hunter2 } }",
            "user: hunter2",
            "user:\n        name: gw\n        password:\n          hunter2",
            "user:\n        name: gw\n        password:\n          - hunter2",
            "user: { name: gw, password: { credential: 0xh2 } }\n      password: hunter2",
            "password: hunter2",
            "tls: { key: hunter2 }",
            "client_id: ''\n      user: { name: '', password: { hunter2: x } }",
        ] {
            let text = include_str!("../../examples/press.yaml").replace("version: 5", wrong);
            let shown = explained(&text);
            assert!(!shown.contains("hunter2"), "{wrong} gives {shown}");
            assert!(shown.contains("error"), "{shown}");
        }
        let text = include_str!("../../examples/press.yaml")
            .replace("mqtt://127", "mqtt://gw:hunter2@127");
        let shown = explained(&text);
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn lines_are_counted_as_yaml_counts_them() {
        let text = "a\r\nb\rc\n\nd";
        let lines: Vec<&str> = (1..=6).map(|number| line_at(text, number)).collect();
        assert_eq!(lines, ["a", "b", "c", "", "d", ""]);
    }

    #[test]
    fn of_a_long_line_the_part_around_the_column_is_shown() {
        let line = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let (shown, before, marked) = window(&line, 501);
        assert_eq!(shown.chars().nth(before), Some('x'));
        assert!(shown.chars().count() <= MAX_LINE && before + marked <= MAX_LINE);
    }
}
