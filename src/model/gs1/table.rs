//! Pure. The application identifiers of the GS1 General Specifications (section 3.2), and which need no separator (7.8.5).
//!
//! Called by the reader in `gs1`. An identifier that came into being later is read by the length of its family.

/// How the value of an application identifier looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Fixed parts and a variable tail, in their order.
    pub(super) parts: &'static [Part],
    /// The last digit of the identifier is the number of decimals.
    pub(super) decimals: bool,
}

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// So many digits.
    Digits(usize),
    /// A number with a check digit as its last.
    Checked(usize),
    /// `YYMMDD`; the day may be 00.
    Date,
    /// At least one digit, at most so many.
    UpToDigits(usize),
    /// At most so many digits, or none.
    MaybeDigits(usize),
    /// So many characters.
    Text(usize),
    /// At least one character, at most so many.
    UpTo(usize),
    /// At most so many characters, or none.
    Maybe(usize),
}

use Part::{Checked, Date, Digits, Maybe, MaybeDigits, Text, UpTo, UpToDigits};

const fn plain(parts: &'static [Part]) -> Format {
    Format {
        parts,
        decimals: false,
    }
}

const fn decimal(parts: &'static [Part]) -> Format {
    Format {
        parts,
        decimals: true,
    }
}

/// What an identifier of an unknown family member may hold: as much as internal ones.
pub(super) const UNKNOWN: Format = plain(&[UpTo(90)]);

/// The format of a known identifier.
pub(super) fn format(identifier: &str) -> Option<Format> {
    // Families are told by their first three digits: the fourth has to be one too.
    if !identifier.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match identifier.len() {
        2 => of_two(identifier),
        3 => of_three(identifier),
        4 => of_four(identifier),
        _ => None,
    }
}

fn of_two(identifier: &str) -> Option<Format> {
    Some(plain(match identifier {
        "00" => &[Checked(18)],
        "01" | "02" | "03" => &[Checked(14)],
        "10" | "21" => &[UpTo(20)],
        "11" | "12" | "13" | "15" | "16" | "17" => &[Date],
        "20" => &[Digits(2)],
        "22" => &[UpTo(20)],
        "30" | "37" => &[UpToDigits(8)],
        "90" => &[UpTo(30)],
        "91" | "92" | "93" | "94" | "95" | "96" | "97" | "98" | "99" => &[UpTo(90)],
        _ => return None,
    }))
}

fn of_three(identifier: &str) -> Option<Format> {
    Some(plain(match identifier {
        "235" => &[UpTo(28)],
        "240" | "241" | "250" | "251" | "400" | "403" => &[UpTo(30)],
        "242" => &[UpToDigits(6)],
        "243" | "254" | "420" => &[UpTo(20)],
        "253" => &[Checked(13), Maybe(17)],
        "255" => &[Checked(13), MaybeDigits(12)],
        "401" => &[UpTo(30)],
        "402" => &[Checked(17)],
        "410" | "411" | "412" | "413" | "414" | "415" | "416" | "417" => &[Checked(13)],
        "421" => &[Digits(3), UpTo(9)],
        "422" | "424" | "426" => &[Digits(3)],
        "423" | "425" => &[Digits(3), UpToDigits(12)],
        "427" => &[UpTo(3)],
        "710" | "711" | "712" | "713" | "714" | "715" | "716" | "717" => &[UpTo(20)],
        _ => return None,
    }))
}

fn of_four(identifier: &str) -> Option<Format> {
    measure(identifier)
        .or_else(|| of_transport(identifier))
        .or_else(|| of_industry(identifier))
}

/// Measures and amounts: the last digit says how many decimals there are.
fn measure(identifier: &str) -> Option<Format> {
    let family = identifier.get(..3)?;
    Some(match family {
        "310" | "311" | "312" | "313" | "314" | "315" | "316" => decimal(&[Digits(6)]),
        "320" | "321" | "322" | "323" | "324" | "325" | "326" | "327" | "328" | "329" => {
            decimal(&[Digits(6)])
        }
        "330" | "331" | "332" | "333" | "334" | "335" | "336" | "337" => decimal(&[Digits(6)]),
        "340" | "341" | "342" | "343" | "344" | "345" | "346" | "347" | "348" | "349" => {
            decimal(&[Digits(6)])
        }
        "350" | "351" | "352" | "353" | "354" | "355" | "356" | "357" => decimal(&[Digits(6)]),
        "360" | "361" | "362" | "363" | "364" | "365" | "366" | "367" | "368" | "369" => {
            decimal(&[Digits(6)])
        }
        "390" | "392" => decimal(&[UpToDigits(15)]),
        "391" | "393" => decimal(&[Digits(3), UpToDigits(15)]),
        "394" => decimal(&[Digits(4)]),
        "395" => decimal(&[Digits(6)]),
        _ => return None,
    })
}

/// Shipping, 43nn.
fn of_transport(identifier: &str) -> Option<Format> {
    Some(plain(match identifier {
        "4300" | "4301" | "4310" | "4311" | "4320" => &[UpTo(35)],
        "4302" | "4303" | "4304" | "4305" | "4306" => &[UpTo(70)],
        "4312" | "4313" | "4314" | "4315" | "4316" => &[UpTo(70)],
        "4307" | "4317" => &[Text(2)],
        "4308" | "4319" => &[UpTo(30)],
        "4309" => &[Digits(20)],
        "4318" => &[UpTo(20)],
        "4321" | "4322" | "4323" => &[Digits(1)],
        "4324" | "4325" => &[Digits(10)],
        "4326" => &[Date],
        "4330" | "4331" | "4332" | "4333" => &[Digits(6), Maybe(1)],
        _ => return None,
    }))
}

/// Trades, health care, coupons and what is used inside a company.
fn of_industry(identifier: &str) -> Option<Format> {
    Some(plain(match identifier {
        "7001" => &[Digits(13)],
        "7002" | "7023" | "8004" | "8010" => &[UpTo(30)],
        "7003" => &[Digits(10)],
        "7004" => &[UpToDigits(4)],
        "7005" => &[UpTo(12)],
        "7006" => &[Date],
        "7007" => &[Date, MaybeDigits(6)],
        "7008" => &[UpTo(3)],
        "7009" | "7255" => &[UpTo(10)],
        "7010" => &[UpTo(2)],
        "7011" => &[Date, MaybeDigits(4)],
        "7020" | "7021" | "7022" | "7240" | "8002" | "8012" => &[UpTo(20)],
        "7040" => &[Digits(1), Text(3)],
        "7041" => &[UpTo(4)],
        "7241" => &[Digits(2)],
        "7242" | "8013" | "8014" | "8020" => &[UpTo(25)],
        "7250" => &[Digits(8)],
        "7251" => &[Digits(12)],
        "7252" => &[Digits(1)],
        "7253" | "7254" | "7259" => &[UpTo(40)],
        "7256" | "8030" => &[UpTo(90)],
        "7257" | "8110" | "8112" | "8200" => &[UpTo(70)],
        "7258" => &[Text(3)],
        "8001" => &[Digits(14)],
        "8003" => &[Checked(14), Maybe(16)],
        "8005" => &[Digits(6)],
        "8006" | "8026" => &[Checked(14), Digits(4)],
        "8007" => &[UpTo(34)],
        "8008" => &[Digits(8), MaybeDigits(4)],
        "8009" => &[UpTo(50)],
        "8011" => &[UpToDigits(12)],
        "8017" | "8018" => &[Checked(18)],
        "8019" => &[UpToDigits(10)],
        "8111" => &[Digits(4)],
        _ => match identifier.get(..3)? {
            "703" => &[Digits(3), UpTo(27)],
            "723" => &[Text(2), UpTo(28)],
            _ => return None,
        },
    }))
}

/// How many digits an identifier has that begins with these two; `None` where no identifier begins so.
pub(super) fn length(first_two: &str) -> Option<usize> {
    let first_two: u8 = first_two.parse().ok()?;
    match first_two {
        0..=4 | 10..=22 | 30 | 37 | 90..=99 => Some(2),
        23..=25 | 40..=42 | 71 => Some(3),
        31..=36 | 39 | 43 | 70 | 72 | 80..=82 => Some(4),
        _ => None,
    }
}

/// Length of value and identifier together where no separator follows (figure "element strings with predefined length").
pub(super) fn predefined(first_two: &str) -> Option<usize> {
    let first_two: u8 = first_two.parse().ok()?;
    match first_two {
        0 => Some(20),
        1..=3 => Some(16),
        4 => Some(18),
        11..=19 => Some(8),
        20 => Some(4),
        31..=36 => Some(10),
        41 => Some(16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fewest and most characters of a part.
    fn part_bounds(part: &Part) -> (usize, usize) {
        match *part {
            Digits(length) | Checked(length) | Text(length) => (length, length),
            Date => (6, 6),
            UpToDigits(most) | UpTo(most) => (1, most),
            MaybeDigits(most) | Maybe(most) => (0, most),
        }
    }

    /// Fewest and most characters of a value.
    fn bounds(format: Format) -> (usize, usize) {
        let parts = format.parts.iter().map(part_bounds);
        parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    #[test]
    fn the_tables_agree_on_every_identifier() {
        let mut known = 0;
        for digits in 2..=4 {
            for number in 0..10_usize.pow(digits) {
                let identifier =
                    format!("{number:0width$}", width = usize::try_from(digits).unwrap());
                let Some(format) = format(&identifier) else {
                    continue;
                };
                known += 1;
                let first_two = &identifier[..2];
                assert_eq!(length(first_two), Some(identifier.len()), "{identifier}");
                let (least, most) = bounds(format);
                assert!(most <= 90, "{identifier}");
                if let Some(total) = predefined(first_two) {
                    assert_eq!(least, most, "{identifier}");
                    assert_eq!(total, identifier.len() + most, "{identifier}");
                }
                let tail = format.parts.len().saturating_sub(1);
                let fixed = format.parts[..tail].iter().map(part_bounds);
                assert!(fixed.into_iter().all(|(least, most)| least == most));
            }
        }
        // 31nn to 36nn are 53 families of ten, 39nn six, 703n and 723n two; the others stand alone.
        assert_eq!(known, 610 + 149);
    }
}
