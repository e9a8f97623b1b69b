//! Modbus RTU as pymodbus and libmodbus speak it: on a serial line of pseudo terminals, and over TCP. Through the recorder.

use super::cell::{Cell, good};
use crate::counterpart::Counterpart;
use crate::recorder::{Recorder, Spoken};
use millgate::model::{BadReason, Content, Quality, Value};

fn device(name: &str, wire: &str, unit: u8, timeout: &str, tags: &[&str]) -> String {
    let tags: String = tags.iter().map(|tag| format!("      {tag}\n")).collect();
    format!(
        "  {name}:
    modbus_rtu: {{ {wire}, unit: {unit}, timeout: {timeout} }}
    addresses: zero_based
    max_gap: 0
    lost_after: 3s
    tags:
{tags}"
    )
}

/// What pymodbus shows: one value of each table.
const CELLS: &str = r#"[
    {"table": "coil", "address": 4, "type": "BITS", "order": "ABCD", "value": true},
    {"table": "discrete", "address": 9, "type": "BITS", "order": "ABCD", "value": true},
    {"table": "holding", "address": 3, "type": "FLOAT32", "order": "ABCD", "value": 21.5},
    {"table": "input", "address": 7, "type": "INT16", "order": "ABCD", "value": -7}]"#;

const TAGS: &[&str] = &[
    "c: { coil: 4, every: 100ms }",
    "d: { discrete: 9, every: 100ms }",
    "h: { holding: 3, type: f32, every: 100ms }",
    "i: { input: 7, type: i16, every: 100ms }",
];

fn is(cell: &Cell, content: &Content, wanted: &[(&str, Value)]) -> bool {
    let Content::Samples(samples) = content else {
        return false;
    };
    let read = cell.named(samples);
    good(content)
        && read.len() == wanted.len()
        && wanted.iter().all(|(name, value)| {
            let found = read.iter().find(|(tag, ..)| tag == name);
            found.is_some_and(|(_, read, _)| read.as_ref() == Some(value))
        })
}

/// Reads until the device says this; what it says before may be of an answer that came while it was starting.
async fn expect(cell: &mut Cell, device: &str, wanted: &[(&str, Value)]) {
    loop {
        let content = cell.until(device, "good values", |_, _| (), good).await;
        if is(cell, &content, wanted) {
            return;
        }
    }
}

fn pymodbus_values() -> [(&'static str, Value); 4] {
    [
        ("c", Value::Bool(true)),
        ("d", Value::Bool(true)),
        ("h", Value::Float(21.5)),
        ("i", Value::Int(-7)),
    ]
}

fn one_line(json: &str) -> String {
    json.replace('\n', " ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_speaks_rtu_over_tcp() {
    let Some(plc) = Counterpart::python("plc.py", &["0", "rtu"], &one_line(CELLS)) else {
        return;
    };
    let wire = Recorder::to_port(plc.port, Spoken::ModbusRtu).await;
    let tcp = format!("tcp: \"127.0.0.1:{}\"", wire.port);
    let mut cell = Cell::start(&device("plc", &tcp, 7, "5s", TAGS));
    expect(&mut cell, "plc", &pymodbus_values()).await;
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pymodbus_speaks_rtu_on_a_serial_line() {
    let wire = Recorder::serial();
    let machine = wire.machine.to_str().unwrap();
    let Some(_plc) = Counterpart::python("plc.py", &[machine], &one_line(CELLS)) else {
        // The verdict of a line on which nothing was asked is not wanted.
        std::mem::forget(wire);
        return;
    };
    let port = format!("port: {}, baud: 19200, parity: none", wire.path.display());
    let mut cell = Cell::start(&device("plc", &port, 7, "5s", TAGS));
    expect(&mut cell, "plc", &pymodbus_values()).await;
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libmodbus_speaks_rtu_on_a_serial_line() {
    let wire = Recorder::serial();
    let Some(_server) = Counterpart::libmodbus_on(&wire.machine) else {
        std::mem::forget(wire);
        return;
    };
    // 0x108 is right, 0x170 is an exception.
    let tags = [
        "right: { input: 264, every: 100ms }",
        "busy: { holding: 368, every: 100ms }",
    ];
    let port = format!("port: {}, baud: 115200, parity: none", wire.path.display());
    let mut cell = Cell::start(&device("plc", &port, 17, "500ms", &tags));
    let (mut right, mut busy) = (0, 0);
    while right < 3 || busy < 3 {
        let Content::Samples(samples) = cell.next().await.1 else {
            continue;
        };
        for (name, value, quality) in cell.named(&samples) {
            match (name.as_str(), value, quality) {
                ("right", Some(Value::Int(10)), Quality::Good) => right += 1,
                ("busy", None, Quality::Bad(BadReason::Exception(6))) => busy += 1,
                // What was not asked any more when the line fell silent.
                (_, None, Quality::Bad(BadReason::DeviceLost)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    cell.stop().await;
}
