//! What uplinks at one broker must not share, and no uplink with itself: client ids, and the topics of events, verdicts and
//! status. Asked by `check`, with the topics as they come out for the machines and events that there are. Pure.

use super::filter::EventFilter;
use super::mqtt::{TopicTemplate, client_id, fixed};
use crate::model::{Envelope, EventKind};
use crate::settings::shape::{Acknowledge, Gateway, Mqtt};
use crate::settings::{Plant, Problem, Uplink, UplinkProtocol, broker};
use std::collections::HashSet;
use uuid::Uuid;

/// An uplink to brokers, and everything of it that others there can meet.
struct Neighbour<'a> {
    uplink: &'a Uplink,
    mqtt: &'a Mqtt,
    servers: Vec<(String, u16)>,
    client_id: String,
    /// Where its verdicts come, if they count.
    answers: Option<String>,
    status: Option<String>,
    /// Where its events go.
    events: HashSet<String>,
}

/// Everything that two uplinks at one broker, or two topics of one uplink, do to each other. Templates that cannot be used
/// are told elsewhere.
pub(super) fn check(plant: &Plant) -> Vec<Problem> {
    let uplinks = plant.uplinks.iter();
    let all: Vec<Neighbour<'_>> = uplinks.filter_map(|it| neighbour(plant, it)).collect();
    let mut problems = Vec::new();
    for (nth, one) in all.iter().enumerate() {
        problems.extend(with_itself(one));
        let before = all.iter().take(nth).filter(|other| other.meets(one));
        for other in before {
            problems.extend(of_two(one, other));
            problems.extend(meant_for_another(one, other));
            problems.extend(meant_for_another(other, one));
        }
    }
    problems
}

fn neighbour<'a>(plant: &'a Plant, uplink: &'a Uplink) -> Option<Neighbour<'a>> {
    let UplinkProtocol::Mqtt(mqtt) = &uplink.protocol else {
        return None;
    };
    let gateway = &plant.gateway;
    let topic = |template: &str| fixed(template, gateway).ok();
    let answers = match uplink.acknowledge {
        Acknowledge::Broker => None,
        Acknowledge::Mes => topic(mqtt.answers()),
    };
    let urls = std::iter::once(&mqtt.url).chain(&mqtt.fallback);
    Some(Neighbour {
        servers: urls.filter_map(|url| broker(url)).collect(),
        client_id: client_id(gateway, &uplink.name, mqtt),
        answers,
        status: mqtt.status.as_deref().and_then(topic),
        events: topics(plant, uplink, mqtt),
        uplink,
        mqtt,
    })
}

/// Every topic that the events of an uplink go to.
fn topics(plant: &Plant, uplink: &Uplink, mqtt: &Mqtt) -> HashSet<String> {
    let gateway = &plant.gateway;
    let Ok(template) = TopicTemplate::new(&mqtt.topic, &gateway.id) else {
        return HashSet::new();
    };
    let filter = EventFilter::new(&uplink.events).in_format(uplink.format);
    let kinds = EventKind::ALL.map(EventKind::name);
    let kinds = kinds.into_iter().filter(|kind| filter.wants(kind));
    let machines = plant.machines.iter().map(|machine| Some(&machine.name));
    let subjects: Vec<Option<&String>> = machines.chain([None]).collect();
    let envelopes = kinds.flat_map(|kind| {
        let of = |equipment: &Option<&String>| envelope(gateway, kind, equipment.cloned());
        subjects.iter().map(of).collect::<Vec<_>>()
    });
    envelopes
        .map(|envelope| template.topic(&envelope))
        .collect()
}

fn envelope(gateway: &Gateway, kind: &str, equipment: Option<String>) -> Envelope {
    Envelope {
        id: Uuid::nil(),
        run: Uuid::nil(),
        kind: kind.to_owned(),
        partition_key: String::new(),
        equipment,
        path: gateway.path.clone(),
        time_ns: 0,
    }
}

impl Neighbour<'_> {
    fn meets(&self, other: &Neighbour<'_>) -> bool {
        self.servers.iter().any(|it| other.servers.contains(it))
    }

    fn problem(&self, key: &str, message: String) -> Problem {
        Problem::new(format!("uplinks.{}.mqtt.{key}", self.uplink.name), message)
    }

    fn name(&self) -> &str {
        &self.uplink.name
    }
}

fn with_itself(one: &Neighbour<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if one.events.contains("") {
        let message = "nothing is left of it where a level is missing in `gateway.path`: a topic needs a level that is always there, such as {equipment}";
        problems.push(one.problem("topic", message.into()));
    }
    if let Some(answers) = one.answers.as_ref().filter(|it| one.events.contains(*it)) {
        let message = format!(
            "the events of this uplink go to `{answers}`, too: it would read them as verdicts; give the answers a topic of their own"
        );
        problems.push(one.problem("answers", message));
    }
    if let Some(status) = one.status.as_ref() {
        if one.events.contains(status) {
            let message = format!(
                "the events of this uplink go to `{status}`, too: give the status a topic of its own"
            );
            problems.push(one.problem("status", message));
        }
        if one.answers.as_ref() == Some(status) {
            let message = format!(
                "`{status}` is the topic of `answers`, too: the uplink would read its own status as a verdict; give the status one of its own"
            );
            problems.push(one.problem("status", message));
        }
    }
    problems
}

/// What two uplinks at one broker have in common and must not.
fn of_two(one: &Neighbour<'_>, other: &Neighbour<'_>) -> Vec<Problem> {
    let (name, neighbour) = (one.name(), other.name());
    let mut problems = Vec::new();
    if one.client_id == other.client_id {
        let message = format!(
            "`{neighbour}` uses the same client id at the same broker, `{}`, and one of them would throw the other out again and again: give each its own, or leave `client_id` out",
            one.client_id
        );
        problems.push(one.problem("client_id", message));
    }
    if one.answers.is_some() && one.answers == other.answers {
        let message = format!(
            "`{neighbour}` hears the same answers at the same broker, and a verdict meant for one of them would settle the events of both: give each its own topic, such as \"{}/{name}\"",
            one.mqtt.answers()
        );
        problems.push(one.problem("answers", message));
    }
    if let Some(status) = one.status.as_ref()
        && one.status == other.status
    {
        let message = format!(
            "`{neighbour}` tells its status on `{status}` at the same broker, too, and one `offline` would hide the other's `online`: give each a topic of its own"
        );
        problems.push(one.problem("status", message));
    }
    problems
}

/// What one uplink publishes where another one expects the verdicts of the MES.
fn meant_for_another(reader: &Neighbour<'_>, writer: &Neighbour<'_>) -> Option<Problem> {
    let answers = reader.answers.as_ref()?;
    let what = if writer.events.contains(answers) {
        "events"
    } else if writer.status.as_ref() == Some(answers) {
        "status"
    } else {
        return None;
    };
    let message = format!(
        "`{}` publishes its {what} on `{answers}` at the same broker: this uplink would read that as verdicts; give the answers a topic of their own",
        writer.name()
    );
    Some(reader.problem("answers", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    /// The problems of a gateway with these uplinks: path and message.
    fn told(uplinks: &str) -> Vec<(String, String)> {
        let text = format!(
            "gateway: {{ id: gw1, path: [EXAMPLE, PLANT1] }}\nmachine: M1\ndevices: {{}}\nuplinks:\n{uplinks}"
        );
        let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let problems = check(&loaded.plant).into_iter();
        problems.map(|it| (it.path, it.message)).collect()
    }

    fn one(uplinks: &str, path: &str, says: &str) {
        let told = told(uplinks);
        assert_eq!(told.len(), 1, "{uplinks}\n{told:#?}");
        assert_eq!(told[0].0, path, "{uplinks}\n{told:#?}");
        assert!(told[0].1.contains(says), "{uplinks}\n{told:#?}");
    }

    /// An uplink `mes` to the broker `b`, and another one with these keys.
    fn beside(keys: &str) -> String {
        format!("  mes: {{ mqtt: {{ url: mqtt://b }} }}\n  bde: {{ mqtt: {{ {keys} }} }}\n")
    }

    #[test]
    fn a_client_id_belongs_to_one_uplink_of_a_broker() {
        for same in [
            "url: mqtt://b, client_id: gw1-mes",
            "url: mqtt://B:1883/, client_id: gw1-mes",
            "url: mqtt://c, fallback: [mqtt://b], client_id: gw1-mes",
        ] {
            let says = "`mes` uses the same client id at the same broker, `gw1-mes`";
            one(&beside(same), "uplinks.bde.mqtt.client_id", says);
        }
        for apart in [
            "url: mqtt://b",
            "url: mqtt://c, client_id: gw1-mes",
            "url: mqtt://b:1884, client_id: gw1-mes",
        ] {
            assert_eq!(told(&beside(apart)), []);
        }
    }

    #[test]
    fn a_verdict_for_one_uplink_is_none_for_another() {
        let two = |keys: &str| {
            let mes = "  mes: { mqtt: { url: mqtt://b }, acknowledge: mes }\n";
            format!("{mes}  bde: {{ mqtt: {{ {keys} }}, acknowledge: mes }}\n")
        };
        for shared in [
            "url: mqtt://b",
            "url: mqtt://b, answers: \"EXAMPLE/{site}/_gw/gw1/ack\"",
            "url: mqtt://c, fallback: [mqtt://B:1883]",
        ] {
            let says = "`mes` hears the same answers at the same broker";
            one(&two(shared), "uplinks.bde.mqtt.answers", says);
        }
        for apart in ["url: mqtt://b, answers: \"bde/ack\"", "url: mqtt://c"] {
            assert_eq!(told(&two(apart)), []);
        }
    }

    #[test]
    fn an_uplink_never_reads_its_own_words_as_verdicts() {
        let mes = |keys: &str| {
            format!("  mes: {{ mqtt: {{ url: mqtt://b, {keys} }}, acknowledge: mes }}\n")
        };
        for (keys, says) in [
            ("topic: a/b, answers: a/b", "go to `a/b`, too"),
            (
                "topic: \"{site}/{type}/{line}\", answers: PLANT1/operation.completed",
                "go to `PLANT1/operation.completed`, too",
            ),
            (
                "answers: \"{enterprise}/{site}/_gw/{gateway}/evt/gateway.birth\"",
                "it would read them as verdicts",
            ),
        ] {
            one(&mes(keys), "uplinks.mes.mqtt.answers", says);
        }
        let status = "uplinks.mes.mqtt.status";
        let same = "answers: a/gw1, status: \"a/{gateway}\"";
        one(&mes(same), status, "`a/gw1` is the topic of `answers`, too");
        one(&mes("topic: a, status: a"), status, "go to `a`, too");
        let nothing = "topic: \"{line}/{cell}\"";
        one(&mes(nothing), "uplinks.mes.mqtt.topic", "nothing is left");
        assert_eq!(told(&mes("status: \"{site}/_gw/{gateway}/status\"")), []);
    }

    #[test]
    fn what_one_uplink_publishes_is_no_verdict_for_another_nor_its_status() {
        let two = |mes: &str, bde: &str| {
            let mes = format!("  mes: {{ mqtt: {{ url: mqtt://b, {mes} }}, acknowledge: mes }}\n");
            format!("{mes}  bde: {{ mqtt: {{ url: mqtt://b, {bde} }} }}\n")
        };
        let answers = "uplinks.mes.mqtt.answers";
        let events = two("answers: \"x/{site}\"", "topic: x/PLANT1");
        one(&events, answers, "`bde` publishes its events on `x/PLANT1`");
        let status = two("answers: x/s", "status: x/s");
        one(&status, answers, "`bde` publishes its status on `x/s`");
        let shared = two("status: x/s", "status: x/s");
        one(&shared, "uplinks.bde.mqtt.status", "would hide the other's");
    }
}
