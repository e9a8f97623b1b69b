//! State and mode of an equipment over time: debounced, bridged, exactly one at each instant. Pure.

use crate::model::{BootTime, Mode, Reason, Stamp, State};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the rules of the settings say at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The state.
    pub state: State,
    /// The mode.
    pub mode: Mode,
    /// False where the data to decide the mode is missing.
    pub mode_known: bool,
    /// A word of the settings.
    pub substate: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
}

impl Reading {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Reading {
        Reading {
            state: State::Unknown,
            mode: Mode::None,
            mode_known: false,
            substate: None,
            reason: None,
        }
    }

    /// What a MES calls the same state: the reason alone may follow later.
    fn same_state(&self, other: &Reading) -> bool {
        self.state == other.state && self.mode == other.mode && self.substate == other.substate
    }
}

/// What must survive a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// What held.
    pub reading: Reading,
    since: Stamp,
    bridge: Option<Duration>,
    /// The time before cannot be measured: a reboot without a synchronised clock lies in it.
    broken: bool,
    /// A departure whose time runs.
    pending: Option<Pending>,
}

/// A change that is due to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What holds now.
    pub current: Reading,
    /// What held before.
    pub previous: Option<Reading>,
    /// How long that was, in seconds.
    pub previous_duration_s: Option<f64>,
    /// The edge that held.
    pub since: Stamp,
}

/// A departure from the current reading that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pending {
    reading: Reading,
    bridge: Option<Duration>,
    left: Stamp,
    hold: Duration,
}

/// State and mode over time.
#[derive(Clone, Debug, Default)]
pub struct Equipment {
    debounce: Duration,
    held: Option<Memory>,
    /// Restored, and not yet seen to hold still: nothing expires before.
    unconfirmed: bool,
}

impl Equipment {
    /// A change must hold for `debounce`.
    #[must_use]
    pub fn new(debounce: Duration) -> Equipment {
        Equipment {
            debounce,
            ..Equipment::default()
        }
    }

    /// What must survive a restart.
    #[must_use]
    pub fn memory(&self) -> Option<&Memory> {
        self.held.as_ref()
    }

    /// Goes on with what an earlier run knew. `measurable` is false when the time between cannot be known.
    pub fn resume(&mut self, memory: Memory, shift_ns: i64, measurable: bool) {
        self.held = Some(Memory {
            since: Stamp {
                boot: memory.since.boot.shifted(shift_ns),
                utc: memory.since.utc,
            },
            broken: memory.broken || !measurable,
            pending: memory
                .pending
                .filter(|_| measurable)
                .map(|pending| Pending {
                    left: Stamp {
                        boot: pending.left.boot.shifted(shift_ns),
                        utc: pending.left.utc,
                    },
                    ..pending
                }),
            ..memory
        });
        self.unconfirmed = true;
    }

    /// What holds now.
    #[must_use]
    pub fn current(&self) -> Reading {
        self.held
            .as_ref()
            .map_or_else(Reading::unknown, |held| held.reading.clone())
    }

    /// Why the state of `reading` holds, or is about to, as far as it was said.
    #[must_use]
    pub fn reason_of(&self, reading: &Reading) -> Option<&Reason> {
        let held = self.held.as_ref()?;
        let pending = held.pending.iter().map(|pending| &pending.reading);
        pending
            .chain([&held.reading])
            .find(|known| known.same_state(reading))?
            .reason
            .as_ref()
    }

    /// The rules were evaluated at `now`. `bridge` belongs to the rule that matched.
    pub fn observe(
        &mut self,
        reading: Reading,
        bridge: Option<Duration>,
        now: Stamp,
    ) -> Option<Change> {
        self.unconfirmed = false;
        let debounce = self.debounce;
        let Some(held) = &mut self.held else {
            return Some(self.enter(reading, bridge, now));
        };
        if held.reading.same_state(&reading) && held.reading.reason == reading.reason {
            // Whether a mode NONE is one that was read is nothing to tell.
            held.reading.mode_known = reading.mode_known;
            held.pending = None;
            return None;
        }
        let hold = hold_for(debounce, held, &reading);
        match &mut held.pending {
            // The same departure, told more exactly (a reason that arrives with a slower poll).
            Some(pending) if pending.reading.same_state(&reading) => pending.reading = reading,
            // Another candidate while the departure is bridged: still the same departure.
            Some(pending) if pending.hold > debounce && hold > debounce => {
                pending.reading = reading;
                pending.bridge = bridge;
            }
            _ => {
                held.pending = Some(Pending {
                    reading,
                    bridge,
                    left: now,
                    hold,
                });
            }
        }
        if hold.is_zero() {
            self.expire(now.boot)
        } else {
            None
        }
    }

    /// When it seems to have left what holds: not before its time has passed is that known. `None` while nothing runs.
    #[must_use]
    pub fn leaving(&self) -> Option<BootTime> {
        let pending = self.held.as_ref()?.pending.as_ref()?;
        (!self.unconfirmed).then_some(pending.left.boot)
    }

    /// When it may have left what holds; also before a departure that was restored is confirmed.
    #[must_use]
    pub fn may_have_left(&self) -> Option<BootTime> {
        Some(self.held.as_ref()?.pending.as_ref()?.left.boot)
    }

    /// Something holds, and it was seen in this run of the gateway.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.held.is_some() && !self.unconfirmed
    }

    /// When [`Equipment::expire`] must be called.
    #[must_use]
    pub fn due(&self) -> Option<BootTime> {
        let pending = self.held.as_ref()?.pending.as_ref()?;
        (!self.unconfirmed).then(|| pending.left.boot.plus(pending.hold))
    }

    /// Enters what has held long enough at `now`.
    pub fn expire(&mut self, now: BootTime) -> Option<Change> {
        if self.due()? > now {
            return None;
        }
        let pending = self.held.as_mut()?.pending.take()?;
        Some(self.enter(pending.reading, pending.bridge, pending.left))
    }

    fn enter(&mut self, reading: Reading, bridge: Option<Duration>, since: Stamp) -> Change {
        let previous = self.held.replace(Memory {
            reading: reading.clone(),
            since,
            bridge,
            broken: false,
            pending: None,
        });
        Change {
            previous_duration_s: previous
                .as_ref()
                .filter(|held| !held.broken)
                .map(|held| since.boot.since(held.since.boot).as_secs_f64()),
            previous: previous.map(|held| held.reading),
            current: reading,
            since,
        }
    }
}

/// Loading between strokes is bridged; a fault, a switched-off machine and missing data are not.
fn hold_for(debounce: Duration, held: &Memory, to: &Reading) -> Duration {
    let from = &held.reading;
    let bridged = from.state != to.state
        && from.mode == to.mode
        && matches!(to.state, State::Idle | State::Stopped);
    match held.bridge {
        Some(bridge) if bridged => bridge.max(debounce),
        _ => debounce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReasonSource, UtcTime};

    fn reading(word: &str) -> Reading {
        let state = match word {
            "run" => State::Running,
            "idle" => State::Idle,
            "stop" => State::Stopped,
            "fault" | "fault17" => State::Faulted,
            _ => State::Unknown,
        };
        Reading {
            state,
            mode: Mode::Production,
            mode_known: true,
            substate: None,
            reason: (word == "fault17").then(|| Reason::plain("17", ReasonSource::Plc)),
        }
    }

    /// Plays `(ms, word)`, RUNNING bridged by `bridge_ms`; gives `(since ms, state, previous duration in ms)`.
    #[track_caller]
    fn check(
        debounce_ms: u64,
        bridge_ms: u64,
        input: &[(i64, &str)],
        expected: &[(i64, State, Option<i64>)],
    ) {
        let mut equipment = Equipment::new(Duration::from_millis(debounce_ms));
        let mut changes = Vec::new();
        for (ms, word) in input {
            let now = Stamp {
                boot: BootTime(ms * 1_000_000),
                utc: UtcTime(ms * 1_000_000),
            };
            changes.extend(equipment.expire(now.boot));
            let bridge =
                (*word == "run" && bridge_ms > 0).then(|| Duration::from_millis(bridge_ms));
            changes.extend(equipment.observe(reading(word), bridge, now));
        }
        changes.extend(equipment.expire(BootTime(i64::MAX)));
        let seen: Vec<_> = changes
            .iter()
            .map(|c| {
                let before = c.previous_duration_s.map(|s| (s * 1e3).round() as i64);
                (c.since.boot.0 / 1_000_000, c.current.state, before)
            })
            .collect();
        assert_eq!(seen, expected, "{input:?}");
    }

    use State::{Faulted, Idle, Running, Stopped, Unknown};

    #[test]
    fn each_change_carries_the_edge_and_the_time_before_it() {
        check(
            0,
            0,
            &[(0, "run"), (1_000, "stop"), (1_500, "stop"), (3_000, "run")],
            &[
                (0, Running, None),
                (1_000, Stopped, Some(1_000)),
                (3_000, Running, Some(2_000)),
            ],
        );
        check(
            250,
            0,
            &[
                (0, "run"),
                (100, "stop"),
                (200, "run"),
                (900, "stop"),
                (2_000, "stop"),
            ],
            &[(0, Running, None), (900, Stopped, Some(900))],
        );
    }

    #[test]
    fn loading_between_strokes_is_still_running_and_longer_than_that_it_stopped_then() {
        check(
            0,
            60_000,
            &[
                (0, "run"),
                (2_000, "stop"),
                (5_000, "run"),
                (7_000, "stop"),
                (30_000, "idle"),
                (90_000, "idle"),
            ],
            &[(0, Running, None), (7_000, Idle, Some(7_000))],
        );
    }

    #[test]
    fn a_fault_or_missing_data_is_never_bridged() {
        check(
            0,
            60_000,
            &[(0, "run"), (2_000, "stop"), (3_000, "fault")],
            &[(0, Running, None), (3_000, Faulted, Some(3_000))],
        );
        check(
            0,
            60_000,
            &[(0, "run"), (2_000, "?")],
            &[(0, Running, None), (2_000, Unknown, Some(2_000))],
        );
    }

    #[test]
    fn a_reason_that_comes_later_does_not_move_the_edge() {
        check(
            250,
            0,
            &[
                (0, "run"),
                (1_000, "fault"),
                (1_100, "fault17"),
                (2_000, "fault17"),
            ],
            &[(0, Running, None), (1_000, Faulted, Some(1_000))],
        );
    }

    proptest::proptest! {
        /// Exactly one state at each instant, and the durations of the states sum to the time.
        #[test]
        fn states_follow_one_another_without_gap_or_overlap(
            input in proptest::collection::vec((0i64..400, 0usize..5), 1..80),
            debounce_ms in 0u64..300,
            bridge_ms in 0u64..2_000,
        ) {
            let mut equipment = Equipment::new(Duration::from_millis(debounce_ms));
            let mut changes = Vec::new();
            let mut ms = 0;
            for (wait, word) in input {
                ms += wait;
                let now = Stamp { boot: BootTime(ms * 1_000_000), utc: UtcTime(0) };
                while let Some(due) = equipment.due().filter(|due| *due <= now.boot) {
                    changes.extend(equipment.expire(due));
                }
                let word = ["run", "idle", "stop", "fault17", "?"][word];
                let bridge = (word == "run").then(|| Duration::from_millis(bridge_ms));
                changes.extend(equipment.observe(reading(word), bridge, now));
            }
            let mut sum_s = 0.0;
            for pair in changes.windows(2) {
                proptest::prop_assert!(pair[1].since.boot >= pair[0].since.boot);
                proptest::prop_assert_eq!(pair[1].previous.as_ref(), Some(&pair[0].current));
                sum_s += pair[1].previous_duration_s.unwrap();
            }
            let (first, last) = (&changes[0], &changes[changes.len() - 1]);
            let whole_s = last.since.boot.seconds_since(first.since.boot);
            proptest::prop_assert!((sum_s - whole_s).abs() < 1e-6);
            proptest::prop_assert_eq!(&equipment.current(), &last.current);
        }
    }
}
