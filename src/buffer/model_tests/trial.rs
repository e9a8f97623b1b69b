//! One random trial: steps on a store, each beside the list, and after each everything compared that may have changed.

use super::super::progress::Left;
use super::super::{OpenOptions, Quota, Store, StoreError};
use super::expected::Expected;
use super::place::Place;
use super::uplink::Now;
use crate::buffer::testing::options;
use crate::health::BufferHealth;
use crate::model::{DropNotice, Restored, Stamp, UplinkId};
use crate::settings::shape::StartAt;
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

const NAMES: [&str; 3] = ["mes", "scada", "erp"];
/// Starts that may fail one after the other while things go wrong.
const MAX_FAILED_STARTS: u32 = 3;

pub(super) struct Trial {
    pub(super) random: Rng,
    pub(super) place: Place,
    pub(super) options: OpenOptions,
    /// `None` between a failure and the next start.
    pub(super) store: Option<Store>,
    pub(super) expected: Expected,
    /// Batches that were tried, so that no two events are alike.
    pub(super) tries: u32,
    /// Every so many events one passes; 0: none does.
    pub(super) passing: u32,
    pub(super) now: Stamp,
    /// Drops of which no accepted event tells yet.
    pub(super) untold: Vec<DropNotice>,
    /// A seed for what comes after the first failure.
    fate: Option<u64>,
    /// A call failed since the last start: the side file may say less than memory.
    failed: bool,
    /// Nothing was planned to go wrong since the last start.
    pub(super) calm: bool,
}

impl Trial {
    /// A random one, from its first start on.
    pub(super) fn new(seed: u64, place: Place) -> Trial {
        let mut trial = Trial::before(seed, place);
        if trial.random.u8(0..8) == 0 {
            trial.plan();
        }
        trial.start();
        trial
    }

    /// Before its first start.
    pub(super) fn before(seed: u64, place: Place) -> Trial {
        let mut random = Rng::with_seed(seed);
        let mut options = options(&place.path(), &[]);
        options.generation_bytes = random.u64(200..2_500);
        let passing = random.u32(0..4);
        let mut trial = Trial {
            random,
            place,
            options,
            store: None,
            expected: Expected::default(),
            tries: 0,
            passing,
            now: Stamp::default(),
            untold: Vec::new(),
            fate: None,
            failed: false,
            calm: true,
        };
        trial.draw_uplinks();
        trial.draw_quota();
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

    /// Another one: of events that are parked, taken, discarded, and of an uplink that goes and comes back.
    pub(super) fn parking_script(&mut self, fate: u64) {
        self.fate = Some(fate);
        self.options.quota = Quota::default();
        self.options.uplinks = uplinks(&NAMES[..2], StartAt::Oldest);
        self.start();
        for step in [
            Trial::append,
            Trial::park,
            Trial::park,
            Trial::commit_progress,
            Trial::try_again,
            Trial::leave,
            Trial::park,
            Trial::settle,
            Trial::append,
            Trial::leave,
        ] {
            self.attempt(step);
        }
        self.options.uplinks = uplinks(&NAMES[1..2], StartAt::Oldest);
        self.restart();
        self.attempt(Trial::append);
        self.attempt(Trial::park);
        self.options.uplinks = uplinks(&NAMES[..2], StartAt::Oldest);
        self.restart();
        for step in [Trial::park, Trial::leave, Trial::commit_progress] {
            self.attempt(step);
        }
    }

    pub(super) fn step(&mut self) {
        match self.random.u8(0..40) {
            0..30 => self.work(),
            30 => self.stop(),
            31..33 => {
                if !self.failed {
                    self.expected.progress_is_said();
                }
                self.kill();
            }
            33..36 => self.crash(),
            _ => self.plan(),
        }
    }

    /// The end: everything is delivered, nothing is parked any more, and then nothing is left.
    pub(super) fn finish(mut self) {
        let _before = self.place.crash(&mut self.random);
        self.store = None;
        self.options.quota = Quota::default();
        self.start();
        let store = self.store.as_mut().expect("it was started");
        for id in store.uplink_ids() {
            for position in store.parked_positions(id) {
                store.take_off(id, position, Left::Discarded).unwrap();
            }
            let last = store.last();
            super::super::testing::done(store, id, last).unwrap();
        }
        store.commit_progress().unwrap();
        assert_eq!(store.older.len(), 0);
        for id in store.uplink_ids() {
            let account = store.account(id);
            assert_eq!((account.offered, account.parked), (account.gone(), 0));
        }
        self.store = None;
        self.restart_clean();
    }

    /// A start finds nothing of what has left.
    fn restart_clean(&mut self) {
        self.options.medium = self.place.medium();
        let (store, _) = Store::open(&self.options).unwrap();
        for id in store.uplink_ids() {
            let account = store.account(id);
            assert_eq!((account.stored(), account.parked), (0, 0));
        }
    }

    /// What a gateway does all day.
    fn work(&mut self) {
        let step = match self.random.u8(0..24) {
            0..8 => Trial::append,
            8..13 => Trial::settle,
            13..15 => Trial::commit_progress,
            15 => Trial::read,
            16 | 17 => Trial::read_for,
            18 | 19 => Trial::keep_house,
            20 | 21 => Trial::park,
            22 => Trial::try_again,
            _ => Trial::leave,
        };
        self.attempt(step);
    }

    /// One step. After an error it goes on with the same store when the disk is well again, or the process or the power goes.
    fn attempt(&mut self, step: impl FnOnce(&mut Trial) -> Result<(), StoreError>) {
        let done = self.watch().and_then(|()| {
            let before = self.swept();
            let done = step(self);
            self.watch_drops(&before)?;
            done
        });
        if done.is_err() {
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

    fn plan(&mut self) {
        self.calm = false;
        self.place.plan(&mut self.random);
    }

    /// An orderly stop and a start, perhaps with other uplinks, perhaps with another quota.
    fn stop(&mut self) {
        if self.random.bool() {
            self.draw_uplinks();
        }
        if self.random.bool() {
            self.draw_quota();
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.store = None;
        self.start();
    }

    fn kill(&mut self) {
        let _before = self.place.kill();
        self.restart();
    }

    fn crash(&mut self) {
        let _before = self.place.crash(&mut self.random);
        self.store = None;
        if self.random.u8(0..8) == 0 {
            self.plan();
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

    /// Mostly one that is too small for the trial.
    fn draw_quota(&mut self) {
        let hours = |from: u64, to: u64, random: &mut Rng| {
            Duration::from_secs(3_600 * random.u64(from..to))
        };
        self.options.quota = Quota::default();
        let quota = &mut self.options.quota;
        if self.random.u8(0..4) > 0 {
            quota.max_bytes = self
                .place
                .quota(&mut self.random, self.options.generation_bytes);
        }
        if self.random.u8(0..3) == 0 {
            quota.max_age = hours(2, 20, &mut self.random);
        }
        if self.random.u8(0..3) == 0 {
            quota.keep_delivered = hours(1, 10, &mut self.random);
        }
    }

    /// Starts, if need be after further power cuts: without a failing disk it always does.
    fn start(&mut self) {
        for failed in 0.. {
            self.options.path = self.place.path();
            self.options.medium = self.place.medium();
            self.options.health = Arc::new(BufferHealth::default());
            let started = Store::open(&self.options);
            match started.and_then(|(store, restored)| self.started(store, &restored)) {
                Ok(()) => return,
                Err(error) => assert!(failed < MAX_FAILED_STARTS, "{error}"),
            }
            self.store = None;
            self.new_fate();
            match self.random.bool() {
                true => self.place.kill(),
                false => self.place.crash(&mut self.random),
            };
            if failed + 1 < MAX_FAILED_STARTS && self.random.bool() {
                self.plan();
            }
        }
    }

    /// Everything is as one of the states that may be; an error when the disk fails by now.
    fn started(&mut self, mut store: Store, restored: &Restored) -> Result<(), StoreError> {
        self.expected.decide(&mut store, restored);
        self.store = Some(store);
        let seen = self.look_at_all()?;
        self.place.opened();
        self.failed = false;
        self.calm = self.place.is_well();
        self.untold = self.options.health.drops.take();
        let store = self.store.as_ref().expect("it is open");
        let lost = self.options.health.quarantined.get();
        assert_eq!(lost, 0, "{:?}", store.head.untold);
        if !self.expected.events.is_empty() {
            assert_eq!(store.new_epoch(), None);
        }
        assert_eq!(self.untold.len(), store.head.untold.len());
        self.expected.compare(&self.options.uplinks, &seen);
        self.check_notices();
        Ok(())
    }

    /// One of the uplinks.
    pub(super) fn any_uplink(&mut self) -> (UplinkId, String) {
        let index = self.random.usize(0..self.options.uplinks.len());
        let name = self.options.uplinks[index].0.clone();
        (UplinkId(u32::try_from(index).unwrap()), name)
    }

    /// One of an uplink's events in that state, one of the first ones.
    pub(super) fn any_event(&mut self, name: &str, wanted: Now) -> Option<usize> {
        let places = self.expected.uplinks[name].now.places(wanted);
        let first = places.len().min(6);
        (first > 0).then(|| places[self.random.usize(0..first)])
    }
}

fn uplinks(names: &[&str], start_at: StartAt) -> Vec<(String, StartAt)> {
    let one = |name: &&str| ((*name).to_owned(), start_at);
    names.iter().map(one).collect()
}
