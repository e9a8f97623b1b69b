//! What the documents say, event by event, and that nothing that is read becomes a document that is none.

use super::super::random_tests::shaken;
use super::super::samples::*;
use super::super::{MAX_EVENT_BYTES, Renderer};
use super::*;
use crate::model::{Body, Counts, Event, PartKind, Reason, StateReport};
use quick_xml::Reader;
use quick_xml::events::Event as Piece;
use serde_json::json;

fn xml(event: &Event) -> String {
    read(&renderer().render(event, after(0.1)).json)
}

fn read(payload: &[u8]) -> String {
    let text = String::from_utf8(document(payload).unwrap()).unwrap();
    assert!(well_formed(&text));
    text
}

/// True for XML whose elements end in the order in which they began.
pub(super) fn well_formed(text: &str) -> bool {
    let mut reader = Reader::from_str(text);
    let mut open = 0_usize;
    loop {
        match reader.read_event() {
            Ok(Piece::Start(_)) => open += 1,
            Ok(Piece::End(_)) => open -= 1,
            Ok(Piece::Eof) => return open == 0,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// The texts of all elements of this name.
fn all<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let ends = format!("</{name}>");
    (text.split(&format!("<{name}")).skip(1))
        .filter(|rest| rest.starts_with(['>', ' ']))
        .filter_map(|rest| rest.split_once('>')?.1.split(&ends).next())
        .collect()
}

fn mapped() -> impl Iterator<Item = Event> {
    let events = ordinary().into_iter().chain(extreme());
    events.filter(|event| maps(event.kind()))
}

/// An ended operation with a short profile.
fn completed() -> Event {
    let mut ending = full_ending();
    ending.parameters[0] = parameter(2);
    event(Body::OperationCompleted(identified(Some(ending))))
}

#[test]
fn whole_documents_read_as_they_should() {
    let exceeded = event(Body::LimitExceeded(limit()));
    let faulted = event(Body::State(StateReport {
        reason: Some(reason()),
        ..state()
    }));
    let cases = [
        (completed(), include_str!("documents/completed.xml")),
        (exceeded, include_str!("documents/limit_exceeded.xml")),
        (faulted, include_str!("documents/state_changed.xml")),
    ];
    for (event, expected) in cases {
        let text = lines(&xml(&event));
        assert_eq!(text, expected, "\n{text}");
    }
}

/// A line for each element and one for each value, so that a difference can be found.
fn lines(text: &str) -> String {
    let mut text = text.replace("><", ">\n<") + "\n";
    for name in ["ValueString", "DataType", "UnitOfMeasure", "Key", "/Value"] {
        for prefix in ["", "b:"] {
            let ends = name
                .strip_prefix('/')
                .map(|name| format!("/{prefix}{name}>"));
            let begins = ends.unwrap_or_else(|| format!("{prefix}{name}>"));
            text = text.replace(&format!("\n<{begins}"), &format!("<{begins}"));
        }
    }
    text
}

#[test]
fn operations_and_four_others_have_a_document() {
    for event in ordinary() {
        let name = event.kind().name();
        let others = ["equipment.state.changed", "quality.result"];
        let expected = ["operation.", "parameter.limit."];
        let expected =
            others.contains(&name) || expected.iter().any(|group| name.starts_with(group));
        assert_eq!(maps(event.kind()), expected, "{name}");
        let document = document(&renderer().render(&event, after(0.1)).json);
        match document {
            Ok(_) => assert!(expected, "{name}"),
            Err(B2mmlError::Unmapped(kind)) => {
                assert!(!expected && kind == format!("millgate.{name}.v1"), "{kind}");
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn each_event_of_an_operation_says_what_to_do_and_in_which_state_it_is() {
    let mut broken = corrected();
    broken.operation.ending = Some(aborted());
    let cases = [
        (
            Body::OperationStarted(operation(None)),
            "Add",
            Some("Running"),
        ),
        (Body::OperationIdentified(identified(None)), "Change", None),
        (Body::OperationPaused(paused()), "Change", Some("Paused")),
        (Body::OperationResumed(paused()), "Change", Some("Running")),
        (
            Body::OperationProgress(progress()),
            "Change",
            Some("Running"),
        ),
        (
            Body::OperationCompleted(operation(Some(ending()))),
            "Add",
            Some("Completed"),
        ),
        (
            Body::OperationAborted(operation(Some(aborted()))),
            "Add",
            Some("Aborted"),
        ),
        (
            Body::OperationCorrected(corrected()),
            "Change",
            Some("Completed"),
        ),
        (Body::OperationCorrected(broken), "Change", Some("Aborted")),
    ];
    for (body, action, state) in cases {
        let event = event(body);
        let text = xml(&event);
        let name = event.kind().name();
        assert!(text.contains(&format!("actionCode=\"{action}\"")), "{name}");
        for element in ["PerformanceState", "ResponseState", "SegmentState"] {
            assert_eq!(all(&text, element).first().copied(), state, "{name}");
        }
        let id = operation(None).id.to_string();
        assert_eq!(
            all(&text, "ID")
                .iter()
                .filter(|found| **found == id)
                .count(),
            3,
            "{name}"
        );
    }
}

#[test]
fn why_stands_with_the_change() {
    let paused = xml(&event(Body::OperationPaused(paused())));
    assert_eq!(all(&paused, "ReasonCode"), ["door"]);
    assert_eq!(all(&paused, "FromStateCode"), ["Running"]);
    let aborted = xml(&event(Body::OperationAborted(operation(Some(aborted())))));
    assert_eq!(all(&aborted, "ReasonCode"), ["17"]);
    let corrected = xml(&event(Body::OperationCorrected(corrected())));
    assert_eq!(all(&corrected, "ReasonCode"), ["late_part_id"]);
    assert!(corrected.contains("<ValueString>0193a1f2-6c1e-7b1d-9f55-00000002cf9f</ValueString><DataType>string</DataType><Key>supersedes.id</Key>"));
}

/// An ended operation with so many parts, which may be booked or not.
fn made(parts: usize, book: bool) -> String {
    let mut ending = ending();
    ending.counts = Counts {
        book,
        cycles: 1,
        good: Some(11),
        reject: Some(1),
        rework: Some(0),
        undetermined: None,
    };
    let mut report = identified(Some(ending));
    report.parts = vec![part(); parts];
    xml(&event(Body::OperationCompleted(report)))
}

#[test]
fn the_quantities_of_what_was_produced_are_what_may_be_booked() {
    for parts in [0, 1, 2] {
        let booked = made(parts, true);
        assert_eq!(all(&booked, "QuantityString"), ["11", "1"], "{parts}");
        assert!(booked.contains("<QuantityString>11</QuantityString><DataType>integer</DataType><UnitOfMeasure>1</UnitOfMeasure><Key>good</Key>"));
        assert!(
            all(&made(parts, false), "QuantityString").is_empty(),
            "{parts}"
        );
        assert_eq!(all(&booked, "MaterialSubLotID").len(), parts);
        // One part is the product; several stand beside it.
        let actuals = if parts < 2 { 1 } else { parts + 1 };
        assert_eq!(all(&booked, "MaterialActual").len(), actuals);
        assert_eq!(all(&booked, "TestResult").len(), actuals);
    }
}

#[test]
fn parts_stand_where_their_kind_belongs() {
    let of = |kind: PartKind| {
        let mut report = identified(None);
        report.parts[0].kind = kind;
        xml(&event(Body::OperationIdentified(report)))
    };
    assert!(
        of(PartKind::Serial)
            .contains("<MaterialSubLotID schemeName=\"serial\">SN-0091823</MaterialSubLotID>")
    );
    assert!(of(PartKind::Generated).contains("<MaterialSubLotID schemeName=\"generated\">"));
    assert_eq!(
        all(&of(PartKind::Lot), "MaterialLotID"),
        ["COIL-55120", "SN-0091823"]
    );
    let carrier = of(PartKind::Carrier);
    assert_eq!(all(&carrier, "PhysicalAssetID"), ["SN-0091823"]);
    assert_eq!(all(&carrier, "PhysicalAssetUse"), ["Carrier"]);
    assert_eq!(
        all(&carrier, "MaterialLotID"),
        ["COIL-55120"],
        "the product is still there"
    );
}

#[test]
fn a_test_is_of_no_type_that_a_mes_books() {
    let mut shadow = plant();
    shadow.shadow = true;
    for event in mapped() {
        let text = read(&Renderer::new(&shadow).render(&event, after(0.1)).json);
        let types = text
            .matches("OperationsType OtherValue=\"Test\">Other<")
            .count();
        assert!(types > 0, "{:?}", event.kind());
        assert_eq!(
            text.matches("OperationsType>").count(),
            types,
            "{:?}",
            event.kind()
        );
        assert!(!xml(&event).contains("OtherValue=\"Test\""));
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    for event in mapped() {
        let text = xml(&event);
        assert!(
            !text.contains(">null<") && !text.contains("NaN"),
            "{:?}",
            event.kind()
        );
    }
    let text = xml(&event(Body::OperationStarted(operation(None))));
    for element in [
        "PersonnelActual",
        "MaterialActual",
        "Endtime",
        "OperationsDefinitionID",
        "TestResult",
    ] {
        assert!(!text.contains(element), "{element}");
    }
}

#[test]
fn what_a_machine_says_arrives_as_it_was_said() {
    let odd = event(Body::State(StateReport {
        reason: Some(Reason {
            code: ODD.into(),
            catalogue: Some("a \"list\"".into()),
            ..reason()
        }),
        ..state()
    }));
    let text = xml(&odd);
    assert!(text.contains("listID=\"a &quot;list&quot;\""), "{text}");
    let shown = "a\u{2400}\u{241b}[31m&quot;\\/\n\u{7f}\u{2028}ü\u{1f527}";
    assert_eq!(all(&text, "b:ReasonCode"), [shown]);
    let mut report = operation(None);
    report.order.as_mut().unwrap().id = "0104012345678901\u{1d}10L7".into();
    let text = xml(&event(Body::OperationStarted(report)));
    assert_eq!(
        all(&text, "OperationsRequestID"),
        ["0104012345678901\u{241d}10L7"]
    );
}

#[test]
fn whatever_comes_becomes_a_document_in_bounds() {
    let seed = fastrand::u64(..);
    let random = shaken(seed, 4, 60);
    for event in mapped().chain(random.into_iter().filter(|event| maps(event.kind()))) {
        let json = renderer().render(&event, after(0.1)).json;
        let text = document(&json).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let text = String::from_utf8(text).unwrap();
        assert!(well_formed(&text), "seed {seed}: {:?}", event.kind());
        assert!(text.len() <= MAX_DOCUMENT_BYTES, "seed {seed}");
    }
}

/// The event whose document grows most: the shortest points with the longest unit that is repeated.
#[test]
fn the_largest_document_of_an_event_is_in_bounds() {
    let mut event: Value =
        serde_json::from_slice(&renderer().render(&completed(), after(0.1)).json).unwrap();
    let parameter = event.pointer_mut("/data/parameters/0").unwrap();
    parameter["unit"] = "&".repeat(64).into();
    let points = MAX_EVENT_BYTES / 4;
    parameter["profile"]["t"] = vec![0; points].into();
    parameter["profile"]["v"] = vec![0; points].into();
    let json = serde_json::to_vec(&event).unwrap();
    assert!(json.len() >= MAX_EVENT_BYTES);
    match document(&json) {
        Ok(document) => assert!(document.len() <= MAX_DOCUMENT_BYTES, "{}", document.len()),
        Err(error) => assert!(matches!(error, B2mmlError::TooLarge), "{error}"),
    }
    event["data"]["parameters"][0]["unit"] = "kN.m/rad".into();
    let usual = document(&serde_json::to_vec(&event).unwrap()).unwrap();
    assert!(usual.len() <= MAX_DOCUMENT_BYTES / 2, "{}", usual.len());
}

#[test]
fn what_is_no_event_is_an_error() {
    let cases: [&[u8]; 6] = [
        b"",
        b"nothing",
        b"{}",
        b"[]",
        b"{\"type\": 7}",
        b"{\"type\": \"millgate.operation.started.v1\"}",
    ];
    for payload in cases {
        assert!(document(payload).is_err());
    }
    let unknown = json!({"type": "millgate.operation.forgotten.v1"}).to_string();
    assert!(matches!(
        document(unknown.as_bytes()),
        Err(B2mmlError::Unmapped(_))
    ));
}
