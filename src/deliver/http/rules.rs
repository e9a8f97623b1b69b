//! `responses:`: what answers mean that mean something else at this server. Pure; the first entry that matches counts.

use super::super::uplink::{Trouble, Verdict, printable};
use super::super::verdict::{MAX_CODE_CHARS, MAX_DETAIL_CHARS, code_text, park_class};
use super::answer::Reply;
use crate::model::ParkClass;
use crate::settings::Statuses;
use crate::settings::shape::{RejectClass, Response, Said, Then, Where};
use regex::Regex;
use serde_json::Value;

/// Most memory that a regular expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 256 << 10;

/// The entries of one uplink.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    status: Statuses,
    within: Option<(String, Test)>,
    then: Then,
    class: Option<RejectClass>,
    code: Option<Said>,
    detail: Option<Said>,
}

#[derive(Clone, Debug)]
enum Test {
    Equals(Value),
    Exists(bool),
    Matches(Regex),
}

impl Rules {
    /// The entries as they stand in the settings; the error says which is not usable.
    pub(super) fn new(responses: &[Response]) -> Result<Rules, String> {
        let rules = responses.iter().enumerate().map(|(at, response)| {
            let within = response.within.as_ref().map(test).transpose();
            Ok(Rule {
                status: response.status,
                within: within.map_err(|why| format!("entry {} of `responses`: {why}", at + 1))?,
                then: response.then,
                class: response.class,
                code: response.code.clone(),
                detail: response.detail.clone(),
            })
        });
        rules.collect::<Result<_, _>>().map(Rules)
    }

    /// What the answer means by them; `None` when no entry matches.
    pub(super) fn verdict(&self, reply: &Reply) -> Option<Verdict> {
        let meant = self
            .0
            .iter()
            .filter(|rule| rule.status.contains(reply.status.as_u16()));
        for rule in meant {
            match &rule.within {
                None => return Some(rule.verdict(reply)),
                Some(_) if reply.cut => {
                    let why = "the answer is longer than 64 KiB, or did not end in time, and `responses` look into it";
                    return Some(Verdict::Unanswered(reply.trouble(why)));
                }
                Some((pointer, test)) if test.holds(reply.at(pointer)) => {
                    return Some(rule.verdict(reply));
                }
                Some(_) => {}
            }
        }
        None
    }
}

fn test(within: &Where) -> Result<(String, Test), String> {
    let test = match (&within.equals, within.exists, &within.matches) {
        (Some(value), None, None) => Test::Equals(value.0.clone()),
        (None, Some(exists), None) => Test::Exists(exists),
        (None, None, Some(matches)) => {
            let mut builder = regex::RegexBuilder::new(matches);
            let built = builder.size_limit(MAX_REGEX_BYTES).build();
            Test::Matches(built.map_err(|_| "`matches` is not a regular expression")?)
        }
        _ => return Err("`where` takes one of `equals`, `exists` and `matches`".into()),
    };
    Ok((within.pointer.clone(), test))
}

impl Test {
    fn holds(&self, found: Option<&Value>) -> bool {
        match (self, found) {
            (Test::Exists(wanted), found) => found.is_some_and(|one| !one.is_null()) == *wanted,
            (_, None) => false,
            // 1 and 1.0 are the same number.
            (Test::Equals(Value::Number(wanted)), Some(Value::Number(found))) => {
                wanted == found || wanted.as_f64() == found.as_f64()
            }
            (Test::Equals(wanted), Some(found)) => wanted == found,
            (Test::Matches(matches), Some(Value::String(found))) => matches.is_match(found),
            (Test::Matches(matches), Some(found @ (Value::Number(_) | Value::Bool(_)))) => {
                matches.is_match(&found.to_string())
            }
            (Test::Matches(_), Some(_)) => false,
        }
    }
}

impl Rule {
    fn verdict(&self, reply: &Reply) -> Verdict {
        match self.then {
            Then::Accepted => Verdict::Accepted,
            Then::Rejected => {
                let trouble = self.trouble(reply, "the server rejects this event");
                let class = match self.class {
                    Some(RejectClass::Schema) => ParkClass::Schema,
                    Some(RejectClass::Business) => ParkClass::Business,
                    None => park_class(trouble.code.as_deref(), ParkClass::Business),
                };
                Verdict::Rejected(class, trouble)
            }
            Then::Retry => Verdict::Refused(self.trouble(reply, "the server wants it later")),
            Then::Pause => {
                Verdict::Unavailable(self.trouble(reply, "the server takes nothing at present"))
            }
        }
    }

    fn trouble(&self, reply: &Reply, words: &str) -> Trouble {
        let mut trouble = reply.trouble(words);
        let said = |said: &Option<Said>, text: fn(&Value) -> Option<String>| match said {
            Some(Said::Value(fixed)) => Some(fixed.clone()),
            Some(Said::Pointer(pointer)) => reply.words_at(pointer).and_then(text),
            None => None,
        };
        if let Some(code) = said(&self.code, code_text) {
            trouble.code = Some(printable(&code, MAX_CODE_CHARS));
        }
        if let Some(detail) = said(&self.detail, words_of) {
            let detail = printable(&detail, MAX_DETAIL_CHARS);
            trouble.reason = format!("{} {detail}: {words}", reply.status.as_u16());
        }
        trouble
    }
}

/// Words wherever they stand: a text, a list of them, anything else as it is.
fn words_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(words) => Some(words.clone()),
        Value::Array(parts) => {
            let words: Vec<String> = parts.iter().take(8).filter_map(words_of).collect();
            Some(words.join(", "))
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    fn rules(responses: Value) -> Rules {
        let responses: Vec<Response> = serde_json::from_value(responses).unwrap();
        Rules::new(&responses).unwrap()
    }

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap();
        Reply::new(status, &HeaderMap::new(), body.into())
    }

    #[test]
    fn a_validation_error_of_erpnext_is_a_rejection() {
        let rules = rules(json!([{
            "status": "417",
            "where": { "pointer": "/exc_type", "equals": "ValidationError" },
            "then": "rejected",
            "code": { "pointer": "/exc_type" },
            "detail": { "pointer": "/messages" },
        }]));
        let body = r#"{"exc_type":"ValidationError","messages":["Work Order","is closed"]}"#;
        let Some(Verdict::Rejected(ParkClass::Business, trouble)) =
            rules.verdict(&reply(417, body))
        else {
            panic!("rejected");
        };
        assert_eq!(trouble.code.as_deref(), Some("ValidationError"));
        assert!(
            trouble.reason.starts_with("417 Work Order, is closed: "),
            "{}",
            trouble.reason
        );
        assert!(
            rules
                .verdict(&reply(417, r#"{"exc_type":"Other"}"#))
                .is_none()
        );
        assert!(rules.verdict(&reply(418, body)).is_none());
    }

    #[test]
    fn an_error_that_odoo_sends_with_200_is_no_acceptance() {
        let rules = rules(json!([
            { "status": "200", "where": { "pointer": "/error/data/name", "matches": "ValidationError$" },
              "then": "rejected", "class": "schema", "code": { "value": "odoo" } },
            { "status": "200", "where": { "pointer": "/error/code", "equals": 100 }, "then": "pause" },
            { "status": "2xx", "where": { "pointer": "/error", "exists": true }, "then": "retry" },
            { "status": "5xx", "then": "accepted" },
        ]));
        for (status, body, expected) in [
            (
                200,
                r#"{"error":{"data":{"name":"odoo.exceptions.ValidationError"}}}"#,
                "Rejected(Schema",
            ),
            (200, r#"{"error":{"code":100.0}}"#, "Unavailable"),
            (201, r#"{"error":{"code":200}}"#, "Refused"),
            (200, r#"{"error":null}"#, "None"),
            (200, r#"{"result":1}"#, "None"),
            (200, "no JSON", "None"),
            (503, "no JSON", "Some(Accepted"),
        ] {
            let found = format!("{:?}", rules.verdict(&reply(status, body)));
            assert!(found.contains(expected), "{status} {body}: {found}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_to_look_into_settles_nothing() {
        let rules = rules(json!([
            { "status": "200", "where": { "pointer": "/error", "exists": false }, "then": "accepted" },
        ]));
        let mut long = reply(200, "{}");
        long.cut = true;
        assert!(matches!(rules.verdict(&long), Some(Verdict::Unanswered(_))));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "\\PC{0,300}", status in 200u16..600, pointer in "(/[a-z~01]{0,4}){0,4}") {
            let rules = rules(json!([
                { "status": "2xx", "where": { "pointer": pointer, "matches": "a|b" }, "then": "rejected",
                  "code": { "pointer": pointer }, "detail": { "pointer": "" } },
                { "status": "4xx", "then": "retry", "detail": { "pointer": pointer } },
            ]));
            drop(rules.verdict(&reply(status, &body)));
            drop(rules.verdict(&reply(status, &json!({ "a": body, "0": [body] }).to_string())));
        }
    }
}
