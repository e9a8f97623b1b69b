//! The gateway's status on the broker, and brokers that stand in for one another.

use super::broker::{Broker, Greeting, Manner, STATUS, Script, Version};
use super::oracle::{Oracle, events};
use super::run::{Run, mqtt, quick, wait_until};
use serde_json::json;

#[tokio::test]
async fn birth_will_and_leave_tell_whether_the_gateway_is_there() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(40);
        let cut = Script {
            manner: Manner::CutBefore(20),
            ..Script::default()
        };
        let broker = Broker::start(version, vec![cut, Script::default()], oracle.clone()).await;
        let uplink = mqtt(json!({
            "url": broker.url(),
            "version": version.number(),
            "status": STATUS,
        }));
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        run.wait_settled(&records[39]).await;
        run.stop().await;
        wait_until("the leave has come", || broker.statuses().len() == 4).await;
        let told: Vec<(String, String)> = broker
            .statuses()
            .iter()
            .map(|status| {
                let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
                assert_eq!(text("gateway"), "gw07");
                (text("state"), text("session"))
            })
            .collect();
        let states: Vec<&str> = told.iter().map(|(state, _)| state.as_str()).collect();
        // The will of a connection that broke may be told after the next birth: it names its session.
        assert_eq!(states.iter().filter(|state| **state == "online").count(), 2);
        assert_eq!(states[3], "offline");
        assert!(
            told[0].1 != told[3].1,
            "each connection is a session of its own"
        );
        assert!(broker.statuses()[3]["at"].is_string(), "an orderly leave");
        oracle.check(&records);
        oracle.check_repeats(&records, 64);
    }
}

#[tokio::test]
async fn a_broker_that_is_down_is_stood_in_for_and_tried_first_after_a_loss() {
    for version in Version::BOTH {
        let oracle = Oracle::default();
        let records = events(60);
        let refusing = Script {
            greeting: Greeting::Refuse,
            ..Script::default()
        };
        let cut = Script {
            manner: Manner::CutBefore(30),
            ..Script::default()
        };
        let scripts = vec![refusing, Script::default()];
        let first = Broker::start(version, scripts, oracle.clone()).await;
        let second = Broker::start(version, vec![cut], oracle.clone()).await;
        let uplink = mqtt(json!({
            "url": first.url(),
            "fallback": [second.url()],
            "version": version.number(),
            "window": 8,
        }));
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        run.wait_settled(&records[59]).await;
        let server = run.health.server.get();
        assert!(server.is_some_and(|server| server.starts_with(&first.url())));
        assert_eq!((first.connections(), second.connections()), (2, 1));
        run.stop().await;
        oracle.check(&records);
        oracle.check_repeats(&records, 8);
    }
}
