//! Answers that may mean one event, its way or the whole destination: over HTTP and MQTT, with one of each to blame.

use super::broker::{Broker, Manner, Script, Version};
use super::mes::{Mes, Reply};
use super::mosquitto::{Access, Mosquitto, Subscriber, installed};
use super::oracle::{Oracle, events};
use super::run::{Run, http, mqtt, quick, wait_until};
use millgate::buffer::Record;
use millgate::deliver::Timing;
use millgate::settings::Uplink;
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const EVENTS: u64 = 60;

/// All but `kept` are delivered while those fail, in the order of their machines; nothing is parked. `mended` ends it, and
/// all are there.
async fn others_pass(
    uplink: &Uplink,
    records: Vec<Record>,
    kept: u64,
    oracle: Oracle,
    mended: &AtomicBool,
) {
    let mut run = Run::start(uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || {
        health.delivered.get() == EVENTS - kept
    })
    .await;
    wait_until("the pause is over", || {
        let paused = health.destination.other_than(&Default::default());
        paused.unwrap_or_default().paused.is_none()
    })
    .await;
    assert!(run.parked().is_empty());
    mended.store(true, Ordering::SeqCst);
    run.wait_settled(&records[records.len() - 1]).await;
    let health = run.stop().await;
    assert_eq!(health.delivered.get(), EVENTS);
    oracle.check(&records);
}

/// A MES with that answer for what `is_kept` says of number and path, until it is mended.
async fn mes(
    oracle: &Oracle,
    status: u16,
    is_kept: fn(u128, &str) -> bool,
) -> (Mes, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let mes = Mes::start(oracle, move |seen| {
        let mut ids = seen.ids.iter();
        let kept = ids.any(|id| is_kept(id.as_u128(), &seen.path));
        let fails = kept && !is_mended.load(Ordering::SeqCst);
        Reply::status(if fails { status } else { 200 })
    })
    .await;
    (mes, mended)
}

#[tokio::test]
async fn an_event_that_a_proxy_always_answers_with_502_holds_nobody() {
    for batch in [1, 10] {
        let oracle = Oracle::default();
        let (mes, mended) = mes(&oracle, 502, |number, _| number == 7).await;
        let uplink = http(json!({ "url": mes.url(), "batch": batch }));
        others_pass(&uplink, events(EVENTS), 1, oracle, &mended).await;
    }
}

/// Each second event of each machine has a request of its own.
async fn a_kind_is_answered_with(status: u16) {
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{ "id": {{ id }}, "subject": {{ subject }} }"#).expect("written");
    let oracle = Oracle::default();
    let (mes, mended) = mes(&oracle, status, |_, path| path == "/orders").await;
    let base = format!("http://127.0.0.1:{}", mes.port);
    let uplink = http(json!({
        "url": format!("{base}/events"),
        "requests": { "operation.started": { "post": format!("{base}/orders"), "body": body } },
    }));
    let mut records = events(EVENTS);
    for record in records.iter_mut().step_by(2) {
        record.envelope.kind = "operation.started".into();
    }
    others_pass(&uplink, records, EVENTS / 2, oracle, &mended).await;
}

#[tokio::test]
async fn one_url_that_is_gone_holds_no_other_events() {
    a_kind_is_answered_with(404).await;
}

#[tokio::test]
async fn a_kind_of_events_that_is_forbidden_holds_no_others() {
    a_kind_is_answered_with(403).await;
}

#[tokio::test]
async fn a_kind_of_events_that_a_login_is_not_good_for_holds_no_others() {
    a_kind_is_answered_with(401).await;
}

/// Events come one after the other, each acceptance takes so long, and that answer is given to some events of one machine of
/// three:
/// how long those of the others wait at most.
async fn longest_wait(reply: Reply, takes: Duration, is_kept: fn(u128) -> bool) -> Duration {
    let oracle = Oracle::default();
    let arrived: Arc<Mutex<Vec<(u128, Instant)>>> = Arc::default();
    let noted = Arc::clone(&arrived);
    let mes = Mes::start(&oracle, move |seen| {
        let number = seen.ids.first().map_or(0, |id| id.as_u128());
        if is_kept(number) {
            return reply.clone();
        }
        if number % 3 != 1 {
            let mut noted = noted.lock().expect("no panic");
            noted.push((number, Instant::now()));
        }
        Reply::status(200)
    })
    .await;
    mes.takes(takes);
    let records = events(EVENTS);
    let uplink = http(json!({ "url": mes.url() }));
    let run = Run::start(&uplink, Timing::default(), &records, 0, oracle);
    let mut shown = Vec::new();
    for record in &records {
        shown.push(Instant::now());
        run.show(record);
        // One machine after the other: none has more than it gets rid of.
        tokio::time::sleep(Duration::from_millis(20) + takes / 2).await;
    }
    let health = Arc::clone(&run.health);
    let kept = (1..=u128::from(EVENTS)).filter(|number| is_kept(*number));
    let others = EVENTS - u64::try_from(kept.count()).expect("few");
    wait_until("all others are done", || health.delivered.get() == others).await;
    assert!(run.parked().is_empty());
    run.stop().await;
    let arrived = arrived.lock().expect("no panic").clone();
    let waits = arrived.iter().map(|(number, at)| {
        let nth = usize::try_from(number - 1).expect("few");
        at.duration_since(shown[nth])
    });
    waits.max().expect("some arrived")
}

#[tokio::test]
async fn a_machine_or_an_event_that_is_in_doubt_or_is_to_wait_for_ten_minutes_delays_no_other_machine()
 {
    const AT_ONCE: Duration = Duration::ZERO;
    const SLOW: Duration = Duration::from_millis(200);
    let machine: fn(u128) -> bool = |number| number % 3 == 1;
    let event: fn(u128) -> bool = |number| number == 7;
    for (name, reply, takes, is_kept) in [
        ("401", Reply::status(401), AT_ONCE, machine),
        ("407 without a proxy", Reply::status(407), AT_ONCE, machine),
        (
            "429",
            Reply::with(429, "Retry-After: 600", ""),
            AT_ONCE,
            machine,
        ),
        (
            "503 with a wait",
            Reply::with(503, "Retry-After: 600", ""),
            AT_ONCE,
            machine,
        ),
        ("503", Reply::status(503), SLOW, machine),
        ("503 of an event", Reply::status(503), SLOW, event),
    ] {
        let longest = longest_wait(reply, takes, is_kept).await;
        println!("{name}: the others wait {longest:?} at most");
        assert!(longest < Duration::from_secs(10), "{name}: {longest:?}");
    }
}

#[tokio::test]
async fn a_server_of_one_request_that_is_away_holds_no_other_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{ "id": {{ id }}, "subject": {{ subject }} }"#).expect("written");
    let oracle = Oracle::default();
    let (mes, _) = mes(&oracle, 200, |_, _| false).await;
    // A port that nobody listens on, and that stays taken.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    let any = "127.0.0.1:0".parse().expect("an address");
    socket.bind(any).expect("a port");
    let away = socket.local_addr().expect("an address");
    let uplink = http(json!({
        "url": mes.url(),
        "requests": { "operation.started": { "post": format!("http://{away}/orders"), "body": body } },
    }));
    let mut records = events(EVENTS);
    for record in records.iter_mut().step_by(2) {
        record.envelope.kind = "operation.started".into();
    }
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle);
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || {
        health.delivered.get() == EVENTS / 2
    })
    .await;
    assert!(run.parked().is_empty());
    run.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_not_taken_holds_no_other_machine() {
    for reason in [
        PubAckReason::NoMatchingSubscribers,
        PubAckReason::NotAuthorized,
        PubAckReason::QuotaExceeded,
    ] {
        let oracle = Oracle::default();
        let mended = Arc::new(AtomicBool::new(false));
        let manner = Manner::Refuse(|number| number % 3 == 1, reason, Arc::clone(&mended));
        let script = Script {
            manner,
            ..Script::default()
        };
        let broker = Broker::start(Version::V5, vec![script], oracle.clone()).await;
        let uplink = mqtt(json!({ "url": broker.url(), "window": 16 }));
        others_pass(&uplink, events(EVENTS), EVENTS / 3, oracle, &mended).await;
        assert_eq!(broker.connections(), 1, "{reason:?}");
    }
}

#[tokio::test]
async fn a_topic_without_rights_at_mosquitto_holds_no_other_machine() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let rights = "topic readwrite ACME/PLANT1/PRESS-01/#\ntopic readwrite ACME/PLANT1/PRESS-03/#\n";
    let broker = Mosquitto::start(program, folder.path(), Access::Rights(rights));
    let oracle = Oracle::default();
    let reader = rumqttc::MqttOptions::new("subscriber", "localhost", broker.port);
    let _subscriber = Subscriber::start(reader, oracle.clone()).await;
    let records = events(EVENTS);
    let url = format!("mqtt://localhost:{}", broker.port);
    let uplink = mqtt(json!({ "url": url, "version": 5, "window": 16 }));
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle);
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || {
        health.delivered.get() == EVENTS / 3 * 2
    })
    .await;
    assert!(run.parked().is_empty());
    assert_eq!(health.connects.get(), 1);
    run.stop().await;
}
