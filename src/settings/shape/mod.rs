//! The shape of the YAML file, as serde reads it and as the JSON Schema describes it. Defaults are filled in here.
//!
//! Nothing in this file looks at two keys together: that is `check`. The stages never see it: they get the [`super::Plant`].

mod calendar;
mod device;
mod equipment;
mod http;
mod lines;
mod modbus;
mod mqtt;
mod opc_ua;
mod operation;
mod scan;
mod serial;
mod stop;
mod uplink;

pub use calendar::{Calendar, Dated, Shift};
pub use device::{Deadband, Device, Heartbeat, Linear, Tag, TagType, Timestamps, Trim};
pub use equipment::{Counter, Counts, Equipment, ModeRule, PiecesFrom, StateRule};
pub use http::{
    HeaderText, Http, OAuth2, On202, RejectClass, Request, Response, Said, SendClient, Then, Where,
};
pub use lines::{Decimal, Encoding, LinePart, Lines};
pub use modbus::{Addresses, ByteOrder, ModbusRtu, ModbusTcp};
pub use mqtt::{Mqtt, MqttVersion};
pub use opc_ua::{OpcUa, Reading, Security, SecurityMode, SecurityPolicy, UserCertificate};
pub use operation::{
    Characteristic, ConnectionLoss, Else, FromTag, Limit, MaterialNeed, MissingPart, OnNextStart,
    Operation, Origin, Parameter, ParameterKind, PartFrom, Per, Pieces, Product, PurposeRule,
    ReadPart, Trigger, UnknownProgram,
};
pub use scan::{Bind, Measurement, Purpose, ScanFor, ScanRule, Until};
pub use serial::{Parity, Rs485, Rts};
pub use stop::{
    Alarm, AlarmCode, Downtime, IdealCycle, Indicator, Numbering, PackMl, Performance, Reasons,
    SplitAt, Tools,
};
pub use uplink::{AckTimeout, Acknowledge, Format, OnReject, Secret, StartAt, Tls, Uplink, User};

use super::units::{ByteSize, Period};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A whole settings file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Who this gateway is.
    pub gateway: Gateway,
    /// The one machine of the file; its blocks stand beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Devices of the one machine.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub devices: IndexMap<String, Device>,
    /// The one machine as an equipment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equipment: Option<Equipment>,
    /// What the codes mean that the one machine's readers read, by tag.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub scans: IndexMap<String, Vec<ScanRule>>,
    /// Operations of the one machine.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub operations: IndexMap<String, Operation>,
    /// Gauges beside the one machine, by characteristic.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub measurements: IndexMap<String, Measurement>,
    /// Several machines by name, each with its own blocks, or with `template:` and its arguments.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub machines: IndexMap<String, Machine>,
    /// Shifts by calendar.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub calendars: IndexMap<String, Calendar>,
    /// Where events wait for the MES.
    #[serde(default)]
    pub buffer: Buffer,
    /// Where commands find the running gateway.
    #[serde(default)]
    pub control: Control,
    /// Where events go, by name.
    #[serde(default)]
    pub uplinks: IndexMap<String, Uplink>,
    /// Marks every event as a test: an acceptance run beside the old way.
    #[serde(default)]
    pub shadow: bool,
}

/// Who this gateway is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Unique in the enterprise; letters, digits, `-`, `_` and `.`, at most 64.
    pub id: String,
    /// ISA-95 levels: enterprise, site, area, line, cell; at least the enterprise.
    pub path: Vec<String>,
}

/// A machine of several.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What is read.
    #[serde(default)]
    pub devices: IndexMap<String, Device>,
    /// The machine as an equipment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equipment: Option<Equipment>,
    /// What the codes mean that its readers read, by tag.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub scans: IndexMap<String, Vec<ScanRule>>,
    /// What it does.
    #[serde(default)]
    pub operations: IndexMap<String, Operation>,
    /// Gauges beside it, by characteristic.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub measurements: IndexMap<String, Measurement>,
}

/// A condition in CEL over the machine's tags, `state` and `mode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cel(pub String);

/// A text that is fixed, or comes from a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// From a tag.
    Tag(String),
    /// Fixed.
    Value(String),
}

/// Where events wait for the MES.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buffer {
    /// Directory that holds the state of the gateway.
    #[serde(default = "defaults::buffer_path")]
    pub path: PathBuf,
    /// Payload after which a new generation is begun, 4 to 32 MiB.
    #[serde(default = "defaults::generation_size")]
    pub generation_size: ByteSize,
    /// How often the state of open operations is made durable.
    #[serde(default = "defaults::checkpoint_every")]
    pub checkpoint_every: Period,
    /// Most disk space that the store takes, everything counted; at most 80 % of its file system. When it is full, what was
    /// kept after delivery goes first, then passing events (heartbeats, progress, intervals, indicators), then the oldest.
    #[serde(default = "defaults::max_size")]
    pub max_size: ByteSize,
    /// Events older than that are dropped and reported; time in which the gateway is off does not count.
    #[serde(default = "defaults::max_age")]
    pub max_age: Period,
    /// How long delivered events are kept, so that they can be sent again, as far as `max_size` allows; nothing by default.
    #[serde(default)]
    pub keep_delivered: Period,
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer {
            path: defaults::buffer_path(),
            generation_size: defaults::generation_size(),
            checkpoint_every: defaults::checkpoint_every(),
            max_size: defaults::max_size(),
            max_age: defaults::max_age(),
            keep_delivered: Period::default(),
        }
    }
}

/// The socket through which commands talk to the running gateway; owner and group only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its path; without it `control.sock` in `$RUNTIME_DIRECTORY`, else in `buffer.path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// The values of keys that are left out.
mod defaults {
    use super::{ByteSize, Period};
    use std::path::PathBuf;

    pub(super) fn modbus_port() -> u16 {
        502
    }
    pub(super) fn unit() -> u8 {
        1
    }
    pub(super) fn timeout() -> Period {
        Period::from_millis(500)
    }
    pub(super) fn deadband_heartbeat() -> Period {
        Period::from_millis(60_000)
    }
    pub(super) fn max_line() -> u16 {
        1_024
    }
    pub(super) fn publishing_interval() -> Period {
        Period::from_millis(500)
    }
    pub(super) fn opc_ua_timeout() -> Period {
        Period::from_millis(5_000)
    }
    pub(super) fn slot() -> String {
        "1".into()
    }
    pub(super) fn max_duration() -> Period {
        Period::from_millis(24 * 3_600_000)
    }
    pub(super) fn valid_for() -> Period {
        Period::from_millis(600_000)
    }
    pub(super) fn same_within() -> Period {
        Period::from_millis(5_000)
    }
    pub(super) fn late_window() -> Period {
        Period::from_millis(30_000)
    }
    pub(super) fn interval() -> Period {
        Period::from_millis(900_000)
    }
    pub(super) fn part_source() -> crate::model::PartSource {
        crate::model::PartSource::Plc
    }
    pub(super) fn pass_needs_good_fraction() -> f64 {
        0.98
    }
    pub(super) fn buffer_path() -> PathBuf {
        "/var/lib/millgate".into()
    }
    pub(super) fn generation_size() -> ByteSize {
        ByteSize(8 << 20)
    }
    pub(super) fn checkpoint_every() -> Period {
        Period::from_millis(5_000)
    }
    pub(super) fn max_size() -> ByteSize {
        ByteSize(1 << 30)
    }
    pub(super) fn max_age() -> Period {
        Period::from_millis(30 * 86_400_000)
    }
    pub(super) fn all_events() -> Vec<String> {
        vec!["*".into()]
    }
    pub(super) fn topic() -> String {
        "{enterprise}/{site}/{area}/{line}/{equipment}/_mes/evt/{type}".into()
    }
    pub(super) fn window() -> u16 {
        64
    }
    pub(super) fn keep_alive() -> Period {
        Period::from_millis(15_000)
    }
    pub(super) fn ack_first() -> Period {
        Period::from_millis(30_000)
    }
    pub(super) fn ack_then_up_to() -> Period {
        Period::from_millis(600_000)
    }
    pub(super) fn http_timeout() -> Period {
        Period::from_millis(30_000)
    }
    pub(super) fn http_in_flight() -> u8 {
        8
    }
    pub(super) fn http_batch() -> u8 {
        1
    }
}
