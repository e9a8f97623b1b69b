//! The buffer of replay: no disk, virtual time, the same commit rule. A power cut takes what the rule had not committed.

use super::commit::{CommitRule, Weight};
use crate::model::{BootTime, Event, Position, Restored, Turn};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Turns that wait for their commit, and the checkpoint of the last one. Epoch 1, run nil.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rule: CommitRule,
    waiting: Vec<Turn>,
    checkpoint: BTreeMap<String, Vec<u8>>,
    committed_seq: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// What a start finds: the last committed checkpoint, and numbering from the event after the last committed one.
    #[must_use]
    pub fn restored(&self) -> Restored {
        Restored {
            next: Position {
                epoch: 1,
                seq: self.committed_seq.saturating_add(1),
            },
            run: Uuid::nil(),
            new_epoch: None,
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// Takes a turn; returns the events of a commit if one is due at once.
    pub fn turn(&mut self, turn: Turn, now: BootTime) -> Vec<Event> {
        if !turn.is_empty() {
            self.rule.turn(Weight::of(&turn), now);
            self.waiting.push(turn);
        }
        self.tick(now)
    }

    /// When [`MemoryStore::tick`] has something to do; `None` when nothing waits.
    #[must_use]
    pub fn wake(&self) -> Option<BootTime> {
        self.rule.wake()
    }

    /// Commits what is due at `now` and returns its events, in order; empty when nothing is due.
    pub fn tick(&mut self, now: BootTime) -> Vec<Event> {
        if self.rule.is_due(now) {
            self.commit(now)
        } else {
            Vec::new()
        }
    }

    /// Commits whatever waits: the end of a capture is an orderly stop.
    pub fn commit(&mut self, now: BootTime) -> Vec<Event> {
        self.rule.committed(now);
        let mut events = Vec::new();
        for turn in self.waiting.drain(..) {
            for entry in turn.checkpoint {
                match entry.value {
                    Some(value) => self.checkpoint.insert(entry.key, value),
                    None => self.checkpoint.remove(&entry.key),
                };
            }
            events.extend(turn.events);
        }
        if let Some(last) = events.last() {
            self.committed_seq = last.position.seq;
        }
        events
    }

    /// The power goes: what waited is gone. The next start begins with the returned state.
    pub fn power_off(&mut self) -> Restored {
        self.waiting.clear();
        self.rule = CommitRule::default();
        self.restored()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{completed, quiet};
    use super::*;
    use crate::model::CheckpointEntry;

    fn at(ms: i64) -> BootTime {
        BootTime(ms * 1_000_000)
    }

    fn entry(value: &[u8]) -> CheckpointEntry {
        CheckpointEntry {
            key: "slot".into(),
            value: Some(value.to_vec()),
        }
    }

    #[test]
    fn a_power_cut_takes_what_was_not_committed() {
        let mut store = MemoryStore::new();
        let first = Turn {
            events: vec![completed(1)],
            checkpoint: vec![entry(b"a")],
        };
        assert_eq!(store.turn(first, at(0)).len(), 1);

        let second = Turn {
            events: vec![quiet(2)],
            checkpoint: vec![entry(b"b")],
        };
        assert!(store.turn(second, at(100)).is_empty());
        assert_eq!(store.wake(), Some(at(300)));
        assert!(store.tick(at(299)).is_empty());

        let restored = store.power_off();
        assert_eq!(restored.next, Position { epoch: 1, seq: 2 });
        assert_eq!(
            restored.checkpoint.get("slot").map(Vec::as_slice),
            Some(&b"a"[..])
        );
        assert!(store.wake().is_none() && store.tick(at(1000)).is_empty());
    }

    #[test]
    fn quiet_turns_commit_together_in_order() {
        let mut store = MemoryStore::new();
        for seq in 1..=3 {
            let turn = Turn {
                events: vec![quiet(seq)],
                checkpoint: vec![],
            };
            assert!(store.turn(turn, at(i64::try_from(seq).unwrap())).is_empty());
        }
        let wake = store.wake().unwrap();
        let seqs: Vec<u64> = store
            .tick(wake)
            .iter()
            .map(|event| event.position.seq)
            .collect();
        assert_eq!(seqs, [1, 2, 3]);
        assert_eq!(store.restored().next.seq, 4);
        assert_eq!(store.restored().run, Uuid::nil());
    }

    #[test]
    fn a_gone_checkpoint_entry_stays_gone() {
        let mut store = MemoryStore::new();
        for value in [Some(b"a".to_vec()), None] {
            let turn = Turn {
                events: vec![],
                checkpoint: vec![CheckpointEntry {
                    key: "slot".into(),
                    value,
                }],
            };
            assert!(store.turn(turn, at(0)).is_empty());
            assert!(store.commit(at(1)).is_empty());
        }
        assert!(store.power_off().checkpoint.is_empty());
    }
}
