//! How fast a backlog drains over MQTT QoS 1 to a mosquitto on loopback, against a bare publish loop of the MQTT
//! library in the same run. Events of 2 KB, window 64. Goals: at least 20,000 events/s, and 0.8 of the bare loop.
//!
//! The same over a link with a round trip of 40 ms, all events of one partition key: at least 1,000 events/s.
//!
//! `cargo bench --bench drain`. The rounds alternate, so that a change of the box's clock hits both.

use millgate::buffer::{DueParked, Outlet, ParkedRequest, Record, Request};
use millgate::deliver::{Timing, prepare, run_uplink};
use millgate::health::UplinkHealth;
use millgate::model::{Envelope, Position, UplinkId};
use millgate::settings::{Uplink, UplinkProtocol, shape};
use rumqttc::{Event, Packet, QoS};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 100_000;
const EVENT_BYTES: usize = 2_048;
const WINDOW: u16 = 64;
const ROUNDS: usize = 3;
const GOAL_PER_S: f64 = 20_000.0;
const GOAL_RATIO: f64 = 0.8;
/// One way of the slow link: half its round trip.
const ONE_WAY: Duration = Duration::from_millis(20);
const SLOW_EVENTS: u64 = 10_000;
const SLOW_GOAL_PER_S: f64 = 1_000.0;
/// Chunks of the slow link that are under way in one direction, at most.
const CHUNKS: usize = 4_096;
const TOPIC: &str = "ACME/PLANT1/PRESS-04/_mes/evt/operation.completed";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    // `cargo test --benches` wants to know that it runs, not how fast.
    let events = if std::env::args().any(|argument| argument == "--bench") {
        EVENTS
    } else {
        1_000
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let measured = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(events)));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drain: {error}");
            ExitCode::from(69)
        }
    }
}

async fn measure(events: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let broker = Broker::start(folder.path())?;
    println!(
        "{events} events of {EVENT_BYTES} bytes, window {WINDOW}, MQTT QoS 1 to mosquitto on loopback"
    );
    for (version, name) in [
        (shape::MqttVersion::V3, "MQTT 3.1.1"),
        (shape::MqttVersion::V5, "MQTT 5    "),
    ] {
        let (mut bare, mut drained) = (0.0_f64, 0.0_f64);
        for _ in 0..ROUNDS {
            bare = bare.max(bare_loop(version, broker.port, events).await?);
            drained = drained.max(drain(version, broker.port, broker.port, events).await?);
        }
        let ratio = drained / bare;
        let slow = SlowLink::start(broker.port).await?;
        let slow_events = events.min(SLOW_EVENTS);
        let far = drain(version, slow.port, broker.port, slow_events).await?;
        println!(
            "{name}  drained {drained:>7.0} events/s (goal {GOAL_PER_S:.0})  bare loop {bare:>7.0} events/s  ratio {ratio:.2} (goal {GOAL_RATIO})  best of {ROUNDS}"
        );
        println!(
            "{name}  drained {far:>7.0} events/s (goal {SLOW_GOAL_PER_S:.0}) over a round trip of {} ms, one partition key",
            2 * ONE_WAY.as_millis()
        );
    }
    Ok(())
}

fn rate(events: u64, began: Instant) -> f64 {
    events as f64 / began.elapsed().as_secs_f64()
}

/// Millgate: from an outlet in memory to the last event settled.
async fn drain(
    version: shape::MqttVersion,
    port: u16,
    subscriber_port: u16,
    events: u64,
) -> Result<f64, Failure> {
    let mqtt: shape::Mqtt = serde_json::from_value(serde_json::json!({
        "url": format!("mqtt://127.0.0.1:{port}"),
        "version": u8::from(version),
        "window": WINDOW,
    }))?;
    let uplink = Uplink {
        start_at: shape::StartAt::Oldest,
        ..Uplink::new(UplinkId(0), "mes", UplinkProtocol::Mqtt(mqtt))
    };
    let gateway = shape::Gateway {
        id: "gw07".into(),
        path: vec!["ACME".into(), "PLANT1".into()],
    };
    // mosquitto answers 0x10 to MQTT 5 as long as nobody subscribes, and that settles nothing.
    let _subscriber = Subscriber::start(subscriber_port).await?;
    let (requests, served) = mpsc::channel(16);
    let (_durable, seen) = watch::channel(Position {
        epoch: 1,
        seq: events,
    });
    let (settled, mut progress) = watch::channel(0);
    tokio::spawn(serve(served, settled, events));
    let outlet = Outlet::new(UplinkId(0), Position::default(), requests, seen);
    let prepared = prepare(&gateway, &uplink, Timing::default())?;
    let health = Arc::new(UplinkHealth::default());
    let stop = CancellationToken::new();
    let began = Instant::now();
    let task = tokio::spawn(run_uplink(prepared, outlet, health, stop.clone()));
    progress.wait_for(|seq| *seq >= events).await?;
    let rate = rate(events, began);
    stop.cancel();
    task.await?;
    Ok(rate)
}

/// The buffer of the bench: every event has the same bytes.
async fn serve(mut requests: mpsc::Receiver<Request>, settled: watch::Sender<u64>, events: u64) {
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let envelope = Envelope {
        id: uuid::Uuid::nil(),
        run: uuid::Uuid::nil(),
        kind: "operation.completed".into(),
        partition_key: "PRESS-04".into(),
        equipment: Some("PRESS-04".into()),
        path: vec!["ACME".into(), "PLANT1".into()],
        time_ns: 0,
    };
    while let Some(request) = requests.recv().await {
        match request {
            Request::Read {
                after,
                max_events,
                max_bytes,
                reply,
                ..
            } => {
                let most = max_events.min(max_bytes / EVENT_BYTES);
                let records = (after.seq + 1..=events)
                    .take(most)
                    .map(|seq| Record {
                        position: Position { epoch: 1, seq },
                        envelope: envelope.clone(),
                        class: millgate::model::Class::Lasting,
                        payload: payload.clone(),
                    })
                    .collect();
                drop(reply.send(records));
            }
            // Nothing is refused here.
            Request::Parked(ParkedRequest::Due { reply, .. }) => {
                drop(reply.send((DueParked::Never, Vec::new())));
            }
            Request::Parked(_) => {}
            Request::Settle { settled: done, .. } => drop(settled.send_replace(done.up_to.seq)),
            Request::Look(_) => {}
        }
    }
}

/// The library alone: publish with its own queue and window, count acknowledgements.
async fn bare_loop(version: shape::MqttVersion, port: u16, events: u64) -> Result<f64, Failure> {
    let _subscriber = Subscriber::start(port).await?;
    match version {
        shape::MqttVersion::V3 => bare_v3(port, events).await,
        shape::MqttVersion::V5 => bare_v5(port, events).await,
    }
}

async fn bare_v3(port: u16, events: u64) -> Result<f64, Failure> {
    let mut options = rumqttc::MqttOptions::new("bare", "127.0.0.1", port);
    options.set_inflight(WINDOW);
    let (client, mut event_loop) = rumqttc::AsyncClient::new(options, usize::from(WINDOW));
    event_loop.set_network_options(network());
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let began = Instant::now();
    let publishing = tokio::spawn(async move {
        for _ in 0..events {
            let sent = client.publish_bytes(TOPIC, QoS::AtLeastOnce, false, payload.clone());
            if sent.await.is_err() {
                break;
            }
        }
        client
    });
    let mut acknowledged = 0;
    while acknowledged < events {
        if let Event::Incoming(Packet::PubAck(_)) = event_loop.poll().await? {
            acknowledged += 1;
        }
    }
    let rate = rate(events, began);
    publishing.await?;
    Ok(rate)
}

async fn bare_v5(port: u16, events: u64) -> Result<f64, Failure> {
    use rumqttc::v5;
    let mut options = v5::MqttOptions::new("bare", "127.0.0.1", port);
    options.set_outgoing_inflight_upper_limit(WINDOW);
    options.set_network_options(network());
    let (client, mut event_loop) = v5::AsyncClient::new(options, usize::from(WINDOW));
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let began = Instant::now();
    let publishing = tokio::spawn(async move {
        for _ in 0..events {
            let qos = v5::mqttbytes::QoS::AtLeastOnce;
            if client
                .publish(TOPIC, qos, false, payload.clone())
                .await
                .is_err()
            {
                break;
            }
        }
        client
    });
    let mut acknowledged = 0;
    while acknowledged < events {
        let event = event_loop.poll().await?;
        if matches!(
            event,
            v5::Event::Incoming(v5::mqttbytes::v5::Packet::PubAck(_))
        ) {
            acknowledged += 1;
        }
    }
    let rate = rate(events, began);
    publishing.await?;
    Ok(rate)
}

fn network() -> rumqttc::NetworkOptions {
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network
}

/// Subscribed, and not reading what comes: QoS 0, so that the broker may drop it.
struct Subscriber(tokio::task::JoinHandle<()>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscriber {
    /// A filter that matches nothing but tells the broker that somebody is there would not do: MQTT 5 looks for
    /// matching subscribers. So it takes all events, at the cost of the broker, for both competitors alike.
    async fn start(port: u16) -> Result<Subscriber, Failure> {
        let mut options = rumqttc::MqttOptions::new("subscriber", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = rumqttc::AsyncClient::new(options, 4);
        client.subscribe("#", QoS::AtMostOnce).await?;
        while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
        Ok(Subscriber(tokio::spawn(async move {
            while events.poll().await.is_ok() {}
            drop(client);
        })))
    }
}

/// A link on which everything takes its time, and nothing is lost or held up by what goes before it.
struct SlowLink {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SlowLink {
    async fn start(to: u16) -> Result<SlowLink, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = tokio::net::TcpStream::connect(("127.0.0.1", to)).await else {
                    continue;
                };
                // Nagle's delay would come on top of ours.
                if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
                    continue;
                }
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                tokio::spawn(delay(from_near, to_far));
                tokio::spawn(delay(from_far, to_near));
            }
        });
        Ok(SlowLink { port, task })
    }
}

/// Passes on what comes, each chunk after its time. Ends when either side does.
async fn delay(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf) {
    let (chunks, mut due) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(CHUNKS);
    let writing = tokio::spawn(async move {
        while let Some((at, chunk)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let chunk = buffer.iter().take(read).copied().collect();
        let at = tokio::time::Instant::now() + ONE_WAY;
        if chunks.send((at, chunk)).await.is_err() {
            break;
        }
    }
    drop(chunks);
    drop(writing.await);
}

/// mosquitto, killed when its value ends.
struct Broker {
    process: Child,
    port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Broker {
    fn start(folder: &Path) -> Result<Broker, Failure> {
        let program = [
            "/usr/sbin/mosquitto",
            "/usr/local/sbin/mosquitto",
            "/usr/bin/mosquitto",
        ]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or("mosquitto is not installed (package mosquitto): nothing was measured")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let settings = folder.join("mosquitto.conf");
        std::fs::write(
            &settings,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 0\n"
            ),
        )?;
        let process = Command::new(program)
            .arg("-c")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let broker = Broker { process, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err("mosquitto does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(broker)
    }
}
