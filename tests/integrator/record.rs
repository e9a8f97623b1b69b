//! `millgate record`: what a press did while it was recorded is what the replay of the recording tells.

use super::{millgate, said, text};
use crate::recorder::{Recorder, Spoken};
use crate::system::peers::Press;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

fn settings(folder: &Path, port: u16) -> std::path::PathBuf {
    let file = folder.join("gateway.yaml");
    let text = format!(
        r#"
gateway: {{ id: gw1, path: [EXAMPLE] }}
machine: PRESS-04
devices:
  plc:
    modbus_tcp: {{ host: 127.0.0.1, port: {port}, unit: 1, timeout: 5s }}
    addresses: zero_based
    byte_order: CDAB
    lost_after: 60s
    tags:
      status:   {{ holding: 100, every: 20ms }}
      pressure: {{ input: 200, type: f32, every: 20ms, unit: bar }}
operations:
  form:
    start: {{ when: "bit(status, 0)" }}
    end: {{ when: "!bit(status, 0)" }}
    parameters:
      forming_pressure: {{ tag: pressure }}
uplinks:
  mes: {{ http: {{ url: "http://127.0.0.1:1/" }} }}
"#
    );
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_press_replays_to_the_strokes_that_it_made() {
    let Some(mut press) = Press::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let wire = Recorder::to_port(press.port, Spoken::ModbusTcp).await;
    let settings = settings(folder.path(), wire.port);
    let capture = folder.path().join("press.jsonl");
    let recorder = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["record", text(&capture), "--config", text(&settings)])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    press.order("look 3", "looked 3");
    press.order("go 3", "done 3");
    press.order("look 3", "looked 3");
    let id = Pid::from_raw(recorder.id().try_into().unwrap());
    kill(id, Signal::SIGINT).unwrap();
    let ended = recorder.wait_with_output().unwrap();
    let (_, told) = said(&ended);
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(told.contains("0 of them bad"), "{told}");

    let replayed = millgate(&["replay", text(&settings), text(&capture)]);
    let (events, told) = said(&replayed);
    assert_eq!(replayed.status.code(), Some(0), "{told}");
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let strokes: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "millgate.operation.completed.v1")
        .collect();
    assert_eq!(strokes.len(), 3, "{events:#?}");
    for (number, stroke) in strokes.iter().enumerate() {
        assert_eq!(stroke["data"]["operation"]["ordinal"], number + 1);
        let samples = &stroke["data"]["parameters"][0]["samples"];
        assert!(samples["good"].as_u64() >= Some(3), "{stroke:#}");
        assert_eq!(samples["bad"], 0, "{stroke:#}");
    }
}

#[test]
fn a_capture_that_exists_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), 1);
    let capture = folder.path().join("press.jsonl");
    std::fs::write(&capture, "mine").unwrap();
    let refused = millgate(&["record", text(&capture), "--config", text(&settings)]);
    assert_eq!(refused.status.code(), Some(64));
    let (_, told) = said(&refused);
    assert!(told.contains("exists and stays as it is"), "{told}");
    assert_eq!(std::fs::read_to_string(&capture).unwrap(), "mine");
}

#[test]
fn a_machine_that_never_answers_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    // A port that nobody listens on.
    let settings = settings(folder.path(), 1);
    let recorded = millgate(&[
        "record",
        "-",
        "--config",
        text(&settings),
        "--for",
        "300ms",
        "--json",
    ]);
    let (capture, told) = said(&recorded);
    assert_eq!(recorded.status.code(), Some(69), "{told}");
    assert!(told.contains("not one value was read"), "{told}");
    assert!(told.contains("\"samples\": 0"), "{told}");
    let lines: Vec<Value> = capture
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.first().map(|line| line["start"].is_string()),
        Some(true)
    );
    assert_eq!(lines.last().map(|line| line["end"] == true), Some(true));
}
