//! The books of the small MES: each event once, nothing missing, what became of every operation. Pure: no network, no clock.
//!
//! An event is taken if its envelope is sound; the books never grow beyond their limits, whatever is sent.

use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use uuid::Uuid;

/// Most events whose ids are remembered; the oldest are forgotten first.
const MAX_REMEMBERED: usize = 100_000;
/// Most numbers that may be ahead of a gap; further ones are not followed.
const MAX_AHEAD: usize = 4_096;
/// Most series of numbers: one per source and epoch, two per slot.
const MAX_SERIES: usize = 1_000;
/// Longest text of an envelope, in bytes.
const MAX_TEXT_BYTES: usize = 256;

/// What the MES says to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken now.
    Accepted,
    /// Taken before; nothing to do.
    Duplicate,
}

/// Why an event is refused: it will be refused again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Nonsense {
    /// A stable word.
    pub code: &'static str,
    /// Where in the event.
    pub pointer: &'static str,
    /// What is wrong.
    pub detail: String,
}

/// What the MES has got so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events taken, each once.
    pub accepted: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Requests refused as nonsense.
    pub refused: u64,
    /// Operations begun.
    pub started: u64,
    /// Operations completed.
    pub completed: u64,
    /// Operations aborted or interrupted.
    pub aborted: u64,
    /// Completed operations whose verdict is pass.
    pub passed: u64,
    /// Completed operations whose verdict is fail.
    pub failed: u64,
    /// Completed operations with any other verdict.
    pub undecided: u64,
    /// Different parts of operations that ended.
    pub parts: u64,
    /// Operations of the deburring cell that were completed; in no other count but the events.
    pub deburred: u64,
    /// Numbers missing in the sequences.
    pub missing: u64,
    /// Numbers missing in the ordinals of operations.
    pub missing_ordinals: u64,
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    counts: Counts,
    seen: HashSet<(String, Uuid)>,
    order: VecDeque<(String, Uuid)>,
    sequences: HashMap<String, Series>,
    ordinals: HashMap<String, Series>,
    parts: HashSet<String>,
}

/// The outside of an event, checked.
struct Envelope<'a> {
    id: Uuid,
    source: &'a str,
    epoch: u32,
    seq: u64,
    kind: &'a str,
    subject: &'a str,
}

impl Ledger {
    /// Takes an event, or finds that it has it.
    ///
    /// # Errors
    /// [`Nonsense`] when it is not an event of a gateway.
    pub fn take(&mut self, event: &Value) -> Result<Answer, Nonsense> {
        let envelope = match Envelope::read(event) {
            Ok(envelope) => envelope,
            Err(nonsense) => {
                self.refuse();
                return Err(nonsense);
            }
        };
        let key = (envelope.source.to_owned(), envelope.id);
        if self.seen.contains(&key) {
            self.counts.duplicates += 1;
            return Ok(Answer::Duplicate);
        }
        self.remember(key);
        self.counts.accepted += 1;
        let life = format!("{} {}", envelope.source, envelope.epoch);
        follow(&mut self.sequences, life, envelope.seq, Some(1));
        self.book(&envelope, event);
        Ok(Answer::Accepted)
    }

    /// Counts a request that is no event at all.
    pub fn refuse(&mut self) {
        self.counts.refused += 1;
    }

    /// What it has got so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let missing = |all: &HashMap<String, Series>| all.values().map(Series::missing).sum();
        Counts {
            missing: missing(&self.sequences),
            missing_ordinals: missing(&self.ordinals),
            ..self.counts
        }
    }

    fn remember(&mut self, key: (String, Uuid)) {
        if self.order.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.seen.insert(key);
    }

    fn book(&mut self, envelope: &Envelope<'_>, event: &Value) {
        let began = match envelope.kind {
            "operation.started" => true,
            "operation.completed" | "operation.aborted" => false,
            _ => return,
        };
        let deburring = event
            .pointer("/data/operation/name")
            .and_then(Value::as_str)
            == Some("deburr");
        match envelope.kind {
            _ if deburring => {
                self.counts.deburred += u64::from(envelope.kind == "operation.completed");
            }
            "operation.started" => self.counts.started += 1,
            "operation.aborted" => self.counts.aborted += 1,
            _ => {
                self.counts.completed += 1;
                match event.pointer("/data/verdict").and_then(Value::as_str) {
                    Some("pass") => self.counts.passed += 1,
                    Some("fail") => self.counts.failed += 1,
                    _ => self.counts.undecided += 1,
                }
            }
        }
        let part = event
            .pointer("/data/operation/parts/0/id")
            .and_then(Value::as_str);
        if let Some(part) = part.filter(|part| !began && part.len() <= MAX_TEXT_BYTES)
            && self.parts.len() < MAX_REMEMBERED
            && self.parts.insert(part.to_owned())
        {
            self.counts.parts += 1;
        }
        let ordinal = event.pointer("/data/operation/ordinal");
        if let Some(ordinal) = ordinal.and_then(Value::as_u64) {
            // Begun and ended are two series; both must be whole.
            let slot = format!("{} {} {began}", envelope.source, envelope.subject);
            follow(&mut self.ordinals, slot, ordinal, None);
        }
    }
}

impl<'a> Envelope<'a> {
    fn read(event: &'a Value) -> Result<Envelope<'a>, Nonsense> {
        let version = text(event, "/specversion")?;
        if version != "1.0" {
            return Err(nonsense("/specversion", "is not 1.0"));
        }
        let id = text(event, "/id")?;
        let id = id.parse().map_err(|_| nonsense("/id", "is not a UUID"))?;
        let (epoch, seq) = text(event, "/sequence").map(sequence)?.ok_or_else(|| {
            nonsense(
                "/sequence",
                "is not ten digits, a full stop and twenty digits",
            )
        })?;
        let kind = text(event, "/type")?
            .strip_prefix("millgate.")
            .and_then(|kind| kind.strip_suffix(".v1"))
            .ok_or_else(|| nonsense("/type", "is not an event type of a gateway"))?;
        if !event.pointer("/data").is_some_and(Value::is_object) {
            return Err(nonsense("/data", "is missing or not an object"));
        }
        Ok(Envelope {
            id,
            source: text(event, "/source")?,
            epoch,
            seq,
            kind,
            subject: text(event, "/subject")?,
        })
    }
}

fn text<'a>(event: &'a Value, pointer: &'static str) -> Result<&'a str, Nonsense> {
    match event.pointer(pointer).and_then(Value::as_str) {
        Some("") => Err(nonsense(pointer, "is empty")),
        Some(text) if text.len() > MAX_TEXT_BYTES => Err(nonsense(pointer, "is too long")),
        Some(text) => Ok(text),
        None => Err(nonsense(pointer, "is missing or not a text")),
    }
}

fn nonsense(pointer: &'static str, what: &str) -> Nonsense {
    Nonsense {
        code: "not-an-event",
        pointer,
        detail: format!("`{}` {what}", pointer.trim_start_matches('/')),
    }
}

/// `0000000003.00000000000000184219`
fn sequence(text: &str) -> Option<(u32, u64)> {
    let (epoch, seq) = text.split_once('.')?;
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(epoch, 10) || !digits(seq, 20) {
        return None;
    }
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

/// A series of numbers that should be gapless, in whatever order they come: keys of a partition overtake one another.
#[derive(Debug)]
struct Series {
    /// All below have come.
    next: u64,
    /// Come already, above `next`.
    ahead: BTreeSet<u64>,
}

impl Series {
    fn take(&mut self, number: u64) {
        if number > self.next && self.ahead.len() < MAX_AHEAD {
            self.ahead.insert(number);
        }
        if number == self.next {
            self.next = self.next.saturating_add(1);
            while self.ahead.remove(&self.next) {
                self.next = self.next.saturating_add(1);
            }
        }
    }

    /// Numbers between those that have come.
    fn missing(&self) -> u64 {
        let come = u64::try_from(self.ahead.len()).unwrap_or(0);
        match self.ahead.last() {
            Some(last) => last
                .saturating_sub(self.next)
                .saturating_add(1)
                .saturating_sub(come),
            None => 0,
        }
    }
}

/// Follows a number of one series, which begins at `first`, or with the first that comes.
fn follow(all: &mut HashMap<String, Series>, key: String, number: u64, first: Option<u64>) {
    if all.len() >= MAX_SERIES && !all.contains_key(&key) {
        return;
    }
    let series = all.entry(key).or_insert_with(|| Series {
        next: first.unwrap_or(number),
        ahead: BTreeSet::new(),
    });
    series.take(number);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(seq: u64, kind: &str, ordinal: u64) -> Value {
        json!({
            "specversion": "1.0",
            "id": Uuid::from_u128(u128::from(seq)).to_string(),
            "source": "urn:demo:gw:gw1",
            "type": format!("millgate.{kind}.v1"),
            "subject": "PRESS-04/1",
            "sequence": format!("0000000001.{seq:020}"),
            "data": { "operation": { "ordinal": ordinal }, "verdict": "pass" },
        })
    }

    #[test]
    fn each_event_counts_once_however_often_it_comes() {
        let mut ledger = Ledger::default();
        let events = [
            event(1, "gateway.birth", 0),
            event(2, "operation.started", 1),
            event(3, "operation.completed", 1),
            event(4, "operation.started", 2),
            event(5, "operation.aborted", 2),
        ];
        for event in &events {
            assert_eq!(ledger.take(event), Ok(Answer::Accepted));
        }
        for event in &events {
            assert_eq!(ledger.take(event), Ok(Answer::Duplicate));
        }
        let expected = Counts {
            accepted: 5,
            duplicates: 5,
            started: 2,
            completed: 1,
            aborted: 1,
            passed: 1,
            ..Counts::default()
        };
        assert_eq!(ledger.counts(), expected);
    }

    #[test]
    fn gaps_are_found_and_filled_in_any_order() {
        let cases: [(&[u64], u64); 6] = [
            (&[1, 2, 3], 0),
            (&[3, 1, 2], 0),
            (&[2], 1),
            (&[1, 5], 3),
            (&[1, 5, 3], 2),
            (&[1, 5, 3, 2, 4], 0),
        ];
        for (numbers, missing) in cases {
            let mut ledger = Ledger::default();
            for number in numbers {
                let event = event(*number, "gateway.birth", 0);
                assert_eq!(ledger.take(&event), Ok(Answer::Accepted));
            }
            assert_eq!(ledger.counts().missing, missing, "{numbers:?}");
        }
    }

    #[test]
    fn a_missing_operation_shows_in_the_ordinals_alone() {
        let mut ledger = Ledger::default();
        for (seq, ordinal) in [(1, 7), (2, 8), (3, 10)] {
            let event = event(seq, "operation.started", ordinal);
            assert_eq!(ledger.take(&event), Ok(Answer::Accepted));
        }
        assert_eq!(ledger.counts().missing, 0);
        assert_eq!(ledger.counts().missing_ordinals, 1);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let spoilt = [
            ("/specversion", json!("0.3")),
            ("/specversion", Value::Null),
            ("/id", json!("17")),
            ("/source", json!("")),
            ("/source", json!("x".repeat(300))),
            ("/sequence", json!("1.2")),
            ("/sequence", json!("99999999999.00000000000000000001")),
            ("/sequence", json!("9999999999.00000000000000000001")),
            ("/sequence", json!(7)),
            ("/type", json!("com.example.order")),
            ("/data", json!([])),
        ];
        let mut ledger = Ledger::default();
        let count = u64::try_from(spoilt.len()).unwrap();
        for (pointer, value) in spoilt {
            let mut bad = event(1, "operation.started", 1);
            bad[pointer.trim_start_matches('/')] = value.clone();
            let refusal = ledger.take(&bad).unwrap_err();
            assert_eq!(refusal.pointer, pointer, "{value}");
        }
        for bad in [json!(null), json!([]), json!("x"), json!({})] {
            assert!(ledger.take(&bad).is_err(), "{bad}");
        }
        assert_eq!(ledger.counts().refused, count + 4);
        assert_eq!(ledger.counts().accepted, 0);
    }

    #[test]
    fn the_books_do_not_grow_without_end() {
        let mut ledger = Ledger::default();
        for number in 0..3_000_u64 {
            let mut stray = event(number * 3, "operation.started", 1);
            stray["subject"] = json!(format!("M{number}"));
            stray["source"] = json!(format!("urn:demo:gw:gw{number}"));
            assert_eq!(ledger.take(&stray), Ok(Answer::Accepted));
        }
        assert!(ledger.sequences.len() <= MAX_SERIES && ledger.ordinals.len() <= MAX_SERIES);
        let mut series = Series {
            next: 0,
            ahead: BTreeSet::new(),
        };
        for number in 1..2 * u64::try_from(MAX_AHEAD).unwrap() {
            series.take(number * 2);
        }
        assert_eq!(series.ahead.len(), MAX_AHEAD);
        series.take(u64::MAX);
        assert!(series.missing() > 0);
    }
}
