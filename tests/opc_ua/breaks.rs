//! What breaks: servers that are off, restart, or die without a word.

use super::peer::{Server, python};
use super::press::{Press, good, said, settings_of};
use super::proxy::Proxy;
use millgate::model::{Content, Value};
use serde_json::json;
use std::path::Path;

const TAG: &str = "count: { node: \"p:s=Counter\", type: i32 }";

fn settings(state: &Path, port: u16, device: &str, read: &str) -> String {
    let how = format!("endpoint: \"opc.tcp://127.0.0.1:{port}\", insecure: true, read: {read}");
    settings_of(state, &how, device, &[TAG])
}

#[tokio::test]
async fn a_server_that_is_off_at_the_start_is_read_when_it_comes() {
    let Some(python) = python() else { return };
    let state = tempfile::tempdir().unwrap();
    let port = Server::start(&python, &json!({})).port;
    let text = settings(state.path(), port, "lost_after: 1s", "subscribe");
    let mut press = Press::start_alone(&text);
    assert_eq!(press.lost().await.code, "refused");
    let _server = Server::start(&python, &json!({ "port": port }));
    assert_eq!(said(&press.sample("count").await), good(Value::Int(0)));
    press.stop().await;
}

#[tokio::test]
async fn after_a_restart_everything_is_as_before() {
    let Some(python) = python() else { return };
    let state = tempfile::tempdir().unwrap();
    let mut server = Server::start(&python, &json!({}));
    let port = server.port;
    let mut press = Press::start(&settings(
        state.path(),
        port,
        "lost_after: 60s",
        "subscribe",
    ));
    press.sample("count").await;
    server.set(&json!({ "Counter": 41 }));
    assert_eq!(said(&press.sample("count").await), good(Value::Int(41)));
    drop(server);
    // The namespace has moved meanwhile.
    let mut server = Server::start(&python, &json!({ "port": port, "before": ["urn:new"] }));
    assert_eq!(said(&press.sample("count").await), good(Value::Int(0)));
    server.set(&json!({ "Counter": 42 }));
    assert_eq!(said(&press.sample("count").await), good(Value::Int(42)));
    assert_eq!(press.health().connects.get(), 2);
    press.stop().await;
}

/// The server falls silent on a connection that stays open; afterwards it is reached again.
async fn silence(lost_after: &str) -> (Press, Proxy, Server, tempfile::TempDir) {
    let python = python().unwrap();
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(&python, &json!({}));
    let proxy = Proxy::start(server.port).await;
    let text = settings(
        state.path(),
        proxy.port,
        &format!("lost_after: {lost_after}"),
        "subscribe",
    );
    let mut press = Press::start(&text.replace("timeout: 20s", "timeout: 2s"));
    press.sample("count").await;
    proxy.swallow(true);
    (press, proxy, server, state)
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_the_value_it_sends_again_is_no_news() {
    if python().is_none() {
        return;
    }
    let (mut press, proxy, mut server, _state) = silence("60s").await;
    while press.health().failures.get() == 0 {
        tokio::task::yield_now().await;
    }
    proxy.swallow(false);
    // The value that is sent again is dropped; the device answers all the same.
    while press.health().repeated.get() == 0 {
        match press.next().await {
            Content::Samples(samples) => assert!(samples.is_empty(), "{samples:?}"),
            Content::Lost(error) => panic!("{error:?}"),
        }
    }
    server.set(&json!({ "Counter": 43 }));
    assert_eq!(said(&press.sample("count").await), good(Value::Int(43)));
    assert!(proxy.connections() >= 2);
    press.stop().await;
}

#[tokio::test]
async fn after_a_loss_the_same_value_comes_again() {
    if python().is_none() {
        return;
    }
    let (mut press, proxy, _server, _state) = silence("1s").await;
    assert_eq!(press.lost().await.code, "timeout");
    proxy.swallow(false);
    assert_eq!(said(&press.sample("count").await), good(Value::Int(0)));
    assert_eq!(press.health().repeated.get(), 0);
    press.stop().await;
}

#[tokio::test]
async fn a_server_without_news_says_that_it_lives() {
    let Some(python) = python() else { return };
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(&python, &json!({}));
    let mut press = Press::start(&settings(
        state.path(),
        server.port,
        "lost_after: 2s",
        "subscribe",
    ));
    press.sample("count").await;
    for _ in 0..10 {
        assert_eq!(press.next().await, Content::Samples(vec![]));
    }
    press.stop().await;
}

#[tokio::test]
async fn values_that_nobody_takes_are_marked_and_the_newest_is_kept() {
    let Some(python) = python() else { return };
    let state = tempfile::tempdir().unwrap();
    let mut server = Server::start(&python, &json!({}));
    let text = settings(state.path(), server.port, "lost_after: 60s", "subscribe");
    let mut press = Press::start_with(&text, 1);
    for value in 1..=50 {
        server.set(&json!({ "Counter": value }));
    }
    let last = press
        .until("count", |sample| sample.value == Some(Value::Int(50)))
        .await;
    assert_eq!(said(&last), good(Value::Int(50)));
    press.stop().await;
}
