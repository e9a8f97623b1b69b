//! What was read, as lines of a terminal. Pure: colours are switched on by the caller, the clock is not asked.

use super::view::{self, Several, Single};
use crate::commands::range;
use crate::model::Value;
use crate::settings::Table;
use std::fmt::Write;

/// Coils and inputs in one line.
const BITS_IN_A_LINE: usize = 10;
/// Width of a column of a byte order.
const COLUMN: usize = 15;

/// How it is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) colour: bool,
    /// Four registers together, too.
    pub(super) wide: bool,
    /// How often each place has changed is shown.
    pub(super) watching: bool,
}

impl Style {
    fn paint(self, code: &str, text: String) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text
        }
    }

    fn heading(self, text: String) -> String {
        self.paint("2", text)
    }
}

/// What was read of one range.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block {
    /// Registers.
    Words(Table, u16, Vec<u16>),
    /// Coils or inputs.
    Bits(Table, u16, Vec<bool>),
    /// Why there is nothing.
    Refused(String),
}

/// The lines of a block. `changes` has how often each of its places has changed, `fresh` which did just now.
pub(super) fn lines(block: &Block, changes: &[u64], fresh: &[bool], style: Style) -> Vec<String> {
    match block {
        Block::Words(table, first, words) => {
            let mut lines = singles(*table, &view::singles(*first, words), changes, fresh, style);
            lines.extend(several(&view::pairs(*first, words), "two registers", style));
            if style.wide {
                lines.extend(several(
                    &view::quads(*first, words),
                    "four registers",
                    style,
                ));
            }
            lines.extend(texts(*first, words, style));
            lines
        }
        Block::Bits(table, first, bits) => self::bits(*table, *first, bits, fresh, style),
        Block::Refused(why) => vec![style.paint("33", why.clone())],
    }
}

/// What the mark means; shown once below all blocks.
pub(super) fn legend(blocks: &[Block]) -> Option<&'static str> {
    let marked = |block: &Block| match block {
        Block::Words(_, first, words) => view::pairs(*first, words)
            .iter()
            .flat_map(|row| &row.values)
            .flatten()
            .any(view::looks_measured),
        _ => false,
    };
    blocks
        .iter()
        .any(marked)
        .then_some("* looks like a measured value: its column is the `byte_order:` to try first")
}

fn singles(
    table: Table,
    rows: &[Single],
    changes: &[u64],
    fresh: &[bool],
    style: Style,
) -> Vec<String> {
    let mut heading = format!(
        "{:>8}   hex     u16     i16  bits 15..0            bcd",
        range::key(table)
    );
    if style.watching {
        heading += "  changes";
    }
    let mut lines = vec![style.heading(heading)];
    for (index, row) in rows.iter().enumerate() {
        let mut bits = String::new();
        for nibble in (0..4).rev() {
            let _infallible = write!(bits, "{:04b} ", (row.word >> (4 * nibble)) & 0xF);
        }
        let bcd = row.bcd16.map_or("-".into(), |number| number.to_string());
        let mut line = format!(
            "{:>8}  {:04X}  {:>6}  {:>6}  {bits} {bcd:>4}",
            row.address, row.word, row.word, row.i16
        );
        if style.watching {
            let _infallible = write!(line, "  {:>7}", changes.get(index).copied().unwrap_or(0));
        }
        lines.push(lit(line, fresh.get(index), style));
    }
    lines
}

fn lit(line: String, fresh: Option<&bool>, style: Style) -> String {
    if fresh == Some(&true) {
        style.paint("1;33", line)
    } else {
        line
    }
}

fn several(rows: &[Several], what: &str, style: Style) -> Vec<String> {
    if rows.iter().all(Several::is_zero) {
        return Vec::new();
    }
    let mut heading = format!("{:>15}", format!("{what}:"));
    for (_, order) in view::ORDERS {
        let _infallible = write!(heading, "{order:>COLUMN$} ");
    }
    let mut lines = vec![String::new(), style.heading(heading.trim_end().to_owned())];
    let mut last = None;
    for row in rows.iter().filter(|row| !row.is_zero()) {
        let address = if last == Some(row.address) {
            String::new()
        } else {
            row.address.to_string()
        };
        last = Some(row.address);
        let mut line = format!("{address:>8}  {:>5}", row.kind);
        for value in &row.values {
            line += &cell(value.as_ref(), style);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn cell(value: Option<&Value>, style: Style) -> String {
    let text = value.map_or("-".into(), number);
    let text = format!("{text:>COLUMN$}");
    match value {
        Some(value) if view::looks_measured(value) => style.paint("1;32", text + "*"),
        _ => text + " ",
    }
}

/// A number as short as it can be told in a column.
pub(in crate::commands) fn number(value: &Value) -> String {
    match value {
        Value::Float(number) => {
            let size = number.abs();
            if *number == 0.0 || (1e-4..1e9).contains(&size) {
                // Seven significant digits are all that a single has.
                let before_point = (0..9)
                    .filter(|power| size >= 10_f64.powi(*power))
                    .count()
                    .max(1);
                let places = 9_usize.saturating_sub(before_point);
                let text = format!("{number:.places$}");
                return text.trim_end_matches('0').trim_end_matches('.').to_owned();
            }
            format!("{number:.5e}")
        }
        Value::Int(number) => {
            let plain = number.to_string();
            if plain.len() < COLUMN {
                plain
            } else {
                format!("{:.6e}", *number as f64)
            }
        }
        Value::Bool(on) => u8::from(*on).to_string(),
        Value::Text(text) => text.escape_debug().to_string(),
    }
}

fn texts(first: u16, words: &[u16], style: Style) -> Vec<String> {
    let texts = view::texts(first, words);
    if texts.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), style.heading(format!("{:>15}", "text:"))];
    for text in texts {
        lines.push(format!(
            "{:>8}  {:>5} {:?}",
            text.address, text.order, text.text
        ));
    }
    lines
}

fn bits(table: Table, first: u16, bits: &[bool], fresh: &[bool], style: Style) -> Vec<String> {
    let numbers: Vec<String> = (0..BITS_IN_A_LINE.min(bits.len()))
        .map(|n| format!("+{n}"))
        .collect();
    let mut lines = vec![style.heading(format!("{:>8}  {}", range::key(table), numbers.join(" ")))];
    let mut address = u32::from(first);
    for (row, fresh) in bits
        .chunks(BITS_IN_A_LINE)
        .zip(padded(fresh, bits.len()).chunks(BITS_IN_A_LINE))
    {
        let mut line = format!("{address:>8} ");
        for (on, fresh) in row.iter().zip(fresh) {
            line += &lit(format!("  {}", u8::from(*on)), Some(fresh), style);
        }
        lines.push(line);
        address += u32::try_from(row.len()).unwrap_or(0);
    }
    lines
}

fn padded(fresh: &[bool], len: usize) -> Vec<bool> {
    let mut fresh = fresh.to_vec();
    fresh.resize(len, false);
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_stands_in_the_column_of_its_order() {
        let block = Block::Words(Table::HoldingRegisters, 99, vec![0x8000, 0x4336]);
        let lines = lines(&block, &[], &[], Style::default());
        let text = lines.join("\n");
        let expected = "\
 holding   hex     u16     i16  bits 15..0            bcd
      99  8000   32768  -32768  1000 0000 0000 0000  8000
     100  4336   17206   17206  0100 0011 0011 0110  4336

 two registers:           ABCD            CDAB            BADC            DCBA
      99    f32   -2.41107e-41            182.5*   1.17744e-38     2.90576e-6
            i32     -2147466442      1127645184         8402499       910360704
            u32      2147500854      1127645184         8402499       910360704
          bcd32       80004336        43368000          803643        36430080";
        assert_eq!(squeezed(&text), squeezed(expected));
        assert!(legend(std::slice::from_ref(&block)).is_some());
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    /// Without the number of blanks; the columns are looked at by people.
    fn squeezed(text: &str) -> Vec<Vec<&str>> {
        text.lines()
            .map(|line| line.split_whitespace().collect())
            .collect()
    }

    #[test]
    fn no_number_is_wider_than_its_column() {
        for value in [
            Value::Float(f64::MAX),
            Value::Float(-1.234_567_890_123e-300),
            Value::Float(-123_456.789_012_345),
            Value::Int(i64::MIN),
            Value::Int(i64::from(u32::MAX)),
            Value::Float(0.0),
        ] {
            let text = number(&value);
            assert!(text.len() < COLUMN, "{text}");
        }
        assert_eq!(number(&Value::Float(0.0)), "0");
        assert_eq!(number(&Value::Float(1e-5)), "1.00000e-5");
    }

    #[test]
    fn bits_stand_ten_to_a_line() {
        let mut on = vec![false; 12];
        on[11] = true;
        let block = Block::Bits(Table::Coils, 100, on);
        let lines = lines(&block, &[], &[], Style::default());
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2], "     110   0  1");
    }

    #[test]
    fn what_changed_is_lit_only_where_colours_are() {
        let block = Block::Words(Table::InputRegisters, 0, vec![1]);
        let with = |colour| {
            let style = Style {
                colour,
                watching: true,
                ..Style::default()
            };
            lines(&block, &[7], &[true], style).join("\n")
        };
        assert!(!with(false).contains('\u{1b}'));
        assert!(with(false).contains("      7"));
        assert!(with(true).contains("\u{1b}[1;33m"));
    }
}
