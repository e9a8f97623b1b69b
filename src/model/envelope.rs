//! What delivery must know about an event without opening it. Stored beside the payload.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The outside of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// CloudEvents `id`: UUIDv5 of source, run and sequence; the same for every retry.
    pub id: Uuid,
    /// The run that made it; nil in replay.
    pub run: Uuid,
    /// Short name: `operation.completed`.
    pub kind: String,
    /// CloudEvents `partitionkey`: deliveries are in order inside one key.
    pub partition_key: String,
    /// The machine; `None` for events of the gateway itself.
    pub equipment: Option<String>,
    /// ISA-95 levels above the equipment: enterprise, site, area, line, cell.
    pub path: Vec<String>,
    /// CloudEvents `time` in nanoseconds since 1970, for people who ask for a range.
    pub time_ns: i64,
}
