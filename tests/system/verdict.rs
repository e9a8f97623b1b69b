//! What must be true of everything that one destination received, whatever happened on the way.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What came, repeats sorted out.
pub(super) struct Received {
    who: &'static str,
    /// In the order of their first arrival.
    pub(super) events: Vec<Value>,
    /// Arrivals that were repeats.
    pub(super) repeats: usize,
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name]
        .as_str()
        .unwrap_or_else(|| panic!("an event without {name}: {event}"))
}

/// Epoch and number of a `sequence`.
fn sequence(event: &Value) -> (u64, u64) {
    let (epoch, seq) = text(event, "sequence").split_once('.').unwrap();
    (epoch.parse().unwrap(), seq.parse().unwrap())
}

impl Received {
    /// Deduplicates on (source, id), as a MES does. A repeat must be the same event, byte for byte.
    pub(super) fn new(who: &'static str, arrivals: Vec<Value>) -> Received {
        let mut first: HashMap<(String, String), Value> = HashMap::new();
        let (mut events, mut repeats) = (Vec::new(), 0);
        for event in arrivals {
            let key = (
                text(&event, "source").to_owned(),
                text(&event, "id").to_owned(),
            );
            if let Some(before) = first.get(&key) {
                assert_eq!(before, &event, "{who}: one id, two events");
                repeats += 1;
            } else {
                first.insert(key, event.clone());
                events.push(event);
            }
        }
        Received {
            who,
            events,
            repeats,
        }
    }

    /// The `sequence` of each.
    pub(super) fn sequences(&self) -> BTreeSet<String> {
        let all = self.events.iter();
        all.map(|event| text(event, "sequence").to_owned())
            .collect()
    }

    /// Events of one type.
    pub(super) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events
            .iter()
            .filter(move |event| event["type"] == kind)
    }

    /// Every event is what the project's own schema says.
    pub(super) fn check_schema(&self, schema: &Value) {
        let schema = jsonschema::validator_for(schema).unwrap();
        for event in &self.events {
            let faults: Vec<String> = schema
                .iter_errors(event)
                .map(|fault| format!("{}: {fault}", fault.instance_path()))
                .collect();
            assert!(
                faults.is_empty(),
                "{}: {}\n{event:#}",
                self.who,
                faults.join("\n")
            );
        }
    }

    /// No event of a store's life is missing, from the first to the last: what was accepted was delivered. Returns how many
    /// there are.
    pub(super) fn check_gapless(&self) -> usize {
        let mut epochs: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for event in &self.events {
            let (epoch, seq) = sequence(event);
            assert!(
                epochs.entry(epoch).or_default().insert(seq),
                "{}: two events {epoch}.{seq}",
                self.who
            );
        }
        assert_eq!(
            epochs.len(),
            1,
            "{}: the store lives on through a kill: one epoch",
            self.who
        );
        for seqs in epochs.values() {
            let missing: Vec<u64> = (1..=*seqs.last().unwrap())
                .filter(|seq| !seqs.contains(seq))
                .collect();
            assert!(missing.is_empty(), "{}: lost events: {missing:?}", self.who);
        }
        self.events.len()
    }

    /// First deliveries of one partition key keep the order in which things happened.
    pub(super) fn check_order(&self) {
        let mut last: HashMap<&str, (u64, u64)> = HashMap::new();
        for event in &self.events {
            let key = text(event, "partitionkey");
            if let Some(before) = last.insert(key, sequence(event)) {
                assert!(
                    before < sequence(event),
                    "{}: {key}: {before:?} came before {:?}",
                    self.who,
                    sequence(event)
                );
            }
        }
    }

    /// Every stroke was reported once as started and once as completed, its ordinals without a gap, under one id.
    pub(super) fn check_strokes(&self, strokes: u64) {
        let mut started: BTreeMap<u64, &str> = BTreeMap::new();
        for event in self.of("millgate.operation.started.v1") {
            let before = started.insert(ordinal(event), text(event, "correlationid"));
            assert!(before.is_none(), "{}: started twice: {event:#}", self.who);
        }
        let mut completed = BTreeSet::new();
        for event in self.of("millgate.operation.completed.v1") {
            let ordinal = ordinal(event);
            assert!(
                completed.insert(ordinal),
                "{}: completed twice: {event:#}",
                self.who
            );
            assert_eq!(
                started.get(&ordinal),
                Some(&text(event, "correlationid")),
                "{}: {event:#}",
                self.who
            );
        }
        let all: BTreeSet<u64> = (1..=strokes).collect();
        assert_eq!(
            completed, all,
            "{}: every completed stroke, and no other",
            self.who
        );
        assert_eq!(
            started.len(),
            completed.len(),
            "{}: started but not completed",
            self.who
        );
        let aborted: Vec<&Value> = self.of("millgate.operation.aborted.v1").collect();
        assert!(aborted.is_empty(), "{}: {aborted:#?}", self.who);
    }
}

fn ordinal(event: &Value) -> u64 {
    let ordinal = &event["data"]["operation"]["ordinal"];
    ordinal
        .as_u64()
        .unwrap_or_else(|| panic!("no ordinal in {event:#}"))
}

mod tests {
    use super::*;
    use serde_json::json;

    /// Event number `seq` of machine `key`.
    fn event(seq: u64, key: &str) -> Value {
        json!({
            "source": "urn:x", "id": format!("id-{seq}"), "partitionkey": key,
            "sequence": format!("{:010}.{seq:020}", 1), "type": "t",
        })
    }

    /// Whether these arrivals pass.
    fn passes(arrivals: Vec<Value>) -> bool {
        std::panic::catch_unwind(|| {
            let received = Received::new("test", arrivals);
            received.check_gapless();
            received.check_order();
        })
        .is_ok()
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let [one, two, three] = [event(1, "A"), event(2, "A"), event(3, "B")];
        assert!(passes(vec![one.clone(), two.clone(), three.clone()]));
        assert!(
            passes(vec![one.clone(), three.clone(), two.clone()]),
            "other machines may overtake"
        );
        assert!(
            passes(vec![
                one.clone(),
                two.clone(),
                one.clone(),
                two.clone(),
                three.clone()
            ]),
            "repeats"
        );
        assert!(!passes(vec![one.clone(), three.clone()]), "one is lost");
        assert!(
            !passes(vec![two.clone(), three.clone()]),
            "the first is lost"
        );
        assert!(
            !passes(vec![two.clone(), one.clone(), three.clone()]),
            "out of order"
        );
        let mut other = two.clone();
        other["type"] = json!("u");
        assert!(
            !passes(vec![one.clone(), two.clone(), other, three.clone()]),
            "one id, two events"
        );
        let mut twice = two.clone();
        twice["id"] = json!("another id");
        assert!(
            !passes(vec![one, two, twice, three]),
            "one sequence, two events"
        );
    }
}
