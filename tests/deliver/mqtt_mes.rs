//! MQTT where the word of the MES counts, against the scripted broker with a scripted MES behind it.

use super::broker::{Broker, Grants, Manner, Mes, Script, Version};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, mqtt, quick, wait_until};
use millgate::deliver::Timing;
use millgate::health::DestinationState;
use millgate::settings::Uplink;
use millgate::settings::shape::Acknowledge;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WINDOW: usize = 16;

pub(super) fn uplink(broker: &Broker, version: Version) -> Uplink {
    let settings = json!({ "url": broker.url(), "version": version.number(), "window": WINDOW });
    Uplink {
        acknowledge: Acknowledge::Mes,
        ack_timeout: serde_json::from_value(json!({ "first": "1s", "then_up_to": "2s" }))
            .expect("good settings"),
        ..mqtt(settings)
    }
}

fn script(mes: Mes) -> Script {
    Script {
        mes: Some(mes),
        ..Script::default()
    }
}

/// Delivers 200 events through these scripts; how many repeats there were.
async fn through(version: Version, scripts: Vec<Script>) -> usize {
    let oracle = Oracle::default();
    let records = events(200);
    let broker = Broker::start(version, scripts, oracle.clone()).await;
    let timing = Timing {
        verdict_within: Duration::from_secs(1),
        ..quick()
    };
    deliver_all(&uplink(&broker, version), timing, &records, &oracle).await;
    assert!(broker.subscribed() >= broker.connections());
    oracle.arrivals() - records.len()
}

#[tokio::test]
async fn each_verdict_settles_its_event_whenever_and_however_often_it_comes() {
    for version in Version::BOTH {
        for mes in [Mes::Speaks, Mes::SpeaksEarly, Mes::Babbles] {
            assert_eq!(through(version, vec![script(mes)]).await, 0);
        }
        assert_eq!(through(version, vec![script(Mes::PutsOff)]).await, 200);
    }
    let by_correlation = vec![script(Mes::Correlates)];
    assert_eq!(through(Version::V5, by_correlation).await, 0);
}

#[tokio::test]
async fn broken_connections_and_lost_acknowledgements_repeat_at_most_a_window_each() {
    for version in Version::BOTH {
        for mes in [Mes::Speaks, Mes::SpeaksEarly] {
            let manners = [
                Manner::CutBefore(1),
                Manner::CutBefore(20),
                Manner::Swallow(7),
                Manner::Twice(9),
                Manner::CutBefore(40),
                Manner::Honest,
            ];
            let with = |manner| Script {
                manner,
                session_present: true,
                ..script(mes.clone())
            };
            let scripts: Vec<Script> = manners.into_iter().map(with).collect();
            let reconnects = scripts.len() - 1;
            let repeats = through(version, scripts).await;
            assert!(repeats <= WINDOW * reconnects, "{repeats} repeats");
        }
    }
}

#[tokio::test]
async fn the_broker_that_lets_nobody_read_the_verdicts_is_a_destination_at_fault() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(50);
        let refusing = Script {
            grants: Grants::NotTheFirst(4),
            ..script(Mes::Speaks)
        };
        let broker = Broker::start(version, vec![refusing], oracle.clone()).await;
        let uplink = uplink(&broker, version);
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        let mut known = DestinationState::default();
        wait_until("the pause is told", || {
            let state = health.destination.other_than(&DestinationState::default());
            known = state.unwrap_or_default();
            known.paused.is_some() || known.pauses > 0
        })
        .await;
        if let Some(reason) = known.paused {
            assert!(
                reason.contains("read the MES's verdicts on ACME/PLANT1/_gw/gw07/ack"),
                "{reason}"
            );
        }
        run.wait_settled(&records[49]).await;
        assert_eq!((broker.connections(), broker.subscribed()), (1, 5));
        run.stop().await;
        oracle.check(&records);
        oracle.check_repeats(&records, 0);
    }
}

#[tokio::test]
async fn a_rejected_event_is_put_aside_with_the_code_of_the_mes() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(60);
        let rejects = script(Mes::Rejects(7, "order-closed"));
        let broker = Broker::start(version, vec![rejects], oracle.clone()).await;
        let run = Run::start(
            &uplink(&broker, version),
            quick(),
            &records,
            records.len(),
            oracle.clone(),
        );
        let health = Arc::clone(&run.health);
        wait_until("all others are done", || health.delivered.get() == 59).await;
        wait_until("it is put aside", || run.settled().seq == 6).await;
        let parked = run.parked();
        assert_eq!(parked.len(), 1);
        assert_eq!(parked[0].record.position.seq, 7);
        assert_eq!(parked[0].answered.code.as_deref(), Some("order-closed"));
        run.stop().await;
    }
}

#[tokio::test]
async fn a_silent_mes_closes_the_window_and_its_first_word_opens_it() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(100);
        let speaks = Arc::new(AtomicBool::new(false));
        let silent = script(Mes::Silent(Arc::clone(&speaks)));
        let broker = Broker::start(version, vec![silent], oracle.clone()).await;
        let uplink = uplink(&broker, version);
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        wait_until("the pause is told", || {
            let state = health.destination.other_than(&DestinationState::default());
            state.is_some_and(|state| state.paused.is_some())
        })
        .await;
        assert_eq!(
            oracle.first_arrivals().len(),
            WINDOW,
            "the window is closed"
        );
        assert!(oracle.arrivals() <= WINDOW + 2);
        assert_eq!(run.settled().seq, 0);
        speaks.store(true, Ordering::SeqCst);
        run.wait_settled(&records[99]).await;
        run.stop().await;
        oracle.check(&records);
        oracle.check_repeats(&records, WINDOW + 8);
    }
}
