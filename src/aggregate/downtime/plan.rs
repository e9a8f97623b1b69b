//! Which time is a stop, by the settings. Pure.

use crate::aggregate::equipment::Reading;
use crate::model::{Mode, State};
use crate::settings::shape::{Downtime, SplitAt};
use std::time::Duration;

/// `downtime:` of a machine.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    of: Vec<(State, Option<String>)>,
    in_modes: Vec<Mode>,
    /// A shorter stop is a micro-stop.
    pub micro_stop_below: Duration,
    /// Segments end where the shift changes.
    pub split_at_shift: bool,
    /// Segments end where the order changes.
    pub split_at_order: bool,
}

impl Plan {
    /// A state of `of:` that is none counts for nothing: the check of the settings refuses it.
    #[must_use]
    pub fn new(settings: &Downtime) -> Plan {
        let states = settings.of.iter().filter_map(|word| {
            let (state, substate) = match word.split_once('/') {
                Some((state, substate)) => (state, Some(substate.to_owned())),
                None => (word.as_str(), None),
            };
            Some((State::from_word(state)?, substate))
        });
        Plan {
            of: states.collect(),
            in_modes: settings.in_modes.clone(),
            micro_stop_below: settings.micro_stop_below.get(),
            split_at_shift: settings.split_at.contains(&SplitAt::Shift),
            split_at_order: settings.split_at.contains(&SplitAt::Order),
        }
    }

    /// Whether that is a stop; `None` where the data to say it is missing, unless missing data is listed as one.
    #[must_use]
    pub fn is_stop(&self, reading: &Reading) -> Option<bool> {
        let listed = self.of.iter().any(|(state, substate)| {
            let fits = |wanted: &String| reading.substate.as_ref() == Some(wanted);
            *state == reading.state && substate.as_ref().is_none_or(fits)
        });
        if reading.state == State::Unknown {
            return listed.then_some(true);
        }
        if !listed || self.in_modes.is_empty() {
            return Some(listed);
        }
        reading
            .mode_known
            .then(|| self.in_modes.contains(&reading.mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Mode::{None as NoMode, Production, Setup};
    use State::{Faulted, Idle, Running, Stopped, Unknown};

    #[test]
    fn a_stop_is_a_listed_state_in_a_listed_mode() {
        let plan = Plan::new(&Downtime {
            of: ["STOPPED", "FAULTED", "IDLE/starved", "NONSENSE"]
                .map(str::to_owned)
                .to_vec(),
            in_modes: vec![Production],
            micro_stop_below: Default::default(),
            split_at: Vec::new(),
            reasons: None,
        });
        for (state, substate, mode, mode_known, expected) in [
            (Stopped, None, Production, true, Some(true)),
            (Stopped, Some("held"), Production, true, Some(true)),
            (Stopped, None, Setup, true, Some(false)),
            (Idle, Some("starved"), Production, true, Some(true)),
            (Idle, Some("waiting"), Production, true, Some(false)),
            (Idle, None, Production, true, Some(false)),
            (Running, None, Production, true, Some(false)),
            (Running, None, NoMode, false, Some(false)),
            (Faulted, None, NoMode, true, Some(false)),
            (Faulted, None, NoMode, false, None),
            (Unknown, None, Production, true, None),
        ] {
            let reading = Reading {
                state,
                mode,
                mode_known,
                substate: substate.map(str::to_owned),
                reason: None,
            };
            assert_eq!(plan.is_stop(&reading), expected, "{reading:?}");
        }
    }
}
