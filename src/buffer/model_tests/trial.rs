//! One random trial: steps on a store, each beside the list, and after each start everything compared.

use super::super::progress::{Fate, Settled};
use super::super::{OpenOptions, Record, Store, StoreError};
use super::expected::{Expected, Now, at};
use super::place::Place;
use crate::buffer::testing::{options, quiet_at};
use crate::model::{
    CheckpointEntry, Envelope, Event, Position, Restored, Stamp, Turn, UplinkId, UtcTime,
};
use crate::settings::shape::StartAt;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

const NAMES: [&str; 3] = ["mes", "scada", "erp"];
/// Starts that may fail one after the other while things go wrong.
const MAX_FAILED_STARTS: u32 = 3;

pub(super) struct Trial {
    random: Rng,
    place: Place,
    options: OpenOptions,
    /// `None` between a failure and the next start.
    store: Option<Store>,
    expected: Expected,
    /// Batches that were tried, so that no two events are alike.
    tries: u32,
    /// A seed for what comes after the first failure.
    fate: Option<u64>,
    /// A call failed since the last start: the side file may say less than memory.
    failed: bool,
}

/// Bytes that no packing makes shorter.
static LONG: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..3000u16).flat_map(u16::to_le_bytes).collect());

/// What the payload of an event is, by its try and its position.
fn payload(tries: u32, position: Position) -> Vec<u8> {
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

impl Trial {
    /// A random one, from its first start on.
    pub(super) fn new(seed: u64, place: Place) -> Trial {
        let mut trial = Trial::before(seed, place);
        if trial.random.u8(0..8) == 0 {
            trial.place.plan(&mut trial.random);
        }
        trial.start();
        trial
    }

    /// Before its first start.
    pub(super) fn before(seed: u64, place: Place) -> Trial {
        let mut random = Rng::with_seed(seed);
        let mut options = options(&place.path(), &[]);
        options.generation_bytes = random.u64(200..2_500);
        let mut trial = Trial {
            random,
            place,
            options,
            store: None,
            expected: Expected::default(),
            tries: 0,
            fate: None,
            failed: false,
        };
        trial.draw_uplinks();
        trial
    }

    /// A short life that is the same for a seed until something fails, and goes on by `fate` from there.
    pub(super) fn script(&mut self, fate: u64) {
        self.fate = Some(fate);
        self.start();
        for nth in 0..16 {
            match nth {
                7 | 13 => self.stop(),
                _ => self.work(),
            }
        }
    }

    pub(super) fn step(&mut self) {
        match self.random.u8(0..40) {
            0..30 => self.work(),
            30 => self.stop(),
            31..33 => {
                if !self.failed {
                    // The side file knows all progress.
                    self.expected.progress_is_known();
                }
                self.kill();
            }
            33..36 => self.crash(),
            _ => self.place.plan(&mut self.random),
        }
    }

    /// The end: everything is delivered, and then nothing is left.
    pub(super) fn finish(mut self) {
        let _before = self.place.crash(&mut self.random);
        self.store = None;
        self.start();
        let mut store = self.store.expect("it was started");
        let up_to = store.last();
        for id in store.uplink_ids() {
            let all = Settled {
                up_to,
                fates: Vec::new(),
            };
            store.settle(id, &all).unwrap();
        }
        store.commit_progress().unwrap();
        assert_eq!(store.older.len(), 0);
    }

    /// What a gateway does all day. After an error it goes on with the same store when the disk is well again, or the
    /// process or the power goes.
    fn work(&mut self) {
        let result = match self.random.u8(0..15) {
            0..6 => self.append(),
            6..10 => self.settle(),
            10..12 => self.commit_progress(),
            12 => self.read(),
            _ => self.read_for(),
        };
        if result.is_err() {
            self.failed = true;
            self.new_fate();
            let goes_on = self.random.bool() && self.place.recover();
            match (goes_on, self.random.bool()) {
                (true, _) => {}
                (_, true) => self.kill(),
                (_, false) => self.crash(),
            }
        }
    }

    /// From the first failure on the same script may go on in many ways.
    fn new_fate(&mut self) {
        if let Some(seed) = self.fate.take() {
            self.random = Rng::with_seed(seed);
        }
    }

    fn append(&mut self) -> Result<(), StoreError> {
        self.tries += 1;
        let (mut events, mut checkpoint) = (Vec::new(), self.expected.checkpoint.clone());
        let mut turns = Vec::new();
        for _ in 0..self.random.u8(1..4) {
            let mut turn = Turn {
                events: Vec::new(),
                checkpoint: Vec::new(),
            };
            for _ in 0..self.random.u8(0..4) {
                events.push(self.tries);
                let position = at(self.expected.events.len() + events.len());
                let run = Uuid::from_u128(u128::from(self.tries));
                turn.events.push(Event {
                    run,
                    ..quiet_at(position)
                });
            }
            if self.random.u8(0..3) == 0 {
                turn.checkpoint.push(self.entry(&mut checkpoint));
            }
            turns.push(turn);
        }
        self.expected.hand_over(events, checkpoint);
        let store = self.store.as_mut().unwrap();
        let last = store.commit(&turns, Stamp::default(), &render)?;
        self.expected.accept();
        assert_eq!(last, at(self.expected.events.len()));
        Ok(())
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

    /// In order as far as some event, or some events above the first that is not settled.
    fn settle(&mut self) -> Result<(), StoreError> {
        let index = self.random.usize(0..self.options.uplinks.len());
        let name = &self.options.uplinks[index].0;
        let uplink = self.expected.uplinks.get_mut(name).unwrap();
        let first = uplink.first_stored();
        let end = self.random.usize(first..=uplink.events.len());
        let in_order = self.random.bool();
        let mut fates = Vec::new();
        for place in first..end {
            if uplink.events[place] == Now::Stored && (in_order || self.random.bool()) {
                let fate = match self.random.u8(0..4) {
                    0 => Fate::Filtered,
                    _ => Fate::Delivered,
                };
                fates.push((place, fate));
            }
        }
        self.random.shuffle(&mut fates);
        let up_to = if in_order { end } else { first };
        let settled = uplink.settle(up_to, &fates);
        let id = UplinkId(u32::try_from(index).unwrap());
        self.store.as_mut().unwrap().settle(id, &settled)?;
        self.place.settled();
        Ok(())
    }

    fn commit_progress(&mut self) -> Result<(), StoreError> {
        self.store.as_mut().unwrap().commit_progress()?;
        self.expected.progress_is_known();
        Ok(())
    }

    /// Any reading from where something must be there.
    fn read(&mut self) -> Result<(), StoreError> {
        let all = self.expected.uplinks.values();
        let from = all.map(|uplink| uplink.first_stored()).min().unwrap();
        let after = self.random.usize(from..=self.expected.events.len());
        let (events, bytes) = (self.random.usize(1..12), self.random.usize(0..600));
        let store = self.store.as_mut().unwrap();
        let records = store.read(at(after), events, bytes)?;
        assert!(records.len() <= events);
        assert_eq!(records.is_empty(), after == self.expected.events.len());
        let length: usize = records.iter().map(|record| record.payload.len()).sum();
        assert!(records.len() <= 1 || length <= bytes);
        self.compare(after.., &records);
        Ok(())
    }

    /// What an uplink reads after what it has settled.
    fn read_for(&mut self) -> Result<(), StoreError> {
        let index = self.random.usize(0..self.options.uplinks.len());
        let id = UplinkId(u32::try_from(index).unwrap());
        let (events, bytes) = (self.random.usize(1..12), self.random.usize(0..600));
        let store = self.store.as_mut().unwrap();
        let records = store.read_for(id, store.cursor(id), events, bytes)?;
        let uplink = &self.expected.uplinks[&self.options.uplinks[index].0];
        let stored = |place: &usize| uplink.events[*place] == Now::Stored;
        assert_eq!(records.is_empty(), uplink.stored() == 0);
        self.compare((0..uplink.events.len()).filter(stored), &records);
        Ok(())
    }

    /// These records are those of these places, with what was written.
    fn compare(&self, places: impl Iterator<Item = usize>, records: &[Record]) {
        let mut places = places;
        for record in records {
            let place = places.next().expect("a record that nobody wrote");
            assert_eq!(record.position, at(place + 1));
            let tries = self.expected.events[place];
            assert_eq!(record.payload, payload(tries, record.position));
            assert_eq!(record.envelope.run.as_u128(), u128::from(tries));
        }
    }

    /// An orderly stop and a start, perhaps with other uplinks.
    fn stop(&mut self) {
        self.store = None;
        if self.random.bool() {
            self.draw_uplinks();
        }
        self.start();
    }

    fn kill(&mut self) {
        let _before = self.place.kill();
        self.store = None;
        self.start();
    }

    fn crash(&mut self) {
        let _before = self.place.crash(&mut self.random);
        self.store = None;
        if self.random.u8(0..8) == 0 {
            self.place.plan(&mut self.random);
        }
        self.start();
    }

    fn draw_uplinks(&mut self) {
        let mut names = NAMES.to_vec();
        self.random.shuffle(&mut names);
        names.truncate(self.random.usize(1..=NAMES.len()));
        let one = |name: &str| {
            let start = match self.random.bool() {
                true => StartAt::Newest,
                false => StartAt::Oldest,
            };
            (name.to_owned(), start)
        };
        self.options.uplinks = names.into_iter().map(one).collect();
    }

    /// Starts, if need be after further power cuts: without a failing disk it always does.
    fn start(&mut self) {
        for failed in 0.. {
            self.options.path = self.place.path();
            self.options.medium = self.place.medium();
            match Store::open(&self.options) {
                Ok((store, restored)) => return self.started(store, &restored),
                Err(error) => assert!(failed < MAX_FAILED_STARTS, "{error}"),
            }
            self.new_fate();
            match self.random.bool() {
                true => self.place.kill(),
                false => self.place.crash(&mut self.random),
            };
            if failed + 1 < MAX_FAILED_STARTS && self.random.bool() {
                self.place.plan(&mut self.random);
            }
        }
    }

    fn started(&mut self, mut store: Store, restored: &Restored) {
        self.place.opened();
        self.failed = false;
        assert_eq!(self.options.health.quarantined.get(), 0);
        if !self.expected.events.is_empty() {
            assert_eq!(store.new_epoch(), None);
        }
        self.expected.decide(&mut store, restored);
        let names = self.options.uplinks.iter().map(|(name, _)| name.clone());
        self.expected.compare(&store, &names.collect::<Vec<_>>());
        self.store = Some(store);
        self.check_all();
    }

    /// Each uplink reads exactly what it has not settled, and its account says how much that is.
    fn check_all(&mut self) {
        let Some(mut store) = self.store.take() else {
            return;
        };
        for (index, (name, _)) in self.options.uplinks.iter().enumerate() {
            let id = UplinkId(u32::try_from(index).unwrap());
            let mut found = Vec::new();
            let mut after = store.cursor(id);
            loop {
                let Ok(records) = store.read_for(id, after, 50, 1 << 20) else {
                    // The disk fails by now, as planned: the next step will say so.
                    self.store = Some(store);
                    return;
                };
                let Some(last) = records.last() else {
                    break;
                };
                after = last.position;
                found.extend(records);
            }
            let uplink = &self.expected.uplinks[name];
            let stored = |place: &usize| uplink.events[*place] == Now::Stored;
            self.compare((0..uplink.events.len()).filter(stored), &found);
            assert_eq!(store.account(id).stored(), found.len() as u64, "{name}");
        }
        self.store = Some(store);
    }
}
