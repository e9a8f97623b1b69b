//! `millgate browse`: what pymodbus has is found, and the printed settings are accepted by `millgate check`.

use super::{accepted, millgate, said};
use crate::modbus::peer::Plc;
use serde_json::{Value, json};
use std::net::TcpListener;

fn cells() -> Value {
    json!([
        {"table": "holding", "address": 4, "type": "FLOAT32", "order": "CDAB", "value": 182.4},
        {"table": "holding", "address": 150, "type": "UINT16", "order": "ABCD", "value": 7},
        {"table": "input", "address": 10, "type": "STRING", "order": "ABCD", "value": "SN-0000017"},
        {"table": "coil", "address": 3, "type": "BITS", "order": "ABCD", "value": true},
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_has_is_found_and_check_accepts_it() {
    let Some(python) = Plc::python() else { return };
    let plc = Plc::start(&python, 0, &cells());
    let wire = plc.wire().await;
    let url = format!("modbus-tcp://127.0.0.1:{}/7", wire.port);
    let browsed = millgate(&[
        "browse",
        &url,
        "--holding",
        "0..999",
        "--input",
        "0..299",
        "--coil",
        "0..99",
        "--pause",
        "1ms",
    ]);
    let (devices, told) = said(&browsed);
    assert_eq!(browsed.status.code(), Some(0), "{told}");
    assert!(told.contains("holding registers 0..999: 0..199"), "{told}");
    assert!(told.contains("input registers 0..299: 0..199"), "{told}");
    for tag in [
        "holding_4: { holding: 4, type: f32, byte_order: CDAB }",
        "holding_150: { holding: 150 }",
        "input_10: { input: 10, type: text, length: 10, trim: [nul, space] }",
        "coil_3: { coil: 3 }",
    ] {
        assert!(devices.contains(tag), "{tag} is missing:\n{devices}");
    }
    let folder = tempfile::tempdir().unwrap();
    accepted(folder.path(), &devices);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_was_found_is_in_the_json() {
    let Some(python) = Plc::python() else { return };
    let plc = Plc::start(&python, 0, &cells());
    let wire = plc.wire().await;
    let url = format!("modbus-tcp://127.0.0.1:{}/7", wire.port);
    let browsed = millgate(&[
        "browse",
        &url,
        "--holding",
        "100..250",
        "--pause",
        "1ms",
        "--json",
    ]);
    let report: Value = serde_json::from_str(&said(&browsed).0).unwrap();
    let blocks = &report["tables"][0]["blocks"];
    assert_eq!(
        (&blocks[0]["first"], &blocks[0]["last"]),
        (&json!(100), &json!(199))
    );
    assert_eq!(blocks[0]["values"][50], 7);
    assert_eq!(blocks.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_units_that_answer_are_found() {
    let Some(python) = Plc::python() else { return };
    let plc = Plc::start(&python, 0, &cells());
    let wire = plc.wire().await;
    let url = format!("modbus-tcp://127.0.0.1:{}", wire.port);
    let browsed = millgate(&["browse", &url, "--unit", "6..8", "--pause", "1ms", "--json"]);
    let (units, told) = said(&browsed);
    assert_eq!(browsed.status.code(), Some(0), "{told}");
    let report: Value = serde_json::from_str(&units).unwrap();
    assert!(
        report["units"].as_array().unwrap().contains(&json!(7)),
        "{report}"
    );
}

#[test]
fn a_device_that_never_answers_is_asked_a_few_times_only() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("modbus-tcp://{}/1", silent.local_addr().unwrap());
    let browsed = millgate(&["browse", &url, "--holding", "0..9999", "--timeout", "100ms"]);
    let (_, told) = said(&browsed);
    assert_eq!(browsed.status.code(), Some(69), "{told}");
    assert!(told.contains("3 requests"), "{told}");
    assert!(told.contains("does not answer"), "{told}");
}
