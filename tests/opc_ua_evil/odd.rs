//! What is odd rather than broken: values and times that cannot be, intervals that nobody can keep, subscriptions that bring
//! nothing, servers with room for one, and how little of all this stays in memory.

use super::faults::{HEAD, Spoil, check, device, neighbour, undisturbed};
use super::frame::Stage;
use super::meddler::{Deed, Meddler};
use super::server::{NAMESPACE, Server};
use crate::modbus::cell::{Cell, good};
use crate::recorder::{Recorder, Spoken};
use millgate::acquire::opc_ua::{Client, Reach};
use millgate::model::{BadReason, Content, Quality, Value};
use millgate::settings::{Namespace, Node, Protocol};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest wait for a gateway of its own process. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most memory of a gateway that reads one tag, in KiB: it has some 30 MiB in a debug build.
const MOST_KIB: u64 = 128 << 10;

fn settings(port: u16, opc_ua: &str, device: &str, tags: &[&str]) -> String {
    let tags: String = tags.iter().map(|tag| format!("      {tag}\n")).collect();
    format!(
        "  filler:
    opc_ua: {{ endpoint: 'opc.tcp://127.0.0.1:{port}', insecure: true, timeout: 20s, {opc_ua} namespaces: {{ z: '{NAMESPACE}' }} }}
    {device}
    tags:
{tags}"
    )
}

#[tokio::test]
async fn values_and_times_that_cannot_be_are_bad() {
    let server = Server::start().await;
    let names = ["nan", "infinite", "year1601", "year9999", "bad"];
    let tags: Vec<String> = names
        .iter()
        .map(|name| format!("{name}: {{ node: 'z:s={name}', type: f64 }}"))
        .collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    for read in ["subscribe", "poll"] {
        let opc_ua = format!("read: {read},");
        let text = settings(
            server.port,
            &opc_ua,
            "lost_after: 60s\n    timestamps: source",
            &tags,
        );
        let mut cell = Cell::start(&text);
        let mut firsts = BTreeMap::new();
        while firsts.len() < names.len() {
            let (_, content) = cell.next().await;
            if let Content::Samples(samples) = content {
                for (name, value, quality) in cell.named(&samples) {
                    firsts.entry(name).or_insert((value, quality));
                }
            }
        }
        let bad = |reason| (None, Quality::Bad(reason));
        let expected = [
            bad(BadReason::NotFinite),
            bad(BadReason::NotFinite),
            // The first instant that OPC UA can write stands for no time at all.
            (Some(Value::Float(1.0)), Quality::Good),
            bad(BadReason::Stamp),
            bad(BadReason::Source),
        ];
        for (name, expected) in names.iter().zip(expected) {
            assert_eq!(firsts[*name], expected, "{read}: {name}");
        }
        cell.stop().await;
    }
}

/// The interval at which the server says that it will publish.
fn interval(body: &[u8], ms: f64) -> Vec<u8> {
    let mut changed = body.to_vec();
    changed[HEAD + 4..HEAD + 12].copy_from_slice(&ms.to_le_bytes());
    changed
}

#[tokio::test]
async fn a_server_with_intervals_that_nobody_can_keep_is_polled() {
    let deeds: [Spoil; 6] = [
        |body| interval(body, 0.0),
        |body| interval(body, -1.0),
        |body| interval(body, 1.0e12),
        |body| interval(body, f64::NAN),
        |body| interval(body, f64::INFINITY),
        // The sign of life comes after so many intervals.
        |body| {
            let mut changed = body.to_vec();
            changed[HEAD + 16..HEAD + 20].copy_from_slice(&u32::MAX.to_le_bytes());
            changed
        },
    ];
    for deed in deeds {
        let server = Server::start().await;
        let meddler = Meddler::start(server.port, Stage::Subscription, Deed::Body(deed)).await;
        let recorder = Recorder::to_port(meddler.port, Spoken::OpcUa).await;
        let speed = ["speed: { node: 'z:s=speed', type: f64, every: 100ms }"];
        let mut cell = Cell::start(&settings(recorder.port, "", "lost_after: 60s", &speed));
        for _ in 0..3 {
            cell.until("filler", "polled values", |_, _| {}, good).await;
        }
        assert_eq!(meddler.deeds(), 1);
        let asked = recorder.requests();
        assert!(
            !asked.contains_key("PublishRequest_Encoding_DefaultBinary"),
            "{asked:?}"
        );
        cell.stop().await;
    }
}

#[tokio::test]
async fn a_subscription_that_is_dead_while_the_server_answers_is_noticed() {
    check(
        Stage::Publish,
        Deed::Swallow,
        "subscribe",
        "the subscription has died",
    )
    .await;
}

#[tokio::test]
async fn notifications_of_strange_subscriptions_are_no_sign_of_life() {
    let strange = Deed::Body(|body| {
        let mut changed = body.to_vec();
        changed[HEAD] ^= 0x55;
        changed
    });
    check(
        Stage::Publish,
        strange,
        "subscribe",
        "the subscription has died",
    )
    .await;
}

#[tokio::test]
async fn values_that_the_server_had_no_room_for_are_marked() {
    let mut builder = Server::plain();
    let limits = &mut builder.limits_mut().subscriptions;
    limits.max_monitored_item_queue_size = 2;
    limits.min_sampling_interval_ms = 10.0;
    let server = Server::serve(builder).await;
    // It changes every 50 ms.
    let speed = ["speed: { node: 'z:s=speed', type: f64, every: 20ms }"];
    let mut cell = Cell::start(&settings(
        server.port,
        "publishing_interval: 1s,",
        "lost_after: 60s",
        &speed,
    ));
    let marked = |content: &Content| match content {
        Content::Samples(samples) => samples
            .iter()
            .any(|sample| sample.quality == Quality::Bad(BadReason::Overflow)),
        Content::Lost(_) => false,
    };
    let content = cell.until("filler", "the mark", |_, _| {}, marked).await;
    let Content::Samples(samples) = content else {
        unreachable!("samples were waited for");
    };
    let newest = cell.named(&samples).pop().unwrap();
    assert!(
        matches!(newest, (_, Some(Value::Float(_)), Quality::Good)),
        "{newest:?}"
    );
    assert!(cell.health("filler").overflows.get() > 0);
    cell.stop().await;
}

#[tokio::test]
async fn a_session_that_is_given_up_is_given_back() {
    let server = Server::serve_few(Server::plain(), 1).await;
    let meddler = Meddler::start(server.port, Stage::Publish, Deed::Swallow).await;
    let mut cell = Cell::start(&device(meddler.port, "subscribe"));
    let lost = |content: &Content| matches!(content, Content::Lost(_));
    cell.until("evil", "the loss", |_, _| {}, lost).await;
    while meddler.connections() < 4 {
        tokio::task::yield_now().await;
    }
    meddler.heal();
    cell.until("evil", "a value", |_, _| {}, good).await;
    let made = cell.health("evil").connects.get();
    assert_eq!(
        u64::try_from(meddler.connections()).unwrap(),
        made,
        "the server had no room in between"
    );
    cell.stop().await;
}

/// A session for looking around.
async fn client(port: u16) -> Client {
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\ndevices:\n{}",
        settings(
            port,
            "",
            "lost_after: 60s",
            &["speed: { node: 'z:s=speed' }"]
        )
    );
    let plant = millgate::settings::load(&text).unwrap().plant;
    let Protocol::OpcUa(settings) = &plant.devices[0].protocol else {
        unreachable!("it is written there");
    };
    Client::connect(settings, home.path()).await.unwrap()
}

#[tokio::test]
async fn a_server_without_a_free_session_is_told_in_words() {
    let server = Server::serve_few(Server::plain(), 1).await;
    let other = client(server.port).await;
    let plc = crate::modbus::evil::Server::start(crate::modbus::evil::Fault::Nothing).await;
    let mut cell = Cell::start(&(device(server.port, "subscribe") + &neighbour(plc.port)));
    let lost = |content: &Content| matches!(content, Content::Lost(_));
    let Content::Lost(error) = cell.until("evil", "the loss", undisturbed, lost).await else {
        unreachable!("a loss was waited for");
    };
    assert_eq!(error.code, "denied");
    assert!(error.detail.contains("has no free session"), "{error:?}");
    assert!(error.detail.contains("up to 60 s"), "{error:?}");
    other.close().await;
    cell.until("evil", "a value", undisturbed, good).await;
    cell.stop().await;
}

#[tokio::test]
async fn a_walk_in_circles_ends_with_each_node_once() {
    let server = Server::start().await;
    let mut client = client(server.port).await;
    let speed = Node {
        namespace: Namespace::Uri(NAMESPACE.to_owned()),
        identifier: "s=speed".to_owned(),
    };
    let reach = Reach {
        depth: 1_000,
        nodes: 1_000,
    };
    let found = client.walk(&speed, reach, |_| {}).await.unwrap();
    let names: Vec<(usize, &str)> = found
        .iter()
        .map(|(level, child)| (*level, child.name.as_str()))
        .collect();
    assert_eq!(names, [(0, "nan"), (1, "infinite")]);
    client.close().await;
}

/// A gateway of its own process, so that its memory is its own.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself, which is what killing it is for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Gateway {
    /// The most memory that it ever had, in KiB.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_without_end_fill_no_memory() {
    for deed in [
        Deed::EndlessChunks,
        Deed::EndlessOthers,
        Deed::Size(u32::MAX),
    ] {
        let server = Server::start().await;
        let meddler = Meddler::start(server.port, Stage::Read, deed).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        let text = format!(
            "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\nbuffer: {{ path: {} }}\ndevices:\n{}",
            folder.path().join("state").display(),
            // No time limit ends it, only those of size.
            settings(
                meddler.port,
                "",
                "lost_after: 60s",
                &["speed: { node: 'z:s=speed' }"]
            )
        );
        std::fs::write(&file, text).unwrap();
        let gateway = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn();
        let gateway = Gateway(gateway.unwrap());
        let deadline = Instant::now() + PATIENCE;
        while meddler.connections() < 3 {
            assert!(Instant::now() < deadline, "{deed:?}: it does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(meddler.deeds() >= 2);
        let peak = gateway.peak_kib();
        println!("{deed:?}: {} MiB at most", peak >> 10);
        assert!(peak < MOST_KIB, "{deed:?}: {peak} KiB");
    }
}
