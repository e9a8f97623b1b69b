//! What the gateway says about itself: birth, life, devices, clock, settings, delivery.

use super::{Position, Stamp, UtcTime};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The gateway's first event of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// The gateway's version.
    pub version: &'static str,
    /// Last position before this start; `None` in an empty store.
    pub last: Option<Position>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Operations that were open and go on.
    pub open_operations: Vec<Uuid>,
    /// Why this run numbers from 1 again; `None` when numbering goes on.
    pub new_epoch: Option<EpochReason>,
}

/// Why a new epoch began: the end of the one before could not be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpochReason {
    /// There was no store and no trace of one.
    Created,
    /// There was no store, but something that knows of one.
    StoreMissing,
    /// The newest generation was damaged.
    HeadDamaged,
    /// The side file knows of events that the store does not have.
    TailLost,
    /// The store was written on another box: it was cloned or moved.
    OtherMachine,
}

impl EpochReason {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EpochReason::Created => "created",
            EpochReason::StoreMissing => "store_missing",
            EpochReason::HeadDamaged => "head_damaged",
            EpochReason::TailLost => "tail_lost",
            EpochReason::OtherMachine => "other_machine",
        }
    }

    /// In words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            EpochReason::Created => "the store was created",
            EpochReason::StoreMissing => "the store is empty although events were stored before",
            EpochReason::HeadDamaged => "the newest part of the store was damaged",
            EpochReason::TailLost => "events that were stored last are missing",
            EpochReason::OtherMachine => "the store was written on another machine",
        }
    }

    /// What somebody should look at; nothing for a new store.
    #[must_use]
    pub fn advice(self) -> Option<&'static str> {
        match self {
            EpochReason::Created => None,
            EpochReason::StoreMissing => {
                Some("check whether somebody deleted it or its disk is not mounted")
            }
            EpochReason::HeadDamaged => Some("check the disk; `millgate buffer verify` says more"),
            EpochReason::TailLost => Some(
                "check whether an old copy was put back, and whether the disk keeps what it confirms",
            ),
            EpochReason::OtherMachine => {
                Some("check that no other box runs with a copy of it under the same gateway id")
            }
        }
    }
}

/// Whether a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionState {
    /// It answers.
    Good,
    /// It did not for `lost_after`.
    Lost,
}

/// A device was lost or came back.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionReport {
    /// `PRESS-04.plc`
    pub name: String,
    /// `modbus_tcp`
    pub protocol: &'static str,
    /// Lost or good.
    pub state: ConnectionState,
    /// Since when.
    pub since: Stamp,
    /// The last good answer; `None` if there never was one.
    pub last_good: Option<UtcTime>,
    /// Why it is lost.
    pub error: Option<String>,
    /// How many tags are affected.
    pub affected_tags: u32,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// The gateway's version.
    pub version: &'static str,
    /// Position of the event before this one.
    pub last: Option<Position>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Seconds since this run started, on the boot clock.
    pub up_s: f64,
    /// Operations that are open.
    pub open_operations: Vec<Uuid>,
}

/// What happened to the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// It stepped.
    Step,
    /// It is synchronised from now on; after a start without, this places the events before it.
    Synchronised,
    /// It is synchronised no longer.
    Lost,
}

impl ClockChange {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ClockChange::Step => "step",
            ClockChange::Synchronised => "synchronised",
            ClockChange::Lost => "lost",
        }
    }
}

/// The wall clock changed: how UTC times before this event are to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockReport {
    /// What happened.
    pub kind: ClockChange,
    /// How far UTC moved against the boot clock, in seconds; `None` where that is not known.
    pub delta_s: Option<f64>,
    /// The kernel's boot id, to which the anchor belongs.
    pub boot_id: String,
    /// This instant on both clocks: the anchor from now on.
    pub anchor: Stamp,
    /// Operations that are open.
    pub open_operations: Vec<Uuid>,
}

/// The gateway runs with other settings than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigReport {
    /// Digest of the settings before; `None` where that is not known.
    pub before: Option<String>,
    /// Digest of the settings now.
    pub after: String,
}

/// Why delivery needs somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryAlertKind {
    /// The destination itself is at fault, so nothing is sent to it.
    Paused,
    /// It takes events again.
    Resumed,
    /// Events were parked.
    DeadLetter,
    /// The buffer is filling up.
    BufferHigh,
    /// It is no longer.
    BufferOk,
    /// The buffer accepted nothing for a while, so the machines were not read.
    BufferRefused,
    /// Events were dropped.
    Dropped,
    /// Numbering began anew, in a new epoch.
    NewEpoch,
}

impl DeliveryAlertKind {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            DeliveryAlertKind::Paused => "paused",
            DeliveryAlertKind::Resumed => "resumed",
            DeliveryAlertKind::DeadLetter => "dead_letter",
            DeliveryAlertKind::BufferHigh => "buffer_high",
            DeliveryAlertKind::BufferOk => "buffer_ok",
            DeliveryAlertKind::BufferRefused => "buffer_refused",
            DeliveryAlertKind::Dropped => "dropped",
            DeliveryAlertKind::NewEpoch => "new_epoch",
        }
    }
}

/// Something about delivery that somebody must look at.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryAlert {
    /// The uplink's name; `None` for the buffer.
    pub destination: Option<String>,
    /// What it is.
    pub kind: DeliveryAlertKind,
    /// How many events are concerned; for paused and resumed, how many pauses there were since the alert before; for
    /// buffer_refused, how many stretches; 0 for the buffer's fill level and for a new epoch.
    pub count: u64,
    /// When the oldest of them happened; for buffer_refused, when the first stretch began.
    pub oldest: Option<UtcTime>,
    /// The MES's last code.
    pub last_code: Option<String>,
    /// What happened and what to check.
    pub detail: Option<String>,
    /// How full the buffer is, 0 to 1.
    pub buffer_used_fraction: Option<f64>,
    /// What was dropped.
    pub dropped: Option<DropNotice>,
}

/// Why stored events were dropped before their uplink had a verdict on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DropReason {
    /// Passing events went first when the buffer was full.
    Evicted,
    /// Lasting events went because the buffer was full.
    Full,
    /// Older than `max_age`.
    Aged,
    /// What the disk gave back cannot be read.
    Damaged,
    /// Their uplink left the settings.
    UplinkRemoved,
}

impl DropReason {
    /// All of them, in the order of their indices.
    pub const ALL: [DropReason; 5] = [
        DropReason::Evicted,
        DropReason::Full,
        DropReason::Aged,
        DropReason::Damaged,
        DropReason::UplinkRemoved,
    ];

    /// Its place in [`DropReason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        DropReason::ALL
            .iter()
            .position(|reason| *reason == self)
            .unwrap_or(0)
    }

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            DropReason::Evicted => "evicted",
            DropReason::Full => "full",
            DropReason::Aged => "aged",
            DropReason::Damaged => "damaged",
            DropReason::UplinkRemoved => "uplink_removed",
        }
    }
}

/// Events that were dropped, still to be told: one notice per reason and uplink, which grows until it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropNotice {
    /// Why.
    pub reason: DropReason,
    /// The uplink that did not get them; `None` where it concerns all.
    pub uplink: Option<String>,
    /// How many; of all uplinks, the one that lost most.
    pub count: u64,
    /// The first one.
    pub from: Position,
    /// The last one. Between the two, others may have been kept.
    pub to: Position,
    /// What was found, for damage.
    pub detail: Option<String>,
}

impl DropNotice {
    /// Takes in a later one of the same reason and uplink; false when it is of another.
    pub fn join(&mut self, later: &DropNotice) -> bool {
        let same = self.reason == later.reason && self.uplink == later.uplink;
        if same {
            self.count = self.count.saturating_add(later.count);
            self.from = self.from.min(later.from);
            self.to = self.to.max(later.to);
            self.detail = later.detail.clone().or_else(|| self.detail.take());
        }
        same
    }
}
