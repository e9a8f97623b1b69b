//! OAuth2 against an authorization server of another make: tokens are fetched, end, are called back, and are not to be had with
//! the wrong secret. What the MES takes is judged by that server, which alone knows its tokens.

use super::oracle::{Oracle, events};
use super::run::{Run, http, quick, wait_until};
use crate::counterpart::Counterpart;
use millgate::health::DestinationState;
use millgate::settings::Uplink;
use serde_json::json;
use std::path::Path;

/// With what a form and a header write otherwise.
const SECRET: &str = "s/e cret:%&+1";

fn server(life_s: &str, ahead_s: &str) -> Option<Counterpart> {
    Counterpart::node_with("token_server.js", &[life_s, ahead_s], SECRET)
}

fn uplink(server: &Counterpart, folder: &Path, send: &str) -> Uplink {
    let client = match send {
        "body" => "gw-post",
        _ => "gw 07: press+1",
    };
    http(json!({
        "url": format!("http://127.0.0.1:{}/events", server.port),
        "oauth2": {
            "token_url": format!("http://127.0.0.1:{}/token", server.port),
            "client": client,
            "secret": { "file": folder.join("secret") },
            "scope": "events:write",
            "send": send,
        },
    }))
}

/// All of `count` events are taken to be granted: what was taken is asked of the server.
fn granting(count: u64) -> Oracle {
    let oracle = Oracle::default();
    for record in events(count) {
        oracle.grant(record.envelope.id);
    }
    oracle
}

/// What the server said since it was asked last: how many tokens it gave, how many clients it refused, how many events it took.
fn told(server: &Counterpart) -> (usize, usize, usize) {
    let lines = server.lines_so_far();
    let count = |begins: &str| lines.iter().filter(|line| line.starts_with(begins)).count();
    (count("token"), count("refused"), count("taken "))
}

#[tokio::test]
async fn a_token_of_a_real_server_serves_whatever_its_clock_says_and_however_the_secret_travels() {
    for (ahead_s, send) in [("0", "basic"), ("600", "body"), ("-600", "basic")] {
        let Some(server) = server("60", ahead_s) else {
            return;
        };
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), SECRET).expect("written");
        let records = events(30);
        let uplink = uplink(&server, folder.path(), send);
        let mut run = Run::start(&uplink, quick(), &records, records.len(), granting(30));
        run.wait_settled(&records[29]).await;
        let health = run.stop().await;
        assert_eq!(health.delivered.get(), 30);
        // Its words come through a pipe.
        let (mut tokens, mut refused, mut taken) = (0, 0, 0);
        wait_until("it says that it took them", || {
            let more = told(&server);
            tokens += more.0;
            refused += more.1;
            taken += more.2;
            taken >= 30
        })
        .await;
        let all = (tokens, refused, taken);
        assert_eq!(all, (1, 0, 30), "clock {ahead_s} s ahead, {send}");
    }
}

#[tokio::test]
async fn a_token_that_ends_or_is_called_back_is_followed_by_another_and_nothing_is_lost() {
    let Some(mut server) = server("2", "0") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), SECRET).expect("written");
    // More than pass in three lives of a token.
    const COUNT: u64 = 60_000;
    let records = events(COUNT);
    let uplink = uplink(&server, folder.path(), "basic");
    let mut run = Run::start(&uplink, quick(), &records, 1, granting(COUNT));
    let (mut tokens, mut last) = (0, 0);
    while tokens < 3 {
        run.wait_settled(&records[last]).await;
        let (new, refused, _) = told(&server);
        assert_eq!(refused, 0);
        tokens += new;
        last += 1;
        assert!(
            last + 10 < records.len(),
            "three tokens within {last} events"
        );
        run.show(&records[last]);
    }
    run.wait_settled(&records[last]).await;
    server.tell("revoke");
    server.line("revoked");
    run.show(&records[last + 9]);
    run.wait_settled(&records[last + 9]).await;
    let health = run.stop().await;
    assert_eq!(health.refused.get(), 0, "no event is blamed");
    assert_eq!(
        health.delivered.get(),
        u64::try_from(last + 10).expect("few")
    );
}

#[tokio::test]
async fn a_wrong_secret_is_told_in_words_and_puts_nothing_aside() {
    let Some(server) = server("60", "0") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "canary-of-the-wrong-secret").expect("written");
    let records = events(9);
    let uplink = uplink(&server, folder.path(), "basic");
    let mut run = Run::start(&uplink, quick(), &records, records.len(), granting(9));
    let health = std::sync::Arc::clone(&run.health);
    let paused = || {
        let state = health.destination.other_than(&DestinationState::default());
        state.and_then(|state| state.paused)
    };
    wait_until("it pauses", || paused().is_some()).await;
    let words = paused().expect("paused");
    assert!(words.contains("invalid_client"), "{words}");
    assert!(words.contains("check `client`, `secret`"), "{words}");
    assert!(!words.contains("canary"), "{words}");
    assert_eq!((run.parked().len(), told(&server).2), (0, 0));
    std::fs::write(folder.path().join("secret"), SECRET).expect("written");
    run.wait_settled(&records[8]).await;
    assert_eq!(run.parked().len(), 0);
    assert_eq!(run.stop().await.refused.get(), 0);
}
