//! Why an event was parked, and how many are: what the buffer keeps, delivery decides, and aggregation tells.

use super::UtcTime;
use serde::{Deserialize, Serialize};

/// Most groups of parked events of one uplink that are told apart; what is beyond has no code of its own.
pub const MAX_PARKED_GROUPS: usize = 32;

/// Why an event was parked: who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ParkClass {
    /// The destination does not understand it: a matter for who set the interface up.
    Schema,
    /// The destination understands it and does not want it: a matter for who plans the orders.
    Business,
    /// It fails again and again while others pass.
    Suspect,
    /// It would have held the others back.
    Held,
}

impl ParkClass {
    /// The word on the wire and in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ParkClass::Schema => "schema",
            ParkClass::Business => "business",
            ParkClass::Suspect => "suspect",
            ParkClass::Held => "held",
        }
    }
}

/// Events that one uplink has parked for the same reason: one closed order must not make 10,000 alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedGroup {
    /// Why they are parked.
    pub class: ParkClass,
    /// The destination's last code; `None` where it gave none.
    pub code: Option<String>,
    /// How many are parked.
    pub count: u64,
    /// When the oldest of them happened; `None` when there is none any more.
    pub oldest: Option<UtcTime>,
    /// How many came to it in this run, those that were there at the start included. Only rises; without alerts about
    /// delivery, so that one that is parked itself makes no further one.
    pub came: u64,
}
