//! The heartbeat of a device: a tag that the program of the PLC keeps changing. One that stands still is frozen, though it answers.
//!
//! Pure: time comes in as an argument. The time without a change counts only while the device answers. A heartbeat that is
//! itself bad does not change; one change brings the device back.

use super::driver::Reading;
use crate::model::{TagId, Value};
use std::time::Duration;
use tokio::time::Instant;

/// What an answer says of the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// It changed, or there is still time.
    Lives,
    /// It has stood still for too long now.
    Stops,
    /// It still stands.
    Stands,
    /// It changed for the first time after it stood.
    Returns,
}

/// The heartbeat of one device.
#[derive(Debug)]
pub(super) struct Heartbeat {
    tag: TagId,
    within: Duration,
    last: Option<Value>,
    /// Without a change, while the device answered.
    stood: Duration,
    /// The last answer, if the device has not been silent since.
    heard: Option<Instant>,
    stands: bool,
}

impl Heartbeat {
    pub(super) fn new(tag: TagId, within: Duration) -> Heartbeat {
        Heartbeat {
            tag,
            within,
            last: None,
            stood: Duration::ZERO,
            heard: None,
            stands: false,
        }
    }

    /// An answer came, with the heartbeat or without.
    pub(super) fn hear(&mut self, readings: &[Reading], now: Instant) -> Beat {
        let before = self.heard.replace(now);
        let passed = before.map(|before| now.saturating_duration_since(before));
        self.stood = self.stood.saturating_add(passed.unwrap_or_default());
        if self.changes(readings) {
            self.stood = Duration::ZERO;
            return if std::mem::take(&mut self.stands) {
                Beat::Returns
            } else {
                Beat::Lives
            };
        }
        match (self.stands, self.stood >= self.within) {
            (true, _) => Beat::Stands,
            (false, true) => {
                self.stands = true;
                Beat::Stops
            }
            (false, false) => Beat::Lives,
        }
    }

    /// The device does not answer: that is not the heartbeat's standing still.
    pub(super) fn pause(&mut self) {
        self.heard = None;
    }

    /// Nobody asked the device for so long.
    pub(super) fn excuse(&mut self, by: Duration) {
        self.heard = self.heard.and_then(|heard| heard.checked_add(by));
    }

    /// True when a good value differs from the good one before.
    fn changes(&mut self, readings: &[Reading]) -> bool {
        let mut changed = false;
        for reading in readings.iter().filter(|reading| reading.tag == self.tag) {
            let Ok(value) = &reading.raw else { continue };
            let before = self.last.as_ref();
            changed |= before.is_some_and(|before| before != value);
            if before != Some(value) {
                self.last = Some(value.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BadReason, Stamp};

    /// Plays `(ms, value)`: a number, `-` an answer without the tag, `b` a bad one, `s` silence. Gives what each answer says.
    fn play(within_ms: u64, input: &[(u64, &str)]) -> Vec<Beat> {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(TagId(3), Duration::from_millis(within_ms));
        let mut said = Vec::new();
        for (ms, word) in input {
            let raw = match *word {
                "s" => {
                    heartbeat.pause();
                    continue;
                }
                "-" => None,
                "b" => Some(Err(BadReason::Source)),
                number => Some(Ok(Value::Int(number.parse().unwrap()))),
            };
            let readings: Vec<Reading> = raw
                .into_iter()
                .map(|raw| Reading {
                    tag: TagId(3),
                    stamp: Stamp::default(),
                    source: None,
                    raw,
                    uncertain: false,
                })
                .collect();
            said.push(heartbeat.hear(&readings, start + Duration::from_millis(*ms)));
        }
        said
    }

    use Beat::{Lives, Returns, Stands, Stops};

    #[test]
    fn a_heartbeat_that_stands_still_stops_once_and_one_change_brings_it_back() {
        let input = [
            (0, "1"),
            (500, "2"),
            (1_000, "2"),
            (1_499, "2"),
            (1_500, "2"),
            (2_000, "2"),
            (2_500, "3"),
            (3_000, "3"),
        ];
        assert_eq!(
            play(1_000, &input),
            [Lives, Lives, Lives, Lives, Stops, Stands, Returns, Lives]
        );
    }

    #[test]
    fn answers_without_the_tag_let_time_pass_and_silence_does_not() {
        let input = [(0, "1"), (500, "-"), (1_000, "-"), (1_500, "2")];
        assert_eq!(play(1_000, &input), [Lives, Lives, Stops, Returns]);
        let silent = [
            (0, "1"),
            (900, "1"),
            (1_000, "s"),
            (9_000, "1"),
            (9_099, "1"),
            (9_100, "1"),
        ];
        assert_eq!(play(1_000, &silent), [Lives, Lives, Lives, Lives, Stops]);
    }

    #[test]
    fn a_bad_heartbeat_does_not_change_and_must_change_to_return() {
        let input = [
            (0, "b"),
            (1_000, "b"),
            (1_500, "7"),
            (2_000, "b"),
            (2_500, "7"),
            (3_000, "8"),
        ];
        assert_eq!(
            play(1_000, &input),
            [Lives, Stops, Stands, Stands, Stands, Returns]
        );
    }
}
