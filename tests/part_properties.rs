//! Where parts go, whatever operators and machines do: scans of every kind before, during and after operations of two slots,
//! repeats, power cuts. Runs through the code of `millgate replay`; proptest prints the input of a failure.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// Something that happens, so many milliseconds after what came before.
#[derive(Clone, Debug)]
enum Happening {
    /// The machine shows these bits.
    Status(u8),
    /// Another part is scanned, with this prefix.
    Scan(&'static str),
    /// The same code once more, soon.
    Again,
    /// The power is off for so long.
    PowerCut(u32),
}

fn happenings() -> impl Strategy<Value = Vec<(u32, Happening)>> {
    let prefix = prop::sample::select(&["SN", "S1", "CU", "LA", "XX"][..]);
    let what = prop_oneof![
        8 => (0..4u8).prop_map(Happening::Status),
        8 => prefix.prop_map(Happening::Scan),
        2 => Just(Happening::Again),
        1 => (500..9_000u32).prop_map(Happening::PowerCut),
    ];
    let gap = prop_oneof![1 => Just(0), 6 => 1..1_500u32, 4 => 1_500..6_000u32];
    prop::collection::vec((gap, what), 1..60)
}

/// The capture, and the codes that were scanned in it.
fn capture(happenings: &[(u32, Happening)], waits: bool) -> (String, Vec<String>) {
    let mut lines = String::new();
    let mut codes: Vec<String> = Vec::new();
    let (mut t, mut scanned_at, mut status) = (0, 0, 0);
    // That a code was repeated is on disk some seconds later.
    let (mut repeated, mut forgotten) = (false, false);
    let mut line = |t: u32, mut what: Value| {
        what["t"] = json!(f64::from(t) / 1_000.0);
        lines.push_str(&format!("{what}\n"));
    };
    let reader = if waits { "GATE-1.scan" } else { "scan" };
    let tag = if waits { "PRESS-04.status" } else { "status" };
    line(0, json!({"tag": tag, "value": 0}));
    for (gap, happening) in happenings {
        t += gap;
        match happening {
            Happening::Status(bits) => {
                status = *bits;
                line(t, json!({"tag": tag, "value": bits}));
            }
            Happening::Scan(prefix) => {
                codes.push(format!("{prefix}-{:07}", codes.len()));
                (scanned_at, repeated, forgotten) = (t, false, false);
                line(t, json!({"tag": reader, "value": codes.last()}));
            }
            Happening::Again => {
                // What found no operation is tried again: that is another scan, and tried elsewhere.
                let last = codes.last().filter(|code| code.starts_with('S'));
                if let Some(code) = last.filter(|_| !forgotten && t - scanned_at < 5_000) {
                    (scanned_at, repeated) = (t, true);
                    line(t, json!({"tag": reader, "value": code}));
                }
            }
            Happening::PowerCut(ms) => {
                // What the disk does not have yet is lost: nothing has come lately.
                t += 1_000;
                forgotten |= repeated;
                line(t, json!({"power": "off"}));
                t += ms;
                line(t, json!({"power": "on"}));
                t += 100;
                line(t, json!({"tag": tag, "value": status}));
            }
        }
    }
    line(t + 60_000, json!({"end": true}));
    (lines, codes)
}

/// `choice` picks how operations begin and end. `waits`: the reader is another machine's, and the press half a second behind.
fn settings(choice: usize, waits: bool) -> String {
    let borders = [
        ("", "", ""),
        (", debounce: 400ms", ", trailing: 1s", ""),
        ("", ", debounce: 300ms", "min_duration: 2s, "),
        (
            ", debounce: 1s",
            ", debounce: 1s, trailing: 2s",
            "min_duration: 3s, part: { missing: generate, late_window: 4s }, ",
        ),
    ];
    let (start, end, more) = borders[choice];
    let operation = |slot: u8| {
        let bit = slot - 1;
        format!(
            "form{slot}: {{ slot: \"{slot}\", {more}start: {{ when: \"bit(status, {bit})\"{start} }}, end: {{ when: \"!bit(status, {bit})\"{end} }} }}"
        )
    };
    let operations = format!("operations: {{ {}, {} }}", operation(1), operation(2));
    let to = if waits { ", machine: PRESS-04" } else { "" };
    let rule = |prefix: &str, more: &str| {
        format!("{{ pattern: \"^{prefix}-[0-9]+$\", is: part, valid_for: 8s{more}{to} }}")
    };
    let rules = [
        rule("SN", ""),
        rule("S1", ", slot: \"1\""),
        rule("CU", ", bind: current_operation"),
        rule("LA", ", bind: last_operation"),
    ];
    let scanner = "scanner: { lines: { tcp: \"127.0.0.1:2001\" }, tags: { scan: { line: text } } }";
    let plc = if waits {
        "plc: { opc_ua: { endpoint: \"opc.tcp://127.0.0.1:4840\" }, timestamps: source, tags: { status: { node: \"ns=2;s=Status\", type: u16, every: 50ms } } }"
    } else {
        "plc: { modbus_tcp: { host: 127.0.0.1 }, addresses: zero_based, tags: { status: { holding: 1, type: u16, every: 50ms } } }"
    };
    let scans = format!("scans: {{ scan: [{}] }}", rules.join(", "));
    let gateway = "gateway: { id: case-gw01, path: [EXAMPLE, PLANT1, PRESSHOP] }";
    if waits {
        format!(
            "{gateway}\nmachines:\n  GATE-1:\n    devices: {{ {scanner} }}\n    {scans}\n  PRESS-04:\n    devices: {{ {plc} }}\n    {operations}\n"
        )
    } else {
        format!(
            "{gateway}\nmachine: PRESS-04\ndevices: {{ {plc}, {scanner} }}\n{scans}\n{operations}\n"
        )
    }
}

fn replayed(settings: &str, capture: &str) -> Vec<Value> {
    let loaded = millgate::settings::load(settings).unwrap_or_else(|e| panic!("{e:?}\n{settings}"));
    let mut out = Vec::new();
    millgate::commands::replay::replay(&loaded.plant, capture, &mut out, None).unwrap();
    let lines = String::from_utf8(out).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What was told last of an operation.
#[derive(Debug, Default)]
struct Operation {
    subject: String,
    ordinal: u64,
    revision: u64,
    parts: Vec<String>,
    /// The event that ended or corrected it, and its counts.
    ended: Option<(String, Value)>,
}

/// Operations by id, and what became of each code: how often it was accepted, how often refused.
#[derive(Debug, Default)]
struct Told {
    operations: BTreeMap<String, Operation>,
    accepted: HashMap<String, usize>,
    refused: HashMap<String, usize>,
}

impl Told {
    fn new(events: &[Value]) -> Result<Told, TestCaseError> {
        let mut told = Told::default();
        for event in events {
            let data = &event["data"];
            let kind = event["type"].as_str().unwrap();
            if kind.starts_with("millgate.operation.") {
                told.operation(kind, event)?;
            } else if kind == "millgate.part.identified.v1" {
                let id = data["part"]["id"].as_str().unwrap();
                *told.accepted.entry(id.to_owned()).or_default() += 1;
            } else if kind == "millgate.part.scan.rejected.v1" {
                let text = data["scan"]["text"].as_str().unwrap();
                *told.refused.entry(text.to_owned()).or_default() += 1;
            }
        }
        Ok(told)
    }

    fn operation(&mut self, kind: &str, event: &Value) -> Result<(), TestCaseError> {
        let said = &event["data"]["operation"];
        let subject = event["subject"].as_str().unwrap();
        let own = self.operations.values().filter(|o| o.subject == subject);
        let before = own.count() as u64;
        let id = said["id"].as_str().unwrap().to_owned();
        let revision = said["revision"].as_u64().unwrap_or(0);
        let known = self.operations.entry(id).or_default();
        match kind {
            "millgate.operation.started.v1" => {
                prop_assert_eq!(said["ordinal"].as_u64(), Some(before + 1), "{:#}", event);
                known.ordinal = before + 1;
                subject.clone_into(&mut known.subject);
            }
            "millgate.operation.identified.v1" => {
                prop_assert!(known.ended.is_none(), "after its end: {:#}", event);
                prop_assert_eq!(revision, known.revision + 1, "{:#}", event);
            }
            "millgate.operation.corrected.v1" => known.is_corrected(event, revision)?,
            _ => {
                prop_assert!(known.ended.is_none(), "ended twice: {:#}", event);
                prop_assert_eq!(revision, known.revision, "{:#}", event);
            }
        }
        prop_assert_eq!(said["ordinal"].as_u64(), Some(known.ordinal), "{:#}", event);
        if !said["ended_at"].is_null() {
            let id = event["id"].as_str().unwrap().to_owned();
            known.ended = Some((id, event["data"]["counts"].clone()));
        }
        known.revision = revision;
        let parts = said["parts"].as_array().unwrap().iter();
        known.parts = parts
            .map(|part| part["id"].as_str().unwrap().to_owned())
            .collect();
        Ok(())
    }

    /// The operations that a part is in at last.
    fn homes(&self, part: &str) -> usize {
        let with = |one: &&Operation| one.parts.iter().any(|id| id == part);
        self.operations.values().filter(with).count()
    }
}

impl Operation {
    /// A correction supersedes what was said last, counts what that counted, and is the next revision.
    fn is_corrected(&self, event: &Value, revision: u64) -> Result<(), TestCaseError> {
        let Some((last, counts)) = &self.ended else {
            return Err(TestCaseError::fail(format!("not ended: {event:#}")));
        };
        prop_assert_eq!(event["causationid"].as_str(), Some(last.as_str()));
        prop_assert_eq!(&event["data"]["supersedes"]["id"], last);
        prop_assert_eq!(&event["data"]["counts"], counts);
        prop_assert_eq!(revision, self.revision + 1, "{:#}", event);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_part_is_in_one_operation_or_refused_once(
        choice in 0..4usize,
        waits in any::<bool>(),
        happenings in happenings(),
    ) {
        let (lines, codes) = capture(&happenings, waits);
        let events = replayed(&settings(choice, waits), &lines);
        let told = Told::new(&events)?;
        for code in &codes {
            let accepted = told.accepted.get(code).copied().unwrap_or(0);
            let refused = told.refused.get(code).copied().unwrap_or(0);
            prop_assert!(accepted <= 1, "{} was accepted {} times\n{}", code, accepted, lines);
            prop_assert_eq!(
                told.homes(code) + refused, 1,
                "{}: accepted {}, refused {}, in {} operations\n{}",
                code, accepted, refused, told.homes(code), lines
            );
        }
    }
}
