//! 202 with a `Location` that a proxy in front of the MES made wrong: another server's name, a prefix that is missing. What
//! was accepted is never sent twice for it, and no other server is ever asked. And jobs of several events.

use super::mes::{Mes, Reply, Seen};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// Answers 202 with the path of a job, on the server called `origin`.
fn at(origin: &str, path: &str, seen: &Seen) -> Reply {
    let headers = vec![
        format!("Location: {origin}{path}/{}", seen.id),
        "Retry-After: 0".to_owned(),
    ];
    Reply::Answer(202, headers, String::new())
}

/// A server under `/plant/api/events` that names its jobs so, and has them below `jobs`. Tells how often it was asked for each
/// event.
async fn delivered_with(origin: &'static str, named: &'static str, jobs: &'static str) -> f64 {
    let oracle = Oracle::default();
    let records = events(12);
    let judge = oracle.clone();
    let mes = Mes::start(&oracle, move |seen| match seen.method.as_str() {
        "GET" if seen.path == format!("{jobs}/{}", seen.id) => {
            judge.grant(seen.id);
            Reply::with(200, "X: y", r#"{"status":"succeeded"}"#)
        }
        "GET" => Reply::with(404, "X: y", "<html>no such page</html>"),
        _ => at(origin, named, seen),
    })
    .await;
    let uplink = http(json!({
        "url": format!("http://127.0.0.1:{}/plant/api/events", mes.port),
        "on_202": "retry",
    }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    oracle.check_repeats(&records, 0);
    let looks = mes
        .seen()
        .iter()
        .filter(|seen| seen.method == "GET")
        .count();
    f64::from(u32::try_from(looks).expect("few")) / 12.0
}

#[tokio::test]
async fn behind_a_proxy_a_verdict_is_fetched_under_the_name_and_path_that_were_asked() {
    const INTERNAL: &str = "http://internal.invalid:8080";
    // The same path; a prefix that the proxy takes off; one that it takes off, and writes no name.
    assert!(delivered_with(INTERNAL, "/jobs", "/jobs").await <= 1.0);
    for origin in [INTERNAL, ""] {
        let looks = delivered_with(origin, "/api/jobs", "/plant/api/jobs").await;
        assert!(looks < 2.0, "what was right is tried first: {looks} looks");
        let looks = delivered_with(origin, "/jobs", "/plant/api/jobs").await;
        assert!(looks < 3.0, "{looks} looks");
    }
}

#[tokio::test]
async fn a_location_that_leads_nowhere_leaves_what_202_means_by_the_settings() {
    for (origin, path) in [
        ("http://[", "/jobs"),
        ("urn:job:", "7"),
        ("http://internal.invalid", "/jobs"),
    ] {
        for status in [404, 410, 401, 403, 405, 200, 302] {
            let oracle = Oracle::default();
            let records = events(6);
            let judge = oracle.clone();
            let mes = Mes::start(&oracle, move |seen| match seen.method.as_str() {
                "GET" => Reply::with(status, "X: y", "<!DOCTYPE html><p>welcome</p>"),
                _ => {
                    judge.grant(seen.id);
                    at(origin, path, seen)
                }
            })
            .await;
            let uplink = http(json!({ "url": mes.url() }));
            deliver_all(&uplink, quick(), &records, &oracle).await;
            oracle.check_repeats(&records, 0);
        }
    }
}

#[tokio::test]
async fn where_202_is_no_verdict_and_its_place_is_unknown_the_event_comes_again() {
    let oracle = Oracle::default();
    let records = events(6);
    let mes = Mes::start(&oracle, |seen| match (seen.method.as_str(), seen.attempt) {
        ("GET", _) => Reply::status(404),
        (_, 1) => at("http://internal.invalid", "/jobs", seen),
        _ => Reply::status(200),
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "on_202": "retry" }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    oracle.check_repeats(&records, 6);
}

#[tokio::test]
async fn a_verdict_of_another_server_is_never_looked_for() {
    let oracle = Oracle::default();
    let records = events(9);
    let elsewhere = Mes::start(&oracle, |_| Reply::status(200)).await;
    let origin = format!("http://127.0.0.1:{}", elsewhere.port);
    let judge = oracle.clone();
    let mes = Mes::start(&oracle, move |seen| {
        judge.grant(seen.id);
        match seen.method.as_str() {
            "GET" => Reply::status(404),
            _ => at(&origin, "/jobs", seen),
        }
    })
    .await;
    let basic = json!({ "name": "gw", "password": { "file": "/dev/null" } });
    let uplink = http(json!({ "url": mes.url(), "basic": basic }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    oracle.check_repeats(&records, 0);
    assert_eq!(elsewhere.connections(), 0);
}

/// The server has the event: that it cannot tell at present what became of it is no reason to send it again.
#[tokio::test(start_paused = true)]
async fn a_place_that_fails_for_a_while_doubles_nothing() {
    for status in [401, 429, 500, 503] {
        let oracle = Oracle::default();
        let records = events(9);
        let judge = oracle.clone();
        let failed = std::sync::Mutex::new(std::collections::HashMap::new());
        let mes = Mes::start(&oracle, move |seen| {
            if seen.method != "GET" {
                return at("", "/jobs", seen);
            }
            let mut failed = failed.lock().expect("no panic");
            let times = failed.entry(seen.id).or_insert(0);
            *times += 1;
            if *times < 4 {
                return Reply::status(status);
            }
            judge.grant(seen.id);
            Reply::with(200, "X: y", r#"{"status":"succeeded"}"#)
        })
        .await;
        let uplink = http(json!({ "url": mes.url() }));
        deliver_all(&uplink, quick(), &records, &oracle).await;
        oracle.check_repeats(&records, 0);
    }
}

/// A server that makes one job of all events of a request, and says of it what `says` does with its events.
async fn of_jobs(
    oracle: &Oracle,
    says: impl Fn(&[Uuid]) -> (String, Vec<Uuid>) + Send + Sync + 'static,
) -> Mes {
    let judge = oracle.clone();
    let jobs = Mutex::new(HashMap::<Uuid, Vec<Uuid>>::new());
    Mes::start(oracle, move |seen| {
        let mut jobs = jobs.lock().expect("no panic");
        if seen.method != "GET" {
            jobs.insert(seen.id, seen.ids.clone());
            return at("", "/jobs", seen);
        }
        let (body, taken) = says(&jobs[&seen.id]);
        taken.into_iter().for_each(|id| judge.grant(id));
        Reply::with(200, "X: y", &body)
    })
    .await
}

#[tokio::test]
async fn a_job_of_several_events_that_fails_puts_the_guilty_one_alone_aside() {
    let oracle = Oracle::default();
    let records = events(40);
    let guilty = Uuid::from_u128(7);
    let mes = of_jobs(&oracle, move |ids| match ids.contains(&guilty) {
        true => (
            r#"{"status":"failed","message":"1 is bad"}"#.into(),
            Vec::new(),
        ),
        false => (r#"{"status":"completed"}"#.into(), ids.to_vec()),
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "batch": 20 }));
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle);
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 39).await;
    wait_until("one is put aside", || run.parked().len() == 1).await;
    assert_eq!(run.settled().seq, 6);
    run.stop().await;
}

#[tokio::test]
async fn a_job_settles_the_events_that_its_list_names_and_the_others_come_again() {
    let oracle = Oracle::default();
    let records = events(60);
    let rounds = Mutex::new(HashMap::<Uuid, usize>::new());
    let mes = of_jobs(&oracle, move |ids| {
        let mut rounds = rounds.lock().expect("no panic");
        let mut taken = Vec::new();
        let mut said = Vec::new();
        for id in ids {
            let round = rounds.entry(*id).or_insert(0);
            *round += 1;
            match (id.as_u128() % 5, *round) {
                (1, 1) => continue,
                (2, 1) => said.push(json!({ "id": id, "status": "not booked" })),
                _ => {
                    taken.push(*id);
                    said.push(json!({ "id": id, "status": "completed" }));
                }
            }
        }
        // One of another request: the list is one of verdicts, also where it names none of these.
        said.push(json!({ "id": Uuid::from_u128(999_999), "status": "accepted" }));
        let body = json!({ "status": "completed", "results": said });
        (body.to_string(), taken)
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "batch": 20 }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
}
