//! Scanners: in pieces, garbled, silent, endless, and on TCP.

use super::device::{Socket, device, lost, next_value, serial, tcp, there};
use crate::modbus::cell::Cell;
use millgate::model::{Content, Quality, Value};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const CODE: &str = "code: { line: text }";

#[tokio::test]
async fn a_scan_in_pieces_between_garbled_ones_is_read() {
    let socket = Socket::new();
    let mut scanner = socket.plug();
    let lines = ", aim: true, max_length: 64";
    let tags = "kind: { line: symbology }, gtin: { gs1: \"01\" }, serial: { gs1: \"21\" }";
    let mut cell = Cell::start(&device(&serial(&socket.port()), lines, tags));
    there(&mut cell).await;
    scanner.send(b"C10104012345678901\r\n").await; // its beginning is lost
    scanner.send(&[0xFE; 300]).await;
    scanner.send(b"\r").await;
    let noise: Vec<u8> = (0..=255).cycle().take(2_000).collect();
    for piece in noise.chunks(100) {
        scanner.send(piece).await;
    }
    scanner.send(b"\r").await;
    for byte in b"]C1010401234567890121A7\x1d10B4\r\n" {
        scanner.send(&[*byte]).await;
    }
    let mut named = Vec::new();
    cell.until(
        "d",
        "the scan",
        |_, _| {},
        |content| {
            let Content::Samples(samples) = content else {
                return false;
            };
            named = samples.clone();
            named.iter().any(|sample| sample.quality == Quality::Good)
        },
    )
    .await;
    let text = |text: &str| Some(Value::Text(text.into()));
    let expected = [
        ("kind".to_owned(), text("]C1"), Quality::Good),
        ("gtin".to_owned(), text("04012345678901"), Quality::Good),
        ("serial".to_owned(), text("A7"), Quality::Good),
    ];
    assert_eq!(cell.named(&named), expected);
    assert!(cell.health("d").refused_lines.get() > 0);
    assert!(cell.health("d").dropped_lines.get() > 0);
    cell.stop().await;
}

#[tokio::test]
async fn a_scanner_may_be_silent_for_long() {
    let socket = Socket::new();
    let mut scanner = socket.plug();
    let mut cell = Cell::start(&device(&serial(&socket.port()), "", CODE));
    there(&mut cell).await;
    // Ten times `lost_after`.
    let silence = tokio::time::timeout(Duration::from_secs(3), cell.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    scanner.send(b"A7\r").await;
    assert_eq!(next_value(&mut cell).await, "A7");
    cell.stop().await;
}

#[tokio::test]
async fn a_scanner_on_tcp_that_closes_is_connected_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut cell = Cell::start(&device(&tcp(port), "", CODE));
    for round in 0..3 {
        let (mut scanner, _) = listener.accept().await.unwrap();
        let scans = format!("A{round}\r\nB{round}\r\nhalf");
        scanner.write_all(scans.as_bytes()).await.unwrap();
        drop(scanner);
        for letter in ["A", "B"] {
            assert_eq!(next_value(&mut cell).await, format!("{letter}{round}"));
        }
    }
    drop(listener);
    let (word, said) = lost(&mut cell).await;
    assert!(word == "refused" || word == "closed", "{word}: {said}");
    cell.stop().await;
}

#[tokio::test]
async fn a_converter_that_accepts_and_closes_at_once_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut cell = Cell::start(&device(&tcp(port), "", CODE));
    let refusing = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let (word, said) = tokio::select! {
        lost = lost(&mut cell) => lost,
        () = refusing => unreachable!(),
    };
    assert_eq!(word, "closed");
    assert!(said.contains("has somebody else got it?"), "{said}");
    cell.stop().await;
}

#[tokio::test]
async fn a_flood_of_lines_harms_nobody_else() {
    let flood = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let quiet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let other = device(&tcp(port(&quiet)), "", CODE);
    let noisy = device(
        &tcp(port(&flood)),
        ", pattern: '^(?<n>[0-9]+)$'",
        "n: { group: n }",
    );
    let mut cell = Cell::start(&format!("{other}{}", noisy.replace("  d:", "  flood:")));
    let (mut flooding, _) = flood.accept().await.unwrap();
    let (mut scanner, _) = quiet.accept().await.unwrap();
    let sending = async {
        let endless = [b'x'; 65_536];
        let lines = b"noise\r\n".repeat(8_192);
        loop {
            flooding.write_all(&endless).await.unwrap();
            flooding.write_all(&lines).await.unwrap();
        }
    };
    let scanning = async {
        for scan in 0..20 {
            scanner
                .write_all(format!("A{scan}\r\n").as_bytes())
                .await
                .unwrap();
            assert_eq!(next_value(&mut cell).await, format!("A{scan}"));
        }
    };
    tokio::select! {
        () = scanning => {}
        () = sending => unreachable!(),
    }
    assert!(cell.health("flood").refused_lines.get() > 0);
    drop(flooding);
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_stops_talking_does_not_hold_up_the_stop() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let cell = Cell::start(&device(&tcp(port), "", CODE));
    let (mut peer, _) = listener.accept().unwrap();
    let talking = std::thread::spawn(move || {
        let endless = [b'x'; 65_536];
        while std::io::Write::write_all(&mut peer, &endless).is_ok() {}
    });
    while cell.health("d").dropped_lines.get() == 0 {
        tokio::task::yield_now().await;
    }
    let stopped = tokio::time::timeout(Duration::from_secs(20), cell.stop()).await;
    assert!(stopped.is_ok(), "the link does not hear the wish to stop");
    talking.join().unwrap();
}
