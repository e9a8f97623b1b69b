//! RTU against pymodbus: every type and byte order on a line and over TCP, through the recorder. And a dead unit beside one that
//! answers.

use super::cell::{Cell, good};
use super::peer::Plc;
use super::values::sheet;
use crate::recorder::{Recorder, Spoken};
use millgate::acquire::modbus::framing::crc;
use millgate::model::Content;
use nix::pty::openpty;
use serde_json::Value as Json;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pymodbus_encodes_is_what_is_read_over_rtu() {
    let Some(python) = Plc::python() else {
        return;
    };
    let sheet = sheet();
    for piece in [256, 1] {
        let line = Recorder::serial_in_pieces(piece);
        let cells = Json::from(sheet.cells.clone());
        let _plc = Plc::start_at(&python, &[line.machine.to_str().unwrap()], &cells);
        let wire = format!("modbus_rtu: {{ port: {}", line.path.display());
        let mut cell = Cell::start(&sheet.device_at(&wire, "60s"));
        sheet.compare(&mut cell).await;
        cell.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pymodbus_encodes_is_what_is_read_over_rtu_through_tcp() {
    let Some(python) = Plc::python() else {
        return;
    };
    let sheet = sheet();
    let plc = Plc::start_at(&python, &["0", "rtu"], &Json::from(sheet.cells.clone()));
    let wire = Recorder::to_port(plc.port, Spoken::ModbusRtu).await;
    let tcp = format!("modbus_rtu: {{ tcp: \"127.0.0.1:{}\"", wire.port);
    let mut cell = Cell::start(&sheet.device_at(&tcp, "60s"));
    sheet.compare(&mut cell).await;
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_is_not_on_the_line_harms_nobody_on_it() {
    let port = adapter(Arc::default());
    let device = |name: &str, unit: u8, timeout: &str, lost_after: &str| {
        format!(
            "  {name}:\n    modbus_rtu: {{ port: {}, unit: {unit}, timeout: {timeout} }}\n    addresses: zero_based\n    lost_after: {lost_after}\n    tags:\n      {name}_a: {{ holding: 3, every: 200ms }}\n",
            port.display()
        )
    };
    let mut cell =
        Cell::start(&(device("plc", 7, "20s", "60s") + &device("gone", 8, "100ms", "2s")));
    let others = |name: &str, content: &Content| {
        let expected = (name == "plc") == good(content);
        assert!(expected, "{name}: {content:?}");
    };
    let lost =
        |content: &Content| matches!(content, Content::Lost(error) if error.code == "timeout");
    cell.until("gone", "the loss", others, lost).await;
    for _ in 0..10 {
        cell.until("plc", "goes on", others, good).await;
    }
    assert_eq!(cell.health("gone").answers.get(), 0);
    assert_eq!(cell.health("plc").failures.get(), 0);
    assert_eq!(cell.health("plc").connects.get(), 1, "the port stays open");
    cell.stop().await;
}

/// Unit 7, our own, on a pty: register 3 holds 42, and it is silent for others, which pymodbus is not. It is pulled at the first request after it was told so.
fn adapter(pulled: Arc<AtomicBool>) -> PathBuf {
    let pty = openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(pty.slave.as_fd()).unwrap();
    let mut master = File::from(pty.master);
    std::thread::spawn(move || {
        let mut request = [0; 8];
        // Held until then, so that nothing is lost while nobody has the port open.
        let _slave = pty.slave;
        while master.read_exact(&mut request).is_ok() && !pulled.load(Ordering::SeqCst) {
            if request[0] != 7 {
                continue;
            }
            let mut answer = vec![request[0], request[1], 2, 0, 42];
            answer.extend(crc(&answer).to_le_bytes());
            master.write_all(&answer).unwrap();
        }
    });
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_is_pulled_is_lost_and_found_again_by_its_path() {
    // A link that stays while what it points to changes, as in /dev/serial/by-path; the settings want it below /dev.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let port = folder.path().join("by-path");
    let pulled = Arc::new(AtomicBool::new(false));
    symlink(adapter(Arc::clone(&pulled)), &port).unwrap();
    let device = format!(
        "  plc:\n    modbus_rtu: {{ port: {}, unit: 7, timeout: 10s }}\n    addresses: zero_based\n    lost_after: 2s\n    tags:\n      a: {{ holding: 3, every: 50ms }}\n",
        port.display()
    );
    let mut cell = Cell::start(&device);
    cell.until("plc", "an answer", |_, _| (), good).await;
    std::fs::remove_file(&port).unwrap();
    pulled.store(true, Ordering::SeqCst);
    let lost = |content: &Content| matches!(content, Content::Lost(_));
    let content = cell.until("plc", "the loss", |_, _| (), lost).await;
    assert!(matches!(content, Content::Lost(error) if error.code == "port"));
    symlink(adapter(Arc::default()), &port).unwrap();
    cell.until("plc", "the return", |_, _| (), good).await;
    assert!(cell.health("plc").connects.get() >= 2);
    cell.stop().await;
}
