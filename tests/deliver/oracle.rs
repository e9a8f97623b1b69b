//! What arrived and what was granted, seen from the far end; asked by the tests when all is over.

use millgate::buffer::Record;
use millgate::model::{Envelope, Position};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

/// Machines that the events of a test belong to, in turn.
pub(super) const MACHINES: [&str; 3] = ["PRESS-01", "PRESS-02", "PRESS-03"];

/// Shared between a scripted peer, which tells it, and the buffer of the test, which asks it.
#[derive(Clone, Default)]
pub(super) struct Oracle(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// With the connection on which each came, where that is told.
    arrivals: Vec<(usize, Uuid)>,
    granted: HashSet<Uuid>,
    settled_early: Vec<Position>,
    times: HashMap<Uuid, usize>,
    /// So many events may arrive behind a later one of their key: their first sendings never got here.
    passed_at_most: usize,
}

impl Oracle {
    /// One for a way on which requests are lost: over HTTP an event that failed twice lets the next one of its key pass.
    pub(super) fn of_lost_requests(passed_at_most: usize) -> Oracle {
        Oracle(Arc::new(Mutex::new(Seen {
            passed_at_most,
            ..Seen::default()
        })))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no test thread panicked")
    }

    /// An event arrived; how often it has by now.
    pub(super) fn arrived(&self, id: Uuid) -> usize {
        self.arrived_on(0, id)
    }

    /// An event arrived on that connection; how often it has by now.
    pub(super) fn arrived_on(&self, connection: usize, id: Uuid) -> usize {
        let mut seen = self.seen();
        seen.arrivals.push((connection, id));
        let times = seen.times.entry(id).or_default();
        *times += 1;
        *times
    }

    /// A positive verdict is about to be sent.
    pub(super) fn grant(&self, id: Uuid) {
        self.seen().granted.insert(id);
    }

    /// An event was settled: was it granted before?
    pub(super) fn settled(&self, record: &Record) {
        let mut seen = self.seen();
        if !seen.granted.contains(&record.envelope.id) {
            seen.settled_early.push(record.position);
        }
    }

    /// All arrivals, repeats included.
    pub(super) fn arrivals(&self) -> usize {
        self.seen().arrivals.len()
    }

    /// Ids in the order of their first arrival.
    pub(super) fn first_arrivals(&self) -> Vec<Uuid> {
        let mut known = HashSet::new();
        let seen = self.seen();
        let ids = seen.arrivals.iter().map(|(_, id)| *id);
        ids.filter(|id| known.insert(*id)).collect()
    }

    /// Everything has arrived, first deliveries in order inside each key, and nothing was settled early.
    pub(super) fn check(&self, records: &[Record]) {
        self.check_complete(records);
        self.check_order(records);
    }

    /// First deliveries are in order inside each key.
    pub(super) fn check_order(&self, records: &[Record]) {
        let key_of: BTreeMap<Uuid, (&str, usize)> = records
            .iter()
            .enumerate()
            .map(|(order, r)| (r.envelope.id, (r.envelope.partition_key.as_str(), order)))
            .collect();
        let first = self.first_arrivals();
        let keys: HashSet<&str> = key_of.values().map(|(key, _)| *key).collect();
        let passed_at_most = self.seen().passed_at_most;
        let mut passed = 0;
        for key in keys {
            let order: Vec<usize> = first
                .iter()
                .filter_map(|id| key_of.get(id))
                .filter(|(of, _)| *of == key)
                .map(|(_, order)| *order)
                .collect();
            let mut newest = 0;
            for place in &order {
                passed += usize::from(*place < newest);
                newest = newest.max(*place);
            }
            assert!(
                passed <= passed_at_most,
                "{key}: first deliveries out of order: {order:?}"
            );
        }
    }

    /// Everything has arrived, and nothing was settled early.
    pub(super) fn check_complete(&self, records: &[Record]) {
        assert_eq!(
            self.first_arrivals().len(),
            records.len(),
            "everything arrives"
        );
        let early = &self.seen().settled_early;
        assert!(early.is_empty(), "settled before the verdict: {early:?}");
    }

    /// Each connection brought at most `most` events again that had come on one before it. With `once`, none came twice on
    /// one connection.
    pub(super) fn check_repeats_by_connection(&self, most: usize, once: bool) {
        let seen = self.seen();
        let mut came: HashMap<Uuid, usize> = HashMap::new();
        let mut again: HashMap<usize, HashSet<Uuid>> = HashMap::new();
        for (connection, id) in &seen.arrivals {
            match came.insert(*id, *connection) {
                Some(before) if before != *connection => {
                    again.entry(*connection).or_default().insert(*id);
                }
                Some(_) => assert!(!once, "{id} came twice on connection {connection}"),
                None => {}
            }
        }
        for (connection, ids) in again {
            let repeats = ids.len();
            assert!(
                repeats <= most,
                "connection {connection} repeats {repeats}, at most {most} are allowed"
            );
        }
    }

    /// Only what was under way when a connection ended came again: of each connection the last `most` arrivals at the most.
    pub(super) fn check_only_the_last_of_a_connection_come_again(&self, most: usize) {
        let seen = self.seen();
        let mut by_connection: BTreeMap<usize, Vec<Uuid>> = BTreeMap::new();
        for (connection, id) in &seen.arrivals {
            by_connection.entry(*connection).or_default().push(*id);
        }
        let last: HashMap<Uuid, usize> = seen.arrivals.iter().map(|(on, id)| (*id, *on)).collect();
        for (connection, ids) in by_connection {
            let done = ids.len().saturating_sub(most);
            for id in ids.iter().take(done) {
                assert_eq!(
                    last.get(id),
                    Some(&connection),
                    "{id} was done on connection {connection} and came again"
                );
            }
        }
    }

    /// No more repeats than `most`.
    pub(super) fn check_repeats(&self, records: &[Record], most: usize) {
        let repeats = self.arrivals() - records.len();
        assert!(
            repeats <= most,
            "{repeats} repeats, at most {most} are allowed"
        );
    }
}

/// So many events of the machines in turn, numbered from 1.
pub(super) fn events(count: u64) -> Vec<Record> {
    (1..=count).map(|seq| event(seq, 0)).collect()
}

/// One event with `padding` bytes beside its id.
pub(super) fn event(seq: u64, padding: usize) -> Record {
    let id = Uuid::from_u128(u128::from(seq));
    let turn = usize::try_from(seq).expect("small") % MACHINES.len();
    let machine = MACHINES.get(turn).copied().unwrap_or_default();
    let padding = "x".repeat(padding);
    Record {
        position: Position { epoch: 1, seq },
        envelope: Envelope {
            id,
            run: Uuid::nil(),
            kind: "operation.completed".into(),
            partition_key: machine.into(),
            equipment: Some(machine.into()),
            path: vec!["ACME".into(), "PLANT1".into()],
            time_ns: 0,
        },
        class: millgate::model::Class::Lasting,
        payload: format!(r#"{{"id":"{id}","subject":"{machine}","data":"{padding}"}}"#).into(),
    }
}

/// The id of an event that arrived.
pub(super) fn id_of(payload: &[u8]) -> Uuid {
    let event: serde_json::Value = serde_json::from_slice(payload).expect("an event is JSON");
    let id = event.get("id").and_then(|id| id.as_str()).expect("an id");
    id.parse().expect("a UUID")
}
