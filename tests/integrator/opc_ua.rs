//! `millgate probe` and `browse` of an OPC UA server (asyncua), and the printed settings at work.

use super::{accepted, millgate, recorded, said};
use crate::opc_ua::peer::{Server, python};
use crate::recorder::{Recorder, Spoken};
use serde_json::{Value, json};

const PRESS: &str = "nsu=http://acme.example/press;s=";

/// A server, the proxy before it that fails on anything but reading, and the address of the proxy.
fn started() -> Option<(Server, Recorder, String)> {
    let server = Server::start(&python()?, &json!({ "port": 0 }));
    let wire = Recorder::before(server.port, Spoken::OpcUa);
    let url = format!("opc.tcp://127.0.0.1:{}/press", wire.port);
    Some((server, wire, url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_browse_prints_is_accepted_and_reads_what_the_server_has() {
    let Some((mut server, _wire, url)) = started() else {
        return;
    };
    let browsed = millgate(&["browse", &url]);
    let (devices, told) = said(&browsed);
    assert_eq!(browsed.status.code(), Some(0), "{told}");
    assert!(told.contains("variables"), "{told}");
    for tag in [
        r#"ns1: "http://acme.example/press""#,
        r#"float: { node: "ns1:s=Float", type: f32 }"#,
        r#"int64: { node: "ns1:s=Int64", type: i64 }"#,
        r#"array: { node: "ns1:s=Array", type: i32, index: 0 }"#,
        r##"# job: { node: "ns1:s=Job" }"##,
        "# no value (not_finite)",
    ] {
        assert!(devices.contains(tag), "{tag} is missing:\n{devices}");
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = accepted(folder.path(), &devices);
    server.set(&json!({ "Counter": 417 }));
    recorded(
        &settings,
        &[
            r#""tag":"float","value":21.3"#,
            r#""tag":"int16","value":-30000"#,
            r#""tag":"string","value":"A7""#,
            r#""tag":"array","value":5"#,
            r#""tag":"counter","value":417"#,
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_the_source_is_on_the_tape() {
    let Some((mut server, _wire, url)) = started() else {
        return;
    };
    let devices = format!(
        "devices:\n  plc:\n    opc_ua:\n      endpoint: {url}\n      security: {{ policy: None, mode: None }}\n      insecure: true\n    timestamps: source\n    max_skew: 10min\n    tags:\n      counter: {{ node: \"{PRESS}Counter\", type: i32 }}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let settings = accepted(folder.path(), &devices);
    server.set(&json!({ "Counter": 31 }));
    let tape = recorded(&settings, &[r#""tag":"counter","value":31"#]);
    assert!(tape.contains(r#""source_time":"2"#), "{tape}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_shown_with_its_type_its_verdict_and_its_times() {
    let Some((_server, _wire, url)) = started() else {
        return;
    };
    let node = |name: &str| format!("{PRESS}{name}");
    let probed = millgate(&["probe", &url, &node("Float"), &node("Array"), "i=2258"]);
    let (shown, told) = said(&probed);
    assert_eq!(probed.status.code(), Some(0), "{told}");
    assert!(told.contains("without security"), "{told}");
    for part in [
        "value   21.3   (f32)",
        "status  Good",
        "(i32, the first of 3 elements: `index:` names one)",
        "the server's clock is ",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }

    let probed = millgate(&["probe", &url, &node("Int16"), "--json"]);
    let report: Value = serde_json::from_str(&said(&probed).0).unwrap();
    assert_eq!(report["nodes"][0]["value"], -30000);
    assert_eq!(report["nodes"][0]["type"], "i16");
    assert!(report["clock_skew_s"].is_number(), "{report}");

    let missing = millgate(&["probe", &url, &node("Nowhere")]);
    assert_eq!(missing.status.code(), Some(69));
    assert!(said(&missing).0.contains("there is no such node"));
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let probed = millgate(&["probe", "opc.tcp://127.0.0.1:1", "i=2258"]);
    let (_, told) = said(&probed);
    assert_eq!(probed.status.code(), Some(69), "{told}");
    assert!(told.contains("127.0.0.1:1"), "{told}");
}
