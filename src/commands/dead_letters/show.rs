//! `millgate dead-letters show`: everything about one event.

use super::super::buffer::words;
use super::super::{Exit, Failure, terminal};
use super::entry;
use super::pick::{Wanted, wanted};
use super::place::{Letters, Whose};
use crate::buffer::{Answered, Parked, ParkedState, sha256};
use crate::model::ParkClass;
use anyhow::anyhow;
use std::fmt::Write;

/// One event: what was tried, what was answered, what people did, and what it says.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    whose: Whose,
    /// The event by number (1.42, as `list --each` shows) or by id.
    #[arg(value_name = "EVENT", value_parser = wanted)]
    event: Wanted,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        let letters = self.whose.letters()?;
        let mut found = Vec::new();
        for uplink in &letters.uplinks {
            if let Some(parked) = self.find(&letters, uplink)? {
                found.push((uplink, parked));
            }
        }
        if found.is_empty() {
            let error = anyhow!(
                "{} is not parked, or not any more; `millgate dead-letters list --each` shows what is",
                self.event.text()
            );
            return Err(Failure::new(Exit::Data, error));
        }
        // The same event may be parked for several destinations.
        for (uplink, parked) in &found {
            let text = if self.json {
                String::from_utf8_lossy(&entry::line(uplink, parked)).into_owned()
            } else {
                told(uplink, parked)
            };
            terminal::print(&text)?;
        }
        Ok(())
    }

    fn find(&self, letters: &Letters, uplink: &str) -> Result<Option<Parked>, Failure> {
        if let Wanted::Number(position) = self.event {
            return letters.one(uplink, position);
        }
        let mut found = None;
        letters.read(uplink, |parked| {
            if self.event.is(&parked) {
                found = Some(parked);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn told(uplink: &str, parked: &Parked) -> String {
    let envelope = &parked.record.envelope;
    let mut text = String::new();
    let mut row = |name: &str, words: String| {
        // A String takes everything.
        writeln!(text, "{name:<10}{words}").ok();
    };
    let place = words::place(parked.record.position);
    row("Event", format!("{place} of uplink {uplink}"));
    row("Id", envelope.id.to_string());
    let of = envelope.equipment.as_deref().unwrap_or("the gateway");
    row("Type", format!("{} of {of}", envelope.kind));
    row("Happened", words::utc(envelope.time_ns));
    row("Class", class(parked.class).into());
    row("State", state(parked.state).into());
    row("Tried", tried(parked));
    for (at, answered) in parked.answers.iter().enumerate() {
        let name = if at == 0 { "Answers" } else { "" };
        row(name, answer(answered));
    }
    for (at, audit) in parked.audit.iter().enumerate() {
        let name = if at == 0 { "Audit" } else { "" };
        let comment = match audit.comment.as_str() {
            "" => String::new(),
            comment => format!(": {comment}"),
        };
        let when = words::utc(audit.at.0);
        row(
            name,
            format!("{when} {}: {}{comment}", audit.user, audit.action),
        );
    }
    let bytes = words::number(parked.record.payload.len() as u64);
    row("Bytes", format!("{bytes}, SHA-256"));
    row("", sha256(&parked.record.payload));
    let said = parked.answers.iter().rev().find_map(|it| it.said.as_ref());
    if let Some(said) = said {
        writeln!(text, "\nWhat it said last:\n{}", words_of(said)).ok();
    }
    text.push('\n');
    text.push_str(&content(&parked.record.payload));
    text.push('\n');
    text
}

fn tried(parked: &Parked) -> String {
    let s = if parked.attempts == 1 { "" } else { "s" };
    let first = words::utc(parked.first_attempt.utc.0);
    let last = words::utc(parked.last_attempt.utc.0);
    let times = format!("{} time{s}", words::number(parked.attempts.into()));
    if first == last {
        return format!("{times}, {last}");
    }
    format!("{times}, first {first}\n{:10}last {last}", "")
}

fn answer(answered: &Answered) -> String {
    let code = answered.code.as_deref().unwrap_or("no code");
    format!("{code}: {}", answered.detail)
}

fn class(class: ParkClass) -> &'static str {
    match class {
        ParkClass::Schema => "schema: the destination does not understand it",
        ParkClass::Business => "business: the destination does not want what it says",
        ParkClass::Suspect => "suspect: it failed again and again while others passed",
        ParkClass::Held => "held: it would have held the others back",
    }
}

fn state(state: ParkedState) -> &'static str {
    match state {
        ParkedState::Retrying => "retrying: the gateway sends it again by itself",
        ParkedState::Rejected => "rejected: it waits for `retry` or `discard`",
        ParkedState::Discarded => "discarded: gone with the next start of the gateway",
    }
}

/// What a destination said as people read it; what no terminal should see stays written out.
fn words_of(said: &str) -> String {
    let Ok(said) = serde_json::from_str::<serde_json::Value>(said) else {
        return said.to_owned();
    };
    let mut text = String::new();
    for letter in format!("{said:#}").chars() {
        if letter.is_control() && letter != '\n' {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

/// The event as people read it.
fn content(payload: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(payload) {
        Ok(event) => format!("{event:#}"),
        Err(_) => String::from_utf8_lossy(payload).escape_debug().to_string(),
    }
}
