//! Ranges of Modbus addresses on the command line: `--holding 99..110`, inclusive and zero-based. Pure.

use crate::settings::Table;

/// Addresses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// Zero-based.
    pub(super) first: u16,
    /// Not below the first.
    pub(super) last: u16,
}

impl Range {
    /// How many addresses there are in it.
    pub(super) fn len(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}..{}", self.first, self.last)
    }
}

/// Reads `99..110` or `99`.
///
/// # Errors
/// What to write instead.
pub(super) fn parse(text: &str) -> Result<Range, String> {
    let wrong = || {
        format!(
            "`{text}` is no range: write the first and the last address, such as 99..110 (zero-based)"
        )
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
    let address = |number: u32| {
        u16::try_from(number).map_err(|_| {
            format!("there is no address {number}: the last one is 65535 (zero-based)")
        })
    };
    let range = Range {
        first: address(first)?,
        last: address(last)?,
    };
    if range.last < range.first {
        return Err(format!(
            "`{text}` ends before it begins: write {last}..{first}"
        ));
    }
    Ok(range)
}

/// The ranges of a command line.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Ranges {
    /// Holding registers, such as 99..110 (inclusive, zero-based: 40100 of many manuals is 99)
    #[arg(long, value_name = "RANGE", value_parser = parse)]
    holding: Vec<Range>,
    /// Input registers
    #[arg(long, value_name = "RANGE", value_parser = parse)]
    input: Vec<Range>,
    /// Coils
    #[arg(long, value_name = "RANGE", value_parser = parse)]
    coil: Vec<Range>,
    /// Discrete inputs
    #[arg(long, value_name = "RANGE", value_parser = parse)]
    discrete: Vec<Range>,
}

impl Ranges {
    /// All of them with their tables, in the order of the tables.
    pub(super) fn all(&self) -> Vec<(Table, Range)> {
        let tables = [
            (Table::HoldingRegisters, &self.holding),
            (Table::InputRegisters, &self.input),
            (Table::Coils, &self.coil),
            (Table::DiscreteInputs, &self.discrete),
        ];
        let of_table = |(table, ranges): (Table, &Vec<Range>)| {
            ranges
                .iter()
                .map(move |range| (table, *range))
                .collect::<Vec<_>>()
        };
        tables.into_iter().flat_map(of_table).collect()
    }
}

/// The key of a table in the settings, and the option of the command line.
pub(super) fn key(table: Table) -> &'static str {
    match table {
        Table::Coils => "coil",
        Table::DiscreteInputs => "discrete",
        Table::HoldingRegisters => "holding",
        Table::InputRegisters => "input",
    }
}

/// The table in words.
pub(super) fn words(table: Table) -> &'static str {
    match table {
        Table::Coils => "coils",
        Table::DiscreteInputs => "discrete inputs",
        Table::HoldingRegisters => "holding registers",
        Table::InputRegisters => "input registers",
    }
}

/// Most addresses in one request (Application Protocol 1.1b3, 6.1 to 6.4).
pub(super) fn most_at_once(table: Table) -> u16 {
    match table {
        Table::Coils | Table::DiscreteInputs => 2_000,
        Table::HoldingRegisters | Table::InputRegisters => 125,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_its_ends() {
        let range = |first, last| Ok(Range { first, last });
        assert_eq!(parse("99..110"), range(99, 110));
        assert_eq!(parse("99..=110"), range(99, 110));
        assert_eq!(parse("7"), range(7, 7));
        assert_eq!(parse("0..65535"), range(0, 65_535));
        assert_eq!(parse("0..65535").map(Range::len), Ok(65_536));
        assert_eq!(
            parse("99..110").map(|range| range.to_string()),
            Ok("99..110".into())
        );
    }

    #[test]
    fn what_is_no_range_is_answered_with_one() {
        for (text, says) in [
            ("", "99..110"),
            ("x", "99..110"),
            ("1-5", "99..110"),
            ("-1", "99..110"),
            ("110..99", "write 99..110"),
            ("0..65536", "the last one is 65535"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
