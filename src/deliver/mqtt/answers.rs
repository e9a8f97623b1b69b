//! The verdicts of a MES on the topic `answers`: which are ours, and on which event each is.
//!
//! What was sent is known by its id until its final verdict, over connections: a verdict may come late, early or twice. Garbage,
//! foreign sources and unknown ids are counted, told a few times a minute, and change nothing.

use super::super::report::Lines;
use super::super::uplink::Answer;
use super::super::verdict::{Word, WordError, word};
use crate::health::UplinkHealth;
use crate::model::Position;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tracing::warn;
use uuid::Uuid;

/// Largest verdict: a dozen short texts.
pub(super) const MAX_ANSWER_BYTES: usize = 16 << 10;
/// Most events that are known by their id: eight windows of the largest size, in which events that are parked stay until
/// newer ones push them out. 100 bytes each.
const MAX_AWAITED: usize = 8_192;

/// What came on the topic of the verdicts.
pub(super) type Heard = Result<Word, Ignored>;

/// Why a message there is not the verdict on an event of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    TooLarge,
    NoVerdict(WordError),
    /// Neither `id` nor correlation data.
    NoEvent,
    OtherTopic,
    OtherSource,
    UnknownEvent,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::TooLarge => write!(f, "it is larger than {} KiB", MAX_ANSWER_BYTES >> 10),
            Ignored::NoVerdict(error) => error.fmt(f),
            Ignored::NoEvent => f.write_str("it names no event: `id` is missing"),
            Ignored::OtherTopic => f.write_str("it is on another topic"),
            Ignored::OtherSource => f.write_str(
                "its `source` is another gateway: does each have an `answers` topic of its own?",
            ),
            Ignored::UnknownEvent => f.write_str(
                "nothing with its `id` is under way: answered twice, or of an earlier run",
            ),
        }
    }
}

impl Ignored {
    /// Its place among the causes.
    fn cause(self) -> usize {
        match self {
            Ignored::TooLarge => 0,
            Ignored::NoVerdict(_) | Ignored::NoEvent => 1,
            Ignored::OtherTopic => 2,
            Ignored::OtherSource => 3,
            Ignored::UnknownEvent => 4,
        }
    }
}

/// Reads a message on the topic `expected`, at once where it arrives, so that nothing large ever waits.
pub(super) fn hear(
    expected: Option<&str>,
    topic: &[u8],
    payload: &[u8],
    correlation: Option<&[u8]>,
) -> Heard {
    if expected.is_none_or(|expected| expected.as_bytes() != topic) {
        return Err(Ignored::OtherTopic);
    }
    if payload.len() > MAX_ANSWER_BYTES {
        return Err(Ignored::TooLarge);
    }
    let mut word = word(payload).map_err(Ignored::NoVerdict)?;
    if word.id.is_none() {
        word.id = correlation.and_then(correlated);
    }
    match word.id {
        Some(_) => Ok(word),
        None => Err(Ignored::NoEvent),
    }
}

/// The event that correlation data stands for: its id as we wrote it, or as 16 bytes.
fn correlated(data: &[u8]) -> Option<Uuid> {
    let text = std::str::from_utf8(data).ok();
    let written = text.and_then(|text| text.parse().ok());
    written.or_else(|| Uuid::from_slice(data).ok())
}

/// An event that was sent and has no final verdict.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    position: Position,
    nth: u64,
}

/// The verdicts on what one uplink sent.
pub(super) struct Answers {
    /// Where they come.
    pub(super) topic: String,
    uplink: String,
    /// CloudEvents `source` of this gateway.
    source: String,
    awaited: HashMap<Uuid, Awaited>,
    /// The same as they were sent first.
    order: BTreeMap<u64, Uuid>,
    sent: u64,
    told: [Lines; 5],
    health: Arc<UplinkHealth>,
}

impl Answers {
    pub(super) fn new(uplink: &str, topic: String, source: String) -> Answers {
        Answers {
            topic,
            uplink: uplink.to_owned(),
            source,
            awaited: HashMap::new(),
            order: BTreeMap::new(),
            sent: 0,
            told: Default::default(),
            health: Arc::default(),
        }
    }

    /// Counts what it ignores there.
    pub(super) fn count_in(&mut self, health: Arc<UplinkHealth>) {
        self.health = health;
    }

    /// An event is sent: its verdict may come from now on.
    pub(super) fn awaits(&mut self, id: Uuid, position: Position) {
        if self.awaited.contains_key(&id) {
            return;
        }
        self.sent += 1;
        let nth = self.sent;
        self.awaited.insert(id, Awaited { position, nth });
        self.order.insert(nth, id);
        if self.order.len() > MAX_AWAITED
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.awaited.remove(&oldest);
        }
    }

    fn has_verdict(&mut self, id: Option<Uuid>) {
        let awaited = id.and_then(|id| self.awaited.remove(&id));
        if let Some(awaited) = awaited {
            self.order.remove(&awaited.nth);
        }
    }

    /// What a message means; `None` for one that is not the verdict on an event that waits for one.
    pub(super) fn take(&mut self, heard: Heard, now: Instant) -> Option<Answer> {
        let found = heard.and_then(|word| self.position(&word).map(|at| (word, at)));
        match found {
            Ok((word, position)) => {
                if word.is_final() {
                    self.has_verdict(word.id);
                }
                let verdict = word.verdict();
                Some(Answer { position, verdict })
            }
            Err(why) => {
                self.ignore(why, now);
                None
            }
        }
    }

    fn position(&self, word: &Word) -> Result<Position, Ignored> {
        let is_ours = |source: &String| *source == self.source;
        if !word.source.as_ref().is_none_or(is_ours) {
            return Err(Ignored::OtherSource);
        }
        let id = word.id.ok_or(Ignored::NoEvent)?;
        let awaited = self.awaited.get(&id).ok_or(Ignored::UnknownEvent)?;
        Ok(awaited.position)
    }

    fn ignore(&mut self, why: Ignored, now: Instant) {
        self.health.ignored_answers.add(1);
        let lines = self.told.get_mut(why.cause());
        if let Some(hidden) = lines.and_then(|lines| lines.may_speak(now)) {
            warn!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden),
                "a message on {} is ignored: {why}", self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::uplink::Verdict;
    use super::*;
    use crate::model::ParkClass;
    use std::time::Duration;

    const SOURCE: &str = "urn:acme:gw:gw07";
    const TOPIC: &str = "ACME/_gw/gw07/ack";

    fn at(seq: u64) -> Position {
        Position { epoch: 1, seq }
    }

    fn id(seq: u64) -> Uuid {
        Uuid::from_u128(u128::from(seq))
    }

    fn answers() -> Answers {
        let mut answers = Answers::new("mes", TOPIC.into(), SOURCE.into());
        (1..=4).for_each(|seq| answers.awaits(id(seq), at(seq)));
        answers
    }

    fn heard(payload: &str, correlation: Option<&[u8]>) -> Heard {
        hear(
            Some(TOPIC),
            TOPIC.as_bytes(),
            payload.as_bytes(),
            correlation,
        )
    }

    #[test]
    fn a_verdict_is_on_the_event_it_names_and_the_first_final_one_counts() {
        let now = Instant::now();
        let mut answers = answers();
        let says = |seq: u64, status: &str| {
            let id = id(seq);
            heard(
                &format!(
                    r#"{{"id":"{id}","source":"{SOURCE}","status":"{status}","code":"order-closed","retry_after_s":7}}"#
                ),
                None,
            )
        };
        let mut take = |heard| {
            answers
                .take(heard, now)
                .map(|one| (one.position, one.verdict))
        };
        assert_eq!(take(says(2, "accepted")), Some((at(2), Verdict::Accepted)));
        assert_eq!(take(says(2, "rejected")), None);
        assert_eq!(take(says(1, "duplicate")), Some((at(1), Verdict::Accepted)));
        for _ in 0..3 {
            let Some((position, Verdict::Refused(trouble))) = take(says(3, "retry")) else {
                panic!("later");
            };
            assert_eq!(position, at(3));
            assert_eq!(trouble.at_least, Some(Duration::from_secs(7)));
        }
        let Some((_, Verdict::Rejected(ParkClass::Business, _))) = take(says(3, "rejected")) else {
            panic!("rejected");
        };
        assert_eq!(take(says(3, "accepted")), None);
        assert_eq!(take(says(99, "accepted")), None);
        assert_eq!(answers.health.ignored_answers.get(), 3);
    }

    #[test]
    fn correlation_data_counts_where_the_id_is_missing() {
        let now = Instant::now();
        let mut answers = answers();
        let accepted = r#"{"status":"accepted"}"#;
        let written = id(1).to_string();
        for (correlation, position) in [
            (written.as_bytes(), Some(at(1))),
            (&id(2).into_bytes(), Some(at(2))),
            (b"else", None),
        ] {
            let answer = answers.take(heard(accepted, Some(correlation)), now);
            assert_eq!(answer.map(|answer| answer.position), position);
        }
        let named = format!(r#"{{"id":"{}","status":"accepted"}}"#, id(3));
        let answer = answers.take(heard(&named, Some(id(4).as_bytes())), now);
        assert_eq!(answer.map(|answer| answer.position), Some(at(3)));
    }

    #[test]
    fn what_is_no_verdict_of_ours_is_told_by_its_cause_and_counted() {
        let known = id(1);
        let large = format!(
            r#"{{"id":"{known}","status":"accepted","x":"{}"}}"#,
            "x".repeat(MAX_ANSWER_BYTES)
        );
        for (payload, why) in [
            (large.as_str(), Ignored::TooLarge),
            ("\u{0}\u{1}", Ignored::NoVerdict(WordError::NotJson)),
            ("[1]", Ignored::NoVerdict(WordError::NoStatus)),
            (
                r#"{"id":"x","status":"accepted"}"#,
                Ignored::NoVerdict(WordError::BadId),
            ),
            (r#"{"status":"accepted"}"#, Ignored::NoEvent),
        ] {
            assert_eq!(heard(payload, None).err(), Some(why));
        }
        let foreign = hear(Some(TOPIC), b"other", b"{}", None);
        assert_eq!(foreign.err(), Some(Ignored::OtherTopic));

        let mut answers = answers();
        let now = Instant::now();
        let other =
            format!(r#"{{"id":"{known}","source":"urn:acme:gw:gw08","status":"accepted"}}"#);
        for nth in 1..=50 {
            assert_eq!(answers.take(heard(&other, None), now), None);
            assert_eq!(answers.health.ignored_answers.get(), nth);
        }
        let last = answers.told[Ignored::OtherSource.cause()].may_speak(now);
        assert_eq!(last, None, "ten lines a minute");
        let own = format!(r#"{{"id":"{known}","source":"{SOURCE}","status":"accepted"}}"#);
        assert!(answers.take(heard(&own, None), now).is_some());
    }

    #[test]
    fn what_nobody_ever_speaks_of_does_not_fill_the_memory() {
        let mut answers = answers();
        (10..30_000).for_each(|seq| answers.awaits(id(seq), at(seq)));
        assert_eq!(
            (answers.awaited.len(), answers.order.len()),
            (MAX_AWAITED, MAX_AWAITED)
        );
        // Those that get their verdicts push nobody out, however many they are.
        let oldest = 30_000 - MAX_AWAITED as u64;
        for seq in 40_000..60_000 {
            answers.awaits(id(seq), at(seq));
            answers.has_verdict(Some(id(seq)));
        }
        assert!(answers.awaited.contains_key(&id(oldest + 1)));
        assert_eq!(answers.awaited.len(), MAX_AWAITED - 1);
    }
}
