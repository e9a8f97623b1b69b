//! `TestResult`: what was checked against limits, and with what result.

use super::B2mmlError;
use super::told::Told;
use super::values::{number, unit};
use super::xml::{Written, Xml};
use serde_json::Value;

/// A verdict that says nothing: there was nothing to check.
const NOT_EVALUATED: &str = "not_evaluated";

/// Results that belong together, and what they are of.
pub(super) struct Results<'a> {
    /// Of the `TestResult`; those inside are numbered after it.
    pub(super) id: String,
    /// When the whole was evaluated.
    pub(super) at: Option<String>,
    /// What was tested, where that is one part.
    pub(super) part: Option<&'a str>,
    /// The sum of the results: a word of the event.
    pub(super) verdict: Option<&'a str>,
    /// Each characteristic.
    pub(super) each: Vec<Told<'a>>,
}

impl Results<'_> {
    /// True where there is something to say.
    pub(super) fn any(&self) -> bool {
        let evaluated = self.verdict.is_some_and(|verdict| verdict != NOT_EVALUATED);
        evaluated || !self.each.is_empty()
    }

    /// The element, where there is something to say.
    pub(super) fn write(&self, xml: &mut Xml) -> Written {
        if !self.any() {
            return Ok(());
        }
        xml.inside("TestResult", |xml| self.content(xml))
    }

    /// What stands in the element.
    pub(super) fn content(&self, xml: &mut Xml) -> Written {
        xml.leaf("ID", &self.id);
        xml.maybe("EvaluationDate", self.at.as_deref());
        xml.maybe("TestableObjectID", self.part);
        if let Some(verdict) = self.verdict {
            xml.leaf("EvaluatedCriterionResult", &named(verdict));
        }
        for (at, result) in self.each.iter().enumerate() {
            let id = format!("{}-{}", self.id, at + 1);
            xml.inside("TestResultChild", |xml| {
                characteristic(xml, &id, *result, self.part)
            })?;
        }
        Ok(())
    }
}

fn characteristic(xml: &mut Xml, id: &str, told: Told<'_>, part: Option<&str>) -> Written {
    let measured_at = told.time("/measured_at")?;
    let requirement = told.needed("/id")?;
    let version = told.text("/limits_version")?;
    let verdict = told.needed("/verdict")?;
    xml.leaf("ID", id);
    xml.maybe("EvaluationDate", measured_at.as_deref());
    xml.maybe("TestableObjectID", part);
    let version = version.map(|version| ("schemeVersionID", version));
    xml.leaf_with(
        "OperationsTestRequirementID",
        version.as_slice(),
        requirement,
    );
    xml.leaf("EvaluatedCriterionResult", &named(verdict));
    xml.inside("PropertyMeasurement", |xml| {
        xml.leaf("ID", told.needed("/characteristic")?);
        for key in ["low", "target", "high", "method", "instrument"] {
            if let Some(fact) = plain(told.0.get(key)) {
                xml.leaf("Description", &format!("{key}: {fact}"));
            }
        }
        xml.maybe("MeasurementDate", measured_at.as_deref());
        match told.at("/value").map(|value| value.0) {
            None => {}
            Some(Value::Number(value)) => number(xml, value, unit(told.text("/unit")?), ""),
            Some(_) => return Err(B2mmlError::Shape("/quality/value")),
        }
        Ok(())
    })
}

/// A number or a word.
fn plain(told: Option<&Value>) -> Option<String> {
    match told? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// `not_evaluated` as `NotEvaluated`: as B2MML writes its own words.
pub(super) fn named(word: &str) -> String {
    word.split('_').fold(String::new(), |mut name, part| {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_written_as_b2mml_writes_words() {
        let cases = [
            ("pass", "Pass"),
            ("fail", "Fail"),
            ("not_evaluated", "NotEvaluated"),
            ("", ""),
            ("_", ""),
        ];
        for (word, expected) in cases {
            assert_eq!(named(word), expected);
        }
    }
}
