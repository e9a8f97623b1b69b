//! What the delivery task asks of a protocol, and what it hears back. One struct per protocol implements [`Uplink`].
//!
//! A protocol sends and reports; it never retries, never waits between attempts and never settles: the task does.

use crate::buffer::Record;
use crate::model::{ParkClass, Position};
use std::future::Future;
use std::time::Duration;

/// A destination that takes events.
pub(super) trait Uplink: Send {
    /// Makes the connection, reading secrets and certificates anew. What was under way on an earlier one is forgotten.
    /// Dropping the future gives the attempt up.
    fn connect(&mut self) -> impl Future<Output = Result<Terms, Fault>> + Send;

    /// Starts sending events as one: at least one, at most [`Terms::batch`]. Never waits: at most [`Terms::in_flight`] such
    /// sendings are ever under way. Each of the events gets a verdict of its own.
    fn send(&mut self, events: &[&Record]);

    /// Drives the connection until there is a verdict. Pending without end while nothing is under way and all is well.
    /// Cancel-safe: nothing is lost when the future is dropped and asked for again.
    fn next(&mut self) -> impl Future<Output = Result<Answer, Fault>> + Send;

    /// Which of several servers it is connected to, for people; `None` where there is only one.
    fn server(&self) -> Option<String> {
        None
    }

    /// Takes leave in an orderly way before the stop. The task bounds the time.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What a connection allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// Most sendings at a time with events that have no verdict.
    pub(super) in_flight: usize,
    /// Most events in one sending.
    pub(super) batch: usize,
    /// True when the destination has answered already; false when the first event shows whether it does.
    pub(super) connected: bool,
    /// True when only one sending with events of a partition key may be under way, because the protocol does not keep order
    /// itself.
    pub(super) one_per_key: bool,
    /// Longest wait for a verdict before the connection counts as dead; `None` when the protocol sees to that itself.
    pub(super) verdict_within: Option<Duration>,
}

/// A verdict on one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Which event.
    pub(super) position: Position,
    /// The verdict.
    pub(super) verdict: Verdict,
}

/// What became of one attempt, by what is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The destination has it: it can be settled.
    Accepted,
    /// A broker has it on its way to the MES, whose verdict comes later: nothing is settled, and it is not sent again at once
    /// where the connection is lost.
    Taken,
    /// This event is refused for good: it is parked, and others go on.
    Rejected(ParkClass, Trouble),
    /// This event is refused. It is tried again after a while; others go on.
    Refused(Trouble),
    /// This event contradicts what the destination has. It is tried again a few times, then parked.
    Conflict(Trouble),
    /// No verdict on this event. It is tried again after a while; others go on.
    Unanswered(Trouble),
    /// The connection broke before the answer, so that the event may never have arrived. It is tried again soon; when that
    /// breaks, too, the answer is in doubt: a proxy before a destination that is off breaks every connection.
    Broken(Trouble),
    /// The destination has the event and does not say what becomes of it: it is parked, so that it holds nobody, and asked
    /// for now and then.
    Pending(Trouble),
    /// The request that it shared with others failed as a whole: each of them goes alone, at once, and nobody is blamed.
    Undivided(Trouble),
    /// The destination may take nothing at present, or it is this event alone. Everything pauses, and an event that this
    /// cannot concern tries the way again: when that is taken, the blame is told.
    InDoubt(Doubt, Trouble),
    /// The destination takes nothing at present: everything pauses, and one event at a time tries the way again.
    Unavailable(Trouble),
}

/// What an answer may blame that might as well blame the whole destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// This event: a server behind a proxy dies on it (502, 503, 504).
    Event,
    /// Its topic, its URL or the rights there (403, 404, redirects; 0x10, 0x87 of MQTT). The event itself is never to blame.
    Way,
}

/// Why something failed, for the log, and how long to wait at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words that tell what to check.
    pub(super) reason: String,
    /// As the destination asks (`Retry-After`).
    pub(super) at_least: Option<Duration>,
    /// The destination's code for it, or that of its protocol.
    pub(super) code: Option<String>,
    /// The HTTP status, or the reason code of MQTT.
    pub(super) status: Option<u16>,
    /// What the destination said, word for word: see `said`.
    pub(super) said: Option<String>,
}

impl Trouble {
    /// Trouble without a wait asked for.
    pub(super) fn new(reason: impl Into<String>) -> Trouble {
        Trouble {
            reason: reason.into(),
            at_least: None,
            code: None,
            status: None,
            said: None,
        }
    }

    /// The same with the protocol's number for it.
    pub(super) fn coded(self, status: u16, code: impl Into<String>) -> Trouble {
        Trouble {
            code: Some(code.into()),
            status: Some(status),
            ..self
        }
    }
}

/// The connection is lost, or could not be made. The next step is always the same: wait, then connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Fault(pub(super) String);

/// An error with all its causes in one line. A cause that its parent has already printed is left out.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

/// Text from a peer, fit for a log line: control characters escaped, at most `max_chars` characters.
pub(super) fn printable(text: &str, max_chars: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(max_chars)
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(max_chars).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_peer_is_cut_and_cannot_forge_log_lines() {
        assert_eq!(printable("order closed", 100), "order closed");
        assert_eq!(
            printable("a\nINFO all well\u{1b}[2J", 100),
            r"a\nINFO all well\u{1b}[2J"
        );
        assert_eq!(printable("ürgent", 3), "ürg…");
    }
}
