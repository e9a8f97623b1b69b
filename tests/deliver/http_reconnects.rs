//! A thousand keep-alive connections that break at random moments, with an oracle that counts every id.

use super::mes::{Mes, Reply};
use super::mosquitto::{Gate, Way};
use super::mqtt_reconnects::hasty;
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, wait_until};
use serde_json::json;
use std::sync::{Arc, Mutex};

const RECONNECTS: usize = 1_000;
/// One request of so many breaks its connection.
const ONE_OF: u8 = 4;

/// How many connections were broken so far, and what decides about the next.
struct Breaking {
    broken: usize,
    random: fastrand::Rng,
}

impl Breaking {
    fn reply(&mut self) -> Reply {
        if self.broken == RECONNECTS || self.random.u8(0..ONE_OF) > 0 {
            return Reply::status(200);
        }
        self.broken += 1;
        match self.random.bool() {
            true => Reply::CloseBefore,
            false => Reply::CloseInside,
        }
    }
}

async fn survive(batch: usize, count: u64) {
    let seed = fastrand::u64(..);
    println!("seed {seed}, batch {batch}");
    let oracle = Oracle::default();
    let records = events(count);
    let breaking = Arc::new(Mutex::new(Breaking {
        broken: 0,
        random: fastrand::Rng::with_seed(seed),
    }));
    let decides = Arc::clone(&breaking);
    let mes = Mes::start(&oracle, move |_| decides.lock().unwrap().reply()).await;
    let uplink = http(json!({ "url": mes.url(), "batch": batch }));
    let health = deliver_all(&uplink, hasty(), &records, &oracle).await;
    assert_eq!(breaking.lock().unwrap().broken, RECONNECTS);
    assert!(mes.connections() > RECONNECTS);
    oracle.check_repeats(&records, batch * RECONNECTS);
    oracle.check_only_the_last_of_a_connection_come_again(batch);
    assert_eq!(health.filtered.get(), 0);
}

#[tokio::test]
async fn a_thousand_broken_keep_alive_connections_lose_nothing_and_repeat_a_request_each() {
    survive(1, 6_000).await;
}

#[tokio::test]
async fn the_same_in_batches_repeats_a_batch_each() {
    survive(10, 60_000).await;
}

const OUTAGES: usize = 20;
/// Most connections that break in one outage; after `20` in a row an event is passed by its own machine.
const MOST_BROKEN: usize = 12;

/// Events that come between two outages, at least: all that broke in the first. One that breaks in both while others are taken
/// in between cannot be told from one on which each connection breaks.
const BETWEEN: usize = 64;

/// A proxy takes each connection and breaks it while the MES behind it is off, as a container host does.
async fn survive_outages(machines: u64) {
    let seed = fastrand::u64(..);
    println!("seed {seed}, machines {machines}");
    let mut random = fastrand::Rng::with_seed(seed);
    let oracle = Oracle::default();
    let mut records = events(4_000);
    for record in &mut records {
        record.envelope.partition_key = format!("PRESS-{}", record.position.seq % machines);
    }
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    let way = Way::to(mes.port).await;
    let uplink = http(json!({ "url": format!("http://127.0.0.1:{}/events", way.port) }));
    let mut run = Run::start(&uplink, hasty(), &records, 0, oracle.clone());
    for part in records.chunks(records.len() / OUTAGES) {
        run.show(part.last().expect("a part"));
        let enough = oracle.arrivals() + random.usize(BETWEEN..part.len() / 2);
        wait_until("some have come", || oracle.arrivals() >= enough).await;
        let broken = way.attempts() + random.usize(1..=MOST_BROKEN);
        way.set(Gate::Shut);
        wait_until("connections broke", || way.attempts() >= broken).await;
        way.set(Gate::Open);
    }
    run.wait_settled(records.last().expect("the last")).await;
    run.stop().await;
    oracle.check(&records);
}

#[tokio::test]
async fn an_outage_that_breaks_each_connection_lets_no_event_overtake_one_of_its_machine() {
    for machines in [1, 3, 8] {
        survive_outages(machines).await;
    }
}
