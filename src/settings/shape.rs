//! The shape of the YAML file, as serde reads it and as the JSON Schema describes it. Defaults are filled in here.
//!
//! Nothing in this file looks at two keys together: that is `check`. The stages never see it: they get the [`super::Plant`].

use super::units::{ByteSize, Period, Rate};
use crate::model::{Interpolation, Mode, State};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What `verify` says of an address that no device has: which addresses there are depends on `addresses:`.
const ADDRESSES: &str = "0 to 65535, or 1 to 65536 with `addresses: one_based`";

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
    /// Operations of the one machine.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub operations: IndexMap<String, Operation>,
    /// Several machines by name, each with its own blocks.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub machines: IndexMap<String, Machine>,
    /// Where events wait for the MES.
    #[serde(default)]
    pub buffer: Buffer,
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
    /// What it does.
    #[serde(default)]
    pub operations: IndexMap<String, Operation>,
}

/// A device: one of the protocols, and its tags.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// A Modbus TCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modbus_tcp: Option<ModbusTcp>,
    /// How the addresses of the tags are meant. No default: everybody's first mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,
    /// Order of the bytes in values of several registers.
    #[serde(default)]
    pub byte_order: ByteOrder,
    /// Added to every address: one PLC, several machines.
    #[serde(default)]
    pub base: u16,
    /// Most registers in one request, 1 to 125. A value is never split.
    #[serde(default = "defaults::max_registers")]
    #[schemars(range(min = 4, max = 125))]
    pub max_registers: u16,
    /// Registers nobody asked for that may be read along to save a request.
    #[serde(default = "defaults::max_gap")]
    #[schemars(range(min = 0, max = 124))]
    pub max_gap: u16,
    /// Silence after which the device is lost; by default three times its longest period, at least 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_after: Option<Period>,
    /// What is read, by name. Names are unique inside a machine.
    pub tags: IndexMap<String, Tag>,
}

/// A Modbus TCP server (Modbus Messaging on TCP/IP, 1.0b).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModbusTcp {
    /// Name or address.
    pub host: String,
    /// TCP port.
    #[serde(default = "defaults::modbus_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Unit identifier.
    #[serde(default = "defaults::unit")]
    pub unit: u8,
    /// Longest wait for one answer.
    #[serde(default = "defaults::timeout")]
    pub timeout: Period,
}

/// How Modbus addresses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Addresses {
    /// As on the wire: the first register is 0.
    ZeroBased,
    /// As in many manuals: the first register is 1.
    OneBased,
}

/// Order of the bytes of a value in its registers; A is the most significant byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ByteOrder {
    /// Big-endian: as Modbus itself.
    #[default]
    ABCD,
    /// Words swapped.
    CDAB,
    /// Bytes swapped inside each word.
    BADC,
    /// Little-endian.
    DCBA,
}

/// How a value lies in registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagType {
    /// A coil or discrete input, or one bit of a register.
    Bit,
    /// 16 bits, signed.
    I16,
    /// 16 bits, unsigned.
    #[default]
    U16,
    /// 32 bits, signed.
    I32,
    /// 32 bits, unsigned.
    U32,
    /// 64 bits, signed.
    I64,
    /// 64 bits, unsigned; above 2^63 - 1 it is bad.
    U64,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Four decimal digits.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// Characters, two to a register.
    Text,
}

/// What is cut from the end of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trim {
    /// From the first NUL on.
    Nul,
    /// Spaces at the end.
    Space,
}

/// One value of a device.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Address of a holding register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub holding: Option<u32>,
    /// Address of an input register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub input: Option<u32>,
    /// Address of a coil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub coil: Option<u32>,
    /// Address of a discrete input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-range" = ADDRESSES))]
    pub discrete: Option<u32>,
    /// How the value lies in the registers; `u16` for registers, `bit` for coils and discrete inputs.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<TagType>,
    /// For `type: bit` in a register: which, 0 the least significant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 15))]
    pub bit: Option<u8>,
    /// For `type: text`: bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 240))]
    pub length: Option<u16>,
    /// For `type: text`: what is cut from its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trim: Vec<Trim>,
    /// Instead of the device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_order: Option<ByteOrder>,
    /// Period of reading.
    #[serde(default = "defaults::every")]
    pub every: Period,
    /// Multiplies the raw value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Added after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// Lowest and highest believable value, after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// UCUM unit of the value after scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How the value moves between two samples.
    #[serde(default)]
    pub interpolation: Interpolation,
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

/// The machine as an equipment: its state, mode and counters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Equipment {
    /// The first rule that holds is the state. Data that is not known makes it UNKNOWN.
    #[serde(default)]
    pub state: Vec<StateRule>,
    /// The first rule that holds is the mode; none: NONE. Without rules it is PRODUCTION.
    #[serde(default)]
    pub mode: Vec<ModeRule>,
    /// A change must hold that long; its time is the edge that held.
    #[serde(default)]
    pub debounce: Period,
    /// Counters by name.
    #[serde(default)]
    pub counters: IndexMap<String, Counter>,
    /// The one source of pieces that a MES may book.
    #[serde(default)]
    pub pieces_from: PiecesFrom,
}

/// One line of `state:`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateRule {
    /// When it holds; always, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Cel>,
    /// The state.
    pub is: State,
    /// A word for the kind of state, such as `starved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substate: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Source>,
    /// Leaving this state for less than that is not leaving it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Period>,
}

/// One line of `mode:`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeRule {
    /// When it holds; always, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Cel>,
    /// The mode.
    pub is: Mode,
}

/// A counter of the machine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// The tag that counts.
    pub tag: String,
    /// What it counts.
    pub counts: Counts,
    /// It runs from 0 to one below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modulus: Option<u64>,
    /// The fastest it can count; tells a wrap from a reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Strokes, shots, turns.
    Cycles,
    /// Pieces made.
    Total,
    /// Good pieces.
    Good,
    /// Rejected pieces.
    Reject,
    /// Pieces to be worked again.
    Rework,
}

impl Counts {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Counts::Cycles => "cycles",
            Counts::Total => "total",
            Counts::Good => "good",
            Counts::Reject => "reject",
            Counts::Rework => "rework",
        }
    }
}

/// The one source of pieces that a MES may book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PiecesFrom {
    /// `operation.completed` and `operation.aborted`.
    #[default]
    Operations,
    /// `production.counted` of counters that count pieces.
    Counters,
    /// Nothing: pieces are booked elsewhere.
    Nothing,
}

/// An operation: what starts and ends it, and what is measured in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// One operation can be open in each slot of a machine.
    #[serde(default = "defaults::slot")]
    pub slot: String,
    /// ISA-95 operations segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Source>,
    /// The order it is done for, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Source>,
    /// The product, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Source>,
    /// The lot, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Source>,
    /// The machine's program, read at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Source>,
    /// Fires when it turns true.
    pub start: Trigger,
    /// Read at the start edge only; never starts anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<Cel>,
    /// Fires when it turns true.
    pub end: Trigger,
    /// Fires when it turns true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Trigger>,
    /// Paused while it holds; leaving it, or a start edge, is the resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Trigger>,
    /// What a start edge does to an operation that runs.
    #[serde(default)]
    pub on_next_start: OnNextStart,
    /// Shorter ones are counted, not reported.
    #[serde(default)]
    pub min_duration: Period,
    /// Longer ones are aborted.
    #[serde(default = "defaults::max_duration")]
    pub max_duration: Period,
    /// A counter that tells after a restart whether it is still the same operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_counter: Option<String>,
    /// Pieces that one operation makes.
    #[serde(default)]
    pub pieces: Pieces,
    /// What is measured, by name.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// What is checked.
    #[serde(default)]
    pub quality: Vec<Characteristic>,
    /// Good data by time that a pass needs, 0 to 1.
    #[serde(default = "defaults::pass_needs_good_fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub pass_needs_good_fraction: f64,
}

/// A condition that fires when it turns true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The condition.
    pub when: Cel,
    /// It must hold that long; the event carries the time of the edge that held.
    #[serde(default)]
    pub debounce: Period,
    /// For `abort`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Source>,
}

/// What a start edge does to an operation that runs in the same slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNextStart {
    /// It is aborted, the next one starts.
    #[default]
    AbortAndStart,
    /// It is completed, the next one starts.
    EndAndStart,
    /// The edge is ignored.
    Ignore,
}

/// Pieces that one operation makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pieces {
    /// So many.
    Fixed(u32),
    /// As a tag says at the end.
    Tag(FromTag),
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces::Fixed(1)
    }
}

/// `{ tag: x }`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTag {
    /// Name of the tag.
    pub tag: String,
}

/// What is measured while an operation is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The tag.
    pub tag: String,
    /// Only while this holds.
    #[serde(default, rename = "while", skip_serializing_if = "Option::is_none")]
    pub during: Option<Cel>,
    /// Most points of the profile; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 1000))]
    pub profile: Option<u32>,
    /// Percentiles, 0 to 100; exact below 1,000 samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub percentiles: Vec<f64>,
}

/// A limit on a statistic of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Characteristic {
    /// Its id in the MES's words.
    pub id: String,
    /// Parameter and statistic: `forming_pressure.max`.
    pub of: String,
    /// Lowest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Highest value that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Version of the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
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
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer {
            path: defaults::buffer_path(),
            generation_size: defaults::generation_size(),
            checkpoint_every: defaults::checkpoint_every(),
        }
    }
}

/// A destination: one of the protocols, and what it gets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uplink {
    /// An MQTT broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<Mqtt>,
    /// An HTTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Whose word settles an event.
    #[serde(default)]
    pub acknowledge: Acknowledge,
    /// Patterns of event names, such as `operation.*`.
    #[serde(default = "defaults::all_events")]
    pub events: Vec<String>,
    /// Where an uplink begins that this store has not seen before.
    #[serde(default)]
    pub start_at: StartAt,
}

/// Whose word settles an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-instead" = { "mes": "the word of the MES itself is not there yet" }))]
pub enum Acknowledge {
    /// The broker's PUBACK, or the HTTP server's 2xx.
    #[default]
    Broker,
}

/// Where a new uplink begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With the next event.
    #[default]
    Newest,
    /// With the oldest event in the store.
    Oldest,
}

/// An MQTT broker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    pub url: String,
    /// Protocol version: `5`, or `3` for 3.1.1.
    #[serde(default)]
    pub version: MqttVersion,
    /// Client id; by default the gateway's id and the uplink's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Topic template.
    #[serde(default = "defaults::topic")]
    pub topic: String,
    /// Who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Certificates, for `mqtts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Events on the way that the broker has not confirmed, 1 to 1000.
    #[serde(default = "defaults::window")]
    #[schemars(range(min = 1, max = 1000))]
    pub window: u16,
    /// Silence after which the connection is probed.
    #[serde(default = "defaults::keep_alive")]
    pub keep_alive: Period,
}

/// MQTT protocol version, as YAML numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum MqttVersion {
    /// 3.1.1, written `3`.
    V3,
    /// 5, written `5`.
    #[default]
    V5,
}

impl TryFrom<u8> for MqttVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            3 => Ok(MqttVersion::V3),
            5 => Ok(MqttVersion::V5),
            other => Err(format!(
                "MQTT version {other} is not known: write 5, or 3 for 3.1.1"
            )),
        }
    }
}

impl From<MqttVersion> for u8 {
    fn from(version: MqttVersion) -> u8 {
        match version {
            MqttVersion::V3 => 3,
            MqttVersion::V5 => 5,
        }
    }
}

impl JsonSchema for MqttVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MqttVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "MQTT protocol version: 5, or 3 for 3.1.1",
            "enum": [3, 5],
            "x-instead": {
                "3.1": "`3` means MQTT 3.1.1",
                "3.1.1": "`3` means MQTT 3.1.1",
                "4": "`3` means MQTT 3.1.1",
                "5.0": "`5` means MQTT 5.0",
            }
        })
    }
}

/// A name and a password.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User name.
    pub name: String,
    /// Where the password is.
    pub password: Secret,
}

/// Certificates.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the authorities to trust; needed, since a box has no business with the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of the own certificate chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Where the own key is (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
}

/// Where a secret is. It never stands in the file itself, is read anew at each connect, and is never printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Secret {
    /// `$CREDENTIALS_DIRECTORY/NAME`, as systemd provides it.
    Credential(String),
    /// A file.
    File(PathBuf),
}

/// An HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where each event is posted: `http://` or `https://`.
    pub url: String,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// Basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<User>,
    /// Certificates, for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Longest wait for one answer.
    #[serde(default = "defaults::http_timeout")]
    pub timeout: Period,
}

/// The values of keys that are left out.
mod defaults {
    use super::{ByteSize, Period};
    use std::path::PathBuf;

    pub(super) fn max_registers() -> u16 {
        125
    }
    pub(super) fn max_gap() -> u16 {
        16
    }
    pub(super) fn modbus_port() -> u16 {
        502
    }
    pub(super) fn unit() -> u8 {
        1
    }
    pub(super) fn timeout() -> Period {
        Period::from_millis(500)
    }
    pub(super) fn every() -> Period {
        Period::from_millis(1_000)
    }
    pub(super) fn slot() -> String {
        "1".into()
    }
    pub(super) fn max_duration() -> Period {
        Period::from_millis(24 * 3_600_000)
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
    pub(super) fn http_timeout() -> Period {
        Period::from_millis(30_000)
    }
}
