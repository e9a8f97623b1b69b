//! Requests of a server's own form, from templates and real events, through settings files as `check` and `run` read them.

use super::http_answers::real_events;
use super::mes::{Mes, Reply};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use millgate::buffer::Record;
use millgate::deliver::http_request;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn each_event_goes_where_its_request_says_and_the_others_to_the_url() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("complete.json");
    std::fs::write(
        &body,
        r#"{ "sfc": {{ subject }}, "ref": {{ "MG-" ~ id }} }"#,
    )
    .expect("written");
    let oracle = Oracle::default();
    let mut records = events(30);
    for record in records.iter_mut().step_by(2) {
        record.envelope.kind = "operation.started".into();
    }
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    let base = format!("http://127.0.0.1:{}", mes.port);
    let uplink = http(json!({
        "url": format!("{base}/events"),
        "headers": { "X-Site": "PLANT1" },
        "batch": 10,
        "requests": { "operation.completed": {
            "put": format!("{base}/orders/{{{{ subject }}}}/{{{{ id }}}}?who={{{{ subject ~ '&' }}}}"),
            "headers": { "X-Event": "{{ id }}" },
            "body": body,
        } },
    }));
    deliver_all(&uplink, quick(), &records, &oracle).await;
    let (own, plain): (Vec<_>, Vec<_>) = mes
        .seen()
        .into_iter()
        .partition(|seen| seen.method == "PUT");
    assert_eq!(own.len(), 15);
    for seen in own {
        let id = seen.id;
        let at = format!(
            "/orders/PRESS-0{}/{id}?who=PRESS-0{}%26",
            id.as_u128() % 3 + 1,
            id.as_u128() % 3 + 1
        );
        assert_eq!(seen.path, at);
        assert_eq!(seen.headers["x-event"], id.to_string());
        assert_eq!(seen.headers["x-site"], "PLANT1");
        assert_eq!(seen.headers["content-type"], "application/json");
        assert_eq!(seen.headers["idempotency-key"], format!("\"{id}\""));
        let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(body["ref"], format!("MG-{id}"));
    }
    assert!(plain.iter().all(|seen| seen.path == "/events"));
}

#[tokio::test]
async fn an_event_that_a_template_does_not_fit_is_put_aside_and_holds_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{ "id": {{ id }}, "x": {{ data.x }} }"#).expect("written");
    let oracle = Oracle::default();
    let mut records = events(30);
    for record in &mut records {
        let id = record.envelope.id;
        let subject = record.envelope.partition_key.clone();
        let data = if id.as_u128() == 5 {
            json!({})
        } else {
            json!({ "x": null })
        };
        record.payload = json!({ "id": id, "subject": subject, "data": data })
            .to_string()
            .into();
    }
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    let url = format!("http://127.0.0.1:{}/x", mes.port);
    let uplink = http(json!({ "requests": { "*": { "post": url, "body": body } } }));
    let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    let health = Arc::clone(&run.health);
    wait_until("all others are done", || health.delivered.get() == 29).await;
    wait_until("it was tried again", || health.refused.get() >= 3).await;
    assert_eq!(run.settled().seq, 4);
    run.stop().await;
    assert_eq!(oracle.arrivals(), 29, "it was never sent");
}

#[test]
fn what_would_be_sent_is_shown_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let (body, secret) = (folder.path().join("body.xml"), folder.path().join("secret"));
    std::fs::write(
        &body,
        "<a b=\"{{ subject }}\">{{ data.operation.name }}</a>",
    )
    .expect("written");
    std::fs::write(&secret, "canary").expect("written");
    let uplink = http(json!({
        "bearer": { "file": secret },
        "headers": { "X-Site": "PLANT1" },
        "requests": { "operation.*": { "post": "https://mes.acme.example/x?e={{ type }}", "body": body } },
    }));
    let records = real_events("E06-abort");
    let shown = |record| {
        http_request(&uplink, record)
            .expect("good settings")
            .expect("HTTP")
    };
    let operation = records
        .iter()
        .find(|one| one.envelope.kind == "operation.started");
    let request = shown(operation.expect("an operation")).expect("it fits");
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.url,
        "https://mes.acme.example/x?e=millgate.operation.started.v1"
    );
    let lines = format!("{:?}", request.headers);
    for part in ["Bearer ***", "PLANT1", "idempotency-key", "application/xml"] {
        assert!(lines.contains(part), "{lines}");
    }
    assert!(!lines.contains("canary"));
    let text = String::from_utf8(request.body).expect("text");
    assert!(
        text.starts_with("<a b=\"") && text.ends_with("</a>"),
        "{text}"
    );
    let other = records
        .iter()
        .find(|one| !one.envelope.kind.starts_with("operation."));
    let why = shown(other.expect("another event")).expect_err("no request for it");
    assert!(why.contains("no request for this event"), "{why}");
}

#[test]
fn the_example_makes_json_of_a_real_event() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let text = std::fs::read_to_string(format!("{folder}/press-own-requests.yaml")).expect("text");
    let mut plant = millgate::settings::load(&text)
        .expect("good settings")
        .plant;
    plant.find_files_in(std::path::Path::new(folder));
    let uplink = plant.uplinks.first().expect("an uplink");
    let records = real_events("E01-part-id-after-start");
    let completed = |one: &&Record| one.envelope.kind == "operation.completed";
    let record = records
        .iter()
        .find(completed)
        .expect("a completed operation");
    let shown = http_request(uplink, record)
        .expect("good settings")
        .expect("HTTP")
        .expect("it fits");
    let body: serde_json::Value = serde_json::from_slice(&shown.body).expect("JSON");
    assert_eq!(body["reference"], record.envelope.id.to_string());
    assert!(
        body["completedAt"].is_string() && body["parameters"].is_array(),
        "{body}"
    );
    assert!(shown.url.ends_with("/complete"), "{}", shown.url);
}
