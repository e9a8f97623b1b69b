//! Topics from a template: `{enterprise}/{site}/{area}/{line}/{equipment}/_mes/evt/{type}`. A pure rule.
//!
//! A level whose placeholders are all missing vanishes with its slash. Nothing that is filled in can make a level,
//! a wildcard or a reserved topic. Events of the gateway itself have a topic of their own, whatever the template says.

use crate::model::Envelope;
use crate::settings::shape::Gateway;

/// Where events of the gateway itself go.
const GATEWAY_TOPIC: &str = "{enterprise}/{site}/_gw/{gateway}/evt/{type}";
/// Longest text that is filled in; names of the settings are far shorter.
const MAX_CHARS: usize = 128;

/// A topic template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not one of the placeholders.
    #[error(
        "topic: `{{{0}}}` is not known; there are {{enterprise}} {{site}} {{area}} {{line}} {{cell}} {{equipment}} {{gateway}} {{type}}"
    )]
    Unknown(String),
    /// `{` without `}` or the other way round.
    #[error("topic: a brace is not closed or not opened in `{0}`")]
    Brace(String),
    /// What a topic must not have.
    #[error(
        "topic: `{0}` has a wildcard, a control character, or begins with `$`: events cannot be published there"
    )]
    Forbidden(String),
    /// A placeholder that each event fills in differently.
    #[error(
        "topic: `{{{0}}}` differs from event to event: the topics of answers and of the status have {{enterprise}} {{site}} {{area}} {{line}} {{cell}} {{gateway}}"
    )]
    Varies(&'static str),
    /// Nothing at all.
    #[error("topic: the template is empty")]
    Empty,
}

/// A checked template, and the gateway it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct TopicTemplate {
    machine: Vec<Level>,
    gateway: Vec<Level>,
    gateway_id: String,
}

type Level = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// Level of the equipment path, from the enterprise down.
    Path(usize),
    Equipment,
    Gateway,
    Type,
}

impl Field {
    fn named(name: &str) -> Option<Field> {
        Some(match name {
            "enterprise" => Field::Path(0),
            "site" => Field::Path(1),
            "area" => Field::Path(2),
            "line" => Field::Path(3),
            "cell" => Field::Path(4),
            "equipment" => Field::Equipment,
            "gateway" => Field::Gateway,
            "type" => Field::Type,
            _ => return None,
        })
    }
}

/// A topic of the gateway itself, the same at all times.
pub(crate) fn fixed(template: &str, gateway: &Gateway) -> Result<String, TemplateError> {
    let template = TopicTemplate::new(template, &gateway.id)?;
    for piece in template.machine.iter().flatten() {
        match piece {
            Piece::Field(Field::Equipment) => return Err(TemplateError::Varies("equipment")),
            Piece::Field(Field::Type) => return Err(TemplateError::Varies("type")),
            Piece::Field(Field::Path(_) | Field::Gateway) | Piece::Text(_) => {}
        }
    }
    let nothing = Envelope {
        id: uuid::Uuid::nil(),
        run: uuid::Uuid::nil(),
        kind: String::new(),
        partition_key: String::new(),
        equipment: None,
        path: gateway.path.clone(),
        time_ns: 0,
    };
    match template.filled(&template.machine, &nothing) {
        topic if topic.is_empty() => Err(TemplateError::Empty),
        topic => Ok(topic),
    }
}

impl TopicTemplate {
    /// Checks `template` and keeps the gateway's id.
    pub(crate) fn new(template: &str, gateway_id: &str) -> Result<TopicTemplate, TemplateError> {
        Ok(TopicTemplate {
            machine: levels(template)?,
            gateway: levels(GATEWAY_TOPIC)?,
            gateway_id: gateway_id.to_owned(),
        })
    }

    /// The topic of an event.
    pub(crate) fn topic(&self, event: &Envelope) -> String {
        let template = match event.equipment {
            Some(_) => &self.machine,
            None => &self.gateway,
        };
        self.filled(template, event)
    }

    fn filled(&self, template: &[Level], event: &Envelope) -> String {
        let levels: Vec<String> = template
            .iter()
            .filter_map(|level| self.fill(level, event))
            .collect();
        let topic = levels.join("/");
        // Topics that begin so belong to the broker.
        match topic.strip_prefix('$') {
            Some(rest) => format!("_{rest}"),
            None => topic,
        }
    }

    /// One level; `None` when it has placeholders and all of them are missing.
    fn fill(&self, level: &Level, event: &Envelope) -> Option<String> {
        let mut text = String::new();
        let (mut fields, mut found) = (0, 0);
        for piece in level {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Field(field) => {
                    fields += 1;
                    if let Some(value) = self.value(*field, event) {
                        found += 1;
                        text.extend(value.chars().take(MAX_CHARS).map(harmless));
                    }
                }
            }
        }
        (fields == 0 || found > 0).then_some(text)
    }

    fn value<'a>(&'a self, field: Field, event: &'a Envelope) -> Option<&'a str> {
        let value = match field {
            Field::Path(level) => event.path.get(level)?,
            Field::Equipment => event.equipment.as_ref()?,
            Field::Gateway => &self.gateway_id,
            Field::Type => &event.kind,
        };
        (!value.is_empty()).then_some(value.as_str())
    }
}

/// A character that may stand in a level; `_` for one that may not.
fn harmless(c: char) -> char {
    if matches!(c, '/' | '+' | '#' | '\u{feff}') || c.is_control() {
        '_'
    } else {
        c
    }
}

fn levels(template: &str) -> Result<Vec<Level>, TemplateError> {
    if template.is_empty() {
        return Err(TemplateError::Empty);
    }
    let forbidden = |c: char| c == '+' || c == '#' || c.is_control();
    if template.starts_with('$') || template.contains(forbidden) {
        return Err(TemplateError::Forbidden(template.to_owned()));
    }
    template.split('/').map(pieces).collect()
}

fn pieces(level: &str) -> Result<Level, TemplateError> {
    let brace = || TemplateError::Brace(level.to_owned());
    let mut found = Vec::new();
    let mut rest = level;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(brace)?;
        if before.contains('}') {
            return Err(brace());
        }
        if !before.is_empty() {
            found.push(Piece::Text(before.to_owned()));
        }
        let field = Field::named(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        found.push(Piece::Field(field));
        rest = after;
    }
    if rest.contains('}') {
        return Err(brace());
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "{enterprise}/{site}/{area}/{line}/{equipment}/_mes/evt/{type}";

    fn event(path: &[&str], equipment: Option<&str>, kind: &str) -> Envelope {
        Envelope {
            id: uuid::Uuid::nil(),
            run: uuid::Uuid::nil(),
            kind: kind.into(),
            partition_key: equipment.unwrap_or("gw07").into(),
            equipment: equipment.map(str::to_owned),
            path: path.iter().map(|level| (*level).to_owned()).collect(),
            time_ns: 0,
        }
    }

    fn check(template: &str, path: &[&str], equipment: Option<&str>, kind: &str, topic: &str) {
        let found = TopicTemplate::new(template, "gw07")
            .expect("a good template")
            .topic(&event(path, equipment, kind));
        assert_eq!(found, topic);
    }

    #[test]
    fn missing_levels_vanish_with_their_slash() {
        let press = Some("PRESS-04");
        let kind = "operation.completed";
        check(
            TEMPLATE,
            &["ACME", "PLANT1", "FORMING", "L2"],
            press,
            kind,
            "ACME/PLANT1/FORMING/L2/PRESS-04/_mes/evt/operation.completed",
        );
        check(
            TEMPLATE,
            &["ACME", "PLANT1"],
            press,
            kind,
            "ACME/PLANT1/PRESS-04/_mes/evt/operation.completed",
        );
        check(
            TEMPLATE,
            &["ACME", "", "FORMING"],
            press,
            kind,
            "ACME/FORMING/PRESS-04/_mes/evt/operation.completed",
        );
        check(
            "x-{site}-{area}/{cell}/{type}",
            &["ACME", "P1"],
            press,
            kind,
            "x-P1-/operation.completed",
        );
        check("fixed/{gateway}", &[], press, kind, "fixed/gw07");
    }

    #[test]
    fn the_gateway_has_a_topic_of_its_own() {
        check(
            TEMPLATE,
            &["ACME", "PLANT1", "FORMING"],
            None,
            "gateway.birth",
            "ACME/PLANT1/_gw/gw07/evt/gateway.birth",
        );
        check(
            "{equipment}/{type}",
            &["ACME"],
            None,
            "gateway.birth",
            "ACME/_gw/gw07/evt/gateway.birth",
        );
    }

    #[test]
    fn topics_of_the_gateway_itself_have_nothing_of_an_event() {
        let gateway = Gateway {
            id: "gw07".into(),
            path: vec!["ACME".into(), "PLANT1".into()],
        };
        let of = |template| fixed(template, &gateway);
        assert_eq!(
            of("{enterprise}/{site}/{area}/_gw/{gateway}/ack").unwrap(),
            "ACME/PLANT1/_gw/gw07/ack"
        );
        assert_eq!(
            of("{enterprise}/{equipment}/ack"),
            Err(TemplateError::Varies("equipment"))
        );
        assert_eq!(of("a/{type}"), Err(TemplateError::Varies("type")));
        assert_eq!(of("{area}"), Err(TemplateError::Empty));
    }

    #[test]
    fn nothing_that_is_filled_in_makes_a_level_a_wildcard_or_a_system_topic() {
        check(
            TEMPLATE,
            &["A/B", "+", "#"],
            Some("P\n\0\u{7f}1"),
            "a.b",
            "A_B/_/_/P___1/_mes/evt/a.b",
        );
        check(TEMPLATE, &["$SYS"], Some("P"), "a.b", "_SYS/P/_mes/evt/a.b");
        let long = "x".repeat(1_000);
        check(
            "{equipment}",
            &[],
            Some(&long),
            "a.b",
            &"x".repeat(MAX_CHARS),
        );
    }

    #[test]
    fn a_template_that_cannot_be_used_is_refused_with_the_reason() {
        for (template, error) in [
            ("", TemplateError::Empty),
            ("{machine}/x", TemplateError::Unknown("machine".into())),
            ("{site/x", TemplateError::Brace("{site".into())),
            ("site}/x", TemplateError::Brace("site}".into())),
            ("a}{site}", TemplateError::Brace("a}{site}".into())),
            ("a/#", TemplateError::Forbidden("a/#".into())),
            ("$SYS/a", TemplateError::Forbidden("$SYS/a".into())),
        ] {
            assert_eq!(
                TopicTemplate::new(template, "g").expect_err(template),
                error
            );
        }
    }
}
