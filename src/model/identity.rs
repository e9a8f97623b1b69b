//! Small numbers that stand for configured things, and the place of an event in the store.

use serde::{Deserialize, Serialize};

/// A tag, numbered through all machines of one settings file. Never stored: a new file numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(pub u32);

/// A device, numbered through all machines of one settings file. Never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// An uplink, numbered in the order of the settings file. Never stored: stores know uplinks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UplinkId(pub u32);

impl TagId {
    /// The place in a table of all tags.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl DeviceId {
    /// The place in a table of all devices.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl UplinkId {
    /// The place in a table of all uplinks.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The place of an event in one store: `epoch` rises whenever the old tail cannot be proved, `seq` is gapless and
/// rising from 1 inside an epoch. Inside one store positions are ordered; between stores they mean nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The life of the store, from 1.
    pub epoch: u32,
    /// The event in that life, from 1; 0 stands before the first.
    pub seq: u64,
}

impl std::fmt::Display for Position {
    /// The CloudEvents `sequence`: zero-padded, so that it sorts as text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:010}.{:020}", self.epoch, self.seq)
    }
}
