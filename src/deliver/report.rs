//! What an uplink tells people in the log: once per change of state, and at most ten lines a minute per cause.
//!
//! The task calls it; it keeps the last state, so that an outage of a night is two lines and not ten thousand.

use crate::buffer::{ParkedState, Record};
use crate::model::ParkClass;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Lines per cause and minute; what is beyond is counted and told with the next line.
const LINES_PER_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// The voice of one uplink.
pub(super) struct Report {
    uplink: String,
    destination: String,
    /// What is parked holds the later ones of its key.
    holds: bool,
    state: State,
    connection: Lines,
    pauses: Lines,
    refusals: Lines,
    divisions: Lines,
    parkings: Lines,
    servers: Lines,
    divided_at: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    New,
    Ready,
    Lost(String),
    Paused(String),
}

impl Report {
    /// Of the uplink of that name to that destination (without secrets).
    pub(super) fn new(uplink: &str, destination: &str, holds: bool) -> Report {
        Report {
            uplink: uplink.to_owned(),
            destination: destination.to_owned(),
            holds,
            state: State::New,
            connection: Lines::default(),
            pauses: Lines::default(),
            refusals: Lines::default(),
            divisions: Lines::default(),
            parkings: Lines::default(),
            servers: Lines::default(),
            divided_at: None,
        }
    }

    /// The connection is made, or, without `connected`, is made by the first event.
    pub(super) fn ready(&mut self, now: Instant, connected: bool) {
        // A pause outlives the connection: only a verdict on an event ends it.
        if matches!(self.state, State::Ready | State::Paused(_)) {
            return;
        }
        self.state = State::Ready;
        if let Some(hidden) = self.connection.may_speak(now) {
            let how = if connected { "ready to" } else { "will" };
            info!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden), "{how} deliver to {}", self.destination);
        }
    }

    /// It is this one of several servers.
    pub(super) fn uses(&mut self, now: Instant, server: &str) {
        if server == self.destination {
            return;
        }
        server.clone_into(&mut self.destination);
        if let Some(hidden) = self.servers.may_speak(now) {
            info!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden), "connected to {server}");
        }
    }

    /// The connection is lost or could not be made.
    pub(super) fn lost(&mut self, now: Instant, reason: &str, wait: Duration) {
        if matches!(&self.state, State::Lost(told) if told == reason) {
            return;
        }
        self.state = State::Lost(reason.to_owned());
        if let Some(hidden) = self.connection.may_speak(now) {
            warn!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden), wait_ms = millis(wait),
                "no connection to {}: {reason}; events are kept and sent when it is back", self.destination);
        }
    }

    /// The destination takes nothing.
    pub(super) fn paused(&mut self, now: Instant, reason: &str, wait: Duration) {
        if matches!(&self.state, State::Paused(told) if told == reason) {
            return;
        }
        self.state = State::Paused(reason.to_owned());
        if let Some(hidden) = self.pauses.may_speak(now) {
            warn!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden), wait_ms = millis(wait),
                "delivery to {} is paused: {reason}; events are kept, one at a time is tried again", self.destination);
        }
    }

    /// The destination takes events again.
    pub(super) fn resumed(&mut self, now: Instant) {
        if !matches!(self.state, State::Paused(_)) {
            return;
        }
        self.state = State::Ready;
        if let Some(hidden) = self.pauses.may_speak(now) {
            info!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden), "delivery to {} goes on", self.destination);
        }
    }

    /// One event was refused, or got no verdict.
    pub(super) fn refused(
        &mut self,
        now: Instant,
        record: &Record,
        reason: &str,
        wait: Duration,
        holds_its_key: bool,
    ) {
        let Some(hidden) = self.refusals.may_speak(now) else {
            return;
        };
        let consequence = if holds_its_key {
            let until = if self.holds {
                ""
            } else {
                " unless it fails again"
            };
            format!(
                "later events of {} wait behind it{until}",
                record.envelope.partition_key
            )
        } else {
            "later events pass it until the window is full".to_owned()
        };
        warn!(uplink = %self.uplink, event = %record.envelope.id, kind = %record.envelope.kind,
            sequence = %record.position, hidden_lines = (hidden > 0).then_some(hidden), wait_ms = millis(wait),
            "{} did not take an event: {reason}; it is kept and tried again, {consequence}", self.destination);
    }

    /// A request with several events failed as a whole.
    pub(super) fn divided(&mut self, now: Instant, reason: &str) {
        // One line for all of its events.
        if self.divided_at.replace(now) == Some(now) {
            return;
        }
        if let Some(hidden) = self.divisions.may_speak(now) {
            warn!(uplink = %self.uplink, hidden_lines = (hidden > 0).then_some(hidden),
                "{} did not take a batch: {reason}; its events go one by one", self.destination);
        }
    }

    /// One event is put aside.
    pub(super) fn parked(
        &mut self,
        now: Instant,
        record: &Record,
        (class, state): (ParkClass, ParkedState),
        reason: &str,
    ) {
        let Some(hidden) = self.parkings.may_speak(now) else {
            return;
        };
        let class = class.word();
        let until = match state {
            ParkedState::Rejected => "until somebody retries or discards it",
            _ => "and tried again now and then",
        };
        let later = if self.holds {
            format!(
                "later events of {} wait for it",
                record.envelope.partition_key
            )
        } else {
            "later events pass it".to_owned()
        };
        warn!(uplink = %self.uplink, event = %record.envelope.id, kind = %record.envelope.kind,
            sequence = %record.position, class, hidden_lines = (hidden > 0).then_some(hidden),
            "{} does not take an event: {reason}; it is put aside {until}, {later}", self.destination);
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// A budget of lines for one cause.
#[derive(Debug, Default)]
pub(super) struct Lines {
    minute: Option<Instant>,
    spoken: u32,
    hidden: u64,
}

impl Lines {
    /// May a line be written? If so, how many were held back since the last one.
    pub(super) fn may_speak(&mut self, now: Instant) -> Option<u64> {
        let new_minute = self
            .minute
            .is_none_or(|began| now.saturating_duration_since(began) >= MINUTE);
        if new_minute {
            self.minute = Some(now);
            self.spoken = 0;
        }
        if self.spoken >= LINES_PER_MINUTE {
            self.hidden += 1;
            return None;
        }
        self.spoken += 1;
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_minute_and_then_a_count() {
        let start = Instant::now();
        let mut lines = Lines::default();
        for _ in 0..10 {
            assert_eq!(lines.may_speak(start), Some(0));
        }
        for _ in 0..25 {
            assert_eq!(lines.may_speak(start + MINUTE / 2), None);
        }
        assert_eq!(lines.may_speak(start + MINUTE), Some(25));
        assert_eq!(lines.may_speak(start + MINUTE), Some(0));
    }

    #[test]
    fn the_same_state_is_told_once() {
        let now = Instant::now();
        let mut report = Report::new("mes", "mqtt://broker", false);
        for _ in 0..100 {
            report.lost(now, "nobody listens", MINUTE);
        }
        assert_eq!(report.connection.spoken, 1);
        report.ready(now, true);
        report.ready(now, true);
        assert_eq!(report.connection.spoken, 2);
        report.paused(now, "nobody subscribed", MINUTE);
        report.ready(now, true);
        report.paused(now, "nobody subscribed", MINUTE);
        report.resumed(now);
        report.resumed(now);
        assert_eq!((report.connection.spoken, report.pauses.spoken), (2, 2));
    }
}
