//! Verdicts that take more than one answer, or stand in its body: 202 with a place to look, waits that are asked for, rules of
//! the settings, lists for batches, B2MML.

use super::mes::{Mes, Reply, Seen};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use millgate::buffer::Record;
use millgate::settings::Uplink;
use millgate::settings::shape::Format;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

fn accepted_later(seen: &Seen, after: &str) -> Reply {
    let headers = vec![
        format!("Location: /jobs/{}", seen.id),
        format!("Retry-After: {after}"),
    ];
    Reply::Answer(202, headers, String::new())
}

#[tokio::test]
async fn a_verdict_that_is_elsewhere_is_fetched_there() {
    let oracle = Oracle::default();
    let records = events(12);
    let asked = AtomicUsize::new(0);
    let mes = Mes::start(&oracle, move |seen| match seen.method.as_str() {
        "GET" if asked.fetch_add(1, Ordering::SeqCst) % 3 < 2 => {
            Reply::with(200, "Retry-After: 0", r#"{"status":"running"}"#)
        }
        "GET" => Reply::with(200, "X: y", r#"{"status":"succeeded"}"#),
        _ => accepted_later(seen, "0"),
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "basic": basic() }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    oracle.check_repeats(&records, 0);
    let looks: Vec<Seen> = mes
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "GET")
        .collect();
    assert!(looks.len() >= 12, "each was looked for");
    assert!(
        looks
            .iter()
            .all(|seen| seen.headers.contains_key("authorization"))
    );
}

fn basic() -> serde_json::Value {
    json!({ "name": "gw", "password": { "file": "/dev/null" } })
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_verdict_does_not_come_holds_nobody_and_is_asked_for_not_sent_again() {
    let oracle = Oracle::default();
    let records = events(30);
    let decided = Arc::new(AtomicBool::new(false));
    let is_decided = Arc::clone(&decided);
    let mes = Mes::start(&oracle, move |seen| match seen.method.as_str() {
        "GET" if is_decided.load(Ordering::SeqCst) => Reply::status(204),
        "GET" => Reply::status(202),
        _ if seen.id.as_u128() == 4 => accepted_later(seen, "1"),
        _ => Reply::status(200),
    })
    .await;
    let uplink = http(json!({ "url": mes.url() }));
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 29).await;
    assert_eq!(run.settled().seq, 3, "what is put aside is not done");
    decided.store(true, Ordering::SeqCst);
    run.wait_settled(&records[29]).await;
    run.stop().await;
    oracle.check(&records);
    oracle.check_repeats(&records, 0);
}

#[tokio::test]
async fn a_verdict_that_is_lost_makes_the_event_come_again() {
    let oracle = Oracle::default();
    let records = events(9);
    let mes = Mes::start(&oracle, |seen| match (seen.method.as_str(), seen.attempt) {
        ("GET", _) => Reply::status(404),
        (_, 1) => accepted_later(seen, "0"),
        _ => Reply::status(200),
    })
    .await;
    deliver_all(
        &http(json!({ "url": mes.url() })),
        quick(),
        &records,
        &oracle,
    )
    .await;
    oracle.check_repeats(&records, 9);
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_a_server_asks_for_is_kept_by_its_own_clock() {
    let began = tokio::time::Instant::now();
    let oracle = Oracle::default();
    let records = events(3);
    let mes = Mes::start(&oracle, |seen| {
        if seen.attempt > 1 {
            return Reply::status(200);
        }
        // A server whose clock is years off.
        let headers = vec![
            "Date: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(),
            "Retry-After: Sun, 06 Nov 1994 08:51:07 GMT".to_owned(),
        ];
        Reply::Answer(429, headers, String::new())
    })
    .await;
    deliver_all(
        &http(json!({ "url": mes.url() })),
        quick(),
        &records,
        &oracle,
    )
    .await;
    assert!(
        began.elapsed() >= Duration::from_secs(90),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn rules_of_the_settings_park_what_a_server_refuses_in_its_own_way() {
    let oracle = Oracle::default();
    let records = events(30);
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let mes = Mes::start(&oracle, move |seen| match seen.id.as_u128() % 10 {
        3 if !is_mended.load(Ordering::SeqCst) => Reply::with(
            417,
            "X: y",
            r#"{"exc_type":"ValidationError","message":"closed"}"#,
        ),
        _ => Reply::with(200, "X: y", r#"{"success":true}"#),
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "responses": [
        { "status": "417", "where": { "pointer": "/exc_type", "matches": "^Validation" }, "then": "rejected",
          "code": { "pointer": "/exc_type" }, "detail": { "pointer": "/message" } },
        { "status": "200", "where": { "pointer": "/success", "equals": false }, "then": "retry" },
    ] }));
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 27).await;
    mended.store(true, Ordering::SeqCst);
    run.wait_settled(&records[29]).await;
    run.stop().await;
    oracle.check(&records);
}

#[tokio::test]
async fn a_batch_goes_as_one_request_with_a_key_of_its_events() {
    let oracle = Oracle::default();
    let records = events(300);
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    let uplink = http(json!({ "url": mes.url(), "batch": 100 }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    oracle.check_repeats(&records, 0);
    let seen = mes.seen();
    assert!(seen.len() < 60, "{} requests", seen.len());
    let mut keys = HashMap::new();
    for one in seen {
        assert_eq!(
            one.headers["content-type"],
            "application/cloudevents-batch+json; charset=utf-8"
        );
        assert!(one.ids.len() <= 100);
        assert!(
            keys.insert(one.headers["idempotency-key"].clone(), ())
                .is_none()
        );
    }
}

#[tokio::test]
async fn a_list_with_holes_repeats_and_foreign_ids_settles_what_it_names() {
    let oracle = Oracle::default();
    let records = events(120);
    let rounds = Mutex::new(HashMap::<Uuid, usize>::new());
    let mes = Mes::start(&oracle, move |seen| {
        let mut rounds = rounds.lock().unwrap();
        let mut said = vec![(Uuid::from_u128(999_999), "rejected")];
        for id in seen.ids.iter().rev() {
            let round = rounds.entry(*id).or_default();
            *round += 1;
            match (id.as_u128() % 7, *round) {
                // A hole, a wait, a word that is none.
                (1, 1) => {}
                (2, 1) => said.push((*id, "retry")),
                (3, 1) => said.push((*id, "perhaps")),
                (4, _) => said.extend([(*id, "duplicate"), (*id, "rejected")]),
                _ => said.push((*id, "accepted")),
            }
        }
        Reply::Listed(207, said)
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "batch": 20 }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
}

/// Each event has its error in the list, and none is to blame: the database behind the server is down.
#[tokio::test]
async fn in_an_outage_a_list_of_errors_puts_no_event_aside() {
    for (status, word) in [
        (401, "error"),
        (429, "rejected"),
        (500, "failed"),
        (503, "error"),
    ] {
        let oracle = Oracle::default();
        let records = events(60);
        let turn = AtomicUsize::new(0);
        let mes = Mes::start(&oracle, move |seen| {
            let fails = turn.fetch_add(1, Ordering::SeqCst) < 4;
            let (status, word) = if fails {
                (status, word)
            } else {
                (207, "accepted")
            };
            Reply::Listed(status, seen.ids.iter().map(|id| (*id, word)).collect())
        })
        .await;
        let uplink = http(json!({ "url": mes.url(), "batch": 20 }));
        deliver_all(&uplink, quick(), &records, &oracle).await;
    }
}

#[tokio::test]
async fn of_a_batch_that_is_refused_the_guilty_event_alone_is_put_aside() {
    for status in [400, 413, 422] {
        let oracle = Oracle::default();
        let records = events(60);
        let mended = Arc::new(AtomicBool::new(false));
        let is_mended = Arc::clone(&mended);
        let guilty = Uuid::from_u128(7);
        let mes = Mes::start(&oracle, move |seen| {
            let bad = seen.ids.contains(&guilty) && !is_mended.load(Ordering::SeqCst);
            Reply::status(if bad { status } else { 200 })
        })
        .await;
        let uplink = http(json!({ "url": mes.url(), "batch": 60 }));
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        wait_until("all others are done", || health.delivered.get() == 59).await;
        assert_eq!(run.settled().seq, 6);
        mended.store(true, Ordering::SeqCst);
        run.wait_settled(&records[59]).await;
        run.stop().await;
        oracle.check(&records);
    }
}

#[tokio::test]
async fn a_server_that_takes_few_together_is_asked_with_too_many_only_at_first() {
    let oracle = Oracle::default();
    let records = events(600);
    let too_large = Arc::new(AtomicUsize::new(0));
    let refused = Arc::clone(&too_large);
    let mes = Mes::start(&oracle, move |seen| {
        let is_too_large = seen.ids.len() > 12;
        refused.fetch_add(usize::from(is_too_large), Ordering::SeqCst);
        Reply::status(if is_too_large { 413 } else { 200 })
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "batch": 60, "in_flight": 2 }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    // 60, 30 and 15, by two at a time.
    let refused = too_large.load(Ordering::SeqCst);
    assert!(refused <= 6, "{refused} requests were too large");
    let requests = mes.seen().len();
    assert!(requests <= 120, "{requests} requests");
}

#[tokio::test]
async fn garbage_for_an_answer_never_settles_a_batch_by_mistake() {
    let oracle = Oracle::default();
    let records = events(60);
    let turn = AtomicUsize::new(0);
    let mes = Mes::start(&oracle, move |seen| {
        match turn.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::with(207, "X: y", "garbage"),
            1 => Reply::with(
                207,
                "X: y",
                r#"{"verdicts":[null,5,{"id":"x","status":"accepted"}]}"#,
            ),
            2 => Reply::CloseInside,
            3 => Reply::status(503),
            _ => Reply::Listed(200, seen.ids.iter().map(|id| (*id, "accepted")).collect()),
        }
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "batch": 25 }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
}

/// A server that answers anything at all: nothing is lost, nothing settled early, and the uplink does not break.
#[test]
fn a_server_that_answers_anything_loses_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let answer = (200u16..600, "\\PC{0,60}", any::<bool>(), 0u8..4);
    let answers = prop::collection::vec(answer, 1..12);
    let mut runner = TestRunner::new(Config {
        cases: 48,
        ..Config::default()
    });
    let checked = runner.run(&answers, |answers| {
        runtime.block_on(async {
            let oracle = Oracle::default();
            let records = events(20);
            let left = Mutex::new(answers);
            let (jobs, judge) = (
                Mutex::new(HashMap::<Uuid, Vec<Uuid>>::new()),
                oracle.clone(),
            );
            let mes = Mes::start(&oracle, move |seen| {
                if seen.method == "GET" {
                    // The verdict on a batch is one on all of its events.
                    let jobs = jobs.lock().unwrap();
                    jobs.get(&seen.id)
                        .into_iter()
                        .flatten()
                        .for_each(|id| judge.grant(*id));
                    return Reply::status(200);
                }
                let next = left.lock().unwrap().pop();
                let Some((status, body, is_json, kind)) = next else {
                    return Reply::status(200);
                };
                // What counts as an acceptance is told to the oracle by `Reply`; others are not guessed here.
                let status = if (200..300).contains(&status) && status != 207 {
                    500
                } else {
                    status
                };
                let body = if is_json {
                    json!({ "code": body, "status": "odd" }).to_string()
                } else {
                    body
                };
                match kind {
                    0 => {
                        Reply::Answer(status, vec![format!("Retry-After: {}", seen.attempt)], body)
                    }
                    1 => Reply::CloseInside,
                    2 => {
                        jobs.lock().unwrap().insert(seen.id, seen.ids.clone());
                        accepted_later(seen, "2")
                    }
                    _ => Reply::with(status, "Content-Type: application/problem+json", &body),
                }
            })
            .await;
            let uplink = http(json!({ "url": mes.url(), "batch": 5, "timeout": "5s" }));
            deliver_all(&uplink, quick(), &records, &oracle).await;
        });
        Ok(())
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}

/// Real events: what `millgate replay` makes of a case.
pub(super) fn real_events(case: &str) -> Vec<Record> {
    let case = format!("{}/tests/cases/{case}", env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args([
            "replay",
            &format!("{case}/settings.yaml"),
            &format!("{case}/capture.jsonl"),
        ])
        .output()
        .expect("a replay");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut records = events(u64::try_from(text.lines().count()).expect("few"));
    for (record, line) in records.iter_mut().zip(text.lines()) {
        let event: serde_json::Value = serde_json::from_str(line).expect("an event");
        let name = event["type"].as_str().expect("a type");
        let name = name.trim_start_matches("millgate.").trim_end_matches(".v1");
        record.envelope.kind = name.into();
        record.envelope.id = event["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a UUID");
        record.payload = line.to_owned().into();
    }
    records
}

#[tokio::test]
async fn b2mml_goes_as_xml_and_its_answer_is_the_verdict() {
    let oracle = Oracle::default();
    let all = real_events("E06-abort");
    let in_form = |record: &&Record| {
        let name = record.envelope.kind.as_str();
        name.starts_with("operation.") || name == "equipment.state.changed"
    };
    let records: Vec<Record> = all.iter().filter(in_form).cloned().collect();
    assert!(
        records.len() >= 2 && records.len() < all.len(),
        "{} of {}",
        records.len(),
        all.len()
    );
    let mes = Mes::start(&oracle, |seen| {
        let action = if seen.attempt == 1 { "Rejected" } else { "Accepted" };
        let status = if seen.attempt == 1 { 422 } else { 200 };
        let body = format!(
            r#"<ConfirmBOD xmlns="http://www.mesa.org/xml/B2MML"><DataArea><Confirm><OriginalApplicationArea><BODID>{}</BODID></OriginalApplicationArea><ResponseCriteria><ResponseExpression actionCode="{action}"/></ResponseCriteria></Confirm><BOD/></DataArea></ConfirmBOD>"#,
            seen.id
        );
        Reply::with(status, "Content-Type: application/xml", &body)
    })
    .await;
    let uplink = Uplink {
        format: Format::B2mml,
        ..http(json!({ "url": mes.url() }))
    };
    let mut run = Run::start(&uplink, quick(), &all, all.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    let expected = u64::try_from(records.len()).expect("few");
    wait_until("all that has a form is there", || {
        health.delivered.get() == expected
    })
    .await;
    run.wait_settled(all.last().expect("some")).await;
    run.stop().await;
    assert_eq!(
        health.filtered.get(),
        u64::try_from(all.len() - records.len()).expect("few")
    );
    assert_eq!(health.refused.get(), expected, "each was rejected once");
    for seen in mes.seen() {
        assert_eq!(seen.headers["content-type"], "application/xml");
        let text = String::from_utf8(seen.body).expect("text");
        assert!(text.starts_with("<?xml"), "{text}");
    }
}
