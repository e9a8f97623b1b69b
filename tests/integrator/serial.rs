//! `millgate probe` and `browse` on serial ports: pymodbus behind two ptys, and a scanner on one.

use super::{accepted, interrupt, millgate, recorded, said, until};
use crate::modbus::peer::Plc;
use crate::recorder::Recorder;
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_on_a_serial_line_is_found_and_read() {
    let Some(python) = Plc::python() else { return };
    let wire = Recorder::serial();
    let cells = json!([
        {"table": "holding", "address": 4, "type": "FLOAT32", "order": "CDAB", "value": 182.4},
    ]);
    let machine = wire.machine.to_str().unwrap();
    let _plc = Plc::start_at(&python, &[machine], &cells);
    let url = format!("modbus-rtu://{}?parity=none&unit=7", wire.path.display());

    let probed = millgate(&["probe", &url, "--holding", "4..5"]);
    let (shown, told) = said(&probed);
    assert_eq!(probed.status.code(), Some(0), "{shown}{told}");
    assert!(shown.contains("182.4*"), "{shown}");

    let browsed = millgate(&["browse", &url, "--holding", "0..49"]);
    let (devices, told) = said(&browsed);
    assert_eq!(browsed.status.code(), Some(0), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let settings = accepted(folder.path(), &devices);
    recorded(&settings, &[r#""tag":"holding_4","value":182.4"#]);
}

#[test]
fn a_scanner_on_a_serial_port_is_heard() {
    let pair = openpty(None, None).unwrap();
    let path = ttyname(&pair.slave).unwrap();
    let mut raw = tcgetattr(&pair.slave).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).unwrap();
    let mut scanner = File::from(pair.master);
    let url = format!("serial://{}", path.display());
    let mut probe = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["probe", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(probe.stdout.take().unwrap()).lines();
    let (shown, heard) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            if shown.send(line).is_err() {
                break;
            }
        }
    });
    // What was scanned before the port was opened may be lost: it is scanned until it was heard.
    until("the scanned code", || {
        scanner.write_all(b"SN-0000017\r\n").unwrap();
        heard
            .try_iter()
            .any(|line| line.contains(r#""SN-0000017\r\n""#))
    });
    interrupt(&probe);
    assert_eq!(probe.wait().unwrap().code(), Some(0));
    drop(heard);
    reader.join().unwrap();
}
