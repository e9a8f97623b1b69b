//! Servers of other makes with manners of their own: right values where they have some, and where they misbehave the device
//! suffers alone. All of them are asked through the recorder.

use super::cell::{Cell, good};
use crate::counterpart::{Counterpart, LibModbus};
use crate::recorder::{Recorder, Spoken};
use millgate::model::{BadReason, Content, Quality, Value};
use std::collections::BTreeMap;

fn device(name: &str, port: u16, unit: u8, timeout: &str, tags: &[&str]) -> String {
    let tags: String = tags.iter().map(|tag| format!("      {tag}\n")).collect();
    format!(
        "  {name}:
    modbus_tcp: {{ host: 127.0.0.1, port: {port}, unit: {unit}, timeout: {timeout} }}
    max_gap: 0
    addresses: zero_based
    lost_after: 2s
    tags:
{tags}"
    )
}

async fn wire_to(port: u16) -> Recorder {
    Recorder::to_port(port, Spoken::ModbusTcp).await
}

fn lost(content: &Content) -> bool {
    matches!(content, Content::Lost(_))
}

/// What a device says once all is well.
async fn expect(cell: &mut Cell, device: &str, expected: &[(&str, Value)]) {
    let Content::Samples(samples) = cell.until(device, "good values", |_, _| (), good).await else {
        panic!("{device}: no samples");
    };
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some(value.clone()), Quality::Good))
        .collect();
    assert_eq!(cell.named(&samples), expected, "{device}");
}

/// The code with which a device is lost.
async fn loss(cell: &mut Cell, device: &str) -> &'static str {
    match cell.until(device, "the loss", |_, _| (), lost).await {
        Content::Lost(error) => error.code,
        other => panic!("{device}: {other:?}"),
    }
}

const FOUR_TABLES: &[&str] = &[
    "c: { coil: 4, every: 50ms }",
    "d: { discrete: 5, every: 50ms }",
    "h: { holding: 7, type: u32, every: 50ms }",
    "i: { input: 9, every: 50ms }",
];

fn four_values() -> [(&'static str, Value); 4] {
    [
        ("c", Value::Bool(true)),
        ("d", Value::Bool(false)),
        ("h", Value::Int(0x0007_0008)),
        ("i", Value::Int(1_009)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_success_of_jsmodbus_is_no_value() {
    let Some(server) = Counterpart::node("modbus_server.js", &["jsmodbus"]) else {
        return;
    };
    let (well, beyond) = (wire_to(server.port).await, wire_to(server.port).await);
    let behind_the_table = ["far: { holding: 5000, every: 50ms }"];
    let mut cell = Cell::start(
        &(device("well", well.port, 7, "20s", FOUR_TABLES)
            + &device("beyond", beyond.port, 7, "20s", &behind_the_table)),
    );
    expect(&mut cell, "well", &four_values()).await;
    assert_eq!(loss(&mut cell, "beyond").await, "protocol");
    expect(&mut cell, "well", &four_values()).await;
    assert_eq!(cell.health("beyond").answers.get(), 0);
    assert_eq!(cell.health("well").failures.get(), 0);
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_to_which_modbus_serial_is_silent_is_lost_alone() {
    let Some(server) = Counterpart::node("modbus_server.js", &["modbus-serial"]) else {
        return;
    };
    let wire = wire_to(server.port).await;
    let absent = ["gone: { holding: 55, every: 50ms }"];
    let mut cell = Cell::start(
        &(device("well", wire.port, 7, "20s", FOUR_TABLES)
            + &device(
                "absent",
                wire.port,
                9,
                "200ms",
                &["silent: { holding: 7, every: 50ms }"],
            )
            + &device("refused", wire.port, 7, "20s", &absent)),
    );
    expect(&mut cell, "well", &four_values()).await;
    assert_eq!(loss(&mut cell, "absent").await, "timeout");
    expect(&mut cell, "well", &four_values()).await;
    let refused = |content: &Content| {
        let exception = Quality::Bad(BadReason::Exception(2));
        matches!(content, Content::Samples(samples) if samples.len() == 1 && samples[0].quality == exception)
    };
    let what = "exception 2 of the registers that it does not have";
    cell.until("refused", what, |_, _| (), refused).await;
    assert_eq!(cell.health("absent").answers.get(), 0);
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_libmodbus_does_wrong_on_purpose_reaches_nobody_else() {
    let Some(server) = LibModbus::start().await else {
        return;
    };
    // Name, time-out, registers; its special ones are 0x170 to 0x173, and their answers come from unit 255.
    let devices = [
        ("well", "20s", &["input: 264"][..]),
        ("busy", "20s", &["holding: 368"]),
        // It always answers transaction 0, which is wrong from the second request on.
        ("other", "20s", &["holding: 352", "holding: 369"]),
        ("late", "100ms", &["holding: 370"]),
        ("patient", "20s", &["holding: 370"]),
        ("drips", "20s", &["holding: 371"]),
        ("less", "20s", &["type: u32, holding: 352"]),
    ];
    let mut wires = Vec::new();
    let mut text = String::new();
    for (name, timeout, registers) in devices {
        let wire = wire_to(server.port).await;
        let tags = registers.iter().enumerate();
        let tags: Vec<_> = tags
            .map(|(number, register)| format!("{name}{number}: {{ {register}, every: 50ms }}"))
            .collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        text += &device(name, wire.port, 255, timeout, &tags);
        wires.push(wire);
    }
    let mut cell = Cell::start(&text);
    let wanted = [
        ("well", "well0 = 10"),
        ("busy", "exception 6"),
        ("other", "other0 = 0"),
        ("late", "lost: timeout"),
        ("patient", "patient0 = 0"),
        ("drips", "drips0 = 0"),
        ("less", "lost: protocol"),
    ]
    .map(|(name, said)| (name.to_owned(), said.to_owned()));
    // Each says one thing only, again and again, and a loss once.
    let mut said = BTreeMap::new();
    while said.len() < wanted.len() || cell.health("other").failures.get() < 2 {
        let (name, content) = cell.next().await;
        let words = in_words(&cell, &content);
        let before = said.insert(name.clone(), words.clone());
        assert!(
            before.is_none_or(|before| before == words),
            "{name}: {words}"
        );
    }
    assert_eq!(said, BTreeMap::from(wanted));
    expect(&mut cell, "well", &[("well0", Value::Int(10))]).await;
    assert_eq!(cell.health("well").failures.get(), 0);
    for name in ["late", "less"] {
        assert_eq!(cell.health(name).answers.get(), 0, "{name}");
    }
    cell.stop().await;
}

/// What a batch of one sample says.
fn in_words(cell: &Cell, content: &Content) -> String {
    let samples = match content {
        Content::Lost(error) => return format!("lost: {}", error.code),
        Content::Samples(samples) => cell.named(samples),
    };
    match &samples[..] {
        [(name, Some(Value::Int(value)), Quality::Good)] => format!("{name} = {value}"),
        [(_, None, Quality::Bad(BadReason::Exception(code)))] => format!("exception {code}"),
        other => format!("{other:?}"),
    }
}
