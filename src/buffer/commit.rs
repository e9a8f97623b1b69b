//! When the disk is asked: the rule of the group commit. Pure: time comes in as an argument, the next wake-up goes out.
//!
//! The buffer's task and the memory store of replay both follow it, so what a power cut takes is the same in both.

use crate::model::{BootTime, Turn};
use std::time::Duration;

/// Longest wait of a turn in which nothing is urgent.
pub const QUIET_WAIT: Duration = Duration::from_millis(200);
/// Longest wait of a cursor that no commit takes along.
pub const CURSOR_WAIT: Duration = Duration::from_millis(500);
/// Least time from a commit to one that is made for cursors alone. At one event a second the cursor so rides along with
/// the next event instead of doubling the commits (flash wears); the progress file covers a kill meanwhile.
pub const CURSOR_GAP: Duration = Duration::from_secs(1);
/// Events that fill a batch: with the largest event of 60 KiB, 15 MiB are rendered at most.
pub const MAX_EVENTS: usize = 256;
/// Reckoned bytes that fill a batch.
pub const MAX_BYTES: usize = 1 << 20;
/// What an event is reckoned at before it is rendered.
pub const EVENT_BYTES: usize = 2 << 10;

/// What the rule must know of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// An event in it must be on disk at once.
    pub urgent: bool,
    /// Its events.
    pub events: usize,
    /// Its reckoned bytes.
    pub bytes: usize,
}

impl Weight {
    /// Weighs a turn.
    #[must_use]
    pub fn of(turn: &Turn) -> Weight {
        let checkpoint: usize = turn
            .checkpoint
            .iter()
            .map(|entry| entry.key.len() + entry.value.as_ref().map_or(0, Vec::len))
            .sum();
        Weight {
            urgent: turn.events.iter().any(|event| event.kind().urgent()),
            events: turn.events.len(),
            bytes: checkpoint + turn.events.len() * EVENT_BYTES,
        }
    }
}

/// What waits for the next commit, and until when.
#[derive(Clone, Debug, Default)]
pub struct CommitRule {
    due: Option<BootTime>,
    last: Option<BootTime>,
    events: usize,
    bytes: usize,
}

impl CommitRule {
    /// A turn arrived at `now`.
    pub fn turn(&mut self, weight: Weight, now: BootTime) {
        self.events = self.events.saturating_add(weight.events);
        self.bytes = self.bytes.saturating_add(weight.bytes);
        let wait = if weight.urgent || self.full() {
            Duration::ZERO
        } else {
            QUIET_WAIT
        };
        self.due_by(now.plus(wait));
    }

    /// A cursor moved at `now`.
    pub fn cursor(&mut self, now: BootTime) {
        let waited = now.plus(CURSOR_WAIT);
        let spaced = self.last.map_or(waited, |last| last.plus(CURSOR_GAP));
        self.due_by(waited.max(spaced));
    }

    /// Nothing more should be added before a commit.
    #[must_use]
    pub fn full(&self) -> bool {
        self.events >= MAX_EVENTS || self.bytes >= MAX_BYTES
    }

    /// When to commit what waits; `None` when nothing does.
    #[must_use]
    pub fn wake(&self) -> Option<BootTime> {
        self.due
    }

    /// It is time to commit.
    #[must_use]
    pub fn is_due(&self, now: BootTime) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Everything that waited was committed at `now`.
    pub fn committed(&mut self, now: BootTime) {
        *self = CommitRule {
            last: Some(now),
            ..CommitRule::default()
        };
    }

    fn due_by(&mut self, instant: BootTime) {
        self.due = Some(self.due.map_or(instant, |due| due.min(instant)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Weight = Weight {
        urgent: false,
        events: 1,
        bytes: EVENT_BYTES,
    };
    const URGENT: Weight = Weight {
        urgent: true,
        ..QUIET
    };
    const CHECKPOINT: Weight = Weight {
        urgent: false,
        events: 0,
        bytes: 100,
    };

    fn at(ms: i64) -> BootTime {
        BootTime(ms * 1_000_000)
    }

    #[derive(Clone, Copy)]
    enum Step {
        Turn(Weight),
        Cursor,
    }

    /// Plays steps at their milliseconds, each commit when it is due; returns the milliseconds of the commits.
    fn commits(mut steps: Vec<(i64, Step)>) -> Vec<i64> {
        steps.reverse();
        let mut rule = CommitRule::default();
        let mut commits = Vec::new();
        loop {
            let next = steps.last().map(|(ms, _)| at(*ms));
            match (rule.wake(), next) {
                (Some(wake), next) if next.is_none_or(|next| wake < next) => {
                    assert!(rule.is_due(wake));
                    commits.push(wake.0 / 1_000_000);
                    rule.committed(wake);
                }
                (_, None) => return commits,
                (_, Some(now)) => match steps.pop() {
                    Some((_, Step::Turn(weight))) => rule.turn(weight, now),
                    Some((_, Step::Cursor)) => rule.cursor(now),
                    None => unreachable!(),
                },
            }
        }
    }

    #[test]
    fn each_kind_of_change_has_its_longest_wait() {
        use Step::{Cursor, Turn};
        type Case = (&'static str, Vec<(i64, Step)>, Vec<i64>);
        let cases: Vec<Case> = vec![
            ("urgent at once", vec![(5, Turn(URGENT))], vec![5]),
            ("quiet in 200 ms", vec![(5, Turn(QUIET))], vec![205]),
            (
                "a checkpoint likewise",
                vec![(5, Turn(CHECKPOINT))],
                vec![205],
            ),
            (
                "the first quiet one sets the time",
                vec![(0, Turn(QUIET)), (150, Turn(QUIET))],
                vec![200],
            ),
            (
                "an urgent one takes the quiet along",
                vec![(0, Turn(QUIET)), (50, Turn(URGENT))],
                vec![50],
            ),
            ("a cursor alone in 500 ms", vec![(0, Cursor)], vec![500]),
            (
                "a cursor rides along",
                vec![(0, Cursor), (100, Turn(QUIET))],
                vec![300],
            ),
            (
                "a cursor alone leaves a second after a commit",
                vec![(0, Turn(URGENT)), (20, Cursor)],
                vec![0, 1000],
            ),
            (
                "a late cursor waits no longer than its own time",
                vec![(0, Turn(URGENT)), (900, Cursor)],
                vec![0, 1400],
            ),
        ];
        for (name, steps, expected) in cases {
            assert_eq!(commits(steps), expected, "{name}");
        }
    }

    #[test]
    fn nothing_waiting_needs_no_wake_up() {
        let mut rule = CommitRule::default();
        assert_eq!(rule.wake(), None);
        rule.turn(QUIET, at(0));
        rule.committed(at(200));
        assert_eq!(rule.wake(), None);
        assert!(!rule.is_due(at(100_000)));
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let mut rule = CommitRule::default();
        for _ in 0..MAX_EVENTS {
            assert!(!rule.full());
            rule.turn(QUIET, at(0));
        }
        assert!(rule.full() && rule.is_due(at(0)));
        rule.committed(at(0));
        rule.turn(
            Weight {
                bytes: MAX_BYTES,
                ..CHECKPOINT
            },
            at(1),
        );
        assert!(rule.full() && rule.is_due(at(1)));
    }

    #[test]
    fn nominal_load_needs_at_most_two_commits_a_second() {
        use Step::{Cursor, Turn};
        // An event a second, its verdict at the worst moment after the commit, a checkpoint every 5 s out of step.
        for verdict_ms in [205, 300, 450, 700, 950] {
            let mut steps = Vec::new();
            for second in 0..60 {
                steps.push((second * 1000, Turn(QUIET)));
                steps.push((second * 1000 + verdict_ms, Cursor));
                if second % 5 == 0 {
                    steps.push((second * 1000 + 600, Turn(CHECKPOINT)));
                }
            }
            steps.sort_by_key(|(ms, _)| *ms);
            let count = commits(steps).len();
            assert!(count <= 2 * 60, "verdicts after {verdict_ms} ms: {count}");
        }
    }
}
