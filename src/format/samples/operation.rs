//! Operations, and what is told about them.

use super::after;
use crate::model::{
    CharacteristicResult, CorrectedReport, Counts, Coverage, DataQuality, EndCause, Ending, Flag,
    Interpolation, LimitReport, LimitsUsed, Material, MaterialReport, MaterialUse, Mode,
    OperationReport, Outcome, ParameterReport, Part, PartKind, PartScan, PartSource, ProfileReport,
    ProgressReport, QualityReport, Reference, RejectedScan, SampleCounts, ScanRejection,
    SequenceReport, Severity, Side, Statistics, Tool, ToolReport, Verdict,
};
use uuid::Uuid;

pub(in crate::format) fn operation(ending: Option<Ending>) -> Box<OperationReport> {
    Box::new(OperationReport {
        id: Uuid::from_u128(0xb7f7_d1a2_0b3e_5c11_8f52_0000_0000_a001),
        ordinal: 17,
        name: "form".into(),
        segment: Some("0020".into()),
        order: Some(Reference {
            id: "WO-100482".into(),
            source: "plc".into(),
        }),
        product: None,
        lot: None,
        program: None,
        purpose: "production",
        shift: None,
        operator: None,
        parts: Vec::new(),
        reason: None,
        mode_at_start: Mode::Production,
        started_at: after(0.0),
        device_time: false,
        flags: Vec::new(),
        revision: 0,
        ending,
    })
}

pub(in crate::format) fn ending() -> Ending {
    Ending {
        ended_at: after(3.52),
        duration_s: Some(3.52),
        active_s: Some(3.52),
        paused_s: Some(0.0),
        outcome: Outcome::Completed,
        end_cause: EndCause::Trigger,
        abort_reason: None,
        recovered: false,
        end_uncertainty_s: None,
        parameters: vec![parameter(200)],
        quality: vec![characteristic(Verdict::Fail)],
        verdict: Verdict::Fail,
        counts: Counts {
            book: true,
            cycles: 1,
            reject: Some(1),
            ..Counts::default()
        },
        tools: Vec::new(),
        materials: Vec::new(),
        data_quality: DataQuality {
            samples_expected: Some(352),
            samples_received: 352,
            good_fraction: Some(1.0),
            gap_fraction: Some(0.0),
            longest_gap_s: 0.0,
            connection_losses: 0,
            clock_stepped: false,
            late_samples: 0,
        },
    }
}

pub(in crate::format) fn parameter(points: u32) -> ParameterReport {
    ParameterReport {
        name: "forming_pressure".into(),
        unit: Some("bar".into()),
        interpolation: Interpolation::Linear,
        samples: SampleCounts {
            count: 352,
            good: 352,
            expected: Some(352),
            ..SampleCounts::default()
        },
        stats: Statistics {
            first: Some(11.2),
            last: Some(14.0),
            min: Some((11.2, 0.0)),
            max: Some((251.4, 1.241)),
            mean: Some(186.9),
            stddev: Some(44.8),
            time_weighted_mean: Some(187.03),
            integral: Some(658.34),
            duration_s: None,
            percentiles: vec![(5.0, Some(12.9)), (50.0, Some(201.1)), (99.9, Some(251.0))],
            percentile_method: Some("exact"),
        },
        coverage: Coverage {
            good_fraction: Some(1.0),
            gap_fraction: Some(0.0),
            longest_gap_s: 0.0,
        },
        limits: Some(LimitsUsed {
            statistic: "max".into(),
            low: Some(235.0),
            target: Some(242.0),
            high: Some(250.0),
            version: Some("7".into()),
        }),
        profile: Some(ProfileReport {
            max_points: points,
            source_points: 352,
            t: (0..points).map(|i| f64::from(i) / 100.0).collect(),
            v: (0..points)
                .map(|i| (f64::from(i) * 0.1).sin() * 123.456)
                .collect(),
        }),
        sequence: None,
    }
}

pub(in crate::format) fn characteristic(verdict: Verdict) -> CharacteristicResult {
    CharacteristicResult {
        id: "0020-10".into(),
        characteristic: "forming_pressure.max".into(),
        value: Some(251.4),
        unit: Some("bar".into()),
        low: Some(235.0),
        target: Some(242.0),
        high: Some(250.0),
        limits_version: Some("7".into()),
        verdict,
        measured_at: after(1.241),
    }
}

pub(in crate::format) fn aborted() -> Ending {
    Ending {
        outcome: Outcome::Aborted,
        end_cause: EndCause::AbortTrigger,
        abort_reason: Some("17".into()),
        ..ending()
    }
}

/// An operation of which all is known that can be known at its start.
pub(in crate::format) fn identified(ending: Option<Ending>) -> Box<OperationReport> {
    let known = |id: &str, source: &str| {
        Some(Reference {
            id: id.into(),
            source: source.into(),
        })
    };
    Box::new(OperationReport {
        product: known("BRACKET", "plc"),
        lot: known("COIL-55120", "barcode"),
        program: known("O1001", "plc"),
        operator: known("OP-0042", "barcode"),
        shift: Some("2026-11-22/early".into()),
        parts: vec![part()],
        revision: 1,
        flags: vec![Flag::LatePartId],
        ..*operation(ending)
    })
}

pub(in crate::format) fn part() -> Part {
    Part {
        id: "SN-0091823".into(),
        kind: PartKind::Serial,
        source: PartSource::Barcode,
        symbology: Some("datamatrix".into()),
        identified_at: after(-0.43),
    }
}

/// An ending with tools, materials and a sequence.
pub(in crate::format) fn full_ending() -> Ending {
    let tools = ParameterReport {
        name: "tools_used".into(),
        profile: None,
        sequence: Some(SequenceReport {
            t: vec![0.0, 1.5],
            v: vec!["7".into(), "12".into()],
            changes: 2,
        }),
        ..parameter(0)
    };
    Ending {
        parameters: vec![parameter(200), tools],
        tools: vec![tool()],
        materials: vec![Material {
            id: "BLANK-2MM".into(),
            lot: Some("COIL-55120".into()),
            quantity: Some(1.0),
            unit: Some("1".into()),
            usage: MaterialUse::Consumed,
        }],
        ..ending()
    }
}

pub(in crate::format) fn paused() -> Box<OperationReport> {
    Box::new(OperationReport {
        reason: Some("door".into()),
        ..*operation(None)
    })
}

pub(in crate::format) fn progress() -> Box<ProgressReport> {
    Box::new(ProgressReport {
        operation: OperationReport {
            flags: vec![Flag::LongRunning],
            ..*operation(None)
        },
        index: 3,
        from: after(2_700.0),
        to: after(3_600.0),
        duration_s: Some(900.0),
        parameters: vec![parameter(10)],
        quality: vec![characteristic(Verdict::Pass)],
    })
}

pub(in crate::format) fn corrected() -> Box<CorrectedReport> {
    Box::new(CorrectedReport {
        operation: *identified(Some(full_ending())),
        supersedes: Uuid::from_u128(0x0193_a1f2_6c1e_7b1d_9f55_0000_0002_cf9f),
        reason: "late_part_id",
    })
}

pub(in crate::format) fn scanned() -> PartScan {
    PartScan {
        part: part(),
        reader: "scan".into(),
        operation: None,
    }
}

pub(in crate::format) fn rejected() -> RejectedScan {
    RejectedScan {
        reader: "scan".into(),
        reason: ScanRejection::Pattern,
        text: None,
        raw: b"]029\n".to_vec(),
    }
}

pub(in crate::format) fn limit() -> LimitReport {
    LimitReport {
        operation: identified(None),
        parameter: "forming_pressure".into(),
        unit: Some("bar".into()),
        which: Side::High,
        threshold: 250.0,
        value: 250.1,
        hysteresis: 0.5,
        hold_s: 0.01,
        severity: Severity::High,
        peak: Some(251.4),
        exceeded_s: Some(0.84),
    }
}

pub(in crate::format) fn measurement() -> QualityReport {
    QualityReport {
        results: vec![CharacteristicResult {
            id: "0020-20".into(),
            characteristic: "bore".into(),
            value: Some(12.0031),
            unit: Some("mm".into()),
            low: Some(11.99),
            target: Some(12.0),
            high: Some(12.01),
            limits_version: Some("4".into()),
            verdict: Verdict::Pass,
            measured_at: after(67.49),
        }],
        verdict: Verdict::Pass,
        instrument: Some("GAUGE-12".into()),
        part: Some(part()),
        operation: Some((operation(None).id, "form".into())),
    }
}

pub(in crate::format) fn tool() -> Tool {
    Tool {
        id: "DIE-7731".into(),
        cycles: Some(180_422),
    }
}

pub(in crate::format) fn tool_changed() -> ToolReport {
    ToolReport {
        tool: tool(),
        previous: Some(Tool {
            id: "DIE-7730".into(),
            cycles: None,
        }),
        active_operation: None,
    }
}

pub(in crate::format) fn loaded() -> MaterialReport {
    MaterialReport {
        material: "BLANK-2MM".into(),
        lot: "COIL-55121".into(),
        previous: Some("COIL-55120".into()),
        reader: "scan".into(),
        order: operation(None).order,
    }
}
