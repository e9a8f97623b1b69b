//! What a broker of MQTT 5 says in its greeting: how often it wants to be pinged, what it does not take.

use super::broker::{Allows, Broker, Greeting, STATUS, Script, Version};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, mqtt, quick, wait_until};
use millgate::buffer::Record;
use millgate::settings::Uplink;
use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use serde_json::json;
use std::time::Duration;

fn uplink(broker: &Broker) -> Uplink {
    mqtt(json!({ "url": broker.url(), "version": 5, "keep_alive": "30s", "status": STATUS }))
}

fn allowing(allows: Allows) -> Script {
    Script {
        allows,
        ..Script::default()
    }
}

/// Deliveries to a broker that wants to be pinged so often, with one event gone and one to go.
struct Pinged {
    broker: Broker,
    oracle: Oracle,
    run: Run,
    records: Vec<Record>,
}

impl Pinged {
    async fn start(keep_alive: Option<u16>, own: &str) -> Pinged {
        let oracle = Oracle::default();
        let records = events(2);
        let script = allowing(Allows {
            keep_alive,
            ..Allows::default()
        });
        let broker = Broker::start(Version::V5, vec![script], oracle.clone()).await;
        let uplink = mqtt(json!({ "url": broker.url(), "version": 5, "keep_alive": own }));
        let mut run = Run::start(&uplink, quick(), &records, 1, oracle.clone());
        run.wait_settled(&records[0]).await;
        Pinged {
            broker,
            oracle,
            run,
            records,
        }
    }

    /// Waits until it was pinged so often; the times between.
    async fn pings(&self, count: usize) -> Vec<Duration> {
        wait_until("it is pinged", || self.broker.pings().len() >= count).await;
        let pings = self.broker.pings();
        pings.windows(2).map(|two| two[1] - two[0]).collect()
    }

    /// The connection was kept all the time.
    async fn end(mut self) {
        self.run.show(&self.records[1]);
        self.run.wait_settled(&self.records[1]).await;
        self.run.stop().await;
        self.oracle.check(&self.records);
        self.oracle.check_repeats(&self.records, 0);
        assert_eq!(self.broker.connections(), 1);
    }
}

#[tokio::test]
async fn the_broker_is_pinged_as_often_as_it_wants() {
    let two_seconds = Pinged::start(Some(2), "1h").await;
    let off = Pinged::start(Some(0), "5s").await;
    let rare = Pinged::start(Some(u16::MAX), "5s").await;
    let gaps = two_seconds.pings(3).await;
    assert!(
        gaps.iter().all(|gap| *gap < Duration::from_secs(20)),
        "{gaps:?}"
    );
    // What it does without is not what we do without: a dead line is to be noticed, by our own period.
    let gaps = off.pings(3).await;
    assert!(
        gaps[1..].iter().all(|gap| *gap > Duration::from_secs(4)),
        "{gaps:?}"
    );
    // By now our own period is over there, too.
    assert!(rare.broker.pings().is_empty());
    for one in [two_seconds, off, rare] {
        one.end().await;
    }
}

#[tokio::test]
async fn a_broker_that_acknowledges_nothing_gets_nothing_until_it_does() {
    let deaf = allowing(Allows {
        qos: Some(0),
        ..Allows::default()
    });
    let refusing = Script {
        greeting: Greeting::RefuseWith(ConnectReturnCode::QoSNotSupported),
        ..Script::default()
    };
    let oracle = Oracle::default();
    let records = events(60);
    let scripts = vec![deaf.clone(), refusing, deaf, Script::default()];
    let broker = Broker::start(Version::V5, scripts, oracle.clone()).await;
    deliver_all(&uplink(&broker), quick(), &records, &oracle).await;
    assert_eq!(broker.connections(), 4);
    oracle.check_repeats(&records, 0);
}

#[tokio::test]
async fn a_broker_that_keeps_no_retained_messages_gets_the_status_without() {
    let oracle = Oracle::default();
    let records = events(60);
    let script = allowing(Allows {
        retain: Some(0),
        topic_aliases: Some(0),
        wildcards: Some(0),
        ..Allows::default()
    });
    let broker = Broker::start(Version::V5, vec![script], oracle.clone()).await;
    deliver_all(&uplink(&broker), quick(), &records, &oracle).await;
    wait_until("it has heard that the gateway came and went", || {
        broker.statuses().len() == 2
    })
    .await;
    assert_eq!(broker.connections(), 1);
    oracle.check_repeats(&records, 0);
}
