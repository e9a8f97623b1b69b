//! Parts, materials, tools and scans: what is worked on and with.

use super::UtcTime;
use super::operation::Reference;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest id of a part on the wire: printable ASCII.
pub const MAX_PART_ID: usize = 128;

/// What the id of a part stands for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// One piece.
    #[default]
    Serial,
    /// Many pieces.
    Lot,
    /// What carries the piece: a pallet, a tray.
    Carrier,
    /// The gateway gave it, since nothing else was there.
    Generated,
}

impl PartKind {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            PartKind::Serial => "serial",
            PartKind::Lot => "lot",
            PartKind::Carrier => "carrier",
            PartKind::Generated => "generated",
        }
    }
}

/// Where the id of a part was learnt.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PartSource {
    /// A code was read.
    #[default]
    Barcode,
    /// A transponder was read.
    Rfid,
    /// The machine says it.
    Plc,
    /// The gateway made it.
    Gateway,
}

impl PartSource {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            PartSource::Barcode => "barcode",
            PartSource::Rfid => "rfid",
            PartSource::Plc => "plc",
            PartSource::Gateway => "gateway",
        }
    }
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 1 to [`MAX_PART_ID`] characters of printable ASCII.
    pub id: String,
    /// What it stands for.
    pub kind: PartKind,
    /// Where it was learnt.
    pub source: PartSource,
    /// The kind of code, where the reader says it.
    pub symbology: Option<String>,
    /// When it was learnt.
    pub identified_at: UtcTime,
}

/// A part was scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartScan {
    /// The part.
    pub part: Part,
    /// The tag that read it.
    pub reader: String,
    /// The operation that it was given to at once.
    pub operation: Option<Uuid>,
}

/// Why a scan came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanRejection {
    /// No pattern fits.
    Pattern,
    /// It waited longer than `valid_for` for its operation.
    Expired,
    /// Another one came before its operation did.
    Replaced,
    /// A check digit is wrong.
    Checksum,
    /// It cannot be an id: empty, too long, or not printable.
    Unusable,
    /// There is no operation that it could belong to.
    NoOperation,
    /// For a reason: the machine has not stood lately.
    NoStop,
}

impl ScanRejection {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ScanRejection::Pattern => "pattern",
            ScanRejection::Expired => "expired",
            ScanRejection::Replaced => "replaced",
            ScanRejection::Checksum => "checksum",
            ScanRejection::Unusable => "unusable",
            ScanRejection::NoOperation => "no_operation",
            ScanRejection::NoStop => "no_stop",
        }
    }
}

/// A scan that was refused, or came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedScan {
    /// The tag that read it.
    pub reader: String,
    /// Why.
    pub reason: ScanRejection,
    /// What was read, as text; `None` where it is not printable.
    pub text: Option<String>,
    /// What was read, as bytes.
    pub raw: Vec<u8>,
}

/// What happens to a material (ISA-95).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MaterialUse {
    /// It is used up.
    #[default]
    Consumed,
    /// It is made.
    Produced,
}

impl MaterialUse {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            MaterialUse::Consumed => "consumed",
            MaterialUse::Produced => "produced",
        }
    }
}

/// A material of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Material {
    /// Its id in the MES's words.
    pub id: String,
    /// The lot that was scanned or that a tag says.
    pub lot: Option<String>,
    /// For the whole operation; `None` where the number of pieces is not known.
    pub quantity: Option<f64>,
    /// UCUM unit.
    pub unit: Option<String>,
    /// What happens to it.
    pub usage: MaterialUse,
}

/// Another lot of a material is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialReport {
    /// Its id in the MES's words.
    pub material: String,
    /// The lot.
    pub lot: String,
    /// The lot before.
    pub previous: Option<String>,
    /// The tag that read it.
    pub reader: String,
    /// The order that it was loaded for.
    pub order: Option<Reference>,
}

/// A tool of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its number or word.
    pub id: String,
    /// Its cycles so far, where the machine counts them.
    pub cycles: Option<u64>,
}

/// Another tool is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolReport {
    /// The tool.
    pub tool: Tool,
    /// The one before.
    pub previous: Option<Tool>,
    /// The open operation, if there is one.
    pub active_operation: Option<Uuid>,
}
