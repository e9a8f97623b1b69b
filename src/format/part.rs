//! Parts, scans, materials and tools in an event.

use super::cut::{Lost, Part as Cuttable};
use super::wire::{ReferenceOut, Shown, Text, Time, maybe, reference, text};
use crate::model::{
    MAX_PART_ID, Material, MaterialReport, Part, PartKind, PartScan, PartSource, RejectedScan,
    Tool, ToolReport, Verdict,
};
use serde::Serialize;
use std::fmt::{self, Display, Write};
use uuid::Uuid;

/// Most bytes of a refused scan that are told.
const MAX_RAW_BYTES: usize = 1_024;

/// `data.operation.parts[]`
#[derive(Serialize)]
pub(super) struct PartOut<'a> {
    id: Shown<PartId<'a>>,
    kind: &'static str,
    source: &'static str,
    symbology: Option<Text<'a>>,
    identified_at: Time,
    confidence: &'static str,
    #[serde(flatten)]
    ended: Option<EndedOut>,
}

/// What is known of a part at the end of its operation.
#[derive(Serialize)]
struct EndedOut {
    role: &'static str,
    verdict: &'static str,
}

/// An id as it may stand on the wire: printable ASCII, 1 to [`MAX_PART_ID`] characters. What is not becomes `?`.
struct PartId<'a>(&'a str);

impl Display for PartId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('?');
        }
        self.0.chars().take(MAX_PART_ID).try_for_each(|c| {
            let printable = c == ' ' || c.is_ascii_graphic();
            f.write_char(if printable { c } else { '?' })
        })
    }
}

/// A part of an open operation.
pub(super) fn part(part: &Part) -> PartOut<'_> {
    PartOut {
        id: Shown(PartId(&part.id)),
        kind: part.kind.word(),
        source: part.source.word(),
        symbology: text(&part.symbology),
        identified_at: Time(part.identified_at),
        confidence: match part.source {
            PartSource::Gateway => "generated",
            PartSource::Barcode | PartSource::Rfid | PartSource::Plc => "read",
        },
        ended: None,
    }
}

/// A part of an operation that ended with this verdict.
pub(super) fn ended_part(known: &Part, verdict: Verdict) -> PartOut<'_> {
    PartOut {
        ended: Some(EndedOut {
            role: match known.kind {
                PartKind::Carrier => "carrier",
                PartKind::Serial | PartKind::Lot | PartKind::Generated => "produced",
            },
            verdict: verdict.word(),
        }),
        ..part(known)
    }
}

/// `part.identified`
#[derive(Serialize)]
pub(super) struct PartScanOut<'a> {
    part: ScannedPartOut<'a>,
}

#[derive(Serialize)]
struct ScannedPartOut<'a> {
    #[serde(flatten)]
    part: PartOut<'a>,
    reader: Text<'a>,
    operation: Option<Uuid>,
}

/// A part that was scanned.
pub(super) fn identified(report: &PartScan) -> PartScanOut<'_> {
    PartScanOut {
        part: ScannedPartOut {
            part: part(&report.part),
            reader: Text(&report.reader),
            operation: report.operation,
        },
    }
}

/// `part.scan.rejected`
#[derive(Serialize)]
pub(super) struct RejectedOut<'a> {
    scan: ScanOut<'a>,
}

#[derive(Serialize)]
struct ScanOut<'a> {
    reader: Text<'a>,
    reason: &'static str,
    raw_hex: Shown<Hex<'a>>,
    text: Option<Text<'a>>,
}

struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A scan that came to nothing.
pub(super) fn rejected<'a>(report: &'a RejectedScan, lost: &Lost) -> RejectedOut<'a> {
    let raw = match report.raw.get(..MAX_RAW_BYTES) {
        Some(kept) if kept.len() < report.raw.len() => {
            lost.note(Cuttable::RawHex);
            kept
        }
        _ => &report.raw,
    };
    RejectedOut {
        scan: ScanOut {
            reader: Text(&report.reader),
            reason: report.reason.word(),
            raw_hex: Shown(Hex(raw)),
            text: text(&report.text),
        },
    }
}

/// `data.materials[]`
#[derive(Serialize)]
pub(super) struct MaterialOut<'a> {
    id: Text<'a>,
    lot: Option<Text<'a>>,
    #[serde(rename = "use")]
    usage: &'static str,
    quantity: Option<f64>,
    unit: Option<Text<'a>>,
}

/// A material of an operation.
pub(super) fn material(material: &Material) -> MaterialOut<'_> {
    MaterialOut {
        id: Text(&material.id),
        lot: text(&material.lot),
        usage: material.usage.word(),
        quantity: maybe(material.quantity),
        unit: text(&material.unit),
    }
}

/// `material.loaded`
#[derive(Serialize)]
pub(super) struct LoadedOut<'a> {
    material: LotOut<'a>,
    order: Option<ReferenceOut<'a>>,
}

#[derive(Serialize)]
struct LotOut<'a> {
    id: Text<'a>,
    lot: Text<'a>,
    previous: Option<Text<'a>>,
    reader: Text<'a>,
}

/// Another lot of a material.
pub(super) fn loaded(report: &MaterialReport) -> LoadedOut<'_> {
    LoadedOut {
        material: LotOut {
            id: Text(&report.material),
            lot: Text(&report.lot),
            previous: text(&report.previous),
            reader: Text(&report.reader),
        },
        order: reference(&report.order),
    }
}

/// `data.tools[]`
#[derive(Serialize)]
pub(super) struct ToolOut<'a> {
    id: Text<'a>,
    cycles: Option<u64>,
}

/// A tool of an operation.
pub(super) fn tool(tool: &Tool) -> ToolOut<'_> {
    ToolOut {
        id: Text(&tool.id),
        cycles: tool.cycles,
    }
}

/// `tool.changed`
#[derive(Serialize)]
pub(super) struct ToolChangedOut<'a> {
    tool: NewToolOut<'a>,
}

#[derive(Serialize)]
struct NewToolOut<'a> {
    #[serde(flatten)]
    tool: ToolOut<'a>,
    previous: Option<ToolOut<'a>>,
    active_operation: Option<Uuid>,
}

/// Another tool.
pub(super) fn changed(report: &ToolReport) -> ToolChangedOut<'_> {
    ToolChangedOut {
        tool: NewToolOut {
            tool: tool(&report.tool),
            previous: report.previous.as_ref().map(tool),
            active_operation: report.active_operation,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_printable_and_neither_empty_nor_long_whatever_comes() {
        let cases = [
            ("SN-0000001", "SN-0000001"),
            ("a b~", "a b~"),
            ("", "?"),
            ("\u{1d}01\n", "?01?"),
            ("Mühle\u{7f}", "M?hle?"),
        ];
        for (id, expected) in cases {
            assert_eq!(PartId(id).to_string(), expected);
        }
        assert_eq!(PartId(&"x".repeat(10_240)).to_string().len(), MAX_PART_ID);
    }

    #[test]
    fn a_long_scan_is_cut_and_says_so() {
        let mut scan = RejectedScan {
            reader: "scan".into(),
            reason: crate::model::ScanRejection::Pattern,
            text: None,
            raw: b"]029\n".to_vec(),
        };
        let lost = Lost::default();
        let json = serde_json::to_value(rejected(&scan, &lost)).unwrap();
        assert_eq!(json["scan"]["raw_hex"], "5d3032390a");
        assert!(lost.parts().is_empty());
        scan.raw = vec![0xff; 10_240];
        let json = serde_json::to_value(rejected(&scan, &lost)).unwrap();
        assert_eq!(json["scan"]["raw_hex"], "ff".repeat(MAX_RAW_BYTES));
        assert_eq!(lost.parts(), [Cuttable::RawHex]);
    }
}
