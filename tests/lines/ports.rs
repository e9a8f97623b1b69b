//! Serial ports that are missing, taken, pulled and plugged in again.

use super::device::{Socket, device, lost, next_value, serial, there};
use crate::modbus::cell::Cell;
use nix::fcntl::{Flock, FlockArg};

const CODE: &str = "code: { line: text }";

#[tokio::test]
async fn a_pulled_adapter_is_lost_and_comes_back_by_its_path() {
    let socket = Socket::new();
    let mut adapter = socket.plug();
    let mut cell = Cell::start(&device(&serial(&socket.port()), "", CODE));
    there(&mut cell).await;
    adapter.send(b"A7\r").await;
    assert_eq!(next_value(&mut cell).await, "A7");
    for code in ["B8", "C9"] {
        drop(adapter);
        let (word, said) = lost(&mut cell).await;
        assert!(word == "port" || word == "closed", "{word}: {said}");
        assert!(said.contains("adapter"), "{said}");
        adapter = socket.plug();
        there(&mut cell).await;
        adapter.send(format!("{code}\r").as_bytes()).await;
        assert_eq!(next_value(&mut cell).await, code);
    }
    assert!(cell.health("d").connects.get() >= 3);
    cell.stop().await;
}

#[tokio::test]
async fn a_port_that_is_missing_is_said_and_tried_again() {
    let socket = Socket::new();
    let mut cell = Cell::start(&device(&serial(&socket.port()), "", CODE));
    let (word, said) = lost(&mut cell).await;
    assert_eq!(word, "port");
    assert!(
        said.contains("there is no such port; is the adapter plugged in?"),
        "{said}"
    );
    let mut adapter = socket.plug();
    there(&mut cell).await;
    adapter.send(b"A7\n").await;
    assert_eq!(next_value(&mut cell).await, "A7");
    cell.stop().await;
}

#[tokio::test]
async fn a_port_that_another_program_has_is_said_and_taken_when_it_is_free() {
    let socket = Socket::new();
    let mut adapter = socket.plug();
    let port = std::fs::File::open(adapter.target()).unwrap();
    let held = Flock::lock(port, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error);
    let held = held.unwrap();
    let mut cell = Cell::start(&device(&serial(&socket.port()), "", CODE));
    let (word, said) = lost(&mut cell).await;
    assert_eq!(word, "port");
    assert!(said.contains("another program has it"), "{said}");
    drop(held);
    there(&mut cell).await;
    adapter.send(b"A7\n").await;
    assert_eq!(next_value(&mut cell).await, "A7");
    cell.stop().await;
}

#[tokio::test]
async fn a_file_that_is_no_port_is_said() {
    let socket = Socket::new();
    std::fs::write(socket.port(), "").unwrap();
    let mut cell = Cell::start(&device(&serial(&socket.port()), "", CODE));
    let (word, said) = lost(&mut cell).await;
    assert_eq!(word, "port");
    assert!(said.contains("this is no serial port"), "{said}");
    cell.stop().await;
}
