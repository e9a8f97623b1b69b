//! The gateway as a process, with its store on a disk, killed and cut off again and again while it delivers; a scripted far end
//! counts every id.

use super::broker::{Broker, Script, Version};
use super::mes::{Mes, Reply};
use super::mosquitto::{Gate, Way};
use super::oracle::{Oracle, event};
use super::run::wait_until;
use crate::dead_letters::{Gateway, account, home, settings, store};
use millgate::buffer::Record;

const KILLS: usize = 20;
const CUTS: usize = 50;
const EVENTS: u64 = 8_000;
/// Most requests, or events without their acknowledgement, that are under way.
const WINDOW: usize = 8;
/// What a kill may repeat where less than that is under way.
const MOST_REPEATED: usize = 64;
/// Between two faults so many more events come at the most; and they come at this pace, so that none of the faults is too late.
const MOST_BETWEEN: usize = 60;
const RATE: &str = "400/s";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Cut,
}

/// The events of the store, as the oracle counts them.
fn stored() -> Vec<Record> {
    let of_four = |seq| {
        let mut record = event(seq, 0);
        record.envelope.partition_key = format!("PRESS-{}", seq % 4);
        record
    };
    (1..=EVENTS).map(of_four).collect()
}

/// Runs a gateway on a full store, to the uplink that this makes of a port, through all faults to the end.
async fn survive(port: u16, oracle: &Oracle, uplink: impl Fn(u16) -> String) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let home = home();
    store(home.path(), EVENTS);
    let way = Way::to(port).await;
    let file = settings(home.path(), &uplink(way.port), "");
    let mut faults: Vec<Fault> = (0..KILLS).map(|_| Fault::Kill).collect();
    faults.extend((0..CUTS).map(|_| Fault::Cut));
    random.shuffle(&mut faults);
    let mut gateway = started(&file).await;
    for fault in faults {
        let enough = oracle.arrivals() + random.usize(1..MOST_BETWEEN);
        wait_until("some more have come", || oracle.arrivals() >= enough).await;
        match fault {
            Fault::Kill => {
                gateway.kill();
                gateway = started(&file).await;
            }
            Fault::Cut => {
                way.set(Gate::Shut);
                tokio::task::yield_now().await;
                way.set(Gate::Open);
            }
        }
    }
    assert!(
        (oracle.first_arrivals().len() as u64) < EVENTS,
        "all faults come in time"
    );
    let said = file.clone();
    tokio::task::spawn_blocking(move || {
        crate::dead_letters::wait_until("all are settled", || account(&said)["waiting"] == 0);
        gateway.stop();
    })
    .await
    .expect("no panic");
    oracle.check(&stored());
    oracle.check_repeats(&stored(), MOST_REPEATED * KILLS + WINDOW * CUTS);
    println!("{} repeats", oracle.arrivals() as u64 - EVENTS);
    for account in crate::conserved::check(home.path()) {
        let elsewhere = account.parked + account.discarded + account.dropped;
        assert_eq!((account.waiting.len(), elsewhere), (0, 0), "{account:?}");
    }
}

/// A start waits for its log, which no test thread may.
async fn started(file: &std::path::Path) -> Gateway {
    let file = file.to_owned();
    let started = tokio::task::spawn_blocking(move || Gateway::start(&file));
    started.await.expect("it starts")
}

fn yaml(protocol: &str) -> String {
    format!("{{ {protocol}, rate_limit: {RATE}, start_at: oldest, events: [\"operation.*\"] }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_and_fifty_cuts_on_http_lose_nothing() {
    // It takes two cuts, with others taken between them, to make an event fail twice on its own account; each cut ends the
    // requests of four machines.
    let oracle = Oracle::of_lost_requests(CUTS / 2 * 4);
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    survive(mes.port, &oracle, |port| {
        yaml(&format!(
            "http: {{ url: \"http://127.0.0.1:{port}/events\", in_flight: {WINDOW} }}"
        ))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_and_fifty_cuts_on_mqtt_lose_nothing_and_repeat_a_window_each() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let broker = Broker::start(version, vec![Script::default()], oracle.clone()).await;
        let number = version.number();
        survive(broker.port, &oracle, |port| {
            yaml(&format!(
                "mqtt: {{ url: \"mqtt://127.0.0.1:{port}\", version: {number}, window: {WINDOW} }}"
            ))
        })
        .await;
        oracle.check_repeats_by_connection(WINDOW, true);
        assert!(broker.most_outstanding() <= WINDOW);
    }
}
