//! How fast a backlog of 100,000 events of 1 KB drains from the store over MQTT QoS 1 to a mosquitto on loopback, beside live
//! events of other machines, against a bare publish loop of the MQTT library with the same window in the same run. Goals: at
//! least 20,000 events/s, and 0.8 of the bare loop.
//!
//! The same over a link with a round trip of 40 ms, all events of one partition key: at least 1,000 events/s.
//!
//! `cargo bench --bench drain`. The rounds alternate, so that a change of the box's clock hits both.

mod delivery;
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may panic"
)]
mod stores;

use delivery::broker::{Broker, ONE_WAY, SlowLink, Subscriber};
use delivery::goals::{Goals, measured, middle};
use delivery::{Drained, Failure, Live, Stock, drain, in_earnest, mqtt};
use millgate::settings::shape;
use rumqttc::{Event, Packet, QoS};
use std::process::ExitCode;
use std::time::Instant;

const EVENTS: u64 = 100_000;
const EVENT_BYTES: usize = 1_024;
const MACHINES: u64 = 64;
const WINDOW: u16 = 64;
const ROUNDS: usize = 3;
const GOAL_PER_S: f64 = 20_000.0;
const GOAL_RATIO: f64 = 0.8;
const SLOW_EVENTS: u64 = 10_000;
const SLOW_GOAL_PER_S: f64 = 1_000.0;
const TOPIC: &str = "ACME/PLANT1/PRESS-04/_mes/evt/operation.completed";

fn main() -> ExitCode {
    measured("drain", measure(if in_earnest() { EVENTS } else { 1_000 }))
}

async fn measure(events: u64) -> Result<Goals, Failure> {
    let mut goals = Goals::default();
    let folder = tempfile::tempdir()?;
    let broker = Broker::start(folder.path())?;
    println!(
        "{events} events of {EVENT_BYTES} bytes of {MACHINES} machines from the store, 50 live events/s beside them, window {WINDOW}, MQTT QoS 1 to mosquitto on loopback"
    );
    for (version, name) in [
        (shape::MqttVersion::V3, "MQTT 3.1.1"),
        (shape::MqttVersion::V5, "MQTT 5    "),
    ] {
        let (mut bare, mut best, mut ratios) = (0.0_f64, 0.0_f64, Vec::new());
        for _ in 0..ROUNDS {
            let alone = bare_loop(version, broker.port, events).await?;
            let drained = through(version, broker.port, broker.port, (events, MACHINES)).await?;
            println!(
                "{name}  {:>7.0} events/s, bare loop {alone:>7.0}; {}",
                drained.per_s,
                drained.waits()
            );
            ratios.push(drained.per_s / alone);
            (bare, best) = (bare.max(alone), best.max(drained.per_s));
        }
        let ratio = middle(ratios);
        println!(
            "{name}  drained {best:>7.0} events/s (goal {GOAL_PER_S:.0})  bare loop {bare:>7.0} events/s  best of {ROUNDS}; ratio {ratio:.2} (goal {GOAL_RATIO}) in the middle round"
        );
        goals.at_least(
            &format!("{} against a bare loop", name.trim_end()),
            GOAL_RATIO,
            ratio,
        );
        let slow = SlowLink::start(broker.port).await?;
        let slow_events = events.min(SLOW_EVENTS);
        let far = through(version, slow.port, broker.port, (slow_events, 1)).await?;
        println!(
            "{name}  drained {:>7.0} events/s (goal {SLOW_GOAL_PER_S:.0}) over a round trip of {} ms, one partition key; {}",
            far.per_s,
            2 * ONE_WAY.as_millis(),
            far.waits()
        );
    }
    Ok(goals)
}

/// Millgate: from the store to the last event settled.
async fn through(
    version: shape::MqttVersion,
    port: u16,
    subscriber_port: u16,
    (events, machines): (u64, u64),
) -> Result<Drained, Failure> {
    let live = Live::default();
    // mosquitto answers 0x10 to MQTT 5 as long as nobody subscribes, and that settles nothing.
    let _subscriber = Subscriber::start(subscriber_port, &live).await?;
    let stock = Stock {
        events,
        bytes: EVENT_BYTES..=EVENT_BYTES,
        machines,
    };
    drain(&mqtt(version, port, WINDOW)?, &live, stock).await
}

fn rate(events: u64, began: Instant) -> f64 {
    events as f64 / began.elapsed().as_secs_f64()
}

/// The library alone: publish with its own queue and window, count acknowledgements.
async fn bare_loop(version: shape::MqttVersion, port: u16, events: u64) -> Result<f64, Failure> {
    let _subscriber = Subscriber::start(port, &Live::default()).await?;
    match version {
        shape::MqttVersion::V3 => bare_v3(port, events).await,
        shape::MqttVersion::V5 => bare_v5(port, events).await,
    }
}

async fn bare_v3(port: u16, events: u64) -> Result<f64, Failure> {
    let mut options = rumqttc::MqttOptions::new("bare", "127.0.0.1", port);
    options.set_inflight(WINDOW);
    let (client, mut event_loop) = rumqttc::AsyncClient::new(options, usize::from(WINDOW));
    event_loop.set_network_options(network());
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let began = Instant::now();
    let publishing = tokio::spawn(async move {
        for _ in 0..events {
            let sent = client.publish_bytes(TOPIC, QoS::AtLeastOnce, false, payload.clone());
            if sent.await.is_err() {
                break;
            }
        }
        client
    });
    let mut acknowledged = 0;
    while acknowledged < events {
        if let Event::Incoming(Packet::PubAck(_)) = event_loop.poll().await? {
            acknowledged += 1;
        }
    }
    let rate = rate(events, began);
    publishing.await?;
    Ok(rate)
}

async fn bare_v5(port: u16, events: u64) -> Result<f64, Failure> {
    use rumqttc::v5;
    let mut options = v5::MqttOptions::new("bare", "127.0.0.1", port);
    options.set_outgoing_inflight_upper_limit(WINDOW);
    options.set_network_options(network());
    let (client, mut event_loop) = v5::AsyncClient::new(options, usize::from(WINDOW));
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let began = Instant::now();
    let publishing = tokio::spawn(async move {
        for _ in 0..events {
            let qos = v5::mqttbytes::QoS::AtLeastOnce;
            if client
                .publish(TOPIC, qos, false, payload.clone())
                .await
                .is_err()
            {
                break;
            }
        }
        client
    });
    let mut acknowledged = 0;
    while acknowledged < events {
        let event = event_loop.poll().await?;
        if matches!(
            event,
            v5::Event::Incoming(v5::mqttbytes::v5::Packet::PubAck(_))
        ) {
            acknowledged += 1;
        }
    }
    let rate = rate(events, began);
    publishing.await?;
    Ok(rate)
}

fn network() -> rumqttc::NetworkOptions {
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network
}
