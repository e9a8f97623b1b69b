//! State and mode of the machine: the first rule that holds, over time.

use super::packml::PackMl;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::condition::{Condition, Known};
use crate::aggregate::definition::Fact;
use crate::aggregate::equipment::{Change, Reading};
use crate::model::{Body, Mode, Native, ReasonSource, State, StateReport};
use std::collections::BTreeSet;
use std::time::Duration;

/// One line of `state:`.
#[derive(Debug)]
pub(super) struct StateRule {
    pub(super) condition: Option<Condition>,
    pub(super) state: State,
    pub(super) substate: Option<String>,
    pub(super) reason: Option<Fact>,
    pub(super) bridge: Option<Duration>,
}

/// One line of `mode:`.
#[derive(Debug)]
pub(super) struct ModeRule {
    pub(super) condition: Option<Condition>,
    pub(super) mode: Mode,
}

/// The rules of a machine, and all tags that they refer to.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) state: Vec<StateRule>,
    pub(super) mode: Vec<ModeRule>,
    pub(super) tags: BTreeSet<usize>,
    /// Tags of the conditions of `state:`, whose values are the native state.
    native: BTreeSet<usize>,
    /// Tables instead of rules.
    pub(super) packml: Option<PackMl>,
}

impl Rules {
    pub(super) fn collect_tags(&mut self) {
        let of = |condition: &Option<Condition>| {
            condition
                .iter()
                .flat_map(|c| c.tags.clone())
                .collect::<Vec<_>>()
        };
        self.native = self
            .state
            .iter()
            .flat_map(|rule| of(&rule.condition))
            .collect();
        let reasons = self.state.iter().filter_map(|rule| match rule.reason {
            Some(Fact::Tag(local)) => Some(local),
            _ => None,
        });
        self.tags = self.native.iter().copied().chain(reasons).collect();
        let modes = self.mode.iter().flat_map(|rule| of(&rule.condition));
        self.tags.extend(modes);
        if let Some(packml) = &self.packml {
            self.native.extend(packml.tags());
            self.tags.extend(packml.tags());
        }
    }

    fn is_empty(&self) -> bool {
        self.state.is_empty() && self.mode.is_empty() && self.packml.is_none()
    }
}

impl Machine {
    /// Evaluates the rules where something they refer to changed.
    pub(super) fn step_state(&mut self, moment: &mut Moment<'_>) {
        let concerned = self
            .changed
            .iter()
            .any(|local| self.rules.tags.contains(local));
        if concerned {
            self.read_state(moment);
        }
    }

    /// Evaluates the rules, as soon as there is something to go by.
    pub(super) fn read_state(&mut self, moment: &mut Moment<'_>) {
        // Until each of their tags was read once, rules would say UNKNOWN for no fault of the machine.
        let seen = |local: &usize| self.tags.get(*local).is_some_and(|tag| tag.seen);
        if self.rules.is_empty() || !self.rules.tags.iter().all(seen) {
            return;
        }
        // Also a departure that only begins must outlive a restart.
        self.unsaved = self.unsaved.max(Unsaved::Later);
        let (reading, bridge) = self.reading(moment);
        if let Some(change) = self.equipment.observe(reading, bridge, moment.now) {
            self.state_changed(change, moment);
        }
        self.stops_seen(moment);
    }

    /// What the machine says now. What somebody scanned as the reason of the open stop comes before what it says.
    fn reading(&mut self, moment: &Moment<'_>) -> (Reading, Option<Duration>) {
        let (mut reading, bridge) = match self.packml_reading() {
            Some(reading) => (reading, None),
            None => self.ruled(moment),
        };
        let scanned = self.stops.scanned_reason(&reading).cloned();
        let by_scan = scanned.is_some();
        reading.reason = scanned.or(reading.reason);
        if moment.notes().is_some() {
            self.scope.set_state(reading.state);
            self.explain_reading(&reading, by_scan, moment);
            self.scope.set_state(self.equipment.current().state);
        }
        (reading, bridge)
    }

    fn ruled(&mut self, moment: &Moment<'_>) -> (Reading, Option<Duration>) {
        let mut reading = Reading::unknown();
        let mut bridge = None;
        let mut from_tag = false;
        for rule in &self.rules.state {
            match holds(rule.condition.as_ref(), self, moment) {
                Known::False => continue,
                Known::Unknown => break,
                Known::True => {}
            }
            reading.state = rule.state;
            reading.substate.clone_from(&rule.substate);
            reading.reason = rule.reason.as_ref().and_then(|fact| {
                let native = fact.text(&self.scope)?;
                match fact {
                    Fact::Tag(_) => self.catalogue.said(&native),
                    Fact::Fixed(_) => Some(self.catalogue.reason(&native, ReasonSource::Settings)),
                }
            });
            from_tag = matches!(rule.reason, Some(Fact::Tag(_)));
            bridge = rule.bridge;
            break;
        }
        // Mode rules see the state that goes with them, not the one before it.
        self.scope.set_state(reading.state);
        let mode = self.mode_now(moment);
        reading.mode = mode.unwrap_or(Mode::None);
        reading.mode_known = mode.is_some();
        self.explain_reading(&reading, false, moment);
        self.scope.set_state(self.equipment.current().state);
        // A register that is cleared first, or cannot be read, takes nothing back: another reason replaces it.
        if from_tag && reading.reason.is_none() {
            reading.reason = self.equipment.reason_of(&reading).cloned();
        }
        (reading, bridge)
    }

    /// Without rules the machine is in production; `None` where the mode cannot be known.
    fn mode_now(&self, moment: &Moment<'_>) -> Option<Mode> {
        if self.rules.mode.is_empty() {
            return Some(Mode::Production);
        }
        for rule in &self.rules.mode {
            match holds(rule.condition.as_ref(), self, moment) {
                Known::False => {}
                Known::Unknown => return None,
                Known::True => return Some(rule.mode),
            }
        }
        Some(Mode::None)
    }

    pub(super) fn mode(&self) -> Mode {
        if self.rules.is_empty() {
            return Mode::Production;
        }
        self.equipment.current().mode
    }

    /// Tells the change, and lets the conditions see it.
    pub(super) fn state_changed(&mut self, change: Change, moment: &mut Moment<'_>) {
        self.scope.set_state(change.current.state);
        self.scope.set_mode(change.current.mode);
        self.axes_changed = true;
        self.unsaved = Unsaved::Soon;
        self.stops_follow(&change, moment);
        self.intervals_follow(&change, moment);
        let body = Body::State(StateReport {
            current: change.current.state,
            previous: change.previous.as_ref().map(|previous| previous.state),
            previous_duration_s: change.previous_duration_s,
            mode: change.current.mode,
            previous_mode: change.previous.as_ref().map(|previous| previous.mode),
            substate: change.current.substate,
            native: self.native(),
            reason: change.current.reason,
            active_operation: self.open_operations().next(),
            downtime: self.stops.open().map(|stop| stop.id),
            since: change.since.utc,
        });
        moment.tell(Heading::machine(&self.name, change.since.utc), body);
    }

    fn native(&self) -> Vec<Native> {
        self.rules
            .native
            .iter()
            .map(|local| Native {
                tag: self
                    .scope
                    .tag_names()
                    .nth(*local)
                    .unwrap_or_default()
                    .to_owned(),
                value: self.scope.value(*local).cloned(),
            })
            .collect()
    }
}

fn holds(condition: Option<&Condition>, machine: &Machine, moment: &Moment<'_>) -> Known {
    condition.map_or(Known::True, |condition| {
        moment.evaluate(condition, &machine.scope)
    })
}
