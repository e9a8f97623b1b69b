//! MQTT against the scripted broker: each way in which a broker, or the network to it, fails.

use super::broker::{Broker, Greeting, Manner, Script, Version};
use super::oracle::{Oracle, event, events};
use super::run::{PATIENCE, Run, deliver_all, mqtt, quick, wait_until};
use millgate::deliver::Timing;
use millgate::settings::Uplink;
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const WINDOW: usize = 16;

fn uplink(broker: &Broker, version: Version) -> Uplink {
    mqtt(json!({ "url": broker.url(), "version": version.number(), "window": WINDOW }))
}

fn manner(manner: Manner) -> Script {
    Script {
        manner,
        ..Script::default()
    }
}

/// Delivers 200 events through these scripts, in one version; how many connections that took.
async fn through(version: Version, scripts: Vec<Script>, timing: Timing) -> usize {
    let oracle = Oracle::default();
    let records = events(200);
    let broker = Broker::start(version, scripts, oracle.clone()).await;
    let health = deliver_all(&uplink(&broker, version), timing, &records, &oracle).await;
    let connections = broker.connections();
    oracle.check_repeats(&records, WINDOW * (connections - 1));
    assert!(broker.most_outstanding() <= WINDOW);
    let arrivals = u64::try_from(oracle.arrivals()).expect("few");
    assert!(
        health.sent.get() >= arrivals,
        "{health:?}, {arrivals} arrivals"
    );
    connections
}

#[tokio::test]
async fn an_honest_broker_gets_each_event_once_on_one_connection() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(500);
        let broker = Broker::start(version, vec![Script::default()], oracle.clone()).await;
        let health = deliver_all(&uplink(&broker, version), quick(), &records, &oracle).await;
        oracle.check_repeats(&records, 0);
        assert_eq!(broker.connections(), 1);
        let counts = (health.sent.get(), health.resent.get(), health.refused.get());
        assert_eq!(counts, (500, 0, 0));
        assert_eq!(
            broker.topics().first().map(String::as_str),
            Some("ACME/PLANT1/PRESS-02/_mes/evt/operation.completed")
        );
    }
}

#[tokio::test]
async fn a_connection_cut_before_the_acknowledgement_loses_nothing() {
    for version in Version::BOTH {
        let mut scripts: Vec<Script> = [1, 2, 16, 17, 40]
            .into_iter()
            .map(|nth| manner(Manner::CutBefore(nth)))
            .collect();
        scripts.push(Script::default());
        assert_eq!(through(version, scripts, quick()).await, 6);
    }
}

#[tokio::test]
async fn a_session_that_the_broker_claims_to_know_changes_nothing() {
    for version in Version::BOTH {
        let mut scripts = vec![manner(Manner::CutBefore(9)), manner(Manner::CutBefore(21))];
        scripts.push(Script::default());
        for script in &mut scripts {
            script.session_present = true;
        }
        assert_eq!(through(version, scripts, quick()).await, 3);
    }
}

#[tokio::test]
async fn an_acknowledgement_that_never_comes_ends_the_connection() {
    for version in Version::BOTH {
        let scripts = vec![manner(Manner::Swallow(5)), Script::default()];
        let timing = Timing {
            verdict_within: Duration::from_millis(500),
            ..quick()
        };
        assert!(through(version, scripts, timing).await >= 2);
    }
}

#[tokio::test]
async fn an_acknowledgement_that_comes_twice_counts_once() {
    for version in Version::BOTH {
        let scripts = vec![
            manner(Manner::Twice(1)),
            manner(Manner::Twice(30)),
            Script::default(),
        ];
        assert!(through(version, scripts, quick()).await <= 3);
    }
}

#[tokio::test]
async fn a_broker_that_always_acknowledges_twice_still_gets_everything() {
    for version in Version::BOTH {
        through(version, vec![manner(Manner::Twice(1))], quick()).await;
    }
}

#[tokio::test]
async fn acknowledgements_in_any_order_settle_in_order() {
    for version in Version::BOTH {
        let scripts = vec![manner(Manner::Backwards(8))];
        assert_eq!(through(version, scripts, quick()).await, 1);
    }
}

#[tokio::test]
async fn a_broker_that_falls_silent_is_left() {
    let silent = Script {
        greeting: Greeting::Silence,
        ..Script::default()
    };
    for version in Version::BOTH {
        let scripts = vec![silent.clone(), manner(Manner::Mute), Script::default()];
        let timing = Timing {
            connect_within: Duration::from_millis(500),
            verdict_within: Duration::from_millis(500),
            ..quick()
        };
        assert!(through(version, scripts, timing).await >= 3);
    }
}

#[tokio::test]
async fn a_broker_that_refuses_the_connection_is_tried_again() {
    let refusing = Script {
        greeting: Greeting::Refuse,
        ..Script::default()
    };
    for version in Version::BOTH {
        let scripts = vec![refusing.clone(), refusing.clone(), Script::default()];
        assert_eq!(through(version, scripts, quick()).await, 3);
    }
}

#[tokio::test]
async fn a_negative_acknowledgement_settles_nothing_and_keeps_the_connection() {
    for reason in [
        PubAckReason::NotAuthorized,
        PubAckReason::NoMatchingSubscribers,
        PubAckReason::QuotaExceeded,
        PubAckReason::PayloadFormatInvalid,
        PubAckReason::UnspecifiedError,
    ] {
        let oracle = Oracle::default();
        let records = events(100);
        let scripts = vec![manner(Manner::Once(20, reason))];
        let broker = Broker::start(Version::V5, scripts, oracle.clone()).await;
        deliver_all(&uplink(&broker, Version::V5), quick(), &records, &oracle).await;
        assert_eq!(broker.connections(), 1, "{reason:?}");
        oracle.check_repeats(&records, 1);
    }
}

#[tokio::test]
async fn while_nobody_has_subscribed_one_event_at_a_time_knocks() {
    let oracle = Oracle::default();
    let records = events(200);
    let mended = Arc::new(AtomicBool::new(false));
    let nobody = PubAckReason::NoMatchingSubscribers;
    let poison = Manner::Refuse(|_| true, nobody, Arc::clone(&mended));
    let broker = Broker::start(Version::V5, vec![manner(poison)], oracle.clone()).await;
    let uplink = uplink(&broker, Version::V5);
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("it has knocked ten times", || {
        oracle.arrivals() >= WINDOW + 10
    })
    .await;
    assert_eq!(run.settled().seq, 0);
    assert_eq!(oracle.first_arrivals().len(), WINDOW, "nothing new is sent");
    assert!(health.sent.get() >= 10);
    mended.store(true, Ordering::SeqCst);
    run.wait_settled(&records[199]).await;
    run.stop().await;
    oracle.check(&records);
}

#[tokio::test]
async fn an_event_that_is_rejected_is_put_aside_and_holds_nobody() {
    let oracle = Oracle::default();
    let records = events(100);
    let mended = Arc::new(AtomicBool::new(false));
    let poison = Manner::Poison(7, PubAckReason::PayloadFormatInvalid, Arc::clone(&mended));
    let broker = Broker::start(Version::V5, vec![manner(poison)], oracle.clone()).await;
    let uplink = uplink(&broker, Version::V5);
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 99).await;
    wait_until("it was refused ten times", || health.refused.get() >= 10).await;
    assert_eq!(run.settled().seq, 6, "what is put aside is not done");
    mended.store(true, Ordering::SeqCst);
    run.wait_settled(&records[99]).await;
    let health = run.stop().await;
    assert_eq!(health.delivered.get(), 100);
    oracle.check(&records);
}

#[tokio::test]
async fn a_small_receive_maximum_is_kept() {
    for maximum in [1u16, 3] {
        let oracle = Oracle::default();
        let records = events(90);
        let script = Script {
            receive_maximum: Some(maximum),
            // It takes exactly so many to be acknowledged at all: the window is used up, never exceeded.
            manner: Manner::Backwards(usize::from(maximum)),
            ..Script::default()
        };
        let broker = Broker::start(Version::V5, vec![script], oracle.clone()).await;
        deliver_all(&uplink(&broker, Version::V5), quick(), &records, &oracle).await;
        assert_eq!(broker.most_outstanding(), usize::from(maximum));
        assert_eq!(broker.connections(), 1);
    }
}

#[tokio::test]
async fn an_event_larger_than_the_brokers_packets_is_kept_and_does_not_end_the_connection() {
    let oracle = Oracle::default();
    let mut records = events(20);
    records[4] = event(5, 50_000);
    let script = Script {
        max_packet_bytes: Some(10_000),
        ..Script::default()
    };
    let broker = Broker::start(Version::V5, vec![script], oracle.clone()).await;
    let uplink = uplink(&broker, Version::V5);
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("it was refused three times", || health.refused.get() >= 3).await;
    run.wait_settled(&records[3]).await;
    assert_eq!(run.settled().seq, 4);
    assert_eq!(broker.connections(), 1);
    run.stop().await;
}

#[tokio::test]
async fn the_largest_event_passes_in_both_versions() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records: Vec<_> = (1..=40).map(|seq| event(seq, 60_000)).collect();
        let broker = Broker::start(version, vec![Script::default()], oracle.clone()).await;
        deliver_all(&uplink(&broker, version), quick(), &records, &oracle).await;
        assert_eq!(broker.connections(), 1);
    }
}

#[tokio::test]
async fn at_the_stop_verdicts_that_are_out_are_taken_and_nothing_more_is_sent() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(8);
        let (release, held) = watch::channel(false);
        let scripts = vec![manner(Manner::Hold(held))];
        let broker = Broker::start(version, scripts, oracle.clone()).await;
        let timing = Timing {
            stop_within: PATIENCE,
            ..quick()
        };
        let mut run = Run::start(
            &uplink(&broker, version),
            timing,
            &records,
            7,
            oracle.clone(),
        );
        wait_until("seven are out", || oracle.arrivals() == 7).await;
        run.tell_to_stop();
        run.show(&records[7]);
        release.send_replace(true);
        run.wait_settled(&records[6]).await;
        let health = run.stop().await;
        assert_eq!((health.delivered.get(), oracle.arrivals()), (7, 7));
    }
}

#[tokio::test]
async fn the_stop_does_not_wait_for_a_silent_broker() {
    let oracle = Oracle::default();
    let records = events(7);
    let broker = Broker::start(Version::V5, vec![manner(Manner::Mute)], oracle.clone()).await;
    let timing = Timing {
        stop_within: Duration::from_millis(50),
        ..quick()
    };
    let uplink = uplink(&broker, Version::V5);
    let run = Run::start(&uplink, timing, &records, 7, oracle.clone());
    wait_until("all are out", || oracle.arrivals() == 7).await;
    assert_eq!(run.settled().seq, 0);
    assert_eq!(run.stop().await.delivered.get(), 0);
}

#[tokio::test]
async fn what_the_uplink_does_not_want_is_settled_and_counted() {
    let oracle = Oracle::default();
    let mut records = events(30);
    for record in &mut records {
        if record.position.seq % 3 == 0 {
            record.envelope.kind = "production.counted".into();
            oracle.grant(record.envelope.id);
        }
    }
    let broker = Broker::start(Version::V5, vec![Script::default()], oracle.clone()).await;
    let mut uplink = uplink(&broker, Version::V5);
    uplink.events = vec!["operation.*".into()];
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    run.wait_settled(&records[29]).await;
    let health = run.stop().await;
    assert_eq!((health.delivered.get(), health.filtered.get()), (20, 10));
    assert_eq!(oracle.arrivals(), 20);
}
