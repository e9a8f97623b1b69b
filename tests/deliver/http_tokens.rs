//! OAuth2 client credentials against a token endpoint of the tests' own: one token for all, renewed in time, refused, slow,
//! garbage; and never in a log.

use super::mes::{Mes, Reply, read_request, write_reply};
use super::oracle::{Oracle, events};
use super::run::{Run, deliver_all, http, quick, wait_until};
use millgate::health::DestinationState;
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// A question for a token, as it came.
#[derive(Clone)]
struct Question {
    headers: HashMap<String, String>,
    body: String,
}

/// An authorization server.
#[derive(Clone)]
struct Endpoint {
    port: u16,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl Endpoint {
    /// `rule` answers the question with that number, from 1.
    async fn start(rule: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = Endpoint {
            port: listener.local_addr().expect("an address").port(),
            questions: Arc::default(),
        };
        let (serving, rule) = (endpoint.clone(), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (serving, rule) = (serving.clone(), Arc::clone(&rule));
                tokio::spawn(async move {
                    let mut input = Vec::new();
                    while let Some((_, headers, body)) = read_request(&mut stream, &mut input).await
                    {
                        let body = String::from_utf8(body).expect("a form");
                        let number = {
                            let mut questions = serving.questions.lock().expect("no panic");
                            questions.push(Question { headers, body });
                            questions.len()
                        };
                        if !write_reply(&mut stream, rule(number)).await {
                            return;
                        }
                    }
                });
            }
        });
        endpoint
    }

    fn asked(&self) -> usize {
        self.questions.lock().expect("no panic").len()
    }

    fn first(&self) -> Question {
        self.questions
            .lock()
            .expect("no panic")
            .first()
            .cloned()
            .expect("a question")
    }

    /// `oauth2:` with a secret in `folder`.
    fn settings(&self, folder: &Path) -> serde_json::Value {
        let secret = folder.join("secret");
        std::fs::write(&secret, "s/ecret canary\n").expect("written");
        json!({
            "token_url": format!("http://127.0.0.1:{}/token", self.port),
            "client": "gw 07",
            "secret": { "file": secret },
            "scope": "events:write x",
        })
    }
}

fn token(number: usize, expires_in: u64) -> Reply {
    let body = json!({ "access_token": format!("t{number}"), "token_type": "Bearer", "expires_in": expires_in });
    Reply::with(200, "Content-Type: application/json", &body.to_string())
}

#[tokio::test]
async fn one_token_serves_all_requests_and_is_asked_for_as_the_standard_says() {
    for send in ["basic", "body"] {
        let folder = tempfile::tempdir().expect("a folder");
        let endpoint = Endpoint::start(|number| token(number, 3600)).await;
        let oracle = Oracle::default();
        let mes = Mes::start(&oracle, |seen| {
            Reply::status(if seen.headers["authorization"] == "Bearer t1" {
                200
            } else {
                401
            })
        })
        .await;
        let mut oauth2 = endpoint.settings(folder.path());
        oauth2["send"] = send.into();
        let uplink = http(json!({ "url": mes.url(), "oauth2": oauth2 }));
        deliver_all(&uplink, quick(), &events(60), &oracle).await;
        assert_eq!(endpoint.asked(), 1, "one flight for all");
        let question = endpoint.first();
        assert!(
            question
                .body
                .starts_with("grant_type=client_credentials&scope=events%3Awrite%20x")
        );
        if send == "basic" {
            // gw%2007:s%2Fecret%20canary
            let basic = "Basic Z3clMjAwNzpzJTJGZWNyZXQlMjBjYW5hcnk=";
            assert_eq!(question.headers["authorization"], basic);
        } else {
            assert!(!question.headers.contains_key("authorization"));
            let who = "&client_id=gw%2007&client_secret=s%2Fecret%20canary";
            assert!(question.body.ends_with(who), "{}", question.body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = Endpoint::start(|number| token(number, 100)).await;
    let oracle = Oracle::default();
    let records = events(9);
    let began = tokio::time::Instant::now();
    let mes = Mes::start(&oracle, move |seen| {
        // Each token ends 100 s after it was made; the last time it may be used is 10 s before.
        let number: u64 = seen.headers["authorization"]
            .trim_start_matches("Bearer t")
            .parse()
            .expect("a number");
        let age = began.elapsed().as_secs().saturating_sub((number - 1) * 90);
        Reply::status(if age < 95 { 200 } else { 401 })
    })
    .await;
    let uplink = http(json!({ "url": mes.url(), "oauth2": endpoint.settings(folder.path()) }));
    let mut run = Run::start(&uplink, quick(), &records, 3, oracle.clone());
    run.wait_settled(&records[2]).await;
    tokio::time::sleep(Duration::from_secs(91)).await;
    run.show(&records[5]);
    run.wait_settled(&records[5]).await;
    assert_eq!(endpoint.asked(), 2);
    run.show(&records[8]);
    run.wait_settled(&records[8]).await;
    run.stop().await;
    assert_eq!(endpoint.asked(), 2);
    oracle.check_repeats(&records, 0);
}

#[tokio::test]
async fn a_token_that_is_called_back_is_replaced_at_once_and_nobody_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = Endpoint::start(|number| token(number, 3600)).await;
    let oracle = Oracle::default();
    let records = events(60);
    let served = AtomicUsize::new(0);
    let mes = Mes::start(&oracle, move |seen| {
        // A storm: every tenth request finds its token called back, whichever it is.
        let number: usize = seen.headers["authorization"]
            .trim_start_matches("Bearer t")
            .parse()
            .expect("a number");
        let good = number > served.load(Ordering::SeqCst) / 10;
        if good {
            served.fetch_add(1, Ordering::SeqCst);
        }
        Reply::status(if good { 200 } else { 401 })
    })
    .await;
    let uplink = http(
        json!({ "url": mes.url(), "oauth2": endpoint.settings(folder.path()), "in_flight": 1 }),
    );
    let health = deliver_all(&uplink, quick(), &records, &oracle).await;
    assert_eq!(health.sent.get(), 60, "no attempt failed for good");
    assert!(
        (6..=7).contains(&endpoint.asked()),
        "{} tokens",
        endpoint.asked()
    );
}

#[tokio::test]
async fn without_a_token_everything_waits_and_nothing_is_put_aside() {
    for bad in [
        Reply::status(500),
        Reply::with(
            401,
            "X: y",
            r#"{"error":"invalid_client","error_description":"s/ecret canary"}"#,
        ),
        Reply::with(200, "X: y", "garbage"),
        Reply::with(200, "X: y", r#"{"access_token":""}"#),
        Reply::Endless,
        Reply::CloseInside,
        Reply::CloseBefore,
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mended = Arc::new(AtomicBool::new(false));
        let is_mended = Arc::clone(&mended);
        let endpoint = Endpoint::start(move |number| match is_mended.load(Ordering::SeqCst) {
            true => token(number, 3600),
            false => bad.clone(),
        })
        .await;
        let oracle = Oracle::default();
        let records = events(9);
        let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
        let uplink = http(json!({ "url": mes.url(), "oauth2": endpoint.settings(folder.path()) }));
        let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        wait_until("it was asked three times", || endpoint.asked() >= 3).await;
        let state = health.destination.other_than(&DestinationState::default());
        let paused = state.and_then(|state| state.paused).expect("paused");
        assert!(
            paused.contains("no token") && !paused.contains("canary"),
            "{paused}"
        );
        assert_eq!((oracle.arrivals(), health.refused.get()), (0, 0));
        mended.store(true, Ordering::SeqCst);
        run.wait_settled(&records[8]).await;
        run.stop().await;
        oracle.check(&records);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_never_answers_is_given_up_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = Endpoint::start(|number| match number {
        1 => Reply::Silence,
        _ => token(number, 3600),
    })
    .await;
    let oracle = Oracle::default();
    let mes = Mes::start(&oracle, |_| Reply::status(200)).await;
    let uplink = http(
        json!({ "url": mes.url(), "timeout": "5s", "oauth2": endpoint.settings(folder.path()) }),
    );
    let began = tokio::time::Instant::now();
    deliver_all(&uplink, quick(), &events(9), &oracle).await;
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_refuses_every_token_pauses_and_its_endpoint_is_not_flooded() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = Endpoint::start(|number| token(number, 3600)).await;
    let oracle = Oracle::default();
    let records = events(9);
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let mes = Mes::start(&oracle, move |_| {
        Reply::status(if is_open.load(Ordering::SeqCst) {
            200
        } else {
            401
        })
    })
    .await;
    let uplink = http(
        json!({ "url": mes.url(), "oauth2": endpoint.settings(folder.path()), "in_flight": 1 }),
    );
    let mut run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
    wait_until("it has knocked ten times", || oracle.arrivals() >= 20).await;
    let asked = endpoint.asked();
    assert!(
        asked <= oracle.arrivals(),
        "{asked} tokens for {} requests",
        oracle.arrivals()
    );
    assert_eq!(run.health.refused.get(), 0, "no event is blamed");
    open.store(true, Ordering::SeqCst);
    run.wait_settled(&records[8]).await;
    run.stop().await;
    oracle.check(&records);
}

#[tokio::test]
async fn a_machine_that_no_token_is_good_for_holds_nobody_and_costs_no_tokens() {
    for status in [401, 403] {
        let folder = tempfile::tempdir().expect("a folder");
        let endpoint = Endpoint::start(|number| token(number, 3600)).await;
        let oracle = Oracle::default();
        let records = events(60);
        let mes = Mes::start(&oracle, move |seen| {
            let mut ids = seen.ids.iter();
            let refused = ids.any(|id| id.as_u128() % 3 == 1);
            Reply::status(if refused { status } else { 200 })
        })
        .await;
        let uplink = http(json!({ "url": mes.url(), "oauth2": endpoint.settings(folder.path()) }));
        let run = Run::start(&uplink, quick(), &records, records.len(), oracle.clone());
        let health = Arc::clone(&run.health);
        wait_until("the others are done, and it was tried often", || {
            health.delivered.get() == 40 && oracle.arrivals() >= 60
        })
        .await;
        assert!(run.parked().is_empty());
        let asked = endpoint.asked();
        assert!(asked <= 3, "{status}: {asked} tokens");
        run.stop().await;
    }
}
