//! One alarm of a machine over time: raised, cleared, replaced by another code. Missing data does neither. Pure.
//!
//! An alarm that chatters is told ten times a minute at most; the rest is counted, and at the minute's end what is told
//! is brought up to what is so.

use crate::model::{BootTime, Severity, Stamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Events of one alarm in [`WINDOW`]. A machine with a hundred alarms that all chatter makes 17 events a second.
const MOST: u32 = 10;
/// What [`MOST`] is about.
const WINDOW: Duration = Duration::from_secs(60);

/// What an alarm is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Its code in the MES's words.
    pub code: String,
    /// What it says.
    pub text: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

/// What the machine says about an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The data is missing.
    Unknown,
    /// No alarm.
    Clear,
    /// This one.
    Stands(Code),
}

/// An alarm that stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is.
    pub what: Code,
    /// When it was raised.
    pub raised: Stamp,
    /// False when a reboot without a synchronised clock lies since then.
    measured: bool,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Tell {
    /// What was raised or cleared.
    pub what: Code,
    /// When it was raised.
    pub raised: Stamp,
    /// When it was cleared.
    pub cleared: Option<Stamp>,
    /// For a cleared one, how long it stood in seconds, where that can be measured.
    pub stood_s: Option<f64>,
    /// How often it was raised since the last that was told.
    pub untold: u64,
}

/// A place where one alarm can stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    stands: Option<Standing>,
    /// What was told last, if that was not that it is gone.
    told: Option<Standing>,
    /// When it last came or went.
    changed: Stamp,
    window: BootTime,
    in_window: u32,
    untold: u64,
}

impl Alarm {
    /// What stands.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.stands.as_ref()
    }

    /// Nothing stands, and nothing is left to tell.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.stands.is_none() && self.told.is_none()
    }

    /// Goes on with what an earlier run knew.
    pub fn resume(&mut self, memory: Alarm, shift_ns: i64, measurable: bool) {
        *self = memory;
        for standing in self.stands.iter_mut().chain(&mut self.told) {
            standing.raised.boot = standing.raised.boot.shifted(shift_ns);
            standing.measured &= measurable;
        }
        self.changed.boot = self.changed.boot.shifted(shift_ns);
        self.window = self.window.shifted(shift_ns);
    }

    /// What the machine says at `now`. Gives what is to be told: that the one before is gone, that another stands.
    pub fn observe(&mut self, seen: Seen, now: Stamp) -> [Option<Tell>; 2] {
        let what = match seen {
            Seen::Unknown => return [None, None],
            Seen::Clear => None,
            Seen::Stands(what) => Some(what),
        };
        if what.as_ref() == self.stands.as_ref().map(|standing| &standing.what) {
            return [None, None];
        }
        self.changed = now;
        self.stands = what.map(|what| Standing {
            what,
            raised: now,
            measured: true,
        });
        if now.boot >= self.window.plus(WINDOW) {
            self.window = now.boot;
            self.in_window = 0;
        }
        if self.in_window >= MOST {
            self.untold += u64::from(self.stands.is_some());
            return [None, None];
        }
        self.catch_up()
    }

    /// When [`Alarm::expire`] must be called.
    #[must_use]
    pub fn due(&self) -> Option<BootTime> {
        (!self.is_up_to_date()).then(|| self.window.plus(WINDOW))
    }

    /// The minute in which it was told too often is over.
    pub fn expire(&mut self, now: BootTime) -> [Option<Tell>; 2] {
        if self.due().is_none_or(|due| due > now) {
            return [None, None];
        }
        self.window = now;
        self.in_window = 0;
        self.catch_up()
    }

    /// Nobody watches it any more: it is gone for whoever was told of it.
    pub fn give_up(&mut self, now: Stamp) -> Option<Tell> {
        self.stands = None;
        self.changed = now;
        let [cleared, _] = self.catch_up();
        cleared
    }

    fn is_up_to_date(&self) -> bool {
        let what = |standing: &Option<Standing>| standing.as_ref().map(|one| one.what.code.clone());
        match (&self.stands, &self.told) {
            (None, None) => true,
            (Some(_), Some(_)) => what(&self.stands) == what(&self.told),
            _ => false,
        }
    }

    fn catch_up(&mut self) -> [Option<Tell>; 2] {
        if self.is_up_to_date() {
            return [None, None];
        }
        let gone = self.told.take().map(|told| Tell {
            stood_s: told
                .measured
                .then(|| self.changed.boot.seconds_since(told.raised.boot)),
            what: told.what,
            raised: told.raised,
            cleared: Some(self.changed),
            untold: std::mem::take(&mut self.untold),
        });
        let raised = self.stands.as_ref().map(|stands| Tell {
            what: stands.what.clone(),
            raised: stands.raised,
            cleared: None,
            stood_s: None,
            untold: std::mem::take(&mut self.untold),
        });
        self.told.clone_from(&self.stands);
        self.in_window += u32::from(gone.is_some()) + u32::from(raised.is_some());
        [gone, raised]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn at(ms: i64) -> Stamp {
        Stamp {
            boot: BootTime(ms * 1_000_000),
            utc: UtcTime(ms * 1_000_000),
        }
    }

    fn seen(word: &str) -> Seen {
        match word {
            "?" => Seen::Unknown,
            "-" => Seen::Clear,
            code => Seen::Stands(Code {
                code: code.to_owned(),
                text: None,
                severity: Severity::Medium,
            }),
        }
    }

    fn words(told: [Option<Tell>; 2]) -> Vec<String> {
        let word = |tell: Tell| match tell.cleared {
            None => format!("+{} {}", tell.what.code, tell.untold),
            Some(_) => format!(
                "-{} {} {}",
                tell.what.code,
                tell.stood_s.map_or(-1, |s| (s * 1e3).round() as i64),
                tell.untold
            ),
        };
        told.into_iter().flatten().map(word).collect()
    }

    /// Plays `(ms, code | - | ?)`; gives what is told as `+code untold` and `-code stood_ms untold`.
    #[track_caller]
    fn check(input: &[(i64, &str)], expected: &[&str]) -> Alarm {
        let mut alarm = Alarm::default();
        // The clock of the machine has run for a while.
        let mut told = Vec::new();
        for (ms, word) in input {
            let now = at(100_000 + ms);
            told.extend(words(alarm.expire(now.boot)));
            told.extend(words(alarm.observe(seen(word), now)));
        }
        assert_eq!(told, expected, "{input:?}");
        alarm
    }

    #[test]
    fn another_code_clears_the_one_before_in_the_same_instant() {
        check(
            &[(0, "-"), (10, "17"), (20, "17"), (50, "18"), (60, "-")],
            &["+17 0", "-17 40 0", "+18 0", "-18 10 0"],
        );
    }

    #[test]
    fn an_alarm_that_stands_when_it_is_first_read_is_raised() {
        check(&[(0, "?"), (5, "17")], &["+17 0"]);
    }

    #[test]
    fn missing_data_neither_raises_nor_clears() {
        check(
            &[(0, "17"), (10, "?"), (20, "17"), (30, "?"), (45, "-")],
            &["+17 0", "-17 45 0"],
        );
    }

    #[test]
    fn chatter_is_told_ten_times_a_minute_and_ends_up_true() {
        let mut input = vec![];
        for i in 0..100 {
            input.push((i * 100, if i % 2 == 0 { "17" } else { "-" }));
        }
        input.push((9_990, "17"));
        input.push((59_999, "17"));
        input.push((60_000, "17"));
        input.push((70_000, "-"));
        let mut expected: Vec<String> = vec![];
        for _ in 0..5 {
            expected.push("+17 0".into());
            expected.push("-17 100 0".into());
        }
        // 45 more times up to the end, and the one that stands.
        expected.push("+17 46".into());
        expected.push("-17 60010 0".into());
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let alarm = check(&input, &expected);
        assert!(alarm.is_idle());
        assert_eq!(alarm.due(), None);
    }

    #[test]
    fn after_a_restart_it_is_not_raised_again_and_cleared_once() {
        for (measurable, expected) in [(true, "-17 9000 0"), (false, "-17 -1 0")] {
            let before = check(&[(0, "17")], &["+17 0"]);
            let mut after = Alarm::default();
            after.resume(before, 1_000_000_000, measurable);
            let mut told = words(after.observe(seen("17"), at(105_000)));
            told.extend(words(after.observe(seen("-"), at(110_000))));
            told.extend(words(after.observe(seen("-"), at(111_000))));
            assert_eq!(told, [expected]);
        }
    }
}
