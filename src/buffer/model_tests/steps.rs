//! What a gateway does with its store all day, beside the list: appends, verdicts, readings, house-keeping; and looking at
//! what the store shows.

use super::super::progress::Fate;
use super::super::{Record, Store, StoreError};
use super::expected::{Accepted, at};
use super::trial::Trial;
use super::uplink::{Now, Seen};
use crate::buffer::generation::successor;
use crate::buffer::testing::{passing_at, quiet_at};
use crate::model::{
    Body, CheckpointEntry, Class, DeliveryAlert, DeliveryAlertKind, DropNotice, DropReason,
    Envelope, Event, Position, Turn, UplinkId, UtcTime,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;
use uuid::Uuid;

/// Bytes that no packing makes shorter.
static LONG: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..3000u16).flat_map(u16::to_le_bytes).collect());
/// A generation with a smaller part of passing events may keep them; and so many are rewritten before others go.
const WORTH: u64 = 16;
const SWEEPS: usize = 4;

/// What the payload of an event is, by its try and its position.
pub(super) fn payload(tries: u32, position: Position) -> Vec<u8> {
    let length = usize::try_from(position.seq * 7 % 60).unwrap_or(0);
    let mut bytes = tries.to_le_bytes().to_vec();
    bytes.extend_from_slice(&position.seq.to_le_bytes());
    bytes.resize(bytes.len() + length, b'.');
    if position.seq.is_multiple_of(19) {
        // Longer than a piece.
        bytes.extend_from_slice(&LONG);
    }
    bytes
}

fn render(event: &Event, recorded: UtcTime) -> (Envelope, Vec<u8>) {
    let tries = u32::try_from(event.run.as_u128()).unwrap();
    let envelope = Envelope {
        id: Uuid::nil(),
        run: event.run,
        kind: String::new(),
        partition_key: String::new(),
        equipment: None,
        path: vec![],
        time_ns: recorded.0,
    };
    (envelope, payload(tries, event.position))
}

fn alert(notice: &DropNotice) -> Body {
    Body::Delivery(DeliveryAlert {
        destination: notice.uplink.clone(),
        kind: DeliveryAlertKind::Dropped,
        count: notice.count,
        oldest: None,
        last_code: None,
        detail: None,
        buffer_used_fraction: None,
        dropped: Some(notice.clone()),
    })
}

/// Where the store stood before a step.
pub(super) struct Swept {
    up_to: Position,
    generations: Vec<Position>,
}

impl Trial {
    pub(super) fn append(&mut self) -> Result<(), StoreError> {
        self.tries += 1;
        let (mut events, mut checkpoint) = (Vec::new(), self.expected.checkpoint.clone());
        let told = match self.random.bool() {
            true => self.untold.clone(),
            false => Vec::new(),
        };
        let mut turns = vec![Turn {
            events: Vec::new(),
            checkpoint: Vec::new(),
        }];
        for notice in &told {
            let event = self.event(&mut events, Some(notice));
            turns[0].events.push(event);
        }
        for _ in 0..self.random.u8(1..4) {
            let mut turn = Turn {
                events: Vec::new(),
                checkpoint: Vec::new(),
            };
            for _ in 0..self.random.u8(0..4) {
                turn.events.push(self.event(&mut events, None));
            }
            if self.random.u8(0..3) == 0 {
                turn.checkpoint.push(self.entry(&mut checkpoint));
            }
            turns.push(turn);
        }
        self.expected.hand_over(events, checkpoint, told.clone());
        let store = self.store.as_mut().unwrap();
        let last = store.commit(&turns, self.now, &render)?;
        self.expected.accept();
        if !told.is_empty() {
            self.untold.clear();
        }
        assert_eq!(last, at(self.expected.events.len()));
        self.durable();
        Ok(())
    }

    /// The next event, which perhaps tells of a drop.
    fn event(&self, events: &mut Vec<Accepted>, told: Option<&DropNotice>) -> Event {
        let place = self.expected.events.len() + events.len();
        let position = at(place + 1);
        let nth = u32::try_from(place).unwrap() + self.tries;
        let is_passing = self.passing > 0 && told.is_none() && nth.is_multiple_of(self.passing);
        let event = match (is_passing, told) {
            (true, _) => passing_at(position),
            (_, None) => quiet_at(position),
            (_, Some(notice)) => Event {
                body: alert(notice),
                ..quiet_at(position)
            },
        };
        events.push(Accepted {
            tries: self.tries,
            passing: event.class() == Class::Passing,
        });
        let run = Uuid::from_u128(u128::from(self.tries));
        Event { run, ..event }
    }

    fn entry(&mut self, checkpoint: &mut BTreeMap<String, Vec<u8>>) -> CheckpointEntry {
        let key = format!("slot/{}", self.random.u8(0..3));
        let value = (self.random.u8(0..4) > 0).then(|| {
            let length = match self.random.u8(0..20) {
                0 => self.random.usize(5_000..12_000),
                _ => self.random.usize(0..200),
            };
            vec![self.random.u8(..); length]
        });
        match &value {
            Some(value) => checkpoint.insert(key.clone(), value.clone()),
            None => checkpoint.remove(&key),
        };
        CheckpointEntry { key, value }
    }

    /// In order as far as some event, or some events above the first that is not settled; perhaps with verdicts on events
    /// that were dropped meanwhile, which change nothing.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let (id, name) = self.any_uplink();
        let uplink = self.expected.uplinks.get_mut(&name).unwrap();
        let first = uplink.now.first_stored();
        let end = self.random.usize(first..=uplink.now.events.len());
        let in_order = self.random.bool();
        let mut fates = Vec::new();
        for place in first..end {
            if uplink.now.events[place] == Now::Stored && (in_order || self.random.bool()) {
                let fate = match self.random.u8(0..4) {
                    0 => Fate::Filtered,
                    _ => Fate::Delivered,
                };
                fates.push((place, fate));
            }
        }
        self.random.shuffle(&mut fates);
        let up_to = if in_order { end } else { first };
        let mut settled = uplink.settle(up_to, &fates);
        let dropped = uplink.now.places(Now::Dropped).into_iter();
        let late = dropped.filter(|_| self.random.u8(0..4) == 0);
        let late = late.map(|place| (at(place + 1), Fate::Delivered));
        settled.fates.extend(late);
        self.store.as_mut().unwrap().settle(id, &settled)?;
        self.place.settled();
        Ok(())
    }

    pub(super) fn commit_progress(&mut self) -> Result<(), StoreError> {
        self.store.as_mut().unwrap().commit_progress()?;
        self.durable();
        Ok(())
    }

    /// Time passes: generations rotate, what is old goes, what was kept goes.
    pub(super) fn keep_house(&mut self) -> Result<(), StoreError> {
        let seconds = self.random.u64(0..4 * 3_600);
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.store.as_mut().unwrap().keep_house(self.now)
    }

    /// All progress is durable behind this, with what was dropped on the way.
    fn durable(&mut self) {
        if self.watch().is_ok() {
            self.expected.progress_is_durable();
        }
    }

    /// Any reading from where something must be there.
    pub(super) fn read(&mut self) -> Result<(), StoreError> {
        let all = self.expected.uplinks.values();
        let from = all.map(|uplink| uplink.now.first_stored()).min().unwrap();
        let after = self.random.usize(from..=self.expected.events.len());
        let (events, bytes) = (self.random.usize(1..12), self.random.usize(0..600));
        let store = self.store.as_mut().unwrap();
        let records = store.read(at(after), events, bytes)?;
        assert!(records.len() <= events);
        assert!(records.len() <= 1 || length_of(&records) <= bytes);
        let found = self.compare(&records);
        // What somebody still needs is there, as far as the reading came.
        let end = match found.last() {
            Some(last) => *last,
            None => self.expected.events.len(),
        };
        for uplink in self.expected.uplinks.values() {
            for place in after..end {
                let is_needed = uplink.now.events[place] == Now::Stored;
                assert!(!is_needed || found.contains(&place), "{place}");
            }
        }
        Ok(())
    }

    /// What an uplink reads after what it has settled.
    pub(super) fn read_for(&mut self) -> Result<(), StoreError> {
        let (id, name) = self.any_uplink();
        let (events, bytes) = (self.random.usize(1..12), self.random.usize(0..600));
        let store = self.store.as_mut().unwrap();
        let records = store.read_for(id, store.cursor(id), events, bytes)?;
        assert!(records.len() <= events);
        assert!(records.len() <= 1 || length_of(&records) <= bytes);
        let stored = self.expected.uplinks[&name].now.places(Now::Stored);
        let found = self.compare(&records);
        assert_eq!(records.is_empty(), stored.is_empty());
        assert_eq!(stored.get(..found.len()), Some(&found[..]));
        Ok(())
    }

    /// The places of these records, which rise and have what was written.
    fn compare(&self, records: &[Record]) -> Vec<usize> {
        let mut places: Vec<usize> = Vec::with_capacity(records.len());
        for record in records {
            let place = usize::try_from(record.position.seq - 1).unwrap();
            assert!(places.last().is_none_or(|last| *last < place));
            let written = self.expected.events[place];
            assert_eq!(record.position, at(place + 1));
            assert_eq!(record.payload, payload(written.tries, record.position));
            assert_eq!(record.envelope.run.as_u128(), u128::from(written.tries));
            assert_eq!(record.class == Class::Passing, written.passing);
            places.push(place);
        }
        places
    }

    /// What the store shows of each uplink.
    pub(super) fn look_at_all(&mut self) -> Result<Vec<Seen>, StoreError> {
        let ids: Vec<UplinkId> = self.store.as_ref().unwrap().uplink_ids().collect();
        ids.into_iter().map(|id| self.look_at(id)).collect()
    }

    fn look_at(&mut self, id: UplinkId) -> Result<Seen, StoreError> {
        let mut store = self.store.take().expect("it is open");
        let seen = self.look(&mut store, id);
        self.store = Some(store);
        seen
    }

    fn look(&mut self, store: &mut Store, id: UplinkId) -> Result<Seen, StoreError> {
        let (mut readable, mut after) = (BTreeSet::new(), store.cursor(id));
        loop {
            let records = store.read_for(id, after, 50, 1 << 20)?;
            let Some(last) = records.last() else {
                break;
            };
            after = last.position;
            readable.extend(self.compare(&records));
        }
        let mut parked = BTreeSet::new();
        for position in store.parked_positions(id) {
            let found = store.parked(id, position)?;
            parked.extend(self.compare(&[found.expect("it is listed").record]));
        }
        let progress = store.progress(id);
        assert_eq!(progress.account.stored(), readable.len() as u64);
        Ok(Seen {
            progress,
            readable,
            parked,
        })
    }

    pub(super) fn swept(&self) -> Swept {
        let store = self.store.as_ref().unwrap();
        Swept {
            up_to: store.head.swept,
            generations: store.older.older.iter().map(|older| older.first).collect(),
        }
    }

    /// Everything is as the list says, but for what was dropped, which is told.
    pub(super) fn watch(&mut self) -> Result<(), StoreError> {
        self.watch_uplinks(|_| false)
    }

    /// [`Trial::watch`], and whom `also` picks is looked at although its account is as known.
    fn watch_uplinks(&mut self, also: impl Fn(&mut Trial) -> bool) -> Result<(), StoreError> {
        if self.place.is_cut() {
            let path = self.options.path.clone();
            let source = std::io::Error::from_raw_os_error(libc::EIO);
            return Err(StoreError::Io { path, source });
        }
        self.untold.extend(self.options.health.drops.take());
        let names: Vec<String> = self.options.uplinks.iter().map(|it| it.0.clone()).collect();
        for (id, name) in (0..).map(UplinkId).zip(names) {
            let account = self.store.as_ref().unwrap().account(id);
            let as_known = self.expected.uplinks[&name].now.account == account;
            if as_known && !also(self) {
                continue;
            }
            let seen = self.look_at(id)?;
            let uplink = self.expected.uplinks.get_mut(&name).unwrap();
            let before = uplink.now.places(Now::Dropped).len();
            if uplink.watch(&name, &seen, &self.expected.events) {
                let dropped = uplink.now.places(Now::Dropped);
                assert!(dropped.len() > before);
                let told = |place: &usize| {
                    let position = at(place + 1);
                    let mut notices = self.untold.iter();
                    notices.any(|it| it.from <= position && position <= it.to)
                };
                // Those of before may be told already.
                let covered = dropped.iter().filter(|place| told(place)).count();
                assert!(covered >= dropped.len() - before, "{:?}", self.untold);
            }
        }
        self.check_notices();
        Ok(())
    }

    /// [`Trial::watch`] after a step: where it cost lasting events because the store was full, all passing ones were gone.
    pub(super) fn watch_drops(&mut self, before: &Swept) -> Result<(), StoreError> {
        let full = |trial: &Trial| -> u64 {
            let all = trial.expected.uplinks.values();
            all.map(|uplink| uplink.now.account.dropped(DropReason::Full))
                .sum()
        };
        let known = full(self);
        self.watch_uplinks(|trial| trial.random.u8(0..8) == 0)?;
        let store = self.store.as_ref().unwrap();
        let dropped: u64 = store
            .uplink_ids()
            .map(|id| store.account(id).dropped(DropReason::Full))
            .sum();
        if dropped > known && self.calm {
            let swept = |first: &&Position| **first > before.up_to && **first <= store.head.swept;
            let sweeps = before.generations.iter().filter(swept).count();
            let worthy = store.older.older.iter().find(|older| {
                let facts = older.facts.filter(|facts| facts.passing_bytes > 0);
                let worth =
                    facts.is_some_and(|facts| facts.passing_bytes * WORTH >= facts.written_bytes);
                worth && !older.lean && older.first > store.head.swept
            });
            assert!(worthy.is_none() || sweeps >= SWEEPS, "{worthy:?}");
        }
        Ok(())
    }

    pub(super) fn check_notices(&self) {
        let store = self.store.as_ref().unwrap();
        for notice in &store.head.untold {
            assert!(notice.count > 0 && notice.from <= notice.to, "{notice:?}");
            assert!(successor(store.last()) >= notice.to, "{notice:?}");
        }
        self.expected.check_notices(&store.head.untold);
    }
}

fn length_of(records: &[Record]) -> usize {
    records.iter().map(|record| record.payload.len()).sum()
}
