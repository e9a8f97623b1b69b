//! node-opcua, encrypted: values of several types through the driver, and nothing that it was asked could change it.

use super::press::{Press, good, said};
use crate::counterpart::Counterpart;
use millgate::acquire::opc_ua::trust::{NewOwn, Own};
use millgate::model::{BadReason, Quality, Value};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const TAGS: &[(&str, &str)] = &[
    ("counter", "node: \"n:s=Press.Counter\", type: u32"),
    ("pressure", "node: \"n:s=Press.Pressure\", type: f64"),
    ("narrow", "node: \"n:s=Press.Narrow\", type: f32"),
    ("running", "node: \"n:s=Press.Running\", type: bool"),
    ("order", "node: \"n:s=Press.Order\", type: text"),
    ("level", "node: \"n:s=Press.Level\", type: i16"),
    ("big", "node: \"n:s=Press.Big\", type: i64"),
    (
        "third",
        "node: \"n:s=Press.Temperatures\", index: 2, type: f64",
    ),
    ("doubtful", "node: \"n:s=Press.Doubtful\""),
    ("broken", "node: \"n:s=Press.Broken\""),
];

fn settings(state: &Path, port: u16, read: &str) -> String {
    let tags = TAGS
        .iter()
        .map(|(name, tag)| format!("      {name}: {{ {tag}, every: 100ms }}\n"));
    let tags: String = tags.collect();
    format!(
        "gateway: {{ id: gw-1, path: [acme] }}
machine: PRESS
buffer: {{ path: {state} }}
devices:
  plc:
    opc_ua: {{ endpoint: \"opc.tcp://127.0.0.1:{port}\", user: {{ name: press, password: {{ file: {state}/password }} }}, namespaces: {{ n: urn:millgate:test:peer }}, timeout: 20s, read: {read} }}
    lost_after: 60s
    tags:
{tags}",
        state = state.display(),
    )
}

/// Makes the gateway a certificate of its own.
fn make_own(state: &Path) {
    let wish = NewOwn {
        application_uri: "urn:box:millgate:gw-1".into(),
        name: "Millgate gw-1".into(),
        hosts: vec!["box".into()],
        days: 30,
        bits: 2048,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Own::make(&state.join("pki"), &wish, false, now.as_secs()).unwrap();
    std::fs::write(state.join("password"), "EXAMPLE\n").unwrap();
}

/// Trusts what was refused.
fn trust(state: &Path) {
    let pki = state.join("pki");
    std::fs::create_dir_all(pki.join("trusted")).unwrap();
    let mut trusted = 0;
    for file in std::fs::read_dir(pki.join("rejected")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|end| end == "der") {
            std::fs::copy(&file, pki.join("trusted").join(file.file_name().unwrap())).unwrap();
            trusted += 1;
        }
    }
    assert_eq!(trusted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_node_opcua_is_read_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = Counterpart::node("ua_server.js", &[folder.path().to_str().unwrap()]) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    make_own(state.path());
    let mut press =
        Press::start(&settings(state.path(), server.port, "subscribe").replace("60s", "2s"));
    let error = press.lost().await;
    assert!(error.detail.contains("millgate opcua trust"), "{error:?}");
    press.stop().await;
    trust(state.path());
    for read in ["subscribe", "poll"] {
        let mut press = Press::start(&settings(state.path(), server.port, read));
        let names: Vec<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        let found = press.firsts(&names).await;
        let found: Vec<_> = found.iter().map(said).collect();
        assert!(
            matches!(found[0], (Some(Value::Int(0..)), Quality::Good)),
            "{:?}",
            found[0]
        );
        let expected = [
            good(Value::Float(21.3)),
            good(Value::Float(1.5)),
            good(Value::Bool(true)),
            good(Value::Text("4711".into())),
            good(Value::Int(-7)),
            good(Value::Int(-5_000_000_000)),
            good(Value::Float(22.5)),
            (Some(Value::Float(3.5)), Quality::Uncertain),
            (None, Quality::Bad(BadReason::Source)),
        ];
        assert_eq!(found[1..], expected, "{read}");
        let Some(Value::Int(first)) = found[0].0 else {
            unreachable!("it was one a moment ago");
        };
        press
            .until(
                "counter",
                |sample| matches!(sample.value, Some(Value::Int(count)) if count > first),
            )
            .await;
        assert!(
            press.requests().contains_key("encrypted"),
            "{:?}",
            press.requests()
        );
        press.stop().await;
    }
    let written: Vec<String> = server
        .lines_so_far()
        .into_iter()
        .filter(|line| line.starts_with("written"))
        .collect();
    assert_eq!(written, Vec::<String>::new());
}
