//! MQTT against a real mosquitto: that our own broker does not share our misunderstandings.

use super::broker::Version;
use super::certificates::Certificates;
use super::mosquitto::{Access, Gate, Mosquitto, Subscriber, Way, installed};
use super::oracle::{Oracle, events};
use super::run::{Run, mqtt, quick, wait_until};
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use serde_json::json;
use std::sync::Arc;

const WINDOW: usize = 64;

fn subscriber(port: u16) -> MqttOptions {
    MqttOptions::new("subscriber", "localhost", port)
}

#[tokio::test]
async fn mosquitto_gets_each_event_once_and_in_order() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = Mosquitto::start(program, folder.path(), Access::Anyone);
        let oracle = Oracle::default();
        let _subscriber = Subscriber::start(subscriber(broker.port), oracle.clone()).await;
        let records = events(1_000);
        let url = format!("mqtt://localhost:{}", broker.port);
        let uplink = mqtt(json!({ "url": url, "version": version.number() }));
        // The acknowledgement may be faster than the subscriber: what is settled is asked of the broker here.
        records.iter().for_each(|r| oracle.grant(r.envelope.id));
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        run.wait_settled(&records[999]).await;
        wait_until("all have arrived", || oracle.arrivals() >= 1_000).await;
        let health = run.stop().await;
        oracle.check(&records);
        oracle.check_repeats(&records, 0);
        assert_eq!((health.connects.get(), health.delivered.get()), (1, 1_000));
    }
}

#[tokio::test]
async fn tls_with_and_without_a_certificate_of_our_own() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        for mutual in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let own = Certificates::make(folder.path(), "own");
            let broker = Mosquitto::start(program, folder.path(), Access::Tls(&own, mutual));
            let oracle = Oracle::default();
            let mut options = subscriber(broker.port);
            let tls = TlsConfiguration::Rustls(Arc::new(own.client()));
            options.set_transport(Transport::tls_with_config(tls));
            let _subscriber = Subscriber::start(options, oracle.clone()).await;
            let records = events(100);
            records.iter().for_each(|r| oracle.grant(r.envelope.id));
            let uplink = mqtt(json!({
                "url": format!("mqtts://localhost:{}", broker.port),
                "version": version.number(),
                "tls": own.settings(mutual.then_some(&own)),
            }));
            let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
            run.wait_settled(&records[99]).await;
            wait_until("all have arrived", || oracle.arrivals() >= 100).await;
            run.stop().await;
            oracle.check(&records);
        }
    }
}

#[tokio::test]
async fn a_broker_of_a_foreign_authority_gets_nothing() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Certificates::make(folder.path(), "own");
        let foreign = Certificates::make(folder.path(), "foreign");
        let broker = Mosquitto::start(program, folder.path(), Access::Tls(&own, false));
        let oracle = Oracle::default();
        let way = Way::to(broker.port).await;
        let uplink = mqtt(json!({
            "url": format!("mqtts://localhost:{}", way.port),
            "version": version.number(),
            "tls": foreign.settings(None),
        }));
        let run = Run::start(&uplink, quick(), &events(3), 3, oracle.clone());
        wait_until("it was tried ten times", || way.attempts() >= 10).await;
        assert_eq!((run.health.connects.get(), run.health.sent.get()), (0, 0));
        assert_eq!(run.settled().seq, 0);
        run.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_again_and_read_anew() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = Mosquitto::start(program, folder.path(), Access::User("gw07", "right"));
        let password = folder.path().join("password");
        std::fs::write(&password, "wrong\n").expect("written");
        let oracle = Oracle::default();
        let mut options = subscriber(broker.port);
        options.set_credentials("gw07", "right");
        let _subscriber = Subscriber::start(options, oracle.clone()).await;
        let records = events(20);
        records.iter().for_each(|r| oracle.grant(r.envelope.id));
        let uplink = mqtt(json!({
            "url": format!("mqtt://localhost:{}", broker.port),
            "version": version.number(),
            "user": { "name": "gw07", "password": { "file": password } },
        }));
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        assert_eq!(run.health.connects.get(), 0);
        std::fs::write(&password, "right\n").expect("written");
        run.wait_settled(&records[19]).await;
        wait_until("all have arrived", || oracle.arrivals() >= 20).await;
        run.stop().await;
        oracle.check(&records);
    }
}

/// The session is forgotten in the middle: unacknowledged events, a killed broker, a new one that knows nothing.
#[tokio::test]
async fn a_broker_that_is_killed_and_forgets_the_session_loses_nothing() {
    let Some(program) = installed() else { return };
    for version in Version::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let mut broker = Mosquitto::start(program, folder.path(), Access::Anyone);
        let way = Way::to(broker.port).await;
        let oracle = Oracle::default();
        let first = Subscriber::start(subscriber(broker.port), oracle.clone()).await;
        let records = events(1_000);
        records.iter().for_each(|r| oracle.grant(r.envelope.id));
        let uplink = mqtt(json!({
            "url": format!("mqtt://localhost:{}", way.port),
            "version": version.number(),
            "window": WINDOW,
        }));
        let mut run = Run::start(&uplink, quick(), &records, 500, oracle.clone());
        run.wait_settled(&records[499]).await;
        wait_until("the first half has arrived", || oracle.arrivals() == 500).await;

        // A window goes out and its acknowledgements get lost; the subscriber may have seen it or not.
        way.set(Gate::NoAnswers);
        let health = Arc::clone(&run.health);
        run.show(&records[999]);
        wait_until("a window is out", || health.sent.get() >= 500 + 64).await;
        broker.kill();
        way.set(Gate::Shut);
        drop(first);
        broker.restart(program);
        let _second = Subscriber::start(subscriber(broker.port), oracle.clone()).await;
        assert_eq!(
            run.settled(),
            records[499].position,
            "nothing was settled meanwhile"
        );
        way.set(Gate::Open);

        run.wait_settled(&records[999]).await;
        wait_until("all have arrived", || {
            oracle.first_arrivals().len() == 1_000
        })
        .await;
        run.stop().await;
        oracle.check(&records);
        oracle.check_repeats(&records, WINDOW);
    }
}
