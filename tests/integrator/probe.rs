//! `millgate probe`: registers of pymodbus in every meaning, and devices that refuse, are silent or are not there.

use super::{millgate, said};
use crate::modbus::peer::Plc;
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;

fn cells() -> Value {
    json!([
        {"table": "holding", "address": 4, "type": "FLOAT32", "order": "CDAB", "value": 182.4},
        {"table": "holding", "address": 6, "type": "INT16", "order": "ABCD", "value": -5},
        {"table": "holding", "address": 10, "type": "STRING", "order": "ABCD", "value": "SN-0000017"},
        {"table": "coil", "address": 3, "type": "BITS", "order": "ABCD", "value": true},
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_register_is_shown_in_all_that_it_could_mean() {
    let Some(python) = Plc::python() else { return };
    let plc = Plc::start(&python, 0, &cells());
    let wire = plc.wire().await;
    let url = format!("modbus-tcp://127.0.0.1:{}/7", wire.port);
    let probed = millgate(&["probe", &url, "--holding", "4..14", "--coil", "0..3"]);
    let (shown, told) = said(&probed);
    assert_eq!(probed.status.code(), Some(0), "{told}");
    for part in [
        "182.4*",
        "      -5",
        "1111 1111 1111 1011",
        "\"SN-0000017\"",
        "looks like a measured value",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colours are for terminals");

    let probed = millgate(&["probe", &url, "--holding", "4..5", "--json"]);
    let report: Value = serde_json::from_str(&said(&probed).0).unwrap();
    let block = &report["blocks"][0];
    assert_eq!(block["pairs"][0]["CDAB"], 182.4);
    assert_eq!(block["pairs"][0]["type"], "f32");
    assert_eq!(block["registers"][1]["hex"], "4336");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_prints_one_line_of_json_for_each_look() {
    let Some(python) = Plc::python() else { return };
    let plc = Plc::start(&python, 0, &cells());
    let wire = plc.wire().await;
    let url = format!("modbus-tcp://127.0.0.1:{}/7", wire.port);
    let watched = millgate(&[
        "probe",
        &url,
        "--holding",
        "6",
        "--watch",
        "--every",
        "50ms",
        "--for",
        "2s",
        "--json",
    ]);
    let (lines, told) = said(&watched);
    assert_eq!(watched.status.code(), Some(0), "{told}");
    let looks: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(looks.len() >= 2, "{lines}");
    assert!(
        looks
            .iter()
            .all(|look| look["blocks"][0]["registers"][0]["i16"] == -5)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_words_and_by_the_exit_code() {
    let Some(python) = Plc::python() else { return };
    let plc = Plc::start(&python, 0, &cells());
    let wire = plc.wire().await;
    let url = format!("modbus-tcp://127.0.0.1:{}/7", wire.port);
    let refused = millgate(&["probe", &url, "--holding", "500..501"]);
    let (shown, _) = said(&refused);
    assert_eq!(refused.status.code(), Some(69));
    assert!(
        shown.contains("holding registers 500..501: exception 2"),
        "{shown}"
    );
    assert!(shown.contains("zero-based"), "{shown}");
}

#[test]
fn a_silent_device_is_told_after_its_time_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("modbus-tcp://{}/1", silent.local_addr().unwrap());
    let probed = millgate(&["probe", &url, "--input", "0", "--timeout", "100ms"]);
    assert_eq!(probed.status.code(), Some(69));
    let (shown, told) = said(&probed);
    assert!(shown.contains("within 100 ms"), "{shown}{told}");
}

#[test]
fn what_cannot_be_is_a_question_of_usage_and_what_is_not_there_of_availability() {
    for (arguments, code, says) in [
        (&["probe", "10.0.0.5"][..], 64, "this is not an address"),
        (
            &["probe", "modbus-tcp://127.0.0.1:1"],
            64,
            "which registers?",
        ),
        (
            &["probe", "modbus-tcp://127.0.0.1:1", "--holding", "0"],
            64,
            "modbus-tcp://127.0.0.1:1/1",
        ),
        (
            &["probe", "modbus-tcp://127.0.0.1:1/1", "--holding", "9..1"],
            64,
            "write 1..9",
        ),
        (
            &[
                "probe",
                "modbus-tcp://127.0.0.1:1/1",
                "--holding",
                "0..9999",
            ],
            64,
            "no table for people",
        ),
        (
            &["probe", "modbus-tcp://127.0.0.1:1/1", "--holding", "0"],
            69,
            "Is Modbus TCP switched on",
        ),
        (&["probe", "tcp://127.0.0.1:1"], 69, "127.0.0.1:1"),
        (
            &["probe", "serial:///dev/there-is-no-such-port"],
            69,
            "there-is-no-such-port",
        ),
    ] {
        let probed = millgate(arguments);
        let (_, told) = said(&probed);
        assert_eq!(probed.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(
            told.to_lowercase().contains(&says.to_lowercase()),
            "{arguments:?}: {told}"
        );
        assert!(!told.contains("stack backtrace"), "{told}");
    }
}

#[test]
fn lines_are_shown_with_every_sign_and_what_a_scanner_says_about_them() {
    let scanner = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", scanner.local_addr().unwrap());
    let speaks = std::thread::spawn(move || {
        let (mut stream, _) = scanner.accept().unwrap();
        stream
            .write_all(b"SN-0000017\r\n]C10109521234543213\r\n12.5")
            .unwrap();
        // Closed by the other side, or when the test is over.
        drop(std::io::Read::read(&mut stream, &mut [0]));
    });
    let probed = millgate(&["probe", &url, "--for", "3s"]);
    let (shown, told) = said(&probed);
    speaks.join().unwrap();
    assert_eq!(probed.status.code(), Some(0), "{told}");
    for part in [
        r#""SN-0000017\r\n""#,
        "AIM ]C1  (01) 09521234543213",
        r#""12.5"  ends with a pause"#,
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
}
