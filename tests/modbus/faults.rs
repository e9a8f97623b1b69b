//! What comes of each fault: bad quality or a loss, a new connection, and another device that notices nothing.

use super::cell::{Cell, good};
use super::evil::{Fault, Server};
use futures_util::future::join_all;
use millgate::model::{BadReason, Content, Quality, Value};

/// What a fault must lead to.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Bad samples with the code of the exception, on the same connection.
    BadTags(u8),
    /// A loss with this code, on the same connection.
    LostBehindGateway,
    /// A loss with one of these codes, and new connections.
    Lost(&'static [&'static str]),
}

fn device(name: &str, port: u16, unit: u8, timeout: &str, lost_after: &str) -> String {
    format!(
        "  {name}:
    modbus_tcp: {{ host: 127.0.0.1, port: {port}, unit: {unit}, timeout: {timeout} }}
    addresses: zero_based
    lost_after: {lost_after}
    tags:
      {name}_a: {{ holding: 7, every: 50ms }}
      {name}_b: {{ holding: 8, type: u32, every: 50ms }}
"
    )
}

/// The good device of a cell never shows anything but its values.
fn undisturbed(name: &str, content: &Content) {
    assert!(
        name != "good" || good(content),
        "the good device suffers: {content:?}"
    );
}

async fn check(fault: Fault, outcome: Outcome) {
    let (evil, well) = (
        Server::start(fault).await,
        Server::start(Fault::Nothing).await,
    );
    // Short only where a wait is the point: a slow machine must not be taken for a fault.
    let (timeout, lost_after) = match outcome {
        Outcome::BadTags(_) => ("20s", "60s"),
        Outcome::Lost(["timeout"]) => ("100ms", "2s"),
        Outcome::Lost(_) | Outcome::LostBehindGateway => ("20s", "2s"),
    };
    let devices = device("evil", evil.port, 5, timeout, lost_after)
        + &device("good", well.port, 6, "20s", "60s");
    let mut cell = Cell::start(&devices);
    let what = format!("{fault:?}, {outcome:?}");
    let arrived = |content: &Content| match (outcome, content) {
        (Outcome::BadTags(code), Content::Samples(samples)) => {
            let bad = Quality::Bad(BadReason::Exception(code));
            assert!(
                samples
                    .iter()
                    .all(|sample| sample.quality == bad && sample.value.is_none())
            );
            samples.len() == 2
        }
        (Outcome::LostBehindGateway, Content::Lost(error)) => error.code == "unreachable",
        (Outcome::Lost(codes), Content::Lost(error)) => {
            assert!(codes.contains(&error.code), "{what}: {error:?}");
            assert!(error.detail.chars().count() <= 200, "{error:?}");
            true
        }
        _ => panic!("{what}: {content:?}"),
    };
    cell.until("evil", &what, undisturbed, arrived).await;
    for _ in 0..5 {
        cell.until("good", &what, undisturbed, good).await;
    }
    if let Outcome::Lost(_) = outcome {
        while evil.connections() < 3 {
            cell.until("good", &what, undisturbed, good).await;
        }
        assert!(fault == Fault::CloseAtOnce || cell.health("evil").failures.get() > 0);
    } else {
        assert_eq!(evil.connections(), 1, "{what}");
        assert!(cell.health("evil").exceptions.get() > 0);
    }
    evil.heal();
    cell.until("evil", &what, undisturbed, good).await;
    assert_eq!(well.connections(), 1, "{what}");
    assert_eq!(evil.other_than_reads() + well.other_than_reads(), 0);
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_one_server_reaches_another_device() {
    let protocol = Outcome::Lost(&["protocol"]);
    let closed = Outcome::Lost(&["closed"]);
    let timeout = Outcome::Lost(&["timeout"]);
    let mut faults: Vec<(Fault, Outcome)> = [1, 2, 3, 4, 5, 6, 0x99]
        .map(|code| (Fault::Exception(code), Outcome::BadTags(code)))
        .to_vec();
    faults.extend([0x0A, 0x0B].map(|code| (Fault::Exception(code), Outcome::LostBehindGateway)));
    faults.extend([(Fault::Silence, timeout), (Fault::Drip, timeout)]);
    // Three registers were asked for: the right length is 9, and a longer frame is waited for in vain.
    faults
        .extend([0, 1, 2, 3, 8, 255, 256, 0xFFFF].map(|length| (Fault::Length(length), protocol)));
    faults.extend([10, 254].map(|length| (Fault::Length(length), timeout)));
    faults.extend([1, 0x100, 0xFFFF].map(|id| (Fault::Protocol(id), protocol)));
    faults.extend([0, 1, 4, 5, 7, 8, 255].map(|count| (Fault::ByteCount(count), protocol)));
    faults.extend([0, 1, 4, 5, 7, 8, 250, 251].map(|count| (Fault::Bytes(count), protocol)));
    faults.extend(
        [1, 4, 6, 0x10, 0x11, 0x2B, 0x64, 0x80]
            .map(|function| (Fault::WrongFunction(function), protocol)),
    );
    faults.extend([0x00, 0x01, 0xFF].map(|byte| (Fault::Flood(byte), protocol)));
    faults.extend([
        (Fault::CloseAtOnce, closed),
        (Fault::CloseInside, closed),
        (Fault::Twice, protocol),
        (Fault::ShortFrame, protocol),
        (Fault::ShortException, protocol),
        (Fault::WrongUnit, protocol),
        (Fault::WrongTransaction, protocol),
    ]);
    join_all(
        faults
            .into_iter()
            .map(|(fault, outcome)| check(fault, outcome)),
    )
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_lost() {
    // Bound, so that nobody else gets the port, but not listening.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut cell = Cell::start(&device("plc", port, 1, "20s", "2s"));
    let lost = cell
        .until(
            "plc",
            "the loss",
            |_, _| (),
            |content| matches!(content, Content::Lost(_)),
        )
        .await;
    let Content::Lost(error) = lost else {
        panic!("{lost:?}");
    };
    assert_eq!(error.code, "refused");
    assert_eq!(cell.health("plc").connects.get(), 0);
    cell.stop().await;
}

#[tokio::test]
async fn a_dead_unit_behind_a_gateway_leaves_the_others_their_turn() {
    let server = Server::start(Fault::SilentUnit(2)).await;
    let devices = device("one", server.port, 1, "20s", "60s")
        + &device("two", server.port, 2, "100ms", "300ms")
        + &device("three", server.port, 3, "20s", "60s");
    let mut cell = Cell::start(&devices);
    let others = |name: &str, content: &Content| assert!(name == "two" || good(content));
    let lost = |content: &Content| matches!(content, Content::Lost(_));
    cell.until("two", "the loss", others, lost).await;
    for name in ["one", "three", "one", "three"] {
        cell.until(name, "goes on", others, good).await;
    }
    server.heal();
    let back = cell.until("two", "the return", others, good).await;
    let Content::Samples(samples) = back else {
        panic!("{back:?}");
    };
    let expected = [
        ("two_a".to_owned(), Some(Value::Int(7)), Quality::Good),
        (
            "two_b".to_owned(),
            Some(Value::Int(0x0008_0009)),
            Quality::Good,
        ),
    ];
    assert_eq!(cell.named(&samples), expected);
    assert_eq!(
        samples[0].stamp, samples[1].stamp,
        "one answer is one instant"
    );
    cell.stop().await;
}
