//! Which events of one uplink are parked, which of them is to be tried next, and how many there are of each kind. Pure.
//!
//! At the limit of 10,000 it takes some 100 bytes each, 1 MB for an uplink.

use super::entry::{Parked, ParkedState};
use crate::model::{MAX_PARKED_GROUPS, ParkClass, ParkedGroup, Position, UtcTime};
use std::collections::{BTreeMap, BTreeSet};

/// One parked event, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    /// When to try it again, in powered-on nanoseconds; [`NEVER`] for what waits for somebody.
    due_ns: u64,
    /// How often it was sent, also where the file does not say so yet.
    attempts: u32,
    /// When its file was written, in powered-on nanoseconds.
    written_ns: u64,
    /// When it happened.
    time: UtcTime,
    /// Index of its group; `None` for a file that this release cannot read.
    group: Option<usize>,
}

/// Due for what only somebody can make go on.
const NEVER: u64 = u64::MAX;

/// Of one uplink.
#[derive(Clone, Debug, Default)]
pub(in crate::buffer) struct Index {
    events: BTreeMap<Position, Listed>,
    due: BTreeSet<(u64, Position)>,
    groups: Vec<ParkedGroup>,
    /// By partition key, for uplinks where each holds the later ones of its key.
    keys: BTreeMap<String, BTreeSet<Position>>,
    key_of: BTreeMap<Position, String>,
}

/// The event that is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::buffer) enum Next {
    /// This one, now.
    Due(Position),
    /// None before that time, in powered-on nanoseconds.
    At(u64),
    /// There is none.
    Never,
}

impl Index {
    /// How many are parked.
    pub(in crate::buffer) fn len(&self) -> usize {
        self.events.len()
    }

    pub(in crate::buffer) fn contains(&self, position: Position) -> bool {
        self.events.contains_key(&position)
    }

    pub(in crate::buffer) fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.events.keys().copied()
    }

    /// How many of each kind there are, and have been in this run.
    pub(in crate::buffer) fn groups(&self) -> &[ParkedGroup] {
        &self.groups
    }

    /// Takes in an event, or what is new about it. What was refused is never due: a verdict stands until somebody asks anew.
    pub(in crate::buffer) fn put(&mut self, parked: &Parked, due_ns: u64, written_ns: u64) {
        let position = parked.record.position;
        let due_ns = match parked.state {
            ParkedState::Retrying => due_ns,
            ParkedState::Rejected | ParkedState::Discarded => NEVER,
        };
        let key = &parked.record.envelope.partition_key;
        self.keys.entry(key.clone()).or_default().insert(position);
        self.key_of.insert(position, key.clone());
        let before = self.events.get(&position).and_then(|listed| listed.group);
        let group = self.group(parked.class, parked.last_code());
        let time = UtcTime(parked.record.envelope.time_ns);
        self.list(
            position,
            Listed {
                due_ns,
                attempts: parked.attempts,
                written_ns,
                time,
                group: Some(group),
            },
        );
        // An alert about delivery that is parked itself is no reason for one more.
        let counts = parked.record.envelope.kind != "gateway.delivery.alert";
        if before != Some(group)
            && counts
            && let Some(group) = self.groups.get_mut(group)
        {
            group.came = group.came.saturating_add(1);
        }
    }

    /// Takes in a file that this release cannot read: it is kept and not tried.
    pub(in crate::buffer) fn put_unknown(&mut self, position: Position) {
        self.list(
            position,
            Listed {
                due_ns: NEVER,
                attempts: 0,
                written_ns: 0,
                time: UtcTime(0),
                group: None,
            },
        );
    }

    /// Attempts, and when the file was written.
    pub(in crate::buffer) fn attempts(&self, position: Position) -> Option<(u32, u64)> {
        let listed = self.events.get(&position)?;
        Some((listed.attempts, listed.written_ns))
    }

    /// The one whose turn it is.
    pub(in crate::buffer) fn next(&self, now_ns: u64) -> Next {
        match self.due.first() {
            None | Some((NEVER, _)) => Next::Never,
            Some((due, position)) if *due <= now_ns => Next::Due(*position),
            Some((due, _)) => Next::At(*due),
        }
    }

    /// The partition keys of the events.
    pub(in crate::buffer) fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    /// The one whose turn it is where only the oldest of each key may go. One that was never sent has waited for those before
    /// it only.
    pub(in crate::buffer) fn head(&self, now_ns: u64) -> Next {
        let heads = self.keys.values().filter_map(|events| events.first());
        let due = heads.filter_map(|position| {
            let listed = self.events.get(position)?;
            let waited = listed.attempts == 0 && listed.due_ns < u64::MAX;
            let due_ns = if waited { 0 } else { listed.due_ns };
            (due_ns < u64::MAX).then_some((due_ns, *position))
        });
        match due.min() {
            None => Next::Never,
            Some((due_ns, position)) if due_ns <= now_ns => Next::Due(position),
            Some((due_ns, _)) => Next::At(due_ns),
        }
    }

    fn leave_key(&mut self, position: Position) {
        let Some(key) = self.key_of.remove(&position) else {
            return;
        };
        if let Some(events) = self.keys.get_mut(&key) {
            events.remove(&position);
            if events.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    /// The event is gone: true when it was there.
    pub(in crate::buffer) fn remove(&mut self, position: Position) -> bool {
        self.leave_key(position);
        let Some(listed) = self.events.remove(&position) else {
            return false;
        };
        self.due.remove(&(listed.due_ns, position));
        self.leave(listed);
        true
    }

    /// One of its group was taken: whatever kept them away may be over, so those that are tried at all are tried at once.
    pub(in crate::buffer) fn hurry(&mut self, taken: Position, now_ns: u64) {
        let group = self.events.get(&taken).and_then(|listed| listed.group);
        for (position, listed) in &mut self.events {
            let waits = listed.due_ns > now_ns && listed.due_ns != NEVER;
            if waits && listed.group.is_some() && listed.group == group {
                self.due.remove(&(listed.due_ns, *position));
                listed.due_ns = now_ns;
                self.due.insert((now_ns, *position));
            }
        }
    }

    fn list(&mut self, position: Position, listed: Listed) {
        let before = self.events.insert(position, listed);
        if let Some(before) = before {
            self.due.remove(&(before.due_ns, position));
            self.leave(before);
        }
        self.due.insert((listed.due_ns, position));
        if let Some(group) = listed.group.and_then(|group| self.groups.get_mut(group)) {
            group.count += 1;
            let oldest = group.oldest.map_or(listed.time, |at| at.min(listed.time));
            group.oldest = Some(oldest);
        }
    }

    /// Takes an event, which is off the list, out of its group.
    fn leave(&mut self, listed: Listed) {
        let Some(index) = listed.group else { return };
        let was_oldest = self
            .groups
            .get(index)
            .is_some_and(|group| group.oldest == Some(listed.time));
        let of_group = |other: &&Listed| other.group == Some(index);
        let oldest = was_oldest.then(|| {
            let times = self
                .events
                .values()
                .filter(of_group)
                .map(|other| other.time);
            times.min()
        });
        if let Some(group) = self.groups.get_mut(index) {
            group.count = group.count.saturating_sub(1);
            group.oldest = oldest.unwrap_or(group.oldest);
        }
    }

    /// The group of that class and code; past the limit, of that class alone.
    fn group(&mut self, class: ParkClass, code: Option<&str>) -> usize {
        let is = |group: &ParkedGroup, code: Option<&str>| {
            group.class == class && group.code.as_deref() == code
        };
        if let Some(found) = self.groups.iter().position(|group| is(group, code)) {
            return found;
        }
        // The last places are for the classes themselves.
        let full = self.groups.len() + CLASSES >= MAX_PARKED_GROUPS;
        let code = if full { None } else { code };
        let found = self.groups.iter().position(|group| is(group, code));
        found.unwrap_or_else(|| {
            self.groups.push(ParkedGroup {
                class,
                code: code.map(str::to_owned),
                count: 0,
                oldest: None,
                came: 0,
            });
            self.groups.len() - 1
        })
    }
}

/// Classes, each of which may need a group without a code.
const CLASSES: usize = 4;

#[cfg(test)]
mod tests {
    use super::super::entry::{Answered, Moment};
    use super::*;
    use crate::buffer::testing;

    fn parked(seq: u64, code: &str) -> Parked {
        let mut record = testing::record(seq, 10);
        record.envelope.time_ns = i64::try_from(seq).unwrap() * 1_000;
        Parked {
            record,
            class: ParkClass::Business,
            state: ParkedState::Retrying,
            attempts: 1,
            first_attempt: Moment::default(),
            last_attempt: Moment::default(),
            answers: vec![Answered {
                code: Some(code.into()),
                ..Answered::default()
            }],
            audit: vec![],
        }
    }

    fn at(seq: u64) -> Position {
        Position { epoch: 1, seq }
    }

    #[test]
    fn what_was_refused_waits_for_somebody_whatever_becomes_of_its_group() {
        let mut index = Index::default();
        let refused = |seq| Parked {
            state: ParkedState::Rejected,
            ..parked(seq, "a")
        };
        index.put(&refused(1), 0, 0);
        index.put(&parked(2, "a"), 50, 0);
        assert_eq!(index.next(u64::MAX - 1), Next::Due(at(2)));
        index.hurry(at(2), 10);
        assert!(index.remove(at(2)));
        assert_eq!(index.next(u64::MAX), Next::Never);
        // Somebody asks anew; and it is refused anew.
        index.put(&parked(1, "a"), 20, 0);
        assert_eq!(index.next(20), Next::Due(at(1)));
        index.put(&refused(1), 30, 0);
        assert_eq!(index.next(u64::MAX), Next::Never);
        let groups = index.groups();
        assert_eq!((groups.len(), groups[0].count, groups[0].came), (1, 1, 2));
    }

    #[test]
    fn the_one_that_is_due_longest_comes_first_and_a_success_hurries_its_group() {
        let mut index = Index::default();
        assert_eq!(index.next(9), Next::Never);
        index.put_unknown(at(9));
        assert_eq!(index.next(u64::MAX), Next::Never);
        for (seq, code, due) in [(1, "a", 50), (2, "a", 40), (3, "b", 60)] {
            index.put(&parked(seq, code), due, 0);
        }
        assert_eq!(index.next(39), Next::At(40));
        assert_eq!(index.next(55), Next::Due(at(2)));
        index.put(&parked(2, "a"), 90, 0);
        assert_eq!(index.next(45), Next::At(50));
        index.hurry(at(2), 45);
        assert_eq!(index.next(45), Next::Due(at(1)));
        assert!(index.remove(at(1)) && !index.remove(at(1)));
        assert_eq!(index.next(45), Next::Due(at(2)));
        assert!(index.remove(at(2)));
        assert_eq!(index.next(45), Next::At(60));
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn of_each_key_only_the_oldest_goes_and_one_that_waits_for_somebody_holds_its_key() {
        let mut index = Index::default();
        let of_key = |seq: u64, key: &str, attempts: u32| {
            let mut parked = parked(seq, "a");
            parked.record.envelope.partition_key = key.into();
            parked.attempts = attempts;
            parked
        };
        index.put(&of_key(1, "p", 3), u64::MAX, 0);
        index.put(&of_key(2, "p", 0), 500, 0);
        index.put(&of_key(3, "q", 1), 70, 0);
        index.put(&of_key(4, "q", 0), 10, 0);
        let keys = |index: &Index| index.keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((index.head(50), keys(&index)), (Next::At(70), "p q".into()));
        assert_eq!(index.head(70), Next::Due(at(3)));
        assert!(index.remove(at(3)));
        assert_eq!(index.head(5), Next::Due(at(4)), "it waited for 3 only");
        assert!(index.remove(at(4)));
        assert_eq!((index.head(1_000), keys(&index)), (Next::Never, "p".into()));
        assert!(index.remove(at(1)));
        assert_eq!(index.head(5), Next::Due(at(2)));
        assert!(index.remove(at(2)));
        assert_eq!((index.head(5), keys(&index)), (Next::Never, String::new()));
    }

    #[test]
    fn groups_count_what_is_there_and_what_came() {
        let mut index = Index::default();
        for seq in [3, 1, 2] {
            index.put(&parked(seq, "a"), 0, 0);
        }
        // Another attempt changes nothing, another code does.
        index.put(&parked(2, "a"), 7, 0);
        index.put(&parked(3, "b"), 7, 0);
        let group = |index: &Index, nth: usize| {
            let group = &index.groups()[nth];
            (group.count, group.came, group.oldest)
        };
        assert_eq!(group(&index, 0), (2, 3, Some(UtcTime(1_000))));
        assert_eq!(group(&index, 1), (1, 1, Some(UtcTime(3_000))));
        index.remove(at(1));
        assert_eq!(group(&index, 0), (1, 3, Some(UtcTime(2_000))));
        index.remove(at(2));
        assert_eq!(group(&index, 0), (0, 3, None));

        let mut alert = parked(8, "a");
        alert.record.envelope.kind = "gateway.delivery.alert".into();
        index.put(&alert, 0, 0);
        assert_eq!(group(&index, 0), (1, 3, Some(UtcTime(8_000))));
    }

    #[test]
    fn a_destination_with_a_code_for_each_event_makes_no_endless_list() {
        let mut index = Index::default();
        for seq in 1..=200 {
            index.put(&parked(seq, &format!("code-{seq}")), 0, 0);
        }
        assert!(index.groups().len() <= MAX_PARKED_GROUPS);
        let all: u64 = index.groups().iter().map(|group| group.count).sum();
        assert_eq!(all, 200);
    }
}
