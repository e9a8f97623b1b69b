//! MQTT against a real mosquitto with a MES that answers behind it, and with rights that are missing.

use super::broker::Version;
use super::mosquitto::{Access, Mosquitto, Subscriber, installed};
use super::oracle::{Oracle, events};
use super::run::{Run, mqtt, quick, wait_until};
use millgate::health::{DestinationState, UplinkHealth};
use millgate::settings::Uplink;
use millgate::settings::shape::Acknowledge;
use serde_json::json;
use std::sync::Arc;

const ANSWERS: &str = "ACME/PLANT1/_gw/gw07/ack";
const WINDOW: usize = 64;

fn uplink(port: u16, version: Version, acknowledge: Acknowledge) -> Uplink {
    let settings = json!({
        "url": format!("mqtt://localhost:{port}"),
        "version": version.number(),
        "window": WINDOW,
        "status": "ACME/PLANT1/_gw/gw07/status",
    });
    Uplink {
        acknowledge,
        ack_timeout: serde_json::from_value(json!({ "first": "1s", "then_up_to": "2s" }))
            .expect("good settings"),
        ..mqtt(settings)
    }
}

#[tokio::test]
async fn the_word_of_a_mes_behind_mosquitto_settles_each_event_once() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = Mosquitto::start(program, folder.path(), Access::Anyone);
        let oracle = Oracle::default();
        let _mes = Subscriber::mes(broker.port, ANSWERS, oracle.clone()).await;
        let records = events(2_000);
        let uplink = uplink(broker.port, version, Acknowledge::Mes);
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        run.wait_settled(&records[1_999]).await;
        let health = run.stop().await;
        oracle.check(&records);
        // A slow machine may let a verdict take longer than a second.
        oracle.check_repeats(&records, WINDOW);
        assert_eq!((health.connects.get(), health.delivered.get()), (1, 2_000));
    }
}

/// A broker that has said that it has the events, and forgets them: the MES has not spoken of them, so they come again.
#[tokio::test]
async fn what_a_broker_took_and_lost_comes_again_until_the_mes_has_spoken() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        for access in [Access::Anyone, Access::Persistent] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut broker = Mosquitto::start(program, folder.path(), access);
            let oracle = Oracle::default();
            let mes = Subscriber::mes(broker.port, ANSWERS, oracle.clone()).await;
            let records = events(1_000);
            let uplink = uplink(broker.port, version, Acknowledge::Mes);
            let mut run = Run::start(&uplink, quick(), &records, 300, oracle.clone());
            run.wait_settled(&records[299]).await;
            // The MES goes; a window goes to the broker, and the broker dies with it.
            drop(mes);
            let health: Arc<UplinkHealth> = Arc::clone(&run.health);
            run.show(&records[999]);
            wait_until("a window is out", || {
                health.sent.get() >= 300 + WINDOW as u64
            })
            .await;
            broker.kill();
            broker.restart(program);
            assert_eq!(run.settled(), records[299].position);
            let _mes = Subscriber::mes(broker.port, ANSWERS, oracle.clone()).await;
            run.wait_settled(&records[999]).await;
            run.stop().await;
            // What the broker lost comes behind what it had not taken: the order is the one thing that its word was good for.
            oracle.check_complete(&records);
        }
    }
}

fn paused(run: &Run) -> Option<String> {
    let state = run
        .health
        .destination
        .other_than(&DestinationState::default());
    state.and_then(|state| state.paused)
}

#[tokio::test]
async fn missing_rights_pause_the_destination_and_are_named() {
    let Some(program) = installed() else { return };
    let everything_but_events = "topic readwrite ACME/PLANT1/_gw/#\n";
    let everything_but_answers =
        "topic readwrite ACME/PLANT1/+/_mes/#\ntopic readwrite ACME/PLANT1/_gw/gw07/status\n";
    for (version, rights, acknowledge, says) in [
        (
            Version::V5,
            everything_but_events,
            Acknowledge::Broker,
            "0x87",
        ),
        (
            Version::V5,
            everything_but_answers,
            Acknowledge::Mes,
            ANSWERS,
        ),
        (
            Version::V3,
            everything_but_answers,
            Acknowledge::Mes,
            ANSWERS,
        ),
        // MQTT 3.1.1 acknowledges what it throws away: only the MES is missed.
        (
            Version::V3,
            everything_but_events,
            Acknowledge::Mes,
            ANSWERS,
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = Mosquitto::start(program, folder.path(), Access::Rights(rights));
        let uplink = uplink(broker.port, version, acknowledge);
        let oracle = Oracle::default();
        let _mes = Subscriber::mes(broker.port, ANSWERS, Oracle::default()).await;
        let run = Run::start(&uplink, quick(), &events(10), 10, oracle.clone());
        wait_until("the pause is told", || paused(&run).is_some()).await;
        let reason = paused(&run).unwrap_or_default();
        assert!(reason.contains(says), "{says}: {reason}");
        assert_eq!((run.settled().seq, run.health.connects.get()), (0, 1));
        run.stop().await;
    }
}

#[tokio::test]
async fn a_status_that_the_broker_does_not_take_stops_no_event() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let rights =
            "topic readwrite ACME/PLANT1/+/_mes/#\ntopic readwrite ACME/PLANT1/_gw/gw07/ack\n";
        let broker = Mosquitto::start(program, folder.path(), Access::Rights(rights));
        let oracle = Oracle::default();
        let _mes = Subscriber::mes(broker.port, ANSWERS, oracle.clone()).await;
        let records = events(50);
        let uplink = uplink(broker.port, version, Acknowledge::Mes);
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        run.wait_settled(&records[49]).await;
        run.stop().await;
        oracle.check(&records);
    }
}
