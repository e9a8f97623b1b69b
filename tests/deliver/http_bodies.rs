//! Answers that a server should not give: heads and bodies without end, drop by drop, closed at once, more than one. Each is an
//! acceptance where its status says so and its body is not needed, and else settles nothing; none is taken for the answer to
//! another request.

use super::mes::{Mes, Reply};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Delivers a few events, each of which gets `reply` first and a plain 200 then; how often they came in all.
async fn tries(reply: Reply, accepts: bool, settings: serde_json::Value) -> usize {
    let oracle = Oracle::default();
    let records = events(6);
    let judge = oracle.clone();
    let mes = Mes::start(&oracle, move |seen| match seen.attempt {
        1 => {
            if accepts {
                judge.grant(seen.id);
            }
            reply.clone()
        }
        _ => Reply::status(200),
    })
    .await;
    let mut keys = settings;
    keys["url"] = mes.url().into();
    deliver_all(&http(keys), quick(), &records, &oracle).await;
    oracle.arrivals()
}

fn raw(text: &str, keep: bool) -> Reply {
    Reply::Raw(text.as_bytes().to_vec(), keep)
}

#[tokio::test]
async fn a_good_status_is_an_acceptance_however_its_body_ends() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    for reply in [
        // HTTP/1.0 without a length: the body ends with the connection.
        raw("HTTP/1.0 200 OK\r\n\r\ngood", false),
        raw("HTTP/1.0 200 OK\r\n\r\n", false),
        raw("HTTP/1.1 200 OK\r\n\r\n", false),
        raw(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood",
            false,
        ),
        raw("HTTP/1.1 204 No Content\r\n\r\n", false),
        // Interim answers before the answer (RFC 9110, 15.2).
        raw(
            &("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(50)
                + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            true,
        ),
        // Longer than is read, even as JSON: no verdict is.
        raw(
            &format!(
                "{json}Content-Length: 99000000000\r\n\r\n[{}",
                " ".repeat(200_000)
            ),
            true,
        ),
        raw(
            &format!(
                "{json}Transfer-Encoding: chunked\r\n\r\n30000\r\n{}",
                " ".repeat(0x30000)
            ),
            true,
        ),
    ] {
        assert_eq!(tries(reply, true, json!({})).await, 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_drop_by_drop_is_waited_for_until_the_time_out_and_decides_where_it_is_needed() {
    let pause = Duration::from_secs(1);
    let plain = || Reply::Dripping("Content-Type: text/plain\r\n", pause);
    assert_eq!(tries(plain(), true, json!({ "timeout": "5s" })).await, 6);
    // A verdict may stand in JSON; rules and lists of verdicts look into the body.
    let as_json = || Reply::Dripping("Content-Type: application/json\r\n", pause);
    assert_eq!(
        tries(as_json(), false, json!({ "timeout": "5s" })).await,
        12
    );
    let rules = json!([{ "status": "200", "where": { "pointer": "/error", "exists": true }, "then": "rejected" }]);
    let settings = json!({ "timeout": "5s", "responses": rules });
    assert_eq!(tries(plain(), false, settings).await, 12);
    let began = tokio::time::Instant::now();
    tries(plain(), false, json!({ "timeout": "5s", "batch": 6 })).await;
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_head_without_end_or_sense_settles_nothing_and_the_event_comes_again() {
    let line = format!("X-Long: {}\r\n", "x".repeat(8_000));
    for reply in [
        // Above 16 KiB; above what the library reads; more lines than there may be.
        raw(
            &format!(
                "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
                line.repeat(3)
            ),
            true,
        ),
        raw(&format!("HTTP/1.1 200 OK\r\n{}", line.repeat(100)), true),
        raw(
            &format!(
                "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
                "A: b\r\n".repeat(100)
            ),
            true,
        ),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", false),
        raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            false,
        ),
        raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            true,
        ),
        raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            true,
        ),
        raw(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            true,
        ),
        raw("HTTP/1.1 200 O", false),
        raw("SSH-2.0-OpenSSH_9.2\r\n", true),
        raw("\0\0\0\0\0\0\0\0", true),
        raw("", false),
    ] {
        let shown = format!(
            "{:.80}",
            match &reply {
                Reply::Raw(bytes, _) => String::from_utf8_lossy(bytes).into_owned(),
                _ => String::new(),
            }
        );
        assert_eq!(tries(reply, false, json!({})).await, 12, "{shown}");
    }
}

/// An interim answer after the other, for ever, is no answer.
#[tokio::test(start_paused = true)]
async fn interim_answers_without_end_are_bounded_by_the_time_out() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000);
    assert_eq!(
        tries(raw(&interim, true), false, json!({ "timeout": "5s" })).await,
        12
    );
}

/// A rejection and, behind it on a connection that stays, an acceptance that nobody asked for: it must not settle the next one.
#[tokio::test]
async fn what_comes_behind_an_answer_is_never_the_answer_to_the_next_request() {
    let answer = |status: u16| format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\n\r\n");
    for behind in [
        answer(200),
        answer(200) + &answer(200),
        "garbage\r\n\r\n".to_owned(),
    ] {
        let oracle = Oracle::default();
        // One machine, so that each goes when the one before has its answer.
        let mut records = events(40);
        for record in &mut records {
            record.envelope.partition_key = "PRESS-01".into();
        }
        let text = answer(422) + &behind;
        let mes = Mes::start(&oracle, move |_| raw(&text, true)).await;
        let run = Run::start(
            &http(json!({ "url": mes.url() })),
            quick(),
            &records,
            records.len(),
            oracle.clone(),
        );
        let health = Arc::clone(&run.health);
        wait_until("all are refused", || health.refused.get() >= 40).await;
        assert_eq!(health.delivered.get(), 0, "{behind}");
        assert!(
            run.parked()
                .iter()
                .all(|event| event.answered.status == Some(422))
        );
        run.stop().await;
    }
}

/// One event is refused in the body of a 200; what the MES said is kept word for word, unless it repeats our key.
#[tokio::test]
async fn a_rejection_in_a_body_is_kept_word_for_word_but_never_with_our_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "canary-key-4711\n").expect("written");
    let oracle = Oracle::default();
    let records = events(4);
    let mes = Mes::start(&oracle, |seen| {
        assert_eq!(seen.headers["x-api-key"], "canary-key-4711");
        assert_eq!(seen.headers["authorization"], "canary-key-4711");
        let detail = match seen.id.as_u128() {
            2 => format!("who is {}?", seen.headers["x-api-key"]),
            4 => "who is canary-sig-08?".to_owned(),
            _ => "WO-1 is closed".to_owned(),
        };
        let said = json!({
            "id": seen.id, "status": "rejected", "code": "order-closed", "detail": detail,
            "errors": [{ "pointer": "/data/operation/order/id" }],
        });
        Reply::with(200, "Content-Type: application/json", &said.to_string())
    })
    .await;
    let secret = json!({ "file": key });
    let headers = json!({ "X-Api-Key": secret, "Authorization": secret, "X-Plant": "P1" });
    let url = format!("{}?sig=canary%2Dsig%2D08", mes.url());
    let uplink = http(json!({ "url": url, "headers": headers }));
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    wait_until("all are put aside", || run.parked().len() == 4).await;
    for event in run.parked() {
        let answered = event.answered;
        assert_eq!(answered.status, Some(200));
        assert!(!format!("{answered:?}").contains("canary"), "{answered:?}");
        if [2, 4]
            .map(Uuid::from_u128)
            .contains(&event.record.envelope.id)
        {
            assert_eq!((answered.code, answered.said), (None, None));
            continue;
        }
        assert_eq!(answered.code.as_deref(), Some("order-closed"));
        let said: serde_json::Value =
            serde_json::from_str(&answered.said.expect("a copy")).expect("JSON");
        assert_eq!(said["errors"][0]["pointer"], "/data/operation/order/id");
    }
    run.stop().await;
}

/// A server that repeats one cookie of several, or a key of a request of its own, in a body that escapes it.
#[tokio::test]
async fn parts_of_credentials_are_never_kept_whichever_request_carried_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{ "id": {{ id }} }"#).expect("written");
    let oracle = Oracle::default();
    let records = events(3);
    let mes = Mes::start(&oracle, |seen| {
        assert_eq!(seen.headers["x-api-key"], "canary/key");
        let detail = match seen.id.as_u128() {
            1 => "no session canary-01",
            2 => r"no key canary\/key",
            _ => "no language",
        };
        let body = format!(r#"{{"code":"login","detail":"{detail}"}}"#);
        Reply::with(400, "Content-Type: application/json", &body)
    })
    .await;
    let uplink = http(json!({
        "headers": { "Cookie": "session=canary-01; lang=de" },
        "requests": { "*": { "post": mes.url(), "headers": { "X-Api-Key": "canary/key" }, "body": body } },
    }));
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    wait_until("all are put aside", || run.parked().len() == 3).await;
    for event in run.parked() {
        let answered = format!("{:?}", event.answered);
        assert!(!answered.contains("canary"), "{answered}");
        let is_told = event.record.envelope.id == Uuid::from_u128(3);
        assert_eq!(answered.contains("no language"), is_told, "{answered}");
    }
    run.stop().await;
}
