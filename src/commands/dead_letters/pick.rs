//! Choosing among parked events: by code, class, equipment, age, or one by one.

use super::super::buffer::status::status_of;
use super::super::buffer::words;
use super::super::{Exit, Failure, period};
use super::place::{Letters, Unreadable};
use crate::buffer::{Parked, ParkedState};
use crate::model::{ParkClass, Position};
use crate::settings::Period;
use anyhow::anyhow;
use std::collections::BTreeSet;
use uuid::Uuid;

/// How an event without a code is asked for.
const NO_CODE: &str = "-";

/// Most codes or machines that are told where none matches.
const MAX_KNOWN: usize = 8;

/// The arguments that say which events.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Pick {
    /// Events by number (1.42, as `list --each` shows) or by id.
    #[arg(value_name = "EVENT", value_parser = wanted)]
    pub(super) events: Vec<Wanted>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["events", "code", "class", "equipment", "age"])]
    all: bool,
    /// Only those whose last answer had this code; `-` for those without one.
    #[arg(long)]
    code: Option<String>,
    /// Only those of this class: schema, business, suspect or held.
    #[arg(long, value_parser = class)]
    class: Option<ParkClass>,
    /// Only those of this machine.
    #[arg(long, value_name = "ID")]
    equipment: Option<String>,
    /// Only those that were tried first so long ago, such as 2h; time without power does not count.
    #[arg(long, alias = "older", value_name = "TIME", value_parser = period)]
    age: Option<Period>,
}

/// One event, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// By its position.
    Number(Position),
    /// By its CloudEvents id.
    Id(Uuid),
}

/// Reads a number or an id.
pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    if let Some(position) = words::position(text) {
        return Ok(Wanted::Number(position));
    }
    let id = Uuid::try_parse(text).map(Wanted::Id);
    id.map_err(|_| "neither a number such as 1.42 nor the id of an event".into())
}

fn class(text: &str) -> Result<ParkClass, String> {
    let all = [
        ParkClass::Schema,
        ParkClass::Business,
        ParkClass::Suspect,
        ParkClass::Held,
    ];
    let found = all.into_iter().find(|class| class.word() == text);
    found.ok_or_else(|| "there are schema, business, suspect and held".into())
}

impl Wanted {
    pub(super) fn is(self, parked: &Parked) -> bool {
        match self {
            Wanted::Number(position) => parked.record.position == position,
            Wanted::Id(id) => parked.record.envelope.id == id,
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Wanted::Number(position) => words::place(position),
            Wanted::Id(id) => id.to_string(),
        }
    }
}

/// What was chosen, of one uplink.
pub(super) struct Picked {
    pub(super) uplink: String,
    /// Rising.
    pub(super) positions: Vec<Position>,
    /// How many of them the gateway tries again by itself, so that one may be under way.
    pub(super) retrying: u64,
    pub(super) unreadable: Unreadable,
}

impl Pick {
    /// Whether it says anything.
    pub(super) fn is_said(&self) -> bool {
        let filters = self.code.is_some() || self.class.is_some() || self.equipment.is_some();
        self.all || filters || self.age.is_some() || !self.events.is_empty()
    }

    /// The rule, ready to be asked: with the present of the clock of ages, where that matters.
    pub(super) fn ready(&self, letters: &Letters) -> Result<Ready<'_>, Failure> {
        let older_ns = match &self.age {
            None => None,
            Some(age) => {
                let age_ns = u64::try_from(age.get().as_nanos()).unwrap_or(u64::MAX);
                // A store younger than that has nothing so old.
                let now_ns = status_of(&letters.site)?.powered_ns;
                Some(now_ns.checked_sub(age_ns))
            }
        };
        Ok(Ready {
            pick: self,
            older_ns,
            seen: vec![false; self.events.len()],
        })
    }

    /// What is chosen among what can be changed. Every event that was asked for by itself must be there.
    pub(super) fn choose(&self, letters: &Letters) -> Result<Vec<Picked>, Failure> {
        let mut ready = self.ready(letters)?;
        let mut all = Vec::new();
        for uplink in &letters.uplinks {
            let (mut positions, mut retrying) = (Vec::new(), 0);
            let unreadable = letters.read(uplink, |parked| {
                if ready.wants(&parked) && parked.state != ParkedState::Discarded {
                    positions.push(parked.record.position);
                    retrying += u64::from(parked.state == ParkedState::Retrying);
                }
                Ok(())
            })?;
            all.push(Picked {
                uplink: uplink.clone(),
                positions,
                retrying,
                unreadable,
            });
        }
        ready.all_seen()?;
        Ok(all)
    }
}

impl Pick {
    /// Why nothing is chosen, where a code or a machine was asked for that no parked event has, and there are others.
    pub(super) fn unknown(&self, letters: &Letters) -> Result<Option<Failure>, Failure> {
        let (mut codes, mut machines, mut count) = (BTreeSet::new(), BTreeSet::new(), 0);
        for uplink in &letters.uplinks {
            letters.read(uplink, |parked| {
                count += 1;
                codes.insert(parked.last_code().unwrap_or(NO_CODE).to_owned());
                machines.extend(parked.record.envelope.equipment);
                Ok(())
            })?;
        }
        let named = [
            ("the code", &self.code, &codes),
            ("the equipment", &self.equipment, &machines),
        ];
        let missing = named.into_iter().find_map(|(what, wanted, known)| {
            let wanted = wanted.as_ref().filter(|wanted| !known.contains(*wanted))?;
            let mut shown: Vec<&str> = known.iter().map(String::as_str).collect();
            let more = shown.len() > MAX_KNOWN;
            shown.truncate(MAX_KNOWN);
            let more = if more { ", ..." } else { "" };
            Some(anyhow!(
                "none matches: of {} parked none has {what} `{wanted}`; there are {}{more}",
                words::events(count),
                shown.join(", ")
            ))
        });
        let missing = missing.filter(|_| count > 0);
        Ok(missing.map(|error| Failure::new(Exit::Data, error)))
    }
}

/// A choice, as it is asked about one event after the other.
pub(super) struct Ready<'a> {
    pick: &'a Pick,
    /// The latest first attempt that counts, in powered-on nanoseconds; the inner `None` where nothing is so old.
    older_ns: Option<Option<u64>>,
    seen: Vec<bool>,
}

impl Ready<'_> {
    /// Whether this event is one of them.
    pub(super) fn wants(&mut self, parked: &Parked) -> bool {
        let envelope = &parked.record.envelope;
        let pick = self.pick;
        let code = |code: &String| parked.last_code().unwrap_or(NO_CODE) == code;
        let old = |limit: Option<u64>| {
            limit.is_some_and(|limit| parked.first_attempt.powered_ns <= limit)
        };
        let named = pick.events.iter().zip(&mut self.seen);
        let mut is_named = pick.events.is_empty();
        for (_, seen) in named.filter(|(wanted, _)| wanted.is(parked)) {
            *seen = true;
            is_named = true;
        }
        is_named
            && pick.code.as_ref().is_none_or(code)
            && pick.class.is_none_or(|class| parked.class == class)
            && (pick.equipment.is_none() || envelope.equipment == pick.equipment)
            && self.older_ns.is_none_or(old)
    }

    /// Fails for an event that was asked for by itself and is not there.
    pub(super) fn all_seen(&self) -> Result<(), Failure> {
        let events = self.pick.events.iter().zip(&self.seen);
        let missing: Vec<String> = events
            .filter(|(_, seen)| !**seen)
            .map(|(wanted, _)| wanted.text())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let error = anyhow!(
            "not parked, or not any more: {}; `millgate dead-letters list --each` shows what is",
            missing.join(", ")
        );
        Err(Failure::new(Exit::Data, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_named_by_number_or_id_and_classes_by_their_words() {
        let at = Position { epoch: 1, seq: 42 };
        assert_eq!(wanted("1.42"), Ok(Wanted::Number(at)));
        assert_eq!(wanted(&at.to_string()), Ok(Wanted::Number(at)));
        let id = Uuid::from_u128(7);
        assert_eq!(wanted(&id.to_string()), Ok(Wanted::Id(id)));
        assert!(wanted("WO-1").is_err());
        assert_eq!(class("held"), Ok(ParkClass::Held));
        assert!(class("Held").is_err());
    }
}
