//! HTTP against the scripted MES: each class of answers, and each way to give none.

use super::certificates::Certificates;
use super::mes::{Mes, Reply};
use super::oracle::{MACHINES, Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use millgate::deliver::Timing;
use millgate::settings::Uplink;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

fn uplink(mes: &Mes) -> Uplink {
    http(json!({ "url": mes.url() }))
}

/// Delivers 30 events of which each fourth, on its first attempt, gets `reply`; it must come again and be settled.
async fn answered_once_with(reply: Reply, timeout: &str) {
    let oracle = Oracle::default();
    let records = events(30);
    let first = reply.clone();
    let mes = Mes::start(&oracle, move |seen| {
        if seen.attempt == 1 && seen.id.as_u128() % 4 == 1 {
            first.clone()
        } else {
            Reply::status(200)
        }
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "timeout": timeout }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    assert!(oracle.arrivals() >= 38, "a fourth comes again");
}

#[tokio::test]
async fn every_positive_answer_settles_at_once() {
    for reply in [
        Reply::status(200),
        Reply::status(201),
        Reply::status(202),
        Reply::status(204),
        Reply::with(
            409,
            "Content-Type: application/json",
            r#"{"code":"duplicate"}"#,
        ),
    ] {
        let oracle = Oracle::default();
        let records = events(60);
        let mes = Mes::start(&oracle, move |_| reply.clone()).await;
        let health = deliver_all(&uplink(&mes), quick(), &records, &oracle).await;
        oracle.check_repeats(&records, 0);
        assert_eq!(health.refused.get(), 0);
    }
}

#[tokio::test]
async fn every_other_answer_settles_nothing_and_the_event_comes_again() {
    for status in [
        302, 400, 401, 403, 404, 408, 409, 410, 413, 415, 417, 422, 425, 429, 500, 502, 503, 504,
    ] {
        answered_once_with(Reply::status(status), "30s").await;
    }
    let problem = "Content-Type: application/problem+json";
    answered_once_with(Reply::with(404, problem, r#"{"title":"no order"}"#), "30s").await;
    answered_once_with(Reply::with(503, "Retry-After: 0", ""), "30s").await;
}

#[tokio::test]
async fn no_answer_half_an_answer_and_a_late_answer_settle_nothing() {
    answered_once_with(Reply::CloseBefore, "30s").await;
    answered_once_with(Reply::CloseInside, "30s").await;
    answered_once_with(Reply::Silence, "300ms").await;
    answered_once_with(Reply::Slow(Duration::from_millis(100)), "300ms").await;
}

/// One that comes late, and one of which only the beginning is needed.
#[tokio::test]
async fn a_slow_answer_in_time_and_one_without_end_are_answers() {
    for reply in [Reply::Slow(Duration::from_millis(1)), Reply::Endless] {
        let oracle = Oracle::default();
        let records = events(6);
        let mes = Mes::start(&oracle, move |_| reply.clone()).await;
        deliver_all(&uplink(&mes), quick(), &records, &oracle).await;
        oracle.check_repeats(&records, 0);
    }
}

#[tokio::test]
async fn one_request_of_a_machine_and_several_machines_at_once_on_connections_that_stay() {
    let oracle = Oracle::default();
    let records = events(60);
    let (release, held) = watch::channel(false);
    let mes = Mes::start(&oracle, move |_| Reply::Held(held.clone())).await;
    let mut run = Run::start(
        &uplink(&mes),
        quick(),
        &records,
        records.len(),
        oracle.clone(),
    );
    wait_until("each machine has one request out", || {
        mes.seen().len() == MACHINES.len()
    })
    .await;
    release.send_replace(true);
    run.wait_settled(&records[59]).await;
    run.stop().await;
    oracle.check(&records);
    assert_eq!(mes.most_open(), (MACHINES.len(), 1));
    // A connection may be made while another is on its way back to the pool; it is not one per request.
    assert!(mes.connections() <= 20, "{} connections", mes.connections());
}

#[tokio::test]
async fn a_request_is_a_cloud_event_with_its_id_as_idempotency_key() {
    let oracle = Oracle::default();
    let records = events(3);
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    deliver_all(&uplink(&mes), quick(), &records, &oracle).await;
    for seen in mes.seen() {
        assert_eq!(
            seen.headers["content-type"],
            "application/cloudevents+json; charset=utf-8"
        );
        assert_eq!(seen.headers["idempotency-key"], format!("\"{}\"", seen.id));
        assert!(!seen.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn an_event_that_is_rejected_is_put_aside_and_holds_nobody() {
    let oracle = Oracle::default();
    let records = events(60);
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let mes = Mes::start(&oracle, move |seen| {
        if seen.id.as_u128() % 20 == 4 && !is_mended.load(Ordering::SeqCst) {
            Reply::status(422)
        } else {
            Reply::status(200)
        }
    })
    .await;
    let mut run = Run::start(
        &uplink(&mes),
        quick(),
        &records,
        records.len(),
        oracle.clone(),
    );
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 57).await;
    wait_until("they are tried again", || health.refused.get() >= 9).await;
    assert_eq!(run.settled().seq, 3, "what is put aside is not done");
    mended.store(true, Ordering::SeqCst);
    run.wait_settled(&records[59]).await;
    let health = run.stop().await;
    assert_eq!(health.delivered.get(), 60);
    oracle.check(&records);
}

#[tokio::test]
async fn an_event_that_is_refused_holds_nobody() {
    let oracle = Oracle::default();
    let records = events(60);
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let mes = Mes::start(&oracle, move |seen| {
        if seen.id.as_u128() == 4 && !is_mended.load(Ordering::SeqCst) {
            Reply::status(417)
        } else {
            Reply::status(200)
        }
    })
    .await;
    let mut run = Run::start(
        &uplink(&mes),
        quick(),
        &records,
        records.len(),
        oracle.clone(),
    );
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 59).await;
    wait_until("it was refused five times", || health.refused.get() >= 5).await;
    assert_eq!(run.settled().seq, 3);
    mended.store(true, Ordering::SeqCst);
    run.wait_settled(&records[59]).await;
    run.stop().await;
    oracle.check(&records);
}

#[tokio::test]
async fn while_the_destination_is_at_fault_one_event_at_a_time_knocks() {
    // Where one event alone may be the cause, a few behind it are tried in its stead.
    for (status, behind) in [(401, 8), (503, 8)] {
        let oracle = Oracle::default();
        let records = events(30);
        let open = Arc::new(AtomicBool::new(false));
        let is_open = Arc::clone(&open);
        let mes = Mes::start(&oracle, move |_| {
            Reply::status(if is_open.load(Ordering::SeqCst) {
                200
            } else {
                status
            })
        })
        .await;
        let mut run = Run::start(
            &uplink(&mes),
            quick(),
            &records,
            records.len(),
            oracle.clone(),
        );
        wait_until("it has knocked ten times", || oracle.arrivals() >= 13).await;
        assert!(oracle.first_arrivals().len() <= MACHINES.len() + behind);
        assert_eq!(run.health.refused.get(), 0, "no event is blamed");
        open.store(true, Ordering::SeqCst);
        run.wait_settled(&records[29]).await;
        run.stop().await;
        oracle.check(&records);
    }
}

#[tokio::test]
async fn a_new_token_is_read_when_the_old_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "old\n").expect("written");
    let oracle = Oracle::default();
    let records = events(9);
    let (renewed, path) = (AtomicBool::new(false), token.clone());
    let mes = Mes::start(&oracle, move |seen| {
        if seen.headers["authorization"] == "Bearer new" {
            return Reply::status(200);
        }
        if !renewed.swap(true, Ordering::SeqCst) {
            std::fs::write(&path, "new\n").expect("written");
        }
        Reply::status(401)
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "bearer": { "file": token } }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
}

#[tokio::test]
async fn user_and_password_go_as_basic_authentication() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "open sesame\n").expect("written");
    let oracle = Oracle::default();
    let mes = Mes::start(&oracle, |seen| {
        // Aladdin:open sesame, the example of RFC 7617.
        let good = seen.headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        Reply::status(if good { 200 } else { 401 })
    })
    .await;
    let basic = json!({ "name": "Aladdin", "password": { "file": password } });
    let uplink = http(json!({ "url": mes.url(), "basic": basic }));
    deliver_all(&uplink, quick(), &events(3), &oracle).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let oracle = Oracle::default();
    let elsewhere = Mes::start(&oracle, |_| Reply::status(200)).await;
    let location = format!("Location: {}", elsewhere.url());
    let mes = Mes::start(&oracle, move |seen| match seen.attempt {
        1 => Reply::with(307, &location, ""),
        _ => Reply::status(200),
    })
    .await;
    deliver_all(&uplink(&mes), quick(), &events(9), &oracle).await;
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    // Bound and not listening: the port is ours, and nobody answers at it.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let port = socket.local_addr().expect("an address").port();
    let oracle = Oracle::default();
    let records = events(30);
    let uplink = http(json!({ "url": format!("http://127.0.0.1:{port}/events") }));
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("it was tried ten times", || health.sent.get() >= 10).await;
    let listener = socket.listen(16).expect("a listener");
    let _mes = Mes::serve_on(listener, None, &oracle, |_| Reply::status(200));
    run.wait_settled(&records[29]).await;
    run.stop().await;
    oracle.check(&records);
}

#[tokio::test]
async fn https_trusts_the_named_authority_and_shows_its_own_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Certificates::make(folder.path(), "own");
    let foreign = Certificates::make(folder.path(), "foreign");
    for (authority, own_certificate, arrives) in [
        (&own, true, true),
        (&foreign, true, false),
        (&own, false, false),
    ] {
        let oracle = Oracle::default();
        let records = events(9);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mes = Mes::serve_on(listener, Some(own.acceptor()), &oracle, |_| {
            Reply::status(200)
        });
        let tls = authority.settings(own_certificate.then_some(&own));
        let url = format!("https://localhost:{}/events", mes.port);
        let uplink = http(json!({ "url": url, "tls": tls }));
        if arrives {
            deliver_all(&uplink, quick(), &records, &oracle).await;
            continue;
        }
        let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        wait_until("it was tried five times", || health.sent.get() >= 5).await;
        assert_eq!((oracle.arrivals(), run.settled().seq), (0, 0));
        run.stop().await;
    }
}

#[tokio::test]
async fn at_the_stop_answers_that_are_out_are_taken() {
    let oracle = Oracle::default();
    let records = events(30);
    let (release, held) = watch::channel(false);
    let mes = Mes::start(&oracle, move |_| Reply::Held(held.clone())).await;
    let timing = Timing {
        stop_within: super::run::PATIENCE,
        ..quick()
    };
    let mut run = Run::start(
        &uplink(&mes),
        timing,
        &records,
        records.len(),
        oracle.clone(),
    );
    wait_until("three are out", || oracle.arrivals() == 3).await;
    run.tell_to_stop();
    release.send_replace(true);
    run.wait_settled(&records[2]).await;
    run.stop().await;
    assert_eq!(oracle.arrivals(), 3);
}
