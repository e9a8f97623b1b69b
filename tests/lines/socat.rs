//! socat as the thing between: a converter that offers a serial device on TCP, and one that makes a port of a TCP device.

use super::device::{Socket, device, lost, next_value, serial, tcp, there};
use crate::modbus::cell::Cell;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// A running socat, killed when its value ends.
struct Socat {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Socat {
    /// Without one the test is skipped, which with `CI=true` is a failure.
    fn start(from: &str, to: &str) -> Option<Socat> {
        let started = Command::new("socat")
            .args(["-d", "-d", from, to])
            .stderr(Stdio::piped())
            .spawn();
        match started {
            Ok(mut child) => {
                let said = BufReader::new(child.stderr.take().unwrap());
                Some(Socat { child, said })
            }
            Err(error) => {
                assert!(
                    std::env::var("CI").as_deref() != Ok("true"),
                    "socat: {error}"
                );
                println!("skipped: lines through socat: {error}; `tests/run tools` installs it");
                None
            }
        }
    }

    /// What follows `mark` in the first line that has it.
    fn line_after(&mut self, mark: &str) -> String {
        let mut line = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if let Some((_, after)) = line.split_once(mark) {
                return after.trim().to_owned();
            }
            line.clear();
        }
        panic!("socat ended and never said {mark}");
    }
}

impl Drop for Socat {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_scale_behind_a_converter_is_asked_over_tcp() {
    let socket = Socket::new();
    let mut scale = socket.plug();
    let file = format!("FILE:{},rawer", scale.target().display());
    let Some(mut socat) = Socat::start("TCP-LISTEN:0,bind=127.0.0.1", &file) else {
        return;
    };
    let address = socat.line_after("listening on ");
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let lines = r#", poll: "W\r", every: 1s, timeout: 1s, start: "\x02", end: "\x03""#;
    let mut cell = Cell::start(&device(
        &tcp(port),
        lines,
        "weight: { line: number, unit: kg }",
    ));
    for weight in ["12.5", "-0.25", "7"] {
        let answer = format!("\x02 {weight} \x03");
        let value = next_value(&mut cell);
        let read = scale.answer(b"W\r", &[answer.as_bytes()], value).await;
        assert_eq!(read, weight);
    }
    drop(socat);
    let (word, said) = lost(&mut cell).await;
    assert!(["closed", "refused"].contains(&word), "{word}: {said}");
    cell.stop().await;
}

#[tokio::test]
async fn a_port_that_a_program_makes_goes_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("TCP:{}", listener.local_addr().unwrap());
    let socket = Socket::new();
    let from = format!("PTY,rawer,link={}", socket.port().display());
    let mut cell = Cell::start(&device(&serial(&socket.port()), "", "code: { line: text }"));
    for round in 0..2 {
        let Some(socat) = Socat::start(&from, &to) else {
            return;
        };
        let (mut scanner, _) = listener.accept().await.unwrap();
        there(&mut cell).await;
        scanner
            .write_all(format!("A{round}\r\n").as_bytes())
            .await
            .unwrap();
        assert_eq!(next_value(&mut cell).await, format!("A{round}"));
        drop(socat);
        drop(std::fs::remove_file(socket.port()));
        lost(&mut cell).await;
    }
    cell.stop().await;
}
