//! How fast a backlog drains over HTTP on keep-alive connections to a server on loopback, against a bare request loop of the
//! HTTP library with as many requests under way, in the same run; and in batches. Events of 1 KB of 64 machines. Goals: at
//! least 5,000 events/s and 0.8 of the bare loop; in batches of 100 at least 20,000 events/s.
//!
//! `cargo bench --bench drain_http`. The rounds alternate, so that a change of the box's clock hits both.

use millgate::buffer::{DueParked, Outlet, ParkedRequest, Record, Request};
use millgate::deliver::{Timing, prepare, run_uplink};
use millgate::health::UplinkHealth;
use millgate::model::{Class, Envelope, Position, UplinkId};
use millgate::settings::{Uplink, UplinkProtocol, shape};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 100_000;
const EVENT_BYTES: usize = 1_024;
const MACHINES: u64 = 64;
const IN_FLIGHT: u8 = 8;
const ROUNDS: usize = 3;
const GOAL_PER_S: f64 = 5_000.0;
const GOAL_RATIO: f64 = 0.8;
const GOAL_BATCHED_PER_S: f64 = 20_000.0;

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
            eprintln!("drain_http: {error}");
            ExitCode::from(69)
        }
    }
}

async fn measure(events: u64) -> Result<(), Failure> {
    println!(
        "{events} events of {EVENT_BYTES} bytes of {MACHINES} machines, {IN_FLIGHT} requests under way, HTTP/1.1 keep-alive on loopback"
    );
    let port = serve().await?;
    let url = format!("http://127.0.0.1:{port}/events");
    let (mut bare, mut single, mut batched) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        bare = bare.max(bare_loop(&url, events).await?);
        single = single.max(drain(&url, events, 1).await?);
        batched = batched.max(drain(&url, events, 100).await?);
    }
    let ratio = single / bare;
    println!(
        "one by one  drained {single:>7.0} events/s (goal {GOAL_PER_S:.0})  bare loop {bare:>7.0} events/s  ratio {ratio:.2} (goal {GOAL_RATIO})  best of {ROUNDS}"
    );
    println!(
        "batch: 100  drained {batched:>7.0} events/s (goal {GOAL_BATCHED_PER_S:.0})  best of {ROUNDS}"
    );
    Ok(())
}

fn rate(events: u64, began: Instant) -> f64 {
    events as f64 / began.elapsed().as_secs_f64()
}

/// Takes everything, at once.
async fn serve() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Ok(port)
}

async fn answer(mut stream: TcpStream) {
    const GOOD: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
    drop(stream.set_nodelay(true));
    let mut input = Vec::with_capacity(256 << 10);
    loop {
        while let Some(length) = request_length(&input).filter(|length| input.len() >= *length) {
            input.drain(..length);
            if stream.write_all(GOOD).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Bytes of the request at the beginning, when its head is there.
fn request_length(input: &[u8]) -> Option<usize> {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(input.get(..end)?).ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(end + 4 + length.1.trim().parse::<usize>().ok()?)
}

/// Millgate: from an outlet in memory to the last event settled.
async fn drain(url: &str, events: u64, batch: u8) -> Result<f64, Failure> {
    let http: shape::Http = serde_json::from_value(serde_json::json!({
        "url": url,
        "in_flight": IN_FLIGHT,
        "batch": batch,
    }))?;
    let uplink = Uplink {
        start_at: shape::StartAt::Oldest,
        ..Uplink::new(UplinkId(0), "mes", UplinkProtocol::Http(http))
    };
    let gateway = shape::Gateway {
        id: "gw07".into(),
        path: vec!["ACME".into(), "PLANT1".into()],
    };
    let (requests, served) = mpsc::channel(16);
    let (_durable, seen) = watch::channel(Position {
        epoch: 1,
        seq: events,
    });
    let (settled, mut progress) = watch::channel(0);
    tokio::spawn(buffer(served, settled, events));
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

fn record(seq: u64, payload: &bytes::Bytes) -> Record {
    let machine = format!("PRESS-{:02}", seq % MACHINES);
    Record {
        position: Position { epoch: 1, seq },
        envelope: Envelope {
            id: uuid::Uuid::from_u128(u128::from(seq)),
            run: uuid::Uuid::nil(),
            kind: "operation.completed".into(),
            partition_key: machine.clone(),
            equipment: Some(machine),
            path: vec!["ACME".into(), "PLANT1".into()],
            time_ns: 0,
        },
        class: Class::Lasting,
        payload: payload.clone(),
    }
}

/// The buffer of the bench: every event has the same bytes.
async fn buffer(mut requests: mpsc::Receiver<Request>, settled: watch::Sender<u64>, events: u64) {
    let payload = bytes::Bytes::from(format!("{{\"x\":\"{}\"}}", "x".repeat(EVENT_BYTES - 8)));
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
                let records = (after.seq + 1..=events).take(most);
                drop(reply.send(records.map(|seq| record(seq, &payload)).collect()));
            }
            // Nothing is refused here.
            Request::Parked(ParkedRequest::Due { reply, .. }) => {
                drop(reply.send((DueParked::Never, Vec::new())));
            }
            Request::Parked(_) | Request::Look(_) => {}
            Request::Settle { settled: done, .. } => drop(settled.send_replace(done.up_to.seq)),
        }
    }
}

/// The library alone: as many requests under way, each with the header lines that an event has.
async fn bare_loop(url: &str, events: u64) -> Result<f64, Failure> {
    // The library wants one even for plain connections; a second call finds it there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .build()?;
    let payload = bytes::Bytes::from(vec![b'x'; EVENT_BYTES]);
    let sent = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..IN_FLIGHT {
        let (client, url) = (client.clone(), url.to_owned());
        let (payload, sent) = (payload.clone(), Arc::clone(&sent));
        tasks.push(tokio::spawn(async move {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return Ok::<(), reqwest::Error>(());
                }
                let id = uuid::Uuid::from_u128(u128::from(number));
                let request = client
                    .post(&url)
                    .header(
                        "content-type",
                        "application/cloudevents+json; charset=utf-8",
                    )
                    .header("idempotency-key", format!("\"{id}\""))
                    .body(payload.clone());
                request.send().await?.bytes().await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(rate(events, began))
}
