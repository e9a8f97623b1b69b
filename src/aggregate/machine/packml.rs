//! A PackML machine's own tags: its state, mode, interlock and stop reason. The first reason of a stop counts while it stands.

use super::Machine;
use super::reasons::says_nothing;
use crate::aggregate::condition::Scope;
use crate::aggregate::definition::Fact;
use crate::aggregate::equipment::Reading;
use crate::aggregate::packml::{self, Native};
use crate::model::{Mode, ReasonSource, State};
use crate::settings::shape::{self, FromTag, Numbering};
use serde::{Deserialize, Serialize};

/// `packml:` of a machine.
#[derive(Debug)]
pub(super) struct PackMl {
    numbering: Numbering,
    state: usize,
    mode: Option<usize>,
    /// The machine's own modes by number.
    modes: Vec<(i64, Mode)>,
    stop_reason: Option<usize>,
    starved: Option<usize>,
    blocked: Option<usize>,
    pub(super) latch: Latch,
}

/// The first reason of the stop that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Latch {
    reason: Option<String>,
    /// What the tag still said before the stop. If that is the reason, another one that follows replaces it.
    before: Option<String>,
}

impl Latch {
    /// What the tag says (`None`: nothing known, an empty text: none) while the machine stands, does not, or nobody knows.
    fn follow(&mut self, stands: Option<bool>, said: Option<&str>) -> Option<&str> {
        if stands == Some(false) {
            self.reason = None;
        }
        if let Some(said) = said {
            if said.is_empty() {
                self.before = None;
            } else if stands == Some(false) {
                self.before = Some(said.to_owned());
            } else if stands == Some(true) && (self.reason.is_none() || self.is_left_over(said)) {
                self.reason = Some(said.to_owned());
            }
        }
        self.reason.as_deref()
    }

    fn is_left_over(&self, said: &str) -> bool {
        let left_over = self.reason == self.before;
        left_over && self.reason.as_deref() != Some(said)
    }
}

impl PackMl {
    /// `None` when the state's tag is not one of the machine.
    pub(super) fn compile(settings: &shape::PackMl, scope: &Scope) -> Option<PackMl> {
        let local = |from: &Option<FromTag>| {
            let (local, _) = scope.tag(&from.as_ref()?.tag)?;
            Some(local)
        };
        let own = settings.modes.iter();
        Some(PackMl {
            numbering: settings.numbering,
            state: scope.tag(&settings.state.tag)?.0,
            mode: local(&settings.mode),
            modes: own
                .filter_map(|(number, mode)| Some((number.trim().parse().ok()?, *mode)))
                .collect(),
            stop_reason: local(&settings.stop_reason),
            starved: local(&settings.starved),
            blocked: local(&settings.blocked),
            latch: Latch::default(),
        })
    }

    /// All of its tags.
    pub(super) fn tags(&self) -> impl Iterator<Item = usize> {
        let others = [self.mode, self.stop_reason, self.starved, self.blocked];
        std::iter::once(self.state).chain(others.into_iter().flatten())
    }

    fn mode(&self, scope: &Scope) -> Option<Mode> {
        let Some(local) = self.mode else {
            return Some(Mode::Production);
        };
        let own = |number| {
            let found = self.modes.iter().find(|(listed, _)| *listed == number);
            found.map(|(_, mode)| *mode)
        };
        packml::mode(scope.value(local)?, own)
    }

    /// What its tags say now, and the machine's word for why it stands.
    fn read(&mut self, scope: &Scope) -> (Reading, Option<String>) {
        let native = scope
            .value(self.state)
            .and_then(|value| Native::read(self.numbering, value));
        let on = |local: Option<usize>| {
            let number = local.and_then(|local| scope.value(local)?.number());
            number.is_some_and(|number| number != 0.0)
        };
        let (state, substate) = match native {
            Some(native) => native.state(on(self.starved), on(self.blocked)),
            None => (State::Unknown, None),
        };
        let stands = native
            .filter(|native| *native != Native::Undefined)
            .map(Native::has_reason);
        let said = self.stop_reason.and_then(|local| {
            scope.value(local)?;
            let text = Fact::Tag(local).text(scope).unwrap_or_default();
            Some(if says_nothing(&text) {
                String::new()
            } else {
                text
            })
        });
        let reason = self.latch.follow(stands, said.as_deref());
        let reason = reason.filter(|_| stands == Some(true)).map(str::to_owned);
        let mode = self.mode(scope);
        let reading = Reading {
            state,
            mode: mode.unwrap_or(Mode::None),
            mode_known: mode.is_some(),
            substate: substate.map(str::to_owned),
            reason: None,
        };
        (reading, reason)
    }
}

impl Machine {
    /// The tags of a PackML machine, for who asks why; `None` for another one.
    pub(super) fn packml_tags(&self) -> Option<impl Iterator<Item = usize>> {
        self.rules.packml.as_ref().map(PackMl::tags)
    }

    /// What a PackML machine says; `None` for another one.
    pub(super) fn packml_reading(&mut self) -> Option<Reading> {
        let (mut reading, native) = self.rules.packml.as_mut()?.read(&self.scope);
        reading.reason = native.map(|native| self.catalogue.reason(&native, ReasonSource::Plc));
        Some(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `(stands, said)`: `-` nothing known, `0` none; gives the reason after each step.
    #[track_caller]
    fn check(input: &[(Option<bool>, &str)], expected: &[&str]) {
        let mut latch = Latch::default();
        let seen: Vec<String> = input
            .iter()
            .map(|(stands, said)| {
                let said = match *said {
                    "-" => None,
                    "0" => Some(""),
                    other => Some(other),
                };
                latch.follow(*stands, said).unwrap_or("").to_owned()
            })
            .collect();
        assert_eq!(seen, expected, "{input:?}");
    }

    const RUNS: Option<bool> = Some(false);
    const STANDS: Option<bool> = Some(true);

    #[test]
    fn the_first_reason_of_a_stop_counts_while_it_stands() {
        check(
            &[
                (RUNS, "0"),
                (STANDS, "0"),
                (STANDS, "17"),
                (STANDS, "18"),
                (STANDS, "0"),
                (RUNS, "0"),
                (STANDS, "18"),
            ],
            &["", "", "17", "17", "17", "", "18"],
        );
    }

    #[test]
    fn a_reason_left_over_from_the_last_stop_gives_way_once() {
        check(
            &[
                (STANDS, "17"),
                (RUNS, "17"),
                (STANDS, "17"),
                (STANDS, "18"),
                (STANDS, "19"),
            ],
            &["17", "", "17", "18", "18"],
        );
        // The machine took it back in between: the same number is a new reason.
        check(
            &[(RUNS, "17"), (RUNS, "0"), (STANDS, "17"), (STANDS, "18")],
            &["", "", "17", "17"],
        );
    }

    #[test]
    fn missing_data_neither_sets_nor_clears_it() {
        check(
            &[
                (RUNS, "0"),
                (STANDS, "17"),
                (None, "-"),
                (None, "18"),
                (STANDS, "18"),
            ],
            &["", "17", "17", "17", "17"],
        );
    }

    #[test]
    fn a_mode_that_cannot_be_read_is_not_the_mode_none() {
        use crate::model::{Value, ValueKind};
        let mut scope = Scope::new([("f_state", ValueKind::Int), ("unit_mode", ValueKind::Int)]);
        let settings = shape::PackMl {
            numbering: Numbering::IsaTr88,
            state: FromTag {
                tag: "f_state".into(),
            },
            mode: Some(FromTag {
                tag: "unit_mode".into(),
            }),
            modes: [("7".to_owned(), Mode::Setup)].into_iter().collect(),
            stop_reason: None,
            starved: None,
            blocked: None,
        };
        let mut packml = PackMl::compile(&settings, &scope).unwrap();
        scope.set(0, Some(Value::Int(6)));
        let (reading, _) = packml.read(&scope);
        assert_eq!((reading.state, reading.mode_known), (State::Running, false));
        scope.set(1, Some(Value::Int(7)));
        let (reading, _) = packml.read(&scope);
        assert_eq!((reading.mode, reading.mode_known), (Mode::Setup, true));
        scope.set(1, Some(Value::Int(9)));
        let (reading, _) = packml.read(&scope);
        assert_eq!((reading.mode, reading.mode_known), (Mode::None, true));
    }
}
