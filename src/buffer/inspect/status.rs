//! What a store says about itself, as commands show it and as JSON has it. Pure.

use crate::model::Position;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use uuid::Uuid;

/// A store at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// The directory of the store.
    pub store: PathBuf,
    /// The life of the store, from 1.
    pub epoch: u32,
    /// The newest event; `None` in an empty store, or where it cannot be read.
    pub last: Option<EventLabel>,
    /// The position of the next event.
    #[serde(with = "sequence")]
    pub next: Position,
    /// By the order of the settings, or by name where nobody knows it.
    pub uplinks: Vec<UplinkStatus>,
    /// All generations, damaged ones included.
    pub generations: u64,
    /// The oldest ones, the head and those set aside; what lies between is only counted.
    pub listed: Vec<GenerationStatus>,
    /// Bytes on the disk, everything counted.
    pub used_bytes: u64,
    /// `buffer.max_size`; `None` where nobody knows it.
    pub max_bytes: Option<u64>,
    /// Bytes that are left on the file system.
    pub free_bytes: u64,
    /// Why nothing is accepted at present; `None` where all is well, or no gateway runs.
    pub refusing: Option<String>,
    /// Events of which it is not yet told that they were dropped.
    pub untold: u64,
    /// How long gateways have been running with this store, in nanoseconds: the clock of ages.
    #[serde(default)]
    pub powered_ns: u64,
}

/// What people ask about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLabel {
    /// Its CloudEvents `sequence`.
    #[serde(with = "sequence")]
    pub sequence: Position,
    /// Its type, short: `operation.completed`.
    pub kind: String,
    /// CloudEvents `time`, in nanoseconds since 1970.
    pub time_ns: i64,
    /// The run that made it.
    pub run: Uuid,
}

/// How far one uplink has come, and where its events went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// Its name.
    pub name: String,
    /// Events made durable for it since it exists.
    pub offered: u64,
    /// Events that wait for it in the store.
    pub waiting: u64,
    /// Parked at present.
    pub parked: u64,
    /// Settled by a positive verdict.
    pub delivered: u64,
    /// Left out by its `events:`.
    pub filtered: u64,
    /// Parked, and discarded by somebody.
    pub discarded: u64,
    /// Dropped before it had a verdict, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Everything up to here is settled.
    #[serde(with = "sequence")]
    pub cursor: Position,
    /// The oldest event that waits for it.
    pub oldest: Option<EventLabel>,
    /// Why nothing is sent to it; `None` while it takes events, or where no gateway runs.
    pub paused: Option<String>,
    /// How fast it goes; `None` while it is paused, in the first seconds, or where no gateway runs.
    #[serde(default)]
    pub drain: Option<DrainStatus>,
}

/// How fast an uplink's backlog goes, over the last minute or since it was paused last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// What was looked at, in seconds: 5 to 60.
    pub over_s: f64,
    /// Events settled by a positive verdict, per second.
    pub delivered_per_s: f64,
    /// By how many events per second fewer wait, whatever became of them; negative where it becomes more.
    pub shrinks_per_s: f64,
    /// Seconds until none waits, if it goes on like that; `None` where none waits, or where it does not shrink.
    pub empty_in_s: Option<f64>,
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// The name of its directory.
    pub name: String,
    /// The position of its first record.
    #[serde(with = "sequence")]
    pub first: Position,
    /// Records by their numbers; `None` where its end is not known.
    pub records: Option<u64>,
    /// Bytes on the disk.
    pub bytes: u64,
    /// What it is.
    pub kind: Kind,
}

/// What a generation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is written to.
    Head,
    /// It is full, and drained.
    Older,
    /// It was set aside.
    Damaged,
}

/// Positions as the CloudEvents `sequence`.
mod sequence {
    use crate::model::Position;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Position, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Position, D::Error> {
        let text = String::deserialize(from)?;
        crate::buffer::listing::parse(&text).ok_or_else(|| D::Error::custom("no sequence"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_the_sequence_of_events_is() {
        let label = EventLabel {
            sequence: Position { epoch: 2, seq: 7 },
            kind: "part.identified".into(),
            time_ns: -1,
            run: Uuid::nil(),
        };
        let text = serde_json::to_string(&label).unwrap();
        assert!(
            text.contains("\"0000000002.00000000000000000007\""),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<EventLabel>(&text).unwrap(), label);
        assert!(serde_json::from_str::<EventLabel>(&text.replace("0000000002.", "2.")).is_err());
    }
}
