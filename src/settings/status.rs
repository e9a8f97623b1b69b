//! What `responses:` compare answers with, as people write it: `417`, `5xx`, and values of any kind.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One HTTP status (`417`), or a hundred of them (`5xx`); 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Statuses {
    /// This one.
    One(u16),
    /// All that begin with this digit, 2 to 5.
    Hundred(u16),
}

impl Statuses {
    /// Whether an answer with this status is meant.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        match self {
            Statuses::One(one) => status == one,
            Statuses::Hundred(first) => status / 100 == first,
        }
    }

    /// Whether every status that the other means is meant.
    #[must_use]
    pub fn covers(self, other: Statuses) -> bool {
        match other {
            Statuses::One(status) => self.contains(status),
            Statuses::Hundred(_) => self == other,
        }
    }
}

impl TryFrom<String> for Statuses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hundred = match text.as_str() {
            "2xx" => Some(2),
            "3xx" => Some(3),
            "4xx" => Some(4),
            "5xx" => Some(5),
            _ => None,
        };
        let one = || {
            let status = text.parse().ok().filter(|_| text.len() == 3)?;
            (200..600)
                .contains(&status)
                .then_some(Statuses::One(status))
        };
        hundred.map(Statuses::Hundred).or_else(one).ok_or_else(|| {
            let shown: String = text.chars().take(24).flat_map(char::escape_debug).collect();
            format!("`{shown}` is not a status: write 200 to 599, or 2xx, 3xx, 4xx, 5xx")
        })
    }
}

impl From<Statuses> for String {
    fn from(statuses: Statuses) -> String {
        match statuses {
            Statuses::One(status) => status.to_string(),
            Statuses::Hundred(first) => format!("{first}xx"),
        }
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "an HTTP status such as 417, or a hundred of them such as 5xx",
            "type": ["integer", "string"],
            "pattern": "^[2-5]([0-9][0-9]|xx)$",
            "minimum": 200,
            "maximum": 599,
        })
    }
}

/// A single value of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scalar(pub serde_json::Value);

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a text, a number, true or false",
            "type": ["string", "number", "boolean"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Result<Statuses, String> {
        Statuses::try_from(text.to_owned())
    }

    #[test]
    fn a_status_is_one_or_a_hundred() {
        for (text, inside, outside) in [("417", 417, 418), ("5xx", 503, 499), ("2xx", 200, 300)] {
            let found = statuses(text).unwrap();
            assert!(found.contains(inside) && !found.contains(outside), "{text}");
            assert_eq!(String::from(found), text);
        }
        for wrong in [
            "", "20", "0200", "600", "199", "1xx", "6xx", "5XX", "ok", "+20", "2xxx",
        ] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
        let covers =
            |wide: &str, narrow: &str| statuses(wide).unwrap().covers(statuses(narrow).unwrap());
        assert!(covers("4xx", "417") && covers("4xx", "4xx") && covers("417", "417"));
        assert!(!covers("417", "4xx") && !covers("5xx", "417"));
    }
}
