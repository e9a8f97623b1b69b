//! The recorder itself: it lets reads pass, and a write fails the test and never arrives.

use super::{Recorder, Spoken, opc_ua};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_modbus::client::{Reader, Writer, rtu, tcp};
use tokio_modbus::prelude::Slave;
use tokio_serial::SerialPortBuilderExt;

/// A machine that takes anything, counts the bytes, and echoes them. Enough for what must not arrive.
async fn echo() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(AtomicUsize::new(0));
    let counting = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = counting.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 512];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    heard.fetch_add(count, Ordering::SeqCst);
                    drop(stream.write_all(&bytes[..count]).await);
                }
            });
        }
    });
    (port, heard)
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the write that must be caught")]
async fn a_modbus_write_is_caught_and_does_not_arrive() {
    for spoken in [Spoken::ModbusTcp, Spoken::ModbusRtu] {
        let (port, heard) = echo().await;
        let recorder = Recorder::to_port(port, spoken).await;
        let stream = TcpStream::connect(("127.0.0.1", recorder.port))
            .await
            .unwrap();
        let mut plc = match spoken {
            Spoken::ModbusTcp => tcp::attach_slave(stream, Slave(7)),
            _ => rtu::attach_slave(stream, Slave(7)),
        };
        let written = plc.write_single_register(4, 0xBAD).await;
        assert!(written.is_err(), "{spoken:?}: {written:?}");
        let forbidden = recorder.take_forbidden();
        assert_eq!(forbidden.len(), 1, "{spoken:?}: {forbidden:?}");
        assert_eq!(heard.load(Ordering::SeqCst), 0, "{spoken:?}: it arrived");
        recorder.log.note(vec![super::Verdict::Reads(
            "the verdict was this test's".into(),
        )]);
    }
}

#[tokio::test]
async fn a_modbus_read_passes_and_is_counted() {
    let (port, heard) = echo().await;
    let recorder = Recorder::to_port(port, Spoken::ModbusTcp).await;
    let stream = TcpStream::connect(("127.0.0.1", recorder.port))
        .await
        .unwrap();
    let mut plc = tcp::attach_slave(stream, Slave(7));
    // An echo is no answer; that it came back is enough here.
    assert!(plc.read_holding_registers(4, 2).await.is_err());
    assert_eq!(heard.load(Ordering::SeqCst), 12);
    assert_eq!(recorder.requests().get("holding registers"), Some(&1));
}

#[tokio::test]
async fn an_opc_ua_write_is_caught_and_does_not_arrive() {
    let (port, heard) = echo().await;
    let recorder = Recorder::to_port(port, Spoken::OpcUa).await;
    let mut client = TcpStream::connect(("127.0.0.1", recorder.port))
        .await
        .unwrap();
    let none = b"http://opcfoundation.org/UA/SecurityPolicy#None";
    let open = opc_ua::chunk_of(b"OPNF", &[0; 8], none);
    client.write_all(&open).await.unwrap();
    let mut echoed = vec![0; open.len()];
    client.read_exact(&mut echoed).await.unwrap();
    let write = opc_ua::chunk_of(b"MSGF", &[0; 16], &[1, 0, 0xA1, 0x02]);
    client.write_all(&write).await.unwrap();
    assert_eq!(
        client.read(&mut [0]).await.unwrap_or(0),
        0,
        "the connection is closed"
    );
    assert_eq!(heard.load(Ordering::SeqCst), open.len(), "it arrived");
    let forbidden = recorder.take_forbidden();
    assert_eq!(forbidden, ["WriteRequest_Encoding_DefaultBinary"]);
}

#[tokio::test]
async fn a_serial_port_has_a_listener_too() {
    let recorder = Recorder::serial();
    let open = |path: &std::path::Path| {
        tokio_serial::new(path.to_str().unwrap(), 19_200)
            .open_native_async()
            .unwrap()
    };
    let (mut machine, mut gateway) = (open(&recorder.machine), open(&recorder.path));
    let read = [0x11, 0x04, 0x00, 0x08, 0x00, 0x01, 0xB2, 0x98];
    gateway.write_all(&read).await.unwrap();
    let mut heard = [0; 8];
    machine.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, read);
    machine.write_all(b"back").await.unwrap();
    let mut back = [0; 4];
    gateway.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"back");
    assert_eq!(recorder.requests().get("input registers"), Some(&1));
    gateway.write_all(&[0x11, 0x06]).await.unwrap();
    // The listener hangs up; what was written stays unread by the machine.
    let hung_up = async {
        while !recorder.carrying.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), hung_up)
        .await
        .expect("the listener hangs up");
    assert_eq!(recorder.take_forbidden().len(), 1);
}

#[tokio::test]
#[should_panic(expected = "Millgate only reads")]
async fn a_forbidden_request_fails_the_test() {
    let (port, _) = echo().await;
    let recorder = Recorder::to_port(port, Spoken::ModbusTcp).await;
    let mut client = TcpStream::connect(("127.0.0.1", recorder.port))
        .await
        .unwrap();
    client
        .write_all(&[0, 1, 0, 0, 0, 6, 7, 6, 0, 1, 0, 1])
        .await
        .unwrap();
    assert_eq!(
        client.read(&mut [0]).await.unwrap_or(0),
        0,
        "the connection is closed"
    );
    drop(recorder);
}

#[tokio::test]
#[should_panic(expected = "it proves nothing")]
async fn a_recorder_that_heard_nothing_fails_the_test() {
    let (port, _) = echo().await;
    drop(Recorder::to_port(port, Spoken::OpcUa).await);
}
