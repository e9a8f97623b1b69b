//! The places of a database in their order, as sled gives them; where asked to, around those that it cannot give.
//!
//! A page that cannot be read takes the nine places in it along, and an index page some thousands: so it is tried behind
//! them place by place first, then in growing steps.

use super::frame::Bent;
use super::{names_a_cause, panic_text};
use sled::{Db, IVec};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Steps of one place behind what cannot be read: more than a page holds. Further ones double.
const SINGLE_STEPS: u32 = 64;
/// Steps without a place before it counts as the end: they lead past any database by then.
const MAX_STEPS: u32 = SINGLE_STEPS + 40;

/// Why frames cannot be read or written.
#[derive(Debug)]
pub(super) enum SlotError {
    /// sled cannot.
    Sled(sled::Error),
    /// What it gives makes no sense.
    Bent(String),
    /// It is whole, and not of this layout.
    Foreign(String),
}

impl From<sled::Error> for SlotError {
    fn from(error: sled::Error) -> SlotError {
        SlotError::Sled(error)
    }
}

impl From<Bent> for SlotError {
    fn from(bent: Bent) -> SlotError {
        match bent {
            Bent::Damaged(reason) => SlotError::Bent(reason.to_owned()),
            Bent::Layout(version) => SlotError::Foreign(format!("layout {version} of its frames")),
        }
    }
}

impl SlotError {
    /// In words, where it is damage: what cannot be read, and no refusal of the system.
    pub(super) fn damage(self) -> Result<String, SlotError> {
        match self {
            SlotError::Bent(reason) => Ok(reason),
            SlotError::Sled(sled::Error::Io(source)) if names_a_cause(&source) => {
                Err(SlotError::Sled(sled::Error::Io(source)))
            }
            SlotError::Sled(error) => Ok(error.to_string()),
            SlotError::Foreign(found) => Err(SlotError::Foreign(found)),
        }
    }
}

/// Does something with sled; a panic of it is damage.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, SlotError>) -> Result<T, SlotError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => Err(SlotError::Bent(panic_text(panic.as_ref()))),
    }
}

/// A walk through the places of a database.
pub(super) struct Places<'a> {
    database: &'a Db,
    next: u64,
    open: Option<sled::Iter>,
    /// Go on behind what cannot be read.
    around: bool,
    steps: u32,
    harm: Option<String>,
}

impl<'a> Places<'a> {
    /// Those from `from` on.
    pub(super) fn from(database: &'a Db, from: u64, around: bool) -> Places<'a> {
        Places {
            database,
            next: from,
            open: None,
            around,
            steps: 0,
            harm: None,
        }
    }

    /// The next place and what lies in it.
    pub(super) fn next(&mut self) -> Result<Option<(u64, IVec)>, SlotError> {
        while self.steps < MAX_STEPS {
            match caught(|| self.item()) {
                Ok(Some((slot, value))) => {
                    self.steps = 0;
                    self.next = slot.saturating_add(1);
                    return Ok(Some((slot, value)));
                }
                Ok(None) => return Ok(None),
                Err(error) if !self.around => return Err(error),
                Err(error) => {
                    let reason = error.damage()?;
                    self.harm.get_or_insert(reason);
                    self.open = None;
                    let step = 1_u64 << self.steps.saturating_sub(SINGLE_STEPS);
                    self.next = self.next.saturating_add(step);
                    self.steps += 1;
                }
            }
        }
        Ok(None)
    }

    /// What could not be read, in words, if anything.
    pub(super) fn harm(self) -> Option<String> {
        self.harm
    }

    fn item(&mut self) -> Result<Option<(u64, IVec)>, SlotError> {
        let from = key(self.next);
        let open = self.open.get_or_insert_with(|| self.database.range(from..));
        let Some((key, value)) = open.next().transpose()? else {
            return Ok(None);
        };
        let found = <[u8; 8]>::try_from(key.as_ref());
        let slot = found.map(u64::from_be_bytes).map_err(|_| {
            SlotError::Foreign("its records are keys of their own, as in an earlier layout".into())
        })?;
        Ok(Some((slot, value)))
    }
}

/// The key of a place.
pub(super) fn key(slot: u64) -> [u8; 8] {
    slot.to_be_bytes()
}
