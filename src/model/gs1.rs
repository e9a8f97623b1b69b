//! Pure. GS1 element strings (GS1 General Specifications, 7.8) and the AIM symbology identifiers before them (ISO/IEC 15424).
//!
//! Called by the driver for scanners, and by whoever routes scans. Both ways of writing are read: as a scanner sends them,
//! with GS where FNC1 was, and as people read them, `(01)04012345678901(21)A7`. Nothing is guessed: what does not fit its
//! format or its check digit is refused in words.

mod table;

use table::{Format, Part};

/// The longest text that is read, in bytes. One symbol holds far less; a line may hold this much.
pub const MAX_BYTES: usize = 1_024;
/// The most elements of one text.
pub const MAX_ELEMENTS: usize = 64;
/// What stands for FNC1 between two elements: GS.
const SEPARATOR: char = '\u{1d}';

/// One application identifier with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The identifier, 2 to 4 digits: `21` is a serial number.
    pub identifier: &'a str,
    /// The value as it was sent, without separators; valid for its identifier.
    pub value: &'a str,
}

/// A date of an element: two digits of the year, no century.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// 0 to 99. GS1 means the year that is at most 49 years past and 50 ahead.
    pub year: u8,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31; `None` where the symbol says 00: the month as a whole.
    pub day: Option<u8>,
}

/// Why a text is no GS1 element string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gs1Error {
    /// Nothing in it.
    #[error("there is nothing in it")]
    Empty,
    /// More than [`MAX_BYTES`] or [`MAX_ELEMENTS`].
    #[error("it is longer than any symbol: at most {MAX_BYTES} bytes and {MAX_ELEMENTS} elements")]
    TooLong,
    /// No application identifier begins so.
    #[error(
        "`{0}` begins no application identifier: is the scanner set to send GS1 symbols as such, with GS for FNC1?"
    )]
    Unknown(String),
    /// A value that is shorter or longer than its format, or has other characters.
    #[error("({identifier}) does not hold what it should: {expected}")]
    Format {
        /// The identifier.
        identifier: String,
        /// What its value must be.
        expected: String,
    },
    /// The last digit of the number does not fit the others.
    #[error("({identifier}) has a wrong check digit: it was misread or misprinted")]
    CheckDigit {
        /// The identifier.
        identifier: String,
    },
    /// The same identifier with two values.
    #[error("({identifier}) stands there twice with different values")]
    Twice {
        /// The identifier.
        identifier: String,
    },
}

/// Splits the AIM symbology identifier off: `]C1` and the rest. `None` where none stands first.
#[must_use]
pub fn split_symbology(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.get(1), bytes.get(2)) {
        (Some(b']'), Some(code), Some(modifier))
            if code.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric() =>
        {
            text.split_at_checked(3)
        }
        _ => None,
    }
}

/// True for the symbology identifiers after which a GS1 element string stands.
///
/// GS1-128, DataBar and composite, Data Matrix, QR, DotCode (GS1 General Specifications, 5.1.2).
#[must_use]
pub fn means_gs1(symbology: &str) -> bool {
    matches!(
        symbology,
        "]C1" | "]e0" | "]e1" | "]e2" | "]d2" | "]Q3" | "]J1"
    )
}

/// True for what may stand before a value: an identifier that the General Specifications have, or a later one of their
/// families.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    let length = text
        .get(..2)
        .filter(|_| all_digits(text))
        .and_then(table::length);
    length == Some(text.len())
}

/// True for a measure or an amount: its value is a number, and the last of its four digits says how many are decimals.
///
/// Three digits mean the family whatever the decimals: `310` is a net weight in kg.
#[must_use]
pub fn has_decimals(identifier: &str) -> bool {
    let family = (identifier.len() == 3).then(|| format!("{identifier}0"));
    let format = table::format(family.as_deref().unwrap_or(identifier));
    format.is_some_and(|format| format.decimals)
}

/// All elements of a text without symbology identifier, in their order.
///
/// # Errors
/// Why it is none; never a part of it.
pub fn elements(text: &str) -> Result<Vec<Element<'_>>, Gs1Error> {
    if text.len() > MAX_BYTES {
        return Err(Gs1Error::TooLong);
    }
    let found = if text.starts_with('(') {
        written(text)?
    } else {
        sent(text.strip_prefix(SEPARATOR).unwrap_or(text))?
    };
    if found.is_empty() {
        return Err(Gs1Error::Empty);
    }
    twice(&found).map_or(Ok(found), Err)
}

/// As a scanner sends it.
fn sent(mut rest: &str) -> Result<Vec<Element<'_>>, Gs1Error> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        if found.len() >= MAX_ELEMENTS {
            return Err(Gs1Error::TooLong);
        }
        let (identifier, after) = identifier(rest)?;
        let (value, after) = value(identifier, after)?;
        found.push(checked(identifier, value)?);
        rest = after;
    }
    Ok(found)
}

/// The identifier that stands first, and what comes after it.
fn identifier(text: &str) -> Result<(&str, &str), Gs1Error> {
    let digits = text
        .get(..2)
        .and_then(table::length)
        .and_then(|length| text.split_at_checked(length));
    match digits {
        Some((identifier, after)) if all_digits(identifier) => Ok((identifier, after)),
        _ => Err(Gs1Error::Unknown(text.chars().take(4).collect())),
    }
}

/// The value that follows an identifier: to its predefined length, else to the separator or the end.
fn value<'a>(identifier: &str, text: &'a str) -> Result<(&'a str, &'a str), Gs1Error> {
    let predefined = identifier.get(..2).and_then(table::predefined);
    let (value, after) = match predefined {
        Some(total) => text
            .split_at_checked(total.saturating_sub(identifier.len()))
            .ok_or_else(|| wrong_format(identifier))?,
        None => text.split_at(text.find(SEPARATOR).unwrap_or(text.len())),
    };
    // A separator after a value of predefined length is superfluous, and common.
    Ok((value, after.strip_prefix(SEPARATOR).unwrap_or(after)))
}

/// As people read it. A bracket inside a value begins an element only where a known identifier stands in it.
fn written(text: &str) -> Result<Vec<Element<'_>>, Gs1Error> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if found.len() >= MAX_ELEMENTS {
            return Err(Gs1Error::TooLong);
        }
        let Some((identifier, after)) = bracketed(rest) else {
            return Err(Gs1Error::Unknown(rest.chars().take(6).collect()));
        };
        let next = after.match_indices('(').map(|(at, _)| at).find(|at| {
            after
                .get(*at..)
                .is_some_and(|rest| bracketed(rest).is_some())
        });
        let (value, after) = after.split_at(next.unwrap_or(after.len()));
        found.push(checked(identifier, value)?);
        rest = after;
    }
    Ok(found)
}

/// `(21)` of a known identifier, and what comes after it.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let (identifier, after) = text.strip_prefix('(')?.split_once(')')?;
    table::format(identifier).map(|_| (identifier, after))
}

/// An element whose value is as its identifier wants it.
fn checked<'a>(identifier: &'a str, value: &'a str) -> Result<Element<'a>, Gs1Error> {
    let format = table::format(identifier).unwrap_or(table::UNKNOWN);
    let mut rest = value;
    for part in format.parts {
        rest = match taken(*part, rest) {
            Some((taken, _)) if matches!(part, Part::Checked(_)) && !check_digit_fits(taken) => {
                return Err(Gs1Error::CheckDigit {
                    identifier: identifier.to_owned(),
                });
            }
            Some((_, after)) => after,
            None => return Err(wrong_format(identifier)),
        };
    }
    if !rest.is_empty() {
        return Err(wrong_format(identifier));
    }
    Ok(Element { identifier, value })
}

/// What a part takes of a value, and what it leaves.
fn taken(part: Part, text: &str) -> Option<(&str, &str)> {
    let of = |length: usize| text.split_at_checked(length);
    let up_to = |most: usize| of(text.len().min(most));
    let (taken, rest) = match part {
        Part::Digits(length) | Part::Checked(length) | Part::Text(length) => of(length)?,
        Part::Date => of(6)?,
        Part::UpToDigits(most) | Part::UpTo(most) => {
            up_to(most).filter(|(taken, _)| !taken.is_empty())?
        }
        Part::MaybeDigits(most) | Part::Maybe(most) => up_to(most)?,
    };
    let fits = match part {
        Part::Digits(_) | Part::Checked(_) | Part::UpToDigits(_) | Part::MaybeDigits(_) => {
            all_digits(taken)
        }
        Part::Date => date(taken).is_some(),
        Part::Text(_) | Part::UpTo(_) | Part::Maybe(_) => {
            taken.bytes().all(|byte| byte.is_ascii_graphic())
        }
    };
    fits.then_some((taken, rest))
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The last digit makes the sum of all, from the right by turns once and three times, a multiple of ten (7.9.1).
fn check_digit_fits(digits: &str) -> bool {
    let weighted = digits.bytes().rev().zip([1, 3].into_iter().cycle());
    let sum: u32 = weighted
        .map(|(digit, weight)| u32::from(digit.saturating_sub(b'0')) * weight)
        .sum();
    sum.is_multiple_of(10)
}

fn wrong_format(identifier: &str) -> Gs1Error {
    let format = table::format(identifier).unwrap_or(table::UNKNOWN);
    Gs1Error::Format {
        identifier: identifier.to_owned(),
        expected: in_words(format),
    }
}

fn in_words(format: Format) -> String {
    let one = |part: &Part| match part {
        Part::Digits(length) => format!("{length} digits"),
        Part::Checked(length) => format!("{length} digits, the last a check digit"),
        Part::Date => "a date YYMMDD".to_owned(),
        Part::UpToDigits(most) | Part::MaybeDigits(most) => format!("up to {most} digits"),
        Part::Text(length) => format!("{length} characters"),
        Part::UpTo(most) | Part::Maybe(most) => format!("up to {most} characters"),
    };
    let parts: Vec<String> = format.parts.iter().map(one).collect();
    parts.join(", then ")
}

fn twice(found: &[Element<'_>]) -> Option<Gs1Error> {
    let differs = |(at, element): &(usize, &Element<'_>)| {
        let before = found.iter().take(*at);
        before
            .filter(|other| other.identifier == element.identifier)
            .any(|other| other.value != element.value)
    };
    let (_, element) = found.iter().enumerate().find(differs)?;
    Some(Gs1Error::Twice {
        identifier: element.identifier.to_owned(),
    })
}

/// `YYMMDD`. The day may be 00, and is not compared with the length of the month but for 31 days at most.
fn date(text: &str) -> Option<Date> {
    let two = |at: usize| {
        let digits = text.get(at..at + 2).filter(|digits| all_digits(digits))?;
        digits.parse::<u8>().ok()
    };
    let (year, month, day) = (two(0)?, two(2)?, two(4)?);
    let is_date = text.len() == 6 && (1..=12).contains(&month) && day <= 31;
    is_date.then_some(Date {
        year,
        month,
        day: (day > 0).then_some(day),
    })
}

impl Element<'_> {
    /// A measure or an amount, its decimals applied: `(3103)001250` is 1.25. An amount with a currency is without it.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let format = table::format(self.identifier).filter(|format| format.decimals)?;
        let with_currency = format.parts.len() > 1;
        let digits = self.value.get(if with_currency { 3 } else { 0 }..)?;
        let decimals: usize = self.identifier.get(3..)?.parse().ok()?;
        // Written out and read back: the nearest double to the decimal number.
        let padded = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at_checked(padded.len() - decimals)?;
        format!("{whole}.{fraction}").parse().ok()
    }

    /// The date, where the value is one or begins with one.
    #[must_use]
    pub fn date(&self) -> Option<Date> {
        let format = table::format(self.identifier)?;
        let begins_with_one = matches!(format.parts.first(), Some(Part::Date));
        date(self.value.get(..6).filter(|_| begins_with_one)?)
    }
}

#[cfg(test)]
mod tests;
