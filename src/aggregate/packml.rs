//! PackML (ANSI/ISA-TR88.00.02): native states and modes by table, in both numberings, as state, substate and mode. Pure.
//!
//! The numbers of OPC 30060 are its StateEnumeration (2.00, 11.9). A number that no table has is nothing we know.

use crate::model::{Mode, State, Value};
use crate::settings::shape::Numbering;

/// A state of the PackML state model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Native {
    Undefined,
    Clearing,
    Stopped,
    Starting,
    Idle,
    Suspended,
    Execute,
    Stopping,
    Aborting,
    Aborted,
    Holding,
    Held,
    Unholding,
    Suspending,
    Unsuspending,
    Resetting,
    Completing,
    Complete,
}

use Native::{
    Aborted, Aborting, Clearing, Complete, Completing, Execute, Held, Holding, Idle, Resetting,
    Starting, Stopped, Stopping, Suspended, Suspending, Undefined, Unholding, Unsuspending,
};

/// By number: ISA-TR88.00.02, `StateCurrent`.
const ISA_TR88: [Native; 18] = [
    Undefined,
    Clearing,
    Stopped,
    Starting,
    Idle,
    Suspended,
    Execute,
    Stopping,
    Aborting,
    Aborted,
    Holding,
    Held,
    Unholding,
    Suspending,
    Unsuspending,
    Resetting,
    Completing,
    Complete,
];

/// By number: OPC 30060, StateEnumeration.
const OPC_30060: [Native; 17] = [
    Stopped,
    Resetting,
    Idle,
    Starting,
    Execute,
    Completing,
    Complete,
    Aborting,
    Aborted,
    Stopping,
    Clearing,
    Suspending,
    Suspended,
    Unsuspending,
    Holding,
    Held,
    Unholding,
];

/// Names of the states, as servers that say words spell them, without hyphens and in lower case.
const NAMES: [(&str, Native); 18] = [
    ("undefined", Undefined),
    ("clearing", Clearing),
    ("stopped", Stopped),
    ("starting", Starting),
    ("idle", Idle),
    ("suspended", Suspended),
    ("execute", Execute),
    ("stopping", Stopping),
    ("aborting", Aborting),
    ("aborted", Aborted),
    ("holding", Holding),
    ("held", Held),
    ("unholding", Unholding),
    ("suspending", Suspending),
    ("unsuspending", Unsuspending),
    ("resetting", Resetting),
    ("completing", Completing),
    ("complete", Complete),
];

impl Native {
    /// What a tag says: a number of `numbering`, or the name of a state. `None` for what neither table has.
    #[must_use]
    pub fn read(numbering: Numbering, value: &Value) -> Option<Native> {
        if let Value::Text(word) = value {
            let plain: String = word.chars().filter(|c| c.is_alphabetic()).collect();
            let named = |(name, _): &&(&str, Native)| name.eq_ignore_ascii_case(&plain);
            return NAMES.iter().find(named).map(|(_, native)| *native);
        }
        let table: &[Native] = match numbering {
            Numbering::IsaTr88 => &ISA_TR88,
            Numbering::Opc30060 => &OPC_30060,
        };
        let number = usize::try_from(whole(value)?).ok()?;
        table.get(number).copied()
    }

    /// State and substate. What it waits for says the interlock, where that is known.
    #[must_use]
    pub fn state(self, starved: bool, blocked: bool) -> (State, Option<&'static str>) {
        match self {
            Undefined => (State::Unknown, None),
            Execute => (State::Running, None),
            Idle => (State::Idle, Some("waiting")),
            Starting => (State::Idle, Some("starting")),
            Resetting => (State::Idle, Some("resetting")),
            Completing => (State::Idle, Some("completing")),
            Complete => (State::Idle, Some("complete")),
            Suspending | Suspended | Unsuspending if starved => (State::Idle, Some("starved")),
            Suspending | Suspended | Unsuspending if blocked => (State::Idle, Some("blocked")),
            Suspending | Suspended | Unsuspending => (State::Idle, Some("suspended")),
            Holding | Held | Unholding => (State::Stopped, Some("held")),
            Stopping | Stopped => (State::Stopped, None),
            Aborting | Aborted | Clearing => (State::Faulted, None),
        }
    }

    /// An abort, hold, suspend or stop: what the stop reason is about.
    #[must_use]
    pub fn has_reason(self) -> bool {
        !matches!(
            self,
            Undefined | Execute | Idle | Starting | Resetting | Completing | Complete
        )
    }
}

/// What a mode tag says; `None` when that is no number. The first three are the standard's, the others the machine's own.
#[must_use]
pub fn mode(value: &Value, own: impl Fn(i64) -> Option<Mode>) -> Option<Mode> {
    let number = whole(value)?;
    Some(match own(number) {
        Some(mode) => mode,
        None => match number {
            1 => Mode::Production,
            2 => Mode::Maintenance,
            3 => Mode::Manual,
            _ => Mode::None,
        },
    })
}

/// A number without a fraction.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e9 => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Numbering::{IsaTr88, Opc30060};

    #[track_caller]
    fn check(numbering: Numbering, value: Value, expected: Option<&str>) {
        let seen = Native::read(numbering, &value).map(|native| {
            let (state, substate) = native.state(false, false);
            match substate {
                Some(substate) => format!("{}/{substate}", state.word()),
                None => state.word().to_owned(),
            }
        });
        assert_eq!(seen.as_deref(), expected, "{numbering:?} {value:?}");
    }

    #[test]
    fn each_number_of_both_numberings_is_the_state_of_its_name() {
        let isa = [
            "UNKNOWN",
            "FAULTED",
            "STOPPED",
            "IDLE/starting",
            "IDLE/waiting",
            "IDLE/suspended",
            "RUNNING",
            "STOPPED",
            "FAULTED",
            "FAULTED",
            "STOPPED/held",
            "STOPPED/held",
            "STOPPED/held",
            "IDLE/suspended",
            "IDLE/suspended",
            "IDLE/resetting",
            "IDLE/completing",
            "IDLE/complete",
        ];
        for (number, expected) in (0..).zip(isa) {
            check(IsaTr88, Value::Int(number), Some(expected));
        }
        let opc = [
            "STOPPED",
            "IDLE/resetting",
            "IDLE/waiting",
            "IDLE/starting",
            "RUNNING",
            "IDLE/completing",
            "IDLE/complete",
            "FAULTED",
            "FAULTED",
            "STOPPED",
            "FAULTED",
            "IDLE/suspended",
            "IDLE/suspended",
            "IDLE/suspended",
            "STOPPED/held",
            "STOPPED/held",
            "STOPPED/held",
        ];
        for (number, expected) in (0..).zip(opc) {
            check(Opc30060, Value::Int(number), Some(expected));
        }
    }

    #[test]
    fn what_no_table_has_is_not_known() {
        for value in [
            Value::Int(18),
            Value::Int(-1),
            Value::Int(i64::MAX),
            Value::Float(6.5),
            Value::Float(1e300),
            Value::Bool(true),
            Value::Text("Running".into()),
            Value::Text("".into()),
        ] {
            check(IsaTr88, value, None);
        }
        check(Opc30060, Value::Int(17), None);
    }

    #[test]
    fn a_server_may_say_words() {
        check(IsaTr88, Value::Text("Execute".into()), Some("RUNNING"));
        check(
            Opc30060,
            Value::Text("Un-suspending".into()),
            Some("IDLE/suspended"),
        );
        check(IsaTr88, Value::Float(6.0), Some("RUNNING"));
    }

    #[test]
    fn a_suspended_machine_waits_for_what_its_interlock_says() {
        for native in [Suspending, Suspended, Unsuspending] {
            for (starved, blocked, expected) in [
                (true, false, "starved"),
                (false, true, "blocked"),
                (true, true, "starved"),
                (false, false, "suspended"),
            ] {
                let seen = native.state(starved, blocked);
                assert_eq!(seen, (State::Idle, Some(expected)));
            }
        }
        assert_eq!(Execute.state(true, true), (State::Running, None));
    }

    #[test]
    fn modes_from_four_on_are_the_machines_own() {
        let own = |number| (number == 5).then_some(Mode::Setup);
        for (number, expected) in [
            (0, Mode::None),
            (1, Mode::Production),
            (2, Mode::Maintenance),
            (3, Mode::Manual),
            (4, Mode::None),
            (5, Mode::Setup),
        ] {
            assert_eq!(mode(&Value::Int(number), own), Some(expected));
        }
        assert_eq!(mode(&Value::Text("Production".into()), own), None);
    }
}
