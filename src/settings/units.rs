//! Durations, sizes and rates as people write them: `50ms`, `1GiB`, `200/min`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// A duration: a number and one of `ms`, `s`, `min`, `h`, `d`. At most 3650 d.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Period(Duration);

/// A size: a number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// A rate: a number and one of `/s`, `/min`, `/h`; kept per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: f64,
    per_s: u32,
}

const PERIODS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const RATES: [(&str, u64); 3] = [("/h", 3_600), ("/min", 60), ("/s", 1)];
const LONGEST_MS: u64 = 3_650 * 86_400_000;

impl Period {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Period {
        Period(Duration::from_millis(ms))
    }

    /// So long, rounded to milliseconds, and at most the longest that a file can say.
    #[must_use]
    pub(super) fn rounded(duration: Duration) -> Period {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(LONGEST_MS);
        Period::from_millis(ms.min(LONGEST_MS))
    }

    /// No time at all.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// As the standard library counts it.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Rate {
    /// Events per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count / f64::from(self.per_s)
    }
}

/// A number and the factor of its unit.
fn split(text: &str, units: &[(&str, u64)]) -> Option<(f64, u64)> {
    let number_ends = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(number_ends)?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    Some((number.parse().ok()?, factor))
}

fn join(amount: u64, units: &[(&str, u64)]) -> String {
    let (name, factor) = units
        .iter()
        .find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor))
        .or(units.last())
        .copied()
        .unwrap_or(("", 1));
    format!("{}{name}", amount / factor)
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration: write a number and ms, s, min, h or d, such as 50ms"
            )
        };
        let (number, factor) = split(&text, &PERIODS).ok_or_else(wrong)?;
        let ms = number * factor as f64;
        if ms > LONGEST_MS as f64 {
            return Err(format!("`{text}` is too long: at most 3650d"));
        }
        Ok(Period(Duration::from_micros((ms * 1_000.0).round() as u64)))
    }
}

impl From<Period> for String {
    fn from(period: Period) -> String {
        let micros = period.0.as_micros();
        if micros.is_multiple_of(1_000) {
            return join(
                u64::try_from(micros / 1_000).unwrap_or(LONGEST_MS),
                &PERIODS,
            );
        }
        format!("{}ms", micros as f64 / 1_000.0)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (number, factor) = split(&text, &SIZES).ok_or_else(|| {
            format!(
                "`{text}` is not a size: write a number and B, KiB, MiB, GiB or TiB, such as 1GiB"
            )
        })?;
        Ok(ByteSize((number * factor as f64).round() as u64))
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> String {
        join(size.0, &SIZES)
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (count, per_s) = split(&text, &RATES).ok_or_else(|| {
            format!("`{text}` is not a rate: write a number and /s, /min or /h, such as 200/min")
        })?;
        let per_s = u32::try_from(per_s).unwrap_or(1);
        Ok(Rate { count, per_s })
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        let unit = RATES
            .iter()
            .find(|(_, s)| *s == u64::from(rate.per_s))
            .map_or("/s", |(name, _)| name);
        format!("{}{unit}", rate.count)
    }
}

macro_rules! text_schema {
    ($name:ident, $pattern:literal, $says:literal) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $says })
            }
        }
    };
}

text_schema!(
    Period,
    r"^[0-9]+(\.[0-9]+)? ?(ms|s|min|h|d)$",
    "a duration, such as 50ms, 2s, 3min, 24h or 7d"
);
text_schema!(
    ByteSize,
    r"^[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB)$",
    "a size, such as 8MiB or 1GiB"
);
text_schema!(
    Rate,
    r"^[0-9]+(\.[0-9]+)? ?/(s|min|h)$",
    "a rate, such as 200/min"
);
