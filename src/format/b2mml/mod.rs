//! Events as B2MML 7.0.1 documents, and what a MES answers in it. Pure.
//!
//! An event lies in the store as CloudEvents JSON and is made into a document when it is sent; what the document says is
//! what the JSON says. What B2MML has a place for stands there; the rest stands in groups of values whose names begin with
//! `x-`, under the names of the JSON. "The Business To Manufacturing Markup Language (B2MML) is used courtesy of MESA
//! International."

mod answer;
mod area;
mod happened;
mod made;
mod measured;
mod parameter;
mod performance;
mod told;
mod values;
mod xml;

pub use answer::{AnswerError, BodVerdict, MAX_ANSWER_BYTES, verdicts};

use crate::model::EventKind;
use serde_json::Value;
use thiserror::Error;
use told::Told;

/// Largest document in bytes. An event has at most [`MAX_EVENT_BYTES`](super::MAX_EVENT_BYTES); what grows most is a
/// profile, of which four bytes make a value of 110 to 220, with the longest unit that is repeated.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;

/// Why there is no document of an event.
#[derive(Debug, Error)]
pub enum B2mmlError {
    /// It is no JSON.
    #[error("the event is no JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It has another shape than an event, at that place.
    #[error("the event has something else at `{0}` than events have there")]
    Shape(&'static str),
    /// There is no document for events of that type.
    #[error("B2MML has no document for `{0}`")]
    Unmapped(String),
    /// It would exceed [`MAX_DOCUMENT_BYTES`].
    #[error("the document would exceed {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
}

/// True where there is a document for events of this kind.
#[must_use]
pub fn maps(kind: EventKind) -> bool {
    performance::maps(kind) || happened::maps(kind)
}

/// The document of an event, in UTF-8: `ProcessOperationsPerformance` for `operation.*`, `NotifyOperationsEvent` for
/// `equipment.state.changed`, `quality.result` and `parameter.limit.*`.
///
/// A character that XML cannot have is replaced by its picture: `U+241D` for the group separator.
///
/// # Errors
///
/// When `payload` is no event of such a type.
pub fn document(payload: &[u8]) -> Result<Vec<u8>, B2mmlError> {
    let event: Value = serde_json::from_slice(payload)?;
    let told = Told(&event);
    let kind = kind(told.needed("/type")?)?;
    if performance::maps(kind) {
        performance::document(told, kind)
    } else {
        happened::document(told, kind)
    }
}

fn kind(name: &str) -> Result<EventKind, B2mmlError> {
    let short = name
        .strip_prefix("millgate.")
        .and_then(|name| name.strip_suffix(".v1"));
    EventKind::ALL
        .into_iter()
        .filter(|kind| maps(*kind))
        .find(|kind| Some(kind.name()) == short)
        .ok_or_else(|| B2mmlError::Unmapped(name.to_owned()))
}

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod shape_tests;
