//! A parked event as it lies in its file: the record as it was stored, what was tried, and what was answered. Pure.
//!
//! Sealed like everything else on disk. The `dead-letters` commands read these files and change them.

use super::super::Record;
use super::super::record::{self, MAX_ENVELOPE, MAX_PAYLOAD, RecordError};
use super::super::seal::{SealError, seal, unseal};
use crate::model::{ParkClass, Position, UtcTime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Of this release. Change the layout only together with it, and keep reading the one before.
const VERSION: u8 = 1;
/// Answers that are kept: the last ones.
const MAX_ANSWERS: usize = 8;
/// Audit entries that are kept: the last ones.
const MAX_AUDIT: usize = 32;
/// Longest code, in characters.
const MAX_CODE: usize = 64;
/// Longest detail or comment, in characters.
const MAX_TEXT: usize = 400;
/// Longest copy of what a destination said, in bytes: the problem+json of a MES has some hundreds.
pub const MAX_SAID: usize = 4 << 10;
/// Largest file: the largest record, and 64 KiB for answers and audit, which have at most 72 texts of 1.6 kB and mostly none,
/// and one copy.
pub(super) const MAX_FILE: u64 = (MAX_PAYLOAD + MAX_ENVELOPE + (192 << 10)) as u64;

/// What becomes of the event by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ParkedState {
    /// It is tried again: there was no verdict, or somebody asked for it.
    Retrying,
    /// Refused by a verdict: it waits for somebody.
    Rejected,
    /// Somebody discarded it. Its file goes when the progress says so durably; after a crash the next start sees to that.
    Discarded,
}

impl ParkedState {
    /// The word in files and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ParkedState::Retrying => "retrying",
            ParkedState::Rejected => "rejected",
            ParkedState::Discarded => "discarded",
        }
    }
}

/// A point in time that survives restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// For people.
    pub utc: UtcTime,
    /// For ages: how long the gateway had been running with this store, in nanoseconds.
    pub powered_ns: u64,
}

impl Moment {
    /// That long before.
    #[must_use]
    pub fn before(self, by: Duration) -> Moment {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Moment {
            utc: UtcTime(
                self.utc
                    .0
                    .saturating_sub(i64::try_from(ns).unwrap_or(i64::MAX)),
            ),
            powered_ns: self.powered_ns.saturating_sub(ns),
        }
    }
}

/// What a destination answered, or what became of an attempt without an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The destination's own code.
    pub code: Option<String>,
    /// The HTTP status, or the reason code of MQTT.
    pub status: Option<u16>,
    /// In words, at most 400 characters.
    pub detail: String,
    /// What it said word for word, JSON or XML, at most [`MAX_SAID`]: what is longer ends in `…`. Only the newest answer that
    /// has one keeps it.
    #[serde(skip)]
    pub said: Option<String>,
}

/// What somebody did to a parked event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// When.
    pub at: UtcTime,
    /// Who.
    pub user: String,
    /// What.
    pub action: String,
    /// Why.
    pub comment: String,
}

/// An event that waits for somebody, or for better times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The event as it was stored.
    pub record: Record,
    /// Why it is parked.
    pub class: ParkClass,
    /// Whether it was refused.
    pub state: ParkedState,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was sent first.
    pub first_attempt: Moment,
    /// When it was sent last.
    pub last_attempt: Moment,
    /// The last answers, the newest last.
    pub answers: Vec<Answered>,
    /// What people did with it.
    pub audit: Vec<Audit>,
}

/// A parked event but for its record, as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    record: Vec<u8>,
    class: ParkClass,
    state: ParkedState,
    attempts: u32,
    first_attempt: Moment,
    last_attempt: Moment,
    answers: Vec<Answered>,
    audit: Vec<Audit>,
}

/// What may follow it: the copy of what was said, and in which answer. Files of releases that kept none end before it, and those
/// releases read no further.
#[derive(Serialize, Deserialize)]
struct Copied {
    answer: u8,
    said: String,
}

/// Why a file of a parked event cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParkedError {
    /// Cut off, changed, or of another position.
    #[error("the file of a parked event is damaged: {0}")]
    Damaged(String),
    /// Whole, but written by a release that this one does not know.
    #[error("the file of a parked event has version {0}, which this release cannot read")]
    Version(u8),
}

impl Parked {
    /// The destination's last code.
    #[must_use]
    pub fn last_code(&self) -> Option<&str> {
        self.answers.last()?.code.as_deref()
    }

    /// One more attempt came to nothing.
    pub fn answer(&mut self, answered: Answered, rejected: Option<ParkClass>, now: Moment) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_attempt = now;
        if let Some(class) = rejected {
            self.state = ParkedState::Rejected;
            self.class = class;
        }
        if answered.said.is_some() {
            self.answers.iter_mut().for_each(|older| older.said = None);
        }
        push(&mut self.answers, answered.cut(), MAX_ANSWERS);
    }

    /// The newest answer of which there is a copy.
    fn copied(&self) -> Option<Copied> {
        let mut answers = self.answers.iter().enumerate().rev();
        answers.find_map(|(at, answered)| {
            Some(Copied {
                answer: u8::try_from(at).ok()?,
                said: bounded_copy(answered.said.clone()?),
            })
        })
    }

    /// Notes what somebody did.
    pub fn note(&mut self, audit: Audit) {
        push(&mut self.audit, audit.cut(), MAX_AUDIT);
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`] for a record that no store would have taken.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let written = Written {
            record: record::encode(&self.record)?,
            class: self.class,
            state: self.state,
            attempts: self.attempts,
            first_attempt: self.first_attempt,
            last_attempt: self.last_attempt,
            answers: self.answers.clone(),
            audit: self.audit.clone(),
        };
        let wrong = |_| RecordError::Content("parked event");
        let mut body = postcard::to_stdvec(&written).map_err(wrong)?;
        if let Some(copied) = self.copied() {
            body.extend(postcard::to_stdvec(&copied).map_err(wrong)?);
        }
        Ok(seal(VERSION, &body))
    }

    /// The event of that position in the bytes of its file.
    ///
    /// # Errors
    /// [`ParkedError`], also where it is another event.
    pub fn decode_at(position: Position, bytes: &[u8]) -> Result<Parked, ParkedError> {
        let parked = Parked::decode(bytes)?;
        if parked.record.position == position {
            return Ok(parked);
        }
        Err(ParkedError::Damaged("it is of another event".into()))
    }

    /// The parked event in `bytes`.
    ///
    /// # Errors
    /// [`ParkedError`], whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Parked, ParkedError> {
        let damaged = |what: &dyn std::fmt::Display| ParkedError::Damaged(what.to_string());
        let body = unseal(VERSION, bytes).map_err(|error| match error {
            SealError::Version(version) => ParkedError::Version(version),
            SealError::Damaged => damaged(&error),
        })?;
        let (mut written, rest): (Written, &[u8]) =
            postcard::take_from_bytes(body).map_err(|error| damaged(&error))?;
        if !rest.is_empty() {
            let copied: Copied = postcard::from_bytes(rest).map_err(|error| damaged(&error))?;
            if let Some(answered) = written.answers.get_mut(usize::from(copied.answer)) {
                answered.said = Some(bounded_copy(copied.said));
            }
        }
        let record = match record::decode(&written.record) {
            Ok(record) => record,
            Err(RecordError::Version(version)) => return Err(ParkedError::Version(version)),
            Err(error) => return Err(damaged(&error)),
        };
        Ok(Parked {
            record,
            class: written.class,
            state: written.state,
            attempts: written.attempts,
            first_attempt: written.first_attempt,
            last_attempt: written.last_attempt,
            answers: written.answers,
            audit: written.audit,
        })
    }
}

impl Answered {
    /// With texts of bounded length.
    #[must_use]
    pub fn cut(self) -> Answered {
        Answered {
            code: self.code.map(|code| cut(&code, MAX_CODE)),
            detail: cut(&self.detail, MAX_TEXT),
            said: self.said.map(bounded_copy),
            ..self
        }
    }
}

impl Audit {
    fn cut(self) -> Audit {
        Audit {
            at: self.at,
            user: cut(&self.user, MAX_CODE),
            action: cut(&self.action, MAX_CODE),
            comment: cut(&self.comment, MAX_TEXT),
        }
    }
}

/// A copy of what a destination said, as long as one may be; `…` stands for what is missing.
#[must_use]
pub fn bounded_copy(mut text: String) -> String {
    const MARK: char = '…';
    if text.len() > MAX_SAID {
        text.truncate(text.floor_char_boundary(MAX_SAID - MARK.len_utf8()));
        text.push(MARK);
    }
    text
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Adds to a list that keeps its last `most` entries.
fn push<T>(list: &mut Vec<T>, entry: T, most: usize) {
    list.push(entry);
    let surplus = list.len().saturating_sub(most);
    list.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::testing;

    fn parked() -> Parked {
        let mut parked = Parked {
            record: testing::record(7, 3_000),
            class: ParkClass::Held,
            state: ParkedState::Retrying,
            attempts: 0,
            first_attempt: Moment::default(),
            last_attempt: Moment::default(),
            answers: Vec::new(),
            audit: Vec::new(),
        };
        let answered = Answered {
            code: Some("order-closed".into()),
            status: Some(422),
            detail: "WO-100482 was closed at 09:10".into(),
            said: None,
        };
        let now = Moment {
            utc: UtcTime(1_000_000_000),
            powered_ns: 5,
        };
        parked.answer(answered, Some(ParkClass::Business), now);
        parked
    }

    #[test]
    fn a_parked_event_comes_back_as_it_was_and_every_flipped_bit_is_seen() {
        let parked = parked();
        assert_eq!(parked.state, ParkedState::Rejected);
        assert_eq!(parked.last_code(), Some("order-closed"));
        let bytes = parked.encode().unwrap();
        assert_eq!(Parked::decode(&bytes), Ok(parked));
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(Parked::decode(&bent).is_err(), "bit {bit}");
        }
        for length in (0..bytes.len()).step_by(7) {
            assert!(Parked::decode(&bytes[..length]).is_err());
        }
        let newer = seal(VERSION + 1, b"whatever");
        assert_eq!(
            Parked::decode(&newer),
            Err(ParkedError::Version(VERSION + 1))
        );
    }

    #[test]
    fn the_last_copy_of_what_was_said_comes_back_with_its_answer_also_after_others_without() {
        let mut parked = parked();
        let said = |text: &str| Answered {
            said: Some(text.into()),
            ..Answered::default()
        };
        for answered in [said("old"), said(r#"{"a":1}"#), Answered::default()] {
            parked.answer(answered, None, Moment::default());
        }
        let found = Parked::decode(&parked.encode().unwrap()).unwrap();
        let copies: Vec<_> = found.answers.iter().map(|it| it.said.as_deref()).collect();
        assert_eq!(copies, [None, None, Some(r#"{"a":1}"#), None]);
        assert_eq!(found, parked);
        for _ in 0..MAX_ANSWERS {
            parked.answer(Answered::default(), None, Moment::default());
        }
        let found = Parked::decode(&parked.encode().unwrap()).unwrap();
        assert!(found.answers.iter().all(|it| it.said.is_none()));
    }

    /// The layout is that of releases that kept no copy: their files are read, and they read ours.
    #[test]
    fn files_without_a_copy_and_releases_without_one_go_on_working() {
        let plain = parked();
        let file = plain.encode().unwrap();
        assert_eq!(Parked::decode(&file), Ok(plain.clone()));
        let mut copied = plain.clone();
        copied.answers[0].said = Some("{}".into());
        let newer = copied.encode().unwrap();
        let body = unseal(VERSION, &newer).unwrap();
        assert!(body.starts_with(unseal(VERSION, &file).unwrap()));
        let old: Written = postcard::from_bytes(body).unwrap();
        assert_eq!(old.answers, plain.answers);
    }

    #[test]
    fn a_copy_that_is_too_long_is_cut_where_a_letter_ends_and_says_so() {
        let copy = bounded_copy("ü".repeat(MAX_SAID));
        assert!(copy.len() <= MAX_SAID && copy.ends_with("ü…"));
        assert_eq!(bounded_copy("x".repeat(MAX_SAID)).len(), MAX_SAID);
    }

    #[test]
    fn the_largest_one_fits_into_its_file() {
        let mut parked = parked();
        let noise = std::iter::repeat_with(|| fastrand::u8(..));
        parked.record.payload = noise.take(MAX_PAYLOAD).collect();
        for _ in 0..100 {
            let long = "\u{1f6a7}".repeat(MAX_TEXT * 2);
            let answered = Answered {
                code: Some(long.clone()),
                status: Some(u16::MAX),
                detail: long.clone(),
                said: Some(long.repeat(9)),
            };
            parked.answer(answered, None, Moment::default());
            parked.note(Audit {
                at: UtcTime(i64::MIN),
                user: long.clone(),
                action: long.clone(),
                comment: long,
            });
        }
        let lists = (parked.answers.len(), parked.audit.len());
        assert_eq!(lists, (MAX_ANSWERS, MAX_AUDIT));
        assert_eq!(parked.attempts, 101);
        let bytes = parked.encode().unwrap();
        assert!(bytes.len() as u64 <= MAX_FILE, "{}", bytes.len());
        assert_eq!(Parked::decode(&bytes), Ok(parked));
    }
}
