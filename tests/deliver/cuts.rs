//! Connections that are cut at any byte, in either direction: in the middle of a packet, of a head, of an answer.

use super::broker::{Broker, Script, Version};
use super::mes::{Mes, Reply};
use super::mqtt_reconnects::hasty;
use super::oracle::{Oracle, events};
use super::run::{deliver_all, http, mqtt};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const CUTS: usize = 200;
const WINDOW: usize = 16;
/// A cut comes after so many bytes to the server at the most: some 25 events.
const MOST_THERE: u64 = 6_000;
/// And from it: some 25 acknowledgements of MQTT.
const MOST_ACKNOWLEDGED: u64 = 100;
/// The same in answers of HTTP.
const MOST_ANSWERED: u64 = 1_000;
/// Every second one comes in that part of it: in the handshake, in the head of the first request or answer.
const EARLY: u64 = 20;

/// Where a connection ends.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// The bytes to the server are counted, not those from it.
    there: bool,
    bytes: u64,
}

fn cuts(random: &mut fastrand::Rng, most_back: u64) -> Vec<Cut> {
    let cut = |_| {
        let there = random.bool();
        let most = if there { MOST_THERE } else { most_back };
        let early = random.bool();
        Cut {
            there,
            bytes: random.u64(0..if early { most / EARLY } else { most }),
        }
    };
    (0..CUTS).map(cut).collect()
}

/// A way to a server on which the first connections are cut, one as each of these says.
struct Way {
    port: u16,
    made: Arc<AtomicUsize>,
}

impl Way {
    async fn to(server: u16, cuts: Vec<Cut>) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let way = Way {
            port: listener.local_addr().expect("an address").port(),
            made: Arc::default(),
        };
        let made = Arc::clone(&way.made);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let nth = made.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(pass(near, server, cuts.get(nth).copied()));
            }
        });
        way
    }

    /// Connections that were made.
    fn connections(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }
}

async fn pass(near: TcpStream, server: u16, cut: Option<Cut>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let limit = |there: bool| match cut {
        Some(cut) if cut.there == there => cut.bytes,
        _ => u64::MAX,
    };
    let (from_near, mut to_near) = near.into_split();
    let (from_far, mut to_far) = far.into_split();
    let (mut from_near, mut from_far) = (from_near.take(limit(true)), from_far.take(limit(false)));
    // Whichever side ends first, or is cut, ends both.
    tokio::select! {
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
        _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
    }
}

fn seeded(what: &str) -> fastrand::Rng {
    let seed = fastrand::u64(..);
    println!("seed {seed}, {what}");
    fastrand::Rng::with_seed(seed)
}

#[tokio::test]
async fn mqtt_cut_at_any_byte_loses_nothing_and_repeats_a_window_for_each_cut() {
    for version in Version::BOTH {
        let mut random = seeded(&format!("{version:?}"));
        let oracle = Oracle::default();
        // More than all cut connections can take together.
        let records = events(6_000);
        let broker = Broker::start(version, vec![Script::default()], oracle.clone()).await;
        let way = Way::to(broker.port, cuts(&mut random, MOST_ACKNOWLEDGED)).await;
        let uplink = mqtt(json!({
            "url": format!("mqtt://127.0.0.1:{}", way.port),
            "version": version.number(),
            "window": WINDOW,
        }));
        deliver_all(&uplink, hasty(), &records, &oracle).await;
        assert_eq!(way.connections(), CUTS + 1);
        oracle.check_repeats_by_connection(WINDOW, true);
        assert!(broker.most_outstanding() <= WINDOW);
    }
}

#[tokio::test]
async fn http_cut_at_any_byte_loses_nothing_and_repeats_what_was_under_way() {
    for (batch, count) in [(1, 4_000), (10, 12_000)] {
        let mut random = seeded(&format!("batch {batch}"));
        // It takes two cuts to make an event fail twice.
        let oracle = Oracle::of_lost_requests(CUTS / 2 * batch);
        let records = events(count);
        let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
        let way = Way::to(mes.port, cuts(&mut random, MOST_ANSWERED)).await;
        let url = format!("http://127.0.0.1:{}/events", way.port);
        let uplink = http(json!({ "url": url, "batch": batch }));
        deliver_all(&uplink, hasty(), &records, &oracle).await;
        assert!(way.connections() > CUTS);
        oracle.check_only_the_last_of_a_connection_come_again(batch);
    }
}
