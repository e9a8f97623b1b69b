//! What comes of each fault: a loss that is told, a new connection, and another device that notices nothing.

use super::frame::Stage;
use super::meddler::{Deed, Meddler, counted};
use super::server::{NAMESPACE, Server};
use crate::modbus::cell::{Cell, good};
use crate::modbus::evil::{Fault, Server as Plc};
use crate::opc_ua_pki::zoo::Animal;
use futures_util::future::join_all;
use millgate::model::Content;
use std::time::Duration;

/// Bytes of a message before what it says: its type, and the head of an answer without texts.
pub(super) const HEAD: usize = 28;

/// The settings' time limit of an answer, and ten times the slack of what a connection may take beyond it.
const TIMEOUT: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_secs(10);

/// A certificate that the library can read.
pub(super) fn good_certificate() -> Vec<u8> {
    Animal::good().der()
}

pub(super) fn device(port: u16, how: &str) -> String {
    format!(
        "  evil:
    opc_ua: {{ endpoint: 'opc.tcp://127.0.0.1:{port}', insecure: true, timeout: {}ms, publishing_interval: 100ms, read: {how}, namespaces: {{ z: '{NAMESPACE}' }} }}
    lost_after: 1s
    tags:
      speed: {{ node: 'z:s=speed', type: f64, every: 100ms }}
",
        TIMEOUT.as_millis()
    )
}

pub(super) fn neighbour(port: u16) -> String {
    format!(
        "  good:
    modbus_tcp: {{ host: 127.0.0.1, port: {port}, unit: 6, timeout: 20s }}
    addresses: zero_based
    lost_after: 60s
    tags:
      pressure: {{ holding: 7, every: 50ms }}
"
    )
}

/// The good device of a cell never shows anything but its values.
pub(super) fn undisturbed(name: &str, content: &Content) {
    assert!(
        name != "good" || good(content),
        "the good device suffers: {content:?}"
    );
}

/// All of them at the same time: most of it is waiting.
async fn check_all(cases: impl IntoIterator<Item = (Stage, Deed, &str)>) {
    let checks = cases
        .into_iter()
        .map(|(stage, deed, how)| check(stage, deed, how, ""));
    join_all(checks).await;
}

/// The evil one is lost, with these words, tried again and again, and read as soon as it is good.
pub(super) async fn check(stage: Stage, deed: Deed, how: &str, words: &str) {
    let what = format!("{deed:?} at {stage:?}, {how}");
    println!("{what}");
    let server = Server::start().await;
    let meddler = Meddler::start(server.port, stage, deed).await;
    let plc = Plc::start(Fault::Nothing).await;
    let mut cell = Cell::start(&(device(meddler.port, how) + &neighbour(plc.port)));
    // On a busy machine an answer may also be late for once: that is another loss.
    let lost = |content: &Content| {
        let Content::Lost(error) = content else {
            return false;
        };
        error.detail.contains(words)
    };
    let Content::Lost(error) = cell.until("evil", &what, undisturbed, lost).await else {
        unreachable!("a loss was waited for");
    };
    println!("    {what}: {}: {error}", error.code);
    assert!(error.detail.chars().count() <= 200, "{error:?}");
    assert!(!error.detail.contains(char::is_control), "{error:?}");
    let raw = ["Some(", "Ok(", "Err(", " { "];
    assert!(
        !raw.iter().any(|part| error.detail.contains(part)),
        "{what}: {error:?}"
    );
    while meddler.connections() < 3 {
        cell.until("good", &what, undisturbed, good).await;
    }
    assert!(meddler.deeds() > 0, "{what} was never done");
    meddler.heal();
    cell.until("evil", &what, undisturbed, good).await;
    assert!(
        meddler.longest() <= TIMEOUT + SLACK,
        "{what}: kept for {:?}",
        meddler.longest()
    );
    cell.stop().await;
}

#[tokio::test]
async fn whoever_is_silent_is_left() {
    let stages = [
        Stage::Acknowledge,
        Stage::Channel,
        Stage::Endpoints,
        Stage::Session,
        Stage::Activation,
        Stage::Read,
        Stage::Subscription,
        Stage::Items,
        Stage::Publish,
    ];
    let polled = (Stage::Read, Deed::Silence, "poll");
    check_all(
        stages
            .map(|stage| (stage, Deed::Silence, "subscribe"))
            .into_iter()
            .chain([polled]),
    )
    .await;
}

#[tokio::test]
async fn whoever_is_slow_is_left() {
    let stages = [Stage::Acknowledge, Stage::Channel, Stage::Read];
    check_all(stages.map(|stage| (stage, Deed::Drip, "subscribe"))).await;
}

#[tokio::test]
async fn whoever_closes_is_tried_again() {
    let stages = [
        Stage::Acknowledge,
        Stage::Channel,
        Stage::Session,
        Stage::Publish,
    ];
    for deed in [Deed::Close, Deed::CloseInside] {
        check_all(stages.map(|stage| (stage, deed, "subscribe"))).await;
    }
}

#[tokio::test]
async fn sizes_that_no_message_has_end_the_connection() {
    let sizes = [0, 7, 8, 65_537, (1 << 20) + 1, u32::MAX];
    let others = [
        (Stage::Acknowledge, Deed::Size(u32::MAX), "subscribe"),
        (Stage::Channel, Deed::Size(u32::MAX), "subscribe"),
        (Stage::Publish, Deed::Size(0), "subscribe"),
    ];
    check_all(sizes.map(|size| (Stage::Read, Deed::Size(size), "poll"))).await;
    check_all(others).await;
    check(
        Stage::Read,
        Deed::Size(7),
        "poll",
        "because of what came: a chunk of 7 bytes",
    )
    .await;
}

#[tokio::test]
async fn too_many_chunks_end_the_connection() {
    for deed in [Deed::Chunks(17), Deed::EndlessChunks, Deed::EndlessOthers] {
        check_all([
            (Stage::Read, deed, "poll"),
            (Stage::Publish, deed, "subscribe"),
        ])
        .await;
    }
}

#[tokio::test]
async fn other_protocols_end_the_connection() {
    let stages = [Stage::Acknowledge, Stage::Channel, Stage::Publish];
    check_all(stages.map(|stage| (stage, Deed::Http, "subscribe"))).await;
}

/// What a server says with its last words is told, from whatever stage on.
#[tokio::test]
async fn an_error_is_told_in_the_words_of_the_server() {
    let words = "the server ends the connection, ";
    for stage in [Stage::Acknowledge, Stage::Channel, Stage::Publish] {
        check(stage, Deed::Error, "subscribe", words).await;
    }
}

#[tokio::test]
async fn numbers_that_do_not_fit_end_the_connection() {
    let deeds = [
        Deed::Sequence(5),
        Deed::Sequence(u32::MAX),
        Deed::OtherChannel,
        Deed::OtherRequest,
        Deed::Twice,
    ];
    check_all(deeds.map(|deed| (Stage::Read, deed, "poll"))).await;
}

#[tokio::test]
async fn a_policy_that_nobody_asked_for_ends_the_connection() {
    let uris = [
        "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
        "urn:none-of-these",
    ];
    check_all(uris.map(|uri| (Stage::Channel, Deed::Policy(uri), "subscribe"))).await;
}

/// Without security nobody reads certificates, so a bad one does no harm.
#[tokio::test]
async fn what_nobody_reads_does_no_harm() {
    for (stage, deed) in [
        (Stage::Channel, Deed::Certificate(b"not a certificate")),
        (Stage::Channel, Deed::Certificate(&[0x30; 9_000])),
        (Stage::Read, Deed::Token),
        // The number of the request in the channel is what counts.
        (Stage::Read, Deed::Body(other_handle)),
    ] {
        let what = format!("{deed:?} at {stage:?}");
        let server = Server::start().await;
        let meddler = Meddler::start(server.port, stage, deed).await;
        let plc = Plc::start(Fault::Nothing).await;
        let mut cell = Cell::start(&(device(meddler.port, "poll") + &neighbour(plc.port)));
        let either = |content: &Content| good(content) || matches!(content, Content::Lost(_));
        cell.until("evil", &what, undisturbed, either).await;
        assert!(meddler.deeds() > 0, "{what} was never done");
        cell.stop().await;
    }
}

/// Makes something else of a message.
pub(super) type Spoil = fn(&[u8]) -> Vec<u8>;

#[tokio::test]
async fn messages_that_cannot_be_understood_end_the_connection() {
    let deeds: [Spoil; 11] = [
        array_without_end,
        array_of_10_001,
        text_of_65_537,
        nested_variants,
        nested_values,
        nested_diagnostics,
        cut,
        nothing,
        unknown_kind,
        another_answer,
        too_few_results,
    ];
    check_all(deeds.map(|deed| (Stage::Read, Deed::Body(deed), "poll"))).await;
    let deeds: [Spoil; 5] = [
        array_without_end,
        nested_diagnostics,
        cut,
        nothing,
        unknown_kind,
    ];
    for stage in [Stage::Publish, Stage::Session] {
        check_all(deeds.map(|deed| (stage, Deed::Body(deed), "subscribe"))).await;
    }
}

/// The head of an answer, so far as it is good.
fn head(body: &[u8]) -> Vec<u8> {
    body[..HEAD].to_vec()
}

fn other_handle(body: &[u8]) -> Vec<u8> {
    let mut changed = body.to_vec();
    changed[12] ^= 0x55;
    changed
}

fn array_without_end(body: &[u8]) -> Vec<u8> {
    [head(body), i32::MAX.to_le_bytes().to_vec(), vec![0; 1_000]].concat()
}

fn array_of_10_001(body: &[u8]) -> Vec<u8> {
    [
        head(body),
        10_001_i32.to_le_bytes().to_vec(),
        vec![0; 10_001],
        vec![0xFF; 4],
    ]
    .concat()
}

/// One value, a text one byte longer than allowed, so that it still fits into a message of two chunks.
fn text_of_65_537(body: &[u8]) -> Vec<u8> {
    let value = [vec![0x01, 12], counted(&[b'x'; 60_000])].concat();
    let many: Vec<u8> = vec![0xFF; 4];
    let mut changed = [head(body), 1_i32.to_le_bytes().to_vec(), value, many].concat();
    // The announced length is what is refused.
    changed[HEAD + 6..HEAD + 10].copy_from_slice(&65_537_u32.to_le_bytes());
    changed
}

/// A variant that holds an array of one variant, and so on, a thousand deep.
fn nested_variants(body: &[u8]) -> Vec<u8> {
    let nested: Vec<u8> = [24 | 0x80, 1, 0, 0, 0].repeat(1_000);
    [
        head(body),
        1_i32.to_le_bytes().to_vec(),
        vec![0x01],
        nested,
        vec![1, 1],
        vec![0xFF; 4],
    ]
    .concat()
}

/// A value in a variant in a value, thirty thousand deep.
fn nested_values(body: &[u8]) -> Vec<u8> {
    [
        head(body),
        1_i32.to_le_bytes().to_vec(),
        [0x01, 23].repeat(30_000),
        vec![0],
        vec![0xFF; 4],
    ]
    .concat()
}

/// Diagnostics in the head that hold diagnostics, sixty thousand deep.
fn nested_diagnostics(body: &[u8]) -> Vec<u8> {
    [body[..20].to_vec(), vec![0x40; 60_000], body[21..].to_vec()].concat()
}

fn cut(body: &[u8]) -> Vec<u8> {
    body[..body.len() - 3].to_vec()
}

fn nothing(_body: &[u8]) -> Vec<u8> {
    Vec::new()
}

fn unknown_kind(body: &[u8]) -> Vec<u8> {
    [&[1, 0, 0xFF, 0xFF], &body[4..]].concat()
}

/// The type of an answer to another question.
fn another_answer(body: &[u8]) -> Vec<u8> {
    let kind =
        u16::try_from(opcua::types::ObjectId::CloseSessionResponse_Encoding_DefaultBinary as u32)
            .unwrap();
    [&[1, 0], &kind.to_le_bytes()[..], &body[4..]].concat()
}

fn too_few_results(body: &[u8]) -> Vec<u8> {
    [head(body), vec![0; 4], vec![0xFF; 4]].concat()
}
